"""The terms in use: loaded by a worker, and exchanged as a whole.

The writer takes one reference to the terms for each batch. It reads the database only if a batch
names a product or an operator that this server has not loaded. All other changes are loaded in
another thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Protocol

from service.domain import admission
from service.domain.budgets import InForce, budgets_in, newest
from service.domain.errors import TermsUnusable
from service.domain.graded_offers import highest_cut_off
from service.engine.catalog import Catalog, TermsFault, TermsKind, TermsNames
from service.engine.ports import TermsStore


class TermsLog(Protocol):
    """Logs once when terms become wrong, and once when they are right again."""

    def __call__(self, fault: TermsFault, *, mended: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class TermsInUse:
    """The sound terms, and the score below which the model must give reasons.

    `counts` is True if the rules of a policy read the rentals of the past, and `quotas` if a tariff
    has quotas of free minutes or sells passes. `sellers` are the operators with passes in any
    revision. `budgets` are those in force.
    """

    catalog: Catalog
    explain_below: int
    counts: bool
    quotas: bool
    budgets: InForce
    sellers: frozenset[str] = frozenset()


class Terms:
    """The terms of one server; the writer reads `used`, another thread calls `follow`."""

    def __init__(self, store: TermsStore, currency: str, log_terms: TermsLog) -> None:
        """Raises TermsUnusable if `currency` has no sound limits."""
        self._store = store
        self._currency = currency
        self._log_terms = log_terms
        self._lock = Lock()
        read = store.catalog()
        if currency not in read.limit_steps:
            raise TermsUnusable(_no_limits(read, currency))
        self.used = _in_use(read)
        """The present terms; the same object until they change."""
        self._wrong = frozenset(read.faults)
        self._tell((), read.faults)

    def follow(self) -> bool:
        """Loads terms that other processes have changed; returns True if any did.

        Raises StorageFailed; the earlier terms stay in use until it succeeds.
        """
        changed = self._store.changed_terms(self.used.catalog.change)
        if changed is None:
            return False
        names, read = changed
        while True:
            used = self.used
            whole = read if names is None else used.catalog.with_part(names, read)
            after = self._sound(whole, used.catalog)
            if self._swap(used, _in_use(after)):
                return True

    def learn(
        self, products: Iterable[tuple[str, str]] = (), operators: Iterable[str] = ()
    ) -> bool:
        """Loads products and operators that a batch names and this server has not loaded.

        Products are pairs of operator id and product id. Returns True if any of them exists. Raises
        StorageFailed.
        """
        asked = TermsNames(frozenset(operators), frozenset(products))
        while True:
            used = self.used
            names, read = self._store.terms_of(asked)
            found = {key[:2] for key in read.revisions} | read.refused
            if found.isdisjoint(asked.products) and asked.operators.isdisjoint(read.operators):
                return False
            # The change number stays, because earlier changes by others are not loaded yet.
            whole = used.catalog.with_part(names, replace(read, change=used.catalog.change))
            after = self._sound(whole, used.catalog)
            more = _in_use(read)
            below = max(used.explain_below, more.explain_below)
            counts = used.counts or more.counts
            # If the other thread was first, this read may be older, and is repeated.
            quotas = used.quotas or more.quotas
            budgets = newest(used.budgets, more.budgets)
            sellers = used.sellers | more.sellers
            if self._swap(used, TermsInUse(after, below, counts, quotas, budgets, sellers)):
                return True

    def _swap(self, before: TermsInUse, after: TermsInUse) -> bool:
        """Exchanges the terms in use; returns False if the other thread did so first."""
        with self._lock:
            if self.used is not before:
                return False
            self.used = after
            known, self._wrong = self._wrong, frozenset(after.catalog.faults)
        self._tell(known, after.catalog.faults)
        return True

    def _sound(self, read: Catalog, last: Catalog) -> Catalog:
        """The terms read; the last good ones replace wrong ones."""
        if self._currency not in read.limit_steps:
            gone = TermsFault(TermsKind.LIMITS, (self._currency,), "there are none")
            if not any(fault[:2] == gone[:2] for fault in read.faults):
                read = replace(read, faults=(*read.faults, gone))
        return read.or_last_good(last)

    def _tell(self, known: Iterable[TermsFault], faults: Iterable[TermsFault]) -> None:
        """Logs each new fault, and each fault that has ended."""
        known, wrong = frozenset(known), frozenset(faults)
        for fault in sorted(wrong - known, key=str):
            self._log_terms(fault, mended=False)
        still = {fault[:2] for fault in wrong}
        for fault in sorted(known, key=str):
            if fault[:2] not in still:
                self._log_terms(fault, mended=True)


def _in_use(catalog: Catalog) -> TermsInUse:
    # Offers that wait were made under earlier revisions.
    counts = any(admission.reads_past(it.policy.rules) for it in catalog.revisions.values())
    # A revision that cannot be read may have sold passes, which still count.
    unread = {str(it.key[0]) for it in catalog.faults if it.kind is TermsKind.PRODUCT}
    sellers = unread.union(it.operator_id for it in catalog.revisions.values() if it.tariff.passes)
    quotas = bool(sellers) or any(it.tariff.quotas for it in catalog.revisions.values())
    budgets = budgets_in(catalog.revisions.values(), catalog.products.values())
    return TermsInUse(catalog, _explain_below(catalog), counts, quotas, budgets, frozenset(sellers))


def _explain_below(catalog: Catalog) -> int:
    """The highest cut-off of a mildest offer: higher scores need no reasons."""
    cut_offs = {highest_cut_off(product) for product in catalog.products.values()}
    return max(cut_offs, default=0)


def _no_limits(terms: Catalog, currency: str) -> str:
    """The message for a currency without sound limits."""
    of_currency = TermsKind.LIMITS, (currency,)
    why = [it.why for it in terms.faults if it[:2] == of_currency] or ["there are none"]
    return f"no limits in {currency}: {why[0]}; correct the rows of limit_steps and start again"
