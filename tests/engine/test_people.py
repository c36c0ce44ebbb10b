"""People: registration, features, consent, limits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from sqlalchemy import select

from service.domain.errors import NotFound
from service.engine.assess import Assessor
from service.engine.calls import Profile
from service.engine.feature_values import pack, schema_id_of, unpack
from service.engine.operations import PutUser
from service.engine.profile import read_profile
from service.engine.records import PLATFORM
from service.storage import tables as t
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
    """Registering a person sets the limit of the score, all of it available."""
    it = profile(desk.put_user("zoe", score))
    assert balances(desk, "zoe") == (limit_minor, limit_minor, 0, 0)
    assert it.line == line(desk, "zoe")


def test_the_answer_is_the_profile(desk: Desk) -> None:
    """Registering answers with score, band, model and the version of the features."""
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


def test_a_cut_takes_what_is_available_and_waits_for_the_rest(desk: Desk) -> None:
    """A worse score cuts what is available now, and each release by what is pending."""
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
    """A person who withdraws consent has no limit, gets it back with consent, and is not scored
    in between."""
    it = profile(desk.put_user("ann", 700, consent=False))
    assert (it.score, it.band, it.unscorable_reason, it.model_id) == (None, "", "NO_CONSENT", "")
    assert balances(desk) == (0, 0, 0, 0)
    desk.put_user("ann", 700)
    assert balances(desk) == (50_000, 50_000, 0, 0)


def test_who_asked_first_can_be_registered_later(desk: Desk) -> None:
    """A person seen in an Authorize before gets features and a limit on registration."""
    rental(desk, authorize("new"))
    assert profile(desk.put_user("new", 700)).feature_version == 1
    assert balances(desk, "new") == (50_000, 50_000, 0, 0)
    assert rental(desk, authorize("new")).held_credit_minor == 19_900


def test_several_people_in_one_batch(desk: Desk) -> None:
    """People registered together each get the score and the limit of their own features."""
    scores = {"u1": 700.0, "u2": 600.0, "u3": math.nan, "u4": 500.0}
    desk.apply(
        *(
            desk.work(PutUser(user_id, pack([score, 0]), START_US, True), caller=PLATFORM)
            for user_id, score in scores.items()
        )
    )
    assert [line(desk, who).limit_minor for who in scores] == [50_000, 30_000, 0, 10_000]


def test_several_people_ask_in_one_batch(desk: Desk) -> None:
    """People who ask together are each decided on their own score."""
    works = [desk.work(authorize(who), request_id=who) for who in ("cem", "new", "ann", "ben")]
    desk.apply(*works)
    offers = [desk.answers[work.request_id].offer for work in works]  # type: ignore[union-attr]
    assert offers == ["FULL", "FULL", "ZERO", "REDUCED"]


# -- reading a profile -----------------------------------------------------------------------


def test_a_profile_is_read_as_it_was_answered(desk: Desk) -> None:
    """Reading a profile gives line, score and band as of now."""
    assessor = Assessor(desk.store, FakeScorer())
    answered = profile(desk.put_user("zoe", 640))
    assert read_profile(desk.store, assessor, "zoe", CNY) == answered


def test_a_profile_of_a_person_without_consent(desk: Desk) -> None:
    """A profile without consent shows no score."""
    desk.put_user("zoe", 640, consent=False)
    it = read_profile(desk.store, Assessor(desk.store, FakeScorer()), "zoe", CNY)
    assert (it.score, it.band, it.unscorable_reason, it.model_id) == (None, "", "NO_CONSENT", "")


def test_a_profile_of_a_person_never_seen(desk: Desk) -> None:
    """A person never seen has no profile; one who only asked has an empty one."""
    assessor = Assessor(desk.store, FakeScorer())
    with pytest.raises(NotFound):
        read_profile(desk.store, assessor, "nobody", CNY)
    rental(desk, authorize("new"))
    it = read_profile(desk.store, assessor, "new", CNY)
    assert (it.score, it.feature_version, it.as_of_us) == (None, 0, None)
    assert it.line.limit_minor == 0


# -- the order of raw values -----------------------------------------------------------------


class NewerScorer(FakeScorer):
    """A model that reads one more value, in another order."""

    model_id = "newer"
    raw_names: tuple[str, ...] = ("income", "other", "score")  # type: ignore[assignment]
    absent_names = frozenset({"income"})

    def score_with_reasons(
        self, rows: Sequence[bytes], below: int
    ) -> list[tuple[FakeScored | FakeUnscorable, tuple[str, ...]]]:
        """Scores by the last value; the first is one that older features lack."""
        values = [unpack(row) for row in rows]
        assert all(math.isnan(each[0]) for each in values)
        return super().score_with_reasons([pack([each[2], each[1]]) for each in values], below)


def test_features_of_an_older_model_are_put_in_order(desk: Desk) -> None:
    """A newer model reads older features by their names; a value that was never sent counts as
    missing where the model says so."""
    newer = Desk(desk.store, scorer=NewerScorer())
    it = rental(newer, authorize("ann"), request_id="newer-1")
    assert (it.offer, it.model_id, it.band) == ("ZERO", "newer", "A")
    assert read_profile(desk.store, Assessor(desk.store, NewerScorer()), "ben", CNY).score == 550


class StricterScorer(FakeScorer):
    """A model that reads one more value, and does not take it for missing when it was not sent."""

    model_id = "stricter"
    raw_names: tuple[str, ...] = ("income", "other", "score")  # type: ignore[assignment]
    absent_names = frozenset()


def test_m2_a_value_never_sent_is_not_a_missing_one(desk: Desk) -> None:
    """Under a model with a new feature, people on record cannot be scored for want of it, by name;
    nobody counts as having declined to answer."""
    stricter = Desk(desk.store, scorer=StricterScorer())
    it = rental(stricter, authorize("ann"), request_id="stricter-1")
    assert (it.offer, it.reasons) == ("FULL", ("FEATURE_NOT_SENT",))
    with desk.store.engine.connect() as connection:
        row = connection.exec_driver_sql(
            "SELECT unscorable_reason, unscorable_feature FROM decisions ORDER BY decide_us DESC"
        ).first()
    assert row is not None
    assert tuple(row) == ("FEATURE_NOT_SENT", "income")
    profile = read_profile(desk.store, Assessor(desk.store, StricterScorer()), "ben", CNY)
    assert (profile.score, profile.unscorable_reason) == (None, "FEATURE_NOT_SENT")
    assert profile.unscorable_feature == "income"


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
def test_m2_what_was_sent_is_kept_by_name(
    desk: Desk,
    names: tuple[str, ...] | None,
    values: tuple[float, ...],
    reason: str,
    feature: str,
) -> None:
    """The answer to PutUsers, the profile and the decision tell a value that was not sent from one
    that the person does not have."""
    put = PutUser("zoe", pack(values), START_US, True, names=names)
    answer = desk.do(put, caller=PLATFORM)
    assert isinstance(answer, Profile)
    assert (answer.unscorable_reason, answer.unscorable_feature) == (reason, feature)
    profile = read_profile(desk.store, Assessor(desk.store, FakeScorer()), "zoe", CNY)
    assert (profile.unscorable_reason, profile.unscorable_feature) == (reason, feature)
    it = rental(desk, authorize("zoe"))
    assert it.reasons == ((reason,) if reason else ())


def test_values_are_packed_for_every_machine() -> None:
    """Raw values are little-endian float64, eight bytes each."""
    assert pack([1.0, -2.0]) == bytes.fromhex("000000000000f03f00000000000000c0")
    assert list(unpack(pack([1.5, 0.1]))) == [1.5, 0.1]


def test_a_schema_is_named_by_its_order() -> None:
    """The id of a schema changes with the names and with their order."""
    ids = {schema_id_of(names) for names in (("a", "b"), ("b", "a"), ("a",), ("a, b",))}
    assert len(ids) == 4
