"""Calls that move money, and need a second person above a bound if a person sends them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from google.protobuf.message import Message

from service.config import SecondPersonLimits
from service.domain.errors import InvalidInput, approval_required
from service.engine.pool import Pool
from service.engine.records.administration import Approval, Asked, By
from service.rpc.meaning import differing_field
from service.rpc.pipeline import Call

APPROVAL_KEY = "freehold-approval"
"""The metadata with the number of the proposal under which a call is sent."""
NUMBER = re.compile("[1-9][0-9]{0,17}")

AMOUNTS: dict[str, tuple[str, str]] = {
    "RecordPayment": ("amount", "record_payment_minor"),
    "PayOutRefund": ("amount", "pay_out_refund_minor"),
    "PayOutOperator": ("amount", "pay_out_operator_minor"),
    "RecordOperatorPayment": ("amount", "record_operator_payment_minor"),
    "RecordUnmatched": ("amount", "record_unmatched_minor"),
    "MatchSuspense": ("amount", "match_suspense_minor"),
    "SetProvision": ("amount", "set_provision_minor"),
    "SetCreditLimit": ("limit", "set_credit_limit_minor"),
}
"""The methods with a bound: the field with the amount, and the name of the bound."""
ALWAYS = frozenset({"ForgiveCharge"})
"""Methods that move an amount that is not in the request."""
GUARDED = ALWAYS | AMOUNTS.keys()

Use = Callable[[Asked, int], None]
"""A function that uses a call's approval at an instant; raises ActRefused."""


def canonical(message: Message) -> bytes:
    """The bytes by which a proposed request and the sent one are compared."""
    return message.SerializeToString(deterministic=True)


def approval_of(
    metadata: Sequence[tuple[str, str | bytes]], name: str, message: Message
) -> Approval | None:
    """The approval under which a call is sent, or None. Raises InvalidInput for a wrong number."""
    sent = next((value for key, value in metadata if key == APPROVAL_KEY), None)
    if sent is None:
        return None
    if not isinstance(sent, str) or not NUMBER.fullmatch(sent):
        text = "must be the number of a proposal"
        raise InvalidInput.of(APPROVAL_KEY, "approval.form", text)
    return Approval(int(sent), name, canonical(message))


def asked_of(call: Call[Any], name: str, **more: Any) -> Asked:
    """The administrative request of a call."""
    message = call.message
    return Asked(
        By(call.principal),
        call.principal.owner,
        message.request_id,
        name,
        call.body,
        partial(differing_field, message),
        approval=approval_of(call.metadata, name, message),
        **more,
    )


class SecondPerson:
    """Refuses such calls without an approval."""

    def __init__(
        self, use: Use, pool: Pool, now_us: Callable[[], int], limits: SecondPersonLimits
    ) -> None:
        self._use = use
        self._pool = pool
        self._now_us = now_us
        self._bounds = {
            name: (field, int(getattr(limits, bound))) for name, (field, bound) in AMOUNTS.items()
        }

    def needed(self, name: str, message: Any) -> bool:
        """Whether a person needs an approval for a call."""
        if name in ALWAYS:
            return True
        field, most = self._bounds.get(name, ("", 0))
        return bool(field) and getattr(message, field).amount_minor > most

    async def require(self, name: str, call: Call[Any]) -> None:
        """Uses the call's approval; raises ActRefused without one."""
        asked = asked_of(call, name)
        if asked.approval is None:
            raise approval_required(name)
        await self._pool.run(self._use, asked, self._now_us())
