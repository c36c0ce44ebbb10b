"""Makes the rows that the engine reads out of documents: products, policies, and limits.

Whoever activates a document writes these rows in the same transaction. A product's row has its own
document, its tariff and its policy in it. So a new revision of a tariff or a policy makes new rows
of all products that name it. Rows are only added: a rental keeps the row under which it began.

Each place of a tariff has a row of its own. These rows come directly before the row of all other
stations, in the order of the places' names. So the newest row is always that of all other stations.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    tuple_,
)

from service.domain.day_tariff_document import DayTariffDocument
from service.domain.documents import DocumentKind
from service.domain.exposure import Rate, TotalExposure
from service.domain.limits_document import Limit, LimitsDocument
from service.domain.line_items import names_text
from service.domain.policy import Policy
from service.domain.rules_document import json_of_rules
from service.domain.tariff_document import TariffDocument, stations_text, tariff_columns
from service.domain.terms_readers import read_document, read_tariff_document
from service.engine.records.documents import CompiledProduct, TermsDocument
from service.storage import schema as t
from service.storage.documents import policy_id_of, reached, table_of

P = t.products.c
L = t.compiled_products.c
TOGETHER = 200
"""The product rows that one statement copies."""


class ProductParts(NamedTuple):
    """The documents of one product."""

    product: TermsDocument
    tariff: TermsDocument
    policy: TermsDocument


class ProductRevision(NamedTuple):
    """The name of one revision of a product, as rentals have it."""

    operator_id: str
    product_id: str
    revision: int


def policy_row(policy: Policy, owner: str, name: str, revision: int) -> dict[str, Any]:
    """The row of a policy."""
    row = {it.name: getattr(policy, it.name) for it in t.policies.columns}
    named = {"policy_id": policy_id_of(owner, name), "revision": revision}
    return {**row, **named, "rules": json_of_rules(policy.rules)}


def tariff_of_document(it: TermsDocument) -> DayTariffDocument | TariffDocument:
    """The tariff of a document, with its places."""
    return read_tariff_document(table_of(it))


def place_columns(it: DayTariffDocument | TariffDocument) -> list[dict[str, Any]]:
    """The columns that follow from a tariff: those of each place, then those of other stations."""
    places = [
        {**tariff_columns(one.tariff), "stations": stations_text(one.stations), "places": 0}
        for one in it.places
    ]
    return [*places, {**tariff_columns(it.tariff), "stations": None, "places": len(places)}]


def product_columns(parts: ProductParts) -> list[dict[str, Any]]:
    """The columns of a product's rows that follow from its documents, without their revisions."""
    owner = parts.product.owner
    product = read_document(DocumentKind.PRODUCT, table_of(parts.product), platform=False)
    own = product.value._asdict()
    product_id = own.pop("id")
    listed = own.pop("line_items")
    del own["tariff"], own["policy"], own["jurisdiction"]
    shared = {
        **own,
        "line_items": None if listed is None else names_text(listed),
        "operator_id": owner,
        "product_id": product_id,
        "policy_id": policy_id_of(parts.policy.owner, parts.policy.name),
        "policy_revision": parts.policy.revision,
    }
    return [{**shared, **it} for it in place_columns(tariff_of_document(parts.tariff))]


def parts_of(connection: Connection, product: TermsDocument) -> ProductParts | None:
    """The documents in force that a product's document names; None if one is missing."""
    named, owner = table_of(product), product.owner
    tariff = reached(connection, DocumentKind.TARIFF, owner, named["tariff"])
    policy = reached(connection, DocumentKind.POLICY, owner, named["policy"])
    return None if tariff is None or policy is None else ProductParts(product, tariff, policy)


def compile_product(connection: Connection, parts: ProductParts) -> list[ProductRevision]:
    """Adds the rows of a product whose own document came into force; their names."""
    owner, product_id = parts.product.owner, parts.product.name
    mine = P.operator_id == owner, P.product_id == product_id
    last = connection.scalar(select(func.max(P.revision)).where(*mine)) or 0
    made = []
    for revision, columns in enumerate(product_columns(parts), last + 1):
        connection.execute(insert(t.products), {**columns, "revision": revision})
        write_link(connection, link_of(parts, revision))
        made.append(ProductRevision(owner, product_id, revision))
    return made


def link_of(parts: ProductParts, revision: int) -> CompiledProduct:
    """The documents of a product's row."""
    product, tariff, policy = parts
    return CompiledProduct(
        *(product.owner, product.name, revision, product.revision),
        *(tariff.owner, tariff.name, tariff.revision),
        *(policy.owner, policy.name, policy.revision),
    )


def compile_users_of(connection: Connection, it: TermsDocument) -> list[ProductRevision]:
    """Adds a row for each product in force that uses another revision of this tariff or policy.

    The result names the new rows. Rows that earlier builds wrote without documents follow a policy
    too.
    """
    if it.kind == DocumentKind.POLICY:
        new = {"policy_revision": it.revision}
        used = (P.policy_id == policy_id_of(it.owner, it.name)) & (P.policy_revision != it.revision)
        made = []
        for places, its in _newest(connection, used).items():
            copies = [_Copy(before, new, new) for before in range(places, -1, -1)]
            made += _copied(connection, its, copies)
        return made
    columns = place_columns(tariff_of_document(it))
    of_row = (L.operator_id == P.operator_id) & (L.product_id == P.product_id)
    named = (
        exists()
        .where(
            *(of_row, L.revision == P.revision, L.tariff_owner == it.owner),
            *(L.tariff_name == it.name, L.tariff_revision != it.revision),
        )
        .correlate(t.products)
    )
    link = {"tariff_revision": it.revision}
    its = [row for rows in _newest(connection, named).values() for row in rows]
    return _copied(connection, its, [_Copy(0, new, link) for new in columns])


class _Copy(NamedTuple):
    """A new row of a product, with its link: the row of so many revisions before the newest one,
    with these new values."""

    before: int
    values: dict[str, Any]
    link: dict[str, Any]


def _newest(connection: Connection, used: ColumnElement[bool]) -> dict[int, list[ProductRevision]]:
    """The newest rows of products that are rented out, by their number of places."""
    query = select(P.places, P.operator_id, P.product_id, P.revision).where(
        used, is_newest(), P.retire_us.is_(None)
    )
    found: dict[int, list[ProductRevision]] = {}
    for places, *key in connection.execute(query):
        found.setdefault(places, []).append(ProductRevision(*key))
    return found


def _copied(
    connection: Connection, newest: list[ProductRevision], copies: list[_Copy]
) -> list[ProductRevision]:
    """Copies rows of products, with their links, as revisions after the newest ones."""
    for begin in range(0, len(newest), TOGETHER):
        its = newest[begin : begin + TOGETHER]
        for number, copy in enumerate(copies, 1):
            keys = [it._replace(revision=it.revision - copy.before) for it in its]
            for table, values in ((t.products, copy.values), (t.compiled_products, copy.link)):
                columns = table.columns
                key = tuple_(columns.operator_id, columns.product_id, columns.revision)
                new = {**values, "revision": columns.revision + copy.before + number}
                picked = [_picked(it, new) for it in columns]
                rows = select(*picked).where(key.in_(keys))
                connection.execute(insert(table).from_select(columns.keys(), rows))
    return [
        it._replace(revision=it.revision + number)
        for it in newest
        for number in range(1, len(copies) + 1)
    ]


def _picked(column: ColumnElement[Any], new: dict[str, Any]) -> ColumnElement[Any]:
    """The new value of a column, or the column itself."""
    if column.key not in new:
        return column
    value = new[column.key]
    return value if isinstance(value, ColumnElement) else literal(value, column.type)


def last_link(
    connection: Connection, operator_id: str, product_id: str, *, documented: bool = False
) -> CompiledProduct | None:
    """The documents of the newest row of a product, or of the newest row that has documents."""
    query = select(t.compiled_products).where(
        L.operator_id == operator_id, L.product_id == product_id
    )
    if not documented:
        same = (P.operator_id == operator_id) & (P.product_id == product_id)
        newest = select(func.max(P.revision)).where(same).scalar_subquery()
        query = query.where(L.revision == newest)
    found = connection.execute(query.order_by(L.revision.desc()).limit(1)).first()
    return None if found is None else CompiledProduct(*found)


def write_link(connection: Connection, link: CompiledProduct) -> None:
    """Adds the documents of a product's row."""
    connection.execute(insert(t.compiled_products), link._asdict())


def is_newest() -> ColumnElement[bool]:
    other = t.products.alias("other")
    same = (other.c.operator_id == P.operator_id) & (other.c.product_id == P.product_id)
    newest = select(func.max(other.c.revision)).where(same).correlate(t.products)
    return P.revision == newest.scalar_subquery()


def write_policy_row(connection: Connection, it: TermsDocument) -> None:
    """Adds the row of a policy's document, unless an earlier build added it."""
    platform = it.operator_id is None
    policy = read_document(DocumentKind.POLICY, table_of(it), platform=platform)
    row = policy_row(policy.value, it.owner, it.name, it.revision)
    p = t.policies.c
    mine = p.policy_id == row["policy_id"], p.revision == it.revision
    if connection.execute(select(p.revision).where(*mine)).first() is None:
        connection.execute(insert(t.policies), row)


def write_limit_rows(connection: Connection, new: LimitsDocument) -> None:
    """Replaces the rows of limits, and of rates, that differ."""
    old = limits_in_rows(connection)
    _replace_rows(connection, t.limit_steps, old.limits, new.limits)
    _replace_rows(connection, t.exposure_rates, _rate_rows(old.total), _rate_rows(new.total))


class _RateRow(NamedTuple):
    """A row of `exposure_rates`."""

    currency: str
    total_currency: str
    worth_minor: int
    of_minor: int


def _rate_rows(total: TotalExposure | None) -> list[_RateRow]:
    if total is None:
        return []
    return [_RateRow(it, total.currency, *rate) for it, rate in total.rates.items()]


def _replace_rows(
    connection: Connection, table: Table, old: Collection[Any], new: Collection[Any]
) -> None:
    key = table.primary_key.columns.keys()
    for it in sorted(set(old) - set(new)):
        same = [table.columns[name] == getattr(it, name) for name in key]
        connection.execute(delete(table).where(*same))
    added = [it._asdict() for it in sorted(set(new) - set(old))]
    if added:
        connection.execute(insert(table), added)


def limits_in_rows(connection: Connection) -> LimitsDocument:
    """The limits, and the total exposure, as the engine reads them."""
    s, r = t.limit_steps.c, t.exposure_rates.c
    steps = select(s.currency, s.from_score, s.limit_minor).order_by(s.currency, s.from_score)
    limits = tuple(Limit(*row) for row in connection.execute(steps))
    rates = select(r.currency, r.total_currency, r.worth_minor, r.of_minor).order_by(r.currency)
    rows = [_RateRow(*row) for row in connection.execute(rates)]
    if not rows:
        return LimitsDocument(limits)
    of = {it.currency: Rate(it.worth_minor, it.of_minor) for it in rows}
    return LimitsDocument(limits, TotalExposure(rows[0].total_currency, of))
