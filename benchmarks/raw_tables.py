"""Raw tables as companies keep them, made up and seeded, for ``python -m benchmarks tables``.

A table has amounts with currency signs and thousands, special codes (96 and 98; -7, -8 and -9),
blanks, categories as texts with few and with many levels, and dates of the form dd/mm/yyyy. The
risk comes from some of the columns, from pairs of them, and from chance.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.drafting import Question

Floats = NDArray[np.float64]
Cells = list[str]

TODAY = date(2026, 11, 29)
"""The day of their drafts."""
QUESTION = Question("outcome", ("charged off",), ("paid",), "loan_default", "a year", "made up")


class Kind(NamedTuple):
    """A table: its rows, its share of bad rows, and how much of the log-odds the columns give.

    `alone` is the spread of the log-odds from single columns, `together` that from pairs of them.
    `noise` is the number of columns without any meaning.
    """

    name: str
    rows: int
    bad: float
    alone: float
    together: float
    noise: int


SERIES = (
    Kind("small-weak", 1_000, 0.30, 0.8, 0.3, 8),
    Kind("small-rare", 1_000, 0.08, 1.2, 0.3, 2),
    Kind("small-straight", 1_500, 0.30, 1.2, 0.0, 4),
    Kind("small-crossed", 2_000, 0.40, 0.8, 1.5, 4),
    Kind("half-bad", 3_000, 0.52, 0.8, 0.5, 4),
    Kind("middle-crossed", 5_000, 0.20, 0.6, 1.5, 6),
    Kind("middle-rare", 8_000, 0.05, 1.0, 0.5, 6),
    Kind("large-straight", 20_000, 0.22, 1.2, 0.1, 6),
    Kind("large-crossed", 20_000, 0.15, 0.7, 1.2, 6),
)
"""The usual tables: 1,000 to 20,000 rows, 5 to 52 % bad."""

MEANINGFUL = 8
"""The columns of each table that mean something."""
_REGIONS = 40
_GRADES = ("A1", "A2", "B1", "B2", "C", "unknown")


def write(kind: Kind, seed: int, path: Path) -> None:
    """Writes the table as a CSV file with a header and without an id."""
    generator = np.random.default_rng((seed, kind.rows, len(kind.name)))
    columns, effects = _columns(kind, generator)
    odds = kind.alone * _scaled(_weighted(effects, generator))
    odds = odds + kind.together * _scaled(_pairs(effects, generator))
    bad = _drawn(odds, kind.bad, generator)
    columns["outcome"] = ["charged off" if it else "paid" for it in bad]
    lines = [",".join(columns)]
    lines += [",".join(row) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _columns(kind: Kind, generator: np.random.Generator) -> tuple[dict[str, Cells], list[Floats]]:
    """The cells of each column, and what each meaningful column adds to the risk."""
    n = kind.rows
    income = np.round(np.exp(generator.normal(10.5, 0.6, n)))
    debt = np.round(income * generator.beta(2, 5, n), 2)
    late = generator.poisson(0.7, n).astype(np.float64)
    late_code = generator.random(n)
    months = np.round(generator.gamma(2.0, 20.0, n))
    never = generator.random(n)
    use = np.round(generator.beta(2, 3, n), 3)
    blank = generator.random(n) < 0.12
    grade = generator.choice(len(_GRADES), n, p=(0.3, 0.25, 0.2, 0.15, 0.07, 0.03))
    region = np.minimum(generator.zipf(1.4, n) - 1, _REGIONS - 1)
    since = generator.integers(0, 3_650, n)
    days = np.datetime64("2014-01-01") + since
    columns: dict[str, Cells] = {
        "income": [f'"${v:,.2f} "' for v in income.tolist()],
        "debt": [f"{v:.2f}" for v in debt.tolist()],
        "times late": _coded(late, late_code, {96.0: 0.04, 98.0: 0.03}),
        "months since last": _coded(months, never, {-7.0: 0.1, -8.0: 0.05, -9.0: 0.03}),
        "use": ["" if b else f"{v}" for v, b in zip(use.tolist(), blank.tolist(), strict=True)],
        "grade": [_GRADES[g] for g in grade],
        "region": [f"R{r:02d}" for r in region],
        "opened": [_written(day) for day in days],
    }
    of_region = generator.normal(0, 1, _REGIONS)
    of_grade = np.array([-1.0, -0.6, 0.0, 0.5, 1.2, 0.3])
    effects = [
        -np.log(income),
        debt / income,
        np.where(late_code < 0.04, 3.0, np.where(late_code < 0.07, 1.0, late)),
        np.where(never < 0.18, -1.0, np.exp(-months / 20.0)),
        np.where(blank, 0.8, use**2),
        of_grade[grade],
        of_region[region],
        -since / 3_650.0,
    ]
    for number in range(kind.noise):
        columns[f"other {number}"] = [f"{v:.3f}" for v in generator.normal(0, 1, n).tolist()]
    return columns, effects


def _coded(values: Floats, place: Floats, codes: dict[float, float]) -> Cells:
    """Whole numbers, of which each code replaces its share: the rows with the least `place`."""
    written = values.copy()
    low = 0.0
    for code, share in codes.items():
        written[(place >= low) & (place < low + share)] = code
        low += share
    return [f"{v:.0f}" for v in written.tolist()]


def _written(day: np.datetime64) -> str:
    year, month, number = str(day).split("-")
    return f"{number}/{month}/{year}"


def _scaled(values: Floats) -> Floats:
    """The values with mean 0 and spread 1."""
    spread = float(values.std())
    return (values - values.mean()) / spread if spread else values


def _weighted(effects: list[Floats], generator: np.random.Generator) -> Floats:
    total = np.zeros_like(effects[0])
    for effect in effects:
        total += generator.uniform(0.3, 1.0) * _scaled(effect)
    return total


def _pairs(effects: list[Floats], generator: np.random.Generator) -> Floats:
    """The sum of the products of four pairs of columns, each product less its mean."""
    total = np.zeros_like(effects[0])
    for _ in range(4):
        one, two = generator.choice(len(effects), 2, replace=False)
        total += _scaled(np.tanh(_scaled(effects[one])) * np.tanh(_scaled(effects[two])))
    return total


def _drawn(odds: Floats, share: float, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Outcomes of these log-odds, shifted so that this share is bad."""
    low, high = -30.0, 30.0

    def chance(shift: float) -> Floats:
        found: Floats = 1.0 / (1.0 + np.exp(-(odds + shift)))
        return found

    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if chance(middle).mean() < share else (low, middle)
    return generator.random(odds.shape[0]) < chance(low)
