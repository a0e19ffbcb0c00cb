import { useParams } from "react-router";
import { Empty, Page } from "../shell/Page";

export default function ModelVersionPage() {
  const { modelName, versionNumber } = useParams();
  return (
    <Page title={`${modelName} v${versionNumber}`}>
      <Empty>Nothing is known of this version yet.</Empty>
    </Page>
  );
}
