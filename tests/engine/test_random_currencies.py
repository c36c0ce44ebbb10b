"""Random rentals in two currencies with changing rates, compared with exact fractions."""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction
from math import floor

import pytest

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, State
from service.domain.errors import FreeholdError
from service.domain.money import Money
from service.domain.policy import Offer
from service.engine import operations as c
from tests.engine.calls import authorize, rental
from tests.engine.currencies import EUR, change_limits, offer_euros
from tests.fakes import Desk

CNY = "CNY"
PEOPLE = ("ann", "eva", "flo")
PRODUCTS = {"bike": (CNY, 19_900), "umbrella": (CNY, 5_900), "scooter": (EUR, 4_000)}
COMMANDS = 120
Balances = dict[tuple[str, str], int]


class Plain:
    """The limits and the exposures of people, and the worth of a cent."""

    def __init__(self) -> None:
        self.limits: Balances = {}
        self.used: Balances = {}
        self.rate: Fraction | None = None

    def free(self, user_id: str, currency: str) -> int:
        """The amount that a new hold may take, in minor units of the currency."""
        own = self.limits[user_id, currency] - self.used.get((user_id, currency), 0)
        if self.rate is None:
            return max(0, own)
        # An exposure of a part of a fen counts as a whole one.
        cents = -floor(-self.used.get((user_id, EUR), 0) * self.rate)
        left = self.limits[user_id, CNY] - self.used.get((user_id, CNY), 0) - cents
        worth = Fraction(1) if currency == CNY else self.rate
        return max(0, min(own, floor(left / worth)))

    def use(self, it: Authorization, change_minor: int) -> None:
        """Adds to the exposure of a person, or takes from it."""
        key = it.user_id, it.currency
        self.used[key] = self.used.get(key, 0) + change_minor


class Run:
    """One run of random commands."""

    def __init__(self, desk: Desk, seed: int) -> None:
        self.desk, self.chance, self.plain = desk, random.Random(seed), Plain()
        self.out: list[Authorization] = []
        self.owing: list[Authorization] = []
        self.counts: Counter[str] = Counter()
        offer_euros(desk)
        for user_id in PEOPLE:
            desk.put_user(user_id, 700)
            for currency, minor in ((CNY, 50_000), (EUR, 6_000)):
                self.limit(user_id, currency, minor)

    def step(self) -> None:
        """Takes one random step."""
        what = self.chance.random()
        if what < 0.05:
            worth = self.chance.choice([None, 333, 785, 1_001])
            self.plain.rate = None if worth is None else Fraction(worth, 100)
            change_limits(self.desk, None if worth is None else {EUR: (worth, 100)})
        elif what < 0.12:
            used = self.plain.used
            user_id, currency = self.chance.choice(PEOPLE), self.chance.choice([CNY, EUR])
            most = {CNY: 60_000, EUR: 7_000}[currency]
            least = min(most, used.get((user_id, currency), 0))
            self.limit(user_id, currency, self.chance.randint(least, most))
        elif what < 0.55:
            self.rent([self.order() for _ in range(self.chance.choice([1, 1, 2, 3]))])
        elif what < 0.7 and self.out:
            self.increment(self.chance.choice(self.out))
        elif what < 0.9 and self.out:
            self.settle(self.out.pop(self.chance.randrange(len(self.out))))
        elif self.owing:
            it = self.owing.pop(self.chance.randrange(len(self.owing)))
            paid = Money(it.currency, it.due_minor)
            reference = f"pay-{it.authorization_id}"
            command = c.RecordPayment(it.user_id, it.authorization_id, reference, paid)
            self.desk.do(command, caller=PLATFORM)
            self.plain.use(it, -it.due_minor)
        self.compare()

    def limit(self, user_id: str, currency: str, minor: int) -> None:
        """Fixes a limit by hand."""
        self.desk.do(c.SetLimit(user_id, Money(currency, minor)), caller=PLATFORM)
        self.plain.limits[user_id, currency] = minor

    def order(self) -> c.Authorize:
        """An order that accepts no cash."""
        return authorize(
            self.chance.choice(PEOPLE), self.chance.choice(list(PRODUCTS)), accept=(Offer.ZERO,)
        )

    def rent(self, orders: list[c.Authorize]) -> None:
        """Sends orders in one batch, and compares each decision."""
        works = [self.desk.work(it) for it in orders]
        self.desk.apply(*works)
        for work, order in zip(works, orders, strict=True):
            it = self.desk.answers[work.request_id]
            assert isinstance(it, Authorization)
            currency, deposit_minor = PRODUCTS[order.items[0].product_id]
            granted = deposit_minor <= self.plain.free(order.user_id, currency)
            assert (it.state is State.ACTIVE) is granted, (it, vars(self.plain))
            self.counts[f"{currency} {it.state}"] += 1
            if granted:
                self.out.append(it)
                self.plain.use(it, deposit_minor)

    def increment(self, it: Authorization) -> None:
        """Raises a hold, often by about what is free."""
        free = self.plain.free(it.user_id, it.currency)
        minor = self.chance.choice([1, max(1, free), free + 1, self.chance.randint(1, 3_000)])
        minor = min(minor, 3_000)
        command = c.Increment(it.user_id, it.authorization_id, Money(it.currency, minor))
        try:
            self.desk.do(command)
        except FreeholdError as error:
            if error.reason == "LINE_EXHAUSTED":
                assert minor > free
                self.counts["increment refused"] += 1
            return
        assert minor <= free
        self.counts["increment"] += 1
        self.plain.use(it, minor)

    def settle(self, it: Authorization) -> None:
        """Charges a part of a hold on credit, or nothing."""
        minor = self.chance.choice([0, 1, PRODUCTS[it.product_id][1] // 3])
        held = self.desk.store.line(it.user_id, it.currency)
        assert held is not None
        before_minor = held.held_minor + held.drawn_minor
        amount = Money(it.currency, minor)
        after = rental(self.desk, c.Settle(it.user_id, it.authorization_id, amount, final=True))
        line = self.desk.store.line(it.user_id, it.currency)
        assert line is not None
        self.plain.use(it, line.held_minor + line.drawn_minor - before_minor)
        if after.due_minor:
            self.owing.append(after)

    def compare(self) -> None:
        """Compares the exposures of all people."""
        for (user_id, currency), used in self.plain.used.items():
            line = self.desk.store.line(user_id, currency)
            assert line is not None
            assert line.held_minor + line.drawn_minor == used
            assert line.limit_minor - line.cut_pending_minor == self.plain.limits[user_id, currency]


@pytest.mark.parametrize("seed", range(4))
def test_no_hold_takes_more_than_the_total_leaves(desk: Desk, seed: int) -> None:
    """Whatever people rent, add, return and pay in two currencies, and whatever the rates are
    meanwhile, each order and each increment is granted exactly if its amount is free."""
    run = Run(desk, seed)
    for _ in range(COMMANDS):
        run.step()
    assert desk.faults == []
    assert min(run.counts[f"{it} ACTIVE"] for it in (CNY, EUR)) > 2, run.counts
    assert min(run.counts[f"{it} DECLINED"] for it in (CNY, EUR)) > 2, run.counts
