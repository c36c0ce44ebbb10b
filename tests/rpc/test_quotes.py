"""Quotes over gRPC: the answers of the real calls, in advance."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.terms_service_pb2 import TERMS_KIND_PRODUCT, TERMS_KIND_TARIFF
from freehold.v1.types_pb2 import OFFER_REDUCED, OFFER_ZERO
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from service.domain.access import OPERATOR_SCOPES, Scope, new_key, possible_scopes
from service.engine.records.administration import NewKey
from service.storage import admin
from tests.fakes import OPERATOR, START_US
from tests.rpc import ready
from tests.rpc.support import (
    BIKE_MINOR,
    UMBRELLA_MINOR,
    Caller,
    Desks,
    Refused,
    advance,
    until,
    user_with,
    yuan,
)
from tests.rpc.test_terms import caller_of

HOUR_S = 3_600


def quote(desk: Desks, user_id: str, *products: str, **parts: Any) -> Any:
    """The answer to QuoteAuthorization."""
    items = [{"product_id": it} for it in products]
    return desk.operator.call("QuoteAuthorization", user_id=user_id, items=items, **parts)


def now_of(desk: Desks) -> Timestamp:
    """The server's time."""
    now = Timestamp()
    now.FromMicroseconds(desk.served.clock.now_us())
    return now


def after(instant: Timestamp, seconds: int) -> Timestamp:
    """A later time."""
    return Timestamp(seconds=instant.seconds + seconds, nanos=instant.nanos)


def test_a_quote_is_the_answer_of_authorize(desk: Desks) -> None:
    """The quote has the state, offer, reasons, band, parts of the deposit, revisions and cut times
    that Authorize then answers with, and a price hash that it accepts."""
    for score, state in ((700, "STATE_ACTIVE"), (550, "STATE_OFFERED")):
        user_id = desk.platform.person(score)
        quoted = quote(desk, user_id, "bike")
        (item,) = quoted.items
        answer = desk.operator.call(
            "Authorize", user_id=user_id, product_id="bike", price_hash=item.price_hash
        )
        it = answer.authorization
        assert Authorization.State.Name(quoted.state) == state
        for name in ("state", "offer", "reasons", "score_band"):
            assert getattr(quoted, name) == getattr(it, name), name
        assert (item.cash, item.policy_revision) == (it.deposit_asked, it.policy_revision)
        assert item.credit.amount_minor + item.cash.amount_minor == BIKE_MINOR
        assert (item.product_id, item.product_revision) == ("bike", 1)
        assert answer.price_hash == item.price_hash
        assert quoted.quote_time == it.create_time == now_of(desk)


def test_a_quote_tells_that_the_identity_is_another(desk: Desks) -> None:
    """A quote with another identity than the one on record is DECLINED with IDENTITY_MISMATCH, as
    Authorize is; with the same one it is an offer."""
    user = user_with("with-identity", 700)
    user.identity_hash = "a" * 64
    desk.platform.put(user)
    for identity, reasons in (("b" * 64, ["IDENTITY_MISMATCH"]), ("a" * 64, []), ("", [])):
        quoted = quote(desk, user.user_id, "bike", identity_hash=identity)
        assert quoted.reasons == reasons


def test_a_quote_tells_the_bounds_of_the_cost(desk: Desks) -> None:
    """A bike costs at least its starting fee of 1.50 and at most its buy-out of 199.00; an umbrella
    from nothing to 59.00. Both get the offer of the stricter policy."""
    quoted = quote(desk, desk.platform.person(550), "bike", "umbrella")
    assert quoted.offer == OFFER_REDUCED
    bike, umbrella = quoted.items
    assert (bike.least_cost, bike.most_cost) == (yuan(150), yuan(BIKE_MINOR))
    assert (bike.most_fee, umbrella.most_fee) == (bike.most_cost, umbrella.most_cost)
    assert (umbrella.least_cost, umbrella.most_cost) == (yuan(0), yuan(UMBRELLA_MINOR))
    assert umbrella.cash == umbrella.credit == yuan(UMBRELLA_MINOR // 2)


def test_a_quote_tells_the_times_that_would_be_cut(desk: Desks) -> None:
    """A rental period above the policy's limit is cut in the quote as in the answer."""
    user_id, asked = desk.platform.person(700), Duration(seconds=31_622_400)
    quoted = quote(desk, user_id, "bike", rental_period=asked)
    answer = desk.operator.call(
        "Authorize", user_id=user_id, product_id="bike", rental_period=asked
    )
    assert list(quoted.cuts) == list(answer.cuts)
    assert [it.field for it in quoted.cuts] == ["rental_period"]


def test_a_quote_holds_nothing(desk: Desks) -> None:
    """After a hundred quotes the line is as before, and the operator has no authorization of the
    person."""
    user_id = desk.platform.person(700)
    before = desk.platform.profile(user_id)
    for _ in range(100):
        assert quote(desk, user_id, "bike").offer == OFFER_ZERO
    assert desk.platform.profile(user_id) == before
    assert not desk.operator.page(user_id=user_id).authorizations
    assert desk.platform.verify().verified


def test_a_fee_quoted_at_any_time_is_the_fee_charged(desk: Desks) -> None:
    """The bill of a rental for 61 minutes, asked before it starts, at its start and at its end, is
    the receipt of its settlement, in Chinese and English."""
    start = now_of(desk)
    end = after(start, HOUR_S + 60)
    early = desk.operator.call("QuoteFee", product_id="bike", start_time=start, end_time=end)
    name = ready.active(desk).name
    begun = desk.operator.call("QuoteFee", name=name, end_time=end)
    advance(desk, HOUR_S + 60)
    late = desk.operator.call("QuoteFee", name=name)
    receipt = desk.operator.call("SettleAuthorization", name=name, usage={}).authorization.receipt
    assert early.bill == begun.bill == late.bill
    assert (early.bill.total, early.bill.minutes) == (yuan(650), 61)
    for field in ("start_time", "end_time", "minutes", "free_minutes", "lines", "total"):
        assert getattr(late.bill, field) == getattr(receipt, field), field
    assert early.bill.lines[1].text_zh == "5 个计费单位每单位 15 分钟"
    assert early.price_hash == late.price_hash == quote(desk, "u", "bike").items[0].price_hash
    assert (late.product_id, late.product_revision) == ("bike", 1)
    assert late.quote_time == now_of(desk)
    assert not late.HasField("captured")


def test_a_fee_is_quoted_with_pauses(desk: Desks) -> None:
    """Half an hour of a bike with a pause of ten minutes costs the start and two units, and the
    bill tells the pause."""
    start = now_of(desk)
    pause = {"start_time": after(start, 60), "end_time": after(start, 660)}
    quoted = desk.operator.call(
        *("QuoteFee",), product_id="bike", start_time=start, end_time=after(start, 1_800),
        pauses=[pause],
    )  # fmt: skip
    assert quoted.bill.total == yuan(350)
    assert quoted.bill.lines[-1].text_en == "10 paused minutes"


def test_a_captured_part_is_told(desk: Desks) -> None:
    """The quote of a rental has the part of the fee that was captured before."""
    name = ready.active(desk).name
    desk.operator.settle(name, 100, final=False)
    assert desk.operator.call("QuoteFee", name=name).captured == yuan(100)


def test_another_operators_objects_are_not_quoted(desk: Desks) -> None:
    """Another operator's rental is NOT_FOUND for a quote, as one that never existed."""
    mine = ready.active(desk).name
    for name in (mine, mine[:-20] + "v" * 20):
        with pytest.raises(Refused) as caught:
            desk.other.call("QuoteFee", name=name)
        assert caught.value.code is grpc.StatusCode.NOT_FOUND
        assert caught.value.reason == "AUTHORIZATION_NOT_FOUND"


def test_an_older_key_asks_for_no_quotes(desk: Desks) -> None:
    """A key without the scope quotes.read is refused with SCOPE_MISSING; so a key that only reads
    does not probe lines."""
    key = new_key()
    engine = desk.served.store.engine
    wanted = NewKey(OPERATOR, scopes=frozenset(OPERATOR_SCOPES - {Scope.QUOTES_READ}))
    admin.add_key(engine, key, OPERATOR, START_US, wanted=wanted)
    caller = Caller(desk.served.address, key)
    try:
        for method, parts in (
            ("QuoteFee", {"product_id": "bike"}),
            ("QuoteAuthorization", {"user_id": "u", "items": [{"product_id": "bike"}]}),
        ):
            with pytest.raises(Refused) as caught:
                caller.call(method, **parts)
            assert caught.value.reason == "SCOPE_MISSING"
    finally:
        caller.close()


def test_a_station_has_its_own_price(desk: Desks) -> None:
    """At a station of a place QuoteAuthorization, QuoteFee and Authorize have the place's price and
    its name, and so do the authorization's events and its receipt. QuoteFee of a rental refuses a
    station, because the rental has its own."""
    tariff = {
        "name": "by-place", "currency": "CNY", "rounding": "STARTED", "buy_out_minor": 9_900,
        "segment": [{"interval_minutes": 30, "price_minor": 150}],
        "place": [{"name": "airport", "stations": ["t-1"], "start_fee_minor": 500}],
    }  # fmt: skip
    product = {
        "id": "by-place", "category": "POWER_BANK", "currency": "CNY", "deposit_minor": 9_900,
        "replacement_minor": 8_000, "tariff": "by-place", "policy": "small-item",
    }  # fmt: skip
    owner = caller_of(desk, possible_scopes(OPERATOR))
    for kind, table in ((TERMS_KIND_TARIFF, tariff), (TERMS_KIND_PRODUCT, product)):
        owner.call("ApplyTerms", kind=kind, document=json.dumps(table), activate=True)
    owner.close()
    user_id = desk.platform.person(700)
    start = now_of(desk)
    times = {"start_time": start, "end_time": after(start, HOUR_S)}
    hashes = set()
    for station, place, minor in (("t-1", "airport", 800), ("t-9", "", 300)):
        at = {"order": {"place": {"station": station}}}
        (item,) = quote(desk, user_id, "by-place", **at).items
        fee = desk.operator.call("QuoteFee", product_id="by-place", station=station, **times)
        assert fee.bill.total.amount_minor == minor
        it = desk.operator.call(
            "Authorize", user_id=user_id, product_id="by-place", price_hash=item.price_hash, **at
        ).authorization
        assert item.price_hash == fee.price_hash == it.price_hash
        assert (item.price_place, it.price_place) == (place, place)
        assert item.product_revision == fee.product_revision == it.product_revision
        assert desk.operator.get(it.name).price_place == place
        with pytest.raises(Refused, match="invalid input: station"):
            desk.operator.call("QuoteFee", name=it.name, station=station)
        settled = desk.operator.call("SettleAuthorization", name=it.name, usage={}).authorization
        named = [line.place for line in settled.receipt.lines if line.place]
        assert named == ([place] if place else [])
        hashes.add(it.price_hash)
    assert len(hashes) == 2


def test_a_retired_product_is_refused_by_each_call(desk: Desks) -> None:
    """A product that was retired is PRODUCT_RETIRED for quotes, rentals and passes alike."""
    product = {
        "id": "closed", "category": "BIKE", "currency": "CNY", "deposit_minor": 9_900,
        "replacement_minor": 8_000, "tariff": "bike", "policy": "small-item",
    }  # fmt: skip
    owner = caller_of(desk, possible_scopes(OPERATOR))
    text = json.dumps(product)
    owner.call("ApplyTerms", kind=TERMS_KIND_PRODUCT, document=text, activate=True)
    owner.call("RetireTerms", kind=TERMS_KIND_PRODUCT, name="closed", revision=1)
    user_id, reasons = desk.platform.person(700), set()

    def reason(method: str, parts: dict[str, Any]) -> str:
        try:
            owner.call(method, **parts)
        except Refused as refused:
            return refused.reason
        return "OK"

    until(lambda: reason("QuoteFee", {"product_id": "closed"}) != "OK", "the server noticed")
    for method, parts in (
        ("QuoteFee", {"product_id": "closed"}),
        ("QuoteAuthorization", {"user_id": user_id, "items": [{"product_id": "closed"}]}),
        ("Authorize", {"user_id": user_id, "product_id": "closed"}),
        ("BuyPass", {"user_id": user_id, "product_id": "closed", "pass_name": "weekly"}),
    ):
        reasons.add(reason(method, parts))
    owner.close()
    assert reasons == {"PRODUCT_RETIRED"}
