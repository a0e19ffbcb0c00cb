import { Empty, Page } from "../shell/Page";

export default function DeploymentsPage() {
  return (
    <Page title="Deployments">
      <Empty command="noria deploy">Nothing is deployed yet.</Empty>
    </Page>
  );
}
