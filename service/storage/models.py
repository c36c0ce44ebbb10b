"""The models that people's features are kept for.

A server registers the model that it serves. A model that is to be served later is registered by a
command, so that its features can be sent before its promotion.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.domain.access import PLATFORM
from service.domain.errors import ActRefused, NotFound
from service.engine.feature_values import Kind, ModelFeatures
from service.engine.records.administration import Asked, actor_name
from service.storage import schema as t
from service.storage.administration import Administration, administer, require_text
from service.storage.database import reading, writing
from service.storage.findings import FindingsOpen, high_findings

REGISTERED, RETIRED = "models.registered", "models.retired"
ACCEPTED = "models.accepted"
SIGNATURES = 2
"""The people who must accept a model that its fairness gate does not call fine."""
SERVER = "a server that serves it"
"""The author of the registration of a model that no person registered."""


class ModelRetired(ActRefused):
    """A retired model cannot be served."""

    def __init__(self, model_id: str, retired_by: str) -> None:
        super().__init__(
            "MODEL_RETIRED",
            f"model {model_id} was retired by {retired_by}: serve another model, or register this "
            "one again",
        )


class ModelBlocked(ActRefused):
    """A model that the fairness gate blocks is served only once two people have accepted it."""

    def __init__(self, model_id: str, people: Collection[str]) -> None:
        so_far = f"; so far, {', '.join(sorted(people))} accepted it" if people else ""
        super().__init__(
            "MODEL_BLOCKED",
            f"model {model_id} is blocked by its fairness gate: read its report, and serve another "
            "model, or let two people accept it, each by `freehold model accept FOLDER --reason "
            f"TEXT`{so_far}",
        )


class ModelSimulated(ActRefused):
    """A model whose outcomes were simulated is served in a sandbox only."""

    def __init__(self, model_id: str) -> None:
        super().__init__(
            "MODEL_SIMULATED",
            f"model {model_id} has learned from simulated outcomes: train one on real outcomes, or "
            "serve it in a sandbox",
        )


class RegisteredModel(NamedTuple):
    """A model with its registration and retirement."""

    model_id: str
    outcome: str
    kinds: dict[str, Kind]
    register_us: int
    registered_by: str
    retire_us: int | None
    retired_by: str | None
    reason: str


def kinds_of_models(engine: Engine) -> dict[str, frozenset[Kind]]:
    """The kinds of each raw feature that a model knows which is not retired."""
    found: dict[str, set[Kind]] = {}
    with reading(engine) as connection:
        for text in connection.scalars(
            select(t.models.c.kinds).where(t.models.c.retire_us.is_(None))
        ):
            for name, kind in json.loads(text).items():
                found.setdefault(name, set()).add(Kind(kind))
    return {name: frozenset(kinds) for name, kinds in found.items()}


def list_models(engine: Engine) -> list[RegisteredModel]:
    """All models, the first registered first."""
    query = select(t.models).order_by(t.models.c.register_us, t.models.c.model_id)
    with reading(engine) as connection:
        return [_model_of(row) for row in connection.execute(query)]


def register_served(engine: Engine, model: ModelFeatures, now_us: int) -> None:
    """Registers the model that a server serves. Raises ModelRetired for a retired one."""
    c = t.models.c
    known = select(c.retire_us, c.retired_by).where(c.model_id == model.model_id)
    with reading(engine) as connection:
        row = connection.execute(known).first()
    if row is None:
        try:
            with writing(engine) as connection:
                connection.execute(insert(t.models), _row(model, now_us, SERVER))
        except IntegrityError:
            return  # another server was first
    elif row.retire_us is not None:
        raise ModelRetired(model.model_id, row.retired_by)


def register_model(engine: Engine, asked: Asked, model: ModelFeatures, now_us: int) -> bytes:
    """Registers a model; a retired one counts again from now on. A registered one is left alone."""

    def act(desk: Administration) -> bytes:
        c = t.models.c
        connection, here = desk.connection, c.model_id == model.model_id
        row = connection.execute(select(c.retire_us).where(here)).first()
        if row is None:
            connection.execute(insert(t.models), _row(model, now_us, asked.by.text))
        elif row.retire_us is None:
            return b""
        else:
            back = {"retire_us": None, "retired_by": None, "reason": ""}
            connection.execute(update(t.models).where(here).values(back))
        desk.note(
            REGISTERED, f"models/{model.model_id}", outcome=model.outcome, kinds=_text(model.kinds)
        )
        return b""

    return administer(engine, asked, PLATFORM, now_us, act)


def retire_model(engine: Engine, asked: Asked, model_id: str, reason: str, now_us: int) -> bytes:
    """Retires a model: names that no other model knows are no longer kept.

    Servers that serve it go on until they stop. Raises NotFound, and ActRefused for a model that is
    retired.
    """

    def act(desk: Administration) -> bytes:
        require_text("reason", reason, shortest=1)
        c, connection = t.models.c, desk.connection
        here = c.model_id == model_id
        row = connection.execute(select(c.retire_us, c.register_us).where(here)).first()
        if row is None:
            raise NotFound("model", model_id)
        if row.retire_us is not None:
            raise ActRefused("MODEL_RETIRED", f"model {model_id} is retired already")
        at_us = max(now_us, row.register_us)
        ended = {"retire_us": at_us, "retired_by": asked.by.text, "reason": reason}
        connection.execute(update(t.models).where(here).values(ended))
        desk.note(RETIRED, f"models/{model_id}", reason=reason)
        return b""

    return administer(engine, asked, PLATFORM, now_us, act)


def accept_model(
    engine: Engine,
    asked: Asked,
    model_id: str,
    verdict: str,
    reason: str,
    now_us: int,
    *,
    despite_findings: bool = False,
) -> bytes:
    """Records that a person accepts a model in spite of the verdict of its fairness gate.

    Raises ActRefused for a person who has accepted it, and FindingsOpen for a model with an open
    finding of high severity, unless it is accepted despite that.
    """

    def act(desk: Administration) -> bytes:
        require_text("reason", reason, shortest=1)
        numbers = high_findings(desk.connection, model_id).get(model_id)
        if numbers and not despite_findings:
            raise FindingsOpen(model_id, numbers)
        if asked.by.text in _accepted_by(desk.connection, model_id):
            raise ActRefused(
                "MODEL_ACCEPTED",
                f"{asked.by.text} has accepted model {model_id} already: another person must",
            )
        desk.note(ACCEPTED, f"models/{model_id}", verdict=verdict, reason=reason)
        return b""

    return administer(engine, asked, PLATFORM, now_us, act)


def people_who_accept(engine: Engine, model_id: str) -> frozenset[str]:
    """The people who have accepted a model."""
    with reading(engine) as connection:
        return _accepted_by(connection, model_id)


def require_accepted(engine: Engine, model_id: str) -> None:
    """Raises ModelBlocked unless two people have accepted a model."""
    people = people_who_accept(engine, model_id)
    if len(people) < SIGNATURES:
        raise ModelBlocked(model_id, people)


def _accepted_by(connection: Connection, model_id: str) -> frozenset[str]:
    c = t.audit.c
    mine = c.owner == PLATFORM, c.act == ACCEPTED, c.subject == f"models/{model_id}"
    by = c.by_owner, c.by_person_id, c.by_key_id, c.by_user
    return frozenset(actor_name(*row) for row in connection.execute(select(*by).where(*mine)))


def _text(kinds: Mapping[str, Kind]) -> str:
    """The stored form of the kinds of a model's raw features."""
    return json.dumps(dict(kinds), sort_keys=True, separators=(",", ":"))


def _row(model: ModelFeatures, now_us: int, by: str) -> dict[str, object]:
    return {
        "model_id": model.model_id,
        "outcome": model.outcome,
        "kinds": _text(model.kinds),
        "register_us": now_us,
        "registered_by": by,
    }


def _model_of(row: object) -> RegisteredModel:
    found = RegisteredModel(*row)  # type: ignore[misc]
    kinds = {name: Kind(kind) for name, kind in json.loads(str(found.kinds)).items()}
    return found._replace(kinds=kinds)
