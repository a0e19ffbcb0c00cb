import { Empty, Page } from "../shell/Page";

export default function WhyPage() {
  return (
    <Page title="Why">
      <Empty command="noria why PREDICTION_ID">Give the id of a prediction.</Empty>
    </Page>
  );
}
