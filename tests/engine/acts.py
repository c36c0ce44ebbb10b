"""Short forms of the commands on an authorization, and of their effects in books and outbox."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Engine, Table, insert, select

from service.domain.access import PLATFORM
from service.domain.attestations import AttestationKind, Cause, Source
from service.domain.authorization import Authorization, Collection, Custody, Start, State
from service.domain.captures import Purpose
from service.domain.ledger import Standing
from service.domain.money import Money
from service.domain.policy import Offer
from service.engine import calls
from service.engine import operations as c
from service.engine.records.transfers import TransferRecord, TransferState
from service.engine.tables import TRANSFERS
from service.storage import schema as t
from service.storage.database import writing
from tests.engine.calls import (
    CNY,
    authorize,
    confirm,
    reason,
    rental,
    reverse,
    settle,
    stored,
)
from tests.fakes import OPERATOR, Desk
from tests.rows import read
from tests.terms import forget_documents

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US


def money(amount_minor: int) -> Money:
    """An amount in the tests' currency."""
    return Money(CNY, amount_minor)


def name(it: Authorization) -> tuple[str, str]:
    """The arguments by which a command names an authorization."""
    return it.user_id, it.authorization_id


def group(
    user_id: str,
    *items: tuple[str, str],
    accept: tuple[Offer, ...] = (),
    start: Start = Start.IMMEDIATE,
) -> c.Authorize:
    """A request for several items, each a product and perhaps an item id, all or none."""
    wanted = tuple(c.Item(product_id, asset_id) for product_id, asset_id in items)
    return c.Authorize(user_id, wanted, start, accept, grouped=True)


def members(
    desk: Desk, command: c.Command, *, request_id: str | None = None
) -> list[Authorization]:
    """The authorizations of the group that a command returns."""
    answer = desk.do(command, request_id=request_id)
    assert isinstance(answer, calls.Group)
    return list(answer.authorizations)


def review(it: Authorization, *, approve: bool) -> c.ResolveReview:
    """Approves or declines a review."""
    return c.ResolveReview(*name(it), approve, "key-1")


def increment(
    it: Authorization, amount_minor: int, paid_minor: int | None = None, reference: str = "more-1"
) -> c.Increment:
    """Raises the hold, with a payment if one was made."""
    if paid_minor is None:
        return c.Increment(*name(it), money(amount_minor))
    return c.Increment(*name(it), money(amount_minor), reference, money(paid_minor))


def picked_up(it: Authorization, occurred_us: int | None, asset_id: str = "") -> c.StartRental:
    """Reports the pick-up of the item at an instant."""
    return c.StartRental(*name(it), asset_id, occurred_us)


def decrease(it: Authorization, amount_minor: int) -> c.Decrease:
    """Lowers the hold."""
    return c.Decrease(*name(it), money(amount_minor))


def extend(it: Authorization, by_us: int) -> c.Extend:
    """Extends the rental."""
    return c.Extend(*name(it), by_us)


def settle_usage(it: Authorization, occurred_us: int | None = None) -> c.Settle:
    """Settles by the tariff."""
    return c.Settle(*name(it), None, True, occurred_us)


def capture(
    it: Authorization,
    amount_minor: int,
    purpose: Purpose | None = None,
    *,
    reference: str = "",
    final: bool = False,
) -> c.Settle:
    """Captures an amount for a purpose; the rental goes on unless it is final."""
    return c.Settle(*name(it), money(amount_minor), final, None, purpose, reference)


def claim_return(it: Authorization) -> c.ClaimReturn:
    """Claims the return for the person."""
    return c.ClaimReturn(*name(it))


def contest(it: Authorization) -> c.ContestReturn:
    """Contests the claimed return."""
    return c.ContestReturn(*name(it), "photo-1")


def lost(it: Authorization) -> c.ReportLost:
    """Reports the item as lost."""
    return c.ReportLost(*name(it))


def found(it: Authorization, occurred_us: int | None = None) -> c.ReportFound:
    """Reports a lost item as found."""
    return c.ReportFound(*name(it), occurred_us)


def pause(
    it: Authorization,
    occurred_us: int | None = None,
    cause: Cause = Cause.CABINET_FULL,
    resumed_us: int | None = None,
) -> c.PauseRental:
    """Pauses a rental for its user, with an end if one is given."""
    return c.PauseRental(*name(it), cause, Source.USER, "photo-1", occurred_us, resumed_us)


def resume(it: Authorization, occurred_us: int | None = None) -> c.ResumeRental:
    """Resumes a rental."""
    return c.ResumeRental(*name(it), "photo-2", occurred_us)


def waive(it: Authorization, amount_minor: int | None = None) -> c.WaiveFee:
    """Waives the fee, or an amount of it, for an item at fault."""
    amount = None if amount_minor is None else money(amount_minor)
    return c.WaiveFee(*name(it), amount, Cause.ITEM_AT_FAULT, Source.SUPPORT, "case-1")


def hand_over(
    it: Authorization, kind: AttestationKind, occurred_us: int, amount_minor: int | None = None
) -> c.Settle:
    """Settles a rental whose item was returned without a dock."""
    amount = None if amount_minor is None else money(amount_minor)
    return c.Settle(*name(it), amount, True, occurred_us, handover=kind, evidence="parcel-1")


def pay_elsewhere(
    it: Authorization, amount_minor: int, reference: str = "till-1"
) -> calls.AuthorizationCommand:
    """Records a payment to the operator."""
    return c.RecordPaidElsewhere(*name(it), reference, money(amount_minor))


def lower(
    it: Authorization,
    amount_minor: int,
    capture: int | None = None,
    *,
    reason: str = "",
    reference: str = "",
) -> c.LowerCharge:
    """Lowers the charge."""
    return c.LowerCharge(*name(it), money(amount_minor), capture, reason, reference)


def refund(
    it: Authorization,
    amount_minor: int,
    capture: int | None = None,
    *,
    reason: str = "",
    reference: str = "",
) -> c.RefundCharge:
    """Refunds the person."""
    return c.RefundCharge(*name(it), money(amount_minor), capture, reason, reference)


def pay_out(it: Authorization, amount_minor: int) -> c.PayOutRefund:
    """Pays out what is owed to the person."""
    return c.PayOutRefund(*name(it), money(amount_minor))


def dispute(
    it: Authorization, amount_minor: int, capture: int | None = None, *, reason: str = ""
) -> c.OpenDispute:
    """Disputes what is due."""
    return c.OpenDispute(*name(it), money(amount_minor), capture, reason)


def decide_dispute(
    it: Authorization, *, user_won: bool, goodwill: bool = False
) -> c.ResolveDispute:
    """Decides a dispute."""
    return c.ResolveDispute(*name(it), user_won, goodwill)


def charge_back(
    it: Authorization, amount_minor: int, reference: str = "bank-1"
) -> calls.AuthorizationCommand:
    """Records a charge-back by the person's bank."""
    return c.RecordChargeBack(*name(it), reference, money(amount_minor))


def decide_charge_back(
    it: Authorization, *, user_won: bool, goodwill: bool = False
) -> c.ResolveChargeBack:
    """Decides a charge-back."""
    return c.ResolveChargeBack(*name(it), user_won, goodwill)


def charged(desk: Desk, user_id: str = "ann", amount_minor: int = 1_250) -> Authorization:
    """SETTLED with an amount captured on credit."""
    return rental(desk, settle(rental(desk, authorize(user_id)), amount_minor))


def provision(it: Authorization, amount_minor: int) -> c.SetProvision:
    """Sets the provision."""
    return c.SetProvision(*name(it), money(amount_minor))


def propose(it: Authorization, by: str = "key-1") -> c.ProposeWriteOff:
    """Proposes a write-off."""
    return c.ProposeWriteOff(*name(it), by)


def approve(it: Authorization, by: str = "key-2") -> c.ApproveWriteOff:
    """Approves a write-off with a second key."""
    return c.ApproveWriteOff(*name(it), by)


def wake(it: Authorization) -> c.Wake:
    """Wakes an authorization as the sweeper does."""
    return c.Wake(*name(it))


def woken(desk: Desk, it: Authorization, at_us: int) -> Authorization:
    """The authorization after the sweeper's visit at an instant."""
    assert desk.clock.advance(at_us)
    (result,) = desk.apply(desk.work(wake(it), caller="", request_id=""))
    assert isinstance(result, bytes), result
    return stored(desk, it)


def transfers(desk: Desk, it: Authorization) -> list[TransferRecord]:
    """The transfers of an authorization, the oldest first."""
    columns = t.transfers.c
    query = (
        select(columns.transfer_id)
        .where(columns.user_id == it.user_id, columns.authorization_id == it.authorization_id)
        .order_by(columns.transfer_id)
    )
    with desk.store.engine.connect() as connection:
        ids = connection.scalars(query).all()
    if not ids:
        return []
    with desk.store.begin() as transaction:
        known = read(transaction, TRANSFERS, [(it.user_id, key) for key in ids])
    return [known[it.user_id, key] for key in ids]


def told(it: TransferRecord, state: TransferState, detail: str = "") -> c.ReportTransfer:
    """Reports the payment rail's result of a transfer."""
    return c.ReportTransfer(it.user_id, it.transfer_id, state, detail)


def states(it: Authorization) -> tuple[State, Custody, Collection]:
    """State, custody and collection."""
    return it.state, it.custody, it.collection


# -- postings --------------------------------------------------------------------------------

Row = tuple[str, str, int]
"""A row of `entries`: its book, `debit / credit` as the specification writes it, the amount."""


class Happened(NamedTuple):
    """New rows of the books and the outbox."""

    rows: list[Row]
    """In the order in which they were posted."""
    events: list[tuple[str, int]]
    """Each transition and its event time, in order."""
    ledger: set[tuple[str, int, int]]
    """The transition, event time and ledger time of the entries."""


class Books:
    """Remembers the end of the books and the outbox, to find later rows."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._entries: dict[str, int] = {}
        self._events = 0
        self.news()

    def news(self) -> Happened:
        """The rows since the last call; checks that each transition is one transaction."""
        e, o = t.entries.c, t.outbox.c
        with self._desk.store.engine.connect() as connection:
            entries = connection.execute(
                select(e.user_id, e.sequence, e.transaction_sequence, e.transition, e.book,
                       e.debit, e.credit, e.amount_minor, e.event_us, e.ledger_us)
                .order_by(e.user_id, e.currency, e.sequence)
            ).all()  # fmt: skip
            events = connection.execute(
                select(o.sequence, o.transition, o.event_us)
                .where(o.sequence > self._events)
                .order_by(o.sequence)
            ).all()
        fresh = [row for row in entries if row.sequence > self._entries.get(row.user_id, 0)]
        for row in fresh:
            self._entries[row.user_id] = row.sequence
        self._events = events[-1].sequence if events else self._events
        transactions = {(row.user_id, row.transaction_sequence) for row in fresh}
        assert len(transactions) <= len(events)
        return Happened(
            [(row.book, f"{row.debit} / {row.credit}", row.amount_minor) for row in fresh],
            [(row.transition, row.event_us) for row in events],
            {(row.transition, row.event_us, row.ledger_us) for row in fresh},
        )

    def step(
        self, command: c.Command, rows: list[Row], *transitions: str, caller: str = OPERATOR
    ) -> Authorization:
        """The authorization after a command. Requires that the command posts exactly these rows in
        one transaction, and writes exactly these events."""
        it = rental(self._desk, command, caller=caller)
        happened = self.expect(rows, *transitions)
        now_us = self._desk.clock.now_us()
        assert happened.events[-1] == (transitions[-1], now_us)
        assert {ledger_us for _, _, ledger_us in happened.ledger} <= {now_us}
        assert {transition for transition, _, _ in happened.ledger} <= set(transitions)
        assert stored(self._desk, it) == it
        return it

    def wake(
        self, it: Authorization, at_us: int, rows: list[Row], *transitions: str
    ) -> Authorization:
        """The authorization after the sweeper's visit. Requires that the visit posts exactly these
        rows at this instant, and that nothing is due one microsecond earlier."""
        if self._desk.clock.now_us() < at_us:
            self._desk.clock.advance(at_us - 1)
            (early,) = self._desk.apply(self._desk.work(wake(it), caller="", request_id=""))
            assert reason(early) == "NOTHING_TO_DO"
        after = woken(self._desk, it, at_us)
        self.expect(rows, *transitions)
        return after

    def expect(self, rows: list[Row], *transitions: str) -> Happened:
        """Checks the rows since the last call."""
        happened = self.news()
        assert happened.rows == rows, happened.rows
        announced = [transition for transition, _ in happened.events]
        assert announced == list(transitions), announced
        return happened


# -- other terms -----------------------------------------------------------------------------


def change_terms(desk: Desk, table: Table, name: str, **values: int | str | None) -> None:
    """Changes a product or a policy by hand, before its first use."""
    key = table.c.product_id if table is t.products else table.c.policy_id
    with writing(desk.store.engine) as connection:
        forget_documents(connection)
        connection.execute(table.update().where(key == name).values(**values))
    assert desk.engine.terms.follow()


def revise(engine: Engine, product_id: str, **values: object) -> None:
    """Adds the second revision of a product, for each operator."""
    with writing(engine) as connection:
        found = connection.execute(select(t.products).where(t.products.c.product_id == product_id))
        for row in found.all():
            connection.execute(insert(t.products), {**row._asdict(), "revision": 2, **values})


# -- an authorization in every state ---------------------------------------------------------


def in_state(desk: Desk, state: State, user_id: str) -> Authorization:
    """An authorization of a new person in a state, made by real commands.

    ACTIVE and the states after it have 2,950 on credit and 2,950 in cash; SETTLED has 3,500
    captured.
    """
    desk.put_user(user_id, 549)
    if state is State.REVIEW:
        desk.do(c.SetStanding(user_id, Standing.WATCHED), caller=PLATFORM)
    when = Start.ON_PICKUP if state is State.AUTHORIZED else Start.IMMEDIATE
    if state is State.DECLINED:
        return rental(desk, authorize(user_id, "umbrella", accept=(Offer.ZERO,)))
    it = rental(desk, authorize(user_id, "umbrella", start=when))
    if state in (State.OFFERED, State.REVIEW):
        return it
    if state is State.EXPIRED:
        return woken(desk, it, it.expire_us or 0)
    if state is State.REVERSED:
        return rental(desk, reverse(it))
    it = rental(desk, confirm(it, reference=f"pay-{user_id}"))
    match state:
        case State.OVERDUE:
            return woken(desk, it, it.due_us or 0)
        case State.RETURN_CLAIMED:
            return rental(desk, claim_return(it))
        case State.SETTLED:
            return rental(desk, settle(it, 3_500))
        case _:
            return it
