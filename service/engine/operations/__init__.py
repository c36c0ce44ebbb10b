"""All operations of the engine. `make stubs` writes this from the files beside it."""

from __future__ import annotations

from typing import Any

from service.engine.operation import Operation
from service.engine.operations.add_evidence import ADD_EVIDENCE, AddEvidence, OfCase
from service.engine.operations.approve_merge import APPROVE_MERGE, ApproveMerge
from service.engine.operations.approve_write_off import APPROVE_WRITE_OFF, ApproveWriteOff
from service.engine.operations.authorize import AUTHORIZE, Authorize, Item
from service.engine.operations.book_debt import BOOK_DEBT, BookDebt
from service.engine.operations.buy_pass import BUY_PASS, BuyPass
from service.engine.operations.claim_return import CLAIM_RETURN, ClaimReturn
from service.engine.operations.confirm import CONFIRM, Confirm
from service.engine.operations.contest_return import CONTEST_RETURN, ContestReturn
from service.engine.operations.decide_case import DECIDE_CASE, DecideCase
from service.engine.operations.decrease import DECREASE, Decrease
from service.engine.operations.extend import EXTEND, Extend
from service.engine.operations.fold_payable import FOLD_PAYABLE, FoldPayable
from service.engine.operations.forgive_charge import FORGIVE_CHARGE, ForgiveCharge
from service.engine.operations.grant_pass import GRANT_PASS, GrantPass
from service.engine.operations.increment import INCREMENT, Increment
from service.engine.operations.lower_charge import LOWER_CHARGE, LowerCharge
from service.engine.operations.match_suspense import MATCH_SUSPENSE, MatchSuspense
from service.engine.operations.open_bulk import OPEN_BULK, OpenBulk
from service.engine.operations.open_complaint import OPEN_COMPLAINT, OpenComplaint
from service.engine.operations.open_dispute import OPEN_DISPUTE, OpenDispute
from service.engine.operations.pause_rental import PAUSE_RENTAL, PauseRental
from service.engine.operations.pay_out_operator import PAY_OUT_OPERATOR, PayOutOperator
from service.engine.operations.pay_out_refund import PAY_OUT_REFUND, PayOutRefund
from service.engine.operations.propose_merge import PROPOSE_MERGE, OfTwo, ProposeMerge
from service.engine.operations.propose_write_off import PROPOSE_WRITE_OFF, ProposeWriteOff
from service.engine.operations.put_user import PUT_USER, PutUser
from service.engine.operations.record_charge_back import RECORD_CHARGE_BACK, RecordChargeBack
from service.engine.operations.record_operator_payment import (
    RECORD_OPERATOR_PAYMENT,
    RecordOperatorPayment,
)
from service.engine.operations.record_paid_elsewhere import (
    RECORD_PAID_ELSEWHERE,
    RecordPaidElsewhere,
)
from service.engine.operations.record_payment import RECORD_PAYMENT, RecordPayment
from service.engine.operations.record_seal import RECORD_SEAL, RecordSeal
from service.engine.operations.record_unmatched import RECORD_UNMATCHED, RecordUnmatched
from service.engine.operations.refund_charge import REFUND_CHARGE, RefundCharge
from service.engine.operations.refund_pass import REFUND_PASS, RefundPass
from service.engine.operations.report_found import REPORT_FOUND, ReportFound
from service.engine.operations.report_lost import REPORT_LOST, ReportLost
from service.engine.operations.report_transfer import REPORT_TRANSFER, ReportTransfer
from service.engine.operations.resolve_case import RESOLVE_CASE, ResolveCase
from service.engine.operations.resolve_charge_back import RESOLVE_CHARGE_BACK, ResolveChargeBack
from service.engine.operations.resolve_dispute import RESOLVE_DISPUTE, ResolveDispute
from service.engine.operations.resolve_review import RESOLVE_REVIEW, ResolveReview
from service.engine.operations.resume_rental import RESUME_RENTAL, ResumeRental
from service.engine.operations.reverse import REVERSE, Reverse
from service.engine.operations.reverse_by_origin import REVERSE_BY_ORIGIN, ReverseByOrigin
from service.engine.operations.set_limit import SET_LIMIT, SetLimit
from service.engine.operations.set_provision import SET_PROVISION, SetProvision
from service.engine.operations.set_standing import SET_STANDING, SetStanding
from service.engine.operations.settle import SETTLE, Settle
from service.engine.operations.start_rental import START_RENTAL, StartRental
from service.engine.operations.waive_fee import WAIVE_FEE, WaiveFee
from service.engine.operations.wake import WAKE, Wake

OPERATIONS: tuple[Operation[Any], ...] = (
    ADD_EVIDENCE,
    APPROVE_MERGE,
    APPROVE_WRITE_OFF,
    AUTHORIZE,
    BOOK_DEBT,
    BUY_PASS,
    CLAIM_RETURN,
    CONFIRM,
    CONTEST_RETURN,
    DECIDE_CASE,
    DECREASE,
    EXTEND,
    FOLD_PAYABLE,
    FORGIVE_CHARGE,
    GRANT_PASS,
    INCREMENT,
    LOWER_CHARGE,
    MATCH_SUSPENSE,
    OPEN_BULK,
    OPEN_COMPLAINT,
    OPEN_DISPUTE,
    PAUSE_RENTAL,
    PAY_OUT_OPERATOR,
    PAY_OUT_REFUND,
    PROPOSE_MERGE,
    PROPOSE_WRITE_OFF,
    PUT_USER,
    RECORD_CHARGE_BACK,
    RECORD_OPERATOR_PAYMENT,
    RECORD_PAID_ELSEWHERE,
    RECORD_PAYMENT,
    RECORD_SEAL,
    RECORD_UNMATCHED,
    REFUND_CHARGE,
    REFUND_PASS,
    REPORT_FOUND,
    REPORT_LOST,
    REPORT_TRANSFER,
    RESOLVE_CASE,
    RESOLVE_CHARGE_BACK,
    RESOLVE_DISPUTE,
    RESOLVE_REVIEW,
    RESUME_RENTAL,
    REVERSE,
    REVERSE_BY_ORIGIN,
    SET_LIMIT,
    SET_PROVISION,
    SET_STANDING,
    SETTLE,
    START_RENTAL,
    WAIVE_FEE,
    WAKE,
)

BY_COMMAND: dict[type[Any], Operation[Any]] = {it.command: it for it in OPERATIONS}

Command = Any
"""An object of one of the types in BY_COMMAND."""

__all__ = [
    "BY_COMMAND",
    "OPERATIONS",
    "AddEvidence",
    "ApproveMerge",
    "ApproveWriteOff",
    "Authorize",
    "BookDebt",
    "BuyPass",
    "ClaimReturn",
    "Command",
    "Confirm",
    "ContestReturn",
    "DecideCase",
    "Decrease",
    "Extend",
    "FoldPayable",
    "ForgiveCharge",
    "GrantPass",
    "Increment",
    "Item",
    "LowerCharge",
    "MatchSuspense",
    "OfCase",
    "OfTwo",
    "OpenBulk",
    "OpenComplaint",
    "OpenDispute",
    "PauseRental",
    "PayOutOperator",
    "PayOutRefund",
    "ProposeMerge",
    "ProposeWriteOff",
    "PutUser",
    "RecordChargeBack",
    "RecordOperatorPayment",
    "RecordPaidElsewhere",
    "RecordPayment",
    "RecordSeal",
    "RecordUnmatched",
    "RefundCharge",
    "RefundPass",
    "ReportFound",
    "ReportLost",
    "ReportTransfer",
    "ResolveCase",
    "ResolveChargeBack",
    "ResolveDispute",
    "ResolveReview",
    "ResumeRental",
    "Reverse",
    "ReverseByOrigin",
    "SetLimit",
    "SetProvision",
    "SetStanding",
    "Settle",
    "StartRental",
    "WaiveFee",
    "Wake",
]
