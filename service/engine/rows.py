"""The rows of a batch: as they were read, overlaid with what its commands decided."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from service.domain.authorization import Authorization
from service.domain.ledger import Account, Line
from service.engine.clock_gaps import ClockGap
from service.engine.records.seals import SealRecord
from service.engine.records.transfers import TransferRecord
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


class TakenPayable(NamedTuple):
    """A portion of the rows in which an operator's balance stands, which comes back as one row.

    `more`: whether the portion was full.
    """

    amount_minor: int
    more: bool


class Draft(defaultdict[Table[Any, Any], list[Any]]):
    """What one command decided, a list of rows for each table.

    It is made by `Draft(list)`, and joins the batch only when all of the command succeeded. `gone`
    names rows that are taken away; a row of the draft with the same key takes their place.
    """

    gone: Sequence[tuple[Table[Any, Any], Any]] = ()
    seal: SealRecord | None = None
    clock_gap: ClockGap | None = None

    if TYPE_CHECKING:

        def __getitem__(self, table: Table[Key, Row]) -> list[Row]: ...

        def __setitem__(self, table: Table[Key, Row], rows: list[Row]) -> None: ...


@dataclass(slots=True)
class Keys:
    """The keys of all rows that the commands of a batch may touch.

    users           users whose lines are read and locked
    requests        records of requests
    registered      users whose own rows are read
    authorizations  authorizations, by user id and authorization id
    together        those whose whole group is read
    items           items, by operator id and asset id
    payments        payments, by caller and reference
    transfers       transfers, by user id and transfer id
    succeeded       those of which the rail says that they succeeded
    payable         operators' balances that are taken away in part, by operator id and currency
    balances        operators' balances that are read as a whole
    origins         requests whose authorizations are read
    operators       operators that must be known
    seal            whether the number of the last seal is read
    """

    users: set[str] = field(default_factory=set)
    requests: set[Pair] = field(default_factory=set)
    registered: set[str] = field(default_factory=set)
    authorizations: set[Pair] = field(default_factory=set)
    together: set[Pair] = field(default_factory=set)
    items: set[Pair] = field(default_factory=set)
    payments: set[Pair] = field(default_factory=set)
    transfers: set[Pair] = field(default_factory=set)
    succeeded: set[Pair] = field(default_factory=set)
    payable: set[Pair] = field(default_factory=set)
    balances: set[Pair] = field(default_factory=set)
    origins: list[Pair] = field(default_factory=list)
    operators: set[str] = field(default_factory=set)
    seal: bool = False


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
        super().__init__({table: {} for table in TABLES})
        self.read: dict[Table[Any, Any], dict[Any, Any]] = {table: {} for table in TABLES}
        self.changed: dict[Table[Any, Any], dict[Any, Any]] = {}
        self.added: dict[Table[Any, Any], list[Any]] = {}
        self.payable: dict[Pair, int] = {}
        """How much more each operator is owed after this batch, by operator and currency."""
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
        return taken_minor + self.payable.get(key, 0)

    def merge(self, draft: Draft) -> None:
        """Takes over what a command decided."""
        for table, key in draft.gone:
            self[table].pop(key, None)
            self.changed.setdefault(table, {})[key] = None
        for table, rows in draft.items():
            key_of = table.key_of
            if key_of is None:
                self.added.setdefault(table, []).extend(rows)
                if table is ENTRIES:
                    for entry in rows:
                        amount_minor = entry.amount_minor
                        if entry.debit is _PAYABLE:
                            amount_minor = -amount_minor
                        elif entry.credit is not _PAYABLE:
                            continue
                        of = (entry.operator_id, entry.currency)
                        self.payable[of] = self.payable.get(of, 0) + amount_minor
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
