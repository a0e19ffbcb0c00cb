import { Empty, Page } from "../shell/Page";

export default function ComparePage() {
  return (
    <Page title="Compare">
      <Empty command="noria compare @best @last">Choose two runs to compare.</Empty>
    </Page>
  );
}
