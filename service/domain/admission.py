"""Decides by the rules of a policy: counts rentals, and says how strict an offer must be.

A rental counts from its grant on: an offer that waits for its deposit, a review, a decline, a
charge for damage and an increment do not count. One that was reversed or lapsed before its pick-up
does not count any more. The windows slide: a rental is in the window of the last hour for exactly
60 minutes after it was asked for, also if it was confirmed or approved later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple, TypeGuard

from service.domain.authorization import HOLDING, Authorization, State
from service.domain.conditions import counts_rentals
from service.domain.documents import canonical
from service.domain.policy import Reason
from service.domain.rules import Counted, NewUser, Of, Outcome, Over, Rules, Velocity
from service.domain.tariff import DAY_US

HOUR_US = DAY_US // 24
_WINDOWS = {Counted.HOUR: HOUR_US, Counted.DAY: DAY_US}
NOTHING_SKIPPED: Mapping[str, str] = MappingProxyType({})
COUNTED = HOLDING | {State.SETTLED}
"""The states of a granted rental that was not reversed and did not lapse."""


class Rental(NamedTuple):
    """A granted rental: the operator, the state, and the instant at which it was asked for.

    Times are microseconds since the epoch, UTC. At `end_us` time alone ends the hold, if no call
    comes first.
    """

    operator_id: str
    state: State
    create_us: int
    end_us: int | None = None

    def is_open(self, now_us: int) -> bool:
        """True if it holds now."""
        return self.state in HOLDING and (self.end_us is None or self.end_us > now_us)

    def has_lapsed(self, now_us: int) -> bool:
        """True for a reservation whose time is over, even if no timer has ended it yet."""
        return self.state is State.AUTHORIZED and not self.is_open(now_us)


def rental_of(it: Authorization) -> Rental | None:
    """The authorization as a counted rental; None if it does not count."""
    if it.parent_id or it.state not in COUNTED:
        return None
    return Rental(
        it.operator_id, it.state, it.create_us, end_of(it.state, it.expire_us, it.claim_until_us)
    )


def end_of(state: State, expire_us: int | None, claim_until_us: int | None) -> int | None:
    """The instant at which time alone ends a hold in this state."""
    return claim_until_us if state is State.RETURN_CLAIMED else expire_us


def is_settled(it: Authorization | None) -> bool:
    """True for a rental that was settled after its item was out."""
    if it is None or it.parent_id:
        return False
    return it.state is State.SETTLED and it.start_us is not None


class Past(NamedTuple):
    """A person's settled rentals, counted up to some number, and the first granted one."""

    settled: int = 0
    first_us: int | None = None


class Facts(NamedTuple):
    """The facts that rules read of one order, as of `now_us`.

    `rentals` are those of each bearer; a bearer that the order does not name is absent. `pasts` are
    with the operator that asks, and over all operators.
    """

    operator_id: str
    now_us: int
    rentals: Mapping[Of, Sequence[Rental]]
    pasts: Mapping[Over, Past]


class Cap(NamedTuple):
    """The most of one item's deposit that is on credit, in minor units, and the reason for it."""

    most_minor: int
    reason: Reason


class Verdict(NamedTuple):
    """How strict an offer must be.

    `least` is the mildest allowed outcome, None for any. With `review` a person of the platform
    decides. `caps` has the cap of each item, if it has one. `reasons` are the reasons in the order
    of strictness, and `values` all values that were read, by their names; `text` is their JSON, if
    it was written already.
    """

    least: Outcome | None
    review: bool
    caps: tuple[Cap | None, ...]
    reasons: tuple[str, ...]
    values: Mapping[str, object]
    text: str | None = None

    @property
    def read_values(self) -> str | None:
        """The values read, as canonical JSON; None if none were read."""
        if self.text is not None or not self.values:
            return self.text
        try:
            return _text_of(tuple(self.values.items()))
        except TypeError:  # the labels of an order are a table
            return canonical(self.values)


@lru_cache(maxsize=4096)
def _text_of(values: tuple[tuple[str, object], ...]) -> str:
    # A name has values of one kind, so no two texts have equal values.
    return canonical(dict(values))


def counts(rules: Rules | None) -> TypeGuard[Rules]:
    """True if the rules read rentals of the past."""
    return rules is not None and (
        rules.velocity is not None or rules.new_user is not None or counts_rentals(rules.condition)
    )


def reads_past(rules: Rules | None) -> bool:
    """True if the rules or their signals read rentals of the past."""
    return rules is not None and (counts(rules) or rules.signal is not None)


class Reading(NamedTuple):
    """The rentals that some rules count: the bearers', and with `recent` also those that ended in
    the last 24 hours."""

    bearers: frozenset[Of]
    recent: bool


@lru_cache(maxsize=4096)
def reading(rules: Rules) -> Reading:
    """The rentals that the rules count."""
    velocity = rules.velocity or ()
    found = {it.of for it in velocity}
    conditioned = counts_rentals(rules.condition)
    new_opens = rules.new_user is not None and rules.new_user.most_open is not None
    if new_opens or conditioned:
        found.add(Of.USER)
    recent = conditioned or any(it.counted is not Counted.OPEN for it in velocity)
    return Reading(frozenset(found), recent)


def judge(
    policies: Sequence[Rules | None],
    facts: Facts,
    *,
    grants: bool = True,
    skipped: Mapping[str, str] = NOTHING_SKIPPED,
) -> Verdict:
    """The verdict on an order of so many items, each under the rules of its policy.

    Each item counts as one more rental. Without `grants` nothing new is rented: only the terms of
    new people apply, and no bound of rentals. `skipped` has the rules that do not count, by their
    reasons, each with the listing that skips it.
    """
    if len(policies) == 1 and not skipped:
        rules = policies[0]
        if rules is not None and rules.new_user is None:
            return by_bounds(rules.velocity or () if grants else (), facts)
    found = _Finding(skipped)
    caps: list[Cap | None] = []
    for place, rules in enumerate(policies):
        cap = None
        if rules is not None:
            first = rules not in policies[:place]
            if grants and first:
                for rule in rules.velocity or ():
                    _judge_velocity(rule, _number(rule, facts), len(policies), found)
            if rules.new_user is not None:
                cap = _judge_new_user(rules.new_user, facts, len(policies) * grants, found)
        caps.append(cap)
    return found.verdict(tuple(caps))


@lru_cache(maxsize=4096)
def bounds_alone(rules: Rules | None) -> tuple[Velocity, ...] | None:
    """The bounds of rentals, if they alone say how strict an offer for one item must be.

    None without bounds, or if other rules of the policy have a say.
    """
    if rules is None or rules.new_user or rules.condition or rules.signal or rules.breaker:
        return None
    return rules.velocity


def by_bounds(bounds: tuple[Velocity, ...], facts: Facts) -> Verdict:
    """The verdict on one item for which only bounds count."""
    # A few small numbers decide, which are mostly the same.
    return _by_numbers(bounds, tuple([_number(it, facts) for it in bounds]))


@lru_cache(maxsize=4096)
def quiet(bounds: tuple[Velocity, ...]) -> Verdict:
    """As `by_bounds`, for an order that names only its person, who has no rental that counts."""
    return _by_numbers(bounds, tuple([0 if it.of is Of.USER else None for it in bounds]))


@lru_cache(maxsize=4096)
def _by_numbers(bounds: tuple[Velocity, ...], numbers: tuple[int | None, ...]) -> Verdict:
    """The verdict on one item for which only bounds count."""
    found = _Finding(NOTHING_SKIPPED)
    for rule, number in zip(bounds, numbers, strict=True):
        _judge_velocity(rule, number, 1, found)
    verdict = found.verdict((None,))
    return verdict._replace(text=verdict.read_values)


class Hit(NamedTuple):
    """A rule that applies beside those that count rentals, with its consequence and its reason."""

    outcome: Outcome
    reason: str


def with_hits(
    verdict: Verdict | None, items: int, hits: Sequence[Hit], values: Mapping[str, object]
) -> Verdict:
    """The verdict on so many items with further rules that apply, and the values that they read."""
    if verdict is None:
        verdict = Verdict(None, False, (None,) * items, (), {})
    if not hits:
        return verdict._replace(values={**verdict.values, **values}, text=None)
    strict = [it.reason for it in hits if it.outcome is Outcome.DECLINE]
    reasons = dict.fromkeys([*strict, *verdict.reasons, *(it.reason for it in hits)])
    outcomes = {it.outcome for it in hits} | {verdict.least}
    least = next((it for it in _BY_STRICTNESS if it in outcomes), None)
    return verdict._replace(
        least=least,
        review=verdict.review or Outcome.REVIEW in outcomes,
        reasons=tuple(reasons),
        values={**verdict.values, **values},
        text=None,
    )


_BY_STRICTNESS = (Outcome.DECLINE, Outcome.FULL, Outcome.REDUCED)


class _Finding:
    """The outcomes of rules, and the values read so far."""

    __slots__ = ("_reasons", "_skipped", "values")

    def __init__(self, skipped: Mapping[str, str]) -> None:
        self.values: dict[str, object] = {}
        self._skipped = skipped
        self._reasons: dict[Outcome, dict[Reason, None]] = {}

    def skips(self, reason: Reason) -> bool:
        """True if a listing skips the rule of this reason, which then stands among the values."""
        listing = self._skipped.get(reason)
        if listing is not None:
            self.values[f"skipped.{reason}"] = listing
        return listing is not None

    def add(self, outcome: Outcome, reason: Reason, over: Over) -> None:
        """A rule applies, unless it is skipped. Over all operators it looks like an exhausted
        line."""
        if self.skips(reason):
            return
        self._reasons.setdefault(outcome, {})[_told(reason, over)] = None

    def verdict(self, caps: tuple[Cap | None, ...]) -> Verdict:
        """All outcomes together: the strictest counts."""
        if not self._reasons:
            return Verdict(None, False, caps, (), self.values)
        order = (Outcome.DECLINE, Outcome.REVIEW, Outcome.FULL, Outcome.REDUCED)
        reasons = {reason: None for outcome in order for reason in self._reasons.get(outcome, ())}
        least = next((it for it in order if it is not Outcome.REVIEW and it in self._reasons), None)
        review = Outcome.REVIEW in self._reasons
        return Verdict(least, review, caps, tuple(reasons), self.values)


_REASONS = {
    (Of.USER, Counted.OPEN): Reason.VELOCITY_USER_OPEN,
    (Of.USER, Counted.HOUR): Reason.VELOCITY_USER_HOUR,
    (Of.USER, Counted.DAY): Reason.VELOCITY_USER_DAY,
    (Of.DEVICE, Counted.OPEN): Reason.VELOCITY_DEVICE_OPEN,
    (Of.DEVICE, Counted.HOUR): Reason.VELOCITY_DEVICE_HOUR,
    (Of.DEVICE, Counted.DAY): Reason.VELOCITY_DEVICE_DAY,
    (Of.PAYMENT_ACCOUNT, Counted.OPEN): Reason.VELOCITY_PAYMENT_ACCOUNT_OPEN,
    (Of.PAYMENT_ACCOUNT, Counted.HOUR): Reason.VELOCITY_PAYMENT_ACCOUNT_HOUR,
    (Of.PAYMENT_ACCOUNT, Counted.DAY): Reason.VELOCITY_PAYMENT_ACCOUNT_DAY,
}


def reason_of(rule: Velocity) -> Reason:
    """The reason of a bound of the number of rentals."""
    return _REASONS[rule.of, rule.counted]


def _number(rule: Velocity, facts: Facts) -> int | None:
    """The number that a bound counts; None if the order does not name the bearer."""
    rentals = facts.rentals.get(rule.of)
    return None if rentals is None else counted(rentals, rule.counted, rule.over, facts)


def _judge_velocity(rule: Velocity, number: int | None, items: int, found: _Finding) -> None:
    found.values[_NUMBERS[rule.of, rule.counted, rule.over]] = number
    if number is not None and number + items > rule.most:
        found.add(rule.then, reason_of(rule), rule.over)


def counted(rentals: Sequence[Rental], span: Counted, over: Over, facts: Facts) -> int:
    """The number of rentals that are open, or were asked for in the window that ends now."""
    if not rentals:
        return 0
    if over is Over.OPERATOR:
        rentals = [it for it in rentals if it.operator_id == facts.operator_id]
    if span is Counted.OPEN:
        return sum([it.is_open(facts.now_us) for it in rentals])
    since_us = facts.now_us - _WINDOWS[span]
    now_us = facts.now_us
    return sum([it.create_us > since_us and not it.has_lapsed(now_us) for it in rentals])


def _judge_new_user(rule: NewUser, facts: Facts, items: int, found: _Finding) -> Cap | None:
    """Judges by the rule for new people; returns the cap of an item's deposit, if any."""
    past = facts.pasts.get(rule.over, Past())
    is_new = False
    if rule.until_settled is not None:
        settled = min(past.settled, rule.until_settled)
        found.values[_name("user.settled", rule.over)] = settled
        is_new = settled < rule.until_settled
    if rule.until_us is not None:
        age_us = None if past.first_us is None else facts.now_us - past.first_us
        found.values[_name("user.age_us", rule.over)] = age_us
        is_new = is_new or age_us is None or age_us < rule.until_us
    if not is_new:
        return None
    if rule.mildest_offer is not None:
        found.add(rule.mildest_offer, Reason.NEW_USER, rule.over)
    if rule.most_open is not None and items:
        number = counted(facts.rentals.get(Of.USER, ()), Counted.OPEN, rule.over, facts)
        found.values[_name("user.open", rule.over)] = number
        if number + items > rule.most_open:
            found.add(rule.then, Reason.NEW_USER_OPEN, rule.over)
    if rule.most_waived_minor is None or found.skips(Reason.NEW_USER):
        return None
    return Cap(rule.most_waived_minor, _told(Reason.NEW_USER, rule.over))


def _told(reason: Reason, over: Over) -> Reason:
    """The reason as operators see it."""
    return Reason.LINE_EXHAUSTED if over is Over.ALL_OPERATORS else reason


def _name(name: str, over: Over) -> str:
    return name if over is Over.OPERATOR else f"{name}.{Over.ALL_OPERATORS.lower()}"


_NUMBERS = {
    (of, span, over): _name(f"{of.lower()}.{span.lower()}", over)
    for of in Of
    for span in Counted
    for over in Over
}
"""The names of the numbers of rentals among the values that a decision read."""
