import { useParams } from "react-router";
import { Empty, Page } from "../shell/Page";

export default function RunPage() {
  const { runId } = useParams();
  return (
    <Page title={runId ?? ""}>
      <Empty>This run has nothing recorded.</Empty>
    </Page>
  );
}
