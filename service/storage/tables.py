"""The tables, with the invariants that the database itself keeps.

`user_id` leads the primary key of every table that a command touches, so that the schema can
be sharded by user. Named exceptions, in tables of their own: `requests` (operator, request
id), `open_items` (operator, asset) and `payments` (payer of record, reference). Amounts are
minor units; columns ending in `_us` are microseconds since the epoch, UTC.
"""

from __future__ import annotations

from collections import abc
from collections.abc import Iterable
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Sequence,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.types import TypeEngine

from service.domain.authorization import (
    CHARGED,
    HOLDING,
    LAPSING,
    Custody,
    Start,
    State,
    TransferKind,
)
from service.domain.ledger import Account, Book, Standing
from service.domain.policy import Offer
from service.engine.records.payments import PaymentKind
from service.engine.records.transfers import TransferState
from service.engine.tables import (
    AUTHORIZATIONS,
    DECISIONS,
    ENTRIES,
    LINES,
    OPEN_ITEMS,
    OUTBOX,
    PAYMENTS,
    REQUESTS,
    SNAPSHOTS,
    TRANSFERS,
    USERS,
)
from service.engine.tables import Table as RecordTable
from service.storage.rows import Converter, Kind, kinds_of

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

# SQLite numbers rows by itself only for a column of exactly this type.
SERIAL = BigInteger().with_variant(Integer(), "sqlite")

ARRIVALS = Sequence("arrivals", metadata=metadata)
"""Numbers the rows of lists on PostgreSQL, where several servers write at once."""
ARRIVAL = "arrival"


class NextArrival(ColumnElement[int]):
    """The next number of `ARRIVALS`; 0 on SQLite, whose one writer needs no numbers."""

    inherit_cache = True


@compiles(NextArrival)
def _no_number(_element: NextArrival, _compiler: Any, **_options: Any) -> str:
    return "0"


@compiles(NextArrival, "postgresql")
def _next_number(_element: NextArrival, _compiler: Any, **_options: Any) -> str:
    return f"nextval('{ARRIVALS.name}')"


def _arrival() -> Column[int]:
    """The number that the database gives a row when it is inserted; see `horizon`."""
    return Column(ARRIVAL, BigInteger, nullable=False, server_default=NextArrival())


def recorded(table: Table) -> list[Column[Any]]:
    """The columns that a record fills: all but the number that the database gives its row."""
    given = {ARRIVAL} | ({"sequence"} if table.name == "outbox" else set())
    return [column for column in table.columns if column.name not in given]


def _string(length: int) -> String:
    # By bytes, as SQLite sorts and as Python does; PostgreSQL's default follows a language.
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def _key(name: str) -> Column[str]:
    return Column(name, _string(200), primary_key=True)


def _text(name: str) -> Column[str]:
    return Column(name, _string(200), nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _bytes(name: str) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=False)


def _instant(name: str) -> Column[int | None]:
    return Column(name, BigInteger, nullable=True)


def _column(
    name: str, kind: Kind, given: TypeEngine[Any] | None, *, key: bool, default: str | None
) -> Column[Any]:
    """A column of a record's field; its type follows from the field's unless one is given."""
    return Column(
        name,
        given if given is not None else _TYPES.get(kind.type, _string(200)),
        primary_key=key,
        nullable=kind.nullable,
        # Numbers of a key are made by us and not by the database.
        autoincrement=False,
        # A server of a build that did not know the column yet goes on writing rows.
        server_default=default,
    )


def _of_records(
    declared: RecordTable[Any, Any],
    *rest: Column[Any] | CheckConstraint | Index,
    key: abc.Sequence[str] = (),
    derived: abc.Sequence[str] = (),
    first: abc.Sequence[Column[Any]] = (),
    last: abc.Sequence[Column[Any]] = (),
    added: abc.Mapping[str, str] = MappingProxyType({}),
    **types: TypeEngine[Any],
) -> Table:
    """The table of a record: a column for each field, then for each derived property.

    `types` are those that do not follow from the type of the field; `key` is the primary key where
    the rows are found by none; `first` and `last` are columns that the database fills in; `added`
    are columns that were added to rows that existed, with the values that these got.
    """
    kinds = kinds_of(declared.record)
    keys = (*declared.key, *key)
    columns = [
        _column(name, kind, types.get(name), key=name in keys, default=added.get(name))
        for name, kind in kinds.items()
    ]
    CONVERTERS[declared] = Converter(
        declared.record, fixed=(*declared.fixed, *declared.key), derived=derived
    )
    columns += [_instant(name) for name in derived]
    return Table(declared.name, metadata, *first, *columns, *last, *rest)


CONVERTERS: dict[RecordTable[Any, Any], Converter[Any]] = {}
"""How the records of a batch become rows, and rows records."""

CURRENCY, WHOLE = String(3), Integer()
_TYPES: dict[type, TypeEngine[Any]] = {
    int: BigInteger(),
    bool: Boolean(),
    bytes: LargeBinary(),
}


def _partial_index(name: str, condition: str, *columns: str) -> Index:
    return Index(name, *columns, sqlite_where=text(condition), postgresql_where=text(condition))


def _numbered_index(name: str, *columns: str, condition: str = "") -> Index:
    """An index in the order of arrival; only on PostgreSQL, where rows have such numbers."""
    where = text(condition) if condition else None
    index = Index(name, *columns, postgresql_where=where, info={"only": "postgresql"})
    return index.ddl_if(dialect="postgresql")


def _among(column: str, values: Iterable[StrEnum]) -> str:
    # Such a list grows by a migration that widens the CHECK (`migrations/checks.py`).
    # A chain of OR: SQLite builds a temporary index for IN (...) anew with every row that it
    # checks, which cost 4.5 us a column and row, against 0.1 us for the chain.
    return " OR ".join(f"{column} = '{value}'" for value in sorted(values))


def _not_negative(*columns: str) -> list[CheckConstraint]:
    return [CheckConstraint(f"{column} >= 0", f"{column}_not_negative") for column in columns]


# The builds that may run on this schema: from the largest number here on, see `migrate.py`.
compatibility = Table(
    "compatibility",
    metadata,
    Column("oldest_build", BigInteger, primary_key=True, autoincrement=False),
)

operators = Table(
    "operators",
    metadata,
    _key("operator_id"),
    _text("name"),
    Column("fee_bp", Integer, nullable=False),
    _number("create_us"),
    CheckConstraint("fee_bp BETWEEN 0 AND 10000", "fee_is_a_share"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_hash", String(64), primary_key=True),
    # NULL: a key of the platform itself
    Column("operator_id", String(128), ForeignKey("operators.operator_id"), nullable=True),
    Column("scopes", String(1024), nullable=False),
    _number("create_us"),
    Column("revoke_us", BigInteger, nullable=True),
)

policies = Table(
    "policies",
    metadata,
    _key("policy_id"),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("zero_from_score", Integer, nullable=False),
    Column("reduced_from_score", Integer, nullable=False),
    Column("reduced_credit_share_bp", Integer, nullable=False),
    _number("offer_window_us"),
    _number("pickup_window_us"),
    _number("max_feature_age_us"),
    _number("review_window_us"),
    _number("rental_period_us"),
    _number("claim_window_us"),
    _number("missing_window_us"),
    CheckConstraint("zero_from_score >= reduced_from_score", "cut_offs_in_order"),
    CheckConstraint("reduced_credit_share_bp BETWEEN 0 AND 10000", "credit_share_is_a_share"),
    *_not_negative("offer_window_us", "pickup_window_us", "max_feature_age_us"),
    *_not_negative("review_window_us", "rental_period_us", "claim_window_us", "missing_window_us"),
)

products = Table(
    "products",
    metadata,
    _key("operator_id"),
    _key("product_id"),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    _text("category"),
    Column("currency", String(3), nullable=False),
    _number("deposit_minor"),
    _number("replacement_minor"),
    _text("policy_id"),
    Column("policy_revision", Integer, nullable=False),
    _number("start_fee_minor"),
    Column("free_minutes", Integer, nullable=False),
    Column("interval_minutes", Integer, nullable=False),
    _number("interval_price_minor"),
    _number("day_cap_minor"),
    _number("buy_out_minor"),
    *_not_negative("deposit_minor", "replacement_minor", "start_fee_minor", "free_minutes"),
    *_not_negative("interval_price_minor", "day_cap_minor", "buy_out_minor"),
    CheckConstraint("interval_minutes > 0", "interval_positive"),
    ForeignKeyConstraint(["operator_id"], ["operators.operator_id"]),
    ForeignKeyConstraint(
        ["policy_id", "policy_revision"], ["policies.policy_id", "policies.revision"]
    ),
)

limit_steps = Table(
    "limit_steps",
    metadata,
    Column("currency", _string(3), primary_key=True),
    Column("from_score", Integer, primary_key=True, autoincrement=False),
    _number("limit_minor"),
    *_not_negative("limit_minor"),
)

# Which terms changed, written by triggers: whoever changes them, the servers learn of it. Changes
# are numbered in the order of their commits, since each waits for the one before it to end.
terms_changes = Table(
    "terms_changes",
    metadata,
    Column("change", SERIAL, primary_key=True, autoincrement=True),
    # the table; on PostgreSQL also "all"
    _text("kind"),
    # its key: an operator's, a policy's or a currency's, and a product or a policy's revision
    _text("name"),
    _text("part"),
)

users = _of_records(
    USERS,
    CheckConstraint("score_limit_minor >= 0", "score_limit_minor_not_negative"),
    CheckConstraint(
        "score_version >= 0 AND score_version <= feature_version", "score_of_known_features"
    ),
    CheckConstraint(
        "(score IS NULL) = (score_model_id = '')"
        " AND (score_version = 0 OR (score IS NULL) = (unscorable_reason <> ''))",
        "score_or_reason",
    ),
    # A server that does not know of the score's columns leaves them behind `feature_version`.
    added={
        "score_version": "0",
        "score_band": "",
        "score_model_id": "",
        "score_scale_version": "",
        "unscorable_reason": "",
        "unscorable_feature": "",
        "extrapolated": "",
        "score_limit_minor": "0",
    },
    score=WHOLE,
    score_band=String(1),
    score_model_id=String(200),
    score_scale_version=String(200),
    unscorable_reason=String(64),
    unscorable_feature=Text(),
    extrapolated=Text(),
)

feature_snapshots = _of_records(
    SNAPSHOTS,
    key=["user_id", "version"],
    schema_id=String(64),
)

feature_schemas = Table(
    "feature_schemas",
    metadata,
    Column("schema_id", String(64), primary_key=True),
    # JSON list of the names, in order
    Column("names", String, nullable=False),
)

lines = _of_records(
    LINES,
    *_not_negative("limit_minor", "available_minor", "held_minor", "drawn_minor"),
    *_not_negative("cut_pending_minor", "receivable_minor", "disputed_minor"),
    *_not_negative("charged_back_minor", "deposit_minor", "refund_payable_minor", "version"),
    CheckConstraint("limit_minor = available_minor + held_minor + drawn_minor", "limit_is_the_sum"),
    CheckConstraint("drawn_minor = receivable_minor + disputed_minor", "drawn_is_receivable"),
    CheckConstraint(_among("standing", Standing), "standing_known"),
    currency=_string(3),
)

entries = _of_records(
    ENTRIES,
    CheckConstraint("amount_minor > 0", "amount_positive"),
    CheckConstraint("debit <> credit", "two_accounts"),
    CheckConstraint("sequence >= transaction_sequence", "sequence_after_transaction"),
    CheckConstraint("debit_after_minor >= 0", "debit_after_not_negative"),
    CheckConstraint("credit_after_minor >= 0", "credit_after_not_negative"),
    CheckConstraint(_among("book", Book), "book_known"),
    CheckConstraint(_among("debit", Account), "debit_known"),
    CheckConstraint(_among("credit", Account), "credit_known"),
    key=["user_id", "currency", "sequence"],
    # Links of builds that did not name their format are of format 1, see `hash_chain.py`.
    added={"link_format": "1"},
    currency=_string(3),
    link_format=WHOLE,
)

# What operators are owed, as the sum of what each batch changed: no row that all calls share. The
# payable compactor adds them up.
operator_payables = Table(
    "operator_payables",
    metadata,
    _key("operator_id"),
    Column("currency", _string(3), primary_key=True),
    _key("batch_id"),
    # may be negative
    _number("amount_minor"),
)

authorizations = _of_records(
    AUTHORIZATIONS,
    *_not_negative("credit_minor", "cash_minor", "held_credit_minor", "held_cash_minor"),
    *_not_negative("captured_minor", "captured_credit_minor", "fee_minor", "paid_minor"),
    *_not_negative("conceded_minor", "lowered_minor", "disputed_minor", "charged_back_minor"),
    *_not_negative("refunded_minor", "refund_payable_minor", "recovered_minor", "debiting_minor"),
    *_not_negative("write_off_minor"),
    *_not_negative("forgiven_minor", "received_minor", "elsewhere_minor", "paid_out_minor"),
    CheckConstraint(
        "captured_credit_minor + held_credit_minor <= credit_minor", "credit_within_authorized"
    ),
    CheckConstraint(
        "captured_minor - captured_credit_minor + held_cash_minor <= cash_minor",
        "cash_within_authorized",
    ),
    CheckConstraint(
        "paid_minor + lowered_minor + disputed_minor + written_off_minor <= captured_credit_minor",
        "due_not_negative",
    ),
    CheckConstraint(
        "refunded_minor <= captured_minor - captured_credit_minor + paid_minor + recovered_minor",
        "refunded_within_paid",
    ),
    # What came in is held, owed back, kept or gone out.
    CheckConstraint(
        "received_minor + elsewhere_minor = paid_out_minor + held_cash_minor + refund_payable_minor"
        " + captured_minor - captured_credit_minor + paid_minor + recovered_minor - refunded_minor",
        "money_has_its_place",
    ),
    CheckConstraint("elsewhere_minor <= paid_minor", "elsewhere_within_paid"),
    CheckConstraint("charged_back_minor <= received_minor", "charged_back_within_received"),
    CheckConstraint(
        "charged_back_minor <= received_minor - paid_out_minor"
        " OR charged_back_minor <= held_cash_minor + refund_payable_minor",
        "charged_back_not_paid_out",
    ),
    CheckConstraint("fee_minor <= captured_minor - conceded_minor", "fee_within_kept"),
    CheckConstraint(
        "recovered_minor + forgiven_minor <= written_off_minor", "recovered_within_written_off"
    ),
    CheckConstraint("written_off_minor <= provisioned_minor", "provisioned_before_written_off"),
    CheckConstraint(
        f"held_credit_minor + held_cash_minor = 0 OR {_among('state', HOLDING)}",
        "only_open_states_hold",
    ),
    CheckConstraint(f"captured_minor = 0 OR {_among('state', CHARGED)}", "only_rentals_charge"),
    # A damage charge is ACTIVE with nothing out, so that it may lapse.
    CheckConstraint(
        f"expire_us IS NULL OR {_among('state', LAPSING)}"
        " OR (parent_id <> '' AND custody = 'IN_STATION')",
        "custody_keeps_the_hold",
    ),
    CheckConstraint(_among("state", State), "state_known"),
    CheckConstraint(_among("custody", Custody), "custody_known"),
    CheckConstraint(_among("start", Start), "start_known"),
    CheckConstraint(f"offer IS NULL OR {_among('offer', Offer)}", "offer_known"),
    Index("ix_authorizations_operator_id", "operator_id", "authorization_id"),
    _numbered_index("ix_authorizations_arrival", "operator_id", ARRIVAL, "authorization_id"),
    _partial_index("ix_authorizations_wake_us", "wake_us IS NOT NULL", "wake_us"),
    _partial_index("ix_authorizations_review", "state = 'REVIEW'", "authorization_id"),
    _numbered_index(
        "ix_authorizations_review_arrival",
        *(ARRIVAL, "authorization_id"),
        condition="state = 'REVIEW'",
    ),
    _partial_index("ix_authorizations_group_id", "group_id <> ''", "user_id", "group_id"),
    derived=["wake_us"],
    last=[_arrival()],
    currency=CURRENCY,
    product_revision=WHOLE,
    accept_offers=String(32),
    band=String(1),
    policy_revision=WHOLE,
    fee_bp=WHOLE,
    offer=String(16),
    reasons=String(512),
    rung=WHOLE,
)

decisions = _of_records(
    DECISIONS,
    # The id leads, not the person: it grows with time, so that new rows stand side by side.
    key=["decision_id", "user_id"],
    added={"unscorable_feature": "", "extrapolated": ""},
    margin=String(32),
    score=WHOLE,
    unscorable_reason=String(64),
    product_revision=WHOLE,
    policy_revision=WHOLE,
    offer=String(16),
    reasons=String(512),
    # a spec may name its columns at any length, and many may be extrapolated at once
    unscorable_feature=Text(),
    extrapolated=Text(),
)

requests = _of_records(
    REQUESTS,
)

open_items = _of_records(
    OPEN_ITEMS,
)

payments = _of_records(
    PAYMENTS,
    CheckConstraint("amount_minor > 0", "amount_positive"),
    CheckConstraint(_among("kind", PaymentKind), "kind_known"),
    currency=CURRENCY,
)

# What the payment rail is to do.
transfers = _of_records(
    TRANSFERS,
    CheckConstraint("amount_minor > 0", "amount_positive"),
    CheckConstraint(_among("kind", TransferKind), "kind_known"),
    CheckConstraint(_among("state", TransferState), "state_known"),
    CheckConstraint(
        "earlier_state IS NULL OR state = 'SUCCEEDED' OR state = 'RETURNED'",
        "only_a_success_is_late",
    ),
    CheckConstraint(
        "(earlier_state IS NULL) = (earlier_us IS NULL)"
        " AND (earlier_state IS NULL) = (earlier_detail IS NULL)",
        "earlier_word_is_whole",
    ),
    CheckConstraint("state <> 'RETURNED' OR kind = 'PAYOUT'", "only_payouts_return"),
    Index("ix_transfers_transfer_id", "transfer_id"),
    # Of all, and partial so that only lists use it: SQLite would look there for those that are not
    # ended, and sort them.
    _partial_index("ix_transfers_state", "transfer_id > ''", "state", "transfer_id"),
    _numbered_index("ix_transfers_arrival", ARRIVAL, "transfer_id"),
    _numbered_index("ix_transfers_state_arrival", "state", ARRIVAL, "transfer_id"),
    _partial_index(
        "ix_transfers_change_us",
        "state = 'REQUESTED' OR state = 'SENT'",
        *("change_us", "user_id", "transfer_id"),
    ),
    currency=CURRENCY,
    last=[_arrival()],
    detail=String(512),
    earlier_detail=String(512),
)

outbox = _of_records(
    OUTBOX,
    first=[Column("sequence", SERIAL, primary_key=True, autoincrement=True)],
)

# Signatures over the heads of lines; the key that signs is not in the database.
seals = Table(
    "seals",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    _bytes("previous"),
    _bytes("digest"),
    _bytes("signature"),
    _text("key_id"),
    _number("seal_us"),
    _number("outbox_sequence"),
)

sealed_heads = Table(
    "sealed_heads",
    metadata,
    _key("user_id"),
    Column("currency", _string(3), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    _number("version"),
    _bytes("head"),
    Index("ix_sealed_heads_number", "number"),
)
