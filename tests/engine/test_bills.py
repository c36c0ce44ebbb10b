"""The bills that were worked by hand, from the tariff and from a whole rental.

The present tariffs charge each interval that has started, and subtract the free minutes from the
billed time. The bills below need another charging mode, and no tariff can say them yet:

- Beijing (15 minutes, 100, cap 3,000 in 24 hours, buy-out 9,900) charges only intervals that are
  complete, but the first one from 5 full minutes on: 4:59.999999 is 0; 5:00, 15:00 and
  29:59.999999 are 100; 30:00 is 200; 2:00:00 is 800; 24:14:59 is 3,000; lost at exactly 74:15:00.
- Shenzhen with free minutes as a grace, which are charged once the rental is longer: 30:00 is 200,
  and a microsecond more is 400.
- A city's set of rules, such as CN-BJ. It refuses a company's tariff, and names the rules that the
  tariff breaks.
"""

from __future__ import annotations

import pytest

from service.domain.tariff import Tariff, fee, reaches_us
from service.storage import schema as t
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
BILLS = [
    pytest.param(tariff, *bill, id=f"{name} {duration}")
    for name, tariff, bills in (
        ("company", COMPANY, COMPANY_BILLS),
        ("Shenzhen DEDUCTED", SHENZHEN, SHENZHEN_BILLS),
    )
    for duration, bill in bills.items()
]


@pytest.mark.parametrize(("tariff", "duration_us", "total_minor"), BILLS)
def test_the_fee_of_a_bill(tariff: Tariff, duration_us: int, total_minor: int) -> None:
    """The tariff gives the bill that was worked by hand."""
    assert fee(tariff, START_US, START_US + duration_us).total_minor == total_minor


@pytest.mark.parametrize(("tariff", "duration_us", "total_minor"), BILLS)
def test_the_instant_of_a_bill(tariff: Tariff, duration_us: int, total_minor: int) -> None:
    """The fee of a bill is reached at its duration or earlier, and one fen more is reached only
    later. So no microsecond costs an amount that is not in the bill."""
    reached_us = reaches_us(tariff, START_US, total_minor)
    more_us = reaches_us(tariff, START_US, total_minor + 1)
    assert reached_us is not None
    assert more_us is not None
    assert reached_us <= START_US + duration_us < more_us


@pytest.mark.parametrize(("tariff", "duration_us", "total_minor"), BILLS)
def test_a_rental_that_is_settled_by_usage_costs_its_bill(
    desk: Desk, tariff: Tariff, duration_us: int, total_minor: int
) -> None:
    """A power bank with this tariff is out for the bill's duration, and its rental costs the bill's
    amount."""
    change_terms(desk, t.products, "power-bank", **tariff._asdict())
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
