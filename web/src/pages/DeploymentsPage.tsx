import { Link } from "react-router";
import { useDeployments } from "../api/queries";
import { Loaded } from "../parts/Loaded";
import { deploymentPath } from "../parts/RunParts";
import { StateMark } from "../parts/State";
import { When } from "../parts/Texts";
import { Traffic } from "../parts/Traffic";
import { Empty, Page } from "../shell/Page";
import "./deployments.css";

/** What answers under which name, and whether something is open. */
export default function DeploymentsPage() {
  const deployments = useDeployments();
  return (
    <Page title="Deployments">
      <Loaded of={deployments}>
        {(data) =>
          data.length === 0 ? (
            <Empty command="noria demo">Nothing is deployed yet. A declared deployment trains its first version by itself.</Empty>
          ) : (
            <ul className="deployments">
              {data.map((deployment) => (
                <li key={deployment.name} className="card">
                  <div className="section-head">
                    <h2>
                      <Link to={deploymentPath(deployment.name)}>{deployment.name}</Link>
                    </h2>
                    {deployment.stopped !== "" ? (
                      <StateMark state="bad" word="stopped" />
                    ) : deployment.open_alerts > 0 ? (
                      <StateMark state="warn" word={`${deployment.open_alerts} open alert${deployment.open_alerts === 1 ? "" : "s"}`} />
                    ) : deployment.rollout?.outcome === "running" ? (
                      <StateMark state="busy" word="a rollout is under way" />
                    ) : (
                      <StateMark state="ok" word="no open alert" />
                    )}
                  </div>
                  <Traffic variants={deployment.variants} />
                  {deployment.stopped === "" ? null : <p>{deployment.stopped}</p>}
                  <p className="muted small">
                    model {deployment.model}, generation {deployment.generation}, {deployment.rollouts} rollout{deployment.rollouts === 1 ? "" : "s"}, changed <When at={deployment.updated_at} />
                  </p>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </Page>
  );
}
