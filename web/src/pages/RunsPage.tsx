import { Empty, Page } from "../shell/Page";

export default function RunsPage() {
  return (
    <Page title="Runs">
      <Empty command="noria run">No runs yet.</Empty>
    </Page>
  );
}
