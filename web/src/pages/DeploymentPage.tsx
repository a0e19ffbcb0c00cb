import { useParams } from "react-router";
import { Empty, Page } from "../shell/Page";

export default function DeploymentPage() {
  const { deploymentName } = useParams();
  return (
    <Page title={deploymentName ?? ""}>
      <Empty>No traffic yet.</Empty>
    </Page>
  );
}
