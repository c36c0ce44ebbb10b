"""Signals of fraud: patterns of devices, payment accounts, items and returns, apart from the score.

A signal counts in the traces that granted rentals with the operator left in a window that ends now.
It applies if it counts more than its policy allows, the order included. The same traces always give
the same signals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from service.domain.admission import Hit
from service.domain.policy import Reason
from service.domain.rules import Of, Signal, SignalRule


class Trace(NamedTuple):
    """A granted rental as signals see it; a text that nobody sent is empty.

    Times are microseconds since the epoch, UTC. `end_us` is the settlement, and None before it.
    `registered_us` is the instant at which the person was first seen. A reservation ends at
    `lapse_us` if nobody picks the item up.
    """

    user_id: str
    create_us: int
    asset_id: str
    device_hash: str
    payment_account_hash: str
    start_station: str
    end_station: str
    start_us: int | None
    end_us: int | None
    registered_us: int
    lapse_us: int | None = None


class Suspect(NamedTuple):
    """The order to judge; `asset_ids` are its known items.

    `registered_us` is None for a person who was never seen.
    """

    user_id: str
    asset_ids: Sequence[str]
    bearers: Mapping[Of, str]
    registered_us: int | None


Traces = Mapping[Of, Sequence[Trace]]
"""The traces of each bearer that the order names."""


def bearers_of_signals(rules: Sequence[SignalRule]) -> set[Of]:
    """The bearers whose traces the signals count."""
    return {_BEARERS[it.signal] for it in rules}


def judge_signals(
    rules: Sequence[SignalRule], order: Suspect, traces: Traces, now_us: int
) -> tuple[list[Hit], dict[str, object]]:
    """The signals that apply, and all counts by their names.

    A signal of a bearer that the order does not name counts nothing, and does not apply.
    """
    hits, counts = list[Hit](), dict[str, int | None]()
    for rule in rules:
        of = _BEARERS[rule.signal]
        number = None
        if of in order.bearers:
            since_us = now_us - rule.window_us
            recent = [
                it
                for it in traces.get(of, ())
                if it.create_us > since_us and (it.lapse_us is None or it.lapse_us > now_us)
            ]
            number = _COUNTS[rule.signal](rule, order, recent, since_us)
        name = f"signal.{rule.signal.lower()}"
        # The policies of a group may count in windows of their own: the most is told.
        before = counts.get(name)
        counts[name] = number if number is None or before is None else max(number, before)
        if number is not None and number > rule.most:
            hits.append(Hit(rule.then, reason_of(rule.signal)))
    return hits, {**counts}


def reason_of(signal: Signal) -> Reason:
    """The reason that a signal gives to a decision."""
    return Reason[f"SIGNAL_{signal}"]


Count = Callable[[SignalRule, Suspect, Sequence[Trace], int], int]


def _people(_rule: SignalRule, order: Suspect, traces: Sequence[Trace], _since_us: int) -> int:
    return len({order.user_id, *(it.user_id for it in traces)})


def _new_people(_rule: SignalRule, order: Suspect, traces: Sequence[Trace], since_us: int) -> int:
    new = {it.user_id for it in traces if it.registered_us > since_us}
    if order.registered_us is None or order.registered_us > since_us:
        new.add(order.user_id)
    return len(new)


def _devices(_rule: SignalRule, order: Suspect, traces: Sequence[Trace], _since_us: int) -> int:
    named = {order.bearers.get(Of.DEVICE, ""), *(it.device_hash for it in traces)}
    return len(named - {""})


def _accounts(_rule: SignalRule, order: Suspect, traces: Sequence[Trace], _since_us: int) -> int:
    named = {order.bearers.get(Of.PAYMENT_ACCOUNT, "")}
    return len((named | {it.payment_account_hash for it in traces}) - {""})


def _repeats(_rule: SignalRule, order: Suspect, traces: Sequence[Trace], _since_us: int) -> int:
    known = [it for it in order.asset_ids if it]
    return max([1 + sum(it.asset_id == item for it in traces) for item in known], default=0)


def _implausible(rule: SignalRule, _order: Suspect, traces: Sequence[Trace], _since_us: int) -> int:
    return sum(is_implausible(it, rule.within_us or 0) for it in traces)


def is_implausible(it: Trace, within_us: int) -> bool:
    """True for an item that was back at another station sooner than anybody gets there.

    It needs both stations; a rental that is not settled is not judged.
    """
    if it.start_us is None or it.end_us is None or not it.start_station or not it.end_station:
        return False
    return it.start_station != it.end_station and it.end_us - it.start_us < within_us


_BEARERS = {
    Signal.DEVICE_SHARED: Of.DEVICE,
    Signal.PAYMENT_ACCOUNT_SHARED: Of.PAYMENT_ACCOUNT,
    Signal.NEW_ACCOUNTS_ON_DEVICE: Of.DEVICE,
    Signal.NEW_ACCOUNTS_ON_PAYMENT_ACCOUNT: Of.PAYMENT_ACCOUNT,
    Signal.MANY_DEVICES: Of.USER,
    Signal.MANY_PAYMENT_ACCOUNTS: Of.USER,
    Signal.ITEM_REPEATED: Of.USER,
    Signal.IMPLAUSIBLE_RETURNS: Of.USER,
}
_COUNTS: dict[Signal, Count] = {
    Signal.DEVICE_SHARED: _people,
    Signal.PAYMENT_ACCOUNT_SHARED: _people,
    Signal.NEW_ACCOUNTS_ON_DEVICE: _new_people,
    Signal.NEW_ACCOUNTS_ON_PAYMENT_ACCOUNT: _new_people,
    Signal.MANY_DEVICES: _devices,
    Signal.MANY_PAYMENT_ACCOUNTS: _accounts,
    Signal.ITEM_REPEATED: _repeats,
    Signal.IMPLAUSIBLE_RETURNS: _implausible,
}
