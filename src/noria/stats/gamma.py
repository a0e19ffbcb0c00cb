"""Logarithm of the gamma function of whole arrays without SciPy. Called by stats/sequential."""

import numpy as np
from numpy.typing import ArrayLike

from noria.stats.checks import Floats

HALF_LOG_TWO_PI = 0.9189385332046727


def log_gamma(values: ArrayLike) -> Floats:
    """log gamma(x) of every x in (0, 1e30), any shape, to about 1e-10 of the value or absolutely, whichever is larger; tested against math.lgamma.

    Source: Stirling's series (DLMF 5.11.1) at x + 8, brought back by the recurrence.

    >>> log_gamma([1.0, 5.0]).round(9).tolist()
    [0.0, 3.17805383]
    """
    x = np.asarray(values, dtype=np.float64)
    rising = x * (x + 1) * (x + 2) * (x + 3)
    rising *= (x + 4) * (x + 5) * (x + 6) * (x + 7)
    y = x + 8
    inverse = 1 / y
    square = inverse * inverse
    found = np.log(y)
    found *= y - 0.5
    found -= y
    found += inverse * (1 / 12 - square * (1 / 360 - square / 1260))
    found -= np.log(rising)
    found += HALF_LOG_TWO_PI
    return np.asarray(found)
