"""What follows on an authorization: open it, let the domain take the step, record the payment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.domain import authorization as life
from service.domain import collecting, holding, returning
from service.domain.authorization import Act, Authorization, Step, TransferKind
from service.domain.errors import IllegalState, InvalidInput, InvariantBroken, NotFound
from service.domain.ladder import DAY_US
from service.domain.ledger import Line, Standing
from service.domain.money import Money
from service.engine import commands as c
from service.engine.changes import Changes, Draft
from service.engine.context import Context, Decided
from service.engine.drafting import (
    apply,
    brought_up,
    claim,
    finish,
    line_of,
    opened,
    payment_of,
    product_of,
    require_free,
    require_new_payment,
)
from service.engine.records import (
    ENDED,
    LATER_WORDS,
    PLATFORM,
    REVERSIBLE_METHODS,
    TOMBSTONE,
    ClockGap,
    PaymentKind,
    RequestRecord,
    TransferRecord,
    TransferState,
    transfer_reference,
)

OLDEST_OCCURRENCE_US = DAY_US
"""How far back a device may say that something occurred."""
EARLIEST_OCCURRENCE_US = 60 * 1_000_000
"""How long before the start; another server's clock, or the device's own, may be off by so much."""


def _minor(amount: Money, current: Authorization, field: str = "amount") -> int:
    return amount.require(current.currency, f"{field}.currency_code")


def _occurred_us(
    caller: str,
    act: Act,
    asked_us: int | None,
    current: Authorization,
    draft: Draft,
    now_us: int,
) -> int:
    """When it occurred, by the caller; not told: now.

    What is later than now is taken as now, which never costs the person more, and what is a little
    earlier than the start as the start. Where another process whose clock is ahead has written the
    start, nothing occurs before that, not even now.
    """
    begin_us = current.create_us if current.start_us is None else current.start_us
    if asked_us is None:
        return max(now_us, begin_us)
    if asked_us < max(begin_us - EARLIEST_OCCURRENCE_US, now_us - OLDEST_OCCURRENCE_US):
        raise InvalidInput.of(
            "occurred_at",
            "occurred_at.range",
            "at most a minute before the start, and at most a day ago",
        )
    if asked_us > now_us:
        draft.clock_gap = ClockGap(caller, act, asked_us - now_us, now_us)
    elif asked_us < begin_us:
        draft.clock_gap = ClockGap(caller, act, asked_us - begin_us, now_us)
    return max(begin_us, min(asked_us, now_us))


# -- the steps ---------------------------------------------------------------------------------
# Each takes the command, the authorization as of now and the circumstances.

Stepper = Callable[[Any, Authorization, Context], Step]


def _decrease(it: c.Decrease, current: Authorization, context: Context) -> Step:
    return holding.decrease(current, _minor(it.amount, current), context.now_us)


def _extend(it: c.Extend, current: Authorization, context: Context) -> Step:
    return holding.extend(current, product_of(current, context), it.by_us, context.now_us)


def _reverse(_: c.Reverse, current: Authorization, context: Context) -> Step:
    return holding.reverse(current, context.now_us)


def _claim_return(_: c.ClaimReturn, current: Authorization, context: Context) -> Step:
    return returning.claim_return(current, product_of(current, context), context.now_us)


def _contest_return(_: c.ContestReturn, current: Authorization, context: Context) -> Step:
    return returning.contest_return(current, context.now_us)


def _report_lost(_: c.ReportLost, current: Authorization, context: Context) -> Step:
    return returning.lose(current, product_of(current, context), context.now_us)


def _lower(it: c.LowerCharge, current: Authorization, context: Context) -> Step:
    return collecting.lower(current, _minor(it.amount, current), context.now_us)


def _refund(it: c.RefundCharge, current: Authorization, context: Context) -> Step:
    return collecting.refund(current, _minor(it.amount, current), context.now_us)


def _pay_out(it: c.PayOutRefund, current: Authorization, context: Context) -> Step:
    return collecting.pay_out(current, _minor(it.amount, current), context.now_us)


def _open_dispute(it: c.OpenDispute, current: Authorization, context: Context) -> Step:
    return collecting.open_dispute(current, _minor(it.amount, current), context.now_us)


def _resolve_dispute(it: c.ResolveDispute, current: Authorization, context: Context) -> Step:
    return collecting.resolve_dispute(
        current, user_won=it.user_won, goodwill=it.goodwill, now_us=context.now_us
    )


def _resolve_charge_back(it: c.ResolveChargeBack, current: Authorization, context: Context) -> Step:
    return collecting.resolve_charge_back(
        current, user_won=it.user_won, goodwill=it.goodwill, now_us=context.now_us
    )


def _provision(it: c.SetProvision, current: Authorization, context: Context) -> Step:
    return collecting.provision(current, _minor(it.amount, current), context.now_us)


def _propose(it: c.ProposeWriteOff, current: Authorization, context: Context) -> Step:
    return collecting.propose_write_off(current, it.by, context.now_us)


STEPS: dict[type[c.Following], Stepper] = {
    c.Decrease: _decrease,
    c.Extend: _extend,
    c.Reverse: _reverse,
    c.ClaimReturn: _claim_return,
    c.ContestReturn: _contest_return,
    c.ReportLost: _report_lost,
    c.LowerCharge: _lower,
    c.RefundCharge: _refund,
    c.PayOutRefund: _pay_out,
    c.OpenDispute: _open_dispute,
    c.ResolveDispute: _resolve_dispute,
    c.ResolveChargeBack: _resolve_charge_back,
    c.SetProvision: _provision,
    c.ProposeWriteOff: _propose,
}
"""Commands that are one step of the domain and nothing besides."""


def approve_write_off(
    caller: str, command: c.ApproveWriteOff, changes: Changes, context: Context
) -> Decided:
    """A debt was given up: from then on no score raises the limit, until a person lets it."""
    current, line, draft = opened(caller, command, changes, context)
    step = collecting.write_off(current, command.by, context.now_us)
    line.limit_fixed = True
    return finish(draft, step, line, changes, context)


def follow(caller: str, command: c.Following, changes: Changes, context: Context) -> Decided:
    """A command that is one step of the domain."""
    current, line, draft = opened(caller, command, changes, context)
    step = STEPS[type(command)](command, current, context)
    return finish(draft, step, line, changes, context)


Paying = c.RecordPayment | c.RecordPaidElsewhere | c.RecordChargeBack
_PAYMENTS: dict[type[Paying], tuple[PaymentKind, Callable[[Authorization, int, int], Step]]] = {
    c.RecordPayment: (PaymentKind.PAYMENT, collecting.pay),
    c.RecordPaidElsewhere: (PaymentKind.ELSEWHERE, collecting.pay_elsewhere),
    c.RecordChargeBack: (PaymentKind.CHARGE_BACK, collecting.charge_back),
}


def record_payment(caller: str, command: Paying, changes: Changes, context: Context) -> Decided:
    """Money moved outside: the step, and the payment's reference, which counts once."""
    current, line, draft = opened(caller, command, changes, context)
    require_new_payment(changes, caller, command.payment_reference)
    paying = isinstance(command, c.RecordPayment)
    if paying and changes.transfer(command.user_id, command.payment_reference) is not None:
        raise IllegalState(
            "PAYMENT_OF_A_TRANSFER",
            "the payment rail says what became of its transfer, and that is recorded then",
            current.state,
        )
    amount_minor = _minor(command.amount, current)
    if amount_minor == 0:
        raise InvalidInput.of("amount.amount_minor", "amount.positive", "must be more than zero")
    kind, take = _PAYMENTS[type(command)]
    step = take(current, amount_minor, context.now_us)
    draft.payment = payment_of(
        caller, command.payment_reference, kind, current, amount_minor, context
    )
    return finish(draft, step, line, changes, context)


def start_rental(
    caller: str, command: c.StartRental, changes: Changes, context: Context
) -> Decided:
    """The item was picked up."""
    current, line, draft = opened(caller, command, changes, context)
    life.require(current, Act.START)
    if line.standing is Standing.SUSPENDED:
        raise IllegalState("USER_SUSPENDED", "the user may take nothing", current.state)
    product = product_of(current, context)
    step = holding.start_rental(current, product, command.asset_id, context.now_us)
    if step.authorization.asset_id != current.asset_id:
        require_free(changes, caller, command.asset_id)
        claim(draft, step.authorization)
    return finish(draft, step, line, changes, context)


def settle(caller: str, command: c.Settle, changes: Changes, context: Context) -> Decided:
    """Captures an amount, or the fee for the usage; answers with the fee's arithmetic."""
    current, line, draft = opened(caller, command, changes, context)
    life.require(current, Act.SETTLE)
    product = product_of(current, context)
    event_us = _occurred_us(caller, Act.SETTLE, command.occurred_us, current, draft, context.now_us)
    fee = None
    if command.amount is None:
        life.require_rental(current)
        fee = returning.usage_fee(current, product, event_us)
        amount_minor = returning.usage_amount_minor(current, fee.total_minor)
    else:
        amount_minor = _minor(command.amount, current)
    step = returning.settle(current, product, amount_minor, command.final, context.now_us, event_us)
    result = apply(draft, step, line, changes, context)
    return Decided(draft, c.Settled(result, fee), result.user_id, result.authorization_id)


def report_found(
    caller: str, command: c.ReportFound, changes: Changes, context: Context
) -> Decided:
    """A missing item is back."""
    current, line, draft = opened(caller, command, changes, context)
    life.require(current, Act.REPORT_FOUND)
    docked_us = _occurred_us(
        caller, Act.REPORT_FOUND, command.occurred_us, current, draft, context.now_us
    )
    step = returning.find(current, product_of(current, context), docked_us)
    return finish(draft, step, line, changes, context)


def reverse_by_origin(
    caller: str, command: c.ReverseByOrigin, changes: Changes, context: Context
) -> Decided:
    """Undoes an Authorize by its request id; one that has not arrived leaves a tombstone.

    A group is undone as it was granted, all of it or nothing; what has ended of it without a charge
    stays as it is.
    """
    origin = changes.request(caller, command.authorize_request_id)
    if origin is None:
        draft = Draft(
            tombstone=RequestRecord(
                caller,
                command.authorize_request_id,
                TOMBSTONE,
                b"",
                b"",
                command.user_id,
                "",
                context.now_us,
            )
        )
        return Decided(draft, c.Tombstone(), command.user_id, "")
    if origin.user_id != command.user_id or origin.method not in REVERSIBLE_METHODS:
        raise NotFound("authorization", command.authorize_request_id)
    if origin.method == TOMBSTONE:
        return Decided(Draft(), c.Tombstone(), command.user_id, "")
    named = c.Reverse(
        command.user_id, origin.authorization_id, expected_version=command.expected_version
    )
    current, line, draft = opened(caller, named, changes, context)
    members = [current]
    if current.group_id:
        members += [
            brought_up(it, line, draft, changes, context)
            for it in changes.group(current.user_id, current.group_id)
            if it.authorization_id != current.authorization_id
        ]
    result = current
    for it in [it for it in members if it.state not in life.UNCHARGED] or [current]:
        after = apply(draft, holding.reverse(it, context.now_us), line, changes, context)
        result = after if it is current else result
    return Decided(draft, result, result.user_id, result.authorization_id)


def wake(command: c.Wake, changes: Changes, context: Context) -> Decided:
    """What time has brought for one authorization."""
    current = changes.authorization(command.user_id, command.authorization_id)
    if current is None:
        raise NotFound("authorization", command.authorization_id)
    line = line_of(current, changes).copy()
    draft = Draft()
    result = brought_up(current, line, draft, changes, context)
    if result is current:
        raise IllegalState("NOTHING_TO_DO", "done in between", current.state)
    return Decided(draft, result, result.user_id, result.authorization_id)


def report_transfer(command: c.ReportTransfer, changes: Changes, context: Context) -> Decided:
    """What the payment rail says of a debit or a payout.

    A debit that succeeded is a payment under the transfer's name, also when the rail had said that
    it failed; a payout that failed, or came back after it had succeeded, is owed again. What was
    said before changes nothing; any other word after the last is refused.
    """
    transfer = changes.transfer(command.user_id, command.transfer_id)
    if transfer is None:
        raise NotFound("transfer", command.transfer_id)
    sending = command.state is TransferState.SENT
    returned = command.state is TransferState.RETURNED
    if returned and transfer.kind is TransferKind.DEBIT:
        raise IllegalState(
            "DEBIT_NOT_RETURNED", "a debit comes back by RecordChargeBack", str(transfer.state)
        )
    ended = transfer.state in ENDED
    if ended and LATER_WORDS.get((transfer.kind, transfer.state)) is not command.state:
        if sending or _is_known(transfer, command.state):
            return Decided(Draft(), transfer, transfer.user_id, transfer.authorization_id)
        raise IllegalState(
            "TRANSFER_ENDED", f"the transfer has {transfer.state}", str(transfer.state)
        )
    told = transfer._replace(state=command.state, detail=command.detail, change_us=context.now_us)
    if sending and (transfer.state is TransferState.SENT or transfer.kind is TransferKind.PAYOUT):
        return Decided(Draft(transfers=[told]), told, told.user_id, told.authorization_id)
    named = c.Following(transfer.user_id, transfer.authorization_id)
    current, line, draft = opened(PLATFORM, named, changes, context)
    now_us = context.now_us
    if sending:
        if current.due_minor < transfer.amount_minor:
            told = _cancel(told, current, line, draft, changes, context)
        draft.transfers.append(told)
        return Decided(draft, told, told.user_id, told.authorization_id)
    succeeded = command.state is TransferState.SUCCEEDED
    late = ended and succeeded
    if late:
        told = told._replace(
            earlier_state=transfer.state,
            earlier_detail=transfer.detail,
            earlier_us=transfer.change_us,
        )
    draft.transfers.append(told)
    match transfer.kind, succeeded:
        case TransferKind.DEBIT, True:
            take = collecting.debit_succeeded_late if late else collecting.debit_succeeded
            step = take(current, transfer.amount_minor, now_us)
            draft.payment = payment_of(
                PLATFORM,
                transfer_reference(transfer.transfer_id),
                PaymentKind.PAYMENT,
                current,
                transfer.amount_minor,
                context,
            )
        case TransferKind.DEBIT, False:
            step = collecting.debit_failed(current, now_us)
        case TransferKind.PAYOUT, False:
            again = collecting.payout_returned if returned else collecting.payout_failed
            step = again(current, transfer.amount_minor, now_us)
        case TransferKind.PAYOUT, True:
            return Decided(draft, told, told.user_id, told.authorization_id)
        case _:
            raise InvariantBroken("a transfer of an unknown kind")
    current = apply(draft, step, line, changes, context)
    waiting = _waiting_debit(current, draft, changes) if late else None
    if waiting is not None and current.due_minor < waiting.amount_minor:
        draft.transfers.append(_cancel(waiting, current, line, draft, changes, context))
    return Decided(draft, told, told.user_id, told.authorization_id)


def _is_known(transfer: TransferRecord, said: TransferState) -> bool:
    """Whether the rail says of a transfer that ended what it has said before, or what a debit
    that was never handed in comes to anyway."""
    match transfer.state, said:
        case TransferState.RETURNED, TransferState.SUCCEEDED:
            return True
        case TransferState.CANCELLED, TransferState.FAILED:
            return True
        case _:
            return said in (transfer.state, transfer.earlier_state)


def _waiting_debit(current: Authorization, draft: Draft, changes: Changes) -> TransferRecord | None:
    """The debit of an authorization that the rail was not handed yet, if there is one.

    Time may have asked for it only now, before the command.
    """
    if not current.debiting_minor:
        return None
    known = changes.transfers_of(current.user_id, current.authorization_id)
    known.update({it.transfer_id: it for it in draft.transfers})
    debits = [
        it
        for it in known.values()
        if it.kind is TransferKind.DEBIT and it.state is TransferState.REQUESTED
    ]
    return debits[0] if debits else None


def _cancel(
    debit: TransferRecord,
    current: Authorization,
    line: Line,
    draft: Draft,
    changes: Changes,
    context: Context,
) -> TransferRecord:
    """A debit that was not handed in and is not needed any more."""
    apply(draft, collecting.debit_cancelled(current, context.now_us), line, changes, context)
    return debit._replace(state=TransferState.CANCELLED, change_us=context.now_us)
