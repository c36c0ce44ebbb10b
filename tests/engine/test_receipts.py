"""R19: GetReceipt gives the same receipt as the event of the docking."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from service.domain.access import PLATFORM
from service.domain.attestations import AttestationKind
from service.domain.authorization import Authorization
from service.domain.receipt import Receipt, receipt_of
from service.domain.tariff import MINUTE_US
from service.rpc.stored import read_payload
from service.storage import schema as t
from tests.engine import acts
from tests.engine.calls import authorize, pay, rental
from tests.engine.test_late_fees import BACK_US, FEE, debt_of, unheld
from tests.fakes import Desk


def of_event(desk: Desk, it: Authorization) -> Receipt:
    """The only receipt in the events of a rental."""
    o = t.outbox.c
    query = select(o.payload).where(o.authorization_id == it.authorization_id)
    with desk.store.engine.connect() as connection:
        receipts = [read_payload(payload)[-1] for payload in connection.scalars(query)]
    (found,) = [one for one in receipts if one is not None]
    return found


def again(desk: Desk, it: Authorization) -> Receipt | None:
    """The receipt as it is made again from the rows."""
    told = desk.store.told(*acts.name(it))
    assert told is not None
    docked = desk.store.docked(told)
    assert docked is not None
    return receipt_of(told.authorization, *docked[1:])


def items(receipt: Receipt) -> dict[str, int]:
    """The amounts of a receipt's lines by their kinds."""
    return {it.item.value: it.amount_minor for it in receipt.lines}


@pytest.mark.parametrize("kind", [None, AttestationKind.BY_POST])
def test_r19_a_paused_and_waived_rental_has_them_in_its_receipt(
    desk: Desk, kind: AttestationKind | None
) -> None:
    """R19, R17: a bike was out for an hour, was paused for 20 minutes, and 0.70 was waived: 1.50 +
    3 units at 1.00 - 0.70. The receipt is the same for a dock and for a return by post, and after a
    later waiver and payment."""
    desk.put_user("ann", 800)
    it = rental(desk, authorize())
    begun_us = desk.clock.now_us()
    desk.clock.advance(begun_us + 30 * MINUTE_US)
    rental(desk, acts.pause(it, begun_us + 10 * MINUTE_US))
    rental(desk, acts.resume(it, begun_us + 30 * MINUTE_US))
    rental(desk, acts.waive(it, 70))
    desk.clock.advance(begun_us + 60 * MINUTE_US)
    back = acts.settle_usage(it)
    if kind is not None:
        back = acts.hand_over(it, kind, desk.clock.now_us())
    it = rental(desk, back)
    receipt = of_event(desk, it)
    assert items(receipt) == {
        "START_FEE": 150, "INTERVALS": 300, "PAUSED_MINUTES": 0, "WAIVED": -70,
    }  # fmt: skip
    assert [line.quantity for line in receipt.lines] == [1, 3, 20, 1]
    assert receipt.total_minor == it.captured_minor == 380
    assert again(desk, it) == receipt
    rental(desk, acts.waive(it, 100))
    rental(desk, pay(it, 280, reference="paid"), caller=PLATFORM)
    assert again(desk, it) == receipt


@pytest.mark.parametrize("kind", [None, AttestationKind.BY_HAND])
def test_r19_a_late_pick_up_says_what_is_owed(desk: Desk, kind: AttestationKind | None) -> None:
    """R19, R5: a late pick-up with a hold of 3.00 and a fee of 9.50 owes 6.50, for a dock and for a
    return by hand. The receipt has this debt, even after the debt was lowered."""
    it = unheld(desk, 300)
    desk.clock.advance(BACK_US)
    back = acts.settle_usage(it) if kind is None else acts.hand_over(it, kind, BACK_US)
    it = rental(desk, back)
    receipt = of_event(desk, it)
    assert (receipt.total_minor, receipt.debt_minor, receipt.uncollected_minor) == (
        *(300, FEE - 300, 0),
    )
    assert items(receipt)["OWED"] == 300 - FEE
    assert "NOT_COLLECTED" not in items(receipt)
    assert debt_of(desk, it).unheld_minor == FEE - 300
    assert again(desk, it) == receipt
    rental(desk, acts.lower(debt_of(desk, it), 100))
    assert again(desk, it) == receipt
