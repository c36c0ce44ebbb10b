"""An operator's payable stands in few rows, and their sum stays the same."""

from __future__ import annotations

import asyncio

from sqlalchemy import func, insert, select

from service.config import LIMITS
from service.domain.access import PLATFORM
from service.engine.calls import Paid
from service.engine.group_commit import CommitLimits, Committer
from service.engine.operations import PayOutOperator
from service.engine.workers.payables import PayableCompactor
from service.storage import schema as t
from service.storage.database import reading, writing
from service.storage.payables import payables_of
from tests.engine.acts import charged, money
from tests.engine.calls import refused
from tests.fakes import BACKSTAGE, OPERATOR, Desk

ON_BOTH = "balances are folded by statements of their own"

FOLDED_ROWS = LIMITS.fold_portion


def rows(desk: Desk) -> int:
    """The number of rows of the operator's payable."""
    p = t.operator_payables.c
    with reading(desk.store.engine) as connection:
        query = select(func.count()).where(p.operator_id == OPERATOR)
        return int(connection.execute(query).scalar_one())


def owed(desk: Desk) -> int:
    """The amount that the operator is owed."""
    return payables_of(desk.store.engine, OPERATOR).get("CNY", 0)


def grow(desk: Desk, number: int) -> None:
    """Adds this many rows; any two of them add up to zero."""
    with writing(desk.store.engine) as connection:
        connection.execute(
            insert(t.operator_payables),
            [
                {
                    "operator_id": OPERATOR,
                    "currency": "CNY",
                    "batch_id": f"grown-{place}",
                    "amount_minor": 1 if place % 2 else -1,
                }
                for place in range(number)
            ],
        )


def fold(desk: Desk, most: int = 2) -> None:
    """Compacts until nothing is left to fold."""

    async def run() -> None:
        committer = Committer(desk.engine.apply, CommitLimits())
        committer.start()
        compactor = PayableCompactor(desk.store, committer, BACKSTAGE, rows=most)
        while await compactor.work():
            pass
        await committer.close()

    asyncio.run(run())


def test_a_balance_is_folded_into_one_row(desk: Desk) -> None:
    """A payable in more rows than allowed is merged, in as many transactions as needed. A payable
    in fewer rows is not merged."""
    for _ in range(2):
        charged(desk)
    fold(desk)
    assert (rows(desk), owed(desk)) == (2, 2_426)
    grow(desk, 2 * FOLDED_ROWS)
    fold(desk)
    assert (rows(desk), owed(desk)) == (1, 2_426)


def test_a_payout_counts_unfolded_rows(desk: Desk) -> None:
    """A payout counts every row of the payable, however few of them it folds itself."""
    charged(desk)
    grow(desk, FOLDED_ROWS + 10)
    error = refused(desk, PayOutOperator(OPERATOR, money(1_214), "out-1"), caller=PLATFORM)
    assert error.reason == "PAYABLE_EXCEEDED"
    answer = desk.do(PayOutOperator(OPERATOR, money(1_213), "out-1"), caller=PLATFORM)
    assert answer == Paid(OPERATOR, "CNY", 1_213, 0)
    assert owed(desk) == 0
    assert rows(desk) < FOLDED_ROWS
