"""The traces that signals of fraud count, under the terms in force and under a draft."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service.domain.admission import Hit
from service.domain.authorization import State
from service.domain.product import Product
from service.domain.rules import Of, SignalRule
from service.domain.signals import Suspect, Trace, bearers_of_signals, judge_signals, reason_of
from service.preview.history import NEVER, History, Numbers
from service.preview.presence import BearerOf, Presence


def signals_of(products: Sequence[Product]) -> list[SignalRule]:
    """The signals of products, each once."""
    rules = [it.policy.rules for it in products]
    return list(dict.fromkeys(it for one in rules if one is not None for it in one.signal or ()))


class Traces:
    """The rentals of each bearer so far, as signals see them."""

    def __init__(self, history: History, keep_us: int) -> None:
        """`keep_us` is the longest window of a signal."""
        self._history, self._keep_us = history, keep_us
        self._rentals: dict[BearerOf, list[tuple[Presence, int]]] = {}

    def add(self, bearers: Mapping[Of, int], it: Presence, row: int) -> None:
        """Adds the rental of a row with these bearers."""
        if it.maybe:
            for bearer in bearers.items():
                self._rentals.setdefault(bearer, []).append((it, row))

    def hits(
        self,
        rows: Sequence[int],
        bearers: Mapping[Of, int],
        rules: Sequence[SignalRule],
        skipped: Mapping[str, str],
        now_us: int,
        *,
        most: bool,
    ) -> list[Hit]:
        """The signals that apply to an order of these rows, with the most or the least traces."""
        rules = [it for it in rules if reason_of(it.signal) not in skipped]
        traces: dict[Of, list[Trace]] = {}
        for of in bearers_of_signals(rules) & bearers.keys():
            known = self._rentals.get((of, bearers[of]), [])
            known[:] = [it for it in known if now_us < it[0].create_us + self._keep_us]
            found = (self._trace(it, row, now_us, most=most) for it, row in known)
            traces[of] = [it for it in found if it is not None]
        user, beside = bearers[Of.USER], self._history.beside
        # A reservation may have got its item after the order.
        assets = [self._asset(row, now_us, most=most) for row in rows]
        named = {of: str(number) for of, number in bearers.items()}
        suspect = Suspect(str(user), assets, named, beside.registered.get(user))
        return judge_signals(rules, suspect, traces, now_us)[0]

    def _asset(self, row: int, now_us: int, *, most: bool) -> str:
        beside = self._history.beside
        asset, start_us = _at(beside.assets, row), _at(beside.start_us, row)
        given_later = beside.told_on(row).reserves and not NEVER < start_us <= now_us
        return "" if asset == NEVER or (given_later and not most) else str(asset)

    def _trace(self, it: Presence, row: int, now_us: int, *, most: bool) -> Trace | None:
        there = it.at(now_us, self._history.operator_id, most=most)
        if there is None:
            return None
        history, beside = self._history, self._history.beside
        user, start_us = int(history.users[row]), _at(beside.start_us, row)
        ended = there.state is State.SETTLED
        return Trace(
            str(user),
            it.create_us,
            self._asset(row, now_us, most=most),
            _text(history.devices, row),
            _text(history.accounts, row),
            _text(beside.start_stations, row),
            _text(beside.end_stations, row),
            start_us if NEVER < start_us <= now_us else None,
            it.close_us if ended else None,
            beside.registered.get(user, it.create_us),
        )


def _at(column: Numbers, row: int) -> int:
    return int(column[row]) if len(column) else NEVER


def _text(column: Numbers, row: int) -> str:
    number = _at(column, row)
    return "" if number == NEVER else str(number)
