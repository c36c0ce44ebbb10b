"""Reads a document of any kind, and writes it in its canonical form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from service.domain.bounds_document import read_bounds, write_bounds
from service.domain.day_tariff_document import (
    ARITHMETIC,
    DayTariffDocument,
    read_day_tariff,
    write_day_tariff,
)
from service.domain.documents import DocumentKind, Table, canonical, digest_of
from service.domain.limits_document import (
    LIMITS_NAME,
    LimitsDocument,
    read_limits,
    write_limits,
)
from service.domain.policy import Policy
from service.domain.policy_document import read_policy, write_policy
from service.domain.product_document import ProductDocument, read_product, write_product
from service.domain.tariff import AnyTariff
from service.domain.tariff_document import TariffDocument, read_tariff, write_tariff


class Parsed(NamedTuple):
    """A document that was read: its kind, its name, its value, and its canonical form.

    `value` is what the reader of the kind returned. `document` has every key that has a value, so
    two documents that mean the same are equal.
    """

    kind: DocumentKind
    name: str
    value: Any
    document: dict[str, Any]

    @property
    def text(self) -> str:
        """The canonical JSON."""
        return canonical(self.document)

    @property
    def digest(self) -> str:
        """The hash of the canonical JSON."""
        return digest_of(self.text)


def read_document(kind: DocumentKind, table: Table, *, platform: bool) -> Parsed:
    """Reads a document of a kind; `platform` means that the platform owns it.

    Raises InvalidInput (TERMS_WRONG) with all faults.
    """
    match kind:
        case DocumentKind.BOUNDS:
            bounds = read_bounds(table)
            return Parsed(kind, bounds.name, bounds, write_bounds(bounds))
        case DocumentKind.LIMITS:
            return of_limits(read_limits(table))
        case DocumentKind.POLICY:
            return of_policy(read_policy(table, platform=platform))
        case DocumentKind.PRODUCT:
            return of_product(read_product(table))
        case _:
            return of_tariff(read_tariff_document(table))


def read_tariff_document(table: Table) -> DayTariffDocument | TariffDocument:
    """Reads a tariff's document of either arithmetic. Raises InvalidInput (TERMS_WRONG) with all
    faults."""
    first = isinstance(table, Mapping) and ARITHMETIC in table
    return read_day_tariff(table) if first else read_tariff(table)


def tariffs_of(document: DayTariffDocument | TariffDocument) -> Iterator[tuple[str, AnyTariff]]:
    """The usual tariff and that of each place, each after the path of its keys: empty, or as in
    `place[0].`."""
    yield "", document.tariff
    for number, place in enumerate(document.places):
        yield f"place[{number}].", place.tariff


def of_policy(policy: Policy) -> Parsed:
    """The document of a policy."""
    document = dict(write_policy(policy))
    return Parsed(DocumentKind.POLICY, str(document["name"]), policy, document)


def of_product(product: ProductDocument) -> Parsed:
    """The document of a product."""
    return Parsed(DocumentKind.PRODUCT, product.id, product, write_product(product))


def of_tariff(tariff: DayTariffDocument | TariffDocument) -> Parsed:
    """The document of a tariff."""
    if isinstance(tariff, DayTariffDocument):
        return Parsed(DocumentKind.TARIFF, tariff.name, tariff, write_day_tariff(tariff))
    return Parsed(DocumentKind.TARIFF, tariff.name, tariff, write_tariff(tariff))


def of_limits(limits: LimitsDocument) -> Parsed:
    """The document of limits."""
    return Parsed(DocumentKind.LIMITS, LIMITS_NAME, limits, write_limits(limits))
