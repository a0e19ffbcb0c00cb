import { Link, useParams } from "react-router";
import { useModel } from "../api/queries";
import { metric, number } from "../format";
import { Loaded } from "../parts/Loaded";
import { versionPath } from "../parts/RunParts";
import { Grid, Section, When } from "../parts/Texts";
import { Aliases, AliasHistory, GateMark, Where } from "../parts/Versions";
import { Page } from "../shell/Page";

/** One model: every version with its gates, and how its aliases moved. */
export default function ModelPage() {
  const { modelName = "" } = useParams();
  const model = useModel(modelName);
  return (
    <Page title={modelName}>
      <Loaded of={model}>
        {(data) => {
          const keys = [...new Set(data.versions.flatMap((version) => Object.keys(version.metrics)))].sort().slice(0, 4);
          return (
            <div className="stack">
              {data.description !== "" && <p>{data.description}</p>}
              <Section title="Latest stable">
                <p>
                  {data.stable.number === null ? (
                    <span className="muted">none: {data.stable.why}</span>
                  ) : (
                    <>
                      <Link to={versionPath(data.name, data.stable.number)}>
                        <strong>v{data.stable.number}</strong>
                      </Link>{" "}
                      <span className="muted">({data.stable.version})</span>: {data.stable.why}
                    </>
                  )}
                </p>
                {data.stable.passed_over.length > 0 && (
                  <ul>
                    {data.stable.passed_over.map((over) => (
                      <li key={over.number}>
                        <Link to={versionPath(data.name, over.number)}>v{over.number}</Link> <span className="muted">({over.version})</span>: {over.why}
                      </li>
                    ))}
                  </ul>
                )}
              </Section>
              <Section title="Versions">
                <Grid label="Versions">
                  <thead>
                    <tr>
                      <th scope="col">Version</th>
                      <th scope="col">Aliases</th>
                      <th scope="col">Gates</th>
                      {keys.map((key) => (
                        <th key={key} scope="col" className="num">
                          {metric(key)}
                        </th>
                      ))}
                      <th scope="col">Why this number</th>
                      <th scope="col">Answers in</th>
                      <th scope="col">Registered</th>
                    </tr>
                  </thead>
                  <tbody>
                    {data.versions.map((version) => (
                      <tr key={version.number}>
                        <th scope="row">
                          <Link to={versionPath(data.name, version.number)}>
                            <strong>v{version.number}</strong>
                          </Link>{" "}
                          <span className="muted">({version.version})</span>
                          <span className="sub">{version.packaged ? version.flavor : "registered from outside, not packaged"}</span>
                        </th>
                        <td>
                          <Aliases of={version.aliases} />
                        </td>
                        <td>
                          <GateMark passed={version.gates_passed} total={version.gates_total} />
                        </td>
                        {keys.map((key) => (
                          <td key={key} className="num">
                            {version.metrics[key] === undefined ? <span className="muted">none</span> : number(version.metrics[key])}
                          </td>
                        ))}
                        <td>{version.version_reason}</td>
                        <td>
                          <Where names={version.deployed} />
                        </td>
                        <td>
                          <When at={version.created_at} />
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </Grid>
              </Section>
              <Section title="Alias history">
                <AliasHistory moves={data.alias_history} />
              </Section>
            </div>
          );
        }}
      </Loaded>
    </Page>
  );
}
