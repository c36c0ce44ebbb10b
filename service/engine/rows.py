"""The rows of a batch: as they were read, overlaid with what its commands decided."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from service.domain.authorization import Authorization
from service.domain.ledger import Account, Line
from service.engine.records import ClockGap, SealRecord, TakenPayable, TransferRecord
from service.engine.tables import (
    AUTHORIZATIONS,
    ENTRIES,
    LINES,
    TABLES,
    TRANSFERS,
    Key,
    Pair,
    Row,
    Table,
)

_PAYABLE = Account.OPERATOR_PAYABLE


class Draft(defaultdict[Table[Any, Any], list[Any]]):
    """What one command decided, a list of rows for each table.

    It joins the batch only when all of the command succeeded. `gone` names rows that are taken
    away; a row of the draft with the same key takes their place.
    """

    def __init__(self) -> None:
        super().__init__(list)
        self.gone: list[tuple[Table[Any, Any], Any]] = []
        self.seal: SealRecord | None = None
        self.clock_gap: ClockGap | None = None

    if TYPE_CHECKING:

        def __getitem__(self, table: Table[Key, Row]) -> list[Row]: ...

        def __setitem__(self, table: Table[Key, Row], rows: list[Row]) -> None: ...


class Wish(NamedTuple):
    """Rows to be read: those that have one of the keys in the columns `by`."""

    table: Table[Any, Any]
    by: tuple[str, ...]
    keys: set[Any]


class Rows(dict[Table[Any, Any], dict[Any, Any]]):
    """The rows of a batch as they are by now, a dictionary by key for each table.

    Within a batch later commands see what earlier ones decided. Nobody but `merge` changes a row.

    read     rows as they were read, by table and key
    changed  rows that differ from those, None for one that was taken away
    added    rows of the tables without a key
    """

    def __init__(self) -> None:
        super().__init__((table, {}) for table in TABLES)
        self.read: dict[Table[Any, Any], dict[Any, Any]] = {table: {} for table in TABLES}
        self.changed: dict[Table[Any, Any], dict[Any, Any]] = {}
        self.added: dict[Table[Any, Any], list[Any]] = {}
        self.taken_payable: dict[Pair, TakenPayable] = {}
        self.payable_left: dict[Pair, int] = {}
        self.last_seal = 0
        """The number of the last seal as of now in this batch; read only for the next."""
        self.seals: list[SealRecord] = []
        self.clock_gaps: list[ClockGap] = []
        """Not written: for whoever counts them, once the batch is committed."""
        self.batch_id = ""

    if TYPE_CHECKING:

        def __getitem__(self, table: Table[Key, Row]) -> dict[Key, Row]: ...

    def lines_of(self, user_id: str) -> list[Line]:
        """Every line of a person, in the order of the currencies."""
        return [line for key, line in sorted(self[LINES].items()) if key[0] == user_id]

    def group(self, user_id: str, group_id: str) -> list[Authorization]:
        """The authorizations of a group, in the order of their ids."""
        return [
            it
            for key, it in sorted(self[AUTHORIZATIONS].items())
            if key[0] == user_id and it.group_id == group_id
        ]

    def transfers_of(self, user_id: str, authorization_id: str) -> dict[str, TransferRecord]:
        """The transfers of an authorization that were read or made, by their ids."""
        name = (user_id, authorization_id)
        return {
            it.transfer_id: it
            for it in self[TRANSFERS].values()
            if (it.user_id, it.authorization_id) == name
        }

    def payable_minor(self, operator_id: str, currency: str) -> int:
        """The balance of an operator; read only where it pays or is paid."""
        key = (operator_id, currency)
        taken_minor = self.taken_payable[key].amount_minor + self.payable_left[key]
        return taken_minor + self.payable_changes().get(key, 0)

    def payable_changes(self) -> dict[Pair, int]:
        """How much more each operator is owed after this batch, by operator and currency."""
        changes: dict[Pair, int] = {}
        for entry in self.added.get(ENTRIES, ()):
            amount_minor = 0
            if entry.credit is _PAYABLE:
                amount_minor = entry.amount_minor
            elif entry.debit is _PAYABLE:
                amount_minor = -entry.amount_minor
            if amount_minor:
                key = (entry.operator_id, entry.currency)
                changes[key] = changes.get(key, 0) + amount_minor
        return changes

    def merge(self, draft: Draft) -> None:
        """Takes over what a command decided."""
        for table, key in draft.gone:
            self[table].pop(key, None)
            self.changed.setdefault(table, {})[key] = None
        for table, rows in draft.items():
            key_of = table.key_of
            if key_of is None:
                self.added.setdefault(table, []).extend(rows)
                continue
            now, changed = self[table], self.changed.setdefault(table, {})
            for row in rows:
                key = key_of(row)
                now[key] = changed[key] = row
        if draft.seal is not None:
            self.seals.append(draft.seal)
            self.last_seal = draft.seal.number
        if draft.clock_gap is not None:
            self.clock_gaps.append(draft.clock_gap)
