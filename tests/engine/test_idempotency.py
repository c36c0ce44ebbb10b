"""One request id, one effect, one answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.domain.access import PLATFORM
from service.domain.authorization import State
from service.domain.errors import RequestIdReused
from service.domain.policy import Offer
from service.engine.operations import Command
from service.engine.tables import REQUESTS
from tests.engine.calls import (
    authorize,
    balances,
    confirm,
    counts,
    pay,
    pick_up,
    refused,
    rental,
    reverse,
    reverse_origin,
    settle,
    start,
)
from tests.fakes import OPERATOR, OTHER_OPERATOR, START_US, Desk, encode
from tests.rows import read

ON_BOTH = "the database keeps the answers of calls"

DAY_US = 86_400_000_000


def prepared(desk: Desk, name: str) -> Command:
    """A command that will succeed, by name."""
    make: dict[str, Callable[[], Command]] = {
        "authorize": lambda: authorize(asset_id="bike-7"),
        "offer": lambda: authorize("ben"),
        "decline": lambda: authorize("cem", accept=(Offer.ZERO,)),
        "confirm": lambda: confirm(rental(desk, authorize("ben"))),
        "start": lambda: start(rental(desk, pick_up())),
        "settle": lambda: settle(rental(desk, authorize()), 100, final=False),
        "reverse": lambda: reverse(rental(desk, authorize())),
        "pay": lambda: pay(rental(desk, settle(rental(desk, authorize()), 100)), 60),
        "tombstone": lambda: reverse_origin("ann", "never-seen"),
    }
    return make[name]()


@pytest.mark.parametrize(
    "name",
    ["authorize", "offer", "decline", "confirm", "start", "settle", "reverse", "pay", "tombstone"],
)
def test_a_retry_gives_the_first_answer(desk: Desk, name: str) -> None:
    """The same id with the same body gets the first answer's bytes and writes nothing, now and
    after later changes."""
    command = prepared(desk, name)
    (first,) = desk.apply(desk.work(command, request_id="r"))
    assert isinstance(first, bytes)
    before = counts(desk)
    assert desk.apply(desk.work(command, request_id="r")) == [first]
    assert counts(desk) == before
    desk.clock.advance(START_US + 500 * DAY_US)
    desk.put_user("ann", 450)
    before = counts(desk)
    assert desk.apply(desk.work(command, request_id="r")) == [first]
    assert counts(desk) == before


def test_the_first_answer_outlives_the_state(desk: Desk) -> None:
    """A retried Authorize answers ACTIVE as at first, even after the settlement."""
    work = desk.work(authorize(), request_id="r")
    (first,) = desk.apply(work)
    rental(desk, settle(rental(desk, authorize(), request_id="r"), 100))
    assert desk.apply(desk.work(authorize(), request_id="r")) == [first]
    assert desk.answers["r"].state is State.ACTIVE  # type: ignore[union-attr]


def test_a_decline_stays(desk: Desk) -> None:
    """A decline stays the answer of its request id, even if the line has room later. A call with
    another id is decided anew."""
    zero = authorize(accept=(Offer.ZERO,))
    held = [rental(desk, zero), rental(desk, zero)]
    (first,) = desk.apply(desk.work(zero, request_id="r"))
    assert desk.answers["r"].state is State.DECLINED  # type: ignore[union-attr]
    rental(desk, reverse(held[0]))
    assert desk.apply(desk.work(zero, request_id="r")) == [first]
    assert rental(desk, zero, request_id="r-2").state is State.ACTIVE


def test_another_body_is_refused(desk: Desk) -> None:
    """The same id with another body is refused, the error names the field that differs, and nothing
    is done."""
    rental(desk, authorize(), request_id="r")
    before = counts(desk)
    error = refused(desk, authorize(product_id="umbrella"), request_id="r")
    assert isinstance(error, RequestIdReused)
    assert error.metadata == {"field": "body"}
    assert counts(desk) == before


def test_other_bytes_of_the_same_meaning(desk: Desk) -> None:
    """Bodies with different bytes and the same meaning are a retry."""
    (first,) = desk.apply(desk.work(authorize(), request_id="r", body=b"one form"))
    retry = desk.work(authorize(), request_id="r", body=b"another form")
    retry.differing_field = lambda _: None
    assert desk.apply(retry) == [first]


def test_another_method_is_refused(desk: Desk) -> None:
    """A request id of another method is refused, and the error names the method."""
    it = rental(desk, authorize(), request_id="r")
    assert refused(desk, settle(it, 0), request_id="r").metadata == {"field": "method"}
    assert balances(desk) == (50_000, 30_100, 19_900, 0)


def test_every_caller_has_its_own_ids(desk: Desk) -> None:
    """Two operators and the platform may use the same request id for different calls."""
    ours = rental(desk, authorize(), request_id="r")
    theirs = rental(desk, authorize(product_id="umbrella"), request_id="r", caller=OTHER_OPERATOR)
    assert ours.authorization_id != theirs.authorization_id
    rental(desk, settle(ours, 10))
    paid = rental(desk, pay(ours, 10), request_id="r", caller=PLATFORM)
    assert paid.paid_minor == 10


def test_a_refused_id_can_be_used_again(desk: Desk) -> None:
    """A refused call stores nothing: its id may be used again, with another body too."""
    it = rental(desk, pick_up())
    before = counts(desk)
    assert refused(desk, settle(it, 0), request_id="r").reason == "ILLEGAL_TRANSITION"
    assert refused(desk, authorize(product_id="tank"), request_id="r").reason == "PRODUCT_NOT_FOUND"
    assert counts(desk) == before
    assert rental(desk, start(it), request_id="r").state is State.ACTIVE


def test_a_retry_in_the_same_batch(desk: Desk) -> None:
    """Fifty equal requests in one batch have one effect and fifty equal answers."""
    results = desk.apply(*(desk.work(authorize(), request_id="r") for _ in range(50)))
    assert results == [encode(desk.answers["r"])] * 50
    assert balances(desk) == (50_000, 30_100, 19_900, 0)
    assert counts(desk)["authorizations"] == 1


def test_another_body_in_the_same_batch(desk: Desk) -> None:
    """A second body under the same id is refused within a batch as well."""
    first, second = desk.apply(
        desk.work(authorize(), request_id="r"),
        desk.work(authorize(product_id="umbrella"), request_id="r"),
    )
    assert isinstance(first, bytes)
    assert isinstance(second, RequestIdReused)
    assert counts(desk)["authorizations"] == 1


def test_the_retry_of_a_refusal_in_the_same_batch(desk: Desk) -> None:
    """When the first of two equal ids in a batch is refused, the second is decided by itself."""
    first, second = desk.apply(
        desk.work(authorize(product_id="tank"), request_id="r"),
        desk.work(authorize(), request_id="r"),
    )
    assert getattr(first, "reason", "") == "PRODUCT_NOT_FOUND"
    assert isinstance(second, bytes)


def test_a_request_record_is_complete(desk: Desk) -> None:
    """A request record has caller, method, body, answer and authorization."""
    it = rental(desk, authorize(), request_id="r")
    with desk.store.begin() as transaction:
        (record,) = read(transaction, REQUESTS, [(OPERATOR, "r")]).values()
    assert (record.caller, record.method, record.user_id) == (OPERATOR, "Authorize", "ann")
    assert record.authorization_id == it.authorization_id
    assert (record.body, record.answer) == (repr(authorize()).encode(), encode(it))
    assert record.record_us == START_US
