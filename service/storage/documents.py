"""Rows of documents of terms: reads them, adds them, and takes them from step to step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, insert, select, update

from service.domain.access import PLATFORM
from service.domain.documents import DocumentKind, DocumentState, digest_of
from service.domain.errors import NotFound, TermsDamaged
from service.domain.near_names import near_name
from service.domain.terms_readers import Parsed
from service.engine.records.documents import DocumentName, TermsDocument
from service.storage import schema as t

D = t.terms_documents.c


def _of(kind: str, owner: str, name: str) -> list[ColumnElement[bool]]:
    return [D.kind == kind, D.owner == owner, D.name == name]


def read_one(connection: Connection, it: DocumentName) -> TermsDocument:
    """One revision of a document; raises NotFound."""
    query = select(t.terms_documents).where(*_of(*it[:3]), D.revision == it.revision)
    found = connection.execute(query).first()
    if found is None:
        raise missing(connection, it)
    return TermsDocument(*found)


def missing(connection: Connection, it: DocumentName) -> NotFound:
    """The error for a document or a revision that its owner does not have, with a near name."""
    mine = D.kind == it.kind, D.owner == it.owner
    names = set(connection.scalars(select(D.name).where(*mine).distinct()))
    if it.name in names:
        return NotFound(it.kind, f"{it.name}/{it.revision}")
    return NotFound(it.kind, it.name, near_name(it.name, names))


def require_name(connection: Connection, owner: str, kind: str, name: str) -> None:
    """Raises NotFound, with a near name, for a name that no document of an owner has.

    An empty kind means any kind, and an empty name is not checked.
    """
    mine = select(D.name).where(D.owner == owner, *([D.kind == kind] if kind else []))
    if name and connection.scalar(mine.where(D.name == name).limit(1)) is None:
        raise NotFound(kind or "terms", name, near_name(name, connection.scalars(mine.distinct())))


def active_of(connection: Connection, kind: str, owner: str, name: str) -> TermsDocument | None:
    """The revision in force of a document, or None."""
    query = select(t.terms_documents).where(*_of(kind, owner, name), _active())
    found = connection.execute(query).first()
    return None if found is None else TermsDocument(*found)


def _active() -> ColumnElement[bool]:
    # The literal text lets SQLite use the partial index.
    condition: ColumnElement[bool] = D.state == DocumentState.ACTIVE
    return condition


def newest_of(connection: Connection, kind: str, owner: str, name: str) -> TermsDocument | None:
    """The newest revision of a document, or None."""
    query = select(t.terms_documents).where(*_of(kind, owner, name))
    found = connection.execute(query.order_by(D.revision.desc()).limit(1)).first()
    return None if found is None else TermsDocument(*found)


def actives_of(connection: Connection, kind: str, owner: str | None) -> list[TermsDocument]:
    """The revisions in force of a kind: of an owner, or of all owners (None)."""
    query = select(t.terms_documents).where(D.kind == kind, _active())
    if owner is not None:
        query = query.where(D.owner == owner)
    return [TermsDocument(*row) for row in connection.execute(query.order_by(D.owner, D.name))]


def reached(connection: Connection, kind: str, owner: str, name: str) -> TermsDocument | None:
    """The document in force that an owner's document means by a name: the owner's, or else the
    platform's."""
    own = active_of(connection, kind, owner, name)
    return own or (None if owner == PLATFORM else active_of(connection, kind, PLATFORM, name))


def revisions(
    owner: str, kind: str, name: str, after: tuple[str, str, int], *, everything: bool
) -> Select[Any]:
    """The query of an owner's documents by kind, name and revision, after such a place.

    An empty kind or name means all. Without `everything`, only revisions in force and those that
    may still come into force.
    """
    query = select(t.terms_documents).where(D.owner == owner)
    if kind:
        query = query.where(D.kind == kind)
    if name:
        query = query.where(D.name == name)
    if not everything:
        query = query.where(D.state != DocumentState.RETIRED)
    last_kind, last_name, last = after
    later = (D.kind > last_kind) | (
        (D.kind == last_kind)
        & ((D.name > last_name) | ((D.name == last_name) & (D.revision > last)))
    )
    return query.where(later).order_by(D.kind, D.name, D.revision)


def next_revision(connection: Connection, it: Parsed, owner: str) -> int:
    """The number of the next revision of a document.

    Numbers of policies and products are not below those of their rows, which an earlier build may
    have written.
    """
    newest = newest_of(connection, it.kind, owner, it.name)
    number = 0 if newest is None else newest.revision
    if it.kind is DocumentKind.POLICY:
        p = t.policies.c
        query = select(func.max(p.revision)).where(p.policy_id == policy_id_of(owner, it.name))
        number = max(number, connection.scalar(query) or 0)
    return number + 1


def policy_id_of(owner: str, name: str) -> str:
    """The id in `policies` of a policy's document; only operators' ids have a slash."""
    return name if owner == PLATFORM else f"{owner}/{name}"


def new_document(
    it: Parsed, owner: str, revision: int, now_us: int, by: str, reason: str
) -> TermsDocument:
    """The row of a new draft."""
    return TermsDocument(
        str(it.kind),
        owner,
        it.name,
        revision,
        None if owner == PLATFORM else owner,
        it.text,
        it.digest,
        str(DocumentState.DRAFT),
        now_us,
        by,
        reason,
    )


_ORDER = (
    (DocumentState.VALIDATED, "validate", "validated_by"),
    (DocumentState.ACTIVE, "activate", "activated_by"),
    (DocumentState.RETIRED, "retire", "retired_by"),
)
_BEFORE = {
    "validate": ("create_us",),
    "activate": ("create_us", "validate_us"),
    "retire": ("create_us", "validate_us", "activate_us"),
}
"""The instants of earlier steps: no step comes before them, even if another clock is ahead."""


def taken(
    it: TermsDocument, state: DocumentState, now_us: int, by: str, reason: str
) -> TermsDocument:
    """The document after its step into a state."""
    step, actor = next((step, actor) for to, step, actor in _ORDER if to is state)
    earlier = (getattr(it, name) for name in _BEFORE[step])
    changes: dict[str, Any] = {
        "state": str(state),
        f"{step}_us": max(now_us, *(us or 0 for us in earlier)),
        actor: by,
        f"{step}_reason": reason,
    }
    return it._replace(**changes)


def add(connection: Connection, it: TermsDocument) -> None:
    """Adds a new document, in any state."""
    connection.execute(insert(t.terms_documents), it._asdict())


def store(connection: Connection, it: TermsDocument) -> None:
    """Stores the steps of a document."""
    changed = ("state", *(f"{step}_{end}" for _, step, _ in _ORDER for end in ("us", "reason")))
    changed += tuple(actor for _, _, actor in _ORDER)
    mine = [*_of(it.kind, it.owner, it.name), D.revision == it.revision]
    values = {name: getattr(it, name) for name in changed}
    connection.execute(update(t.terms_documents).where(*mine).values(values))


def table_of(it: TermsDocument) -> Mapping[str, Any]:
    """The parsed document of a row.

    Raises TermsDamaged for one that is not the document that was applied.
    """
    if digest_of(it.document) != it.digest:
        raise TermsDamaged(it.kind, it.name, it.revision)
    found: Mapping[str, Any] = json.loads(it.document)
    return found
