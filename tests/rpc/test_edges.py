"""Edge cases that an ordinary caller meets and an attacker uses."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from freehold.v1.authorization_service_pb2 import AuthorizeRequest
from freehold.v1.credit_service_pb2 import PutUsersRequest

from service.config import Limits
from service.engine.calls import Profile
from service.engine.feature_values import pack
from service.engine.operations import PutUser
from tests.fakes import START_US, Desk, new_database, serving
from tests.rpc.support import Desks, Refused, advance, desks, outcome, user_with

ROOT = Path(__file__).resolve().parents[2]

FAULT_WITH_A_KEY = """
import structlog
from service.config import LogLimits
from service.logs import configure_logs

configure_logs(LogLimits())

def look_up(header):
    raise RuntimeError("away")

try:
    look_up("Bearer fh_" + "secret" + "-key")
except RuntimeError as error:
    structlog.get_logger("freehold").error("fault", fault_id="x", exc_info=error)
"""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desks]:
    with serving(tmp_path) as served, desks(served) as callers:
        yield callers


@pytest.mark.parametrize("after", ["\ud800", "a\0b", "x" * 100, "zz"])
def test_a_forged_token_is_refused(desk: Desks, after: str) -> None:
    """A page token that contains no authorization's id is refused at its field."""
    token = base64.urlsafe_b64encode(json.dumps([after, "", 0]).encode()).decode()
    result = outcome(lambda: desk.operator.page(page_token=token))
    assert isinstance(result, Refused)
    assert result.fields == {"page_token"}


def test_a_token_with_a_nul_is_refused(desk: Desks) -> None:
    """A NUL in a page token is refused at its field."""
    result = outcome(lambda: desk.operator.page(page_token="W\0yIiLCAiIiwgMF0="))
    assert isinstance(result, Refused)


@pytest.mark.parametrize("people", [100, 200, 1000])
def test_many_bad_fields_are_still_invalid_argument(desk: Desks, people: int) -> None:
    """With any number of bad fields, the answer is INVALID_ARGUMENT with the first of them."""
    request = PutUsersRequest(request_id="r", users=[user_with("é", 600) for _ in range(people)])
    refusal = desk.platform.refused("PutUsers", request)
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "users[0].user_id" in refusal.fields


def test_a_long_bad_name_is_still_invalid_argument(desk: Desks) -> None:
    """A bad feature name of any length is INVALID_ARGUMENT."""
    user = user_with("a", 600)
    user.features["x" * 20_000] = 1.0
    refusal = desk.platform.refused("PutUsers", PutUsersRequest(request_id="r", users=[user]))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT


def test_features_of_the_future_count_as_of_now(desk: Desks) -> None:
    """Features as of any future instant count as of the server's now; repeated, they get the same
    answer."""
    user, request_id = user_with("seer", 600, as_of_s=4_102_444_800), desk.platform.fresh()
    (profile,) = desk.platform.put(user, request_id=request_id)
    assert profile.as_of.ToMicroseconds() == desk.served.clock.now_us()
    advance(desk, 5)
    assert desk.platform.put(user, request_id=request_id) == [profile]
    assert desk.platform.profile("seer").as_of == profile.as_of


@pytest.mark.parametrize("nanos", [-1, 10**9, 2**31 - 1])
def test_invalid_times_are_refused(desk: Desks, nanos: int) -> None:
    """A Timestamp or Duration with nanos out of range is refused at its field."""
    user = user_with("a", 600)
    user.as_of.nanos = nanos
    refusal = desk.platform.refused("PutUsers", PutUsersRequest(request_id="r", users=[user]))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    request = AuthorizeRequest(request_id="r", user_id="u", product_id="bike")
    request.pickup_window.seconds, request.pickup_window.nanos = 5, nanos
    refusal = desk.operator.refused("Authorize", request)
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_pick_up_window_is_at_least_a_second(desk: Desks) -> None:
    """A pick-up window of less than a second is refused at its field."""
    request = AuthorizeRequest(request_id="r", user_id="u", product_id="bike")
    request.pickup_window.nanos = 1
    refusal = desk.operator.refused("Authorize", request)
    assert refusal.fields == {"pickup_window"}


def test_a_database_that_is_away_is_unavailable_for_reads(desk: Desks) -> None:
    """A read that the database refuses is UNAVAILABLE, like a write."""
    user = desk.platform.person()
    name = desk.operator.authorize(user).name
    with desk.served.store.engine.connect().execution_options(writes=True) as connection:
        connection.exec_driver_sql("ALTER TABLE authorizations RENAME TO gone")
        connection.commit()
    refusal = outcome(lambda: desk.operator.get(name))
    assert isinstance(refusal, Refused)
    assert refusal.code is grpc.StatusCode.UNAVAILABLE


def test_the_log_of_a_fault_has_no_key_and_no_person() -> None:
    """A fault's log line has the traceback, without the values of its variables."""
    done = subprocess.run(
        [sys.executable, "-c", FAULT_WITH_A_KEY],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}"},
    )
    assert "look_up" in done.stderr
    assert "fh_secret-key" not in done.stderr


def test_two_registrations_of_one_person_in_a_batch(tmp_path: Path) -> None:
    """Each registration's limit follows from its own features."""
    engine = Desk(new_database(f"sqlite:///{tmp_path / 'a.db'}"))
    works = [
        engine.work(
            PutUser("w", pack([score, 0.0]), START_US, True),
            request_id=f"p{score}",
            caller="platform",
        )
        for score in (510.0, 900.0)
    ]
    engine.apply(*works)
    answers = [engine.answers[work.request_id] for work in works]
    assert [it.score for it in answers if isinstance(it, Profile)] == [510, 900]
    engine.store.close()


def test_a_used_bulk_id_with_other_people_is_refused(desk: Desks) -> None:
    """PutUsers under a used request id with other people is ALREADY_EXISTS."""
    desk.platform.put(user_with("a", 600), request_id="same")
    result = outcome(lambda: desk.platform.put(user_with("b", 600), request_id="same"))
    assert isinstance(result, Refused)


def test_calls_during_a_stop_are_unavailable(tmp_path: Path) -> None:
    """Calls during the server's stop are UNAVAILABLE, never CANCELLED."""
    codes: list[grpc.StatusCode] = []
    under_way = threading.Barrier(17)
    with serving(tmp_path, limits=Limits(notice_s=2.0)) as served, desks(served) as callers:

        def client() -> None:
            callers.operator.authorize("stranger", "umbrella")
            under_way.wait(30)
            while True:
                result = outcome(lambda: callers.operator.authorize("stranger", "umbrella"))
                if isinstance(result, Refused):
                    codes.append(result.code)
                    return

        threads = [threading.Thread(target=client) for _ in range(16)]
        for thread in threads:
            thread.start()
        under_way.wait(30)
        asyncio.run_coroutine_threadsafe(served.app.stop(), served.loop).result(30)
        for thread in threads:
            thread.join(30)
    assert codes == [grpc.StatusCode.UNAVAILABLE] * 16
