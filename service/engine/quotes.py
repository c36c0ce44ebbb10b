"""Quotes: an authorization is decided, or a fee computed, by the code of the real calls, and
nothing is written.

Quotes run on the threads for reads. The writer does not notice them, except that both take turns
at the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from service.clock import Clock
from service.domain import settlement
from service.domain.acts import require_rental
from service.domain.authorization import Authorization
from service.domain.errors import (
    FreeholdError,
    InvalidInput,
    InvariantBroken,
    NotFound,
    ProductMisconfigured,
)
from service.domain.meter import Meter, Pause
from service.domain.product import Product
from service.domain.quotes import QuotedFee, quote_usage, require_length, require_startable
from service.domain.usage_ends import started_us, usage_end_us
from service.engine.attesting import meter, read_attestations
from service.engine.calls import Answer, Cut, CutTime, Group, Payloads, Work
from service.engine.context import Context
from service.engine.decision_counts import DecisionCounts
from service.engine.engine import Engine, EngineStatistics
from service.engine.operations.authorize import Authorize
from service.engine.ports import Store
from service.engine.prices import Prices
from service.engine.quotas import read_quotas
from service.engine.rows import Draft, Rows, Wish
from service.engine.tables import AUTHORIZATIONS, Pair
from service.engine.terms import Terms


class Usage(NamedTuple):
    """The usage that a caller asks about, in microseconds since the epoch; None means now.

    Since `reserve_us` the item was reserved; None means that it was not. The item goes out at
    `station`; it is empty if that is not known.
    """

    start_us: int | None
    end_us: int | None
    pauses: tuple[Pause, ...]
    reserve_us: int | None = None
    station: str = ""


class QuotedAuthorization(NamedTuple):
    """The authorizations as they would be, their products, and the times that would be cut."""

    authorizations: tuple[Authorization, ...]
    products: tuple[Product, ...]
    cuts: tuple[CutTime, ...]
    now_us: int


class _Decider(Engine):
    """An engine for one quote: it shares the terms and the debts, and counts for itself."""

    def __init__(self, engine: Engine, store: Store) -> None:
        vars(self).update(vars(engine))
        self._store, self._assessor = store, self._assessor.reading_from(store)
        self.statistics, self.decisions = EngineStatistics(), DecisionCounts()
        self._missing = set()
        self._now_us = 0

    def _context(self, batch: Sequence[Work]) -> Context:
        context = replace(super()._context(batch), quotes=True)
        self._now_us = context.now_us
        return context

    def decide(self, caller: str, command: Authorize) -> QuotedAuthorization:
        """The decision of an Authorize. Raises the refusal, or the error of the reads."""
        answers: list[Answer] = []

        def keep(answer: Answer, _payloads: Payloads) -> bytes:
            answers.append(answer)
            return b""

        work = Work(caller, "", "QuoteAuthorization", b"", command, keep, lambda _first: None)
        (result,) = self._apply_together([work])
        if isinstance(result, FreeholdError):
            raise result
        answer = answers[-1]
        cuts = answer.times if isinstance(answer, Cut) else ()
        if isinstance(answer, Cut):
            answer = answer.answer
        if not isinstance(answer, Group):
            raise InvariantBroken("a quote was answered without a group")
        made = answer.authorizations
        products = map(_sound, made, Prices(self.terms).products(made))
        return QuotedAuthorization(made, tuple(products), cuts, self._now_us)


class Quotes:
    """Makes quotes; thread-safe."""

    def __init__(self, engine: Engine, store: Store, clock: Clock) -> None:
        """`store` reads one state of the database in each transaction, and writes nothing."""
        self._engine = engine
        self._store = store
        self._clock = clock
        self._prices = Prices(engine.terms)

    def authorization(self, caller: str, command: Authorize) -> QuotedAuthorization:
        """The decision of a grouped Authorize as of now, on a rough sight of the line.

        Raises as Authorize is refused, and as reads fail.
        """
        return _Decider(self._engine, self._store).decide(caller, command)

    def now_us(self) -> int:
        """The present instant, in microseconds since the epoch."""
        return self._clock.now_us()

    def usage(self, caller: str, product_id: str, usage: Usage) -> QuotedFee:
        """The fee of a usage by the tariff in force.

        Raises NotFound, ProductMisconfigured, ProductRetired, or InvalidInput as `quote_usage`.
        """
        product = _in_force(caller, product_id, self._engine.terms).at(usage.station)
        return self._quoted(product, usage)

    def rental(self, caller: str, name: Pair, usage: Usage) -> QuotedFee:
        """The fee of a rental until an instant, by the tariff under which it began.

        Only a rental that has not started takes a start and pauses; none takes the beginning of its
        reservation, or a station. Raises NotFound, IllegalState,
        ProductMisconfigured, or InvalidInput.
        """
        rows = self._read(name)
        it = rows[AUTHORIZATIONS].get(name)
        if it is None or it.operator_id != caller:
            raise NotFound("authorization", name[1])
        require_rental(it)
        require_startable(it)
        (product,) = map(_sound, [it], self._prices.products([it]))
        own = (
            ("start_time", it.start_us is not None and usage.start_us is not None),
            ("pauses", it.start_us is not None and bool(usage.pauses)),
            ("reserve_time", usage.reserve_us is not None),
            ("station", bool(usage.station)),
        )
        for field, given in own:
            if given:
                raise InvalidInput.of(
                    field, f"{field}.started", "must be absent, because the rental has its own"
                )
        if it.start_us is None:
            waited = usage._replace(reserve_us=it.reserve_us)
            return self._quoted(product, waited, it.order_fee_minor)
        return self._metered(it, product, usage.end_us, meter(it, rows, Draft(list)))

    def _read(self, name: Pair) -> Rows:
        """An authorization with its attestations and quotas."""
        rows = Rows()
        with self._store.begin() as transaction:
            transaction.read(rows, [Wish(AUTHORIZATIONS, AUTHORIZATIONS.key, {name})])
            self._prices.products(list(rows[AUTHORIZATIONS].values()))
            read_attestations(rows, rows[AUTHORIZATIONS], transaction)
            used = self._engine.terms.used
            if used.quotas:
                read_quotas(rows, used.catalog, transaction, used.sellers)
        return rows

    def _quoted(
        self, product: Product, usage: Usage, order_fee_minor: int | None = None
    ) -> QuotedFee:
        now_us = self._clock.now_us()
        start_us = now_us if usage.start_us is None else usage.start_us
        end_us = now_us if usage.end_us is None else usage.end_us
        reserve_us = usage.reserve_us
        return quote_usage(product, start_us, end_us, usage.pauses, reserve_us, order_fee_minor)

    def _metered(
        self, it: Authorization, product: Product, end_us: int | None, meter: Meter
    ) -> QuotedFee:
        """The fee of a rental whose item is out or was out."""
        start_us = started_us(it)
        if end_us is None:
            # The clock of the server that wrote the start may be a little ahead.
            end_us = max(start_us, self._clock.now_us())
        require_length(start_us, end_us)
        fee = settlement.usage_fee(it, product, end_us, meter)
        end_us = usage_end_us(it, end_us)
        return QuotedFee(product, start_us, end_us, fee, it.fee_captured_minor)


def _in_force(caller: str, product_id: str, terms: Terms) -> Product:
    """The product of an operator as Authorize takes it."""
    key = (caller, product_id)
    known = terms.used.catalog
    kept = known.products, known.refused, known.retired
    if not any(key in it for it in kept) and terms.learn([key]):
        known = terms.used.catalog
    return known.in_force(caller, product_id)


def _sound(it: Authorization, product: Product | None) -> Product:
    """The product of an authorization, if its terms make sense."""
    if product is None:
        raise ProductMisconfigured(it.product_id)
    return product
