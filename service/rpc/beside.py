"""Encodes a step's rows for its event: the rows written in addition to the authorization."""

from __future__ import annotations

from freehold.v1 import authorization_pb2 as pb

from service.domain.cases import Case
from service.engine.calls import Beside
from service.engine.records.consents import ConsentRecord
from service.engine.records.details import DetailsRecord
from service.engine.records.lapses import LapseRecord
from service.engine.records.later_decisions import LaterDecisionRecord
from service.engine.records.verdicts import VerdictRecord
from service.rpc.convert import LAPSES
from service.rpc.details import encode_details


def encode_beside(row: Beside) -> bytes:
    """The bytes of the authorization's fields for the row."""
    if isinstance(row, DetailsRecord):
        return encode_details(row)
    if isinstance(row, LapseRecord):
        return pb.Authorization(lapse=LAPSES[row.lapse]).SerializeToString()
    if isinstance(row, Case):
        return pb.Authorization(case=row.name).SerializeToString()
    if isinstance(row, LaterDecisionRecord):
        return pb.Authorization(step_decision_id=row.decision_id).SerializeToString()
    if isinstance(row, ConsentRecord):
        reference = row.user_consent_reference
        return pb.Authorization(user_consent_reference=reference).SerializeToString()
    if isinstance(row, VerdictRecord):
        return pb.Authorization(reviewed=True).SerializeToString()
    return pb.Authorization(moved_no_money=True).SerializeToString()
