import { useParams } from "react-router";
import { Empty, Page } from "../shell/Page";

export default function PredictionPage() {
  const { predictionId } = useParams();
  return (
    <Page title={predictionId ?? ""}>
      <Empty>Nothing is known of this prediction.</Empty>
    </Page>
  );
}
