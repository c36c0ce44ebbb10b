"""The rules of Freehold told a second time, as plainly as possible, command by command.

Written from the product's table of transitions. It uses nothing of the engine but its commands, so
a mistake there cannot hide here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.domain.details import Order
from service.engine import calls
from service.engine import operations as c
from tests.engine import (
    plain_breakers,
    plain_budgets,
    plain_order_fees,
    plain_passes,
    plain_places,
    plain_questions,
    plain_stops,
    plain_tries,
    plain_velocity,
)
from tests.engine import reference_charge_backs as bank
from tests.engine.plain_accounts import counted_once, second_use
from tests.engine.plain_attestations import handed_over, pause, resume, stood, times, waive, waived
from tests.engine.plain_books import Key, Posting, RentalKey
from tests.engine.plain_breakers import with_breakers
from tests.engine.plain_conditions import EXPRESSIONS, HIDDEN, Ordered, with_conditions
from tests.engine.plain_details import handed, price, told
from tests.engine.plain_documents import Documents
from tests.engine.plain_offers import (
    Asked,
    Chosen,
    Judged,
    choose,
    choose_again,
    nothing,
    rungs,
    within_budget,
)
from tests.engine.plain_quotas import give_back, minutes_of, use_minutes
from tests.engine.plain_signals import Suspect, with_signals
from tests.engine.plain_stops import earlier
from tests.engine.plain_terms import (
    ABOUT,
    AFTER_DISPUTE_US,
    ANSWER_US,
    CHARGED,
    COMPLAINTS,
    CURRENCY,
    DAY_US,
    DEBT_LIMIT,
    EMPTY,
    ENDED,
    FEE_BP,
    LADDER,
    LAPSING,
    MINUTE_US,
    OF_TERMS,
    OUT,
    PLATFORM,
    RUNGS,
    UNKNOWN,
    Refused,
    Retried,
    Row,
    Terms,
    asked,
    band,
    day_most,
    debt_due,
    due,
    features_of,
    gone,
    grantable,
    left,
    life,
    minor,
    no_damage,
    of_terms,
    ordered,
    payable_out,
    refund_time,
    refundable,
    required,
    scored,
    share,
    shorter,
    spread,
    started,
    unrecovered,
    waited,
    wake,
    whole_fee,
    within,
)
from tests.engine.plain_velocity import judged, judged_members, text_of

KEPT_REFUSALS = {
    (c.Authorize, "ASSET_IN_USE"), (c.Authorize, "ASSET_SOLD"), (c.Increment, "LINE_EXHAUSTED"),
}  # fmt: skip
"""Refusals that a retry gets again, whatever changed since."""


def values_of(rules: Judged | None, left: int | None) -> str | None:
    """The values that a decision read, as they are stored; None without any."""
    values = {} if rules is None else dict(rules.values)
    if left is not None:
        values["budget.left_minor"] = left
    return text_of(values) if values else None


EXPIRED = {
    "OFFERED": "OFFER_EXPIRED", "REVIEW": "REVIEW_EXPIRED", "AUTHORIZED": "PICKUP_EXPIRED",
    "ACTIVE": "DAMAGE_CHARGE_ENDED",
}  # fmt: skip
TIMED = {
    *EXPIRED.values(), "CLAIM_ACCEPTED", "LOST", "SOLD", "RETURN_PRESUMED", "DEBT_DROPPED",
}  # fmt: skip
"""The kinds of what time ends or decides."""


class Reference(Documents):
    """The expected books after each command."""

    request_id: str
    """The request id of the present call."""
    in_the_way: set[str]
    """The people whose holds caused a refusal or a stricter offer."""
    seen: set[RentalKey]
    """Rentals whose missing items a call has in hand."""
    now_us: int
    """The present instant."""

    expressions = frozenset(EXPRESSIONS)
    hidden = HIDDEN

    def present_terms(self, operator: str, name: str) -> Terms:
        """The terms of a product that is rented out."""
        terms = self.product(operator, name)
        assert terms is not None
        return terms

    @property
    def explain_below(self) -> int:
        """The highest score from which an offer asks for nothing: lower ones have reasons."""
        return max([0, *(rungs(it)[0][0] for it in self.present)])

    def begin_batch(self) -> None:
        """People are scored before the transaction begins."""
        self.known = {user_id: dict(row) for user_id, row in self.people.items()}
        self.look_at_merges()

    def look_at_losses(self, now_us: int) -> None:
        """Finds the operators that owe more than their bound, and opens and closes breakers."""
        plain_breakers.look(self, now_us)
        self.beyond = {name for name, owed in self.owed.items() if -owed > DEBT_LIMIT[name]}

    def run(self, caller: str, request_id: str, command: c.Command, now_us: int) -> Any:
        """Applies a call and returns its answer; raises Refused or Retried."""
        self.now_us = now_us
        first = self.requests.get((caller, request_id))
        if first is not None:
            if first["command"] == command:
                if first["refused"]:
                    raise Refused(first["refused"])
                raise Retried
            if first["command"] is not None or not isinstance(command, c.Authorize):
                raise Refused("REQUEST_ID_REUSED")
        sent, command = command, self.for_the_survivor(command)
        news: list[list[Any]] = [self.moved, self.events, self.ordered, self.decisions]
        news += [self.touched, self.read_values]
        while True:
            lengths = [len(new) for new in news]
            self._journal, self.in_the_way, self.seen = [], set(), set()
            refusal = None
            try:
                answer, user_id, key = self._carry_out(caller, request_id, command, now_us)
            except Refused as error:
                refusal = error
                self._take_back(news, lengths)
            lapsed = self._lapsed(command, now_us)
            if not lapsed:
                break
            if refusal is None:
                self._take_back(news, lengths)
            # A lapsed hold blocks nothing: the call is decided again without it.
            for it in lapsed:
                self.bring_up(it, now_us)
                if it["key"] in self.seen and it["custody"] == "MISSING":
                    self._appear(it, now_us)
        if refusal is not None:
            if isinstance(command, calls.AuthorizationCommand):
                # Steps that time has caused stay: the refusal reports them.
                self._journal = []
                name = self.names.get((command.user_id, command.authorization_id))
                if name is not None and caller in (name[0], PLATFORM):
                    self.bring_up(self.rentals[name], now_us)
            if request_id and (type(command), str(refusal)) in KEPT_REFUSALS:
                self.requests[caller, request_id] = {
                    "command": sent, "user": command.user_id, "key": None,
                    "refused": str(refusal),
                }  # fmt: skip
            if isinstance(command, c.Increment):
                plain_tries.refuse(self, (caller, request_id), command, str(refusal), now_us)
            if hasattr(command, "rail_account"):
                self._ask_about(caller, command, str(refusal))
            if isinstance(command, c.StartRental) and str(refusal) == "ASSET_IN_USE":
                self._ask_about_late(caller, command, now_us)
            raise refusal
        if request_id:
            self.requests[caller, request_id] = {
                "command": sent, "user": user_id, "key": key, "refused": "",
            }  # fmt: skip
        return answer

    def _take_back(self, news: list[list[Any]], lengths: list[int]) -> None:
        """Undoes a whole call."""
        self._undo()
        for new, length in zip(news, lengths, strict=True):
            del new[length:]

    def _lapsed(self, command: c.Command, now_us: int) -> list[Row]:
        """The rentals of people in the way for which a timer is due. The rental that the call names
        is not among them: the call wakes it itself after the version check."""
        named = None
        if isinstance(command, calls.AuthorizationCommand):
            named = self.names.get((command.user_id, command.authorization_id))
        found = [
            it
            for it in self.rentals.values()
            if it["key"] in self.seen
            or (
                it["user_id"] in self.in_the_way
                and it["key"] != named
                and it["state"] in ("AUTHORIZED", *OUT)
                and (ends_us := life(it)) is not None
                and ends_us <= now_us
            )
        ]
        return sorted(found, key=lambda it: str(it["user_id"]))

    def _taken(self, operator_id: str, assets: list[str]) -> str | None:
        """The reason why the first taken item is not free. Of an item in a rental, the people are
        in the way, and missing items are seen."""
        keys = [self.items[operator_id, it] for it in assets if (operator_id, it) in self.items]
        if not keys:
            return None
        rentals = [self.rentals[key] for key in keys]
        if rentals[0]["custody"] == "SOLD":
            return "ASSET_SOLD"
        self.in_the_way |= {str(it["user_id"]) for it in rentals}
        self.seen |= {it["key"] for it in rentals if it["custody"] == "MISSING"}
        return "ASSET_IN_USE"

    def _appear(self, it: Row, now_us: int) -> None:
        """Another person has the missing item: the operator may say when it was docked."""
        self.step(
            it,
            "authorization.appeared",
            now_us,
            custody="UNKNOWN",
            sold_us=None,
            claim_us=earlier(it["claim_us"], now_us),
            claim_until_us=now_us + it["terms"]["claim_us"],
        )
        self._free(it)

    def _free(self, it: Row) -> None:
        """Frees the rental's item, unless another rental has it."""
        item = (it["operator_id"], it["asset_id"])
        if self.items.get(item) == it["key"]:
            self._journal.append((self.items, item, it["key"]))
            del self.items[item]

    # -- which rule --------------------------------------------------------------------------

    def _carry_out(
        self, caller: str, request_id: str, command: c.Command, now_us: int
    ) -> tuple[Any, str, RentalKey | None]:
        match command:
            case c.Authorize():
                return self._authorize(caller, request_id, command, now_us)
            case c.ReverseByOrigin():
                return self._reverse_by_origin(caller, command, now_us)
            case c.AddEvidence() | c.ResolveCase():
                told = plain_questions.answer(self, caller, command, now_us)
                if told is not None:
                    return told, command.user_id, None
                self._known_case(caller, command)
                return self._follow(caller, request_id, command, now_us)
            case c.DecideCase():
                return self._decide_case(command, now_us)
            case calls.AuthorizationCommand():
                return self._follow(caller, request_id, command, now_us)
            case c.Wake():
                return self._wake(command, now_us)
            case c.ReportTransfer():
                return self._report_transfer(command, now_us)
            case c.GrantPass():
                self.request_id = request_id
                return plain_passes.grant(self, caller, command, now_us)
            case c.BuyPass():
                self.request_id = request_id
                return plain_passes.buy(self, caller, command, now_us)
            case c.RefundPass():
                self.request_id = request_id
                return plain_passes.refund(self, caller, command, now_us)
            case c.PutUser():
                return self._put_user(command, now_us), command.user_id, None
            case c.SetLimit():
                return self._set_limit(command, now_us), command.user_id, None
            case c.SetStanding():
                return self._set_standing(command, now_us), command.user_id, None
            case c.PayOutOperator():
                account = f"operators/{command.operator_id}"
                return self._pay_out_operator(caller, command, account, now_us), account, None
            case c.RecordOperatorPayment():
                account = f"operators/{command.operator_id}"
                return self._operator_pays(caller, command, account, now_us), account, None
            case c.ProposeMerge():
                return self.propose_merge(command, now_us), command.user_id, None
            case c.ApproveMerge():
                return self.approve_merge(command, now_us), command.user_id, None
            case c.RecordUnmatched():
                item = bank.unmatched(self, caller, command, now_us)
                return ("matched", dict(item), None), bank.RAIL, None
            case c.MatchSuspense():
                item, it = bank.match(self, caller, command, now_us)
                if it is None:
                    return ("matched", dict(item), None), bank.RAIL, None
                return ("matched", dict(item), dict(it)), it["user_id"], it["key"]
            case c.OpenBulk():
                return ("recorded",), "", None
        raise TypeError(f"the reference does not know {type(command).__name__}")

    def _follow(
        self, caller: str, request_id: str, command: Any, now_us: int
    ) -> tuple[Any, str, RentalKey | None]:
        """Applies a command on a rental, after the steps that time has caused."""
        key = self.names.get((command.user_id, command.authorization_id))
        if key is None or caller not in (key[0], PLATFORM):
            raise Refused("AUTHORIZATION_NOT_FOUND")
        it = self.rentals[key]
        if command.expected_version not in (None, it["version"]):
            raise Refused("VERSION_MISMATCH")
        self.bring_up(it, now_us)
        captures, corrections = it["captures"], it["corrections"]
        self.request_id = request_id
        total = RULES[type(command)](self, caller, it, command, now_us)
        if isinstance(command, c.StartRental) and total is not None:
            cited = dict(self.rentals[total])
            return ("late", cited, key), it["user_id"], total
        if isinstance(command, c.OpenComplaint | c.AddEvidence | c.ResolveCase):
            return ("case", dict(self.cases[total])), it["user_id"], key
        if isinstance(command, c.RecordChargeBack):
            return ("charged back", dict(it), dict(total)), it["user_id"], key
        if isinstance(command, c.BookDebt):
            return ("authorization", dict(self.rentals[total])), it["user_id"], total
        if isinstance(command, c.Settle):
            number = it["captures"] if it["captures"] > captures else None
            return ("settled", dict(it), total, number), it["user_id"], key
        if isinstance(command, ATTESTING):
            return ("attested", dict(it), total), it["user_id"], key
        if isinstance(command, CORRECTING):
            rows = [
                dict(self.corrections[key, n + 1]) for n in range(corrections, it["corrections"])
            ]
            return ("corrected", dict(it), rows), it["user_id"], key
        return ("authorization", dict(it)), it["user_id"], key

    # -- people ------------------------------------------------------------------------------

    def _put_user(self, command: c.PutUser, now_us: int) -> Any:
        score, other, why = features_of(command.raw, command.names, command.texts)
        before = self.people.get(command.user_id)
        if before is not None and command.as_of_us < before["as_of_us"]:
            raise Refused("FEATURES_OUTDATED")
        as_of_us = min(command.as_of_us, now_us)
        version = (before["features"] if before else 0) + 1
        row = {
            "score": score, "other": other, "consent": command.scoring_consent,
            "as_of_us": as_of_us, "features": version, "unscorable": why,
            "by_score": not self.line(command.user_id)["fixed"],
            "identity": command.identity_hash or (before["identity"] if before else ""),
            "seen_us": before["seen_us"] if before else now_us,
        }  # fmt: skip
        self.put(self.people, command.user_id, row)
        line = self.line(command.user_id)
        used = score if command.scoring_consent else None
        if not line["fixed"]:
            limit = next(
                (
                    row["limit_minor"]
                    for row in reversed(self.limits)
                    if row["currency"] == CURRENCY
                    and used is not None
                    and used >= row["from_score"]
                ),
                0,
            )
            self.bring_limit(command.user_id, self.left_of(command.user_id, limit))
        self.events.append((command.user_id, None, "user.features_recorded", now_us))
        return "profile", self.profile(command.user_id)

    def profile(self, user_id: str) -> Row:
        """A person with the score of the features on record, and the basis of the limit."""
        it, line = self.people[user_id], self.line(user_id)
        score = it["score"] if it["consent"] else None
        why = "NO_CONSENT" if not it["consent"] else it["unscorable"]
        by_score = it["by_score"] and not line["fixed"]
        return {
            "line": self.shown(user_id),
            "score": score, "band": band(score),
            "unscorable_reason": why if it["features"] else "NO_FEATURES",
            "feature_version": it["features"],
            "as_of_us": it["as_of_us"] if it["features"] else None,
            "model_id": "" if score is None else "fake-model",
            "scale_version": "" if score is None else "fake-scale",
            "limit_basis": "SCORE" if by_score else "NO_SCORE",
        }  # fmt: skip

    def _known_person(self, user_id: str) -> None:
        if user_id not in self.people and user_id not in self.lines:
            raise Refused("USER_NOT_FOUND")

    def _set_limit(self, command: c.SetLimit, now_us: int) -> Any:
        self._known_person(command.user_id)
        limit = minor(command.limit) if command.limit is not None else None
        line = self.line(command.user_id)
        if command.user_id in self.people and (line["fixed"] or limit is not None):
            self.change(self.people[command.user_id], by_score=False)
        self.change(line, fixed=limit is not None)
        if limit is not None:
            self.bring_limit(command.user_id, self.left_of(command.user_id, limit))
        self.events.append((command.user_id, None, "line.limit_set", now_us))
        return "line", self.shown(command.user_id)

    def _set_standing(self, command: c.SetStanding, now_us: int) -> Any:
        self._known_person(command.user_id)
        self.change(self.line(command.user_id), standing=str(command.standing))
        self.events.append((command.user_id, None, "line.standing_set", now_us))
        return "line", self.shown(command.user_id)

    def _pay_out_operator(
        self, caller: str, command: c.PayOutOperator, account: str, now_us: int
    ) -> Any:
        if command.operator_id not in FEE_BP:
            raise Refused("OPERATOR_NOT_FOUND")
        counted = self._new_payment(caller, command)
        amount, owed = minor(command.amount), self.owed[command.operator_id]
        if amount == 0:
            raise Refused("INVALID_INPUT")
        if amount > owed:
            raise Refused("PAYABLE_EXCEEDED")
        posting = ("operator_payable", "cash", amount)
        self.post(account, command.operator_id, None, "operator.paid_out", (posting,))
        self._record(counted, "OPERATOR_PAYOUT", account, amount)
        self.events.append((account, None, "operator.paid_out", now_us))
        left = self.owed[command.operator_id]
        return "paid", {"operator_id": command.operator_id, "paid": amount, "payable": left}

    def _operator_pays(
        self, caller: str, command: c.RecordOperatorPayment, account: str, now_us: int
    ) -> Any:
        """Records an operator's payment of any amount."""
        if command.operator_id not in FEE_BP:
            raise Refused("OPERATOR_NOT_FOUND")
        counted = self._new_payment(caller, command)
        amount = minor(command.amount)
        if amount == 0:
            raise Refused("INVALID_INPUT")
        posting = ("cash", "operator_payable", amount)
        self.post(account, command.operator_id, None, "operator.paid_back", (posting,))
        self._record(counted, "OPERATOR_PAYMENT", account, amount)
        self.events.append((account, None, "operator.paid_back", now_us))
        now_owed = self.owed[command.operator_id]
        return "paid", {"operator_id": command.operator_id, "paid": amount, "payable": now_owed}

    # -- Authorize ---------------------------------------------------------------------------

    def _authorize(
        self, caller: str, request_id: str, asked: c.Authorize, now_us: int
    ) -> tuple[Any, str, RentalKey | None]:
        for item in asked.items:
            if (caller, item.product_id) not in self.revisions:
                raise Refused("PRODUCT_NOT_FOUND")
            if self.product(caller, item.product_id) is None:
                raise Refused("PRODUCT_RETIRED")
        if caller in self.beyond and not asked.parent_id:
            raise Refused("OPERATOR_OWES")
        terms = [
            plain_places.at(self.present_terms(caller, it.product_id), asked.order)
            for it in asked.items
        ]
        if any(
            it.price_hash not in ("", price(of)) for it, of in zip(asked.items, terms, strict=True)
        ):
            raise Refused("PRICE_CHANGED")
        fees = plain_order_fees.fees_of(asked, terms)
        products = [
            Asked(of["deposit"] + (fee or 0), of) for of, fee in zip(terms, fees, strict=True)
        ]
        if asked.amount is not None:
            amount = minor(asked.amount)
            if not asked.parent_id or any(not 1 <= amount <= it.deposit for it in products):
                raise Refused("INVALID_INPUT")
            products = [it._replace(deposit=amount) for it in products]
        if asked.user_consent_reference and not asked.parent_id:
            raise Refused("INVALID_INPUT")
        if asked.parent_id:
            if asked.start == "ON_PICKUP":
                raise Refused("INVALID_INPUT")
            parent = self.names.get((asked.user_id, asked.parent_id))
            if parent is None or parent[0] != caller:
                raise Refused("AUTHORIZATION_NOT_FOUND")
            if self.rentals[parent]["close_us"] is None:
                self.in_the_way.add(asked.user_id)
                raise Refused("PARENT_OPEN")
            if self.rentals[parent]["start_us"] is None:
                raise Refused("PARENT_NEVER_OUT")
            if any(item.product_id != self.rentals[parent]["product_id"] for item in asked.items):
                raise Refused("INVALID_INPUT")
            consent = asked.user_consent_reference
            self._within_damage(parent, sum(it.deposit for it in products), consent, now_us)
            plain_tries.require_charge_try(self, parent, terms[0]["tries"], len(products))
        assets = [item.asset_id for item in asked.items if item.asset_id]
        if len(set(assets)) < len(assets):
            raise Refused("INVALID_INPUT")
        taken = None if asked.parent_id else self._taken(caller, assets)
        if taken:
            raise Refused(taken)
        line = self.line(asked.user_id)
        person = self.known.get(asked.user_id, UNKNOWN)
        if asked.user_id not in self.people:
            self.put(self.people, asked.user_id, {**UNKNOWN, "seen_us": now_us})
        score, why = scored(person, now_us, terms, self.explain_below)
        values: str | None = None
        review = False
        accept = [str(offer) for offer in asked.accept_offers]
        details = told(asked.order, "")
        denied = False
        skipped: dict[str, str] = {}
        if not asked.parent_id:
            denied, skipped = self.listed(caller, asked.user_id, details, terms, now_us)
        choice = Chosen(None, [0] * len(products), [])
        if (caller, request_id) in self.requests:
            reasons = ["CANCELLED_BEFORE_ARRIVAL"]
        elif line["standing"] == "SUSPENDED":
            reasons = ["USER_SUSPENDED"]
        elif denied:
            reasons = ["LISTED_DENY"]
        elif asked.identity_hash and self.people[asked.user_id]["identity"] not in (
            "",
            asked.identity_hash,
        ):
            reasons = ["IDENTITY_MISMATCH"]
        else:
            rules: Judged | None = None
            if not asked.parent_id:
                rules = judged(self, caller, asked.user_id, terms, details, now_us, skipped=skipped)
                ordered = Ordered(
                    caller, asked.user_id, asked.order or Order(), asked.start == "ON_PICKUP",
                    list(terms), score, now_us, sum(it or 0 for it in fees),
                )  # fmt: skip
                rules = with_conditions(self, rules, ordered, skipped)
                rules = with_breakers(self, rules, caller, terms)
                suspect = Suspect(caller, asked.user_id, assets, details, now_us)
                rules = with_signals(self, rules, list(terms), suspect, skipped)
            its = rules or nothing(len(products))
            review = its.review
            left = plain_budgets.left(self, caller, list(terms), now_us)
            choice = within_budget(
                lambda available: choose(score, why, accept, available, products, its),
                line["available"],
                left,
            )
            reasons = choice.reasons
            values = values_of(rules, left)
        offer = choice.offer
        if "LINE_EXHAUSTED" in reasons:
            self.in_the_way.add(asked.user_id)
        state = "DECLINED" if offer is None else "OFFERED"
        if offer is not None and line["standing"] == "WATCHED":
            reasons = list(dict.fromkeys(["UNDER_REVIEW", *reasons]))
        if offer is not None and (line["standing"] == "WATCHED" or review):
            state = "REVIEW"
        expire_us = None
        if state != "DECLINED":
            name = "offer_us" if state == "OFFERED" else "review_us"
            expire_us = now_us + min(it[name] for it in terms)
        keys = [(caller, request_id, place) for place in range(len(asked.items))]
        self.put(self.groups, (caller, request_id), keys)
        cash_all = sum(it.deposit for it in products) - sum(choice.credits)
        for key, item, product, credit, fee in zip(
            keys, asked.items, products, choice.credits, fees, strict=True
        ):
            cash = product.deposit - credit if offer is not None else 0
            it = {
                **EMPTY, **of_terms(product.terms),
                "key": key, "user_id": asked.user_id, "operator_id": caller,
                "request_id": request_id, "product_id": item.product_id,
                "parent_id": asked.parent_id, "asset_id": item.asset_id,
                "start": str(asked.start), "accept_offers": tuple(accept),
                "offer": offer, "reasons": tuple(reasons[:4]),
                "band": band(score), "model_id": "" if score is None else "fake-model",
                "fee_bp": FEE_BP[caller], "create_us": now_us, "state": state,
                "credit": credit, "cash": cash, "expire_us": expire_us,
                "close_us": now_us if offer is None else None,
                "pickup_window_us": 0, "rental_period_us": product.terms["period"],
                "refund_after_us": product.terms["refund"], "order_fee": fee,
            }  # fmt: skip
            if asked.start == "ON_PICKUP":
                it["pickup_window_us"] = shorter(asked.pickup_window_us, product.terms["pickup_us"])
            it["rental_period_us"] = shorter(asked.rental_period_us, product.terms["period"])
            self.put(self.rentals, key, it)
            self.decisions.append(key)
            if values is not None:
                self.read_values.append((caller, request_id, values))
            if (details := told(asked.order, item.price_hash)) is not None:
                self.put(self.details, key, details)
            if state == "OFFERED" and not cash_all:
                self._hold(it, 0, now_us)
            else:
                self.step(it, f"authorization.{state.lower()}", now_us)
            self._consent(it, asked.user_consent_reference)
        rows = [dict(self.rentals[key]) for key in keys]
        answer: Any = ("group", rows) if asked.grouped else ("authorization", rows[0])
        cuts: list[tuple[str, str, int]] = []
        for row in rows:
            for name, field in (("pickup_window", "pickup_window_us"),
                                ("rental_period", "rental_period_us")):  # fmt: skip
                wanted = name == "rental_period" or asked.start == "ON_PICKUP"
                cut = (name, row["product_id"], row[field])
                if wanted and (getattr(asked, field) or 0) > row[field] and cut not in cuts:
                    cuts.append(cut)
        if cuts and offer is not None:
            answer = ("cut", answer, tuple(cuts))
        if keys[0] in self.details and not asked.grouped:
            answer = ("priced", answer, price(terms[0]))
        return answer, asked.user_id, keys[0]

    def _consent(self, it: Row, reference: str) -> None:
        """Notes the person's consent to the step just taken."""
        if reference:
            self.put(self.consents, (it["key"], it["version"]), reference)

    def _within_damage(self, key: RentalKey, amount: int, consent: str, now_us: int) -> None:
        """Refuses more damage to a rental than its deposit, in the rental and in later charges, and
        more than a lower bound without consent."""
        rental = self.rentals[key]
        most = deposit = rental["terms"]["deposit"]
        free = rental["terms"]["consent"]
        for _, row in self._of(rental):
            if row["purpose"] == "DAMAGE":
                most -= row["amount"] - row["conceded"]
        for it in self.rentals.values():
            if it["parent_id"] and self.names.get((it["user_id"], it["parent_id"])) == key:
                at_us = life(it)
                over = it["close_us"] is not None or (at_us is not None and at_us <= now_us)
                charged = it["captured"] if over else it["credit"] + it["cash"]
                if it["unheld"]:
                    charged = it["unheld"] - it["unheld_dropped"]
                if it["reasons"] == ("FEE_ABOVE_HOLD",):
                    continue  # no damage
                most -= charged - it["conceded"]
        if amount > most:
            raise Refused("INVALID_INPUT")
        if free is not None and not consent and deposit - most + amount > free:
            raise Refused("CONSENT_REQUIRED")

    def _hold(self, it: Row, excess: int, now_us: int, source: str = "cash") -> None:
        """Holds both parts; the rental starts, or waits for the pick-up."""
        new: Row = {"state": "AUTHORIZED", "expire_us": now_us + it["pickup_window_us"]}
        if it["parent_id"]:
            # Damage charge: no item goes out, and it expires without a timer of loss.
            new = {"state": "ACTIVE", "expire_us": now_us + it["rental_period_us"]}
        elif it["start"] == "IMMEDIATE":
            new = started(self, it, now_us, now_us)
        self.change(it, reserved=it["start"] == "ON_PICKUP")
        priced = "reservation" in it["terms"].get("document", {})
        if priced and it["start"] == "ON_PICKUP":
            new["reserve_us"] = now_us
        self.step(
            it,
            "authorization.active" if it["start"] == "IMMEDIATE" else "authorization.authorized",
            now_us,
            ("held", "available", it["credit"]),
            (source, "deposit", it["cash"]),
            (source, "refund_payable", excess),
            **new,
            held_credit=it["credit"],
            held_cash=it["cash"],
            refund_payable=it["refund_payable"] + excess,
            received=it["received"] + it["cash"] + excess,
        )
        if it["asset_id"] and not it["parent_id"]:
            self.put(self.items, (it["operator_id"], it["asset_id"]), it["key"])

    def _members(self, it: Row, state: str, now_us: int) -> list[Row]:
        """The rentals of one group that are still in this state."""
        members = [self.rentals[key] for key in self.groups[it["key"][:2]]]
        for member in members:
            self.bring_up(member, now_us)
        return [member for member in members if member["state"] == state]

    def _obstacle(self, members: list[Row]) -> str | None:
        """The reason why the whole group cannot be held."""
        line = self.line(members[0]["user_id"]) if members else None
        if line is not None and line["standing"] == "SUSPENDED":
            return "USER_SUSPENDED"
        if line is not None and sum(it["credit"] for it in members) > line["available"]:
            self.in_the_way.add(members[0]["user_id"])
            return "LINE_EXHAUSTED"
        if members:
            terms = [it["terms"] for it in members]
            left = plain_budgets.left(self, members[0]["operator_id"], terms, self.now_us)
            if left is not None and sum(it["credit"] for it in members) > left:
                return "BUDGET_EXHAUSTED"
        assets = [it["asset_id"] for it in members if not it["parent_id"]]
        taken = self._taken(members[0]["operator_id"], assets) if members else None
        return taken or plain_velocity.obstacle(self, members, self.now_us)

    def _decline(self, it: Row, reason: str, paid: int, now_us: int, source: str = "cash") -> None:
        self.step(
            it,
            "authorization.declined",
            now_us,
            (source, "refund_payable", paid),
            state="DECLINED",
            reasons=(reason, *(why for why in it["reasons"] if why != reason))[:4],
            close_us=now_us,
            expire_us=None,
            refund_payable=it["refund_payable"] + paid,
            received=it["received"] + paid,
        )

    def _confirm(self, caller: str, it: Row, command: c.Confirm, now_us: int) -> None:
        counted = self._new_payment(caller, command)
        paid = minor(command.paid)
        if paid == 0:
            raise Refused("INVALID_INPUT")
        if it["state"] == "REVIEW" or (it["offer"] in (None, "ZERO") and it["cash"] == 0):
            raise Refused("ILLEGAL_TRANSITION")
        self._record(counted, "DEPOSIT", it["user_id"], paid, it)
        members = self._members(it, "OFFERED", now_us)
        asked = sum(member["cash"] for member in members)
        if paid < asked:
            if it["state"] == "OFFERED":
                raise Refused("INVALID_INPUT")
            members, asked = [], 0  # too late, and less than the others' cash parts
        obstacle = self._obstacle(members)
        spare = paid if obstacle else paid - asked
        if it["state"] != "OFFERED" and spare:
            self._owe_back(it, spare, now_us)
        self._deposited(members, it, paid, obstacle, now_us)

    def _owe_back(self, it: Row, amount: int, now_us: int, source: str = "cash") -> None:
        """Money that came too late, twice, or for nothing is the person's."""
        self.step(
            it,
            "authorization.payment_owed_back",
            now_us,
            (source, "refund_payable", amount),
            refund_payable=it["refund_payable"] + amount,
            received=it["received"] + amount,
        )

    def _deposited(
        self, members: list[Row], it: Row, paid: int, obstacle: str | None, now_us: int,
        source: str = "cash",
    ) -> None:  # fmt: skip
        """All offers are held, or declined; what is too much is owed back at the one named."""
        asked = sum(member["cash"] for member in members)
        for member in members:
            if obstacle:
                self._decline(member, obstacle, paid if member is it else 0, now_us, source)
            else:
                self._hold(member, paid - asked if member is it else 0, now_us, source)

    def _resolve_review(self, caller: str, it: Row, command: c.ResolveReview, now_us: int) -> None:
        required(it, "REVIEW")
        if command.text and command.reason == "NOT_GIVEN":
            raise Refused("INVALID_INPUT")
        if command.reason == "OTHER" and not command.text:
            raise Refused("INVALID_INPUT")
        members = self._members(it, "REVIEW", now_us)
        line = self.line(it["user_id"])
        terms = [member["terms"] for member in members]
        credits = [member["credit"] for member in members]
        choice = Chosen(it["offer"], credits, list(it["reasons"]))
        obstacle, anew = None, False
        if not command.approve:
            obstacle = "REVIEW_DECLINED"
        elif line["standing"] == "SUSPENDED":
            obstacle = "USER_SUSPENDED"
        else:
            its = judged_members(self, members, now_us) or nothing(len(members))
            asked = [
                Asked(member["credit"] + member["cash"], of)
                for member, of in zip(members, terms, strict=True)
            ]
            left = plain_budgets.left(self, it["operator_id"], terms, now_us)
            made = within_budget(
                lambda available: choose_again(members, available, asked, its),
                line["available"],
                left,
            )
            if its.strict == 3:
                obstacle = its.reasons[0]
            elif made.offer is None:
                obstacle = made.reasons[0]
            elif (made.offer, made.credits) != (it["offer"], credits):
                choice, anew = made, made.reasons[0] == "LINE_EXHAUSTED"
            if obstacle is None and sum(choice.credits) == sum(one.deposit for one in asked):
                assets = [one["asset_id"] for one in members if not one["parent_id"]]
                obstacle = self._taken(it["operator_id"], assets)
        if (anew and obstacle is None) or obstacle == "LINE_EXHAUSTED":
            self.in_the_way.add(it["user_id"])
        waits = any(
            credit < member["credit"] + member["cash"]
            for member, credit in zip(members, choice.credits, strict=True)
        )
        window_us = min(of["offer_us"] for of in terms)
        for member, credit in zip(members, choice.credits, strict=True):
            cash = member["credit"] + member["cash"] - credit
            if obstacle:
                self._decline(member, obstacle, 0, now_us)
            elif not waits:
                self._hold(member, 0, now_us)
            else:
                self.step(
                    member,
                    "authorization.offered",
                    now_us,
                    state="OFFERED",
                    offer=choice.offer,
                    credit=credit,
                    cash=cash,
                    reasons=tuple(choice.reasons[:4]),
                    expire_us=now_us + window_us,
                )
            verdict = "APPROVED" if command.approve else "DECLINED"
            row = (member["version"], verdict, str(command.reason), command.text, command.by)
            self.put(self.verdicts, member["key"], row)

    def _increment(self, caller: str, it: Row, command: c.Increment, now_us: int) -> None:
        required(it, "AUTHORIZED", "ACTIVE", "OVERDUE")
        amount = minor(command.amount)
        if amount == 0:
            raise Refused("INVALID_INPUT")
        plain_tries.require_bounds(it, amount)
        if it["parent_id"]:
            parent = self.names[it["user_id"], it["parent_id"]]
            self._within_damage(parent, amount, command.user_consent_reference, now_us)
        elif command.user_consent_reference:
            raise Refused("INVALID_INPUT")
        line = self.line(it["user_id"])
        if line["standing"] != "NORMAL":
            raise Refused(f"USER_{line['standing']}")
        plain_tries.require_try(self, it)
        terms = it["terms"]
        person = self.known.get(it["user_id"], UNKNOWN)
        score, why = scored(person, now_us, [terms], self.explain_below)
        operator = it["operator_id"]
        rules = judged(self, operator, it["user_id"], [terms], None, now_us, grants=False)
        if not it["parent_id"]:
            rules = with_breakers(self, rules, operator, [terms])
        its = rules or nothing(1)
        if (cap := its.caps[0]) is not None:
            its = its._replace(caps=[(max(0, cap[0] - it["credit"]), cap[1])])
        left = plain_budgets.left(self, operator, [terms], now_us)
        asked = [Asked(amount, terms)]
        choice = within_budget(
            lambda available: choose(score, why, [], available, asked, its),
            line["available"],
            left,
        )
        credit, reasons = choice.credits[0], choice.reasons
        cash = amount - credit
        paid = 0
        if command.paid is not None:
            counted = self._new_payment(caller, command)
            paid = minor(command.paid)
            if paid == 0:
                raise Refused("INVALID_INPUT")
        if "LINE_EXHAUSTED" in reasons:
            self.in_the_way.add(it["user_id"])
            if cash and command.paid is None:
                raise Refused("LINE_EXHAUSTED")
        if paid < cash:
            raise Refused("DEPOSIT_REQUIRED")
        if paid:
            self._record(counted, "DEPOSIT", it["user_id"], paid, it)
        self.decisions.append(it["key"])
        if (values := values_of(rules, left)) is not None:
            self.read_values.append((caller, self.request_id, values))
        plain_tries.grant(self, it)
        self.step(
            it,
            "authorization.incremented",
            now_us,
            ("held", "available", credit),
            ("cash", "deposit", cash),
            ("cash", "refund_payable", paid - cash),
            credit=it["credit"] + credit,
            cash=it["cash"] + cash,
            held_credit=it["held_credit"] + credit,
            held_cash=it["held_cash"] + cash,
            refund_payable=it["refund_payable"] + paid - cash,
            received=it["received"] + paid,
            order_fee=plain_order_fees.raised(it, amount),
        )
        self._consent(it, command.user_consent_reference)

    # -- the hold, until the item is back ----------------------------------------------------

    def _start(self, caller: str, it: Row, command: c.StartRental, now_us: int) -> RentalKey | None:
        if gone(it) and it["reserved"] and command.occurred_us is not None:
            again = it["key"] in self.late_pickups
            late = self._start_late(caller, it, command, now_us)
            if late is not None:
                if command.place is not None and not again:
                    self.put(self.details, late, handed(None, "start", command.place))
                return late
        required(it, "AUTHORIZED")
        start_us = self._occurred(it, command.occurred_us, now_us)
        # Whoever has the item already has it all the same.
        if self.line(it["user_id"])["standing"] == "SUSPENDED" and start_us >= now_us:
            raise Refused("USER_SUSPENDED")
        asset = command.asset_id or it["asset_id"]
        if asset != it["asset_id"]:
            if it["asset_id"]:
                raise Refused("INVALID_INPUT")
            taken = self._taken(it["operator_id"], [asset])
            if taken:
                raise Refused(taken)
            self.put(self.items, (it["operator_id"], asset), it["key"])
        new = started(self, it, start_us, now_us)
        self.step(it, "authorization.started", start_us, **new, asset_id=asset)
        if command.place is not None:
            known = self.details.get(it["key"])
            self.put(self.details, it["key"], handed(known, "start", command.place))
        return None

    def _start_late(
        self, caller: str, it: Row, command: c.StartRental, now_us: int
    ) -> RentalKey | None:
        """The item was picked up before the reservation expired, and is out since: a new rental has
        what is left of the hold. None if it was not picked up in time."""
        asset = command.asset_id or it["asset_id"]
        if it["key"] in self.late_pickups:
            begun = self.rentals[self.late_pickups[it["key"]]["begun"]]
            if command.asset_id not in ("", begun["asset_id"]) and begun["asset_id"]:
                raise Refused("INVALID_INPUT")
            return begun["key"]  # type: ignore[no-any-return]
        start_us = self._occurred(it, command.occurred_us, now_us)
        if start_us >= it["close_us"]:
            return None
        if any(map(plain_questions.is_open, self.late_questions.get(it["key"], []))):
            raise Refused("PICKUP_IN_QUESTION")
        if it["asset_id"] not in ("", asset):
            raise Refused("INVALID_INPUT")
        self._take_away(it, asset, bool(command.asset_id), now_us)
        at_us = max(now_us, it["close_us"])
        if it["captured"] > it["conceded"]:
            nobody = c.ReportFound(it["user_id"], "")
            self.lower_to(it, "authorization.deposit_carried_over", 0, at_us, nobody)
        else:
            bank.given_up(self, it, 0)
        self._cancel_payouts(it, lambda: payable_out(it) >= it["cash"], now_us)
        left = plain_budgets.left(self, it["operator_id"], [it["terms"]], now_us)
        hold = min(it["credit"], self.line(it["user_id"])["available"])
        hold = hold if left is None else min(hold, left)
        deposit = min(it["cash"], payable_out(it))
        if deposit:
            self.step(
                it,
                "authorization.deposit_carried_over",
                at_us,
                refund_payable=it["refund_payable"] - deposit,
                received=it["received"] - deposit,
            )
        kept = (
            *("user_id", "operator_id", "product_id", "accept_offers", "offer", "reasons"),
            *("band", "model_id", "fee_bp", "pickup_window_us", "rental_period_us"),
            *("refund_after_us", "reserve_us", "order_fee"),
            *OF_TERMS,
        )
        key = (caller, self.request_id, 0)
        rental = {
            **EMPTY, **{name: it[name] for name in kept},
            "key": key, "request_id": self.request_id, "parent_id": "", "asset_id": asset,
            "start": "LATE_PICKUP", "create_us": at_us, "state": "ACTIVE", "custody": "OUT",
            "credit": hold, "cash": deposit, "expire_us": None, "close_us": None,
        }  # fmt: skip
        self.put(self.rentals, key, rental)
        self.put(self.groups, key[:2], [key])
        self.step(
            rental,
            "authorization.late_picked_up",
            at_us,
            ("held", "available", hold),
            ("refund_payable", "deposit", deposit),
            **started(self, rental, start_us, now_us),
            held_credit=hold,
            held_cash=deposit,
            received=deposit,
        )
        if asset:
            self.put(self.items, (it["operator_id"], asset), key)
        row = {"begun": key, "start_us": start_us, "deposit": deposit, "record_us": at_us}
        self.put(self.late_pickups, it["key"], row)
        return key

    def _ask_about_late(self, caller: str, command: c.StartRental, now_us: int) -> None:
        """A late pick-up of an item that is out with somebody else leaves a case, unless one is
        open."""
        key = self.names[command.user_id, command.authorization_id]
        it, cases = self.rentals[key], self.late_questions.get(key, [])
        if not gone(it) or command.occurred_us is None:
            return
        if not any(map(plain_questions.is_open, cases)):
            holder = self.items[it["operator_id"], command.asset_id or it["asset_id"]]
            occurred_us = max(it["create_us"], min(command.occurred_us, now_us))
            case = plain_questions.new(1, holder=holder, occurred_us=occurred_us)
            self.late_questions[key] = [*cases, case]

    def _take_away(self, it: Row, asset: str, named: bool, now_us: int) -> None:
        """Frees an item that was promised to another rental meanwhile, or is missing there. A
        person is in the way only if the call names the item."""
        taken = self.items.get((it["operator_id"], asset))
        if not asset or taken is None:
            return
        other = self.rentals[taken]
        self.bring_up(other, now_us)
        if other["state"] == "AUTHORIZED":
            reasons = ("ASSET_TAKEN", *(why for why in other["reasons"] if why != "ASSET_TAKEN"))
            new = {"state": "REVERSED", "reasons": reasons[:4]}
            self._close(other, "authorization.asset_taken", now_us, now_us, **new)
        elif other["custody"] == "MISSING":
            self._appear(other, now_us)
        elif other["custody"] == "SOLD":
            raise Refused("ASSET_SOLD")
        elif other["close_us"] is None:
            self.in_the_way |= {str(other["user_id"])} if named else set()
            raise Refused("ASSET_IN_USE")

    def _decrease(self, caller: str, it: Row, command: c.Decrease, now_us: int) -> None:
        amount = minor(command.amount)
        required(it, "AUTHORIZED", *OUT)
        within(amount, it["held_credit"] + it["held_cash"])
        credit = min(amount, it["held_credit"])
        cash = amount - credit
        self.step(
            it,
            "authorization.decreased",
            now_us,
            ("available", "held", credit),
            ("deposit", "refund_payable", cash),
            credit=it["credit"] - credit,
            cash=it["cash"] - cash,
            held_credit=it["held_credit"] - credit,
            held_cash=it["held_cash"] - cash,
            refund_payable=it["refund_payable"] + cash,
        )

    def _extend(self, caller: str, it: Row, command: c.Extend, now_us: int) -> None:
        required(it, "AUTHORIZED", "ACTIVE", "OVERDUE")
        if it["state"] == "AUTHORIZED":
            within(command.by_us, it["terms"]["pickup_us"])
        else:
            within(command.by_us, it["terms"]["period"])
        longest = it["terms"]["reserved" if it["state"] == "AUTHORIZED" else "rented"]
        so_far = (it["expire_us"] or 0) - it["create_us"]
        if it["expire_us"] is None:
            so_far = it["due_us"] - it["start_us"] - it["paused_us"]
        if longest is not None and so_far + command.by_us > longest:
            raise Refused("EXTENSION_LIMIT")
        if it["expire_us"] is not None:
            expire_us = it["expire_us"] + command.by_us
            self.step(it, "authorization.extended", now_us, expire_us=expire_us)
            return
        due_us = it["due_us"] + command.by_us
        if due_us <= now_us:
            raise Refused("INVALID_INPUT")
        lost_us = max(due_us + it["terms"]["overdue_us"], it["lost_us"])
        new = {"state": "ACTIVE", "due_us": due_us, "lost_us": lost_us}
        self.step(it, "authorization.extended", now_us, **new)

    def _close(
        self,
        it: Row,
        transition: str,
        close_us: int,
        event_us: int,
        *postings: Posting,
        **new: Any,
    ) -> None:
        """Releases the hold, clears the timers, and frees the item."""
        credit, cash = new.pop("held_credit", it["held_credit"]), new.pop("held_cash", None)
        cash = it["held_cash"] if cash is None else cash
        self.put(self.closings, it["key"], (transition, event_us))
        self.step(
            it,
            transition,
            event_us,
            *postings,
            ("available", "held", credit),
            ("deposit", "refund_payable", cash),
            **{"custody": "IN_STATION", **new},
            held_credit=0,
            held_cash=0,
            refund_payable=it["refund_payable"] + cash,
            close_us=close_us,
            expire_us=None,
            claim_until_us=None,
        )
        if it["custody"] != "MISSING":
            self._free(it)

    def _cancel(self, it: Row, now_us: int) -> bool:
        """The user cancels; returns True if that costs the fee of a reservation."""
        no_damage(it)
        required(it, *LAPSING, "ACTIVE")
        product = it["terms"]
        if it["state"] in ("OFFERED", "REVIEW"):
            return False
        free_us, cost = product["free_us"], waited(it, it["start_us"] or now_us)
        if it["state"] == "ACTIVE" and free_us is not None:
            if now_us - it["start_us"] - it["paused_us"] > free_us:
                raise Refused("FREE_CANCELLATION_OVER")
        elif free_us is not None:
            begun_us = it["reserve_us"] or it["expire_us"] - it["pickup_window_us"]
            cost += product["cancelling"] if now_us - begun_us > free_us else 0
        cost = max(0, ordered(it, cost) - waived(self, it, "pending"))
        held = it["held_credit"] + it["held_cash"]
        if it["captured"] or not cost or (it["reserve_us"] is not None and not held):
            return False
        self._end_reservation(it, "cancelled", cost, now_us)
        return True

    def _end_reservation(self, it: Row, name: str, cost: int, at_us: int) -> None:
        """The time of a reservation is billed out of its hold, and the rest is released."""
        amount = min(cost, it["held_credit"] + it["held_cash"])
        postings, new = self._capture(it, amount, wanted=cost)
        new |= {"state": "SETTLED"}
        self._close(it, f"authorization.{name}", at_us, at_us, *postings, **new)
        self._captured(it, amount, at_us)

    def _reverse(self, caller: str, it: Row, command: Any, now_us: int) -> None:
        if getattr(command, "by_user", False) and self._cancel(it, now_us):
            return
        required(it, *LAPSING, "ACTIVE")
        if it["captured"]:
            raise Refused("CAPTURED_ALREADY")
        self._close(it, "authorization.reversed", now_us, now_us, state="REVERSED")

    def _reverse_by_origin(
        self, caller: str, command: c.ReverseByOrigin, now_us: int
    ) -> tuple[Any, str, RentalKey | None]:
        user_id, origin = command.user_id, (caller, command.authorize_request_id)
        first = self.requests.get(origin)
        if first is None:
            nothing = {"command": None, "user": user_id, "key": None, "refused": ""}
            self.put(self.requests, origin, nothing)
            return ("tombstone",), user_id, None
        known = first["command"] is None or isinstance(first["command"], c.Authorize)
        if not known or first["user"] not in (user_id, self.survivor(user_id)):
            raise Refused("AUTHORIZATION_NOT_FOUND")
        if first["command"] is None or first["refused"]:
            return ("tombstone",), user_id, None
        it = self.rentals[first["key"]]
        if command.expected_version not in (None, it["version"]):
            raise Refused("VERSION_MISMATCH")
        members = [self.rentals[key] for key in self.groups[origin]]
        for member in members:
            self.bring_up(member, now_us)
        over = ("REVERSED", "EXPIRED", "DECLINED")
        if all(member["state"] in over for member in members):
            raise Refused("ILLEGAL_TRANSITION")
        for member in members:
            if member["state"] not in over:
                self._reverse(caller, member, command, now_us)
        return ("authorization", dict(it)), it["user_id"], first["key"]

    # -- return and loss ---------------------------------------------------------------------

    def _of(self, it: Row) -> list[tuple[int, Row]]:
        """A rental's captures with their numbers, the newest first."""
        numbers = range(it["captures"], 0, -1)
        return [(number, self.captures[it["key"], number]) for number in numbers]

    def _captured(
        self, it: Row, amount: int, event_us: int, purpose: str = "FEE", reference: str = ""
    ) -> None:
        """Notes the capture of the step just taken."""
        if amount:
            row = {
                "purpose": purpose, "amount": amount, "reference": reference,
                "version": it["version"], "event_us": event_us, "conceded": 0, "disputed": 0,
            }  # fmt: skip
            self.put(self.captures, (it["key"], it["captures"]), row)

    def _correct(
        self, it: Row, command: Any, event: tuple[str, int], *parts: tuple[int, int, int, int]
    ) -> None:
        """Notes the correction of the step just taken. Each part has a capture's number, or 0, an
        amount, and how much more of the capture is conceded and disputed."""
        reference = getattr(command, "business_reference", "")
        for number, amount, conceded, disputed in parts:
            self.change(it, corrections=it["corrections"] + 1)
            row = {
                "transition": event[0], "capture": number, "amount": amount, "conceded": conceded,
                "disputed": disputed, "reference": reference, "reason": command.reason,
                "version": it["version"], "event_us": event[1],
            }  # fmt: skip
            self.put(self.corrections, (it["key"], it["corrections"]), row)
            reference = ""
            if number:
                capture = self.captures[it["key"], number]
                now = (capture["conceded"] + conceded, capture["disputed"] + disputed)
                self.change(capture, conceded=now[0], disputed=now[1])

    def _cited(self, it: Row, amount: int, cited: int | None = None) -> list[tuple[int, int]]:
        """The captures of an amount: the cited one, the newest with enough left, or several."""
        captures = self._of(it)
        if it["unheld"] and cited is None:
            return [(0, amount)]  # a debt has no captures
        if cited is not None:
            captures = [one for one in captures if one[0] == cited and left(one[1]) >= amount]
            if not captures:
                raise Refused("INVALID_INPUT")
        for number, capture in captures:
            if left(capture) >= amount:
                return [(number, amount)]
        shares = spread(amount, [left(capture) for _, capture in captures])
        return [(one[0], share) for one, share in zip(captures, shares, strict=True) if share]

    def _refer(self, it: Row, reference: str) -> None:
        """Refuses an operator's own reference that the rental has already."""
        if reference:
            for table in (self.captures, self.corrections):
                for (key, _), row in table.items():
                    if key == it["key"] and row["reference"] == reference:
                        raise Refused("BUSINESS_REFERENCE_REUSED")

    def _capture(
        self, it: Row, amount: int, purpose: str = "FEE", wanted: int | None = None
    ) -> tuple[list[Posting], Row]:
        """Takes cash first; the commission is rounded down on all that the operator keeps.

        `wanted` is the whole fee; what is missing of it was not collected."""
        cash = min(amount, it["held_cash"])
        credit = amount - cash
        kept = it["captured"] - it["conceded"]
        fees = [share(kept + part, it["fee_bp"]) for part in (cash, amount)]
        of_cash, of_credit = fees[0] - it["fee"], fees[1] - fees[0]
        postings = [
            ("deposit", "operator_payable", cash - of_cash),
            ("deposit", "fee_income", of_cash),
            ("drawn", "held", credit),
            ("receivable", "operator_payable", credit - of_credit),
            ("receivable", "fee_income", of_credit),
        ]
        return postings, {
            "held_cash": it["held_cash"] - cash,
            "held_credit": it["held_credit"] - credit,
            "captured": it["captured"] + amount,
            "captured_credit": it["captured_credit"] + credit,
            "fee": fees[1],
            "captures": it["captures"] + (1 if amount else 0),
            **self._missed(it, amount, purpose, wanted),
        }

    def _missed(self, it: Row, amount: int, purpose: str, wanted: int | None) -> Row:
        if purpose != "FEE":
            return {"other_captured": it["other_captured"] + amount}
        if wanted is None:
            return {"uncollected": max(0, it["uncollected"] - amount)}
        return {"uncollected": max(0, wanted - self._fees(it) - amount)}

    def _fees(self, it: Row) -> int:
        """The amount captured for the fee."""
        return sum(row["amount"] for _, row in self._of(it) if row["purpose"] == "FEE")

    def _usage(self, it: Row, until_us: int) -> int:
        """The fee until an instant; it stops when a return is claimed."""
        if it["claim_us"] is not None:
            until_us = min(until_us, it["claim_us"])
        us = until_us - it["start_us"] - stood(self, it, until_us)
        pauses, pending = times(self, it), waived(self, it, "pending")
        minutes = minutes_of(self, it, us, pauses, pending)
        whole = plain_passes.kept(self, it, whole_fee(it, us, pauses, minutes * MINUTE_US))
        return max(0, whole - pending)

    def _use_minutes(self, it: Row, minutes: int, asked: int) -> None:
        """Uses minutes for a rental that is settled now. They are free at once if the operator
        charges nothing of what it may ask for."""
        if not (minutes or asked):
            return
        debt = self.debts.get((it["key"], "FEE_ABOVE_HOLD"))
        charged = it["captured"] - it["other_captured"] + (debt["amount"] if debt else 0)
        use_minutes(self, it, minutes, asked, nothing=asked > 0 and not charged)
        give_back(self, it)

    def _quota(self, it: Row, until_us: int) -> tuple[int, int]:
        """The minutes of quotas that a settlement at an instant uses, and the fee with them."""
        if it["parent_id"]:
            return 0, 0
        if it["claim_us"] is not None:
            until_us = max(it["start_us"], min(it["claim_us"], until_us))
        us = until_us - it["start_us"] - stood(self, it, until_us)
        pauses = times(self, it)
        minutes = minutes_of(self, it, us, pauses, waived(self, it, "pending"))
        return minutes, whole_fee(it, us, pauses, minutes * MINUTE_US)

    def usage_back(self, it: Row, until_us: int) -> int:
        """The fee until an instant, less all that was waived after it was captured."""
        return max(0, self._usage(it, until_us) - waived(self, it, "given"))

    def _occurred(
        self, it: Row, occurred_us: int | None, now_us: int, *, lowers: bool = False
    ) -> int:
        if occurred_us is None:
            return now_us
        begin_us = it["start_us"] or it["create_us"]
        early = occurred_us < max(begin_us - MINUTE_US, now_us - it["terms"]["report_us"])
        if early and not lowers:
            raise Refused("INVALID_INPUT")
        return int(sorted((begin_us, occurred_us, now_us))[1])

    def _settle(self, caller: str, it: Row, command: c.Settle, now_us: int) -> int | None:
        required(it, *OUT)
        if command.amount is None or command.handover is not None:
            no_damage(it)
        event_us = self._occurred(it, command.occurred_us, now_us, lowers=True)
        listed = it["terms"].get("line_items")
        if listed and not set(command.line_items) <= set(listed):
            raise Refused("INVALID_INPUT")
        total, held = None, it["held_credit"] + it["held_cash"]
        asked = None if command.purpose is None else str(command.purpose)
        forbidden = ["FEE"] if it["parent_id"] else []
        if not it["parent_id"] and command.amount is None:
            forbidden = ["DAMAGE", "PENALTY"]
        if asked in forbidden:
            raise Refused("INVALID_INPUT")
        purpose = asked or ("DAMAGE" if it["parent_id"] else "FEE")
        if command.user_consent_reference and (purpose != "DAMAGE" or it["parent_id"]):
            raise Refused("INVALID_INPUT")
        self._refer(it, command.business_reference)
        if command.amount is None:
            total = self._usage(it, event_us)
            amount = max(0, min(total - self._fees(it), held))
        else:
            amount = minor(command.amount)
            most = held
            if it["start"] == "LATE_PICKUP" and purpose == "FEE" and command.final:
                most = max(held, it["terms"]["buy_out"] - self._fees(it))
            if purpose == "DAMAGE" and not it["parent_id"]:
                self._within_damage(it["key"], amount, command.user_consent_reference, now_us)
            if amount > most:
                raise Refused("INVALID_INPUT")
        if not plain_order_fees.allowed(it, purpose, self._fees(it), amount):
            raise Refused("INVALID_INPUT")
        claimed = it["claim_us"] is not None and amount > 0 and purpose == "FEE"
        if claimed and self._fees(it) + amount > self._usage(it, now_us):
            raise Refused("INVALID_INPUT")
        limited = waived(self, it, "pending") > 0 and amount > 0 and purpose == "FEE"
        if limited and self._fees(it) + amount > self._usage(it, event_us):
            raise Refused("INVALID_INPUT")
        wanted = total
        if it["start"] == "LATE_PICKUP" and purpose == "FEE" and command.final:
            wanted = self._fees(it) + amount if total is None else total
            amount = min(amount, held)
        postings, new = self._capture(it, amount, purpose, wanted)
        quota = self._quota(it, event_us) if command.final else (0, 0)
        if command.final:
            name = "authorization.settled"
            if command.handover is not None:
                name = "authorization.handed_over"
            self._close(it, name, now_us, event_us, *postings, **new, state="SETTLED")
        else:
            self.step(it, "authorization.captured", event_us, *postings, **new)
        self._captured(it, amount, event_us, purpose, command.business_reference)
        self._consent(it, command.user_consent_reference)
        if command.final:
            self._book_fee(it)
            self._use_minutes(it, *quota)
        if command.handover is not None:
            handed_over(self, it, command, event_us)
        if command.place is not None:
            known = self.details.get(it["key"])
            self.put(self.details, it["key"], handed(known, "end", command.place))
        return total

    def _book_fee(self, it: Row) -> None:
        """The fee that the hold of a late pick-up did not cover becomes a debt without a hold."""
        cap = it["terms"]["buy_out"]
        amount = min(it["uncollected"], max(0, cap - self._fees(it)))
        if it["start"] != "LATE_PICKUP" or not amount:
            return
        (name,) = [one for one, key in self.names.items() if key == it["key"]]
        key = (*it["key"][:2], 1)
        kept: tuple[str, ...] = ("user_id", "operator_id", "product_id", "asset_id", "fee_bp")
        kept += OF_TERMS
        kept += ("refund_after_us",)
        debt = {
            **EMPTY, **{field: it[field] for field in kept},
            "key": key, "request_id": "", "parent_id": name[1], "start": "IMMEDIATE",
            "accept_offers": (), "offer": None, "reasons": ("FEE_ABOVE_HOLD",), "band": "",
            "model_id": "", "create_us": it["close_us"], "state": "SETTLED", "credit": amount,
            "cash": 0, "close_us": it["close_us"], "pickup_window_us": 0, "rental_period_us": 0,
            "unheld": amount, "unheld_until_us": it["close_us"] + it["terms"]["debt_us"],
        }  # fmt: skip
        self.put(self.rentals, key, debt)
        row = {
            "user_id": it["user_id"], "key": key, "amount": amount, "evidence": "", "consent": "",
        }  # fmt: skip
        self.put(self.debts, (it["key"], "FEE_ABOVE_HOLD"), row)
        booked = ("receivable_unheld", "operator_deferred", amount)
        self.step(debt, "collection.debt_booked", it["close_us"], booked)

    def _lower_fee(self, it: Row, transition: str, event_us: int, command: c.ReportFound) -> None:
        """The debt for a fee is at most what the rental's captures lack."""
        row = self.debts.get((it["key"], "FEE_ABOVE_HOLD"))
        if row is None or self.rentals[row["key"]]["reasons"] != ("FEE_ABOVE_HOLD",):
            return
        debt = self.rentals[row["key"]]
        excess = debt["unheld"] - debt["unheld_dropped"] - debt["conceded"] - it["uncollected"]
        if excess <= 0:
            bank.given_up(self, debt, -excess)
            return
        if transition.startswith("case."):
            transition = "authorization.found"  # the case is about the rental
        self._grant_amount(debt, excess, transition, event_us, command)
        bank.given_up(self, debt, 0)

    def _claim(self, caller: str, it: Row, command: c.ClaimReturn, now_us: int) -> None:
        late, told_us = it["state"] == "SETTLED", command.occurred_us
        begin_us, window_us = it["start_us"] or it["create_us"], now_us - it["terms"]["report_us"]
        no_damage(it)
        if late:
            if it["start_us"] is None:
                raise Refused("NEVER_OUT")
            if it["custody"] not in ("MISSING", "SOLD") and told_us is None:
                raise Refused("ILLEGAL_TRANSITION")
            self._new_case(it, "LATE_CLAIM")
            if told_us is not None and told_us < window_us:
                raise Refused("INVALID_INPUT")
        else:
            required(it, "ACTIVE", "OVERDUE")
        claim_us = now_us
        if told_us is not None:
            # A time before the start, or too old while the fee runs, is no reason to refuse.
            claim_us = max(begin_us, min(max(told_us, window_us), now_us))
        if late:
            self.step(it, "case.opened", now_us)
        else:
            self.step(
                it,
                "authorization.return_claimed",
                claim_us,
                state="RETURN_CLAIMED",
                custody="UNKNOWN",
                claim_us=earlier(it["claim_us"], claim_us),
                claim_until_us=now_us + it["terms"]["claim_us"],
            )
        kind = "LATE_CLAIM" if late else "CLAIM"
        case = self._open_case(
            it, kind, "OPERATOR", now_us + it["terms"]["claim_us"], occurred_us=claim_us
        )
        self._tell(case, "USER", "", command.evidence, now_us)

    def _contest(self, caller: str, it: Row, command: c.ContestReturn, now_us: int) -> None:
        required(it, "RETURN_CLAIMED")
        for name in it["open_cases"]:
            if self.cases[name]["kind"] == "CLAIM":
                self._tell(name, "OPERATOR", "", command.evidence, now_us)
        self.step(
            it,
            "authorization.return_contested",
            now_us,
            state="OVERDUE" if it["due_us"] <= now_us else "ACTIVE",
            custody="OUT",
            claim_us=plain_stops.granted_us(self, it),
            claim_until_us=None,
        )

    def _lose(self, it: Row, at_us: int) -> None:
        cap = it["terms"]["buy_out"]
        quota = 0, 0
        if it["claim_us"] is not None and it["claim_us"] < at_us:
            cap = min(cap, self._usage(it, at_us))
            quota = self._quota(it, at_us)
        amount = max(0, min(cap - self._fees(it), it["held_credit"] + it["held_cash"]))
        postings, new = self._capture(it, amount, wanted=cap)
        new |= {
            "state": "SETTLED",
            "custody": "MISSING",
            "sold_us": at_us + it["terms"]["missing_us"],
        }
        self._close(it, "authorization.lost", at_us, at_us, *postings, **new)
        self._captured(it, amount, at_us)
        self._book_fee(it)
        self._use_minutes(it, *quota)

    def _report_lost(self, caller: str, it: Row, command: c.ReportLost, now_us: int) -> None:
        no_damage(it)
        required(it, "OVERDUE")
        self._lose(it, now_us)

    def _report_found(self, caller: str, it: Row, command: c.ReportFound, now_us: int) -> None:
        required(it, "SETTLED")
        no_damage(it)
        if it["start_us"] is None:
            raise Refused("NEVER_OUT")
        if it["custody"] not in ("MISSING", "SOLD") and command.occurred_us is None:
            raise Refused("NOT_MISSING")
        docked_us = self._occurred(it, command.occurred_us, now_us, lowers=True)
        usage = self.usage_back(it, docked_us)
        self._give_back(it, "authorization.found", usage, docked_us, command)

    def _give_back(
        self, it: Row, transition: str, usage: int, event_us: int, command: c.ReportFound
    ) -> None:
        """The item is back: the operator gives back what it keeps beyond the whole fee."""
        self.lower_to(
            it, transition, usage, event_us, command, custody="IN_STATION", sold_us=None,
            claim_until_us=None,
        )  # fmt: skip
        self._free(it)

    def lower_to(
        self, it: Row, transition: str, usage: int, event_us: int, command: Any, **place: Any
    ) -> None:
        """The operator gives back what it keeps beyond the whole fee."""
        fees = [one for one in self._of(it) if one[1]["purpose"] == "FEE"]
        kept = sum(row["amount"] - row["conceded"] for _, row in fees)
        excess = max(0, kept - usage)
        postings, new, parts = self._give(it, excess, fees)
        missed = min(it["uncollected"], max(0, usage - self._fees(it)))
        self.step(it, transition, event_us, *postings, **new, **place, uncollected=missed)
        self._correct(it, command, (transition, event_us), *parts)
        self._lower_fee(it, transition, event_us, command)
        bank.found(self, it)
        bank.given_up(self, it, max(0, usage - kept))

    def _give(
        self, it: Row, amount: int, captures: list[tuple[int, Row]]
    ) -> tuple[list[Posting], Row, list[tuple[int, int, int, int]]]:
        """The operator gives back an amount that it keeps of these captures."""
        postings: list[Posting] = []
        after, gone, rest = dict(it), {}, amount
        at_the_bank = max(0, min(it["charged_back"], refundable(it) - it["elsewhere"]))
        undisputed = [left(row) for _, row in captures]
        disputes = [row["disputed"] for _, row in captures]
        if it["unheld"]:
            undisputed, disputes = [it["captured"] - it["conceded"]], [0]  # has no captures
            captures = [(0, {})]
        places = (
            ("receivable", min(due(it), sum(undisputed))),
            ("receivable_disputed", sum(disputes)),
            ("recovery", unrecovered(it)),
            ("receivable_charged_back", at_the_bank),
            ("refund_payable", refundable(it) - at_the_bank),
            ("goodwill", it["lowered"] + it["refunded"] + it["forgiven"] - it["conceded"]),
        )
        for account, there in places:
            gone[account] = min(rest, there)
            rest -= gone[account]
            postings += self._concede(after, gone[account], account)
            if account in ("receivable", "receivable_disputed"):
                postings.append(("available", "drawn", gone[account]))
        assert rest == 0
        unpaid = gone["receivable"] + gone["receivable_disputed"]
        kept_by_the_person = gone["receivable_charged_back"]
        disputed = gone["receivable_disputed"]
        new = {
            "conceded": after["conceded"],
            "fee": after["fee"],
            "lowered": it["lowered"] + unpaid,
            "disputed": it["disputed"] - disputed,
            "forgiven": it["forgiven"] + gone["recovery"],
            "charged_back": it["charged_back"] - kept_by_the_person,
            "received": it["received"] - kept_by_the_person,
            "refunded": it["refunded"] + kept_by_the_person + gone["refund_payable"],
            "refund_payable": it["refund_payable"] + gone["refund_payable"],
        }
        of_left = spread(amount - disputed, undisputed)
        of_disputed = spread(disputed, disputes)
        parts = [
            (number, some + other, some + other, -other)
            for (number, _), some, other in zip(captures, of_left, of_disputed, strict=True)
            if some + other
        ]
        return postings, new, parts

    # -- cases -------------------------------------------------------------------------------

    def step(self, it: Row, transition: str, event_us: int, *postings: Posting, **new: Any) -> None:
        """One step of a rental, which may end its claim and its dispute."""
        super().step(it, transition, event_us, *postings, **new)
        given_up = plain_breakers.GIVEN_UP.get(transition)
        if given_up is not None:
            amount = sum(it[2] for it in postings if it[:2] == given_up)
            self.put(self.given_up, (it["key"], it["version"]), (transition, event_us, amount))
        for name in it["open_cases"]:
            kind = self.cases[name]["kind"]
            claimed = kind == "CLAIM" and it["state"] == "RETURN_CLAIMED"
            disputed = kind == "DISPUTE" and it["disputed"] + it["unheld_disputed"]
            if kind in ("CLAIM", "DISPUTE") and not (claimed or disputed):
                lost = transition in ("authorization.return_contested", "collection.dispute_lost")
                granted = 0 if lost else self.cases[name]["asked"]
                outcome = "FOR_OPERATOR" if lost else "FOR_USER"
                self._close_case(it, name, outcome, self.now_us, granted, "")

    def _new_case(self, it: Row, kind: str) -> None:
        """Refuses a second open case of a kind, a third one, and a complaint that the platform
        decided."""
        same = self._of_kind(it, kind)
        for case in same:
            if case["state"] == "OPEN":
                raise Refused("CASE_OPEN")
            if case["closed_by"] == PLATFORM:
                raise Refused("CASE_DECIDED")
        if len(same) > 1:
            raise Refused("CASE_DECIDED")

    def _of_kind(self, it: Row, kind: str) -> list[Row]:
        """The cases of a kind about a rental."""
        return [
            case
            for (key, _), case in self.cases.items()
            if key == it["key"] and case["kind"] == kind
        ]

    def _open_case(
        self, it: Row, kind: str, waits_for: str, due_us: int | None, **more: Any
    ) -> tuple[RentalKey, int]:
        """Opens a case with the step just taken."""
        name = (it["key"], it["version"])
        row = {
            "kind": kind, "operator_id": it["operator_id"], "asked": 0, "open_us": self.now_us,
            "occurred_us": None, "state": "OPEN", "waits_for": waits_for, "due_us": due_us,
            "outcome": None, "granted": 0, "closed_by": "", "close_us": None, "close_version": 0,
            "evidence": (), **more,
        }  # fmt: skip
        self.put(self.cases, name, row)
        self.change(it, open_cases=(*it["open_cases"], name))
        return name

    def _tell(
        self, name: tuple[RentalKey, int], side: str, text: str, reference: str, now_us: int
    ) -> None:
        """Adds evidence; the operator's passes a complaint on to the platform."""
        case = self.cases[name]
        self.change(case, evidence=(*case["evidence"], (side, text, reference, now_us)))
        asked = case["kind"] in (*COMPLAINTS, "LATE_CLAIM") and case["waits_for"] == "OPERATOR"
        if asked and side == "OPERATOR":
            self.change(case, waits_for="PLATFORM", due_us=now_us + ANSWER_US)

    def _close_case(
        self,
        it: Row,
        name: tuple[RentalKey, int],
        outcome: str,
        close_us: int,
        granted: int,
        closed_by: str,
    ) -> None:
        """Closes a case with the step just taken."""
        self.change(
            self.cases[name],
            state="CLOSED",
            outcome=outcome,
            close_us=close_us,
            granted=granted,
            closed_by=closed_by,
            close_version=it["version"],
        )
        self.change(it, open_cases=tuple(one for one in it["open_cases"] if one != name))

    def _complain(self, caller: str, it: Row, command: c.OpenComplaint, now_us: int) -> Any:
        kind = str(command.complaint)
        dated = plain_stops.dated(it, kind, command.occurred_us)
        self._new_case(it, kind)
        amount = 0
        if dated and command.amount is not None:
            raise Refused("INVALID_INPUT")
        if command.amount is not None:
            amount = minor(command.amount)
            if amount == 0:
                raise Refused("INVALID_INPUT")
        at_us = plain_stops.time_us(it, command.occurred_us, now_us) if dated else None
        self.step(it, "case.opened", now_us)
        name = self._open_case(
            it, kind, "OPERATOR", now_us + ANSWER_US, asked=amount, occurred_us=at_us
        )
        self._tell(name, "USER", command.text, command.reference, now_us)
        return name

    def _known_case(self, caller: str, command: Any) -> tuple[RentalKey, int]:
        name = self.case_names.get((command.user_id, command.authorization_id, command.case_id))
        if name is None or caller not in (name[0][0], PLATFORM):
            raise Refused("CASE_NOT_FOUND")
        return name

    def _waiting_case(self, caller: str, command: Any, now_us: int) -> tuple[RentalKey, int]:
        """An open case whose own time is not over."""
        name = self._known_case(caller, command)
        case = self.cases[name]
        if case["state"] != "OPEN":
            raise Refused("CASE_CLOSED")
        if case["kind"] not in ("CLAIM", "DISPUTE") and case["due_us"] <= now_us:
            raise Refused("CASE_DECIDED_BY_TIME")
        return name

    def _add_evidence(self, caller: str, it: Row, command: c.AddEvidence, now_us: int) -> Any:
        name = self._waiting_case(caller, command, now_us)
        self.step(it, "case.evidence_added", now_us)
        self._tell(name, str(command.side), command.text, command.reference, now_us)
        return name

    def _resolve_case(self, caller: str, it: Row, command: c.ResolveCase, now_us: int) -> Any:
        name = self._waiting_case(caller, command, now_us)
        outcome, case = str(command.outcome), self.cases[name]
        if case["kind"] in ("CLAIM", "DISPUTE"):
            raise Refused("CASE_HAS_ITS_OWN_CALL")
        if outcome == "HANDLED" or (outcome == "IN_PART") != (command.amount is not None):
            raise Refused("INVALID_INPUT")
        if outcome == "FOR_OPERATOR" and caller != PLATFORM:
            raise Refused("NO_DECISION_IN_ONES_OWN_CASE")
        second = len(self._of_kind(it, case["kind"])) > 1
        if outcome == "IN_PART" and caller != PLATFORM and second:
            raise Refused("CASE_IS_THE_SECOND")
        amount: int | None = None
        if command.amount is not None:
            amount = minor(command.amount)
            within(amount, self.most_granted(it, case))
        elif outcome == "FOR_OPERATOR":
            amount = 0
        if command.reason:
            side = "PLATFORM" if caller == PLATFORM else "OPERATOR"
            self._tell(name, side, command.reason, "", now_us)
        granted = self._grant(it, case, amount, "case.decided", now_us, command)
        self._close_case(it, name, outcome, now_us, granted, caller)
        return name

    def _decide_case(self, command: c.DecideCase, now_us: int) -> tuple[Any, str, RentalKey | None]:
        """Time decides a case for the person."""
        name = self.case_names.get((command.user_id, command.authorization_id, command.case_id))
        if name is None:
            raise Refused("CASE_NOT_FOUND")
        it, case = self.rentals[name[0]], self.cases[name]
        self.bring_up(it, now_us)
        clocked = case["kind"] not in ("CLAIM", "DISPUTE")
        if case["state"] != "OPEN" or not clocked or case["due_us"] > now_us:
            raise Refused("NOTHING_TO_DO")
        at_us = case["due_us"]
        nobody = c.ReportFound(it["user_id"], "")
        granted = self._grant(it, case, None, "case.decided_by_time", at_us, nobody)
        self._close_case(it, name, "FOR_USER", at_us, granted, "")
        return ("case", dict(case)), it["user_id"], it["key"]

    def _grant(
        self, it: Row, case: Row, amount: int | None, name: str, event_us: int, command: Any
    ) -> int:
        """Gives back an amount, or what the case asks for; returns how much."""
        before = it["corrections"]
        if amount is None and case["kind"] == "LATE_CLAIM":
            usage = self.usage_back(it, case["occurred_us"])
            self._give_back(it, name, usage, event_us, command)
        elif amount is None and case["occurred_us"] is not None:
            plain_stops.stop(self, it, case["occurred_us"], (name, event_us), command)
        else:
            if amount is None:
                amount = self.most_granted(it, case)
            self._grant_amount(it, amount, name, event_us, command, case["kind"])
            self._lower_fee(it, name, event_us, command)
        rows = range(before + 1, it["corrections"] + 1)
        return sum(self.corrections[it["key"], number]["amount"] for number in rows)

    def _about(self, it: Row, kind: str) -> list[tuple[int, Row]]:
        """The captures that a case is about: of a damage charge all, of a rental by purpose."""
        about = None if it["parent_id"] else ABOUT.get(kind)
        return [one for one in self._of(it) if about in (None, one[1]["purpose"])]

    def most_granted(self, it: Row, case: Row) -> int:
        """The amount that a case can give back at most."""
        most = grantable(it)
        if not it["parent_id"] and case["kind"] in ABOUT:
            rows = [row for _, row in self._about(it, case["kind"])]
            undisputed = min(most - it["disputed"], sum(map(left, rows)))
            most = undisputed + sum(row["disputed"] for row in rows)
        return min(case["asked"] or most, most)

    def _grant_amount(
        self, it: Row, amount: int, name: str, event_us: int, command: Any, kind: str = ""
    ) -> None:
        """Of a debt without a hold, the unpaid part is dropped first."""
        unpaid = debt_due(it) + it["unheld_disputed"]
        dropped = min(amount, unpaid)
        of_dispute = max(0, dropped - debt_due(it))
        postings, new, parts = self._give(it, amount - dropped, self._about(it, kind))
        more: Row = {}
        if it["unheld"]:
            more["unheld_dropped"] = it["unheld_dropped"] + dropped
            more["unheld_disputed"] = it["unheld_disputed"] - of_dispute
        if dropped:
            postings = [("operator_deferred", "receivable_unheld", dropped), *postings]
            parts = [(0, dropped, 0, 0), *parts]
        self.step(it, name, event_us, *postings, **new, **more)
        self._correct(it, command, (name, event_us), *parts)
        bank.found(self, it)

    def _concede(self, after: Row, amount: int, against: str) -> list[Posting]:
        """The operator concedes an amount and gets the commission on it back."""
        after["conceded"] += amount
        before, after["fee"] = (
            after["fee"],
            share(after["captured"] - after["conceded"], after["fee_bp"]),
        )
        back = before - after["fee"]
        return [("operator_payable", against, amount - back), ("fee_income", against, back)]

    # -- collection --------------------------------------------------------------------------

    def _ask_about(self, caller: str, command: Any, refusal: str) -> None:
        """The second use of a payment reference leaves a case for the platform."""
        case = second_use(caller, command, refusal, self.payments, self.transfers)
        if case is not None:
            user_id, name, operator, first = case
            money = command.paid if hasattr(command, "paid") else command.amount
            asked = (operator, money.currency, money.amount_minor)
            same = self.second_uses.setdefault((user_id, name, first), [])
            if not any(map(plain_questions.is_open, same)):
                same.append(plain_questions.new(1, asked=asked))

    def _new_payment(self, caller: str, command: Any) -> Key:
        return counted_once(caller, command, self.payments, self.transfers)

    def _record(
        self,
        counted: Key,
        kind: str,
        user_id: str,
        amount: int,
        it: Row | None = None,
    ) -> None:
        key = it["key"] if it is not None else None
        row = {"kind": kind, "user_id": user_id, "key": key, "amount": amount}
        self.put(self.payments, counted, row)

    def _paid(self, caller: str, it: Row, command: Any, kind: str, *states: str) -> int:
        counted = self._new_payment(caller, command)
        amount = minor(command.amount)
        if amount == 0:
            raise Refused("INVALID_INPUT")
        if kind != "PAYMENT" or it["overpaid"] == it["overpaid_written_off"] == 0:
            required(it, *states)
        user_id = it["user_id"]
        self._record(counted, kind, user_id, amount, it)
        return amount

    def _record_payment(self, caller: str, it: Row, command: Any, now_us: int) -> None:
        self._pay(it, self._paid(caller, it, command, "PAYMENT", *CHARGED), now_us)

    # -- debts without a hold ----------------------------------------------------------------

    def _book_debt(self, caller: str, rental: Row, command: c.BookDebt, now_us: int) -> RentalKey:
        """Books what an operator claims for a rental: nothing is held, and nothing is owed to the
        operator before the person pays."""
        if caller == PLATFORM:
            raise Refused("AUTHORIZATION_NOT_FOUND")
        required(rental, "SETTLED", "REVERSED")
        if rental["start_us"] is None:
            raise Refused("PARENT_NEVER_OUT")
        name = (rental["key"], command.business_reference)
        if name in self.debts:
            raise Refused("BUSINESS_REFERENCE_REUSED")
        self._refer(rental, command.business_reference)
        amount = minor(command.amount)
        within(amount, rental["terms"]["deposit"])
        self._within_damage(rental["key"], amount, command.user_consent_reference, now_us)
        key = (caller, self.request_id, 0)
        it = {
            **EMPTY,
            "key": key, "user_id": rental["user_id"], "operator_id": caller,
            "request_id": self.request_id, "product_id": rental["product_id"],
            **{name: rental[name] for name in OF_TERMS},
            "parent_id": command.authorization_id, "asset_id": rental["asset_id"],
            "start": "IMMEDIATE", "accept_offers": (), "offer": None, "reasons": (), "band": "",
            "model_id": "", "fee_bp": rental["fee_bp"], "create_us": now_us, "state": "SETTLED",
            "credit": amount, "cash": 0, "close_us": now_us, "pickup_window_us": 0,
            "rental_period_us": 0, "refund_after_us": rental["terms"]["refund"],
            "unheld": amount, "unheld_until_us": now_us + rental["terms"]["debt_us"],
        }  # fmt: skip
        self.put(self.groups, key[:2], [key])
        self.put(self.rentals, key, it)
        row = {
            "user_id": rental["user_id"], "key": key, "amount": amount,
            "evidence": command.evidence, "consent": command.user_consent_reference,
        }  # fmt: skip
        self.put(self.debts, name, row)
        booked = ("receivable_unheld", "operator_deferred", amount)
        self.step(it, "collection.debt_booked", now_us, booked)
        return key

    def _debt_paid(self, it: Row, paid: int) -> tuple[list[Posting], Row]:
        """The operator is owed a paid part of a debt, less the commission on all that is paid."""
        fee_after = share(it["captured"] - it["conceded"] + paid, it["fee_bp"])
        commission = fee_after - it["fee"]
        new = {
            "paid": it["paid"] + paid, "captured": it["captured"] + paid,
            "captured_credit": it["captured_credit"] + paid, "fee": fee_after,
        }  # fmt: skip
        return [
            ("operator_deferred", "operator_payable", paid - commission),
            ("operator_deferred", "fee_income", commission),
        ], new

    def _drop(self, it: Row, name: str, amount: int, event_us: int, **new: Any) -> None:
        """Nobody owes a part of a debt any more."""
        dropped = ("operator_deferred", "receivable_unheld", amount)
        gone = it["unheld_dropped"] + amount
        self.step(it, f"collection.{name}", event_us, dropped, **new, unheld_dropped=gone)

    def _pay(self, it: Row, amount: int, now_us: int, source: str = "cash") -> None:
        """Pays what is due, was written off, or was got twice; the rest is owed back."""
        if it["unheld"]:
            paid = min(amount, debt_due(it))
            twice = min(amount - paid, it["overpaid"])
            rest = amount - paid - twice
            earned, new = self._debt_paid(it, paid)
            self.step(
                it,
                "collection.payment_recorded",
                now_us,
                (source, "receivable_unheld", paid),
                *earned,
                (source, "overpaid", twice),
                (source, "refund_payable", rest),
                **new,
                overpaid=it["overpaid"] - twice,
                refund_payable=it["refund_payable"] + rest,
                received=it["received"] + amount,
            )
            return
        if it["captured_credit"] == it["overpaid"] == it["overpaid_written_off"] == 0:
            raise Refused("NOTHING_DUE")
        paid = min(amount, due(it))
        recovered = min(amount - paid, unrecovered(it))
        twice = min(amount - paid - recovered, it["overpaid"])
        rest = amount - paid - recovered - twice
        self.step(
            it,
            "collection.payment_recorded",
            now_us,
            (source, "receivable", paid),
            ("available", "drawn", paid),
            (source, "recovery", recovered),
            (source, "overpaid", twice),
            (source, "refund_payable", rest),
            paid=it["paid"] + paid,
            recovered=it["recovered"] + recovered,
            overpaid=it["overpaid"] - twice,
            refund_payable=it["refund_payable"] + rest,
            received=it["received"] + amount,
        )

    def _paid_elsewhere(self, caller: str, it: Row, command: Any, now_us: int) -> None:
        amount = self._paid(caller, it, command, "ELSEWHERE", *CHARGED)
        within(amount, asked(it) + it["paid"] - it["elsewhere"])
        if it["unheld"]:
            paid = min(amount, debt_due(it))
            earned, new = self._debt_paid(it, paid)
            self.step(
                it,
                "collection.paid_elsewhere",
                now_us,
                ("operator_payable", "receivable_unheld", paid),
                *earned,
                ("operator_payable", "refund_payable", amount - paid),
                **new,
                refund_payable=it["refund_payable"] + amount - paid,
                elsewhere=it["elsewhere"] + amount,
            )
            return
        paid = min(amount, due(it))
        recovered = min(amount - paid, unrecovered(it))
        # The person had paid it by the rail: the operator owes it to Freehold, and Freehold to the
        # person.
        rest = amount - paid - recovered
        self.step(
            it,
            "collection.paid_elsewhere",
            now_us,
            ("operator_payable", "receivable", paid),
            ("available", "drawn", paid),
            ("operator_payable", "recovery", recovered),
            ("operator_payable", "refund_payable", rest),
            paid=it["paid"] + paid,
            recovered=it["recovered"] + recovered,
            refund_payable=it["refund_payable"] + rest,
            elsewhere=it["elsewhere"] + amount,
        )

    def _lower(self, caller: str, it: Row, command: c.LowerCharge, now_us: int) -> None:
        self._refer(it, command.business_reference)
        amount = minor(command.amount)
        required(it, *CHARGED)
        within(amount, asked(it))
        cited = self._cited(it, amount, command.capture)
        if it["unheld"]:
            self._drop(it, "lowered", amount, now_us)
            self._correct(it, command, ("collection.lowered", now_us), (0, amount, 0, 0))
            return
        after = dict(it)
        self.step(
            it,
            "collection.lowered",
            now_us,
            *self._concede(after, amount, "receivable"),
            ("available", "drawn", amount),
            conceded=after["conceded"],
            fee=after["fee"],
            lowered=it["lowered"] + amount,
        )
        parts = [(number, share, share, 0) for number, share in cited]
        self._correct(it, command, ("collection.lowered", now_us), *parts)

    def _forgive(self, caller: str, it: Row, command: c.ForgiveCharge, now_us: int) -> None:
        required(it, *CHARGED)
        amount = due(it)
        if amount == 0:
            raise Refused("NOTHING_DUE")
        self.step(
            it,
            "collection.charge_forgiven",
            now_us,
            ("goodwill", "receivable", amount),
            ("available", "drawn", amount),
            lowered=it["lowered"] + amount,
        )
        self._correct(it, command, ("collection.charge_forgiven", now_us), (0, amount, 0, 0))

    def _refund(self, caller: str, it: Row, command: c.RefundCharge, now_us: int) -> None:
        self._refer(it, command.business_reference)
        amount = minor(command.amount)
        required(it, *CHARGED)
        within(amount, refundable(it))
        cited = self._cited(it, amount, command.capture)
        after = dict(it)
        self.step(
            it,
            "collection.refunded",
            now_us,
            *self._concede(after, amount, "refund_payable"),
            conceded=after["conceded"],
            fee=after["fee"],
            refunded=it["refunded"] + amount,
            refund_payable=it["refund_payable"] + amount,
        )
        parts = [(number, share, share, 0) for number, share in cited]
        self._correct(it, command, ("collection.refunded", now_us), *parts)

    def _pay_out(self, caller: str, it: Row, command: c.PayOutRefund, now_us: int) -> None:
        amount = minor(command.amount)
        if it["state"] in ("REVIEW", "OFFERED"):
            raise Refused("ILLEGAL_TRANSITION")
        within(amount, payable_out(it))
        self.change(it, refund_tries=0)
        self._send_back(it, "collection.paid_out", amount, now_us, now_us)

    def _send_back(self, it: Row, name: str, amount: int, at_us: int, now_us: int) -> None:
        self.step(
            it,
            name,
            at_us,
            ("refund_payable", "cash", amount),
            refund_payable=it["refund_payable"] - amount,
            paid_out=it["paid_out"] + amount,
        )
        self._order(it, "PAYOUT", amount, now_us)

    def _refund_by_time(self, it: Row, at_us: int, now_us: int) -> None:
        """Pays what is still due with money owed back, and sends the rest to the person."""
        own = min(payable_out(it), asked(it))
        if own == 0:
            name = "collection.paid_out_by_time"
            self._send_back(it, name, payable_out(it), at_us, now_us)
            return
        if it["unheld"]:
            earned, new = self._debt_paid(it, own)
            paid = ("refund_payable", "receivable_unheld", own)
            owed = it["refund_payable"] - own
            self.step(it, "collection.set_off", at_us, paid, *earned, **new, refund_payable=owed)
            return
        self.step(
            it,
            "collection.set_off",
            at_us,
            ("refund_payable", "receivable", own),
            ("available", "drawn", own),
            refund_payable=it["refund_payable"] - own,
            paid=it["paid"] + own,
        )

    def _order(self, it: Row, kind: str, amount: int, now_us: int) -> None:
        """Requests a transfer of the payment rail."""
        row = {
            "user_id": it["user_id"], "key": it["key"], "kind": kind, "amount": amount,
            "state": "REQUESTED", "detail": "", "request_us": now_us, "change_us": now_us,
            "earlier": (None, None, None),
        }  # fmt: skip
        self.ordered.append(row)

    def _report_transfer(
        self, command: c.ReportTransfer, now_us: int
    ) -> tuple[Any, str, RentalKey | None]:
        transfer = self.transfers.get((command.user_id, command.transfer_id))
        if transfer is None:
            raise Refused("TRANSFER_NOT_FOUND")
        said, was = str(command.state), transfer["state"]
        if said == "RETURNED" and transfer["kind"] == "DEBIT":
            raise Refused("DEBIT_NOT_RETURNED")
        ended = was not in ("REQUESTED", "SENT")
        debit = transfer["kind"] == "DEBIT"
        late = was in ("FAILED", "CANCELLED") and said == "SUCCEEDED"
        if late:
            self.change(transfer, earlier=(was, transfer["detail"], transfer["change_us"]))
        if late or (was, said) == ("SUCCEEDED", "RETURNED"):
            ended = False
        # Allowed after the end: an earlier result, or one that the present state implies.
        known = ("SENT", was, transfer["earlier"][0])
        implied = (("CANCELLED", "FAILED"), ("RETURNED", "SUCCEEDED"))
        if ended and said not in known and (was, said) not in implied:
            raise Refused("TRANSFER_ENDED")
        if not ended:
            first = transfer["state"] == "REQUESTED"
            self.change(transfer, state=said, detail=command.detail, change_us=now_us)
            if late and debit:
                self._succeeds_late(command.transfer_id, transfer, now_us)
            elif late:
                self._goes_out_late(transfer, now_us)
            elif said != "SENT":
                self._ended(command.transfer_id, transfer, now_us)
            elif first and debit:
                self._sent(transfer, now_us)
        return ("transfer", dict(transfer)), command.user_id, transfer["key"]

    def _succeeds_late(self, transfer_id: str, transfer: Row, now_us: int) -> None:
        """The debit succeeded late. A later debit that was not handed in, and asks for more than is
        left, is cancelled."""
        it = self.rentals[transfer["key"]]
        self.bring_up(it, now_us)
        self._pay(it, transfer["amount"], now_us)
        name = f"transfers/{transfer_id}"
        self._record((PLATFORM, name), "PAYMENT", it["user_id"], transfer["amount"], it)
        self._cancel_debits(it, now_us)

    def _cancel_debits(self, it: Row, now_us: int) -> None:
        """Cancels a debit that was not handed in and asks for more than is due."""
        for other in (*self.transfers.values(), *self.ordered):
            same = other["key"] == it["key"] and other["kind"] == "DEBIT"
            if same and other["state"] == "REQUESTED" and other["amount"] > asked(it):
                self.change(other, state="CANCELLED", change_us=now_us)
                self.step(it, "collection.debit_cancelled", now_us, debiting=0)

    def _goes_out_late(self, transfer: Row, now_us: int) -> None:
        """The payout succeeded late. Payouts not handed in are cancelled, the newest first, until
        enough is owed; if less is owed, the difference went out twice."""
        it, amount = self.rentals[transfer["key"]], transfer["amount"]
        self.bring_up(it, now_us)
        self._cancel_payouts(it, lambda: it["refund_payable"] >= amount, now_us)
        owed = min(amount, it["refund_payable"])
        self.step(
            it,
            "collection.payout_succeeded_late",
            now_us,
            ("refund_payable", "cash", owed),
            ("overpaid", "cash", amount - owed),
            refund_payable=it["refund_payable"] - owed,
            overpaid=it["overpaid"] + amount - owed,
            paid_out=it["paid_out"] + amount,
        )

    def _cancel_payouts(self, it: Row, enough: Callable[[], bool], now_us: int) -> None:
        """Cancels payouts that were not handed in, the newest first, until enough is owed back."""
        newest = [*self.ordered[::-1], *(row for _, row in sorted(self.transfers.items())[::-1])]
        for other in newest:
            same = other["key"] == it["key"] and other["kind"] == "PAYOUT"
            if same and other["state"] == "REQUESTED" and not enough():
                self.change(other, state="CANCELLED", change_us=now_us)
                self._owed_again(it, other["amount"], "cancelled", now_us)

    def _owed_again(self, it: Row, amount: int, end: str, now_us: int) -> None:
        """A payout that did not reach the person."""
        tried: Row = {}
        if end != "cancelled":
            tried = {"refund_since_us": now_us, "refund_tries": it["refund_tries"] + 1}
        self.step(
            it,
            f"collection.payout_{end}",
            now_us,
            ("cash", "refund_payable", amount),
            refund_payable=it["refund_payable"] + amount,
            paid_out=it["paid_out"] - amount,
            **tried,
        )

    def _sent(self, transfer: Row, now_us: int) -> None:
        """Cancels a debit of more than is due."""
        it = self.rentals[transfer["key"]]
        self.bring_up(it, now_us)
        if asked(it) < transfer["amount"]:
            self.change(transfer, state="CANCELLED")
            self.step(it, "collection.debit_cancelled", now_us, debiting=0)

    def _ended(self, transfer_id: str, transfer: Row, now_us: int) -> None:
        """A debit that succeeded is a payment; a payout that failed or returned is owed again."""
        it, amount = self.rentals[transfer["key"]], transfer["amount"]
        self.bring_up(it, now_us)
        if transfer["kind"] == "DEBIT":
            self.change(it, debiting=0)
            if transfer["state"] == "SUCCEEDED":
                self._pay(it, amount, now_us)
                name = f"transfers/{transfer_id}"
                self._record((PLATFORM, name), "PAYMENT", it["user_id"], amount, it)
            else:
                self.step(it, "collection.debit_failed", now_us)
        elif transfer["state"] in ("FAILED", "RETURNED"):
            self._owed_again(it, amount, transfer["state"].lower(), now_us)

    def _open_dispute(self, caller: str, it: Row, command: c.OpenDispute, now_us: int) -> None:
        amount = minor(command.amount)
        required(it, *CHARGED)
        within(amount, asked(it))
        cited = self._cited(it, amount, command.capture)
        if it["unheld"]:
            disputed = it["unheld_disputed"] + amount
            self.step(it, "collection.dispute_opened", now_us, unheld_disputed=disputed)
            self._correct(it, command, ("collection.dispute_opened", now_us), (0, amount, 0, 0))
            self._dispute_case(it, amount, command.reason, now_us)
            return
        self.step(
            it,
            "collection.dispute_opened",
            now_us,
            ("receivable_disputed", "receivable", amount),
            disputed=it["disputed"] + amount,
        )
        parts = [(number, share, 0, share) for number, share in cited]
        self._correct(it, command, ("collection.dispute_opened", now_us), *parts)
        self._dispute_case(it, amount, command.reason, now_us)

    def _dispute_case(self, it: Row, amount: int, reason: str, now_us: int) -> None:
        """Opens a case for the dispute, or adds it to the open one."""
        name = next((one for one in it["open_cases"] if self.cases[one]["kind"] == "DISPUTE"), None)
        if name is None:
            name = self._open_case(it, "DISPUTE", "PLATFORM", None, asked=amount)
        else:
            self.change(self.cases[name], asked=self.cases[name]["asked"] + amount)
        self._tell(name, "USER", reason, "", now_us)

    def _resolve_dispute(self, caller: str, it: Row, command: Any, now_us: int) -> None:
        required(it, *CHARGED)
        amount, after = it["disputed"] + it["unheld_disputed"], dict(it)
        if amount == 0:
            raise Refused("NOTHING_DISPUTED")
        if it["unheld"]:
            name = "dispute_won" if command.user_won else "dispute_lost"
            if not command.user_won:
                until_us = max(it["unheld_until_us"], now_us + AFTER_DISPUTE_US)
                new = {"unheld_disputed": 0, "unheld_until_us": until_us}
                self.step(it, "collection.dispute_lost", now_us, **new)
            elif command.goodwill:
                raise Refused("NO_GOODWILL_FOR_A_DEBT")
            else:
                self._drop(it, "dispute_won", amount, now_us, unheld_disputed=0)
            self._correct(it, command, (f"collection.{name}", now_us), (0, amount, 0, 0))
            return
        gives_up = command.user_won and not command.goodwill
        parts = [
            (number, row["disputed"], row["disputed"] if gives_up else 0, -row["disputed"])
            for number, row in self._of(it)
            if row["disputed"]
        ]
        if not command.user_won:
            back = ("receivable", "receivable_disputed", amount)
            self.step(it, "collection.dispute_lost", now_us, back, disputed=0)
            self._correct(it, command, ("collection.dispute_lost", now_us), *parts)
            return
        self.step(
            it,
            "collection.dispute_won",
            now_us,
            *self._borne(after, command.goodwill, amount, "receivable_disputed"),
            ("available", "drawn", amount),
            disputed=0,
            lowered=it["lowered"] + amount,
            conceded=after["conceded"],
            fee=after["fee"],
        )
        self._correct(it, command, ("collection.dispute_won", now_us), *parts)

    def _borne(self, after: Row, goodwill: bool, amount: int, against: str) -> list[Posting]:
        """Freehold or the operator bears an amount that the person need not pay."""
        if goodwill:
            return [("goodwill", against, amount)]
        return self._concede(after, amount, against)

    def _provision(self, caller: str, it: Row, command: c.SetProvision, now_us: int) -> None:
        amount = minor(command.amount)
        required(it, "SETTLED")
        if not it["written_off"] <= amount <= it["written_off"] + due(it) + it["disputed"]:
            raise Refused("INVALID_INPUT")
        more = amount - it["provisioned"]
        self.step(
            it,
            "collection.provisioned",
            now_us,
            ("credit_loss", "allowance", max(0, more)),
            ("allowance", "credit_loss", max(0, -more)),
            provisioned=amount,
        )

    def _propose(self, caller: str, it: Row, command: c.ProposeWriteOff, now_us: int) -> None:
        amount = self._only_overpaid(it)
        if not amount:
            required(it, "SETTLED")
            amount = due(it)
        if amount == 0:
            raise Refused("NOTHING_DUE")
        new: Row = {"write_off_by": command.by, "write_off": amount}
        self.step(it, "collection.write_off_proposed", now_us, **new)

    def _only_overpaid(self, it: Row) -> int:
        """The overpaid amount of a closed rental that owes nothing else."""
        closed = it["state"] in (*ENDED, "SETTLED") and due(it) == it["disputed"] == 0
        return int(it["overpaid"]) if closed else 0

    def _approve(self, caller: str, it: Row, command: c.ApproveWriteOff, now_us: int) -> None:
        if not self._only_overpaid(it):
            required(it, "SETTLED")
        if not it["write_off_by"]:
            raise Refused("NOT_PROPOSED")
        if it["write_off_by"] == command.by:
            raise Refused("SECOND_PERSON_NEEDED")
        if self._only_overpaid(it):
            amount = min(it["write_off"], it["overpaid"])
            self.step(
                it,
                "collection.overpaid_written_off",
                now_us,
                ("credit_loss", "allowance", amount),
                ("allowance", "overpaid", amount),
                overpaid=it["overpaid"] - amount,
                overpaid_written_off=it["overpaid_written_off"] + amount,
                write_off_by="",
                write_off=0,
            )
            return
        amount = min(it["write_off"], due(it))
        missing = max(0, it["written_off"] + amount - it["provisioned"])
        self.step(
            it,
            "collection.written_off",
            now_us,
            ("credit_loss", "allowance", missing),
            ("allowance", "receivable", amount),
            ("limit_control", "drawn", amount),
            written_off=it["written_off"] + amount,
            provisioned=it["provisioned"] + missing,
            write_off_by="",
            write_off=0,
        )
        self.change(self.line(it["user_id"]), fixed=True)

    # -- timers ------------------------------------------------------------------------------

    def waking(self, now_us: int) -> list[RentalKey]:
        """The rentals with a step that is due."""
        return [
            key
            for key, it in self.rentals.items()
            if it["wake_us"] is not None and it["wake_us"] <= now_us
        ]

    def _wake(self, command: c.Wake, now_us: int) -> tuple[Any, str, RentalKey | None]:
        key = self.names.get((command.user_id, command.authorization_id))
        if key is None:
            raise Refused("AUTHORIZATION_NOT_FOUND")
        it = self.rentals[key]
        version = it["version"]
        self.bring_up(it, now_us)
        if it["version"] == version:
            raise Refused("NOTHING_TO_DO")
        return ("authorization", dict(it)), command.user_id, key

    def bring_up(self, it: Row, now_us: int) -> None:
        """Takes all steps that are due, each dated at its instant."""
        self.now_us = now_us
        while (at_us := wake(it)) is not None and at_us <= now_us:
            state, events = it["state"], len(self.events)
            self._pass(it, at_us, now_us)
            for *_, transition, event_us in self.events[events:]:
                kind = transition.rpartition(".")[2].upper()
                if kind == "EXPIRED":
                    kind = EXPIRED[state]
                if kind in TIMED:
                    row = (kind, transition, event_us)
                    self.put(self.lapses, (it["key"], it["version"]), row)

    def _pass(self, it: Row, at_us: int, now_us: int) -> None:
        state = it["state"]
        if refund_time(it) == at_us:
            self._refund_by_time(it, at_us, now_us)
        elif (
            state == "AUTHORIZED"
            and (cost := ordered(it, waited(it, at_us)))
            and it["held_credit"] + it["held_cash"]
        ):
            self._end_reservation(it, "expired", cost, at_us)
        elif state in LAPSING:
            self._close(it, "authorization.expired", at_us, at_us, state="EXPIRED")
        elif it["parent_id"] and state == "ACTIVE":
            # Earlier captures stay.
            end = "SETTLED" if it["captured"] else "EXPIRED"
            self._close(it, "authorization.expired", at_us, at_us, state=end)
        elif state == "ACTIVE":
            self.step(it, "authorization.overdue", at_us, state="OVERDUE")
        elif state == "OVERDUE":
            self._lose(it, at_us)
        elif state == "RETURN_CLAIMED":
            held = it["held_credit"] + it["held_cash"]
            usage, quota = self._usage(it, at_us), self._quota(it, at_us)
            amount = max(0, min(usage - self._fees(it), held))
            postings, new = self._capture(it, amount, wanted=usage)
            name = "authorization.claim_accepted"
            self._close(it, name, at_us, at_us, *postings, **new, state="SETTLED")
            self._captured(it, amount, at_us)
            self._book_fee(it)
            self._use_minutes(it, *quota)
        elif it["custody"] == "MISSING" and it["sold_us"] == at_us:
            self.step(it, "authorization.sold", at_us, custody="SOLD")
        elif it["custody"] == "UNKNOWN" and it["claim_until_us"] == at_us:
            most = min(self.usage_back(it, at_us), day_most(it))
            nobody = c.ReportFound(it["user_id"], "")
            self._give_back(it, "authorization.return_presumed", most, at_us, nobody)
        elif it["unheld"] and at_us == it["unheld_until_us"] and not it["debiting"]:
            self._drop(it, "debt_dropped", debt_due(it), at_us)
        else:
            self._climb(it, now_us)

    def _climb(self, it: Row, now_us: int) -> None:
        """Takes the next due dunning step; of debits and reminders only the last is due."""
        passed = [place for place, (us, _) in enumerate(LADDER) if it["close_us"] + us <= now_us]
        last = {LADDER[place][1]: place for place in passed}
        for place in passed:
            us, kind = LADDER[place]
            if place < it["rung"] or (kind != "range" and last[kind] != place):
                continue
            if kind == "debit" and it["debiting"]:
                self.step(it, "collection.debit_awaited", it["close_us"] + us, rung=place + 1)
                return
            days = us // DAY_US
            name = RUNGS.get(kind, f"collection.due_{days}_day{'s' if days > 1 else ''}")
            new: Row = {"debiting": asked(it)} if kind == "debit" else {}
            self.step(it, name, it["close_us"] + us, rung=place + 1, **new)
            if kind == "debit":
                self._order(it, "DEBIT", it["debiting"], now_us)
            return


ATTESTING = (c.PauseRental, c.ResumeRental, c.WaiveFee)
CORRECTING = (
    *(c.LowerCharge, c.RefundCharge, c.ReportFound, c.ForgiveCharge),
    *(c.OpenDispute, c.ResolveDispute, c.ResolveChargeBack),
)
Rule = Callable[[Reference, str, Row, Any, int], Any]
RULES: dict[type[calls.AuthorizationCommand], Rule] = {
    c.BookDebt: Reference._book_debt,
    c.PauseRental: pause,
    c.ResumeRental: resume,
    c.WaiveFee: waive,
    c.Confirm: Reference._confirm,
    c.ResolveReview: Reference._resolve_review,
    c.StartRental: Reference._start,
    c.Increment: Reference._increment,
    c.Decrease: Reference._decrease,
    c.Extend: Reference._extend,
    c.Settle: Reference._settle,
    c.Reverse: Reference._reverse,
    c.ClaimReturn: Reference._claim,
    c.ContestReturn: Reference._contest,
    c.ReportLost: Reference._report_lost,
    c.ReportFound: Reference._report_found,
    c.RecordPayment: Reference._record_payment,
    c.RecordPaidElsewhere: Reference._paid_elsewhere,
    c.LowerCharge: Reference._lower,
    c.ForgiveCharge: Reference._forgive,
    c.RefundCharge: Reference._refund,
    c.PayOutRefund: Reference._pay_out,
    c.OpenDispute: Reference._open_dispute,
    c.ResolveDispute: Reference._resolve_dispute,
    c.RecordChargeBack: bank.charge_back,
    c.ResolveChargeBack: bank.resolve,
    c.SetProvision: Reference._provision,
    c.ProposeWriteOff: Reference._propose,
    c.ApproveWriteOff: Reference._approve,
    c.OpenComplaint: Reference._complain,
    c.AddEvidence: Reference._add_evidence,
    c.ResolveCase: Reference._resolve_case,
}
