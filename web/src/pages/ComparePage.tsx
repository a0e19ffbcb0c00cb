import { Switch } from "@mantine/core";
import { useQueries } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useSearchParams } from "react-router";
import { get } from "../api/client";
import type { RunPageView, Value } from "../api/types";
import { metric, number, value } from "../format";
import { Failed } from "../parts/Loaded";
import { runPath } from "../parts/RunParts";
import { datasetName, Grid } from "../parts/Texts";
import { Empty, Page } from "../shell/Page";

interface Row {
  group: string;
  name: string;
  values: (Value | undefined)[];
  numeric: boolean;
}

/** Runs side by side; only what differs, unless all of it is asked for. The first run is what the others are measured against. */
export default function ComparePage() {
  const [address] = useSearchParams();
  const ids = address.getAll("run");
  const [all, setAll] = useState(false);
  const runs = useQueries({
    queries: ids.map((id) => ({ queryKey: ["run", id], queryFn: () => get("/api/v1/runs/{run_id}", { path: { run_id: id } }) })),
  });
  const failed = runs.find((run) => run.error !== null);
  const data = runs.flatMap((run) => (run.data === undefined ? [] : [run.data]));
  const rows = rowsOf(data);
  const shown = all ? rows : rows.filter((row) => new Set(row.values.map((v) => JSON.stringify(v))).size > 1);
  return (
    <Page title="Compare runs" action={<Switch size="sm" label="Show what is equal, too" checked={all} onChange={(event) => setAll(event.currentTarget.checked)} />}>
      {ids.length < 2 ? (
        <Empty>
          Tick two runs or more in the <Link to="/runs">list of runs</Link>.
        </Empty>
      ) : failed?.error ? (
        <Failed error={failed.error} />
      ) : data.length < ids.length ? (
        <p role="status">Loading…</p>
      ) : (
        <>
          <Grid label="Differences between the runs">
            <thead>
              <tr>
                <th scope="col">What</th>
                {data.map((run) => (
                  <th key={run.id} scope="col" className="num">
                    <Link to={runPath(run.id)}>{run.name}</Link>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {shown.map((row) => (
                <tr key={`${row.group} ${row.name}`}>
                  <th scope="row">
                    {row.name}
                    <span className="sub">{row.group}</span>
                  </th>
                  {row.values.map((given, place) => (
                    <td key={data[place]?.id} className="num">
                      {given === undefined ? <span className="muted">none</span> : row.numeric ? number(given as number | null) : value(given)}
                      {place > 0 && row.numeric ? <Delta from={row.values[0]} to={given} /> : null}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </Grid>
          <p className="muted small">
            {shown.length} of {rows.length} values are shown{all ? "" : ": those that differ"}. Differences are against {data[0]?.name}.
          </p>
        </>
      )}
    </Page>
  );
}

function Delta({ from, to }: { from: Value | undefined; to: Value | undefined }) {
  if (typeof from !== "number" || typeof to !== "number" || from === to) return null;
  return (
    <span className="sub">
      {to > from ? "+" : "−"}
      {number(Math.abs(to - from))}
    </span>
  );
}

function rowsOf(runs: RunPageView[]): Row[] {
  const keyed = (group: string, numeric: boolean, of: (run: RunPageView) => Record<string, Value>): Row[] =>
    [...new Set(runs.flatMap((run) => Object.keys(of(run))))].sort().map((key) => ({
      group,
      name: group === "metric" ? metric(key) : key,
      numeric,
      values: runs.map((run) => of(run)[key]),
    }));
  const single = (name: string, of: (run: RunPageView) => Value): Row => ({ group: "run", name, numeric: false, values: runs.map(of) });
  return [
    ...keyed("metric", true, (run) => run.metrics),
    ...keyed("param", false, (run) => run.params),
    single("data", (run) => run.datasets.map(datasetName).join(", ")),
    single("seed", (run) => run.seed),
    single("commit", (run) => run.code?.commit ?? null),
    single("sources", (run) => run.code?.digest ?? null),
    ...keyed("tag", false, (run) => run.tags),
    ...keyed("package", false, (run) => run.environment?.packages ?? {}),
  ];
}
