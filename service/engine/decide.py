"""One command against the rows of its batch: which function decides it, without any I/O.

Each takes what was read (`Changes`), the circumstances (`Context`) and a command, and returns
what is to be written (`Draft`) with the answer; or raises an error of the domain, and then
nothing of the command is written.
"""

from __future__ import annotations

from typing import assert_never

from service.engine import accounts, authorizing, following
from service.engine import commands as c
from service.engine.changes import Changes
from service.engine.commands import Work
from service.engine.context import Context, Decided


def decide(work: Work, changes: Changes, context: Context) -> Decided:
    """Decides one command; raises a FreeholdError when it is refused."""
    command, caller = work.command, work.caller
    match command:
        case c.Authorize():
            return authorizing.authorize(work, command, changes, context)
        case c.Settle():
            return following.settle(caller, command, changes, context)
        case c.RecordPayment() | c.RecordPaidElsewhere() | c.RecordChargeBack():
            return following.record_payment(caller, command, changes, context)
        case c.ApproveWriteOff():
            return following.approve_write_off(caller, command, changes, context)
        case c.Confirm():
            return authorizing.confirm(caller, command, changes, context)
        case c.StartRental():
            return following.start_rental(caller, command, changes, context)
        case c.ResolveReview():
            return authorizing.resolve_review(caller, command, changes, context)
        case c.Increment():
            return authorizing.increment(work, command, changes, context)
        case c.ReportFound():
            return following.report_found(caller, command, changes, context)
        case c.Following():
            return following.follow(caller, command, changes, context)
        case c.ReverseByOrigin():
            return following.reverse_by_origin(caller, command, changes, context)
        case c.Wake():
            return following.wake(command, changes, context)
        case c.ReportTransfer():
            return following.report_transfer(command, changes, context)
        case c.PutUser():
            return accounts.put_user(command, changes, context)
        case c.SetLimit():
            return accounts.set_limit_by_hand(command, changes, context)
        case c.SetStanding():
            return accounts.set_standing(command, changes, context)
        case c.PayOutOperator():
            return accounts.pay_out_operator(caller, command, changes, context)
        case c.FoldPayable():
            return accounts.fold_payable(command, changes)
        case c.RecordOperatorPayment():
            return accounts.record_operator_payment(caller, command, changes, context)
        case c.OpenBulk():
            return accounts.open_bulk(command)
        case c.RecordSeal():
            return accounts.record_seal(command, changes)
        case _:
            assert_never(command)
