"""Checks a document against what it names, the platform's bounds, and what names it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, select, tuple_

from service.conditions import CelConditions
from service.domain.access import PLATFORM
from service.domain.bounds_document import (
    DEFAULT_BOUNDS,
    NO_BOUNDS,
    Bounds,
    policy_outside,
    product_outside,
    read_bounds,
)
from service.domain.condition_document import faults_of_conditions
from service.domain.day_tariff_document import DayTariffDocument
from service.domain.documents import DocumentKind, Table
from service.domain.errors import InvalidInput, TermsDamaged, Violation
from service.domain.jurisdictions import BrokenRule, violations
from service.domain.line_items import unknown_items
from service.domain.near_names import near_name
from service.domain.policy_document import read_policy
from service.domain.pricing_cost import slow_prices
from service.domain.product_document import ProductDocument, read_product
from service.domain.reservation_fee import reservation_minor
from service.domain.rules import Rules
from service.domain.tariff_document import TariffDocument, tariff_of
from service.domain.terms_readers import Parsed, tariffs_of
from service.engine.records.documents import TermsDocument
from service.reference_data import jurisdictions, line_items
from service.storage import schema as t
from service.storage.compiling import P, is_newest, last_link, tariff_of_document
from service.storage.documents import active_of, actives_of, policy_id_of, reached, table_of

ASKED_TOGETHER = 200
"""The products of one statement."""
MOST_NAMED = 3
"""The most names of other documents in one sentence."""


def bounds_of(connection: Connection, owner: str, instead: Bounds = NO_BOUNDS) -> Bounds:
    """The bounds of an operator's terms; the platform's own terms have none.

    `instead` takes the place of the bounds in force with its name.
    """
    if owner == PLATFORM:
        return NO_BOUNDS
    found = NO_BOUNDS
    for name in (DEFAULT_BOUNDS, owner):
        if instead is not NO_BOUNDS and name == instead.name:
            found = instead.over(found)
            continue
        document = active_of(connection, DocumentKind.BOUNDS, PLATFORM, name)
        if document is not None:
            found = read_bounds(table_of(document)).over(found)
    return found


def terms_outside(connection: Connection, new: Bounds) -> Iterator[Violation]:
    """Each bound that terms in force break under new bounds; they stay in force.

    The field begins with the document, such as `product city/bike/3`. A document that cannot be
    read is left out.
    """
    owner = None if new.name == DEFAULT_BOUNDS else new.name
    bounds: dict[str, Bounds] = {}
    for kind in (DocumentKind.POLICY, DocumentKind.PRODUCT):
        for it in actives_of(connection, kind, owner):
            if it.owner == PLATFORM:
                continue
            if it.owner not in bounds:
                bounds[it.owner] = bounds_of(connection, it.owner, new)
            with suppress(InvalidInput, TermsDamaged):
                for fault in _outside(connection, it, bounds[it.owner]):
                    where = f"{it.kind} {it.owner}/{it.name}/{it.revision}"
                    yield fault._replace(field=f"{where} {fault.field}")


def _outside(connection: Connection, it: TermsDocument, bounds: Bounds) -> Iterator[Violation]:
    """The bounds that a policy or a product in force breaks."""
    if it.kind == DocumentKind.POLICY:
        yield from policy_outside(read_policy(table_of(it), platform=False), bounds)
        return
    product = read_product(table_of(it))
    yield from product_outside(product, bounds)
    tariff = reached(connection, DocumentKind.TARIFF, it.owner, product.tariff)
    if tariff is not None and bounds.jurisdictions:
        for broken in _broken(bounds.jurisdictions, product, tariff_of_document(tariff)):
            # A jurisdiction that does not exist is a fault of the bounds themselves.
            if isinstance(broken, BrokenRule):
                yield broken.violation()


def second_person_kinds(connection: Connection, owner: str) -> frozenset[str]:
    """The kinds of an owner's documents that one person never activates alone."""
    if owner != PLATFORM:
        return frozenset(bounds_of(connection, owner).second_person)
    document = active_of(connection, DocumentKind.BOUNDS, PLATFORM, DEFAULT_BOUNDS)
    return (
        frozenset()
        if document is None
        else frozenset(read_bounds(table_of(document)).second_person)
    )


def faults_of(
    connection: Connection,
    it: Parsed,
    owner: str,
    *,
    beyond_bounds: bool = False,
    products: Collection[str] = (),
) -> list[Violation]:
    """The reasons why a document cannot come into force now; `beyond_bounds` ignores the bounds.

    A tariff is checked for the products in force that name it, and for these of its owner's.
    """
    bounds = NO_BOUNDS if beyond_bounds else bounds_of(connection, owner)
    match it.kind:
        case DocumentKind.PRODUCT:
            found = [*_of_product(connection, it.value, owner), *product_outside(it.value, bounds)]
        case DocumentKind.POLICY:
            found = [*_shadows(connection, it, owner), *policy_outside(it.value, bounds)]
            found += _of_conditions(it.value.rules, owner)
            found += _of_currencies(connection, it.document, "budget", "breaker")
        case DocumentKind.TARIFF:
            found = [*_shadows(connection, it, owner)]
            found += _of_tariff(connection, it, owner, products)
        case DocumentKind.LIMITS:
            found = list(_of_limits(connection, it))
        case _:
            found = [*_of_bounds(connection, it)]
            found += _of_currencies(connection, it.document, "amount")
    return found


def _of_conditions(rules: Rules | None, owner: str) -> list[Violation]:
    """The faults of a policy's conditions, with line and column."""
    if rules is None or rules.condition is None:
        return []
    check = CelConditions().fault
    return faults_of_conditions(rules.condition, check, platform=owner == PLATFORM)


def _of_currencies(connection: Connection, it: Table, *sections: str) -> Iterator[Violation]:
    """The faults of sections in currencies without limits: as no product is in one, such a section
    would never count."""
    known = set(connection.scalars(select(t.limit_steps.c.currency).distinct()))
    for section in sections:
        rows: Any = it.get(section, ())
        for place, row in enumerate(rows):
            currency = row["currency"]
            if currency not in known:
                near = near_name(currency, known)
                hint = "apply limits in it first" if near is None else f"did you mean {near}?"
                text = f"{currency} has no credit limits, so no product is in it: {hint}"
                path = f"{section}[{place}].currency"
                yield Violation(path, f"{section}.currency.no_limits", text)


def unused_rules(connection: Connection, rules: Rules | None, owner: str) -> Iterator[Violation]:
    """The rules of a policy whose category or currency no product in force of its owner has.

    They count once there is such a product. The platform's policy counts for all operators.
    """
    if rules is None:
        return
    mine = [P.retire_us.is_(None), is_newest()]
    if owner != PLATFORM:
        mine.append(P.operator_id == owner)
    for section, key in (("cut_off", "category"), ("budget", "currency"), ("breaker", "currency")):
        rows = getattr(rules, section) or ()
        known = set(connection.scalars(select(P[key]).where(*mine).distinct())) if rows else set()
        for place, row in enumerate(rows):
            value = getattr(row, key)
            if value not in known:
                near = near_name(value, known)
                hint = "" if near is None else f"; did you mean {near}?"
                text = f"{value} is the {key} of no product in force: it counts once one has it"
                path = f"{section}[{place}].{key}"
                yield Violation(path, f"{section}.{key}.unused", text + hint)


def _of_product(connection: Connection, it: ProductDocument, owner: str) -> Iterator[Violation]:
    tariff = reached(connection, DocumentKind.TARIFF, owner, it.tariff)
    if tariff is None:
        yield _missing("tariff", it.tariff)
    elif (currency := table_of(tariff)["currency"]) != it.currency:
        text = f"is {it.currency}, but the tariff {it.tariff} is in {currency}"
        yield Violation("currency", "currency.of_tariff", text)
    if tariff is not None:
        read = tariff_of_document(tariff)
        yield from _unheld(it, read)
        if not any(slow_prices(read)):
            # With the passes of the product's other tariffs it may be slow.
            sold = _sold_minutes(connection, [(owner, it.id)])
            for fault in slow_prices(read, sold):
                yield fault._replace(field=f"tariff.{fault.field}")
        for broken in _broken(_jurisdictions(connection, owner, it), it, read):
            yield broken.violation() if isinstance(broken, BrokenRule) else broken
    if it.cancellation_fee_minor > it.deposit_minor:
        # A reservation holds the deposit, and nothing above the hold is charged.
        text = f"must be at most deposit_minor, {it.deposit_minor}: no more is held"
        yield Violation("cancellation_fee_minor", "cancellation_fee_minor.above_deposit", text)
    yield from unknown_items(it.line_items or (), it.category, line_items())
    if reached(connection, DocumentKind.POLICY, owner, it.policy) is None:
        yield _missing("policy", it.policy)
    s = t.limit_steps.c
    query = select(s.currency).where(s.currency == it.currency).limit(1)
    if connection.scalar(query) is None:
        text = f"has no credit limits: the platform must apply limits in {it.currency} first"
        yield Violation("currency", "currency.no_limits", text)


def _jurisdictions(connection: Connection, owner: str, product: ProductDocument) -> set[str]:
    """The jurisdictions of a product and of its operator."""
    own = {product.jurisdiction} if product.jurisdiction is not None else set()
    return {*bounds_of(connection, owner).jurisdictions, *own}


def _broken(
    named: Iterable[str], product: ProductDocument, document: DayTariffDocument | TariffDocument
) -> Iterator[BrokenRule | Violation]:
    """The rules of these jurisdictions that a product's tariff breaks.

    A rule that the usual prices break is not told again for a place that takes these over.
    """
    for name in sorted(named):
        found = jurisdictions().get(name)
        if found is None:
            known = ", ".join(sorted(jurisdictions()))
            yield Violation("jurisdiction", "jurisdiction.unknown", f"must be one of {known}")
            continue
        usual = violations(document.tariff, product.category, found)
        for path, tariff in tariffs_of(document):
            for broken in violations(tariff, product.category, found):
                if not path or broken not in usual:
                    yield broken._replace(field=f"{path}{broken.field}")


def _unheld(
    product: ProductDocument, document: DayTariffDocument | TariffDocument
) -> Iterator[Violation]:
    """The fault of a deposit that does not cover the most that a reservation costs anywhere."""
    most_minor = max(reservation_minor(tariff, None) for _, tariff in tariffs_of(document))
    if most_minor > product.deposit_minor:
        text = f"must be at least {most_minor}, the most that a reservation costs by the tariff"
        yield Violation("deposit_minor", "deposit_minor.below_reservation", text)


def _missing(kind: str, name: str) -> Violation:
    text = f"names the {kind} {name}, and no such {kind} is active: activate it first"
    return Violation(kind, f"{kind}.unknown", text)


def _shadows(connection: Connection, it: Parsed, owner: str) -> Iterator[Violation]:
    """An operator's document does not take the place of the platform's by its name."""
    if owner == PLATFORM or active_of(connection, it.kind, owner, it.name) is not None:
        return
    if active_of(connection, it.kind, PLATFORM, it.name) is not None:
        text = f"is the name of a {it.kind} of the platform: choose another name"
        yield Violation("name", "name.of_platform", text)


def _of_tariff(
    connection: Connection, it: Parsed, owner: str, also: Collection[str]
) -> Iterator[Violation]:
    currency = it.document["currency"]
    products = {product.full_name: product
                for product in products_naming(connection, it.kind, owner, it.name)}  # fmt: skip
    for name in also:
        product = active_of(connection, DocumentKind.PRODUCT, owner, name)
        if product is not None:
            products[product.full_name] = product
    named = [(product.owner, product.name) for product in products.values()]
    yield from slow_prices(it.value, _sold_minutes(connection, named))
    for product in products.values():
        of_product = table_of(product)["currency"]
        if of_product != currency:
            text = f"is {currency}, but the product {product.name} is in {of_product}"
            yield Violation("currency", "currency.of_product", text)
        document = read_product(table_of(product))
        for fault in _unheld(document, it.value):
            text = f"is too high for the product {product.name}, whose deposit is lower"
            yield Violation("reservation", fault.rule, text)
        named_by_it = _jurisdictions(connection, product.owner, document)
        for broken in _broken(named_by_it, document, it.value):
            if isinstance(broken, BrokenRule):
                fault = broken.violation()
                text = f"{fault.description} (for the product {product.name})"
                yield fault._replace(field=broken.field, description=text)


def _sold_minutes(connection: Connection, products: Sequence[tuple[str, str]]) -> int:
    """The most free minutes of a pass that a revision of the products sold."""
    query = select(P.tariff).where(P.tariff.like('%"pass":%')).distinct()
    found = 0
    for first in range(0, len(products), ASKED_TOGETHER):
        mine = tuple_(P.operator_id, P.product_id).in_(products[first : first + ASKED_TOGETHER])
        for text in connection.scalars(query.where(mine)):
            with suppress(InvalidInput):
                found = max([found, *(one.minutes for one in tariff_of(text).passes)])
    return found


def products_naming(
    connection: Connection, kind: str, owner: str, name: str
) -> list[TermsDocument]:
    """The products in force whose documents mean this document by its name."""
    products = actives_of(connection, DocumentKind.PRODUCT, None if owner == PLATFORM else owner)
    named = [it for it in products if _names(connection, it, kind, name)]
    if owner != PLATFORM:
        return named
    return [it for it in named if active_of(connection, kind, it.owner, name) is None]


def _names(connection: Connection, it: TermsDocument, kind: str, name: str) -> bool:
    """True if a product's document has this name. Raises TermsDamaged if a damaged one may."""
    try:
        return bool(table_of(it)[kind] == name)
    except TermsDamaged:
        # The product's newest row tells of which documents it was made.
        link = last_link(connection, it.owner, it.name)
        if link is None or name in (link.tariff_name, link.policy_name):
            raise
        return False


def named_by(connection: Connection, it: TermsDocument) -> str:
    """The products that a document in force is needed by, as a part of a sentence; empty if none
    is."""
    if it.kind == DocumentKind.POLICY:
        # Rows of earlier builds have no documents.
        mine = P.policy_id == policy_id_of(it.owner, it.name), P.retire_us.is_(None), is_newest()
        query = select(P.operator_id, P.product_id).where(*mine).limit(MOST_NAMED + 1)
        names = [
            f"{operator_id}/{product_id}"
            for operator_id, product_id in connection.execute(
                query.order_by(P.operator_id, P.product_id)
            )
        ]
    else:
        found = products_naming(connection, it.kind, it.owner, it.name)
        names = [f"{one.owner}/{one.name}" for one in found]
    more = " and others" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _of_limits(connection: Connection, it: Parsed) -> Iterator[Violation]:
    """The limits keep every currency that a product has; so does the total exposure, whose
    currencies all have limits."""
    total, known = it.value.total, it.value.currencies
    if total is not None:
        named = {"exposure.currency": total.currency}
        for place, currency in enumerate(total.rates):
            named[f"exposure.rate[{place}].currency"] = currency
        for path, currency in named.items():
            if currency not in known:
                text = f"{currency} has no [[limit]]: add one"
                yield Violation(path, "exposure.currency.no_limits", text)
    s = t.limit_steps.c
    before = set(connection.scalars(select(s.currency).distinct()))
    for currency in sorted(before - it.value.currencies):
        mine = P.currency == currency, P.retire_us.is_(None), is_newest()
        found = connection.execute(
            select(P.operator_id, P.product_id).where(*mine).limit(1)
        ).first()
        if found is not None:
            text = f"has no limit in {currency}, in which {'/'.join(found)} is rented out"
            yield Violation("limit", "limit.currency_in_use", text)


def _of_bounds(connection: Connection, it: Parsed) -> Iterator[Violation]:
    for place, name in enumerate(it.value.jurisdictions):
        if name not in jurisdictions():
            known = ", ".join(sorted(jurisdictions()))
            yield Violation(
                f"jurisdictions[{place}]", "jurisdictions.unknown", f"must be one of {known}"
            )
    o = t.operators.c.operator_id
    if it.name != DEFAULT_BOUNDS and connection.scalar(select(o).where(o == it.name)) is None:
        text = f"must be {DEFAULT_BOUNDS} or the id of an operator, and there is no {it.name}"
        yield Violation("name", "name.no_operator", text)
