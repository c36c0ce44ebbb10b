"""Authorize, and what is decided by the same rules: reviews, confirmations and increments."""

from __future__ import annotations

from collections.abc import Sequence

from service.domain import authorization as life
from service.domain import holding
from service.domain.authorization import Act, Authorization, Custody, Start, State
from service.domain.catalog import Policy, Product
from service.domain.errors import (
    Exhausted,
    IllegalState,
    InvalidInput,
    InvariantBroken,
    NotFound,
    ProductMisconfigured,
)
from service.domain.ledger import Line, Standing
from service.domain.policy import (
    MAX_REASONS,
    Choice,
    Offer,
    Part,
    Reason,
    Split,
    Wanted,
    choose,
    choose_again,
    decline,
)
from service.engine.changes import Changes, Draft
from service.engine.commands import (
    Authorize,
    Confirm,
    Group,
    Increment,
    Item,
    ResolveReview,
    Work,
)
from service.engine.context import (
    UNKNOWN_PERSON,
    UNSCORED_BAND,
    Assessment,
    Context,
    Decided,
)
from service.engine.drafting import (
    apply,
    brought_up,
    claim,
    finish,
    is_free,
    line_for,
    opened,
    payment_of,
    product_of,
    require_free,
    require_new_payment,
)
from service.engine.records import TOMBSTONE, Decision, PaymentKind, UserRecord

# Read once: on Python 3.11 a member read from its class costs ten times a name of the module.
_ZERO, _WATCHED, _SUSPENDED = Offer.ZERO, Standing.WATCHED, Standing.SUSPENDED
_DECLINED, _REVIEW, _OFFERED = State.DECLINED, State.REVIEW, State.OFFERED
_IN_STATION, _ON_PICKUP, _UNDER_REVIEW = Custody.IN_STATION, Start.ON_PICKUP, Reason.UNDER_REVIEW


def authorize(work: Work, command: Authorize, changes: Changes, context: Context) -> Decided:
    """Scores, decides, and holds what needs no cash; several items all or none."""
    user_id, now_us = command.user_id, context.now_us
    products = _products(work.caller, command.items, context)
    if command.parent_id or command.amount is not None:
        _require_charge(work.caller, command, products, changes)
    else:
        _require_free(work.caller, command.items, changes)
    known = context.assessed.asking.get(user_id)
    assessment = _as_policies_allow(known or UNKNOWN_PERSON, products, now_us)
    line, is_new = line_for(user_id, products[0].currency, changes, context)
    choice = _choice(work, command, products, assessment, line, changes)
    draft = Draft()
    if is_new:
        draft.lines = [line]
    if known is None and changes.user(user_id) is None:
        draft.user = UserRecord(user_id, False, 0, 0, now_us)
    band = assessment.scored.band if assessment.scored else UNSCORED_BAND
    state, expire_us = _beginning(products, choice, now_us)
    group_id = context.ids.new(now_us) if len(products) > 1 else ""
    # All items are decided on the balances before any of them is held.
    decisions = draft.decisions
    cash_minor = 0
    for product, split in zip(products, choice.splits, strict=True):
        decisions.append(_decision(work, product, line, assessment, choice, context))
        cash_minor += split.cash_minor
    # An offer that asks for no cash has nothing to wait for.
    at_once = state is _OFFERED and cash_minor == 0
    results = []
    for place, item in enumerate(command.items):
        product, split = products[place], choice.splits[place]
        pickup_us, rental_us = _windows(command, product.policy)
        # By their places, which costs half as much as by their names.
        asked = Authorization(
            user_id,
            context.ids.new(now_us),
            work.caller,
            work.request_id,
            product.product_id,
            product.revision,
            command.parent_id,
            group_id,
            product.currency,
            command.start,
            command.accept_offers,
            band,
            decisions[place].decision_id,
            decisions[place].model_id,
            product.policy.revision,
            context.catalog.operators[work.caller].fee_bp,
            now_us,
            pickup_us,
            rental_us,
            item.asset_id,
            choice.offer,
            state,
            _IN_STATION,
            choice.reasons,
            split.credit_minor,
            split.cash_minor,
            expire_us,
        )
        if at_once:
            step = holding.grant(asked, product, now_us)
            claim(draft, step.authorization)
        else:
            step = holding.ask(asked, now_us)
        results.append(apply(draft, step, line, changes, context))
    answer = Group(tuple(results)) if command.grouped else results[0]
    return Decided(draft, answer, user_id, results[0].authorization_id)


def _require_free(operator_id: str, items: tuple[Item, ...], changes: Changes) -> None:
    if len(items) > 1:
        assets = [item.asset_id for item in items if item.asset_id]
        if len(set(assets)) < len(assets):
            raise InvalidInput.of("items", "items.unique_assets", "one item is named twice")
    for item in items:
        require_free(changes, operator_id, item.asset_id)


def _products(operator_id: str, items: tuple[Item, ...], context: Context) -> list[Product]:
    known, operators = context.catalog.products, context.catalog.operators
    products = []
    for item in items:
        key = (operator_id, item.product_id)
        product = known.get(key)
        if key in context.catalog.refused or (product and operator_id not in operators):
            raise ProductMisconfigured(item.product_id)
        if product is None:
            raise NotFound("product", item.product_id)
        products.append(product)
    if len(products) > 1 and len({product.currency for product in products}) > 1:
        raise InvalidInput.of("items", "items.currency", "must be priced in one currency")
    return products


def _require_charge(
    operator_id: str, command: Authorize, products: list[Product], changes: Changes
) -> None:
    """A damage charge cites a rental of the same person and operator that is over, and of which
    the item was out; it asks for no more than the deposit."""
    if not command.parent_id:
        raise InvalidInput.of("amount", "amount.only_with_parent", "is for damage charges only")
    if command.start is _ON_PICKUP:
        raise InvalidInput.of("start", "start.damage", "of a damage charge nothing is picked up")
    if command.amount is not None:
        for product in products:
            amount_minor = command.amount.require(product.currency, "amount.currency_code")
            if not 0 < amount_minor <= product.deposit_minor:
                raise InvalidInput.of(
                    "amount.amount_minor",
                    "amount.exceeds_deposit",
                    f"more than zero, at most the deposit of {product.deposit_minor}",
                )
    parent = changes.authorization(command.user_id, command.parent_id)
    if parent is None or parent.operator_id != operator_id:
        raise NotFound("authorization", command.parent_id)
    if parent.state not in life.CLOSED:
        raise IllegalState("PARENT_OPEN", "the rental goes on: charge it there", parent.state)
    if parent.start_us is None:
        raise IllegalState("PARENT_NEVER_OUT", "its item was never out", parent.state)


def _as_policies_allow(assessment: Assessment, products: list[Product], now_us: int) -> Assessment:
    """The assessment as the policies let it count: not too old."""
    if assessment.scored is None or assessment.as_of_us is None:
        return assessment
    age_us = now_us - assessment.as_of_us
    for product in products:
        if age_us > product.policy.max_feature_age_us:
            return assessment.cannot(Reason.FEATURES_STALE)
    return assessment


def _choice(
    work: Work,
    command: Authorize,
    products: list[Product],
    assessment: Assessment,
    line: Line,
    changes: Changes,
) -> Choice:
    """What outranks the score first, then the policy's offer."""
    record = changes.request(work.caller, work.request_id)
    if record is not None and record.method == TOMBSTONE:
        return decline(len(products), Reason.CANCELLED_BEFORE_ARRIVAL)
    if line.standing is _SUSPENDED:
        return decline(len(products), Reason.USER_SUSPENDED)
    wanted: Sequence[Wanted] = products
    if command.amount is not None:
        wanted = [Part(command.amount.amount_minor, product.policy) for product in products]
    choice = choose(
        assessment.scored.score if assessment.scored else None,
        assessment.why,
        command.accept_offers,
        line.available_minor,
        wanted,
    )
    if line.standing is _WATCHED and choice.offer is not None:
        return choice._replace(reasons=(Reason.UNDER_REVIEW, *choice.reasons)[:MAX_REASONS])
    return choice


def _decision(
    work: Work,
    product: Product,
    line: Line,
    assessment: Assessment,
    choice: Choice,
    context: Context,
) -> Decision:
    scored, policy = assessment.scored, product.policy
    # By their places, which costs half as much as by their names.
    return Decision(
        context.ids.new(context.now_us),
        line.user_id,
        work.caller,
        work.request_id,
        context.now_us,
        context.model_id if scored else "",
        context.scale_version,
        assessment.feature_version,
        scored.margin.hex() if scored else "",
        scored.score if scored else None,
        None if scored else assessment.why[0],
        assessment.scoring_consent,
        product.product_id,
        product.revision,
        policy.policy_id,
        policy.revision,
        line.limit_minor,
        line.held_minor,
        line.drawn_minor,
        line.version,
        choice.offer,
        choice.reasons,
        context.build,
        assessment.feature,
        scored.extrapolated if scored else (),
    )


def _beginning(products: list[Product], choice: Choice, now_us: int) -> tuple[State, int | None]:
    """How the authorizations of one Authorize begin, and until when they wait: together."""
    if choice.offer is None:
        return _DECLINED, None
    if _UNDER_REVIEW in choice.reasons:
        return _REVIEW, now_us + min([product.policy.review_window_us for product in products])
    return _OFFERED, now_us + min([product.policy.offer_window_us for product in products])


def _windows(command: Authorize, policy: Policy) -> tuple[int, int]:
    """How long the item may wait to be picked up, and how long it may be out."""
    pickup_us = 0
    if command.start is _ON_PICKUP:
        pickup_us = _at_most(command.pickup_window_us, policy.pickup_window_us)
    return pickup_us, _at_most(command.rental_period_us, policy.rental_period_us)


def _at_most(asked_us: int | None, limit_us: int) -> int:
    return limit_us if asked_us is None else min(limit_us, asked_us)


def _together(
    current: Authorization,
    state: State,
    line: Line,
    draft: Draft,
    changes: Changes,
    context: Context,
) -> list[Authorization]:
    """Those of the authorization and its group that are in this state as of now."""
    members = [current]
    if current.group_id:
        members = [
            current
            if it.authorization_id == current.authorization_id
            else brought_up(it, line, draft, changes, context)
            for it in changes.group(current.user_id, current.group_id)
        ]
    return [it for it in members if it.state is state]


def confirm(caller: str, command: Confirm, changes: Changes, context: Context) -> Decided:
    """The cash was paid: everything is held, or, where that is no longer possible, owed back.

    Money that came is never refused for what happened meanwhile: it is recorded, and owed back. Of
    a group it is for what is still offered, whichever member is named.
    """
    current, line, draft = opened(caller, command, changes, context)
    require_new_payment(changes, caller, command.payment_reference)
    paid_minor = command.paid.require(current.currency, "paid.currency_code")
    if paid_minor == 0:
        raise InvalidInput.of("paid.amount_minor", "paid.positive", "must be more than zero")
    holding.require_asked(current)
    draft.payment = payment_of(
        caller, command.payment_reference, PaymentKind.DEPOSIT, current, paid_minor, context
    )
    members = _together(current, State.OFFERED, line, draft, changes, context)
    cash_minor = sum(it.cash_minor for it in members)
    late = current.state is not State.OFFERED
    if late and (not members or paid_minor < cash_minor):
        return finish(
            draft, holding.owe_back(current, paid_minor, context.now_us), line, changes, context
        )
    if paid_minor < cash_minor:
        raise InvalidInput.of(
            "paid.amount_minor", "paid.too_little", f"the offer asks for {cash_minor}"
        )
    obstacle = _obstacle(members, line, changes)
    result = current
    spare_minor = paid_minor - cash_minor if obstacle is None else paid_minor
    if late and spare_minor:
        step = holding.owe_back(current, spare_minor, context.now_us)
        result = apply(draft, step, line, changes, context)
    for it in members:
        named = it.authorization_id == current.authorization_id
        excess_minor = paid_minor - cash_minor if named else 0
        if obstacle is not None:
            owed_minor = paid_minor if named else 0
            step = holding.declined(it, obstacle, owed_minor, context.now_us)
        else:
            step = holding.confirm(
                it,
                product_of(it, context),
                it.cash_minor + excess_minor,
                context.now_us,
                excess_minor=excess_minor,
            )
            claim(draft, step.authorization)
        after = apply(draft, step, line, changes, context)
        result = after if named else result
    return Decided(draft, result, result.user_id, result.authorization_id)


def _obstacle(members: list[Authorization], line: Line, changes: Changes) -> Reason | None:
    """Why the members cannot be held as they were offered; None if they can."""
    if line.standing is Standing.SUSPENDED:
        return Reason.USER_SUSPENDED
    if sum(it.credit_minor for it in members) > line.available_minor:
        return Reason.LINE_EXHAUSTED
    return None if _all_free(members, changes) else Reason.ASSET_IN_USE


def _all_free(members: list[Authorization], changes: Changes) -> bool:
    # A damage charge may name an item that is out with somebody else by now.
    return all(it.parent_id or is_free(changes, it.operator_id, it.asset_id) for it in members)


def resolve_review(
    caller: str, command: ResolveReview, changes: Changes, context: Context
) -> Decided:
    """A person's verdict on what the engine had decided; a group is decided together."""
    current, line, draft = opened(caller, command, changes, context)
    life.require(current, Act.RESOLVE_REVIEW)
    members = _together(current, State.REVIEW, line, draft, changes, context)
    window_us = min([product_of(it, context).policy.offer_window_us for it in members])
    obstacle: Reason | None = Reason.REVIEW_DECLINED
    if command.approve:
        members, obstacle = _approved(members, line, changes, context)
    cash_minor = sum([it.cash_minor for it in members])
    result = current
    for it in members:
        if obstacle is not None:
            step = holding.declined(it, obstacle, 0, context.now_us)
        elif cash_minor:
            step = holding.offer(it, window_us, context.now_us)
        else:
            step = holding.grant(it, product_of(it, context), context.now_us)
            claim(draft, step.authorization)
        after = apply(draft, step, line, changes, context)
        result = after if it.authorization_id == current.authorization_id else result
    return Decided(draft, result, result.user_id, result.authorization_id)


def _approved(
    members: list[Authorization], line: Line, changes: Changes, context: Context
) -> tuple[list[Authorization], Reason | None]:
    """The members with the first offer that the line bears, or as they are, and why they come to
    nothing.

    A stricter offer than the present one is made as an Authorize would make it now: only if the
    caller accepts it. For an item that is in use cash may be asked: its payment finds out.
    """
    if line.standing is _SUSPENDED:
        return members, Reason.USER_SUSPENDED
    first = members[0]
    if first.offer is None:
        raise InvariantBroken("a review without an offer")
    wanted = [
        Part(it.credit_minor + it.cash_minor, product_of(it, context).policy) for it in members
    ]
    choice = choose_again(
        first.offer, first.reasons, first.accept_offers, line.available_minor, wanted
    )
    if choice.offer is None:
        return members, Reason.LINE_EXHAUSTED
    if choice.offer is not first.offer:
        members = [
            holding.stricter(it, choice.offer, split, choice.reasons)
            for it, split in zip(members, choice.splits, strict=True)
        ]
    if not any(it.cash_minor for it in members) and not _all_free(members, changes):
        return members, Reason.ASSET_IN_USE
    return members, None


def increment(work: Work, command: Increment, changes: Changes, context: Context) -> Decided:
    """Holds more, decided anew with the score as of now; a refusal changes nothing."""
    current, line, draft = opened(work.caller, command, changes, context)
    life.require(current, Act.INCREMENT)
    amount_minor = command.amount.require(current.currency, "amount.currency_code")
    if amount_minor == 0:
        raise InvalidInput.of("amount.amount_minor", "amount.positive", "must be more than zero")
    if line.standing is not Standing.NORMAL:
        raise IllegalState(
            f"USER_{line.standing}", "nothing more is authorized for the user", current.state
        )
    product = product_of(current, context)
    known = context.assessed.asking.get(command.user_id) or UNKNOWN_PERSON
    assessment = _as_policies_allow(known, [product], context.now_us)
    choice = choose(
        assessment.scored.score if assessment.scored else None,
        assessment.why,
        (),
        line.available_minor,
        [Part(amount_minor, product.policy)],
    )
    if choice.offer is None:
        raise InvariantBroken("a full deposit asks nothing of the line")
    (split,) = choice.splits
    paid_minor = _paid_for_increment(work.caller, command, current, split, choice, changes)
    if command.paid is not None:
        draft.payment = payment_of(
            work.caller,
            command.payment_reference,
            PaymentKind.DEPOSIT,
            current,
            paid_minor,
            context,
        )
    decision = _decision(work, product, line, assessment, choice, context)
    draft.decisions.append(decision)
    step = holding.increment(current, split, paid_minor - split.cash_minor, context.now_us)
    return finish(draft, step, line, changes, context)


def _paid_for_increment(
    caller: str,
    command: Increment,
    current: Authorization,
    split: Split,
    choice: Choice,
    changes: Changes,
) -> int:
    """What was paid; raises Exhausted where the line does not bear the increment alone, and
    IllegalState where the policy asks for more cash than was paid."""
    if command.paid is None:
        if split.cash_minor == 0:
            return 0
        if Reason.LINE_EXHAUSTED in choice.reasons:
            raise Exhausted("LINE_EXHAUSTED", "the credit line does not bear the increment")
        raise _deposit_required(current, split, choice)
    require_new_payment(changes, caller, command.payment_reference)
    paid_minor = command.paid.require(current.currency, "paid.currency_code")
    if paid_minor == 0:
        raise InvalidInput.of("paid.amount_minor", "paid.positive", "must be more than zero")
    if paid_minor < split.cash_minor:
        raise _deposit_required(current, split, choice)
    return paid_minor


def _deposit_required(current: Authorization, split: Split, choice: Choice) -> IllegalState:
    refusal = IllegalState(
        "DEPOSIT_REQUIRED", f"needs {split.cash_minor} in cash as well", current.state
    )
    refusal.metadata["deposit_minor"] = str(split.cash_minor)
    refusal.metadata["reasons"] = ",".join(choice.reasons)
    return refusal
