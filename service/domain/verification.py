"""The outcome of a verification of the books."""

from __future__ import annotations

from typing import NamedTuple


class BookFault(NamedTuple):
    """Something wrong in the books: the rule, the row where it was seen, what was found."""

    rule: str
    row: str
    detail: str


class Witness(NamedTuple):
    """What somebody outside the database has noted of a seal."""

    number: int
    digest: bytes


class Verification(NamedTuple):
    """What a verification looked at, and the first fault it found, if any.

    `signatures` of the `seals` were checked: all of them, or none without a key. `unchecked` says
    in words what was left out; empty when the verification was full.
    """

    lines: int
    entries: int
    authorizations: int
    fault: BookFault | None
    seals: int = 0
    signatures: int = 0
    last_seal: Witness | None = None
    unchecked: tuple[str, ...] = ()
