"""Request ids, and the first outcome of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from service.domain.errors import RequestIdReused


class RequestRecord(NamedTuple):
    """The first outcome of a request id: what was asked, byte for byte, and what was answered.

    A record whose method is `TOMBSTONE` stands for an Authorize that was reversed before it
    arrived.
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
    ) -> bytes:
        """The answer, for the same request sent again.

        `differing_field` names the field in which the request differs from the first body; None if
        they mean the same. Raises RequestIdReused for another request, naming what differs.
        """
        if self.method != method:
            raise RequestIdReused("method")
        if self.body != body:
            field = differing_field(self.body)
            if field is not None:
                raise RequestIdReused(field)
        return self.answer


TOMBSTONE = "tombstone"


AUTHORIZE = "Authorize"


AUTHORIZE_GROUP = "AuthorizeGroup"


REVERSIBLE_METHODS = frozenset({AUTHORIZE, AUTHORIZE_GROUP, TOMBSTONE})
"""The methods whose request ids a reversal may name."""
