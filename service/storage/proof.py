"""What a database must be before a backup of it is kept, or a restored one is served from."""

from __future__ import annotations

from sqlalchemy import Engine

from service.domain.errors import FreeholdError
from service.engine.ports import StorageFailed
from service.engine.records import Verification
from service.storage.migrate import USABLE, schema_of
from service.storage.verify import verify_books


class BackupRefused(FreeholdError):
    """A backup or a restore did not take place; nothing is left behind unless the text says so."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)


def prove(engine: Engine) -> Verification:
    """What the books hold.

    Raises BackupRefused for a schema that this build may not run on, and for books that are
    wrong.
    """
    if schema_of(engine) not in USABLE:
        raise BackupRefused(
            "SCHEMA_NOT_CURRENT",
            "its schema is not for this build: run freehold migrate if it is older, else the build "
            "that made it",
        )
    try:
        books = verify_books(engine)
    except StorageFailed as error:
        raise BackupRefused("NOT_READABLE", "the database refused to read") from error
    fault = books.fault
    if fault is not None:
        raise BackupRefused("BOOKS_WRONG", f"{fault.rule} at {fault.row}: {fault.detail}")
    return books
