import type { ReactNode } from "react";
import type { RunRow, State } from "../api/types";

const SHAPES: Record<State, ReactNode> = {
  ok: (
    <>
      <circle cx="8" cy="8" r="6.5" />
      <path d="M5 8.2l2.2 2.2L11.2 6" />
    </>
  ),
  warn: (
    <>
      <path d="M8 1.8L14.8 14H1.2z" />
      <path d="M8 6.2v3.6M8 11.9h.01" />
    </>
  ),
  bad: (
    <>
      <path d="M5.3 1.5h5.4l3.8 3.8v5.4l-3.8 3.8H5.3l-3.8-3.8V5.3z" />
      <path d="M5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4" />
    </>
  ),
  busy: (
    <>
      <circle cx="8" cy="8" r="6.5" />
      <path d="M8 4v4l2.6 1.6" />
    </>
  ),
  empty: <circle cx="8" cy="8" r="6.5" strokeDasharray="2.6 2.5" />,
};
const WORDS: Record<State, string> = { ok: "OK", warn: "Look", bad: "Trouble", busy: "Under way", empty: "Empty" };

/** A state by its shape, its colour and, beside it or for readers of the screen only, its word. */
export function StateMark({ state, word, hidden = false }: { state: State; word?: string; hidden?: boolean }) {
  const said = word ?? WORDS[state];
  return (
    <span className={`state state-${state}`}>
      <svg width={16} height={16} viewBox="0 0 16 16" fill="none" stroke="currentColor" strokeWidth={1.6} strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
        {SHAPES[state]}
      </svg>
      <span className={hidden ? "unseen" : "state-word"}>{said}</span>
    </span>
  );
}

const RUN_STATES: Record<RunRow["status"], State> = { scheduled: "empty", running: "busy", finished: "ok", failed: "bad", killed: "warn" };

export const runState = (status: RunRow["status"]): State => RUN_STATES[status];

/** A small label with a border; for aliases, kinds and roles. */
export function Chip({ children, tone = "plain" }: { children: ReactNode; tone?: "plain" | "accent" | State }) {
  return <span className={`chip chip-${tone}`}>{children}</span>;
}
