"""AuthorizationService: whether the item is back."""

from __future__ import annotations

from freehold.v1 import authorization_service_pb2 as pb

from service.domain.access import Scope
from service.engine.operations import ClaimReturn, ContestReturn, ReportFound, ReportLost
from service.rpc.mutations import Mutation, about, occurred_us

WRITE = Scope.AUTHORIZATIONS_WRITE
MUTATIONS = (
    Mutation(
        pb.ClaimReturnRequest,
        pb.ClaimReturnResponse,
        Scope.RETURNS_CLAIM,
        about(ClaimReturn),
    ),
    Mutation(
        pb.ContestReturnRequest,
        pb.ContestReturnResponse,
        WRITE,
        about(ContestReturn, evidence=lambda call: call.message.evidence),
    ),
    Mutation(pb.ReportLostRequest, pb.ReportLostResponse, WRITE, about(ReportLost)),
    Mutation(
        pb.ReportFoundRequest,
        pb.ReportFoundResponse,
        WRITE,
        about(ReportFound, occurred_us=occurred_us),
    ),
)
"""Claimed, contested, lost, found."""
