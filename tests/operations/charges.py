"""Calls after a capture: payments, lowering, disputes, refunds, charge-backs, write-offs."""

from __future__ import annotations

from typing import Any

from freehold.v1 import collection_service_pb2 as collection_pb

from service.domain import charge_backs, collection
from service.domain.authorization import State
from tests.engine import acts
from tests.engine.calls import pay, rental, reverse
from tests.operations.call import (
    AMOUNT,
    CHARGED,
    CITED,
    REASON,
    REFERRED,
    REPORTED,
    SAME_LINE,
    TAKEN,
    CallOnAuthorization,
    then,
)
from tests.rpc import ready
from tests.rpc.support import Desks

WON = collection_pb.DISPUTE_OUTCOME_USER_WON
OF_AMOUNT = frozenset({"name", "amount"})
REPORTS = frozenset({"name", "payment_reference", "amount"})
SETTLED = frozenset({State.SETTLED})


def _user_wins(_desk: Desks, request: Any) -> None:
    request.outcome = WON


CALLS = (
    CallOnAuthorization(
        method="RecordPayment",
        scope="payments.write",
        required=frozenset({"authorization", "payment_reference", "amount"}),
        parts=(REPORTED,),
        race="payment",
        states=CHARGED,
        rule=collection.pay,
        command=lambda it: pay(it, 100, reference=f"any-{it.user_id}"),
        before=then(State.SETTLED),
        behind=ready.settled,
    ),
    CallOnAuthorization(
        method="RecordPaidElsewhere",
        required=REPORTS,
        parts=(REPORTED,),
        unraced="its reference counts once, as that of the race `payment` does",
        states=CHARGED,
        rule=collection.pay_elsewhere,
        command=lambda it: acts.pay_elsewhere(it, 100, f"any-{it.user_id}"),
        before=then(State.SETTLED),
        behind=ready.settled,
    ),
    CallOnAuthorization(
        method="LowerCharge",
        required=OF_AMOUNT,
        parts=(REFERRED,),
        unraced=SAME_LINE,
        states=CHARGED,
        rule=collection.lower,
        command=lambda it: acts.lower(it, 100),
        before=then(State.SETTLED),
        behind=ready.settled,
    ),
    CallOnAuthorization(
        method="RefundCharge",
        required=OF_AMOUNT,
        parts=(REFERRED,),
        unraced=SAME_LINE,
        states=CHARGED,
        rule=collection.refund,
        command=lambda it: acts.refund(it, 100),
        before=then(State.SETTLED),
        behind=ready.paid,
    ),
    CallOnAuthorization(
        method="PayOutRefund",
        scope="payouts.write",
        required=OF_AMOUNT,
        parts=(AMOUNT,),
        race="refund",
        states=TAKEN,
        rule=collection.pay_out,
        command=lambda it: acts.pay_out(it, 100),
        before=then(State.ACTIVE, lambda desk, it: rental(desk, reverse(it))),
        behind=ready.owed_back,
    ),
    CallOnAuthorization(
        method="OpenDispute",
        scope="disputes.write",
        required=OF_AMOUNT,
        parts=(CITED,),
        unraced=SAME_LINE,
        states=CHARGED,
        rule=collection.open_dispute,
        command=lambda it: acts.dispute(it, 100),
        before=then(State.SETTLED),
        behind=ready.settled,
    ),
    CallOnAuthorization(
        method="ResolveDispute",
        scope="disputes.write",
        required=frozenset({"name", "outcome"}),
        parts=({"outcome": WON, **REASON},),
        fill=_user_wins,
        unraced=SAME_LINE,
        states=CHARGED,
        rule=lambda it, n, now_us: collection.resolve_dispute(
            it, user_won=n % 3 > 0, goodwill=n % 3 > 1, now_us=now_us
        ),
        command=lambda it: acts.decide_dispute(it, user_won=True),
        before=then(State.SETTLED, lambda desk, it: rental(desk, acts.dispute(it, 100))),
        behind=ready.disputed,
    ),
    CallOnAuthorization(
        method="RecordChargeBack",
        scope="disputes.write",
        required=REPORTS,
        parts=({**REPORTED, "payment": "pay-7"},),
        race="refund",
        states=TAKEN,
        rule=charge_backs.charge_back,
        command=lambda it: acts.charge_back(it, 100, f"any-{it.user_id}"),
        before=then(State.SETTLED),
        behind=ready.paid,
    ),
    CallOnAuthorization(
        method="ResolveChargeBack",
        scope="disputes.write",
        required=frozenset({"name", "outcome"}),
        parts=({"outcome": WON, **REASON, "case_id": "case-7"},),
        fill=_user_wins,
        unraced=SAME_LINE,
        states=TAKEN,
        rule=lambda it, n, now_us: charge_backs.resolve(
            it, charge_backs.Decision(user_won=n % 3 > 0, goodwill=n % 3 > 1), now_us
        )[0],
        command=lambda it: acts.decide_charge_back(it, user_won=True),
        before=then(State.SETTLED, lambda desk, it: rental(desk, acts.charge_back(it, 100))),
        behind=ready.charged_back,
    ),
    CallOnAuthorization(
        method="SetProvision",
        scope="write_offs.write",
        required=OF_AMOUNT,
        parts=(AMOUNT,),
        unraced=SAME_LINE,
        states=SETTLED,
        rule=collection.provision,
        command=lambda it: acts.provision(it, 100),
        before=then(State.SETTLED),
        behind=ready.settled,
    ),
    CallOnAuthorization(
        method="ProposeWriteOff",
        scope="write_offs.write",
        unraced=SAME_LINE,
        states=SETTLED,
        rule=lambda it, n, now_us: collection.propose_write_off(it, f"key-{n % 2}", now_us),
        command=acts.propose,
        before=then(State.SETTLED),
        behind=ready.settled,
    ),
    CallOnAuthorization(
        method="ApproveWriteOff",
        scope="write_offs.write",
        race="write-off",
        states=SETTLED,
        rule=lambda it, n, now_us: collection.write_off(it, f"key-{n % 2}", now_us),
        command=acts.approve,
        before=then(State.SETTLED, lambda desk, it: rental(desk, acts.propose(it))),
        behind=ready.proposed,
    ),
)
