"""PassService: passes that operators grant, sell and take back."""

from __future__ import annotations

from functools import partial
from typing import Any

from freehold.v1 import pass_service_pb2 as pb
from freehold.v1 import types_pb2 as types

from service.domain.access import Scope
from service.domain.errors import InvariantBroken
from service.domain.segment_tariff import PassGift
from service.engine.calls import Answer, PassTold, Payloads
from service.engine.operations import BuyPass, GrantPass, RefundPass
from service.engine.rates import Weight
from service.engine.readers import Readers
from service.engine.reads import PassReader
from service.engine.records.passes import PassRecord
from service.rpc import answers, convert
from service.rpc.mutations import Mutation
from service.rpc.pages import filtered_place_of, filtered_token_of, size_of
from service.rpc.pipeline import Call, Method

SERVICE = "freehold.v1.PassService"
GIFTS = {it: getattr(pb.Pass, f"GIFT_{it}") for it in PassGift}


def pass_message(it: PassRecord) -> pb.Pass:
    """The message of a pass."""
    message = pb.Pass(
        name=f"users/{it.user_id}/passes/{it.pass_id}",
        product_id=it.product_id,
        product_revision=it.product_revision,
        pass_name=it.name,
        gift=GIFTS[it.gives],
        price=types.Money(currency_code=it.currency, amount_minor=it.price_minor),
        start_time=convert.timestamp(it.from_us),
        end_time=convert.timestamp(it.until_us),
        reference=it.reference,
        uses=it.uses,
        create_time=convert.timestamp(it.record_us),
        refund_time=convert.timestamp(it.refund_us),
    )
    if it.gives is PassGift.PERCENT:
        message.percent = it.size
    else:
        message.minutes = it.size
    if it.authorization_id:
        message.debt = f"users/{it.user_id}/authorizations/{it.authorization_id}"
    return message


def _write(response: Any, answer: Answer, payloads: Payloads) -> bytes:
    """Encodes a pass after a call on it, and the debt of its price."""
    if not isinstance(answer, PassTold):
        raise InvariantBroken("the answer is not of the method's type")
    rest = response(held=pass_message(answer.held))
    if answer.authorization is None:
        encoded: bytes = rest.SerializeToString()
        return encoded
    return answers.write_beside(answer.authorization, rest, payloads)


def _grant(call: Call[pb.GrantPassRequest]) -> GrantPass:
    it = call.message
    from_us = convert.optional_us(it, "start_time")
    return GrantPass(it.user_id, it.product_id, it.pass_name, from_us, it.reference)


def _buy(call: Call[pb.BuyPassRequest]) -> BuyPass:
    it = call.message
    from_us = convert.optional_us(it, "start_time")
    return BuyPass(it.user_id, it.product_id, it.pass_name, from_us, it.reference, it.price_hash)


def _refund(call: Call[pb.RefundPassRequest]) -> RefundPass:
    _, user_id, _, pass_id = call.message.name.split("/")
    return RefundPass(user_id, pass_id)


WRITE = Scope.AUTHORIZATIONS_WRITE
MUTATIONS = (
    Mutation(pb.GrantPassRequest, pb.GrantPassResponse, WRITE, _grant, _write),
    Mutation(pb.BuyPassRequest, pb.BuyPassResponse, WRITE, _buy, _write),
    Mutation(pb.RefundPassRequest, pb.RefundPassResponse, WRITE, _refund, _write),
)
"""The calls that change passes. A key that books debts can charge a person: these give it no more
power."""


class PassReads:
    """The list of a person's passes."""

    def __init__(self, reader: PassReader, readers: Readers) -> None:
        """`readers` runs the reads."""
        self._reader = reader
        self._readers = readers

    def methods(self, max_bytes: int) -> list[Method[Any]]:
        """The reading method with its scope."""
        list_of = (pb.ListPassesRequest, Scope.AUTHORIZATIONS_READ, self.list)
        return [Method("ListPasses", *list_of, max_bytes, Weight.LIST)]

    async def list(self, call: Call[pb.ListPassesRequest]) -> bytes:
        """Answers ListPasses."""
        message = call.message
        read = partial(
            self._reader.passes,
            message.user_id,
            str(call.principal.operator_id),
            after=filtered_place_of(message.page_token, [message.user_id]).id,
            size=size_of(message.page_size),
        )
        page = await self._readers.run(call, read)
        return pb.ListPassesResponse(
            passes=[pass_message(it) for it in page.rows],
            next_page_token=filtered_token_of(page.last, [message.user_id]),
        ).SerializeToString()
