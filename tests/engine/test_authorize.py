"""Authorize: score, decide, hold."""

from __future__ import annotations

import math

import pytest
from sqlalchemy import select

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Custody, Start, State
from service.domain.policy import Offer
from service.engine.calls import Cut
from service.engine.feature_values import pack
from service.engine.operations import PutUser
from service.storage import schema as t
from tests.engine.calls import (
    authorize,
    balances,
    confirm,
    counts,
    line,
    pick_up,
    refused,
    rental,
    start,
    stored,
)
from tests.fakes import MINUTE_US, OPERATOR, OTHER_OPERATOR, START_US, Desk

DAY_US = 24 * 60 * MINUTE_US


def test_the_common_rental_is_active_at_once(desk: Desk) -> None:
    """Authorize with a good score answers ACTIVE: the item is OUT and the deposit is held on the
    line."""
    it = rental(desk, authorize("ann", "bike", "bike-7"))
    assert (it.state, it.custody, it.offer) == (State.ACTIVE, Custody.OUT, Offer.ZERO)
    assert (it.credit_minor, it.cash_minor, it.held_credit_minor) == (19_900, 0, 19_900)
    assert (it.band, it.reasons, it.model_id) == ("A", (), "fake-model")
    assert (it.operator_id, it.product_id, it.asset_id) == (OPERATOR, "bike", "bike-7")
    assert (it.fee_bp, it.policy_revision, it.version) == (300, 1, 1)
    assert (it.create_us, it.start_us, it.expire_us) == (START_US, START_US, None)
    assert balances(desk) == (50_000, 30_100, 19_900, 0)
    assert stored(desk, it) == it


@pytest.mark.parametrize(
    ("product_id", "score", "offer", "credit_minor", "cash_minor"),
    [
        ("bike", 600, Offer.ZERO, 19_900, 0), ("bike", 599, Offer.REDUCED, 9_950, 9_950),
        ("bike", 500, Offer.REDUCED, 9_950, 9_950), ("bike", 499, Offer.FULL, 0, 19_900),
        ("umbrella", 550, Offer.ZERO, 5_900, 0), ("umbrella", 549, Offer.REDUCED, 2_950, 2_950),
        ("umbrella", 499, Offer.FULL, 0, 5_900), ("power-bank", 550, Offer.ZERO, 9_900, 0),
        ("power-bank", 549, Offer.REDUCED, 4_950, 4_950), ("power-bank", 499, Offer.FULL, 0, 9_900),
    ],
)  # fmt: skip
def test_the_default_products_and_policies(
    desk: Desk, product_id: str, score: int, offer: Offer, credit_minor: int, cash_minor: int
) -> None:
    """The deposit is 199 yuan for a bike, 59 for an umbrella and 99 for a power bank. No cash is
    needed from a score of 600 for bikes and 550 for the others. From 500 on, half of the deposit is
    on credit; below 500 the whole deposit is in cash."""
    desk.put_user("zoe", score)
    it = rental(desk, authorize("zoe", product_id))
    assert (it.offer, it.credit_minor, it.cash_minor) == (offer, credit_minor, cash_minor)
    assert it.state is (State.ACTIVE if offer is Offer.ZERO else State.OFFERED)


def test_an_offer_holds_nothing(desk: Desk) -> None:
    """An authorization that asks for a deposit is OFFERED for 15 minutes and holds nothing."""
    it = rental(desk, authorize("ben"))
    assert (it.state, it.offer, it.custody) == (State.OFFERED, Offer.REDUCED, Custody.IN_STATION)
    assert it.reasons == ("SCORE_BELOW_ZERO_DEPOSIT",)
    assert it.expire_us == START_US + 15 * MINUTE_US
    assert (it.held_credit_minor, it.held_cash_minor, it.start_us) == (0, 0, None)
    assert balances(desk, "ben") == (20_000, 20_000, 0, 0)
    assert line(desk, "ben").version == 1


def test_a_confirmed_offer_is_active(desk: Desk) -> None:
    """Confirming an offer with its payment holds both parts and starts the rental."""
    it = rental(desk, confirm(rental(desk, authorize("ben"))))
    assert (it.state, it.held_credit_minor, it.held_cash_minor) == (State.ACTIVE, 9_950, 9_950)
    assert balances(desk, "ben") == (20_000, 10_050, 9_950, 0)
    assert line(desk, "ben").deposit_minor == 9_950


def test_a_pick_up_has_half_an_hour(desk: Desk) -> None:
    """Start ON_PICKUP answers AUTHORIZED with a deadline of 30 minutes, and StartRental makes it
    ACTIVE."""
    it = rental(desk, pick_up())
    assert (it.state, it.start_us) == (State.AUTHORIZED, None)
    assert it.expire_us == START_US + 30 * MINUTE_US
    desk.clock.advance(it.expire_us - 1)
    it = rental(desk, start(it))
    assert (it.state, it.start_us, it.expire_us) == (
        State.ACTIVE,
        START_US + 30 * MINUTE_US - 1,
        None,
    )


@pytest.mark.parametrize(("asked_min", "given_min"), [(10, 10), (30, 30), (31, 30), (None, 30)])
def test_a_pick_up_may_be_sooner(desk: Desk, asked_min: int | None, given_min: int) -> None:
    """A caller may ask for a shorter pick-up window than the policy's, never for a longer one."""
    window_us = None if asked_min is None else asked_min * MINUTE_US
    answer = desk.do(authorize(start=Start.ON_PICKUP, window_us=window_us))
    it = answer.answer if isinstance(answer, Cut) else answer
    assert isinstance(it, Authorization)
    assert it.expire_us == START_US + given_min * MINUTE_US


def test_the_pick_up_window_counts_from_the_confirmation(desk: Desk) -> None:
    """The pick-up window of a confirmed offer begins with its confirmation."""
    offered = rental(desk, pick_up("ben"))
    desk.clock.advance(START_US + 14 * MINUTE_US)
    it = rental(desk, confirm(offered))
    assert it.expire_us == START_US + 44 * MINUTE_US


def test_a_hold_cannot_start_after_its_end(desk: Desk) -> None:
    """From the instant of its end on, a hold cannot start a rental, even before the sweeper's
    visit. The refusal names the state, which is stored."""
    it = rental(desk, pick_up())
    desk.clock.advance(START_US + 30 * MINUTE_US)
    error = refused(desk, start(it))
    assert error.metadata == {"state": "EXPIRED"}
    assert stored(desk, it).state is State.EXPIRED


def test_a_late_payment_is_owed_back(desk: Desk) -> None:
    """A payment for an offer that has ended is owed back; the offer expires and nothing is held."""
    offered = rental(desk, authorize("ben", asset_id="bike-7"))
    desk.clock.advance(START_US + 15 * MINUTE_US)
    it = rental(desk, confirm(offered))
    assert (it.state, it.refund_payable_minor, it.version) == (State.EXPIRED, 9_950, 3)
    assert it.close_us == START_US + 15 * MINUTE_US
    assert balances(desk, "ben") == (20_000, 20_000, 0, 0)
    assert line(desk, "ben").refund_payable_minor == 9_950


def test_a_confirmation_without_room_on_the_line(desk: Desk) -> None:
    """When the line has no room for the credit part any more, the confirmation is declined and the
    payment owed back."""
    offers = [rental(desk, authorize("ben")) for _ in range(3)]
    for n, it in enumerate(offers[:2]):
        rental(desk, confirm(it, reference=f"pay-{n}"))
    late = rental(desk, confirm(offers[2], reference="pay-2"))
    assert (late.state, late.reasons[0]) == (State.DECLINED, "LINE_EXHAUSTED")
    assert late.refund_payable_minor == 9_950
    assert balances(desk, "ben") == (20_000, 100, 19_900, 0)


def test_an_exhausted_line_falls_to_the_next_offer(desk: Desk) -> None:
    """When the line is too small, the next accepted offer is made with LINE_EXHAUSTED."""
    rental(desk, authorize())
    rental(desk, authorize())
    third = rental(desk, authorize())
    assert (third.state, third.offer) == (State.OFFERED, Offer.REDUCED)
    assert third.reasons == ("LINE_EXHAUSTED",)
    rental(desk, confirm(third))
    fourth = rental(desk, authorize(accept=(Offer.ZERO, Offer.FULL)))
    assert (fourth.offer, fourth.reasons) == (Offer.FULL, ("LINE_EXHAUSTED",))
    assert balances(desk) == (50_000, 250, 49_750, 0)


def test_an_exhausted_line_with_no_offer_left_is_declined(desk: Desk) -> None:
    """When no accepted offer fits, the answer is DECLINED, an answer and not an error."""
    rental(desk, authorize())
    rental(desk, authorize())
    it = rental(desk, authorize(accept=(Offer.ZERO,)))
    assert (it.state, it.offer, it.reasons) == (State.DECLINED, None, ("LINE_EXHAUSTED",))
    assert (it.credit_minor, it.cash_minor, it.expire_us) == (0, 0, None)
    assert it.close_us == START_US


def test_the_line_is_shared_by_all_operators(desk: Desk) -> None:
    """Credit that one operator's hold takes is not available at another operator."""
    rental(desk, authorize())
    rental(desk, authorize(), caller=OTHER_OPERATOR)
    it = rental(desk, authorize(accept=(Offer.ZERO,)))
    assert it.reasons == ("LINE_EXHAUSTED",)


def test_an_unknown_product_is_not_found(desk: Desk) -> None:
    """A product that the operator does not have is NOT_FOUND, and nothing is written."""
    before = counts(desk)
    assert refused(desk, authorize(product_id="tank")).reason == "PRODUCT_NOT_FOUND"
    assert counts(desk) == before


def test_new_products_need_no_restart(desk: Desk) -> None:
    """A product that was added while the engine runs can be rented out."""
    assert refused(desk, authorize(product_id="tank")).reason == "PRODUCT_NOT_FOUND"
    with desk.store.engine.connect().execution_options(writes=True) as c, c.begin():
        row = c.execute(select(t.products).where(t.products.c.product_id == "bike")).mappings()
        c.execute(t.products.insert(), {**row.all()[0], "product_id": "tank"})
    assert rental(desk, authorize(product_id="tank")).state is State.ACTIVE


# -- people without a score ------------------------------------------------------------------


def test_an_unknown_person_is_offered_the_full_deposit(desk: Desk) -> None:
    """A person who was never registered is offered the full deposit with NO_FEATURES, and has a
    limit of 0."""
    it = rental(desk, authorize("new"))
    assert (it.state, it.offer, it.reasons) == (State.OFFERED, Offer.FULL, ("NO_FEATURES",))
    assert (it.band, it.model_id) == ("", "")
    assert balances(desk, "new") == (0, 0, 0, 0)
    assert rental(desk, confirm(it)).state is State.ACTIVE


def test_a_person_without_consent_is_offered_the_full_deposit(desk: Desk) -> None:
    """Without consent the score is not used: the deposit is full, the reason is NO_CONSENT, and the
    limit is 0."""
    desk.put_user("zoe", 900, consent=False)
    it = rental(desk, authorize("zoe"))
    assert (it.offer, it.reasons, it.band) == (Offer.FULL, ("NO_CONSENT",), "")
    assert balances(desk, "zoe") == (0, 0, 0, 0)


def test_features_that_cannot_be_scored(desk: Desk) -> None:
    """Features that cannot be scored lead to the full deposit with the model's reason."""
    desk.put_user("zoe", math.nan)
    it = rental(desk, authorize("zoe"))
    assert (it.offer, it.reasons) == (Offer.FULL, ("MISSING_FEATURE",))


@pytest.mark.parametrize(("age_us", "offer"), [(0, Offer.ZERO), (1, Offer.FULL)])
def test_features_grow_too_old(desk: Desk, age_us: int, offer: Offer) -> None:
    """Features count for exactly 400 days; after that the full deposit is asked for."""
    desk.clock.advance(START_US + 400 * DAY_US + age_us)
    it = rental(desk, authorize())
    assert it.offer is offer
    assert it.reasons == (() if offer is Offer.ZERO else ("FEATURES_STALE",))


def test_newer_features_decide(desk: Desk) -> None:
    """The latest features count."""
    desk.put_user("ann", 499)
    assert rental(desk, authorize()).offer is Offer.FULL


def test_the_models_reasons_are_given(desk: Desk) -> None:
    """A deposit asked for because of a low score names the features that lower the score most."""
    desk.do(PutUser("zoe", pack([550, 1.0]), START_US, True), caller=PLATFORM)
    it = rental(desk, authorize("zoe"))
    assert it.reasons == ("SCORE_BELOW_ZERO_DEPOSIT", "HIGH_OTHER")


@pytest.mark.parametrize(
    ("on_record", "checked", "reasons"),
    [
        ("a", "a", ()),
        ("a", "", ()),
        ("", "a", ()),
        ("a", "b", ("IDENTITY_MISMATCH",)),
    ],
)
def test_another_identity_is_declined(
    desk: Desk, on_record: str, checked: str, reasons: tuple[str, ...]
) -> None:
    """An order is declined if the operator checked another identity than the one on record; with
    either of them unknown, none is compared."""
    put = PutUser("zoe", pack([700, 0.0]), START_US, True, identity_hash=64 * on_record)
    desk.do(put, caller=PLATFORM)
    # Newer features without an identity leave it on record.
    desk.do(PutUser("zoe", pack([700, 0.0]), START_US, True), caller=PLATFORM)
    it = rental(desk, authorize("zoe")._replace(identity_hash=64 * checked))
    assert it.reasons == reasons
    assert (it.offer is None) == bool(reasons)


def test_an_unknown_person_has_no_identity_on_record(desk: Desk) -> None:
    """The identity of a person whom nobody registered is not compared."""
    it = rental(desk, authorize("nobody")._replace(identity_hash=64 * "a"))
    assert it.reasons == ("NO_FEATURES",)


# -- stored values ---------------------------------------------------------------------------


def test_the_whole_decision_is_stored(desk: Desk) -> None:
    """A decision is stored with its whole basis: the exact score, features, terms and balances."""
    rental(desk, authorize("ann", "umbrella"))
    desk.clock.advance(START_US + 7)
    it = rental(desk, authorize("ann", "bike"), request_id="r-7")
    with desk.store.engine.connect() as connection:
        query = select(t.decisions).where(t.decisions.c.decision_id == it.decision_id)
        row = connection.execute(query).mappings().one()
    assert dict(row) == {
        "user_id": "ann", "decision_id": it.decision_id, "operator_id": OPERATOR,
        "request_id": "r-7", "decide_us": START_US + 7, "model_id": "fake-model",
        "scale_version": "fake-scale", "feature_version": 1, "margin": (-100 / 72.0).hex(),
        "score": 700, "unscorable_reason": None, "scoring_consent": True, "product_id": "bike",
        "product_revision": 1, "policy_id": "bike", "policy_revision": 1,
        "line_limit_minor": 50_000, "line_held_minor": 5_900, "line_drawn_minor": 0,
        "line_version": 2, "offer": "ZERO", "reasons": "", "build": "test",
        "unscorable_feature": "", "extrapolated": "", "read_values": None,
    }  # fmt: skip


def test_a_decline_is_stored_as_well(desk: Desk) -> None:
    """Declines and people without a score have a stored decision too."""
    it = rental(desk, authorize("new", accept=(Offer.ZERO,)))
    assert it.state is State.DECLINED
    with desk.store.engine.connect() as connection:
        query = select(t.decisions).where(t.decisions.c.decision_id == it.decision_id)
        row = connection.execute(query).mappings().one()
    assert (row["offer"], row["reasons"]) == (None, "OFFER_NOT_ACCEPTED,NO_FEATURES")
    assert (row["score"], row["margin"], row["unscorable_reason"]) == (None, "", "NO_FEATURES")
    assert (row["feature_version"], row["scoring_consent"]) == (0, False)


def test_every_transition_has_an_event(desk: Desk) -> None:
    """Each transition writes an event to the outbox with the version it made."""
    offered = rental(desk, pick_up("ben"))
    held = rental(desk, confirm(offered))
    rental(desk, start(held))
    with desk.store.engine.connect() as connection:
        rows = connection.execute(
            select(t.outbox.c.transition, t.outbox.c.authorization_version)
            .where(t.outbox.c.authorization_id == offered.authorization_id)
            .order_by(t.outbox.c.sequence)
        ).all()
    assert [tuple(row) for row in rows] == [
        ("authorization.offered", 1),
        ("authorization.authorized", 2),
        ("authorization.started", 3),
    ]
