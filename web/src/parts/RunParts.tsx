import { Link } from "react-router";
import type { DatasetRef, RunPageView } from "../api/types";
import { bytes, count, day, value } from "../format";
import { StateMark } from "./State";
import { datasetName, Digest, Facts, Grid } from "./Texts";

/** Parameters with their types kept: text is quoted, numbers are not. */
export function Params({ of }: { of: RunPageView["params"] }) {
  const pairs = Object.entries(of);
  if (pairs.length === 0) return <p className="muted">No params were recorded.</p>;
  return <Facts of={pairs.map(([name, given]) => [name, <code key={name}>{typeof given === "string" ? `"${given}"` : value(given)}</code>])} />;
}

/** Dataset versions with their size, their time and what was expected of them. */
export function Datasets({ of }: { of: DatasetRef[] }) {
  if (of.length === 0) return <p className="muted">No dataset was recorded.</p>;
  return (
    <Grid label="Datasets">
      <thead>
        <tr>
          <th scope="col">Dataset</th>
          <th scope="col" className="num">
            Rows
          </th>
          <th scope="col" className="num">
            Stored
          </th>
          <th scope="col">From, until</th>
          <th scope="col">Expectations</th>
          <th scope="col">Digest</th>
        </tr>
      </thead>
      <tbody>
        {of.map((data) => (
          <tr key={data.digest}>
            <th scope="row">
              {datasetName(data)}
              {data.source === "" ? null : <span className="sub">{data.source}</span>}
            </th>
            <td className="num">{data.rows === null ? "n/a" : count(data.rows)}</td>
            <td className="num">{data.bytes_stored === null ? "n/a" : bytes(data.bytes_stored)}</td>
            <td>{data.since === null || data.until === null ? <span className="muted">no time column</span> : `${day(data.since)}, ${day(data.until)}`}</td>
            <td>
              <Expected of={data} />
            </td>
            <td>
              <Digest of={data.digest} />
            </td>
          </tr>
        ))}
      </tbody>
    </Grid>
  );
}

function Expected({ of }: { of: DatasetRef }) {
  if (of.passed === null) return <span className="muted">none declared</span>;
  const broken = of.expectations.filter((result) => !result.passed).length;
  const aside = of.quarantined === 0 ? "" : `, ${count(of.quarantined)} rows kept aside`;
  if (!of.passed) return <StateMark state="bad" word={`${broken} of ${of.expectations.length} broken${aside}`} />;
  return <StateMark state={broken > 0 ? "warn" : "ok"} word={broken > 0 ? `${broken} of ${of.expectations.length} broken${aside}` : `${of.expectations.length} kept${aside}`} />;
}

/** Which code ran, with which seed, in which environment. */
export function Origin({ of }: { of: RunPageView }) {
  const dirty = of.code?.dirty === true ? " (with uncommitted changes)" : "";
  return (
    <>
      <Facts
        of={[
          ["seed", of.seed === null ? "none" : <code key="seed">{of.seed}</code>],
          ["commit", of.code?.commit ? <code key="commit">{`${of.code.commit.slice(0, 12)}${dirty}`}</code> : "outside a repository"],
          ["sources", of.code ? <Digest key="sources" of={of.code.digest} /> : "not recorded"],
          ["Python", of.environment?.python ?? "not recorded"],
          ["platform", of.environment?.platform ?? "not recorded"],
        ]}
      />
      {of.environment === null ? null : (
        <details>
          <summary>{count(Object.keys(of.environment.packages).length)} packages</summary>
          <ul className="packages">
            {Object.entries(of.environment.packages).map(([name, version]) => (
              <li key={name}>
                {name} <span className="muted">{version}</span>
              </li>
            ))}
          </ul>
        </details>
      )}
    </>
  );
}

/** `model/number` as a link to its version. */
export function VersionLink({ of }: { of: string }) {
  const cut = of.lastIndexOf("/");
  return <Link to={versionPath(of.slice(0, cut), of.slice(cut + 1))}>{`${of.slice(0, cut)} v${of.slice(cut + 1)}`}</Link>;
}

export const versionPath = (model: string, number: number | string): string => `/models/${encodeURIComponent(model)}/versions/${number}`;
export const runPath = (id: string): string => `/runs/${encodeURIComponent(id)}`;
export const deploymentPath = (name: string): string => `/deployments/${encodeURIComponent(name)}`;
