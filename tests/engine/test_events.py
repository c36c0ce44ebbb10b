"""Events of authorizations: encoded once, for the event and for the answer."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from service.domain.authorization import Authorization, Start
from service.engine.calls import Answer, Beside, Group, Payloads, Settled, own_work
from service.engine.operations import Authorize, Command, Item, Wake
from service.storage import schema as t
from tests.engine.calls import authorize, pick_up, rental, settle
from tests.fakes import Desk

ON_BOTH = "the database keeps the order of events"

GROUP = Authorize(
    "ben", (Item("bike", ""), Item("umbrella", ""), Item("umbrella", "")), Start.IMMEDIATE, (),
    grouped=True,
)  # fmt: skip


def payloads(desk: Desk) -> list[bytes]:
    """The payloads of all events of authorizations, in their order."""
    o = t.outbox.c
    query = select(o.payload).where(o.authorization_id != "").order_by(o.sequence)
    with desk.store.engine.connect() as connection:
        return list(connection.scalars(query))


def command_of(desk: Desk, kind: str) -> Command:
    """One command of a kind. For an end by time, the clock is at the instant at which a timer is
    due."""
    if kind == "one step":
        return authorize("ben")
    if kind == "a group":
        return GROUP
    it = rental(desk, pick_up() if kind == "a timer" else authorize())
    desk.clock.advance(it.expire_us or it.due_us or 0)
    return Wake("ann", it.authorization_id) if kind == "a timer" else settle(it, 500)


@pytest.mark.parametrize(
    ("kind", "steps", "told"),
    [("one step", 1, 1), ("a group", 3, 3), ("after what time brought", 2, 1), ("a timer", 1, 1)],
)
def test_an_authorization_is_encoded_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, kind: str, steps: int, told: int
) -> None:
    """Each step of a command is encoded once, and an answer has the bytes of its event. If time
    ended something, the event tells of that too."""
    for user_id in ("ann", "ben"):
        desk.put_user(user_id, 700)
    command = command_of(desk, kind)
    before = len(payloads(desk))
    encode, encoded, given = desk.engine._encode, list[bytes](), list[bytes]()
    encode_beside, beside = desk.engine._encode_beside, list[bytes]()

    def counting(*parts: Any) -> bytes:
        encoded.append(encode(*parts))
        return encoded[-1]

    def telling(row: Beside) -> bytes:
        beside.append(encode_beside(row))
        return beside[-1]

    def answering(answer: Answer, shared: Payloads) -> bytes:
        whole = answer.authorization if isinstance(answer, Settled) else answer
        them = whole.authorizations if isinstance(whole, Group) else [whole]
        given.extend(shared.of(it) for it in them if isinstance(it, Authorization))
        return b"answer"

    monkeypatch.setattr(desk.engine, "_encode", counting)
    monkeypatch.setattr(desk.engine, "_encode_beside", telling)
    work = own_work(command, answering) if kind == "a timer" else desk.work(command)
    work.encode = answering
    assert desk.apply(work) == [b"answer"]
    assert (len(encoded), len(given)) == (steps, told)
    assert len(beside) == (kind == "a timer")
    encoded[-1] += b"".join(beside)
    assert payloads(desk)[before:] == encoded
    assert given == encoded[-told:]
    if not beside:
        assert list(map(id, given)) == list(map(id, encoded[-told:]))
