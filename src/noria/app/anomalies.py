"""Ask which single predictions of a deployment had odd inputs. Composition only; the method is monitoring/anomaly.

Called by `noria errors --odd` and server/control/analysis.
"""

from datetime import datetime, timedelta

import msgspec

from noria.app.analysis import Span, read
from noria.app.workspace import Workspace
from noria.errors import EmptySample
from noria.monitoring.anomaly import FEWEST, OddReport, find_odd, learn

LOOKED_AT_DAYS = 7.0
ORDINARY_TIMES = 8
ORDINARY_ROWS = 50_000


class OddAnalysis(msgspec.Struct, frozen=True, kw_only=True):
    """Odd predictions of `now`, against what was ordinary in `before`."""

    before: Span
    now: Span
    report: OddReport


def analyse_odd(
    workspace: Workspace,
    deployment: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    against: datetime | None = None,
    number: int | None = None,
    rate: float = 0.001,
    limit: int = 20,
    seed: int = 0,
) -> OddAnalysis:
    """Flag predictions from `since` to `until` (default: the newest 7 days) that are odd beside those from `against` to `since` (8 times as long).

    rate: share of ordinary predictions that is flagged by chance. Raises NotFound, EmptySample, InputInvalid.
    """
    late = read(workspace, deployment, since=since, until=until, number=number, days=LOOKED_AT_DAYS)
    begin = late.span.since
    early = read(
        workspace,
        deployment,
        since=against or begin - ORDINARY_TIMES * max(late.span.until - begin, timedelta(days=1)),
        until=begin,
        number=late.span.number,
        most=ORDINARY_ROWS,
    )
    if len(early.ids) < 2 * FEWEST:
        raise EmptySample(
            f"version {early.span.number} gave {len(early.ids)} answers before {begin:%Y-%m-%d}: too few to know what is ordinary",
            remedy="say --since LATER, or --against EARLIER",
        )
    shared = [name for name in early.columns if name in late.columns]
    ordinary = learn({name: early.columns[name] for name in shared}, blocks=early.days, seed=seed)
    report = find_odd(
        ordinary,
        {name: late.columns[name] for name in shared},
        ids=late.ids,
        times=late.times,
        blocks=late.days,
        rate=rate,
        limit=limit,
    )
    return OddAnalysis(before=early.span, now=late.span, report=report)
