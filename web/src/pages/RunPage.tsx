import { SegmentedControl } from "@mantine/core";
import { type ReactNode, useMemo, useState } from "react";
import { Link, useParams } from "react-router";
import type { MetricPoint, RunPageView } from "../api/types";
import { useRun, useSeries } from "../api/queries";
import { type Line, LineChart } from "../charts/LineChart";
import { bytes, count, duration, metric, number } from "../format";
import { Events } from "../parts/Events";
import { Loaded } from "../parts/Loaded";
import { Datasets, Origin, Params, VersionLink } from "../parts/RunParts";
import { Chip, runState, StateMark } from "../parts/State";
import { datasetName, Digest, Facts, Figures, Grid, Lineage, ownTags, Section, type Stop, When } from "../parts/Texts";
import { Page } from "../shell/Page";
import "./runs.css";

/** One run: what came out, what went in, and what led to it. */
export default function RunPage() {
  const { runId = "" } = useParams();
  const run = useRun(runId);
  return (
    <Page title={run.data?.name ?? "Run"} action={run.data === undefined ? undefined : <StateMark state={runState(run.data.status)} word={run.data.status} />}>
      <Loaded of={run}>{(data) => <Whole run={data} />}</Loaded>
    </Page>
  );
}

function Whole({ run }: { run: RunPageView }) {
  const stops: Stop[] = [
    { what: "data", name: [...run.datasets.map(datasetName), ...run.inputs.map((input) => input.name)].join(", ") || "none recorded" },
    { what: "run", name: run.name, note: "here" },
    { what: "version", name: run.versions.length === 0 ? "none" : <VersionLink of={run.versions[0] ?? ""} />, ...(run.versions.length === 0 ? { note: "did not become one" } : {}) },
  ];
  const tags = Object.entries(ownTags(run.tags));
  return (
    <div className="stack">
      <Lineage stops={stops} />
      {run.trashed_at === null ? null : (
        <div role="note" className="failed">
          <p className="failed-problem">In the trash</p>
          <p>
            since <When at={run.trashed_at} />; <code>noria gc</code> forgets it when its time has come
          </p>
        </div>
      )}
      {run.note === "" ? null : <p className="note">{run.note}</p>}
      {run.error === "" ? null : (
        <div role="note" className="failed">
          <p className="failed-problem">The run failed</p>
          <pre>{run.error}</pre>
        </div>
      )}
      <Section title="Metrics">
        <div className="card">
          <Figures of={run.metrics} />
        </div>
      </Section>
      {run.series.length === 0 ? null : (
        <Section title="Curves">
          <div className="curves">
            {run.series.map((key) => (
              <Curve key={key} run={run.id} name={key} />
            ))}
          </div>
        </Section>
      )}
      <div className="columns">
        <Section title="Params">
          <div className="card">
            <Params of={run.params} />
          </div>
        </Section>
        <Section title="Code and environment">
          <div className="card">
            <Origin of={run} />
          </div>
        </Section>
        <Section title="Run">
          <div className="card">
            <Facts
              of={[
                ["experiment", run.experiment],
                ["id", <Digest key="id" of={run.id} />],
                ["started", <When key="at" at={run.started_at} />],
                ["duration", duration(run.seconds)],
                ...(run.user === "" ? [] : ([["user", run.user]] as [string, ReactNode][])),
                ...(run.parent === null ? [] : ([["part of", <Link key="parent" to={`/runs/${encodeURIComponent(run.parent)}`}>{run.parent_name || run.parent}</Link>]] as [string, ReactNode][])),
                ["tags", tags.length === 0 ? "none" : <span className="chips" key="tags">{tags.map(([k, v]) => <Chip key={k}>{`${k}: ${v}`}</Chip>)}</span>],
              ]}
            />
          </div>
        </Section>
      </div>
      {run.children.length === 0 ? null : (
        <Section title="Runs within it">
          <ul className="within">
            {run.children.map((child) => (
              <li key={child.id}>
                <StateMark state={runState(child.status)} word={child.status} hidden /> <Link to={`/runs/${encodeURIComponent(child.id)}`}>{child.name}</Link>
              </li>
            ))}
          </ul>
          {run.children.length < run.children_total ? <p className="muted small">{count(run.children_total)} in all; the newest are shown</p> : null}
        </Section>
      )}
      <Section title="Data">
        {run.datasets.length === 0 && run.inputs.length > 0 ? null : <Datasets of={run.datasets} />}
        {run.inputs.length === 0 ? null : <Inputs of={run.inputs} />}
      </Section>
      <Section title="Artifacts">{run.artifacts.length === 0 ? <p className="muted">No artifacts were attached.</p> : <Artifacts of={run.artifacts} root={run.artifact_root} />}</Section>
      <Section title="What led to it">
        <Events events={run.causes} empty="This run was started by hand; no event of the loop caused it." />
      </Section>
    </div>
  );
}

function Inputs({ of }: { of: RunPageView["inputs"] }) {
  return (
    <Grid label="Datasets that the run read" dense>
      <thead>
        <tr>
          <th scope="col">Dataset</th>
          <th scope="col">Used for</th>
          <th scope="col">Source</th>
          <th scope="col">Digest</th>
        </tr>
      </thead>
      <tbody>
        {of.map((input) => (
          <tr key={`${input.name} ${input.digest}`}>
            <th scope="row">{input.name}</th>
            <td>{Object.values(input.tags).join(", ") || "not said"}</td>
            <td>{input.source_type}</td>
            <td>
              <code>{input.digest}</code>
            </td>
          </tr>
        ))}
      </tbody>
    </Grid>
  );
}

/** Where the server gives a file; null for files that are kept outside of it. */
function place(root: string, path: string): string | null {
  if (root === "" || root.includes("://")) return null;
  return `/api/2.0/mlflow-artifacts/artifacts/${`${root}/${path}`.split("/").map(encodeURIComponent).join("/")}`;
}

function Artifacts({ of, root }: { of: RunPageView["artifacts"]; root: string }) {
  return (
    <Grid label="Artifacts" dense>
      <thead>
        <tr>
          <th scope="col">File</th>
          <th scope="col" className="num">
            Size
          </th>
          <th scope="col">Digest</th>
        </tr>
      </thead>
      <tbody>
        {of.map((artifact) => (
          <tr key={artifact.path}>
            <th scope="row">
              {place(root, artifact.path) === null ? (
                <code>{artifact.path}</code>
              ) : (
                <a href={place(root, artifact.path) ?? undefined} download={artifact.path.split("/").pop()}>
                  <code>{artifact.path}</code>
                </a>
              )}
            </th>
            <td className="num">{bytes(artifact.size)}</td>
            <td>
              <Digest of={artifact.digest} />
            </td>
          </tr>
        ))}
      </tbody>
    </Grid>
  );
}

const said = (value: number | null) => (value === null ? "not a number" : number(value));

/** Points without extremes are a series that is given whole. */
function curve(label: string, points: MetricPoint[]): Line {
  const values = points.map((p) => p.value);
  if (points.every((p) => p.low === null)) return { label, values, hue: 1 };
  return { label, values, hue: 1, band: { low: points.map((p) => p.low ?? p.value), high: points.map((p) => p.high ?? p.value) } };
}

function Curve({ run, name }: { run: string; name: string }) {
  const series = useSeries(run, name);
  const [form, setForm] = useState("chart");
  const points = series.data?.points;
  const x = useMemo(() => (points ?? []).map((p) => p.step), [points]);
  const lines = useMemo(() => [curve(name, points ?? [])], [points, name]);
  const thinned = points !== undefined && points.length < (series.data?.raw ?? 0);
  return (
    <div className="card">
      <div className="section-head">
        <h3>{metric(name)}</h3>
        <SegmentedControl
          size="xs"
          aria-label={`${metric(name)}: chart or table`}
          value={form}
          onChange={setForm}
          data={[
            { value: "chart", label: "Chart" },
            { value: "table", label: "Table" },
          ]}
        />
      </div>
      <Loaded of={series}>
        {(data) => (
          <>
            {form === "chart" ? (
              <LineChart title={`${metric(name)} by step, ${count(data.points.length)} points. The table holds the same numbers.`} x={x} lines={lines} height={200} />
            ) : (
              <div className="curve-table">
                <Grid label={`${metric(name)} by step`} dense>
                  <thead>
                    <tr>
                      <th scope="col" className="num">
                        Step
                      </th>
                      <th scope="col" className="num">
                        {metric(name)}
                      </th>
                      {thinned ? (
                        <>
                          <th scope="col" className="num">
                            Lowest
                          </th>
                          <th scope="col" className="num">
                            Highest
                          </th>
                        </>
                      ) : null}
                    </tr>
                  </thead>
                  <tbody>
                    {data.points.map((point, place) => (
                      <tr key={place}>
                        <td className="num">{count(point.step)}</td>
                        <td className="num">{said(point.value)}</td>
                        {thinned ? (
                          <>
                            <td className="num">{said(point.low)}</td>
                            <td className="num">{said(point.high)}</td>
                          </>
                        ) : null}
                      </tr>
                    ))}
                  </tbody>
                </Grid>
              </div>
            )}
            {thinned ? (
              <p className="muted small">
                {count(data.raw)} points in {count(data.points.length)} stretches: the line is the last value of each, the band reaches from its lowest to its highest
              </p>
            ) : null}
          </>
        )}
      </Loaded>
    </div>
  );
}
