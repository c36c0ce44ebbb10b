"""Fees of rentals that happened, computed again by a draft of the tariff."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.domain import details
from service.domain.authorization import Authorization
from service.domain.documents import DocumentKind
from service.domain.errors import InvalidInput
from service.domain.money import Money
from service.engine.calls import PassTold, Priced
from service.engine.operations import GrantPass, Item, LowerCharge, RefundPass
from service.ids import RandomIds
from service.preview.report import Fees, Preview, Range
from service.preview.run import Asked, preview
from service.preview.text import shown
from service.storage.store import SqlStore
from service.storage.terms_acts import Order, apply_terms
from tests.engine.acts import found, pause, settle_usage, waive
from tests.engine.calls import authorize, pick_up, rental, settle, start
from tests.fakes import MINUTE_US, OPERATOR, Desk
from tests.preview.histories import HOUR_US, play
from tests.storage.administered import shell
from tests.storage.test_terms_acts import BIKE, POLICY

HALF_HOURS: dict[str, Any] = {
    "name": "half-hours",
    "currency": "CNY",
    "rounding": "STARTED",
    "free_minutes": 5,
    "free": "DEDUCTED",
    "buy_out_minor": 19_900,
    "segment": [{"interval_minutes": 30, "price_minor": 150}],
    "cap": [{"window_minutes": 1_440, "most_minor": 3_000}],
}


@pytest.fixture
def city(store: SqlStore) -> Desk:
    """An engine whose ids begin with the time, where Ann scores 700."""
    desk = Desk(store, ids=RandomIds())
    desk.put_users(ann=700)
    return desk


def advance(desk: Desk, by_us: int) -> None:
    """Moves the clock on."""
    desk.clock.advance(desk.clock.now_us() + by_us)


def previewed(desk: Desk, product_id: str = "bike", **values: Any) -> Preview:
    """The preview of half hours for a product."""
    asked = Asked(
        OPERATOR, "tariff", {**HALF_HOURS, **values}, frozenset({product_id}), 30,
        desk.clock.now_us() + 1, 1_000,
    )  # fmt: skip
    return preview(desk.store.engine, asked)


def fees(desk: Desk, product_id: str = "bike", **values: Any) -> Fees:
    """The fees of the only product and currency."""
    whole = previewed(desk, product_id, **values).whole
    (only,) = whole.fees
    return only


def test_a_fee_is_computed_again_by_the_draft(city: Desk) -> None:
    """An hour of a bike cost 150 and four times 100; by half hours after five free minutes it
    costs twice 150."""
    it = rental(city, authorize("ann"))
    advance(city, HOUR_US)
    city.do(settle_usage(it))
    assert fees(city) == Fees("CNY", 1, 550, 550, Range(300, 300), 0, 1, 0)
    assert "fees by the tariff" in shown(previewed(city))


@pytest.mark.parametrize(("fee", "before", "after"), [
    (400, 400, 300), (200, 200, 200), (0, 0, 0),
])  # fmt: skip
def test_a_draft_bills_within_the_fee_of_an_order(
    city: Desk, fee: int, before: int, after: int
) -> None:
    """An hour costs 550 by the tariff and 300 by the draft, both at most the order's fee."""
    item = Item("bike", "", order_fee=Money("CNY", fee))
    it = rental(city, authorize("ann")._replace(items=(item,)))
    advance(city, HOUR_US)
    city.do(settle_usage(it))
    found = fees(city)
    assert (found.charged_minor, found.before_minor) == (before, before)
    assert found.after_minor == Range(after, after)


def test_a_draft_with_places_bills_a_rental_by_its_station(city: Desk) -> None:
    """A rental is billed by the draft's prices of the station that its order named."""
    places = [{"name": "airport", "stations": ["t-1"], "start_fee_minor": 500}]
    for station, minor in (("t-1", 800), ("x-1", 1_100)):
        asked = authorize("ann")._replace(order=details.Order(place=details.ItemPlace(station)))
        answer = city.do(asked)
        assert isinstance(answer, Priced)
        assert isinstance(answer.answer, Authorization)
        advance(city, HOUR_US)
        city.do(settle_usage(answer.answer))
        assert fees(city, place=places).after_minor == Range(minor, minor)


def test_a_pick_up_elsewhere_leaves_the_place_open(city: Desk) -> None:
    """The station of the order decides, and the pick-up replaced it. So a reservation may have the
    draft's prices of the airport or the usual ones, and without places it has only these."""
    order = details.Order(place=details.ItemPlace("t-1"))
    answer = city.do(pick_up("ann")._replace(order=order))
    assert isinstance(answer, Priced)
    assert isinstance(answer.answer, Authorization)
    city.do(replace(start(answer.answer), place=details.ItemPlace("x-1")))
    advance(city, HOUR_US)
    city.do(settle_usage(answer.answer))
    places = [{"name": "airport", "stations": ["t-1"], "start_fee_minor": 500}]
    found = fees(city, place=places)
    assert (found.after_minor, found.open_ended) == (Range(300, 800), 1)
    assert fees(city).after_minor == Range(300, 300)


def test_a_rental_of_another_product_is_not_billed(city: Desk) -> None:
    """A tariff for umbrellas computes no fee of a bike."""
    city.do(settle_usage(rental(city, authorize("ann"))))
    assert previewed(city, "umbrella").whole.fees == ()


def test_a_rental_without_entries_has_its_end(city: Desk) -> None:
    """An umbrella returned within its 15 free minutes cost nothing; by the draft its second five
    minutes are charged."""
    it = rental(city, authorize("ann", "umbrella"))
    advance(city, 10 * MINUTE_US)
    city.do(settle_usage(it))
    assert fees(city, "umbrella") == Fees("CNY", 1, 0, 0, Range(150, 150), 1, 0, 0)


def test_pauses_and_waivers_count_under_both_tariffs(city: Desk) -> None:
    """Of an hour, 30 minutes are paused, and 50 of the fee are waived: 150 and twice 100 less 50
    are 300; by the draft 150 less 50 are 100."""
    it = rental(city, authorize("ann"))
    at_us = city.clock.now_us()
    advance(city, HOUR_US)
    city.do(pause(it, at_us + 10 * MINUTE_US, resumed_us=at_us + 40 * MINUTE_US))
    city.do(waive(it, 50))
    city.do(settle_usage(it))
    assert fees(city) == Fees("CNY", 1, 300, 300, Range(100, 100), 0, 1, 0)


def test_another_amount_than_the_tariffs_is_shown_beside(city: Desk) -> None:
    """An operator charged 100 for an hour of 550: the fees by the tariffs do not change."""
    it = rental(city, authorize("ann"))
    advance(city, HOUR_US)
    city.do(settle(it, 100))
    assert fees(city) == Fees("CNY", 1, 100, 550, Range(300, 300), 0, 1, 0)


def test_a_lost_item_is_a_range_if_it_would_still_have_been_out(city: Desk) -> None:
    """A bike that counted as lost after 6 days and 4.5 hours cost 19,900. By a draft of at most
    1,500 a day it would still have been out then, and cost 19,900 in the end at most."""
    it = rental(city, authorize("ann"))
    advance(city, 8 * 24 * HOUR_US)
    # It is refused, and what time brought is kept.
    city.apply(city.work(settle_usage(it)))
    lost = fees(city, cap=[{"window_minutes": 1_440, "most_minor": 1_500}])
    assert (lost.before_minor, lost.open_ended) == (19_900, 1)
    # Six full days, and nine half hours in the first 4 h 30 min of the seventh.
    assert lost.after_minor == Range(6 * 1_500 + 9 * 150, 19_900)


def test_a_lost_item_that_was_found_costs_its_usage(city: Desk) -> None:
    """A lost bike that was docked after an hour costs that hour under both tariffs."""
    it = rental(city, authorize("ann"))
    docked_us = city.clock.now_us() + HOUR_US
    advance(city, 8 * 24 * HOUR_US)
    city.do(found(it, docked_us))
    assert fees(city) == Fees("CNY", 1, 19_900, 550, Range(300, 300), 0, 1, 0)


def test_a_fee_is_at_most_the_hold(city: Desk) -> None:
    """By a draft of 30,000 for each half hour an hour of a bike costs its hold, 19,900."""
    it = rental(city, authorize("ann"))
    advance(city, HOUR_US)
    city.do(settle_usage(it))
    dear = fees(city, segment=[{"interval_minutes": 30, "price_minor": 30_000}], cap=[])
    assert dear.after_minor == Range(19_900, 19_900)


@pytest.mark.parametrize("seed", range(2))
def test_the_tariff_in_force_changes_no_fee(city: Desk, seed: int) -> None:
    """Over rentals by chance, the fees by the tariff in force are those of the receipts, and a
    draft with the same prices on the first day changes none."""
    play(city, seed, 40)
    same: dict[str, Any] = {
        "start_fee_minor": 150, "free_minutes": 0,
        "segment": [{"interval_minutes": 15, "price_minor": 100}],
    }  # fmt: skip
    only = fees(city, **same)
    assert only.rentals > 0
    assert (only.higher, only.lower, only.open_ended) == (0, 0, 0)
    assert only.after_minor == Range(only.before_minor, only.before_minor)


QUOTA: dict[str, Any] = {
    "time_zone": "Asia/Shanghai",
    "quota": [{"name": "daily", "minutes": 60, "per": "DAY"}],
}


def ridden(desk: Desk, *minutes: int, charged: int | None = None) -> None:
    """Rides of Ann, one after the other; with `charged` the operator charges that amount."""
    for it in minutes:
        made = rental(desk, authorize("ann"))
        advance(desk, it * MINUTE_US)
        desk.do(settle_usage(made) if charged is None else settle(made, charged))


def test_free_minutes_of_a_draft_are_used_in_the_order_of_the_returns(city: Desk) -> None:
    """Of two rides of 50 minutes, 5 of them free, the first uses 45 of the day's 60 minutes, and
    the second 15: its other 30 are one half hour. On the next day there are 60 minutes again."""
    ridden(city, 50, 50)
    assert fees(city, **QUOTA).after_minor == Range(150, 150)
    advance(city, 24 * HOUR_US)
    ridden(city, 50)
    assert fees(city, **QUOTA).after_minor == Range(150, 150)
    assert fees(city).after_minor == Range(900, 900)


def test_free_minutes_of_a_ride_without_a_charge_are_free_again(city: Desk) -> None:
    """A ride of 90 minutes for which the operator charged nothing uses none of the 60 minutes."""
    ridden(city, 90, charged=0)
    ridden(city, 50)
    # 90 less 60 less 5 minutes are one half hour, and the second ride is free.
    assert fees(city, **QUOTA).after_minor == Range(150, 150)


def test_quotas_in_force_change_no_fee(city: Desk) -> None:
    """Under a tariff with a quota the fees by the tariff in force are those of the receipts, and
    the same tariff as a draft changes none; one without the quota costs more."""
    in_force(city, DocumentKind.TARIFF, {**HALF_HOURS, **QUOTA})
    in_force(city, DocumentKind.POLICY, POLICY)
    in_force(city, DocumentKind.PRODUCT, {**BIKE, "tariff": "half-hours"})
    ridden(city, 50, 50, 20)
    before = fees(city, **QUOTA)
    assert (before.charged_minor, before.before_minor) == (300, 300)
    assert before.after_minor == Range(300, 300)
    more = fees(city, **{**QUOTA, "quota": [{**QUOTA["quota"][0], "minutes": 90}]})
    assert more.after_minor == Range(150, 150)
    assert fees(city).after_minor == Range(750, 750)


HOURS: dict[str, Any] = {"segment": [{"interval_minutes": 60, "price_minor": 200}]}


@pytest.mark.parametrize(
    ("gift", "before", "after"),
    [
        ({"minutes": 30}, 450, 400),
        ({"minutes": 60, "per": "DAY"}, 300, 200),
        ({"percent": 50}, 375, 300),
    ],
)
def test_a_pass_goes_on_under_a_draft(
    city: Desk, gift: dict[str, Any], before: int, after: int
) -> None:
    """Rides of 50 and of 70 minutes, 5 of each free, were billed with a pass, and so they are under
    a draft of 2.00 an hour that sells no pass."""
    sold = {"name": "p", "price_minor": 900, "days": 7, **gift}
    in_force(
        city, DocumentKind.TARIFF, {**HALF_HOURS, "time_zone": "Asia/Shanghai", "pass": [sold]}
    )
    in_force(city, DocumentKind.POLICY, POLICY)
    in_force(city, DocumentKind.PRODUCT, {**BIKE, "tariff": "half-hours"})
    city.do(GrantPass("ann", "bike", "p"))
    ridden(city, 50, 70)
    found = fees(city, **HOURS)
    assert (found.charged_minor, found.before_minor) == (before, before)
    assert found.after_minor == Range(after, after)


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_pass_at_the_settlement_counts(city: Desk, when: str) -> None:
    """A pass that was granted after the settlement of a rental lowered its fee neither then nor
    under a draft. One that was refunded after it did, and still does."""
    sold = {"name": "p", "price_minor": 900, "days": 7, "minutes": 30}
    terms = {**HALF_HOURS, "time_zone": "Asia/Shanghai", "pass": [sold]}
    in_force(city, DocumentKind.TARIFF, terms)
    in_force(city, DocumentKind.POLICY, POLICY)
    in_force(city, DocumentKind.PRODUCT, {**BIKE, "tariff": "half-hours"})
    granted = GrantPass("ann", "bike", "p", city.clock.now_us())
    told = city.do(granted) if when == "before" else None
    it = rental(city, authorize("ann"))
    advance(city, 50 * MINUTE_US)
    city.do(settle_usage(it))
    advance(city, MINUTE_US)
    if isinstance(told, PassTold):
        city.do(LowerCharge(it.user_id, it.authorization_id, Money("CNY", 150)))
        city.do(RefundPass("ann", told.held.pass_id))
    else:
        city.do(granted)
    found = fees(city)
    assert found.before_minor == (300 if when == "after" else 150)
    assert found.after_minor == Range(found.before_minor, found.before_minor)


@pytest.mark.parametrize(
    ("values", "rule"),
    [({"currency": "EUR"}, "currency.of_product"), ({"rounding": "UP"}, "rounding.choice")],
)
def test_a_wrong_tariff_is_refused(city: Desk, values: dict[str, Any], rule: str) -> None:
    """A tariff in another currency than its product, and a wrong document, are refused by name."""
    with pytest.raises(InvalidInput) as refusal:
        previewed(city, **values)
    assert [it.rule for it in refusal.value.violations] == [rule]


def in_force(desk: Desk, kind: DocumentKind, document: dict[str, Any]) -> None:
    """Puts an operator's document into force."""
    order = Order(kind, OPERATOR, document, "test", activate=True)
    apply_terms(
        desk.store.engine, shell(f"apply {kind}"), order, desk.clock.now_us(), lambda _: b""
    )
    desk.engine.terms.follow()


def test_a_product_is_previewed_with_the_terms_that_it_names(city: Desk) -> None:
    """A bike with a deposit of 100,000, by half hours and under the careful policy: Ann's line of
    50,000 covers the policy's part of 40 %, and an hour costs 300. A product that names no tariff
    in force is refused."""
    it = rental(city, authorize("ann"))
    advance(city, HOUR_US)
    city.do(settle_usage(it))
    in_force(city, DocumentKind.TARIFF, HALF_HOURS)
    in_force(city, DocumentKind.POLICY, POLICY)
    draft = {**BIKE, "tariff": "half-hours", "deposit_minor": 100_000}
    asked = Asked(OPERATOR, "product", draft, frozenset(), 30, city.clock.now_us() + 1, 1_000)
    whole = preview(city.store.engine, asked).whole
    assert whole.offers == {"ZERO": {"REDUCED": 1}}
    assert whole.cash_asked == (("CNY", 0, Range(60_000, 60_000)),)
    assert whole.fees == (Fees("CNY", 1, 550, 550, Range(300, 300), 0, 1, 0),)
    with pytest.raises(InvalidInput) as refusal:
        preview(city.store.engine, asked._replace(document={**draft, "tariff": "none"}))
    assert refusal.value.violations[0].rule == "tariff.unknown"


def test_a_slow_tariff_has_no_preview(city: Desk) -> None:
    """A tariff whose pricing takes too long to come into force is not previewed either."""
    segment = [
        {"to_minute": 1_440, "interval_minutes": 1, "price_minor": 5},
        {"from_minute": 1_440, "interval_minutes": 1, "price_minor": 3},
    ]
    quota = [{"name": "q", "minutes": 300, "per": "WEEK"}]
    with pytest.raises(InvalidInput) as refusal:
        previewed(city, segment=segment, quota=quota, time_zone="Asia/Shanghai")
    assert [it.rule for it in refusal.value.violations] == ["segment.too_many_free"]
