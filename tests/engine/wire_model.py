"""The random model with a real server: its calls go through a socket."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from functools import partial

from service.config import NATIVE
from service.engine import operations as c
from service.engine.calls import Answer, Work
from service.engine.engine import Engine, Result
from tests.engine.chance import Call
from tests.engine.faults import FaultyStore
from tests.engine.model import (
    MESSAGE_EVERY,
    TROUBLES,
    Model,
    Sent,
    Violation,
    name_of,
    require,
    store_of,
)
from tests.engine.plain_books import Key
from tests.engine.plain_terms import Refused, Retried
from tests.engine.wire import BATCHED, Delivered, Outcome, Wire, may_send
from tests.engine.wire_requests import expressed

NO_TROUBLE = "none"
WIRE_INPUT = "INVALID_INPUT on the wire"
COPY_EVERY = 4
"""One refusal in so many is compared with a copy of the reference, which takes as long as some
calls."""
WIRE_TROUBLES = frozenset({"away", "failed", "unknown", "lost", "conflict", "contended"})
"""The troubles after which the server goes on."""


class WireModel(Model):
    """The model of one server. Deaths and rivals are left to the engine's own model."""

    def __init__(self, url: str, transport: str = NATIVE) -> None:
        self._transport = transport
        self._bytes: dict[Key, tuple[Answer, bytes]] = {}
        self._wrong_inputs = 0
        super().__init__(url)
        self._wire.add_keys(self._database)

    def _open(self) -> tuple[FaultyStore, Engine]:
        """Starts the server."""
        store = store_of(self._database)
        self._wire = Wire(store, self.clock, self.ids, self._transport, self.faults.append)
        return store, self._wire.engine

    def _apply(self, engine: Engine, works: list[Work]) -> list[Result]:
        """The results of one batch, which the server's writer applies."""
        return self._wire.on_writer(partial(engine.apply, works))

    def _encoded(self, name: Key, answer: Answer) -> bytes:
        """The bytes that the server made; those of a command that no message has are the
        model's."""
        kept = self._bytes.get(name)
        if kept is not None and kept[0] is answer:
            return kept[1]
        return super()._encoded(name, answer)

    def _calls(self, trouble: str, seeds: Sequence[int]) -> None:
        """Sends calls at the same time, or in one message; the first batch meets the trouble."""
        now_us = self.clock.now_us()
        self.chance.look()
        # A deadline that has passed when the call arrives cannot be had for certain.
        calls = [expressed(self.chance.call(seed, now_us)._replace(late=False)) for seed in seeds]
        trouble = trouble if trouble in WIRE_TROUBLES else NO_TROUBLE
        together = trouble == NO_TROUBLE and seeds[0] % MESSAGE_EVERY == 0
        calls = _of_one_message(calls) if together else calls
        if together and calls:
            self.troubles["in one message"] += 1
            delivered = self._wire.send_in_a_message(calls)
        else:
            self.troubles[trouble] += 1
            self.store.plan = list(TROUBLES[trouble])
            delivered = self._wire.send(calls, self._work)
            self.store.plan = []
        self._compare_delivered(delivered, trouble, now_us)
        self._require_no_defect()
        self._check()

    def _compare_delivered(self, delivered: Delivered, trouble: str, now_us: int) -> None:
        """Compares the batches in their order, then the calls that the wire answered itself."""
        for batch in delivered.applied:
            for place, told in batch.answers.items():
                name = name_of(batch.calls[place])
                self._captured[name], self._bytes[name] = told[0], told
            alone = "alone " if trouble == "contended" and len(batch.calls) == 1 else ""
            self._compare_answers(Sent(batch.calls, batch.results), f"{alone}{trouble}", now_us)
            trouble = NO_TROUBLE
        for call, outcome in delivered.beside:
            self._compare_beside(call, outcome, now_us)

    def _compare_beside(self, call: Call, outcome: Outcome, now_us: int) -> None:
        """Requires that the rules refuse a call that did not reach the engine, too."""
        why = outcome.reason
        if why == "SCOPE_MISSING":
            require(may_send(call), False, call)
            self.counts[call.kind, why] += 1
            return
        reference = self.reference
        if why == "INVALID_INPUT":
            self.counts[call.kind, WIRE_INPUT] += 1
            self._wrong_inputs += 1
            if self._wrong_inputs % COPY_EVERY:
                return
            # Some refusals of the engine leave something, and this one did not reach it.
            reference = deepcopy(reference)
        try:
            expected = reference.run(call.caller, call.request_id, call.command, now_us)
        except Refused as refusal:
            if reference is self.reference:
                self.counts[call.kind, f"{why} on the wire"] += 1
            if why not in (str(refusal), "INVALID_INPUT"):
                raise Violation(f"{call}: the wire told {outcome}, expected {refusal}") from None
        except Retried:
            self.counts[call.kind, "RETRIED"] += 1
            require(outcome.answer, self.answers[name_of(call)], "retry on the wire", call)
        else:
            raise Violation(f"{call}: the wire told {outcome}, expected {expected}")

    def _retry(self, calls: list[Call]) -> Iterable[tuple[Call, Result]]:
        """The results of calls that are sent again."""
        delivered = self._wire.send(calls, self._work)
        for batch in delivered.applied:
            yield from zip(batch.calls, batch.results, strict=True)
        for call, outcome in delivered.beside:
            yield call, outcome.answer

    def close(self) -> None:
        """Stops the server, which closes the database."""
        self._session.close()
        self._wire.close()


def _of_one_message(calls: list[Call]) -> list[Call]:
    """The calls that may be items of one message with the first call."""
    first = calls[0]
    kind = type(first.command)
    return [
        it
        for it in calls
        if it.caller == first.caller
        and type(it.command) is kind
        and kind in BATCHED
        and may_send(it)
        and not (isinstance(it.command, c.Authorize) and it.command.grouped)
    ]
