"""Remember the last verdict on drift, for as long as no window that it rests on has changed. Called by stages/watch_counts.

Windows are days as a rule, looks come each minute: the same windows are judged a thousand times, and a new one is bet on where the fold stood. Only a
process's own memory, bounded; whatever is not remembered is folded again and gives the same.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from weakref import WeakKeyDictionary

from noria.domain.profile import WindowCounts
from noria.monitoring.drift import Drift, Fold
from noria.ports.counts import CountStore

REMEMBERED = 4096
"""Verdicts that are remembered for one store; a few KB each."""

_Known = tuple[tuple[object, ...], Drift, Fold]
_verdicts: WeakKeyDictionary[CountStore, OrderedDict[tuple[object, ...], _Known]] = WeakKeyDictionary()
_lock = Lock()


def remembered(
    store: CountStore,
    key: tuple[object, ...],
    windows: Sequence[WindowCounts],
    *,
    window_seconds: float,
    judge: Callable[[Fold | None], tuple[Drift, Fold]],
) -> Drift:
    """What `judge` says of these windows, not asked again while the complete ones among them are the same. key: whose they are, and how judged.

    judge: is given where the fold stood, if all windows of that fold still stand and only newer ones have come.
    """
    latest = max((window.until.timestamp() for window in windows), default=0.0)
    over = tuple(
        (window.since, window.until, window.rows)
        for window in windows
        if latest >= (window.since.timestamp() // window_seconds + 1) * window_seconds
    )
    with _lock:
        known = _verdicts.setdefault(store, OrderedDict())
        found = known.get(key)
        if found is not None and found[0] == over:
            known.move_to_end(key)
            return found[1]
    drift, stands = judge(found[2] if found is not None and found[0] == over[: len(found[0])] else None)
    with _lock:
        known[key] = (over, drift, stands)
        while len(known) > REMEMBERED:
            known.popitem(last=False)
    return drift
