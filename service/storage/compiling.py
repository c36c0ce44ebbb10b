"""Makes the rows that the engine reads out of documents: products, policies, and limits.

Whoever activates a document writes these rows in the same transaction. A product's row has its own
document, its tariff and its policy in it. So a new revision of a tariff or a policy makes new rows
of all products that name it. Rows are only added: a rental keeps the row under which it began.
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

from service.domain.documents import DocumentKind
from service.domain.exposure import Rate, TotalExposure
from service.domain.limits_document import Limit, LimitsDocument
from service.domain.line_items import names_text
from service.domain.policy import Policy
from service.domain.rules_document import json_of_rules
from service.domain.tariff import AnyTariff
from service.domain.tariff_document import tariff_columns
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


def tariff_of_document(it: TermsDocument) -> AnyTariff:
    """The tariff of a document."""
    return read_tariff_document(table_of(it)).tariff


def product_columns(parts: ProductParts) -> dict[str, Any]:
    """The columns of a product's row that follow from its documents, without its revision."""
    owner = parts.product.owner
    product = read_document(DocumentKind.PRODUCT, table_of(parts.product), platform=False)
    own = product.value._asdict()
    product_id = own.pop("id")
    listed = own.pop("line_items")
    del own["tariff"], own["policy"], own["jurisdiction"]
    return {
        **own,
        "line_items": None if listed is None else names_text(listed),
        **tariff_columns(tariff_of_document(parts.tariff)),
        "operator_id": owner,
        "product_id": product_id,
        "policy_id": policy_id_of(parts.policy.owner, parts.policy.name),
        "policy_revision": parts.policy.revision,
    }


def parts_of(connection: Connection, product: TermsDocument) -> ProductParts | None:
    """The documents in force that a product's document names; None if one is missing."""
    named, owner = table_of(product), product.owner
    tariff = reached(connection, DocumentKind.TARIFF, owner, named["tariff"])
    policy = reached(connection, DocumentKind.POLICY, owner, named["policy"])
    return None if tariff is None or policy is None else ProductParts(product, tariff, policy)


def compile_product(connection: Connection, parts: ProductParts) -> ProductRevision:
    """Adds the row of a product whose own document came into force; its name."""
    owner, product_id = parts.product.owner, parts.product.name
    mine = P.operator_id == owner, P.product_id == product_id
    last = connection.scalar(select(func.max(P.revision)).where(*mine)) or 0
    row = {**product_columns(parts), "revision": last + 1}
    connection.execute(insert(t.products), row)
    write_link(connection, link_of(parts, last + 1))
    return ProductRevision(owner, product_id, last + 1)


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
        used: ColumnElement[bool]
        changes = {"policy_revision": it.revision}
        link = {"policy_revision": it.revision}
        used = (P.policy_id == policy_id_of(it.owner, it.name)) & (P.policy_revision != it.revision)
    else:
        changes = tariff_columns(tariff_of_document(it))
        link = {"tariff_revision": it.revision}
        of_row = (L.operator_id == P.operator_id) & (L.product_id == P.product_id)
        used = (
            exists()
            .where(
                *(of_row, L.revision == P.revision, L.tariff_owner == it.owner),
                *(L.tariff_name == it.name, L.tariff_revision != it.revision),
            )
            .correlate(t.products)
        )
    return _copied(connection, used, changes, link)


def _copied(
    connection: Connection,
    used: ColumnElement[bool],
    changes: dict[str, Any],
    link: dict[str, Any],
) -> list[ProductRevision]:
    """Copies the newest rows of products, with their links, as new revisions with changes."""
    query = select(P.operator_id, P.product_id, P.revision).where(
        used, is_newest(), P.retire_us.is_(None)
    )
    named = [ProductRevision(*row) for row in connection.execute(query)]
    for begin in range(0, len(named), TOGETHER):
        keys = named[begin : begin + TOGETHER]
        for table, values in ((t.products, changes), (t.compiled_products, link)):
            columns = table.columns
            key = tuple_(columns.operator_id, columns.product_id, columns.revision)
            new = {**values, "revision": columns.revision + 1}
            picked = [_picked(it, new) for it in columns]
            rows = select(*picked).where(key.in_(keys))
            connection.execute(insert(table).from_select(columns.keys(), rows))
    return [it._replace(revision=it.revision + 1) for it in named]


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
