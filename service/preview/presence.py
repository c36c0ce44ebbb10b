"""The rentals that rules of admission count, under the terms in force and under a draft.

Under a draft nobody knows of some rentals whether they would have happened. So each is there at
the least, at the most, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from service.domain import admission
from service.domain.admission import NOTHING_SKIPPED, Facts, Past, Rental
from service.domain.authorization import State
from service.domain.product import Product
from service.domain.rules import Of, Over, Rules
from service.preview.history import DAY_US, DECLINED, NEVER, Happened
from service.preview.verdicts import Verdict, is_stricter

BearerOf = tuple[Of, int]


class Presence(NamedTuple):
    """A rental as rules count it, in microseconds since the epoch.

    It was asked for at `create_us`. It is there for certain (`sure`) from `sure_us` on, and perhaps
    (`maybe`) from `maybe_us` on; until `close_us`, or to this day (NEVER). A `settled` rental still
    counts in windows after that, and an `endless` one may have gone on.
    """

    create_us: int
    sure_us: int
    maybe_us: int
    close_us: int
    settled: bool
    sure: bool
    maybe: bool
    endless: bool

    def at(self, now_us: int, operator_id: str, *, most: bool) -> Rental | None:
        """The rental as of an instant; with `most` also if it is only possible."""
        since_us = self.maybe_us if most else self.sure_us
        if now_us < since_us or not (self.maybe if most else self.sure):
            return None
        # Of two calls at one instant nobody knows the order: an end then comes last.
        if self.close_us == NEVER or now_us <= self.close_us or (most and self.endless):
            return Rental(operator_id, State.ACTIVE, self.create_us)
        return Rental(operator_id, State.SETTLED, self.create_us) if self.settled else None

    def is_past(self, now_us: int) -> bool:
        """True if no rule that counts rentals can count it any more."""
        ended = self.close_us != NEVER and now_us > self.close_us and not self.endless
        return ended and now_us >= self.create_us + DAY_US


def presence_of(
    times: tuple[int, int, int], happened: int, before: Verdict, ends: Sequence[Verdict]
) -> Presence:
    """The presence of an item under verdicts; `times` are those of its request, of its hold at the
    latest, and of its end."""
    at_us, held_us, close_us = times
    held = (happened & Happened.HELD) != 0
    maybe = held or (happened & Happened.MAYBE_HELD) != 0
    same = all(before.same_as == it.same_as for it in ends)
    sure = held and (same or not any(_is_worse(before, it) for it in ends))
    possible = maybe if same else any(
        it.rank != DECLINED and (maybe or is_stricter(it, before)) for it in ends
    )  # fmt: skip
    exact = same and (happened & Happened.EXACT) != 0
    settled = (happened & Happened.SETTLED) != 0
    return Presence(
        at_us,
        held_us,
        held_us if exact else at_us,
        close_us,
        settled,
        sure,
        possible,
        possible and not held,
    )


def _is_worse(before: Verdict, after: Verdict) -> bool:
    return after.rank == DECLINED or is_stricter(before, after)


def counts(products: Iterable[Product]) -> bool:
    """True if a policy of these products counts rentals."""
    return any(admission.counts(it.policy.rules) for it in products)


class Presences:
    """The rentals of each bearer so far, and the pasts of people."""

    def __init__(self, operator_id: str, from_us: int, pasts: Mapping[int, Past]) -> None:
        """`pasts` are those until `from_us`, by the person's number."""
        self._operator_id = operator_id
        self._from_us = from_us
        self._pasts = pasts
        self._rentals: dict[BearerOf, list[Presence]] = {}
        self._of_person: dict[int, list[Presence]] = {}

    def add(self, bearers: Mapping[Of, int], it: Presence) -> None:
        """Adds a rental of these bearers."""
        if not it.maybe:
            return
        for bearer in bearers.items():
            self._rentals.setdefault(bearer, []).append(it)
        self._of_person.setdefault(bearers[Of.USER], []).append(it)

    def facts(self, bearers: Mapping[Of, int], now_us: int, *, most: bool) -> Facts:
        """The facts of an order, with the most or the least rentals that are possible."""
        rentals: dict[Of, list[Rental]] = {}
        for of, number in bearers.items():
            known = self._rentals.get((of, number), [])
            known[:] = [it for it in known if not it.is_past(now_us)]
            present = (it.at(now_us, self._operator_id, most=most) for it in known)
            rentals[of] = [it for it in present if it is not None]
        # The strictest facts are the most open rentals, and the shortest past.
        past = self._past(bearers[Of.USER], now_us, most=not most)
        return Facts(self._operator_id, now_us, rentals, {Over.OPERATOR: past})

    def _past(self, user: int, now_us: int, *, most: bool) -> Past:
        settled, first_us = self._pasts.get(user, Past())
        for it in self._of_person.get(user, ()):
            there = it.at(now_us, self._operator_id, most=most)
            if there is None:
                continue
            # Earlier ones are in the past already.
            settled += there.state is State.SETTLED and it.close_us >= self._from_us
            first_us = it.create_us if first_us is None else min(first_us, it.create_us)
        return Past(settled, first_us)


def verdict_on(
    wanted: Sequence[Product], facts: Facts, skipped: Mapping[str, str] = NOTHING_SKIPPED
) -> admission.Verdict | None:
    """The verdict of the rules that count rentals on an order, as Authorize has it; None if no rule
    counts. `skipped` has the rules that a listing skips."""
    rules: list[Rules | None] = [it.policy.rules for it in wanted]
    if not any(admission.counts(it) for it in rules):
        return None
    return admission.judge(rules, facts, skipped=skipped)


LONG_AGO = Past(2**31, 0)
"""The past of a person who is not new under any rule."""


def quiet_verdict(wanted: Sequence[Product], now_us: int) -> admission.Verdict | None:
    """The verdict on an order of which no rule counts too much."""
    facts = Facts(wanted[0].operator_id, now_us, {}, {Over.OPERATOR: LONG_AGO})
    return verdict_on(wanted, facts)
