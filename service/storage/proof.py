"""The checks of a database before its backup is kept, or before a restored one is served."""

from __future__ import annotations

from sqlalchemy import Engine

from service.books.processes import Elsewhere
from service.books.verify import verify_books
from service.domain.errors import FreeholdError
from service.domain.verification import Verification
from service.engine.ports import StorageFailed
from service.storage.migrate import USABLE, schema_of


class BackupRefused(FreeholdError):
    """A backup or a restore was refused; nothing is left behind unless the text says so."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)


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

    With `elsewhere`, large books are shared among processes.
    """
    require_current(engine)
    try:
        books = verify_books(engine, elsewhere=elsewhere)
    except StorageFailed as error:
        raise BackupRefused("NOT_READABLE", "the database refused the read") from error
    fault = books.fault
    if fault is not None:
        raise BackupRefused("BOOKS_WRONG", f"{fault.rule} at {fault.row}: {fault.detail}")
    return books
