"""Request ids, each with its first outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from service.domain.errors import RequestIdReused
from service.engine.records.refusals import REFUSED, read_refusal


class Replayed(bytes):
    """The bytes of a stored answer that is given again; a fresh answer is plain bytes."""

    since_us: int
    """When the first answer was given, in microseconds since the epoch."""

    @classmethod
    def of(cls, answer: bytes, since_us: int) -> Replayed:
        """A stored answer, with the time at which it was first given."""
        replayed = cls(answer)
        replayed.since_us = since_us
        return replayed


class RequestRecord(NamedTuple):
    """The first outcome of a request id: the request's bytes, and the answer's bytes.

    A record with the method `TOMBSTONE` stands for an Authorize that was reversed before it
    arrived. A record whose method is marked with `REFUSED` has a refusal in place of the answer.
    """

    caller: str
    request_id: str
    method: str
    body: bytes
    answer: bytes
    user_id: str
    authorization_id: str
    record_us: int

    def answer_again(
        self, method: str, body: bytes, differing_field: Callable[[bytes], str | None]
    ) -> Replayed:
        """The stored answer for the same request.

        `differing_field` names the field in which the request differs from the first body, or is
        None if both mean the same. Raises RequestIdReused for another request, with the differing
        field. If the request was refused, raises the kept refusal.
        """
        refused = self.method.endswith(REFUSED)
        if self.method.removesuffix(REFUSED) != method:
            raise RequestIdReused("method")
        if self.body != body:
            field = differing_field(self.body)
            if field is not None:
                raise RequestIdReused(field)
        if refused:
            raise read_refusal(self.answer, self.record_us)
        return Replayed.of(self.answer, self.record_us)


TOMBSTONE = "tombstone"


AUTHORIZE = "Authorize"


AUTHORIZE_GROUP = "AuthorizeGroup"


REVERSIBLE_METHODS = frozenset({AUTHORIZE, AUTHORIZE_GROUP, TOMBSTONE})
"""The methods whose request ids a reversal may name."""
