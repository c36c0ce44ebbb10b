"""Refusals that are kept with their request id, so that a retry gets the same refusal.

The record of such a request has the name of its method with a mark, and the refusal instead of an
answer. A server of an earlier build does not know the mark. It therefore takes the record for
another method's request and does nothing; it does not take the refusal for an answer.
"""

from __future__ import annotations

import json

from service.domain.errors import Exhausted, FreeholdError, IllegalState

REFUSED = " refused"
"""The mark behind the method's name; no method has a space in its name."""
_KINDS: dict[str, type[Exhausted | IllegalState]] = {
    "exhausted": Exhausted,
    "illegal_state": IllegalState,
}


def write_refusal(refusal: FreeholdError) -> bytes:
    """The stored form of a refusal. Raises TypeError for a kind that is not kept."""
    for name, kind in _KINDS.items():
        if isinstance(refusal, kind):
            said = {"kind": name, "reason": refusal.reason, "message": refusal.message}
            return json.dumps({**said, "metadata": refusal.metadata}).encode()
    raise TypeError(f"a refusal of type {type(refusal).__name__} is not kept")


def read_refusal(kept: bytes, since_us: int) -> FreeholdError:
    """The refusal in its stored form; it was first given at `since_us`.

    Raises ValueError if the bytes are not a refusal.
    """
    try:
        said = json.loads(kept)
        kind, reason, message = _KINDS[said["kind"]], said["reason"], said["message"]
        metadata = dict(said["metadata"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError("the bytes are not a refusal") from error
    refusal: FreeholdError
    refusal = kind(reason, message, "") if kind is IllegalState else Exhausted(reason, message)
    refusal.metadata = metadata
    refusal.since_us = since_us
    return refusal
