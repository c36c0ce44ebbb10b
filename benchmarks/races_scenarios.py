"""The scenarios of the races: each is one function, its docstring the rule that must hold.

A scenario prepares its round, races, and requires the outcome of the answers and of the stored
rows. Chance, which follows from the seed, decides the numbers; what decides the race does not.
"""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.races_arena import PAYEES
from benchmarks.races_line import group, item, line, suspension
from benchmarks.races_money import captures, debit, payment, payout, refund, write_off
from benchmarks.races_request_ids import one_id, tombstone, two_bodies
from benchmarks.races_round import Scenario
from benchmarks.races_states import capture, claim, offer, overdue, pickup, review


class Race(NamedTuple):
    """A scenario.

    outcomes  those that a race which is one must have had now and then
    heat      how many rounds start at one barrier
    """

    run: Scenario
    outcomes: tuple[str, ...]
    heat: int = 5


RACES: dict[str, Race] = {
    "line": Race(line, ("authorize at city", "authorize at harbour", "increment")),
    "group": Race(group, ("group", "single")),
    "suspension": Race(suspension, ("held", "declined")),
    "item": Race(item, ("bike", "umbrella", "pick-up", "confirm")),
    "one-id": Race(one_id, ("one authorize", "one settle")),
    "two-bodies": Race(two_bodies, ("one", "other")),
    "tombstone": Race(tombstone, ("authorize", "reverse")),
    "pickup": Race(pickup, ("start", "reverse", "expiry")),
    "offer": Race(offer, ("confirm", "reverse", "expiry")),
    "capture": Race(capture, ("settle", "reverse", "loss")),
    "overdue": Race(overdue, ("settle", "reverse", "report lost")),
    "claim": Race(claim, ("contest", "acceptance")),
    "review": Race(review, ("approve", "decline")),
    "captures": Race(captures, ("capture", "release")),
    "payment": Race(payment, ("one", "other")),
    "debit": Race(debit, ("late", "next")),
    "refund": Race(refund, ("payout", "charge-back")),
    "write-off": Race(write_off, ("approve", "pay")),
    "payout": Race(payout, ("what was owed before", "more than was owed before"), heat=len(PAYEES)),
}
