"""Drafts of columns as their values tell them: false leaks, ids, times and codes among amounts."""

from __future__ import annotations

import datetime
import random
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models import checking, dataset, special_codes
from models.checking import Parting
from models.spec import HouseRules
from tests.models.small_tables import table
from tests.models.test_draft_columns import DAY, column, written

ROWS = 3_000
LABEL = (np.random.default_rng(5).random(ROWS) < 0.3).astype(np.int8)
DRAWN = random.Random(3).sample(range(100_000, 1_000_000), 600)
PARTING = Parting(dataset.stratified_folds(LABEL, 5, 0), HouseRules())


def power(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> checking.Alone:
    return checking.alone(values, LABEL, PARTING)


@pytest.mark.parametrize("often", [0.0, 0.1, 0.3, 1.0])
def test_noise_of_any_number_of_levels_is_no_leak(often: float) -> None:
    """Categories without a signal have a power of about 0.5, however many of them are rare."""
    generator = np.random.default_rng(8)
    values = np.where(
        generator.random(ROWS) < often, generator.integers(0, 5, ROWS), 10 + np.arange(ROWS)
    )
    assert power(values.astype(np.float64)).auc < 0.54
    assert not power(values.astype(np.float64)).tells


@pytest.mark.parametrize("wrong", [0.0, 0.01])
def test_a_category_that_knows_the_outcome_is_a_leak(wrong: float) -> None:
    """Categories that follow the outcome have a power of about 1, also where the bad ones are all
    different and the good ones are blank."""
    odd = np.random.default_rng(9).random(ROWS) < wrong
    bad = (LABEL == 1) ^ odd
    for values in (bad * 1.0, np.where(bad, np.arange(ROWS), np.nan)):
        found = power(values)
        assert found.auc > 0.985 if wrong else found == (1.0, True)


def test_a_signal_among_rare_levels_is_seen() -> None:
    """The power of categories is that of their common levels, with the rare ones as one."""
    generator = np.random.default_rng(10)
    common = generator.random(ROWS) < 0.4
    values = np.where(common, generator.random(ROWS) < 0.2 + 0.6 * LABEL, 10 + np.arange(ROWS))
    assert 0.55 < power(values.astype(np.float64)).auc < 0.75


def test_a_label_with_few_bad_rows_ranks_no_category() -> None:
    """With fewer bad rows than folds nothing can be said of a category, so it has a power of
    0.5."""
    label = np.zeros(100, dtype=np.int8)
    label[:3] = 1
    parting = Parting(np.zeros(100, dtype=np.int8), HouseRules())
    assert checking.alone(np.arange(100.0), label, parting).auc == 0.5


def test_a_text_with_many_rare_levels_stays_an_input(tmp_path: Path) -> None:
    """A free text of which some rows share a value is an input, and no leak."""
    words = ("Teacher", "Driver", "Nurse")
    made = written(tmp_path, "job", lambda i: words[i % 3] if i % 6 == 0 else f"job {i}")
    (found,) = [it for it in tomllib.loads(made.text)["feature"] if it["name"] == "job"]
    assert found["role"] == "input"
    assert not any("job" in it for it in made.notes)


def test_a_date_that_only_the_bad_have_is_told(tmp_path: Path) -> None:
    """The draft says so if a date, whatever its name, is filled where the outcome is bad."""
    label = table().y

    def cells_of(i: int) -> str:
        last = DAY + (900 + i % 50) * datetime.timedelta(1)
        return f"{last if label[i] else ''},{DAY + i * datetime.timedelta(1)}"

    made = written(tmp_path, "visited,applied", cells_of)
    assert "visited: LEAK? that this date is filled tells the outcome" in made.notes


def test_seconds_are_a_time_and_no_id(tmp_path: Path) -> None:
    """Seconds since 1970, another one in each row, are a time by their name, and no id."""
    made = written(tmp_path, "epoch", lambda i: 1_400_000_000 + 7_919 * (211 * i % 601))
    assert tomllib.loads(made.text)["id"] != {"column": "epoch"}
    assert any(it.startswith("epoch: seconds since a fixed day") for it in made.notes)


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (lambda i: DRAWN[i], True),
        (lambda i: DRAWN[i] if i > 4 else DRAWN[5], True),
        (lambda i: DRAWN[i] if i > 9 else DRAWN[10], False),
        (lambda i: DRAWN[i] // 9, False),
    ],
)
def test_numbers_that_may_be_ids_are_told(
    tmp_path: Path, cell: Callable[[int], object], told: bool
) -> None:
    """Six-digit numbers, another one in nearly each row, stay an input, and the draft asks whether
    they are ids."""
    made = written(tmp_path, "deal", cell)
    assert any(it.startswith("deal: nearly each row has another") for it in made.notes) == told
    assert column(tmp_path, "deal", cell)["role"] == "input"


@pytest.mark.parametrize(
    ("amount", "codes", "found"),
    [
        (lambda i: i % 41, (97, 98, 99), (97, 98, 99)),
        (lambda i: i % 63, (99,), (99,)),
        (lambda i: 18 + i % 63, (99,), (99,)),
        (lambda i: 300 + 7 * i % 550, (0, 999), (0, 999)),
        (lambda i: 300 + 7 * i % 550, (9001, 9002, 9003), (9001, 9002, 9003)),
        (lambda i: 1990 + i % 30, (1900,), (1900,)),
        (lambda i: 1990 + i % 30, (0,), (0,)),
        (lambda i: 1 + i % 5, (9,), (9,)),
        (lambda i: 10_180 + 97 * i % 39_000, (99_999,), (99_999,)),
        (lambda i: (41_180, 35_620)[i % 2], (99_999,), (99_999,)),
        (lambda i: i % 95, (99,), ()),
        (lambda i: (999, 1_999, 2_999)[i % 3], (9_999,), ()),
        (lambda i: 1 + i % 7, (9,), ()),
        (lambda i: 1_000 * (1 + i % 90), (99_000,), ()),
        (lambda i: 100 + i % 90, (0,), ()),
        (lambda i: 1_950 + i % 60, (1_940,), ()),
        (lambda i: (i % 400) / 7, (999,), (999,)),
    ],
)
def test_codes_stand_apart_from_all_amounts(
    amount: Callable[[int], float], codes: tuple[int, ...], found: tuple[int, ...]
) -> None:
    """Frequent nines over a gap that amounts do not have, 0 below the points of a score, and 1900
    below the years of a column are codes and no amounts; what is near other amounts is one."""
    generator = random.Random(1)
    values = [float(generator.choice(codes)) if i % 20 == 0 else amount(i) for i in range(2_000)]
    assert special_codes.find(np.array(values)) == found


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0, 3.0])
def test_the_greatest_of_unequal_amounts_is_no_code(spread: float) -> None:
    """The greatest and the least of amounts, however unequal they are, also where they are rounded
    or capped, are no codes."""
    generator = np.random.default_rng(4)
    for _ in range(50):
        normal = generator.normal(scale=spread, size=2_000)
        values = np.round(np.exp(normal + 4.0)).astype(np.float64)
        assert special_codes.find(values) == ()
        assert special_codes.find(np.minimum(values, 999.0)) == ()
        assert special_codes.find(10.0 * np.floor(values / 10.0)) == ()
