"""Breakers: beyond a bound of losses everybody is asked for the whole deposit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, State
from service.domain.breakers import OpenedBreaker, breakers_of
from service.domain.policy import Offer
from service.domain.rules import Breaker, Closes, Counted, Of, Outcome, Rules, Velocity
from service.domain.rules_document import json_of_rules
from service.engine import operations as c
from service.engine.breakers import LossWatch
from service.engine.records.transfers import TransferState
from service.storage import schema as t
from service.storage.admin import by_shell
from service.storage.breakers import BreakerStore, judged, list_breakers, reset_breaker
from service.storage.database import open_database
from service.storage.store import SqlStore
from tests.engine import acts
from tests.engine.acts import DAY_US
from tests.engine.calls import authorize, pay, pick_up, refused, rental, settle, stored
from tests.engine.test_catalog_reloader import OtherIds
from tests.engine.test_velocity import read_values
from tests.fakes import OPERATOR, OTHER_OPERATOR, Desk

ON_BOTH = "servers that share a database open a breaker once"

BIKE_MINOR = 19_900


def under(desk: Desk, most_minor: int, days: int = 30, **more: object) -> None:
    """Puts bikes under a breaker."""
    breaker = Breaker("CNY", days * DAY_US, most_minor, **more)  # type: ignore[arg-type]
    acts.change_terms(desk, t.policies, "bike", rules=json_of_rules(Rules(breaker=(breaker,))))


@pytest.fixture
def rich(desk: Desk) -> Desk:
    """People with lines of one and of more bikes."""
    desk.put_users(**{f"p{place}": 700 for place in range(12)})
    return desk


@pytest.fixture
def other(url: str, rich: Desk) -> Iterator[Desk]:
    """An engine of another process, on the same database."""
    made = Desk(SqlStore(open_database(url)), ids=OtherIds())
    yield made
    made.store.close()


def look(desk: Desk) -> list[OpenedBreaker]:
    """The breakers that the worker changes now."""
    changed: list[OpenedBreaker] = []
    LossWatch(desk.engine.terms, BreakerStore(desk.store.engine), changed.append).look(
        desk.clock.now_us()
    )
    return changed


def asked(desk: Desk, place: int) -> Authorization:
    """An Authorize of a bike for a person."""
    return rental(desk, authorize(f"p{place}"))


def is_stopped(it: Authorization) -> bool:
    """True if a breaker asked for the whole deposit in cash."""
    return it.offer is Offer.FULL and it.reasons[0] == "BREAKER_OPEN"


def lost(desk: Desk, place: int) -> Authorization:
    """A bike that was reported as lost, with its buy-out charged on credit."""
    it = asked(desk, place)
    assert it.due_us is not None
    return rental(desk, acts.lost(acts.woken(desk, it, it.due_us)))


def reset(desk: Desk, opened: OpenedBreaker) -> OpenedBreaker:
    """Closes a breaker by a command of the shell."""
    asked = by_shell("reset", [opened.number], "", "root")
    closed: list[OpenedBreaker] = []

    def keep(it: OpenedBreaker) -> bytes:
        closed.append(it)
        return b""

    now_us = desk.clock.now_us()
    engine = desk.store.engine
    reset_breaker(engine, asked, opened.operator_id, opened.number, "looked", now_us, keep)
    desk.engine.terms.follow()
    return closed[0]


def written_off(desk: Desk, place: int, amount_minor: int) -> Authorization:
    """A fee that was written off."""
    it = rental(desk, settle(asked(desk, place), amount_minor))
    rental(desk, acts.propose(it), caller=PLATFORM)
    return rental(desk, acts.approve(it), caller=PLATFORM)


def test_lost_items_open_the_breaker(rich: Desk) -> None:
    """While the unpaid charges of lost items are within the bound, nothing changes; one more opens
    the breaker, and new rentals need the whole deposit, with the number of the opening."""
    first = lost(rich, 0)
    minor = first.captured_credit_minor
    assert minor > 0
    under(rich, minor)
    assert look(rich) == []
    it = asked(rich, 1)
    assert not is_stopped(it)
    assert read_values(rich, it) == {"breaker.bike": 0}
    lost(rich, 2)
    (opened,) = look(rich)
    assert (opened.loss_minor, opened.rentals, opened.most_minor) == (2 * minor, 2, minor)
    assert (opened.operator_id, opened.number, opened.policy_id) == (OPERATOR, 1, "bike")
    assert opened.since_us == rich.clock.now_us() - 30 * DAY_US
    it = asked(rich, 3)
    assert is_stopped(it)
    assert it.state is State.OFFERED
    assert read_values(rich, it) == {"breaker.bike": 1}
    assert look(rich) == []


def test_written_off_amounts_are_losses_until_they_are_recovered(rich: Desk) -> None:
    """A written-off fee is a loss from the write-off on; a payment that comes later lowers it."""
    it = written_off(rich, 0, 1_250)
    under(rich, 1_000)
    rental(rich, pay(it, 250), caller=PLATFORM)
    assert look(rich) == []
    written_off(rich, 1, 1)
    (opened,) = look(rich)
    assert (opened.loss_minor, opened.rentals) == (1_001, 2)


def test_a_paid_charge_is_no_loss(rich: Desk) -> None:
    """A lost item whose charge was paid is no loss, and neither is a fee that is due."""
    it = lost(rich, 0)
    rental(rich, settle(asked(rich, 1), 1_250))
    under(rich, 0)
    rental(rich, pay(it, it.due_minor), caller=PLATFORM)
    assert look(rich) == []


def test_a_found_item_is_no_loss(rich: Desk) -> None:
    """An item that was found is not lost any more."""
    it = lost(rich, 0)
    rental(rich, acts.found(it, it.start_us))
    under(rich, 0)
    assert look(rich) == []


def test_a_dropped_debt_is_a_loss(rich: Desk) -> None:
    """A debt without a hold is a loss once it was dropped because its time was over."""
    closed = rental(rich, settle(asked(rich, 0), 0))
    booked = c.BookDebt(*acts.name(closed), acts.money(700), "damage-1", "photo")
    debt = rental(rich, booked)
    under(rich, 0)
    assert look(rich) == []
    assert debt.unheld_until_us is not None
    # The rail could not debit the person, whose time is over then.
    acts.woken(rich, debt, debt.unheld_until_us)
    (debit,) = acts.transfers(rich, debt)
    rich.do(acts.told(debit, TransferState.FAILED), caller=PLATFORM)
    wake_us = stored(rich, debt).wake_us
    assert wake_us is not None
    acts.woken(rich, debt, wake_us)
    (opened,) = look(rich)
    assert (opened.loss_minor, opened.rentals) == (700, 1)


def test_losses_count_for_the_window(rich: Desk) -> None:
    """A loss counts for the days of the window, exact to the microsecond."""
    it = lost(rich, 0)
    assert it.close_us is not None
    under(rich, 0, days=2)
    rich.clock.advance(it.close_us + 2 * DAY_US)
    assert look(rich) == []
    it = lost(rich, 1)
    assert it.close_us is not None
    rich.clock.advance(it.close_us + 2 * DAY_US - 1)
    (opened,) = look(rich)
    assert opened.rentals == 1


def test_a_breaker_waits_for_enough_rentals(rich: Desk) -> None:
    """One large loss does not open a breaker that waits for two rentals with a loss."""
    lost(rich, 0)
    under(rich, 0, least_rentals=2)
    assert look(rich) == []
    lost(rich, 1)
    assert len(look(rich)) == 1


def test_a_breaker_stays_open_until_a_person_closes_it(rich: Desk) -> None:
    """By default a breaker stays open when its losses are over; once a person has closed it, only
    later losses count."""
    lost(rich, 0)
    fee = rental(rich, settle(asked(rich, 1), 1_250))
    under(rich, 0, days=2)
    (opened,) = look(rich)
    rich.clock.advance(opened.open_us + 3 * DAY_US)
    assert look(rich) == []
    assert is_stopped(asked(rich, 1))
    rental(rich, acts.propose(fee), caller=PLATFORM)
    rental(rich, acts.approve(fee), caller=PLATFORM)
    closed = reset(rich, opened)
    assert closed.close_us == rich.clock.now_us()
    assert (closed.closed_by, closed.close_reason) == ("shell/root", "looked")
    assert look(rich) == []
    assert not is_stopped(asked(rich, 2))
    it = lost(rich, 3)
    (again,) = look(rich)
    assert (again.number, again.rentals, again.since_us) == (2, 1, closed.close_us)
    assert again.loss_minor == it.captured_credit_minor


def test_a_breaker_closes_by_its_own_rule(rich: Desk) -> None:
    """With closes = "WHEN_UNDER" the breaker closes once the losses of the window are within the
    bound, and opens again with further ones. The window goes on."""
    it = lost(rich, 0)
    under(rich, 0, days=2, closes=Closes.WHEN_UNDER)
    (opened,) = look(rich)
    assert look(rich) == []
    rental(rich, pay(it, it.due_minor), caller=PLATFORM)
    (closed,) = look(rich)
    assert (closed.number, closed.closed_by, closed.close_reason) == (1, "rule", "")
    assert closed.open_us == opened.open_us
    assert not is_stopped(asked(rich, 1))
    lost(rich, 2)
    (again,) = look(rich)
    assert (again.number, again.since_us) == (2, rich.clock.now_us() - 2 * DAY_US)


def test_each_operator_and_policy_has_its_own_breaker(rich: Desk) -> None:
    """The losses of one operator stop nobody else's rentals, and not those under another
    policy."""
    lost(rich, 0)
    under(rich, 0)
    assert [it.operator_id for it in look(rich)] == [OPERATOR]
    assert not is_stopped(rental(rich, authorize("p1"), caller=OTHER_OPERATOR))
    assert not is_stopped(rental(rich, authorize("p2", "umbrella")))
    assert is_stopped(asked(rich, 3))


def test_servers_open_a_breaker_once_and_all_follow(rich: Desk, other: Desk) -> None:
    """If two servers see the same losses, one row is written; the other server follows it as it
    follows changed terms."""
    lost(rich, 0)
    under(rich, 0)
    other.engine.terms.follow()
    other.clock.advance(rich.clock.now_us())
    theirs = BreakerStore(other.store.engine)
    watched = list(breakers_of(other.engine.terms.used.catalog.products).values())
    with other.store.engine.connect() as connection:
        late = [judged(connection, it, other.clock.now_us()) for it in watched]
    assert len(look(rich)) == 1
    assert [theirs.written(it) for it in late if it is not None] == [None]
    assert look(other) == []
    assert len(list_breakers(rich.store.engine, OPERATOR)) == 1
    other.engine.terms.follow()
    assert is_stopped(asked(other, 1))


def test_earlier_offers_stand(rich: Desk) -> None:
    """A breaker counts for new decisions: a reservation of before is picked up, and an increment
    needs a deposit."""
    reserved = rental(rich, pick_up("p0"))
    out = asked(rich, 1)
    lost(rich, 2)
    under(rich, 0)
    rich.clock.advance(rich.clock.now_us())
    assert len(look(rich)) == 1
    assert refused(rich, acts.increment(out, 100)).reason == "DEPOSIT_REQUIRED"
    assert reserved.state is State.AUTHORIZED


def test_a_breaker_joins_other_rules(rich: Desk) -> None:
    """A stricter rule counts beside an open breaker, and both reasons are told."""
    lost(rich, 0)
    velocity = Velocity(Of.USER, Counted.OPEN, 0, Outcome.DECLINE)
    rules = Rules(velocity=(velocity,), breaker=(Breaker("CNY", DAY_US, 0),))
    acts.change_terms(rich, t.policies, "bike", rules=json_of_rules(rules))
    assert len(look(rich)) == 1
    it = asked(rich, 1)
    assert (it.state, it.reasons) == (State.DECLINED, ("VELOCITY_USER_OPEN", "BREAKER_OPEN"))
    assert read_values(rich, it) == {"breaker.bike": 1, "user.open": 0}


def test_a_breaker_of_another_currency_changes_nothing(rich: Desk) -> None:
    """A breaker counts the losses of its currency, and stops only rentals in it."""
    lost(rich, 0)
    acts.change_terms(
        rich,
        t.policies,
        "bike",
        rules=json_of_rules(Rules(breaker=(Breaker("EUR", DAY_US, 0),))),
    )
    assert look(rich) == []
    assert read_values(rich, asked(rich, 1)) is None
