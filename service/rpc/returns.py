"""AuthorizationService: whether the item is back."""

from __future__ import annotations

from freehold.v1 import authorization_service_pb2 as pb

from service.domain.access import Scope
from service.engine.commands import ClaimReturn, ContestReturn, ReportFound, ReportLost
from service.rpc.mutations import Mutation, following, occurred_us

WRITE = Scope.AUTHORIZATIONS_WRITE
MUTATIONS = (
    Mutation(
        pb.ClaimReturnRequest,
        pb.ClaimReturnResponse,
        Scope.RETURNS_CLAIM,
        following(ClaimReturn),
    ),
    Mutation(
        pb.ContestReturnRequest,
        pb.ContestReturnResponse,
        WRITE,
        following(ContestReturn, evidence=lambda call: call.message.evidence),
    ),
    Mutation(pb.ReportLostRequest, pb.ReportLostResponse, WRITE, following(ReportLost)),
    Mutation(
        pb.ReportFoundRequest,
        pb.ReportFoundResponse,
        WRITE,
        following(ReportFound, occurred_us=occurred_us),
    ),
)
"""Claimed, contested, lost, found."""
