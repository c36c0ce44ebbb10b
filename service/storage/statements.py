"""The statements of a batch: built once for each dialect with SQLAlchemy Core, then plain text.

The driver receives texts and tuples. Executing the ten statements of a batch through SQLAlchemy
cost about as much again as the statements themselves.

Keys are passed as rows, and the table is joined to them. On SQLite an IN list over pairs is a full
scan. Pairs in one JSON text took three times as long: 2.0 us for each key instead of 0.6.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Engine,
    FromClause,
    Select,
    String,
    Table,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    union,
    union_all,
)
from sqlalchemy import column as column_clause
from sqlalchemy import table as table_clause
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement, ColumnElement
from sqlalchemy.sql.expression import TableClause

from service.domain.authorization import HOLDING, State
from service.domain.rules import Of
from service.domain.settlement import DOCKINGS
from service.domain.transitions import Transition
from service.engine.tables import (
    ALIASES,
    ATTESTATIONS,
    AUTHORIZATIONS,
    BUDGET_LEASES,
    CAPTURES,
    CASES,
    CHARGE_BACKS,
    CORRECTIONS,
    DEBTS,
    LATE_PICKUPS,
    LATER_DECISIONS,
    LINES,
    LISTINGS,
    PASSES,
    QUOTA_USES,
    RAIL_ACCOUNTS,
    REFUSED_INCREMENTS,
    TABLES,
    TRANSFERS,
)
from service.engine.tables import Table as RecordTable
from service.storage import schema
from service.storage.database import BACKENDS, limits_of
from service.storage.payable_statements import payable_left, take_payables
from service.storage.row_statements import RowsStatement
from service.storage.schema.record_tables import CONVERTERS
from service.storage.trace_statements import traces_of_orders, traces_of_users
from service.storage.transaction import (
    BatchStatements,
    TableStatements,
    Writing,
)
from service.storage.write_statements import (
    all_given,
    insert_rows,
    literal_text,
    names_list,
    rows_statement,
    update_rows,
)


def _delete(table: Table, names: Sequence[str], dialect: Dialect) -> RowsStatement:
    """Deletes the rows with these values in these columns."""
    keys, row_id = [table.c[name] for name in names], BACKENDS[dialect.name].row_id
    wanted = _wanted(keys)
    if not row_id:
        head, tail = f"DELETE FROM {table.name} USING (", f") AS wanted{names_list(names)} WHERE "
        return rows_statement(
            dialect, head, tail + _text(_matches(wanted, keys), dialect, ()), keys
        )
    place: ColumnElement[int] = literal_column(f"{table.name}.{row_id}")
    found = select(place).select_from(wanted.join(table, _matches(wanted, keys)))
    head = f"DELETE FROM {table.name} WHERE {row_id} IN (WITH wanted{names_list(names)} AS ("
    one = f"DELETE FROM {table.name} WHERE {all_given(names)}"
    return rows_statement(dialect, head, f") {_text(found, dialect, ())})", keys, one=one)


def _text(statement: ClauseElement, dialect: Dialect, parameters: Sequence[str]) -> str:
    """A statement in the driver's form, with its parameters in this order.

    The passed rows are read first, and the tables joined to them by their keys.
    """
    compiled = cast(SQLCompiler, statement.compile(dialect=dialect))
    if list(compiled.positiontup or ()) != list(parameters):
        raise TypeError(f"the parameters are in another order than expected: {compiled}")
    ordered = f"FROM wanted {BACKENDS[dialect.name].ordered_join}"
    return str(compiled).replace("FROM wanted JOIN", ordered)


def _by_keys(
    table: Table, names: Sequence[str], dialect: Dialect, *, lock: bool = False
) -> RowsStatement:
    """Reads the rows whose columns `names` have the values of a passed row.

    With `lock`, the rows are locked in the order of their keys, so that two processes do not
    deadlock. A database with one writer needs neither the locks nor the order.
    """
    keys = [table.c[name] for name in names]
    wanted = _wanted(keys)
    found = schema.recorded(table)
    statement = select(*found).select_from(wanted.join(table, _matches(wanted, keys)))
    if lock and BACKENDS[dialect.name].locks_rows:
        statement = statement.order_by(*keys).with_for_update(of=table)
    return _reading(statement, keys, dialect)


def _wanted(keys: Sequence[Column[Any]]) -> TableClause:
    """The passed rows, as a table with the keys' names."""
    return table_clause("wanted", *(column_clause(key.name) for key in keys))


def _matches(wanted: TableClause, keys: Sequence[Column[Any]]) -> ColumnElement[bool]:
    return and_(*(key == wanted.c[key.name] for key in keys))


def _reading(
    statement: ClauseElement,
    keys: Sequence[Column[Any]],
    dialect: Dialect,
    parameters: Sequence[str] = (),
) -> RowsStatement:
    """A statement over `wanted`; the passed rows precede it, and its own parameters come last."""
    return rows_statement(
        dialect,
        f"WITH wanted{names_list(key.name for key in keys)} AS (",
        f") {_text(statement, dialect, parameters)}",
        keys,
    )


def features_of(people: FromClause) -> Select[Any]:
    """People with their latest features, in the order of `UserFeatures`; `people` joins users."""
    users, snapshots = schema.users, schema.feature_snapshots
    latest = and_(
        snapshots.c.user_id == users.c.user_id, snapshots.c.version == users.c.feature_version
    )
    return select(
        *(users.c.user_id, users.c.scoring_consent, users.c.feature_version),
        *(snapshots.c.schema_id, snapshots.c.raw, snapshots.c.as_of_us),
        *(users.c.alias_of, snapshots.c.texts, snapshots.c.model_id),
        *(snapshots.c.margin, snapshots.c.reasons, snapshots.c.extrapolated),
    ).select_from(people.outerjoin(snapshots, latest))


def _latest_features(dialect: Dialect) -> RowsStatement:
    """Reads people with their latest features, by their ids."""
    keys = [schema.users.c.user_id]
    wanted = _wanted(keys)
    people = wanted.join(schema.users, _matches(wanted, keys))
    return _reading(features_of(people), keys, dialect)


def _lapsed(dialect: Dialect) -> RowsStatement:
    """Reads authorizations of people that hold something and have a due timer.

    The parameters are the people's ids, then the instant.
    """
    a = schema.authorizations.c
    keys = [a.user_id]
    wanted = _wanted(keys)
    statement = (
        select(a.user_id, a.authorization_id)
        .select_from(wanted.join(schema.authorizations, _matches(wanted, keys)))
        .where(
            a.wake_us <= bindparam("now_us", type_=BigInteger),
            or_(*(a.state == literal_column(f"'{state}'") for state in sorted(HOLDING))),
        )
    )
    return _reading(statement, keys, dialect, ["now_us"])


def _products(dialect: Dialect) -> RowsStatement:
    """Reads the products of authorizations, by user id and authorization id, without a lock."""
    a = schema.authorizations.c
    keys = [a.user_id, a.authorization_id]
    wanted = _wanted(keys)
    statement = select(a.user_id, a.authorization_id, a.product_id).select_from(
        wanted.join(schema.authorizations, _matches(wanted, keys))
    )
    return _reading(statement, keys, dialect)


def _reserved(dialect: Dialect) -> RowsStatement:
    """Reads which authorizations held for a pick-up, by user id and authorization id."""
    it = schema.entries.c
    keys = [it.user_id, it.authorization_id]
    wanted = _wanted(keys)
    held = it.transition == literal_column(f"'{Transition.AUTHORIZED}'")
    statement = (
        select(it.user_id, it.authorization_id)
        .select_from(wanted.join(schema.entries, _matches(wanted, keys)))
        .where(held)
    )
    return _reading(statement, keys, dialect)


def _dockings(dialect: Dialect) -> RowsStatement:
    """Reads the steps that settled rentals, by user id and authorization id.

    A step has several entries. If it has none, it has a row of its own instead.
    """
    keys = [schema.entries.c.user_id, schema.entries.c.authorization_id]
    wanted, tables = _wanted(keys), (schema.entries, schema.unposted_dockings)
    docks = [
        select(it.c.user_id, it.c.authorization_id, it.c.transition, it.c.event_us)
        .select_from(wanted.join(it, _matches(wanted, [it.c[key.name] for key in keys])))
        .where(or_(*(it.c.transition == literal_column(f"'{name}'") for name in sorted(DOCKINGS))))
        for it in tables
    ]
    return _reading(union(*docks), keys, dialect)


_OPEN = "ix_authorizations_open"
"""The index of the people's rentals that hold."""


def _counted(of: TableClause | Table, state: Iterable[str]) -> ColumnElement[bool]:
    """The condition that an authorization is a rental in one of these states."""
    a = of.c
    known = or_(*(a.state == literal_column(f"'{it}'") for it in sorted(state)))
    return and_(known, a.parent_id == literal_column("''"))


def _rentals(
    wanted: TableClause, of: str, source: FromClause, condition: ColumnElement[bool]
) -> Select[Any]:
    """Rentals of a bearer, each with its name and what says whether it counts."""
    a = schema.authorizations.c
    found = (a.user_id, a.authorization_id, a.operator_id, a.state, a.create_us)
    times = (a.expire_us, a.claim_until_us)
    kind = literal_column(f"'{of}'", String())
    statement = select(kind, wanted.c.bearer, *found, *times).select_from(source)
    return statement.where(condition)


def _recent(column: ColumnElement[str]) -> ColumnElement[bool]:
    """The condition of settled rentals since an instant, whose ids are not less than its id.

    Those that hold are read whenever they were asked for.
    """
    a = schema.authorizations.c
    since = a.create_us > bindparam("since_us", type_=BigInteger)
    named = column >= bindparam("since_id", type_=String)
    return and_(named, since, _counted(schema.authorizations, [State.SETTLED]))


def _rentals_of_users(dialect: Dialect, *, recent: bool) -> RowsStatement:
    """Reads the open rentals of people; with `recent` also those asked for since an instant."""
    a = schema.authorizations
    keys = [Column("bearer", String())]
    wanted = _wanted(keys)
    theirs = wanted.join(a, a.c.user_id == wanted.c.bearer)
    still = _rentals(wanted, Of.USER, theirs, _counted(a, HOLDING))
    # The primary key begins with the same column, and has all rentals of the past.
    still = still.with_hint(a, f"INDEXED BY {_OPEN}", "sqlite")
    if not recent:
        return _reading(still, keys, dialect)
    since = _rentals(wanted, Of.USER, theirs, _recent(a.c.authorization_id))
    return _reading(union_all(still, since), keys, dialect, ["since_id", "since_us"])


def _rentals_of_orders(dialect: Dialect, *, recent: bool) -> RowsStatement:
    """Reads the rentals of devices and payment accounts, as `_rentals_of_users`."""
    a, d = schema.authorizations, schema.authorization_details
    keys = [Column("of", String()), Column("bearer", String())]
    wanted = _wanted(keys)
    own = and_(a.c.user_id == d.c.user_id, a.c.authorization_id == d.c.authorization_id)
    parts: list[Select[Any]] = []
    for of, column in (
        (Of.DEVICE, d.c.device_hash),
        (Of.PAYMENT_ACCOUNT, d.c.payment_account_hash),
    ):
        source = wanted.join(d, column == wanted.c.bearer).join(a, own)
        there = and_(wanted.c.of == literal_column(f"'{of}'"), column != literal_column("''"))
        still = _rentals(wanted, of, source, and_(there, _counted(a, HOLDING)))
        parts.append(still.with_hint(a, f"INDEXED BY {_OPEN}", "sqlite"))
        if recent:
            since = and_(there, _recent(d.c.authorization_id))
            parts.append(_rentals(wanted, of, source, since))
    parameters = ["since_id", "since_us"] * 2 if recent else []
    return _reading(union_all(*parts), keys, dialect, parameters)


def _pasts(dialect: Dialect) -> RowsStatement:
    """Reads people's settled rentals, counted up to a number, and the first one of them.

    They are with one operator, or over all if the operator is empty.
    """
    a = schema.authorizations
    keys = [a.c.user_id, a.c.operator_id]
    wanted = _wanted(keys)
    of = or_(wanted.c.operator_id == literal_column("''"), a.c.operator_id == wanted.c.operator_id)
    own = and_(a.c.user_id == wanted.c.user_id, of)
    settled = (
        select(literal_column("1").label("one"))
        .select_from(a)
        .where(own, _counted(a, [State.SETTLED]), a.c.start_us.is_not(None))
        .correlate(wanted)
        .limit(bindparam("most", type_=BigInteger))
        .offset(literal_column("0"))  # SQLite would make it a parameter
        .subquery("settled")
    )
    number = select(func.count()).select_from(settled).scalar_subquery()
    first = (
        select(a.c.create_us)
        .where(own, _counted(a, [State.SETTLED]))
        .correlate(wanted)
        .order_by(a.c.authorization_id)
        .limit(literal_column("1"))
        .offset(literal_column("0"))
        .scalar_subquery()
    )
    statement = select(*(wanted.c[key.name] for key in keys), number, first)
    return _reading(statement, keys, dialect, ["most"])


def _note_uses(dialect: Dialect) -> RowsStatement:
    """Sets the last use of keys, by their hashes, where it is later than the one known."""
    k = schema.api_keys.c
    columns = [k.key_hash, k.last_use_us]
    called = BACKENDS[dialect.name].named_rows("new", ["column1", "column2"])
    return rows_statement(
        dialect,
        "UPDATE api_keys SET last_use_us = new.column2 FROM (",
        f") AS {called} WHERE api_keys.key_hash = new.column1 AND"
        " (api_keys.last_use_us IS NULL OR api_keys.last_use_us < new.column2)",
        columns,
    )


ALSO_FOUND_BY: dict[RecordTable[Any, Any], list[tuple[str, ...]]] = {
    ALIASES: [("survivor",)],
    AUTHORIZATIONS: [("user_id", "group_id"), ("user_id", "parent_id")],
    DEBTS: [("user_id", "parent_id")],
    LATE_PICKUPS: [("user_id", "started_id")],
    LINES: [("user_id",)],
    BUDGET_LEASES: [("operator_id", "policy_id", "currency", "period")],
    LISTINGS: [("owner", "kind", "subject")],
    RAIL_ACCOUNTS: [("caller",), ("owner", "account")],
    TRANSFERS: [("user_id", "authorization_id"), ("transfer_id",)],
    CAPTURES: [("user_id", "authorization_id")],
    CORRECTIONS: [("user_id", "authorization_id")],
    CASES: [("user_id", "authorization_id"), ("user_id", "authorization_id", "reference")],
    ATTESTATIONS: [("user_id", "authorization_id")],
    LATER_DECISIONS: [("user_id", "authorization_id")],
    REFUSED_INCREMENTS: [("user_id", "authorization_id")],
    QUOTA_USES: [("user_id", "authorization_id")],
    PASSES: [("user_id", "operator_id")],
    CHARGE_BACKS: [("user_id",)],
}
"""The columns, beside the keys, by which rows are found."""


def _of_table(declared: RecordTable[Any, Any], dialect: Dialect, *, locks: bool) -> TableStatements:
    table, kept = schema.metadata.tables[declared.name], CONVERTERS[declared]
    found_by = [declared.key, *ALSO_FOUND_BY.get(declared, [])] if declared.key else []
    delete = None
    if declared.taken:
        delete = _delete(table, [*declared.key, *declared.taken], dialect)
    update = usual_insert = usual_update = None
    if declared.version:
        update = Writing(update_rows(declared, table, dialect), kept.changes)
    if usual := declared.usual:
        literals = {name: literal_text(table.c[name], it, dialect) for name, it in usual.items()}
        usual_insert = Writing(insert_rows(table, dialect, literals), kept.usual_values)
    if rare := declared.rare:
        usual_update = Writing(update_rows(declared, table, dialect, rare), kept.usual_changes)
    return TableStatements(
        read={by: _by_keys(table, by, dialect, lock=locks and declared.locked) for by in found_by},
        insert=Writing(insert_rows(table, dialect), kept.values),
        update=update,
        usual_insert=usual_insert,
        usual_values=tuple(declared.usual.values()),
        usual_update=usual_update,
        delete=delete,
        record=kept.record,
    )


_BUILT: dict[tuple[str, int, bool], BatchStatements] = {}


def statements_of(engine: Engine, *, locks: bool = True) -> BatchStatements:
    """All statements of a batch for an engine's dialect and limits; built once in each process.

    Without `locks`, they read in a transaction that writes nothing.
    """
    folded_rows = limits_of(engine).fold_portion
    key = engine.dialect.name, folded_rows, locks
    if key not in _BUILT:
        _BUILT[key] = _built(engine.dialect, folded_rows, locks=locks)
    return _BUILT[key]


def _built(dialect: Dialect, folded_rows: int, *, locks: bool) -> BatchStatements:
    t = schema.metadata.tables
    last_seal = select(func.coalesce(func.max(t["seals"].c.number), literal_column("0")))
    return BatchStatements(
        together=BACKENDS[dialect.name].together(),
        tables={declared: _of_table(declared, dialect, locks=locks) for declared in TABLES},
        features=_latest_features(dialect),
        lapsed=_lapsed(dialect),
        products=_products(dialect),
        reserved=_reserved(dialect),
        dockings=_dockings(dialect),
        open_of_users=_rentals_of_users(dialect, recent=False),
        open_of_orders=_rentals_of_orders(dialect, recent=False),
        rentals_of_users=_rentals_of_users(dialect, recent=True),
        rentals_of_orders=_rentals_of_orders(dialect, recent=True),
        pasts=_pasts(dialect),
        traces_of_users=_reading(*traces_of_users(dialect)),
        traces_of_orders=_reading(*traces_of_orders(dialect)),
        lock_bearers=BACKENDS[dialect.name].lock_names if locks else "",
        take_payables=_text(*take_payables(dialect, folded_rows)),
        folded_rows=folded_rows,
        payable_left=_text(*payable_left(dialect)),
        insert_payables=insert_rows(t["operator_payables"], dialect),
        last_seal=_text(last_seal, dialect, ()),
        insert_seals=insert_rows(t["seals"], dialect),
        insert_sealed_heads=insert_rows(t["sealed_heads"], dialect),
        note_uses=_note_uses(dialect),
    )
