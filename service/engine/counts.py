"""The counted rentals of a batch, and the verdicts on its orders by the rules of policies.

The rentals of a person are counted under the lock of the person's lines. Those of a device and of a
payment account are counted under a lock of their own, which every transaction takes after all
lines. So no two transactions deadlock, and none counts without what another is about to grant.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import chain

from service.domain import admission
from service.domain.admission import NOTHING_SKIPPED, Facts, Past, Rental, Verdict
from service.domain.authorization import Authorization
from service.domain.errors import InvariantBroken
from service.domain.policy import Reason
from service.domain.rules import Of, Outcome, Over, Rules, Velocity
from service.domain.tariff import DAY_US
from service.engine.aliases import may_be_whole, whole_person
from service.engine.context import Context
from service.engine.groups import product_of_member
from service.engine.listings import Asked, Hashes, listed_in
from service.engine.ports import Bearer, Since, Transaction
from service.engine.rows import Rows
from service.engine.signals import SignalTraces
from service.engine.tables import ALIASES, AUTHORIZATIONS, DETAILS, Pair

_ALL = ""
"""In place of an operator id: all operators."""


# Read once (see `domain.authorization._SETTLED`).
_USER, _DEVICE, _ACCOUNT = Of.USER, Of.DEVICE, Of.PAYMENT_ACCOUNT


def bearers_of(user_id: str, order: Hashes | None) -> dict[Of, str]:
    """The bearers of an order, as far as it names them."""
    found = {_USER: user_id}
    if order is not None:
        if order.device_hash:
            found[_DEVICE] = order.device_hash
        if order.payment_account_hash:
            found[_ACCOUNT] = order.payment_account_hash
    return found


class Counts:
    """The rentals of the bearers whose rentals count, and the pasts of people who may be new.

    Rentals are named by user id and authorization id. A name without a stored rental is of this
    batch, or not granted yet: its present row decides whether it counts.
    """

    def __init__(self, merging: Collection[Pair] = ()) -> None:
        """`merging` are the pairs of people whom the batch may merge."""
        self.merging = merging
        self.bearers: set[Bearer] = set()
        self.recent = False
        """True if some rules count rentals that may have ended."""
        self.people: set[Pair] = set()
        self.most_settled = 0
        self.traces = SignalTraces()
        self._rentals: dict[Bearer, dict[Pair, Rental | None]] = defaultdict(dict)
        self._pasts: dict[Pair, Past] = {}

    def want(
        self, rules: Rules, operator_id: str, user_id: str, order: Hashes | None, rows: Rows
    ) -> None:
        """Adds what the rules read of an order of a person, if they count rentals."""
        bearers, recent = admission.reading(rules)
        if recent:
            self.recent = True
        for of in bearers:
            if of is not _USER:
                if order is not None and (bearer := bearers_of(user_id, order).get(of)):
                    self.bearers.add((of, bearer))
            elif not self.merging and not rows[ALIASES]:
                self.bearers.add((of, user_id))
            else:
                self.bearers.update([(of, it) for it in self._people(user_id, rows)])
        if rules.new_user is not None:
            self.want_past(rules, operator_id, user_id, rows)

    def want_past(self, rules: Rules, operator_id: str, user_id: str, rows: Rows) -> None:
        """Adds the past of a person who may be new."""
        new = rules.new_user
        if new is not None:
            over = _ALL if new.over is Over.ALL_OPERATORS else operator_id
            people = self._people(user_id, rows)
            self.people.update((it, over) for it in people)
            if new.until_us is not None:
                # The first granted rental may be an open one.
                self.bearers.update((_USER, it) for it in people)
            self.most_settled = max(self.most_settled, new.until_settled or 0)

    def _people(self, user_id: str, rows: Rows) -> Collection[str]:
        """The whole person, with those whose merge an earlier call of the batch may approve."""
        if not self.merging and not rows[ALIASES]:
            return (user_id,)
        return may_be_whole(user_id, rows, self.merging)

    def read(self, rows: Rows, transaction: Transaction, context: Context) -> None:
        """Reads all that is wanted; the lines must be locked."""
        named = self.bearers | {(of, bearer) for _, of, bearer in self.traces.bearers}
        others = [it for it in named if it[0] is not _USER]
        if others:
            transaction.lock_bearers(others)
        if self.bearers:
            since = None
            if self.recent:
                since_us = context.now_us - DAY_US
                since = Since(since_us, context.ids.least(since_us))
            for bearer, name, it in transaction.rentals(self.bearers, since):
                self._rentals[bearer][name] = it
        if self.people:
            self._pasts = transaction.pasts(self.people, self.most_settled)
        self.traces.read(rows, transaction, context)

    def add(self, it: Authorization, order: Hashes | None) -> None:
        """Adds an authorization that this batch may grant."""
        if it.parent_id:
            return
        user_id = it.user_id
        if self.traces.bearers:
            self.traces.add(it, order)
        of_user = (_USER, user_id)
        named = (of_user,) if order is None else bearers_of(user_id, order).items()
        for bearer in named:
            if bearer in self.bearers:
                self._rentals[bearer].setdefault((user_id, it.authorization_id), None)

    def verdict_by_bounds(
        self,
        bounds: tuple[Velocity, ...],
        operator_id: str,
        user_id: str,
        order: Hashes | None,
        rows: Rows,
        now_us: int,
    ) -> Verdict:
        """The verdict on an order of one item for which only bounds of rentals count."""
        if order is None and not rows[ALIASES] and (_USER, user_id) not in self._rentals:
            # Most people have no rental that counts.
            return admission.quiet(bounds)
        facts = self.facts(operator_id, bearers_of(user_id, order), rows, now_us)
        return admission.by_bounds(bounds, facts)

    def facts(self, operator_id: str, named: dict[Of, str], rows: Rows, now_us: int) -> Facts:
        """The facts of an order, with all that earlier calls of the batch changed."""
        user_id = named[_USER]
        others = self._others(user_id, rows) if rows[ALIASES] else ()
        rentals: dict[Of, Sequence[Rental]] = {}
        for bearer in named.items():
            if bearer in self.bearers:
                # Most people have no rental that counts.
                known = self._rentals.get(bearer)
                rentals[bearer[0]] = self._present(known, rows) if known else ()
        if others and _USER in rentals:
            theirs = [self._present(self._rentals.get((_USER, it), {}), rows) for it in others]
            rentals[_USER] = [*rentals[_USER], *chain.from_iterable(theirs)]
        pasts: dict[Over, Past] = {}
        if self.people:
            for over, of in ((Over.OPERATOR, operator_id), (Over.ALL_OPERATORS, _ALL)):
                if (user_id, of) in self.people:
                    pasts[over] = self._past_of([user_id, *others], of, rows, now_us)
        return Facts(operator_id, now_us, rentals, pasts)

    @staticmethod
    def _others(user_id: str, rows: Rows) -> list[str]:
        """The other ids of a person; mostly none."""
        return [it for it in whole_person(user_id, rows) if it != user_id]

    def _past_of(self, people: Sequence[str], operator_id: str, rows: Rows, now_us: int) -> Past:
        """The past of a person and of all who were merged into the person."""
        pasts = [self._past((it, operator_id), rows, now_us) for it in people]
        if len(pasts) == 1:
            return pasts[0]
        began = [it.first_us for it in pasts if it.first_us is not None]
        return Past(sum(it.settled for it in pasts), min(began, default=None))

    @staticmethod
    def _present(known: Mapping[Pair, Rental | None], rows: Rows) -> list[Rental]:
        found, changed = [], rows[AUTHORIZATIONS]
        for name, stored in known.items():
            row = changed.get(name)
            it = stored if row is None else admission.rental_of(row)
            if it is not None:
                found.append(it)
        return found

    def _past(self, of: Pair, rows: Rows, now_us: int) -> Past:
        """The past of a person, with the open rentals, and all that this batch has changed."""
        settled, first_us = self._pasts.get(of, Past())
        user_id, operator_id = of
        read = rows.read[AUTHORIZATIONS]
        for name, row in rows.changed[AUTHORIZATIONS].items():
            if name[0] != user_id or row is None or operator_id not in (_ALL, row.operator_id):
                continue
            settled += admission.is_settled(row) - admission.is_settled(read.get(name))
        rentals = self._present(self._rentals.get((_USER, user_id), {}), rows)
        began = [
            it.create_us
            for it in rentals
            if operator_id in (_ALL, it.operator_id) and not it.has_lapsed(now_us)
        ]
        if first_us is not None:
            began.append(first_us)
        return Past(settled, min(began, default=None))


def verdict_on(
    policies: Sequence[Rules | None],
    operator_id: str,
    named: dict[Of, str],
    rows: Rows,
    context: Context,
    *,
    grants: bool = True,
    skipped: Mapping[str, str] = NOTHING_SKIPPED,
) -> Verdict | None:
    """The verdict on an order of items under these rules; None if no rule reads the past.

    `skipped` has the rules that a listing skips.
    """
    if not any(map(admission.counts, policies)):
        return None
    if rows.counts is None:
        raise InvariantBroken("the rentals that a policy counts were not read")
    facts = rows.counts.facts(operator_id, named, rows, context.now_us)
    return admission.judge(policies, facts, grants=grants, skipped=skipped)


def verdict_on_members(
    members: Sequence[Authorization], rows: Rows, context: Context
) -> Verdict | None:
    """The verdict on offers or reviews that are about to be granted together.

    Rules that ask for a review do not count for members that have had one.
    """
    if rows.counts is None or not members or members[0].parent_id:
        return None
    first = members[0]
    policies = [product_of_member(it, context).policy for it in members]
    order = rows[DETAILS].get((first.user_id, first.authorization_id))
    named = bearers_of(first.user_id, order)
    skipped = NOTHING_SKIPPED
    if context.catalog.listed:
        asked = Asked(first.operator_id, first.user_id, order)
        ids = [it.policy_id for it in policies]
        skipped = listed_in(asked, ids, context.catalog.listed, rows, context.now_us).skipped
    rules = [it.rules for it in policies]
    found = verdict_on(rules, first.operator_id, named, rows, context, skipped=skipped)
    if found is not None and Reason.UNDER_REVIEW in first.reasons:
        return found._replace(review=False)
    return found


def obstacle_by_rules(members: Sequence[Authorization], rows: Rows, context: Context) -> str | None:
    """The reason why the rules do not allow offers any more that were made earlier, or None.

    An offer without credit is always allowed, unless a rule declines it or asks for a review.
    """
    found = verdict_on_members(members, rows, context)
    if found is None:
        return None
    on_credit = any(it.credit_minor for it in members)
    stops = found.least is Outcome.DECLINE or (found.least is Outcome.FULL and on_credit)
    return found.reasons[0] if stops or found.review else None
