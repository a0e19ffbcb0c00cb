"""Agrawal's ten rules about who gets a loan, as rows with an old and a new rule. The other worlds are streams_worlds; streams lays time over them.

Source: Agrawal, Imielinski, Swami 1993, "Database mining: a performance perspective".
"""

from dataclasses import dataclass

import numpy as np

from noria.testing.streams_worlds import Bools, Columns, Floats, Push

BANDS = (((50e3, 100e3), (75e3, 125e3), (25e3, 75e3)), ((100e3, 300e3), (200e3, 400e3), (300e3, 500e3)))
"""Salaries of the young, the middle and the old; loans that are small, medium and large."""


@dataclass(frozen=True)
class Agrawal:
    """Nine attributes of a person; the label is 0 in group A and 1 in group B of one of ten rules, a share `noise` of labels turned.

    before, to: the old and the new rule, 0..9.
    """

    before: int = 0
    to: int = 2
    noise: float = 0.05

    @property
    def numbers(self) -> tuple[str, ...]:
        return ("salary", "age", "loan")

    @property
    def texts(self) -> tuple[str, ...]:
        return ()

    @property
    def classes(self) -> int:
        return 2

    def draw(self, rng: np.random.Generator, push: Push, after: Bools) -> tuple[Columns, Floats]:
        n = push.rows
        even = (rng.uniform(size=(n, 3)) - 0.5) * push.scale + 0.5 + push.shift / np.sqrt(12)
        salary, age, loan = 20e3 + 130e3 * even[:, 0], np.floor(20 + 61 * even[:, 1]), 500e3 * even[:, 2]
        zipcode = rng.integers(0, 9, n)
        columns: Columns = {
            "salary": salary,
            "commission": np.where(salary >= 75e3, 0.0, rng.uniform(10e3, 75e3, n)),
            "age": age,
            "education": rng.integers(0, 5, n).astype(np.float64),
            "car": np.array([f"car-{c}" for c in rng.integers(1, 21, n).tolist()], dtype=object),
            "zipcode": np.array([f"zip-{z}" for z in zipcode.tolist()], dtype=object),
            "house_value": (9 - zipcode) * 100e3 * rng.uniform(0.5, 1.5, n),
            "house_years": rng.integers(1, 31, n).astype(np.float64),
            "loan": loan,
        }
        clean = np.where(after, group_b(columns, self.to), group_b(columns, self.before))
        return columns, (clean ^ (rng.uniform(size=n) < self.noise)).astype(np.float64)

    def believes(self, columns: Columns) -> Floats:
        return np.where(group_b(columns, self.before), 1 - self.noise, self.noise)


def group_b(columns: Columns, rule: int) -> Bools:
    """Whether each row is in group B of a rule 0..9."""
    third = np.where(columns["age"] < 40, 0, np.where(columns["age"] < 60, 1, 2))
    return _by_band(columns, third, rule) if rule <= 5 else _left_over(columns, rule) <= 1


def _by_band(columns: Columns, third: Floats, rule: int) -> Bools:
    """Rules 0 to 5: bands of salary, schooling or loan that differ for the young, the middle and the old."""
    salary, total = columns["salary"], columns["salary"] + columns["commission"]
    taught = _schooled(columns["education"], third)
    if rule == 0:
        return np.asarray(third == 1)
    if rule == 2:
        return ~taught
    if rule == 3:
        # Whose schooling is usual for the age is judged by another band than who is not: 25..75, 50..100 or 75..125 thousand.
        band = np.where(taught, np.array([2, 0, 0])[third], np.array([0, 1, 2])[third])
        return ~_within(salary, band, 0)
    if rule == 4:
        usual = _within(salary, third, 0)
        band = np.where(usual, np.array([0, 1, 2])[third], np.array([1, 2, 0])[third])
        return ~_within(columns["loan"], band, 1)
    return ~_within(salary if rule == 1 else total, third, 0)


def _left_over(columns: Columns, rule: int) -> Floats:
    """Rules 6 to 9: what a person has left; group A has more than nothing."""
    left = 2 * (columns["salary"] + columns["commission"]) / 3
    if rule == 6:
        return np.asarray(left - columns["loan"] / 5 - 20e3)
    left = left - 5e3 * columns["education"]
    if rule == 7:
        return np.asarray(left - 20e3)
    if rule == 8:
        return np.asarray(left - columns["loan"] / 5 - 10e3)
    years, value = columns["house_years"], columns["house_value"]
    return np.asarray(left + np.where(years < 20, 0.0, value * (years - 20) / 10) / 5 - 10e3)


def _within(values: Floats, band: Floats, kind: int) -> Bools:
    low, high = np.array(BANDS[kind]).T
    return np.asarray((values >= low[band]) & (values <= high[band]))


def _schooled(education: Floats, third: Floats) -> Bools:
    """Education 0..1 for the young, 1..3 in the middle, 2..4 for the old."""
    return np.asarray((education >= np.array([0, 1, 2])[third]) & (education <= np.array([1, 3, 4])[third]))
