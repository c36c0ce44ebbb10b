"""Columns of rows that come from the database as one text each."""

from __future__ import annotations

import numpy as np
import pytest

from service.preview.read_columns import Numbering, number_each, numbers_in, order_of_ids
from service.preview.verdicts import unique_rows


def test_numbers_of_an_array_keep_every_bit() -> None:
    """Numbers of 64 bits are read to the last bit, with and without blanks between them."""
    assert numbers_in(f"[1,-2, {2**63 - 1},{-(2**63)}]", 4).tolist() == [1, -2, 2**63 - 1, -(2**63)]
    assert not len(numbers_in("[]", 0))


@pytest.mark.parametrize("text", ["[1,null,3]", "[1,2.5,3]", '[1,"2",3]', "[1,2]"])
def test_another_value_is_no_number(text: str) -> None:
    """A column with a value that is no whole number is refused, and nothing moves up."""
    with pytest.raises(ValueError, match=r"unmatched data|no whole number"):
        numbers_in(text, 3)


def test_values_get_numbers_in_the_order_of_their_first_use() -> None:
    """A value has the number of its first use, also across portions."""
    known = Numbering[str]()
    assert number_each(["b", "a", "b"], known).tolist() == [0, 1, 0]
    assert number_each(["c", "a"], known).tolist() == [2, 1]
    assert dict(known) == {"b": 0, "a": 1, "c": 2}


def test_ids_in_any_order_are_sorted() -> None:
    """A database may give the rows of a portion in any order."""
    assert order_of_ids(["a", "b", "c"]) is None
    order = order_of_ids(["c", "a", "d", "b"])
    assert order is not None
    assert order.tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("most", [2, 300, 2**40])
def test_combinations_are_numbered_as_by_sorting(most: int) -> None:
    """Combinations of few and of many values have numbers in the order of the values."""
    chance = np.random.default_rng(most)
    columns = [chance.integers(-most, most, 500) for _ in range(4)]
    firsts, places = unique_rows(columns)
    found = np.unique(np.array(columns).T, axis=0, return_index=True, return_inverse=True)
    assert firsts.tolist() == found[1].tolist()
    assert places.tolist() == found[2].reshape(-1).tolist()
