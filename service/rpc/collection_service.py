"""CollectionService: disputes, charge-backs, losses and payouts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from typing import Any

from freehold.v1 import collection_service_pb2 as pb

from service.domain.access import Scope
from service.engine.operations import (
    ApproveWriteOff,
    ForgiveCharge,
    OpenDispute,
    PayOutOperator,
    PayOutRefund,
    ProposeWriteOff,
    RecordChargeBack,
    RecordOperatorPayment,
    ResolveChargeBack,
    ResolveDispute,
    SetProvision,
)
from service.rpc import answers, charge_backs, convert
from service.rpc.mutations import (
    Mutation,
    about,
    amount,
    cited,
    payment_reference,
    rail_account,
    reason,
)
from service.rpc.pipeline import Call, Method

SERVICE = "freehold.v1.CollectionService"

Payables = Callable[[str], Mapping[str, int]]
"""A function that reads an operator's balances, in minor units by currency; raises NotFound."""


def _user_won(call: Call[Any]) -> bool:
    return bool(call.message.outcome != pb.DISPUTE_OUTCOME_USER_LOST)


def _goodwill(call: Call[Any]) -> bool:
    return bool(call.message.outcome == pb.DISPUTE_OUTCOME_GOODWILL)


def _payment(call: Call[pb.RecordChargeBackRequest]) -> str:
    return call.message.payment


def _case_id(call: Call[pb.ResolveChargeBackRequest]) -> str:
    return call.message.case_id


def _by(call: Call[Any]) -> str:
    """The caller's hand: two acts by one person are by one hand, under any of their keys."""
    return call.principal.hand


def _pay_out_operator(call: Call[pb.PayOutOperatorRequest]) -> PayOutOperator:
    message = call.message
    return PayOutOperator(
        message.operator_id,
        convert.money(message.amount),
        message.payment_reference,
        message.rail_account,
    )


def _operator_payment(call: Call[pb.RecordOperatorPaymentRequest]) -> RecordOperatorPayment:
    message = call.message
    return RecordOperatorPayment(
        message.operator_id,
        convert.money(message.amount),
        message.payment_reference,
        message.rail_account,
    )


MUTATIONS = (
    Mutation(
        pb.OpenDisputeRequest,
        pb.OpenDisputeResponse,
        Scope.DISPUTES_WRITE,
        about(OpenDispute, amount=amount, capture=cited, reason=reason),
        answers.write_corrected,
    ),
    Mutation(
        pb.ResolveDisputeRequest,
        pb.ResolveDisputeResponse,
        Scope.DISPUTES_WRITE,
        about(ResolveDispute, user_won=_user_won, goodwill=_goodwill, reason=reason),
        answers.write_corrected,
    ),
    Mutation(
        pb.RecordChargeBackRequest,
        pb.RecordChargeBackResponse,
        Scope.DISPUTES_WRITE,
        about(
            RecordChargeBack,
            payment_reference=payment_reference,
            amount=amount,
            rail_account=rail_account,
            payment=_payment,
        ),
        charge_backs.write_charged_back,
    ),
    Mutation(
        pb.ResolveChargeBackRequest,
        pb.ResolveChargeBackResponse,
        Scope.DISPUTES_WRITE,
        about(
            ResolveChargeBack,
            user_won=_user_won,
            goodwill=_goodwill,
            reason=reason,
            case_id=_case_id,
        ),
        answers.write_corrected,
    ),
    Mutation(
        pb.SetProvisionRequest,
        pb.SetProvisionResponse,
        Scope.WRITE_OFFS_WRITE,
        about(SetProvision, amount=amount),
        answers.write_provisioned,
    ),
    Mutation(
        pb.ProposeWriteOffRequest,
        pb.ProposeWriteOffResponse,
        Scope.WRITE_OFFS_WRITE,
        about(ProposeWriteOff, by=_by),
    ),
    Mutation(
        pb.ApproveWriteOffRequest,
        pb.ApproveWriteOffResponse,
        Scope.WRITE_OFFS_WRITE,
        about(ApproveWriteOff, by=_by),
    ),
    # A key that decides disputes can let Freehold bear a due amount: this gives no key more power.
    Mutation(
        pb.ForgiveChargeRequest,
        pb.ForgiveChargeResponse,
        Scope.DISPUTES_WRITE,
        about(ForgiveCharge, reason=reason),
        answers.write_corrected,
    ),
    Mutation(
        pb.PayOutRefundRequest,
        pb.PayOutRefundResponse,
        Scope.PAYOUTS_WRITE,
        about(PayOutRefund, amount=amount),
    ),
    Mutation(
        pb.PayOutOperatorRequest,
        pb.PayOutOperatorResponse,
        Scope.PAYOUTS_WRITE,
        _pay_out_operator,
        answers.write_paid,
    ),
    Mutation(
        pb.RecordOperatorPaymentRequest,
        pb.RecordOperatorPaymentResponse,
        Scope.PAYOUTS_WRITE,
        _operator_payment,
        answers.write_paid,
    ),
    *charge_backs.MUTATIONS,
)
"""The calls that change money after a capture."""


class CollectionReads:
    """The reads of the treasury."""

    def __init__(self, payables: Payables, readers: Executor) -> None:
        self._payables = payables
        self._readers = readers

    def methods(self, max_bytes: int) -> list[Method[Any]]:
        """The methods with their scopes."""
        return [
            Method(
                "GetOperatorBalance",
                pb.GetOperatorBalanceRequest,
                Scope.PAYOUTS_READ,
                self.balance,
                max_bytes,
            )
        ]

    async def balance(self, call: Call[pb.GetOperatorBalanceRequest]) -> bytes:
        """Answers GetOperatorBalance."""
        read = partial(self._payables, call.message.operator_id)
        payables = await asyncio.get_running_loop().run_in_executor(self._readers, read)
        response = pb.GetOperatorBalanceResponse()
        for currency in sorted(payables):
            response.payables.add(currency_code=currency, amount_minor=payables[currency])
        return response.SerializeToString()
