"""Decisions of persons and lists, and on people without a score, with their outcomes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import delete

from service.domain.access import PLATFORM
from service.domain.ledger import Standing
from service.domain.reviews import ReviewReason
from service.engine import operations as c
from service.ids import RandomIds
from service.storage import overrides as module
from service.storage import schema as t
from service.storage.database import reading
from service.storage.overrides import Kind, Outcome, Override, overrides
from service.storage.store import SqlStore
from tests.cli.test_commands import invoke
from tests.engine import acts, listing
from tests.engine.acts import review
from tests.engine.calls import authorize, rental, settle
from tests.engine.test_velocity import at_most, under
from tests.fakes import START_US, Desk

DAY_US = 86_400_000_000


@pytest.fixture
def shop(store: SqlStore) -> Desk:
    """A desk whose ids begin with their time; Ann, Ben and Cem are watched."""
    desk = Desk(store, ids=RandomIds())
    desk.put_users(ann=700, ben=690, cem=680, dora=670)
    for name in ("ann", "ben", "cem"):
        desk.do(c.SetStanding(name, Standing.WATCHED), caller=PLATFORM)
    return desk


def read(desk: Desk, since_us: int = START_US, until_us: int = START_US + DAY_US) -> list[Override]:
    """All overrides of a time."""
    with reading(desk.store.engine) as connection:
        return [it for portion in overrides(connection, since_us, until_us) for it in portion]


def test_reviews_are_told_by_their_verdict(shop: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A review that the platform approved, one that it declined, and one without a verdict, each
    with the score of the decision and with what became of it."""
    monkeypatch.setattr(module, "PORTION", 2)
    approved = rental(shop, authorize("ann"))
    shop.do(review(approved, approve=True), caller=PLATFORM)
    shop.do(settle(approved, 300))
    shop.do(review(rental(shop, authorize("ben", "umbrella")), approve=False), caller=PLATFORM)
    rental(shop, authorize("cem", "power-bank"))
    rental(shop, authorize("dora", "umbrella"))
    found = {it.authorization.split("/")[1]: it for it in read(shop)}
    assert {name: (it.kind, it.outcome, it.by, it.score) for name, it in found.items()} == {
        "ann": (Kind.APPROVED, Outcome.UNPAID, "platform/keys/key-1", 700),
        "ben": (Kind.DECLINED, Outcome.NOT_RENTED, "platform/keys/key-1", 690),
        "cem": (Kind.WAITS, Outcome.OPEN, "", 680),
    }
    ann = found["ann"]
    assert (ann.captured_minor, ann.due_minor, ann.currency) == (300, 300, "CNY")
    assert read(shop, START_US + 1) == []


def test_verdicts_are_told_with_their_reason_and_their_hand(shop: Desk) -> None:
    """A verdict has the reason that was given, in words too, and the person who gave it; one
    without a row, by a server of an earlier build, is the platform's."""
    ann, ben, cem = (
        acts.name(rental(shop, authorize(it, "umbrella"))) for it in ("ann", "ben", "cem")
    )
    for verdict in (
        c.ResolveReview(*ann, True, "persons/eve", ReviewReason.MEANS, "a pay slip"),
        c.ResolveReview(*ben, False, "persons/bob"),
        c.ResolveReview(*cem, False, "persons/bob"),
    ):
        shop.do(verdict, caller=PLATFORM)
    with shop.store.engine.begin() as connection:
        connection.execute(delete(t.verdicts).where(t.verdicts.c.user_id == "cem"))
    found = {it.authorization.split("/")[1]: it for it in read(shop)}
    assert {name: (it.kind, it.by, it.review_reason, it.why) for name, it in found.items()} == {
        "ann": (Kind.APPROVED, "platform/persons/eve", "MEANS", "a pay slip"),
        "ben": (Kind.DECLINED, "platform/persons/bob", "NOT_GIVEN", ""),
        "cem": (Kind.DECLINED, "platform", "", ""),
    }


def test_a_review_that_ended_without_a_verdict(shop: Desk) -> None:
    """A review that was reversed has no verdict; an approved one that was reversed then has."""
    for name, approve in (("ann", False), ("ben", True)):
        it = rental(shop, authorize(name, "umbrella"))
        if approve:
            shop.do(review(it, approve=True), caller=PLATFORM)
        shop.do(c.Reverse(*(it.user_id, it.authorization_id)))
    assert [it.kind for it in read(shop)] == [Kind.WAITS, Kind.APPROVED]
    assert {it.outcome for it in read(shop)} == {Outcome.NOT_RENTED}


def test_listings_are_told_with_their_maker_and_reason(shop: Desk) -> None:
    """An order that a listing denied names the listing, its maker and its reason."""
    listing.add(shop, "dora")
    rental(shop, authorize("dora"))
    (found,) = read(shop)
    assert (found.kind, found.by, found.why) == (
        Kind.DENIED, "shell/tester by listing city/1", "theft",
    )  # fmt: skip
    assert found.outcome is Outcome.NOT_RENTED
    assert found.score == 670


def test_people_without_a_score_are_told(shop: Desk, url: str, tmp_path: Path) -> None:
    """A decision on a person without a score names the reason; the command sums by it, and by the
    reason and the hand of verdicts, and writes a line for each decision."""
    shop.put_user("eve", 600, consent=False)
    rental(shop, authorize("eve", "umbrella"))
    (found,) = read(shop)
    assert (found.kind, found.score, found.unscorable) == (Kind.UNSCORABLE, None, "NO_CONSENT")
    listing.add(shop, "dora")
    rental(shop, authorize("dora"))
    waiting = acts.name(rental(shop, authorize("ann")))
    approval = c.ResolveReview(*waiting, True, "persons/eve", ReviewReason.MEANS)
    shop.do(approval, caller=PLATFORM)
    window = ("--since", "2020-01-01T00:00:00Z", "--until", "2100-01-01T00:00:00Z")
    file = tmp_path / "rows.jsonl"
    done = invoke("model", "overrides", "--database", url, *window, "--json", str(file))
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == [
        "REVIEW_APPROVED: 1 decision, 1 OPEN",
        "    by platform/persons/eve: 1 decision, 1 OPEN",
        "    reason MEANS: 1 decision, 1 OPEN",
        "LISTING_DENIED: 1 decision, 1 NOT_RENTED",
        "UNSCORABLE: 1 decision, 1 OPEN",
        "    NO_CONSENT: 1 decision, 1 OPEN",
    ]
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [it["kind"] for it in lines] == ["UNSCORABLE", "LISTING_DENIED", "REVIEW_APPROVED"]
    assert (lines[2]["by"], lines[2]["review_reason"]) == ("platform/persons/eve", "MEANS")
    assert invoke("model", "overrides", "--database", url, "--until", "2020-01-01T00:00:00Z").output


def test_what_a_list_allowed_is_told(shop: Desk) -> None:
    """A rule that would have stopped an order and that a listing skipped is told with the listing,
    its maker and its reason."""
    under(shop, at_most(1))
    listing.add(shop, "dora", owner=PLATFORM, rules=["VELOCITY_USER_OPEN"])
    for _ in "ab":
        rental(shop, authorize("dora", "bike"))
    (found,) = read(shop)
    assert (found.kind, found.outcome) == (Kind.SKIPPED, Outcome.OPEN)
    assert found.by == "shell/tester by listing platform/1"
    assert found.why == "VELOCITY_USER_OPEN: theft"
