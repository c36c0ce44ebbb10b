"""Rows that a refusal leaves, and what it advises.

The rows are the refusal itself, and the steps of due timers.
"""

from __future__ import annotations

from service.domain import timers
from service.domain.access import PLATFORM
from service.domain.errors import UNKNOWN, FreeholdError, IllegalState, Unavailable
from service.engine.calls import AuthorizationCommand, Work, own_work
from service.engine.context import Context
from service.engine.operations import BY_COMMAND, Confirm, Increment, RecordPayment, Wake
from service.engine.records.refusals import REFUSED, write_refusal
from service.engine.records.requests import RequestRecord
from service.engine.rows import Draft, Rows
from service.engine.tables import AUTHORIZATIONS, REQUESTS

_RECORD_IT = (
    "the payment is not recorded: if its money has arrived and this call stays refused, the"
    " platform records it with RecordUnmatched, and MatchSuspense brings it to the user"
)


def away() -> Unavailable:
    """The refusal of a command whose transaction the database refused."""
    return Unavailable("STORAGE_UNAVAILABLE", "the database refused; nothing was written")


def unknown() -> Unavailable:
    """The refusal of a command whose commit could not be confirmed."""
    return Unavailable("OUTCOME_UNKNOWN", UNKNOWN)


def advise_on_payment(work: Work, refusal: FreeholdError) -> None:
    """Says in a payment's refusal for a state how its money is recorded: it may be here already."""
    command = work.command
    pays = isinstance(command, Confirm | Increment | RecordPayment) and command.payment_reference
    if pays and isinstance(refusal, IllegalState):
        refusal.advise(_RECORD_IT)


def keep_refusal(work: Work, refusal: FreeholdError, rows: Rows, context: Context) -> None:
    """Keeps a refusal with its request id, so that a retry gets the same refusal."""
    draft = Draft(list)
    draft[REQUESTS].append(
        RequestRecord(
            work.caller,
            work.request_id,
            work.method + REFUSED,
            work.body,
            write_refusal(refusal),
            work.command.user_id,
            "",
            context.now_us,
        )
    )
    rows.merge(draft)


def keep_what_time_brought(work: Work, rows: Rows, context: Context) -> None:
    """Writes the steps of due timers even though the command on the authorization was refused.

    The refusal is based on these steps. If they were not written, another process with a slow clock
    could accept a command that this process refused as too late.
    """
    command = work.command
    if not isinstance(command, AuthorizationCommand):
        return
    current = rows[AUTHORIZATIONS].get((command.user_id, command.authorization_id))
    if current is None or work.caller not in (current.operator_id, PLATFORM):
        return
    if timers.is_due(current, context.now_us):
        named = Wake(command.user_id, command.authorization_id)
        rows.merge(BY_COMMAND[Wake].decide(own_work(named), named, rows, context).draft)
