import { SegmentedControl } from "@mantine/core";
import { useSearchParams } from "react-router";
import { useAlerts, useReceivers } from "../api/queries";
import type { ReceiverView } from "../api/types";
import { count } from "../format";
import { AlertCard } from "../parts/Alerts";
import { Loaded } from "../parts/Loaded";
import { StateMark } from "../parts/State";
import { Grid, Section, When } from "../parts/Texts";
import { Empty, Page } from "../shell/Page";

const STATES = [
  { value: "standing", label: "Standing" },
  { value: "resolved", label: "Resolved" },
  { value: "all", label: "All" },
];

/** What people and the loop should know: what stands, what was said about it, and who is told. */
export default function AlertsPage() {
  const [params, setParams] = useSearchParams();
  const state = params.get("state") ?? "standing";
  const alerts = useAlerts(state);
  return (
    <Page title="Alerts" action={<SegmentedControl size="xs" aria-label="Which alerts" data={STATES} value={state} onChange={(chosen) => setParams(chosen === "standing" ? {} : { state: chosen })} />}>
      <Loaded of={alerts}>
        {(data) =>
          data.length === 0 ? (
            <Empty {...(state === "standing" ? {} : { command: "noria alerts --all" })}>
              {state === "standing" ? "No alert stands. What was seen lately is with each deployment." : "There is no such alert."}
            </Empty>
          ) : (
            <ul className="alerts">
              {data.map((alert) => (
                <AlertCard key={alert.id} alert={alert} named />
              ))}
            </ul>
          )
        }
      </Loaded>
      <Section title="Who is told">
        <Loaded of={useReceivers()}>{(data) => <Receivers of={data} />}</Loaded>
      </Section>
    </Page>
  );
}

function Receivers({ of }: { of: ReceiverView[] }) {
  if (of.length === 0) return <p className="muted">Nobody: no receiver is set in noria.toml.</p>;
  return (
    <Grid label="Receivers of alerts">
      <thead>
        <tr>
          <th scope="col">Receiver</th>
          <th scope="col">By</th>
          <th scope="col">From severity</th>
          <th scope="col">Only about</th>
          <th scope="col" className="num">
            Not taken yet
          </th>
          <th scope="col">State</th>
        </tr>
      </thead>
      <tbody>
        {of.map((each) => (
          <tr key={each.name}>
            <th scope="row">{each.name}</th>
            <td>{each.adapter}</td>
            <td>{each.severity}</td>
            <td>{[...each.kinds.map((kind) => kind.replaceAll("_", " ")), ...each.deployments].join(", ") || <span className="muted">everything</span>}</td>
            <td className="num">{count(each.waiting)}</td>
            <td>
              {each.problem === "" ? (
                <StateMark state={each.waiting === 0 ? "ok" : "busy"} word={each.waiting === 0 ? "has heard everything" : "is being told"} />
              ) : (
                <>
                  <StateMark state="warn" word={`does not answer, tried ${count(each.tries)} times`} />
                  <span className="sub">
                    {each.problem}
                    {each.waiting_since === null ? null : (
                      <>
                        , since <When at={each.waiting_since} />
                      </>
                    )}
                  </span>
                </>
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </Grid>
  );
}
