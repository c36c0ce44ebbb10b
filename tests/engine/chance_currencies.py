"""Random rentals in two currencies with changing rates, compared with exact fractions.

The reference knows what each person holds and owes, of its own count. It tells of each order and
each increment how much of the line is free under the total exposure, before the engine decides.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Start, State
from service.domain.errors import FreeholdError
from service.domain.money import Money
from service.domain.policy import Offer
from service.engine import operations as c
from service.engine.calls import Group
from tests.engine import acts
from tests.engine.calls import authorize, rental
from tests.engine.currencies import EUR, change_limits, offer_euros
from tests.fakes import Desk

CNY = "CNY"
PEOPLE = ("ann", "eva", "flo")
PRODUCTS = {"bike": (CNY, 19_900), "umbrella": (CNY, 5_900), "scooter": (EUR, 4_000)}
SHARE_BP = 5_000
"""The part of a reduced deposit on credit; all people's scores reach the offer ZERO."""
MOST_LIMIT = {CNY: 60_000, EUR: 7_000}
Balances = dict[tuple[str, str], int]


@dataclass
class Out:
    """A rental, what it holds on credit, and what of its charge is due."""

    it: Authorization
    held: int
    due: int = 0


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

    def use(self, user_id: str, currency: str, change_minor: int) -> None:
        """Adds to the exposure of a person, or takes from it."""
        key = user_id, currency
        self.used[key] = self.used.get(key, 0) + change_minor


def offer_within(free: int, deposits: list[int], accepted: tuple[Offer, ...]) -> Offer | None:
    """The offer for items together, of a person whose score reaches each."""
    reduced = sum(it * SHARE_BP // 10_000 for it in deposits)
    parts = {Offer.ZERO: sum(deposits), Offer.REDUCED: reduced, Offer.FULL: 0}
    allowed = [it for it in parts if it in accepted or not accepted]
    return next((it for it in allowed if parts[it] <= free), None)


class Run:
    """One run of random commands."""

    def __init__(self, desk: Desk, seed: str) -> None:
        self.desk, self.chance, self.plain = desk, random.Random(seed), Plain()
        self.out: list[Out] = []
        self.owing: list[Out] = []
        self.offers: list[Authorization] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        self.commands = 0
        offer_euros(desk)
        for user_id in PEOPLE:
            desk.put_user(user_id, 700)
            for currency, minor in ((CNY, 50_000), (EUR, 6_000)):
                self.limit(user_id, currency, minor)

    def step(self) -> None:
        """Takes one random step, and compares the exposures of all people."""
        draw = self.chance.random()
        if draw < 0.05:
            worth = self.chance.choice([None, 333, 785, 1_001])
            self.plain.rate = None if worth is None else Fraction(worth, 100)
            change_limits(self.desk, None if worth is None else {EUR: (worth, 100)})
            self.note("ApplyTerms", "OK")
        elif draw < 0.11:
            user_id, currency = self.chance.choice(PEOPLE), self.chance.choice([CNY, EUR])
            most = MOST_LIMIT[currency]
            least = min(most, self.plain.used.get((user_id, currency), 0))
            self.limit(user_id, currency, self.chance.randint(least, most))
        elif draw < 0.45:
            self.rent([self.order() for _ in range(self.chance.choice([1, 1, 2, 3]))])
        elif draw < 0.5:
            self.rent_group()
        elif draw < 0.56 and self.offers:
            self.confirm(self.offers.pop(self.chance.randrange(len(self.offers))))
        elif draw < 0.68 and self.out:
            self.raise_or_lower(self.chance.choice(self.out))
        elif draw < 0.9 and self.out:
            self.end(self.chance.choice(self.out))
        elif self.owing:
            self.pay(self.owing.pop(self.chance.randrange(len(self.owing))))
        self.compare()

    def note(self, kind: str, outcome: str) -> None:
        """Counts a command with its outcome."""
        self.commands += 1
        self.counts[kind, outcome] += 1

    def limit(self, user_id: str, currency: str, minor: int) -> None:
        """Fixes a limit by hand."""
        self.desk.do(c.SetLimit(user_id, Money(currency, minor)), caller=PLATFORM)
        self.plain.limits[user_id, currency] = minor
        self.note("SetLimit", currency)

    def order(self) -> c.Authorize:
        """An order of one item."""
        return authorize(
            self.chance.choice(PEOPLE),
            self.chance.choice(list(PRODUCTS)),
            start=self.chance.choice([Start.IMMEDIATE, Start.IMMEDIATE, Start.ON_PICKUP]),
            accept=self.chance.choice([(Offer.ZERO,), (Offer.ZERO,), ()]),
        )

    def rent(self, orders: list[c.Authorize]) -> None:
        """Sends orders in one batch, and compares each decision."""
        works = [self.desk.work(it) for it in orders]
        self.desk.apply(*works)
        for work, order in zip(works, orders, strict=True):
            it = self.desk.answers[work.request_id]
            assert isinstance(it, Authorization)
            self.decided(order, [it])

    def rent_group(self) -> None:
        """Orders two items of one currency together."""
        first = self.chance.choice(list(PRODUCTS))
        same = [name for name in PRODUCTS if PRODUCTS[name][0] == PRODUCTS[first][0]]
        order = acts.group(
            self.chance.choice(PEOPLE), (first, ""), (self.chance.choice(same), ""),
            accept=self.chance.choice([(Offer.ZERO,), ()]),
        )  # fmt: skip
        answer = self.desk.do(order)
        assert isinstance(answer, Group)
        self.decided(order, list(answer.authorizations))

    def decided(self, order: c.Authorize, members: list[Authorization]) -> None:
        """Compares the decision on an order with what is free; its members get one offer."""
        currency = PRODUCTS[order.items[0].product_id][0]
        deposits = [PRODUCTS[it.product_id][1] for it in order.items]
        free = self.plain.free(order.user_id, currency)
        offer = offer_within(free, deposits, order.accept_offers)
        for it, deposit in zip(members, deposits, strict=True):
            assert it.offer == offer, (it, free, vars(self.plain))
            self.note("Authorize", f"{currency} {it.state}")
            if it.state in (State.ACTIVE, State.AUTHORIZED):
                self.held(it, deposit)
            elif it.state is State.OFFERED and len(members) == 1:
                self.offers.append(it)

    def held(self, it: Authorization, minor: int) -> None:
        """Notes a hold on credit."""
        self.plain.use(it.user_id, it.currency, minor)
        self.out.append(Out(it, minor))

    def confirm(self, offer: Authorization) -> None:
        """Pays the cash part of an offer, which is held exactly if its credit part is free."""
        free = self.plain.free(offer.user_id, offer.currency)
        name = f"deposit-{offer.authorization_id}"
        paid = Money(offer.currency, offer.cash_minor)
        it = rental(self.desk, c.Confirm(offer.user_id, offer.authorization_id, name, paid))
        fits = offer.credit_minor <= free
        assert (it.state in (State.ACTIVE, State.AUTHORIZED)) is fits, (it, free)
        self.note("Confirm", f"{it.currency} {it.state}")
        if fits:
            self.held(it, offer.credit_minor)

    def raise_or_lower(self, out: Out) -> None:
        """Raises a hold, often by about what is free, or lowers it."""
        it = out.it
        free = self.plain.free(it.user_id, it.currency)
        if self.chance.random() < 0.3 and out.held > 1:
            minor = self.chance.randint(1, out.held - 1)
            command = c.Decrease(it.user_id, it.authorization_id, Money(it.currency, minor))
            self.desk.do(command)
            out.held -= minor
            self.plain.use(it.user_id, it.currency, -minor)
            self.note("Decrease", it.currency)
            return
        minor = self.chance.choice([1, max(1, free), free + 1, self.chance.randint(1, 3_000)])
        minor = min(minor, 3_000)
        try:
            self.desk.do(c.Increment(it.user_id, it.authorization_id, Money(it.currency, minor)))
        except FreeholdError as error:
            if error.reason in ("LINE_EXHAUSTED", "DEPOSIT_REQUIRED"):
                assert minor > free, (it, minor, free)
            self.note("Increment", error.reason)
            return
        assert minor <= free, (it, minor, free)
        out.held += minor
        self.note("Increment", it.currency)
        self.plain.use(it.user_id, it.currency, minor)

    def end(self, out: Out) -> None:
        """Starts a reservation or gives it back, or charges a part of a hold, or nothing."""
        it = out.it
        if it.state is State.AUTHORIZED:
            if self.chance.random() < 0.5:
                out.it = rental(self.desk, c.StartRental(it.user_id, it.authorization_id, ""))
                self.note("StartRental", it.currency)
            else:
                rental(self.desk, c.Reverse(it.user_id, it.authorization_id))
                self.note("Reverse", it.currency)
                self.plain.use(it.user_id, it.currency, -out.held)
                self.out.remove(out)
            return
        # A cash part would be charged first, or after the credit part: only whole credit is ended
        # with a charge.
        on_credit = it.cash_minor == 0
        final = not on_credit or self.chance.random() < 0.7
        most = out.held if on_credit else 0
        minor = self.chance.choice([0, min(1, most), most // 3, most]) if final else most // 4
        if not final and not minor:
            return
        amount = Money(it.currency, minor)
        rental(self.desk, c.Settle(it.user_id, it.authorization_id, amount, final=final))
        self.note("Settle", it.currency if final else f"{it.currency} not final")
        out.due += minor
        out.held -= minor
        if final:
            self.plain.use(it.user_id, it.currency, -out.held)
            self.out.remove(out)
            if out.due:
                self.owing.append(out)

    def pay(self, out: Out) -> None:
        """Pays what is due."""
        it = out.it
        paid = Money(it.currency, out.due)
        name = f"pay-{it.authorization_id}"
        payment = c.RecordPayment(it.user_id, it.authorization_id, name, paid)
        self.desk.do(payment, caller=PLATFORM)
        self.plain.use(it.user_id, it.currency, -out.due)
        self.note("RecordPayment", it.currency)

    def compare(self) -> None:
        """Compares the exposures of all people."""
        for (user_id, currency), used in self.plain.used.items():
            line = self.desk.store.line(user_id, currency)
            assert line is not None
            assert line.held_minor + line.drawn_minor == used, (user_id, currency)
            assert line.limit_minor - line.cut_pending_minor == self.plain.limits[user_id, currency]
