"""People: registration, features, consent, limits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from sqlalchemy import event, select

from service.domain.access import PLATFORM
from service.domain.credit import LimitBasis
from service.domain.errors import NotFound
from service.domain.money import Money
from service.engine.calls import Answer, Profile
from service.engine.feature_values import pack, schema_id_of, unpack
from service.engine.operations import PutUser, SetLimit
from service.engine.profile import read_profile
from service.ids import RandomIds
from service.storage import schema as t
from tests.engine.acts import approve, charged, propose, provision
from tests.engine.calls import (
    CNY,
    authorize,
    balances,
    line,
    pay,
    profile,
    rental,
    reverse,
    settle,
)
from tests.fakes import START_US, Desk, FakeScored, FakeScorer, FakeUnscorable


@pytest.mark.parametrize(
    ("score", "limit_minor"),
    [(650, 50_000), (649, 30_000), (600, 30_000), (599, 20_000), (550, 20_000), (549, 10_000),
     (500, 10_000), (499, 0), (math.nan, 0)],
)  # fmt: skip
def test_a_limit_follows_from_the_score(desk: Desk, score: float, limit_minor: int) -> None:
    """Registering a person sets the limit by the score, all of it available."""
    it = profile(desk.put_user("zoe", score))
    assert balances(desk, "zoe") == (limit_minor, limit_minor, 0, 0)
    assert it.line == line(desk, "zoe")


def test_the_answer_is_the_profile(desk: Desk) -> None:
    """Registering answers with score, band, model and the features' version."""
    it = profile(desk.put_user("zoe", 640))
    assert (it.score, it.band, it.model_id, it.unscorable_reason) == (640, "C", "fake-model", "")
    assert (it.feature_version, it.as_of_us) == (1, START_US)
    assert profile(desk.put_user("zoe", 650)).feature_version == 2


def test_features_are_kept_in_every_version(desk: Desk) -> None:
    """Newer features never overwrite older ones."""
    desk.put_user("zoe", 640)
    desk.put_user("zoe", 650)
    with desk.store.engine.connect() as connection:
        s = t.feature_snapshots.c
        rows = connection.execute(
            select(s.version, s.raw, s.schema_id).where(s.user_id == "zoe").order_by(s.version)
        ).all()
    assert [(row[0], unpack(row[1])[0]) for row in rows] == [(1, 640.0), (2, 650.0)]
    assert {row[2] for row in rows} == {schema_id_of(("score", "other"))}


def test_a_raise_is_available_at_once(desk: Desk) -> None:
    """A better score raises the limit while something is held."""
    rental(desk, authorize("ben", "umbrella"))
    desk.put_user("ben", 700)
    assert balances(desk, "ben") == (50_000, 44_100, 5_900, 0)


def test_a_cut_waits_for_holds(desk: Desk) -> None:
    """A lower score cuts the available part now, and the pending rest from each release."""
    one, other = rental(desk, authorize()), rental(desk, authorize())
    desk.put_user("ann", 499)
    assert balances(desk) == (39_800, 0, 39_800, 0)
    assert line(desk).cut_pending_minor == 39_800
    rental(desk, reverse(one))
    assert balances(desk) == (19_900, 0, 19_900, 0)
    it = rental(desk, settle(other, 1_000))
    assert balances(desk) == (1_000, 0, 0, 1_000)
    rental(desk, pay(it, 1_000))
    assert balances(desk) == (0, 0, 0, 0)
    assert line(desk).cut_pending_minor == 0


def test_withdrawn_consent_ends_the_limit(desk: Desk) -> None:
    """A person who withdraws consent has no limit and is not scored; the limit returns with the
    consent."""
    it = profile(desk.put_user("ann", 700, consent=False))
    assert (it.score, it.band, it.unscorable_reason, it.model_id) == (None, "", "NO_CONSENT", "")
    assert balances(desk) == (0, 0, 0, 0)
    desk.put_user("ann", 700)
    assert balances(desk) == (50_000, 50_000, 0, 0)


def test_a_person_may_be_registered_after_an_authorize(desk: Desk) -> None:
    """A person first seen in an Authorize gets features and a limit on registration."""
    rental(desk, authorize("new"))
    assert profile(desk.put_user("new", 700)).feature_version == 1
    assert balances(desk, "new") == (50_000, 50_000, 0, 0)
    assert rental(desk, authorize("new")).held_credit_minor == 19_900


def test_several_people_in_one_batch(desk: Desk) -> None:
    """Each of several people registered together gets the score and limit of their own features."""
    scores = {"u1": 700.0, "u2": 600.0, "u3": math.nan, "u4": 500.0}
    desk.apply(
        *(
            desk.work(PutUser(user_id, pack([score, 0]), START_US, True), caller=PLATFORM)
            for user_id, score in scores.items()
        )
    )
    assert [line(desk, who).limit_minor for who in scores] == [50_000, 30_000, 0, 10_000]


def test_several_people_authorize_in_one_batch(desk: Desk) -> None:
    """Each of several people who authorize together is decided on their own score."""
    works = [desk.work(authorize(who), request_id=who) for who in ("cem", "new", "ann", "ben")]
    desk.apply(*works)
    offers = [desk.answers[work.request_id].offer for work in works]  # type: ignore[union-attr]
    assert offers == ["FULL", "FULL", "ZERO", "REDUCED"]


# -- reading a profile -----------------------------------------------------------------------


class HarsherScorer(FakeScorer):
    """Another model, with every score 200 lower."""

    model_id = "harsher"
    scale_version = "other-scale"

    def _one(self, value: float) -> FakeScored | FakeUnscorable:
        return super()._one(value - 200)


class StretchingScorer(FakeScorer):
    """A model whose training data had neither value."""

    def _one(self, value: float) -> FakeScored | FakeUnscorable:
        it = super()._one(value)
        assert isinstance(it, FakeScored)
        return it._replace(extrapolated=("score", "other"))


def test_a_profile_equals_the_answer_of_put_users(desk: Desk) -> None:
    """A profile has the same line, score, band, model, scale and basis as PutUsers answered."""
    answered = profile(desk.put_user("zoe", 640))
    assert (answered.model_id, answered.scale_version) == ("fake-model", "fake-scale")
    assert answered.limit_basis is LimitBasis.SCORE
    assert read_profile(desk.store, "zoe", CNY) == answered


def test_a_profile_of_a_person_without_consent(desk: Desk) -> None:
    """A profile without consent shows no score."""
    desk.put_user("zoe", 640, consent=False)
    it = read_profile(desk.store, "zoe", CNY)
    assert (it.score, it.band, it.unscorable_reason, it.model_id) == (None, "", "NO_CONSENT", "")
    assert it.limit_basis is LimitBasis.SCORE


def test_a_profile_of_a_person_never_seen(desk: Desk) -> None:
    """A person who was never seen has no profile; one with only an Authorize has an empty one."""
    with pytest.raises(NotFound):
        read_profile(desk.store, "nobody", CNY)
    rental(desk, authorize("new"))
    it = read_profile(desk.store, "new", CNY)
    assert (it.score, it.unscorable_reason) == (None, "NO_FEATURES")
    assert (it.feature_version, it.as_of_us) == (0, None)
    assert (it.line.limit_minor, it.limit_basis) == (0, LimitBasis.SCORE)


def test_d9_a_profile_keeps_the_score_under_another_model(desk: Desk) -> None:
    """D9: under another served model, a profile still has the score, model and scale behind its
    limit. Newer features bring those of the new model."""
    before = profile(desk.put_user("zoe", 640))
    newer = Desk(desk.store, ids=RandomIds(), scorer=HarsherScorer())
    assert rental(newer, authorize("zoe"), request_id="newer-1").band == "E"
    it = read_profile(desk.store, "zoe", CNY)
    assert (it.score, it.model_id, it.scale_version) == (640, "fake-model", "fake-scale")
    assert (it.limit_basis, it.line.limit_minor) == (LimitBasis.SCORE, before.line.limit_minor)
    answer = newer.do(
        PutUser("zoe", pack([640, 0]), START_US, True), request_id="newer-2", caller=PLATFORM
    )
    it = read_profile(desk.store, "zoe", CNY)
    assert (it.score, it.model_id, it.scale_version) == (440, "harsher", "other-scale")
    assert answer == it


def test_d9_a_limit_by_hand_rests_on_no_score(desk: Desk) -> None:
    """D9: a limit set by hand rests on no score, even if a score would give the same amount. This
    holds even after the limit follows the score again, until newer features set the limit."""
    desk.put_user("zoe", 640)
    for limit_minor in (12_345, 30_000):
        desk.do(SetLimit("zoe", Money(CNY, limit_minor)), caller=PLATFORM)
        it = read_profile(desk.store, "zoe", CNY)
        assert (it.score, it.limit_basis) == (640, LimitBasis.NO_SCORE)
    assert profile(desk.put_user("zoe", 700)).limit_basis is LimitBasis.NO_SCORE
    desk.do(SetLimit("zoe", None), caller=PLATFORM)
    it = read_profile(desk.store, "zoe", CNY)
    assert (it.line.limit_fixed, it.score, it.limit_basis) == (False, 700, LimitBasis.NO_SCORE)
    assert profile(desk.put_user("zoe", 700)).limit_basis is LimitBasis.SCORE


def test_d9_a_limit_by_hand_of_the_scores_amount_rests_on_no_score(desk: Desk) -> None:
    """D9: a limit set by hand to the score's own amount has no score as its basis, even after it
    follows the score again."""
    limit = profile(desk.put_user("zoe", 640)).line.limit_minor
    for amount in (Money(CNY, limit), None):
        desk.do(SetLimit("zoe", amount), caller=PLATFORM)
        assert read_profile(desk.store, "zoe", CNY).limit_basis is LimitBasis.NO_SCORE


def test_d9_leaving_a_scored_limit_to_the_score_changes_nothing(desk: Desk) -> None:
    """D9: a limit that follows from the score still does after it is left to the score."""
    desk.put_user("zoe", 640)
    desk.do(SetLimit("zoe", None), caller=PLATFORM)
    assert read_profile(desk.store, "zoe", CNY).limit_basis is LimitBasis.SCORE


def test_d9_after_a_write_off_the_limit_rests_on_no_score(desk: Desk) -> None:
    """D9: after a write-off the limit rests on no score, also when a person has unfrozen it."""
    it = charged(desk)
    for command in (provision(it, 1_250), propose(it), approve(it)):
        desk.do(command, caller=PLATFORM)
    assert read_profile(desk.store, "ann", CNY).limit_basis is LimitBasis.NO_SCORE
    desk.do(SetLimit("ann", None), caller=PLATFORM)
    assert read_profile(desk.store, "ann", CNY).limit_basis is LimitBasis.NO_SCORE


def test_d9_a_pending_cut_rests_on_the_score(desk: Desk) -> None:
    """D9: if the cut of a limit waits for holds, the limit's basis is the score that caused the
    cut."""
    rental(desk, authorize())
    assert profile(desk.put_user("ann", 499)).limit_basis is LimitBasis.SCORE
    it = read_profile(desk.store, "ann", CNY)
    assert (it.line.limit_minor, it.line.cut_pending_minor) == (19_900, 19_900)
    assert (it.score, it.limit_basis) == (499, LimitBasis.SCORE)


def test_d9_a_profile_is_consistent(desk: Desk) -> None:
    """D9: if newer features arrive while a profile is read, the whole profile has either the old
    features or the new ones."""
    before = profile(desk.put_user("zoe", 640))
    came: list[Answer] = []

    def put_between(_connection: object, _cursor: object, sql: str, *_: object) -> None:
        if "FROM users" in sql and not came:
            came.append(desk.put_user("zoe", 700))

    engine = desk.store.engine
    event.listen(engine, "after_cursor_execute", put_between)
    try:
        assert read_profile(desk.store, "zoe", CNY) == before
    finally:
        event.remove(engine, "after_cursor_execute", put_between)
    assert read_profile(desk.store, "zoe", CNY) == came[0]


def test_d9_a_stored_score_names_extrapolated_features(desk: Desk) -> None:
    """D9: a stored score names the features that were scored as the nearest trained value."""
    stretched = Desk(desk.store, ids=RandomIds(), scorer=StretchingScorer())
    put = PutUser("zoe", pack([640, 0]), START_US, True)
    answer = stretched.do(put, request_id="stretched", caller=PLATFORM)
    assert profile(answer).extrapolated == ("score", "other")
    assert read_profile(desk.store, "zoe", CNY) == answer


# -- the order of raw values -----------------------------------------------------------------


class NewerScorer(FakeScorer):
    """A model with one more value, in another order."""

    model_id = "newer"
    raw_names = ("income", "other", "score")
    absent_names = frozenset({"income"})

    def score_with_reasons(
        self, rows: Sequence[bytes], below: int
    ) -> list[tuple[FakeScored | FakeUnscorable, tuple[str, ...]]]:
        """Scores by the last value; older features lack the first one."""
        values = [unpack(row) for row in rows]
        assert all(math.isnan(each[0]) for each in values)
        return super().score_with_reasons([pack([each[2], each[1]]) for each in values], below)


def test_features_of_an_older_model_are_put_in_order(desk: Desk) -> None:
    """A newer model finds older features by name; a value that was never sent counts as missing
    where the model allows that."""
    newer = Desk(desk.store, scorer=NewerScorer())
    it = rental(newer, authorize("ann"), request_id="newer-1")
    assert (it.offer, it.model_id, it.band) == ("ZERO", "newer", "A")


class StricterScorer(FakeScorer):
    """A model with one more value, which does not accept an absent value as missing."""

    model_id = "stricter"
    raw_names = ("income", "other", "score")
    absent_names = frozenset()


def test_m2_an_absent_value_is_not_a_missing_one(desk: Desk) -> None:
    """M2: under a model with a new feature, people without this feature cannot be scored, and the
    reason names the feature. Nobody counts as having declined to answer."""
    stricter = Desk(desk.store, scorer=StricterScorer())
    it = rental(stricter, authorize("ann"), request_id="stricter-1")
    assert (it.offer, it.reasons) == ("FULL", ("FEATURE_NOT_SENT",))
    with desk.store.engine.connect() as connection:
        row = connection.exec_driver_sql(
            "SELECT unscorable_reason, unscorable_feature FROM decisions ORDER BY decide_us DESC"
        ).first()
    assert row is not None
    assert tuple(row) == ("FEATURE_NOT_SENT", "income")


@pytest.mark.parametrize(
    ("names", "values", "reason", "feature"),
    [
        (("score",), (700.0,), "", ""),
        (("other",), (0.0,), "FEATURE_NOT_SENT", "score"),
        ((), (), "FEATURE_NOT_SENT", "score"),
        (("score", "other"), (math.nan, 0.0), "MISSING_FEATURE", "score"),
        (None, (math.nan, 0.0), "MISSING_FEATURE", "score"),
    ],
)
def test_m2_absent_and_missing_values_are_kept_apart(
    desk: Desk,
    names: tuple[str, ...] | None,
    values: tuple[float, ...],
    reason: str,
    feature: str,
) -> None:
    """M2: the answer of PutUsers, the profile and the decision distinguish a value that was not
    sent from a value that the person does not have."""
    put = PutUser("zoe", pack(values), START_US, True, names=names)
    answer = desk.do(put, caller=PLATFORM)
    assert isinstance(answer, Profile)
    assert (answer.unscorable_reason, answer.unscorable_feature) == (reason, feature)
    profile = read_profile(desk.store, "zoe", CNY)
    assert (profile.unscorable_reason, profile.unscorable_feature) == (reason, feature)
    it = rental(desk, authorize("zoe"))
    assert it.reasons == ((reason,) if reason else ())


def test_values_are_little_endian() -> None:
    """Raw values are little-endian float64, eight bytes each."""
    assert pack([1.0, -2.0]) == bytes.fromhex("000000000000f03f00000000000000c0")
    assert list(unpack(pack([1.5, 0.1]))) == [1.5, 0.1]


def test_a_schemas_id_follows_from_its_order() -> None:
    """The id of a schema changes with the names and with their order."""
    ids = {schema_id_of(names) for names in (("a", "b"), ("b", "a"), ("a",), ("a, b",))}
    assert len(ids) == 4
