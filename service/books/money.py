"""Compares the recorded payments and transfers of a portion with its entries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from sqlalchemy import Table

from service.books import expectations as e
from service.books.authorizations import Attribution, Check
from service.books.columns import Columns, add_up
from service.books.events import Story, Words, differing
from service.books.faults import Array, Faults, Found, Place
from service.books.portion import (
    MISSING,
    NONE,
    PAYMENT_KINDS,
    TRANSFER_KINDS,
    TRANSITIONS,
    Portion,
    Stage,
)
from service.books.replay import Replay
from service.books.texts import empty
from service.domain.access import PLATFORM
from service.domain.authorization import TransferKind
from service.domain.transitions import Transition as T
from service.engine.records.payments import PaymentKind
from service.engine.records.transfers import TransferState, transfer_reference
from service.storage import schema as t

_KINDS, _STATES, _TRANSITIONS = list(PaymentKind), list(TransferState), list(T)
_OWN_KINDS = frozenset({*e.OPERATORS_OWN.values(), *e.RAILS_OWN.values()})
_PAYOUT = TRANSFER_KINDS[TransferKind.PAYOUT]
_SUCCEEDED = {TransferState.SUCCEEDED, TransferState.RETURNED}
_UNDER_WAY = {TransferState.REQUESTED, TransferState.SENT}


class Recorded:
    """The recorded payments and transfers of a portion."""

    def __init__(self, portion: Portion, moved: Attribution, faults: Faults) -> None:
        self._portion, self._moved, self._faults = portion, moved, faults
        count = portion.authorizations.count
        self._flows = {name: np.zeros(count, dtype=object) for name in e.FLOWS}
        self._payouts: Counter[tuple[int, str, int]] = Counter()
        self._words: list[tuple[int, int, int]] = []
        self._succeeded = np.zeros(count, dtype=np.int64)
        self._asked: dict[int, list[int]] = {}
        self._paid: dict[tuple[str, str], int] = {}
        self.alone: set[str] = set()
        """Tables with a row that names a missing authorization."""
        self._payment_of = portion.authorizations_named(portion.payments)
        self._add_payments()
        self._add_transfers()
        self._add_carried_over()

    def _fault(self, place: Place, rule: str, row: str, detail: str) -> None:
        self._faults.add(place, Found(rule, row, detail))

    def _see_alone(self, table: Table, named: Array) -> None:
        if (named == MISSING).any():
            self.alone.add(table.name)

    # -- payments -------------------------------------------------------------------------------

    def _add_payments(self) -> None:
        it, named = self._portion.payments, self._payment_of
        if not it.count:
            return
        self._see_alone(t.payments, named)
        self._check_currencies(it, named)
        for kind, flow in e.PAYMENTS.items():
            some = (it["kind"] == PAYMENT_KINDS[kind]) & (named >= 0)
            if some.any():
                self._flows[flow] = self._flows[flow] + add_up(
                    named[some], it["amount_minor"][some], self._portion.authorizations.count
                )
        own = np.isin(it["kind"], [PAYMENT_KINDS[kind] for kind in _OWN_KINDS])
        people = self._portion.people_of(it) if own.any() else own
        for index in np.flatnonzero(own):
            key = (int(people[index]), _KINDS[it["kind"][index]], it["currency"][index])
            self._moved.operators_own[key] -= int(it["amount_minor"][index])
        keys = zip(it["caller"], it["user_id"], it["payment_reference"], strict=True)
        self._paid = {
            (user_id, reference): index
            for index, (caller, user_id, reference) in enumerate(keys)
            if caller == PLATFORM
        }

    def _check_currencies(self, it: Columns, named: Array) -> None:
        currencies = (*self._portion.authorizations["currency"], None, None)
        kept = zip(named, it["currency"], it["kind"], strict=True)
        wrong = [
            place >= 0 and currencies[place] != currency and _KINDS[kind] not in _OWN_KINDS
            for place, currency, kind in kept
        ]
        for index in np.flatnonzero(np.array(wrong, dtype=bool))[:1]:
            row = f"payments/{it['caller'][index]}/{it['payment_reference'][index]}"
            place = (int(self._portion.people_of(it)[index]), Stage.PAYMENT_ROWS, int(index))
            self._fault(place, "PAYMENTS", row, "another currency than the authorization's")

    def _add_carried_over(self) -> None:
        """Adds the deposits that late pick-ups took over from their reservations."""
        it = self._portion.late_pickups
        begun = self._portion.authorizations_named(it, "started_id")
        for place, amount_minor in zip(begun, it["deposit_minor"], strict=True):
            if place >= 0:
                self._flows["carried_over"][place] += int(amount_minor)

    # -- transfers ------------------------------------------------------------------------------

    def _add_transfers(self) -> None:
        it = self._portion.transfers
        if not it.count:
            return
        people = self._portion.people_of(it)
        currencies = (*self._portion.authorizations["currency"], None, None)
        named = self._portion.authorizations_named(it)
        self._see_alone(t.transfers, named)
        for index in range(it.count):
            place = (int(people[index]), Stage.TRANSFER_ROWS, index)
            row = f"transfers/{it['user_id'][index]}/{it['transfer_id'][index]}"
            of, state = int(named[index]), _STATES[it["state"][index]]
            if of >= 0 and currencies[of] != it["currency"][index]:
                text = "another currency than the authorization's"
                self._fault(place, "PAYMENTS", row, text)
            wrong = (
                self._add_payout(index, of, state)
                if it["kind"][index] == _PAYOUT
                else self._add_debit(index, of, state)
            )
            for rule, detail in wrong:
                self._fault(place, rule, row, detail)

    def _add_payout(self, index: int, of: int, state: TransferState) -> list[tuple[str, str]]:
        """Adds a payout with its ends; returns its faults."""
        it = self._portion.transfers
        amount_minor = int(it["amount_minor"][index])
        flows = ["paid_out"]
        self._say(of, T.PAID_OUT, it["request_us"][index])
        if state in e.PAYOUT_ENDS:
            self._say(of, e.PAYOUT_ENDS[state], it["change_us"][index])
        if it["earlier_state"][index] != NONE:
            earlier = _STATES[it["earlier_state"][index]]
            if state not in _SUCCEEDED or earlier not in e.ENDS:
                return [("TRANSFER", f"{state}, and {earlier} before")]
            self._say(of, e.PAYOUT_ENDS[earlier], it["earlier_us"].values[index])
            flows += ["failed_payouts", "paid_out"]
        if state in e.PAYOUT_ENDS:
            flows.append("failed_payouts")
        if of >= 0:
            for flow in flows:
                self._flows[flow][of] += amount_minor
                self._payouts[of, flow, amount_minor] += 1
        return []

    def _add_debit(self, index: int, of: int, state: TransferState) -> list[tuple[str, str]]:
        """Adds a debit with its request and its ends; returns its faults."""
        it = self._portion.transfers
        self._say(of, T.DEBIT_REQUESTED, it["request_us"][index])
        if state in e.ENDS:
            self._say(of, e.ENDS[state], it["change_us"][index])
        if it["earlier_state"][index] != NONE:
            earlier = _STATES[it["earlier_state"][index]]
            if state is not TransferState.SUCCEEDED or earlier not in e.ENDS:
                return [("TRANSFER", f"{state}, and {earlier} before")]
            self._say(of, e.ENDS[earlier], it["earlier_us"].values[index])
        if state in _UNDER_WAY:
            self._asked.setdefault(of, []).append(int(it["amount_minor"][index]))
        elif state is TransferState.SUCCEEDED:
            if of >= 0:
                self._succeeded[of] += 1
            if not self._is_paid(index):
                return [("TRANSFER_WITHOUT_PAYMENT", "succeeded, and no payment records this")]
        return []

    def _say(self, of: int, word: T, instant_us: int) -> None:
        if of >= 0:
            self._words.append((of, TRANSITIONS[word], int(instant_us)))

    def _is_paid(self, index: int) -> bool:
        """True if a debit has its payment."""
        it, payments = self._portion.transfers, self._portion.payments
        reference = transfer_reference(it["transfer_id"][index])
        paid = self._paid.get((it["user_id"][index], reference))
        return paid is not None and bool(
            payments["kind"][paid] == PAYMENT_KINDS[PaymentKind.PAYMENT]
            and payments["authorization_id"][paid] == it["authorization_id"][index]
            and payments["amount_minor"][paid] == it["amount_minor"][index]
            and payments["currency"][paid] == it["currency"][index]
        )

    def _said(self) -> Words:
        columns = np.array(self._words, dtype=np.int64).reshape(-1, 3)
        return columns[:, 0], columns[:, 1], columns[:, 2]

    # -- comparison with entries and events -------------------------------------------------------

    def check(self, replay: Replay, story: Story) -> None:
        """Notes authorizations whose entries differ from the recorded money or the events.

        Each recorded payout must be posted. Each debit must have been requested, and each report on
        a debit must have an event of the same instant. Each transaction must have its event, and
        each event of a call must have its request. A deposit is recorded at one authorization of a
        group, and counts for the whole group.
        """
        portion, it = self._portion, self._portion.authorizations
        if it.count:
            found = Check(portion, Stage.MONEY, self._faults)
            for flow in e.FLOWS[1:]:
                entries, recorded = self._moved.flow(flow), self._flows[flow]
                found.note("PAYMENTS", entries != recorded, _differ(flow, entries, recorded))
            self._check_transfers(found, story)
            self._check_story(found, replay, story)
            self._check_deposits()
        else:
            self._requests()
        self._check_operators()

    def _mask(self, places: Array | list[int]) -> Array:
        wrong = np.zeros(self._portion.authorizations.count, dtype=bool)
        wrong[np.array(places, dtype=np.int64)] = True
        return wrong

    def _check_transfers(self, found: Check, story: Story) -> None:
        apart = {key[0] for key in self._payouts.keys() | self._moved.payouts.keys()
                 if self._payouts[key] != self._moved.payouts[key]}  # fmt: skip
        found.note("TRANSFER", self._mask(sorted(apart)), "the payouts differ from the posted ones")
        debiting = self._portion.authorizations["debiting_minor"]
        wrong = debiting != 0
        for of, amounts in self._asked.items():
            if of >= 0:
                wrong[of] = len(amounts) != 1 or amounts[0] != debiting[of]
        found.note(
            "TRANSFER", wrong,
            lambda i: f"debits under way: {self._asked.get(i, [])}, stored {debiting[i]}",
        )  # fmt: skip
        said, told = self._said(), story.transfers
        found.note(
            "TRANSFER", self._mask(differing(said, told)), "transfers and their events differ"
        )

    def _check_story(self, found: Check, replay: Replay, story: Story) -> None:
        entries, it = self._portion.entries, self._portion.authorizations
        named = self._moved.named
        begins = np.flatnonzero(replay.begins_transaction & (named >= 0))
        posted = (named[begins], entries["transition"][begins], entries["event_us"][begins])
        untold = differing(story.told, posted, below=True)
        found.note(
            "EVENTS_TELL", self._mask(untold), "something was posted, and no event records this"
        )
        calls, lost = story.calls()
        calls = calls - self._succeeded
        kept = self._requests()
        # A group's calls are kept once for all of it; where no request made it, none are kept.
        single = ~empty(it["request_id"]) & empty(it["group_id"])
        found.note(
            "REQUESTS", single & ((kept < calls - lost) | (kept > calls)),
            lambda i: f"{calls[i]} calls by the events, {kept[i]} kept",
        )  # fmt: skip

    def _requests(self) -> Array:
        """The number of stored calls for each authorization."""
        rows, it = self._portion.requests, self._portion.authorizations
        named = self._portion.authorizations_named(rows)
        kept = np.zeros(it.count, dtype=np.int64)
        # Those of an authorization that is not there are looked for with the references.
        self._see_alone(t.requests, named)
        known = named != MISSING
        kept[named[known]] = rows["count"][known]
        return kept

    def _check_deposits(self) -> None:
        it, portion = self._portion.authorizations, self._portion
        difference = self._flows["deposits"] - self._moved.flow("deposits")
        sums: Counter[tuple[int, str]] = Counter()
        for place in np.flatnonzero(difference != 0).tolist():
            sums[self._together(place)] += int(difference[place])
        if not any(sums.values()):
            return
        first: dict[tuple[int, str], int] = {}
        for place in range(it.count):
            first.setdefault(self._together(place), place)
        for key, minor in sums.items():
            if minor:
                name = portion.authorization_name(first[key])
                where = (key[0], Stage.DEPOSITS, first[key])
                self._fault(where, "PAYMENTS", name, f"deposits: {minor} more recorded")

    def _together(self, place: int) -> tuple[int, str]:
        """The group of a deposit, or its single authorization."""
        it = self._portion.authorizations
        group = it["group_id"][place] or it["authorization_id"][place]
        return int(self._portion.authorization_person[place]), group

    def _check_operators(self) -> None:
        """Notes operators whose entries of payments differ from the recorded payments."""
        for order, ((person, kind, currency), minor) in enumerate(
            self._moved.operators_own.items()
        ):
            if minor:
                row = f"lines/{self._portion.people[person]}/{currency}"
                text = f"{kind}: entries moved {minor} more than was recorded"
                self._fault((person, Stage.OPERATORS_OWN, order), "PAYMENTS", row, text)


def _differ(flow: str, entries: Array, recorded: Array) -> Callable[[int], str]:
    return lambda index: f"{flow}: entries moved {entries[index]}, recorded {recorded[index]}"
