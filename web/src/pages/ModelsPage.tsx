import { Link } from "react-router";
import { useModels } from "../api/queries";
import type { VersionRow } from "../api/types";
import { metric, number } from "../format";
import { Loaded } from "../parts/Loaded";
import { versionPath } from "../parts/RunParts";
import { Grid, When } from "../parts/Texts";
import { Empty, Page } from "../shell/Page";
import { GateMark, Where } from "../parts/Versions";

/** Every model with its newest version: how it did, and where it answers. */
export default function ModelsPage() {
  const models = useModels();
  return (
    <Page title="Models">
      <Loaded of={models}>
        {(data) =>
          data.length === 0 ? (
            <Empty command="noria demo">No registered models yet. A model is registered when a run has passed its gates.</Empty>
          ) : (
            <Grid label="Models">
              <thead>
                <tr>
                  <th scope="col">Model</th>
                  <th scope="col">Champion</th>
                  <th scope="col">Newest version</th>
                  <th scope="col">Gates</th>
                  <th scope="col">Metrics</th>
                  <th scope="col">Answers in</th>
                  <th scope="col">Registered</th>
                </tr>
              </thead>
              <tbody>
                {data.map((model) => (
                  <tr key={model.name}>
                    <th scope="row">
                      <Link to={`/models/${encodeURIComponent(model.name)}`}>
                        <strong>{model.name}</strong>
                      </Link>
                      <span className="sub">
                        {model.versions} version{model.versions === 1 ? "" : "s"}
                      </span>
                    </th>
                    <td>{model.champion === null ? <span className="muted">none</span> : <Link to={versionPath(model.name, model.champion)}>v{model.champion}</Link>}</td>
                    {model.newest === null ? (
                      <td colSpan={5}>
                        <span className="muted">no version yet</span>
                      </td>
                    ) : (
                      <Newest of={model.newest} />
                    )}
                  </tr>
                ))}
              </tbody>
            </Grid>
          )
        }
      </Loaded>
    </Page>
  );
}

function Newest({ of }: { of: VersionRow }) {
  return (
    <>
      <td>
        <Link to={versionPath(of.model, of.number)}>v{of.number}</Link> <span className="muted">({of.version})</span>
      </td>
      <td>
        <GateMark passed={of.gates_passed} total={of.gates_total} />
      </td>
      <td>
        {Object.entries(of.metrics)
          .slice(0, 3)
          .map(([key, given]) => (
            <span key={key} className="one-line">
              {metric(key)} <strong>{number(given)}</strong>
            </span>
          ))}
      </td>
      <td>
        <Where names={of.deployed} />
      </td>
      <td>
        <When at={of.created_at} />
      </td>
    </>
  );
}
