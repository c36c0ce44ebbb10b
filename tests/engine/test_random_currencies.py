"""Random rentals in two currencies with changing rates, compared with exact fractions."""

from __future__ import annotations

import pytest

from tests.engine.chance_currencies import CNY, Run
from tests.engine.currencies import EUR
from tests.fakes import Desk

COMMANDS = 250


@pytest.mark.parametrize("seed", range(4))
def test_no_hold_takes_more_than_the_total_leaves(desk: Desk, seed: int) -> None:
    """Whatever people rent, reserve, raise, lower, return and pay in two currencies, and whatever
    the rates are meanwhile, each order, confirmation and increment is granted exactly if its amount
    is free."""
    run = Run(desk, str(seed))
    while run.commands < COMMANDS:
        run.step()
    assert desk.faults == []
    for state in ("ACTIVE", "DECLINED", "OFFERED"):
        assert min(run.counts["Authorize", f"{it} {state}"] for it in (CNY, EUR)) > 0, run.counts
