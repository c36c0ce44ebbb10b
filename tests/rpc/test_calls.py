"""Every method of the contract, called by an operator or the platform."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from freehold.v1 import authorization_pb2, types_pb2
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import (
    AuthorizeRequest,
    ListAuthorizationsResponse,
    ReverseAuthorizationRequest,
    ReverseAuthorizationResponse,
)
from freehold.v1.types_pb2 import (
    OFFER_FULL,
    OFFER_REDUCED,
    OFFER_UNSPECIFIED,
    OFFER_ZERO,
    SCORE_BAND_A,
    SCORE_BAND_C,
    SCORE_BAND_D,
    SCORE_BAND_UNSPECIFIED,
)
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from sqlalchemy import select

from service.clock import SystemClock
from service.config import Limits
from service.domain.errors import Unavailable
from service.engine.feature_values import Kind, ModelFeatures, unpack
from service.storage import schema as t
from service.storage.admin import by_shell
from service.storage.models import register_model, retire_model
from tests.fakes import START_US, serving
from tests.rpc.examples import example, passing
from tests.rpc.receipts import without_receipt
from tests.rpc.support import (
    BIKE_MINOR,
    MUTATIONS,
    RPCS,
    START_S,
    TIMEOUT_S,
    UMBRELLA_MINOR,
    Desks,
    Refused,
    advance,
    desks,
    user_with,
    yuan,
)

A = Authorization
ON_PICKUP = AuthorizeRequest.START_ON_PICKUP


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Desks]:
    """This test's own server, for its clock and counts."""
    with serving(tmp_path) as served, desks(served) as callers:
        yield callers


# -- the common rental ---------------------------------------------------------------------


def test_the_common_rental_is_two_calls(desk: Desks) -> None:
    """Authorize answers ACTIVE with the item out; SettleAuthorization closes the rental and
    releases the rest."""
    user_id = desk.platform.person()
    active = desk.operator.authorize(user_id, "bike", asset_id="bike-77")
    assert (active.state, active.custody) == (A.STATE_ACTIVE, A.CUSTODY_OUT)
    assert (active.offer, active.score_band) == (OFFER_ZERO, SCORE_BAND_C)
    assert active.held == active.held_credit == yuan(BIKE_MINOR)
    assert active.deposit_asked == active.held_cash == active.captured == yuan(0)
    assert active.HasField("start_time")
    assert not active.HasField("expire_time")
    assert active.name.startswith(f"users/{user_id}/authorizations/")
    settled = desk.operator.settle(active.name, 450)
    assert (settled.state, settled.custody) == (A.STATE_SETTLED, A.CUSTODY_IN_STATION)
    assert settled.collection == A.COLLECTION_DUE
    assert settled.captured == settled.due == yuan(450)
    assert settled.held == yuan(0)
    assert settled.version == 2
    assert settled.HasField("close_time")
    assert desk.operator.get(active.name) == without_receipt(settled)
    line = desk.platform.profile(user_id)
    assert (line.held, line.drawn, line.available) == (yuan(0), yuan(450), yuan(29_550))


def test_an_immediate_hold_never_lapses(own: Desks) -> None:
    """An ACTIVE authorization does not expire: it becomes overdue, and the hold stays."""
    active = own.operator.authorize(own.platform.person(), "bike")
    assert active.due_time.seconds - active.start_time.seconds == 24 * 3_600
    assert advance(own, 24 * 3_600 - 1).woken == 0
    assert own.operator.get(active.name).state == A.STATE_ACTIVE
    assert advance(own, 1).woken == 1
    late = own.operator.get(active.name)
    assert (late.state, late.custody) == (A.STATE_OVERDUE, A.CUSTODY_OUT)
    assert late.held == active.held
    assert not late.HasField("expire_time")
    assert own.operator.settle(active.name, 100).state == A.STATE_SETTLED


def test_a_hold_is_reversed(desk: Desks) -> None:
    """ReverseAuthorization releases the whole hold without a charge."""
    user_id = desk.platform.person()
    active = desk.operator.authorize(user_id, "bike")
    back = desk.operator.reverse(active.name)
    assert (back.state, back.collection) == (A.STATE_REVERSED, A.COLLECTION_NONE)
    assert back.held == back.captured == yuan(0)
    assert desk.platform.profile(user_id).available == yuan(30_000)


def test_several_captures_and_a_final_one(desk: Desks) -> None:
    """Captures that are not final keep the rest held; the final one releases it."""
    active = desk.operator.authorize(desk.platform.person(), "bike")
    one = desk.operator.settle(active.name, 1_000, final=False)
    assert (one.state, one.captured, one.held) == (A.STATE_ACTIVE, yuan(1_000), yuan(18_900))
    two = desk.operator.settle(active.name, 500, final=False, expected_version=2)
    assert (two.captured, two.version) == (yuan(1_500), 3)
    done = desk.operator.settle(active.name, 0)
    assert (done.state, done.captured, done.held) == (A.STATE_SETTLED, yuan(1_500), yuan(0))


def test_the_whole_hold_can_be_captured(desk: Desks) -> None:
    """A capture of the whole hold closes the rental, with nothing to release."""
    active = desk.operator.authorize(desk.platform.person(), "bike")
    done = desk.operator.settle(active.name, BIKE_MINOR)
    assert (done.state, done.due) == (A.STATE_SETTLED, yuan(BIKE_MINOR))


# -- pick-up -------------------------------------------------------------------------------


def test_a_pick_up_starts_the_rental(desk: Desks) -> None:
    """START_ON_PICKUP answers AUTHORIZED with a deadline; StartRental makes it ACTIVE."""
    held = desk.operator.authorize(desk.platform.person(), "bike", start=ON_PICKUP)
    assert (held.state, held.custody) == (A.STATE_AUTHORIZED, A.CUSTODY_IN_STATION)
    assert held.expire_time.seconds - held.create_time.seconds == 30 * 60
    assert not held.HasField("start_time")
    asset_id = desk.operator.fresh("asset")
    active = desk.operator.start(held.name, asset_id)
    assert (active.state, active.custody) == (A.STATE_ACTIVE, A.CUSTODY_OUT)
    assert active.asset_id == asset_id
    assert active.HasField("start_time")
    assert not active.HasField("expire_time")
    with pytest.raises(Refused, match="another open rental"):
        desk.operator.authorize(desk.platform.person(), "umbrella", asset_id=asset_id)


def test_the_shorter_pick_up_window_counts(desk: Desks) -> None:
    """A pick-up window shorter than the policy's is kept; a longer one is cut to the policy's."""
    for asked_s, given_s in ((90, 90), (7 * 86_400, 30 * 60)):
        request = AuthorizeRequest(start=ON_PICKUP)
        request.pickup_window.seconds = asked_s
        held = desk.operator.authorize(
            desk.platform.person(), "umbrella", start=ON_PICKUP, pickup_window=request.pickup_window
        )
        assert held.expire_time.seconds - held.create_time.seconds == given_s


def test_another_item_cannot_be_picked_up(desk: Desks) -> None:
    """StartRental with an item other than the authorized one is refused at its field."""
    held = desk.operator.authorize(
        desk.platform.person(), "bike", start=ON_PICKUP, asset_id=desk.operator.fresh("asset")
    )
    with pytest.raises(Refused) as refusal:
        desk.operator.start(held.name, "quite-another")
    assert refusal.value.fields == {"asset_id"}
    assert desk.operator.start(held.name).asset_id == held.asset_id


def test_time_ends_offers_and_holds_not_picked_up(own: Desks) -> None:
    """AdvanceClock expires offers and holds that were not picked up, at their instants, and counts
    them."""
    keeper, waiting, asker = (own.platform.person(score) for score in (620, 620, 550))
    active = own.operator.authorize(keeper, "umbrella", asset_id="umbrella-1")
    held = own.operator.authorize(waiting, "bike", start=ON_PICKUP, asset_id="bike-1")
    offered = own.operator.authorize(asker, "bike")
    assert offered.state == A.STATE_OFFERED
    assert offered.expire_time.seconds - offered.create_time.seconds == 15 * 60
    assert advance(own, 15 * 60 - 1).woken == 0
    assert advance(own, 1).woken == 1
    ended = own.operator.get(offered.name)
    assert (ended.state, ended.close_time) == (A.STATE_EXPIRED, offered.expire_time)
    answer = advance(own, 3_600)
    assert answer.woken == 1
    assert answer.now.seconds == START_S + 15 * 60 + 3_600
    late = own.operator.get(held.name)
    assert (late.state, late.close_time, late.held) == (
        A.STATE_EXPIRED,
        held.expire_time,
        yuan(0),
    )
    assert own.platform.profile(waiting).held == yuan(0)
    # The item is free again.
    own.operator.authorize(waiting, "umbrella", asset_id="bike-1")
    assert own.operator.get(active.name).state == A.STATE_ACTIVE
    assert advance(own, 0).woken == 0
    assert own.platform.verify().verified


# -- offers --------------------------------------------------------------------------------


def test_a_reduced_offer_is_confirmed(desk: Desks) -> None:
    """A reduced offer asks for half in cash; its confirmation holds both parts."""
    user_id = desk.platform.person(510)
    offered = desk.operator.authorize(user_id, "bike")
    assert (offered.state, offered.offer) == (A.STATE_OFFERED, OFFER_REDUCED)
    assert list(offered.reasons) == ["SCORE_BELOW_ZERO_DEPOSIT"]
    assert (offered.deposit_asked, offered.held) == (yuan(9_950), yuan(0))
    active = desk.operator.confirm(offered.name, 10_000)
    assert (active.state, active.custody) == (A.STATE_ACTIVE, A.CUSTODY_OUT)
    assert (active.held_credit, active.held_cash) == (yuan(9_950), yuan(9_950))
    assert active.refund_payable == yuan(50)
    # The cash part is used first.
    done = desk.operator.settle(active.name, 1_000)
    assert (done.due, done.refund_payable) == (yuan(0), yuan(50 + 8_950))
    assert done.collection == A.COLLECTION_REFUND_PENDING
    assert desk.platform.profile(user_id).available == yuan(10_000)


def test_an_offer_for_pick_up_is_confirmed_to_authorized(desk: Desks) -> None:
    """A confirmed offer with a later pick-up is AUTHORIZED with a deadline, then ACTIVE."""
    offered = desk.operator.authorize(desk.platform.person(400), "umbrella", start=ON_PICKUP)
    assert offered.offer == OFFER_FULL
    held = desk.operator.confirm(offered.name, UMBRELLA_MINOR)
    assert (held.state, held.held_cash) == (A.STATE_AUTHORIZED, yuan(UMBRELLA_MINOR))
    assert held.HasField("expire_time")
    assert desk.operator.start(held.name).state == A.STATE_ACTIVE


def test_a_late_payment_is_owed_back(own: Desks) -> None:
    """A payment for an expired offer, and a second payment for a held one, are owed to the user."""
    offered = own.operator.authorize(own.platform.person(550), "bike")
    advance(own, 3_600)
    late = own.operator.confirm(offered.name, 9_950)
    assert (late.state, late.refund_payable) == (A.STATE_EXPIRED, yuan(9_950))
    second = own.operator.authorize(own.platform.person(550), "bike")
    own.operator.confirm(second.name, 9_950)
    twice = own.operator.confirm(second.name, 9_950)
    assert (twice.state, twice.held_cash) == (A.STATE_ACTIVE, yuan(9_950))
    assert twice.refund_payable == yuan(9_950)
    assert own.platform.verify().verified


def test_without_a_score_the_full_deposit_is_asked(desk: Desks) -> None:
    """Without features or consent the offer is the full deposit with its own reason."""
    stranger = desk.operator.authorize(desk.operator.fresh("stranger"), "bike")
    assert (stranger.offer, list(stranger.reasons)) == (OFFER_FULL, ["NO_FEATURES"])
    assert (stranger.score_band, stranger.model_id) == (SCORE_BAND_UNSPECIFIED, "")
    private = desk.operator.authorize(desk.platform.person(800, consent=False), "bike")
    assert (private.offer, list(private.reasons)) == (OFFER_FULL, ["NO_CONSENT"])
    assert private.score_band == SCORE_BAND_UNSPECIFIED
    assert stranger.deposit_asked == private.deposit_asked == yuan(BIKE_MINOR)


def test_features_that_are_too_old(own: Desks) -> None:
    """Features older than the policy allows are not scored."""
    user_id = own.platform.person(700)
    advance(own, 401 * 86_400)
    stale = own.operator.authorize(user_id, "bike")
    assert (stale.offer, list(stale.reasons)) == (OFFER_FULL, ["FEATURES_STALE"])


# -- values hidden from operators ----------------------------------------------------------


def test_an_operator_gets_a_band_and_no_score() -> None:
    """The authorization has no field for a score or for the person's line."""
    fields = {field.name for field in Authorization.DESCRIPTOR.fields}
    assert not [name for name in fields if "limit" in name or "available" in name]
    assert {name for name in fields if "score" in name} == {"score_band"}
    assert not {"drawn", "pd", "probability", "line", "cut_pending"} & fields
    reachable = {
        field.message_type.full_name
        for field in Authorization.DESCRIPTOR.fields
        if field.message_type is not None
    }
    times = {"google.protobuf.Timestamp", "google.protobuf.Duration"}
    told = {"freehold.v1.Receipt", "freehold.v1.Details"}
    assert reachable == {types_pb2.Money.DESCRIPTOR.full_name, *times, *told}
    assert authorization_pb2.DESCRIPTOR.name == "freehold/v1/authorization.proto"


def test_an_exhausted_line_reveals_no_amount(own: Desks) -> None:
    """Two people with different lines get the same answer when the line is too small."""
    answers = []
    for score, others in ((620, "bike"), (660, "bike")):  # limits 300 and 500 yuan
        user_id = own.platform.person(score)
        own.other.authorize(user_id, others)
        if score == 660:
            own.other.authorize(user_id, others)
        answer = own.operator.authorize(user_id, "bike")
        assert list(answer.reasons) == ["LINE_EXHAUSTED"]
        # The next offer that fits on the line is made within the same transaction.
        assert (answer.offer, answer.state) == (OFFER_REDUCED, A.STATE_OFFERED)
        for field in ("name", "request_id", "decision_id", "score_band"):
            answer.ClearField(field)
        answers.append(answer)
    assert answers[0] == answers[1]


def test_without_another_accepted_offer_the_review_is_declined(desk: Desks) -> None:
    """When the line is too small and no other offer is accepted, the answer is DECLINED."""
    user_id = desk.platform.person(600)
    desk.other.authorize(user_id, "bike")
    declined = desk.operator.authorize(user_id, "bike", accept_offers=[OFFER_ZERO])
    assert (declined.state, declined.offer) == (A.STATE_DECLINED, OFFER_UNSPECIFIED)
    assert list(declined.reasons) == ["LINE_EXHAUSTED"]
    assert declined.held == declined.deposit_asked == yuan(0)


def test_a_confirmation_without_room_on_the_line_is_owed_back(desk: Desks) -> None:
    """A confirmation whose credit part no longer fits is DECLINED, and its payment owed back."""
    user_id = desk.platform.person(500)  # 100 yuan
    first = desk.operator.authorize(user_id, "bike")
    second = desk.other.authorize(user_id, "bike")
    desk.operator.confirm(first.name, 9_950)
    declined = desk.other.confirm(second.name, 10_000)
    assert (declined.state, declined.reasons[0]) == (A.STATE_DECLINED, "LINE_EXHAUSTED")
    assert (declined.refund_payable, declined.held) == (yuan(10_000), yuan(0))
    assert declined.collection == A.COLLECTION_REFUND_PENDING
    assert desk.other.get(second.name) == declined
    # It can be paid out at once.
    paid_out = desk.platform.call("PayOutRefund", name=second.name, amount=yuan(10_000))
    assert paid_out.authorization.refund_payable == yuan(0)


def test_a_confirmation_for_an_item_that_is_gone_is_owed_back(desk: Desks) -> None:
    """A confirmation whose item somebody else has is DECLINED, and its payment owed back."""
    asset_id = desk.operator.fresh("asset")
    offered = desk.operator.authorize(desk.platform.person(550), "bike", asset_id=asset_id)
    desk.operator.authorize(desk.platform.person(), "bike", asset_id=asset_id)
    declined = desk.operator.confirm(offered.name, 9_950)
    assert (declined.state, declined.reasons[0]) == (A.STATE_DECLINED, "ASSET_IN_USE")
    assert declined.refund_payable == yuan(9_950)


# -- reversal by origin --------------------------------------------------------------------


def by_origin(desk: Desks, user_id: str, origin_id: str) -> ReverseAuthorizationResponse:
    origin = ReverseAuthorizationRequest.Origin(user_id=user_id, authorize_request_id=origin_id)
    request = ReverseAuthorizationRequest(request_id=desk.operator.fresh(), origin=origin)
    return ReverseAuthorizationResponse.FromString(
        desk.operator.send("ReverseAuthorization", request)
    )


def test_reversed_by_the_request_id_of_its_authorize(desk: Desks) -> None:
    """A reversal may name the Authorize's request id instead of the authorization."""
    rental = desk.operator.authorize(desk.platform.person(), "bike")
    user_id = rental.name.split("/")[1]
    answer = by_origin(desk, user_id, rental.request_id)
    assert not answer.tombstone
    assert answer.authorization.state == A.STATE_REVERSED
    with pytest.raises(Refused, match="NOT_FOUND"):
        by_origin(desk, "somebody-else", rental.request_id)


def test_a_tombstone_stops_a_late_authorize(desk: Desks) -> None:
    """A reversal before its Authorize makes the late Authorize a decline."""
    user_id, late_id = desk.platform.person(), desk.operator.fresh("late")
    for _ in range(2):
        answer = by_origin(desk, user_id, late_id)
        assert answer.tombstone
        assert not answer.HasField("authorization")
    late = desk.operator.authorize(user_id, "bike", request_id=late_id)
    assert late.state == A.STATE_DECLINED
    assert list(late.reasons) == ["CANCELLED_BEFORE_ARRIVAL"]
    assert desk.operator.authorize(user_id, "bike", request_id=late_id) == late
    assert desk.platform.profile(user_id).held == yuan(0)


# -- lists ---------------------------------------------------------------------------------


def names(page: ListAuthorizationsResponse) -> list[str]:
    return [it.name for it in page.authorizations]


def test_pages_are_stable_under_inserts(own: Desks) -> None:
    """Pages have every authorization once, the oldest first, even if others are added meanwhile."""
    made = [own.operator.authorize(own.platform.person(), "umbrella").name for _ in range(7)]
    first = own.operator.page(page_size=3)
    assert names(first) == made[:3]
    made.append(own.operator.authorize(own.platform.person(), "umbrella").name)
    second = own.operator.page(page_size=3, page_token=first.next_page_token)
    assert names(second) == made[3:6]
    own.operator.reverse(made[0])
    third = own.operator.page(page_size=3, page_token=second.next_page_token)
    assert names(third) == made[6:]
    assert third.next_page_token == ""
    assert own.operator.page(page_size=3, page_token=first.next_page_token) == second


def test_a_full_last_page_has_no_token(own: Desks) -> None:
    """A full last page has no token, and the default size is fifty."""
    user_ids = [own.operator.fresh("stranger") for _ in range(51)]
    made = [own.operator.authorize(user_id, "umbrella").name for user_id in user_ids]
    whole = own.operator.page(page_size=51)
    assert (names(whole), whole.next_page_token) == (made, "")
    first = own.operator.page()
    assert names(first) == made[:50]
    assert names(own.operator.page(page_token=first.next_page_token)) == made[50:]
    assert names(own.operator.page(page_size=1000)) == made


def test_lists_are_filtered(desk: Desks) -> None:
    """A list can be restricted to one person, one state, or both."""
    user_id = desk.platform.person(700)
    one = desk.operator.authorize(user_id, "umbrella")
    two = desk.operator.authorize(user_id, "bike")
    desk.operator.settle(two.name, 0)
    assert names(desk.operator.page(user_id=user_id)) == [one.name, two.name]
    active = desk.operator.page(user_id=user_id, state=A.STATE_ACTIVE)
    assert names(active) == [one.name]
    assert one.name in names(desk.operator.page(state=A.STATE_ACTIVE, page_size=1000))
    assert names(desk.operator.page(user_id=user_id, state=A.STATE_EXPIRED)) == []


def test_a_token_is_for_its_query_only(desk: Desks) -> None:
    """A page token with other filters, or an invented one, is refused at its field."""
    user_id = desk.platform.person(700)
    for _ in range(2):
        desk.operator.authorize(user_id, "umbrella")
    token = desk.operator.page(user_id=user_id, page_size=1).next_page_token
    assert token
    for parts in (
        {"page_token": token},
        {"page_token": token, "user_id": "another"},
        {"page_token": token, "user_id": user_id, "state": A.STATE_ACTIVE},
        {"page_token": "made-up"},
        {"page_token": "AAAA"},
        {"page_token": "W10="},  # []
        {"page_token": "NQ=="},  # 5
        {"page_token": "é"},
        {"page_token": token[:-3], "user_id": user_id},
    ):
        with pytest.raises(Refused) as refusal:
            desk.operator.page(**parts)
        assert refusal.value.code is grpc.StatusCode.INVALID_ARGUMENT
        assert refusal.value.fields == {"page_token"}


def test_a_token_shows_no_other_operators_page(desk: Desks) -> None:
    """A page token of one operator is refused for another, as one of a row that never existed."""
    user_id = desk.platform.person(700)
    for _ in range(3):
        desk.operator.authorize(user_id, "umbrella")
    token = desk.operator.page(user_id=user_id, page_size=1).next_page_token
    (identifier, of_user), *filters = json.loads(base64.urlsafe_b64decode(token))
    never = json.dumps([["v" * len(identifier), of_user], *filters]).encode()
    refusals = []
    for sent in (token, base64.urlsafe_b64encode(never).decode()):
        with pytest.raises(Refused) as refusal:
            desk.other.page(user_id=user_id, page_token=sent)
        refusals.append(refusal.value.raw)
    assert refusals[0] == refusals[1]


def test_a_token_names_only_the_row_that_ends_the_page(desk: Desks) -> None:
    """A page token has the id and the user of the last row and the filters, and no number that
    counts the rows of others."""
    user_id = desk.platform.person(700)
    first, _ = [desk.operator.authorize(user_id, "umbrella").name for _ in range(2)]
    token = desk.operator.page(user_id=user_id, page_size=1).next_page_token
    row = [first.rpartition("/")[2], user_id]
    assert json.loads(base64.urlsafe_b64decode(token)) == [row, user_id, 0]


# -- the platform --------------------------------------------------------------------------


def test_people_get_limits_from_their_scores(desk: Desks) -> None:
    """PutUsers answers one profile for each person, in order, with the limit by the score."""
    scores = {700: 50_000, 600: 30_000, 550: 20_000, 500: 10_000, 499: 0}
    users = [user_with(desk.platform.fresh("person"), score) for score in scores]
    profiles = desk.platform.put(*users)
    assert [it.user_id for it in profiles] == [it.user_id for it in users]
    assert [it.score for it in profiles] == list(scores)
    assert [it.limit.amount_minor for it in profiles] == list(scores.values())
    assert [it.feature_version for it in profiles] == [1] * 5
    for profile in profiles:
        assert desk.platform.profile(profile.user_id) == profile
        assert profile.as_of.seconds == START_S
        assert profile.model_id == "fake-model"
    assert profiles[0].score_band == SCORE_BAND_A
    assert profiles[2].score_band == SCORE_BAND_D


def test_a_cut_waits_for_holds(desk: Desks) -> None:
    """If a limit is cut below the held amount, the rest of the cut stays pending, and is made when
    the hold is released."""
    user_id = desk.platform.person(600)
    rental = desk.operator.authorize(user_id, "bike")
    (cut,) = desk.platform.put(user_with(user_id, 400))
    assert (cut.available, cut.held) == (yuan(0), yuan(BIKE_MINOR))
    assert cut.cut_pending == yuan(BIKE_MINOR)
    assert cut.feature_version == 2
    desk.operator.reverse(rental.name)
    after = desk.platform.profile(user_id)
    assert after.limit == after.available == after.cut_pending == yuan(0)


def test_a_profile_without_a_score_gives_the_reason(desk: Desks) -> None:
    """Without consent or a usable value, the profile has the reason and the feature. A value that
    was not sent differs from a value that the person does not have."""
    private = user_with(desk.platform.fresh("person"), 700, consent=False)
    silent = user_with(desk.platform.fresh("person"), 700)
    silent.features.clear()
    lacking = user_with(desk.platform.fresh("person"), 700)
    lacking.features.clear()
    lacking.missing_features.extend(("other", "score"))
    for user, reason, feature in (
        (private, "NO_CONSENT", ""),
        (silent, "FEATURE_NOT_SENT", "score"),
        (lacking, "MISSING_FEATURE", "score"),
    ):
        (profile,) = desk.platform.put(user)
        assert (profile.score, profile.score_band) == (0, SCORE_BAND_UNSPECIFIED)
        assert (profile.unscorable_reason, profile.model_id) == (reason, "")
        assert profile.unscorable_feature == feature
        assert profile.limit == yuan(0)
        assert desk.platform.profile(user.user_id) == profile


def test_a_bulk_of_a_thousand(desk: Desks) -> None:
    """One call takes a thousand people."""
    prefix = desk.platform.fresh("bulk")
    profiles = desk.platform.put(*[user_with(f"{prefix}-{n}", 600) for n in range(1000)])
    assert len(profiles) == 1000
    assert desk.platform.profile(f"{prefix}-999").limit == yuan(30_000)


def test_a_bulk_call_continues_where_it_stopped(desk: Desks) -> None:
    """A repeated PutUsers with the same id adds the people still missing and changes no one
    else."""
    prefix, request_id = desk.platform.fresh("bulk"), desk.platform.fresh("put")
    users = [user_with(f"{prefix}-{n}", 600) for n in range(5)]
    part = desk.platform.put(*users, request_id=request_id)
    gone = f"{request_id}/{users[3].user_id}"
    engine = desk.served.store.engine
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        # As if the server had stopped before the fourth person.
        connection.exec_driver_sql("DROP TRIGGER entries_no_delete")
        for table in ("users", "feature_snapshots", "lines", "entries"):
            connection.exec_driver_sql(
                f"DELETE FROM {table} WHERE user_id = ?", (users[3].user_id,)
            )
        connection.exec_driver_sql("DELETE FROM requests WHERE request_id = ?", (gone,))
    whole = desk.platform.put(*users, request_id=request_id)
    assert whole == part
    assert [it.feature_version for it in whole] == [1] * 5
    assert desk.platform.profile(users[0].user_id).feature_version == 1


def test_payments_free_the_line(desk: Desks) -> None:
    """A partial payment frees as much of the line; an overpayment is owed back."""
    user_id = desk.platform.person()
    name = desk.operator.settle(desk.operator.authorize(user_id, "bike").name, 1_000).name
    part = desk.platform.pay(name, 400)
    assert (part.collection, part.due) == (A.COLLECTION_PAYING, yuan(600))
    assert desk.platform.profile(user_id).drawn == yuan(600)
    over = desk.platform.pay(name, 700)
    assert (over.due, over.refund_payable) == (yuan(0), yuan(100))
    assert over.collection == A.COLLECTION_REFUND_PENDING
    assert desk.platform.profile(user_id).available == yuan(30_000)
    more = desk.platform.pay(name, 5)
    assert more.refund_payable == yuan(105)
    exact = desk.operator.settle(desk.operator.authorize(user_id, "bike").name, 1_000).name
    assert desk.platform.pay(exact, 1_000).collection == A.COLLECTION_PAID


def test_the_books_are_verified(own: Desks) -> None:
    """VerifyBooks counts lines, entries and authorizations, and finds no fault."""
    empty = own.platform.verify()
    assert (empty.verified, empty.lines, empty.entries) == (True, 0, 0)
    assert not empty.HasField("fault")
    name = own.operator.authorize(own.platform.person(), "bike").name
    own.operator.settle(name, 100)
    found = own.platform.verify()
    assert (found.verified, found.lines, found.authorizations) == (True, 1, 1)
    # limit, hold, drawn, receivable in two parts, release
    assert found.entries == 6


def test_a_wrong_row_is_named(own: Desks) -> None:
    """VerifyBooks names the rule and the row when a stored balance is not the sum of its
    entries."""
    user_id = own.platform.person()
    with own.served.store.engine.connect().execution_options(writes=True) as connection:
        connection.exec_driver_sql(
            "UPDATE lines SET available_minor = available_minor + 1, limit_minor = limit_minor + 1"
        )
        connection.commit()
    found = own.platform.verify()
    assert not found.verified
    assert (found.fault.rule, found.fault.row) == ("BALANCE_STORED", f"lines/{user_id}/CNY")


# -- replay --------------------------------------------------------------------------------


def replayable(desk: Desks) -> Iterator[tuple[str, Message]]:
    """A call of every method that changes something."""
    for method in MUTATIONS:
        yield method, passing(desk, method)
    origin = ReverseAuthorizationRequest.Origin(
        user_id="nobody", authorize_request_id=desk.operator.fresh("never")
    )
    yield (
        "ReverseAuthorization",
        ReverseAuthorizationRequest(request_id=desk.operator.fresh(), origin=origin),
    )


def test_a_repeat_gets_the_first_answer_byte_for_byte(own: Desks) -> None:
    """A repeated call gets the first answer's bytes, also after later changes."""
    first = []
    for method, request in replayable(own):
        answer = own.caller_for(method).send(method, request)
        assert own.caller_for(method).send(method, request) == answer
        first.append((method, request, answer))
    for state in (A.STATE_ACTIVE, A.STATE_OVERDUE, A.STATE_RETURN_CLAIMED):
        for rental in own.operator.page(state=state).authorizations:
            own.operator.settle(rental.name, 0)
    advance(own, 86_400)
    books = own.platform.verify()
    for method, request, answer in first:
        assert own.caller_for(method).send(method, request) == answer
    assert own.platform.verify() == books


def test_a_repeat_needs_no_canonical_bytes(desk: Desks) -> None:
    """The same request with its fields in another order is a repeat."""
    request = AuthorizeRequest(
        request_id=desk.operator.fresh(), user_id=desk.platform.person(), product_id="umbrella"
    )
    answer = desk.operator.send("Authorize", request)
    product = AuthorizeRequest(product_id="umbrella").SerializeToString()
    request.ClearField("product_id")
    assert desk.operator.send("Authorize", product + request.SerializeToString()) == answer


# -- health, reflection, sandbox -----------------------------------------------------------


def test_health_is_serving_for_every_service(desk: Desks) -> None:
    """Health checks need no key and report SERVING for the server and each service."""
    with desk.served.channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", *{rpc.service for rpc in RPCS.values()}):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=TIMEOUT_S)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as refusal:
            stub.Check(health_pb2.HealthCheckRequest(service="no.such"), timeout=TIMEOUT_S)
        assert refusal.value.code() is grpc.StatusCode.NOT_FOUND


def test_liveness_does_not_follow_the_database(tmp_path: Path) -> None:
    """While the server is NOT_SERVING because of its database, its liveness is SERVING."""
    status = health_pb2.HealthCheckResponse
    with serving(tmp_path) as served, served.channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        refused = [Unavailable("STORAGE_UNAVAILABLE", "the database is away")]
        # The next probe comes a second later, and finds the database where it was.
        for answer in stub.Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S):
            if answer.status == status.NOT_SERVING:
                break
            served.loop.call_soon_threadsafe(served.app.prober.notice, refused)
        alive = stub.Check(health_pb2.HealthCheckRequest(service="liveness"), timeout=TIMEOUT_S)
        assert alive.status == status.SERVING


def test_health_watchers_see_the_drain(tmp_path: Path) -> None:
    """A watcher of the health sees NOT_SERVING before the connection ends."""
    seen: list[int] = []
    told = threading.Event()

    def watch(channel: grpc.Channel) -> None:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            for answer in stub.Watch(health_pb2.HealthCheckRequest(), timeout=2 * TIMEOUT_S):
                seen.append(answer.status)
                told.set()
        except grpc.RpcError:
            return

    with serving(tmp_path, limits=Limits(drain_s=1.0)) as served:
        channel = served.channel()
        thread = threading.Thread(target=watch, args=(channel,))
        thread.start()
        assert told.wait(TIMEOUT_S)
    thread.join(TIMEOUT_S)
    channel.close()
    assert not thread.is_alive()
    assert seen == [
        health_pb2.HealthCheckResponse.SERVING,
        health_pb2.HealthCheckResponse.NOT_SERVING,
    ]


def reflected(desk: Desks) -> set[str]:
    with desk.served.channel() as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        (answer,) = stub.ServerReflectionInfo(iter([request]), timeout=TIMEOUT_S)
        return {it.name for it in answer.list_services_response.service}


def test_reflection_lists_the_services(desk: Desks) -> None:
    """Reflection lists the services of the contract, health and itself."""
    assert reflected(desk) == {
        *{rpc.service for rpc in RPCS.values()},
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


def test_a_real_clock_cannot_be_moved(tmp_path: Path) -> None:
    """With the machine's clock there is no SandboxService, and offers expire by time."""
    with serving(tmp_path, clock=SystemClock()) as served, desks(served) as desk:
        refusal = desk.platform.refused("AdvanceClock", example("AdvanceClock"))
        assert refusal.code is grpc.StatusCode.UNIMPLEMENTED
        assert "freehold.v1.SandboxService" not in reflected(desk)
        name = desk.operator.authorize("stranger", "bike").name
        assert desk.operator.get(name).state == A.STATE_OFFERED
        assert desk.platform.verify().verified


def test_features_that_no_model_knows_are_named(desk: Desks) -> None:
    """A feature that no model knows is not kept, and the answer names it; retried, it gets the same
    answer. A feature of a registered model that is not served is kept."""
    engine = desk.served.app.parts.store.engine
    next_model = ModelFeatures("next", "loss", {"年龄": Kind.NUMBER, "net income": Kind.TEXT})
    register_model(engine, by_shell("register_model", ["next"], "", "tester"), next_model, START_US)
    user, request_id = user_with(desk.platform.fresh("person"), 700), desk.platform.fresh("put")
    user.features.update({"年龄": 30.0, "height": 1.0})
    user.text_features.update({"net income": " 2k-5k ", "hobby": "chess"})
    user.missing_features.append("pet")
    (profile,) = desk.platform.put(user, request_id=request_id)
    assert list(profile.ignored_features) == ["height", "hobby", "pet"]
    assert profile.score == 700
    assert desk.platform.put(user, request_id=request_id) == [profile]
    assert list(desk.platform.profile(user.user_id).ignored_features) == []
    with engine.connect() as connection:
        of_user = t.feature_snapshots.c.user_id == user.user_id
        row = connection.execute(select(t.feature_snapshots).where(of_user)).one()
    names = desk.served.app.parts.store.feature_names(row.schema_id)
    assert dict(zip(names, unpack(row.raw), strict=True)) == {
        "score": 700.0,
        "年龄": 30.0,
    }
    assert json.loads(row.texts) == {"net income": "2k-5k"}
    retire_model(engine, by_shell("retire_model", ["next"], "", "tester"), "next", "over", START_US)
    (profile,) = desk.platform.put(user)
    assert len(profile.ignored_features) == 5
