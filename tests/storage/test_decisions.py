"""The decision on which each entry of a line rests, and receipts of settlements without entries."""

from __future__ import annotations

import pytest

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.authorization import State
from service.domain.receipt import ReceiptItem, receipt_of
from service.domain.transitions import Transition
from service.engine import operations as c
from service.engine.reads import START
from service.rpc.stored import read_payload
from service.storage import schema as t
from service.storage.history import History
from tests.engine import acts
from tests.engine.acts import HOUR_US, MINUTE_US
from tests.engine.calls import authorize, pick_up, rental, settle
from tests.fakes import Desk


def decisions(desk: Desk, transition: Transition) -> list[str]:
    """The decisions of Ann's entries of this transition, in the order of the entries and without
    repetition."""
    page = History(desk.store.engine).entries("ann", "CNY", after=START, size=100)
    assert page.last is None
    found = [it.decision_id for it in page.rows if it.entry.transition is transition]
    return list(dict.fromkeys(found))


def test_increments_of_one_batch_have_their_own_decisions(desk: Desk) -> None:
    """One batch has two increments, of two rentals of one person. The entries of each increment
    lead to the decision of their own call; if the increment has a payment, all its entries do."""
    desk.put_user("ann", 700)
    desk.do(c.SetLimit("ann", acts.money(60_000)), caller=PLATFORM)
    one, two = rental(desk, authorize()), rental(desk, authorize())
    raising = [acts.increment(one, 500), acts.increment(two, 600, 800), acts.increment(one, 700)]
    works = [
        desk.work(it, request_id=f"raise-{number}", caller=PLATFORM if it.paid else "city")
        for number, it in enumerate(raising)
    ]
    assert all(isinstance(it, bytes) for it in desk.apply(*works))
    asked = t.decisions.c
    query = t.decisions.select().with_only_columns(asked.decision_id).order_by(asked.request_id)
    with desk.store.engine.connect() as connection:
        own = connection.scalars(query.where(asked.request_id.startswith("raise-"))).all()
    assert decisions(desk, Transition.INCREMENTED) == list(own)
    assert decisions(desk, Transition.ACTIVE) == [one.decision_id, two.decision_id]
    assert decisions(desk, Transition.LIMIT_SET) == [""]
    rental(desk, settle(one, 500))
    assert decisions(desk, Transition.SETTLED) == [one.decision_id]
    assert verify_books(desk.store.engine, read_payload=read_payload).fault is None


def test_an_increment_of_an_earlier_build_has_no_decision(desk: Desk) -> None:
    """If the row that leads to an increment's decision is missing, its entries have no decision.
    They do not get the decision of the authorization."""
    desk.put_user("ann", 700)
    rental(desk, acts.increment(rental(desk, authorize()), 500))
    with desk.store.engine.begin() as connection:
        connection.execute(t.later_decisions.delete())
    assert decisions(desk, Transition.INCREMENTED) == [""]


@pytest.mark.parametrize("minutes", [61, 0])
def test_r5_r19_a_late_pick_up_with_a_hold_of_0_has_a_receipt(desk: Desk, minutes: int) -> None:
    """R5, R19: a line without anything available gives a late pick-up a hold of 0. Its settlement
    moves no money, and its receipt is found. For 61 minutes it has 1.50 and five units at 1.00, all
    of it a debt. A return at the start costs nothing or the starting fee."""
    desk.put_user("ann", 700)
    it = rental(desk, pick_up("ann", "bike", "b-1"))
    it = acts.woken(desk, it, desk.clock.now_us() + 31 * MINUTE_US)
    assert it.state is State.EXPIRED
    desk.do(c.SetLimit("ann", acts.money(0)), caller=PLATFORM)
    begun = rental(desk, acts.picked_up(it, it.create_us + MINUTE_US))
    assert begun.held_minor == 0
    assert begun.start_us is not None
    desk.clock.advance(begun.start_us + 2 * HOUR_US)
    back_us = begun.start_us + minutes * MINUTE_US
    ended = rental(desk, acts.settle_usage(begun, back_us))
    told = desk.store.told("ann", ended.authorization_id)
    assert told is not None
    docked = desk.store.docked(told)
    assert docked is not None
    assert (docked.transition, docked.event_us) == (Transition.SETTLED, back_us)
    receipt = receipt_of(
        told.authorization, docked.tariff, docked.transition, docked.event_us, docked.meter,
        docked.debt_minor,
    )  # fmt: skip
    assert receipt is not None
    assert (receipt.total_minor, receipt.minutes, receipt.end_us) == (0, minutes, back_us)
    if minutes:
        assert receipt.debt_minor == 650
        assert receipt.lines[-1].item is ReceiptItem.OWED
    assert verify_books(desk.store.engine, read_payload=read_payload).fault is None
