"""AuthorizationService: calls on a hold from offer to settlement and after, and its reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from freehold.v1 import authorization_service_pb2 as pb

from service.domain.access import Scope
from service.domain.attestations import AttestationKind
from service.domain.authorization import Authorization
from service.domain.details import Price
from service.domain.errors import IllegalState, InvalidInput, InvariantBroken, NotFound
from service.domain.money import Money
from service.engine.operations import (
    Authorize,
    BookDebt,
    ClaimReturn,
    Confirm,
    ContestReturn,
    Decrease,
    Extend,
    Increment,
    Item,
    LowerCharge,
    PauseRental,
    RecordPaidElsewhere,
    RefundCharge,
    ReportFound,
    ReportLost,
    ResumeRental,
    Reverse,
    ReverseByOrigin,
    Settle,
    StartRental,
    WaiveFee,
)
from service.engine.prices import Prices
from service.engine.rates import Weight
from service.engine.readers import Readers
from service.engine.reads import AuthorizationReader, ListReader, Told
from service.engine.records.details import DetailsRecord
from service.rpc import answers, convert
from service.rpc.batches import Batch
from service.rpc.details import encode_details, group_order, item_place_of, order_of
from service.rpc.line_items import check_line_items
from service.rpc.mutations import (
    Mutation,
    Reader,
    about,
    amount,
    business_reference,
    cited,
    evidence,
    occurred_us,
    payment_reference,
    rail_account,
    reason,
)
from service.rpc.pages import filtered_place_of, filtered_token_of, size_of
from service.rpc.pipeline import Call, Method

SERVICE = "freehold.v1.AuthorizationService"


def _authorize(call: Call[pb.AuthorizeRequest]) -> Authorize:
    message = call.message
    has, instant_us = message.HasField, convert.instant_us
    fee = convert.money(message.order_fee) if has("order_fee") else None
    # Positional arguments cost half as much as keywords.
    return Authorize(
        message.user_id,
        (Item(message.product_id, message.asset_id, message.price_hash, fee),),
        convert.START_OF[message.start],
        tuple([convert.OFFER_OF[it] for it in message.accept_offers]),
        instant_us(message.pickup_window, "pickup_window") if has("pickup_window") else None,
        instant_us(message.rental_period, "rental_period") if has("rental_period") else None,
        _parent_id(message) if message.parent else "",
        convert.money(message.amount) if has("amount") else None,
        order=order_of(message) if has("order") else None,
        user_consent_reference=message.user_consent_reference,
        identity_hash=message.identity_hash,
    )


def _parent_id(message: pb.AuthorizeRequest) -> str:
    user_id, authorization_id = convert.split_name(message.parent)
    if user_id != message.user_id:
        raise InvalidInput.of("parent", "parent.user", "must name a rental of the same user")
    return authorization_id


def _amount_if_any(call: Call[pb.WaiveFeeRequest]) -> Money | None:
    """The amount to waive, or None for the whole fee."""
    return amount(call) if call.message.HasField("amount") else None


def _paid(call: Call[Any]) -> Money:
    return convert.money(call.message.paid)


def _consent(call: Call[Any]) -> str:
    """The reference to the user's consent to a charge for damage; empty if there is none."""
    reference: str = call.message.user_consent_reference
    return reference


def _paid_if_any(call: Call[pb.IncrementAuthorizationRequest]) -> Money | None:
    """The payment for an increment, or None. A payment needs both an amount and a reference."""
    message = call.message
    paid = message.HasField("paid")
    if paid and not message.payment_reference:
        raise InvalidInput.of(
            "payment_reference", "payment_reference.with_paid", "is required if paid is given"
        )
    if message.payment_reference and not paid:
        raise InvalidInput.of(
            "paid", "paid.with_payment_reference", "is required if payment_reference is given"
        )
    if message.rail_account and not paid:
        raise InvalidInput.of(
            "paid", "paid.with_rail_account", "is required if rail_account is given"
        )
    return convert.money(message.paid) if paid else None


def _settle(call: Call[pb.SettleAuthorizationRequest]) -> Settle:
    message = call.message
    amount = None
    if message.WhichOneof("charge") == "amount":
        amount = convert.money(message.amount)
    if message.line_items:
        check_line_items(message)
    user_id, authorization_id = convert.split_name(message.name)
    return Settle(
        user_id,
        authorization_id,
        amount=amount,
        final=message.final if message.HasField("final") else True,
        occurred_us=_occurred_us(message),
        purpose=convert.PURPOSE_OF.get(message.purpose),
        business_reference=message.business_reference,
        handover=_handover(message),
        evidence=message.evidence,
        place=item_place_of(message),
        user_consent_reference=message.user_consent_reference,
        line_items=tuple([item.item for item in message.line_items]),
        expected_version=convert.expected_version(message),
    )


def _handover(message: pb.SettleAuthorizationRequest) -> AttestationKind | None:
    """The return by post or by hand, or None for a docked item."""
    handover = convert.HANDOVER_OF.get(message.return_kind)
    if handover is None:
        if message.evidence:
            raise InvalidInput.of(
                "evidence", "evidence.docked", "is allowed only for a return by post or by hand"
            )
        return None
    if not message.evidence:
        raise InvalidInput.of(
            "evidence", "evidence.handover", "is required for a return by post or by hand"
        )
    if message.HasField("final") and not message.final:
        raise InvalidInput.of(
            "final", "final.handover", "must be true for a return by post or by hand"
        )
    return handover


def _occurred_us(message: pb.SettleAuthorizationRequest) -> int | None:
    """The end of the usage, else the time of the event; None means now."""
    occurred_us = convert.optional_us(message, "occurred_at")
    if not message.usage.HasField("end_time"):
        return occurred_us
    end_us = convert.instant_us(message.usage.end_time, "usage.end_time")
    if occurred_us not in (None, end_us):
        raise InvalidInput.of("usage.end_time", "usage.end_time.differs", "must equal occurred_at")
    return end_us


def _paths_of_settle(message: pb.SettleAuthorizationRequest) -> Mapping[str, str]:
    return {"occurred_at": "usage.end_time"} if message.usage.HasField("end_time") else {}


def _reverse(call: Call[pb.ReverseAuthorizationRequest]) -> Reverse | ReverseByOrigin:
    message = call.message
    expected_version = convert.expected_version(message)
    if message.WhichOneof("target") == "name":
        return Reverse(
            *convert.split_name(message.name),
            by_user=message.user_cancels,
            expected_version=expected_version,
        )
    if message.user_cancels:
        raise InvalidInput.of("user_cancels", "user_cancels.with_name", "is allowed only with name")
    if message.origin.authorize_request_id == message.request_id:
        raise InvalidInput.of(
            "origin.authorize_request_id", "request_id.differs", "must differ from request_id"
        )
    return ReverseByOrigin(
        message.origin.user_id,
        message.origin.authorize_request_id,
        expected_version=expected_version,
    )


WRITE = Scope.AUTHORIZATIONS_WRITE
CORRECTION: dict[str, Reader] = {
    "amount": amount,
    "capture": cited,
    "reason": reason,
    "business_reference": business_reference,
}
"""The arguments of a call by which the operator corrects a charge."""


def _resumed_us(call: Call[pb.PauseRentalRequest]) -> int | None:
    return convert.optional_us(call.message, "resumed_at")


WORD: dict[str, Reader] = {
    "cause": lambda call: convert.CAUSE_OF[call.message.cause],
    "source": lambda call: convert.SOURCE_OF[call.message.source],
    "evidence": evidence,
}
"""The arguments of a call by which the operator attests a fault."""
_AUTHORIZE = Mutation(
    pb.AuthorizeRequest,
    pb.AuthorizeResponse,
    WRITE,
    _authorize,
    answers.write_asked,
)
_SETTLE = Mutation(
    pb.SettleAuthorizationRequest,
    pb.SettleAuthorizationResponse,
    WRITE,
    _settle,
    answers.write_settled,
    _paths_of_settle,
)
MUTATIONS = (
    _AUTHORIZE,
    Mutation(
        pb.AuthorizeGroupRequest,
        pb.AuthorizeGroupResponse,
        WRITE,
        lambda call: group_order(call.message),
        answers.write_group,
    ),
    Mutation(
        pb.ConfirmAuthorizationRequest,
        pb.ConfirmAuthorizationResponse,
        WRITE,
        about(Confirm, payment_reference=payment_reference, paid=_paid, rail_account=rail_account),
    ),
    Mutation(
        pb.StartRentalRequest,
        pb.StartRentalResponse,
        WRITE,
        about(
            StartRental,
            asset_id=lambda call: call.message.asset_id,
            occurred_us=occurred_us,
            place=lambda call: item_place_of(call.message),
        ),
        answers.write_started,
    ),
    Mutation(
        pb.IncrementAuthorizationRequest,
        pb.IncrementAuthorizationResponse,
        WRITE,
        about(
            Increment,
            amount=amount,
            payment_reference=payment_reference,
            paid=_paid_if_any,
            rail_account=rail_account,
            user_consent_reference=_consent,
        ),
    ),
    Mutation(
        pb.DecreaseAuthorizationRequest,
        pb.DecreaseAuthorizationResponse,
        WRITE,
        about(Decrease, amount=amount),
    ),
    Mutation(
        pb.ExtendRentalRequest,
        pb.ExtendRentalResponse,
        WRITE,
        about(Extend, by_us=lambda call: convert.instant_us(call.message.duration, "duration")),
    ),
    _SETTLE,
    Mutation(
        pb.ReverseAuthorizationRequest,
        pb.ReverseAuthorizationResponse,
        WRITE,
        _reverse,
        answers.write_reversed,
    ),
    Mutation(
        pb.ClaimReturnRequest,
        pb.ClaimReturnResponse,
        Scope.RETURNS_CLAIM,
        about(ClaimReturn, occurred_us=occurred_us, evidence=evidence),
    ),
    Mutation(
        pb.ContestReturnRequest,
        pb.ContestReturnResponse,
        WRITE,
        about(ContestReturn, evidence=evidence),
    ),
    Mutation(
        pb.PauseRentalRequest,
        pb.PauseRentalResponse,
        WRITE,
        about(PauseRental, **WORD, occurred_us=occurred_us, resumed_us=_resumed_us),
        answers.write_attested,
    ),
    Mutation(
        pb.ResumeRentalRequest,
        pb.ResumeRentalResponse,
        WRITE,
        about(ResumeRental, evidence=evidence, occurred_us=occurred_us),
        answers.write_attested,
    ),
    Mutation(
        pb.WaiveFeeRequest,
        pb.WaiveFeeResponse,
        WRITE,
        about(WaiveFee, amount=_amount_if_any, **WORD),
        answers.write_attested,
    ),
    Mutation(pb.ReportLostRequest, pb.ReportLostResponse, WRITE, about(ReportLost)),
    Mutation(
        pb.ReportFoundRequest,
        pb.ReportFoundResponse,
        WRITE,
        about(ReportFound, occurred_us=occurred_us, evidence=evidence, reason=reason),
        answers.write_corrected,
    ),
    Mutation(
        pb.BookDebtRequest,
        pb.BookDebtResponse,
        WRITE,
        about(
            BookDebt,
            amount=amount,
            business_reference=lambda call: call.message.business_reference,
            evidence=lambda call: call.message.evidence,
            user_consent_reference=_consent,
        ),
    ),
    Mutation(
        pb.LowerChargeRequest,
        pb.LowerChargeResponse,
        WRITE,
        about(LowerCharge, **CORRECTION),
        answers.write_corrected,
    ),
    Mutation(
        pb.RefundChargeRequest,
        pb.RefundChargeResponse,
        WRITE,
        about(RefundCharge, **CORRECTION),
        answers.write_corrected,
    ),
    Mutation(
        pb.RecordPaidElsewhereRequest,
        pb.RecordPaidElsewhereResponse,
        WRITE,
        about(
            RecordPaidElsewhere,
            payment_reference=payment_reference,
            amount=amount,
            rail_account=rail_account,
        ),
    ),
)
"""The calls that change an authorization, in the order of a rental's life."""
BATCHES = (Batch(pb.BatchAuthorizeRequest, _AUTHORIZE), Batch(pb.BatchSettleRequest, _SETTLE))
"""The calls with many requests of one of these calls."""


class AuthorizationReads:
    """The reads of an operator's own authorizations."""

    def __init__(
        self, reader: AuthorizationReader, lists: ListReader, prices: Prices, readers: Readers
    ) -> None:
        self._reader = reader
        self._prices = prices
        self._lists = lists
        self._readers = readers

    def methods(self, max_bytes: int) -> list[Method[Any]]:
        """The methods with their scopes."""
        scope, of_list = Scope.AUTHORIZATIONS_READ, pb.ListAuthorizationsRequest
        return [
            Method("GetAuthorization", pb.GetAuthorizationRequest, scope, self.get, max_bytes),
            Method("GetReceipt", pb.GetReceiptRequest, scope, self.receipt, max_bytes),
            Method("ListAuthorizations", of_list, scope, self.list, max_bytes, Weight.LIST),
        ]

    async def get(self, call: Call[pb.GetAuthorizationRequest]) -> bytes:
        """Answers GetAuthorization."""
        return answers.write_told(*await self._told(call))

    async def receipt(self, call: Call[pb.GetReceiptRequest]) -> bytes:
        """Answers GetReceipt: it makes the receipt again, as the settlement made it."""
        told, price = await self._told(call)
        docked = await self._readers.run(call, partial(self._reader.docked, told))
        if docked is None:
            raise IllegalState(
                "NO_RECEIPT",
                "there is no receipt: the rental is not settled, it is a damage charge, or an"
                " earlier build settled it and moved no money",
                told.authorization.state,
            )
        return answers.write_receipt(docked, price)

    async def _told(self, call: Call[Any]) -> tuple[Told, Price]:
        """The authorization, and its price."""
        key = convert.split_name(call.message.name)
        return await self._readers.run(call, partial(self._read, key, _operator(call)))

    def _read(self, key: tuple[str, str], operator_id: str) -> tuple[Told, Price]:
        found = self._reader.told(*key)
        if found is None or found.authorization.operator_id != operator_id:
            raise NotFound("authorization", key[1])
        (price,) = self._prices.of([found.authorization])
        return found, price

    async def list(self, call: Call[pb.ListAuthorizationsRequest]) -> bytes:
        """Answers ListAuthorizations."""
        message = call.message
        filters = [message.user_id, message.state]
        if message.order_reference:
            # Tokens of earlier builds go on without it.
            filters.append(message.order_reference)
        if message.lapse:
            filters.append(-message.lapse)
        page = await self._readers.run(
            call,
            partial(
                self._lists.authorizations,
                _operator(call),
                after=filtered_place_of(message.page_token, filters),
                size=size_of(message.page_size),
                user_id=message.user_id,
                state=convert.STATE_OF.get(message.state),
                order_reference=message.order_reference,
                lapse=convert.LAPSE_OF.get(message.lapse),
            ),
        )
        told, prices = await self._readers.run(call, partial(self._beside, page.rows))
        token = filtered_token_of(page.last, filters)
        rest = pb.ListAuthorizationsResponse(next_page_token=token)
        rows = [
            convert.encode_authorization(it, None, price) + encode_details(told.get(it.name))
            for it, price in zip(page.rows, prices, strict=True)
        ]
        return answers.all_placed(rows, rest)

    def _beside(
        self, rows: Sequence[Authorization]
    ) -> tuple[dict[str, DetailsRecord], Sequence[Price]]:
        """The details of a page by the authorizations' names, and the hashes of the prices."""
        return self._lists.details(rows), self._prices.of(rows)


def _operator(call: Call[Any]) -> str:
    operator_id = call.principal.operator_id
    if operator_id is None:
        raise InvariantBroken("the call needs an operator's key")
    return operator_id
