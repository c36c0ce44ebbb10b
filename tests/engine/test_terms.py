"""Terms that another process has added, and batches of any size."""

from __future__ import annotations

import pytest

from service.domain.access import PLATFORM
from service.domain.authorization import Start
from service.domain.errors import NotFound
from service.domain.money import Money
from service.engine.calls import Group
from service.engine.operations import Authorize, Item, PayOutOperator
from service.engine.tables import AUTHORIZATIONS
from service.ids import RandomIds
from service.storage import admin
from service.storage.postgres import ArraysStatement
from service.storage.row_statements import MOST_ROWS
from tests.engine.calls import authorize, rental, settle
from tests.fakes import START_US, Desk


def test_an_operator_that_another_process_added(desk: Desk) -> None:
    """A process that started before an operator was added can settle that operator's authorizations
    and pay the operator."""
    newer = Desk(desk.store, ids=RandomIds())
    admin.create_operator(desk.store.engine, "new", "New", 300, START_US)
    it = rental(newer, authorize("ann", "bike"), caller="new", request_id="n-1")
    assert rental(desk, settle(it, 1_000), caller="new", request_id="n-2").captured_minor == 1_000
    elder = Desk(desk.store, ids=RandomIds())
    admin.create_operator(desk.store.engine, "newest", "Newest", 300, START_US)
    with pytest.raises(NotFound):
        elder.do(PayOutOperator("none", Money("CNY", 1), "p-1"), caller=PLATFORM, request_id="p-1")
    assert "newest" not in str(elder.faults)


def test_a_batch_of_large_groups(desk: Desk) -> None:
    """A full batch of the largest groups is applied, however many rows it writes, and does not
    cache a statement for every row count."""
    items = tuple(Item("umbrella", f"u-{place}") for place in range(20))
    works = []
    for number in range(64):
        desk.put_user(f"p-{number}", 700)
        named = tuple(item.__class__("umbrella", f"{number}-{item.asset_id}") for item in items)
        command = Authorize(f"p-{number}", named, Start.IMMEDIATE, (), grouped=True)
        works.append(desk.work(command, request_id=f"g-{number}"))
    results = desk.apply(*works)
    assert all(isinstance(result, bytes) for result in results), results
    groups = [desk.answers[work.request_id] for work in works]
    assert all(isinstance(it, Group) and len(it.authorizations) == 20 for it in groups)
    insert = desk.store._statements.tables[AUTHORIZATIONS].usual_insert
    assert insert is not None
    statement = insert.statement
    if not isinstance(statement, ArraysStatement):
        assert max(statement.texts) <= MOST_ROWS
