"""Quotas of free minutes: used up at the settlement, never beyond them, and given back with the
charge."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest
from sqlalchemy import delete, insert, select

from service.books.verify import verify_books
from service.domain.attestations import Cause, Source
from service.domain.authorization import Authorization, Start
from service.domain.fee_lines import FeeItem
from service.domain.money import Money
from service.domain.segment_tariff import (
    FreeMinutes,
    Quota,
    QuotaPeriod,
    Rounding,
    Segment,
    SegmentTariff,
)
from service.domain.tariff_document import tariff_columns
from service.domain.time_zones import time_zone
from service.engine.calls import Corrected, Settled
from service.engine.operations import (
    Authorize,
    ClaimReturn,
    Item,
    LowerCharge,
    PauseRental,
    ReportFound,
    Settle,
    StartRental,
    WaiveFee,
    Wake,
)
from service.engine.quotes import Quotes, Usage
from service.rpc.stored import read_payload
from service.storage import schema as t
from service.storage.quoting import QuoteStore
from tests.fakes import MINUTE_US, OPERATOR, OTHER_OPERATOR, Desk

ON_BOTH = "minutes are counted and verified by statements of their own"

DAILY = Quota("daily", 30, QuotaPeriod.DAY)
WEEKLY = Quota("weekly", 20, QuotaPeriod.WEEK)
ZONE = "Asia/Shanghai"
TARIFF = SegmentTariff(
    Rounding.STARTED, 100, 0, FreeMinutes.DEDUCTED, 0, 5_000, (Segment(0, None, 10, 100),),
    time_zone=ZONE, quotas=(DAILY,),
)  # fmt: skip
"""A start for 1.00 and 1.00 for each started 10 minutes, after 30 free minutes a day."""
DAY_US = 24 * 60 * MINUTE_US
CAUSE = (Cause.ITEM_AT_FAULT, Source.USER)


def offer(desk: Desk, tariff: SegmentTariff = TARIFF, operator_id: str = OPERATOR) -> None:
    """Adds the product "scooter" with this tariff, or a further revision of it."""
    p = t.products.c
    with desk.store.engine.begin() as connection:
        bikes = (p.operator_id == operator_id, p.product_id == "bike")
        bike = connection.execute(select(t.products).where(*bikes)).mappings().one()
        mine = (p.operator_id == operator_id, p.product_id == "scooter")
        before = connection.execute(select(p.revision).where(*mine)).scalars().all()
        made = {"product_id": "scooter", "revision": max(before, default=0) + 1}
        row = {**bike, **made, **tariff_columns(tariff)}
        connection.execute(insert(t.products), row)
    desk.engine.terms.follow()


@pytest.fixture
def city(desk: Desk) -> Desk:
    """A desk at noon in Shanghai, with scooters."""
    noon = datetime(2026, 6, 3, 12, tzinfo=time_zone(ZONE))
    desk.clock.advance(int(noon.timestamp()) * 1_000_000)
    offer(desk)
    return desk


def rent(desk: Desk, user_id: str = "ann", caller: str = OPERATOR) -> Authorization:
    """A scooter that is out."""
    command = Authorize(user_id, (Item("scooter", ""),), Start.IMMEDIATE, ())
    it = desk.do(command, caller=caller)
    assert isinstance(it, Authorization)
    return it


def after(desk: Desk, minutes: float) -> None:
    """Lets time pass."""
    desk.clock.advance(desk.clock.now_us() + int(minutes * MINUTE_US))


def settle(
    desk: Desk, it: Authorization, minor: int | None = None, caller: str = OPERATOR
) -> Settled:
    """The settlement of a rental now, by its usage or by an amount."""
    amount = None if minor is None else Money("CNY", minor)
    command = Settle(it.user_id, it.authorization_id, amount, final=True)
    settled = desk.do(command, caller=caller)
    assert isinstance(settled, Settled)
    return settled


def ride(desk: Desk, minutes: float, user_id: str = "ann", caller: str = OPERATOR) -> int:
    """The fee of a ride of so many minutes, in minor units."""
    it = rent(desk, user_id, caller)
    after(desk, minutes)
    settled = settle(desk, it, caller=caller)
    assert settled.fee is not None
    return settled.fee.total_minor


def used(desk: Desk) -> dict[tuple[str, str, str], int]:
    """The minutes used, by person, operator and quota, of all periods together."""
    q = t.quotas.c
    with desk.store.engine.connect() as connection:
        found: dict[tuple[str, str, str], int] = {}
        for *key, minutes in connection.execute(
            select(q.user_id, q.operator_id, q.name, q.used_minutes)
        ):
            name = (key[0], key[1], key[2])
            found[name] = found.get(name, 0) + minutes
        return found


ANN = ("ann", OPERATOR, "daily")


@pytest.mark.parametrize(
    ("minutes", "minor", "taken"),
    [
        (0, 0, 1),
        (7.5, 0, 8),
        (30, 0, 30),
        (30.001, 200, 21),
        (40, 200, 30),
        (41, 300, 21),
    ],
)
def test_a_rental_takes_the_fewest_minutes_with_the_least_fee(
    city: Desk, minutes: float, minor: int, taken: int
) -> None:
    """A rental of no time takes 1 of 30 free minutes, and one of 7.5 minutes takes 8. One of 40
    takes all and pays one unit. One of 41 pays two units, as it would with 21 minutes, and takes
    no more."""
    assert ride(city, minutes) == minor
    assert used(city).get(ANN, 0) == taken


def test_the_minutes_of_a_day_are_used_up(city: Desk) -> None:
    """Two rides of 20 minutes share 30 free minutes: the second one pays for 10 minutes. The next
    day, from midnight in Shanghai on, there are 30 again."""
    assert (ride(city, 20), ride(city, 20)) == (0, 200)
    assert used(city)[ANN] == 30
    after(city, 12 * 60 - 41)
    assert ride(city, 20) == 300  # 23:59 still belongs to the day before
    assert ride(city, 20) == 0
    assert used(city)[ANN] == 50


def test_each_person_and_operator_has_a_quota(city: Desk) -> None:
    """Another person, and another operator with a quota of the same name, have their own
    minutes."""
    offer(city, operator_id=OTHER_OPERATOR)
    city.put_user("eva", 700)
    assert [ride(city, 30), ride(city, 30, "eva"), ride(city, 30, caller=OTHER_OPERATOR)] == [0] * 3
    assert sorted(used(city).values()) == [30, 30, 30]
    assert ride(city, 10, caller=OTHER_OPERATOR) == 200


def test_two_quotas_add_up_in_their_order(city: Desk) -> None:
    """With 30 minutes a day and 20 more a week a ride of 45 minutes is free, and takes the daily
    minutes first. The next day 5 of the week are left, and on Monday there are 20 again."""
    offer(city, TARIFF._replace(quotas=(DAILY, WEEKLY)))
    assert ride(city, 45) == 0
    assert used(city) == {ANN: 30, ("ann", OPERATOR, "weekly"): 15}
    after(city, 24 * 60)
    assert ride(city, 35) == 0
    assert ride(city, 5) == 200
    after(city, 4 * 24 * 60)  # Monday
    assert ride(city, 50) == 0


def test_a_ride_belongs_to_the_day_in_which_it_began(city: Desk) -> None:
    """A ride over midnight takes the minutes of the day in which it began."""
    after(city, 12 * 60 - 10)
    assert ride(city, 30) == 0
    assert ride(city, 30) == 0


@pytest.mark.parametrize(
    "lowered",
    [
        lambda it: LowerCharge(
            it.user_id, it.authorization_id, amount=Money("CNY", it.captured_minor), reason=""
        ),
        lambda it: WaiveFee(it.user_id, it.authorization_id, None, *CAUSE, evidence="e"),
        lambda it: ReportFound(it.user_id, it.authorization_id, occurred_us=it.start_us),
    ],
)
def test_minutes_come_back_with_the_whole_charge(
    city: Desk, lowered: Callable[[Authorization], WaiveFee]
) -> None:
    """If the whole charge is given back, by lowering it, by a waiver or because the item was docked
    at once, its minutes are free again, once."""
    it = rent(city)
    after(city, 50)
    settled = settle(city, it).authorization
    assert used(city)[ANN] == 30
    city.do(lowered(settled))
    assert used(city)[ANN] == 0
    assert ride(city, 30) == 0
    assert used(city)[ANN] == 30


def test_a_part_of_the_charge_brings_no_minutes_back(city: Desk) -> None:
    """After a part of the charge was given back, the minutes stay used; the rest gives them
    back."""
    it = rent(city)
    after(city, 50)
    settle(city, it)
    for minor, left in ((100, 30), (200, 0)):
        amount = Money("CNY", minor)
        city.do(LowerCharge(it.user_id, it.authorization_id, amount=amount, reason=""))
        assert used(city)[ANN] == left


def test_an_operator_that_charges_nothing_uses_no_minutes(city: Desk) -> None:
    """A settlement with an amount of 0 leaves the minutes free; one with any other amount uses
    them, as its receipt says."""
    it = rent(city)
    after(city, 50)
    settle(city, it, 0)
    assert used(city).get(ANN, 0) == 0
    it = rent(city)
    after(city, 50)
    settle(city, it, 50)
    assert used(city)[ANN] == 30


def test_a_lost_item_uses_no_minutes(city: Desk) -> None:
    """A loss uses no minutes, and neither does the fee until the item is found."""
    it = rent(city)
    after(city, 3 * 24 * 60)
    city.do(Wake(it.user_id, it.authorization_id), caller="", request_id="")
    assert used(city).get(ANN, 0) == 0
    assert it.start_us is not None
    city.do(ReportFound(it.user_id, it.authorization_id, occurred_us=it.start_us + 60 * MINUTE_US))
    assert used(city).get(ANN, 0) == 0


def test_a_claimed_return_uses_minutes(city: Desk) -> None:
    """A claimed return that stands uses the minutes of its fee, once."""
    it = rent(city)
    after(city, 50)
    city.do(ClaimReturn(it.user_id, it.authorization_id))
    assert used(city).get(ANN, 0) == 0
    after(city, 3 * 24 * 60)
    city.do(Wake(it.user_id, it.authorization_id), caller="", request_id="")
    assert used(city)[ANN] == 30


def test_a_settlement_counts_once(city: Desk) -> None:
    """A settlement that is sent again uses its minutes once."""
    it = rent(city)
    after(city, 20)
    command = Settle(it.user_id, it.authorization_id, None, final=True)
    work = city.work(command)
    first = city.apply(work)
    assert city.apply(work) == first
    assert used(city)[ANN] == 20


def test_two_settlements_in_one_batch_share_the_minutes(city: Desk) -> None:
    """Two rentals that are settled in one batch do not take the same minutes."""
    rentals = [rent(city), rent(city)]
    after(city, 30)
    works = [city.work(Settle(it.user_id, it.authorization_id, None, final=True)) for it in rentals]
    assert not [it for it in city.apply(*works) if isinstance(it, Exception)]
    fees = [city.answers[work.request_id] for work in works]
    totals = [it.fee.total_minor for it in fees if isinstance(it, Settled) and it.fee]
    assert totals == [0, 400]
    assert used(city)[ANN] == 30


def test_a_rental_that_one_batch_starts_and_settles_uses_minutes(city: Desk) -> None:
    """A rental that starts in a batch and is settled by a later call of the same batch has the free
    minutes of the period in which it began, and no more than are left."""
    assert ride(city, 10) == 0
    reserved = [
        city.do(Authorize("ann", (Item("scooter", ""),), Start.ON_PICKUP, ())) for _ in "12"
    ]
    began_us = city.clock.now_us()
    after(city, 15)
    works = []
    for it in reserved:
        assert isinstance(it, Authorization)
        name = (it.user_id, it.authorization_id)
        works.append(city.work(StartRental(*name, "", began_us)))
        works.append(city.work(Settle(*name, None, final=True)))
    assert not [it for it in city.apply(*works) if isinstance(it, Exception)]
    fees = [city.answers[work.request_id] for work in works]
    totals = [it.fee.total_minor for it in fees if isinstance(it, Settled) and it.fee]
    assert totals == [0, 200]
    assert used(city)[ANN] == 30


def test_a_smaller_quota_of_a_new_revision_counts_what_was_used(city: Desk) -> None:
    """After 20 of 30 minutes, a revision with a quota of 10 of the same name has none left, and one
    with 60 has 40."""
    assert ride(city, 20) == 0
    offer(city, TARIFF._replace(quotas=(DAILY._replace(minutes=10),)))
    assert ride(city, 10) == 200
    offer(city, TARIFF._replace(quotas=(DAILY._replace(minutes=60),)))
    assert ride(city, 40) == 0
    assert used(city)[ANN] == 60


def test_a_pause_uses_no_minutes(city: Desk) -> None:
    """The time of a pause takes no minutes of the quota."""
    it = rent(city)
    name = (it.user_id, it.authorization_id)
    after(city, 5)
    city.do(PauseRental(*name, *CAUSE, evidence="e"))
    after(city, 100)
    settle(city, it)
    assert used(city)[ANN] == 5


def test_quotes_know_the_minutes(city: Desk) -> None:
    """The quoted fee of a rental takes the minutes that are left, and after the settlement those
    that it used."""
    quotes = Quotes(city.engine, QuoteStore(city.store), city.clock)
    assert ride(city, 20) == 0
    it = rent(city)
    name = (it.user_id, it.authorization_id)
    after(city, 20)
    now = Usage(None, None, ())
    quoted = quotes.rental(OPERATOR, name, now)
    settled = settle(city, it)
    assert quoted.fee == settled.fee
    assert quoted.fee.total_minor == 200
    lines = {line.item: line.quantity for line in quoted.fee.lines}
    assert lines[FeeItem.QUOTA_MINUTES] == 10
    end = Usage(None, city.clock.now_us(), ())
    assert quotes.rental(OPERATOR, name, end).fee == settled.fee


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE quotas SET used_minutes = 19",
        "UPDATE quotas SET used_minutes = 30, most_minutes = 40",
        "DELETE FROM quotas",
        "DELETE FROM quota_uses",
        "UPDATE quota_uses SET minutes = 19",
        "UPDATE quota_uses SET returned_version = 9",
        "UPDATE quota_uses SET period_us = period_us + 1",
        "UPDATE quota_uses SET operator_id = 'harbour'",
    ],
)
def test_verify_finds_wrong_minutes(city: Desk, damage: str) -> None:
    """`freehold verify` finds minutes that do not fit the receipts, and uses that do not fit the
    quotas."""
    ride(city, 20)
    engine = city.store.engine
    assert verify_books(engine, read_payload=read_payload).fault is None
    with engine.connect() as connection:
        kept = [
            (table, [it._asdict() for it in connection.execute(select(table))])
            for table in (t.quotas, t.quota_uses)
        ]
        connection.exec_driver_sql(damage)
        connection.commit()
    assert verify_books(engine, read_payload=read_payload).fault is not None
    with engine.begin() as connection:
        for table, rows in kept:
            connection.execute(delete(table))
            connection.execute(insert(table), rows)


@pytest.mark.parametrize("wakes", [True, False])
def test_a_found_item_costs_the_same_whenever_its_loss_is_noticed(city: Desk, wakes: bool) -> None:
    """A lost item uses no minutes, and a report that it was found takes none later: whether the
    timer ended the rental before the report, or the report itself, the fee is the same."""
    it = rent(city)
    assert it.lost_us is not None
    city.clock.advance(it.lost_us)
    if wakes:
        city.do(Wake(it.user_id, it.authorization_id))
    assert it.start_us is not None
    docked_us = it.start_us + 45 * MINUTE_US
    found = ReportFound(it.user_id, it.authorization_id, occurred_us=docked_us, evidence="photo")
    answer = city.do(found)
    assert isinstance(answer, Corrected)
    rental = answer.authorization
    assert rental.captured_minor - rental.conceded_minor == 100 + 5 * 100
    assert used(city).get(ANN, 0) == 0
