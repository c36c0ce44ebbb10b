"""Authorize: score, decide and hold; several items form one group."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from service.domain import authorization as life
from service.domain import hold
from service.domain.admission import NOTHING_SKIPPED
from service.domain.authorization import Authorization, Custody, Start, State
from service.domain.details import NO_ORDER, Order, price_hash, require_price
from service.domain.errors import (
    IllegalState,
    InvalidInput,
    NotFound,
    OperatorOwes,
)
from service.domain.graded_offers import choose_graded
from service.domain.increments import require_charge_try
from service.domain.ledger import Line, Standing
from service.domain.money import Money
from service.domain.policy import (
    MAX_REASONS,
    Choice,
    Offer,
    Policy,
    Reason,
    Wanted,
    choose,
    decline,
)
from service.domain.product import Product
from service.domain.quotes import rough_minor
from service.engine.budgets import budget_left_minor, values_of, within_budget
from service.engine.calls import Answer, Cut, CutTime, Group, Priced, Work
from service.engine.conditions import verdict_of
from service.engine.consents import add_consent, no_damage
from service.engine.context import UNKNOWN_PERSON, UNSCORED_BAND, Assessment, Context, Decided
from service.engine.damage import require_damage
from service.engine.details import add_order
from service.engine.exposure import free_minor, with_total
from service.engine.listings import Asked, listed_in
from service.engine.operation import Asks, Operation, Pair
from service.engine.order_fees import amounts_of, order_fees_of, with_fee
from service.engine.ordered_products import products_of
from service.engine.people import open_line
from service.engine.posting import apply, claim, line_for, require_free
from service.engine.records.authorizations import Decision
from service.engine.records.compatibility import ORDER_FEES_BUILD
from service.engine.records.requests import TOMBSTONE
from service.engine.records.users import UserRecord
from service.engine.rows import Draft, Keys, Rows
from service.engine.tables import AUTHORIZATIONS, DECISIONS, DETAILS, REQUESTS, USERS


class Item(NamedTuple):
    """One requested item; an empty `asset_id` means that the item is not known yet.

    `price_hash` is that of the price that the user was shown, or empty. `order_fee` is the fee that
    the order knows (`domain/order_fees.py`), or None.
    """

    product_id: str
    asset_id: str
    price_hash: str = ""
    order_fee: Money | None = None


class Authorize(NamedTuple):
    """Score, decide, hold.

    Several items form one group: all are held or none. If `pickup_window_us` or `rental_period_us`
    is None, the policy's limit applies. `parent_id` is the authorization id of the rental that a
    damage charge cites, or empty. `amount` is the amount of a damage charge; None means the
    product's deposit.
    """

    user_id: str
    items: tuple[Item, ...]
    start: Start
    accept_offers: tuple[Offer, ...]
    pickup_window_us: int | None = None
    rental_period_us: int | None = None
    parent_id: str = ""
    amount: Money | None = None
    grouped: bool = False
    """True if the answer is a group, even of one item."""
    order: Order | None = None
    """The details of the order, if it has any."""
    user_consent_reference: str = ""
    """A reference to the user's consent to a damage charge; empty if there is none."""
    identity_hash: str = ""
    """A hash of the identity that the operator checked; empty if it checked none."""

    @property
    def reserves(self) -> bool:
        """True if the item is picked up later."""
        return self.start is _ON_PICKUP


def wanted(caller: str, it: Authorize, keys: Keys) -> None:
    """Needs the user's line, the items, and the rental that a damage charge cites."""
    keys.users.add(it.user_id)
    for item in it.items:
        if item.asset_id:
            keys.items.add((caller, item.asset_id))
        if item.order_fee is not None:
            keys.builds.add(ORDER_FEES_BUILD)
    if it.identity_hash:
        keys.registered.add(it.user_id)
    if it.parent_id:
        keys.authorizations.add((it.user_id, it.parent_id))
        keys.damaged.add((it.user_id, it.parent_id))


def items_of(caller: str, it: Authorize) -> list[Pair]:
    """The requested items whose asset ids are known."""
    return [(caller, item.asset_id) for item in it.items if item.asset_id]


# Read once (see `domain.authorization._SETTLED`).
_ZERO, _WATCHED, _SUSPENDED = Offer.ZERO, Standing.WATCHED, Standing.SUSPENDED
_DECLINED, _REVIEW, _OFFERED = State.DECLINED, State.REVIEW, State.OFFERED
_IN_STATION, _ON_PICKUP, _UNDER_REVIEW = Custody.IN_STATION, Start.ON_PICKUP, Reason.UNDER_REVIEW


def decide(work: Work, command: Authorize, rows: Rows, context: Context) -> Decided:
    """Scores the person, decides, and holds offers without cash. Of several items it holds all or
    none."""
    user_id, now_us = command.user_id, context.now_us
    products = products_of(work.caller, command, context.catalog)
    if context.debts and not command.parent_id:
        _require_solvent(work.caller, products[0].currency, context)
    knows_fee = False
    for product, item in zip(products, command.items, strict=True):
        if item.price_hash:
            require_price(product, item.price_hash)
        if item.order_fee is not None:
            knows_fee = True
    fees = order_fees_of(command, products) if knows_fee else None
    known = context.assessed.asking.get(user_id)
    assessment = usable(known or UNKNOWN_PERSON, products, now_us)
    if command.parent_id or command.amount is not None or command.user_consent_reference:
        _require_charge(work.caller, command, products, rows, context)
    else:
        _require_free(work.caller, command.items, rows)
    line, is_new = line_for(user_id, products[0].currency, rows, context)
    draft = Draft(list)
    if is_new:
        open_line(draft, line, known, rows, context)
    asked: Sequence[Wanted] = products
    if fees is not None or command.amount is not None:
        asked = amounts_of(products, fees, command.amount)
    choice, read_values = _choice(work, command, products, asked, assessment, line, rows, context)
    if known is None and rows[USERS].get(user_id) is None:
        draft[USERS] = [UserRecord(user_id, False, 0, 0, now_us)]
    band = assessment.scored.band if assessment.scored else UNSCORED_BAND
    state, expire_us = _beginning(products, choice, now_us)
    windows = [_windows(command, product.policy) for product in products]
    group_id = context.ids.new(now_us) if len(products) > 1 else ""
    # All items are decided on the balances before the first hold.
    decisions = draft[DECISIONS]
    cash_minor = 0
    for product, split in zip(products, choice.splits, strict=True):
        decision = decision_of(work, product, line, assessment, choice, context, read_values)
        decisions.append(decision)
        cash_minor += split.cash_minor
    # An offer without cash waits for nothing.
    at_once = state is _OFFERED and cash_minor == 0
    results, order = [], command.order
    for place, item in enumerate(command.items):
        product, split = products[place], choice.splits[place]
        pickup_us, rental_us = windows[place]
        # Positional arguments cost half as much as keywords.
        new = Authorization(
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
            refund_after_us=product.policy.refund_after_us,
        )
        if fees is not None:
            new = with_fee(new, fees[place], draft, rows)
        if at_once:
            step = hold.grant(new, product, now_us)
            claim(draft, step.authorization)
        else:
            step = hold.ask(new, now_us)
        results.append(apply(draft, step, line, rows, context))
        if order is not None or item.price_hash:
            add_order(draft, results[-1], order or NO_ORDER, item.price_hash, context)
        if command.user_consent_reference:
            add_consent(draft, results[-1], command.user_consent_reference, context)
        if rows.counts is not None:
            rows.counts.add(results[-1], order)
    whole: Authorization | Group = Group(tuple(results)) if command.grouped else results[0]
    answer: Answer = whole
    if choice.offer is not None and (command.rental_period_us or command.pickup_window_us):
        answer = _with_cuts(whole, command, products, windows)
    if DETAILS in draft and not command.grouped:
        answer = Priced(answer, price_hash(products[0]))
    return Decided(draft, answer, user_id, results[0].authorization_id)


def _with_cuts(
    answer: Authorization | Group,
    command: Authorize,
    products: list[Product],
    windows: list[tuple[int, int]],
) -> Answer:
    """The answer, which also names the requested times above the limits of the policies."""
    cuts: dict[CutTime, None] = {}
    for product, (pickup_us, rental_us) in zip(products, windows, strict=True):
        if command.start is _ON_PICKUP and (command.pickup_window_us or 0) > pickup_us:
            cuts[CutTime("pickup_window", product.product_id, pickup_us)] = None
        if (command.rental_period_us or 0) > rental_us:
            cuts[CutTime("rental_period", product.product_id, rental_us)] = None
    return Cut(answer, tuple(cuts)) if cuts else answer


def _require_solvent(operator_id: str, currency: str, context: Context) -> None:
    """Raises OperatorOwes if the operator owes more than its bound.

    A damage charge is allowed, because it brings in money and no item goes out.
    """
    debt = context.debts.get((operator_id, currency))
    if debt is not None:
        raise OperatorOwes(currency, debt.owed_minor, debt.limit_minor)


def _require_free(operator_id: str, items: tuple[Item, ...], rows: Rows) -> None:
    if len(items) > 1:
        assets = [item.asset_id for item in items]
        for place, asset_id in enumerate(assets):
            if asset_id and asset_id in assets[:place]:
                raise InvalidInput.of(
                    f"items[{place}].asset_id", "items.unique_assets", "must be named once"
                )
    for item in items:
        require_free(rows, operator_id, item.asset_id)


def _require_charge(
    operator_id: str,
    command: Authorize,
    products: list[Product],
    rows: Rows,
    context: Context,
) -> None:
    """Raises an error unless a damage charge cites a closed rental whose item was out.

    The rental must be of the same person, operator and product. All charges for damage to it
    together ask for at most the deposit, and their number has a bound.
    """
    if not command.parent_id:
        if command.amount is None:
            raise no_damage()
        raise InvalidInput.of("amount", "amount.only_with_parent", "is allowed only with parent")
    if command.start is _ON_PICKUP:
        raise InvalidInput.of("start", "start.damage", "must be IMMEDIATE for a damage charge")
    if command.amount is not None:
        for product in products:
            amount_minor = command.amount.require(product.currency, "amount.currency_code")
            if not 0 < amount_minor <= product.deposit_minor:
                raise InvalidInput.of(
                    "amount.amount_minor",
                    "amount.exceeds_deposit",
                    f"must be more than zero and at most the deposit, {product.deposit_minor}",
                )
    parent = rows[AUTHORIZATIONS].get((command.user_id, command.parent_id))
    if parent is None or parent.operator_id != operator_id:
        raise NotFound("authorization", command.parent_id)
    if parent.state not in life.CLOSED:
        raise IllegalState(
            "PARENT_OPEN",
            "the parent rental is still open: charge the damage in its settlement",
            parent.state,
        )
    if parent.start_us is None:
        raise IllegalState(
            "PARENT_NEVER_OUT", "the item of the parent rental was never handed out", parent.state
        )
    if any(product.product_id != parent.product_id for product in products):
        raise InvalidInput.of(
            "product_id",
            "product_id.parent",
            f"must be {parent.product_id}, the product of the parent rental",
        )
    asked = command.amount
    all_minor = sum(it.deposit_minor if asked is None else asked.amount_minor for it in products)
    consented = bool(command.user_consent_reference)
    require_damage(
        command.user_id, command.parent_id, all_minor, rows, context, consented=consented
    )
    charges = rows.damage_charges(command.user_id, command.parent_id)
    require_charge_try(parent, products[0].policy, charges, len(products))


def usable(assessment: Assessment, products: list[Product], now_us: int) -> Assessment:
    """The assessment, without its score if the features are too old for a policy."""
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
    asked: Sequence[Wanted],
    assessment: Assessment,
    line: Line,
    rows: Rows,
    context: Context,
) -> tuple[Choice, str | None]:
    """The offer by the policy for the amounts `asked`, and the values that its rules read.

    A cancelled request, and a suspended or listed user, is declined first.
    """
    record = rows[REQUESTS].get((work.caller, work.request_id))
    if record is not None and record.method == TOMBSTONE:
        return decline(len(products), Reason.CANCELLED_BEFORE_ARRIVAL), None
    if line.standing is _SUSPENDED:
        return decline(len(products), Reason.USER_SUSPENDED), None
    skipped = NOTHING_SKIPPED
    if context.catalog.listed and not command.parent_id:
        named = Asked(work.caller, command.user_id, command.order)
        policies = [product.policy.policy_id for product in products]
        found = listed_in(named, policies, context.catalog.listed, rows, context.now_us)
        if found.denied_by:
            return decline(len(products), Reason.LISTED_DENY), None
        skipped = found.skipped
    if command.identity_hash and _is_another(command, rows):
        return decline(len(products), Reason.IDENTITY_MISMATCH), None
    score = assessment.scored.score if assessment.scored else None
    offers, read_values = command.accept_offers, None
    available_minor = free_minor(line, rows, context)
    if context.quotes:
        available_minor = rough_minor(available_minor)
    if not _have_rules(products):
        choice = choose(score, assessment.why, offers, available_minor, asked)
    else:
        verdict = None
        if not command.parent_id:
            verdict = verdict_of(work.caller, command, products, assessment, skipped, rows, context)
        if rows.budgets is None:
            choice = choose_graded(score, assessment.why, offers, available_minor, asked, verdict)
            read_values = None if verdict is None else verdict.read_values
        else:
            choose_within = partial(
                choose_graded, score, assessment.why, offers, wanted=asked, verdict=verdict
            )
            left_minor = budget_left_minor(work.caller, products, rows)
            choice = within_budget(choose_within, available_minor, left_minor)
            read_values = values_of(verdict, left_minor)
    if (total := context.catalog.total) is not None:
        read_values = with_total(read_values, available_minor, line, total, rows)
    if line.standing is _WATCHED and choice.offer is not None:
        reasons = tuple(dict.fromkeys((_UNDER_REVIEW, *choice.reasons)))
        return choice._replace(reasons=reasons[:MAX_REASONS]), read_values
    return choice, read_values


def _have_rules(products: list[Product]) -> bool:
    # One item is by far the usual case, and pays one look-up.
    if len(products) == 1:
        return products[0].policy.rules is not None
    return any(product.policy.rules is not None for product in products)


def _is_another(command: Authorize, rows: Rows) -> bool:
    """True if another identity is on record for the person than the operator checked."""
    user = rows[USERS].get(command.user_id)
    return user is not None and user.identity_hash not in ("", command.identity_hash)


def decision_of(
    work: Work,
    product: Product,
    line: Line,
    assessment: Assessment,
    choice: Choice,
    context: Context,
    read_values: str | None,
) -> Decision:
    scored, policy = assessment.scored, product.policy
    # Positional arguments cost half as much as keywords.
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
        read_values,
    )


def _beginning(products: list[Product], choice: Choice, now_us: int) -> tuple[State, int | None]:
    """The first state of one Authorize's authorizations, and the time until which they wait."""
    if choice.offer is None:
        return _DECLINED, None
    if _UNDER_REVIEW in choice.reasons:
        return _REVIEW, now_us + min([product.policy.review_window_us for product in products])
    return _OFFERED, now_us + min([product.policy.offer_window_us for product in products])


def _windows(command: Authorize, policy: Policy) -> tuple[int, int]:
    """The longest times until pickup and of the rental, in microseconds."""
    pickup_us = 0
    if command.start is _ON_PICKUP:
        pickup_us = _at_most(command.pickup_window_us, policy.pickup_window_us)
    return pickup_us, _at_most(command.rental_period_us, policy.rental_period_us)


def _at_most(asked_us: int | None, limit_us: int) -> int:
    return limit_us if asked_us is None else min(limit_us, asked_us)


AUTHORIZE = Operation(
    Authorize,
    wanted,
    decide,
    asks=Asks(items_of),
    scored=True,
    kept=frozenset({Reason.ASSET_IN_USE, Reason.ASSET_SOLD}),
)
