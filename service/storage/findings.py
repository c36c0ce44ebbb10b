"""Findings on models: opened by one person, and closed by another one.

They are acts in the platform's record, which nobody changes: so each is kept for ever, with its
author and its time.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, Engine, select

from service.domain.access import PLATFORM
from service.domain.errors import ActRefused, InvalidInput, NotFound
from service.engine.records.administration import Asked, AuditEvent
from service.storage import schema as t
from service.storage.administration import Administration, administer, require_text
from service.storage.compatibility import FINDINGS_BUILD, shut_out_older
from service.storage.database import reading

OPENED, CLOSED = "models.finding_opened", "models.finding_closed"
HIGH = "high"
SEVERITIES = ("low", "medium", HIGH)
LONGEST = 2_000
"""The characters of a finding's text, and of the text that closes it."""


class Finding(NamedTuple):
    """A finding on a model; `number` counts the findings on a model from 1. `close_us` is None, and
    the texts after it are empty, as long as it is open."""

    model_id: str
    number: int
    severity: str
    text: str
    open_us: int
    opened_by: str
    close_us: int | None = None
    closed_by: str = ""
    close_text: str = ""


class FindingsOpen(ActRefused):
    """A model with an open finding of high severity is not accepted."""

    def __init__(self, model_id: str, numbers: Collection[int]) -> None:
        names = ", ".join(map(str, numbers))
        super().__init__(
            "FINDING_OPEN",
            f"model {model_id} has open findings of high severity ({names}): let another person "
            "close them by `freehold model finding close`, or accept it with --despite-findings",
        )


def open_finding(
    engine: Engine, asked: Asked, model_id: str, severity: str, text: str, now_us: int
) -> bytes:
    """Opens a finding on a registered model; returns its number as text.

    Raises InvalidInput, and NotFound for an unknown model.
    """

    def act(desk: Administration) -> bytes:
        require_text("text", text, shortest=1, longest=LONGEST)
        if severity not in SEVERITIES:
            raise InvalidInput.of("severity", "severity.known", f"must be one of {SEVERITIES}")
        _require_model(desk.connection, model_id)
        shut_out_older(desk.connection, FINDINGS_BUILD)
        number = len(_findings(desk.connection, model_id)) + 1
        desk.note(OPENED, f"models/{model_id}", finding=number, severity=severity, text=text)
        return str(number).encode()

    return administer(engine, asked, PLATFORM, now_us, act)


def close_finding(
    engine: Engine, asked: Asked, model_id: str, number: int, text: str, now_us: int
) -> bytes:
    """Closes a finding of another person.

    Raises InvalidInput, NotFound, and ActRefused for a closed finding or one of the same person.
    """

    def act(desk: Administration) -> bytes:
        require_text("text", text, shortest=1, longest=LONGEST)
        found = {it.number: it for it in _findings(desk.connection, model_id)}
        it = found.get(number)
        if it is None:
            raise NotFound("finding", f"{model_id}/{number}")
        if it.close_us is not None:
            raise ActRefused("FINDING_CLOSED", f"finding {number} was closed by {it.closed_by}")
        if it.opened_by == asked.by.text:
            raise ActRefused(
                "SAME_PERSON", f"finding {number} was opened by {it.opened_by}: another person must"
                " close it"
            )  # fmt: skip
        desk.note(CLOSED, f"models/{model_id}", finding=number, text=text)
        return b""

    return administer(engine, asked, PLATFORM, now_us, act)


def list_findings(engine: Engine, model_id: str = "") -> list[Finding]:
    """The findings on a model, or on all models, the first opened first.

    Raises NotFound for an unknown model.
    """
    with reading(engine) as connection:
        if model_id:
            _require_model(connection, model_id)
        return _findings(connection, model_id)


def high_findings(connection: Connection, model_id: str = "") -> dict[str, list[int]]:
    """The numbers of the open findings of high severity, by their models."""
    numbers: dict[str, list[int]] = {}
    for it in _findings(connection, model_id):
        if it.severity == HIGH and it.close_us is None:
            numbers.setdefault(it.model_id, []).append(it.number)
    return numbers


def _require_model(connection: Connection, model_id: str) -> None:
    """Raises NotFound for an unknown model."""
    known = select(t.models.c.model_id).where(t.models.c.model_id == model_id)
    if connection.scalar(known) is None:
        raise NotFound("model", model_id)


def _findings(connection: Connection, model_id: str) -> list[Finding]:
    """Those of one model, or of all models for an empty id."""
    a = t.audit.c
    query = select(t.audit).where(a.owner == PLATFORM, (a.act == OPENED) | (a.act == CLOSED))
    if model_id:
        query = query.where(a.subject == f"models/{model_id}")
    found: dict[tuple[str, int], Finding] = {}
    for row in connection.execute(query.order_by(a.number)):
        it = AuditEvent(*row)
        details = json.loads(it.details)
        of, number = it.subject.removeprefix("models/"), details["finding"]
        if it.act == OPENED:
            told = details["severity"], details["text"]
            found[of, number] = Finding(of, number, *told, it.record_us, it.by_text)
        else:
            closed = {
                "close_us": it.record_us,
                "closed_by": it.by_text,
                "close_text": details["text"],
            }
            found[of, number] = found[of, number]._replace(**closed)
    return list(found.values())
