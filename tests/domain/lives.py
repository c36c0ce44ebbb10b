"""Authorizations to begin with, and short forms of the steps that the domain's tests take."""

from __future__ import annotations

from service.domain import hold, settlement
from service.domain.authorization import Authorization, Custody, Start, State, Step
from service.domain.ledger import Account, Line, Posting, post, set_limit
from service.domain.policy import Offer, Policy
from service.domain.product import Product
from service.domain.tariff import DAY_US, MINUTE_US, Tariff
from service.domain.transitions import Transition

NOW_US = 1_000_000
PICKUP_US = 30 * MINUTE_US
OFFER_END_US = NOW_US + 15 * MINUTE_US
DUE_US = NOW_US + DAY_US
CLAIM_WINDOW_US = 2 * DAY_US
MISSING_WINDOW_US = 30 * DAY_US

TARIFF = Tariff(150, 0, 15, 100, 3_000, 19_900)
LOST_US = NOW_US + 6 * DAY_US + 18 * 15 * MINUTE_US + 1
"""Six days at 3,000 are 18,000; the nineteenth interval of the seventh makes it 19,900."""
POLICY = Policy(
    policy_id="bike",
    revision=1,
    zero_from_score=600,
    reduced_from_score=500,
    reduced_credit_share_bp=5_000,
    offer_window_us=15 * MINUTE_US,
    pickup_window_us=PICKUP_US,
    max_feature_age_us=400 * DAY_US,
    review_window_us=DAY_US,
    rental_period_us=DAY_US,
    claim_window_us=CLAIM_WINDOW_US,
    missing_window_us=MISSING_WINDOW_US,
)
BIKE = Product("city", "bike", 1, "BIKE", "CNY", 19_900, 120_000, TARIFF, POLICY)

PLAIN = Authorization(
    user_id="u-1",
    authorization_id="a-1",
    operator_id="city",
    request_id="r-1",
    product_id="bike",
    product_revision=1,
    parent_id="",
    group_id="",
    currency="CNY",
    start=Start.IMMEDIATE,
    accept_offers=(),
    band="B",
    decision_id="d-1",
    model_id="m-1",
    policy_revision=1,
    fee_bp=300,
    create_us=NOW_US,
    pickup_window_us=0,
    rental_period_us=DAY_US,
    asset_id="bike-7",
    offer=Offer.ZERO,
    state=State.OFFERED,
    custody=Custody.IN_STATION,
    reasons=(),
    credit_minor=19_900,
    cash_minor=0,
    expire_us=OFFER_END_US,
    version=1,
)
"""All 19,900 on credit, nothing held yet."""
PICKUP = PLAIN._replace(start=Start.ON_PICKUP, pickup_window_us=PICKUP_US)
REDUCED = PLAIN._replace(offer=Offer.REDUCED, credit_minor=9_950, cash_minor=9_950)
FULL = PLAIN._replace(offer=Offer.FULL, credit_minor=0, cash_minor=19_900)
REDUCED_PICKUP = REDUCED._replace(start=Start.ON_PICKUP, pickup_window_us=PICKUP_US)


def granted() -> Authorization:
    """ACTIVE with all 19,900 on credit."""
    return hold.grant(PLAIN, BIKE, NOW_US).authorization


def confirmed(excess_minor: int = 0) -> Authorization:
    """ACTIVE with 9,950 on credit and 9,950 in cash."""
    return hold.confirm(
        REDUCED, BIKE, 9_950 + excess_minor, NOW_US, excess_minor=excess_minor
    ).authorization


def waiting() -> Authorization:
    """AUTHORIZED with 9,950 on credit and 9,950 in cash, not picked up yet."""
    return hold.confirm(REDUCED_PICKUP, BIKE, 9_950, NOW_US).authorization


def late(it: Authorization | None = None) -> Authorization:
    """OVERDUE."""
    return settlement.overdue(it or granted(), BIKE).authorization


def claimed(at_us: int = NOW_US + MINUTE_US, it: Authorization | None = None) -> Authorization:
    """RETURN_CLAIMED."""
    return settlement.claim_return(it or granted(), BIKE, at_us, at_us).authorization


def settled(amount_minor: int = 1_000, it: Authorization | None = None) -> Authorization:
    """SETTLED with an amount captured; on credit by default."""
    return capture(it or granted(), amount_minor, final=True).authorization


def missing(it: Authorization | None = None) -> Authorization:
    """SETTLED as lost."""
    return settlement.lose(late(it), BIKE, LOST_US).authorization


def capture(it: Authorization, amount_minor: int, *, final: bool, now_us: int = NOW_US) -> Step:
    """Captures an amount at an instant."""
    return settlement.settle(it, BIKE, amount_minor, final, now_us, now_us)


def moved(step: Step) -> list[tuple[Account, Account, int]]:
    """The postings of a step, without the postings of zero, which the ledger leaves out."""
    return [(debit, credit, amount) for debit, credit, amount in step.postings if amount]


def net(*steps: Step) -> dict[Account, int]:
    """The sum of the steps' postings, by account: debits less credits."""
    total = dict.fromkeys(Account, 0)
    for posting in (posting for step in steps for posting in step.postings):
        total[posting.debit] += posting.amount_minor
        total[posting.credit] -= posting.amount_minor
    return total


def line_of(limit_minor: int) -> Line:
    """A line with a limit, all of it available."""
    line = Line("u-1", "CNY")
    book(line, set_limit(line, limit_minor))
    return line


def book(line: Line, postings: tuple[Posting, ...] | list[Posting]) -> None:
    """One transaction."""
    post(
        line,
        postings,
        Transition.LIMIT_SET,
        operator_id="",
        authorization_id="",
        event_us=0,
        now_us=0,
    )
