"""Reads documents of terms: pages, single revisions, and differences.

Terms without documents get them first, see `adoption`.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, select

from service.domain.access import PLATFORM
from service.domain.documents import Difference, DocumentKind, Table, differences
from service.domain.terms_readers import read_document
from service.engine.records.documents import CompiledProduct, DocumentName, TermsDocument
from service.storage import schema as t
from service.storage.adoption import lacks_documents
from service.storage.database import reading
from service.storage.documents import (
    active_of,
    missing,
    newest_of,
    read_one,
    require_name,
    revisions,
    table_of,
)
from service.storage.known_operators import require_known
from service.storage.terms_acts import adopt


def page_of_terms(
    engine: Engine,
    owner: str,
    kind: str,
    name: str,
    after: tuple[str, str, int],
    size: int | None,
    now_us: int,
    retired: bool,
) -> list[TermsDocument]:
    """A page of an owner's documents, after a kind, a name and a revision; `size` None means all.

    Raises NotFound for an unknown operator, and for a name that no document of the owner has. A
    name of documents that are all retired is known.
    """
    _prepare(engine, owner, now_us)
    query = revisions(owner, kind, name, after, everything=retired).limit(size)
    with reading(engine) as connection:
        require_name(connection, owner, kind, name)
        return [TermsDocument(*row) for row in connection.execute(query)]


def get_terms(engine: Engine, it: DocumentName, now_us: int) -> TermsDocument:
    """One revision; revision 0 means the one in force, or else the newest one.

    Raises NotFound, and TermsDamaged for a document that was changed in the database.
    """
    _prepare(engine, it.owner, now_us)
    with reading(engine) as connection:
        found = _get(connection, it)
        table_of(found)
        return found


def diff_terms(
    engine: Engine, before: DocumentName, after: Table | int, now_us: int
) -> tuple[Difference, ...]:
    """The differences from a revision to another one, or to a document.

    Revision 0 means the one in force before, and the newest one after. Without a revision in force
    every value is a difference, also for a document of a new name. Raises NotFound if there is no
    document of the name, and the given one has another name. Raises InvalidInput for a document
    that makes no sense.
    """
    _prepare(engine, before.owner, now_us)
    kind = DocumentKind(before.kind)
    with reading(engine) as connection:
        if before.revision:
            old = _meaning(read_one(connection, before))
        else:
            active = active_of(connection, *before[:3])
            old = {} if active is None else _meaning(active)
        if not isinstance(after, int):
            new = read_document(kind, after, platform=before.owner == PLATFORM)
            if new.name != before.name:
                _require(connection, newest_of(connection, *before[:3]), before)
            return differences(old, new.document)
        if after:
            found = read_one(connection, before._replace(revision=after))
        else:
            found = _require(connection, newest_of(connection, *before[:3]), before)
        return differences(old, _meaning(found))


def compiled_of(
    engine: Engine, owner: str, name: str, revision: int | None, now_us: int
) -> list[CompiledProduct]:
    """The documents of which each revision of a product was made that rentals name.

    They are in the order of the revisions; `revision` leaves out the others. Rows of earlier builds
    that were replaced before there were documents have none. Raises NotFound for an unknown
    operator, product or revision.
    """
    _prepare(engine, owner, now_us)
    c = t.compiled_products.c
    query = select(t.compiled_products).where(c.operator_id == owner, c.product_id == name)
    if revision is not None:
        query = query.where(c.revision == revision)
    with reading(engine) as connection:
        rows = connection.execute(query.order_by(c.revision)).all()
        if not rows:
            raise missing(
                connection, DocumentName(DocumentKind.PRODUCT, owner, name, revision or 0)
            )
        return [CompiledProduct(*row) for row in rows]


def _get(connection: Connection, it: DocumentName) -> TermsDocument:
    if it.revision:
        return read_one(connection, it)
    found = active_of(connection, *it[:3]) or newest_of(connection, *it[:3])
    return _require(connection, found, it)


def _require(
    connection: Connection, found: TermsDocument | None, it: DocumentName
) -> TermsDocument:
    if found is None:
        raise missing(connection, it)
    return found


def _meaning(it: TermsDocument) -> Table:
    kind, platform = DocumentKind(it.kind), it.owner == PLATFORM
    return read_document(kind, table_of(it), platform=platform).document


def _prepare(engine: Engine, owner: str, now_us: int) -> None:
    """Gives documents to terms without them. Raises NotFound for an unknown operator."""
    with reading(engine) as connection:
        require_known(connection, owner)
        missing = any(lacks_documents(connection, it) for it in dict.fromkeys((PLATFORM, owner)))
    if missing:
        adopt(engine, owner, now_us)
