"""Features that are texts, and features of models that are not served."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import pytest
from sqlalchemy import select

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.errors import ActRefused, InvalidInput, NotFound
from service.engine.feature_values import Kind, ModelFeatures, pack, texts_as_json, unpack
from service.engine.operations import PutUser
from service.engine.records.administration import Asked
from service.storage import schema as t
from service.storage.admin import by_shell
from service.storage.models import (
    ModelBlocked,
    ModelRetired,
    accept_model,
    kinds_of_models,
    list_models,
    register_model,
    register_served,
    require_accepted,
    retire_model,
)
from tests.engine.calls import authorize, profile, rental
from tests.fakes import START_US, Desk, FakeScored, FakeScorer, FakeUnscorable

ON_BOTH = "models and terms are changed by statements of their own"

SCORES = (600.0, 700.0)


class JobScorer(FakeScorer):
    """A model of one text: the score of each known job."""

    model_id = "jobs"
    raw_names: tuple[str, ...] = ("job", "age")
    absent_names = frozenset({"age"})
    levels: Mapping[str, Mapping[str, float]] = {"job": {"clerk": 0, "pilot": 1}}

    def score_with_reasons(
        self, rows: Sequence[bytes], below: int
    ) -> list[tuple[FakeScored | FakeUnscorable, tuple[str, ...]]]:
        """The score of the job; an unseen job and a missing one have none."""
        found: list[tuple[FakeScored | FakeUnscorable, tuple[str, ...]]] = []
        for row in rows:
            job, _age = unpack(row)
            if math.isnan(job) or job < 0:
                found.append((FakeUnscorable("MISSING" if job != job else "UNSEEN", "job"), ()))
            else:
                found += super().score_with_reasons([pack([SCORES[int(job)], 0.0])], below)
        return found


def put(raw: Sequence[float], names: tuple[str, ...], **texts: str) -> PutUser:
    return PutUser("zoe", pack(raw), START_US, True, names=names, texts=texts_as_json(texts))


@pytest.mark.parametrize(
    ("sent", "score", "reason"),
    [
        (put([], (), job="pilot"), 700, ""),
        (put([30.0], ("age",), job="clerk"), 600, ""),
        (put([], (), job="poet"), None, "UNSEEN"),
        (put([math.nan], ("job",)), None, "MISSING"),
        (put([], ()), None, "FEATURE_NOT_SENT"),
        (put([], (), work="pilot"), None, "FEATURE_NOT_SENT"),
        (put([1.0], ("job",)), None, "FEATURE_OF_OTHER_KIND"),
        (put([], (), job="pilot", age="30"), None, "FEATURE_OF_OTHER_KIND"),
    ],
)
def test_a_text_is_known_unseen_missing_or_not_sent(
    desk: Desk, sent: PutUser, score: int | None, reason: str
) -> None:
    """A model of texts tells a known text, an unseen text, a missing value, a value that was not
    sent and a value of another kind apart, when it is put and when it is decided on."""
    jobs = Desk(desk.store, scorer=JobScorer())
    answer = profile(jobs.do(sent, request_id="sent", caller=PLATFORM))
    assert (answer.score, answer.unscorable_reason) == (score, reason)
    it = rental(jobs, authorize("zoe"), request_id="asked")
    assert it.reasons == ((reason,) if reason else () if score == 700 else it.reasons)
    with desk.store.engine.connect() as connection:
        read = connection.scalars(select(t.decisions.c.score)).all()[-1]
    assert read == score


def test_texts_are_kept_for_the_next_model(desk: Desk) -> None:
    """Texts that the served model does not read are kept, and a later model scores with them."""
    sent = PutUser("zoe", pack([640.0, 0.0]), START_US, True, texts=texts_as_json({"job": "pilot"}))
    assert profile(desk.do(sent, caller=PLATFORM)).score == 640
    jobs = Desk(desk.store, scorer=JobScorer())
    assert rental(jobs, authorize("zoe"), request_id="next").band == "A"


def test_numbers_and_texts_are_stored_by_name(desk: Desk) -> None:
    """The stored texts are a canonical JSON object; features without texts store none."""
    desk.do(put([640.0], ("score",), job="pilot", area="北京"), caller=PLATFORM)
    desk.put_user("ann", 700)
    with desk.store.engine.connect() as connection:
        rows = connection.execute(
            select(t.feature_snapshots.c.user_id, t.feature_snapshots.c.texts)
        ).all()
    texts = {row.user_id: row.texts for row in rows}
    assert texts["zoe"] == json.dumps({"area": "北京", "job": "pilot"}, separators=(",", ":"))
    assert texts["ann"] == ""


# -- models ----------------------------------------------------------------------------------

JOBS = ModelFeatures("jobs", "loss", {"job": Kind.TEXT, "age": Kind.NUMBER})
OLDER = ModelFeatures("older", "loss", {"age": Kind.NUMBER, "job": Kind.NUMBER})


def asked(number: int) -> Asked:
    return by_shell("models", [number], "", "tester")


def test_a_name_is_known_until_its_last_model_is_retired(desk: Desk) -> None:
    """The names of all registered models are known with their kinds; those of a retired model are
    not."""
    engine = desk.store.engine
    register_served(engine, JOBS, START_US + 5)
    register_served(engine, JOBS, START_US + 6)
    register_model(engine, asked(1), OLDER, START_US + 7)
    assert kinds_of_models(engine) == {
        "age": {Kind.NUMBER},
        "job": {Kind.NUMBER, Kind.TEXT},
    }
    retire_model(engine, asked(2), "jobs", "replaced", START_US + 8)
    assert kinds_of_models(engine) == {"age": {Kind.NUMBER}, "job": {Kind.NUMBER}}
    first, second = list_models(engine)
    assert (first.model_id, first.register_us, first.retire_us) == (
        "jobs",
        START_US + 5,
        START_US + 8,
    )
    assert (second.model_id, second.kinds, second.reason) == ("older", dict(OLDER.kinds), "")


def test_a_retired_model_is_not_served(desk: Desk) -> None:
    """A server does not start with a retired model until somebody registers it again."""
    engine = desk.store.engine
    register_served(engine, JOBS, START_US + 5)
    retire_model(engine, asked(1), "jobs", "unfair", START_US + 4)
    with pytest.raises(ModelRetired, match="register this one again"):
        register_served(engine, JOBS, START_US + 9)
    with pytest.raises(ActRefused, match="retired already"):
        retire_model(engine, asked(2), "jobs", "unfair", START_US + 9)
    register_model(engine, asked(3), JOBS, START_US + 10)
    register_served(engine, JOBS, START_US + 11)
    assert [it.retire_us for it in list_models(engine)] == [None]
    with pytest.raises(NotFound):
        retire_model(engine, asked(4), "unknown", "why", START_US + 12)


def test_acts_on_models_are_in_the_record(desk: Desk) -> None:
    """Registering and retiring by a person stand in the record of acts."""
    engine = desk.store.engine
    register_model(engine, asked(1), JOBS, START_US + 7)
    retire_model(engine, asked(2), "jobs", "replaced", START_US + 8)
    with engine.connect() as connection:
        query = select(t.audit.c.act, t.audit.c.subject).order_by(t.audit.c.record_us)
        acts = connection.execute(query).all()
    assert [tuple(it) for it in acts][-2:] == [
        ("models.registered", "models/jobs"),
        ("models.retired", "models/jobs"),
    ]


def test_a_blocked_model_needs_two_people(desk: Desk) -> None:
    """A model that its fairness gate blocks is served once two people have accepted it, each with a
    reason and once; the record of acts has both, and the books fit it."""
    engine = desk.store.engine

    def accept(user: str, reason: str = "no better model") -> None:
        request = by_shell("accept_model", ["jobs", reason], "", user)
        accept_model(engine, request, "jobs", "blocked", reason, START_US + 7)

    with pytest.raises(ModelBlocked, match="let two people accept it"):
        require_accepted(engine, "jobs")
    accept("ada")
    with pytest.raises(ModelBlocked, match="so far, shell/ada accepted it"):
        require_accepted(engine, "jobs")
    with pytest.raises(ActRefused, match="another person must"):
        accept("ada")
    with pytest.raises(InvalidInput):
        accept("bob", "")
    accept("bob")
    require_accepted(engine, "jobs")
    with pytest.raises(ModelBlocked):
        require_accepted(engine, "other")
    assert verify_books(desk.store.engine).fault is None


def test_a_text_for_a_number_prevents_a_score_beside_all_numbers(desk: Desk) -> None:
    """A text for a feature that is a number prevents the score, also if all numbers of the model
    are sent: when it is put, and when it is decided on."""
    sent = PutUser("zoe", pack([700.0, 0.0]), START_US, True, texts='{"other":"much"}')
    answer = profile(desk.do(sent, caller=PLATFORM))
    assert (answer.score, answer.unscorable_reason) == (None, "FEATURE_OF_OTHER_KIND")
    assert rental(desk, authorize("zoe")).reasons == ("FEATURE_OF_OTHER_KIND",)
