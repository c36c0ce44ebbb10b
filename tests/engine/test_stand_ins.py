"""Stand-in decisions: the model fails on a row, and the full deposit is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import update

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, State
from service.domain.errors import Unavailable
from service.domain.policy import Offer
from service.engine.feature_values import pack, unpack
from service.engine.operations import PutUser
from service.engine.scoring import Assessor
from service.engine.stand_ins import CONSENT_WITHDRAWN, compare
from service.storage import schema as t
from service.storage.stand_ins import stand_ins
from service.storage.store import SqlStore
from tests.engine.calls import authorize, balances, refused, rental
from tests.fakes import START_US, Desk, FakeScorer


class FailingScorer(FakeScorer):
    """A scorer that fails on some scores."""

    def __init__(self) -> None:
        self.failing: set[float] = set()

    def score_with_reasons(self, rows: Sequence[bytes], below: int) -> list[Any]:
        """Scores rows, or fails on all of them together."""
        if self.failing.intersection(unpack(row)[0] for row in rows):
            raise RuntimeError("the model is broken")
        return super().score_with_reasons(rows, below)


@pytest.fixture
def scorer() -> FailingScorer:
    """A scorer that works until a test breaks it."""
    return FailingScorer()


@pytest.fixture
def shop(store: SqlStore, scorer: FailingScorer) -> Desk:
    """A desk whose model can fail, and has not scored anybody yet; Ann scores 700, Ben 690 and Cem
    450."""
    earlier = FakeScorer()
    earlier.model_id = "earlier"
    Desk(store, scorer=earlier).put_users(ann=700, ben=690, cem=450)
    return Desk(store, scorer=scorer)


def test_a_person_on_whom_the_model_fails_is_asked_for_the_full_deposit(
    shop: Desk, scorer: FailingScorer
) -> None:
    """If the model fails on one person of a batch, this person gets the full deposit with the
    reason STAND_IN_DECISION, the others get their scores, and the fault is logged once."""
    scorer.failing = {700}
    works = [shop.work(authorize(it)) for it in ("ann", "ben")]
    shop.apply(*works)
    first, second = (shop.answers[it.request_id] for it in works)
    assert isinstance(first, Authorization)
    assert (first.state, first.offer, first.reasons) == (
        State.OFFERED,
        Offer.FULL,
        ("STAND_IN_DECISION",),
    )
    assert isinstance(second, Authorization)
    assert second.offer is Offer.ZERO
    assert [str(it) for it in shop.faults] == ["the model is broken"]


def test_a_stand_in_never_sets_a_limit(shop: Desk, scorer: FailingScorer) -> None:
    """PutUsers is refused with SCORER_FAILED for features on which the model fails: the limit and
    the features on record stay, and a retry counts once the model works."""
    before = balances(shop)
    scorer.failing = {720}
    command = PutUser("ann", pack([720, 0.0]), START_US, True)
    error = refused(shop, command, request_id="p-1", caller=PLATFORM)
    assert (type(error), error.reason) == (Unavailable, "SCORER_FAILED")
    assert balances(shop) == before
    assert rental(shop, authorize()).offer is Offer.ZERO
    scorer.failing = set()
    assert shop.do(command, request_id="p-1", caller=PLATFORM)


def test_stand_ins_are_compared_with_the_model_later(shop: Desk, scorer: FailingScorer) -> None:
    """Each stand-in is decided again with a score of its own features, even if newer ones came:
    the comparison tells the score, the offer, and whether it differs. Nothing is changed."""
    scorer.failing = {700, 450}
    first = rental(shop, authorize())
    rental(shop, authorize("cem"))
    scorer.failing = set()
    rental(shop, authorize("ben"))
    shop.put_user("ann", 400)
    again = compare(
        stand_ins(shop.store.engine, 0),
        Assessor(shop.store, scorer),
        shop.store.catalog().revisions,
    )
    assert [(it.stand_in.user_id, it.score, it.offer, it.differs) for it in again] == [
        ("ann", 700, Offer.ZERO, True),
        ("cem", 450, Offer.FULL, False),
    ]
    assert again[0].stand_in.authorization_id == first.authorization_id
    assert stand_ins(shop.store.engine, START_US + 1) == []


def test_stand_ins_without_consent_are_not_scored(shop: Desk, scorer: FailingScorer) -> None:
    """The features of a person who has withdrawn the consent since are not scored again."""
    scorer.failing = {700}
    rental(shop, authorize())
    scorer.failing = set()
    with shop.store.engine.begin() as connection:
        ann = t.users.c.user_id == "ann"
        connection.execute(update(t.users).where(ann).values(scoring_consent=False))
    (it,) = compare(
        stand_ins(shop.store.engine, 0),
        Assessor(shop.store, scorer),
        shop.store.catalog().revisions,
    )
    assert (it.score, it.why, it.differs) == (None, CONSENT_WITHDRAWN, False)
