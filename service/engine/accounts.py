"""People, their lines, what operators are paid, and the seals over the lines."""

from __future__ import annotations

from service.domain.credit import limit_for
from service.domain.errors import IllegalState, InvalidInput, NotFound
from service.domain.ledger import Account, Line, Posting, post, set_limit
from service.domain.transitions import Transition
from service.engine.assess import schema_id_of
from service.engine.changes import Changes, Draft
from service.engine.commands import (
    Folded,
    FoldPayable,
    OpenBulk,
    Paid,
    PayOutOperator,
    PutUser,
    Recorded,
    RecordOperatorPayment,
    RecordSeal,
    SetLimit,
    SetStanding,
)
from service.engine.context import Assessment, Context, Decided
from service.engine.drafting import line_for, require_new_payment
from service.engine.profile import profile_of
from service.engine.records import (
    PLATFORM,
    UNSCORED,
    ClockGap,
    Event,
    FeatureSnapshot,
    KeptScore,
    PaymentKind,
    PaymentRecord,
    UserRecord,
    operator_account,
)


def open_bulk(command: OpenBulk) -> Decided:
    """The request id of a bulk call; raises InvalidInput when anybody's input is wrong."""
    if command.violations:
        raise InvalidInput(list(command.violations))
    return Decided(Draft(), Recorded(), "", "")


def put_user(command: PutUser, changes: Changes, context: Context) -> Decided:
    """Registers a person or takes newer features; the limit follows the score unless it is fixed.

    Features as of an instant that is still to come are taken as of now. Raises InvalidInput for
    wrong input, and IllegalState for features older than those on record, which must not replace
    them.
    """
    now_us = context.now_us
    if command.violations:
        raise InvalidInput(list(command.violations))
    old_user = changes.user(command.user_id)
    if old_user is not None and command.as_of_us < old_user.as_of_us:
        raise IllegalState("FEATURES_OUTDATED", "newer features are on record", "")
    as_of_us = min(command.as_of_us, now_us)
    if old_user is not None:
        # Another process whose clock is ahead may have taken the older ones.
        as_of_us = max(as_of_us, old_user.as_of_us)
    line, _ = line_for(command.user_id, context.currency, changes, context)
    version = (old_user.feature_version if old_user else 0) + 1
    assessment = context.assessed.put[command]
    kept = _kept_score(assessment, version, context)
    draft = Draft(lines=[line])
    schema_id = context.schema_id if command.names is None else schema_id_of(command.names)
    draft.snapshot = FeatureSnapshot(
        command.user_id, version, schema_id, command.raw, as_of_us, now_us
    )
    if command.as_of_us > now_us:
        draft.clock_gap = ClockGap(PLATFORM, "PutUsers", command.as_of_us - now_us, now_us)
    if not line.limit_fixed:
        limit_minor = limit_for(kept.score, context.catalog.limit_steps.get(context.currency, ()))
        _bring_limit(draft, line, limit_minor, context)
        kept = kept._replace(limit_minor=limit_minor)
    draft.user = UserRecord(
        command.user_id,
        command.scoring_consent,
        version,
        as_of_us,
        old_user.create_us if old_user else now_us,
        kept,
    )
    _announce(draft, Transition.FEATURES_RECORDED, command.user_id, context)
    return Decided(draft, profile_of(draft.user, line), command.user_id, "")


def _kept_score(assessment: Assessment, version: int, context: Context) -> KeptScore:
    """What the model says of features of this version, before a limit follows from it."""
    scored = assessment.scored
    if scored is None:
        return UNSCORED._replace(
            feature_version=version,
            unscorable_reason=assessment.why[0],
            unscorable_feature=assessment.feature,
            limit_minor=None,
        )
    return KeptScore(
        version,
        scored.score,
        scored.band,
        context.model_id,
        context.scale_version,
        "",
        "",
        scored.extrapolated,
        None,
    )


def _bring_limit(draft: Draft, line: Line, limit_minor: int, context: Context) -> None:
    draft.entries += post(
        line,
        set_limit(line, limit_minor),
        Transition.LIMIT_SET,
        operator_id=PLATFORM,
        authorization_id="",
        event_us=context.now_us,
        now_us=context.now_us,
    )


def _announce(draft: Draft, transition: Transition, user_id: str, context: Context) -> None:
    draft.events.append(Event(transition, user_id, "", 0, context.now_us, context.now_us))


def set_limit_by_hand(command: SetLimit, changes: Changes, context: Context) -> Decided:
    """Fixes a limit; without one, the next features set it again from the score.

    Until then the limit rests on no score.
    """
    user = changes.user(command.user_id)
    if user is None and not changes.lines_of(command.user_id):
        raise NotFound("user", command.user_id)
    currency = command.limit.currency if command.limit is not None else context.currency
    if currency not in context.catalog.limit_steps:
        raise InvalidInput.of("limit.currency_code", "currency.unknown", "no lines are kept in it")
    line, _ = line_for(command.user_id, currency, changes, context)
    by_hand = line.limit_fixed or command.limit is not None
    line.limit_fixed = command.limit is not None
    draft = Draft(lines=[line])
    if user is not None and by_hand and currency == context.currency:
        draft.user = user._replace(kept=user.kept._replace(limit_minor=None))
    if command.limit is not None:
        _bring_limit(draft, line, command.limit.amount_minor, context)
    _announce(draft, Transition.LIMIT_SET, command.user_id, context)
    return Decided(draft, line, command.user_id, "")


def set_standing(command: SetStanding, changes: Changes, context: Context) -> Decided:
    """Suspends or watches a person, or ends that, on every line; what is open goes on."""
    if changes.user(command.user_id) is None and not changes.lines_of(command.user_id):
        raise NotFound("user", command.user_id)
    first, _ = line_for(command.user_id, context.currency, changes, context)
    others = [
        line.copy()
        for line in changes.lines_of(command.user_id)
        if line.currency != context.currency
    ]
    lines = [first, *others]
    for line in lines:
        line.standing = command.standing
    draft = Draft(lines=lines)
    _announce(draft, Transition.STANDING_SET, command.user_id, context)
    return Decided(draft, first, command.user_id, "")


def pay_out_operator(
    caller: str, command: PayOutOperator, changes: Changes, context: Context
) -> Decided:
    """The treasury paid an operator, at most what it is owed: operator_payable / cash."""
    return _operator_moved(
        caller,
        command,
        Posting(Account.OPERATOR_PAYABLE, Account.CASH, command.amount.amount_minor),
        Transition.OPERATOR_PAID,
        PaymentKind.OPERATOR_PAYOUT,
        changes,
        context,
    )


def record_operator_payment(
    caller: str, command: RecordOperatorPayment, changes: Changes, context: Context
) -> Decided:
    """An operator paid, as it does when it owes after refunds: cash / operator_payable.

    The money is here whatever happened meanwhile: what it did not owe, it is owed.
    """
    return _operator_moved(
        caller,
        command,
        Posting(Account.CASH, Account.OPERATOR_PAYABLE, command.amount.amount_minor),
        Transition.OPERATOR_PAID_BACK,
        PaymentKind.OPERATOR_PAYMENT,
        changes,
        context,
    )


def _operator_moved(
    caller: str,
    command: PayOutOperator | RecordOperatorPayment,
    posting: Posting,
    transition: Transition,
    kind: PaymentKind,
    changes: Changes,
    context: Context,
) -> Decided:
    """Money between Freehold and an operator, which a reference names once."""
    if command.operator_id not in context.catalog.operators:
        raise NotFound("operator", command.operator_id)
    require_new_payment(changes, caller, command.payment_reference)
    amount_minor, currency = command.amount.amount_minor, command.amount.currency
    if currency not in context.catalog.limit_steps:
        raise InvalidInput.of("amount.currency_code", "currency.unknown", "no lines are kept in it")
    owed_minor = changes.payable_minor(command.operator_id, currency)
    if amount_minor == 0:
        raise InvalidInput.of("amount.amount_minor", "amount.positive", "must be more than zero")
    outward = posting.credit is Account.CASH
    if outward and amount_minor > owed_minor:
        raise IllegalState("PAYABLE_EXCEEDED", f"the operator is owed {owed_minor}", "")
    account = operator_account(command.operator_id)
    line, _ = line_for(account, currency, changes, context)
    entries = post(
        line,
        (posting,),
        transition,
        operator_id=command.operator_id,
        authorization_id="",
        event_us=context.now_us,
        now_us=context.now_us,
    )
    draft = Draft(lines=[line], entries=entries)
    draft.payment = PaymentRecord(
        caller,
        command.payment_reference,
        kind,
        account,
        "",
        amount_minor,
        currency,
        context.now_us,
    )
    _announce(draft, transition, account, context)
    left_minor = owed_minor - amount_minor if outward else owed_minor + amount_minor
    paid = Paid(command.operator_id, currency, amount_minor, left_minor)
    return Decided(draft, paid, account, "")


def fold_payable(command: FoldPayable, changes: Changes) -> Decided:
    """A portion of an operator's balance, taken with the batch, comes back as one row."""
    taken = changes.base_payable[command.operator_id, command.currency]
    return Decided(Draft(), Folded(taken.more), "", "")


def record_seal(command: RecordSeal, changes: Changes) -> Decided:
    """Keeps a seal. Raises IllegalState when another process has sealed meanwhile."""
    if command.seal.number != changes.last_seal_number() + 1:
        raise IllegalState("SEALED_MEANWHILE", "another seal has this number", "")
    return Decided(Draft(seal=command.seal), Recorded(), "", "")
