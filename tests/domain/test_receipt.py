"""The receipt of a rental: its lines, their sum, and the words in Chinese and English."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain import hold, late_pickups, settlement
from service.domain.authorization import Authorization, Start, Step
from service.domain.captures import Purpose
from service.domain.meter import RUNNING, Meter, Pause
from service.domain.product import Product
from service.domain.receipt import Receipt, ReceiptItem, receipt_of
from service.domain.receipt_texts import text_of
from service.domain.tariff import DAY_US, MINUTE_US, Tariff
from service.domain.transitions import Transition
from tests.domain.lives import BIKE, NOW_US, PLAIN
from tests.domain.test_tariff import DURATIONS, TARIFFS

TARIFF = {
    *(ReceiptItem.FULL_DAYS, ReceiptItem.START_FEE, ReceiptItem.FREE_MINUTES),
    *(ReceiptItem.INTERVALS, ReceiptItem.DAY_CAP_REDUCTION, ReceiptItem.BUY_OUT_REDUCTION),
    *(ReceiptItem.PAUSED_MINUTES, ReceiptItem.WAIVED),
}


def of(product: Product, step: Step, meter: Meter = RUNNING) -> Receipt:
    """The receipt of a step."""
    it, debt_minor = step.authorization, 0
    if it.start is Start.LATE_PICKUP:
        debt_minor = late_pickups.above_hold_minor(step, product)
    found = receipt_of(it, product.tariff, step.transition, step.event_us, meter, debt_minor)
    assert found is not None
    return found


def items(receipt: Receipt) -> dict[str, int]:
    """The amounts of a receipt's lines by their kinds."""
    return {it.item.value: it.amount_minor for it in receipt.lines}


def rented(product: Product, deposit_minor: int, cash_minor: int = 0) -> Authorization:
    """A rental of this product that began now; a part of the deposit is paid in cash."""
    offered = PLAIN._replace(credit_minor=deposit_minor - cash_minor, cash_minor=cash_minor)
    if cash_minor:
        return hold.confirm(offered, product, cash_minor, NOW_US).authorization
    return hold.grant(offered, product, NOW_US).authorization


@pytest.mark.parametrize(
    ("hours", "lines", "total_minor"),
    [
        (0, {}, 0),
        (1, {"START_FEE": 150, "INTERVALS": 400}, 550),
        (20, {"START_FEE": 150, "INTERVALS": 8_000, "DAY_CAP_REDUCTION": -5_150}, 3_000),
        (25, {"FULL_DAYS": 3_000, "INTERVALS": 400}, 3_400),
    ],
)
def test_r19_the_receipt_has_the_arithmetic_of_the_tariff(
    hours: int, lines: dict[str, int], total_minor: int
) -> None:
    """R19: the receipt of a settlement by usage has the start, the end, the minutes, the lines of
    the tariff, and the amounts that were charged and set free."""
    it = rented(BIKE, 19_900)
    end_us = NOW_US + hours * 60 * MINUTE_US
    amount_minor = settlement.usage_fee(it, BIKE, end_us).total_minor
    receipt = of(BIKE, settlement.settle(it, BIKE, amount_minor, True, end_us, end_us))
    expected = lines or ({"START_FEE": 150} if amount_minor else {})
    assert items(receipt) == expected
    assert receipt.total_minor == amount_minor == sum(expected.values())
    assert not lines or amount_minor == total_minor
    assert (receipt.start_us, receipt.end_us, receipt.minutes) == (NOW_US, end_us, hours * 60)
    assert receipt.released_minor == 19_900 - amount_minor


@given(
    TARIFFS,
    DURATIONS,
    st.integers(0, 20_000),
    st.integers(0, 20_000),
    st.integers(0, 20_000),
    st.one_of(st.none(), st.integers(0, 20_000)),
    st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(0, 3_000)),
    st.booleans(),
)
def test_r19_the_lines_add_up_to_the_fee_captured(
    tariff: Tariff,
    us: int,
    held: int,
    cash: int,
    damage: int,
    chosen: int | None,
    stood: tuple[float, float, int],
    late: bool,
) -> None:
    """R19: for any tariff, duration, pause, waiver, hold, damage and amount, the lines add up to
    the captured fee. Each line is its quantity times its unit price. Every cent of the hold is
    charged or set free, and a late pick-up's fee above the hold is owed."""
    product = replace(BIKE, tariff=tariff)
    it = rented(product, held, min(cash, held))
    it = it._replace(start=Start.LATE_PICKUP if late else it.start)
    end_us = NOW_US + us
    begin, end = sorted(stood[:2])
    pause = Pause(NOW_US + int(begin * us), NOW_US + int(end * us) + 1)
    meter = Meter((pause,), stood[2])
    damage = min(damage, it.held_minor)
    it = settlement.settle(
        it, product, damage, False, end_us, end_us, purpose=Purpose.DAMAGE
    ).authorization
    amount = min(chosen, it.held_minor) if chosen is not None else None
    asked = settlement.usage_fee(it, product, end_us, meter).total_minor
    if amount is None:
        amount = settlement.usage_amount_minor(it, asked)
    wanted = asked if chosen is None else None
    step = settlement.settle(it, product, amount, True, end_us, end_us, wanted_minor=wanted)
    receipt, after = of(product, step, meter), step.authorization
    lines = receipt.lines
    assert sum(line.amount_minor for line in lines) == receipt.total_minor
    assert receipt.total_minor == after.captured_minor - damage == amount
    assert all(line.amount_minor == line.quantity * line.unit_minor for line in lines)
    assert sum(line.amount_minor for line in lines if line.item in TARIFF) == asked
    assert receipt.released_minor + receipt.total_minor + receipt.other_minor == held
    assert 0 <= receipt.owed_back_minor <= receipt.released_minor
    assert receipt.owed_back_minor == max(0, min(cash, held) - amount - damage)
    if chosen is None:
        beyond = receipt.uncollected_minor, receipt.debt_minor
        assert sum(beyond) == asked - amount == after.uncollected_minor
        assert beyond[late is False] == 0
    for line in lines:
        text = text_of(line.item, line.quantity, tariff.interval_minutes)
        assert text.zh.strip()
        assert text.en.isascii()
        assert not text.zh.isascii()


def test_r19_a_charge_that_differs_from_the_tariff_has_a_line_for_it() -> None:
    """R19: the operator's discount, its surcharge, and the part above the hold each have a line
    with the difference as its amount."""
    end_us = NOW_US + 60 * MINUTE_US
    it = rented(BIKE, 19_900)
    lower = of(BIKE, settlement.settle(it, BIKE, 500, True, end_us, end_us))
    assert items(lower) == {"START_FEE": 150, "INTERVALS": 400, "DISCOUNT": -50}
    higher = of(BIKE, settlement.settle(it, BIKE, 700, True, end_us, end_us))
    assert items(higher) == {"START_FEE": 150, "INTERVALS": 400, "SURCHARGE": 150}
    short = rented(BIKE, 300)
    cut = of(BIKE, settlement.settle(short, BIKE, 300, True, end_us, end_us, wanted_minor=550))
    assert items(cut) == {"START_FEE": 150, "INTERVALS": 400, "NOT_COLLECTED": -250}
    assert (cut.uncollected_minor, cut.released_minor) == (250, 0)


def test_r19_silence_and_loss_have_receipts() -> None:
    """R19: a claimed return that nobody contests is billed until the claim, and a lost item costs
    the buy-out cap. The receipt has the part that the hold did not cover."""
    hour_us = 60 * MINUTE_US
    it = rented(BIKE, 10_000)
    claimed = settlement.claim_return(it, BIKE, NOW_US + hour_us, NOW_US + hour_us).authorization
    silent = of(BIKE, settlement.accept_claim(claimed, BIKE))
    assert (silent.end_us, silent.total_minor) == (NOW_US + hour_us, 550)
    assert items(silent) == {"START_FEE": 150, "INTERVALS": 400}
    late = settlement.overdue(it, BIKE).authorization
    gone = of(BIKE, settlement.lose(late, BIKE, NOW_US + 2 * DAY_US))
    assert items(gone) == {"LOST_ITEM": 19_900, "NOT_COLLECTED": -9_900}
    assert (gone.end_us, gone.total_minor, gone.uncollected_minor) == (
        *(NOW_US + 2 * DAY_US, 10_000, 9_900),
    )


def test_r19_pauses_and_waivers_are_lines_of_the_receipt() -> None:
    """R19, R17: an hour with a pause of 20 minutes is billed as 40 minutes, and the waived amount
    is taken off. A hand-over by post has the same receipt as a docking."""
    end_us = NOW_US + 60 * MINUTE_US
    meter = Meter((Pause(NOW_US + 10 * MINUTE_US, NOW_US + 30 * MINUTE_US, True),), 120)
    it = rented(BIKE, 19_900)
    total_minor = settlement.usage_fee(it, BIKE, end_us, meter).total_minor
    for posted in (False, True):
        step = settlement.settle(
            it, BIKE, total_minor, True, end_us, end_us, meter=meter, handed_over=posted
        )
        receipt = of(BIKE, step, meter)
        assert items(receipt) == {
            "START_FEE": 150, "INTERVALS": 300, "PAUSED_MINUTES": 0, "WAIVED": -120,
        }  # fmt: skip
        assert receipt.total_minor == total_minor == 330
        assert [it.quantity for it in receipt.lines] == [1, 3, 20, 1]


def test_r19_the_price_of_a_lost_item_is_not_waived() -> None:
    """R19, R17: a waiver of the fee does not change the buy-out price of a lost item. The receipt
    of a lost item has neither pauses nor waivers."""
    late = settlement.overdue(rented(BIKE, 19_900), BIKE).authorization
    meter = Meter((Pause(NOW_US, NOW_US + DAY_US),), 120)
    gone = settlement.lose(late, BIKE, NOW_US + 3 * DAY_US)
    assert items(of(BIKE, gone, meter)) == {"LOST_ITEM": 19_900}


def test_r19_a_late_pick_up_owes_the_fee_above_its_hold() -> None:
    """R19, R5: the part of a late pick-up's fee above the hold is a line of the receipt. The line
    is a debt, and not an uncollected amount. A charge below the tariff is still a discount."""
    end_us = NOW_US + 60 * MINUTE_US
    it = rented(BIKE, 300)._replace(start=Start.LATE_PICKUP)
    whole = settlement.settle(it, BIKE, 300, True, end_us, end_us, wanted_minor=550)
    receipt = of(BIKE, whole)
    assert items(receipt) == {"START_FEE": 150, "INTERVALS": 400, "OWED": -250}
    assert (receipt.debt_minor, receipt.uncollected_minor) == (250, 0)
    lower = settlement.settle(it, BIKE, 300, True, end_us, end_us, wanted_minor=500)
    receipt = of(BIKE, lower)
    assert items(receipt) == {
        "START_FEE": 150, "INTERVALS": 400, "DISCOUNT": -50, "OWED": -200,
    }  # fmt: skip
    assert (receipt.debt_minor, receipt.uncollected_minor, receipt.total_minor) == (200, 0, 300)


def test_r19_other_steps_have_no_receipt() -> None:
    """R19: a capture that is not the last, a reversal and a damage charge have no receipt."""
    it = rented(BIKE, 19_900)
    for transition in set(Transition) - {
        *(Transition.SETTLED, Transition.HANDED_OVER),
        *(Transition.CLAIM_ACCEPTED, Transition.LOST),
    }:
        assert receipt_of(it, BIKE.tariff, transition, NOW_US) is None
    charge = it._replace(parent_id="0" * 20)
    assert receipt_of(charge, BIKE.tariff, Transition.SETTLED, NOW_US) is None


def test_r19_the_words_name_number_and_length() -> None:
    """R19: the words of a line have the number of units and their length in both languages."""
    assert text_of(ReceiptItem.INTERVALS, 3, 15) == (
        *("3 个计费单位每单位 15 分钟", "3 units of 15 minutes"),
    )
    assert text_of(ReceiptItem.INTERVALS, 1, 1).en == "1 unit of 1 minute"
    assert text_of(ReceiptItem.FULL_DAYS, 1, 15).en == "1 full day at the day cap"
    assert text_of(ReceiptItem.PAUSED_MINUTES, 1, 15) == ("暂停计费 1 分钟", "1 paused minute")
    assert text_of(ReceiptItem.FREE_MINUTES, 5, 15) == ("免费时长 5 分钟", "5 free minutes")
    assert text_of(ReceiptItem.DISCOUNT, 1, 15) == ("商家优惠", "Discount of the operator")
