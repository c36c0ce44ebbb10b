"""The result of a verification of the books."""

from __future__ import annotations

from typing import NamedTuple


class BookFault(NamedTuple):
    """A fault in the books: the broken rule, the row where it was seen, and the finding."""

    rule: str
    row: str
    detail: str


class Witness(NamedTuple):
    """The number and the digest of a seal, noted outside the database."""

    number: int
    digest: bytes


class Verification(NamedTuple):
    """The number of rows that a verification checked, and the first fault, if any.

    `signatures` of the `seals` were checked: all, or none without a key. `unchecked` describes each
    check that was left out; it is empty after a full verification.
    """

    lines: int
    entries: int
    authorizations: int
    fault: BookFault | None
    seals: int = 0
    signatures: int = 0
    last_seal: Witness | None = None
    unchecked: tuple[str, ...] = ()
