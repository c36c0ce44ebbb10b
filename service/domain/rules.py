"""Rules of admission: the parts of a policy beyond its two cut-offs.

A policy without rules has `rules` None, and costs nothing more. Each member of `Rules` is None if
the policy does not use it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """The consequence of a rule that applies, from the mildest to the strictest."""

    REDUCED = "REDUCED"
    """A part of the deposit is asked for in cash, or more."""
    FULL = "FULL"
    """The whole deposit is asked for in cash."""
    REVIEW = "REVIEW"
    """A person of the platform decides."""
    DECLINE = "DECLINE"


class Over(StrEnum):
    """The rentals that a rule counts.

    Only a policy of the platform counts the rentals of all operators. Such a rule works like the
    limit of a credit line: it may only make the offer stricter, and operators see the reason
    LINE_EXHAUSTED. So an operator learns nothing of the other operators.
    """

    OPERATOR = "OPERATOR"
    """The rentals of the operator that asks."""
    ALL_OPERATORS = "ALL_OPERATORS"


class Of(StrEnum):
    """The bearer of counted rentals."""

    USER = "USER"
    DEVICE = "DEVICE"
    """The device whose hash the order names; an order without it is not counted."""
    PAYMENT_ACCOUNT = "PAYMENT_ACCOUNT"
    """The payment account whose hash the order names; an order without it is not counted."""


class Counted(StrEnum):
    """The counted rentals of a bearer. Only rentals that were granted count."""

    OPEN = "OPEN"
    """Those that hold now, from the grant to the settlement."""
    HOUR = "HOUR"
    """Those that were asked for in the last 60 minutes, exact to the microsecond."""
    DAY = "DAY"
    """Those that were asked for in the last 24 hours, exact to the microsecond."""


class CutOff(NamedTuple):
    """The two cut-offs of one category of products, inclusive lower bounds of the score.

    `reduced_credit_share_bp` is the part of a reduced deposit on credit, in basis points; None
    means the policy's own share.
    """

    category: str
    zero_from_score: int
    reduced_from_score: int
    reduced_credit_share_bp: int | None = None


class Rung(NamedTuple):
    """A step of a ladder of deposits: from this score on, this part of the deposit is on credit.

    `credit_share_bp` is in basis points: 10,000 is the offer ZERO, 0 is FULL, and any other share
    is REDUCED.
    """

    from_score: int
    credit_share_bp: int


class Velocity(NamedTuple):
    """A bound of the number of rentals: at most `most`, the requested ones included."""

    of: Of
    counted: Counted
    most: int
    then: Outcome
    over: Over = Over.OPERATOR


class NewUser(NamedTuple):
    """Stricter terms for people who are new.

    A person is new with fewer than `until_settled` settled rentals, or if the first granted rental
    was asked for less than `until_us` microseconds ago; None means that this does not matter. A new
    person gets no milder offer than `mildest_offer` (REDUCED or FULL). Of each deposit at most
    `most_waived_minor`, in minor units of the product's currency, is on credit. A new person has at
    most `most_open` open rentals, the requested ones included; one more has the outcome `then`.
    """

    until_settled: int | None = None
    until_us: int | None = None
    mildest_offer: Outcome | None = None
    most_waived_minor: int | None = None
    most_open: int | None = None
    then: Outcome = Outcome.DECLINE
    over: Over = Over.OPERATOR


class Condition(NamedTuple):
    """A condition over declared variables, in CEL, and its consequence if it is true."""

    name: str
    when: str
    then: Outcome


class Signal(StrEnum):
    """A pattern of fraud, counted in the granted rentals with the operator in some days.

    Each counts the order too.
    """

    DEVICE_SHARED = "DEVICE_SHARED"
    """The people who used the device of the order."""
    PAYMENT_ACCOUNT_SHARED = "PAYMENT_ACCOUNT_SHARED"
    """The people who used the payment account of the order."""
    NEW_ACCOUNTS_ON_DEVICE = "NEW_ACCOUNTS_ON_DEVICE"
    """Of the people who used the device, those who were first seen within the days."""
    NEW_ACCOUNTS_ON_PAYMENT_ACCOUNT = "NEW_ACCOUNTS_ON_PAYMENT_ACCOUNT"
    """Of the people who used the payment account, those who were first seen within the days."""
    MANY_DEVICES = "MANY_DEVICES"
    """The devices that the person used."""
    MANY_PAYMENT_ACCOUNTS = "MANY_PAYMENT_ACCOUNTS"
    """The payment accounts that the person used."""
    ITEM_REPEATED = "ITEM_REPEATED"
    """The person's rentals of the same item, such as of one bike in its free minutes."""
    IMPLAUSIBLE_RETURNS = "IMPLAUSIBLE_RETURNS"
    """The person's settled rentals that ended at another station too soon after the start."""


class SignalRule(NamedTuple):
    """A signal applies if it counts more than `most` in the last `window_us` microseconds.

    `within_us` is the time in which nobody gets to another station; only for IMPLAUSIBLE_RETURNS.
    """

    signal: Signal
    most: int
    window_us: int
    then: Outcome
    within_us: int | None = None


class Span(StrEnum):
    """The exposure that a budget counts."""

    OPEN = "OPEN"
    """The amounts on credit that are held now."""
    DAY = "DAY"
    """The amounts on credit that were held since midnight, UTC, also those released since."""


class Budget(NamedTuple):
    """At most `most_minor` of one currency are on credit together, for each operator.

    `slice_minor` is the most that all servers together keep unused while another one is refused.
    """

    currency: str
    span: Span
    most_minor: int
    slice_minor: int


class Closes(StrEnum):
    """The way in which an open breaker closes."""

    BY_PERSON = "BY_PERSON"
    """A person closes it. From then on only later losses count."""
    WHEN_UNDER = "WHEN_UNDER"
    """It closes by itself once the losses of the window are within the bound; a person may close
    it earlier."""


class Breaker(NamedTuple):
    """Above `most_minor` losses of one currency in the last `window_us` microseconds, everybody is
    asked for the whole deposit in cash. Each operator under the policy has a breaker of its own.

    It does not open before `least_rentals` rentals have a loss.
    """

    currency: str
    window_us: int
    most_minor: int
    least_rentals: int = 1
    closes: Closes = Closes.BY_PERSON


class Rules(NamedTuple):
    """The rules of a policy.

    The cut-offs of a product's category come before the ladder, and the ladder before the policy's
    own cut-offs. The rungs of a ladder are in the order of the scores, the highest first; the first
    one that the score reaches counts.
    """

    cut_off: tuple[CutOff, ...] | None = None
    ladder: tuple[Rung, ...] | None = None
    velocity: tuple[Velocity, ...] | None = None
    new_user: NewUser | None = None
    condition: tuple[Condition, ...] | None = None
    signal: tuple[SignalRule, ...] | None = None
    budget: tuple[Budget, ...] | None = None
    breaker: tuple[Breaker, ...] | None = None
