"""The checks of a whole database: of the database itself and of the books in it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from service.books.processes import Elsewhere
from service.books.verify import verify_books
from service.domain.errors import FreeholdError
from service.domain.verification import DAMAGED, TERMS, Verification
from service.engine.ports import StorageFailed
from service.storage.integrity import check_integrity
from service.storage.migrate import USABLE, schema_of


class BackupRefused(FreeholdError):
    """A backup or a restore was refused; nothing is left behind unless the text says so."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)


def verify_database(engine: Engine, *words: Any, **named: Any) -> Verification:
    """Checks the database itself, and then the books, as `verify_books` with the same arguments.

    The books in a damaged database are not read. A fault in the books comes before a fault of the
    schema, because the schema only keeps rows from becoming wrong.
    """
    found = check_integrity(engine)
    if found.fault is not None and found.fault.rule == DAMAGED:
        return Verification(0, 0, 0, found.fault, notes=found.notes)
    books = verify_books(engine, *words, **named)
    return books._replace(fault=books.fault or found.fault, notes=found.notes)


def require_current(engine: Engine) -> None:
    """Raises BackupRefused for a schema that this build may not run on."""
    if schema_of(engine) not in USABLE:
        raise BackupRefused(
            "SCHEMA_NOT_CURRENT",
            "its schema is not for this build: if the schema is older, run freehold migrate; if it "
            "is newer, use the build that made it",
        )


def prove(engine: Engine, elsewhere: Elsewhere | None = None) -> Verification:
    """Verifies the books; raises BackupRefused for a wrong schema and for wrong books.

    Rows of terms that differ from their documents are a note: the books do not need them.

    With `elsewhere`, large books are shared among processes.
    """
    require_current(engine)
    try:
        books = verify_books(engine, elsewhere=elsewhere)
    except StorageFailed as error:
        raise BackupRefused("NOT_READABLE", "the database refused the read") from error
    fault = books.fault
    if fault is not None and fault.rule == TERMS:
        note = f"{fault.rule} at {fault.row}: {fault.detail}; the books are right"
        return books._replace(fault=None, notes=(*books.notes, note))
    if fault is not None:
        raise BackupRefused("BOOKS_WRONG", f"{fault.rule} at {fault.row}: {fault.detail}")
    return books
