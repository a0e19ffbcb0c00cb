import { Empty, Page } from "../shell/Page";

export default function ModelsPage() {
  return (
    <Page title="Models">
      <Empty command="noria run">No registered models yet.</Empty>
    </Page>
  );
}
