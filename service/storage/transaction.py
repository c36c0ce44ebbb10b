"""One write transaction of a batch: reads rows into the overlay, and writes the changed rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import repeat
from operator import attrgetter, eq
from typing import Any, NamedTuple, TypeVar

from sqlalchemy.engine.interfaces import DBAPICursor

from service.domain.admission import Past, Rental, end_of
from service.domain.authorization import State
from service.domain.rules import Of
from service.domain.signals import Trace
from service.domain.transitions import Transition
from service.engine.ports import Conflict, Since
from service.engine.rows import Docking, Rows, TakenPayable, Wish
from service.engine.tables import TABLES, Table
from service.storage.row_memory import RowMemory
from service.storage.row_statements import RowsStatement, Together, Values

Key = TypeVar("Key", str, tuple[str, str])
Value = TypeVar("Value")

HEADS_TOGETHER = 50
"""The heads of a seal in one statement; on SQLite each number of rows is a text of its own."""


_Run = tuple[RowsStatement, list[Values], int | None]
"""A statement with its rows, and the number of rows that it must change, if that may fail."""


class Writing(NamedTuple):
    """A statement that writes rows, and the function that converts a record to the statement's
    values."""

    statement: RowsStatement
    values: Callable[[Any], Values]


class TableStatements(NamedTuple):
    """The statements of one table, and the converters between its records and rows.

    read    rows, by the columns that they are found by
    insert  whole rows
    update  the columns that may change, by the key and the version read; None if rows never change
    delete  rows, by the key and the columns that must be unchanged; None if they are never deleted

    The `usual` statements leave out columns. `usual_insert` serves if all rows have the table's
    usual values in them, and `usual_update` if no row changes a rare column. A parameter costs more
    than all other work on its column.
    """

    read: dict[tuple[str, ...], RowsStatement]
    insert: Writing
    update: Writing | None
    usual_insert: Writing | None
    usual_values: Any
    usual_update: Writing | None
    delete: RowsStatement | None
    record: Callable[[Sequence[Any]], Any]


class BatchStatements(NamedTuple):
    """All statements of a batch, and the way to run several of them."""

    together: Together
    tables: dict[Table[Any, Any], TableStatements]
    features: RowsStatement
    lapsed: RowsStatement
    products: RowsStatement
    reserved: RowsStatement
    dockings: RowsStatement
    open_of_users: RowsStatement
    open_of_orders: RowsStatement
    rentals_of_users: RowsStatement
    rentals_of_orders: RowsStatement
    pasts: RowsStatement
    traces_of_users: RowsStatement
    traces_of_orders: RowsStatement
    lock_bearers: str
    """Locks names given as numbers until the end of the transaction; empty if there is one
    writer."""
    take_payables: str
    folded_rows: int
    """The most rows of an operator's balance that `take_payables` takes."""
    payable_left: str
    insert_payables: RowsStatement
    last_seal: str
    insert_seals: RowsStatement
    insert_sealed_heads: RowsStatement
    note_uses: RowsStatement


_PLACES = {table: place for place, table in enumerate(TABLES)}
_USER = Of.USER
# A look-up takes a third of the time of the enumeration's call.
_OFS, _STATES = {str(it): it for it in Of}, {str(it): it for it in State}


def _number_of(of: Of, bearer: str) -> int:
    """A number of 64 bits for a bearer. Two bearers with one number only wait for each other."""
    digest = sha256(f"{of} {bearer}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _rental(
    operator_id: str, state: str, create_us: int, expire_us: int | None, claim_until_us: int | None
) -> Rental:
    known = _STATES[state]
    return Rental(operator_id, known, create_us, end_of(known, expire_us, claim_until_us))


def _trace(row: Sequence[Any]) -> Trace:
    """The trace in a row, whose first columns name the bearer and the rental."""
    user_id, _, create_us, asset_id = row[3:7]
    # An order without details, and a person without a row.
    device, account, start, end = (it or "" for it in row[7:11])
    state, start_us, close_us, expire_us, registered_us = row[11:]
    return Trace(
        user_id,
        create_us,
        asset_id or "",
        device,
        account,
        start,
        end,
        start_us,
        close_us if state == State.SETTLED else None,
        create_us if registered_us is None else registered_us,
        expire_us if state == State.AUTHORIZED else None,
    )


@dataclass(slots=True)
class SqlTransaction:
    """One write transaction on one connection."""

    cursor: DBAPICursor
    statements: BatchStatements
    has_written: bool = False
    """True if rows were changed or deleted, so that a commit would keep the changes."""

    memory: RowMemory | None = None
    written: Rows | None = None
    """The batch that was written, if any."""

    def read(self, rows: Rows, wishes: Iterable[Wish]) -> None:
        """Reads rows into the overlay, one statement for each wish, in the order given.

        What is in memory is not read again. Either way, the rows are in the order of their keys.
        """
        tables, memory = self.statements.tables, self.memory
        parts: list[tuple[Wish, set[Any], dict[Any, Any]]] = []
        for wish in wishes:
            known = {} if memory is None else memory.find(*wish)
            keys = wish.keys.difference(known) if known else wish.keys
            parts.append((wish, keys, known))
        wished = [
            (tables[table].read[by], keys if len(by) > 1 else [(key,) for key in keys])
            for (table, by, _), keys, _ in parts
            if keys
        ]
        found = iter(self.statements.together.fetch(self.cursor, wished))
        for (table, by, _), keys, known in parts:
            its = next(found) if keys else []
            if table.key_of is None or not (its or known):
                continue
            records = list(map(tables[table].record, its))
            read = dict(zip(map(table.key_of, records), records, strict=True))
            if memory is not None and keys:
                memory.note(table, by, keys, read)
            if known:
                for each in known.values():
                    read |= each
                read = {key: read[key] for key in sorted(read)}
            rows.read[table].update(read)
            rows[table].update(read)

    def lapsed(self, keys: Iterable[str], now_us: int) -> list[tuple[str, str]]:
        """Authorizations of these people that hold something and have a due timer."""
        people = [(key,) for key in keys]
        found = self.statements.lapsed.fetch(self.cursor, people, now_us)
        return [(row[0], row[1]) for row in found]

    def products_of(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """The product ids of these authorizations."""
        found = self.statements.products.fetch(self.cursor, keys)
        return {(row[0], row[1]): row[2] for row in found}

    def reserved(self, keys: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """The authorizations among these that held for a pick-up, as their entries show."""
        return {(row[0], row[1]) for row in self.statements.reserved.fetch(self.cursor, keys)}

    def dockings(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Docking]:
        """The steps that settled these rentals. A rental that no step settled is absent."""
        found = self.statements.dockings.fetch(self.cursor, keys)
        return {(row[0], row[1]): Docking(Transition(row[2]), row[3]) for row in found}

    def lock_bearers(self, bearers: Iterable[tuple[Of, str]]) -> None:
        """Locks bearers in the order of their numbers, so that two transactions do not deadlock."""
        if self.statements.lock_bearers:
            numbers = sorted({_number_of(*it) for it in bearers})
            self.cursor.execute(self.statements.lock_bearers, (numbers,))

    def rentals(
        self, bearers: Iterable[tuple[Of, str]], since: Since | None
    ) -> list[tuple[tuple[Of, str], tuple[str, str], Rental]]:
        """The rentals of bearers that are open, and those that were asked for after an instant."""
        named, all_of = list(bearers), self.statements
        # A driver takes texts faster than members of an enumeration.
        users = [(bearer,) for of, bearer in named if of is _USER]
        orders = [(str(of), bearer) for of, bearer in named if of is not _USER]
        found: list[Any] = []
        if since is None:
            found += all_of.open_of_users.fetch(self.cursor, users)
            found += all_of.open_of_orders.fetch(self.cursor, orders)
        else:
            after = (since.id, since.us)
            found += all_of.rentals_of_users.fetch(self.cursor, users, *after)
            found += all_of.rentals_of_orders.fetch(self.cursor, orders, *after, *after)
        return [((_OFS[row[0]], row[1]), (row[2], row[3]), _rental(*row[4:])) for row in found]

    def pasts(self, keys: Iterable[tuple[str, str]], most: int) -> dict[tuple[str, str], Past]:
        """People's past with an operator, or with all if the operator's id is empty."""
        found = self.statements.pasts.fetch(self.cursor, keys, most)
        return {(row[0], row[1]): Past(row[2], row[3]) for row in found}

    def traces(
        self, bearers: Iterable[tuple[str, Of, str]], since_us: int, since_id: str
    ) -> list[tuple[tuple[str, Of, str], tuple[str, str], Trace]]:
        """The traces of operators' bearers that were asked for after an instant."""
        named = list(bearers)
        users = [it for it in named if it[1] is _USER]
        orders = [it for it in named if it[1] is not _USER]
        since, found = (since_id, since_us), list[Any]()
        if users:
            found += self.statements.traces_of_users.fetch(self.cursor, users, *since)
        if orders:
            found += self.statements.traces_of_orders.fetch(self.cursor, orders, *since, *since)
        return [((row[0], Of(row[1]), row[2]), (row[3], row[4]), _trace(row)) for row in found]

    def take_payable(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], TakenPayable]:
        """Takes a portion of operators' balances, by (operator id, currency)."""
        taken = {}
        most = self.statements.folded_rows
        self.has_written = True
        for key in sorted(keys):
            self.cursor.execute(self.statements.take_payables, (*key, *key))
            found = self.cursor.fetchall()
            taken[key] = TakenPayable(sum(row[0] for row in found), len(found) == most)
        return taken

    def payable_left(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """The rest of operators' balances; portions taken by other transactions are back by now."""
        left = {}
        for key in sorted(keys):
            self.cursor.execute(self.statements.payable_left, key)
            ((amount,),) = self.cursor.fetchall()
            left[key] = int(amount)
        return left

    def last_seal_number(self) -> int:
        """The number of the last seal; 0 before the first."""
        self.cursor.execute(self.statements.last_seal)
        (row,) = self.cursor.fetchall()
        return int(row[0])

    def note_uses(self, uses: Mapping[str, int]) -> None:
        """Records when keys were last used, by their hashes; an earlier time changes nothing."""
        self.has_written = True
        self.statements.note_uses.run(self.cursor, sorted(uses.items()))

    def write(self, rows: Rows) -> None:
        """Writes a batch, one statement for each table; raises Conflict as `Transaction.write`.

        All processes write the tables in the order of `TABLES`. Balances and seals come last,
        because no two batches share their rows.
        """
        self.has_written = True
        self.written = rows
        changed, added = rows.changed, rows.added
        runs: list[_Run] = []
        for table in sorted({*added, *changed}, key=_PLACES.__getitem__):
            if new := added.get(table):
                self._insert(table, new, runs)
            elif now := changed.get(table):
                self._write(table, rows.read[table], now, runs)
        if rows.payable or rows.taken_payable:
            self._insert_payables(rows, runs)
        if rows.seals:
            self._insert_seals(rows, runs)
        counts = self.statements.together.run(self.cursor, [run[:2] for run in runs])
        for found, (_, _, expected) in zip(counts, runs, strict=True):
            if expected is not None and found != expected:
                raise Conflict(f"other processes changed {expected - found} of the rows")

    def _write(
        self,
        table: Table[Any, Any],
        read: dict[Any, Any],
        changed: dict[Any, Any],
        runs: list[_Run],
    ) -> None:
        """Adds the statements for new, changed and replaced rows, in the order of their keys."""
        new, gone, keys, rows, as_read = [], [], [], [], []
        for key in sorted(changed) if len(changed) > 1 else changed:
            row, before = changed[key], read.get(key)
            if before is None:
                if row is not None:
                    new.append(row)
            elif table.version:
                keys.append(key if len(table.key) > 1 else (key,))
                rows.append(row)
                as_read.append(before)
            elif row != before or row is None:
                # The row must be unchanged since its read.
                gone.append(table.taken_of(before))
                if row is not None:
                    new.append(row)
        if gone:
            delete = self.statements.tables[table].delete
            if delete is None:
                raise TypeError(f"rows of {table.name} are never replaced")
            runs.append((delete, gone, len(gone)))
        # A new row may take the place that a changed row leaves, such as that of the open case.
        if rows:
            self._update(table, keys, rows, as_read, runs)
        if new:
            self._insert(table, new, runs)

    def _insert(self, table: Table[Any, Any], rows: list[Any], runs: list[_Run]) -> None:
        of = self.statements.tables[table]
        insert = of.insert
        # One row after the other: lists of such tuples would fill the processor's cache.
        if of.usual_insert and all(map(eq, map(table.usual_of, rows), repeat(of.usual_values))):
            insert = of.usual_insert
        runs.append((insert.statement, list(map(insert.values, rows)), None))

    def _update(
        self,
        table: Table[Any, Any],
        keys: list[Values],
        rows: list[Any],
        as_read: list[Any],
        runs: list[_Run],
    ) -> None:
        """Adds the update of rows, which must still have the versions read."""
        of, rare_of = self.statements.tables[table], table.rare_of
        update = of.update
        if of.usual_update and all(map(eq, map(rare_of, rows), map(rare_of, as_read))):
            update = of.usual_update
        if update is None:
            raise TypeError(f"rows of {table.name} never change")
        versions = map(attrgetter(table.version), as_read)
        values = map(update.values, rows)
        changes = [
            (*row, *key, version) for row, key, version in zip(values, keys, versions, strict=True)
        ]
        runs.append((update.statement, changes, len(rows)))

    def _insert_payables(self, rows: Rows, runs: list[_Run]) -> None:
        """Adds one balance row for each operator, with the portion that was taken for merging."""
        amounts = {key: taken.amount_minor for key, taken in rows.taken_payable.items()}
        for key, amount_minor in rows.payable.items():
            amounts[key] = amounts.get(key, 0) + amount_minor
        named = [(*key, rows.batch_id, amount) for key, amount in sorted(amounts.items()) if amount]
        if named:
            runs.append((self.statements.insert_payables, named, None))

    def _insert_seals(self, rows: Rows, runs: list[_Run]) -> None:
        """Adds the statements for seals and the heads that they cover."""
        statements = self.statements
        for seal in rows.seals:
            runs.append((statements.insert_seals, [seal[:-1]], None))
            heads = [(*head[:2], seal.number, *head[2:]) for head in seal.heads]
            for start in range(0, len(heads), HEADS_TOGETHER):
                part = heads[start : start + HEADS_TOGETHER]
                runs.append((statements.insert_sealed_heads, part, None))
