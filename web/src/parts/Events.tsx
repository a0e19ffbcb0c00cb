import { Link } from "react-router";
import type { EventView } from "../api/types";
import { StateMark } from "./State";
import { When } from "./Texts";

/** "GatesFailed" as "gates failed". */
export const kindName = (kind: string): string => kind.replaceAll(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase();

/** Entries of the ledger, one a line, each with a link to what it is about. */
export function Events({ events, empty = "Nothing has happened yet." }: { events: EventView[]; empty?: string }) {
  if (events.length === 0) return <p className="muted">{empty}</p>;
  return (
    <ol className="events">
      {events.map((event) => (
        <li key={event.seq}>
          <StateMark state={event.tone} word={kindName(event.kind)} hidden />
          <span className="event-text">
            {event.link === "" ? event.sentence : <Link to={event.link}>{event.sentence}</Link>}
            <span className="event-meta">
              {kindName(event.kind)} · entry {event.seq} · {event.actor}
            </span>
          </span>
          <When at={event.at} />
        </li>
      ))}
    </ol>
  );
}
