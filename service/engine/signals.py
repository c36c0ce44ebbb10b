"""The traces that signals of fraud count in a batch, and the verdicts of signals on orders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from service.domain.admission import COUNTED, Verdict, with_hits
from service.domain.authorization import Authorization, State
from service.domain.rules import Of, SignalRule
from service.domain.signals import Suspect, Trace, bearers_of_signals, judge_signals, reason_of
from service.engine.context import Context
from service.engine.listings import Hashes
from service.engine.ports import OperatorsBearer, Transaction
from service.engine.rows import Rows, Wish
from service.engine.tables import AUTHORIZATIONS, DETAILS, USERS, Pair


class SignalTraces:
    """The traces of the bearers of a batch's orders, with all that earlier calls changed."""

    def __init__(self) -> None:
        self.bearers: set[OperatorsBearer] = set()
        self._people: set[str] = set()
        self._window_us = 0
        self._traces: dict[OperatorsBearer, dict[Pair, Trace | None]] = defaultdict(dict)
        self._devices: dict[Pair, tuple[str, str]] = {}

    def want(self, rules: Sequence[SignalRule], operator_id: str, named: Mapping[Of, str]) -> None:
        """Adds what signals read of an order with these bearers."""
        wanted = bearers_of_signals(rules) & named.keys()
        self.bearers.update((operator_id, of, named[of]) for of in wanted)
        self._people.add(named[Of.USER])
        self._window_us = max(self._window_us, *(it.window_us for it in rules))

    def want_person(self, operator_id: str, named: Mapping[Of, str]) -> None:
        """Adds the person of an order that may leave a trace of a bearer that others' orders name.

        All orders of the batch must have been wanted before.
        """
        if any((operator_id, of, bearer) in self.bearers for of, bearer in named.items()):
            self._people.add(named[Of.USER])

    def read(self, rows: Rows, transaction: Transaction, context: Context) -> None:
        """Reads all that is wanted; the bearers must be locked."""
        if not self._people:
            return
        transaction.read(rows, [Wish(USERS, USERS.key, self._people - rows[USERS].keys())])
        since_us = context.now_us - self._window_us
        found = transaction.traces(self.bearers, since_us, context.ids.least(since_us))
        for bearer, name, it in found:
            self._traces[bearer][name] = it

    def add(self, it: Authorization, order: Hashes | None) -> None:
        """Adds an authorization of this batch, which may be granted."""
        if not self.bearers:
            return
        name = (it.user_id, it.authorization_id)
        device, account = (order.device_hash, order.payment_account_hash) if order else ("", "")
        self._devices[name] = device, account
        for of, bearer in ((Of.USER, it.user_id), (Of.DEVICE, device), (_ACCOUNT, account)):
            if (it.operator_id, of, bearer) in self.bearers:
                self._traces[it.operator_id, of, bearer].setdefault(name, None)

    def of(self, bearer: OperatorsBearer, rows: Rows) -> list[Trace]:
        """The present traces of a bearer."""
        found, changed = [], rows.changed[AUTHORIZATIONS]
        for name, stored in self._traces[bearer].items():
            row = changed.get(name)
            it = stored if row is None else self._present(row, stored, rows)
            if it is not None:
                found.append(it)
        return found

    def _present(self, it: Authorization, stored: Trace | None, rows: Rows) -> Trace | None:
        """The trace of an authorization that this batch changed; None if it does not count."""
        if it.parent_id or it.state not in COUNTED:
            return None
        name = (it.user_id, it.authorization_id)
        device, account = self._devices.get(name, ("", ""))
        start, end, registered_us = "", "", it.create_us
        if stored is not None:
            device, account = stored.device_hash, stored.payment_account_hash
            start, end = stored.start_station, stored.end_station
            registered_us = stored.registered_us
        told, user = rows[DETAILS].get(name), rows[USERS].get(it.user_id)
        if told is not None:
            start, end = told.start_station, told.end_station
        if user is not None:
            registered_us = user.create_us
        lapse_us = it.expire_us if it.state is State.AUTHORIZED else None
        stations = (start, end, it.start_us, it.close_us if it.state is State.SETTLED else None)
        seen = (registered_us, lapse_us)
        return Trace(it.user_id, it.create_us, it.asset_id, device, account, *stations, *seen)


_ACCOUNT = Of.PAYMENT_ACCOUNT


def with_signals(
    verdict: Verdict | None,
    signals: Iterable[SignalRule],
    operator_id: str,
    order: Suspect,
    items: int,
    skipped: Mapping[str, str],
    rows: Rows,
    context: Context,
) -> Verdict:
    """The verdict on an order of so many items, with the signals of its policies.

    `skipped` has the rules that a listing skips.
    """
    rules = [it for it in dict.fromkeys(signals) if reason_of(it.signal) not in skipped]
    counts = rows.counts
    traces = {}
    if counts is not None:
        wanted = bearers_of_signals(rules) & order.bearers.keys()
        traces = {of: counts.traces.of((operator_id, of, order.bearers[of]), rows) for of in wanted}
    hits, values = judge_signals(rules, order, traces, context.now_us)
    for it in signals:
        reason = reason_of(it.signal)
        if reason in skipped:
            values[f"skipped.{reason}"] = skipped[reason]
    return with_hits(verdict, items, hits, values)
