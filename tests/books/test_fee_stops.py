"""R18: the verifier knows the time at which a granted complaint stopped the fee."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.cases import Outcome
from service.engine import operations as c
from service.rpc.stored import read_payload
from service.storage.database import writing
from service.storage.store import SqlStore
from tests.books import row_by_row
from tests.engine import acts
from tests.engine.calls import rental
from tests.engine.test_complaints_while_out import BLOCKED_US, blocked, granted
from tests.fakes import Desk
from tests.operations.test_cases import resolve, told


def with_ann(store: SqlStore) -> Desk:
    """A desk at which Ann may rent on credit."""
    desk = Desk(store)
    desk.put_users(ann=800)
    return desk


def wrong(desk: Desk) -> tuple[str, str]:
    """The row and the detail of the fault that both verifiers find."""
    found = verify_books(desk.store.engine, read_payload=read_payload).fault
    rows = row_by_row.verify_books(desk.store.engine).fault
    assert found is not None
    assert rows is not None
    assert (found.row, found.detail) == (rows.row, rows.detail)
    return found.row, found.detail


@pytest.mark.parametrize("change", ["claim_us = claim_us + 1", "claim_us = NULL"])
def test_r18_the_books_know_the_time_at_which_the_fee_stopped(store: SqlStore, change: str) -> None:
    """R18: `verify` finds a changed or removed time of a granted complaint."""
    desk = with_ann(store)
    it = granted(desk)
    with writing(desk.store.engine) as connection:
        connection.execute(text(f"UPDATE authorizations SET {change}"))
    assert wrong(desk) == (
        f"users/ann/authorizations/{it.authorization_id}",
        "claim_us: the events have another value",
    )


@pytest.mark.parametrize("outcome", [None, Outcome.FOR_OPERATOR, Outcome.IN_PART])
def test_r18_the_books_find_a_fee_that_nothing_stopped(
    store: SqlStore, outcome: Outcome | None
) -> None:
    """R18: `verify` finds a fee that stopped although the complaint is open, was refused, or was
    granted in part."""
    desk = with_ann(store)
    it, case = blocked(desk)
    rental(desk, c.Settle(*acts.name(it), None, False))
    if outcome is not None:
        minor = 100 if outcome is Outcome.IN_PART else None
        told(desk, resolve(case, outcome, minor), caller=PLATFORM)
    with writing(desk.store.engine) as connection:
        connection.execute(text(f"UPDATE authorizations SET claim_us = {BLOCKED_US}"))
    assert wrong(desk) == (
        f"users/ann/authorizations/{it.authorization_id}",
        "claim_us: the events have another value",
    )
