import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { ApiError } from "../api/client";
import { Command } from "./Texts";

/** What a query brought; until then a line that says so, and on failure the problem, its cause and the remedy. */
export function Loaded<T>({ of, children }: { of: UseQueryResult<T>; children: (data: T) => ReactNode }) {
  if (of.data !== undefined) return <>{children(of.data)}</>;
  if (of.error !== null) return <Failed error={of.error} />;
  return (
    <p role="status" className="muted loading">
      Loading…
    </p>
  );
}

export function Failed({ error }: { error: Error }) {
  const body = error instanceof ApiError ? error.body : {};
  return (
    <div role="alert" className="failed">
      <p className="failed-problem">{error.message}</p>
      {body.cause ? <p>{body.cause}</p> : null}
      {body.remedy ? <Remedy text={body.remedy} /> : null}
    </div>
  );
}

/** A remedy is a command or a sentence; only a command is worth a copy button. */
function Remedy({ text }: { text: string }) {
  return /^(noria|pip|make|export|python) /.test(text) ? <Command>{text}</Command> : <p className="muted">{text}</p>;
}
