"""The chain of seals over the heads of lines, and a seal as the start of a verification.

A seal can be the start if its digest is known from outside the database: then the covered entries
have not changed since the seal. If a line's head is still the sealed head, the line has not changed
since.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, ScalarSelect, Select, and_, exists, func, or_, select, union
from sqlalchemy.sql.elements import ColumnElement

from service.books.columns import kept, rows_of
from service.books.faults import Found
from service.domain.hash_chain import NO_LINK, seal_digest
from service.domain.verification import Witness
from service.engine.ports import SealKeys
from service.storage import schema as t

_S, _H, _L = t.seals.c, t.sealed_heads.c, t.lines.c


class SealChain:
    """Checks the seals one after the other, and counts them."""

    def __init__(self, keys: SealKeys | None, witnesses: dict[int, bytes]) -> None:
        self._keys, self._witnesses = keys, dict(witnesses)
        self.seals = 0
        self.signatures = 0
        self.last: Witness | None = None

    def check(self, connection: Connection, first: int = 1) -> None:
        """Checks the chain of seals from `first` on, and that each covers its heads.

        Also checks that no head is without a seal. Raises Found at the first fault.
        """
        heads = _Heads(connection, first)
        number, previous = first - 1, NO_LINK
        if first > 1:
            before = select(_S.number, _S.digest).where(_S.number == first - 1)
            previous = next((row[1] for row in rows_of(connection, before)), NO_LINK)
        for row in rows_of(connection, _seals(connection, first)):
            previous = self._check(row, number + 1, previous, heads)
            number = row[0]
        if heads.number is not None:
            raise Found(
                "SEAL_MISSING",
                f"seals/{heads.number}",
                "the seal is gone, but heads that it covered are left",
            )
        for absent in sorted(self._witnesses):
            if absent >= first:
                raise Found(
                    "SEAL_MISSING", f"seals/{absent}", "a witness names this seal, but it is gone"
                )

    def _check(
        self,
        row: tuple[int, bytes, bytes, bytes, str, int, int],
        expected: int,
        previous: bytes,
        heads: _Heads,
    ) -> bytes:
        """Checks one seal; returns its digest."""
        number, before, digest, signature, key_id, seal_us, outbox_sequence = row
        name = f"seals/{number}"
        if number != expected:
            raise Found("SEAL_MISSING", name, f"expected {expected}")
        if before != previous:
            raise Found("SEAL_CHAIN", name, "does not follow the previous seal")
        if digest != seal_digest(number, before, seal_us, outbox_sequence, heads.of(number)):
            raise Found("SEAL_DIGEST", name, "the digest does not follow from the covered values")
        if self._keys is not None:
            if not self._keys.verify(key_id, digest, signature):
                raise Found("SEAL_SIGNATURE", name, f"not signed by the key {key_id}")
            self.signatures += 1
        if self._witnesses.pop(number, digest) != digest:
            raise Found("SEAL_WITNESS", name, "a witness names another digest for this seal")
        self.seals += 1
        self.last = Witness(number, digest)
        return digest


def _from(number: ColumnElement[int], first: int) -> list[ColumnElement[bool]]:
    """The condition for seals from `first` on; no condition if `first` is the first of all."""
    return [number >= first] if first > 1 else []


@kept
def _seals(_connection: Connection, first: int) -> Select[Any]:
    return select(t.seals).where(*_from(_S.number, first)).order_by(_S.number)


@kept
def _sealed_heads(_connection: Connection, first: int) -> Select[Any]:
    query = select(_H.number, _H.version, _H.head).where(*_from(_H.number, first))
    return query.order_by(_H.number, _H.head)


class _Heads:
    """The sealed heads in the order of their seals, read one head ahead."""

    def __init__(self, connection: Connection, first: int) -> None:
        self._rows = rows_of(connection, _sealed_heads(connection, first))
        self._next()

    def _next(self) -> None:
        self.number, self._version, self._head = next(self._rows, (None, 0, b""))

    def of(self, number: int) -> Iterator[tuple[int, bytes]]:
        """Takes the version and the head of each line under a seal."""
        while self.number == number:
            yield self._version, self._head
            self._next()


# -- a seal as a starting point -------------------------------------------------------------------


class Start(NamedTuple):
    """A seal to start from, with its position in the outbox."""

    number: int
    outbox_sequence: int

    def moved(self) -> Select[tuple[str]]:
        """Selects the people with a changed line or an event after the seal."""
        return select(
            union(
                select(_L.user_id).where(~self._still()),
                select(_H.user_id).where(_H.number <= self.number, ~_there()),
                select(t.outbox.c.user_id).where(t.outbox.c.sequence > self.outbox_sequence),
            )
            .subquery()
            .c.user_id
        )

    def _still(self) -> ColumnElement[bool]:
        """A condition: the line's head is the last one sealed up to this seal."""
        same = and_(_H.version == _L.version, _H.head == _L.head)
        last = self._last_number(_L.user_id, _L.currency)
        of = and_(_H.user_id == _L.user_id, _H.currency == _L.currency)
        sealed = exists(select(_H.number).where(of, _H.number == last, same).correlate(t.lines))
        # A line without entries is never sealed.
        return or_(sealed, and_(_L.version == 0, last.is_(None)))

    def _last_number(
        self, user_id: ColumnElement[str], currency: ColumnElement[str]
    ) -> ScalarSelect[int]:
        earlier = t.sealed_heads.alias("earlier")
        return (
            select(func.max(earlier.c.number))
            .where(
                earlier.c.user_id == user_id,
                earlier.c.currency == currency,
                earlier.c.number <= self.number,
            )
            .correlate(t.lines, t.sealed_heads)
            .scalar_subquery()
        )

    def oldest(self, connection: Connection) -> int:
        """The oldest seal that has the last sealed head of a changed line."""
        last = (
            select(func.max(_H.number).label("number"))
            .where(_H.number <= self.number, _H.user_id.in_(self.moved()))
            .group_by(_H.user_id, _H.currency)
            .subquery()
        )
        oldest = connection.scalar(select(func.min(last.c.number)))
        return self.number if oldest is None else min(int(oldest), self.number)

    def unmoved(self, connection: Connection) -> int:
        """The number of unchanged lines of people without other changes."""
        query = select(func.count()).select_from(t.lines)
        return int(connection.scalar(query.where(_L.user_id.not_in(self.moved()))) or 0)


def _there() -> ColumnElement[bool]:
    of = and_(_L.user_id == _H.user_id, _L.currency == _H.currency)
    return exists(select(_L.version).where(of).correlate(t.sealed_heads))


def start_at(connection: Connection, number: int) -> Start:
    """The seal of this number as a start; raises Found if it does not exist."""
    query = select(_S.number, _S.outbox_sequence).where(_S.number == number)
    for row in rows_of(connection, query):
        return Start(*row)
    raise Found("SEAL_MISSING", f"seals/{number}", "a witness names this seal, but it is gone")
