"""A damaged row of a pass, or of the terms that sold it, stops its rentals and nothing else."""

from __future__ import annotations

import pytest

from service.books.verify import verify_books
from service.domain.errors import FreeholdError
from service.domain.fee_lines import FeeItem
from service.engine.calls import Attestation, Settled
from service.ids import RandomIds
from service.rpc.stored import read_payload
from service.storage.store import SqlStore
from tests.engine.acts import settle_usage, waive
from tests.engine.calls import authorize
from tests.engine.test_passes import SOLD, grant, lines, with_scooters
from tests.engine.test_quotas import TARIFF, after, offer, rent, ride, settle
from tests.fakes import Desk
from tests.terms import plant

WRONG = "PRODUCT_MISCONFIGURED"
UNREADABLE = "UPDATE products SET tariff = '{}' WHERE product_id = 'scooter' AND revision = 1"


def reason(result: object) -> str:
    """The reason of a refusal, or an empty text."""
    return result.reason if isinstance(result, FreeholdError) else ""


def found(desk: Desk) -> str:
    """The row that the verifier finds wrong."""
    fault = verify_books(desk.store.engine, read_payload=read_payload).fault
    return "" if fault is None else fault.row


def test_a_pass_of_unreadable_terms_goes_on(store: SqlStore) -> None:
    """A pass that was sold under a revision that cannot be read any more takes its share off a fee
    under a later revision, also in a server that started after the damage. A later correction of
    a rental that used it counts the share too."""
    desk = with_scooters(Desk(store))
    grant(desk, "share")
    offer(desk, TARIFF)
    it = rent(desk)
    after(desk, 35)
    plant(store.engine, UNREADABLE)
    later = Desk(store, ids=RandomIds())
    later.clock.advance(desk.clock.now_us())
    assert later.terms
    settled = later.do(settle_usage(it), request_id="settled")
    assert isinstance(settled, Settled)
    assert (FeeItem.PASS_DISCOUNT, 1) in [one[:2] for one in lines(settled)]
    told = later.do(waive(settled.authorization, 10), request_id="waived")
    assert isinstance(told, Attestation)
    assert told.authorization.conceded_minor == 10


def test_the_passes_of_unreadable_terms_put_a_loss_off(store: SqlStore) -> None:
    """If a revision that sold a pass cannot be read any more, a running server still lets its
    minutes put off the loss of an item that is rented out under a later revision."""
    desk = with_scooters(Desk(store))
    offer(desk, SOLD._replace(passes=(), buy_out_minor=90_000))
    before = rent(desk)
    settle(desk, before)
    plant(store.engine, UNREADABLE)
    assert desk.engine.terms.follow()
    after_it = rent(desk)
    assert before.lost_us is not None
    assert after_it.lost_us == before.lost_us + desk.clock.now_us() - (before.start_us or 0)


@pytest.mark.parametrize("name", ["each", "day", "share"])
def test_a_pass_without_a_zone_stops_only_its_rentals(store: SqlStore, name: str) -> None:
    """A rental under a pass whose time zone was damaged is not settled by its usage: the operator
    reads that the product's terms are wrong. Another call of the batch is done, and the verifier
    names the pass. Once it is mended, the rental is settled."""
    desk = with_scooters(Desk(store))
    held, it = grant(desk, name), rent(desk)
    after(desk, 25)
    plant(store.engine, "UPDATE passes SET time_zone = 'No/where'")
    stopped, done = desk.apply(
        desk.work(settle_usage(it)), desk.work(authorize("ben", "umbrella"), request_id="yes")
    )
    assert reason(stopped) == WRONG
    assert isinstance(done, bytes)
    assert found(desk) == f"users/ann/passes/{held.pass_id}"
    plant(store.engine, f"UPDATE passes SET time_zone = '{held.time_zone}'")
    assert isinstance(desk.do(settle_usage(it)), Settled)


def test_a_used_pass_that_is_gone_stops_its_corrections(store: SqlStore) -> None:
    """A settled rental whose pass was removed is not corrected, and other rentals go on."""
    desk = with_scooters(Desk(store))
    grant(desk, "share")
    it = rent(desk)
    after(desk, 25)
    closed = settle(desk, it).authorization
    plant(store.engine, "DELETE FROM passes")
    with pytest.raises(FreeholdError) as error:
        desk.do(waive(closed, 10))
    assert error.value.reason == WRONG
    assert ride(desk, 25) == 400
