"""The catalog: all terms in memory, and the wrong rows of the terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple

from service.domain.breakers import BreakerKey
from service.domain.credit import LimitStep
from service.domain.errors import NotFound, ProductMisconfigured, ProductRetired
from service.domain.exposure import TotalExposure
from service.domain.product import Operator, Product


class TermsKind(StrEnum):
    """The kind of terms with a fault."""

    OPERATOR = "operator"
    POLICY = "policy"
    PRODUCT = "product"
    LIMITS = "limits"


TOTAL = ("total",)
"""The key of a fault in the rates of the total exposure."""


class TermsFault(NamedTuple):
    """A row of the terms that makes no sense, with the reason. The row is ignored.

    `key` is an operator id; a policy id and revision; an operator id, a product id and a revision;
    a currency; or `TOTAL`.
    """

    kind: TermsKind
    key: tuple[object, ...]
    why: str


class TermsNames(NamedTuple):
    """The names of terms: operators, products, policies, and whether all limits, all kinds of
    listings, and all open breakers.

    Products are named by operator and product id, with all their revisions; policies by id and
    revision.
    """

    operators: frozenset[str] = frozenset()
    products: frozenset[tuple[str, str]] = frozenset()
    policies: frozenset[tuple[str, int]] = frozenset()
    limits: bool = False
    listed: bool = False
    breakers: bool = False

    def include(self, fault: TermsFault) -> bool:
        """True if the fault is in terms with these names."""
        match fault.kind:
            case TermsKind.OPERATOR:
                return fault.key[0] in self.operators
            case TermsKind.PRODUCT:
                return fault.key[:2] in self.products
            case TermsKind.POLICY:
                return fault.key in self.policies
            case TermsKind.LIMITS:
                return self.limits


@dataclass(frozen=True, slots=True)
class Catalog:
    """The terms: operators, products and limits; they change only by configuration.

    `products` has the latest revision of each product. `revisions` has every revision, because a
    rental keeps the revision under which it began. `refused` has each product with a fault in its
    latest revision: the product cannot be rented, not even under an earlier revision. `total`
    bounds a person's lines in several currencies together; None means that each line is by itself.
    It changes with the limits. `change` is the number of the last change of the terms in this
    catalog. `listed` has the kinds of listings that each operator and the platform ever had, as
    pairs of owner and kind. `retired` has each product that its operator no longer rents out.
    `breakers` has the number of each open breaker.
    """

    operators: dict[str, Operator]
    products: dict[tuple[str, str], Product]
    revisions: dict[tuple[str, str, int], Product]
    limit_steps: dict[str, tuple[LimitStep, ...]]
    refused: frozenset[tuple[str, str]] = frozenset()
    faults: tuple[TermsFault, ...] = ()
    total: TotalExposure | None = None
    change: int = field(default=0, compare=False)
    listed: frozenset[tuple[str, str]] = frozenset()
    retired: frozenset[tuple[str, str]] = frozenset()
    breakers: Mapping[BreakerKey, int] = field(default_factory=dict)

    def in_force(self, operator_id: str, product_id: str) -> Product:
        """The latest revision of an operator's product.

        Raises ProductMisconfigured, ProductRetired or NotFound for one that is not rented out.
        """
        key = operator_id, product_id
        product = self.products.get(key)
        if key in self.refused or (product and operator_id not in self.operators):
            raise ProductMisconfigured(product_id)
        if product is None and key in self.retired:
            raise ProductRetired(product_id)
        if product is None:
            raise NotFound("product", product_id)
        return product

    def with_part(self, names: TermsNames, part: Catalog) -> Catalog:
        """These terms, in which `part` replaces all terms of these names."""
        operators, products = dict(self.operators), dict(self.products)
        revisions = dict(self.revisions)
        for operator_id in names.operators:
            operators.pop(operator_id, None)
        for key in names.products:
            products.pop(key, None)
        # An unknown product has no revisions to remove.
        known = names.products & (self.products.keys() | self.refused | self.retired)
        if known:
            for revision in [it for it in revisions if it[:2] in known]:
                del revisions[revision]
        operators.update(part.operators)
        products.update(part.products)
        revisions.update(part.revisions)
        kept = tuple(fault for fault in self.faults if not names.include(fault))
        return Catalog(
            operators,
            products,
            revisions,
            part.limit_steps if names.limits else self.limit_steps,
            (self.refused - names.products) | part.refused,
            kept + part.faults,
            part.total if names.limits else self.total,
            part.change,
            part.listed if names.listed else self.listed,
            (self.retired - names.products) | part.retired,
            part.breakers if names.breakers else self.breakers,
        )

    def or_last_good(self, last: Catalog) -> Catalog:
        """These terms, in which the correct ones of `last` replace wrong operators, revisions and
        limits."""
        if not self.faults:
            return self
        operators, revisions = dict(self.operators), dict(self.revisions)
        limit_steps = dict(self.limit_steps)
        kept: tuple[tuple[TermsKind, dict[Any, Any], Mapping[Any, Any]], ...] = (
            (TermsKind.OPERATOR, operators, last.operators),
            (TermsKind.PRODUCT, revisions, last.revisions),
            (TermsKind.LIMITS, limit_steps, last.limit_steps),
        )
        for fault in self.faults:
            for kind, now, before in kept:
                key = fault.key if kind is TermsKind.PRODUCT else fault.key[0]
                if fault.kind is kind and key in before:
                    now[key] = before[key]
        # Of revisions that were replaced, the passes count too.
        most: dict[tuple[str, str], int] = {}
        for (operator_id, product_id, _), it in revisions.items():
            key = operator_id, product_id
            most[key] = max(it.pass_minutes, most.get(key, 0))
        products = {
            key: replace(it, pass_minutes=most.get(key, it.pass_minutes))
            for key, it in self.products.items()
        }
        revisions = {key: replace(it, pass_minutes=most[key[:2]]) for key, it in revisions.items()}
        total = self.total
        if any(fault.key == TOTAL for fault in self.faults if fault.kind is TermsKind.LIMITS):
            total = last.total or self.total
        return replace(
            self,
            operators=operators,
            products=products,
            revisions=revisions,
            limit_steps=limit_steps,
            total=total,
        )
