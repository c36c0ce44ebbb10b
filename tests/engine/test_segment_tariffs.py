"""Rentals under tariffs of arithmetic 2, from the pick-up to the receipt."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from service.books import receipts
from service.books.verify import verify_books
from service.books.walked_fees import walked_minor
from service.domain.authorization import Authorization, State
from service.domain.details import price_hash
from service.domain.segment_tariff import HourPrice, Segment
from service.domain.tariff import AnyTariff
from service.domain.tariff_document import arithmetic_of, tariff_columns
from service.rpc.stored import read_payload
from service.storage import schema as t
from tests.domain.segment_tariffs import BEIJING, COMPANY, RUSH
from tests.engine import acts
from tests.engine.acts import DAY_US, HOUR_US, MINUTE_US, change_terms, revise, settle_usage, woken
from tests.engine.calls import authorize, rental, stored
from tests.fakes import OPERATOR, START_US, Desk

NIGHT = RUSH._replace(
    start_fee_minor=0,
    buy_out_minor=2_000,
    segments=(Segment(0, None, 60, 100, (HourPrice(tuple(range(1, 8)), 22 * 60, 30 * 60, 10),)),),
    caps=(),
)
"""An hour costs 100, and 10 from 22:00 to 6:00 in Berlin."""
AFTERNOON_US = START_US + 12 * HOUR_US
"""Monday, 1 June 2026, 14:00 in Berlin."""


def _out(desk: Desk, tariff: AnyTariff, product_id: str = "bike") -> Authorization:
    """A rental under a tariff, from 14:00 on."""
    change_terms(desk, t.products, product_id, **tariff_columns(tariff))
    assert desk.clock.advance(AFTERNOON_US)
    return rental(desk, authorize("ann", product_id, "x-1"))


def _settled(desk: Desk, it: Authorization, after_us: int) -> int:
    assert desk.clock.advance(AFTERNOON_US + after_us)
    return rental(desk, settle_usage(it)).captured_minor


def test_an_hour_costs_what_the_clock_of_the_operator_shows(desk: Desk) -> None:
    """From 14:00 to 7:00 in Berlin, eight hours cost 100, eight cost 10, and the last one 100."""
    assert _settled(desk, _out(desk, NIGHT), 17 * HOUR_US) == 8 * 100 + 8 * 10 + 100


def test_an_item_is_lost_when_its_hours_cost_the_buy_out_cap(desk: Desk) -> None:
    """Eight hours of a day and eight of a night cost 880, so the twelfth hour after 6:00 reaches
    2,000 as it begins."""
    it = _out(desk, NIGHT)
    assert it.lost_us == AFTERNOON_US + 27 * HOUR_US + 1
    late = woken(desk, it, it.due_us or 0)
    assert late.state is State.OVERDUE
    lost = woken(desk, late, it.lost_us)
    assert (lost.state, lost.captured_minor) == (State.SETTLED, 2_000)


def test_a_pause_moves_the_loss_to_where_the_hours_cost_the_cap(desk: Desk) -> None:
    """A pause from 15:00 to 21:00 brings 14 hours of each night to its price, by the clock or as if
    there had been no pause: the item is lost 18 hours later than the pause alone would make it."""
    it = _out(desk, NIGHT)
    assert desk.clock.advance(AFTERNOON_US + HOUR_US)
    paused = rental(desk, acts.pause(it))
    assert paused.lost_us is not None
    assert paused.lost_us >= AFTERNOON_US + (27 + 24) * HOUR_US + 1
    assert desk.clock.advance(AFTERNOON_US + 7 * HOUR_US)
    resumed = rental(desk, acts.resume(it))
    assert resumed.lost_us == AFTERNOON_US + (27 + 6 + 18) * HOUR_US + 1
    assert desk.clock.advance(resumed.lost_us - 1)
    assert rental(desk, settle_usage(it)).captured_minor == (2 + 10 + 5) * 100 + 2 * 14 * 10


def test_a_pause_that_is_told_with_its_end_moves_the_loss_alike(desk: Desk) -> None:
    """A pause that one call tells moves the loss as two calls do."""
    it = _out(desk, NIGHT)
    assert desk.clock.advance(AFTERNOON_US + 7 * HOUR_US)
    told = acts.pause(it, AFTERNOON_US + HOUR_US, resumed_us=AFTERNOON_US + 7 * HOUR_US)
    assert rental(desk, told).lost_us == AFTERNOON_US + (27 + 6 + 18) * HOUR_US + 1


def test_a_late_pause_gives_back_what_the_hours_cost_less(desk: Desk) -> None:
    """A pause told after the settlement also lowers the prices of the hours after it."""
    it = _out(desk, NIGHT)
    assert _settled(desk, it, 12 * HOUR_US) == 8 * 100 + 4 * 10
    late = acts.pause(it, AFTERNOON_US + HOUR_US, resumed_us=AFTERNOON_US + 7 * HOUR_US)
    paused = rental(desk, late)
    # Six hours on the meter: two of the day, and four that are now at the price of the night.
    assert paused.captured_minor - paused.conceded_minor == 2 * 100 + 4 * 10


def test_a_rental_keeps_the_tariff_under_which_it_began(desk: Desk) -> None:
    """A revision of the product while its item is out changes neither fee nor loss."""
    it = _out(desk, BEIJING, "power-bank")
    revise(desk.store.engine, "power-bank", **tariff_columns(COMPANY))
    assert desk.engine.terms.follow()
    other = rental(desk, authorize("ben", "power-bank", "x-2"))
    assert desk.clock.advance(AFTERNOON_US + 29 * MINUTE_US)
    assert rental(desk, settle_usage(it)).captured_minor == 100
    assert other.product_revision == 2
    assert rental(desk, settle_usage(other)).captured_minor == 150


def test_silence_about_an_item_that_appeared_costs_at_most_a_day(desk: Desk) -> None:
    """If nobody says when a lost item was docked, the person pays at most the fee of 24 hours."""
    it = _out(desk, NIGHT, "power-bank")
    lost = woken(desk, woken(desk, it, it.due_us or 0), it.lost_us or 0)
    assert desk.clock.advance((lost.close_us or 0) + DAY_US)
    rental(desk, authorize("ben", "power-bank", "x-1"))
    seen = stored(desk, it)
    kept = woken(desk, seen, seen.claim_until_us or 0)
    assert kept.captured_minor - kept.conceded_minor == 16 * 100 + 8 * 10


def test_the_hash_of_a_price_covers_the_whole_tariff(desk: Desk) -> None:
    """The hash is SHA-256 over the currency and the canonical tariff, a line each, and the
    cancellation fee if there is one."""
    change_terms(desk, t.products, "bike", **tariff_columns(RUSH))
    product = desk.engine.terms.used.catalog.products[OPERATOR, "bike"]
    text = f"CNY\n{arithmetic_of(RUSH)}"
    assert price_hash(product) == hashlib.sha256(text.encode()).hexdigest()
    dearer = replace(product, cancellation_fee_minor=7)
    assert price_hash(dearer) == hashlib.sha256(f"{text}\n7".encode()).hexdigest()
    assert len({price_hash(replace(product, tariff=it)) for it in (RUSH, NIGHT, BEIJING)}) == 3


@pytest.mark.parametrize("tariff", [BEIJING, COMPANY, RUSH, NIGHT])
def test_receipts_of_segment_tariffs_pass(desk: Desk, tariff: AnyTariff) -> None:
    """The receipts of a settlement with a pause and a waiver, of a claim and of a loss fit the
    books."""
    it = _out(desk, tariff)
    assert desk.clock.advance(AFTERNOON_US + 2 * HOUR_US)
    told = acts.pause(it, AFTERNOON_US + HOUR_US, resumed_us=AFTERNOON_US + 80 * MINUTE_US)
    rental(desk, told)
    rental(desk, acts.waive(it, 100))
    assert _settled(desk, it, 9 * HOUR_US) > 0
    gone = rental(desk, authorize("ann", "bike", "x-2"))
    woken(desk, woken(desk, gone, gone.due_us or 0), gone.lost_us or 0)
    claimed = rental(desk, acts.claim_return(rental(desk, authorize("ann"))))
    woken(desk, claimed, claimed.claim_until_us or 0)
    found = verify_books(desk.store.engine, read_payload=read_payload)
    assert (found.fault, found.authorizations) == (None, 3)


def test_verify_counts_the_units_of_a_fee_itself(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the verifier's own walk from unit to unit finds another sum, `verify` reports it."""
    it = _out(desk, BEIJING, "power-bank")
    assert _settled(desk, it, HOUR_US) == 400
    with monkeypatch.context() as changed:
        changed.setattr(receipts, "walked_minor", lambda *given: walked_minor(*given) + 100)
        fault = verify_books(desk.store.engine, read_payload=read_payload).fault
    assert fault is not None
    assert "the receipt's fee is 400, expected 500" in fault.detail
