import { Button, Menu } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "react-router";
import { change } from "../api/client";
import type { Alert, State } from "../api/types";
import { metric, number, percent } from "../format";
import { Failed } from "./Loaded";
import { Chip, StateMark } from "./State";
import { Command, When } from "./Texts";
import "./alerts.css";

const SEVERITY: Record<Alert["severity"], State> = { info: "busy", warn: "warn", page: "bad" };

const stands = (alert: Alert): boolean => alert.state !== "resolved";

/** How an alert stands, in one mark. */
function Mark({ of }: { of: Alert }) {
  if (of.state === "resolved") return <StateMark state="ok" word="resolved" />;
  if (of.state === "snoozed") return <StateMark state="empty" word={`snoozed, ${of.severity}`} />;
  if (of.state === "acknowledged") return <StateMark state="busy" word={`in somebody's hands, ${of.severity}`} />;
  return <StateMark state={SEVERITY[of.severity]} word={`open, ${of.severity}`} />;
}

/** One alert: what happened, on which evidence, what would have kept it quiet, and what can be done about it. */
export function AlertCard({ alert, named = false }: { alert: Alert; named?: boolean }) {
  return (
    <li className={`alert alert-${alert.state} severity-${alert.severity}`}>
      <div className="alert-head">
        <Mark of={alert} /> <Chip>{alert.kind.replaceAll("_", " ")}</Chip>
        {named ? <Link to={`/deployments/${encodeURIComponent(alert.deployment)}`}>{alert.deployment}</Link> : null}
        <span className="muted">v{alert.number}</span>
        <span className="alert-when">
          <When at={alert.opened_at} />
        </span>
      </div>
      <p className="alert-summary">{alert.summary}</p>
      <Evidence of={alert} />
      {alert.silencers.length === 0 || !stands(alert) ? null : (
        <p className="muted small">
          It would have stayed quiet with{" "}
          {alert.silencers.map((each, place) => (
            <span key={each.setting}>
              {place > 0 ? ", or with " : ""}
              {each.what === "" ? (
                <>
                  <code>{each.setting}</code> at {number(each.needed)} instead of {number(each.now)}
                </>
              ) : (
                each.what
              )}
            </span>
          ))}
          .
        </p>
      )}
      {alert.changed_by === "" || alert.changed_at === null ? null : (
        <p className="muted small">
          {alert.state} by {alert.changed_by}, <When at={alert.changed_at} />
          {alert.snoozed_until === null || alert.state !== "snoozed" ? null : (
            <>
              , until <When at={alert.snoozed_until} />
            </>
          )}
          {alert.reason === "" ? null : `: ${alert.reason}`}
        </p>
      )}
      {stands(alert) ? <Acts of={alert} /> : null}
    </li>
  );
}

/** Shifts beside what is allowed as a table of bars; the other numbers in a line. */
function Evidence({ of }: { of: Alert }) {
  const shifts = Object.entries(of.evidence)
    .filter((entry): entry is [string, number] => entry[0].startsWith("shift.") && typeof entry[1] === "number")
    .map(([name, shift]) => ({ name: name.slice(6), shift, margin: of.evidence[`margin.${name.slice(6)}`] }));
  const rest = Object.entries(of.evidence).filter(([name]) => !/^(shift|margin|psi|psi_noise|harm)(\.|$)/.test(name));
  const most = Math.max(...shifts.map((each) => Math.max(each.shift, typeof each.margin === "number" ? each.margin : 0)), 0.0001);
  return (
    <>
      {shifts.length === 0 ? null : (
        <ul className="shifts" aria-label="Shifts">
          {shifts.map(({ name, shift, margin }) => (
            <li key={name}>
              <code>{name}</code>
              <span className="shift-track" aria-hidden="true">
                <span className="shift-bar" style={{ width: `${(100 * shift) / most}%` }} />
                {typeof margin === "number" ? <span className="shift-margin" style={{ left: `${(100 * margin) / most}%` }} /> : null}
              </span>
              <span className="shift-words">
                {percent(shift)}
                {typeof margin === "number" ? <span className="muted"> of {percent(margin)} allowed</span> : null}
              </span>
            </li>
          ))}
        </ul>
      )}
      <p className="muted small">
        {rest.map(([name, given]) => `${metric(name).replaceAll(".", " ")} ${typeof given === "number" ? number(given) : given}`).join(", ")}
        {of.budget === "" ? "" : `${rest.length === 0 ? "" : "; "}${of.budget}`}
      </p>
    </>
  );
}

type Act = "acknowledge" | "snooze" | "resolve" | "reopen";
const SNOOZES = [
  { label: "for 4 hours", hours: 4 },
  { label: "for a day", hours: 24 },
  { label: "for a week", hours: 24 * 7 },
];

function Acts({ of }: { of: Alert }) {
  const queries = useQueryClient();
  const act = useMutation({
    mutationFn: ({ verb, body }: { verb: Act; body: object }) => change<Alert[]>("POST", `/api/v1/alerts/{alert_id}/${verb}`, { path: { alert_id: of.id }, body: { by: "pages", ...body } }),
    onSuccess: () => queries.invalidateQueries(),
  });
  const go = (verb: Act, body: object = {}) => act.mutate({ verb, body });
  return (
    <div className="alert-acts">
      {of.state === "open" ? (
        <Button size="xs" variant="default" loading={act.isPending} onClick={() => go("acknowledge")}>
          I take care
        </Button>
      ) : (
        <Button size="xs" variant="default" loading={act.isPending} onClick={() => go("reopen")}>
          Open again
        </Button>
      )}
      <Menu position="bottom-start" withinPortal={false}>
        <Menu.Target>
          <Button size="xs" variant="default">
            Snooze
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          {SNOOZES.map(({ label, hours }) => (
            <Menu.Item key={hours} onClick={() => go("snooze", { hours })}>
              {label}
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
      <Button size="xs" variant="default" onClick={() => go("resolve", { reason: "resolved on the page" })}>
        Resolve
      </Button>
      {of.next_command === "" ? null : <Command>{of.next_command}</Command>}
      {act.error === null ? null : <Failed error={act.error} />}
    </div>
  );
}
