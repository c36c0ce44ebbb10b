"""Administrative acts: each is one transaction, with its line in the record of acts.

Acts on one owner's keys and persons happen one after another: each locks the owner's row in
`audit_heads`. So the record has no gap, and no two acts see the same state. A repeated request id
gets the first answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unicodedata import category

from sqlalchemy import Connection, Engine, delete, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from service.domain.access import PLATFORM
from service.domain.errors import ActRefused, InvalidInput, approval_required
from service.engine.ports import OutcomeUnknown, StorageFailed
from service.engine.records.administration import Asked, AuditEvent, Proposal
from service.engine.records.requests import Replayed, RequestRecord
from service.storage import schema as t
from service.storage.database import reading, telling, writing
from service.storage.known_operators import require_known
from service.storage.proposals import use_approval

LONGEST_TEXT = 200


@contextmanager
def changing(engine: Engine) -> Iterator[Connection]:
    """A write transaction for a server's call; raises StorageFailed or OutcomeUnknown."""
    committing = False
    try:
        with writing(engine) as connection:
            yield connection
            committing = True
    except IntegrityError as error:
        # Another act with the same name came first. The next try sees it.
        raise StorageFailed(
            "the database refused the act: try again, another may have come first"
        ) from telling(error)
    except DBAPIError as error:
        if committing and error.connection_invalidated:
            raise OutcomeUnknown("the commit was not answered") from telling(error)
        raise StorageFailed("the database refused the act") from telling(error)
    except SQLAlchemyError as error:
        raise StorageFailed("the database refused the act") from telling(error)


class Administration:
    """One act on one owner's keys or persons: its transaction, its request and its time."""

    def __init__(self, connection: Connection, asked: Asked, owner: str, now_us: int) -> None:
        """Waits for other acts on the same owner, and locks the record."""
        self.connection = connection
        self.asked = asked
        self.owner = owner
        self.now_us = now_us
        self._approved = 0, ""
        self._first_us = now_us
        heads = t.audit_heads
        mine = heads.c.owner == owner
        number = connection.scalar(select(heads.c.number).where(mine).with_for_update())
        if number is None:
            connection.execute(insert(heads).values(owner=owner, number=0))
        self.number = number or 0

    def lock_too(self, owner: str) -> None:
        """Waits for acts on another owner as well, whose record gets no act.

        Whoever locks two owners locks the platform last.
        """
        heads = t.audit_heads
        mine = heads.c.owner == owner
        query = select(heads.c.number).where(mine).with_for_update()
        if self.connection.scalar(query) is None:
            self.connection.execute(insert(heads).values(owner=owner, number=0))

    @property
    def operator_id(self) -> str | None:
        """The owner as keys name it; None for the platform."""
        return None if self.owner == PLATFORM else self.owner

    def require_owner(self) -> None:
        """Raises NotFound if the operator does not exist, or is not the caller's business."""
        require_known(self.connection, self.owner)

    def first(self) -> RequestRecord | None:
        """The record of the request id, or None for a new one."""
        r, asked = t.requests.c, self.asked
        if not asked.request_id:
            return None
        mine = r.caller == asked.caller, r.request_id == asked.request_id
        found = self.connection.execute(select(t.requests).where(*mine)).first()
        if found is None:
            return None
        first = RequestRecord(*found)
        self._first_us = first.record_us
        return first

    def again(self, first: RequestRecord) -> Replayed:
        """The stored answer; raises RequestIdReused for another request."""
        return first.answer_again(self.asked.method, self.asked.body, self.asked.differs)

    def keep(self, answer: bytes) -> None:
        """Stores the answer for retries, in place of an earlier one whose time it keeps."""
        r, asked = t.requests.c, self.asked
        if not asked.request_id:
            return
        mine = r.caller == asked.caller, r.request_id == asked.request_id
        self.connection.execute(delete(t.requests).where(*mine))
        row = RequestRecord(
            asked.caller, asked.request_id, asked.method, asked.body, answer, "", "", self._first_us
        )
        self.connection.execute(insert(t.requests), row._asdict())

    def require_second_person(self) -> Proposal | None:
        """The proposal that allows the call; None for a command, which needs none.

        `use_us` of the proposal is None for its first use. Raises ActRefused without an approval,
        and for a key without a person.
        """
        by = self.asked.by.principal
        if by is None:
            return None
        if not by.person_id:
            raise ActRefused(
                "PERSON_REQUIRED",
                "this act needs two persons, and the key belongs to a program:"
                " use a key of a person",
            )
        if self.asked.approval is None:
            raise approval_required(self.asked.method)
        used = use_approval(self.connection, by, self.asked.approval, self.now_us)
        self._approved = used.number, used.approved_by
        return used

    def require_second_person_of_persons(self) -> None:
        """As `require_second_person`, but a key without a person needs no approval."""
        by = self.asked.by.principal
        if by is not None and by.person_id:
            self.require_second_person()

    def note(self, act: str, subject: str, **details: Any) -> None:
        """Adds an act to the owner's record."""
        self.number += 1
        heads = t.audit_heads
        moved = update(heads).where(heads.c.owner == self.owner).values(number=self.number)
        self.connection.execute(moved)
        by, (proposal, approved_by) = self.asked.by, self._approved
        key = by.principal
        event = AuditEvent(
            self.owner,
            self.number,
            self.now_us,
            act,
            subject,
            json.dumps(details, sort_keys=True),
            key.owner if key else "",
            key.key_id if key else "",
            key.person_id if key else "",
            by.shell_user,
            self.asked.request_id,
            proposal,
            approved_by,
        )
        self.connection.execute(insert(t.audit), event._asdict())


def require_text(field: str, text: str, *, shortest: int = 0, longest: int = LONGEST_TEXT) -> None:
    """Raises InvalidInput unless a text has no control characters and a fitting length."""
    # Joiners are parts of names in some scripts.
    plain = not any(category(it).startswith("C") and it not in "\u200c\u200d" for it in text)
    if not (shortest <= len(text) <= longest and plain):
        rule = f"must have {shortest} to {longest:,} characters, and no control characters"
        raise InvalidInput.of(field, f"{field}.form", rule)


def administer(
    engine: Engine,
    asked: Asked,
    owner: str,
    now_us: int,
    act: Callable[[Administration], bytes],
) -> bytes:
    """Does an act once for its request id; returns its answer, or the first one (Replayed)."""
    with changing(engine) as connection:
        desk = Administration(connection, asked, owner, now_us)
        first = desk.first()
        if first is not None:
            return desk.again(first)
        desk.require_owner()
        answer = act(desk)
        desk.keep(answer)
        return answer


def list_audit(
    engine: Engine, owner: str | None, since_us: int = 0, after: int = 0, size: int | None = None
) -> list[AuditEvent]:
    """A page of the acts on an owner's keys and persons, or of all owners (None), the oldest first.

    `after` is the number of the last act of the page before. Raises NotFound for an unknown
    operator.
    """
    a = t.audit.c
    query = select(t.audit).where(a.record_us >= since_us)
    if owner is None:
        query = query.order_by(a.record_us, a.owner, a.number)
    else:
        query = query.where(a.owner == owner, a.number > after).order_by(a.number).limit(size)
    with reading(engine) as connection:
        require_known(connection, owner)
        return [AuditEvent(*row) for row in connection.execute(query)]
