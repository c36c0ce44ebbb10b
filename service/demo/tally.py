"""Counts and sums of the day, from the server's list and the operator's own records. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.types_pb2 import Offer
from numpy.typing import NDArray

from models.rates import Rate
from service.demo.drive import Record
from service.demo.economics import REFUND_AFTER_S, Ride, World, interest_minor, item_loss_minor
from service.demo.tariff import PRODUCTS

OFFERS = ("ZERO", "REDUCED", "FULL")
END_STATES = (
    "SETTLED_PAID",
    "SETTLED_UNPAID",
    "SETTLED_LOST",
    "REVERSED",
    "EXPIRED_OFFER",
    "EXPIRED_UNPICKED",
    "DECLINED",
)
OPEN = "STILL_OPEN"


@dataclass(frozen=True, slots=True)
class Ended:
    """One authorization at the end of the day; amounts in fen, as the server lists them.

    offer  ZERO, REDUCED or FULL, the offer in force; DECLINED when there is none
    state  one of END_STATES, or OPEN
    """

    record: Record
    offer: str
    state: str
    captured_minor: int
    due_minor: int

    @property
    def person(self) -> int:
        """Row of the person in the population."""
        return self.record.rental.person

    @property
    def settled(self) -> bool:
        """Whether the item went out and the rental was charged."""
        return self.state.startswith("SETTLED")

    @property
    def bad(self) -> bool:
        """Whether the rental is bad: not paid, or the item is lost."""
        return self.state in ("SETTLED_UNPAID", "SETTLED_LOST")

    @property
    def unpaid_minor(self) -> int:
        """Fee charged on credit and never paid; 0 for a lost item, which is counted apart."""
        return 0 if self.record.lost else self.due_minor

    @property
    def item_minor(self) -> int:
        """Replacement value of a lost item after what was collected for it."""
        if not self.record.lost:
            return 0
        replacement = PRODUCTS[self.record.rental.product].replacement_minor
        return item_loss_minor(replacement, self.captured_minor - self.due_minor)


def classify(records: Iterable[Record], listed: Sequence[Authorization]) -> list[Ended]:
    """Every listed authorization with its end state, in the order of the records.

    The state and the amounts are the server's. The operator's records say whether an item is lost,
    and whether an offer or a reservation expired.
    """
    by_request = {authorization.request_id: authorization for authorization in listed}
    ended = []
    for record in records:
        seen = by_request.get(record.request_id)
        if seen is None:
            continue
        ended.append(
            Ended(
                record=record,
                offer=_offer(record),
                state=_end_state(record, seen),
                captured_minor=seen.captured.amount_minor,
                due_minor=seen.due.amount_minor,
            )
        )
    return ended


def _offer(record: Record) -> str:
    if record.offer is None:
        return "DECLINED"
    return Offer.Name(record.offer).removeprefix("OFFER_")


def _end_state(record: Record, seen: Authorization) -> str:
    if seen.state == Authorization.STATE_SETTLED:
        if record.lost:
            return "SETTLED_LOST"
        return "SETTLED_UNPAID" if seen.due.amount_minor else "SETTLED_PAID"
    if seen.state == Authorization.STATE_EXPIRED:
        offered = record.state == Authorization.STATE_OFFERED
        return "EXPIRED_OFFER" if offered else "EXPIRED_UNPICKED"
    if seen.state == Authorization.STATE_REVERSED:
        return "REVERSED"
    if seen.state == Authorization.STATE_DECLINED:
        return "DECLINED"
    return OPEN


@dataclass(frozen=True)
class OfferFigures:
    """The outcome of the rentals of one offer; amounts in fen.

    rentals     bad of those settled
    people      with at least one bad rental, of those with at least one settled
    card_bad    of those people, the ones whose real card label is bad
    """

    offer: str
    authorizations: int
    rentals: Rate
    people: Rate
    card_bad: Rate
    lost: int
    fees_minor: int
    unpaid_minor: int
    items_minor: int

    @property
    def loss_minor(self) -> int:
        """Fees never paid and items not recovered."""
        return self.unpaid_minor + self.items_minor

    def as_json(self) -> dict[str, object]:
        """The row for the report."""
        return {
            "authorizations": self.authorizations,
            "per_rental": self.rentals.as_json(),
            "per_person": self.people.as_json(),
            "card_label_bad": self.card_bad.as_json(),
            "lost": self.lost,
            "fees_minor": self.fees_minor,
            "unpaid_minor": self.unpaid_minor,
            "items_not_recovered_minor": self.items_minor,
            "loss_minor": self.loss_minor,
        }


def offer_figures(ended: Sequence[Ended], offer: str, label: NDArray[np.int8]) -> OfferFigures:
    """Sum up one offer; `label` (n,) of the population, 1 = bad."""
    mine = [e for e in ended if e.offer == offer]
    settled = [e for e in mine if e.settled]
    people = {e.person for e in settled}
    return OfferFigures(
        offer=offer,
        authorizations=len(mine),
        rentals=Rate(sum(e.bad for e in settled), len(settled)),
        people=Rate(len({e.person for e in settled if e.bad}), len(people)),
        card_bad=Rate(sum(int(label[p]) for p in people), len(people)),
        lost=sum(e.record.lost for e in settled),
        fees_minor=fees_minor(settled),
        unpaid_minor=sum(e.unpaid_minor for e in settled),
        items_minor=sum(e.item_minor for e in settled),
    )


def fees_minor(ended: Iterable[Ended]) -> int:
    """Rental fees charged, without the charges for lost items."""
    return sum(e.captured_minor for e in ended if not e.record.lost)


def by_end_state(ended: Iterable[Ended]) -> dict[str, int]:
    """Count of every end state, empty ones included."""
    counts = Counter(e.state for e in ended)
    return {state: counts[state] for state in (*END_STATES, OPEN)}


def by_category_and_offer(ended: Iterable[Ended]) -> dict[str, dict[str, int]]:
    """Product id, then offer or DECLINED, to count."""
    counts: Mapping[tuple[int, str], int] = Counter(
        (e.record.rental.product, e.offer) for e in ended
    )
    return {
        product.product_id: {offer: counts.get((i, offer), 0) for offer in (*OFFERS, "DECLINED")}
        for i, product in enumerate(PRODUCTS)
    }


@dataclass(frozen=True)
class Waived:
    """Deposits that people did not have to pay in cash; amounts in fen.

    minor       held on credit lines in place of cash: whole deposits and the half of reduced ones
    asked_minor deposits of all holds that were placed, in cash and on credit
    people      those with at least one whole deposit waived, of those who asked for a rental
    always      those who never had to pay cash, of those who asked
    """

    minor: int
    whole_minor: int
    asked_minor: int
    people: Rate
    always: Rate


def walked_away(ended: Iterable[Ended]) -> Rate:
    """The offers that asked for cash and expired, as a share of all offers that asked for cash."""
    asked = [e for e in ended if e.offer in ("REDUCED", "FULL")]
    return Rate(sum(e.state == "EXPIRED_OFFER" for e in asked), len(asked))


def waived(ended: Sequence[Ended]) -> Waived:
    """Deposits waived over the whole day. Offers that nobody confirmed do not count."""
    held = [e for e in ended if e.state not in ("EXPIRED_OFFER", "DECLINED")]
    whole = [e for e in held if e.offer == "ZERO"]
    asked = {e.person for e in ended if e.offer in OFFERS}
    cash = {e.person for e in ended if e.offer in ("REDUCED", "FULL")}
    return Waived(
        minor=sum(e.record.held_credit_minor for e in held),
        whole_minor=sum(e.record.held_credit_minor for e in whole),
        asked_minor=sum(e.record.held_credit_minor + e.record.held_cash_minor for e in held),
        people=Rate(len({e.person for e in whole}), len(asked)),
        always=Rate(len(asked - cash), len(asked)),
    )


def rides(ended: Iterable[Ended], lost_after_s: int) -> list[Ride]:
    """The day's demand: every rental that would take place if no deposit prevented it."""
    wanted = []
    for e in ended:
        rental = e.record.rental
        if not rental.rides:
            continue
        product = PRODUCTS[rental.product]
        wanted.append(
            Ride(
                fee_minor=product.charge_minor(rental.duration_s, product.deposit_minor),
                deposit_minor=product.deposit_minor,
                replacement_minor=product.replacement_minor,
                duration_s=lost_after_s if rental.lost else rental.duration_s,
                unpaid=rental.unpaid,
                lost=rental.lost,
                lost_paid=rental.lost_paid,
            )
        )
    return wanted


def as_run(ended: Sequence[Ended]) -> World:
    """The day as it was run, from the server's amounts; interest on the cash parts only."""
    settled = [e for e in ended if e.settled]
    cash = sum(
        e.record.held_cash_minor * (e.record.closed_s - e.record.asked_s + REFUND_AFTER_S)
        for e in settled
        if not e.record.lost
    )
    return World(
        name="as run",
        rides=len(settled),
        fees_minor=fees_minor(settled),
        unpaid_minor=sum(e.unpaid_minor for e in settled),
        items_minor=sum(e.item_minor for e in settled),
        interest_minor=interest_minor(cash),
    )


def forgone_interest_minor(ended: Iterable[Ended]) -> int:
    """The cost of waiving: the interest on the credit parts if they had been cash."""
    return interest_minor(
        sum(
            e.record.held_credit_minor * (e.record.closed_s - e.record.asked_s + REFUND_AFTER_S)
            for e in ended
            if e.settled and not e.record.lost
        )
    )
