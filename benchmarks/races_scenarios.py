"""The scenarios of the races: each is one function, and its docstring is the rule under test.

A scenario prepares its round, races, and checks the answers and the stored rows. The seed decides
the numbers; it does not decide the winners.
"""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.races_arena import PAYEES
from benchmarks.races_budgets import budget
from benchmarks.races_cases import case
from benchmarks.races_complaints import complaint
from benchmarks.races_debts import debt
from benchmarks.races_late import late_pickup, late_start
from benchmarks.races_line import group, item, line, suspension
from benchmarks.races_merges import merge
from benchmarks.races_money import captures, debit, payment, payout, refund, write_off
from benchmarks.races_passes import passes
from benchmarks.races_quotas import quota
from benchmarks.races_references import shared_payment
from benchmarks.races_request_ids import one_id, tombstone, two_bodies
from benchmarks.races_round import Scenario
from benchmarks.races_states import capture, claim, offer, overdue, pickup, review
from benchmarks.races_suspense import suspense
from benchmarks.races_velocity import velocity


class Race(NamedTuple):
    """A scenario.

    outcomes  outcomes that a real race must have had
    heat      number of rounds that start at one barrier
    """

    run: Scenario
    outcomes: tuple[str, ...]
    heat: int = 5


RACES: dict[str, Race] = {
    "line": Race(line, ("authorize at city", "authorize at harbour", "increment")),
    "group": Race(group, ("group", "single")),
    "suspension": Race(suspension, ("held", "declined")),
    "item": Race(item, ("bike", "umbrella", "pick-up", "confirm")),
    "velocity": Race(velocity, ("authorize", "confirm")),
    "budget": Race(budget, ("one", "other")),
    "one-id": Race(one_id, ("one authorize", "one settle")),
    "two-bodies": Race(two_bodies, ("one", "other")),
    "tombstone": Race(tombstone, ("authorize", "reverse")),
    "pickup": Race(pickup, ("start", "reverse", "expiry")),
    "late-pickup": Race(late_pickup, ("late", "in time", "other")),
    "late-start": Race(late_start, ("late", "start")),
    "offer": Race(offer, ("confirm", "reverse", "expiry")),
    "capture": Race(capture, ("settle", "loss")),
    "overdue": Race(overdue, ("settle", "reverse", "report lost")),
    "claim": Race(claim, ("contest", "acceptance")),
    "review": Race(review, ("approve", "decline")),
    "captures": Race(captures, ("capture", "release")),
    "payment": Race(payment, ("one", "other")),
    "shared-payment": Race(shared_payment, ("city", "harbour", "by hand")),
    "debit": Race(debit, ("late", "next")),
    "debt": Race(debt, ("one", "other")),
    "quota": Race(quota, ("one", "other")),
    "pass": Race(passes, ("bought", "granted", "used", "refunded")),
    "case": Race(case, ("complaint", "granted", "refused")),
    "complaint": Race(complaint, ("settled first", "granted first")),
    "merge": Race(
        merge,
        ("one", "other", "held before", "held later", "settled before", "settled later"),
    ),
    "refund": Race(refund, ("payout", "charge-back")),
    "suspense": Race(suspense, ("pay", "return")),
    "write-off": Race(write_off, ("approve", "pay")),
    "payout": Race(payout, ("what was owed before", "more than was owed before"), heat=len(PAYEES)),
}
