"""Gives documents to terms that have none: those of earlier builds, and those changed by SQL.

It happens when somebody first asks for the terms of an owner, or changes them. The documents say
what the rows say, and no row is changed. Of a policy the revision in force is the newest one that a
product names; newer rows are validated revisions, and older ones are retired.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, func, select

from service.domain.access import PLATFORM
from service.domain.day_tariff_document import DayTariffDocument
from service.domain.documents import DocumentKind, DocumentState
from service.domain.errors import InvalidInput
from service.domain.limits_document import LIMITS_NAME, read_limits, write_limits
from service.domain.policy import Policy
from service.domain.product import Product
from service.domain.product_document import ProductDocument, read_product
from service.domain.tariff import Tariff
from service.domain.tariff_document import TariffDocument
from service.domain.terms_readers import Parsed, of_limits, of_policy, of_product, of_tariff
from service.engine.records.documents import TermsDocument
from service.storage import schema as t
from service.storage.compiling import (
    P,
    ProductParts,
    is_newest,
    last_link,
    limits_in_rows,
    link_of,
    write_link,
)
from service.storage.documents import (
    D,
    active_of,
    actives_of,
    add,
    new_document,
    next_revision,
    reached,
    store,
    table_of,
    taken,
)
from service.storage.terms import sound_policy, sound_product

ADOPTED = "freehold"
"""The actor of documents that follow from rows."""
FROM_ROWS = "the terms had no document"
"""The reason of their steps."""


class Adoption:
    """The documents of one owner's rows, which are added in the owner's transaction."""

    def __init__(self, connection: Connection, owner: str, now_us: int, by: str, why: str) -> None:
        """`by` and `why` are the actor and the reason of each step."""
        self._connection = connection
        self._owner = owner
        self._now_us = now_us
        self._by = by
        self._why = why

    def run(self) -> None:
        """Adds the missing documents: of the platform's policies and limits, or of an operator's
        products with their tariffs."""
        if self._owner == PLATFORM:
            self._policies()
            self._limits()
        else:
            self._products()

    def _policies(self) -> None:
        p = t.policies.c
        query = select(t.policies).where(_policy_without_document())
        rows = self._connection.execute(query.order_by(p.policy_id, p.revision)).all()
        in_force: dict[str, int] = {}
        for row in rows:
            policy_id = row.policy_id
            if policy_id not in in_force:
                in_force[policy_id] = self._revision_in_force(policy_id)
            self._policy(row, in_force[policy_id])

    def _revision_in_force(self, policy_id: str) -> int:
        """The newest revision of a policy that a product names, or else the newest one."""
        active = active_of(self._connection, DocumentKind.POLICY, PLATFORM, policy_id)
        if active is not None:
            return active.revision
        p = t.policies.c
        named = select(func.max(P.policy_revision)).where(P.policy_id == policy_id)
        newest = select(func.max(p.revision)).where(p.policy_id == policy_id)
        scalar = self._connection.scalar
        return int(scalar(named) or scalar(newest) or 1)

    def _policy(self, row: Any, in_force: int) -> None:
        policy = sound_policy(row)
        if policy is None or policy.revision < 1:
            return
        if policy.revision == in_force:
            state = DocumentState.ACTIVE
        else:
            newer = policy.revision > in_force
            state = DocumentState.VALIDATED if newer else DocumentState.RETIRED
        self._add(of_policy(policy), policy.revision, state)

    def _limits(self) -> None:
        found = _limits_document(self._connection)
        if found is None:
            return
        active = active_of(self._connection, DocumentKind.LIMITS, PLATFORM, LIMITS_NAME)
        if active is None or active.digest != found.digest:
            self._replace(active, found)

    def _products(self) -> None:
        for row in self._connection.execute(_products_without_documents(self._owner)).all():
            policy_row = self._connection.execute(_policy_of(row)).first()
            policy = None if policy_row is None else sound_policy(policy_row)
            product = None if policy is None else sound_product(row, policy)
            if product is not None and policy is not None and product.retire_us is None:
                self._product(product, policy)

    def _product(self, product: Product, policy: Policy) -> None:
        """The documents of a product's newest row."""
        of_row = self._policy_document(policy)
        if of_row is None:
            return
        tariff = self._tariff(product)
        product_id = product.product_id
        active = active_of(self._connection, DocumentKind.PRODUCT, self._owner, product_id)
        own = {name: getattr(product, name) for name in ProductDocument._fields if name in OWN}
        if active is not None:
            # A row does not have it.
            own["jurisdiction"] = read_product(table_of(active)).jurisdiction
        found = of_product(
            ProductDocument(id=product_id, tariff=tariff.name, policy=of_row.name, **own)
        )
        if active is None or active.digest != found.digest:
            active = self._replace(active, found)
        parts = ProductParts(active, tariff, of_row)
        write_link(self._connection, link_of(parts, product.revision))

    def _policy_document(self, policy: Policy) -> TermsDocument | None:
        owner, _, name = policy.policy_id.rpartition("/")
        mine = (
            D.kind == DocumentKind.POLICY,
            D.owner == (owner or PLATFORM),
            D.name == name,
            D.revision == policy.revision,
        )
        found = self._connection.execute(select(t.terms_documents).where(*mine)).first()
        return None if found is None else TermsDocument(*found)

    def _tariff(self, product: Product) -> TermsDocument:
        """The document in force of a product's tariff.

        It is the one that the product named before, in a new revision if only this product names
        it, or one with the product's id, or a new one.
        """
        link = last_link(self._connection, self._owner, product.product_id, documented=True)
        name = product.product_id if link is None else link.tariff_name
        there = reached(self._connection, DocumentKind.TARIFF, self._owner, name)
        found = tariff_document(product, name)
        if there is not None and there.digest == found.digest:
            return there
        if there is None or (there.owner == self._owner and self._alone(product, name)):
            return self._replace(there, found)
        return self._replace(None, tariff_document(product, f"{name}~{product.revision}"))

    def _alone(self, product: Product, name: str) -> bool:
        """True if no other product in force names a tariff of the owner."""
        products = actives_of(self._connection, DocumentKind.PRODUCT, self._owner)
        users = {it.name for it in products if table_of(it)["tariff"] == name}
        return users <= {product.product_id}

    def _replace(self, active: TermsDocument | None, found: Parsed) -> TermsDocument:
        """Adds a revision in force, in place of another one."""
        if active is not None:
            retired = taken(active, DocumentState.RETIRED, self._now_us, self._by, self._why)
            store(self._connection, retired)
        revision = next_revision(self._connection, found, self._owner)
        return self._add(found, revision, DocumentState.ACTIVE)

    def _add(self, found: Parsed, revision: int, state: DocumentState) -> TermsDocument:
        made = new_document(found, self._owner, revision, self._now_us, self._by, self._why)
        for step in (DocumentState.VALIDATED, DocumentState.ACTIVE, DocumentState.RETIRED):
            if step is DocumentState.ACTIVE and state is DocumentState.VALIDATED:
                break
            if step is DocumentState.RETIRED and state is DocumentState.ACTIVE:
                break
            made = taken(made, step, self._now_us, self._by, self._why)
        add(self._connection, made)
        return made


OWN = frozenset(ProductDocument._fields) - {"id", "tariff", "policy", "jurisdiction"}
"""The fields that a product and its document share."""


def tariff_document(product: Product, name: str) -> Parsed:
    """The document of a product's tariff under a name."""
    tariff = product.tariff
    if isinstance(tariff, Tariff):
        return of_tariff(DayTariffDocument(name, product.currency, tariff))
    return of_tariff(TariffDocument(name, product.currency, tariff))


def lacks_documents(connection: Connection, owner: str) -> bool:
    """True if an owner has terms in force without documents."""
    if owner != PLATFORM:
        return connection.execute(_products_without_documents(owner).limit(1)).first() is not None
    query = select(t.policies.c.revision).where(_policy_without_document()).limit(1)
    if connection.execute(query).first() is not None:
        return True
    active = active_of(connection, DocumentKind.LIMITS, PLATFORM, LIMITS_NAME)
    found = _limits_document(connection)
    return found is not None and (active is None or active.digest != found.digest)


def _limits_document(connection: Connection) -> Parsed | None:
    """The document of the rows of limits and rates; None if a row makes no sense."""
    try:
        return of_limits(read_limits(write_limits(limits_in_rows(connection))))
    except InvalidInput:
        return None


def _policy_without_document() -> ColumnElement[bool]:
    p = t.policies.c
    there = exists().where(
        D.kind == DocumentKind.POLICY,
        D.owner == PLATFORM,
        D.name == p.policy_id,
        D.revision == p.revision,
    )
    return ~p.policy_id.contains("/") & ~there & (p.revision > 0)


def _products_without_documents(owner: str) -> Any:
    link = t.compiled_products.c
    there = exists().where(
        link.operator_id == P.operator_id,
        link.product_id == P.product_id,
        link.revision == P.revision,
    )
    query = select(t.products).where(P.operator_id == owner, is_newest(), ~there)
    return query.where(P.retire_us.is_(None)).order_by(P.product_id)


def _policy_of(row: Any) -> Any:
    p = t.policies.c
    return select(t.policies).where(p.policy_id == row.policy_id, p.revision == row.policy_revision)
