"""After a capture: payments, disputes, charge-backs, refunds, provisions and write-offs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.domain import charge_backs, collection
from service.domain.authorization import (
    Authorization,
    Collection,
    State,
    Step,
    Transfer,
    TransferKind,
)
from service.domain.errors import IllegalState, InvalidInput
from service.domain.ledger import Account as A
from tests.domain.lives import NOW_US, capture, confirmed, granted, moved, settled

# -- payments --------------------------------------------------------------------------------


def paid(amount_minor: int = 1_000, it: Authorization | None = None) -> Authorization:
    """SETTLED for 1,000 on credit, with the given amount paid."""
    return collection.pay(it or settled(), amount_minor, NOW_US).authorization


def test_a_full_payment() -> None:
    """A payment posts cash / receivable and gives the line back: avail / drawn."""
    step = collection.pay(settled(), 1_000, NOW_US + 4)
    assert moved(step) == [(A.CASH, A.RECEIVABLE, 1_000), (A.AVAILABLE, A.DRAWN, 1_000)]
    it = step.authorization
    assert (it.paid_minor, it.due_minor, it.refund_payable_minor) == (1_000, 0, 0)
    assert (it.state, it.version, it.wake_us) == (State.SETTLED, 4, None)
    assert (step.transition, step.event_us) == ("collection.payment_recorded", NOW_US + 4)


def test_a_partial_payment() -> None:
    """A partial payment leaves the rest due."""
    it = paid(400)
    assert (it.paid_minor, it.due_minor) == (400, 600)
    step = collection.pay(it, 600, NOW_US)
    assert moved(step) == [(A.CASH, A.RECEIVABLE, 600), (A.AVAILABLE, A.DRAWN, 600)]


def test_an_overpayment_is_owed_back() -> None:
    """Money above what is due posts cash / refund_payable."""
    step = collection.pay(settled(), 1_300, NOW_US)
    assert moved(step) == [
        (A.CASH, A.RECEIVABLE, 1_000),
        (A.AVAILABLE, A.DRAWN, 1_000),
        (A.CASH, A.REFUND_PAYABLE, 300),
    ]
    again = collection.pay(step.authorization, 50, NOW_US)
    assert moved(again) == [(A.CASH, A.REFUND_PAYABLE, 50)]
    assert again.authorization.paid_minor == 1_000


def test_a_payment_before_the_end() -> None:
    """A captured amount can be paid while the rental goes on."""
    it = capture(granted(), 500, final=False).authorization
    step = collection.pay(it, 500, NOW_US)
    assert moved(step) == [(A.CASH, A.RECEIVABLE, 500), (A.AVAILABLE, A.DRAWN, 500)]


def test_without_an_amount_due_nothing_is_paid() -> None:
    """A payment is refused with NOTHING_DUE when nothing was ever captured on credit."""
    for it in (granted(), settled(1_000, confirmed())):
        with pytest.raises(IllegalState) as refused:
            collection.pay(it, 1, NOW_US)
        assert refused.value.reason == "NOTHING_DUE"
        assert refused.value.metadata == {"state": it.state}


def test_paid_elsewhere() -> None:
    """A payment to the operator posts operator_payable / receivable and avail / drawn."""
    step = collection.pay_elsewhere(settled(), 1_000, NOW_US)
    assert moved(step) == [(A.OPERATOR_PAYABLE, A.RECEIVABLE, 1_000), (A.AVAILABLE, A.DRAWN, 1_000)]
    assert step.authorization.collection is Collection.PAID
    assert step.authorization.fee_minor == 30


# -- concessions -----------------------------------------------------------------------------


def test_lowered_before_payment() -> None:
    """Lowering by x with commission f posts operator_payable x-f, fee_income f / receivable x and
    avail / drawn x."""
    step = collection.lower(settled(), 100, NOW_US)
    assert moved(step) == [
        (A.OPERATOR_PAYABLE, A.RECEIVABLE, 97),
        (A.FEE_INCOME, A.RECEIVABLE, 3),
        (A.AVAILABLE, A.DRAWN, 100),
    ]
    it = step.authorization
    assert (it.lowered_minor, it.conceded_minor, it.fee_minor, it.due_minor) == (100, 100, 27, 900)
    assert step.transition == "collection.lowered"


def test_refunded_after_payment() -> None:
    """Refunding x with commission f posts operator_payable x-f, fee_income f / refund_payable x."""
    step = collection.refund(paid(), 100, NOW_US)
    assert moved(step) == [
        (A.OPERATOR_PAYABLE, A.REFUND_PAYABLE, 97), (A.FEE_INCOME, A.REFUND_PAYABLE, 3),
    ]  # fmt: skip
    it = step.authorization
    assert (it.refunded_minor, it.refund_payable_minor, it.fee_minor) == (100, 100, 27)
    assert (it.refundable_minor, it.collection) == (900, Collection.REFUND_PENDING)


def test_a_cash_capture_is_refundable() -> None:
    """An amount captured from the cash deposit counts as paid and can be refunded."""
    it = settled(1_000, confirmed())
    assert it.refundable_minor == 1_000
    assert collection.refund(it, 1_000, NOW_US).authorization.refundable_minor == 0


def test_a_refund_is_paid_out() -> None:
    """Paying out posts refund_payable / cash and asks the payment rail for it."""
    it = collection.refund(paid(), 100, NOW_US).authorization
    step = collection.pay_out(it, 60, NOW_US)
    assert moved(step) == [(A.REFUND_PAYABLE, A.CASH, 60)]
    assert step.transfer == Transfer(TransferKind.PAYOUT, 60)
    assert step.authorization.refund_payable_minor == 40
    rest = collection.pay_out(step.authorization, 40, NOW_US).authorization
    assert rest.collection is Collection.REFUNDED


def test_charged_back_money_is_not_paid_out() -> None:
    """If money is owed back and a bank has taken back a part of it, only the rest is paid out."""
    owed = collection.refund(paid(), 500, NOW_US).authorization
    it = charge_backs.charge_back(owed, 800, NOW_US).authorization
    with pytest.raises(InvalidInput):
        collection.pay_out(it, 201, NOW_US)
    assert collection.pay_out(it, 200, NOW_US).authorization.refund_payable_minor == 300


def test_a_payout_that_failed_is_owed_again() -> None:
    """A payout that failed posts cash / refund_payable."""
    it = collection.refund(paid(), 100, NOW_US).authorization
    it = collection.pay_out(it, 100, NOW_US).authorization
    step = collection.payout_failed(it, 100, NOW_US)
    assert moved(step) == [(A.CASH, A.REFUND_PAYABLE, 100)]
    assert step.authorization.refund_payable_minor == 100
    assert step.transfer is None


def test_a_debit_that_failed_changes_no_amount() -> None:
    """A debit that failed posts nothing, and dunning goes on."""
    step = collection.debit_failed(settled(), NOW_US + 3)
    assert step.event_us == NOW_US + 3
    assert step.postings == ()
    assert step.authorization == settled()._replace(version=settled().version + 1)


def test_a_late_success_leaves_another_debit_under_way() -> None:
    """A debit that first failed and then succeeds pays the due amount, then the amount written off.
    The rest is owed back, and a newer debit under way continues."""
    it = settled()._replace(debiting_minor=600)
    it = collection.open_dispute(it, 400, NOW_US).authorization
    it = collection.propose_write_off(it, "key-1", NOW_US).authorization
    it = collection.write_off(it, "key-2", NOW_US).authorization
    it = collection.resolve_dispute(it, user_won=False, goodwill=False, now_us=NOW_US).authorization
    step = collection.debit_succeeded_late(it, 1_050, NOW_US)
    assert moved(step) == [
        (A.CASH, A.RECEIVABLE, 400),
        (A.AVAILABLE, A.DRAWN, 400),
        (A.CASH, A.RECOVERY, 600),
        (A.CASH, A.REFUND_PAYABLE, 50),
    ]
    assert step.authorization.debiting_minor == 600
    assert step.transfer is None


# -- disputes and charge-backs ---------------------------------------------------------------


def disputed(amount_minor: int = 400) -> Authorization:
    """SETTLED for 1,000 on credit, with the given amount disputed."""
    return collection.open_dispute(settled(), amount_minor, NOW_US).authorization


def test_a_dispute_is_opened() -> None:
    """Opening a dispute posts receivable_disputed / receivable; the amount is not due meanwhile."""
    step = collection.open_dispute(settled(), 400, NOW_US)
    assert moved(step) == [(A.RECEIVABLE_DISPUTED, A.RECEIVABLE, 400)]
    it = step.authorization
    assert (it.disputed_minor, it.due_minor, it.collection) == (400, 600, Collection.DISPUTED)


def test_a_lost_dispute_is_due_again() -> None:
    """An amount is due again when the person loses the dispute: receivable /
    receivable_disputed."""
    step = collection.resolve_dispute(disputed(), user_won=False, goodwill=False, now_us=NOW_US)
    assert moved(step) == [(A.RECEIVABLE, A.RECEIVABLE_DISPUTED, 400)]
    assert (step.authorization.due_minor, step.transition) == (1_000, "collection.dispute_lost")


@pytest.mark.parametrize("goodwill", [False, True])
def test_a_won_dispute_is_conceded(goodwill: bool) -> None:
    """If the person wins a dispute, the operator gives up the amount, or Freehold bears it as
    goodwill. The amount is available on the line again."""
    step = collection.resolve_dispute(disputed(), user_won=True, goodwill=goodwill, now_us=NOW_US)
    given = (
        [(A.GOODWILL, A.RECEIVABLE_DISPUTED, 400)]
        if goodwill
        else [
            (A.OPERATOR_PAYABLE, A.RECEIVABLE_DISPUTED, 388),
            (A.FEE_INCOME, A.RECEIVABLE_DISPUTED, 12),
        ]
    )
    assert moved(step) == [*given, (A.AVAILABLE, A.DRAWN, 400)]
    it = step.authorization
    assert (it.disputed_minor, it.lowered_minor, it.due_minor) == (0, 400, 600)
    assert it.conceded_minor == (0 if goodwill else 400)
    assert it.fee_minor == (30 if goodwill else 18)
    assert step.transition == "collection.dispute_won"


def charged_back(amount_minor: int = 400) -> Authorization:
    """SETTLED for 1,000 and paid, with the given amount charged back."""
    return charge_backs.charge_back(paid(), amount_minor, NOW_US).authorization


def resolve_charge_back(it: Authorization, *, user_won: bool, goodwill: bool, now_us: int) -> Step:
    """Decides all that is charged back."""
    return charge_backs.resolve(it, charge_backs.Decision(user_won, goodwill), now_us)[0]


def test_a_charge_back() -> None:
    """A charge-back posts receivable_charged_back / cash and counts as disputed."""
    step = charge_backs.charge_back(paid(), 400, NOW_US)
    assert moved(step) == [(A.RECEIVABLE_CHARGED_BACK, A.CASH, 400)]
    it = step.authorization
    assert (it.charged_back_minor, it.chargeable_back_minor) == (400, 600)
    assert it.collection is Collection.DISPUTED


def test_an_overturned_charge_back() -> None:
    """An overturned charge-back posts the reverse: cash / receivable_charged_back."""
    step = resolve_charge_back(charged_back(), user_won=False, goodwill=False, now_us=NOW_US)
    assert moved(step) == [(A.CASH, A.RECEIVABLE_CHARGED_BACK, 400)]
    assert step.authorization.collection is Collection.PAID


@pytest.mark.parametrize("goodwill", [False, True])
def test_a_charge_back_won_is_a_refund(goodwill: bool) -> None:
    """When the person wins a charge-back, the amount is conceded as in a won dispute, but the line
    does not change."""
    step = resolve_charge_back(charged_back(), user_won=True, goodwill=goodwill, now_us=NOW_US)
    assert moved(step) == (
        [(A.GOODWILL, A.RECEIVABLE_CHARGED_BACK, 400)]
        if goodwill
        else [
            (A.OPERATOR_PAYABLE, A.RECEIVABLE_CHARGED_BACK, 388),
            (A.FEE_INCOME, A.RECEIVABLE_CHARGED_BACK, 12),
        ]
    )
    it = step.authorization
    assert (it.charged_back_minor, it.refunded_minor, it.refund_payable_minor) == (0, 400, 0)
    assert (it.collection, it.refundable_minor) == (Collection.REFUNDED, 600)


@pytest.mark.parametrize(
    ("decide", "reason"),
    [
        (collection.resolve_dispute, "NOTHING_DISPUTED"),
        (resolve_charge_back, "NOTHING_CHARGED_BACK"),
    ],
)
@pytest.mark.parametrize("user_won", [False, True])
def test_only_an_open_dispute_is_decided(
    decide: Callable[..., object], reason: str, user_won: bool
) -> None:
    """A decision without an open dispute is refused."""
    with pytest.raises(IllegalState) as refused:
        decide(paid(), user_won=user_won, goodwill=False, now_us=NOW_US)
    assert (refused.value.reason, refused.value.metadata) == (reason, {"state": "SETTLED"})


# -- provisions and write-offs ---------------------------------------------------------------


def test_a_provision_is_raised_and_lowered() -> None:
    """Raising a provision posts credit_loss / allowance, lowering it the reverse; the same amount
    again posts nothing."""
    up = collection.provision(settled(), 300, NOW_US)
    assert moved(up) == [(A.CREDIT_LOSS, A.ALLOWANCE, 300)]
    down = collection.provision(up.authorization, 100, NOW_US)
    assert moved(down) == [(A.ALLOWANCE, A.CREDIT_LOSS, 200)]
    assert moved(collection.provision(down.authorization, 100, NOW_US)) == []
    assert down.authorization.provisioned_minor == 100


def test_two_people_write_off() -> None:
    """A write-off posts allowance / receivable and limit_control / drawn, after a provision for the
    part without one."""
    provided = collection.provision(settled(), 300, NOW_US).authorization
    proposed = collection.propose_write_off(provided, "key-1", NOW_US)
    assert (proposed.postings, proposed.authorization.write_off_by) == ((), "key-1")
    assert proposed.authorization.write_off_minor == 1_000
    step = collection.write_off(proposed.authorization, "key-2", NOW_US)
    assert moved(step) == [
        (A.CREDIT_LOSS, A.ALLOWANCE, 700),
        (A.ALLOWANCE, A.RECEIVABLE, 1_000),
        (A.LIMIT_CONTROL, A.DRAWN, 1_000),
    ]
    it = step.authorization
    assert (it.written_off_minor, it.provisioned_minor, it.due_minor) == (1_000, 1_000, 0)
    assert (it.write_off_by, it.collection, it.wake_us) == ("", Collection.WRITTEN_OFF, None)


def written_off() -> Authorization:
    """SETTLED for 1,000 on credit and written off."""
    proposed = collection.propose_write_off(settled(), "key-1", NOW_US).authorization
    return collection.write_off(proposed, "key-2", NOW_US).authorization


def test_one_person_cannot_write_off() -> None:
    """A write-off needs a proposal, approval by another key, and something due."""
    proposed = collection.propose_write_off(settled(), "key-1", NOW_US).authorization
    since_paid = paid(1_000, proposed)
    for it, by, reason in (
        (settled(), "key-2", "NOT_PROPOSED"),
        (proposed, "key-1", "SECOND_PERSON_NEEDED"),
        (since_paid, "key-2", "NOT_PROPOSED"),
    ):
        with pytest.raises(IllegalState) as refused:
            collection.write_off(it, by, NOW_US)
        assert refused.value.reason == reason
    with pytest.raises(IllegalState) as refused:
        collection.propose_write_off(paid(), "key-1", NOW_US)
    assert refused.value.reason == "NOTHING_DUE"


def test_an_amount_due_after_the_proposal_stays_due() -> None:
    """A write-off takes the proposed amount; what a lost dispute made due since stays due."""
    proposed = collection.propose_write_off(disputed(), "key-1", NOW_US).authorization
    lost = collection.resolve_dispute(proposed, user_won=False, goodwill=False, now_us=NOW_US)
    it = collection.write_off(lost.authorization, "key-2", NOW_US).authorization
    assert (it.written_off_minor, it.due_minor) == (600, 400)


def test_a_written_off_amount_may_be_recovered() -> None:
    """A payment after the write-off posts cash / recovery; an overpayment is owed back."""
    step = collection.pay(written_off(), 1_010, NOW_US)
    assert moved(step) == [(A.CASH, A.RECOVERY, 1_000), (A.CASH, A.REFUND_PAYABLE, 10)]
    it = step.authorization
    assert (it.recovered_minor, it.unrecovered_minor) == (1_000, 0)
    assert it.collection is Collection.WRITTEN_OFF


@pytest.mark.parametrize(
    ("it", "least_minor", "most_minor"),
    [(settled(), 0, 1_000), (disputed(), 0, 1_000), (paid(400), 0, 600),
     (written_off(), 1_000, 1_000)],
    ids=["due", "disputed", "partly paid", "written off"],
)  # fmt: skip
def test_a_provision_covers_possible_losses(
    it: Authorization, least_minor: int, most_minor: int
) -> None:
    """A provision is at least the amount written off, and at most the amounts written off, due and
    disputed together."""
    for amount_minor in (least_minor, most_minor):
        assert collection.provision(it, amount_minor, NOW_US).postings
    for amount_minor in (least_minor - 1, most_minor + 1):
        with pytest.raises(InvalidInput) as refused:
            collection.provision(it, amount_minor, NOW_US)
        assert refused.value.violations[0].rule == "amount.range"


# -- bounds ----------------------------------------------------------------------------------


def in_hand() -> Authorization:
    """SETTLED and paid with 600 too much; 100 of it was paid back, and 1,000 was charged back."""
    it = collection.pay_out(paid(1_600), 100, NOW_US).authorization
    it = charge_backs.charge_back(it, 1_000, NOW_US).authorization
    assert it.refund_payable_minor == it.in_hand_minor == 500
    return it


BOUNDED: list[tuple[str, Callable[..., object], Authorization, int]] = [
    ("paid elsewhere", collection.pay_elsewhere, paid(400), 1_000),
    ("lowered", collection.lower, paid(400), 600),
    ("disputed", collection.open_dispute, disputed(), 600),
    ("refunded", collection.refund, paid(600), 600),
    ("charged back", charge_backs.charge_back, charged_back(), 600),
    ("paid out", collection.pay_out, paid(1_600), 600),
    ("paid out while charged back", collection.pay_out, in_hand(), 500),
    ("charged back although paid out", charge_backs.charge_back, in_hand(), 600),
]


@pytest.mark.parametrize(
    ("act", "it", "most_minor"), [row[1:] for row in BOUNDED], ids=[row[0] for row in BOUNDED]
)
def test_amounts_are_bounded(
    act: Callable[..., object], it: Authorization, most_minor: int
) -> None:
    """An amount is more than zero. Depending on the command, it is at most the due amount, the paid
    amount or the amount owed back."""
    act(it, 1, NOW_US)
    act(it, most_minor, NOW_US)
    for amount_minor in (0, most_minor + 1):
        with pytest.raises(InvalidInput) as refused:
            act(it, amount_minor, NOW_US)
        assert refused.value.violations[0].field == "amount.amount_minor"
