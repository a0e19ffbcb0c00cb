"""Since which day a decay stands, where no alert could date it: the most likely day, by labelled days alone. Pure. Called by loop/stages.

Source: the last point from which on the sum of what exceeds half of the change rises, which is where Page's cumulative sum (1954) last began anew;
for normal noise and a known size of the change the most likely one (Hinkley 1970).
"""

from collections.abc import Sequence

from noria.errors import InputInvalid


def began(excess: Sequence[float], rows: Sequence[int], *, usual: float, newest: int = 3) -> int | None:
    """Position of the first day of the decay that stands on the last day; None if the newest days do not exceed what is usual.

    excess: loss beyond expectation of each labelled day, oldest first, in nats; rows: labels of each. usual: that of the hold-out. newest: so many
    last days say how far it is now. Raises InputInvalid for sequences of different lengths.

    >>> began([0.0, 0.01, -0.01, 0.3, 0.28, 0.31], [100] * 6, usual=0.0)
    3
    """
    if len(excess) != len(rows):
        raise InputInvalid(f"{len(excess)} days and {len(rows)} numbers of rows do not belong together")
    if not excess:
        return None
    last = list(zip(excess, rows, strict=True))[-newest:]
    now = sum(e * n for e, n in last) / max(sum(n for _, n in last), 1)
    if now <= usual:
        return None
    middle = (usual + now) / 2
    best, found, total = 0.0, None, 0.0
    for position in range(len(excess) - 1, -1, -1):
        total += rows[position] * (excess[position] - middle)
        if total > best:
            best, found = total, position
    return found
