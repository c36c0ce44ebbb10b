"""A long verification tells how much it has read."""

from __future__ import annotations

import pytest

from service.books import columns, groups
from service.books.verify import verify_books
from tests.engine.calls import authorize, rental, settle
from tests.fakes import Desk


def test_the_progress_rises_to_the_whole(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verification tells the part of the entries that it has read, which rises to 1."""
    monkeypatch.setattr(columns, "BLOCK_VALUES", 120)
    monkeypatch.setattr(groups, "PORTION_BYTES", 1)
    for number in range(5):
        desk.put_user(f"u{number}", 700)
        rental(desk, settle(rental(desk, authorize(f"u{number}")), 100))
    told: list[float] = []
    assert verify_books(desk.store.engine, progress=told.append).fault is None
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) > 1
