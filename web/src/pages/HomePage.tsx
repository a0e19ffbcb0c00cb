import { Empty, Page } from "../shell/Page";

export default function HomePage() {
  return (
    <Page title="Home">
      <Empty command="noria demo">Nothing has run here yet.</Empty>
    </Page>
  );
}
