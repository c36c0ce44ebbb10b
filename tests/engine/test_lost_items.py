"""R6: an item that counts as lost or sold is authorized again."""

from __future__ import annotations

import pytest

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Custody, Start, State
from service.domain.captures import Purpose
from service.domain.ledger import Standing
from service.domain.policy import Offer
from service.engine import operations as c
from service.engine.tables import CAPTURES, OPEN_ITEMS
from service.storage import schema as t
from service.storage.database import writing
from tests.engine.acts import (
    DAY_US,
    HOUR_US,
    MINUTE_US,
    Books,
    change_terms,
    extend,
    found,
    group,
    members,
    money,
    name,
    pay_out,
    review,
    states,
    wake,
    woken,
)
from tests.engine.calls import (
    authorize,
    confirm,
    pay,
    pick_up,
    reason,
    refused,
    rental,
    start,
    stored,
)
from tests.fakes import OPERATOR, OTHER_OPERATOR, START_US, Desk
from tests.rows import read

ITEM = "pb-1"
SEEN_US = START_US + 10 * DAY_US
UNTIL_US = SEEN_US + 48 * HOUR_US


@pytest.fixture(autouse=True)
def five_percent(desk: Desk) -> None:
    """Ann, Ben and Cem may rent on credit, and Freehold's commission is 5 %."""
    desk.put_users(ann=800, ben=800, cem=800)
    with writing(desk.store.engine) as connection:
        city = t.operators.c.operator_id == OPERATOR
        connection.execute(t.operators.update().where(city).values(fee_bp=500))
    assert desk.engine.terms.follow()


def anns(desk: Desk, custody: Custody) -> Authorization:
    """Ann's power bank, MISSING or SOLD, with 9,900 paid by nobody."""
    it = rental(desk, authorize("ann", "power-bank", ITEM))
    it = woken(desk, it, it.lost_us or 0)
    if custody is Custody.SOLD:
        it = woken(desk, it, it.sold_us or 0)
    assert it.custody is custody
    return it


def appeared(desk: Desk) -> Authorization:
    """Ann's missing power bank after Ben got it on the tenth day."""
    it = anns(desk, Custody.MISSING)
    it = woken(desk, it, SEEN_US)
    rental(desk, authorize("ben", "power-bank", ITEM))
    return stored(desk, it)


@pytest.mark.parametrize("purpose", [Purpose.FEE, Purpose.DAMAGE])
def test_r6_what_was_taken_before_the_loss_counts_in_the_same_batch(
    desk: Desk, purpose: Purpose
) -> None:
    """R6: where a claim needs no time, a batch in which an item is lost, appears and counts as
    returned gives back the same captures as two batches; what was taken for damage stays taken."""
    change_terms(desk, t.policies, "small-item", claim_window_us=0)
    given: list[tuple[int, int, list[tuple[int, Purpose, int, int]]]] = []
    for user_id, asset_id in (("ann", "pb-8"), ("cem", "pb-9")):
        it = rental(desk, authorize(user_id, "power-bank", asset_id))
        taken = c.Settle(user_id, it.authorization_id, money(5_500), False, purpose=purpose)
        assert rental(desk, taken).captures == 1
        desk.clock.advance(max(desk.clock.now_us(), it.lost_us or 0))
        works = [
            desk.work(authorize("ben", "power-bank", asset_id)),
            desk.work(wake(it), request_id=f"{user_id}-wakes"),
        ]
        if user_id == "ann":
            desk.apply(*works)
        else:
            for work in works:
                desk.apply(work)
        after = stored(desk, it)
        assert after.custody is Custody.IN_STATION
        with desk.store.begin() as transaction:
            rows = read(transaction, CAPTURES, {name(it)}, ("user_id", "authorization_id"))
        kept = [
            (row.capture.number, row.capture.purpose, row.capture.amount_minor, row.conceded_minor)
            for row in rows.values()
        ]
        given.append((after.captured_minor, after.conceded_minor, sorted(kept)))
    assert given[0] == given[1]
    (_, whose, amount_minor, conceded_minor), *_ = given[0][2]
    assert (whose, amount_minor) == (purpose, 5_500)
    assert (conceded_minor == 0) == (purpose is Purpose.DAMAGE)


def item(desk: Desk) -> tuple[str, str]:
    """The person and the kind of the item's row."""
    with desk.store.begin() as transaction:
        row = read(transaction, OPEN_ITEMS, [(OPERATOR, ITEM)])[OPERATOR, ITEM]
    return row.user_id, row.kind


def verified(desk: Desk) -> None:
    """Requires that the books verify."""
    report = verify_books(desk.store.engine)
    assert report.fault is None, report.fault


def test_r6_a_missing_item_that_is_rented_again_has_appeared(desk: Desk) -> None:
    """R6: if Ben rents Ann's missing item, her rental is marked and posts nothing. The operator has
    the policy's 48 hours to report when the item was docked."""
    it = anns(desk, Custody.MISSING)
    assert item(desk) == ("ann", "MISSING")
    woken(desk, it, SEEN_US)
    books = Books(desk)
    bens = rental(desk, authorize("ben", "power-bank", ITEM))
    happened = books.news()
    assert happened.events == [
        ("authorization.appeared", SEEN_US), ("authorization.active", SEEN_US),
    ]  # fmt: skip
    it = stored(desk, it)
    assert (it.state, it.custody, it.sold_us) == (State.SETTLED, Custody.UNKNOWN, None)
    assert (it.claim_us, it.claim_until_us, it.due_minor) == (SEEN_US, UNTIL_US, 9_900)
    assert (bens.state, item(desk)) == (State.ACTIVE, ("ben", "RENTED"))
    verified(desk)


def test_r6_the_operator_reports_the_docking_in_time(desk: Desk) -> None:
    """R6: the operator says in time that the item was docked at 2 h. The rest is given back as in
    R3, and Ben's rental goes on."""
    it = appeared(desk)
    books = Books(desk)
    it = rental(desk, found(it, START_US + 2 * HOUR_US))
    books.expect(
        [
            ("money", "operator_payable / receivable", 8_835),
            ("money", "fee_income / receivable", 465),
            ("line", "available / drawn", 9_300),
        ],
        "authorization.found",
    )
    assert (it.custody, it.due_minor, it.claim_until_us) == (Custody.IN_STATION, 600, None)
    assert item(desk) == ("ben", "RENTED")
    verified(desk)


def test_r6_on_silence_the_person_pays_one_days_cap(desk: Desk) -> None:
    """R6: if the operator says nothing in time, Ann pays 3,000, the cap of one day: 6,900 are given
    back at the exact instant, of which 345 are commission."""
    it = rental(desk, pay(appeared(desk), 9_900))
    it = Books(desk).wake(
        it,
        UNTIL_US,
        [
            ("money", "operator_payable / refund_payable", 6_555),
            ("money", "fee_income / refund_payable", 345),
        ],
        "authorization.return_presumed",
    )
    assert (it.custody, it.claim_until_us, it.fee_minor) == (Custody.IN_STATION, None, 150)
    assert it.refund_payable_minor == 6_900
    assert rental(desk, pay_out(it, 6_900)).refund_payable_minor == 0
    verified(desk)


def test_r6_on_silence_nobody_pays_more_than_the_fee(desk: Desk) -> None:
    """R6: an item that was reported lost early, and appears before a day's cap, costs the fee until
    it appeared."""
    short = c.Authorize(
        "ann", (c.Item("power-bank", ITEM),), Start.IMMEDIATE, (), rental_period_us=HOUR_US
    )
    it = rental(desk, short)
    desk.clock.advance(START_US + HOUR_US)
    it = rental(desk, c.ReportLost(*name(it)))
    desk.clock.advance(START_US + 2 * HOUR_US)
    rental(desk, authorize("ben", "power-bank", ITEM))
    it = woken(desk, it, START_US + 50 * HOUR_US)
    assert (it.custody, it.captured_minor - it.conceded_minor) == (Custody.IN_STATION, 600)
    verified(desk)


def test_r6_silence_never_raises_a_charge(desk: Desk) -> None:
    """R6: a charge that the operator has lowered below a day's cap stays as it is."""
    it = appeared(desk)
    it = rental(desk, c.LowerCharge(*name(it), money(8_000)))
    it = woken(desk, it, UNTIL_US)
    assert (it.custody, it.due_minor) == (Custody.IN_STATION, 1_900)


def test_r6_an_item_that_appeared_needs_a_time(desk: Desk) -> None:
    """R6: ReportFound of an item that appeared is refused without a time, because it would not say
    when the item was docked."""
    it = appeared(desk)
    assert refused(desk, found(it)).reason == "NOT_MISSING"
    assert refused(desk, c.ContestReturn(*name(it), "photo")).reason == "ILLEGAL_TRANSITION"
    assert stored(desk, it) == it


def test_r6_a_docking_after_the_appearance_counts_as_the_appearance(desk: Desk) -> None:
    """R6: an item counts as docked, at the latest, at the instant when somebody else had it."""
    it = anns(desk, Custody.MISSING)
    it = rental(desk, c.LowerCharge(*name(it), money(1)))
    desk.clock.advance((it.close_us or 0) + MINUTE_US)
    rental(desk, authorize("ben", "power-bank", ITEM))
    desk.clock.advance((it.close_us or 0) + 30 * MINUTE_US)
    it = rental(desk, found(it, (it.close_us or 0) + 20 * MINUTE_US))
    assert it.due_minor == 9_899


def test_r6_a_sold_item_is_refused_until_it_is_found(desk: Desk) -> None:
    """R6: a sold item cannot be authorized; the refusal says ASSET_SOLD and writes nothing. Once
    ReportFound was called, it can."""
    it = anns(desk, Custody.SOLD)
    assert item(desk) == ("ann", "SOLD")
    for command in (authorize("ben", "power-bank", ITEM), pick_up("ann", "power-bank", ITEM)):
        error = refused(desk, command)
        assert error.reason == "ASSET_SOLD"
        assert error.metadata == {"state": "SOLD", "asset": ITEM, "authorization": it.name}
        assert "ReportFound" in error.message
    assert stored(desk, it) == it
    verified(desk)
    rental(desk, found(it))
    assert rental(desk, authorize("ben", "power-bank", ITEM)).state is State.ACTIVE


def test_r6_an_item_whose_sale_is_due_is_sold_first(desk: Desk) -> None:
    """R6: an item that is MISSING and due to be sold counts as SOLD, even before the sweeper's
    visit; a microsecond earlier it appears."""
    it = anns(desk, Custody.MISSING)
    desk.clock.advance(it.sold_us or 0)
    assert refused(desk, authorize("ben", "power-bank", ITEM)).reason == "ASSET_SOLD"
    after = stored(desk, it)
    assert (after.custody, item(desk)) == (Custody.SOLD, ("ann", "SOLD"))


def test_r6_an_item_may_appear_a_microsecond_before_the_sale(desk: Desk) -> None:
    """R6: a missing item that is authorized just before its sale has appeared."""
    it = anns(desk, Custody.MISSING)
    desk.clock.advance((it.sold_us or 0) - 1)
    rental(desk, authorize("ben", "power-bank", ITEM))
    assert stored(desk, it).custody is Custody.UNKNOWN


def test_r6_an_item_that_is_lost_unnoticed_appears(desk: Desk) -> None:
    """R6: an item has been overdue long enough to count as lost, and no timer has run yet. One call
    first makes the item lost, and then lets it appear."""
    it = rental(desk, authorize("ann", "power-bank", ITEM))
    desk.clock.advance((it.lost_us or 0) + MINUTE_US)
    books = Books(desk)
    rental(desk, authorize("ben", "power-bank", ITEM))
    assert [event for event, _ in books.news().events] == [
        "authorization.overdue", "authorization.lost",
        "authorization.appeared", "authorization.active",
    ]  # fmt: skip
    assert stored(desk, it).custody is Custody.UNKNOWN
    verified(desk)


def test_r6_an_overdue_item_stays_in_use(desk: Desk) -> None:
    """R6: an item that is overdue and not lost yet is in use, and nobody has found it."""
    it = rental(desk, authorize("ann", "power-bank", ITEM))
    it = woken(desk, it, it.due_us or 0)
    assert refused(desk, authorize("ben", "power-bank", ITEM)).reason == "ASSET_IN_USE"
    assert states(stored(desk, it))[:2] == (State.OVERDUE, Custody.OUT)


def test_r6_the_same_person_brings_the_item_back(desk: Desk) -> None:
    """R6: the person who lost the item may rent it again: it has appeared as well."""
    it = anns(desk, Custody.MISSING)
    again = rental(desk, authorize("ann", "power-bank", ITEM))
    assert (again.state, stored(desk, it).custody) == (State.ACTIVE, Custody.UNKNOWN)


def test_r6_another_operators_item_is_another_item(desk: Desk) -> None:
    """R6: another operator's item with the same id does not appear."""
    it = anns(desk, Custody.MISSING)
    rental(desk, authorize("ben", "power-bank", ITEM), caller=OTHER_OPERATOR)
    assert stored(desk, it) == it


def test_r6_a_lack_of_credit_is_no_appearance(desk: Desk) -> None:
    """R6: a person's own missing item stays missing when the person asks for another item and is
    declined."""
    it = anns(desk, Custody.MISSING)
    desk.do(c.SetLimit("ann", None), caller=PLATFORM)
    declined = rental(desk, authorize("ann", "bike", "bike-7", accept=(Offer.REDUCED,)))
    assert declined.state is State.DECLINED or declined.state is State.OFFERED
    assert stored(desk, it).custody is Custody.MISSING


def test_r6_the_first_call_of_a_batch_gets_the_item(desk: Desk) -> None:
    """R6: of two people who ask for a missing item in one batch, the first gets it, and the item
    appears once."""
    it = anns(desk, Custody.MISSING)
    first, second = desk.apply(
        desk.work(authorize("ben", "power-bank", ITEM)),
        desk.work(authorize("cem", "power-bank", ITEM)),
    )
    assert (reason(first), reason(second)) == ("", "ASSET_IN_USE")
    assert (stored(desk, it).version, item(desk)) == (it.version + 1, ("ben", "RENTED"))


def test_r6_a_group_gets_a_missing_item(desk: Desk) -> None:
    """R6: in a group a missing item appears as well, and a sold one refuses the whole group."""
    it = anns(desk, Custody.MISSING)
    got = members(desk, group("ben", ("umbrella", "u-1"), ("power-bank", ITEM)))
    assert [it.state for it in got] == [State.ACTIVE, State.ACTIVE]
    assert stored(desk, it).custody is Custody.UNKNOWN


def test_r6_an_offer_that_is_paid_finds_the_item(desk: Desk) -> None:
    """R6: an offer was made before its item was lost: when the person pays, the offer holds the
    item. If the item is sold by then, the payment is owed back with the reason ASSET_SOLD."""
    change_terms(desk, t.policies, "small-item", offer_window_us=60 * DAY_US)
    full = (Offer.FULL,)
    for user_id in ("ben", "cem"):
        desk.put_user(user_id, 400)
    offers = [
        rental(desk, authorize(who, "power-bank", ITEM, accept=full)) for who in ("ben", "cem")
    ]
    lost = anns(desk, Custody.MISSING)
    held = rental(desk, confirm(offers[0], reference="pay-b"))
    assert (held.state, stored(desk, lost).custody) == (State.ACTIVE, Custody.UNKNOWN)
    held = woken(desk, held, held.lost_us or 0)
    held = woken(desk, held, held.sold_us or 0)
    declined = rental(desk, confirm(offers[1], reference="pay-c"))
    assert (declined.state, declined.reasons[0]) == (State.DECLINED, "ASSET_SOLD")
    assert declined.refund_payable_minor == declined.received_minor == 9_900
    verified(desk)


def test_r6_a_review_that_is_approved_finds_the_item(desk: Desk) -> None:
    """R6: a review for the item that is approved after the loss holds it."""
    change_terms(desk, t.policies, "small-item", review_window_us=60 * DAY_US)
    desk.do(c.SetStanding("ben", Standing.WATCHED), caller=PLATFORM)
    asked = rental(desk, authorize("ben", "power-bank", ITEM))
    lost = anns(desk, Custody.MISSING)
    held = rental(desk, review(asked, approve=True), caller=PLATFORM)
    assert (held.state, stored(desk, lost).custody) == (State.ACTIVE, Custody.UNKNOWN)


def test_r6_a_pick_up_names_the_missing_item(desk: Desk) -> None:
    """R6: a StartRental that names a missing item finds it, and one that names a sold item is
    refused."""
    lost = anns(desk, Custody.MISSING)
    waiting = rental(desk, pick_up("ben", "power-bank"))
    assert rental(desk, start(waiting, ITEM)).state is State.ACTIVE
    assert stored(desk, lost).custody is Custody.UNKNOWN


def test_r6_a_pick_up_of_a_sold_item_is_refused(desk: Desk) -> None:
    """R6: a StartRental that names a sold item is refused with ASSET_SOLD."""
    anns(desk, Custody.SOLD)
    waiting = rental(desk, pick_up("ben", "power-bank"))
    assert refused(desk, start(waiting, ITEM)).reason == "ASSET_SOLD"


def test_r6_an_earlier_builds_missing_item_is_free(desk: Desk) -> None:
    """R6: an item that was lost under an earlier build has no row of its own, so it can be rented
    as before. The item can still be reported as found, and it is sold at its time."""
    it = anns(desk, Custody.MISSING)
    with writing(desk.store.engine) as connection:
        connection.execute(t.open_items.delete())
    verified(desk)
    bens = rental(desk, authorize("ben", "power-bank", ITEM))
    it = woken(desk, it, it.sold_us or 0)
    assert (it.custody, item(desk)) == (Custody.SOLD, ("ben", "RENTED"))
    assert rental(desk, found(it, START_US + 2 * HOUR_US)).due_minor == 600
    assert stored(desk, bens).asset_id == ITEM
    verified(desk)


def test_r6_the_wait_for_the_operator_ends_once(desk: Desk) -> None:
    """R6: the timer of a wait for the operator's report runs only once."""
    it = woken(desk, appeared(desk), UNTIL_US)
    before = stored(desk, it)
    (again,) = desk.apply(desk.work(wake(it), caller="", request_id=""))
    assert (reason(again), stored(desk, it)) == ("NOTHING_TO_DO", before)


def test_r7_extended_and_lost_and_rented_again(desk: Desk) -> None:
    """R6, R7: an item that was extended past its price, lost and rented again gives back the rest
    of one day's cap."""
    it = rental(desk, authorize("ann", "power-bank", ITEM))
    it = rental(desk, extend(it, 72 * HOUR_US))
    it = woken(desk, it, it.lost_us or 0)
    assert it.close_us == START_US + 146 * HOUR_US
    rental(desk, authorize("ben", "power-bank", ITEM))
    it = woken(desk, stored(desk, it), (it.close_us or 0) + 48 * HOUR_US)
    assert (it.captured_minor - it.conceded_minor, it.fee_minor) == (3_000, 150)
