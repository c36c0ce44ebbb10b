"""The tariff in a product's row."""

from __future__ import annotations

from typing import Any

from service.domain.tariff import AnyTariff, Tariff
from service.domain.tariff_document import tariff_of
from service.storage import schema as t

TARIFF_COLUMNS = tuple(t.products.c[name] for name in (*Tariff._fields, "tariff"))
"""The columns that hold the tariffs of both arithmetics."""


def tariff_in_row(row: Any) -> AnyTariff:
    """The tariff of a row that has `TARIFF_COLUMNS`.

    Raises InvalidInput (TERMS_WRONG) for a text that is no tariff of arithmetic 2.
    """
    if row.tariff is not None:
        return tariff_of(row.tariff)
    return Tariff(*(getattr(row, name) for name in Tariff._fields))
