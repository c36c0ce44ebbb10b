"""Increment: hold more, after a new decision."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import acts, hold, increments
from service.domain.admission import Verdict
from service.domain.authorization import Authorization, Step
from service.domain.errors import Exhausted, FreeholdError, IllegalState, InvariantBroken
from service.domain.graded_offers import choose_graded
from service.domain.ledger import Standing
from service.domain.money import Money
from service.domain.policy import Choice, Part, Reason, Split, choose
from service.domain.rules import Rules
from service.engine.beside import tell
from service.engine.breakers import with_breakers
from service.engine.budgets import budget_left_minor, values_of, within_budget
from service.engine.calls import AuthorizationCommand, Work
from service.engine.consents import add_consent, no_damage
from service.engine.context import UNKNOWN_PERSON, Context, Decided
from service.engine.counts import bearers_of, verdict_on
from service.engine.damage import require_damage
from service.engine.exposure import free_minor, with_total
from service.engine.increment_tries import add_refused, count_try, require_try
from service.engine.operation import Asks, Operation, of_authorization
from service.engine.operations.authorize import decision_of, usable
from service.engine.posting import (
    finish,
    opened,
    payment_of,
    positive_minor,
    product_of,
)
from service.engine.records.later_decisions import LaterDecisionRecord
from service.engine.records.payments import PaymentKind
from service.engine.references import of_reference, require_new_payment
from service.engine.rows import Draft, Keys, Rows
from service.engine.second_uses import case_of_second_use
from service.engine.tables import DECISIONS, ENTRIES, LATER_DECISIONS, PAYMENTS


@dataclass(frozen=True, slots=True)
class Increment(AuthorizationCommand):
    """Hold more, after a new decision; `paid` is the cash payment for the increment, or None.

    `user_consent_reference` refers to the user's consent to a larger damage charge, if there is
    one.
    """

    amount: Money
    payment_reference: str = ""
    paid: Money | None = None
    rail_account: str = ""
    user_consent_reference: str = ""


def wanted(caller: str, it: Increment, keys: Keys) -> None:
    """Needs the authorization, the payment if there is one, and for a damage charge also its
    rental."""
    of_authorization(caller, it, keys)
    keys.raised.add((it.user_id, it.authorization_id))
    if it.payment_reference:
        of_reference(caller, it, keys)


def decide(work: Work, it: Increment, rows: Rows, context: Context) -> Decided:
    """Decides with the present score, and holds more; a refusal changes nothing.

    Only a decided call looks at the line. All refusals before that tell nothing about it.
    """
    current, line, draft = opened(work.caller, it, rows, context)
    acts.require(current, hold.INCREMENT)
    amount_minor = positive_minor(it.amount, current)
    product = product_of(current, context)
    increments.require_room(current, product, amount_minor)
    if current.parent_id:
        require_damage(
            current.user_id,
            current.parent_id,
            amount_minor,
            rows,
            context,
            consented=bool(it.user_consent_reference),
        )
    elif it.user_consent_reference:
        raise no_damage()
    if line.standing is not Standing.NORMAL:
        raise IllegalState(
            f"USER_{line.standing}",
            f"the user is {line.standing.lower()}; no increment is allowed",
            current.state,
        )
    require_try(current, product.policy, rows)
    known = context.assessed.asking.get(it.user_id) or UNKNOWN_PERSON
    assessment = usable(known, [product], context.now_us)
    score = assessment.scored.score if assessment.scored else None
    asked = [Part(amount_minor, product.policy, product.category)]
    free, read_values = free_minor(line, rows, context), None
    if product.policy.rules is None:
        choice = choose(score, assessment.why, (), free, asked)
    else:
        verdict = _verdict(current, product.policy.rules, rows, context)
        if product.policy.rules.breaker and not current.parent_id:
            verdict = with_breakers(verdict, current.operator_id, [product], context)

        def choose_within(minor: int) -> Choice:
            return choose_graded(score, assessment.why, (), minor, asked, verdict)

        left_minor = budget_left_minor(current.operator_id, [product], rows)
        choice = within_budget(choose_within, free, left_minor)
        read_values = values_of(verdict, left_minor)
    if (total := context.catalog.total) is not None:
        read_values = with_total(read_values, free, line, total, rows)
    if choice.offer is None:
        raise InvariantBroken("the full offer was declined, although it needs no credit")
    (split,) = choice.splits
    counted = None
    if it.paid is not None:
        counted = require_new_payment(work.caller, it, current.currency, rows, context)
    paid_minor = 0 if it.paid is None else positive_minor(it.paid, current, "paid")
    if paid_minor < split.cash_minor:
        refusal = _too_little(it, current, split, choice)
        count_try(refusal, current, product.policy, rows)
        raise refusal
    if counted is not None:
        draft[PAYMENTS].append(
            payment_of(counted, PaymentKind.DEPOSIT, current, paid_minor, context)
        )
    decision = decision_of(work, product, line, assessment, choice, context, read_values)
    draft[DECISIONS].append(decision)
    step = hold.increment(current, split, paid_minor - split.cash_minor, context.now_us)
    decided = finish(draft, step, line, rows, context)
    if it.user_consent_reference:
        add_consent(draft, step.authorization, it.user_consent_reference, context)
    _add_decision(draft, step, decision.decision_id, context)
    return decided


def _verdict(current: Authorization, rules: Rules, rows: Rows, context: Context) -> Verdict | None:
    """The verdict on an increment: the terms of new people count, for the whole hold on credit."""
    named = bearers_of(current.user_id, None)
    found = verdict_on([rules], current.operator_id, named, rows, context, grants=False)
    if found is None or found.caps[0] is None:
        return found
    left_minor = max(0, found.caps[0].most_minor - current.credit_minor)
    return found._replace(caps=(found.caps[0]._replace(most_minor=left_minor),))


def _add_decision(draft: Draft, step: Step, decision_id: str, context: Context) -> None:
    """Adds the row that leads from the step's entries, the last of the draft, to the step's
    decision."""
    it, first = step.authorization, draft[ENTRIES][-1].transaction_sequence
    row = LaterDecisionRecord(
        it.user_id,
        it.authorization_id,
        it.version,
        decision_id,
        it.currency,
        first,
        step.transition,
        step.event_us,
        context.now_us,
        b"",
    )
    row = row._replace(digest=row.expected_digest)
    draft[LATER_DECISIONS].append(row)
    tell(draft, row, context)


def _too_little(
    command: Increment, current: Authorization, split: Split, choice: Choice
) -> Exhausted | IllegalState:
    """The refusal of an increment without enough cash.

    Without any payment it is Exhausted if the line alone cannot cover the increment.
    """
    if command.paid is None and Reason.LINE_EXHAUSTED in choice.reasons:
        return Exhausted("LINE_EXHAUSTED", "the credit line is too small for the increment")
    return _deposit_required(current, split, choice)


def _deposit_required(current: Authorization, split: Split, choice: Choice) -> IllegalState:
    refusal = IllegalState(
        increments.DEPOSIT_REQUIRED,
        f"a cash deposit of {split.cash_minor} is required",
        current.state,
    )
    refusal.metadata["deposit_minor"] = str(split.cash_minor)
    refusal.metadata["reasons"] = ",".join(choice.reasons)
    return refusal


def _leave(
    work: Work, it: Increment, refusal: FreeholdError, rows: Rows, context: Context
) -> Draft:
    """The rows that a refusal leaves: the case of a second use, or the refused try."""
    draft = case_of_second_use(work, it, refusal, rows, context)
    add_refused(draft, work, it, refusal, rows, context)
    return draft


INCREMENT = Operation(
    Increment,
    wanted,
    decide,
    asks=Asks(),
    scored=True,
    kept=frozenset({Reason.LINE_EXHAUSTED}),
    leaves=_leave,
)
