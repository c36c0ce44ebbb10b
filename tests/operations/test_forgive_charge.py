"""ForgiveCharge: Freehold bears the due amount."""

from __future__ import annotations

from service.domain import collection
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Collection, State
from service.engine.operations import ForgiveCharge
from service.engine.records.transfers import TransferState
from tests.engine import acts
from tests.engine.acts import Books
from tests.engine.calls import authorize, balances, refused, rental, settle, stored
from tests.fakes import Desk
from tests.operations.call import CHARGED, REASON, SAME_LINE, CallOnAuthorization, then
from tests.rpc import ready


def forgive(it: Authorization) -> ForgiveCharge:
    """The command that forgives the due amount."""
    return ForgiveCharge(*acts.name(it))


CALLS = (
    CallOnAuthorization(
        method="ForgiveCharge",
        scope="disputes.write",
        parts=(REASON,),
        unraced=SAME_LINE,
        states=CHARGED,
        rule=lambda it, _amount_minor, now_us: collection.forgive(it, now_us),
        command=forgive,
        before=then(State.SETTLED),
        behind=ready.settled,
    ),
)


def forgiven(books: Books, it: Authorization, amount_minor: int) -> Authorization:
    """The authorization after ForgiveCharge, which posts exactly this amount in one step."""
    rows = [
        ("money", "goodwill / receivable", amount_minor),
        ("line", "available / drawn", amount_minor),
    ]
    return books.step(forgive(it), rows, "collection.charge_forgiven", caller=PLATFORM)


def test_freehold_bears_the_due_amount(desk: Desk) -> None:
    """ForgiveCharge of x due posts goodwill x / receivable x and avail x / drawn x. The operator
    concedes nothing, and the commission stays."""
    before = acts.charged(desk, amount_minor=1_250)
    after = forgiven(Books(desk), before, 1_250)
    assert (after.due_minor, after.lowered_minor, after.goodwill_minor) == (0, 1_250, 1_250)
    assert (after.conceded_minor, after.fee_minor) == (0, before.fee_minor)
    assert (after.collection, after.wake_us) == (Collection.PAID, None)
    assert balances(desk) == (50_000, 50_000, 0, 0)


def test_a_disputed_amount_is_not_forgiven(desk: Desk) -> None:
    """ForgiveCharge leaves a dispute open. An amount that the dispute makes due again can be
    forgiven then."""
    it = acts.charged(desk, amount_minor=1_250)
    for command in (acts.pay_elsewhere(it, 200), acts.lower(it, 50), acts.dispute(it, 300)):
        it = rental(desk, command)
    it = forgiven(Books(desk), it, 700)
    assert (it.due_minor, it.disputed_minor, it.goodwill_minor) == (0, 300, 700)
    assert it.collection is Collection.DISPUTED
    it = rental(desk, acts.decide_dispute(it, user_won=False), caller=PLATFORM)
    assert forgiven(Books(desk), it, 300).goodwill_minor == 1_000


def test_a_charge_is_forgiven_while_the_item_is_out(desk: Desk) -> None:
    """An amount that was captured before the settlement can be forgiven; the hold stays."""
    it = rental(desk, settle(rental(desk, authorize()), 700, final=False))
    after = forgiven(Books(desk), it, 700)
    assert (after.state, after.held_minor) == (State.ACTIVE, it.held_minor)


def test_nothing_due_is_refused(desk: Desk) -> None:
    """A second ForgiveCharge is refused with NOTHING_DUE, and changes nothing."""
    it = acts.charged(desk)
    it = forgiven(Books(desk), it, 1_250)
    assert refused(desk, forgive(it), caller=PLATFORM).reason == "NOTHING_DUE"
    assert stored(desk, it) == it


def test_a_proposed_write_off_ends_with_the_due_amount(desk: Desk) -> None:
    """ForgiveCharge ends a proposal to write off; it can no longer be approved."""
    it = rental(desk, acts.propose(acts.charged(desk)), caller=PLATFORM)
    after = forgiven(Books(desk), it, 1_250)
    assert (after.write_off_by, after.write_off_minor) == ("", 0)
    assert refused(desk, acts.approve(after), caller=PLATFORM).reason == "NOT_PROPOSED"


def test_a_waiting_debit_is_cancelled(desk: Desk) -> None:
    """After ForgiveCharge, a debit that waits is cancelled when it would be sent to the rail."""
    it = acts.woken(desk, acts.charged(desk), desk.clock.now_us() + acts.HOUR_US)
    forgiven(Books(desk), it, 1_250)
    (debit,) = acts.transfers(desk, it)
    desk.do(acts.told(debit, TransferState.SENT), caller=PLATFORM)
    assert acts.transfers(desk, it)[0].state is TransferState.CANCELLED
    assert stored(desk, it).debiting_minor == 0


def test_a_debit_under_way_is_owed_back(desk: Desk) -> None:
    """After ForgiveCharge, money from a debit that was already at the rail is owed back."""
    it = acts.woken(desk, acts.charged(desk), desk.clock.now_us() + acts.HOUR_US)
    (debit,) = acts.transfers(desk, it)
    desk.do(acts.told(debit, TransferState.SENT), caller=PLATFORM)
    books = Books(desk)
    forgiven(books, it, 1_250)
    desk.do(acts.told(debit, TransferState.SUCCEEDED), caller=PLATFORM)
    books.expect([("money", "cash / refund_payable", 1_250)], "collection.payment_recorded")
    assert stored(desk, it).refund_payable_minor == 1_250


def test_a_found_item_gives_freehold_its_goodwill_back(desk: Desk) -> None:
    """If the buy-out of a lost item was forgiven and the item is found, the operator gives the
    excess over the tariff back to Freehold. The person owes nothing and is owed nothing."""
    it = acts.woken(desk, rental(desk, authorize()), desk.clock.now_us() + acts.DAY_US)
    it = rental(desk, acts.lost(it))
    captured_minor = it.captured_minor
    it = forgiven(Books(desk), it, captured_minor)
    found = rental(desk, acts.found(it))
    assert found.conceded_minor > 0
    assert found.goodwill_minor == captured_minor - found.conceded_minor
    assert (found.due_minor, found.refund_payable_minor) == (0, 0)
