"""The terms that batches are decided under: loaded beside the calls, exchanged as a whole.

The writer takes one reference a batch, and reads of the database only what a batch names and
nobody here has seen: a product, an operator. All other changes are loaded in another thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Protocol

from service.domain.errors import TermsUnusable
from service.engine.catalog import Catalog, TermsFault, TermsKind, TermsNames
from service.engine.ports import TermsStore


class TermsLog(Protocol):
    """Where it is told that terms are wrong, and that they are no longer: each once."""

    def __call__(self, fault: TermsFault, *, mended: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class TermsInUse:
    """Sound terms, and the score below which reasons are asked for."""

    catalog: Catalog
    explain_below: int


class Terms:
    """Keeps the terms of one server; `used` is read by the writer, `follow` by another thread."""

    def __init__(self, store: TermsStore, currency: str, log_terms: TermsLog) -> None:
        """Raises TermsUnusable when there are no sound limits in `currency`."""
        self._store = store
        self._currency = currency
        self._log_terms = log_terms
        self._lock = Lock()
        read = store.catalog()
        if currency not in read.limit_steps:
            raise TermsUnusable(_no_limits(read, currency))
        self.used = TermsInUse(read, _explain_below(read))
        """The terms that count now; one object for as long as nothing changes."""
        self._wrong = frozenset(read.faults)
        self._tell((), read.faults)

    def follow(self) -> bool:
        """Loads what others have changed since the last time; says whether there was something.

        Raises StorageFailed; the terms of before count until it succeeds.
        """
        changed = self._store.changed_terms(self.used.catalog.change)
        if changed is None:
            return False
        names, read = changed
        while True:
            used = self.used
            whole = read if names is None else used.catalog.with_part(names, read)
            after = self._sound(whole, used.catalog)
            if self._swap(used, TermsInUse(after, _explain_below(after))):
                return True

    def learn(
        self, products: Iterable[tuple[str, str]] = (), operators: Iterable[str] = ()
    ) -> bool:
        """Reads products and operators that nobody here has seen, for a batch that names them.

        Products by operator id and product id. Says whether one of them was there. Raises
        StorageFailed.
        """
        asked = TermsNames(frozenset(operators), frozenset(products))
        while True:
            used = self.used
            names, read = self._store.terms_of(asked)
            found = {key[:2] for key in read.revisions} | read.refused
            if found.isdisjoint(asked.products) and asked.operators.isdisjoint(read.operators):
                return False
            # What others changed before this read is still to be followed, so the number stays.
            whole = used.catalog.with_part(names, replace(read, change=used.catalog.change))
            after = self._sound(whole, used.catalog)
            below = max(used.explain_below, _explain_below(read))
            # Where the other thread was first, what was read here may be older: it is read again.
            if self._swap(used, TermsInUse(after, below)):
                return True

    def _swap(self, before: TermsInUse, after: TermsInUse) -> bool:
        """Exchanges the reference, unless the other thread did so meanwhile."""
        with self._lock:
            if self.used is not before:
                return False
            self.used = after
            known, self._wrong = self._wrong, frozenset(after.catalog.faults)
        self._tell(known, after.catalog.faults)
        return True

    def _sound(self, read: Catalog, last: Catalog) -> Catalog:
        """The terms read, with the last good ones for what is wrong."""
        if self._currency not in read.limit_steps:
            gone = TermsFault(TermsKind.LIMITS, (self._currency,), "there are none")
            if not any(fault[:2] == gone[:2] for fault in read.faults):
                read = replace(read, faults=(*read.faults, gone))
        return read.or_last_good(last)

    def _tell(self, known: Iterable[TermsFault], faults: Iterable[TermsFault]) -> None:
        """Logs each fault that is new, and the end of each that is not there any more."""
        known, wrong = frozenset(known), frozenset(faults)
        for fault in sorted(wrong - known, key=str):
            self._log_terms(fault, mended=False)
        still = {fault[:2] for fault in wrong}
        for fault in sorted(known, key=str):
            if fault[:2] not in still:
                self._log_terms(fault, mended=True)


def _explain_below(catalog: Catalog) -> int:
    """Whoever reaches every product's mildest offer needs no reasons."""
    cut_offs = {product.policy.zero_from_score for product in catalog.products.values()}
    return max(cut_offs, default=0)


def _no_limits(terms: Catalog, currency: str) -> str:
    """Why nobody's limit follows from a score, in one line that says what to do."""
    of_currency = TermsKind.LIMITS, (currency,)
    why = [it.why for it in terms.faults if it[:2] == of_currency] or ["there are none"]
    return f"no limits in {currency}: {why[0]}; put the rows of limit_steps right and start again"
