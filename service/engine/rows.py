"""The rows of a batch, as read and as changed by its commands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from service.domain.authorization import Authorization
from service.domain.ledger import Account, Entry, Line
from service.domain.quotas import Pool
from service.domain.transitions import Transition
from service.engine.clock_gaps import ClockGap
from service.engine.records.debts import DebtRecord
from service.engine.records.seals import SealRecord
from service.engine.records.transfers import TransferRecord
from service.engine.tables import (
    AUTHORIZATIONS,
    DEBTS,
    ENTRIES,
    LINES,
    TRANSFERS,
    Key,
    Pair,
    Row,
    Table,
)

if TYPE_CHECKING:
    from service.engine.budgets import Budgets
    from service.engine.counts import Counts

_PAYABLE = Account.OPERATOR_PAYABLE


class TakenPayable(NamedTuple):
    """A portion of an operator's balance, whose rows are replaced by one row of their sum.

    `more` is True if the portion was full.
    """

    amount_minor: int
    more: bool


class Draft(defaultdict[Table[Any, Any], list[Any]]):
    """The rows that one command writes: a list for each table.

    It is made by `Draft(list)`, and joins the batch only if the whole command succeeded. `gone`
    names deleted rows; a row of the draft with the same key replaces the deleted one.
    """

    gone: Sequence[tuple[Table[Any, Any], Any]] = ()
    seal: SealRecord | None = None
    clock_gap: ClockGap | None = None

    if TYPE_CHECKING:

        def __getitem__(self, table: Table[Key, Row]) -> list[Row]: ...

        def __setitem__(self, table: Table[Key, Row], rows: list[Row]) -> None: ...


class Reference(NamedTuple):
    """A payment's reference as a call names it: in the account `name` of `holder`.

    `about` is the user id and the authorization id of the rental, both empty without one.
    """

    holder: str
    name: str
    reference: str
    about: Pair


@dataclass(slots=True)
class Keys:
    """The keys of all rows that the commands of a batch may touch.

    users           users whose lines are read and locked
    requests        request records
    registered      users whose own rows are read
    authorizations  authorizations, by user id and authorization id
    together        authorizations whose whole group is read
    items           items, by operator id and asset id
    references      payments, by the rail account and the reference that calls name
    transfers       transfers, by user id and transfer id
    succeeded       transfers that the rail reports as succeeded
    payable         operators' balances of which a portion is taken, by operator id and currency
    balances        operators' balances that are read as a whole
    origins         requests whose authorizations are read
    operators       operators that must be known
    damaged         rentals whose captures and damage charges are read
    raised          authorizations; if one is a damage charge, its rental counts as damaged
    captured        authorizations whose captures are read
    corrected       authorizations whose corrections are read
    billed          rentals whose bill may change after the settlement: all rows of it are read
    debts           rentals whose debts are read, by user id and authorization id
    late            reservations for which a late pick-up may come: user id, authorization id, item
    reversing       people with an authorization that a call of the batch reverses
    cased           authorizations whose cases are read
    questions       questions of the platform, by user id, authorization id and case id
    named           people whose aliases, survivors and lines are read
    merging         people whom the batch may merge, each with the survivor
    attested        rentals whose attestations are read
    charge_backs    people whose charge-backs are read
    taken_back      payments that a bank takes back: authorizations, each with the reference
    reopened        charge-backs whose payments are read: user id, authorization id, case id
    carried         authorizations whose late pick-up, or reservation, is read with its group
    suspense        items in suspense, by caller and reference
    detailed        authorizations whose details are read
    builds          builds that the rows of calls need, if they are known as the oldest ones
    passes          people whose passes are read, each with the operator that sold them
    refunded        passes whose debts are read: user id, operator id, pass id
    seal            whether the number of the last seal is read
    """

    users: set[str] = field(default_factory=set)
    requests: set[Pair] = field(default_factory=set)
    registered: set[str] = field(default_factory=set)
    authorizations: set[Pair] = field(default_factory=set)
    together: set[Pair] = field(default_factory=set)
    items: set[Pair] = field(default_factory=set)
    references: set[Reference] = field(default_factory=set)
    transfers: set[Pair] = field(default_factory=set)
    succeeded: set[Pair] = field(default_factory=set)
    payable: set[Pair] = field(default_factory=set)
    balances: set[Pair] = field(default_factory=set)
    origins: list[Pair] = field(default_factory=list)
    operators: set[str] = field(default_factory=set)
    damaged: set[Pair] = field(default_factory=set)
    raised: set[Pair] = field(default_factory=set)
    captured: set[Pair] = field(default_factory=set)
    corrected: set[Pair] = field(default_factory=set)
    billed: set[Pair] = field(default_factory=set)
    debts: set[Pair] = field(default_factory=set)
    late: set[tuple[str, str, str]] = field(default_factory=set)
    reversing: set[str] = field(default_factory=set)
    cased: set[Pair] = field(default_factory=set)
    questions: set[tuple[str, str, str]] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    merging: set[Pair] = field(default_factory=set)
    attested: set[Pair] = field(default_factory=set)
    charge_backs: set[str] = field(default_factory=set)
    taken_back: set[tuple[str, str, str]] = field(default_factory=set)
    reopened: set[tuple[str, str, str]] = field(default_factory=set)
    carried: set[Pair] = field(default_factory=set)
    suspense: set[Pair] = field(default_factory=set)
    detailed: set[Pair] = field(default_factory=set)
    builds: set[int] = field(default_factory=set)
    passes: set[Pair] = field(default_factory=set)
    refunded: set[tuple[str, str, str]] = field(default_factory=set)
    seal: bool = False


class Wish(NamedTuple):
    """Rows to read: those with one of the keys in the columns `by`."""

    table: Table[Any, Any]
    by: tuple[str, ...]
    keys: set[Any]


class Docking(NamedTuple):
    """The step that settled a rental; `event_us` is its instant, in microseconds since the epoch,
    UTC."""

    transition: Transition
    event_us: int


class Rows(defaultdict[Table[Any, Any], dict[Any, Any]]):
    """The present rows of a batch, a dictionary by key for each table.

    Later commands of a batch see the changes of earlier ones. Only `merge` changes rows.

    The dictionary of a table is made when it is first named. Most batches name few tables.

    read     rows as read, by table and key
    changed  rows that differ from those read; None for a deleted row
    added    rows of tables without a key
    """

    def __init__(self) -> None:
        super().__init__(dict)
        self.read: dict[Table[Any, Any], dict[Any, Any]] = defaultdict(dict)
        self.changed: dict[Table[Any, Any], dict[Any, Any]] = defaultdict(dict)
        self.added: dict[Table[Any, Any], list[Any]] = defaultdict(list)
        self.payable: dict[Pair, int] = {}
        """The change of operators' balances by this batch, by operator and currency."""
        self.taken_payable: dict[Pair, TakenPayable] = {}
        self.payable_left: dict[Pair, int] = {}
        self.last_seal = 0
        """The number of the last seal, this batch's seals included; read only for a new seal."""
        self.seals: list[SealRecord] = []
        self.sought_items: set[Pair] = set()
        """Items whose rows were asked for, by operator and item. One without a row is free."""
        self.reserved: set[Pair] = set()
        """Closed authorizations that once held an item for a pick-up; read for late pick-ups."""
        self.dockings: dict[Pair, Docking] = {}
        """The stored steps that settled rentals, read for their bills. Steps of this batch are not
        among them."""
        self.clock_gaps: list[ClockGap] = []
        """Clock gaps of the batch; they are not stored, but counted after the commit."""
        self.batch_id = ""
        self.counts: Counts | None = None
        self.budgets: Budgets | None = None
        """The rentals that rules of policies count; None if no policy in use has such rules."""
        self.pools: dict[Pair, tuple[Pool, ...]] | None = None
        """The quotas of free minutes of each rental in the rows; None if no tariff has some."""
        self.sellers: frozenset[str] = frozenset()
        """Operators with a tariff that sells passes."""
        self.holders: set[Pair] = set()
        """People whose passes were read, each with the operator that sold them."""

    if TYPE_CHECKING:

        def __getitem__(self, table: Table[Key, Row]) -> dict[Key, Row]: ...

    def lines_of(self, user_id: str) -> list[Line]:
        """All lines of a person, in the order of the currencies."""
        return [line for key, line in sorted(self[LINES].items()) if key[0] == user_id]

    def group(self, user_id: str, group_id: str) -> list[Authorization]:
        """The authorizations of a group, in the order of their ids."""
        return [
            it
            for key, it in sorted(self[AUTHORIZATIONS].items())
            if key[0] == user_id and it.group_id == group_id
        ]

    def damage_charges(self, user_id: str, parent_id: str) -> list[Authorization]:
        """The damage charges of a rental, those of this batch included."""
        return [
            it
            for key, it in self[AUTHORIZATIONS].items()
            if it.parent_id == parent_id and key[0] == user_id
        ]

    def transfers_of(self, user_id: str, authorization_id: str) -> dict[str, TransferRecord]:
        """The transfers of an authorization that were read or made in this batch, by their ids."""
        name = (user_id, authorization_id)
        return {
            it.transfer_id: it
            for it in self[TRANSFERS].values()
            if (it.user_id, it.authorization_id) == name
        }

    def succeeding(self, succeeded: set[Pair]) -> set[Pair]:
        """Authorizations with a transfer that succeeds, perhaps late; a newer one may be in
        progress. An earlier call of the same batch may report the failure."""
        return {
            (it.user_id, it.authorization_id)
            for key in succeeded
            if (it := self[TRANSFERS].get(key)) is not None
        }

    def debts_of(self, user_id: str, parent_id: str) -> dict[str, DebtRecord]:
        """The debts of a rental, by their business references."""
        name = (user_id, parent_id)
        return {
            it.business_reference: it
            for it in self[DEBTS].values()
            if (it.user_id, it.parent_id) == name
        }

    def payable_minor(self, operator_id: str, currency: str) -> int:
        """The balance of an operator; it is read only for payments to and from operators."""
        key = (operator_id, currency)
        taken_minor = self.taken_payable[key].amount_minor + self.payable_left[key]
        return taken_minor + self.payable.get(key, 0)

    def merge(self, draft: Draft) -> None:
        """Applies a command's draft to the batch."""
        for table, key in draft.gone:
            self[table].pop(key, None)
            self.changed[table][key] = None
        for table, rows in draft.items():
            key_of = table.key_of
            if key_of is None:
                self.added[table].extend(rows)
                if table is ENTRIES:
                    self._count_payable(rows)
                continue
            now, changed = self[table], self.changed[table]
            if table is AUTHORIZATIONS and self.budgets is not None:
                self.budgets.count(rows, now)
            for row in rows:
                key = key_of(row)
                now[key] = changed[key] = row
        if draft.seal is not None:
            self.seals.append(draft.seal)
            self.last_seal = draft.seal.number
        if draft.clock_gap is not None:
            self.clock_gaps.append(draft.clock_gap)

    def _count_payable(self, entries: Sequence[Entry]) -> None:
        """Adds the changes of operators' balances."""
        for entry in entries:
            if entry.credit is _PAYABLE:
                amount_minor = entry.amount_minor
            elif entry.debit is _PAYABLE:
                amount_minor = -entry.amount_minor
            else:
                continue
            of = (entry.operator_id, entry.currency)
            self.payable[of] = self.payable.get(of, 0) + amount_minor
