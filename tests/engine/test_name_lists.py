"""Lists of names in one column: names of features may have commas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.records.name_lists import names_of, text_of_names
from service.engine.records.users import UserRecord
from service.engine.tables import USERS
from service.storage.schema.record_tables import CONVERTERS

NAMES = st.lists(st.text('ab,["]\\ 中', min_size=1, max_size=6), max_size=4).map(tuple)


@given(NAMES)
def test_a_list_of_names_is_read_as_it_was_written(names: tuple[str, ...]) -> None:
    """Names with commas, quotes and brackets are read as they were written."""
    assert names_of(text_of_names(names)) == names


@pytest.mark.parametrize("names", [(), ("a",), ("BILL_AMT1", "收入")])
def test_names_without_commas_are_written_as_before(names: tuple[str, ...]) -> None:
    """The text of usual names has commas between them, so that earlier builds read it."""
    assert text_of_names(names) == ",".join(names)


@pytest.mark.parametrize("text", ['["a', '["a",b', "a,b"])
def test_texts_of_earlier_builds_are_read_as_before(text: str) -> None:
    """A text that is no JSON array has commas between its names, however it begins."""
    assert names_of(text) == tuple(text.split(","))


def test_a_row_keeps_names_with_commas() -> None:
    """A user's row has each extrapolated feature under its own name."""
    user = UserRecord("ann", True, 1, 1, 1, extrapolated=("income, yearly", "age"))
    converter = CONVERTERS[USERS]
    assert converter.record(converter.values(user)).extrapolated == user.extrapolated
