import { CopyButton } from "@mantine/core";
import { Link } from "react-router";
import type { ReactNode } from "react";
import type { DatasetRef } from "../api/types";
import { ago, instant, metric, number, short } from "../format";

/** A moment: how long ago, with the exact time for whoever points at it or listens. */
export function When({ at }: { at: string | null | undefined }) {
  if (at === null || at === undefined) return <span className="muted">never</span>;
  return (
    <time dateTime={at} title={instant(at)} className="when">
      {ago(at)}
    </time>
  );
}

/** The start of a digest or an id, in full on demand. */
export const Digest = ({ of }: { of: string }) => (
  <code className="digest" title={of}>
    {short(of)}
  </code>
);

/** A command that can be copied. */
export function Command({ children }: { children: string }) {
  return (
    <span className="command">
      <code>{children}</code>
      <CopyButton value={children} timeout={1500}>
        {({ copied, copy }) => (
          <button type="button" onClick={copy} className="copy" aria-label={`Copy: ${children}`}>
            {copied ? "copied" : "copy"}
          </button>
        )}
      </CopyButton>
    </span>
  );
}

/** A titled part of a page. `aside` stands at the right of the title. */
export function Section({ title, aside, children }: { title: string; aside?: ReactNode; children: ReactNode }) {
  const id = title.toLowerCase().replaceAll(/\W+/g, "-");
  return (
    <section aria-labelledby={id} className="section">
      <div className="section-head">
        <h2 id={id}>{title}</h2>
        {aside}
      </div>
      {children}
    </section>
  );
}

/** A table that scrolls sideways by itself when it is too wide, reachable by keyboard. */
export function Grid({ label, children, dense = false }: { label: string; children: ReactNode; dense?: boolean }) {
  return (
    <div className="scroll" role="region" aria-label={label} tabIndex={0}>
      <table className={dense ? "grid grid-dense" : "grid"}>{children}</table>
    </div>
  );
}

/** Names and values, one a line. */
export function Facts({ of }: { of: [string, ReactNode][] }) {
  return (
    <dl className="facts">
      {of.map(([name, given]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{given}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Metrics, the number first. */
export function Figures({ of }: { of: Record<string, number | null> }) {
  const keys = Object.keys(of).sort();
  if (keys.length === 0) return <p className="muted">No metrics were recorded.</p>;
  return (
    <dl className="figures">
      {keys.map((key) => (
        <div key={key}>
          <dt>{metric(key)}</dt>
          <dd>{number(of[key])}</dd>
        </div>
      ))}
    </dl>
  );
}

export interface Stop {
  what: string;
  name: ReactNode;
  to?: string;
  note?: ReactNode;
}

/** The lineage strip: data, run, version, deployment; each a link. The stop that this page is about has no link. */
export function Lineage({ stops }: { stops: Stop[] }) {
  return (
    <nav aria-label="Lineage">
      <ol className="lineage">
        {stops.map((stop) => (
          <li key={stop.what} aria-current={stop.to === undefined && stop.note === "here" ? "page" : undefined}>
            <span className="lineage-what">{stop.what}</span>
            {stop.to === undefined ? <span className="lineage-name">{stop.name}</span> : <Link to={stop.to}>{stop.name}</Link>}
            {stop.note === undefined || stop.note === "here" ? null : <span className="lineage-note">{stop.note}</span>}
          </li>
        ))}
      </ol>
    </nav>
  );
}

export const datasetName = (data: DatasetRef): string => (data.dataset === "" ? short(data.digest) : `${data.dataset} v${data.number}`);

/** Tags as people set them: those by which clients and protocols keep their own books are left out. */
export function ownTags(tags: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(tags).filter(([key]) => !/^(mlflow\.|noria\.(mlflow\.|note$|parent$))/.test(key)));
}
