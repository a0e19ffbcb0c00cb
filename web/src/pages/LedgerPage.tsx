import { Button } from "@mantine/core";
import { useState } from "react";
import { useAudit, useEvents } from "../api/queries";
import { count } from "../format";
import { Events } from "../parts/Events";
import { Loaded } from "../parts/Loaded";
import { StateMark } from "../parts/State";
import { Digest, Section } from "../parts/Texts";
import { Empty, Page } from "../shell/Page";

const SIZE = 50;

/** Every decision and change of state, newest first, and whether the chain holds. */
export default function LedgerPage() {
  const [before, setBefore] = useState<number | null>(null);
  const [asked, setAsked] = useState(false);
  const after = before === null ? 0 : Math.max(0, before - 1 - SIZE);
  const events = useEvents(after, before === null ? SIZE : before - 1 - after, before === null);
  const audit = useAudit(asked);
  return (
    <Page
      title="Ledger"
      action={
        <Button size="xs" variant="default" loading={audit.isFetching} onClick={() => (asked ? void audit.refetch() : setAsked(true))}>
          Verify every row
        </Button>
      }
    >
      {asked ? (
        <Loaded of={audit}>
          {(data) =>
            data.intact ? (
              <p role="status">
                <StateMark state="ok" word={`${count(data.rows)} rows, every one as it was written`} /> <span className="muted">head</span> <Digest of={data.head} />
              </p>
            ) : (
              <div role="alert" className="failed">
                <p className="failed-problem">The ledger is not what was written</p>
                {data.breaks.map((broken) => (
                  <p key={broken.seq}>
                    row {broken.seq}: {broken.problem}
                  </p>
                ))}
              </div>
            )
          }
        </Loaded>
      ) : null}
      <Loaded of={events}>
        {(data) => {
          const shown = before === null ? data.events : [...data.events].reverse();
          const oldest = shown.at(-1)?.seq ?? 1;
          if (data.head === 0) return <Empty command="noria demo">The ledger is empty: nothing has been decided here yet.</Empty>;
          return (
            <Section title={`${count(shown[0]?.seq ?? 0)} to ${count(oldest)} of ${count(data.head)}`}>
              <Events events={shown} />
              <nav className="pager" aria-label="Pages of the ledger">
                <Button size="xs" variant="default" disabled={before === null} onClick={() => setBefore(before === null || before + SIZE > data.head ? null : before + SIZE)}>
                  Newer
                </Button>
                <Button size="xs" variant="default" disabled={oldest <= 1} onClick={() => setBefore(oldest)}>
                  Older
                </Button>
              </nav>
            </Section>
          );
        }}
      </Loaded>
    </Page>
  );
}
