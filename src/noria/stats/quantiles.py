"""Quantiles of the normal, Student and chi-square distributions without SciPy. Called by stats/intervals and stats/sequential."""

from functools import lru_cache
from math import exp, lgamma, log, sqrt
from statistics import NormalDist

from noria.errors import InputInvalid


def normal_quantile(probability: float) -> float:
    """Quantile of the standard normal.

    >>> round(normal_quantile(0.975), 4)
    1.96
    """
    return NormalDist().inv_cdf(probability)


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function I_x(a, b), for a, b > 0 and x in [0, 1], to about 1e-12.

    Source: continued fraction of DLMF 8.17.22, evaluated by Lentz's method. Checked against SciPy in tests/stats.

    >>> round(incomplete_beta(2.0, 3.0, 0.5), 4)
    0.6875
    """
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    if x > (a + 1) / (a + b + 2):
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    front = exp(a * log(x) + b * log(1 - x) + lgamma(a + b) - lgamma(a) - lgamma(b)) / a
    tiny = 1e-300
    fraction, c, d = 1.0, 1.0, 0.0
    for i in range(400):
        m = i // 2
        if i == 0:
            term = 1.0
        elif i % 2 == 0:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1.0 + term * d
        d = 1.0 / (d if abs(d) > tiny else tiny)
        c = 1.0 + term / c
        c = c if abs(c) > tiny else tiny
        fraction *= c * d
        if abs(1.0 - c * d) < 1e-14:
            break
    return front * (fraction - 1.0)


@lru_cache(maxsize=4096)
def student_quantile(probability: float, degrees: float) -> float:
    """Quantile of Student's t with `degrees` > 0 degrees of freedom, by bisection to 1e-10. Raises InputInvalid outside (0, 1).

    >>> round(student_quantile(0.975, 9), 4)
    2.2622
    """
    if not 0 < probability < 1 or degrees <= 0:
        raise InputInvalid(f"no Student quantile for probability {probability} and {degrees} degrees of freedom")
    if probability < 0.5:
        return -student_quantile(1 - probability, degrees)
    low, high = 0.0, 2.0
    while _student_cdf(high, degrees) < probability:
        high *= 2
    while high - low > 1e-10 * max(1.0, high):
        middle = (low + high) / 2
        if _student_cdf(middle, degrees) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _student_cdf(t: float, degrees: float) -> float:
    """P(T <= t) for t >= 0."""
    return 1.0 - 0.5 * incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t))


def chi_square_quantile(probability: float, degrees: float) -> float:
    """Quantile of chi-square, within about 1 % from 3 degrees of freedom on. Source: Wilson and Hilferty 1931.

    >>> round(chi_square_quantile(0.95, 10), 2)
    18.29
    """
    spread = 2 / (9 * degrees)
    return degrees * max(0.0, 1 - spread + normal_quantile(probability) * sqrt(spread)) ** 3
