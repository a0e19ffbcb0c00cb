"""Say in words what moved: where a column's shares differ most, in which direction, from what to what.

Called by judging, text and page.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from noria.domain.profile import FeatureBins
from noria.stats.checks import Floats

LONGEST_NAME = 60


def says(feature: FeatureBins, current: Sequence[int]) -> str:
    """Where a column moved most.

    >>> bins = FeatureBins(name="price", kind="number", cuts=(0.0, 10.0, 20.0), counts=(0, 50, 50, 0, 0))
    >>> says(bins, (0, 20, 80, 0, 0))
    'above 10: 80 % of rows, were 50 %'
    >>> says(FeatureBins(name="channel", kind="text", categories=("web",), counts=(70, 30, 0)), (40, 40, 20))
    "'web': 40 % of rows, were 70 %"
    """
    then, now = np.asarray(feature.counts, dtype=np.float64), np.asarray(current, dtype=np.float64)
    if now.sum() == 0 or then.sum() == 0:
        return "no value" if now.sum() == 0 else "the reference has no value"
    then, now = then / then.sum(), now / now.sum()
    if abs(then - now).max(initial=0.0) < 1e-12:
        return "the same shares"
    if feature.kind == "text":
        worst = int(np.argmax(np.abs(now - then)))
        return _change(bin_labels(feature)[worst], float(then[worst]), float(now[worst]))
    return _number_says(feature, then, now)


def _number_says(feature: FeatureBins, then: Floats, now: Floats) -> str:
    below, below_now = np.cumsum(then)[:-1], np.cumsum(now)[:-1]
    moved = below_now - below
    worst = int(np.argmax(np.abs(moved))) if moved.size else -1
    if worst < 0 or worst >= len(feature.cuts) or abs(now[-1] - then[-1]) >= abs(moved[worst]) - 1e-12:
        return _change("missing", float(then[-1]), float(now[-1]))
    cut = number(feature.cuts[worst])
    if moved[worst] > 0:
        return _change(f"up to {cut}", float(below[worst]), float(below_now[worst]))
    return _change(f"above {cut}", float(then[worst + 1 : -1].sum()), float(now[worst + 1 : -1].sum()))


def _change(what: str, then: float, now: float) -> str:
    return f"{what}: {percent(now)} of rows, were {percent(then)}"


def bin_labels(feature: FeatureBins) -> list[str]:
    """A name for each bin, in order: texts are quoted, the last one is 'missing'.

    >>> bin_labels(FeatureBins(name="x", kind="number", cuts=(0.0, 1.0), counts=(0, 0, 0, 0)))
    ['up to 0', '0 to 1', 'above 1', 'missing']
    """
    return labels_of(feature.kind, feature.cuts, feature.categories, len(feature.counts))


def labels_of(kind: str, cuts: Sequence[float], categories: Sequence[str], bins: int) -> list[str]:
    """As `bin_labels`, from the parts."""
    if kind == "text":
        named = [f"'{shortened(c)}'" for c in categories]
        return [*named, *("others", "never seen before")[: bins - 1 - len(named)], "missing"]
    if not cuts:
        return ["any value"] * (bins - 1) + ["missing"]
    texts = [number(c) for c in cuts]
    inner = [f"{a} to {b}" for a, b in pairwise(texts)]
    return [f"up to {texts[0]}", *inner, f"above {texts[-1]}", "missing"]


def shortened(text: str, longest: int = LONGEST_NAME) -> str:
    """A text that fits a line.

    >>> shortened("a" * 100, 5)
    'aaaa…'
    """
    return text if len(text) <= longest else text[: longest - 1] + "…"


def number(value: float) -> str:
    """A number as people write it: four digits, no needless zeros.

    >>> [number(v) for v in (12.0, 0.123456, 1234567.0, 1e-9)]
    ['12', '0.1235', '1.235M', '1e-09']
    """
    size = abs(value)
    for mark, unit in (("G", 1e9), ("M", 1e6)):
        if size >= unit and size < 1e12:
            return f"{value / unit:.4g}{mark}"
    if 1000 <= size < 1e6:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def small(value: float) -> str:
    """A distance: three digits after the point, and no more.

    >>> [small(v) for v in (0.5, 0.0004, 0.0)]
    ['0.500', '< 0.001', '0']
    """
    if value == 0.0:
        return "0"
    return f"{value:.3f}" if value >= 0.0005 else "< 0.001"


def percent(share: float) -> str:
    """A share in percent.

    >>> [percent(v) for v in (0.5, 0.0123, 0.0001, 0.0, 1.0)]
    ['50 %', '1.2 %', '0.01 %', '0 %', '100 %']
    """
    if share in (0.0, 1.0) or share >= 0.1:
        return f"{share * 100:.0f} %"
    return f"{share * 100:.2g} %"


def names(found: Sequence[str], *, most: int = 3) -> str:
    """A few names and how many more.

    >>> names(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    shown = [shortened(n) for n in found[:most]]
    if len(found) > most:
        return f"{', '.join(shown)} and {len(found) - most} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]])) if shown else ""
