"""ReportTransfer: the payment rail reports the outcome of a debit or a payout."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import collection
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, TransferKind
from service.domain.errors import IllegalState, InvariantBroken, NotFound
from service.domain.ledger import Line
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation
from service.engine.payouts import cancel_payouts, waiting
from service.engine.posting import apply, opened, payment_of
from service.engine.records.payments import PaymentKind
from service.engine.records.transfers import (
    ENDED,
    LATER_WORDS,
    TransferRecord,
    TransferState,
    transfer_reference,
)
from service.engine.rows import Draft, Keys, Rows
from service.engine.tables import PAYMENTS, TRANSFERS


@dataclass(frozen=True, slots=True)
class ReportTransfer:
    """Report the state of a transfer; a repeated report changes nothing.

    Freehold itself reports SENT before it hands the transfer in. A debit of more than the amount
    due by then is cancelled instead.
    """

    user_id: str
    transfer_id: str
    state: TransferState
    detail: str = ""


def wanted(_caller: str, it: ReportTransfer, keys: Keys) -> None:
    """Needs the transfer; its authorization is read with it."""
    keys.users.add(it.user_id)
    keys.transfers.add((it.user_id, it.transfer_id))
    if it.state is TransferState.SUCCEEDED:
        keys.succeeded.add((it.user_id, it.transfer_id))


def decide(work: Work, it: ReportTransfer, rows: Rows, context: Context) -> Decided:
    """Applies the report to the transfer and to its authorization.

    A debit that succeeded is a payment under the transfer's name, even if the rail had reported it
    as failed. A payout that failed, or came back after it had succeeded, is owed again. If the rail
    then reports its success after all, later payouts that were not handed in are cancelled as far
    as needed. A repeated report changes nothing; any other report after the last one is refused.
    """
    transfer = rows[TRANSFERS].get((it.user_id, it.transfer_id))
    if transfer is None:
        raise NotFound("transfer", it.transfer_id)
    sending = it.state is TransferState.SENT
    returned = it.state is TransferState.RETURNED
    if returned and transfer.kind is TransferKind.DEBIT:
        raise IllegalState(
            "DEBIT_NOT_RETURNED",
            "a debit cannot be RETURNED; use RecordChargeBack",
            str(transfer.state),
        )
    ended = transfer.state in ENDED
    if ended and LATER_WORDS.get((transfer.kind, transfer.state)) is not it.state:
        if sending or _is_known(transfer, it.state):
            return Decided(Draft(list), transfer, transfer.user_id, transfer.authorization_id)
        raise IllegalState(
            "TRANSFER_ENDED", f"the transfer is already {transfer.state}", str(transfer.state)
        )
    told = transfer._replace(state=it.state, detail=it.detail, change_us=context.now_us)
    if sending and (transfer.state is TransferState.SENT or transfer.kind is TransferKind.PAYOUT):
        draft = Draft(list)
        draft[TRANSFERS].append(told)
        return Decided(draft, told, told.user_id, told.authorization_id)
    named = AuthorizationCommand(transfer.user_id, transfer.authorization_id)
    current, line, draft = opened(PLATFORM, named, rows, context)
    now_us = context.now_us
    if sending:
        if current.collectable_minor < transfer.amount_minor:
            told = _cancel(told, current, line, draft, rows, context)
        draft[TRANSFERS].append(told)
        return Decided(draft, told, told.user_id, told.authorization_id)
    succeeded = it.state is TransferState.SUCCEEDED
    late = ended and succeeded
    if late:
        told = told._replace(
            earlier_state=transfer.state,
            earlier_detail=transfer.detail,
            earlier_us=transfer.change_us,
        )
    draft[TRANSFERS].append(told)
    match transfer.kind, succeeded:
        case TransferKind.DEBIT, True:
            take = collection.debit_succeeded_late if late else collection.debit_succeeded
            step = take(current, transfer.amount_minor, now_us)
            draft[PAYMENTS].append(
                payment_of(
                    (PLATFORM, transfer_reference(transfer.transfer_id)),
                    PaymentKind.PAYMENT,
                    current,
                    transfer.amount_minor,
                    context,
                )
            )
        case TransferKind.DEBIT, False:
            step = collection.debit_failed(current, now_us)
        case TransferKind.PAYOUT, False:
            again = collection.payout_returned if returned else collection.payout_failed
            step = again(current, transfer.amount_minor, now_us)
        case TransferKind.PAYOUT, True if late:
            current = cancel_payouts(
                current,
                lambda it: it.refund_payable_minor >= transfer.amount_minor,
                line,
                draft,
                rows,
                context,
            )
            step = collection.payout_succeeded_late(current, transfer.amount_minor, now_us)
        case TransferKind.PAYOUT, True:
            return Decided(draft, told, told.user_id, told.authorization_id)
        case _:
            raise InvariantBroken("the transfer has an unknown kind")
    current = apply(draft, step, line, rows, context)
    if late and transfer.kind is TransferKind.DEBIT and current.debiting_minor:
        for debit in waiting(TransferKind.DEBIT, current, draft, rows):
            if current.collectable_minor < debit.amount_minor:
                draft[TRANSFERS].append(_cancel(debit, current, line, draft, rows, context))
    return Decided(draft, told, told.user_id, told.authorization_id)


def _is_known(transfer: TransferRecord, said: TransferState) -> bool:
    """True if the report of an ended transfer repeats an earlier one.

    FAILED also counts as a repetition for a debit that was cancelled before it was handed in.
    """
    match transfer.state, said:
        case TransferState.RETURNED, TransferState.SUCCEEDED:
            return True
        case TransferState.CANCELLED, TransferState.FAILED:
            return True
        case _:
            return said in (transfer.state, transfer.earlier_state)


def _cancel(
    debit: TransferRecord,
    current: Authorization,
    line: Line,
    draft: Draft,
    rows: Rows,
    context: Context,
) -> TransferRecord:
    """Cancels a debit that was not handed in and is not needed any more."""
    apply(draft, collection.debit_cancelled(current, context.now_us), line, rows, context)
    return debit._replace(state=TransferState.CANCELLED, change_us=context.now_us)


REPORT_TRANSFER = Operation(ReportTransfer, wanted, decide)
