"""Budgets of exposure: never exceeded, over all servers, and refused at most one slice early."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, insert, select

from service.domain.authorization import Authorization, State
from service.domain.budgets import IDLE_US
from service.domain.errors import Unavailable
from service.domain.policy import Offer
from service.domain.rules import Budget, Condition, Outcome, Rules, Span
from service.domain.rules_document import json_of_rules
from service.engine import operations as c
from service.engine.calls import LateStart
from service.storage import schema as t
from service.storage.database import open_database
from service.storage.store import SqlStore
from tests.engine import acts
from tests.engine.calls import ALL, authorize, confirm, pick_up, rental, reverse, settle
from tests.engine.test_catalog_reloader import OtherIds
from tests.engine.test_quotes import ask, everything, quotes_of
from tests.engine.test_velocity import read_values
from tests.fakes import OPERATOR, OTHER_OPERATOR, Desk

ON_BOTH = "servers that share a database share a budget"

BIKE_MINOR = 19_900
DAY_US = 86_400_000_000


def under(
    desk: Desk, bikes: int, slice_bikes: int = 1, span: Span = Span.OPEN, **more: object
) -> None:
    """Puts bikes under a budget for so many of their deposits."""
    budget = Budget("CNY", span, bikes * BIKE_MINOR, slice_bikes * BIKE_MINOR)
    stored = json_of_rules(Rules(budget=(budget,), **more))  # type: ignore[arg-type]
    acts.change_terms(desk, t.policies, "bike", rules=stored)


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


def held_minor(desk: Desk) -> int:
    """The exposure in the books: all that rentals of bikes hold on credit with the operator."""
    a = t.authorizations.c
    query = select(func.coalesce(func.sum(a.held_credit_minor), 0)).where(
        a.product_id == "bike", a.operator_id == OPERATOR
    )
    with desk.store.engine.connect() as connection:
        return int(connection.scalar(query) or 0)


def told_minor(desk: Desk) -> int:
    """The exposure by the account and the leases."""
    with desk.store.engine.connect() as connection:
        folded = connection.scalar(select(func.sum(t.budget_accounts.c.folded_minor))) or 0
        net = connection.scalar(select(func.sum(t.budget_leases.c.net_minor))) or 0
    return int(folded) + int(net)


def asked(desk: Desk, place: int) -> Authorization:
    """An Authorize of a bike for a person."""
    return rental(desk, authorize(f"p{place}"))


def is_refused(it: Authorization) -> bool:
    """True if the budget asked for the whole deposit in cash."""
    return it.offer is Offer.FULL and it.reasons[0] == "BUDGET_EXHAUSTED"


def test_a_budget_is_never_exceeded_and_a_return_makes_room(rich: Desk) -> None:
    """A budget of three bikes lets three be out on credit; the fourth is offered for the whole
    deposit, with the reason BUDGET_EXHAUSTED. A return makes room for one."""
    under(rich, 3)
    first, *others = [asked(rich, place) for place in range(4)]
    assert [is_refused(it) for it in (first, *others)] == [False, False, False, True]
    assert held_minor(rich) == told_minor(rich) == 3 * BIKE_MINOR
    assert read_values(rich, others[-1]) == {"budget.left_minor": 0}
    rental(rich, settle(first, 0))
    assert not is_refused(asked(rich, 4))
    assert is_refused(asked(rich, 5))
    assert held_minor(rich) == told_minor(rich) == 3 * BIKE_MINOR


def test_a_caller_that_takes_no_deposit_is_declined(rich: Desk) -> None:
    """Without FULL among the accepted offers an exhausted budget declines."""
    under(rich, 0, 0)
    it = rental(rich, authorize("p0", accept=(Offer.ZERO,)))
    assert (it.state, it.reasons[0]) == (State.DECLINED, "BUDGET_EXHAUSTED")


def test_calls_of_one_batch_share_the_budget(rich: Desk) -> None:
    """Calls of one batch see what earlier ones held and released."""
    under(rich, 2)
    out = asked(rich, 0)
    commands = [authorize("p1"), authorize("p2"), settle(out, 0), authorize("p3")]
    works = [rich.work(it, request_id=f"b{place}") for place, it in enumerate(commands)]
    rich.apply(*works)
    found = [rental(rich, it.command, request_id=it.request_id) for it in works]
    assert [is_refused(found[place]) for place in (0, 1, 3)] == [False, True, False]
    assert held_minor(rich) == told_minor(rich) == 2 * BIKE_MINOR


def test_each_operator_has_its_own_budget(rich: Desk) -> None:
    """A policy of the platform gives each operator a budget of its own."""
    under(rich, 1)
    assert not is_refused(asked(rich, 0))
    other = rental(rich, authorize("p1"), caller=OTHER_OPERATOR)
    assert not is_refused(other)


def test_every_release_counts(rich: Desk) -> None:
    """A reversal, an expiry and a decrease make room, as a settlement does."""
    under(rich, 3)
    reserved = rental(rich, pick_up("p0"))
    reversed_, lowered = asked(rich, 1), asked(rich, 2)
    assert is_refused(asked(rich, 3))
    rental(rich, reverse(reversed_))
    rental(rich, acts.decrease(lowered, BIKE_MINOR - 1))
    assert reserved.expire_us is not None
    acts.woken(rich, reserved, reserved.expire_us)
    assert held_minor(rich) == told_minor(rich) == 1


def test_a_confirmed_offer_asks_the_budget_again(rich: Desk) -> None:
    """The credit part of an offer is held when its deposit is paid. If the budget is exhausted by
    then, the offer is declined and the money is owed back."""
    condition = Condition("part", "order_minor > 0 && items == 1 && reserves", Outcome.REDUCED)
    under(rich, 1, condition=(condition,))
    offered = rental(rich, pick_up("p0"))
    assert (offered.state, offered.offer) == (State.OFFERED, Offer.REDUCED)
    assert told_minor(rich) == 0
    asked(rich, 1)
    it = rental(rich, confirm(offered))
    assert (it.state, it.reasons[0]) == (State.DECLINED, "BUDGET_EXHAUSTED")
    assert it.refund_payable_minor == offered.cash_minor


def test_an_approved_review_and_an_increment_ask_the_budget(rich: Desk) -> None:
    """An approval makes the next stricter offer, and an increment asks for a deposit, if the budget
    is exhausted."""
    under(rich, 2, condition=(Condition("look", "reserves", Outcome.REVIEW),))
    waiting = rental(rich, pick_up("p0")._replace(accept_offers=ALL))
    assert waiting.state is State.REVIEW
    out = asked(rich, 1)
    asked(rich, 2)
    it = rental(rich, acts.review(waiting, approve=True), caller="platform")
    assert (it.state, it.offer) == (State.OFFERED, Offer.FULL)
    refusal = _refused(rich, acts.increment(out, 100))
    assert refusal == "DEPOSIT_REQUIRED"
    assert held_minor(rich) == told_minor(rich) == 2 * BIKE_MINOR


def _refused(desk: Desk, command: c.Command) -> str:
    (result,) = desk.apply(desk.work(command))
    return str(getattr(result, "reason", ""))


def test_a_budget_of_a_day_counts_what_was_held(rich: Desk) -> None:
    """A budget of the day counts every hold of the day (UTC), also after its release; the next day
    has the whole budget again."""
    midnight_us = (rich.clock.now_us() // DAY_US + 1) * DAY_US
    rich.clock.advance(midnight_us)
    under(rich, 2, span=Span.DAY)
    for place in range(2):
        rental(rich, settle(asked(rich, place), 0))
    assert is_refused(asked(rich, 2))
    rich.clock.advance(midnight_us + DAY_US - 1)
    assert is_refused(asked(rich, 3))
    rich.clock.advance(midnight_us + DAY_US)
    assert not is_refused(asked(rich, 4))


def test_a_lowered_budget_grants_nothing_until_it_suffices(rich: Desk) -> None:
    """After a budget was lowered, what is out stays, and nothing new is held until the exposure is
    below the budget; after it was raised, there is more."""
    under(rich, 3, 0)
    out = [asked(rich, place) for place in range(3)]
    under(rich, 2, 0)
    assert is_refused(asked(rich, 3))
    rental(rich, settle(out[0], 0))
    assert is_refused(asked(rich, 4))
    rental(rich, settle(out[1], 0))
    assert not is_refused(asked(rich, 5))
    under(rich, 3, 0)
    assert not is_refused(asked(rich, 6))
    assert is_refused(asked(rich, 7))


def test_two_servers_refuse_at_most_one_slice_early(rich: Desk, other: Desk) -> None:
    """Two servers together never exceed the budget; when one refuses, less than a slice of it is
    unused."""
    under(rich, 6, 2)
    other.engine.terms.follow()
    desks = (rich, other)
    for place in range(8):
        if is_refused(asked(desks[place % 2], place)):
            break
    assert 4 * BIKE_MINOR < held_minor(rich) <= 6 * BIKE_MINOR
    assert held_minor(rich) == told_minor(rich)


def test_one_server_releases_what_another_held(rich: Desk, other: Desk) -> None:
    """A rental that one server granted may be settled at another, which may use the room; what it
    does not need is free for the first server again."""
    under(rich, 4, 0)
    other.engine.terms.follow()
    out = [asked(rich, place) for place in range(4)]
    assert is_refused(asked(other, 4))
    for it in out[:2]:
        rental(other, settle(it, 0))
    assert told_minor(rich) == held_minor(rich) == 2 * BIKE_MINOR
    assert not is_refused(asked(rich, 5))
    assert not is_refused(asked(other, 6))
    assert is_refused(asked(rich, 7))


def test_the_lease_of_a_dead_server_is_folded(rich: Desk, other: Desk) -> None:
    """The holds of a server that died stay in the budget, and what it had not used comes back after
    ten minutes. If it lives after all, it takes a new lease."""
    under(rich, 4, 4)
    other.engine.terms.follow()
    out = [asked(other, 0), asked(other, 1)]
    assert told_minor(rich) == 2 * BIKE_MINOR
    for desk in (rich, other):
        desk.clock.advance(desk.clock.now_us() + IDLE_US + 1)
    assert [is_refused(asked(rich, place)) for place in (2, 3, 4)] == [False, False, True]
    assert held_minor(rich) == told_minor(rich) == 4 * BIKE_MINOR
    with rich.store.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(t.budget_leases)) == 1
    rental(other, settle(out[0], 0))
    assert not is_refused(asked(other, 5))
    assert held_minor(rich) == told_minor(rich) == 4 * BIKE_MINOR


def test_the_lease_of_a_dead_server_is_folded_if_nothing_else_is_free(
    rich: Desk, other: Desk
) -> None:
    """If all that is left of a budget is in the lease of a server that died, a living server gets
    it after ten minutes, although it has a lease that is used up."""
    under(rich, 6, 4)
    other.engine.terms.follow()
    asked(other, 0)
    assert [is_refused(asked(rich, place)) for place in range(1, 6)] == [
        False, False, False, True, True,
    ]  # fmt: skip
    for desk in (rich, other):
        desk.clock.advance(desk.clock.now_us() + IDLE_US + 1)
    assert [is_refused(asked(rich, place)) for place in range(6, 9)] == [False, False, True]
    assert held_minor(rich) == told_minor(rich) == 6 * BIKE_MINOR


def test_servers_at_the_same_time_never_exceed_the_budget(rich: Desk, other: Desk) -> None:
    """Two servers that authorize and settle at the same time hold at most the budget at any time,
    and their leases tell exactly what is held."""
    under(rich, 3, 1)
    other.engine.terms.follow()
    most: list[int] = []
    begin = threading.Barrier(2)

    def run(desk: Desk, people: range) -> None:
        ids = (f"{people.start}-{number}" for number in itertools.count())
        begin.wait()
        for _ in range(4):
            for place in people:
                desk.apply(desk.work(authorize(f"p{place}"), request_id=next(ids)))
                most.append(held_minor(desk))
            for row in _active(desk, {f"p{place}" for place in people}):
                # Another process may have changed the same rows: then the call is sent again.
                name = next(ids)
                while isinstance(
                    desk.apply(desk.work(settle(row, 0), request_id=name))[0], Unavailable
                ):
                    pass

    with ThreadPoolExecutor(2) as threads:
        done = [threads.submit(run, rich, range(6)), threads.submit(run, other, range(6, 12))]
        for it in done:
            it.result()
    assert max(most) <= 3 * BIKE_MINOR
    assert held_minor(rich) == told_minor(rich) == 0


def test_a_quote_asks_the_budget_and_uses_nothing_up(rich: Desk) -> None:
    """A quote tells that a budget is exhausted, from a transaction that may not write on
    PostgreSQL; however many quotes are asked, the account and the leases stay as they are."""
    under(rich, 1)
    quotes, order = quotes_of(rich), ask("p0", "bike")
    for _ in range(3):
        (it,) = quotes.authorization(OPERATOR, order).authorizations
        assert it.offer is Offer.ZERO
    assert told_minor(rich) == 0
    asked(rich, 1)
    before = everything(rich)
    (it,) = quotes.authorization(OPERATOR, order).authorizations
    assert is_refused(it)
    assert everything(rich) == before


def _active(desk: Desk, people: set[str]) -> list[Authorization]:
    """The active rentals of these people, as the settlement names them."""
    a = t.authorizations.c
    query = select(*t.recorded(t.authorizations)).where(
        a.state == "ACTIVE", a.user_id.in_(sorted(people))
    )
    from service.engine.tables import AUTHORIZATIONS
    from service.storage.schema.record_tables import CONVERTERS

    with desk.store.engine.connect() as connection:
        return list(map(CONVERTERS[AUTHORIZATIONS].record, connection.execute(query)))


def test_a_release_makes_no_room_above_a_lowered_budget(rich: Desk) -> None:
    """Calls of one batch that release and hold get no more than the budget has: after it was
    lowered, a release makes no room before the exposure is below it."""
    under(rich, 3, 0)
    out = [asked(rich, place) for place in range(3)]
    under(rich, 2, 0)
    works = [
        rich.work(settle(out[0], 0), request_id="back"),
        rich.work(authorize("p4"), request_id="again"),
    ]
    rich.apply(*works)
    assert is_refused(rental(rich, works[1].command, request_id="again"))
    assert held_minor(rich) == told_minor(rich) == 2 * BIKE_MINOR


def test_a_budget_of_a_day_counts_a_hold_that_its_batch_releases(rich: Desk) -> None:
    """A hold that a call makes and the next call of the same batch releases counts for the day, as
    it does in two batches."""
    rich.clock.advance((rich.clock.now_us() // DAY_US + 1) * DAY_US)
    under(rich, 1, 0, span=Span.DAY)
    works = [
        rich.work(authorize("p0"), request_id="one"),
        rich.work(c.ReverseByOrigin("p0", "one", None), request_id="two"),
        rich.work(authorize("p1"), request_id="three"),
    ]
    rich.apply(*works)
    assert is_refused(rental(rich, works[2].command, request_id="three"))
    assert is_refused(asked(rich, 2))


def test_the_budget_of_the_policy_in_force_counts(rich: Desk) -> None:
    """If an earlier revision of a policy comes into force again, its budget counts, and not that of
    the newest revision."""
    under(rich, 1, 0)
    with rich.store.engine.begin() as connection:
        p = t.policies
        row = dict(connection.execute(select(p).where(p.c.policy_id == "bike")).mappings().one())
        more = json_of_rules(Rules(budget=(Budget("CNY", Span.OPEN, 3 * BIKE_MINOR, 0),)))
        connection.execute(insert(p).values({**row, "revision": 2, "rules": more}))
    acts.revise(rich.store.engine, "bike", policy_revision=2)
    rich.engine.terms.follow()
    for place in range(2):
        assert not is_refused(asked(rich, place))
    with rich.store.engine.begin() as connection:
        mine = t.products.c.product_id == "bike", t.products.c.revision == 2
        for product in connection.execute(select(t.products).where(*mine)).mappings().all():
            again = {**product, "revision": 3, "policy_revision": 1}
            connection.execute(insert(t.products).values(again))
    rich.engine.terms.follow()
    assert is_refused(asked(rich, 2))


def test_a_late_pick_up_holds_what_it_takes_from_another_reservation(rich: Desk) -> None:
    """A late pick-up takes the item from a reservation that has it by now. The amount that this
    releases is room for the late rental."""
    under(rich, 1, 0)
    reserved = rental(rich, pick_up("p0", asset_id="b7"))
    assert reserved.expire_us is not None
    acts.woken(rich, reserved, reserved.expire_us)
    other = rental(rich, pick_up("p1", asset_id="b7"))
    assert other.held_credit_minor == BIKE_MINOR
    late = c.StartRental(*acts.name(reserved), "b7", reserved.expire_us - 1)
    answer = rich.do(late)
    assert isinstance(answer, LateStart)
    assert answer.authorization.held_credit_minor == BIKE_MINOR
    assert held_minor(rich) == told_minor(rich) == BIKE_MINOR
