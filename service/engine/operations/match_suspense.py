"""MatchSuspense: money in suspense is matched to an authorization, or goes back to the rail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from service.domain import arrivals, charge_backs, suspense
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, State, Step
from service.domain.errors import InvalidInput, NotFound
from service.domain.ledger import Line
from service.domain.money import Money
from service.domain.suspense import RAIL_ACCOUNT, Direction, SuspenseItem, match_reference
from service.domain.transitions import Transition
from service.engine import deposits, unmatched_cases
from service.engine.calls import AuthorizationCommand, Matched, Work
from service.engine.charge_backs import (
    left_of,
    payments_taken_back,
    require_here,
    require_new_case,
)
from service.engine.context import Context, Decided
from service.engine.groups import members_in
from service.engine.operation import Asks, Operation
from service.engine.operations.record_unmatched import post_for_rail
from service.engine.posting import apply, minor_of, opened, payment_of
from service.engine.records.payments import PaymentKind
from service.engine.rows import Draft, Keys, Rows
from service.engine.tables import CHARGE_BACKS, PAYMENTS, SUSPENSE, Pair


@dataclass(frozen=True, slots=True)
class MatchSuspense:
    """Match an amount of an item in suspense; `by` names the key used.

    `payment_reference` is the reference of the item. Without a user and an authorization the amount
    goes back to the rail. If a bank took back a payment of the authorization, `payment` is its
    reference; for money that came in, `payment` is empty. `owner` is the id of the operator that
    owns the item's rail account; it is empty for the caller's own accounts.
    """

    payment_reference: str
    amount: Money
    by: str
    user_id: str = ""
    authorization_id: str = ""
    payment: str = ""
    owner: str = ""


def _key(caller: str, it: MatchSuspense) -> Pair:
    """The key of the item. Only the platform may name another owner than itself."""
    return (it.owner if it.owner and caller == PLATFORM else caller), it.payment_reference


def wanted(caller: str, it: MatchSuspense, keys: Keys) -> None:
    """Needs the item, and either the authorization or the rail's own line."""
    keys.suspense.add(_key(caller, it))
    if not it.authorization_id:
        keys.users.add(RAIL_ACCOUNT)
        return
    keys.users.add(it.user_id)
    keys.authorizations.add((it.user_id, it.authorization_id))
    keys.charge_backs.add(it.user_id)
    # A deposit may pay for a group, or may have been recorded at another authorization of it.
    keys.together.add((it.user_id, it.authorization_id))
    if it.payment:
        keys.carried.add((it.user_id, it.authorization_id))
        keys.taken_back.add((it.user_id, it.authorization_id, it.payment))


def decide(work: Work, it: MatchSuspense, rows: Rows, context: Context) -> Decided:
    """Matches the amount. Two keys are needed if money that came in is to pay a person's debt."""
    item = rows[SUSPENSE].get(_key(work.caller, it))
    if item is None:
        raise NotFound("suspense", it.payment_reference)
    if not it.authorization_id:
        return _to_rail(work, item, it, rows, context)
    if (item.direction is Direction.OUT) != bool(it.payment):
        text = "must be set" if item.direction is Direction.OUT else "must be absent"
        raise InvalidInput.of(
            "payment", "payment.direction", f"{text}: the item's money went {item.direction}"
        )
    match item.direction:
        case Direction.IN:
            return _to_debt(work, item, it, rows, context)
        case Direction.OUT:
            return _to_payment(work, item, it, rows, context)


def _to_rail(
    work: Work, item: SuspenseItem, it: MatchSuspense, rows: Rows, context: Context
) -> Decided:
    """The money goes back where it came from."""
    amount_minor = it.amount.require(item.currency, "amount.currency_code")
    suspense.require_open(item, amount_minor)
    came_in = item.direction is Direction.IN
    after = suspense.matched(item, amount_minor, returned_minor=amount_minor)
    draft = Draft(list)
    draft[SUSPENSE].append(after)
    unmatched_cases.end(draft, after, work.caller, rows, context.now_us)
    post_for_rail(
        draft,
        item.caller,
        match_reference(after.matches, item.payment_reference),
        PaymentKind.RETURNED if came_in else PaymentKind.REGAINED,
        Transition.SUSPENSE_RETURNED if came_in else Transition.SUSPENSE_REGAINED,
        suspense.returned(item.direction, amount_minor),
        item.currency,
        rows,
        context,
    )
    return Decided(draft, Matched(after), RAIL_ACCOUNT, "")


class _Target(NamedTuple):
    """The authorization to which an amount of an item is matched, as of now."""

    current: Authorization
    line: Line
    draft: Draft
    amount_minor: int


def _target(
    work: Work, item: SuspenseItem, it: MatchSuspense, rows: Rows, context: Context
) -> _Target:
    """The target of a match; raises InvalidInput for an amount that the item does not have open."""
    named = AuthorizationCommand(it.user_id, it.authorization_id)
    current, line, draft = opened(work.caller, named, rows, context)
    amount_minor = minor_of(it.amount, current)
    it.amount.require(item.currency, "amount.currency_code")
    suspense.require_open(item, amount_minor)
    return _Target(current, line, draft, amount_minor)


def _to_debt(
    work: Work, item: SuspenseItem, it: MatchSuspense, rows: Rows, context: Context
) -> Decided:
    """Money that came in becomes the deposit of an offer, pays a debt, or is owed back.

    The first key only proposes the match. The state at the moment of the second key's approval
    decides.
    """
    to = _target(work, item, it, rows, context)
    members, step = [], None
    if to.current.state is State.OFFERED:
        members = members_in(to.current, State.OFFERED, to.line, to.draft, rows, context)
        deposits.require_enough(members, to.amount_minor, "amount")
    else:
        step = arrivals.receive(to.current, to.amount_minor, context.now_us)
    target = (it.user_id, it.authorization_id)
    proposed = suspense.propose(item, it.by, target, to.amount_minor)
    if proposed is not None:
        to.draft[SUSPENSE].append(proposed)
        return Decided(to.draft, Matched(proposed), RAIL_ACCOUNT, "")
    after = suspense.matched(item, to.amount_minor)
    reference = match_reference(after.matches, item.payment_reference)
    if step is not None:
        paid = step.transition is Transition.PAYMENT_RECORDED
        kind = PaymentKind.PAYMENT if paid else PaymentKind.DEPOSIT
        step = suspense.out_of_suspense(step)
        return _matched(work, to, after, kind, reference, step, rows, context)
    _record(work, to, after, PaymentKind.DEPOSIT, reference, rows, context)
    result = deposits.take(
        members,
        to.current,
        to.amount_minor,
        deposits.obstacle_of(members, to.line, rows, context),
        to.line,
        to.draft,
        rows,
        context,
        suspense.out_of_suspense,
    )
    return Decided(to.draft, Matched(after, result), result.user_id, result.authorization_id)


def _to_payment(
    work: Work, item: SuspenseItem, it: MatchSuspense, rows: Rows, context: Context
) -> Decided:
    """Money that a bank took back was a payment of the authorization: it is a charge-back."""
    to = _target(work, item, it, rows, context)
    payments = payments_taken_back(to.current, it.payment, rows)
    if not payments:
        raise NotFound("payment", it.payment)
    require_here(to.current, payments, it.payment, to.amount_minor, rows)
    left_minor = left_of(to.current, payments, it.payment, rows)
    most_minor = min(left_minor, to.current.chargeable_back_minor)
    if to.amount_minor > most_minor:
        raise InvalidInput.of(
            "amount.amount_minor",
            "amount.range",
            f"must be at most {most_minor}, the amount of the payment that is not charged back",
        )
    after = suspense.matched(item, to.amount_minor)
    reference = match_reference(after.matches, item.payment_reference)
    # Two owners may have items with one reference.
    require_new_case(to.current, reference, rows)
    step = charge_backs.charge_back(to.current, to.amount_minor, context.now_us, most_minor)
    to.draft[CHARGE_BACKS].append(
        charge_backs.opened(
            to.current, item.caller, reference, it.payment, to.amount_minor, 0, context.now_us
        )
    )
    step = suspense.out_of_suspense(step)
    return _matched(work, to, after, PaymentKind.CASE, reference, step, rows, context)


def _matched(
    work: Work,
    to: _Target,
    after: SuspenseItem,
    kind: PaymentKind,
    reference: str,
    step: Step,
    rows: Rows,
    context: Context,
) -> Decided:
    """The item after the match, its payment, and the step of the authorization."""
    _record(work, to, after, kind, reference, rows, context)
    result = apply(to.draft, step, to.line, rows, context)
    return Decided(to.draft, Matched(after, result), result.user_id, result.authorization_id)


def _record(
    work: Work,
    to: _Target,
    after: SuspenseItem,
    kind: PaymentKind,
    reference: str,
    rows: Rows,
    context: Context,
) -> None:
    """Adds the item after the match, its payment, and the end of its case to the draft."""
    to.draft[SUSPENSE].append(after)
    unmatched_cases.end(to.draft, after, work.caller, rows, context.now_us)
    to.draft[PAYMENTS].append(
        payment_of((after.caller, reference), kind, to.current, to.amount_minor, context)
    )


MATCH_SUSPENSE = Operation(MatchSuspense, wanted, decide, asks=Asks())
