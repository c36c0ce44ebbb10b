"""The people who rent."""

from __future__ import annotations

import numpy as np
import pytest

from models.dataset import Dataset
from service.demo import population
from service.demo.population import SeenInTraining, select
from tests.models.small_tables import A, B, spec_of

N = 2_000
DATA = Dataset(
    spec=spec_of([A, B]),
    ids=tuple(str(i) for i in range(N)),
    row=np.arange(1, N + 1),
    raw=np.arange(2 * N, dtype=np.float64).reshape(N, 2),
    label=(np.arange(N) % 4 == 0).astype(np.int8),
    sha256="",
)
HOLDOUT = np.arange(0, N, 2)


def chosen(people: int | None, seen: frozenset[str] = frozenset()) -> population.Population:
    return select(DATA, ("a", "b"), HOLDOUT, seen.__contains__, people, np.random.default_rng(1))


def test_all_of_the_holdout() -> None:
    """Without a number, everyone in the hold-out takes part, with features and label."""
    people = chosen(None)
    assert people.ids[:3] == ("person-0", "person-2", "person-4")
    assert len(people) == HOLDOUT.shape[0]
    assert (people.label == DATA.label[HOLDOUT]).all()
    assert people.values(1) == {"a": 4.0, "b": 5.0}


def test_a_part_of_the_holdout() -> None:
    """With a number, that many different people of the hold-out take part."""
    people = chosen(100)
    assert len(set(people.ids)) == 100
    assert {int(i.removeprefix("person-")) for i in people.ids} <= set(HOLDOUT.tolist())


@pytest.mark.parametrize("number", [0, 1_001])
def test_more_people_than_the_holdout(number: int) -> None:
    """A number larger than the hold-out is refused."""
    with pytest.raises(ValueError, match="from 1 to 1000"):
        chosen(number)


def test_nobody_from_the_training_rents() -> None:
    """A single person from the training data stops the demo."""
    chosen(None, frozenset({"1", "3"}))
    with pytest.raises(SeenInTraining, match="used to train"):
        chosen(None, frozenset({"10"}))


def test_consent() -> None:
    """A small, stated share of people does not consent to scoring."""
    refused = 1 - chosen(None).consent.mean()
    assert 0.01 < refused < 0.06
    assert "3%" in " ".join(population.assumptions())


def test_missing_values_are_left_out() -> None:
    """A missing value is not sent."""
    people = population.Population(
        ("p",),
        ("a", "b"),
        np.array([[np.nan, 1.0]]),
        np.array([0], dtype=np.int8),
        np.array([True]),
    )
    assert people.values(0) == {"b": 1.0}
