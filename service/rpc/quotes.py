"""QuoteAuthorization and QuoteFee: the answers of the real calls, with nothing done."""

from __future__ import annotations

from functools import partial
from typing import Any

from freehold.v1 import authorization_pb2 as pb
from freehold.v1 import authorization_service_pb2 as calls
from freehold.v1 import types_pb2 as types

from service.domain.access import Scope
from service.domain.details import price_hash
from service.domain.meter import Pause
from service.domain.quotes import QuotedFee, cost_of
from service.domain.receipt import Receipt
from service.domain.tariff import interval_minutes
from service.engine.quotes import QuotedAuthorization, Quotes, Usage
from service.engine.rates import Weight
from service.engine.readers import Readers
from service.rpc import convert
from service.rpc.details import group_order
from service.rpc.pipeline import Call, Method
from service.rpc.receipts import encode_receipt


class QuoteReads:
    """The quotes of an operator; they share the threads for reads."""

    def __init__(self, quotes: Quotes, readers: Readers) -> None:
        self._quotes = quotes
        self._readers = readers

    def methods(self, max_bytes: int) -> list[Method[Any]]:
        """The methods with their scopes."""
        made = (
            ("QuoteAuthorization", calls.QuoteAuthorizationRequest, self.authorization),
            ("QuoteFee", calls.QuoteFeeRequest, self.fee),
        )
        return [
            Method(name, request, Scope.QUOTES_READ, handle, max_bytes, Weight.QUOTE)
            for name, request, handle in made
        ]

    async def authorization(self, call: Call[calls.QuoteAuthorizationRequest]) -> bytes:
        """Answers QuoteAuthorization."""
        caller = str(call.principal.operator_id)
        read = partial(self._quotes.authorization, caller, group_order(call.message))
        return _encoded(await self._readers.run(call, read))

    async def fee(self, call: Call[calls.QuoteFeeRequest]) -> bytes:
        """Answers QuoteFee."""
        message, caller = call.message, str(call.principal.operator_id)
        usage = Usage(
            convert.optional_us(message, "start_time"),
            convert.optional_us(message, "end_time"),
            tuple([_pause(it, place) for place, it in enumerate(message.pauses)]),
            convert.optional_us(message, "reserve_time"),
            message.station,
        )
        if message.WhichOneof("subject") == "name":
            name = convert.split_name(message.name)
            read = partial(self._quotes.rental, caller, name, usage)
        else:
            read = partial(self._quotes.usage, caller, message.product_id, usage)
        return _bill(await self._readers.run(call, read), self._quotes.now_us())


def _pause(message: calls.QuoteFeeRequest.Pause, place: int) -> Pause:
    start = convert.instant_us(message.start_time, f"pauses[{place}].start_time")
    return Pause(start, convert.instant_us(message.end_time, f"pauses[{place}].end_time"))


def _encoded(quote: QuotedAuthorization) -> bytes:
    first = quote.authorizations[0]
    message = calls.QuoteAuthorizationResponse(
        state=convert.STATES[first.state],
        offer=convert.OFFERS[first.offer],
        reasons=first.reasons,
        score_band=convert.BANDS[first.band],
    )
    for it, product in zip(quote.authorizations, quote.products, strict=True):
        cost = cost_of(product, it.order_fee_minor)
        item = message.items.add(
            product_id=product.product_id,
            price_hash=price_hash(product),
            product_revision=product.revision,
            policy_revision=product.policy.revision,
            price_place=product.tariff.place,
        )
        for amount, minor in (
            (item.credit, it.credit_minor),
            (item.cash, it.cash_minor),
            (item.least_cost, cost.least_minor),
            (item.most_fee, cost.most_fee_minor),
            (item.most_cost, cost.most_minor),
        ):
            amount.currency_code, amount.amount_minor = product.currency, minor
    for cut in quote.cuts:
        added = message.cuts.add(field=cut.field, product_id=cut.product_id)
        added.granted.FromMicroseconds(cut.granted_us)
    convert.write_time(message.quote_time, quote.now_us)
    return message.SerializeToString()


def _bill(quote: QuotedFee, now_us: int) -> bytes:
    product, fee = quote.product, quote.fee
    currency = product.currency
    receipt = Receipt(
        quote.start_us,
        quote.end_us,
        product.tariff.free_minutes,
        interval_minutes(product.tariff),
        fee.lines,
        fee.total_minor,
        other_minor=0,
        released_minor=0,
        owed_back_minor=0,
        uncollected_minor=0,
    )
    message = calls.QuoteFeeResponse(
        product_id=product.product_id,
        price_hash=price_hash(product),
        product_revision=product.revision,
    )
    message.bill.CopyFrom(pb.Authorization.FromString(encode_receipt(receipt, currency)).receipt)
    if quote.captured_minor:
        captured = types.Money(currency_code=currency, amount_minor=quote.captured_minor)
        message.captured.CopyFrom(captured)
    convert.write_time(message.quote_time, now_us)
    return message.SerializeToString()
