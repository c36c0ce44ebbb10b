"""A call as the engine takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.engine.commands import Answer, Command, Work
from service.rpc.pipeline import Call
from service.rpc.validation import differing_field


def work_for(
    call: Call[Any],
    method: str,
    caller: str,
    command: Command,
    encode: Callable[[Answer], bytes],
) -> Work:
    """The work of a call that changes something, on behalf of `caller`."""
    message = call.message
    return Work(
        caller=caller,
        request_id=message.request_id,
        method=method,
        body=call.body,
        command=command,
        encode=encode,
        differing_field=lambda first: differing_field(type(message), first, message),
        deadline=call.deadline,
    )
