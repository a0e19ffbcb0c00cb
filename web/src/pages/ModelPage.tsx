import { useParams } from "react-router";
import { Empty, Page } from "../shell/Page";

export default function ModelPage() {
  const { modelName } = useParams();
  return (
    <Page title={modelName ?? ""}>
      <Empty>No versions yet.</Empty>
    </Page>
  );
}
