"""Scores that PutUser stores beside the features, and that later calls take from there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select, update

from models import explain
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization
from service.engine.feature_values import pack
from service.engine.operations import PutUser
from service.engine.ports import REASONS_PENDING
from service.storage import schema as t
from service.storage.store import SqlStore
from tests.engine.acts import change_terms
from tests.engine.calls import authorize, rental
from tests.fakes import START_US, Desk, FakeScorer

BELOW = "SCORE_BELOW_ZERO_DEPOSIT"
ALL = ("margin", "score", "model_id", "feature_version", "extrapolated", "unscorable_reason")


class CountingScorer(FakeScorer):
    """A scorer that counts the rows that it scored."""

    def __init__(self) -> None:
        self.scored_rows = 0
        self.why: tuple[str, ...] | None = None

    def score_with_reasons(self, rows: Sequence[bytes], below: int) -> list[Any]:
        """Scores rows together, in order."""
        self.scored_rows += len(rows)
        found = super().score_with_reasons(rows, below)
        if self.why is None:
            return found
        return [(scored, self.why if why else ()) for scored, why in found]


@pytest.fixture
def scorer() -> CountingScorer:
    """A scorer that counts."""
    return CountingScorer()


@pytest.fixture
def shop(store: SqlStore, scorer: CountingScorer) -> Desk:
    """A desk at which Ann, who scores 700, and Dan, who scores 520 with a reason, are known."""
    desk = Desk(store, scorer=scorer)
    desk.put_users(ann=700)
    desk.do(PutUser("dan", pack([520, 1]), START_US, True), caller=PLATFORM)
    scorer.scored_rows = 0
    return desk


def decided(desk: Desk, user_id: str) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """The score in the decision of a new Authorize, and the reasons of its answer."""
    answer = rental(desk, authorize(user_id))
    assert isinstance(answer, Authorization)
    of = t.decisions.c.decision_id == answer.decision_id
    with desk.store.engine.connect() as connection:
        row = connection.execute(select(*(t.decisions.c[it] for it in ALL)).where(of)).one()
    return tuple(row), answer.reasons


def forget(desk: Desk, **values: Any) -> None:
    """Changes what is stored beside all features."""
    with desk.store.engine.begin() as connection:
        connection.execute(update(t.feature_snapshots).values(**values))


def without_score(desk: Desk) -> None:
    """Removes the stored scores, as in a database of an earlier build."""
    forget(desk, model_id="", margin="", reasons=None, extrapolated="")


@pytest.mark.parametrize("user_id", ["ann", "dan"])
def test_the_model_is_not_asked_again(shop: Desk, scorer: CountingScorer, user_id: str) -> None:
    """An Authorize takes the score and the reasons that PutUser stored, and its decision is the
    same to the last bit as with a new score."""
    stored = decided(shop, user_id)
    assert scorer.scored_rows == 0
    without_score(shop)
    assert decided(shop, user_id) == stored
    assert scorer.scored_rows == 1


def test_reasons_are_stored(shop: Desk, scorer: CountingScorer) -> None:
    """The answer for a low score names the stored reasons."""
    assert decided(shop, "dan")[1] == (BELOW, "HIGH_OTHER")
    forget(shop, reasons="ONE,OTHER")
    assert decided(shop, "dan")[1] == (BELOW, "ONE", "OTHER")
    assert scorer.scored_rows == 0


def test_newer_features_have_a_score_of_their_own(shop: Desk, scorer: CountingScorer) -> None:
    """After PutUser the score of the newer features counts."""
    shop.put_user("ann", 690)
    scorer.scored_rows = 0
    assert decided(shop, "ann")[0][1:4] == (690, "fake-model", 2)
    assert scorer.scored_rows == 0


def test_another_model_scores_the_features_itself(shop: Desk, store: SqlStore) -> None:
    """A model does not take the score that another one gave."""
    other = CountingScorer()
    other.model_id = "other"
    assert decided(Desk(store, scorer=other), "ann")[0][2] == "other"
    assert other.scored_rows == 1


def test_a_withdrawn_consent_ends_the_use_of_the_score(shop: Desk) -> None:
    """Without consent there is no score, though one was stored with earlier features."""
    shop.do(PutUser("ann", pack([700, 0]), START_US, False), caller=PLATFORM)
    score, reasons = decided(shop, "ann")
    assert (score[1], score[5], reasons) == (None, "NO_CONSENT", ("NO_CONSENT",))


def test_reasons_that_are_missing_are_asked_for(shop: Desk, scorer: CountingScorer) -> None:
    """A low score whose reasons were not needed when the features came is explained when they
    are."""
    forget(shop, reasons=None)
    assert decided(shop, "dan")[1] == (BELOW, "HIGH_OTHER")
    assert scorer.scored_rows == 1
    assert not decided(shop, "ann")[1]
    assert scorer.scored_rows == 1


def test_pending_reasons_are_not_stored(shop: Desk, scorer: CountingScorer) -> None:
    """Reasons that were not found in time are asked for again by the next call."""
    scorer.why = REASONS_PENDING
    shop.do(PutUser("eve", pack([520, 1]), START_US, True), caller=PLATFORM)
    scorer.why = None
    assert decided(shop, "eve")[1] == (BELOW, "HIGH_OTHER")


@pytest.mark.parametrize("margin", ["x", "nan", "inf", "0x1p99999"])
def test_a_margin_that_makes_no_sense_is_not_used(
    shop: Desk, scorer: CountingScorer, margin: str
) -> None:
    """The model scores the features again if the stored margin is no finite number."""
    forget(shop, margin=margin)
    assert decided(shop, "ann")[0][1] == 700
    assert scorer.scored_rows == 1


def test_extrapolated_features_are_stored(store: SqlStore) -> None:
    """The decision names the features that counted as the nearest trained value."""

    class Extrapolating(CountingScorer):
        def _one(self, value: float) -> Any:
            return self.scored((600 - value) / 72.0, ("score", "other"))

    scorer = Extrapolating()
    desk = Desk(store, scorer=scorer)
    desk.put_users(ann=700)
    assert decided(desk, "ann")[0][4] == "score,other"
    assert scorer.scored_rows == 1


def test_reasons_follow_a_stricter_policy(shop: Desk, scorer: CountingScorer) -> None:
    """A score that was above every bound when it was stored has its reasons once a policy is
    stricter."""
    shop.do(PutUser("eve", pack([700, 1]), START_US, True), caller=PLATFORM)
    change_terms(shop, t.policies, "bike", zero_from_score=720)
    assert decided(shop, "eve")[1] == (BELOW, "HIGH_OTHER")


def test_the_models_name_pending_reasons_alike() -> None:
    """The engine knows the mark of the model's reasons that are still to be found."""
    assert (explain.REASONS_PENDING,) == REASONS_PENDING
