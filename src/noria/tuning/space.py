"""Parameter spaces: every point of a grid, or points drawn at random with a seed. Trying them is tuning/study.

Source: Bergstra and Bengio 2012 (random search finds as good a point as a grid with fewer trials when few parameters matter).
"""

import math
import random
from collections.abc import Mapping, Sequence
from itertools import product

import msgspec

from noria.domain.run import ParamValue
from noria.errors import InputInvalid
from noria.tuning.study import Option


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """A number between two ends, both included. log: drawn evenly in the logarithm (both ends above 0). whole: rounded to an integer."""

    low: float
    high: float
    log: bool = False
    whole: bool = False


Space = Mapping[str, Range | Sequence[ParamValue]]
"""Parameter name -> a range, or the values to choose among."""


def grid(candidate: str, space: Mapping[str, Sequence[ParamValue]]) -> list[Option]:
    """Every combination of the listed values, in the order of the names and values.

    >>> [o.params for o in grid("boosting", {"leaves": [15, 31], "rate": [0.1]})]
    [{'leaves': 15, 'rate': 0.1}, {'leaves': 31, 'rate': 0.1}]
    """
    for name, values in space.items():
        if isinstance(values, Range) or len(values) == 0:
            raise InputInvalid(
                f"a grid needs a list of values for {name!r}", remedy="list the values, or use tuning.space.draw"
            )
    return [Option(candidate, dict(zip(space, point, strict=True))) for point in product(*space.values())]


def draw(candidate: str, space: Space, *, trials: int, seed: int) -> list[Option]:
    """Points drawn independently; the same seed gives the same points, and more trials only add to them. Raises InputInvalid.

    >>> draw("boosting", {"rate": Range(low=0.01, high=0.3, log=True)}, trials=2, seed=1) == draw(
    ...     "boosting", {"rate": Range(low=0.01, high=0.3, log=True)}, trials=3, seed=1)[:2]
    True
    """
    if trials < 1:
        raise InputInvalid(f"at least one trial is needed, got {trials}")
    for name, values in space.items():
        if isinstance(values, Range):
            if not values.low < values.high or (values.log and values.low <= 0):
                raise InputInvalid(f"the range of {name!r} is empty, or reaches 0 on a logarithmic scale")
        elif len(values) == 0:
            raise InputInvalid(f"{name!r} has no value to choose")
    generator = random.Random(seed)
    return [Option(candidate, {name: _one(values, generator) for name, values in space.items()}) for _ in range(trials)]


def _one(values: Range | Sequence[ParamValue], generator: random.Random) -> ParamValue:
    if not isinstance(values, Range):
        return generator.choice(values)
    if values.log:
        number = math.exp(generator.uniform(math.log(values.low), math.log(values.high)))
    else:
        number = generator.uniform(values.low, values.high)
    number = min(max(number, values.low), values.high)
    return round(number) if values.whole else number
