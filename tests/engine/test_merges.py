"""R20: two people are one: new calls go to the survivor, and the other line runs off."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.ledger import Standing
from service.domain.money import Money
from service.domain.policy import Offer
from service.engine import operations as c
from service.engine.feature_values import pack
from service.engine.profile import read_profile
from service.engine.records.aliases import AliasRecord
from service.rpc.stored import read_payload
from service.storage import schema as t
from service.storage.database import writing
from service.storage.store import SqlStore
from tests.engine.calls import (
    CNY,
    authorize,
    balances,
    pay,
    profile,
    refused,
    rental,
    reverse,
    reverse_origin,
    settle,
    stored,
)
from tests.fakes import START_US, Desk

ON_BOTH = "the database refuses chains of names"

BIKE_MINOR = 19_900


def merging(user_id: str = "ann", survivor: str = "dan") -> tuple[c.Command, c.Command]:
    """The two commands that merge a person into another, by two keys."""
    return (
        c.ProposeMerge(user_id, survivor, "same id card", "key-1"),
        c.ApproveMerge(user_id, survivor, "key-2"),
    )


def merge(desk: Desk, user_id: str = "ann", survivor: str = "dan") -> None:
    """Merges a person into another, with two keys."""
    for command in merging(user_id, survivor):
        desk.do(command, caller=PLATFORM)


@pytest.fixture
def two(desk: Desk) -> Desk:
    """Ann has a bike on credit, and Dan, the same person, has an empty line of the same limit."""
    desk.put_user("dan", 700)
    rental(desk, authorize())
    return desk


def limit_of(desk: Desk, user_id: str = "dan") -> int:
    """The limit of a person's line."""
    return balances(desk, user_id)[0]


def test_the_survivors_limit_is_lowered_by_the_merged_lines_use(two: Desk) -> None:
    """R20: the merged line is cut to the amount in use, and the survivor's line is cut by the same
    amount. So both together use no more than the survivor's limit."""
    full_minor = limit_of(two)
    merge(two)
    assert balances(two) == (BIKE_MINOR, 0, BIKE_MINOR, 0)
    assert balances(two, "dan") == (full_minor - BIKE_MINOR, full_minor - BIKE_MINOR, 0, 0)


def test_new_calls_go_to_the_survivor(two: Desk) -> None:
    """R20: calls for the merged person go to the survivor, and the answers name the survivor:
    Authorize, PutUsers, limits, standings and profiles."""
    merge(two)
    it = rental(two, authorize("ann", "umbrella"))
    assert (it.user_id, it.offer) == ("dan", Offer.ZERO)
    told = profile(two.do(c.PutUser("ann", pack([800, 0.0]), START_US, True), caller=PLATFORM))
    assert (told.line.user_id, told.score) == ("dan", 800)
    assert read_profile(two.store, "ann", CNY).line.user_id == "dan"
    two.do(c.SetStanding("ann", Standing.SUSPENDED), caller=PLATFORM)
    assert rental(two, authorize("dan", "umbrella")).reasons[0] == "USER_SUSPENDED"
    two.do(c.SetLimit("ann", Money(CNY, 1)), caller=PLATFORM)
    assert balances(two)[0] == BIKE_MINOR


def test_rentals_under_way_run_off_on_the_old_line(two: Desk) -> None:
    """R20: a rental made before the merge keeps its person and line, and an amount released there
    gives no new credit. With the next features the survivor's limit grows by the released
    amounts."""
    before_minor = limit_of(two)
    it = rental(two, authorize("ann", "umbrella"))
    merge(two)
    used_minor = BIKE_MINOR + it.credit_minor
    assert limit_of(two) == before_minor - used_minor
    assert rental(two, settle(it, 150)).user_id == "ann"
    assert balances(two) == (BIKE_MINOR + 150, 0, BIKE_MINOR, 150)
    two.put_user("dan", 700)
    assert limit_of(two) == before_minor - BIKE_MINOR - 150
    rental(two, pay(stored(two, it), 150), caller=PLATFORM)
    two.put_user("ann", 700)
    assert limit_of(two) == before_minor - BIKE_MINOR
    assert balances(two) == (BIKE_MINOR, 0, BIKE_MINOR, 0)


def test_a_limit_by_hand_counts_the_merged_lines_use(two: Desk) -> None:
    """R20: a limit that is set by hand is the limit of both lines together."""
    merge(two)
    two.do(c.SetLimit("dan", Money(CNY, 30_000)), caller=PLATFORM)
    assert limit_of(two) == 30_000 - BIKE_MINOR
    two.do(c.SetLimit("dan", Money(CNY, 100)), caller=PLATFORM)
    assert limit_of(two) == 0


@pytest.mark.parametrize("suspended", ["ann", "dan"])
def test_the_worse_standing_wins(two: Desk, suspended: str) -> None:
    """R20: if one of the two is suspended, the survivor is."""
    two.do(c.SetStanding(suspended, Standing.SUSPENDED), caller=PLATFORM)
    merge(two)
    assert rental(two, authorize("ann", "umbrella")).reasons[0] == "USER_SUSPENDED"


def test_a_merge_needs_two_people(two: Desk) -> None:
    """R20: another key approves a merge exactly as it was proposed. A later proposal replaces an
    earlier one, and nothing changes before the approval."""
    approve = c.ApproveMerge("ann", "dan", "key-2")
    assert refused(two, approve, caller=PLATFORM).reason == "MERGE_NOT_PROPOSED"
    two.do(c.ProposeMerge("ann", "ben", "a guess", "key-2"), caller=PLATFORM)
    assert refused(two, approve, caller=PLATFORM).reason == "MERGE_NOT_PROPOSED"
    two.do(c.ProposeMerge("ann", "dan", "same card", "key-2"), caller=PLATFORM)
    assert refused(two, approve, caller=PLATFORM).reason == "SECOND_PERSON_REQUIRED"
    assert rental(two, authorize("ann", "umbrella")).user_id == "ann"
    two.do(c.ApproveMerge("ann", "dan", "key-1"), caller=PLATFORM)
    again = refused(two, c.ApproveMerge("ann", "dan", "key-3"), caller=PLATFORM)
    assert again.reason == "USER_MERGED"


def test_an_alias_leads_to_its_survivor_in_one_step(two: Desk) -> None:
    """R20: nobody is merged into an alias, and no survivor is merged. Several people may be merged
    into one. A merge of unknown people, or of a person with the same person, is refused."""
    merge(two)
    for user_id, survivor, why in (
        ("ben", "ann", "USER_MERGED"),
        ("ann", "ben", "USER_MERGED"),
        ("dan", "ben", "USER_SURVIVES"),
        ("ben", "nobody", "USER_NOT_FOUND"),
        ("nobody", "ben", "USER_NOT_FOUND"),
        ("ben", "ben", "INVALID_INPUT"),
    ):
        proposal = c.ProposeMerge(user_id, survivor, "why", "key-1")
        assert refused(two, proposal, caller=PLATFORM).reason == why
    merge(two, "ben", "dan")
    assert rental(two, authorize("ben", "umbrella")).user_id == "dan"


def test_the_database_knows_no_chain(two: Desk) -> None:
    """R20: the database itself refuses an alias of an alias, and a circle."""
    merge(two)
    for user_id, survivor in (("ben", "ann"), ("dan", "ben"), ("dan", "ann")):
        row = f"('{user_id}', '{survivor}', 'why', 'k1', 1, 'k2', 2, 1, {_bytes(two)})"
        with pytest.raises(IntegrityError), writing(two.store.engine) as connection:
            connection.execute(text(f"INSERT INTO aliases VALUES {row}"))


def _bytes(desk: Desk) -> str:
    return "'\\x00'" if desk.store.engine.dialect.name == "postgresql" else "x'00'"


def test_a_retry_and_a_reversal_know_both_ids(two: Desk) -> None:
    """R20: a retry of an Authorize from before the merge gets its first answer. A reversal by its
    request id reverses the rental of the person who asked for it."""
    early = two.work(authorize("ann", "umbrella"), request_id="early")
    (first,) = two.apply(early)
    merge(two)
    (again,) = two.apply(two.work(authorize("ann", "umbrella"), request_id="early"))
    assert first == again
    rental(two, authorize("ann", "umbrella"), request_id="late")
    for request_id, user_id in (("early", "ann"), ("late", "dan")):
        assert rental(two, reverse_origin("ann", request_id)).user_id == user_id


def test_the_calls_of_one_batch_see_the_merge(two: Desk) -> None:
    """R20: features in the batch of the merge go to the survivor, and a rental there gets no credit
    from the merged line."""
    works = [
        two.work(c.ProposeMerge("ann", "dan", "same card", "key-1"), caller=PLATFORM),
        two.work(c.ApproveMerge("ann", "dan", "key-2"), caller=PLATFORM),
        two.work(c.PutUser("ann", pack([800, 0.0]), START_US, True), caller=PLATFORM),
        two.work(authorize("ann", "umbrella")),
    ]
    results = two.apply(*works)
    assert all(isinstance(it, bytes) for it in results), results
    told = two.answers[works[2].request_id]
    assert profile(told).line.user_id == "dan"
    asked = two.answers[works[3].request_id]
    assert (asked.user_id, asked.offer) == ("ann", Offer.FULL)  # type: ignore[union-attr]


def test_damage_stays_with_its_rental(two: Desk) -> None:
    """R20: a damage charge of a rental from before the merge stays with that rental's person."""
    it = rental(two, settle(rental(two, authorize("ann", "umbrella")), 0))
    merge(two)
    debt = c.BookDebt(it.user_id, it.authorization_id, Money(CNY, 100), "dent", "photo")
    assert rental(two, debt).user_id == "ann"
    assert rental(two, reverse(rental(two, authorize("ann", "umbrella")))).user_id == "dan"


# -- the books -----------------------------------------------------------------------------------

WRONG = {
    "survivor": "survivor = 'ben'",
    "user_id": "user_id = 'ben'",
    "reason": "reason = 'another'",
    "proposed_by": "proposed_by = 'key-9'",
    "propose_us": "propose_us = propose_us + 1",
    "approved_by": "approved_by = 'key-9'",
    "approve_us": "approve_us = approve_us + 1",
    "approval": "approve_us = NULL, approved_by = ''",
    "version": "version = version + 1",
    "digest": "digest = subject_key",
}
"""Changes of an alias by SQL, by the column."""


@pytest.mark.parametrize("column", sorted(WRONG))
def test_the_books_notice_a_changed_alias(store: SqlStore, column: str) -> None:
    """R20: `verify` finds a change of any column of an alias."""
    desk = Desk(store)
    desk.put_users(ann=700, ben=550, dan=700)
    merge(desk)
    change = WRONG[column].replace("subject_key", _bytes(desk))
    assert _fault(desk, f"UPDATE aliases SET {change}") == "ALIAS"


COPY = (
    "INSERT INTO aliases SELECT 'ben', survivor, reason, proposed_by, propose_us, approved_by,"
    " approve_us, version, digest FROM aliases"
)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM aliases",
        "UPDATE users SET alias_of = '' WHERE user_id = 'ann'",
        "UPDATE users SET alias_of = '' WHERE user_id = 'dan'",
        "UPDATE users SET alias_of = 'dan' WHERE user_id = 'ben'",
        "UPDATE users SET alias_of = 'ben' WHERE user_id = 'ben'",
        COPY,
    ],
)
def test_the_books_notice_merged_people_without_an_alias(store: SqlStore, statement: str) -> None:
    """R20: `verify` finds an alias that was added or removed, and a person who names another person
    without an alias."""
    desk = Desk(store)
    desk.put_users(ann=700, ben=550, dan=700)
    merge(desk)
    assert _fault(desk, statement) == "ALIAS"


def _fault(desk: Desk, statement: str) -> str:
    """The rule that the books break after a change of sound books."""
    assert verify_books(desk.store.engine, read_payload=read_payload).fault is None
    with writing(desk.store.engine) as connection:
        connection.execute(text(statement))
    fault = verify_books(desk.store.engine, read_payload=read_payload).fault
    return fault.rule if fault else ""


def test_the_books_notice_credit_on_a_merged_line(store: SqlStore) -> None:
    """R20: `verify` finds a merged person's line that gives credit again."""
    desk = Desk(store)
    desk.put_users(ann=700, dan=700)
    merge(desk)
    desk.put_users(ben=700)
    right = AliasRecord("ben", "dan", "why", "key-1", 1, "key-2", 2, 2).digested()
    with writing(desk.store.engine) as connection:
        connection.execute(insert(t.aliases), right._asdict())
        connection.execute(text("UPDATE users SET alias_of = 'dan' WHERE user_id = 'ben'"))
    found = verify_books(desk.store.engine, read_payload=read_payload).fault
    assert found is not None
    assert (found.rule, found.row) == ("ALIAS", "lines/ben/CNY")
