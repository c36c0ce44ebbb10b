"""The server killed and stopped under load: what was acknowledged is there, once."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from freehold.v1.authorization_pb2 import Authorization

from tests.faults.load import Connection, History, crowd, load, stored_answers, until
from tests.faults.support import people, prepare, server

SEED = 20_260_601
KILLS = 5
CLIENTS = 16


def mutating(history: History) -> dict[str, bytes]:
    """What was acknowledged, without the bulk calls."""
    return {
        request_id: told.answer
        for request_id, told in history.told.items()
        if told.sent.method != "PutUsers"
    }


def test_kill_under_load_loses_and_doubles_nothing(tmp_path: Path, model: Path) -> None:
    """Killed in the middle of its load and started again, the server has every acknowledged call.

    Each is there once and answered to a retry byte for byte, and the books verify.
    """
    chance = random.Random(SEED)
    file = tmp_path / "freehold.db"
    database = f"sqlite:///{file}"
    keys = prepare(database)
    features = people(model, 5 * CLIENTS)
    history = History()
    caught: list[int] = []
    with ExitStack() as stack:
        running = stack.enter_context(server(database, model, "127.0.0.1:0"))
        listen = running.wait_for("serving")["address"]
        clients, connections = crowd(CLIENTS, history, listen, keys, features, SEED)
        stack.enter_context(load(clients, connections))
        for _ in range(KILLS):
            goal = len(history.told) + chance.randrange(40, 300)
            until(partial(history.has_told, goal), f"{goal} answers")
            until(lambda: len(history.in_flight) > CLIENTS // 2, "calls in flight")
            before = history.failed
            flying = history.in_flight
            running.kill()
            running = stack.enter_context(server(database, model, listen))
            running.wait_for("serving")
            caught.append(len(flying & history.failed - before))
        goal = len(history.told) + 100
        until(partial(history.has_told, goal), "back at work")
        history.stop.set()
        for client in clients:
            client.join()
        check(history, file, Connection(listen, *keys))
        assert running.terminate() == 0
    assert len(caught) == KILLS
    assert max(caught) > 0, "no kill came with calls in flight"


def check(history: History, file: Path, connection: Connection) -> None:
    """The clients' own history against what is stored."""
    told = mutating(history)
    assert set(told) == {
        request_id for request_id, sent in history.sent.items() if sent.method != "PutUsers"
    }
    # Acknowledged is stored, with the same answer, once; and nothing else is.
    assert stored_answers(file) == told
    stored = list(connection.all_authorizations())
    assert len({it.name for it in stored}) == len(stored)
    created = Counter(it.request_id for it in stored)
    asked = {
        request_id for request_id, call in history.told.items() if call.sent.method == "Authorize"
    }
    assert set(created) == asked
    assert set(created.values()) == {1}
    # Each stands as it was last told.
    assert {it.name: it for it in stored} == history.rentals
    states = Counter(it.state for it in stored)
    assert states[Authorization.STATE_SETTLED] > 0
    assert states[Authorization.STATE_REVERSED] > 0
    for call in history.told.values():
        assert connection.send(call.sent) == call.answer
    books = connection.verify()
    assert books.verified, books
    assert books.authorizations == len(stored)
    connection.close()


def test_a_stop_answers_what_was_accepted(tmp_path: Path, model: Path) -> None:
    """SIGTERM drains: what was committed was answered, the process exits 0 and says so last."""
    file = tmp_path / "freehold.db"
    database = f"sqlite:///{file}"
    keys = prepare(database)
    history = History()
    features = people(model, 5 * CLIENTS)
    with server(database, model, "127.0.0.1:0") as running:
        address = running.wait_for("serving")["address"]
        clients, connections = crowd(
            CLIENTS, history, address, keys, features, SEED + 1, retry=False
        )
        with load(clients, connections):
            until(lambda: len(history.told) >= 200, "answers")
            until(lambda: len(history.in_flight) > 1, "calls in flight")
            assert running.terminate() == 0
            for client in clients:
                client.join()
    assert running.events() == ["serving", "stopping", "stopped"]
    assert stored_answers(file) == mutating(history)
