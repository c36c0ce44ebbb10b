"""Reads and writes documents of policies.

Scores are inclusive lower bounds, shares are in basis points. Times have their unit at the end of
the key: `_minutes`, `_hours` or `_days`; a time that is no whole number of these has the same key
with `_us`, in microseconds. A key left out has the value of the default policies.
`service/data/examples/policy.toml` has every key.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from service.domain.document_fields import MOST_MINUTES, MOST_SCORE, NAME, Fields, require_none
from service.domain.documents import Table
from service.domain.errors import Violation
from service.domain.policy import Policy
from service.domain.rules import Rules, Rung
from service.domain.rules_document import SHARE_BP, read_rules, require_order, write_rules
from service.domain.tariff import DAY_US, MINUTE_US

MOST_US = MOST_MINUTES * MINUTE_US
UNITS = {"minutes": MINUTE_US, "hours": 60 * MINUTE_US, "days": DAY_US}
NONE = "NONE"
"""The value of a key for no such rule, where the default is a rule."""


class Time(NamedTuple):
    """A time of a policy: its column without `_us`, its unit, and its default in this unit.

    With `may_be_none` the column may be NULL.
    """

    name: str
    unit: str
    default: int | None
    may_be_none: bool = False


TIMES = (
    Time("offer_window", "minutes", 15),
    Time("pickup_window", "minutes", 30),
    Time("max_feature_age", "days", 400),
    Time("review_window", "hours", 24),
    Time("rental_period", "hours", 24),
    Time("claim_window", "hours", 48),
    Time("missing_window", "days", 30),
    Time("report_window", "days", 90),
    Time("overdue_window", "hours", 2),
    Time("refund_after", "hours", 24, may_be_none=True),
    Time("debt_window", "days", 90),
    Time("pause_limit", "hours", 24),
    Time("free_cancellation", "minutes", None, may_be_none=True),
    Time("longest_reservation", "hours", None, may_be_none=True),
    Time("longest_rental", "hours", None, may_be_none=True),
)
MOST_PAUSES, MOST_INCREMENTS = 10, 6
CUT_OFFS = ("zero_from_score", "reduced_from_score", "reduced_credit_share_bp")
PRICES = ("price", "price_by_loss", "price_by_expected_loss", "expected_loss")


def read_policy(table: Table, *, platform: bool) -> Policy:
    """The policy of a parsed document, with its name as the id and the revision 0.

    With `platform` it is a policy of the platform, which may count the rentals of all operators.
    Raises InvalidInput (TERMS_WRONG) with all faults of the document.
    """
    faults: list[Violation] = []
    fields = Fields(table, faults)
    name = fields.text("name", NAME)
    for key in PRICES:
        if fields.has(key):
            text = (
                "is refused: a price by expected loss needs a model of the losses of rentals, and"
                " there is none; the score ranks people and does not price a risk"
            )
            fields.take(key)
            fields.fault(key, "no_loss_model", text)
    times = {f"{it.name}_us": _read_time(fields, it) for it in TIMES}
    most_pauses = fields.whole("most_pauses", 0, MOST_SCORE, MOST_PAUSES)
    most_increments = _read_rare(fields, "most_increments", MOST_SCORE, MOST_INCREMENTS)
    rules = read_rules(fields, platform=platform)
    cut_offs = _read_cut_offs(fields, rules)
    fields.end()
    require_none(faults)
    more: dict[str, Any] = {**times, "most_increments": most_increments, "most_pauses": most_pauses}
    return Policy(name, 0, *cut_offs, **more, rules=rules)


def write_policy(policy: Policy) -> dict[str, object]:
    """The document of a policy, with every key; `read_policy` reads the same policy from it."""
    document: dict[str, object] = {"name": policy.policy_id.rpartition("/")[2]}
    if policy.rules is None or policy.rules.ladder is None:
        document |= {key: getattr(policy, key) for key in CUT_OFFS}
    for it in TIMES:
        _write_time(document, it, getattr(policy, f"{it.name}_us"))
    document["most_pauses"] = policy.most_pauses
    document["most_increments"] = _or_none(policy.most_increments)
    return document | write_rules(policy.rules)


def _read_cut_offs(fields: Fields, rules: Rules | None) -> tuple[int, int, int]:
    """The policy's own cut-offs and its share; those of a ladder are its nearest ones."""
    ladder = None if rules is None else rules.ladder
    if ladder is None:
        zero = fields.whole(CUT_OFFS[0], -MOST_SCORE, MOST_SCORE)
        reduced = fields.whole(CUT_OFFS[1], -MOST_SCORE, MOST_SCORE)
        share_bp = fields.whole(CUT_OFFS[2], 0, SHARE_BP)
        require_order(fields, zero, reduced)
        return zero, reduced, share_bp
    for key in CUT_OFFS:
        if fields.has(key):
            fields.take(key)
            fields.fault(key, "ladder", "must not stand beside a ladder: remove it")
    return nearest_cut_offs(ladder)


def nearest_cut_offs(ladder: tuple[Rung, ...]) -> tuple[int, int, int]:
    """The two cut-offs and the share that come nearest to a ladder, and are not milder.

    Cut-offs of categories use this share. Servers of builds without ladders use all three.
    """
    zero = min((it.from_score for it in ladder if it.credit_share_bp == SHARE_BP), default=None)
    partly = [it for it in ladder if 0 < it.credit_share_bp < SHARE_BP]
    reduced = min((it.from_score for it in partly), default=zero)
    share_bp = min((it.credit_share_bp for it in partly), default=0)
    if zero is None:
        zero = MOST_SCORE
    return zero, zero if reduced is None else min(zero, reduced), share_bp


def _read_time(fields: Fields, it: Time) -> int | None:
    key, exact = f"{it.name}_{it.unit}", f"{it.name}_us"
    unit_us = UNITS[it.unit]
    if fields.has(exact):
        if fields.has(key):
            fields.take(key)
            fields.fault(exact, "repeated", f"stands beside {key}: remove one")
        return fields.whole(exact, 0, MOST_US)
    if it.may_be_none:
        units = _read_rare(fields, key, MOST_US // unit_us, it.default)
    else:
        units = fields.whole(key, 0, MOST_US // unit_us, it.default)
    return None if units is None else units * unit_us


def _read_rare(fields: Fields, key: str, most: int, default: int | None) -> int | None:
    """A whole number, or None for "NONE"; a missing key has the default."""
    if not fields.has(key):
        return default
    return None if fields.take(key) == NONE else fields.whole(key, 0, most)


def _write_time(document: dict[str, object], it: Time, time_us: int | None) -> None:
    key, unit_us = f"{it.name}_{it.unit}", UNITS[it.unit]
    if time_us is None:
        document[key] = NONE
    elif time_us % unit_us:
        document[f"{it.name}_us"] = time_us
    else:
        document[key] = time_us // unit_us


def _or_none(number: int | None) -> int | str:
    return NONE if number is None else number
