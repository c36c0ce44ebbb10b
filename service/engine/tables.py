"""The tables of a batch, as the engine knows them. The record of a table is the only list of its
columns.

Storage adds the types of the database and its CHECKs (`service/storage/schema/`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from operator import attrgetter, itemgetter
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from service.domain.authorization import FIXED, Authorization
from service.domain.breakers import OpenedBreaker
from service.domain.budgets import Account, Lease
from service.domain.cases import Case, Evidence
from service.domain.charge_backs import ChargeBack
from service.domain.ledger import Entry, Line
from service.domain.listings import Listing
from service.domain.suspense import SuspenseItem
from service.engine.records.aliases import AliasRecord
from service.engine.records.attestations import AttestationRecord
from service.engine.records.authorizations import Decision, OpenItem
from service.engine.records.captures import CaptureRecord, CorrectionRecord
from service.engine.records.compatibility import CompatibilityRecord
from service.engine.records.consents import ConsentRecord
from service.engine.records.debts import DebtRecord
from service.engine.records.details import DetailsRecord
from service.engine.records.events import Event
from service.engine.records.lapses import LapseRecord
from service.engine.records.late_pickups import LatePickupRecord
from service.engine.records.later_decisions import LaterDecisionRecord
from service.engine.records.passes import PassRecord
from service.engine.records.payments import PaymentRecord
from service.engine.records.quotas import QuotaRecord, QuotaUseRecord
from service.engine.records.rail_accounts import RailAccountRecord
from service.engine.records.refused_increments import RefusedIncrementRecord
from service.engine.records.requests import RequestRecord
from service.engine.records.transfers import TransferRecord
from service.engine.records.unposted import UnpostedRecord
from service.engine.records.users import FeatureSnapshot, UserRecord
from service.engine.records.verdicts import VerdictRecord

Key = TypeVar("Key")
Row = TypeVar("Row")


class Table(Generic[Key, Row]):
    """One table: its name, its record, and the columns for finding and changing rows.

    key      columns by which rows are found; empty if rows are only added
    version  column that must be unchanged since the read when a row is updated
    fixed    columns that never change
    taken    columns that must be unchanged since the read when a row is replaced or deleted
    taken_of the values of the key and of these columns of a record, as a tuple
    locked   whether rows are locked when read, if the database has several writers columns that
    mostly have the record's default, and that few steps change
    columns  all columns of the record, in order
    usual    the values that most new rows have in the rare columns (the record's defaults), and in
             some more
    rare_of  the rare columns' values of a record
    usual_of the values of the columns of `usual` of a record
    """

    def __init__(
        self,
        name: str,
        record: type[Row],
        key: Sequence[str] = (),
        *,
        version: str = "",
        fixed: Sequence[str] = (),
        taken: Sequence[str] = (),
        locked: bool = False,
        rare: Sequence[str] = (),
        usual: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.name = name
        self.record = record
        self.columns = columns_of(record)
        self.key = tuple(key)
        self.version = version
        self.fixed = frozenset(fixed)
        self.taken = tuple(taken)
        self.locked = locked
        self.rare = tuple(rare)
        self.usual = {**{name: defaults_of(record)[name] for name in rare}, **usual}
        self.taken_of: Callable[[Row], Any] = _getter(record, (*self.key, *self.taken))
        self.rare_of: Callable[[Row], Any] = _getter(record, self.rare)
        self.usual_of: Callable[[Row], Any] = _getter(record, tuple(self.usual))
        self.key_of: Callable[[Row], Key] | None = _getter(record, self.key) if key else None

    def __repr__(self) -> str:
        return f"Table({self.name})"


def columns_of(record: type[Any]) -> tuple[str, ...]:
    """The names of a record's fields, in order."""
    named: tuple[str, ...] | None = getattr(record, "_fields", None)
    return named if named is not None else tuple(field.name for field in fields(record))


def defaults_of(record: type[Any]) -> Mapping[str, Any]:
    """The defaults of a record's fields, by name; fields without a default are left out."""
    named: Mapping[str, Any] | None = getattr(record, "_field_defaults", None)
    if named is not None:
        return named
    return {it.name: it.default for it in fields(record) if it.default is not MISSING}


def _getter(record: type[Any], names: Sequence[str]) -> Callable[[Any], Any]:
    """A function that returns the values of these fields, as a tuple if there are several."""
    if not names:
        return lambda _row: ()
    if issubclass(record, tuple):
        # Reading by place takes a third of the time.
        return itemgetter(*map(columns_of(record).index, names))
    return attrgetter(*names)


Pair = tuple[str, str]

USERS: Table[str, UserRecord] = Table("users", UserRecord, ["user_id"], version="feature_version")
SNAPSHOTS: Table[None, FeatureSnapshot] = Table("feature_snapshots", FeatureSnapshot)
LINES: Table[Pair, Line] = Table(
    "lines",
    Line,
    ["user_id", "currency"],
    version="version",
    fixed=["subject_key", "subject"],
    locked=True,
    rare=[
        *("limit_minor", "cut_pending_minor", "disputed_minor", "charged_back_minor"),
        *("refund_payable_minor", "standing", "limit_fixed", "overpaid_minor", "unheld_minor"),
    ],
)
ENTRIES: Table[None, Entry] = Table("entries", Entry)
AUTHORIZATIONS: Table[Pair, Authorization] = Table(
    "authorizations",
    Authorization,
    ["user_id", "authorization_id"],
    version="version",
    fixed=sorted(FIXED),
    locked=True,
    rare=[
        *("claim_us", "claim_until_us", "sold_us", "conceded_minor", "paid_minor"),
        *("lowered_minor", "disputed_minor", "charged_back_minor", "refunded_minor"),
        *("refund_payable_minor", "provisioned_minor", "written_off_minor", "recovered_minor"),
        *("forgiven_minor", "received_minor", "elsewhere_minor", "paid_out_minor"),
        *("debiting_minor", "write_off_by", "write_off_minor", "rung", "overpaid_minor"),
        *("overpaid_written_off_minor", "other_captured_minor", "corrections"),
        *("uncollected_minor", "refund_since_us", "refund_tries", "unheld_minor"),
        *("unheld_dropped_minor", "unheld_disputed_minor", "unheld_until_us", "reserve_us"),
        "order_fee_minor",
    ],
    usual={
        **dict.fromkeys(["parent_id", "group_id"], ""),
        **dict.fromkeys(["held_cash_minor", "captured_minor", "captured_credit_minor"], 0),
        **dict.fromkeys(["fee_minor", "captures", "paused_us"], 0),
        "close_us": None,
    },
)
DECISIONS: Table[None, Decision] = Table(
    "decisions",
    Decision,
    usual={"unscorable_reason": None, "unscorable_feature": "", "read_values": None},
)
REQUESTS: Table[Pair, RequestRecord] = Table(
    "requests", RequestRecord, ["caller", "request_id"], taken=["method"]
)
OPEN_ITEMS: Table[Pair, OpenItem] = Table(
    "open_items", OpenItem, ["operator_id", "asset_id"], taken=["authorization_id"]
)
PAYMENTS: Table[Pair, PaymentRecord] = Table(
    "payments", PaymentRecord, ["caller", "payment_reference"]
)
TRANSFERS: Table[Pair, TransferRecord] = Table(
    "transfers",
    TransferRecord,
    ["user_id", "transfer_id"],
    version="change_us",
    fixed=["authorization_id", "kind", "amount_minor", "currency", "request_us"],
)
CAPTURES: Table[tuple[str, str, int], CaptureRecord] = Table(
    "captures",
    CaptureRecord,
    ["user_id", "authorization_id", "number"],
    # The lock and the version of the authorization guard all its captures.
    version="conceded_minor",
    fixed=[
        *("purpose", "amount_minor", "business_reference", "authorization_version"),
        *("event_us", "record_us", "digest"),
    ],
)
CORRECTIONS: Table[tuple[str, str, int], CorrectionRecord] = Table(
    "corrections",
    CorrectionRecord,
    ["user_id", "authorization_id", "number"],
    taken=["digest"],
)
DEBTS: Table[tuple[str, str, str], DebtRecord] = Table(
    "debts", DebtRecord, ["user_id", "parent_id", "business_reference"]
)
LATE_PICKUPS: Table[Pair, LatePickupRecord] = Table(
    "late_pickups", LatePickupRecord, ["user_id", "authorization_id"]
)
CASES: Table[tuple[str, str, str], Case] = Table(
    "cases",
    Case,
    ["user_id", "authorization_id", "case_id"],
    version="version",
    fixed=[
        *("kind", "operator_id", "currency", "reference", "opened_by", "open_us"),
        *("open_version", "occurred_us"),
    ],
)
EVIDENCE: Table[tuple[str, str, str, int], Evidence] = Table(
    "case_evidence", Evidence, ["user_id", "authorization_id", "case_id", "number"]
)
RAIL_ACCOUNTS: Table[Pair, RailAccountRecord] = Table(
    "rail_accounts", RailAccountRecord, ["caller", "name"]
)
ALIASES: Table[str, AliasRecord] = Table("aliases", AliasRecord, ["user_id"], version="version")
ATTESTATIONS: Table[tuple[str, str, int], AttestationRecord] = Table(
    "attestations",
    AttestationRecord,
    ["user_id", "authorization_id", "number"],
    taken=["digest"],
)
CHARGE_BACKS: Table[tuple[str, str, str], ChargeBack] = Table(
    "charge_backs",
    ChargeBack,
    ["user_id", "authorization_id", "case_id"],
    version="changes",
    fixed=[
        *("caller", "payment", "amount_minor", "currency", "gone_out_minor"),
        *("record_us", "suspense_minor"),
    ],
)
SUSPENSE: Table[Pair, SuspenseItem] = Table(
    "suspense",
    SuspenseItem,
    ["caller", "payment_reference"],
    version="changes",
    fixed=[*("user_id", "authorization_id", "direction", "amount_minor", "currency", "record_us")],
)
DETAILS: Table[Pair, DetailsRecord] = Table(
    "authorization_details",
    DetailsRecord,
    ["user_id", "authorization_id"],
    # The lock and the version of the authorization guard its details.
    version="authorization_version",
    fixed=["operator_id"],
)
COMPATIBILITY: Table[int, CompatibilityRecord] = Table(
    "compatibility", CompatibilityRecord, ["oldest_build"]
)
LAPSES: Table[tuple[str, str, int], LapseRecord] = Table(
    "lapses", LapseRecord, ["user_id", "authorization_id", "authorization_version"]
)
CONSENTS: Table[tuple[str, str, int], ConsentRecord] = Table(
    "consents", ConsentRecord, ["user_id", "authorization_id", "authorization_version"]
)
VERDICTS: Table[Pair, VerdictRecord] = Table(
    "verdicts", VerdictRecord, ["user_id", "authorization_id"]
)
UNPOSTED: Table[tuple[str, str, int], UnpostedRecord] = Table(
    "unposted_dockings", UnpostedRecord, ["user_id", "authorization_id", "authorization_version"]
)
LATER_DECISIONS: Table[tuple[str, str, int], LaterDecisionRecord] = Table(
    "later_decisions",
    LaterDecisionRecord,
    ["user_id", "authorization_id", "authorization_version"],
)
REFUSED_INCREMENTS: Table[tuple[str, str, int], RefusedIncrementRecord] = Table(
    "refused_increments",
    RefusedIncrementRecord,
    ["user_id", "authorization_id", "number"],
)
LISTINGS: Table[tuple[str, int], Listing] = Table("listings", Listing, ["owner", "number"])
BREAKERS: Table[tuple[str, int], OpenedBreaker] = Table(
    "breakers", OpenedBreaker, ["operator_id", "number"]
)
BUDGET_ACCOUNTS: Table[tuple[str, str, str, str], Account] = Table(
    "budget_accounts",
    Account,
    ["operator_id", "policy_id", "currency", "period"],
    version="version",
)
BUDGET_LEASES: Table[tuple[str, str, str, str, str], Lease] = Table(
    "budget_leases",
    Lease,
    ["operator_id", "policy_id", "currency", "period", "server_id"],
    taken=["version"],
)
QuotaKey = tuple[str, str, str, str, int]
"""A person, an operator, a quota's name and kind of period, and the period's beginning."""
QUOTAS: Table[QuotaKey, QuotaRecord] = Table(
    "quotas",
    QuotaRecord,
    ["user_id", "operator_id", "name", "per", "period_us"],
    version="changes",
)
QUOTA_USES: Table[tuple[str, str, str, str], QuotaUseRecord] = Table(
    "quota_uses",
    QuotaUseRecord,
    ["user_id", "authorization_id", "name", "per"],
    # The lock and the version of the authorization guard its uses.
    version="returned_version",
    fixed=["operator_id", "period_us", "minutes", "authorization_version"],
)
PASSES: Table[tuple[str, str, str], PassRecord] = Table(
    "passes",
    PassRecord,
    ["user_id", "operator_id", "pass_id"],
    version="changes",
    fixed=[
        *("product_id", "product_revision", "name", "gives", "size", "time_zone", "price_minor"),
        *("currency", "from_us", "until_us", "authorization_id", "reference", "request_id"),
        "record_us",
    ],
)
OUTBOX: Table[None, Event] = Table("outbox", Event)

TABLES: tuple[Table[Any, Any], ...] = (
    USERS,
    SNAPSHOTS,
    LINES,
    ENTRIES,
    AUTHORIZATIONS,
    DECISIONS,
    REQUESTS,
    OPEN_ITEMS,
    PAYMENTS,
    TRANSFERS,
    CAPTURES,
    CORRECTIONS,
    DEBTS,
    LATE_PICKUPS,
    CASES,
    EVIDENCE,
    RAIL_ACCOUNTS,
    ALIASES,
    ATTESTATIONS,
    CHARGE_BACKS,
    SUSPENSE,
    DETAILS,
    COMPATIBILITY,
    LAPSES,
    CONSENTS,
    VERDICTS,
    UNPOSTED,
    LATER_DECISIONS,
    REFUSED_INCREMENTS,
    QUOTAS,
    QUOTA_USES,
    PASSES,
    LISTINGS,
    BREAKERS,
    BUDGET_ACCOUNTS,
    BUDGET_LEASES,
    OUTBOX,
)
"""The order in which all processes write the tables, each in the order of its keys.

The same order prevents deadlocks.
"""
