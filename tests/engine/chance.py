"""Random calls: each follows from one number and the state of the books, so a run can be repeated,
and shortened by leaving numbers out."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple
from zlib import crc32

from service.domain.access import PLATFORM
from service.domain.attestations import AttestationKind, Cause, Source
from service.domain.authorization import Start
from service.domain.captures import Purpose
from service.domain.cases import COMPLAINTS, CaseKind, Outcome, Side
from service.domain.details import Order
from service.domain.ledger import Standing
from service.domain.money import Money
from service.domain.policy import Offer
from service.domain.reviews import ReviewReason
from service.domain.suspense import Direction
from service.engine import operations as c
from service.engine.feature_values import pack
from service.engine.records.transfers import TransferState
from tests.engine import plain_places
from tests.engine.plain_accounts import NAMES
from tests.engine.plain_books import Key, RentalKey
from tests.engine.plain_details import ORDERS, PLACES, shown
from tests.engine.plain_order_fees import any_fee
from tests.engine.plain_questions import is_open, question
from tests.engine.plain_terms import (
    DAY_US,
    HOUR_US,
    LADDER,
    LAPSING,
    MINUTE_US,
    OUT,
    Row,
    asked,
    debt_due,
    due,
    gone,
    grantable,
    payable_out,
    refundable,
    takeable,
)
from tests.engine.reference import Reference

USERS = ("ann", "ben", "cem", "dan")
OPERATORS = ("city", "harbour")
ASSETS = ("", "", "x-1", "x-2", "x-3")
IDENTITIES = ("",) * 12 + ("a" * 64,) * 3 + ("b" * 64,)
SCORES = (math.nan, 499, 500, 550, 600, 650, 800, 800, 800)
ACCEPT = (
    (), (), (), (Offer.ZERO,), (Offer.FULL, Offer.ZERO), (Offer.REDUCED, Offer.FULL),
    (Offer.ZERO, Offer.REDUCED),
)  # fmt: skip
STANDINGS = (*[Standing.NORMAL] * 5, *[Standing.WATCHED] * 2, Standing.SUSPENDED)
LIMITS = (None, 0, 5_900, 30_000, 60_000, 200_000, 200_000)
BILLS = ((), (), ("USAGE",), ("CANOPY_DAMAGED", "USAGE"), ("",), ("USAGE", "HELMET_LOST"))
"""The names of the lines of bills; umbrellas have a list that refuses the last two."""
WINDOW = 60
"""Most calls are about this many of the latest rentals."""
SENT = 200
"""This many of the latest calls may be sent again."""


def has_moved(it: Row) -> bool:
    """Whether the deposit of an expired reservation is, or was, that of another rental."""
    if not it["cash"]:
        return False
    left = gone(it) and it["received"] < it["cash"]
    return bool(it["start"] == "LATE_PICKUP" or left)


def is_stopped(it: Row) -> bool:
    """Whether a granted complaint has stopped the fee of an item that is out."""
    return it["state"] in ("ACTIVE", "OVERDUE") and it["claim_us"] is not None


FITS: dict[str, tuple[int, Callable[[Row], object]]] = {
    "Confirm": (7, lambda it: it["state"] == "OFFERED"),
    "Confirm late": (2, lambda it: it["offer"] in ("REDUCED", "FULL")),
    "ResolveReview": (8, lambda it: it["state"] == "REVIEW"),
    "StartRental": (6, lambda it: it["state"] == "AUTHORIZED"),
    "StartRental late": (9, lambda it: gone(it) and it["reserved"]),
    "Increment": (7, lambda it: it["state"] in ("AUTHORIZED", "ACTIVE", "OVERDUE")),
    "Increment again": (
        14,
        lambda it: it.get("raised") and it["state"] in ("AUTHORIZED", "ACTIVE", "OVERDUE"),
    ),
    "Decrease": (3, lambda it: it["held_credit"] + it["held_cash"]),
    "Extend": (4, lambda it: it["state"] in ("AUTHORIZED", "ACTIVE", "OVERDUE")),
    "Settle": (10, lambda it: it["state"] in OUT),
    "Settle usage": (6, lambda it: it["state"] in OUT),
    "Reverse": (3, lambda it: it["state"] in (*LAPSING, "ACTIVE") and not it["captured"]),
    "ClaimReturn": (5, lambda it: it["state"] in ("ACTIVE", "OVERDUE")),
    "ContestReturn": (4, lambda it: it["state"] == "RETURN_CLAIMED"),
    "PauseRental": (7, lambda it: it["state"] in ("ACTIVE", "OVERDUE")),
    "PauseRental earlier": (4, lambda it: it["state"] in ("ACTIVE", "OVERDUE") and it["paused_us"]),
    "PauseRental late": (8, lambda it: it["state"] == "SETTLED" and it["start_us"]),
    "ResumeRental": (5, lambda it: it["state"] in ("ACTIVE", "OVERDUE") and it["paused_us"]),
    "WaiveFee": (3, lambda it: it["state"] in OUT),
    "WaiveFee captured": (
        4,
        lambda it: (
            not it["parent_id"]
            and (it["captured"] > it["other_captured"] or it["start"] == "LATE_PICKUP")
        ),
    ),
    "ReportLost": (9, lambda it: it["state"] == "OVERDUE"),
    "ReportFound": (5, lambda it: it["custody"] in ("MISSING", "SOLD")),
    "ReportFound late": (4, lambda it: it["state"] == "SETTLED" and it["captured"]),
    "BookDebt": (5, lambda it: it["state"] in ("SETTLED", "REVERSED") and it["start_us"]),
    "RecordPayment": (12, asked),
    "RecordPayment recovered": (4, lambda it: it["written_off"]),
    "RecordPayment twice": (3, lambda it: it["overpaid"]),
    "RecordPayment lost": (9, lambda it: it["overpaid_written_off"]),
    "RecordPaidElsewhere": (3, asked),
    "RecordPaidElsewhere twice": (4, lambda it: it["paid"] > it["elsewhere"]),
    "LowerCharge": (4, asked),
    "ForgiveCharge": (2, due),
    "RefundCharge": (4, refundable),
    "RefundCharge due": (4, lambda it: refundable(it) and due(it) and not it["debiting"]),
    "PayOutRefund": (5, payable_out),
    "OpenDispute": (4, asked),
    "ResolveDispute": (5, lambda it: it["disputed"] + it["unheld_disputed"]),
    "RecordChargeBack": (6, takeable),
    "RecordChargeBack late": (4, has_moved),
    "RecordChargeBack group": (
        4,
        lambda it: it["cash"] and not it["parent_id"] and it["key"][2] and takeable(it),
    ),
    "RecordChargeBack again": (4, lambda it: it.get("at_the_bank") and takeable(it)),
    "ResolveChargeBack": (4, lambda it: it["charged_back"]),
    "ResolveChargeBack again": (7, lambda it: it.get("at_the_bank")),
    "SetProvision": (3, lambda it: it["state"] == "SETTLED" and due(it)),
    "ProposeWriteOff": (4, lambda it: it["overpaid"] or (it["state"] == "SETTLED" and due(it))),
    "ApproveWriteOff": (5, lambda it: it["write_off_by"]),
    "ProposeWriteOff twice": (6, lambda it: it["overpaid"]),
    "ApproveWriteOff twice": (9, lambda it: it["overpaid"] and it["write_off_by"]),
    "Wake": (2, lambda it: it["wake_us"]),
    "ClaimReturn late": (4, lambda it: it["state"] == "SETTLED" and not it["parent_id"]),
    "OpenComplaint": (5, lambda it: it["state"] == "SETTLED" and it["captured"] + it["unheld"]),
    "OpenComplaint mixed": (
        4,
        lambda it: it["state"] == "SETTLED" and 0 < it["other_captured"] < it["captured"],
    ),
    "OpenComplaint out": (6, lambda it: it["state"] in OUT and not it["parent_id"]),
    "OpenComplaint captured": (
        4,
        lambda it: it["state"] in OUT and not it["parent_id"] and it["captured"],
    ),
    "ResolveCase out": (10, lambda it: it["state"] in OUT and it["open_cases"]),
    "Settle stopped": (5, is_stopped),
    "ClaimReturn stopped": (6, is_stopped),
    "ReportLost stopped": (3, lambda it: it["state"] == "OVERDUE" and is_stopped(it)),
    "ContestReturn stopped": (
        6,
        lambda it: it["state"] == "RETURN_CLAIMED" and it["claim_us"] <= it["create_us"] + HOUR_US,
    ),
    "AddEvidence": (4, lambda it: it["open_cases"]),
    "ResolveCase": (6, lambda it: it["open_cases"]),
    "DecideCase": (2, lambda it: it["open_cases"]),
}
"""The weight of each command on a rental, and the rentals that it suits."""
OTHERS = {
    "Authorize": 34, "Authorize group": 8, "Authorize damage": 5, "Authorize again": 10,
    "Authorize deposit": 8,
    "Reverse by origin": 3,
    "Reverse unseen": 2, "ReportTransfer": 12, "PutUser": 6, "SetLimit": 4, "SetStanding": 3,
    "ProposeMerge": 1, "ApproveMerge": 1, "GrantPass": 4, "BuyPass": 5, "RefundPass": 3,
    "RecordUnmatched": 3, "MatchSuspense": 8, "MatchSuspense deposit": 12,
    "ResolveCase question": 7,
    "PayOutOperator": 3, "RecordOperatorPayment": 2, "OpenBulk": 1, "retry": 10, "reuse": 4,
    "ghost": 1,
}  # fmt: skip
KINDS = [kind for kind, (weight, _) in FITS.items() for _ in range(weight)] + [
    kind for kind, weight in OTHERS.items() for _ in range(weight)
]
OF_LAPSED = frozenset({"StartRental late", "RecordChargeBack late"})
"""The commands that suit an expired reservation, which is not lively."""
OF_OPERATORS = frozenset(
    {"Confirm", "StartRental", "Increment", "Decrease", "Extend", "Settle", "Reverse"}
    | {"ClaimReturn", "ContestReturn", "ReportLost", "ReportFound"}
    | {"PauseRental", "ResumeRental", "WaiveFee"}
    | {"RecordPaidElsewhere", "LowerCharge", "RefundCharge", "BookDebt"}
)
OF_PLATFORM = frozenset(
    {
        "ReportTransfer",
        "PayOutOperator",
        "RecordOperatorPayment",
        "RecordUnmatched",
        "MatchSuspense",
        "SetLimit",
        "SetStanding",
        "ProposeMerge",
        "ApproveMerge",
        "PutUser",
        "OpenBulk",
    }
)
OF_BOTH = frozenset({"ClaimReturn", "OpenComplaint", "AddEvidence", "ResolveCase"})
"""Commands that an operator or the platform sends."""
NOT_OF_THE_PLATFORM = (c.StartRental, c.BookDebt, c.GrantPass, c.BuyPass, c.RefundPass)
"""Commands that only operators' keys send."""
COLLECTING = frozenset(
    {"RecordPayment", "RecordPaidElsewhere", "LowerCharge", "ForgiveCharge", "OpenDispute"}
    | {"ProposeWriteOff"}
)
"""Commands that reduce what is due before dunning debits it a second time."""
CLOSED = ("DECLINED", "REVERSED", "EXPIRED")
TRIES = 4
JUMPS_US = (
    (1, 1_000_000, MINUTE_US, 7 * MINUTE_US, 15 * MINUTE_US) * 4
    + (30 * MINUTE_US, HOUR_US, 5 * HOUR_US, 23 * HOUR_US) * 2
    + (DAY_US, 3 * DAY_US, 8 * DAY_US, 31 * DAY_US, 95 * DAY_US)
)


class Call(NamedTuple):
    """One call as a client sends it; `late`: its deadline has passed."""

    kind: str
    caller: str
    request_id: str
    command: c.Command
    late: bool = False


class Chance:
    """Makes calls, most of them valid by the reference, and every kind of invalid one."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.sent: list[Call] = []
        self.keys: list[RentalKey] = []
        """Keys of the rentals whose names are known, the latest last."""
        self._lively: list[RentalKey] = []
        """Keys of the latest rentals on which much can be done."""
        self._unseen: list[Call] = []
        """Calls that only a reversal has named so far."""
        self._name_of: dict[RentalKey, str] = {}
        self._numbers = 0

    def named(self, key: RentalKey, authorization_id: str) -> None:
        """From now on calls can name this rental."""
        self.keys.append(key)
        self._lively.append(key)
        self._name_of[key] = authorization_id

    def name(self, key: RentalKey) -> Key:
        """A rental's person and authorization id."""
        return self.reference.rentals[key]["user_id"], self._name_of[key]

    def jump_us(self, seed: int, now_us: int) -> int:
        """How far the clock jumps: just before, at or after the next timer, to somebody's next
        debit, or anywhere."""
        chance = Random(seed)
        rentals = self.reference.rentals
        answers = self._ends_of_cases(now_us)
        if answers and chance.random() < 0.1:
            return max(0, chance.choice(answers) - now_us + chance.choice((-1, 0, 0, 1)))
        debits = self._next_debits(now_us)
        if debits and chance.random() < 0.4:
            return chance.choice(debits) - now_us
        ends = self._ends_of_debts(now_us)
        if ends and chance.random() < 0.2:
            return max(0, chance.choice(ends) - now_us + chance.choice((-1, 0, 0, 1)))
        instants: list[int] = sorted(
            {
                it["wake_us"]
                for key in self._lively
                if (it := rentals[key])["wake_us"] and it["wake_us"] > now_us
            }
        )
        if instants and chance.random() < 0.4:
            nearest = instants[: 1 + chance.randrange(8)]
            return max(0, chance.choice(nearest) - now_us + chance.choice((-1, 0, 0, 1)))
        return chance.choice(JUMPS_US)

    def _next_debits(self, now_us: int) -> list[int]:
        """The next dunning debits of rentals with something due; only of rentals with a failed
        debit, if there are any."""
        again = {self.reference.transfers[name]["key"] for name in self._undone()}
        keys = [key for key in self._lively if key in again] or self._lively
        found = []
        for key in keys:
            it = self.reference.rentals[key]
            if it["state"] == "SETTLED" and asked(it):
                rungs = [it["close_us"] + us for us, kind in LADDER if kind == "debit"]
                found += [at_us for at_us in rungs if at_us > now_us][:1]
        return found

    def _ends_of_debts(self, now_us: int) -> list[int]:
        """The ends of debts that are due and for which no debit is under way."""
        its = [self.reference.rentals[key] for key in self._lively]
        return [
            it["unheld_until_us"]
            for it in its
            if debt_due(it) and not it["debiting"] and it["unheld_until_us"] > now_us
        ]

    def _ends_of_cases(self, now_us: int) -> list[int]:
        """The instants at which time decides an open case of its own clock."""
        reference = self.reference
        its = [reference.cases[name] for key in self._lively
               for name in reference.rentals[key]["open_cases"]]  # fmt: skip
        own = [it for it in its if it["kind"] not in ("CLAIM", "DISPUTE")]
        return [it["due_us"] for it in own if it["due_us"] > now_us]

    def _undone(self) -> list[Key]:
        """Debits that failed or were cancelled."""
        return [
            name
            for name, it in self.reference.transfers.items()
            if it["kind"] == "DEBIT" and it["state"] in ("FAILED", "CANCELLED")
        ]

    def look(self) -> None:
        """Forgets rentals on which nothing more can be done."""
        rentals = self.reference.rentals
        lively = [
            key
            for key in self._lively
            if rentals[key]["state"] not in CLOSED
            or takeable(rentals[key])
            or rentals[key]["charged_back"]
        ]
        self._lively = lively[-WINDOW:]

    def call(self, seed: int, now_us: int) -> Call:
        """The call that this number gives now."""
        chance = Random(seed)
        made = self._of_begun(chance)
        for _ in range(TRIES):
            made = made or self._call(chance, chance.choice(KINDS), now_us)
        made = made or self._asking(chance, "Authorize")
        if chance.random() < 0.01:
            made = made._replace(late=True)
        self.sent.append(made)
        return made

    def _of_begun(self, chance: Random) -> Call | None:
        """The usage of a rental that the call before starts, mostly in the same batch."""
        before = self.sent[-1] if self.sent else None
        if before is None or not isinstance(before.command, c.StartRental):
            return None
        if chance.random() > 0.4:
            return None
        name = (before.command.user_id, before.command.authorization_id)
        settle = c.Settle(*name, None, chance.random() < 0.8)
        return Call("Settle begun", before.caller, self._fresh("f"), settle)

    def fresh(self) -> int:
        """A number that was not used before."""
        self._numbers += 1
        return self._numbers

    def _fresh(self, prefix: str) -> str:
        self._numbers += 1
        return f"{prefix}-{self._numbers}"

    def _call(self, chance: Random, kind: str, now_us: int) -> Call | None:
        """A call of this kind; None where none makes sense."""
        sent = self.sent[-SENT:]
        if kind in FITS or kind == "ghost":
            return self._following(chance, kind, now_us)
        if kind == "MatchSuspense deposit":
            return self._deposit_with_a_wrong_id(chance)
        if kind == "ResolveCase question":
            return self._answer(chance)
        if kind in ("GrantPass", "BuyPass", "RefundPass"):
            return self._of_pass(chance, kind, now_us)
        if kind in OF_PLATFORM:
            return Call(kind, PLATFORM, self._fresh("p"), self._of_platform(chance, kind, now_us))
        if kind == "Reverse unseen":
            # When the Authorize with this id is sent later, it will meet the tombstone.
            late = self._asking(chance, "Authorize")
            self._unseen.append(late)
            undo = c.ReverseByOrigin(chance.choice(USERS), late.request_id, None)
            return Call(kind, late.caller, self._fresh("r"), undo)
        if kind.startswith("Authorize"):
            return self._asking(chance, kind)
        if kind == "retry" and self._unseen and chance.random() < 0.3:
            return self._unseen.pop(0)._replace(kind="Authorize late")
        if not sent:
            return None
        old = chance.choice(sent)
        if kind == "retry":
            return old._replace(kind="retry", late=False)
        if kind == "reuse":
            new = self._call(chance, chance.choice(KINDS), now_us)
            if new is None or not (new.request_id and old.request_id):
                return None  # no caller sends Wake or DecideCase
            if old.caller == PLATFORM and isinstance(new.command, NOT_OF_THE_PLATFORM):
                return None
            return new._replace(kind="reuse", caller=old.caller, request_id=old.request_id)
        user_id = getattr(old.command, "user_id", "ann")
        if chance.random() < 0.1:
            user_id = chance.choice(USERS)
        version = chance.choice((None, None, None, 1, 2))
        undo = c.ReverseByOrigin(user_id, old.request_id or "none", version)
        return Call(kind, old.caller, self._fresh("r"), undo)

    def _asking(self, chance: Random, kind: str) -> Call:
        caller = chance.choice(OPERATORS)
        return Call(kind, caller, self._fresh("a"), self._authorize(chance, kind, caller))

    def _of_pass(self, chance: Random, kind: str, now_us: int) -> Call | None:
        """A pass that is granted, bought or refunded; mostly one that a tariff sells."""
        reference, caller = self.reference, chance.choice(OPERATORS)
        if kind == "RefundPass":
            names = [it for it in reference.pass_names.items() if chance.random() < 0.5]
            if not names:
                return None
            named, (seller, _) = chance.choice(names)
            caller = seller if chance.random() < 0.95 else caller
            return Call(kind, caller, self._fresh("g"), c.RefundPass(*named))
        sold = [
            (operator, product_id, row["name"])
            for (operator, product_id), its in sorted(reference.revisions.items())
            if its and its[-1] is not None
            for row in its[-1].get("document", {}).get("pass", ())
        ]
        product_id, name = "bike", "weekly"
        if sold and chance.random() < 0.97:
            caller, product_id, name = chance.choice(sold)
        ahead = (None, None, None, 0, HOUR_US, 8 * DAY_US, -HOUR_US, -40 * DAY_US, 366 * DAY_US + 1)
        ahead_us = chance.choice(ahead)
        from_us = None if ahead_us is None else now_us + ahead_us
        command = c.GrantPass if kind == "GrantPass" else c.BuyPass
        asked = command(chance.choice(USERS), product_id, name, from_us, chance.choice(("", "o-1")))
        return Call(kind, caller, self._fresh("g"), asked)

    # -- people and operators ----------------------------------------------------------------

    def _of_platform(self, chance: Random, kind: str, now_us: int) -> c.Command:
        if kind == "OpenBulk":
            return c.OpenBulk()
        if kind == "ReportTransfer":
            return self._report(chance)
        if kind == "RecordUnmatched":
            amounts = [1, 350, 800, 5_000, 0]
            if chance.random() < 0.4:
                amounts = [self._deposit(it) for it in self._offers()] or amounts
            amount = Money(_currency(chance), chance.choice(amounts))
            way = chance.choice((Direction.IN, Direction.IN, Direction.OUT))
            return c.RecordUnmatched(way, amount, self._reference(chance), _anywhere(chance))
        if kind == "MatchSuspense":
            deposits = [it for it in map(self._deposit, self._offers()) if it]
            if deposits and chance.random() < 0.3:
                # A deposit comes in with a wrong id, and is matched later.
                deposit = Money("CNY", chance.choice(deposits))
                reference = self._reference(chance)
                return c.RecordUnmatched(Direction.IN, deposit, reference, _anywhere(chance))
            return self._match(chance)
        if kind in ("PayOutOperator", "RecordOperatorPayment"):
            operator = chance.choice((*OPERATORS, *OPERATORS, *OPERATORS, "nobody"))
            owed = self.reference.owed.get(operator, 1)
            reference = self._reference(chance)
            pays_out = kind == "PayOutOperator"
            exact = max(0, owed if pays_out else -owed)
            amount = Money(_currency(chance), _around(chance, exact))
            command = c.PayOutOperator if pays_out else c.RecordOperatorPayment
            return command(operator, amount, reference, self._account(chance))
        user_id = chance.choice((*USERS, *USERS, *USERS, "nobody"))
        if kind == "SetLimit":
            limit = chance.choice(LIMITS)
            lively = [self.reference.rentals[key] for key in self._lively]
            reviews = [it for it in lively if it["state"] == "REVIEW"]
            if reviews and chance.random() < 0.5:
                user_id, limit = self._about_enough(chance, chance.choice(reviews))
            money = None if limit is None else Money(_currency(chance), limit)
            return c.SetLimit(user_id, money)
        if kind in ("ProposeMerge", "ApproveMerge"):
            return self._merging(chance, kind)
        if kind == "SetStanding":
            return c.SetStanding(user_id, chance.choice(STANDINGS))
        as_of_us = now_us - chance.choice((0, 0, 0, 0, HOUR_US, 399 * DAY_US, -1, -HOUR_US))
        sent = {"score": chance.choice(SCORES), "other": chance.choice((0.0, 1.0))}
        # Sometimes a value is absent, which differs from a missing value.
        names = chance.choice((None,) * 8 + (("score",), ("other",), ()))
        raw = pack([value for name, value in sent.items() if names is None or name in names])
        consent = chance.random() < 0.85
        user_id, identity = chance.choice(USERS), chance.choice(IDENTITIES)
        # A text of another model is kept, and changes nothing; one for a number prevents a score.
        texts = chance.choice(("",) * 6 + ('{"job":"clerk"}', '{"other":"much"}'))
        return c.PutUser(
            user_id, raw, as_of_us, consent, names=names, identity_hash=identity, texts=texts
        )

    def _merging(self, chance: Random, kind: str) -> c.Command:
        """Mostly Dan is merged, and rarely anybody else, so that several people stay."""
        user_id = "dan" if chance.random() < 0.97 else chance.choice((*USERS, "nobody"))
        survivor, by = (
            chance.choice((*USERS, "nobody")),
            chance.choice(("persons/eve", "persons/bob")),
        )
        proposed = self.reference.aliases.get(user_id)
        if proposed is not None and chance.random() < 0.7:
            survivor = proposed["survivor"]
        if kind == "ApproveMerge":
            return c.ApproveMerge(user_id, survivor, by)
        return c.ProposeMerge(user_id, survivor, "the same card", by)

    def _about_enough(self, chance: Random, it: Row) -> tuple[str, int]:
        """A person and a limit that leaves just enough room for a review, or just too little, with
        the present holds or without them."""
        line = self.reference.line(it["user_id"])
        used = line["held"] * chance.randrange(2) + line["drawn"]
        deposit = it["credit"] + it["cash"]
        left = chance.choice((0, deposit // 2 - 1, deposit // 2, deposit - 1, deposit))
        return it["user_id"], max(0, used + left)

    def _match(self, chance: Random) -> c.MatchSuspense:
        """A match of one of the latest items; often the approval of a match that is proposed."""
        items = list(self.reference.suspense)[-8:]
        waiting = [name for name in items if self.reference.suspense[name]["open"]]
        if not items or chance.random() < 0.03:
            return c.MatchSuspense("none", Money("CNY", 1), "persons/eve")
        name = chance.choice(waiting or items)
        item = self.reference.suspense[name]
        amount, key, by = (
            _around(chance, item["open"]),
            None,
            chance.choice(("persons/eve", "persons/bob")),
        )
        if self._lively and chance.random() < 0.7:
            key = chance.choice(self._lively)
            enough = [it for it in self._offers() if 0 < self._deposit(it) <= item["open"]]
            if enough and item["way"] == "IN" and chance.random() < 0.8:
                # The money was the deposit of an offer.
                it = chance.choice(enough)
                key, amount = it["key"], chance.choice((item["open"], self._deposit(it)))
        if item["by"] and chance.random() < 0.7:
            key, amount = item["to"], item["proposed"]
            by = chance.choice(
                (
                    "persons/eve",
                    "persons/bob",
                    "persons/bob" if item["by"] == "persons/eve" else "persons/eve",
                )
            )
        named = ("", "") if key is None else self.name(key)
        if chance.random() < 0.01:
            named = (named[0] or "ann", "0" * 20)
        payment = ""
        if key is not None and (item["way"] == "OUT") == (chance.random() < 0.95):
            payment = self._payment(chance, self.reference.rentals[key]) or "none"
        money = Money(_currency(chance), amount)
        owner = _owner(name)
        if chance.random() < 0.05:
            owner = chance.choice(("", "city", "harbour", "nobody"))
        return c.MatchSuspense(name[1], money, by, *named, payment, owner)

    def _deposit_with_a_wrong_id(self, chance: Random) -> Call:
        """The next step of a deposit that comes in with a wrong id: an offer asks for it, it comes
        in, one key proposes the match, and another one approves it."""
        offers = {it["key"]: it for it in self._offers() if self._deposit(it)}
        items = {
            name: item for name, item in self.reference.suspense.items() if item["way"] == "IN"
        }
        proposed = [it for it in items.items() if it[1]["by"] and it[1]["to"] in offers]
        if proposed:
            name, item = chance.choice(proposed)
            by = "persons/bob" if item["by"] == "persons/eve" else "persons/eve"
            key, amount, what = item["to"], item["proposed"], "approved"
        elif not offers:
            return self._asking(chance, "Authorize deposit")
        else:
            it = chance.choice(list(offers.values()))
            deposit = self._deposit(it)
            enough = [it for it in items.items() if it[1]["open"] >= deposit and not it[1]["by"]]
            if not enough:
                came = c.RecordUnmatched(
                    Direction.IN,
                    Money("CNY", deposit + chance.choice((0, 0, 0, 50))),
                    self._fresh("pay"),
                    _anywhere(chance),
                )
                return Call("RecordUnmatched deposit", PLATFORM, self._fresh("p"), came)
            name, item = chance.choice(enough)
            by, key, what = chance.choice(("persons/eve", "persons/bob")), it["key"], "proposed"
            amount = chance.choice((item["open"], deposit))
        money, owner = Money("CNY", amount), _owner(name)
        match = c.MatchSuspense(name[1], money, by, *self.name(key), "", owner)
        return Call(f"MatchSuspense deposit {what}", PLATFORM, self._fresh("p"), match)

    def _answer(self, chance: Random) -> Call | None:
        """An answer to a question of the platform, or more evidence for it; mostly an open one."""
        reference = self.reference
        names = {
            told: name[0]
            for told, name in reference.question_names.items()
            if is_open(question(reference, name)) or chance.random() < 0.03
        }
        if not names:
            return None
        kind = chance.choice(sorted(set(names.values())))
        told = chance.choice([told for told, name in names.items() if name == kind])
        caller = PLATFORM if chance.random() < 0.95 else chance.choice(OPERATORS)
        if chance.random() < 0.2:
            said = c.AddEvidence(*told, Side.PLATFORM, "看照片", chance.choice(("", "photo-3")))
            return Call(f"AddEvidence {kind}", caller, self._fresh("f"), said)
        outcome = Outcome.HANDLED if chance.random() < 0.95 else chance.choice(list(Outcome))
        amount = Money("CNY", 1) if chance.random() < 0.03 else None
        reason = chance.choice(("", "", "it was hers"))
        answer = c.ResolveCase(*told, outcome, amount, reason)
        return Call(f"ResolveCase {kind}", caller, self._fresh("f"), answer)

    def _offers(self) -> list[Row]:
        """The latest offers that wait for a deposit."""
        its = [self.reference.rentals[key] for key in self.keys[-WINDOW:]]
        return [it for it in its if it["state"] == "OFFERED"]

    def _deposit(self, it: Row) -> int:
        """The deposit of an offer, or of all offers of its group together."""
        group = [self.reference.rentals[key] for key in self.reference.groups[it["key"][:2]]]
        return sum(member["cash"] for member in group if member["state"] == "OFFERED")

    def _payment(self, chance: Random, it: Row) -> str:
        """Mostly a payment of the rental or its group; sometimes another one, or none at all."""
        mine = [it["key"], *self.reference.groups.get(it["key"][:2], ())]
        if it["start"] == "LATE_PICKUP":
            # Its deposit was paid for the reservation.
            late = self.reference.late_pickups.items()
            mine += [key for key, row in late if row["begun"] == it["key"]]
        own = [name for (_, name), row in self.reference.payments.items() if row["key"] in mine]
        if own and chance.random() < 0.85:
            return chance.choice(own).removeprefix("transfers/")
        known = [name for _, name in list(self.reference.payments)[-5:]]
        return chance.choice([*known, "unknown"])

    def _taken_back(self, chance: Random, kind: str, it: Row) -> tuple[str, int]:
        """The payment that a bank takes back, and the amount, or 0 for any amount."""
        reference = self.reference
        if kind == "RecordChargeBack again":
            cases = [row for (of, _), row in reference.charge_backs.items() if of == it["key"]]
            back = [row for row in cases if row["overturned"] and row["payment"]]
            if back:
                # A payment that came back once.
                case = chance.choice(back)
                return case["payment"], case["overturned"]
        if kind == "RecordChargeBack group":
            group = reference.groups[it["key"][:2]]
            paid = [
                (name, row["amount"])
                for (_, name), row in reference.payments.items()
                if row["kind"] == "DEPOSIT" and row["key"] in group
            ]
            if paid:
                # More than the money of this member.
                name, amount = chance.choice(paid)
                return name, amount + chance.choice((0, 0, 50))
        return self._payment(chance, it), 0

    def _report(self, chance: Random) -> c.ReportTransfer:
        transfers = self.reference.transfers
        names = list(transfers)[-WINDOW:]
        waiting = [name for name in names if transfers[name]["state"] in ("REQUESTED", "SENT")]
        if waiting and chance.random() < 0.8:
            names = waiting
        if not names or chance.random() < 0.02:
            names = [("ann", "0" * 20)]
        states = [TransferState.SENT, TransferState.SUCCEEDED, TransferState.FAILED]
        # FAILED is more frequent, because more follows from it.
        state = chance.choice((*states, *states[1:], TransferState.FAILED, TransferState.FAILED))
        if chance.random() < 0.15:
            paid_out = [
                name
                for name in list(transfers)[-WINDOW:]
                if transfers[name]["kind"] == "PAYOUT" and transfers[name]["state"] == "SUCCEEDED"
            ]
            names, state = paid_out or names, TransferState.RETURNED
        undone, rentals = self._undone(), self.reference.rentals
        followed = [name for name in undone if rentals[transfers[name]["key"]]["debiting"]]
        if followed and chance.random() < 0.6:
            # The later debit is handed in, or the earlier debit succeeds late.
            keys = {transfers[name]["key"] for name in followed}
            later = [name for name in waiting if transfers[name]["key"] in keys]
            names, state = followed, TransferState.SUCCEEDED
            if later and chance.random() < 0.4:
                names, state = later, TransferState.SENT
        elif undone and chance.random() < 0.02:
            names, state = undone, TransferState.SUCCEEDED
        failed = [
            name
            for name in list(transfers)[-WINDOW:]
            if transfers[name]["kind"] == "PAYOUT"
            and transfers[name]["state"] in ("FAILED", "CANCELLED")
        ]
        if failed and chance.random() < 0.1:
            # Perhaps after another payout of the same money.
            names, state = failed, TransferState.SUCCEEDED
        return c.ReportTransfer(*chance.choice(names), state, chance.choice(("", "said so")))

    def _reference(self, chance: Random) -> str:
        """A payment's reference: mostly new, sometimes used before, or a transfer's id."""
        if chance.random() < 0.85:
            return self._fresh("pay")
        known = [name for _, name in list(self.reference.transfers)[-5:]]
        known += [name.rpartition("/")[2] for _, name in list(self.reference.payments)[-5:]]
        return chance.choice(known or ["pay"])

    def _payment_name(self, chance: Random, it: Row) -> str:
        """A payment's reference; sometimes that of a payment of the person in another account."""
        mine = [name for (_, name), row in self.reference.payments.items()
                if row["user_id"] == it["user_id"] and "/" not in name]  # fmt: skip
        if mine and chance.random() < 0.1:
            return chance.choice(mine[-8:])
        return self._reference(chance)

    def _account(self, chance: Random) -> str:
        """A payment's rail account: mostly the caller's default, sometimes not the caller's."""
        return chance.choice(NAMES) if chance.random() < 0.2 else ""

    def _cites(self, chance: Random, it: Row) -> int | None:
        """Mostly no capture; sometimes one of the rental, or one that does not exist."""
        if chance.random() < 0.5:
            return None
        known = range(1, int(it["captures"]) + 1)
        numbers: list[int] = [*known, *known, len(known) + 1, 0]
        return chance.choice(numbers)

    def _referring(self, chance: Random) -> str:
        """An operator's own reference: mostly none, often one that was used before."""
        return chance.choice(("",) * 6 + ("case-1", "case-2", "case-3"))

    # -- rentals -----------------------------------------------------------------------------

    def _authorize(self, chance: Random, kind: str, caller: str) -> c.Authorize:
        user_id, parent, amount, product = chance.choice(USERS), "", None, ""
        if kind == "Authorize damage":
            keys = [key for key in self._lively if chance.random() < 0.1 or key[0] == caller]
            ended = [key for key in keys if self.reference.rentals[key]["state"] == "SETTLED"]
            keys = ended if chance.random() < 0.8 and ended else keys
            if keys:
                key = chance.choice(keys)
                user_id, parent = self.name(key)
                product = str(self.reference.rentals[key]["product_id"])
            if chance.random() < 0.6:
                asked = chance.choice((1, 500, 4_001, 5_900, 9_900, 19_900, 19_901, 0))
                amount = Money(_currency(chance), asked)
        lapsed = self._lapsed_keys(("",)) if kind == "Authorize again" else []
        lapsed = [key for key in lapsed if self.reference.rentals[key]["operator_id"] == caller]
        if lapsed:
            # The item of an expired reservation is promised to somebody else.
            it = self.reference.rentals[chance.choice(lapsed)]
            again = (c.Item(it["product_id"], it["asset_id"]),)
            return c.Authorize(
                user_id, again, chance.choice((*[Start.ON_PICKUP] * 3, *[Start.IMMEDIATE] * 2)), ()
            )
        if kind == "Authorize deposit":
            # A bike's deposit is owed back for a day, and an umbrella's goes out at once. A late
            # pick-up may take over either, unless it was handed to the rail.
            item = (c.Item(chance.choice(("bike", "bike", "umbrella")), chance.choice(ASSETS)),)
            return c.Authorize(user_id, item, Start.ON_PICKUP, (Offer.FULL,))
        sizes = (2, 2, 2, 3, 3, 1) if kind == "Authorize group" else (1,)
        names = (*self._products(caller) * 12, "tank")
        items = [
            c.Item(chance.choice(names), chance.choice(ASSETS)) for _ in range(chance.choice(sizes))
        ]
        if parent and chance.random() < 0.9:
            items = [c.Item(product, chance.choice(ASSETS))]
        order = chance.choice(ORDERS)
        items = [
            it._replace(
                price_hash=self._shown(chance, caller, it, order), order_fee=any_fee(chance)
            )
            for it in items
        ]
        return c.Authorize(
            user_id,
            tuple(items),
            chance.choice((Start.IMMEDIATE, Start.IMMEDIATE, Start.ON_PICKUP)),
            chance.choice(ACCEPT),
            chance.choice((None, None, 10 * MINUTE_US, 10 * HOUR_US)),
            chance.choice((None, None, HOUR_US, 30 * HOUR_US, 400 * HOUR_US)),
            parent_id=parent,
            grouped=kind == "Authorize group",
            amount=amount,
            order=order,
            user_consent_reference=chance.choice(
                ("", "form-1") if parent else ("",) * 60 + ("form-1",)
            ),
            identity_hash=chance.choice(IDENTITIES),
        )

    def _shown(self, chance: Random, caller: str, item: c.Item, order: Order | None) -> str:
        """The hash of a price that the user was shown, or none."""
        terms = self.reference.product(caller, item.product_id)
        return shown(chance, None if terms is None else plain_places.at(terms, order))

    def _products(self, operator: str) -> list[str]:
        """The products that an operator has or had."""
        return [name for owner, name in self.reference.revisions if owner == operator]

    def _paying_out(self) -> set[RentalKey]:
        """Rentals with a payout that was not handed in."""
        return {
            it["key"]
            for it in self.reference.transfers.values()
            if (it["kind"], it["state"]) == ("PAYOUT", "REQUESTED")
        }

    def _lapsed_keys(self, states: tuple[str, ...]) -> list[RentalKey]:
        """The latest expired reservations of items that are in a rental of these states by now; of
        free items, if the state is empty."""
        rentals, items = self.reference.rentals, self.reference.items
        found = []
        for key in self.keys[-WINDOW:]:
            it = rentals[key]
            if gone(it) and it["reserved"] and it["asset_id"]:
                holder = items.get((it["operator_id"], it["asset_id"]))
                state = rentals[holder]["state"] if holder is not None else ""
                if state in states:
                    found.append(key)
        return found

    def _following(self, chance: Random, kind: str, now_us: int) -> Call | None:
        keys = self.keys[-WINDOW:] if kind in OF_LAPSED else self._lively
        fits = FITS.get(kind, (1, bool))[1]
        if chance.random() < 0.9:
            keys = [
                key
                for key in keys
                if fits(self.reference.rentals[key])
                and not (kind in COLLECTING and _is_left_to_the_ladder(key))
            ]
        elif self.keys:
            keys = [chance.choice(self.keys)]
        if kind == "RecordChargeBack late" and chance.random() < 0.7:
            late = self.reference.late_pickups.items()
            moved = [(key, row["begun"]) for key, row in late if row["deposit"]]
            keys = [key for pair in moved[-4:] for key in pair] or keys
        if kind == "StartRental late":
            # The deposit has not gone out yet.
            rich = [key for key in keys if payable_out(self.reference.rentals[key])]
            going = self._paying_out()
            leaving = [key for key in keys if key in going and key not in rich]
            if leaving and chance.random() < 0.5:
                keys = leaving
            elif rich and chance.random() < 0.7:
                keys = rich
            elif chance.random() < 0.6:
                keys = self._lapsed_keys(chance.choice((OUT, ("AUTHORIZED",)))) or keys
        if not keys:
            return None
        key = chance.choice(keys)
        it, name = self.reference.rentals[key], self.name(key)
        what = kind.split()[0]
        caller = it["operator_id"] if what in OF_OPERATORS else PLATFORM
        if what in OF_BOTH:
            caller = chance.choice((it["operator_id"], PLATFORM))
        if chance.random() < 0.03:
            caller = chance.choice(OPERATORS)
        if kind == "Wake":
            return Call(kind, "", "", c.Wake(*name))
        if what in ("AddEvidence", "ResolveCase", "DecideCase"):
            return self._about_a_case(chance, kind, name, it, caller)
        if kind == "ghost":
            return Call(kind, caller, self._fresh("f"), c.Reverse(name[0], "0" * 20))
        version = it["version"] if chance.random() < 0.15 else None
        if chance.random() < 0.03:
            version = it["version"] + chance.choice((-1, 1))
        command = self._step(chance, kind, name, it, version, now_us)
        return Call(kind, caller, self._fresh("f"), command)

    def _about_a_case(
        self, chance: Random, kind: str, name: Key, it: Row, caller: str
    ) -> Call | None:
        """A call on one of the rental's cases, mostly an open one."""
        reference = self.reference
        cases = list(it["open_cases"])
        if not cases or chance.random() < 0.1:
            cases = [case for case in reference.cases if case[0] == it["key"]]
        known = {case: key for key, case in reference.case_names.items() if key[:2] == name}
        ids = [known[case][2] for case in cases if case in known]
        if not ids or chance.random() < 0.02:
            ids = ["0" * 20]
        case_id = chance.choice(ids)
        if kind == "DecideCase":
            return Call(kind, "", "", c.DecideCase(*name, case_id))
        if kind == "AddEvidence":
            side = chance.choice(list(Side))
            said = c.AddEvidence(*name, case_id, side, chance.choice(("", "看照片")), "photo-2")
            return Call(kind, caller, self._fresh("f"), said)
        outcome = chance.choice((*Outcome, Outcome.FOR_USER, Outcome.IN_PART, Outcome.IN_PART))
        if kind == "ResolveCase out" and chance.random() < 0.8:
            outcome = Outcome.FOR_USER
            own = [case for case in cases if reference.cases[case]["occurred_us"] is not None]
            case_id = chance.choice([known[case][2] for case in own if case in known] or ids)
        case = next((reference.cases[case] for case in cases if case in known), None)
        most = grantable(it) if case is None else reference.most_granted(it, case)
        amount = None
        if (outcome is Outcome.IN_PART) != (chance.random() < 0.05):
            amount = Money(_currency(chance), _around(chance, most))
        reason = chance.choice(("", "the station was full"))
        return Call(
            kind, caller, self._fresh("f"), c.ResolveCase(*name, case_id, outcome, amount, reason)
        )

    def _step(
        self, chance: Random, kind: str, name: Key, it: Row, version: int | None, now_us: int
    ) -> c.Command:
        held = it["held_credit"] + it["held_cash"]
        more: Any = {"expected_version": version}
        occurred_us = _occurred(chance, it, now_us)
        reason = chance.choice(("", "", "too high", "用户投诉"))
        amounts = {
            "Decrease": held, "RecordPaidElsewhere": asked(it), "LowerCharge": asked(it),
            "RecordPaidElsewhere twice": asked(it) + it["paid"] - it["elsewhere"],
            "RefundCharge": refundable(it), "RefundCharge due": refundable(it),
            "PayOutRefund": payable_out(it),
            "OpenDispute": asked(it), "RecordChargeBack": takeable(it),
            "RecordChargeBack late": it["cash"], "RecordChargeBack again": takeable(it),
            "RecordPayment": asked(it), "SetProvision": it["written_off"] + due(it),
        }  # fmt: skip
        money = Money(_currency(chance), _around(chance, amounts.get(kind, 5_000)))
        match kind.split()[0]:
            case "Confirm":
                group = [self.reference.rentals[k] for k in self.reference.groups[it["key"][:2]]]
                offered = any(member["state"] == "OFFERED" for member in group)
                state = "OFFERED" if offered else it["state"]
                cash = sum(member["cash"] for member in group if member["state"] == state)
                paid = chance.choice((cash, cash, cash, cash, cash + 50, max(0, cash - 1)))
                money = Money(_currency(chance), paid)
                more |= {"rail_account": self._account(chance)}
                return c.Confirm(*name, self._payment_name(chance, it), money, **more)
            case "ResolveReview":
                more |= _why(chance)
                return c.ResolveReview(*name, chance.random() < 0.75, **more)
            case "StartRental":
                asset = it["asset_id"] if chance.random() < 0.6 else chance.choice(ASSETS)
                if kind == "StartRental late" and it["close_us"] is not None:
                    before = (1, 1, MINUTE_US, MINUTE_US, it["close_us"] - it["create_us"], 0)
                    occurred_us = it["close_us"] - chance.choice(before)
                place = chance.choice(PLACES)
                return c.StartRental(*name, asset, occurred_us, place, **more)
            case "Increment":
                amount = chance.choice((1, 1_000, 1_001, 5_000, 20_000, 0))
                if chance.random() < 0.4:
                    paid = chance.choice((amount, amount, amount // 2, amount + 7, 0))
                    more |= {"payment_reference": self._reference(chance)}
                    more |= {"rail_account": self._account(chance)}
                    more |= {"paid": Money(_currency(chance), paid)}
                consent = ("", "", "form-2") if it["parent_id"] else ("",) * 20 + ("form-2",)
                more |= {"user_consent_reference": chance.choice(consent)}
                return c.Increment(*name, Money(_currency(chance), amount), **more)
            case "Extend":
                period_us = it["terms"]["period"]
                waits = it["state"] == "AUTHORIZED" and chance.random() < 0.8
                most_us = it["terms"]["pickup_us"] if waits else period_us
                by_us = chance.choice((MINUTE_US, HOUR_US, most_us, most_us, period_us + 1, 0))
                return c.Extend(*name, by_us, **more)
            case "Settle":
                final = chance.random() < 0.7
                more |= {"business_reference": self._referring(chance)}
                if final and chance.random() < 0.15:
                    handovers = (AttestationKind.BY_POST, AttestationKind.BY_HAND)
                    more |= {"handover": chance.choice(handovers), "evidence": "parcel"}
                more |= {"place": chance.choice(PLACES)}
                if chance.random() < 0.3:
                    more |= {"user_consent_reference": "form-3"}
                if kind == "Settle stopped" and is_stopped(it) and chance.random() < 0.5:
                    more.pop("user_consent_reference", None)
                    rest = self.reference.usage_back(it, now_us) - it["captured"]
                    amount = _around(chance, max(0, rest))
                    return c.Settle(*name, Money("CNY", amount), final, occurred_us, **more)
                if kind in ("Settle usage", "Settle stopped"):
                    if chance.random() < 0.9:
                        more.pop("user_consent_reference", None)
                    purpose = chance.choice((None, None, None, Purpose.FEE, Purpose.DAMAGE))
                    return c.Settle(*name, None, final, occurred_us, purpose, **more)
                purposes = (None, None, *Purpose, Purpose.DAMAGE)
                if "user_consent_reference" in more and chance.random() < 0.9:
                    purposes = (Purpose.DAMAGE,)
                more |= {"purpose": chance.choice(purposes)}
                final = final and ("handover" in more or chance.random() < 0.7)
                amount = chance.choice((0, 1, 33, 150, 1_000, held // 2, held, held + 1))
                amount = min(amount, held + 1)
                more |= {"line_items": chance.choice(BILLS)}
                return c.Settle(*name, Money(_currency(chance), amount), final, occurred_us, **more)
            case "PauseRental":
                cause, source = chance.choice(list(Cause)), chance.choice(list(Source))
                resumed_us = None
                if kind.endswith(("earlier", "late")) and it["start_us"] is not None:
                    close_us = it["close_us"] or now_us
                    until_us = close_us if kind.endswith("late") else now_us
                    eighth_us = (until_us - it["start_us"]) // 8
                    begin = min(chance.randrange(8), chance.randrange(8))
                    occurred_us = it["start_us"] + eighth_us * begin
                    if kind.endswith("late") or chance.random() < 0.4:
                        end = chance.choice((begin - 1, begin + 1, begin + 1, begin + 2, 9))
                        resumed_us = it["start_us"] + eighth_us * end
                elif chance.random() < 0.1:
                    resumed_us = now_us
                if chance.random() < 0.1:
                    resumed_us = None
                return c.PauseRental(*name, cause, source, "photo", occurred_us, resumed_us, **more)
            case "ResumeRental":
                if it["paused_us"] and chance.random() < 0.4 and it["start_us"] is not None:
                    occurred_us = (
                        it["start_us"] + (now_us - it["start_us"]) * chance.randrange(8) // 8
                    )
                return c.ResumeRental(*name, chance.choice(("", "photo")), occurred_us, **more)
            case "WaiveFee":
                cause, source = chance.choice(list(Cause)), chance.choice(list(Source))
                fee = it["captured"] - it["other_captured"]
                whole = fee + it["uncollected"]
                parts = (1, 33, 150, fee, fee // 2, fee + 1, whole, whole + 1, whole // 2, 0)
                part = Money(_currency(chance), chance.choice(parts))
                waived = None if chance.random() < 0.3 else part
                return c.WaiveFee(*name, waived, cause, source, "photo", **more)
            case "ReportFound":
                return c.ReportFound(*name, occurred_us, "photo", reason, **more)
            case "RecordPayment" | "RecordPaidElsewhere" | "RecordChargeBack" as what:
                kinds: Any = {
                    "RecordPayment": c.RecordPayment,
                    "RecordPaidElsewhere": c.RecordPaidElsewhere,
                    "RecordChargeBack": c.RecordChargeBack,
                }
                more |= {"rail_account": self._account(chance)}
                sure = kind in ("RecordChargeBack again", "RecordChargeBack group")
                if sure or (what == "RecordChargeBack" and chance.random() < 0.6):
                    named, amount = self._taken_back(chance, kind, it)
                    more |= {"payment": named}
                    if amount:
                        money = Money(_currency(chance), amount)
                return kinds[what](*name, self._payment_name(chance, it), money, **more)
            case "ResolveDispute":
                won, goodwill = chance.random() < 0.6, chance.random() < 0.3
                return c.ResolveDispute(*name, won, goodwill, reason, **more)
            case "ResolveChargeBack":
                won, goodwill = chance.random() < 0.6, chance.random() < 0.3
                key = it["key"]
                known = [case_id for of, case_id in self.reference.charge_backs if of == key]
                if known and chance.random() < (0.9 if kind.endswith("again") else 0.4):
                    more |= {"case_id": chance.choice((*known, *known, "unknown"))}
                return c.ResolveChargeBack(*name, won, goodwill, reason, **more)
            case "ProposeWriteOff":
                return c.ProposeWriteOff(
                    *name, chance.choice(("persons/eve", "persons/bob")), **more
                )
            case "ApproveWriteOff":
                other = "persons/eve" if it["write_off_by"] == "persons/bob" else "persons/bob"
                return c.ApproveWriteOff(
                    *name, chance.choice((other, other, "persons/eve")), **more
                )
            case "BookDebt":
                deposit = it["terms"]["deposit"]
                amount = chance.choice((1, 33, 800, 800, 4_001, deposit, deposit + 1, 0))
                money = Money(_currency(chance), amount)
                damage = chance.choice(("dent", "lock", "tyre", self._fresh("damage")))
                agreed = chance.choice(("", "consent-1"))
                return c.BookDebt(*name, money, damage, "photo", agreed, **more)
            case "ForgiveCharge":
                return c.ForgiveCharge(*name, reason, **more)
            case "OpenDispute":
                return c.OpenDispute(*name, money, self._cites(chance, it), reason, **more)
            case "LowerCharge" | "RefundCharge" as what:
                cited, referring = self._cites(chance, it), self._referring(chance)
                lowers = what == "LowerCharge"
                made: Any = c.LowerCharge if lowers else c.RefundCharge
                return made(*name, money, cited, reason, referring, **more)
            case "Reverse":
                return c.Reverse(*name, by_user=chance.random() < 0.5, **more)
            case "ClaimReturn":
                return c.ClaimReturn(*name, occurred_us, "dock-7", **more)
            case "ContestReturn":
                return c.ContestReturn(*name, "photo", **more)
            case "ReportLost":
                return c.ReportLost(*name, **more)
            case "OpenComplaint":
                back = None
                if chance.random() < 0.6:
                    back = Money(_currency(chance), _around(chance, grantable(it)))
                about = chance.choice(sorted(COMPLAINTS))
                if chance.random() < 0.7:
                    about = CaseKind.WRONG_FEE  # often again
                if kind == "OpenComplaint mixed":
                    # Of one purpose, and more or less than was captured for it.
                    about = chance.choice((CaseKind.WRONG_FEE, CaseKind.DAMAGE_NOT_MINE))
                    part = chance.choice((it["other_captured"], it["captured"]))
                    back = chance.choice((None, back, Money("CNY", max(1, part // 3))))
                out = kind in ("OpenComplaint out", "OpenComplaint captured")
                if out and chance.random() < 0.95:
                    about = chance.choice((CaseKind.RETURN_BLOCKED, CaseKind.ITEM_AT_FAULT))
                    back = back if chance.random() < 0.05 else None
                if out or chance.random() < 0.2:
                    more |= {"occurred_us": occurred_us}
                return c.OpenComplaint(*name, about, back, "too much", "photo-1", **more)
            case what:
                plain: Any = {
                    "Decrease": c.Decrease, "PayOutRefund": c.PayOutRefund,
                    "SetProvision": c.SetProvision,
                }  # fmt: skip
                return plain[what](*name, money, **more)


def _is_left_to_the_ladder(key: RentalKey) -> bool:
    """True for one rental in three: it is mostly paid by dunning's debits only."""
    return crc32(repr(key).encode()) % 3 == 0


def _around(chance: Random, exact: int) -> int:
    """Mostly the exact amount; sometimes a part of it, one more, one, or zero."""
    parts = (exact, exact, exact, exact // 2, exact // 3, min(exact, 33), exact + 1, 1, 0)
    return chance.choice(parts)


def _why(chance: Random) -> dict[str, Any]:
    """The hand of a verdict and its reason, at times with a text, and at times without the one that
    it needs."""
    reason = chance.choice((ReviewReason.NOT_GIVEN, *ReviewReason))
    text = chance.choice(("", "seen in the shop", "本人到店"))
    if reason is ReviewReason.NOT_GIVEN and chance.random() < 0.9:
        text = ""
    by = chance.choice(("persons/eve", "persons/bob"))
    return {"by": by, "reason": reason, "text": text}


def _currency(chance: Random) -> str:
    return "USD" if chance.random() < 0.005 else "CNY"


def _anywhere(chance: Random) -> str:
    """The rail account of unmatched money: the platform's default, an operator's own, or any."""
    own = "operators/city/railAccounts/default", "operators/harbour/railAccounts/till"
    return chance.choice(("", "", *own, chance.choice(NAMES)))


def _owner(item: Key) -> str:
    """The owner of an item as a match names it: empty for the platform."""
    return "" if item[0] == PLATFORM else item[0]


def _occurred(chance: Random, it: Row, now_us: int) -> int | None:
    """None, or an instant near the allowed bounds."""
    if chance.random() < 0.5:
        return None
    start_us = it["start_us"] or it["create_us"]
    earliest_us = max(start_us, now_us - it["terms"]["report_us"])
    middle_us = (earliest_us + now_us) // 2
    early_us = start_us - chance.choice((1, MINUTE_US, MINUTE_US + 1))
    ahead_us = now_us + chance.choice((1, DAY_US))
    told = (now_us, now_us, earliest_us, middle_us, middle_us, ahead_us, earliest_us - 1, early_us)
    return chance.choice(told)
