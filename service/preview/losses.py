"""Breakers over a history: open by the losses of rentals, in the order of time.

A worker looks at the losses every few seconds, so at the mild end a breaker opens that much later.
Nobody knows when a person would have closed a breaker that was not really open: it closes when a
person really closed the policy's breaker, or by its own rule.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence

from service.domain.breakers import BY_RULE, Losses, OpenedBreaker, closes, opens
from service.domain.product import Product
from service.domain.rules import Breaker
from service.preview.history import Loss

LOOK_US = 10_000_000
"""The time between two looks of the worker."""
Key = tuple[str, str, Breaker]
Present = Callable[[int], tuple[bool, bool]]
"""Tells of a rental's row whether it surely happened, and whether it may have happened."""


def breakers_of(product: Product) -> list[Breaker]:
    """The breakers that stop rentals of a product."""
    rules = product.policy.rules
    breakers = () if rules is None else rules.breaker or ()
    return [it for it in breakers if it.currency == product.currency]


class RealBreakers:
    """The breakers as they were open."""

    def __init__(self, openings: Sequence[OpenedBreaker]) -> None:
        self._openings = openings

    def is_open(self, products: Sequence[Product], now_us: int, *, most: bool) -> bool:
        """True if a breaker of these products was open; `most` makes no difference."""
        keys = {(it.policy.policy_id, it.currency) for it in products if breakers_of(it)}
        return any(
            (it.policy_id, it.currency) in keys
            and it.open_us < now_us
            and (it.close_us is None or now_us <= it.close_us)
            for it in self._openings
        )

    def may_open(self, product: Product) -> bool:
        """True if a breaker of this product was open at some time."""
        name = product.policy.policy_id, product.currency
        opened = any((it.policy_id, it.currency) == name for it in self._openings)
        return opened and bool(breakers_of(product))


class DraftBreakers:
    """The breakers as they would have been open."""

    def __init__(
        self, losses: Sequence[Loss], openings: Sequence[OpenedBreaker], present: Present
    ) -> None:
        self._losses, self._openings, self._present = losses, openings, present
        self._known: dict[tuple[Key, bool], _Course] = {}
        self._by_product: dict[tuple[int, bool], tuple[Product, list[_Course]]] = {}

    def is_open(self, products: Sequence[Product], now_us: int, *, most: bool) -> bool:
        """True if a breaker of these products is open, at the end with the most losses or at the
        one with the least."""
        found = False
        for product in products:
            for course in self._courses(product, most):
                found = course.is_open(now_us) or found
        return found

    def may_open(self, product: Product) -> bool:
        """True if there are losses that a breaker of this product counts."""
        name = product.policy.policy_id, product.currency
        lost = any((it.policy_id, it.currency) == name for it in self._losses)
        return lost and bool(breakers_of(product))

    def _courses(self, product: Product, most: bool) -> list[_Course]:
        """The courses of a product's breakers; those of one policy are shared by its products."""
        known = self._by_product.get((id(product), most))
        if known is None:
            courses = []
            for breaker in breakers_of(product):
                key = product.policy.policy_id, product.currency, breaker
                if (key, most) not in self._known:
                    self._known[key, most] = self._course(key, most)
                courses.append(self._known[key, most])
            # The product is kept, so that no other one gets its identity.
            known = self._by_product[id(product), most] = product, courses
        return known[1]

    def _course(self, key: Key, most: bool) -> _Course:
        policy_id, currency, breaker = key
        losses = [it for it in self._losses if (it.policy_id, it.currency) == (policy_id, currency)]
        closings = sorted(
            it.close_us
            for it in self._openings
            if (it.policy_id, it.currency) == (policy_id, currency)
            and it.close_us is not None
            and it.closed_by != BY_RULE
        )
        return _Course(breaker, losses, closings, self._present, most)


class _Course:
    """One breaker at one end, as time goes on."""

    def __init__(
        self,
        breaker: Breaker,
        losses: Sequence[Loss],
        closings: Sequence[int],
        present: Present,
        most: bool,
    ) -> None:
        self._breaker, self._present, self._most = breaker, present, most
        self._coming, self._closings = deque(losses), deque(closings)
        self._window: deque[tuple[int, str, int]] = deque()
        self._loss_minor, self._rentals = 0, Counter[str]()
        self._closed_us, self._open = -(2**62), False
        self._delay_us = 0 if most else LOOK_US

    def is_open(self, now_us: int) -> bool:
        """True if it is open at an instant, which is not before earlier ones."""
        while self._coming and self._coming[0].at_us + self._delay_us < now_us:
            it = self._coming.popleft()
            self._close_until(it.at_us + self._delay_us)
            sure, maybe = self._present(it.row)
            minor = it.most_minor if self._most else it.least_minor
            if minor and (maybe if self._most else sure):
                self._add(it.at_us, it.rental, minor)
                found = self._losses_at(it.at_us + self._delay_us)
                self._open = self._open or opens(self._breaker, found)
        self._close_until(now_us)
        # At the strict end the worker looks late.
        late_us = LOOK_US - self._delay_us
        if self._open and closes(self._breaker, self._losses_at(now_us - late_us)):
            self._open = False
        return self._open

    def _close_until(self, now_us: int) -> None:
        """Lets the people who closed it act."""
        while self._closings and self._closings[0] < now_us:
            self._closed_us, self._open = self._closings.popleft(), False

    def _add(self, at_us: int, rental: str, minor: int) -> None:
        self._window.append((at_us, rental, minor))
        self._loss_minor += minor
        self._rentals[rental] += 1

    def _losses_at(self, now_us: int) -> Losses:
        since_us = max(now_us - self._breaker.window_us, self._closed_us)
        while self._window and self._window[0][0] <= since_us:
            _, rental, minor = self._window.popleft()
            self._loss_minor -= minor
            self._rentals[rental] -= 1
            if not self._rentals[rental]:
                del self._rentals[rental]
        return Losses(self._loss_minor, len(self._rentals))
