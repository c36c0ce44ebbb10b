"""Passes: granted or bought, used by rentals like a quota, and refunded while unused."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import select, text

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Start
from service.domain.errors import FreeholdError
from service.domain.fee_lines import FeeItem
from service.domain.hold import lost_after_us
from service.domain.ledger import Standing
from service.domain.segment_tariff import Pass, PassGift, SegmentTariff
from service.domain.time_zones import time_zone
from service.engine.calls import PassTold, Settled
from service.engine.operations import (
    Authorize,
    BuyPass,
    GrantPass,
    Item,
    LowerCharge,
    RecordChargeBack,
    RefundPass,
    ResolveChargeBack,
    SetStanding,
    Settle,
    StartRental,
)
from service.engine.records.passes import PassRecord
from service.rpc.stored import read_payload
from service.storage import schema as t
from service.storage.store import SqlStore
from tests.engine.acts import dispute, money, settle_usage
from tests.engine.calls import pay
from tests.engine.test_merges import merging
from tests.engine.test_quotas import (
    DAILY,
    DAY_US,
    TARIFF,
    ZONE,
    after,
    offer,
    rent,
    ride,
    settle,
)
from tests.fakes import MINUTE_US, OPERATOR, OTHER_OPERATOR, Desk

EACH = Pass("each", 900, 7, PassGift.MINUTES_A_RENTAL, 20)
DAY = Pass("day", 600, 7, PassGift.MINUTES_A_DAY, 20)
SHARE = Pass("share", 500, 7, PassGift.PERCENT, 30)
SOLD = TARIFF._replace(quotas=(), passes=(DAY, EACH, SHARE))
"""A start for 1.00 and 1.00 for each started 10 minutes, and three passes."""


@pytest.fixture
def city(desk: Desk) -> Desk:
    """A desk at noon in Shanghai, with scooters and passes."""
    return with_scooters(desk)


def with_scooters(desk: Desk) -> Desk:
    """The desk at noon in Shanghai, with scooters and passes."""
    noon = datetime(2026, 6, 3, 12, tzinfo=time_zone(ZONE))
    desk.clock.advance(int(noon.timestamp()) * 1_000_000)
    desk.put_user("ann", 700)
    offer(desk, SOLD)
    return desk


def grant(desk: Desk, name: str = "each", from_us: int | None = None) -> PassRecord:
    """A pass that the operator sold elsewhere."""
    told = desk.do(GrantPass("ann", "scooter", name, from_us, "order-1"))
    assert isinstance(told, PassTold)
    return told.held


def buy(desk: Desk, name: str = "each", user_id: str = "ann") -> tuple[PassRecord, Authorization]:
    """A pass that the person buys, and its debt."""
    told = desk.do(BuyPass(user_id, "scooter", name))
    assert isinstance(told, PassTold)
    assert told.authorization is not None
    return told.held, told.authorization


def refund(desk: Desk, it: PassRecord) -> PassTold:
    """The refund of a pass."""
    told = desk.do(RefundPass(it.user_id, it.pass_id))
    assert isinstance(told, PassTold)
    return told


def text_of(desk: Desk, command: object) -> str:
    """The text of the refusal of a command."""
    with pytest.raises(FreeholdError) as error:
        desk.do(command, caller=OPERATOR)
    return str(error.value)


def refused(desk: Desk, command: object, caller: str = OPERATOR) -> str:
    """The reason for which a command is refused."""
    with pytest.raises(FreeholdError) as error:
        desk.do(command, caller=caller)
    return error.value.reason


def uses(desk: Desk) -> list[int]:
    """The uses of each pass, in the order of their ids."""
    p = t.passes.c
    with desk.store.engine.connect() as connection:
        return list(connection.execute(select(p.uses).order_by(p.pass_id)).scalars())


def sound(desk: Desk) -> None:
    """Verifies the books."""
    assert verify_books(desk.store.engine, read_payload=read_payload).fault is None


def lines(settled: Settled) -> list[tuple[FeeItem, int, int]]:
    """The lines of the fee: the kind, the number and the amount."""
    assert settled.fee is not None
    return [(it.item, it.quantity, it.amount_minor) for it in settled.fee.lines]


def test_each_rental_has_the_minutes_of_a_pass(city: Desk) -> None:
    """A pass with 20 minutes for each rental makes two rentals of 25 minutes cost 2.00 each, and
    the fewest minutes with that fee are used."""
    grant(city)
    assert [ride(city, 25), ride(city, 25)] == [200, 200]
    assert uses(city) == [2]
    sound(city)


def test_all_rentals_of_a_day_share_the_minutes_of_a_pass(city: Desk) -> None:
    """A pass with 20 minutes a day makes a rental of 15 minutes free, leaves 5 minutes to the next
    one, and gives 20 again on the next day."""
    grant(city, "day")
    assert [ride(city, 15), ride(city, 15)] == [0, 200]
    after(city, 24 * 60)
    assert ride(city, 15) == 0
    sound(city)


def test_a_rental_that_one_batch_starts_and_settles_uses_a_pass(city: Desk) -> None:
    """A rental that starts in a batch and is settled by a later call of the same batch has the
    minutes of the person's pass."""
    grant(city)
    it = city.do(Authorize("ann", (Item("scooter", ""),), Start.ON_PICKUP, ()))
    assert isinstance(it, Authorization)
    name, began_us = (it.user_id, it.authorization_id), city.clock.now_us()
    after(city, 15)
    begin, end = StartRental(*name, "", began_us), Settle(*name, None, final=True)
    settled = city.apply(city.work(begin), city.work(end, request_id="end"))[1]
    assert not isinstance(settled, Exception)
    answer = city.answers["end"]
    assert isinstance(answer, Settled)
    assert lines(answer) == [(FeeItem.PASS_MINUTES, 15, 0)]
    assert uses(city) == [1]
    sound(city)


def test_a_pass_takes_a_share_off_each_fee(city: Desk) -> None:
    """A pass of 30 percent takes 1.20 off a fee of 4.00."""
    grant(city, "share")
    it = rent(city)
    after(city, 25)
    settled = settle(city, it)
    assert (FeeItem.PASS_DISCOUNT, 1, -120) in lines(settled)
    assert settled.authorization.captured_minor == 280
    sound(city)


def test_a_pass_is_used_before_a_quota(city: Desk) -> None:
    """Of a rental of 35 minutes under a pass of 20 minutes and a quota of 30, the pass gives 20 and
    the quota the rest."""
    offer(city, SOLD._replace(quotas=(DAILY,)))
    grant(city)
    it = rent(city)
    after(city, 35)
    found = lines(settle(city, it))
    assert found == [(FeeItem.PASS_MINUTES, 20, 0), (FeeItem.QUOTA_MINUTES, 15, 0)]
    sound(city)


def test_a_pass_counts_from_its_beginning_until_the_same_time_of_day(city: Desk) -> None:
    """A pass of seven days counts for rentals that begin in them, and for no other, however long
    they take."""
    now_us = city.clock.now_us()
    held = grant(city, from_us=now_us + 60 * MINUTE_US)
    assert held.until_us == now_us + 60 * MINUTE_US + 7 * DAY_US
    assert ride(city, 15) == 300
    city.clock.advance(held.until_us - 1)
    last = rent(city)
    city.clock.advance(held.until_us)
    late = rent(city)
    after(city, 15)
    charged = [settle(city, it).authorization.captured_minor for it in (last, late)]
    assert charged == [0, 300]
    sound(city)


def test_a_pass_of_later_terms_goes_on(city: Desk) -> None:
    """A pass that was granted under an earlier revision gives what that revision said."""
    grant(city)
    offer(city, SOLD._replace(passes=(EACH._replace(size=5),)))
    assert ride(city, 15) == 0
    offer(city, SOLD._replace(passes=()))
    assert ride(city, 15) == 0
    sound(city)


def test_a_pass_of_other_terms_puts_the_loss_off(city: Desk) -> None:
    """A rental is lost no earlier than its fee reaches the buy-out cap under a pass that an earlier
    revision sold, or a later one before the pick-up. The share of a pass puts no loss off."""

    def lost_after(tariff: SegmentTariff) -> int:
        offer(city, tariff)
        it = rent(city)
        assert it.lost_us is not None
        assert it.start_us is not None
        city.do(settle_usage(it))
        return it.lost_us - it.start_us

    bare = SOLD._replace(passes=(), buy_out_minor=90_000)
    with_pass = lost_after(bare._replace(passes=(EACH._replace(size=600),)))
    assert lost_after(bare) == with_pass
    assert lost_after(bare._replace(passes=(SHARE,))) == with_pass
    assert with_pass == lost_after_us(bare, pass_minutes=600)
    assert with_pass >= (lost_after_us(bare) or 0) + 600 * MINUTE_US
    command = Authorize("ann", (Item("scooter", ""),), Start.ON_PICKUP, ())
    reserved = city.do(command)
    assert isinstance(reserved, Authorization)
    offer(city, bare._replace(passes=(EACH._replace(size=700),)))
    started = city.do(StartRental(reserved.user_id, reserved.authorization_id, ""))
    assert isinstance(started, Authorization)
    assert started.lost_us is not None
    assert started.lost_us - (started.start_us or 0) == lost_after_us(bare, pass_minutes=700)


def test_two_passes_never_count_at_the_same_time(city: Desk) -> None:
    """A second pass for the product is refused while the first one counts, and may follow it."""
    held = grant(city)
    assert refused(city, GrantPass("ann", "scooter", "day")) == "PASS_HELD"
    assert refused(city, BuyPass("ann", "scooter", "day", held.until_us - 1)) == "PASS_HELD"
    grant(city, "day", held.until_us)
    grant(city, "share", city.clock.now_us() - 7 * DAY_US)
    sound(city)


def test_the_price_of_a_pass_is_a_debt_of_the_person(city: Desk) -> None:
    """A bought pass is a debt that cites it; once it is paid, the operator is owed the price less
    the commission."""
    held, debt = buy(city)
    assert (debt.unheld_due_minor, debt.parent_id, debt.reasons) == (
        900, held.pass_id, ("PASS_BOUGHT",),
    )  # fmt: skip
    assert held.authorization_id == debt.authorization_id
    sound(city)
    city.do(pay(debt, 900), caller=PLATFORM)
    assert ride(city, 15) == 0
    sound(city)


@pytest.mark.parametrize("paid_minor", [0, 400, 900])
def test_an_unused_pass_is_refunded(city: Desk, paid_minor: int) -> None:
    """The debt of an unused pass is dropped, a payment for it is owed back, and the pass does not
    count any more."""
    held, debt = buy(city)
    if paid_minor:
        city.do(pay(debt, paid_minor), caller=PLATFORM)
    told = refund(city, held)
    assert told.held.refund_us == city.clock.now_us()
    assert told.authorization is not None
    assert told.authorization.unheld_due_minor == 0
    assert told.authorization.refund_payable_minor == paid_minor
    assert ride(city, 15) == 300
    assert refused(city, RefundPass("ann", held.pass_id)) == "PASS_REFUNDED"
    buy(city, "day")
    sound(city)


def test_a_refund_decides_the_charge_back_of_its_price(city: Desk) -> None:
    """If a bank has taken back a part of the price of a pass, the refund decides that charge-back,
    and only the rest is owed back."""
    held, debt = buy(city)
    city.do(pay(debt, 900, reference="pay-1"), caller=PLATFORM)
    name = (debt.user_id, debt.authorization_id)
    city.do(RecordChargeBack(*name, "case-1", money(300), payment="pay-1"), caller=PLATFORM)
    told = refund(city, held).authorization
    assert told is not None
    assert (told.refund_payable_minor, told.charged_back_minor) == (600, 0)
    decide = ResolveChargeBack(*name, user_won=True, goodwill=False, case_id="case-1")
    assert refused(city, decide, PLATFORM) == "CHARGE_BACK_DECIDED"
    sound(city)


def test_a_refund_decides_the_dispute_of_its_price(city: Desk) -> None:
    """If a person disputes the price of a pass, the refund decides that dispute for the person."""
    held, debt = buy(city)
    city.do(dispute(debt, 900))
    refund(city, held)
    sound(city)


def test_a_granted_pass_is_taken_back(city: Desk) -> None:
    """A granted pass that no rental has used is taken back; no money moves."""
    held = grant(city)
    assert refund(city, held).authorization is None
    assert ride(city, 15) == 300
    sound(city)


def test_a_used_pass_is_not_refunded(city: Desk) -> None:
    """A pass that a rental has used is not refunded, until nothing of that rental's charge is
    left."""
    held, _ = buy(city)
    it = rent(city)
    after(city, 25)
    settled = settle(city, it).authorization
    assert refused(city, RefundPass("ann", held.pass_id)) == "PASS_USED"
    city.do(LowerCharge(settled.user_id, settled.authorization_id, money(200)))
    assert uses(city) == [0]
    refund(city, held)
    sound(city)


def test_a_pass_is_of_one_operator_and_one_product(city: Desk) -> None:
    """Another operator sells no pass for this one's product, and does not find this one's pass."""
    held = grant(city)
    assert refused(city, GrantPass("ann", "scooter", "each"), OTHER_OPERATOR) == "PRODUCT_NOT_FOUND"
    assert refused(city, RefundPass("ann", held.pass_id), OTHER_OPERATOR) == "PASS_NOT_FOUND"
    assert refused(city, GrantPass("ann", "scooter", "week")) == "PASS_NOT_FOUND"
    assert refused(city, GrantPass("ann", "bike", "each")) == "PASS_NOT_FOUND"


def test_a_pass_that_no_tariff_sells_is_named(city: Desk) -> None:
    """The refusal of a pass that the product does not sell names both, and the pass that was
    meant; that of a person's pass names nothing, because texts go to logs."""
    said = text_of(city, GrantPass("ann", "scooter", "eech"))
    assert said == "pass not found: eech of the product scooter: did you mean each?"
    said = text_of(city, GrantPass("ann", "bike", "week"))
    assert said == "pass not found: week of the product bike"
    assert text_of(city, RefundPass("ann", "0" * 20)) == "pass not found"


def test_the_beginning_of_a_pass_has_bounds(city: Desk) -> None:
    """A granted pass begins at most 31 days before now and 366 days after it; one that is bought
    begins now at the earliest."""
    now_us = city.clock.now_us()
    for from_us in (now_us - 31 * DAY_US - 1, now_us + 366 * DAY_US + 1):
        assert refused(city, GrantPass("ann", "scooter", "each", from_us)) == "INVALID_INPUT"
    told = city.do(BuyPass("ann", "scooter", "each", now_us - DAY_US))
    assert isinstance(told, PassTold)
    assert told.held.from_us == now_us


def test_a_merge_in_the_same_batch_brings_the_passes(city: Desk) -> None:
    """If one batch merges a person, a later sale to that person in it knows the survivor's
    passes: a second one for the same time is refused."""
    city.put_user("ben", 700)
    buy(city)
    works = [city.work(it, caller=PLATFORM) for it in merging("ben", "ann")]
    *_, result = city.apply(*works, city.work(BuyPass("ben", "scooter", "each")))
    assert isinstance(result, FreeholdError)
    assert result.reason == "PASS_HELD"
    sound(city)


def test_a_suspended_person_buys_no_pass(city: Desk) -> None:
    """A suspended person buys no pass, and may be granted one."""
    city.do(SetStanding("ann", Standing.SUSPENDED), caller=PLATFORM)
    assert refused(city, BuyPass("ann", "scooter", "each")) == "USER_SUSPENDED"
    grant(city)
    sound(city)


def test_a_person_may_begin_with_a_pass(city: Desk) -> None:
    """A pass is sold to a person whom nobody has registered, as a rental is authorized."""
    buy(city, user_id="new")
    told = city.do(GrantPass("newer", "scooter", "each"))
    assert isinstance(told, PassTold)
    sound(city)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM passes WHERE authorization_id = ''",
        "DELETE FROM passes WHERE authorization_id <> ''",
        "UPDATE passes SET until_us = until_us + 1",
        "UPDATE passes SET uses = uses + 1, changes = changes + 1 WHERE refund_us IS NULL",
        "UPDATE passes SET refund_us = NULL, refund_request_id = '', changes = 1",
        "UPDATE quota_uses SET name = 'other'",
        "DELETE FROM quota_uses",
    ],
)
def test_a_changed_pass_is_found(store: SqlStore, change: str) -> None:
    """The verifier finds a pass that was removed, lengthened or used by no rental, a refund that
    was undone, and a use that was moved or removed."""
    city = with_scooters(Desk(store))
    held, _ = buy(city)
    refund(city, held)
    grant(city)
    ride(city, 25)
    sound(city)
    with city.store.engine.begin() as connection:
        connection.execute(text(change))
    assert verify_books(city.store.engine, read_payload=read_payload).fault is not None
