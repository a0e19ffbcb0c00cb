import { Button, NativeSelect, SegmentedControl, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { type ReactNode, useEffect, useState } from "react";
import { Link, useNavigate, useSearchParams } from "react-router";
import type { RunRow, RunsPageView } from "../api/types";
import { useRuns } from "../api/queries";
import { count, duration, metric, number, short, value } from "../format";
import { Failed, Loaded } from "../parts/Loaded";
import { Arrow, Star } from "../parts/Signs";
import { Chip, runState, StateMark } from "../parts/State";
import { Grid, ownTags, When } from "../parts/Texts";
import { Empty, Page } from "../shell/Page";
import "./runs.css";

const SIZE = 50;
const OTHER_METRICS = 3;

/** Every run: the primary metric in view and sorted, the best starred, the address holds the view. */
export default function RunsPage() {
  const [address, setAddress] = useSearchParams();
  const read = (name: string) => address.get(name) ?? "";
  const [typed, setTyped] = useState(read("search"));
  const [search] = useDebouncedValue(typed, 250);
  const [written, setWritten] = useState(read("where"));
  const [where] = useDebouncedValue(written, 400);
  const [chosen, setChosen] = useState<string[]>([]);
  const go = useNavigate();
  const set = (changes: Record<string, string>) =>
    setAddress(
      (former) => {
        for (const [name, given] of Object.entries({ offset: "", ...changes })) {
          if (given === "") former.delete(name);
          else former.set(name, given);
        }
        return former;
      },
      { replace: true },
    );
  useEffect(() => {
    if (search !== read("search")) set({ search });
  }, [search]);
  useEffect(() => {
    if (where !== read("where")) set({ where });
  }, [where]);

  const offset = Number(read("offset")) || 0;
  const order = read("order") || "metric";
  const runs = useRuns({ ...only(address, ["experiment", "status", "search", "metric", "where"]), order, limit: SIZE, offset });
  const choose = (id: string) => setChosen((former) => (former.includes(id) ? former.filter((other) => other !== id) : [...former, id]));

  return (
    <Page
      title="Runs"
      action={
        <Button size="xs" variant="default" disabled={chosen.length < 2} onClick={() => void go(`/compare?${chosen.map((id) => `run=${encodeURIComponent(id)}`).join("&")}`)}>
          {chosen.length < 2 ? "Compare: tick two runs" : `Compare ${chosen.length} runs`}
        </Button>
      }
    >
      <Standing of={runs}>
        {(data, error) => {
          const unfiltered = ["experiment", "status", "search", "where"].every((name) => read(name) === "");
          if (data.total === 0 && unfiltered) return <Empty command="noria run pipeline.py">No runs yet. A run is one training that is worth remembering.</Empty>;
          const others = data.metric_keys.filter((key) => key !== data.primary).slice(0, OTHER_METRICS);
          return (
            <>
              <div className="filters">
                <TextInput size="xs" label="Search" placeholder="name, param or tag" value={typed} onChange={(event) => setTyped(event.currentTarget.value)} />
                <TextInput
                  size="xs"
                  className="where"
                  label="Where"
                  placeholder="metrics.auc > 0.8 and (params.depth >= 6 or not tags.team = 'x')"
                  value={written}
                  onChange={(event) => setWritten(event.currentTarget.value)}
                  error={error === null ? undefined : error.message}
                  spellCheck={false}
                  autoComplete="off"
                />
                <NativeSelect size="xs" label="Experiment" value={read("experiment")} onChange={(event) => set({ experiment: event.currentTarget.value })} data={[{ value: "", label: "all" }, ...data.experiments]} />
                <NativeSelect size="xs" label="Status" value={read("status")} onChange={(event) => set({ status: event.currentTarget.value })} data={[{ value: "", label: "any" }, "finished", "running", "failed", "killed", "scheduled"]} />
                <NativeSelect size="xs" label="Primary metric" value={data.primary} onChange={(event) => set({ metric: event.currentTarget.value })} data={data.metric_keys.map((key) => ({ value: key, label: metric(key) }))} />
                <div>
                  <span className="label" id="order">
                    Order
                  </span>
                  <SegmentedControl
                    size="xs"
                    aria-labelledby="order"
                    value={order}
                    onChange={(given) => set({ order: given })}
                    data={[
                      { value: "metric", label: "Best first" },
                      { value: "newest", label: "Newest first" },
                    ]}
                  />
                </div>
              </div>
              {error === null ? null : <Failed error={error} />}
              {error !== null ? null : data.total === 0 ? (
                <Empty>No run matches. {count(data.experiments.length)} experiments are there; loosen the filters.</Empty>
              ) : (
                <>
                  <RunTable rows={data.runs} primary={data.primary} better={data.better} sorted={order === "metric"} others={others} chosen={chosen} choose={choose} />
                  <Pager total={data.total} offset={data.offset} shown={data.runs.length} go={(at) => set({ offset: at === 0 ? "" : String(at) })} />
                </>
              )}
            </>
          );
        }}
      </Standing>
    </Page>
  );
}

/** What was shown last stays, filters and all, while a question that cannot be answered is corrected. */
function Standing({ of, children }: { of: ReturnType<typeof useRuns>; children: (data: RunsPageView, error: Error | null) => ReactNode }) {
  const [held, setHeld] = useState<RunsPageView>();
  useEffect(() => {
    if (of.data !== undefined) setHeld(of.data);
  }, [of.data]);
  const data = of.data ?? held;
  if (of.error !== null && data === undefined)
    return (
      <>
        <Failed error={of.error} />
        <Link to="/runs" reloadDocument>
          Show all runs
        </Link>
      </>
    );
  if (of.error === null || data === undefined) return <Loaded of={of}>{(loaded) => children(loaded, null)}</Loaded>;
  return <>{children(data, of.error)}</>;
}

/** A quiet dash: the eye passes over it to what is there. */
function Absent() {
  return (
    <span className="absent">
      <span aria-hidden="true">–</span>
      <span className="unseen">none</span>
    </span>
  );
}

interface TableProps {
  rows: RunRow[];
  primary: string;
  better: "higher" | "lower";
  sorted: boolean;
  others: string[];
  chosen: string[];
  choose: (id: string) => void;
}

function RunTable({ rows, primary, better, sorted, others, chosen, choose }: TableProps) {
  return (
    <Grid label="Runs">
      <thead>
        <tr>
          <th scope="col">
            <span className="unseen">Compare</span>
          </th>
          <th scope="col">Run</th>
          {primary === "" ? null : (
            <th scope="col" className="num primary" {...(sorted ? { "aria-sort": better === "lower" ? ("ascending" as const) : ("descending" as const) } : {})}>
              {metric(primary)} <Arrow to={better === "lower" ? "down" : "up"} />
              <span className="unseen">{better} is better</span>
            </th>
          )}
          {others.map((key) => (
            <th key={key} scope="col" className="num">
              {metric(key)}
            </th>
          ))}
          <th scope="col">Params</th>
          <th scope="col">Tags</th>
          <th scope="col">Data</th>
          <th scope="col" className="num">
            Duration
          </th>
          <th scope="col">Started</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((run) => (
          <tr key={run.id}>
            <td>
              <input type="checkbox" className="tick" checked={chosen.includes(run.id)} onChange={() => choose(run.id)} aria-label={`Compare ${run.name}`} />
            </td>
            <th scope="row">
              <span className="run-name">
                <StateMark state={runState(run.status)} word={run.status} hidden />
                <span>
                  <Link to={`/runs/${encodeURIComponent(run.id)}`}>{run.name}</Link> {run.version === "" ? null : <Chip tone="accent">{run.version}</Chip>}
                  <span className="sub">{run.experiment}</span>
                </span>
              </span>
            </th>
            {primary === "" ? null : (
              <td className="num primary">
                {run.best ? <Star said="best: " /> : null}
                {run.metrics[primary] === undefined ? <Absent /> : number(run.metrics[primary])}
              </td>
            )}
            {others.map((key) => (
              <td key={key} className="num">
                {run.metrics[key] === undefined ? <Absent /> : number(run.metrics[key])}
              </td>
            ))}
            <td>
              <Pairs of={run.params} />
            </td>
            <td>
              <Pairs of={ownTags(run.tags)} />
            </td>
            <td>
              {run.datasets.length === 0 ? (
                <Absent />
              ) : (
                run.datasets.map((data) => (
                  <span key={data.digest} title={data.digest} className="dataset">
                    {data.name === "" ? short(data.digest) : data.name}
                  </span>
                ))
              )}
            </td>
            <td className="num">{duration(run.seconds)}</td>
            <td>
              <When at={run.started_at} />
            </td>
          </tr>
        ))}
      </tbody>
    </Grid>
  );
}

/** The first pairs of a map; the rest is counted, and all of it is in the title. */
function Pairs({ of }: { of: Record<string, string | number | boolean | null> }) {
  const pairs = Object.entries(of).map(([name, given]) => `${name}=${value(given)}`);
  if (pairs.length === 0) return <Absent />;
  const rest = pairs.length - 2;
  return (
    <div className="clip" title={pairs.join("\n")}>
      <code className="pairs">{pairs.slice(0, 2).join(" ")}</code>
      {rest > 0 ? <span className="muted"> +{rest}</span> : null}
    </div>
  );
}

function Pager({ total, offset, shown, go }: { total: number; offset: number; shown: number; go: (offset: number) => void }) {
  return (
    <nav className="pager" aria-label="Pages of runs">
      <span className="muted">
        {count(offset + 1)} to {count(offset + shown)} of {count(total)}
      </span>
      <Button size="xs" variant="default" disabled={offset === 0} onClick={() => go(Math.max(0, offset - SIZE))}>
        Previous
      </Button>
      <Button size="xs" variant="default" disabled={offset + shown >= total} onClick={() => go(offset + SIZE)}>
        Next
      </Button>
    </nav>
  );
}

function only(address: URLSearchParams, names: string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (address.get(name) ? [[name, address.get(name) ?? ""]] : [])));
}
