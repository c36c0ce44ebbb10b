"""Persons who have keys. A person who left has no keys, and the id is not given to anybody else."""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlalchemy import Connection, Engine, insert, select, update

from service.domain.errors import ActRefused, InvalidInput, NotFound
from service.engine.records.administration import Asked, Person
from service.storage import schema as t
from service.storage.administration import Administration, administer, require_text
from service.storage.database import reading
from service.storage.known_operators import require_known

PERSON_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

Encode = Callable[[Person], bytes]


def add_person(
    engine: Engine, asked: Asked, owner: str, person_id: str, name: str, now_us: int, encode: Encode
) -> bytes:
    """Adds a person of an operator or of the platform; returns the answer.

    Raises InvalidInput, NotFound for an unknown operator, ActRefused, and RequestIdReused.
    """

    def act(desk: Administration) -> bytes:
        if not PERSON_ID.fullmatch(person_id):
            text = "must match [a-z0-9][a-z0-9-]{0,62}"
            raise InvalidInput.of("person_id", "person_id.form", text)
        require_text("display_name", name, shortest=1)
        if _read(desk.connection, owner, person_id) is not None:
            raise ActRefused("PERSON_EXISTS", f"the person {person_id} exists, or has left")
        desk.require_second_person()
        person = Person(owner, person_id, name, now_us, desk.asked.by.text, None, None)
        desk.connection.execute(insert(t.persons), person._asdict())
        desk.note("person.added", f"persons/{person_id}", name=name)
        return encode(person)

    return administer(engine, asked, owner, now_us, act)


def leave(desk: Administration, person_id: str) -> Person:
    """The person, who leaves now. Raises NotFound, also for a person who left before."""
    found = _read(desk.connection, desk.owner, person_id)
    if found is None or found.leave_us is not None:
        raise NotFound("person", person_id)
    by = desk.asked.by.text
    left_us = max(desk.now_us, found.create_us)
    p = t.persons.c
    mine = p.owner == desk.owner, p.person_id == person_id
    left = update(t.persons).where(*mine).values(leave_us=left_us, left_by=by)
    desk.connection.execute(left)
    return found._replace(leave_us=left_us, left_by=by)


def require_present(connection: Connection, owner: str, person_id: str) -> None:
    """Raises NotFound for an unknown person, and ActRefused for one who left; an empty id is a
    program's."""
    if not person_id:
        return
    found = _read(connection, owner, person_id)
    if found is None:
        raise NotFound("person", person_id)
    if found.leave_us is not None:
        raise ActRefused("PERSON_LEFT", f"the person {person_id} has left")


def list_persons(
    engine: Engine, owner: str | None = None, after: str = "", size: int | None = None
) -> list[Person]:
    """An owner's persons by their ids, after an id, or those of all owners (None).

    Raises NotFound for an unknown operator.
    """
    p = t.persons.c
    query = select(t.persons).order_by(p.owner, p.person_id).limit(size)
    if owner is not None:
        query = query.where(p.owner == owner, p.person_id > after)
    with reading(engine) as connection:
        require_known(connection, owner)
        return [Person(*row) for row in connection.execute(query)]


def _read(connection: Connection, owner: str, person_id: str) -> Person | None:
    p = t.persons.c
    query = select(t.persons).where(p.owner == owner, p.person_id == person_id)
    found = connection.execute(query).first()
    return None if found is None else Person(*found)
