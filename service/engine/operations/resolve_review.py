"""ResolveReview: an employee decides on an authorization in REVIEW."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import acts, hold
from service.domain.authorization import Authorization, State
from service.domain.errors import InvariantBroken
from service.domain.graded_offers import choose_graded_again
from service.domain.ledger import Line, Standing
from service.domain.policy import Choice, Part, Reason, Split, choose_again
from service.domain.reviews import ReviewReason, Verdict, require_reason
from service.domain.rules import Outcome
from service.engine.budgets import budget_left_minor, within_budget
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.counts import verdict_on_members
from service.engine.exposure import free_minor
from service.engine.groups import members_in, product_of_member, taken_among
from service.engine.operation import Asks, Operation, of_group
from service.engine.posting import apply, claim, opened
from service.engine.rows import Rows
from service.engine.verdicts import add_verdict


@dataclass(frozen=True, slots=True)
class ResolveReview(AuthorizationCommand):
    """Approve or decline a review; a verdict on a member of a group is for the whole group.

    `by` names the hand that decides, and `text` is its own words for the reason.
    """

    approve: bool
    by: str
    reason: ReviewReason = ReviewReason.NOT_GIVEN
    text: str = ""


def decide(work: Work, it: ResolveReview, rows: Rows, context: Context) -> Decided:
    """Applies the verdict to the review, or to all reviews of its group."""
    current, line, draft = opened(work.caller, it, rows, context)
    acts.require(current, hold.RESOLVE_REVIEW)
    require_reason(it.reason, it.text)
    verdict = Verdict.APPROVED if it.approve else Verdict.DECLINED
    members = members_in(current, State.REVIEW, line, draft, rows, context)
    window_us = min([product_of_member(it, context).policy.offer_window_us for it in members])
    obstacle: Reason | None = Reason.REVIEW_DECLINED
    if it.approve:
        members, obstacle = _approved(members, line, rows, context)
    cash_minor = sum([it.cash_minor for it in members])
    result = current
    for member in members:
        if obstacle is not None:
            step = hold.declined(member, obstacle, 0, context.now_us)
        elif cash_minor:
            step = hold.offer(member, window_us, context.now_us)
        else:
            step = hold.grant(member, product_of_member(member, context), context.now_us)
            claim(draft, step.authorization)
        after = apply(draft, step, line, rows, context)
        add_verdict(draft, step, after, (verdict, it.reason, it.text, it.by), context)
        result = after if member.authorization_id == current.authorization_id else result
    return Decided(draft, result, result.user_id, result.authorization_id)


def _approved(
    members: list[Authorization], line: Line, rows: Rows, context: Context
) -> tuple[list[Authorization], Reason | None]:
    """The members with the first offer that the line covers, and the obstacle, if any.

    A stricter offer than the present one is made only if the caller accepts it, as in Authorize.
    Cash may be asked for an item that is in use now: Confirm checks the item again.
    """
    if line.standing is Standing.SUSPENDED:
        return members, Reason.USER_SUSPENDED
    first = members[0]
    if first.offer is None:
        raise InvariantBroken("the review has no offer")
    wanted, products = [], [product_of_member(it, context) for it in members]
    for it, product in zip(members, products, strict=True):
        wanted.append(Part(it.credit_minor + it.cash_minor, product.policy, product.category))
    if all(it.policy.rules is None for it in wanted):
        choice = choose_again(
            first.offer, first.reasons, first.accept_offers, free_minor(line, rows, context), wanted
        )
    else:
        verdict = verdict_on_members(members, rows, context)
        if verdict is not None and verdict.least is Outcome.DECLINE:
            return members, Reason(verdict.reasons[0])

        def choose_within(minor: int) -> Choice:
            return choose_graded_again(members, first.accept_offers, minor, wanted, verdict)

        left_minor = budget_left_minor(first.operator_id, products, rows)
        choice = within_budget(choose_within, free_minor(line, rows, context), left_minor)
    if choice.offer is None:
        return members, Reason(choice.reasons[0]) if choice.reasons else Reason.LINE_EXHAUSTED
    splits = [Split(it.credit_minor, it.cash_minor) for it in members]
    if choice.offer is not first.offer or list(choice.splits) != splits:
        members = [
            hold.stricter(it, choice.offer, split, choice.reasons)
            for it, split in zip(members, choice.splits, strict=True)
        ]
    return members, None if any(it.cash_minor for it in members) else taken_among(members, rows)


RESOLVE_REVIEW = Operation(ResolveReview, of_group, decide, asks=Asks(offers_anew=True))
