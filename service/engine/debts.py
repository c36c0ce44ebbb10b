"""Operators that owe Freehold more than their bound.

An operator that gives amounts back after it was paid out owes them. People's refunds are never held
up for that. An operator beyond its bound gets no new rentals, until other earnings or a payment
lower the debt to the bound.

A balance is the sum of many rows, so no call reads it. A worker adds the balances up every few
seconds, and the writer looks up the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from service.engine.ports import Store
from service.engine.tables import Pair
from service.engine.terms import Terms


class Debt(NamedTuple):
    """The amount that an operator owes in a currency, and its bound, in minor units."""

    operator_id: str
    currency: str
    owed_minor: int
    limit_minor: int


class DebtLog(Protocol):
    """Logs when an operator goes beyond its bound, and when it is within the bound again."""

    def __call__(self, debt: Debt, /, *, ended: bool) -> None: ...


def say_nothing(_debt: Debt, *, ended: bool) -> None:
    """Logs no debts."""


class Debts:
    """The debts beyond their bounds; the writer uses `beyond`, another thread calls `look`."""

    def __init__(self, store: Store, terms: Terms, log_debt: DebtLog) -> None:
        """Raises StorageFailed."""
        self._store = store
        self._terms = terms
        self._log_debt = log_debt
        self.beyond: Mapping[Pair, Debt] = {}
        """By operator id and currency; the same object until the next look."""
        self.look()

    def look(self) -> None:
        """Adds up the balances; raises StorageFailed, and the earlier debts stay in use."""
        found = self._store.debts()
        operators = self._terms.used.catalog.operators
        beyond: dict[Pair, Debt] = {}
        for key, owed_minor in found.items():
            operator = operators.get(key[0])
            limit_minor = None if operator is None else operator.debt_limit_minor
            if limit_minor is not None and owed_minor > limit_minor:
                beyond[key] = Debt(*key, owed_minor, limit_minor)
        before, self.beyond = self.beyond, beyond
        for key in sorted(beyond.keys() - before.keys()):
            self._log_debt(beyond[key], ended=False)
        for key in sorted(before.keys() - beyond.keys()):
            self._log_debt(before[key], ended=True)
