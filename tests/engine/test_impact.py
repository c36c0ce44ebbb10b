"""The impact of a promotion on everybody on record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from service.domain.access import PLATFORM
from service.domain.ledger import Line
from service.domain.policy import Offer
from service.engine.catalog import Catalog
from service.engine.context import Assessment
from service.engine.feature_values import pack
from service.engine.impact import (
    UNSCORABLE,
    Apart,
    Compared,
    Effect,
    LineImpact,
    Models,
    Tally,
    compare,
)
from service.engine.impact_offers import offers_of
from service.engine.operations import ApproveMerge, ProposeMerge, PutUser, SetLimit
from service.engine.records.users import UserFeatures
from service.engine.scoring import Assessor, give_up
from service.engine.segments import MISSING, NOT_SENT, OTHERS, Segment
from service.storage import schema as t
from service.storage.database import reading
from service.storage.impact import OnRecord, impact
from service.storage.people import pages_of_people
from service.storage.store import SqlStore
from tests.engine.acts import money
from tests.engine.calls import authorize, line, rental
from tests.fakes import (
    OPERATOR,
    OTHER_OPERATOR,
    START_US,
    Desk,
    FakeScored,
    FakeScorer,
    FakeUnscorable,
)

BROKEN = 333.0


class Candidate(FakeScorer):
    """Gives 60 points less; knows blanks, but no score of 720, and fails on `BROKEN`."""

    model_id = "candidate"

    def score_with_reasons(self, rows: Sequence[bytes], below: int) -> list[Any]:
        """Scores rows together, or fails on all of them."""
        if any(row.startswith(pack([BROKEN])) for row in rows):
            raise RuntimeError("the model is broken")
        return super().score_with_reasons(rows, below)

    def _one(self, value: float) -> FakeScored | FakeUnscorable:
        if value == 720:
            return FakeUnscorable("OUT_OF_DOMAIN", "score")
        return super()._one(560 if math.isnan(value) else value - 60)


class Wider(Candidate):
    """Knows one more feature, which may be absent."""

    raw_names = ("score", "other", "new")
    absent_names = frozenset({"other", "new"})

    def score_with_reasons(self, rows: Sequence[bytes], below: int) -> list[Any]:
        """Scores rows by their first two values."""
        return super().score_with_reasons([row[:16] for row in rows], below)


@pytest.fixture
def shop(store: SqlStore) -> Desk:
    """A shop with people of every kind."""
    desk = Desk(store)
    desk.put_users(
        ann=700, ben=660, cem=550, eva=math.nan, fay=720, gus=800, ida=640, kim=660, leo=680
    )
    desk.put_user("hal", 700, consent=False)
    for user_id, asset_id in (("ann", "bike-1"), ("ann", "bike-2"), ("kim", "bike-3")):
        rental(desk, authorize(user_id, asset_id=asset_id))
    desk.do(SetLimit("ida", money(70_000)), caller=PLATFORM)
    desk.do(ProposeMerge("kim", "leo", "same id card", "key-1"), caller=PLATFORM)
    desk.do(ApproveMerge("kim", "leo", "key-2"), caller=PLATFORM)
    return desk


def told(
    store: SqlStore, *names: str, page: int = 3, candidate: type[Candidate] = Candidate
) -> tuple[Tally, Catalog, list[Exception]]:
    """The impact of promoting the candidate, by some features."""
    failures: list[Exception] = []

    def segments_of(record: OnRecord) -> list[Segment]:
        return [Segment(name, record.schemas) for name in names]

    tally, catalog = impact(
        store.engine, FakeScorer(), candidate(), segments_of, failures.append, page
    )
    return tally, catalog, failures


def test_everybody_is_counted_once_by_both_bands(shop: Desk) -> None:
    """People are counted by the bands of both models; those without consent and those who were
    merged are counted apart."""
    tally, _, failures = told(shop.store)
    assert tally.bands == {
        ("A", "A"): 1,
        ("A", "C"): 1,
        ("A", UNSCORABLE): 1,
        ("B", "C"): 2,
        ("C", "D"): 1,
        ("D", "E"): 1,
        (UNSCORABLE, "D"): 1,
    }
    assert tally.apart == {Apart.NO_CONSENT: 1, Apart.MERGED: 1}
    assert tally.newly_unscorable == {("OUT_OF_DOMAIN", "score"): 1}
    assert tally.newly_scorable == {("MISSING_FEATURE", "score"): 1}
    assert (tally.as_of_us, failures) == (START_US, [])


def test_limits_and_the_amounts_in_use_above_them(shop: Desk) -> None:
    """Limits follow the limits in force: a fixed one stays, and a survivor's is lower by what the
    merged person's line still uses. What is in use above the new limits is told."""
    tally, _, _ = told(shop.store)
    assert tally.everybody.effects == {
        Effect.LIMIT_UP: 1,  # eva
        Effect.LIMIT_DOWN: 5,  # ann, ben, cem, fay, leo
        Effect.LIMIT_TO_ZERO: 2,  # cem, fay
        Effect.SCORE_DOWN: 6,
        Effect.NEWLY_UNSCORABLE: 1,
        Effect.NEWLY_SCORABLE: 1,
    }
    found = tally.money["CNY"]
    assert (found.lines, found.kept, found.out_of_date) == (8, 1, 0)
    assert (found.up, found.down, found.to_zero) == (1, 5, 2)
    # ann, ben, cem, eva, fay, gus, leo; kim's line uses 19,900 of leo's limit.
    served = [50_000, 50_000, 20_000, 0, 50_000, 50_000, 50_000 - 19_900]
    candidate = [30_000, 30_000, 0, 20_000, 0, 50_000, 30_000 - 19_900]
    assert (found.served_minor, found.candidate_minor) == (sum(served), sum(candidate))
    assert (found.up_minor, found.down_minor) == (20_000, 130_000)
    assert (found.held_minor, found.drawn_minor) == (39_800, 0)
    assert (found.above, found.above_minor) == (1, 39_800 - 30_000)
    assert (found.above_served, found.above_served_minor) == (0, 0)


def test_the_impact_is_the_same_for_pages_of_any_size(shop: Desk) -> None:
    """The sums and the hash of the population do not depend on the size of the pages; the hash
    changes with a person's features."""
    first, _, _ = told(shop.store, page=1)
    for page in (2, 100):
        again, _, _ = told(shop.store, page=page)
        assert again.bands == first.bands
        assert again.money == first.money
        assert again.population_sha256 == first.population_sha256
    shop.put_user("ben", 660)
    assert told(shop.store)[0].population_sha256 != first.population_sha256


def test_nothing_is_changed(shop: Desk) -> None:
    """Telling an impact stores nothing, not even the order of the candidate's features."""
    before = {table.name: _rows(shop.store, table) for table in t.metadata.sorted_tables}
    tally, _, _ = told(shop.store, candidate=Wider)
    assert tally.bands["A", "C"] == 1
    assert {table.name: _rows(shop.store, table) for table in t.metadata.sorted_tables} == before


def _rows(store: SqlStore, table: Any) -> list[Any]:
    with reading(store.engine) as connection:
        return list(connection.execute(table.select()))


def test_the_limits_are_those_that_follow_a_promotion(shop: Desk) -> None:
    """After the promotion PutUsers gives each person, for the same features, the score and the
    limit that the impact told, to the bit."""
    store = shop.store
    assessors = Assessor(store, FakeScorer()), Assessor(store, Candidate())
    models = Models(*assessors, store.catalog(), give_up)
    with reading(store.engine) as connection:
        (people,) = pages_of_people(connection, 100)
    found = [it for it in compare(models, people) if it.features.user_id not in ("hal", "kim")]
    promoted = Desk(store, scorer=Candidate())
    for it in found:
        features = it.features
        assert features.raw is not None
        profile: Any = promoted.do(
            PutUser(features.user_id, features.raw, START_US, True),
            request_id=f"again-{features.user_id}",
            caller=PLATFORM,
        )
        told_score = None if it.candidate.scored is None else it.candidate.scored.score
        assert profile.score == told_score
        (before,) = it.lines
        assert _limit(profile.line) == (
            70_000 if before.candidate_minor is None else before.candidate_minor
        )
    assert len(found) == 8


def _limit(it: Line) -> int:
    return it.limit_minor - it.cut_pending_minor


def test_limits_that_are_out_of_date_are_told(shop: Desk) -> None:
    """A limit that the served model would not give now, because the limits have changed since, is
    told apart."""
    with shop.store.engine.begin() as connection:
        step = t.limit_steps.c.from_score == 550
        connection.execute(update(t.limit_steps).where(step).values(limit_minor=15_000))
    tally, _, _ = told(shop.store)
    assert tally.money["CNY"].out_of_date == 1  # cem
    assert line(shop, "cem").limit_minor == 20_000


def test_a_person_on_whom_the_candidate_fails_cannot_be_scored(shop: Desk) -> None:
    """If the candidate fails on a person's features, this person counts as newly unscorable, the
    others of the page are scored, and the failure is told."""
    shop.put_user("max", BROKEN)
    tally, _, failures = told(shop.store, page=100)
    assert tally.newly_unscorable["STAND_IN_DECISION", ""] == 1
    assert tally.bands["A", "C"] == 1
    assert [str(it) for it in failures] == ["the model is broken"]


def test_offers_follow_the_cut_offs_in_force(shop: Desk) -> None:
    """People are counted by the mildest offer of both scores, under the cut-offs of the products;
    products with the same cut-offs are counted together."""
    tally, catalog, _ = told(shop.store)
    every = offers_of(tally.scores, catalog, 5)
    (found,) = [it for it in every if (OPERATOR, "bike") in it.products]
    assert (OTHER_OPERATOR, "bike") in found.products
    assert offers_of(tally.scores, catalog, 1) == every[:1]
    assert found.ladder == ((600, Offer.ZERO), (500, Offer.REDUCED))
    # ben, gus, ann, leo; fay; ida; cem; eva
    assert found.people == {
        (Offer.ZERO, Offer.ZERO): 4,
        (Offer.ZERO, Offer.FULL): 1,
        (Offer.ZERO, Offer.REDUCED): 1,
        (Offer.REDUCED, Offer.FULL): 1,
        (Offer.FULL, Offer.REDUCED): 1,
    }


def test_people_are_told_apart_by_a_value_on_record(shop: Desk) -> None:
    """A segment counts the compared people by a value of their features: a number, a text, a blank,
    or not sent."""
    raw = pack([700.0])
    put = PutUser("una", raw, START_US, True, names=("score",), texts='{"city":"Ulm"}')
    shop.do(put, caller=PLATFORM)
    tally, _, _ = told(shop.store, "score", "other", "city")
    assert {name: it.people for name, it in tally.groups["other"].items()} == {"0": 8, NOT_SENT: 1}
    assert {name: it.people for name, it in tally.groups["city"].items()} == {
        "Ulm": 1,
        NOT_SENT: 8,
    }
    assert tally.groups["score"]["700"].people == 2
    assert tally.groups["score"][MISSING].effects[Effect.NEWLY_SCORABLE] == 1


def test_numbers_fall_into_groups_with_their_least_values() -> None:
    """A number belongs to the group with the highest least value that it reaches; special numbers
    are groups of their own, and texts have their groups' names."""
    segment = Segment(
        *("age", {"schema": ("age", "job")}),
        lows=(25.0, 35.0),
        names=("young", "middle", "old"),
        special={-1.0},
        texts={"clerk": "office"},
    )

    def group(value: float, texts: str = "") -> str:
        raw = pack([value, 0.0])
        return segment.group_of(UserFeatures("ann", True, 1, "schema", raw, 0, texts=texts))

    assert [group(it) for it in (24.9, 25.0, 35.0, -1.0, math.nan)] == [
        "young", "middle", "old", "-1", MISSING,
    ]  # fmt: skip
    assert group(0.0, '{"age":"clerk"}') == "office"
    assert group(0.0, '{"age":"cook"}') == "cook"


def test_a_segment_has_a_bound_of_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """People with further values than a segment counts are one group."""
    monkeypatch.setattr("service.engine.impact.MOST_VALUES", 2)
    tally = Tally([Segment("a", {"schema": ("a",)})])
    for value in (1.0, 2.0, 3.0, 4.0, 1.0):
        features = UserFeatures("ann", True, 1, "schema", pack([value]), 0)
        unscored = Assessment(True, 1, 0, None, ("WHY",))
        tally.add(Compared(features, unscored, unscored, ()))
    assert {name: it.people for name, it in tally.groups["a"].items()} == {
        "1": 2, "2": 1, OTHERS: 2,
    }  # fmt: skip


_SCORES = st.none() | st.integers(350, 950)
_LINES = st.builds(
    LineImpact,
    st.sampled_from(["CNY", "EUR"]),
    *[st.integers(0, 1_000)] * 3,
    *[st.integers(0, 1_000)] * 2,
)


@given(st.lists(st.tuples(_SCORES, _SCORES, st.lists(_LINES, max_size=2)), max_size=30))
def test_the_parts_add_up(people: list[tuple[int | None, int | None, list[LineImpact]]]) -> None:
    """The cells of the matrix sum to the people, and the rises less the falls to the change of the
    limits."""
    tally = Tally([])
    for served, candidate, lines in people:
        features = UserFeatures("ann", True, 1, "schema", b"", 0)
        tally.add(Compared(features, _assessed(served), _assessed(candidate), tuple(lines)))
    assert sum(tally.bands.values()) == sum(tally.scores.values()) == len(people)
    effects = tally.everybody.effects
    assert tally.everybody.people == len(people)
    assert effects[Effect.LIMIT_TO_ZERO] <= effects[Effect.LIMIT_DOWN]
    assert sum(tally.newly_unscorable.values()) == effects[Effect.NEWLY_UNSCORABLE]
    for it in tally.money.values():
        assert it.candidate_minor - it.served_minor == it.up_minor - it.down_minor
        assert it.above_minor <= it.held_minor + it.drawn_minor


def _assessed(score: int | None) -> Assessment:
    if score is None:
        return Assessment(True, 1, 0, None, ("WHY",), "a")
    return Assessment(True, 1, 0, FakeScored(0.0, 0.2, score, "A", ()), ())
