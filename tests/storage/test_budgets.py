"""The verifier compares budgets with what is held."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from service.books.verify import verify_books
from service.domain.rules import Budget, Rules, Span
from service.domain.rules_document import json_of_rules
from service.engine.ports import Conflict
from service.engine.rows import Rows, Wish
from service.engine.tables import BUDGET_LEASES
from service.storage import schema as t
from service.storage.database import writing
from service.storage.store import SqlStore
from tests.engine import acts
from tests.engine.calls import authorize, rental
from tests.fakes import Desk


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE budget_leases SET net_minor = net_minor - 1, reserve_minor = 9000000",
        "UPDATE budget_leases SET granted_minor = granted_minor + 1, reserve_minor = 9000000",
        "UPDATE budget_accounts SET folded_minor = 1",
        "UPDATE budget_accounts SET granted_minor = granted_minor - 1",
        "DELETE FROM budget_leases",
    ],
)
def test_a_changed_budget_is_found(store: SqlStore, change: str) -> None:
    """A changed hold, a changed grant and a removed lease are found."""
    desk = Desk(store)
    desk.put_users(ann=700)
    budget = Budget("CNY", Span.OPEN, 100_000, 10_000)
    acts.change_terms(desk, t.policies, "bike", rules=json_of_rules(Rules(budget=(budget,))))
    rental(desk, authorize())
    assert verify_books(store.engine).fault is None
    with writing(store.engine) as connection:
        connection.execute(text(change))
    fault = verify_books(store.engine).fault
    assert fault is not None
    assert (fault.rule, fault.row) == ("BUDGET", "budget_accounts/city/bike/CNY")


def test_a_lease_that_another_server_changed_is_not_written(store: SqlStore) -> None:
    """A lease is written only if it is as it was read; otherwise the batch starts over."""
    desk = Desk(store)
    desk.put_users(ann=700)
    budget = Budget("CNY", Span.OPEN, 100_000, 10_000)
    acts.change_terms(desk, t.policies, "bike", rules=json_of_rules(Rules(budget=(budget,))))
    rental(desk, authorize())
    of_budget = ("operator_id", "policy_id", "currency", "period")
    wish = Wish(BUDGET_LEASES, of_budget, {("city", "bike", "CNY", "")})
    rows = Rows()
    with store.begin() as transaction:
        transaction.read(rows, [wish])
    ((key, lease),) = rows[BUDGET_LEASES].items()
    rows.read[BUDGET_LEASES][key] = lease._replace(version=lease.version - 1)
    rows.changed[BUDGET_LEASES][key] = lease

    def write() -> None:
        with store.begin() as transaction:
            transaction.write(rows)

    with pytest.raises(Conflict):
        write()
