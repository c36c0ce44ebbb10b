"""Reads the terms: operators, policies, products and limits. A wrong row affects no other row.

The database's own rules refuse most wrong rows, but SQL clients can bypass these rules: SQLite
stores a text in a number column, and checks foreign keys only on request. Every value is therefore
checked here before it is used.
"""

from __future__ import annotations

import re
from collections import defaultdict, namedtuple
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, func, select, tuple_

from service.domain.credit import LimitStep
from service.domain.document_fields import CURRENCY, MOST_MINOR, MOST_MINUTES, MOST_SCORE
from service.domain.errors import InvalidInput
from service.domain.exposure import Rate, TotalExposure
from service.domain.line_items import names_of_text
from service.domain.policy import Policy
from service.domain.product import Operator, Product
from service.domain.rules import Rules
from service.domain.rules_document import rules_of_json
from service.domain.tariff import AnyTariff
from service.domain.tariff_document import MOST_PLACES, stations_of, tariff_columns
from service.engine.catalog import TOTAL, Catalog, TermsFault, TermsKind, TermsNames
from service.storage import schema as t
from service.storage.breakers import open_breakers
from service.storage.database import backend_of
from service.storage.tariffs import tariff_in_row

MOST_US = MOST_MINUTES * 60_000_000
"""No wait is longer."""
LAST_US = 2**62
"""No instant is later."""
MOST_CHANGES = 500
"""For more changes than these, all terms are read instead of the changed ones."""
WHOLE = re.compile("-?[0-9]{1,9}")
TABLES = (t.operators, t.policies, t.products, t.limit_steps, t.exposure_rates)
WINDOWS = [
    name
    for name, column in t.policies.columns.items()
    if name.endswith("_us") and not column.nullable
]
RARE_WINDOWS = [
    name for name, column in t.policies.columns.items() if name.endswith("_us") and column.nullable
]
AMOUNTS = [
    name
    for name, column in t.products.columns.items()
    if name.endswith("_minor") and not column.nullable
]
RARE_AMOUNTS = [
    name
    for name, column in t.products.columns.items()
    if name.endswith("_minor") and column.nullable
]


class _Wrong(Exception):
    """A value of a row makes no sense."""


def _rows(connection: Connection, table: Table, *conditions: ColumnElement[bool]) -> list[Any]:
    """The rows of a table of terms, whatever their values, in the order of the key.

    They are the driver's rows with the columns' names, because there may be many.
    """
    query = select(table).where(*conditions).order_by(*table.primary_key.columns)
    with backend_of(connection).any_text(connection):
        found = connection.execute(query).cursor.fetchall()
    return list(map(_kind_of_row(table)._make, map(tuple, found)))


@cache
def _kind_of_row(table: Table) -> Any:
    """The class of a table's rows. It is kept, because making it takes longer than reading an
    operator's terms."""
    return namedtuple("Row", table.columns.keys())


class Dangling(NamedTuple):
    """A broken foreign key: its name, and a clause that names the row."""

    key: str
    row: str


def dangling_rows(connection: Connection) -> list[Dangling]:
    """The rows that name a missing row, although a foreign key forbids it."""
    found = []
    for table in t.metadata.sorted_tables:
        for key in sorted(table.foreign_key_constraints, key=lambda it: str(it.name)):
            columns, theirs = list(key.columns), [it.column for it in key.elements]
            there = select(theirs[0]).where(*(a == b for a, b in zip(columns, theirs, strict=True)))
            # The hash of an API key must not be shown.
            names = [it for it in table.primary_key.columns if it.name != "key_hash"]
            query = select(*names, *(it.label(f"of_{it.name}") for it in columns)).where(
                *(it.is_not(None) for it in columns), ~there.correlate(table).exists()
            )
            with backend_of(connection).any_text(connection):
                cursor: Any = connection.exec_driver_sql(
                    str(query.order_by(*names).compile(connection.engine))
                ).cursor
                rows = cursor.fetchall()
            for row in rows:
                mine, named = (
                    " ".join(map(str, it)) for it in (row[: len(names)], row[len(names) :])
                )
                text = f"{table.name}: {mine or 'a row'} names {named} of {key.referred_table.name}"
                found.append(Dangling(str(key.name), f"{text}, which is not there"))
    return found


def read_catalog(connection: Connection) -> Catalog:
    """All sound terms; the rows that make no sense are their faults."""
    rows = _TermsRows(*(_rows(connection, table) for table in TABLES))
    change = _last_change(connection)
    listed, breakers = _listed(connection), open_breakers(connection)
    return replace(_catalog(rows, rows.owners), change=change, listed=listed, breakers=breakers)


def _listed(connection: Connection) -> frozenset[tuple[str, str]]:
    """The kinds of listings that each owner ever had."""
    found = _rows(connection, t.listing_kinds)
    return frozenset((row.owner, row.kind) for row in found)


def read_changed(connection: Connection, after: int) -> tuple[TermsNames | None, Catalog] | None:
    """The terms that changed after this change number; see `TermsStore.changed_terms`."""
    last = _last_change(connection)
    if last == after:
        return None
    names = _changed_names(connection, after)
    if names is None:
        return None, read_catalog(connection)
    names, part = read_part(connection, names)
    listed = _listed(connection) if names.listed else frozenset()
    breakers = open_breakers(connection) if names.breakers else {}
    return names, replace(part, change=last, listed=listed, breakers=breakers)


def read_part(connection: Connection, names: TermsNames) -> tuple[TermsNames, Catalog]:
    """The terms of these names, and the names of all terms that were read."""
    p, by = t.products.c, tuple_
    products = _named(connection, t.products, by(p.operator_id, p.product_id), names.products)
    if names.policies:
        under = by(p.policy_id, p.policy_revision).in_(sorted(names.policies))
        found = {(row.operator_id, row.product_id) for row in _rows(connection, t.products, under)}
        more = frozenset(found) - names.products
        products += _named(connection, t.products, by(p.operator_id, p.product_id), more)
        names = names._replace(products=names.products | more)
    if not (products or names.operators or names.policies or names.limits):
        return names, Catalog({}, {}, {}, {})
    policies = names.policies | {
        (row.policy_id, row.policy_revision)
        for row in products
        if isinstance(row.policy_id, str) and isinstance(row.policy_revision, int)
    }
    operators = names.operators | {key[0] for key in names.products}
    owners = select(p.operator_id).distinct().where(p.operator_id.in_(sorted(operators)))
    rows = _TermsRows(
        _rows(connection, t.operators, t.operators.c.operator_id.in_(sorted(operators))),
        _named(connection, t.policies, by(t.policies.c.policy_id, t.policies.c.revision), policies),
        products,
        _rows(connection, t.limit_steps) if names.limits else [],
        _rows(connection, t.exposure_rates) if names.limits else [],
    )
    names = names._replace(operators=operators, policies=policies)
    return names, _catalog(rows, set(connection.scalars(owners)))


def _named(
    connection: Connection, table: Table, key: ColumnElement[Any], names: Collection[Any]
) -> list[Any]:
    return _rows(connection, table, key.in_(sorted(names))) if names else []


def _last_change(connection: Connection) -> int:
    return int(connection.scalar(select(func.max(t.terms_changes.c.change))) or 0)


def _changed_names(connection: Connection, after: int) -> TermsNames | None:
    """The names of terms changed after this change number; None if too many, or malformed."""
    c = t.terms_changes.c
    query = select(t.terms_changes).where(c.change > after).order_by(c.change).limit(MOST_CHANGES)
    with backend_of(connection).any_text(connection):
        changes = connection.execute(query).all()
    if len(changes) == MOST_CHANGES:
        return None
    operators, products, policies = set(), set(), set()
    limits = listed = breakers = False
    for _, kind, name, part in changes:
        if not isinstance(name, str) or not isinstance(part, str) or "\ufffd" in name + part:
            return None
        match kind:
            case t.operators.name:
                operators.add(name)
            case t.products.name:
                products.add((name, part))
            case t.policies.name if WHOLE.fullmatch(part):
                policies.add((name, int(part)))
            case t.limit_steps.name | t.exposure_rates.name:
                limits = True
            case t.listing_kinds.name:
                listed = True
            case t.breakers.name:
                breakers = True
            case _:
                return None
    return TermsNames(
        frozenset(operators), frozenset(products), frozenset(policies), limits, listed, breakers
    )


class _TermsRows(NamedTuple):
    """Rows of the tables of terms, in the order of `TABLES`."""

    operators: list[Any]
    policies: list[Any]
    products: list[Any]
    limit_steps: list[Any]
    exposure_rates: list[Any]

    @property
    def owners(self) -> set[Any]:
        """The ids that products name as their operators."""
        return {row.operator_id for row in self.products}


def _catalog(rows: _TermsRows, owners: set[Any]) -> Catalog:
    """The sound terms of rows; `owners` are the operators that have products."""
    faults: list[TermsFault] = []

    def sound(
        kind: TermsKind, rows: list[Any], made: Callable[[Any], Any], key_length: int
    ) -> dict[Any, Any]:
        found = {}
        for row in rows:
            key = tuple(row[:key_length])
            try:
                found[key] = made(row)
            except _Wrong as wrong:
                faults.append(TermsFault(kind, key, str(wrong)))
        return found

    operators = sound(TermsKind.OPERATOR, rows.operators, _operator, 1)
    policies = sound(TermsKind.POLICY, rows.policies, _policy, 2)

    def product_of(row: Any) -> Product:
        return _product(row, policies)

    revisions = sound(TermsKind.PRODUCT, rows.products, product_of, 3)
    steps = _limit_steps(rows.limit_steps, faults)
    total = _total(rows.exposure_rates, faults)
    known = {fault.key for fault in faults if fault.kind is TermsKind.OPERATOR}
    for operator_id in sorted(owners - {key[0] for key in operators}, key=str):
        if (operator_id,) not in known:
            why = "it has products, but no row in the table operators"
            faults.append(TermsFault(TermsKind.OPERATOR, (operator_id,), why))
    _sell(revisions)
    latest = {(key[0], key[1]): product for key, product in revisions.items()}
    refused = _place(rows.products, revisions, latest, faults)
    for fault in faults:
        if fault.kind is TermsKind.PRODUCT:
            product: Any = fault.key[:2]
            good, revision = latest.get(product), fault.key[2]
            if good is None or not isinstance(revision, int) or revision > good.revision:
                refused.add(product)
    for product in refused:
        latest.pop(product, None)
    retired = {key for key, product in latest.items() if product.retire_us is not None}
    for key in retired:
        del latest[key]
    return Catalog(
        {key[0]: operator for key, operator in operators.items()},
        latest,
        revisions,
        steps,
        frozenset(refused),
        tuple(faults),
        total,
        retired=frozenset(retired),
    )


def _sell(revisions: dict[tuple[str, str, int], Product]) -> None:
    """Gives all revisions of a product the most minutes of a pass that one of them sold."""
    most: dict[tuple[str, str], int] = {}
    for (operator_id, product_id, _), product in revisions.items():
        for sold in product.tariff.passes:
            key = operator_id, product_id
            most[key] = max(sold.minutes, most.get(key, 0))
    for revision in [it for it in revisions if most.get(it[:2])]:
        revisions[revision] = replace(revisions[revision], pass_minutes=most[revision[:2]])


def _place(
    rows: list[Any],
    revisions: dict[tuple[str, str, int], Product],
    latest: dict[tuple[str, str], Product],
    faults: list[TermsFault],
) -> set[tuple[Any, Any]]:
    """Gives the latest products the prices of their places; returns the products whose places make
    no sense."""
    wrong = set[tuple[Any, Any]]()
    by_key = {tuple(row[:3]): row for row in rows if row.places or row.stations is not None}
    for product, it in latest.items():
        row = by_key.get((*product, it.revision))
        if row is None:
            continue
        keys = [(*product, it.revision - number) for number in range(row.places, 0, -1)]
        there = [key for key in keys if key in revisions and key in by_key]
        if row.stations is not None or any(by_key[key].places for key in there) or there != keys:
            why = "the rows of its places are missing or wrong" if row.places else "is of a place"
            faults.append(TermsFault(TermsKind.PRODUCT, (*product, it.revision), why))
            wrong.add(product)
            continue
        by_station = {
            station: revisions[key] for key in keys for station in stations_of(by_key[key].stations)
        }
        latest[product] = revisions[*product, it.revision] = replace(it, by_station=by_station)
    return wrong


def sound_policy(row: Any) -> Policy | None:
    """The policy of a row; None if the row makes no sense."""
    try:
        return _policy(row)
    except _Wrong:
        return None


def sound_product(row: Any, policy: Policy) -> Product | None:
    """The product of a row with its policy; None if the row makes no sense."""
    try:
        return _product(row, {(policy.policy_id, policy.revision): policy})
    except _Wrong:
        return None


def _operator(row: Any) -> Operator:
    _text(row, "operator_id", "name")
    _between(row, 0, 10_000, "fee_bp")
    if row.debt_limit_minor is not None:
        _between(row, 0, MOST_MINOR, "debt_limit_minor")
    return Operator(row.operator_id, row.name, row.fee_bp, row.debt_limit_minor)


def _policy(row: Any) -> Policy:
    _text(row, "policy_id")
    _between(row, -MOST_SCORE, MOST_SCORE, "revision", "zero_from_score", "reduced_from_score")
    _between(row, 0, 10_000, "reduced_credit_share_bp")
    _between(row, 0, MOST_US, *WINDOWS)
    _between(row, 0, MOST_US, *_there(row, RARE_WINDOWS))
    _between(row, 0, MOST_SCORE, "most_pauses", *_there(row, ["most_increments"]))
    if row.zero_from_score < row.reduced_from_score:
        raise _Wrong("zero_from_score is below reduced_from_score")
    return Policy(**{**row._asdict(), "rules": _rules(row.rules)})


def _rules(text: Any) -> Rules | None:
    """The rules of a policy's row."""
    if text is None:
        return None
    try:
        return rules_of_json(text)
    except InvalidInput as wrong:
        first = wrong.violations[0]
        raise _Wrong(f"rules: {first.field} {first.description}") from None


def _product(row: Any, policies: dict[tuple[str, int], Policy]) -> Product:
    _text(row, "operator_id", "product_id", "category", "currency", "policy_id")
    _between(row, -MOST_SCORE, MOST_SCORE, "revision", "policy_revision")
    _between(row, 0, MOST_MINOR, *AMOUNTS, *_there(row, RARE_AMOUNTS))
    _between(row, 0, LAST_US, *_there(row, ["retire_us"]))
    _between(row, 0, MOST_PLACES, "places")
    if row.most_hold_minor is not None and row.most_hold_minor < row.deposit_minor:
        raise _Wrong("most_hold_minor is below deposit_minor")
    if not CURRENCY.fullmatch(row.currency):
        raise _Wrong("currency is not three capital letters")
    line_items = _line_items(row.line_items)
    tariff = _tariff(row)
    _stations(row, tariff)
    policy = policies.get((row.policy_id, row.policy_revision))
    if policy is None:
        raise _Wrong(
            f"its policy {row.policy_id} revision {row.policy_revision} is missing or wrong"
        )
    made = ("tariff", "policy", "line_items", "pass_minutes", "by_station")
    named = [name for name in Product.__dataclass_fields__ if name not in made]
    columns = {name: getattr(row, name) for name in named}
    return Product(**columns, tariff=tariff, policy=policy, line_items=line_items)


def _tariff(row: Any) -> AnyTariff:
    """The tariff of a product's row. The columns of arithmetic 1 also stand beside arithmetic 2."""
    _between(row, 0, MOST_MINUTES, "free_minutes")
    if row.tariff is None:
        _between(row, 1, MOST_MINUTES, "interval_minutes")
        return tariff_in_row(row)
    _text(row, "tariff")
    try:
        tariff = tariff_in_row(row)
    except InvalidInput as wrong:
        first = wrong.violations[0]
        raise _Wrong(f"tariff: {first.field} {first.description}") from None
    for name, value in tariff_columns(tariff).items():
        if getattr(row, name) != value:
            raise _Wrong(f"{name} is not {value!r}, as its tariff says")
    return tariff


def _stations(row: Any, tariff: AnyTariff) -> None:
    """Checks that a row has stations exactly if its tariff is that of a place."""
    if (row.stations is None) is bool(tariff.place):
        raise _Wrong("stations and the place of its tariff do not fit each other")
    if row.stations is not None:
        try:
            stations_of(row.stations)
        except InvalidInput:
            raise _Wrong("stations is not a list of stations") from None


def _line_items(text: object) -> tuple[str, ...] | None:
    """The list of names in a product's terms."""
    if text is None:
        return None
    try:
        return names_of_text(str(text))
    except InvalidInput:
        raise _Wrong("line_items is not a list of names") from None


def _limit_steps(rows: Iterable[Any], faults: list[TermsFault]) -> dict[str, tuple[LimitStep, ...]]:
    """The limits of each currency, from the highest score down.

    One wrong row makes all limits of its currency unusable.
    """
    by_currency: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        by_currency[row.currency].append(row)
    sound = {}
    for currency, of_currency in by_currency.items():
        try:
            sound[currency] = tuple(reversed(_steps(of_currency)))
        except _Wrong as wrong:
            faults.append(TermsFault(TermsKind.LIMITS, (currency,), str(wrong)))
    return sound


def _steps(rows: list[Any]) -> list[LimitStep]:
    steps: list[LimitStep] = []
    for row in rows:
        _text(row, "currency")
        _between(row, -MOST_SCORE, MOST_SCORE, "from_score")
        _between(row, 0, MOST_MINOR, "limit_minor", of=f" at from_score {row.from_score!r}")
        steps.append(LimitStep(row.from_score, row.limit_minor))
    return steps


def _total(rows: Iterable[Any], faults: list[TermsFault]) -> TotalExposure | None:
    """The total exposure, or None without rates. A wrong rate does not count, and a currency
    without a rate takes no new holds."""
    rates, currency = {}, ""
    for row in rows:
        try:
            _text(row, "currency", "total_currency")
            _between(row, 1, MOST_MINOR, "worth_minor", "of_minor", of=f" of {row.currency}")
            currency = currency or row.total_currency
            if row.total_currency != currency:
                raise _Wrong(f"the rates of {row.currency} and of others name two total_currency")
            rates[row.currency] = Rate(row.worth_minor, row.of_minor)
        except _Wrong as wrong:
            faults.append(TermsFault(TermsKind.LIMITS, TOTAL, str(wrong)))
    return TotalExposure(currency, rates) if currency else None


def _there(row: Any, names: Iterable[str]) -> list[str]:
    """The names of the columns that are not NULL."""
    return [name for name in names if getattr(row, name) is not None]


def _text(row: Any, *names: str) -> None:
    for name in names:
        if not isinstance(getattr(row, name), str):
            raise _Wrong(f"{name} is not a valid text")


def _between(row: Any, least: int, most: int, *names: str, of: str = "") -> None:
    for name in names:
        value = getattr(row, name)
        if not isinstance(value, int) or not least <= value <= most:
            raise _Wrong(f"{name}{of} is not a whole number from {least} to {most}")
