"""Shuts out builds that would act wrongly on what is stored."""

from __future__ import annotations

from sqlalchemy import Connection, func, insert, select

from service.domain.conditions import read_by
from service.domain.rules import Rules
from service.domain.tariff_document import TariffDocument
from service.engine.records.compatibility import ORDER_FEES_BUILD
from service.storage import schema as t

RULES_BUILD = 27
"""The first build that decides by the rules of a policy."""
LISTINGS_BUILD = 30
"""The first build that follows listings."""
KEYS_BUILD = 36
"""The first build that knows bindings in the record of acts, the rates of keys, and withdrawals."""
TARIFFS_BUILD = 32
"""The first build that bills by tariffs of arithmetic 2."""
QUOTAS_BUILD = 34
"""The first build that counts quotas of free minutes."""
RESERVATIONS_BUILD = 39
"""The first build that bills the time of a reservation."""
PASSES_BUILD = 44
"""The first build that knows passes."""
PLACES_BUILD = 41
"""The first build that asks for the prices of places."""
EXPOSURE_BUILD = 37
"""The first build whose document of limits has the rates of the total exposure."""
FINDINGS_BUILD = 46
"""The first build that knows findings in the record of acts."""
RETIRED_BUILD = 35
"""The first build that does not rent out a retired product."""


def build_of_tariff(document: TariffDocument) -> int:
    """The first build that bills by this tariff."""
    tariff = document.tariff
    if tariff.passes:
        return PASSES_BUILD
    if document.places:
        return PLACES_BUILD
    if tariff.reservation is not None:
        return RESERVATIONS_BUILD
    return QUOTAS_BUILD if tariff.quotas else TARIFFS_BUILD


def build_of_rules(rules: Rules) -> int:
    """The first build that decides by these rules."""
    fees = "order_fee_minor" in read_by(rules.condition or ())
    return ORDER_FEES_BUILD if fees else RULES_BUILD


def shut_out_older(connection: Connection, build: int) -> None:
    """From the commit on, no build older than this one starts on the database."""
    oldest = connection.scalar(select(func.max(t.compatibility.c.oldest_build)))
    if oldest is None or oldest < build:
        connection.execute(insert(t.compatibility).values(oldest_build=build))
