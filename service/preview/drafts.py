"""Drafts of terms: the products of a history as they would be under a draft."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from service.conditions import CelConditions
from service.domain.access import PLATFORM
from service.domain.condition_document import faults_of_conditions
from service.domain.day_tariff_document import DayTariffDocument
from service.domain.document_fields import TERMS_WRONG, terms_wrong
from service.domain.documents import DocumentKind
from service.domain.errors import InvalidInput, Violation
from service.domain.policy import Policy
from service.domain.policy_document import read_policy
from service.domain.pricing_cost import slow_prices
from service.domain.product import Product
from service.domain.product_document import read_product
from service.domain.rules import Over, Rules
from service.domain.tariff_document import TariffDocument
from service.domain.terms_readers import read_document, read_tariff_document
from service.engine.catalog import Catalog
from service.preview.history import History
from service.preview.replay import Terms
from service.storage import schema as t
from service.storage.documents import active_of, reached, table_of
from service.storage.terms_checks import faults_of


class Draft(NamedTuple):
    """A draft: its kind and name, the products that it would change, and how.

    With `bills` it may change fees. `left_out` names its rules that are not replayed.
    """

    kind: str
    name: str
    products: frozenset[str]
    change: Callable[[Product], Product]
    bills: bool = False
    left_out: tuple[str, ...] = ()

    def terms(self, history: History) -> Terms:
        """The products of a history under the draft."""
        return Terms(
            tuple(
                self.change(it) if it.product_id in self.products else it for it in history.products
            )
        )


def read_draft(
    connection: Connection,
    kind: str,
    document: Mapping[str, Any],
    operator_id: str,
    catalog: Catalog,
    products: Collection[str] = (),
    *,
    platform: bool = True,
) -> Draft:
    """The draft of a kind for these products; without any, for those under terms of its name.

    With `platform` its conditions may read what only the platform knows. Raises InvalidInput for a
    document that is wrong, for unknown products, and if there are none.
    """
    if kind == DocumentKind.PRODUCT:
        return product_draft(connection, document, operator_id, catalog)
    if kind == DocumentKind.TARIFF:
        if not products:
            products = _under_tariff(connection, operator_id, document.get("name"))
        return tariff_draft(document, operator_id, catalog, products)
    return policy_draft(document, operator_id, catalog, products, platform=platform)


def _under_tariff(connection: Connection, operator_id: str, name: object) -> frozenset[str]:
    """The products whose newest revision was made of a tariff's document of this name."""
    c = t.compiled_products.c
    query = select(c.product_id, c.tariff_name).where(c.operator_id == operator_id)
    newest = dict(connection.execute(query.order_by(c.revision)).tuples().all())
    return frozenset(it for it, tariff in newest.items() if tariff == name)


def faults_of_draft(
    connection: Connection,
    draft: Draft,
    document: Mapping[str, Any],
    operator_id: str,
    *,
    platform: bool,
) -> list[Violation]:
    """The reasons why a draft cannot come into force now. With `platform` it may be a document of
    the platform, which the operator's products name."""
    kind, owner = DocumentKind(draft.kind), operator_id
    mine = active_of(connection, kind, operator_id, draft.name)
    if platform and not mine and active_of(connection, kind, PLATFORM, draft.name):
        owner = PLATFORM
    parsed = read_document(kind, document, platform=platform)
    products = draft.products if owner == operator_id else ()
    return faults_of(connection, parsed, owner, products=sorted(products))


def product_draft(
    connection: Connection, document: Mapping[str, Any], operator_id: str, catalog: Catalog
) -> Draft:
    """The draft of a product, with the tariff and the policy in force that it names."""
    it = read_product(document)
    _named(operator_id, catalog, (it.id,), lambda _: True)
    tariff = reached(connection, DocumentKind.TARIFF, operator_id, it.tariff)
    policy = reached(connection, DocumentKind.POLICY, operator_id, it.policy)
    if tariff is None or policy is None:
        kind, name = ("policy", it.policy) if tariff else ("tariff", it.tariff)
        text = f"names the {kind} {name}, and no such {kind} is active: activate it first"
        raise InvalidInput.of(kind, f"{kind}.unknown", text)
    new_tariff = read_tariff_document(table_of(tariff))
    new_policy = read_policy(table_of(policy), platform=True)
    rules, left_out = _replayed(new_policy.rules)
    new_policy = replace(new_policy, rules=rules)
    amounts = {name: getattr(it, name) for name in _AMOUNTS}

    def change(before: Product) -> Product:
        under = _under(new_policy, before.policy)
        return _with_tariff(replace(before, **amounts, policy=under), new_tariff)

    return Draft("product", it.id, frozenset({it.id}), change, bills=True, left_out=left_out)


_AMOUNTS = (
    *("category", "deposit_minor", "replacement_minor", "cancellation_fee_minor"),
    *("damage_without_consent_minor", "most_hold_minor"),
)


def tariff_draft(
    document: Mapping[str, Any], operator_id: str, catalog: Catalog, products: Collection[str] = ()
) -> Draft:
    """The draft of a tariff; see `read_draft`."""
    read = read_tariff_document(document)
    name, currency = read.name, read.currency
    named = _named(operator_id, catalog, products, lambda it: it.tariff == read.tariff)
    if not named:
        text = f"no product of {operator_id} has such a tariff: name the products"
        raise InvalidInput.of("name", "name.no_products", text)
    for product_id in sorted(named):
        of_product = catalog.products[operator_id, product_id].currency
        if of_product != currency:
            text = f"is {currency}, but the product {product_id} is in {of_product}"
            raise InvalidInput.of("currency", "currency.of_product", text)
    slow = tuple(slow_prices(read))
    if slow:
        raise terms_wrong(slow)

    def change(it: Product) -> Product:
        return _with_tariff(it, read)

    return Draft("tariff", name, named, change, bills=True)


def _with_tariff(it: Product, document: DayTariffDocument | TariffDocument) -> Product:
    """A product at the usual prices of a tariff, and at those of its places."""
    by_station = {
        station: replace(it, tariff=place.tariff, by_station={})
        for place in document.places
        for station in place.stations
    }
    return replace(it, tariff=document.tariff, by_station=by_station)


def policy_draft(
    document: Mapping[str, Any],
    operator_id: str,
    catalog: Catalog,
    products: Collection[str],
    *,
    platform: bool,
) -> Draft:
    """The draft of a policy; see `read_draft`."""
    policy = _read_policy(document, platform=platform)
    rules, left_out = _replayed(policy.rules)
    policy = replace(policy, rules=rules)
    name = policy.policy_id
    own = (name, f"{operator_id}/{name}")
    named = _named(operator_id, catalog, products, lambda it: it.policy.policy_id in own)
    if not named:
        text = f"no product of {operator_id} is under a policy {name}: name the products"
        raise InvalidInput.of("name", "name.no_products", text)

    def change(it: Product) -> Product:
        return replace(it, policy=_under(policy, it.policy))

    return Draft("policy", name, named, change, left_out=left_out)


def _under(policy: Policy, before: Policy) -> Policy:
    """The draft with the id and the revision that are in force, so that equal terms are equal."""
    return replace(policy, policy_id=before.policy_id, revision=before.revision)


class _Replayed(NamedTuple):
    """The rules of a draft that a preview decides by, and the names of those that it leaves out."""

    rules: Rules | None
    left_out: tuple[str, ...]


def _replayed(rules: Rules | None) -> _Replayed:
    """The rules whose inputs a preview reads. Rules over all operators count rentals that are not
    this operator's to see."""
    if rules is None:
        return _Replayed(None, ())
    own = tuple([it for it in rules.velocity or () if it.over is Over.OPERATOR]) or None
    new = rules.new_user
    if new is not None and new.over is not Over.OPERATOR:
        new = None
    left_out = own != rules.velocity or new != rules.new_user
    kept = rules._replace(velocity=own, new_user=new)
    names = ("rules over all operators",) if left_out else ()
    return _Replayed(None if kept == Rules() else kept, names)


def _read_policy(document: Mapping[str, Any], *, platform: bool) -> Policy:
    """The policy of a document; raises InvalidInput also for a condition that makes no sense."""
    policy = read_policy(document, platform=True)
    conditions = None if policy.rules is None else policy.rules.condition
    faults = faults_of_conditions(conditions, CelConditions().fault, platform=platform)
    if faults:
        raise InvalidInput(faults, TERMS_WRONG)
    return policy


def _named(
    operator_id: str,
    catalog: Catalog,
    products: Collection[str],
    touched: Callable[[Product], bool],
) -> frozenset[str]:
    """The products with these ids, or those in force that `touched` names."""
    own = {it.product_id: it for key, it in catalog.products.items() if key[0] == operator_id}
    unknown = sorted(set(products) - own.keys())
    if unknown:
        text = f"{operator_id} has no product {', '.join(unknown)}"
        raise InvalidInput.of("product", "product.unknown", text)
    if products:
        return frozenset(products)
    return frozenset(name for name, it in own.items() if touched(it))
