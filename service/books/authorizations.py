"""Checks the authorizations of a portion against their entries, states and times.

The rules of an authorization are stated here a second time, for columns of many rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from service.books import expectations as e
from service.books.columns import Columns, Maybe
from service.books.faults import Array, Faults, Place
from service.books.order_fees import wrong_order_fees
from service.books.portion import (
    ACCOUNTS,
    CUSTODIES,
    MISSING,
    NONE,
    STATES,
    TRANSITIONS,
    Portion,
    Stage,
)
from service.books.replay import Replay
from service.books.texts import empty
from service.domain.access import PLATFORM
from service.domain.authorization import (
    CHARGED,
    CLOSED,
    HOLDING,
    LAPSING,
    Custody,
    State,
)
from service.domain.dunning import LADDER
from service.domain.ledger import Account, operator_account
from service.domain.refunds import PAUSES_US
from service.domain.suspense import RAIL_ACCOUNT
from service.domain.transitions import Transition as T
from service.engine.records.payments import PaymentKind

_TRANSITIONS, _ACCOUNT_NAMES = list(T), list(ACCOUNTS)
_PLACES: Final = len(e.PLACES)


def _effects() -> tuple[Array, Array, Array]:
    """The number of the effect of each combination of transition, debit and credit; -1 if there is
    no effect.

    Also, for each effect, the changed places and their signs, padded with changes of 0.
    """
    found = [(t, d, c, it) for t, all_of in e.EFFECTS.items() for (d, c), it in all_of.items()]
    effects = sorted({it for *_, it in found})
    longest = max(map(len, effects))
    numbers = np.full((len(T), len(Account), len(Account)), -1, dtype=np.int64)
    for transition, debit, credit, effect in found:
        at = (TRANSITIONS[transition], ACCOUNTS[debit], ACCOUNTS[credit])
        numbers[at] = effects.index(effect)
    filled = [it + ((0, 0),) * (longest - len(it)) for it in effects]
    table = np.array(filled, dtype=np.int64)
    return numbers, table[:, :, 0].T.copy(), table[:, :, 1].T.copy()


_EFFECT, _CHANGED, _SIGNS = _effects()
_SET_OFF = [
    _EFFECT[TRANSITIONS[T.PAYOUT_RETURNED], ACCOUNTS[debit], ACCOUNTS[credit]]
    for debit, credit in e.SET_OFF
]


def of_states(states: frozenset[State] | set[State]) -> Array:
    """For the code of each state, whether the state is one of these."""
    return np.array([state in states for state in State], dtype=bool)


def of_transitions(transitions: Any) -> Array:
    """For the code of each transition, whether the transition is one of these."""
    return np.array([transition in transitions for transition in T], dtype=bool)


_HOLDS, _CHARGED, _CLOSED = of_states(HOLDING), of_states(CHARGED), of_states(CLOSED)
_LAPSES, _STARTED = of_states(LAPSING), of_states(e.STARTED)
_CUSTODY_FITS = np.array(
    [
        [custody in e.CUSTODIES.get(state, {Custody.IN_STATION}) for custody in Custody]
        for state in State
    ],
    dtype=bool,
)
_PAYOUT = of_transitions(e.PAYOUTS)
_WRITTEN_OFF = TRANSITIONS[T.WRITTEN_OFF]
_OPERATOR_PAYABLE = ACCOUNTS[Account.OPERATOR_PAYABLE]
_RUNG_US = np.array([step.after_us for step in LADDER], dtype=np.int64)
_PAUSE_US = np.array([0, *PAUSES_US], dtype=np.int64)


class Attribution:
    """The amounts moved by the entries of a portion, by authorization and by operator."""

    def __init__(self, portion: Portion, replay: Replay) -> None:
        self._portion, self._replay = portion, replay
        self.named, self._others = portion.owners()
        """The authorization that each entry names: its place, NONE or MISSING."""
        self.amounts = np.zeros((portion.authorizations.count, _PLACES), dtype=np.int64)
        """Amounts by authorization and by PLACES."""
        self.payouts: Counter[tuple[int, str, int]] = Counter()
        """Counts of payouts and failed payouts, by authorization, flow and amount."""
        self.operators_own: Counter[tuple[int, PaymentKind, str]] = Counter()
        self.written_off: set[int] = set()
        """People with a write-off."""
        self._effect = np.zeros(0, dtype=np.int64)
        """The number of each entry's effect."""

    def flow(self, name: str) -> Array:
        """The moved amount of each authorization, for a name in PLACES."""
        return self.amounts[:, e.PLACES[name]]

    def changes(self, name: str) -> Counter[tuple[int, int, int]]:
        """The changes of an amount, by authorization, transition and instant."""
        found: Counter[tuple[int, int, int]] = Counter()
        if not len(self._effect):
            return found
        it, effect, named = self._portion.entries, self._effect, self.named
        changes = ((e.PLACES[name] == _CHANGED) * _SIGNS).sum(axis=0)
        some = np.flatnonzero((named >= 0) & (effect >= 0) & (changes[effect] != 0))
        columns = (named, it["transition"], it["event_us"], changes[effect] * it["amount_minor"])
        for *key, minor in zip(*(column[some].tolist() for column in columns), strict=True):
            found[key[0], key[1], key[2]] += minor
        return found

    def add(self, payable: Counter[tuple[str, str]]) -> None:
        """Adds up the entries, and notes entries that do not belong to their authorizations."""
        it, named, portion = self._portion.entries, self.named, self._portion
        if not it.count:
            return
        amount, transition = it["amount_minor"], it["transition"]
        effect = self._effect = _EFFECT[transition, it["debit"], it["credit"]]
        self._check(effect)
        known = np.flatnonzero((named >= 0) & (effect >= 0))
        self.amounts = np.zeros(self.amounts.shape, dtype=amount.dtype)
        whole = self.amounts.ravel()
        base, of = named[known] * _PLACES, effect[known]
        for changed, signs in zip(_CHANGED, _SIGNS, strict=True):
            sign = signs[of]
            some = np.flatnonzero(sign)
            np.add.at(whole, (base + changed[of])[some], (sign * amount[known])[some])
        self._add_payouts(effect)
        off = (transition == _WRITTEN_OFF) & (named >= 0)
        self.written_off.update(portion.line_person[portion.entry_line[off]].tolist())
        self._add_payable(payable)

    def carry_over(self) -> None:
        """Takes the deposits that late pick-ups took over from their reservations."""
        rows = self._portion.late_pickups
        named = self._portion.authorizations_named(rows)
        known = np.flatnonzero(named >= 0)
        for name in e.CARRIED:
            amounts = self.amounts[:, e.PLACES[name]]
            np.subtract.at(amounts, named[known], rows["deposit_minor"][known])

    def _add_payouts(self, effect: Array) -> None:
        """Counts the payouts; entries of one transaction with the same flow are one payout."""
        it, named = self._portion.entries, self.named
        counts = (_PAYOUT[it["transition"]]) & (named >= 0) & ~np.isin(effect, _SET_OFF)
        moved: Counter[tuple[int, str, int, int]] = Counter()
        for index in np.flatnonzero(counts):
            flow = e.PAYOUTS[_TRANSITIONS[it["transition"][index]]]
            of, line = int(named[index]), int(self._portion.entry_line[index])
            together = int(it["transaction_sequence"][index])
            moved[of, flow, line, together] += int(it["amount_minor"][index])
        for (of, flow, _, _), amount_minor in moved.items():
            self.payouts[of, flow, amount_minor] += 1

    def _check(self, effect: Array) -> None:
        it, named, note = self._portion.entries, self.named, self._replay.note
        authorizations = self._portion.authorizations
        note(13, "ENTRY_WITHOUT_AUTHORIZATION", named == MISSING, "the authorization is missing")
        lines = self._portion.lines_of
        keys = zip(authorizations["user_id"], authorizations["currency"], strict=True)
        line = {key: place for place, key in enumerate(lines)}
        kept = np.array([*(line.get(key, MISSING) for key in keys), MISSING, MISSING])
        others = self._others | ((named >= 0) & (kept[named] != self._portion.entry_line))
        note(
            14, "ENTRY_OF_ANOTHER", others,
            lambda i: f"{self._portion.authorization_name(named[i])}"
            " has another operator or currency",
        )  # fmt: skip
        note(
            15, "POSTING", (effect < 0) & (named != MISSING),
            lambda i: f"{_TRANSITIONS[it['transition'][i]]} never posts"
            f" {_ACCOUNT_NAMES[it['debit'][i]]}/{_ACCOUNT_NAMES[it['credit'][i]]}",
        )  # fmt: skip
        alone = np.flatnonzero(named == NONE).tolist()
        wrong = np.zeros(it.count, dtype=bool)
        wrong[alone] = [not self._own(index) for index in alone]
        note(
            16, "ENTRY_OF_NOTHING", wrong,
            lambda i: f"{_TRANSITIONS[it['transition'][i]]} of no authorization",
        )  # fmt: skip

    def _own(self, index: int) -> bool:
        """True if an entry without an authorization is a limit, or a payment of an operator or of
        the rail's own account.

        Adds up the payments.
        """
        it = self._portion.entries
        user_id, currency = self._portion.lines_of[self._portion.entry_line[index]]
        transition = _TRANSITIONS[it["transition"][index]]
        operator_id = self._portion.operator_of(index)
        of_rail = user_id == RAIL_ACCOUNT
        kind = (e.RAILS_OWN if of_rail else e.OPERATORS_OWN).get(transition)
        if kind is not None:
            person = int(self._portion.line_person[self._portion.entry_line[index]])
            key = (person, kind, currency)
            self.operators_own[key] += int(it["amount_minor"][index])
        if of_rail:
            return kind is not None and bool(operator_id == PLATFORM)
        if operator_account(operator_id) == user_id:
            return kind is not None
        return transition is T.LIMIT_SET and bool(operator_id == PLATFORM)

    def _add_payable(self, payable: Counter[tuple[str, str]]) -> None:
        """Adds the operators' balances by these entries."""
        it = self._portion.entries
        credit = it["credit"] == _OPERATOR_PAYABLE
        debit = (it["debit"] == _OPERATOR_PAYABLE) & ~credit
        index = np.flatnonzero(credit | debit)
        named, lines = self.named[index], self._portion.lines_of
        currency = self._portion.entry_line[index]
        theirs = self._portion.authorizations["operator_id"]
        keys = [
            (theirs[place] if place >= 0 else self._portion.operator_of(at), lines[line][1])
            for at, place, line in zip(index.tolist(), named, currency, strict=True)
        ]
        codes = {key: code for code, key in enumerate(set(keys))}
        owed = np.where(credit, it["amount_minor"], -it["amount_minor"])[index]
        sums = np.zeros(len(codes), dtype=owed.dtype)
        np.add.at(sums, np.array([codes[key] for key in keys], dtype=np.int64), owed)
        for key, code in codes.items():
            payable[key] += int(sums[code])


# -- stored authorizations ------------------------------------------------------------------------


class Check:
    """Notes the first authorization that breaks a rule, and its first broken rule."""

    def __init__(self, portion: Portion, stage: Stage, faults: Faults) -> None:
        self._portion, self._stage, self._faults = portion, stage, faults
        self._order = 0

    def place(self, order: int) -> Callable[[int], Place]:
        """The place of a check among the checks of authorizations."""
        person = self._portion.authorization_person
        return lambda index: (int(person[index]), self._stage, index, order)

    def note(self, rule: str, wrong: Array, detail: str | Callable[[int], str]) -> None:
        """Notes the breaches of a rule; each call is for the next rule."""
        self._order += 1
        place = self.place(self._order)
        self._faults.note(rule, wrong, place, self._portion.authorization_name, detail)


def check(portion: Portion, moved: Attribution, faults: Faults) -> None:
    """Notes authorizations whose amounts differ from their entries, state or times."""
    it, found = portion.authorizations, Check(portion, Stage.AUTHORIZATIONS, faults)
    if not it.count:
        return
    lines = set(portion.lines_of)
    keys = zip(it["user_id"], it["currency"], strict=True)
    absent = np.array([key not in lines for key in keys], dtype=bool)
    found.note("AUTHORIZATION_WITHOUT_LINE", absent, lambda i: f"no line in {it['currency'][i]}")
    it["due_minor"] = (
        it["captured_credit_minor"] - it["paid_minor"] - it["lowered_minor"]
        - it["disputed_minor"] - it["written_off_minor"]
    )  # fmt: skip
    for place, name in enumerate(e.AMOUNTS):
        entries, stored = moved.amounts[:, place], it[name]
        found.note("AUTHORIZATION_AMOUNT", entries != stored, _differ(name, entries, stored))
    granted, credit = moved.flow(e.GRANTED), it["credit_minor"]
    # An offer that was not taken, or had no credit part, has no entries that would say it.
    wrong = (granted != 0) & (granted != credit)
    found.note("AUTHORIZATION_AMOUNT", wrong, _differ("credit_minor", granted, credit))
    kept = it["captured_minor"] - it["conceded_minor"]
    found.note(
        "FEE_IS_THE_SHARE", it["fee_minor"] != kept * it["fee_bp"] // 10_000,
        lambda i: f"{it['fee_minor'][i]} of {kept[i]}",
    )  # fmt: skip
    _check_state(it, found)
    life, refund = _life_us(it), _refund_us(it)
    # A server of an earlier build, which ran on beside this one's, knows no time of a refund.
    known = it["wake_us"].same(sooner(life, refund)) | (refund.there & it["wake_us"].same(life))
    found.note("WAKE_STORED", ~known, "does not follow from state and times")
    found.note("REQUEST_TWICE", _asked_twice(it), "an earlier one has the same request id")


def _asked_twice(it: Columns) -> Array:
    """True if an earlier authorization of the person came from the same request, and the request
    was not for a group."""
    wrong = np.zeros(it.count, dtype=bool)
    keys = list(zip(it["user_id"], it["operator_id"], it["request_id"], strict=True))
    if len(set(keys)) == it.count:
        return wrong
    seen = set()
    for index, (key, group_id) in enumerate(zip(keys, it["group_id"], strict=True)):
        if key[-1] and not group_id:
            wrong[index] = key in seen
            seen.add(key)
    return wrong


def _differ(name: str, entries: Array, stored: Array) -> Callable[[int], str]:
    return lambda index: f"{name}: entries moved {entries[index]}, stored {stored[index]}"


def _check_state(it: Columns, found: Check) -> None:
    """Custody, amounts and times fit the state."""
    state = it["state"]
    # A late charge for damage: no item of its own, so nothing is out, due or lost.
    charge = ~empty(it["parent_id"])

    def say(detail: str) -> Callable[[int], str]:
        return lambda index: f"{list(STATES)[state[index]]}: {detail}"

    at_rest = it["custody"] == CUSTODIES[Custody.IN_STATION]
    fits = np.where(charge, at_rest, _CUSTODY_FITS[state, it["custody"]])
    found.note("STATE_AND_CUSTODY", ~fits, say("another custody"))
    found.note("OFFER_ACCEPTED", _not_accepted(it), "the offer was not accepted")
    for detail, wrong in _wrong_amounts(it, charge):
        found.note("STATE_AND_AMOUNTS", wrong, say(detail))
    for detail, wrong in _wrong_times(it, charge):
        found.note("STATE_AND_TIMES", wrong, say(detail))


def _not_accepted(it: Columns) -> Array:
    """True if the caller does not accept the offer that was made."""
    accepted, offer = it["accept_offers"], it["offer"]
    among: Array = (accepted >> np.maximum(offer, 0)) & 1
    found: Array = (accepted != 0) & (offer >= 0) & (among == 0)
    return found


def _wrong_amounts(it: Columns, charge: Array) -> Iterator[tuple[str, Array]]:
    state, due = it["state"], it["due_minor"]
    held = it["held_credit_minor"] + it["held_cash_minor"]
    cash = it["captured_minor"] - it["captured_credit_minor"]
    credit_rest = it["credit_minor"] - it["captured_credit_minor"] - it["held_credit_minor"]
    cash_rest = it["cash_minor"] - cash - it["held_cash_minor"]
    refundable = cash + it["paid_minor"] + it["recovered_minor"] - it["refunded_minor"]
    owed_back = it["held_cash_minor"] + it["refund_payable_minor"]
    twice = it["overpaid_minor"] + it["overpaid_written_off_minor"]
    came = it["received_minor"] + it["elsewhere_minor"] + twice - it["paid_out_minor"]
    given = it["lowered_minor"] + it["refunded_minor"] + it["forgiven_minor"]
    unrecovered = it["written_off_minor"] - it["recovered_minor"] - it["forgiven_minor"]
    chargeable_back = it["received_minor"] - it["charged_back_minor"]
    proposed = it["write_off_minor"]
    by_somebody = ~empty(it["write_off_by"])
    settled = state == STATES[State.SETTLED]
    negative = np.zeros(it.count, dtype=bool)
    for name in e.AMOUNTS:
        negative |= it[name] < 0
    yield "only open states hold an amount", ~_HOLDS[state] & (held != 0)
    yield "only rentals are charged", ~_CHARGED[state] & (it["captured_minor"] != 0)
    whole = (credit_rest == 0) & (cash_rest == 0)
    yield "authorized = held + captured while open", _HOLDS[state] & ~whole
    yield "captured and held are at most the authorized amount", (credit_rest < 0) | (cash_rest < 0)
    yield "nothing is negative", negative
    yield "refunded is at most the paid amount", refundable < 0
    yield (
        "conceded is at most the lowered, refunded and forgiven amount",
        given - it["conceded_minor"] < 0,
    )
    yield "recovered and forgiven are at most the amount written off", unrecovered < 0
    yield "money that came in is held, kept, owed back or paid out", came != owed_back + refundable
    yield "charged back is at most the received amount", chargeable_back < 0
    both = (it["overpaid_minor"] != 0) & (it["refund_payable_minor"] != 0)
    yield "nothing is both overpaid and owed back", both
    yield (
        "the amount written off is at most the provision",
        it["provisioned_minor"] < it["written_off_minor"],
    )
    off = by_somebody & (it["overpaid_minor"] == 0)
    yield "collected only when settled", ~settled & ((it["rung"] != 0) | off)
    yield "a proposal has a person and an amount", by_somebody != (proposed > 0)
    unpaid = due + it["overpaid_minor"]
    yield "proposed only while something is unpaid", (proposed != 0) & (unpaid == 0)
    yield from wrong_order_fees(it, charge)
    debt = it["unheld_minor"] != 0
    parts = it["paid_minor"] + it["unheld_dropped_minor"] + it["unheld_disputed_minor"]
    yield "a debt is a settled charge", debt & ~(settled & charge)
    yield (
        "a debt is captured when it is paid",
        debt & (it["captured_credit_minor"] != it["paid_minor"]),
    )
    unbooked = it["unheld_dropped_minor"] + it["unheld_disputed_minor"]
    yield (
        "dropped and disputed are at most the debt",
        np.where(debt, parts > it["unheld_minor"], unbooked != 0)
        | (it["unheld_disputed_minor"] < 0),
    )
    rests = {State.AUTHORIZED, State.OVERDUE, State.RETURN_CLAIMED}
    yield "a charge is ACTIVE until it ends", charge & of_states(rests)[state]
    yield "failed payouts are counted", it["refund_tries"] < 0
    yield "a rung of the ladder", (it["rung"] < 0) | (it["rung"] > len(LADDER))


def _wrong_times(it: Columns, charge: Array) -> Iterator[tuple[str, Array]]:
    state, started = it["state"], it["start_us"].there
    settled = state == STATES[State.SETTLED]
    claimed = state == STATES[State.RETURN_CLAIMED]
    lapses = _LAPSES[state] | (charge & (state == STATES[State.ACTIVE]))
    yield "expire_us", it["expire_us"].there != lapses
    yield "close_us", it["close_us"].there != _CLOSED[state]
    out = (started != _STARTED[state]) & (state != STATES[State.REVERSED])
    # A reservation that the user cancelled for the fee; the events must not tell of a start. If
    # nothing was held any more, all of the fee is uncollected.
    asked_minor = it["captured_minor"] + it["uncollected_minor"]
    out &= ~(settled & ~started & (asked_minor > 0))
    yield "start_us", np.where(charge, started, out)
    yield "due_us", it["due_us"].there != started
    yield "lost_us", it["lost_us"].there & ~started
    # A granted complaint may set it while the item is out; the events say whether one did.
    yield "claim_us", np.where(it["claim_us"].there, ~started, claimed)
    custody = it["custody"]
    # Nobody has said yet when an item that appeared was docked.
    appeared = settled & (custody == CUSTODIES[Custody.UNKNOWN])
    yield "claim_until_us", it["claim_until_us"].there != (claimed | appeared)
    away = (custody == CUSTODIES[Custody.MISSING]) | (custody == CUSTODIES[Custody.SOLD])
    yield "sold_us", it["sold_us"].there != away
    yield "paused_us", (it["paused_us"] != 0) & ~started
    yield "unheld_until_us", it["unheld_until_us"].there != (it["unheld_minor"] != 0)


def sooner(one: Maybe, other: Maybe) -> Maybe:
    """The earlier instant, or the only one."""
    take = other.there & (~one.there | (other.values < one.values))
    there = one.there | other.there
    return Maybe(np.where(there, np.where(take, other.values, one.values), 0), there)


def _refund_us(it: Columns) -> Maybe:
    """The instant at which money owed back is paid out by time."""
    after, since, tries = it["refund_after_us"], it["refund_since_us"], it["refund_tries"]
    owed_back = it["held_cash_minor"] + it["refund_payable_minor"]
    in_hand = np.maximum(it["received_minor"] - it["paid_out_minor"], owed_back)
    free = np.minimum(it["refund_payable_minor"], in_hand - it["charged_back_minor"])
    asked = (it["due_minor"] != 0) | (_debt_due(it) != 0)
    debited = (it["debiting_minor"] != 0) & asked
    few = (tries >= 0) & (tries <= len(PAUSES_US))
    pause = _PAUSE_US[np.where(few, tries, 0).astype(np.int64)]
    there = after.there & since.there & (free > 0) & few & ~debited
    refund_us = since.values + np.where(tries == 0, after.values, pause)
    return Maybe(np.where(there, refund_us, 0), there)


def _debt_due(it: Columns) -> Array:
    """The amount still due of a debt without a hold."""
    gone = it["captured_credit_minor"] + it["unheld_dropped_minor"] + it["unheld_disputed_minor"]
    due: Array = np.where(it["unheld_minor"] != 0, it["unheld_minor"] - gone, 0)
    return due


def _life_us(it: Columns) -> Maybe:
    """The instant of the next timer, apart from refunds."""
    state, custody, rung = it["state"], it["custody"], it["rung"]
    values = np.zeros(it.count, dtype=np.int64)
    there = np.zeros(it.count, dtype=bool)

    def take(where: Array, instant: Maybe) -> None:
        nonlocal values, there
        values = np.where(where, instant.values, values)
        there = np.where(where, instant.there, there)

    active = state == STATES[State.ACTIVE]
    take(_LAPSES[state] | (active & it["expire_us"].there), it["expire_us"])
    take(active & ~it["expire_us"].there, it["due_us"])
    take(state == STATES[State.OVERDUE], it["lost_us"])
    take(state == STATES[State.RETURN_CLAIMED], it["claim_until_us"])
    settled = state == STATES[State.SETTLED]
    take(settled & (custody == CUSTODIES[Custody.MISSING]), it["sold_us"])
    take(settled & (custody == CUSTODIES[Custody.UNKNOWN]), it["claim_until_us"])
    close = it["close_us"]
    steps = rung < len(LADDER)
    climbs = settled & (it["due_minor"] != 0) & close.there & steps
    after = _RUNG_US[np.where(steps & (rung >= 0), rung, 0).astype(np.int64)]
    rung_us = close.values + after
    sooner = climbs & (~there | (rung_us < values))
    take(sooner, Maybe(rung_us, climbs))
    # A debt without a hold climbs too, and is dropped in the end unless a debit is under way.
    debt = settled & close.there & (_debt_due(it) != 0)
    until = it["unheld_until_us"]
    take(debt & until.there & (it["debiting_minor"] == 0), until)
    take(debt & steps & (~there | (rung_us < values)), Maybe(rung_us, debt))
    return Maybe(values, there)
