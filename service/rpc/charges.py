"""AuthorizationService: what the operator does about a charge after it was captured."""

from __future__ import annotations

from freehold.v1 import authorization_service_pb2 as pb

from service.domain.access import Scope
from service.engine.operations import LowerCharge, RecordPaidElsewhere, RefundCharge
from service.rpc.mutations import Mutation, about, amount, payment_reference

WRITE = Scope.AUTHORIZATIONS_WRITE
MUTATIONS = (
    Mutation(
        pb.LowerChargeRequest,
        pb.LowerChargeResponse,
        WRITE,
        about(LowerCharge, amount=amount),
    ),
    Mutation(
        pb.RefundChargeRequest,
        pb.RefundChargeResponse,
        WRITE,
        about(RefundCharge, amount=amount),
    ),
    Mutation(
        pb.RecordPaidElsewhereRequest,
        pb.RecordPaidElsewhereResponse,
        WRITE,
        about(RecordPaidElsewhere, payment_reference=payment_reference, amount=amount),
    ),
)
"""Lowered, refunded, paid to the operator."""
