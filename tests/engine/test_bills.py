"""The bills that were worked by hand, from the tariff and from a whole rental: both arithmetics.

A company's tariff and that of Shenzhen give the same bills by arithmetic 1 and 2, because no bill
is at a boundary at which the two differ. Only arithmetic 2 has the rounding of Beijing, and free
minutes as a grace.
"""

from __future__ import annotations

import pytest

from service.domain.tariff import AnyTariff, Tariff, fee, reaches_us
from service.domain.tariff_document import tariff_columns
from service.storage import schema as t
from tests.domain import segment_tariffs
from tests.engine.acts import HOUR_US, MINUTE_US, change_terms, settle_usage
from tests.engine.calls import authorize, rental
from tests.fakes import START_US, Desk

COMPANY = Tariff(0, 5, 30, 150, 3_000, 9_900)
"""The power bank of the default products."""
SHENZHEN = Tariff(0, 5, 30, 200, 3_000, 9_900)

COMPANY_BILLS = {
    "5:00": (5 * MINUTE_US, 0),
    "5:00 + 1 us": (5 * MINUTE_US + 1, 150),
    "34:00": (34 * MINUTE_US, 150),
    "35:00": (35 * MINUTE_US, 150),
    "35:00 + 1 us": (35 * MINUTE_US + 1, 300),
    "2:00:00": (2 * HOUR_US, 600),
    "26:30:00": (26 * HOUR_US + 30 * MINUTE_US, 3_750),
}
SHENZHEN_BILLS = {
    "5:00": (5 * MINUTE_US, 0),
    "5:00 + 1 us": (5 * MINUTE_US + 1, 200),
    "35:00": (35 * MINUTE_US, 200),
    "35:00 + 1 us": (35 * MINUTE_US + 1, 400),
}
GRACE_BILLS = {
    "5:00": (5 * MINUTE_US, 0),
    "5:00 + 1 us": (5 * MINUTE_US + 1, 200),
    "30:00": (30 * MINUTE_US, 200),
    "30:00 + 1 us": (30 * MINUTE_US + 1, 400),
}
BEIJING_BILLS = {
    "4:59.999999": (5 * MINUTE_US - 1, 0),
    "5:00": (5 * MINUTE_US, 100),
    "15:00": (15 * MINUTE_US, 100),
    "29:59.999999": (30 * MINUTE_US - 1, 100),
    "30:00": (30 * MINUTE_US, 200),
    "2:00:00": (2 * HOUR_US, 800),
    "24:14:59": (24 * HOUR_US + 15 * MINUTE_US - 1_000_000, 3_000),
}
BILLS = [
    pytest.param(tariff, *bill, id=f"{name} {duration}")
    for name, tariff, bills in (
        ("company", COMPANY, COMPANY_BILLS),
        ("Shenzhen DEDUCTED", SHENZHEN, SHENZHEN_BILLS),
        ("company, arithmetic 2", segment_tariffs.COMPANY, COMPANY_BILLS),
        ("Shenzhen DEDUCTED, arithmetic 2", segment_tariffs.SHENZHEN, SHENZHEN_BILLS),
        ("Shenzhen GRACE", segment_tariffs.SHENZHEN_GRACE, GRACE_BILLS),
        ("Beijing", segment_tariffs.BEIJING, BEIJING_BILLS),
    )
    for duration, bill in bills.items()
]


@pytest.mark.parametrize(("tariff", "duration_us", "total_minor"), BILLS)
def test_the_fee_of_a_bill(tariff: AnyTariff, duration_us: int, total_minor: int) -> None:
    """The tariff gives the bill that was worked by hand."""
    assert fee(tariff, START_US, START_US + duration_us).total_minor == total_minor


@pytest.mark.parametrize(("tariff", "duration_us", "total_minor"), BILLS)
def test_the_instant_of_a_bill(tariff: AnyTariff, duration_us: int, total_minor: int) -> None:
    """The fee of a bill is reached at its duration or earlier, and one fen more is reached only
    later. So no microsecond costs an amount that is not in the bill."""
    reached_us = reaches_us(tariff, START_US, total_minor)
    more_us = reaches_us(tariff, START_US, total_minor + 1)
    assert reached_us is not None
    assert more_us is not None
    assert reached_us <= START_US + duration_us < more_us


@pytest.mark.parametrize(("tariff", "duration_us", "total_minor"), BILLS)
def test_a_rental_that_is_settled_by_usage_costs_its_bill(
    desk: Desk, tariff: AnyTariff, duration_us: int, total_minor: int
) -> None:
    """A power bank with this tariff is out for the bill's duration, and its rental costs the bill's
    amount."""
    change_terms(desk, t.products, "power-bank", **tariff_columns(tariff))
    it = rental(desk, authorize("ann", "power-bank", "pb-1"))
    assert desk.clock.advance(START_US + duration_us)
    it = rental(desk, settle_usage(it))
    assert (it.captured_minor, it.due_minor) == (total_minor, total_minor)
    assert it.fee_minor == total_minor * 300 // 10_000


def test_the_companys_tariff_is_the_default_power_bank(desk: Desk) -> None:
    """The company's tariff is that of the power bank of a new operator."""
    columns = t.products.c
    query = (
        t.products.select()
        .with_only_columns(*(columns[name] for name in Tariff._fields))
        .where(columns.operator_id == "city", columns.product_id == "power-bank")
    )
    with desk.store.engine.connect() as connection:
        assert Tariff(*connection.execute(query).one()) == COMPANY


def test_an_item_of_the_beijing_tariff_is_lost_at_74_hours_and_a_quarter(desk: Desk) -> None:
    """A power bank of the Beijing tariff counts as lost at exactly 74:15:00."""
    change_terms(desk, t.products, "power-bank", **tariff_columns(segment_tariffs.BEIJING))
    it = rental(desk, authorize("ann", "power-bank", "pb-1"))
    assert it.start_us is not None
    assert it.lost_us == it.start_us + 74 * HOUR_US + 15 * MINUTE_US
