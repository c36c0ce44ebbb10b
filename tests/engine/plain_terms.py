"""The terms of Freehold told a second time, as plainly as possible: tariffs, offers, amounts.

The default configuration, and all that follows from it without stored rows. Amounts are minor
units, times microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from math import nan
from struct import iter_unpack
from typing import Any

from tests.engine.plain_tariffs import (
    CHARGER,
    SCOOTER,
    by_clock,
    insertion,
    plain_fee_of_use,
    plain_reservation,
)

Row = dict[str, Any]

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
AFTER_DISPUTE_US = 30 * DAY_US
ANSWER_US = 48 * HOUR_US
"""Time to answer a complaint."""
COMPLAINTS = (
    *("RETURN_BLOCKED", "ITEM_AT_FAULT", "WRONG_FEE", "NOT_MINE", "DAMAGE_NOT_MINE", "OTHER"),
)
REFUND_PAUSES_US = (HOUR_US, DAY_US, 3 * DAY_US, 7 * DAY_US)
"""The pauses before a failed payout is tried again."""
RULES: dict[str, Row] = {
    "bike": {
        "new_user": {
            "until_settled": 1, "mildest_offer": "REDUCED", "most_open": 2, "then": "FULL",
            "over": "ALL_OPERATORS",
        },
    },
    "small-item": {
        "velocity": [
            {"of": "USER", "counted": "OPEN", "most": 2, "then": "DECLINE"},
            {"of": "DEVICE", "counted": "DAY", "most": 1, "then": "FULL"},
            {"of": "PAYMENT_ACCOUNT", "counted": "HOUR", "most": 1, "then": "REVIEW"},
        ],
        "signal": [
            {"signal": "DEVICE_SHARED", "most": 2, "days": 1, "then": "REVIEW"},
            {"signal": "NEW_ACCOUNTS_ON_PAYMENT_ACCOUNT", "most": 1, "days": 1, "then": "FULL"},
            {"signal": "ITEM_REPEATED", "most": 2, "days": 2, "then": "FULL"},
            {
                "signal": "IMPLAUSIBLE_RETURNS", "most": 0, "days": 3, "then": "DECLINE",
                "within_minutes": 30,
            },
        ],
        "breaker": [
            {
                "currency": "CNY", "days": 3, "most_minor": 9_900, "least_rentals": 2,
                "closes": "WHEN_UNDER",
            },
        ],
    },
}  # fmt: skip
"""The rules of policies at the beginning. Over all operators a person without a settled rental gets
no bike without a deposit, and pays the whole one for a third open rental."""


class Terms(dict[str, Any]):
    """One revision of a product with its tariff and its policy; it never changes, so it may be
    looked up by its identity."""

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other


TERMS = (
    *(
        f"UPDATE policies SET rules = '{json.dumps(rules)}' WHERE policy_id = '{name}'"
        for name, rules in RULES.items()
    ),
    "UPDATE policies SET refund_after_us = 0 WHERE policy_id = 'small-item'",
    f"UPDATE policies SET free_cancellation_us = {5 * MINUTE_US} WHERE policy_id = 'bike'",
    f"UPDATE policies SET longest_reservation_us = {90 * MINUTE_US} WHERE policy_id = 'bike'",
    f"UPDATE policies SET longest_rental_us = {60 * HOUR_US} WHERE policy_id = 'bike'",
    "UPDATE products SET cancellation_fee_minor = 200 WHERE product_id = 'bike'",
    "UPDATE products SET damage_without_consent_minor = 4000 WHERE product_id = 'bike'",
    "UPDATE products SET cancellation_fee_minor = 300 WHERE product_id = 'umbrella'",
    "UPDATE products SET damage_without_consent_minor = 1000 WHERE product_id = 'power-bank'",
    "UPDATE policies SET most_increments = NULL WHERE policy_id = 'bike'",
    "UPDATE policies SET most_increments = 2 WHERE policy_id = 'small-item'",
    "UPDATE products SET most_hold_minor = 25000 WHERE product_id = 'bike'",
    "UPDATE products SET most_hold_minor = NULL WHERE product_id = 'power-bank'",
    (
        'UPDATE products SET line_items = \'["USAGE","CANOPY_DAMAGED"]\''
        " WHERE product_id = 'umbrella'"
    ),
    insertion("charger", "power-bank", CHARGER),
    insertion("scooter", "bike", SCOOTER),
)
"""The statements that make the default terms those of `plain_documents`: refunds of small items
go out at once; bikes have a rule for cancellations and bounds; damage needs consent. Bikes and
umbrellas have a bound of the hold, small items a bound of tries, and umbrellas a list of line
items."""
FEE_BP = {"city": 300, "harbour": 250}
DEBT_LIMIT = {"city": 5_000, "harbour": 0}
"""The most that each operator may owe."""
BANDS = ((700, "A"), (650, "B"), (600, "C"), (550, "D"), (0, "E"))
OFFERS = ["ZERO", "REDUCED", "FULL"]
LADDER = (
    (HOUR_US, "debit"), (DAY_US, "range"), (DAY_US, "remind"), (3 * DAY_US, "debit"),
    (7 * DAY_US, "remind"), (7 * DAY_US, "debit"), (14 * DAY_US, "debit"),
    (30 * DAY_US, "remind"), (30 * DAY_US, "debit"), (31 * DAY_US, "range"),
    (61 * DAY_US, "range"), (91 * DAY_US, "range"),
)  # fmt: skip
"""Time after the settlement."""
RUNGS = {
    "debit": "collection.debit_requested",
    "remind": "collection.reminded",
}
PLATFORM = "platform"
CURRENCY = "CNY"
LAPSING = ("OFFERED", "REVIEW", "AUTHORIZED")
OUT = ("ACTIVE", "OVERDUE", "RETURN_CLAIMED")
CHARGED = (*OUT, "SETTLED")
ENDED = ("DECLINED", "REVERSED", "EXPIRED")
"""Closed without a charge."""


class Refused(Exception):
    """The command is refused for this reason; nothing has changed."""


class Retried(Exception):
    """The command was applied before: its first answer counts."""


Pauses = Sequence[tuple[int, int]]
"""The times in which the meter stood."""


def fee(product: Row, us: int, start_us: int = 0, pauses: Pauses = (), quota_us: int = 0) -> int:
    """The fee of `us` microseconds on the meter: the sum of the fees of its days, or of its units.

    The start and the pauses only matter for a tariff with prices of hours.
    """
    total, day = 0, 0
    if product["free_us"] is not None and us <= product["free_us"]:
        return 0
    if "document" in product:
        return plain_fee_of_use(product["document"], start_us, us, pauses, quota_us)
    while day == 0 or us > day * DAY_US:
        billed_us = min(us - day * DAY_US, DAY_US)
        cost = 0
        if day == 0:
            billed_us = max(0, billed_us - product["free"] * MINUTE_US)
            cost = product["start_fee"]
        interval_us = product["interval"] * MINUTE_US
        started = billed_us // interval_us + (1 if billed_us % interval_us else 0)
        full = us >= (day + 1) * DAY_US
        # A full day costs the cap, however little its intervals cost.
        total += (
            product["day_cap"]
            if full
            else min(cost + started * product["price"], product["day_cap"])
        )
        if total >= product["buy_out"]:
            return int(product["buy_out"])
        day += 1
    return total


def waited(it: Row, until_us: int) -> int:
    """The price of a reservation that lasted until an instant."""
    if it["reserve_us"] is None:
        return 0
    document = it["terms"]["document"]
    return plain_reservation(document, max(0, until_us - it["reserve_us"]))


def ordered(it: Row, cost: int) -> int:
    """A cost, at most the fee of the order."""
    return cost if it["order_fee"] is None else min(cost, int(it["order_fee"]))


def whole_fee(it: Row, us: int, pauses: Pauses = (), quota_us: int = 0) -> int:
    """The fee of a rental and its reservation, after `us` microseconds on the meter."""
    used = fee(it["terms"], us, it["start_us"], pauses, quota_us)
    most = int(it["terms"]["buy_out"])
    return min(most, used + waited(it, it["start_us"]))


def moves(product: Row) -> bool:
    """Whether the fee depends on the time of day."""
    return "document" in product and by_clock(product["document"])


@lru_cache
def lost_after(
    product: Terms, start_us: int, pauses: tuple[tuple[int, int], ...], of_pass: int
) -> int:
    """The first use in microseconds whose fee is the buy-out cap, by search."""

    # The free minutes of the quotas and of one pass put the loss off, whatever is left of them: as
    # many of them as put it off the most. Arithmetic 1 has no free minutes.
    document = product.get("document", {})
    minutes = sum(row["minutes"] for row in document.get("quota", []))
    minutes += of_pass if document else 0

    def lost(us: int, free: int) -> bool:
        return fee(product, us, start_us, pauses, free * MINUTE_US) >= int(product["buy_out"])

    def later(us: int, free: int) -> int:
        short, long = us, us + DAY_US
        while not lost(long, free):
            short, long = long, long + 2 * (long - us)
        while long - short > 1:
            middle = (short + long) // 2
            if lost(middle, free):
                long = middle
            else:
                short = middle
        return long

    found = later(0, minutes)
    while cheaper := [free for free in range(minutes) if not lost(found, free)]:
        found = later(found, cheaper[0])
    return found


def pass_minutes(books: Any, it: Row) -> int:
    """The most minutes of a pass that a revision of the rental's product sold."""
    revisions = books.revisions.get((it["operator_id"], it["product_id"]), ())
    documents = [one["document"] for one in revisions if one and "document" in one]
    passes = [row for document in documents for row in document.get("pass", [])]
    return max([0, *(int(row.get("minutes", 0)) for row in passes)])


def lost_at(product: Terms, start_us: int, of_pass: int, pauses: Pauses = ()) -> int:
    """The instant at which a rental costs the buy-out cap, with free minutes of a pass."""
    if moves(product):
        at_us = start_us + lost_after(product, start_us, tuple(pauses), of_pass)
    else:
        at_us = start_us + lost_after(product, 0, (), of_pass)
    for begin, end in sorted(pauses):
        if begin < at_us:
            at_us += end - begin
    return at_us


def day_most(it: Row) -> int:
    """The most that one day of a rental costs."""
    if "document" in it["terms"]:
        return fee(it["terms"], DAY_US, it["start_us"])
    return int(it["terms"]["day_cap"])


def due(it: Row) -> int:
    """The part of the captured credit that is still due."""
    done = it["paid"] + it["lowered"] + it["disputed"] + it["written_off"]
    return int(it["captured_credit"] - done)


def debt_due(it: Row) -> int:
    """The part of a debt without a hold that is still due."""
    gone = it["unheld_dropped"] + it["unheld_disputed"]
    return int(it["unheld"] - it["paid"] - gone) if it["unheld"] else 0


def asked(it: Row) -> int:
    """All that the person is asked to pay now."""
    return due(it) + debt_due(it)


def refundable(it: Row) -> int:
    """Captured, paid (perhaps late), and not given back."""
    paid = it["captured"] - it["captured_credit"] + it["paid"] + it["recovered"]
    return int(paid - it["refunded"])


def left(capture: Row) -> int:
    """The part of a capture that is neither conceded nor disputed."""
    return int(capture["amount"] - capture["conceded"] - capture["disputed"])


def spread(amount: int, most: list[int]) -> list[int]:
    """Takes an amount from places in their order, at most what each has."""
    shares = []
    for there in most:
        shares.append(min(amount, there))
        amount -= shares[-1]
    assert amount == 0
    return shares


def unrecovered(it: Row) -> int:
    """Written off and not recovered."""
    return int(it["written_off"] - it["recovered"] - it["forgiven"])


def standing(it: Row) -> int:
    """The person's money that is still here: in the deposit, owed back, or for the charge.

    Money paid to the operator never came here; it counts as the last to be given back. Money that
    went out twice is not here either, also after it was written off.
    """
    charge = max(0, refundable(it) - it["elsewhere"] - it["overpaid_written_off"])
    return int(it["held_cash"] + it["refund_payable"] + charge)


def grantable(it: Row) -> int:
    """The amount that a complaint can still give back: paid, or asked for."""
    charge = due(it) + it["disputed"] + unrecovered(it) + refundable(it)
    return int(charge + debt_due(it) + it["unheld_disputed"])


ABOUT = {
    "LATE_CLAIM": "FEE", "RETURN_BLOCKED": "FEE", "ITEM_AT_FAULT": "FEE", "WRONG_FEE": "FEE",
    "DAMAGE_NOT_MINE": "DAMAGE",
}  # fmt: skip
"""The purpose that a kind of case is about."""


def gone(it: Row) -> bool:
    """Whether it ended before anybody told of a pick-up."""
    if it["state"] == "SETTLED" and it["reserve_us"] is None:
        return False
    return it["state"] in ("EXPIRED", "REVERSED", "SETTLED") and it["start_us"] is None


def takeable(it: Row) -> int:
    """The money that the bank can still take back: all money that came by the rail, even if it went
    out."""
    return int(it["received"] - it["charged_back"])


def payable_out(it: Row) -> int:
    """The amount owed back, less open charge-backs."""
    return max(0, int(min(it["refund_payable"], standing(it) - it["charged_back"])))


def refund_time(it: Row) -> int | None:
    """The instant at which money owed back goes out by itself."""
    waits = [it["refund_after_us"], *REFUND_PAUSES_US]
    awaited = it["debiting"] > 0 and asked(it) > 0
    if payable_out(it) == 0 or waits[0] is None or awaited or it["refund_tries"] >= len(waits):
        return None
    return int(it["refund_since_us"] + waits[it["refund_tries"]])


def wake(it: Row) -> int | None:
    """The next instant at which time alone changes something."""
    instants = [at_us for at_us in (life(it), refund_time(it)) if at_us is not None]
    return min(instants, default=None)


def life(it: Row) -> int | None:
    """The next instant at which a state ends or dunning goes on."""
    state = it["state"]
    if state in LAPSING:
        return it["expire_us"]  # type: ignore[no-any-return]
    if state == "ACTIVE":
        return it["expire_us" if it["parent_id"] else "due_us"]  # type: ignore[no-any-return]
    if state == "OVERDUE":
        return it["lost_us"]  # type: ignore[no-any-return]
    if state == "RETURN_CLAIMED":
        return it["claim_until_us"]  # type: ignore[no-any-return]
    instants = []
    if it["custody"] == "MISSING":
        instants.append(it["sold_us"])
    if state == "SETTLED" and it["custody"] == "UNKNOWN":
        instants.append(it["claim_until_us"])
    if debt_due(it) and not it["debiting"]:
        instants.append(it["unheld_until_us"])
    if state == "SETTLED" and asked(it) and it["rung"] < len(LADDER):
        instants.append(it["close_us"] + LADDER[it["rung"]][0])
    return min(instants, default=None)


def required(it: Row, *states: str) -> None:
    """Refuses any other state."""
    if it["state"] not in states:
        raise Refused("ILLEGAL_TRANSITION")


def no_damage(it: Row) -> None:
    """Refuses a damage charge."""
    if it["parent_id"]:
        raise Refused("DAMAGE_CHARGE")


def minor(money: Any) -> int:
    """The amount; refuses another currency."""
    if money.currency != CURRENCY:
        raise Refused("INVALID_INPUT")
    return int(money.amount_minor)


def within(amount: int, most: int) -> None:
    """Refuses zero and anything above the maximum."""
    if amount < 1 or amount > most:
        raise Refused("INVALID_INPUT")


def share(amount: int, bp: int) -> int:
    """The commission, rounded down."""
    return amount * bp // 10_000


def shorter(asked_us: int | None, most_us: int) -> int:
    """The requested duration, up to a maximum."""
    return most_us if asked_us is None else min(asked_us, most_us)


def started(books: Any, it: Row, start_us: int, now_us: int) -> Row:
    """Starts the rental: sets its due time and its instant of loss."""
    due_us = start_us + it["rental_period_us"]
    terms = it["terms"]
    overdue_us = max(due_us, now_us) + terms["overdue_us"]
    lost_us = max(overdue_us, lost_at(terms, start_us, pass_minutes(books, it)))
    new = {"state": "ACTIVE", "custody": "OUT", "expire_us": None, "start_us": start_us}
    return {**new, "due_us": due_us, "lost_us": lost_us}


def features_of(
    raw: bytes, names: tuple[str, ...] | None, texts: str
) -> tuple[int | None, float, str]:
    """The stand-in model's score, or None; the other raw value; the reason for None."""
    names = ("score", "other") if names is None else names
    sent = dict(zip(names, iter_unpack("<d", raw), strict=True))
    (other,) = sent.get("other", (nan,))
    if "other" in texts:
        return None, other, "FEATURE_OF_OTHER_KIND"
    if "score" not in sent:
        return None, other, "FEATURE_NOT_SENT"
    (score,) = sent["score"]
    return (None, other, "MISSING_FEATURE") if score != score else (int(score), other, "")


def band(score: int | None) -> str:
    """The band of a score; none without one."""
    return "" if score is None else next(name for bound, name in BANDS if score >= bound)


def scored(
    person: Row, now_us: int, products: Sequence[Row], explain_below: int
) -> tuple[int | None, list[str]]:
    """The score and its reasons, or None and the reason for it."""
    if not person["features"]:
        return None, ["NO_FEATURES"]
    if not person["consent"]:
        return None, ["NO_CONSENT"]
    if person["score"] is None:
        return None, [person["unscorable"]]
    if any(now_us - person["as_of_us"] > it["features_us"] for it in products):
        return None, ["FEATURES_STALE"]
    low = person["score"] < explain_below and person["other"] > 0
    return person["score"], ["HIGH_OTHER"] if low else []


UNKNOWN: Row = {
    "score": None, "unscorable": "", "other": 0.0, "consent": False, "as_of_us": 0, "features": 0,
    "by_score": True, "identity": "", "seen_us": 0,
}  # fmt: skip
OF_TERMS = ("terms", "product_revision", "policy_revision")
"""The fields of a rental that its terms decide."""


def of_terms(terms: Row) -> Row:
    """The fields of a rental under these terms."""
    revisions = (terms["revision"], terms["policy_revision"])
    return dict(zip(OF_TERMS, (terms, *revisions), strict=True))


EMPTY: Row = {
    "currency": CURRENCY, "custody": "IN_STATION",
    "expire_us": None, "start_us": None, "due_us": None, "lost_us": None, "claim_us": None,
    "claim_until_us": None, "close_us": None, "sold_us": None, "wake_us": None,
    "held_credit": 0, "held_cash": 0, "captured": 0, "captured_credit": 0, "conceded": 0,
    "fee": 0, "paid": 0, "lowered": 0, "disputed": 0, "charged_back": 0, "refunded": 0,
    "refund_payable": 0, "provisioned": 0, "written_off": 0, "recovered": 0, "forgiven": 0,
    "received": 0, "elsewhere": 0, "paid_out": 0, "debiting": 0, "write_off_by": "",
    "write_off": 0, "rung": 0, "version": 0, "overpaid": 0, "overpaid_written_off": 0,
    "captures": 0, "other_captured": 0, "corrections": 0, "uncollected": 0,
    "refund_after_us": None, "refund_since_us": None, "refund_tries": 0,
    "unheld": 0, "unheld_dropped": 0, "unheld_disputed": 0, "unheld_until_us": None,
    "reserved": False,
    "open_cases": (),
    "paused_us": 0, "reserve_us": None, "order_fee": None,
}  # fmt: skip
