"""One command against the rows of its batch: every branch of every call, without any I/O.

Each function takes what was read (`Changes`), the circumstances (`Context`) and a command,
and returns what is to be written (`Draft`) with the answer; or raises an error of the domain,
and then nothing of the command is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, assert_never

from service.domain import authorization as life
from service.domain.authorization import Authorization, Custody, Start, State, Step
from service.domain.catalog import Product
from service.domain.credit import limit_for
from service.domain.errors import (
    IllegalState,
    InvalidInput,
    InvariantBroken,
    NotFound,
    PaymentReferenceReused,
)
from service.domain.ledger import Line, post, set_limit
from service.domain.policy import Choice, Offer, Reason, Split, choose
from service.engine.changes import Changes, Draft
from service.engine.commands import (
    Answer,
    Authorize,
    Confirm,
    Expire,
    OpenBulk,
    Profile,
    PutUser,
    Recorded,
    RecordPayment,
    Reverse,
    ReverseByOrigin,
    Settle,
    StartRental,
    Tombstone,
    Work,
)
from service.engine.records import (
    AUTHORIZE,
    PLATFORM,
    TOMBSTONE,
    Catalog,
    Decision,
    Event,
    FeatureSnapshot,
    OpenItem,
    PaymentRecord,
    RequestRecord,
    Scored,
    UserRecord,
)
from service.ids import Ids

UNSCORED_BAND = ""


class Assessment(NamedTuple):
    """What is known of a person who was registered, and what the model said of the features.

    `scored` None: cannot be scored, and `why` says the reason. Otherwise `why` are the model's
    reasons for a score that does not reach the mildest offer.
    """

    scoring_consent: bool
    feature_version: int
    as_of_us: int | None
    scored: Scored | None
    why: tuple[str, ...]

    def cannot(self, reason: str) -> Assessment:
        """The same person, not to be scored for this reason."""
        return self._replace(scored=None, why=(reason,))


UNKNOWN_PERSON = Assessment(False, 0, None, None, (Reason.NO_FEATURES,))


class Assessed(NamedTuple):
    """Assessments: of those who ask, by user id, as stored; of those who are put, as sent."""

    asking: Mapping[str, Assessment]
    put: Mapping[PutUser, Assessment]


@dataclass(frozen=True, slots=True)
class Context:
    """The circumstances of a batch: one instant, the terms, and what the model said before
    the transaction began."""

    now_us: int
    ids: Ids
    catalog: Catalog
    currency: str
    model_id: str
    scale_version: str
    schema_id: str
    build: str
    assessed: Assessed


class Decided(NamedTuple):
    """What a command writes and what its caller is told."""

    draft: Draft
    answer: Answer
    user_id: str
    authorization_id: str


def decide(work: Work, changes: Changes, context: Context) -> Decided:
    """Decides one command; raises a FreeholdError when it is refused."""
    command = work.command
    match command:
        case Authorize():
            return _authorize(work, command, changes, context)
        case Confirm():
            return _confirm(work.caller, command, changes, context)
        case StartRental():
            return _start_rental(work.caller, command, changes, context)
        case Settle():
            return _settle(work.caller, command, changes, context)
        case Reverse():
            return _reverse(work.caller, command, changes, context)
        case ReverseByOrigin():
            return _reverse_by_origin(work.caller, command, changes, context)
        case OpenBulk():
            return Decided(Draft(), Recorded(), "", "")
        case PutUser():
            return _put_user(command, changes, context)
        case RecordPayment():
            return _record_payment(work.caller, command, changes, context)
        case Expire():
            return _expire(command, changes, context)
        case _:
            assert_never(command)


def _authorize(work: Work, command: Authorize, changes: Changes, context: Context) -> Decided:
    product = context.catalog.products.get((work.caller, command.product_id))
    if product is None:
        raise NotFound("product", command.product_id)
    if command.asset_id:
        _require_free(changes, work.caller, command.asset_id)
    record = changes.request(work.caller, work.request_id)
    cancelled = record is not None and record.method == TOMBSTONE
    known = context.assessed.asking.get(command.user_id)
    assessment = _as_policy_allows(known or UNKNOWN_PERSON, product, context.now_us)
    old_line = changes.line(command.user_id, product.currency)
    line = old_line.copy() if old_line else Line(command.user_id, product.currency)
    if cancelled:
        choice = Choice(None, Split(0, 0), (Reason.CANCELLED_BEFORE_ARRIVAL,))
    else:
        choice = choose(
            assessment.scored.score if assessment.scored else None,
            assessment.why,
            command.accept_offers,
            line.available_minor,
            product.deposit_minor,
            product.policy,
        )
    draft = Draft()
    if old_line is None:
        draft.line = line
    if known is None and changes.user(command.user_id) is None:
        draft.user = UserRecord(command.user_id, False, 0, context.now_us)
    decision = _decision(work, product, line, assessment, choice, context)
    draft.decision = decision
    asked = _asked(work, command, product, choice, assessment, decision.decision_id, context)
    if choice.offer is Offer.ZERO:
        step = life.grant(asked, context.now_us)
        _apply(draft, step, line, changes, context)
        _claim(draft, step.authorization)
        result = step.authorization
    else:
        draft.authorizations.append(asked)
        _announce(draft, asked, f"authorization.{asked.state.lower()}", context.now_us, context)
        result = asked
    return Decided(draft, result, command.user_id, result.authorization_id)


def _as_policy_allows(assessment: Assessment, product: Product, now_us: int) -> Assessment:
    """The assessment as the policy lets it count: not too old."""
    if assessment.scored is None:
        return assessment
    as_of_us = assessment.as_of_us
    if as_of_us is not None and now_us - as_of_us > product.policy.max_feature_age_us:
        return assessment.cannot(Reason.FEATURES_STALE)
    return assessment


def _decision(
    work: Work,
    product: Product,
    line: Line,
    assessment: Assessment,
    choice: Choice,
    context: Context,
) -> Decision:
    scored = assessment.scored
    return Decision(
        user_id=line.user_id,
        decision_id=context.ids.new(context.now_us),
        operator_id=work.caller,
        request_id=work.request_id,
        decide_us=context.now_us,
        model_id=context.model_id if scored else "",
        scale_version=context.scale_version,
        feature_version=assessment.feature_version,
        margin_hex=scored.margin.hex() if scored else "",
        score=scored.score if scored else None,
        unscorable_reason=None if scored else assessment.why[0],
        scoring_consent=assessment.scoring_consent,
        product_id=product.product_id,
        product_revision=product.revision,
        policy_id=product.policy.policy_id,
        policy_revision=product.policy.revision,
        line_limit_minor=line.limit_minor,
        line_held_minor=line.held_minor,
        line_drawn_minor=line.drawn_minor,
        line_version=line.version,
        offer=choice.offer,
        reasons=choice.reasons,
        build=context.build,
    )


def _asked(
    work: Work,
    command: Authorize,
    product: Product,
    choice: Choice,
    assessment: Assessment,
    decision_id: str,
    context: Context,
) -> Authorization:
    """The authorization before anything is held: OFFERED or DECLINED."""
    policy = product.policy
    declined = choice.offer is None
    pickup_us = policy.pickup_window_us
    if command.pickup_window_us is not None:
        pickup_us = min(pickup_us, command.pickup_window_us)
    return Authorization(
        user_id=command.user_id,
        authorization_id=context.ids.new(context.now_us),
        operator_id=work.caller,
        request_id=work.request_id,
        product_id=product.product_id,
        asset_id=command.asset_id,
        currency=product.currency,
        state=State.DECLINED if declined else State.OFFERED,
        custody=Custody.IN_STATION,
        start=command.start,
        offer=choice.offer,
        reasons=choice.reasons,
        band=assessment.scored.band if assessment.scored else UNSCORED_BAND,
        decision_id=decision_id,
        model_id=context.model_id if assessment.scored else "",
        policy_revision=policy.revision,
        fee_bp=context.catalog.operators[work.caller].fee_bp,
        credit_minor=choice.split.credit_minor,
        cash_minor=choice.split.cash_minor,
        create_us=context.now_us,
        expire_us=None if declined else context.now_us + policy.offer_window_us,
        close_us=context.now_us if declined else None,
        pickup_window_us=pickup_us if command.start is Start.ON_PICKUP else 0,
    )


def _confirm(caller: str, command: Confirm, changes: Changes, context: Context) -> Decided:
    current, line, draft = _open(caller, command, changes, context)
    life.check_version(current, command.expected_version)
    _require_new_payment(changes, caller, command.payment_reference)
    paid_minor = command.paid.require(current.currency, "paid.currency_code")
    if paid_minor == 0:
        raise InvalidInput.of("paid.amount_minor", "paid.positive", "must be more than zero")
    step = life.confirm(current, paid_minor, line.available_minor, context.now_us)
    if current.state is State.OFFERED:
        if current.asset_id:
            _require_free(changes, caller, current.asset_id)
        _claim(draft, step.authorization)
    draft.payment = PaymentRecord(
        caller,
        command.payment_reference,
        current.user_id,
        current.authorization_id,
        paid_minor,
        current.currency,
        context.now_us,
    )
    return _finish(draft, step, line, changes, context)


def _start_rental(caller: str, command: StartRental, changes: Changes, context: Context) -> Decided:
    current, line, draft = _open(caller, command, changes, context)
    life.check_version(current, command.expected_version)
    step = life.start_rental(current, command.asset_id, context.now_us)
    if step.authorization.asset_id != current.asset_id:
        _require_free(changes, caller, command.asset_id)
        _claim(draft, step.authorization)
    return _finish(draft, step, line, changes, context)


def _settle(caller: str, command: Settle, changes: Changes, context: Context) -> Decided:
    current, line, draft = _open(caller, command, changes, context)
    life.check_version(current, command.expected_version)
    amount_minor = command.amount.require(current.currency, "amount.currency_code")
    step = life.settle(current, amount_minor, command.final, context.now_us)
    return _finish(draft, step, line, changes, context)


def _reverse(caller: str, command: Reverse, changes: Changes, context: Context) -> Decided:
    current, line, draft = _open(caller, command, changes, context)
    life.check_version(current, command.expected_version)
    step = life.reverse(current, context.now_us)
    return _finish(draft, step, line, changes, context)


def _reverse_by_origin(
    caller: str, command: ReverseByOrigin, changes: Changes, context: Context
) -> Decided:
    origin = changes.request(caller, command.authorize_request_id)
    if origin is None:
        draft = Draft(
            tombstone=RequestRecord(
                caller,
                command.authorize_request_id,
                TOMBSTONE,
                b"",
                b"",
                command.user_id,
                "",
                context.now_us,
            )
        )
        return Decided(draft, Tombstone(), command.user_id, "")
    if origin.user_id != command.user_id or origin.method not in (AUTHORIZE, TOMBSTONE):
        raise NotFound("authorization", command.authorize_request_id)
    if origin.method == TOMBSTONE:
        return Decided(Draft(), Tombstone(), command.user_id, "")
    named = Reverse(command.user_id, origin.authorization_id, command.expected_version)
    return _reverse(caller, named, changes, context)


def _record_payment(
    caller: str, command: RecordPayment, changes: Changes, context: Context
) -> Decided:
    current, line, draft = _open(caller, command, changes, context)
    _require_new_payment(changes, caller, command.payment_reference)
    amount_minor = command.amount.require(current.currency, "amount.currency_code")
    if amount_minor == 0:
        raise InvalidInput.of("amount.amount_minor", "amount.positive", "must be more than zero")
    step = life.pay(current, amount_minor)
    draft.payment = PaymentRecord(
        caller,
        command.payment_reference,
        current.user_id,
        current.authorization_id,
        amount_minor,
        current.currency,
        context.now_us,
    )
    return _finish(draft, step, line, changes, context)


def _put_user(command: PutUser, changes: Changes, context: Context) -> Decided:
    now_us = context.now_us
    if command.as_of_us > now_us:
        raise InvalidInput.of("as_of", "as_of.future", "must not lie in the future")
    old_user = changes.user(command.user_id)
    old_line = changes.line(command.user_id, context.currency)
    line = old_line.copy() if old_line else Line(command.user_id, context.currency)
    version = (old_user.feature_version if old_user else 0) + 1
    assessment = context.assessed.put[command]
    score = assessment.scored.score if assessment.scored else None
    user = UserRecord(
        command.user_id,
        command.scoring_consent,
        version,
        old_user.create_us if old_user else now_us,
    )
    draft = Draft(line=line, user=user)
    draft.snapshot = FeatureSnapshot(
        command.user_id, version, context.schema_id, command.raw, command.as_of_us, now_us
    )
    limit_minor = limit_for(score, context.catalog.limit_steps.get(context.currency, ()))
    draft.entries = post(
        line,
        set_limit(line, limit_minor),
        operator_id=PLATFORM,
        authorization_id="",
        event_us=now_us,
        ledger_us=now_us,
    )
    draft.events.append(Event("user.features_recorded", command.user_id, "", 0, now_us, now_us))
    profile = Profile(
        line=line,
        score=score,
        band=assessment.scored.band if assessment.scored else UNSCORED_BAND,
        unscorable_reason="" if assessment.scored else assessment.why[0],
        feature_version=version,
        as_of_us=command.as_of_us,
        model_id=context.model_id if assessment.scored else "",
    )
    return Decided(draft, profile, command.user_id, "")


def _expire(command: Expire, changes: Changes, context: Context) -> Decided:
    current = changes.authorization(command.user_id, command.authorization_id)
    if current is None:
        raise NotFound("authorization", command.authorization_id)
    if not life.has_lapsed(current, context.now_us):
        raise IllegalState("NOT_LAPSED", "confirmed or closed in between", current.state)
    line = _line_of(current, changes).copy()
    return _finish(Draft(), life.expire(current), line, changes, context)


# -- what the commands share -----------------------------------------------------------------


def _open(
    caller: str,
    command: Confirm | StartRental | Settle | Reverse | RecordPayment,
    changes: Changes,
    context: Context,
) -> tuple[Authorization, Line, Draft]:
    """The authorization as it stands at this instant, a line to post to, and a draft.

    What has lapsed is expired first, so that nothing posts after its end even when the sweeper
    has not been there yet. Another operator's authorization is not found; the platform's keys
    reach all.
    """
    current = changes.authorization(command.user_id, command.authorization_id)
    if current is None or caller not in (current.operator_id, PLATFORM):
        raise NotFound("authorization", command.authorization_id)
    line = _line_of(current, changes).copy()
    draft = Draft()
    if life.has_lapsed(current, context.now_us):
        step = life.expire(current)
        _apply(draft, step, line, changes, context)
        current = step.authorization
    return current, line, draft


def _line_of(authorization: Authorization, changes: Changes) -> Line:
    line = changes.line(authorization.user_id, authorization.currency)
    if line is None:
        raise InvariantBroken("an authorization without a line")
    return line


def _finish(draft: Draft, step: Step, line: Line, changes: Changes, context: Context) -> Decided:
    _apply(draft, step, line, changes, context)
    result = step.authorization
    return Decided(draft, result, result.user_id, result.authorization_id)


def _apply(draft: Draft, step: Step, line: Line, changes: Changes, context: Context) -> None:
    """Adds a step to the draft: its authorization, its entries, its event, its item."""
    result = step.authorization
    event_us = context.now_us
    if result.state is State.EXPIRED and result.close_us is not None:
        event_us = result.close_us
    draft.authorizations.append(result)
    draft.entries += post(
        line,
        step.postings,
        operator_id=result.operator_id,
        authorization_id=result.authorization_id,
        event_us=event_us,
        ledger_us=context.now_us,
    )
    draft.line = line
    _announce(draft, result, step.event, event_us, context)
    if result.asset_id and result.close_us is not None:
        item = changes.item(result.operator_id, result.asset_id)
        if item is not None and item.authorization_id == result.authorization_id:
            draft.unclaim = (result.operator_id, result.asset_id)


def _announce(
    draft: Draft, authorization: Authorization, event: str, event_us: int, context: Context
) -> None:
    draft.events.append(
        Event(
            event,
            authorization.user_id,
            authorization.authorization_id,
            authorization.version,
            event_us,
            context.now_us,
        )
    )


def _claim(draft: Draft, authorization: Authorization) -> None:
    if authorization.asset_id:
        draft.claim = OpenItem(
            authorization.operator_id,
            authorization.asset_id,
            authorization.user_id,
            authorization.authorization_id,
        )


def _require_free(changes: Changes, operator_id: str, asset_id: str) -> None:
    if changes.item(operator_id, asset_id) is not None:
        raise IllegalState("ASSET_IN_USE", "the item is in another open rental", "IN_USE")


def _require_new_payment(changes: Changes, caller: str, reference: str) -> None:
    if changes.payment(caller, reference) is not None:
        raise PaymentReferenceReused(reference)
