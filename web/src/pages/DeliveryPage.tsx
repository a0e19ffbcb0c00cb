import { useParams } from "react-router";
import { useDelivery } from "../api/queries";
import { DeliveryWhole } from "../parts/Deliveries";
import { DeploymentNav } from "../parts/DeploymentNav";
import { Loaded } from "../parts/Loaded";
import { Page } from "../shell/Page";

/** One promotion, roll-back or act of a person: the same story as `noria why` tells. */
export default function DeliveryPage() {
  const { deploymentName = "", deliveryId = "" } = useParams();
  const story = useDelivery(deliveryId);
  return (
    <Page title={deploymentName}>
      <DeploymentNav name={deploymentName} />
      <Loaded of={story}>{(data) => <DeliveryWhole story={data} />}</Loaded>
    </Page>
  );
}
