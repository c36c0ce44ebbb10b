"""The rules of Freehold once more, as plainly as they can be said: dicts of integers.

Nothing of the engine is used but its commands, so that a mistake there cannot hide here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.engine.commands import (
    Authorize,
    Command,
    Confirm,
    Expire,
    RecordPayment,
    Reverse,
    ReverseByOrigin,
    Settle,
    StartRental,
)

Row = dict[str, Any]
Key = tuple[str, str]

MINUTE_US = 60_000_000
FEATURES_LAST_US = 400 * 24 * 60 * MINUTE_US
PRODUCTS = {"bike": (19_900, 600), "umbrella": (5_900, 550), "power-bank": (9_900, 550)}
FEE_BP = {"city": 300, "harbour": 250}
LIMITS = ((650, 50_000), (600, 30_000), (550, 20_000), (500, 10_000))
OFFERS = ["ZERO", "REDUCED", "FULL"]
TOMBSTONE = "tombstone"
FOLLOWING = (Confirm, StartRental, Settle, Reverse, RecordPayment, Expire)
UNSEEN: Row = {"score": None, "consent": False, "as_of_us": 0, "features": 0}


class Refused(Exception):
    """The command is refused for this reason; nothing has changed."""


class Reference:
    """What the books must say."""

    def __init__(self) -> None:
        self.people: dict[str, Row] = {}
        self.lines: dict[str, Row] = {}
        self.rentals: dict[Key, Row] = {}
        """By caller and request id of their Authorize."""
        self.origin: dict[Key, Key] = {}
        """From user and authorization id to the key in `rentals`."""
        self.items: dict[Key, Key] = {}
        self.payments: set[Key] = set()
        self.requests: dict[Key, Any] = {}
        """The command of each request that was carried out, or TOMBSTONE."""
        self.tombs: dict[Key, str] = {}
        """Whom each tombstone is for."""

    def line(self, user_id: str) -> Row:
        """The person's line; a new one is empty."""
        empty = dict.fromkeys(
            ("limit", "available", "held", "drawn", "pending", "deposit", "refund"), 0
        )
        return self.lines.setdefault(user_id, empty)

    def run(self, caller: str, request_id: str, command: Command, now_us: int) -> Any:
        """Carries a call out; returns its answer, or None for a retry. Raises Refused."""
        first = self.requests.get((caller, request_id))
        if first == command and first is not None:
            return None
        if first is not None and not (first == TOMBSTONE and isinstance(command, Authorize)):
            raise Refused("REQUEST_ID_REUSED")
        answer = self._carry_out(caller, request_id, command, now_us)
        self.requests[caller, request_id] = command
        return answer

    def _carry_out(self, caller: str, request_id: str, command: Command, now_us: int) -> Any:
        if isinstance(command, Authorize):
            return self._authorize(caller, request_id, command, now_us)
        if isinstance(command, ReverseByOrigin):
            return self._reverse_by_origin(caller, command, now_us)
        if not isinstance(command, FOLLOWING):
            raise TypeError(f"the reference does not know {type(command).__name__}")
        key = self.origin.get((command.user_id, command.authorization_id))
        if key is None or (caller != key[0] and caller != "platform"):
            raise Refused("AUTHORIZATION_NOT_FOUND")
        return self._follow(caller, key, command, now_us)

    # -- people ------------------------------------------------------------------------------

    def put_user(self, user_id: str, score: int | None, consent: bool, now_us: int) -> Row:
        """Registers a person; score None: the model refuses the features."""
        before = self.people.get(user_id, UNSEEN)
        self.people[user_id] = {
            "score": score,
            "consent": consent,
            "as_of_us": now_us,
            "features": before["features"] + 1,
        }
        used = score if consent else None
        limit = next((limit for bound, limit in LIMITS if used is not None and used >= bound), 0)
        line = self.line(user_id)
        line["pending"] = max(0, line["limit"] - limit)
        if limit > line["limit"]:
            line["available"] += limit - line["limit"]
            line["limit"] = limit
        _cut(line)
        return {"score": used, "features": before["features"] + 1, **line}

    # -- Authorize ---------------------------------------------------------------------------

    def _authorize(self, caller: str, request_id: str, asked: Authorize, now_us: int) -> Row:
        if asked.product_id not in PRODUCTS:
            raise Refused("PRODUCT_NOT_FOUND")
        if (caller, asked.asset_id) in self.items:
            raise Refused("ASSET_IN_USE")
        deposit, zero_from = PRODUCTS[asked.product_id]
        person = self.people.setdefault(asked.user_id, UNSEEN)
        line = self.line(asked.user_id)
        offer, reasons = self._offer(person, zero_from, asked, deposit, line["available"], now_us)
        if self.requests.get((caller, request_id)) == TOMBSTONE:
            offer, reasons = None, ["CANCELLED_BEFORE_ARRIVAL"]
        credit, cash = _parts(offer, deposit)
        waits = asked.start == "ON_PICKUP"
        it: Row = {
            "user": asked.user_id, "operator": caller, "asset": asked.asset_id, "waits": waits,
            "offer": offer, "reasons": tuple(reasons), "credit": credit, "cash": cash,
            "state": "DECLINED" if offer is None else "OFFERED",
            "held_credit": 0, "held_cash": 0, "captured": 0, "drawn": 0, "fee": 0, "paid": 0,
            "refund": 0, "version": 1, "start_us": None,
            "expire_us": None if offer is None else now_us + 15 * MINUTE_US,
            "close_us": now_us if offer is None else None,
        }  # fmt: skip
        key = (caller, request_id)
        if offer == "ZERO":
            self._hold(it, line, key, now_us)
        self.rentals[key] = it
        return dict(it)

    def _offer(
        self,
        person: Row,
        zero_from: int,
        asked: Authorize,
        deposit: int,
        available: int,
        now_us: int,
    ) -> tuple[str | None, list[str]]:
        score, why = person["score"], None
        if not person["features"]:
            why = "NO_FEATURES"
        elif not person["consent"]:
            why = "NO_CONSENT"
        elif score is None:
            why = "MISSING_FEATURE"
        elif now_us - person["as_of_us"] > FEATURES_LAST_US:
            why = "FEATURES_STALE"
        if why is not None:
            mildest, reasons = 2, [why]
        elif score >= zero_from:
            mildest, reasons = 0, []
        elif score >= 500:
            mildest, reasons = 1, ["SCORE_BELOW_ZERO_DEPOSIT"]
        else:
            mildest, reasons = 2, ["SCORE_BELOW_REDUCED_DEPOSIT"]
        order = [str(offer) for offer in asked.accept_offers] or OFFERS
        wanted = [offer for offer in order if OFFERS.index(offer) >= mildest]
        wanted.sort(key=lambda offer: offer != OFFERS[mildest])
        if not wanted:
            return None, ["OFFER_NOT_ACCEPTED", *reasons]
        for place, offer in enumerate(wanted):
            if _parts(offer, deposit)[0] <= available:
                return offer, reasons if place == 0 else ["LINE_EXHAUSTED", *reasons]
        return None, ["LINE_EXHAUSTED", *reasons]

    def _hold(self, it: Row, line: Row, key: Key, now_us: int) -> None:
        line["available"] -= it["credit"]
        line["held"] += it["credit"]
        line["deposit"] += it["cash"]
        it.update(held_credit=it["credit"], held_cash=it["cash"])
        if it["waits"]:
            it.update(state="AUTHORIZED", expire_us=now_us + 30 * MINUTE_US)
        else:
            it.update(state="ACTIVE", expire_us=None, start_us=now_us)
        if it["asset"]:
            self.items[it["operator"], it["asset"]] = key
        _cut(line)

    # -- what follows ------------------------------------------------------------------------

    def _follow(self, caller: str, key: Key, command: Command, now_us: int) -> Row:
        """Works on copies, so that a refusal changes nothing, then keeps them."""
        it, line = dict(self.rentals[key]), dict(self.line(self.rentals[key]["user"]))
        items, payments = dict(self.items), set(self.payments)
        try:
            if _lapsed(it, now_us):
                self._end(it, line, key, "EXPIRED", it["expire_us"])
            elif isinstance(command, Expire):
                raise Refused("NOT_LAPSED")
            if not isinstance(command, Expire):
                self._step(it, line, key, caller, command, now_us)
        except Refused:
            self.items, self.payments = items, payments
            raise
        self.rentals[key] = it
        self.lines[it["user"]] = line
        return dict(it)

    def _step(
        self, it: Row, line: Row, key: Key, caller: str, command: Command, now_us: int
    ) -> None:
        expected = getattr(command, "expected_version", None)
        if expected is not None and expected != it["version"]:
            raise Refused("VERSION_MISMATCH")
        steps: dict[type, Callable[[], None]] = {
            Confirm: lambda: self._confirm(it, line, key, caller, command, now_us),
            StartRental: lambda: self._start(it, key, command, now_us),
            Settle: lambda: self._settle(it, line, key, command, now_us),
            Reverse: lambda: self._reverse(it, line, key, now_us),
            RecordPayment: lambda: self._pay(it, line, caller, command),
        }
        steps[type(command)]()
        _cut(line)

    def _use_payment(self, caller: str, reference: str) -> None:
        if (caller, reference) in self.payments:
            raise Refused("PAYMENT_REFERENCE_REUSED")
        self.payments.add((caller, reference))

    def _confirm(
        self, it: Row, line: Row, key: Key, caller: str, command: Any, now_us: int
    ) -> None:
        self._use_payment(caller, command.payment_reference)
        paid = command.paid.amount_minor
        if it["cash"] == 0 or it["state"] == "DECLINED":
            raise Refused("ILLEGAL_TRANSITION")
        if it["state"] != "OFFERED":
            it["refund"] += paid
            line["refund"] += paid
        else:
            if paid < it["cash"]:
                raise Refused("INVALID_INPUT")
            if it["credit"] > line["available"]:
                raise Refused("LINE_EXHAUSTED")
            if (it["operator"], it["asset"]) in self.items:
                raise Refused("ASSET_IN_USE")
            it["refund"] += paid - it["cash"]
            line["refund"] += paid - it["cash"]
            self._hold(it, line, key, now_us)
        it["version"] += 1

    def _start(self, it: Row, key: Key, command: Any, now_us: int) -> None:
        if it["state"] != "AUTHORIZED":
            raise Refused("ILLEGAL_TRANSITION")
        if command.asset_id and it["asset"] != command.asset_id:
            if it["asset"]:
                raise Refused("INVALID_INPUT")
            if (it["operator"], command.asset_id) in self.items:
                raise Refused("ASSET_IN_USE")
            it["asset"] = command.asset_id
            self.items[it["operator"], it["asset"]] = key
        it.update(state="ACTIVE", expire_us=None, start_us=now_us, version=it["version"] + 1)

    def _settle(self, it: Row, line: Row, key: Key, command: Any, now_us: int) -> None:
        amount = command.amount.amount_minor
        if it["state"] != "ACTIVE":
            raise Refused("ILLEGAL_TRANSITION")
        if amount > it["held_credit"] + it["held_cash"]:
            raise Refused("INVALID_INPUT")
        cash = min(amount, it["held_cash"])
        credit = amount - cash
        it["held_cash"] -= cash
        it["held_credit"] -= credit
        it["captured"] += amount
        it["drawn"] += credit
        it["fee"] = it["captured"] * FEE_BP[it["operator"]] // 10_000
        line["deposit"] -= cash
        line["held"] -= credit
        line["drawn"] += credit
        if command.final:
            self._end(it, line, key, "SETTLED", now_us)
        else:
            it["version"] += 1

    def _reverse(self, it: Row, line: Row, key: Key, now_us: int) -> None:
        if it["state"] not in ("OFFERED", "AUTHORIZED", "ACTIVE") or it["captured"]:
            raise Refused("ILLEGAL_TRANSITION")
        self._end(it, line, key, "REVERSED", now_us)

    def _end(self, it: Row, line: Row, key: Key, state: str, close_us: int) -> None:
        line["available"] += it["held_credit"]
        line["held"] -= it["held_credit"]
        line["deposit"] -= it["held_cash"]
        line["refund"] += it["held_cash"]
        it["refund"] += it["held_cash"]
        it.update(held_credit=0, held_cash=0, state=state, close_us=close_us, expire_us=None)
        it["version"] += 1
        if self.items.get((it["operator"], it["asset"])) == key:
            del self.items[it["operator"], it["asset"]]
        _cut(line)

    def _pay(self, it: Row, line: Row, caller: str, command: Any) -> None:
        self._use_payment(caller, command.payment_reference)
        if it["drawn"] == 0:
            raise Refused("NOTHING_DUE")
        amount = command.amount.amount_minor
        paid = min(amount, it["drawn"] - it["paid"])
        it["paid"] += paid
        it["refund"] += amount - paid
        line["drawn"] -= paid
        line["available"] += paid
        line["refund"] += amount - paid
        it["version"] += 1

    def _reverse_by_origin(self, caller: str, command: ReverseByOrigin, now_us: int) -> Any:
        key = (caller, command.authorize_request_id)
        first = self.requests.get(key)
        if first is None:
            self.requests[key] = TOMBSTONE
            self.tombs[key] = command.user_id
            return TOMBSTONE
        if first == TOMBSTONE:
            if self.tombs[key] != command.user_id:
                raise Refused("AUTHORIZATION_NOT_FOUND")
            return TOMBSTONE
        if first.user_id != command.user_id:
            raise Refused("AUTHORIZATION_NOT_FOUND")
        return self._follow(caller, key, Reverse(command.user_id, "", None), now_us)

    def lapsed(self, now_us: int) -> list[Key]:
        """What has ended by now."""
        return [key for key, it in self.rentals.items() if _lapsed(it, now_us)]

    def expire(self, key: Key, now_us: int) -> None:
        """What the sweeper does."""
        it = self.rentals[key]
        self._follow("platform", key, Expire(it["user"], ""), now_us)


def _parts(offer: str | None, deposit: int) -> tuple[int, int]:
    credit = {None: 0, "ZERO": deposit, "REDUCED": deposit // 2, "FULL": 0}[offer]
    return credit, 0 if offer is None else deposit - credit


def _lapsed(it: Row, now_us: int) -> bool:
    return it["expire_us"] is not None and bool(it["expire_us"] <= now_us)


def _cut(line: Row) -> None:
    cut = min(line["pending"], line["available"])
    line["pending"] -= cut
    line["available"] -= cut
    line["limit"] -= cut
