"""The budgets of exposure in a batch: the amounts that this server may still hold, and its leases.

What a batch changes is found from the authorizations themselves, before and after each step. So
every call and every timer counts that holds or releases an amount on credit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from service.domain.admission import Verdict
from service.domain.authorization import Authorization
from service.domain.budgets import BudgetKey, Lease, Standing, period_of, settle
from service.domain.documents import canonical
from service.domain.policy import MAX_REASONS, Choice, Reason
from service.domain.product import Product
from service.domain.rules import Span
from service.engine.context import Context
from service.engine.ports import Conflict, Transaction
from service.engine.rows import Draft, Rows, Wish
from service.engine.tables import AUTHORIZATIONS, BUDGET_ACCOUNTS, BUDGET_LEASES

_OF_BUDGET = ("operator_id", "policy_id", "currency", "period")


class _Counted(NamedTuple):
    """A budget that counts an authorization."""

    key: BudgetKey
    span: Span


class Budgets:
    """The budgets of a batch, as one server sees them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._now_us = context.now_us
        self._changes = defaultdict[BudgetKey, int](int)
        """The amounts that the batch has held so far, less those released."""
        self._standings: dict[BudgetKey, Standing] = {}
        self._known: dict[tuple[str, str, int], tuple[_Counted, ...]] = {}

    def read(self, products: Iterable[tuple[str, Product]], rows: Rows, reads: Transaction) -> None:
        """Reads the budgets that count these operators' products, and were not read yet."""
        budgets = {
            it.key: it.span
            for operator_id, product in products
            for it in self._counting(operator_id, product)
            if it.key not in self._standings
        }
        wishes = [
            Wish(BUDGET_ACCOUNTS, BUDGET_ACCOUNTS.key, set(budgets)),
            Wish(BUDGET_LEASES, _OF_BUDGET, set(budgets)),
        ]
        reads.read(rows, wishes)
        leases = defaultdict[tuple[str, ...], list[Lease]](list)
        for lease in rows[BUDGET_LEASES].values():
            leases[lease[:4]].append(lease)
        for key, span in budgets.items():
            own, others = None, []
            for lease in leases[key]:
                if lease.server_id == self._context.server_id:
                    own = lease
                else:
                    others.append(lease)
            budget = self._context.budgets[key.policy_id, key.currency, span].budget
            account = rows[BUDGET_ACCOUNTS].get(key)
            self._standings[key] = Standing(key, budget, account, own, tuple(others))

    def count(
        self, steps: Iterable[Authorization], known: Mapping[tuple[str, str], Authorization]
    ) -> None:
        """Counts what a command holds or releases, in the order of its steps; `known` has the
        authorizations before it."""
        for key, minor in self._changed(steps, known).items():
            self._changes[key] += minor

    def _changed(
        self, steps: Iterable[Authorization], known: Mapping[tuple[str, str], Authorization]
    ) -> dict[BudgetKey, int]:
        changes = defaultdict[BudgetKey, int](int)
        held: dict[tuple[str, str], int] = {}
        for it in steps:
            name = (it.user_id, it.authorization_id)
            before = known.get(name)
            minor = held.get(name, 0 if before is None else before.held_credit_minor)
            held[name], minor = it.held_credit_minor, it.held_credit_minor - minor
            product = _product_of(it, self._context) if minor else None
            for of in () if product is None else self._counting(it.operator_id, product):
                changes[of.key] += minor if of.span is Span.OPEN else max(0, minor)
        return changes

    def left_minor(
        self,
        operator_id: str,
        products: Iterable[Product],
        steps: Sequence[Authorization],
        known: Mapping[tuple[str, str], Authorization],
    ) -> int | None:
        """The amount that may still be held for these products together; None without a budget.

        Each budget of a product must suffice for the products together. `steps` are earlier ones of
        the same command, and `known` has the authorizations before it.
        """
        keys = {it for product in products for it in self._counting(operator_id, product)}
        if not keys:
            return None
        more = self._changed(steps, known) if steps else {}
        now_us = self._now_us
        return min(
            self._standings[key].left_minor(self._changes[key] + more.get(key, 0), now_us)
            for key in {it.key for it in keys}
        )

    def settle(self, rows: Rows, transaction: Transaction) -> None:
        """Adds the changed leases and accounts to the rows of the batch.

        Raises Conflict if a budget does not suffice for what was held: then another server took it,
        or the call did not ask for it.
        """
        changes = {key: minor for key, minor in self._changes.items() if minor}
        unread = changes.keys() - self._standings.keys()
        if unread:
            products = [
                (it.operator_id, product)
                for it in rows.changed[AUTHORIZATIONS].values()
                if it is not None and (product := _product_of(it, self._context)) is not None
            ]
            self.read(products, rows, transaction)
        draft, gone = Draft(list), []
        for key, minor in sorted(changes.items()):
            found = settle(self._standings[key], minor, self._context.server_id, self._now_us)
            if found is None:
                raise Conflict(f"the budget of {key.policy_id} does not suffice")
            if found.account is not None:
                draft[BUDGET_ACCOUNTS].append(found.account)
            draft[BUDGET_LEASES] += found.leases
            gone += [(BUDGET_LEASES, lease[:5]) for lease in found.folded]
        draft.gone = gone
        rows.merge(draft)

    def _counting(self, operator_id: str, product: Product) -> tuple[_Counted, ...]:
        """The budgets that count a product's rentals: those of its own revision."""
        name = (operator_id, product.product_id, product.revision)
        found = self._known.get(name)
        if found is None:
            policy = product.policy
            named = () if policy.rules is None else policy.rules.budget or ()
            found = self._known[name] = tuple(
                _Counted(
                    BudgetKey(
                        operator_id, policy.policy_id, it.currency, period_of(it, self._now_us)
                    ),
                    it.span,
                )
                for it in named
                if it.currency == product.currency
            )
        return found


def _product_of(it: Authorization, context: Context) -> Product | None:
    return context.catalog.revisions.get((it.operator_id, it.product_id, it.product_revision))


def budget_left_minor(
    operator_id: str,
    products: Iterable[Product],
    rows: Rows,
    steps: Sequence[Authorization] = (),
) -> int | None:
    """The amount that budgets leave for these products together; None without a budget.

    `steps` are earlier ones of the same command, which may have released an amount.
    """
    if rows.budgets is None:
        return None
    return rows.budgets.left_minor(operator_id, products, steps, rows[AUTHORIZATIONS])


def within_budget(
    choose: Callable[[int], Choice], available_minor: int, left_minor: int | None
) -> Choice:
    """The choice within an available amount of the line, or a stricter one within the budget.

    `choose` chooses within an amount. A choice that the budget made stricter tells so first.
    """
    choice = choose(available_minor)
    if left_minor is None or sum([it.credit_minor for it in choice.splits]) <= left_minor:
        return choice
    stricter = choose(min(available_minor, left_minor))
    lines = Reason.LINE_EXHAUSTED
    kept = [it for it in stricter.reasons if it != lines or it in choice.reasons]
    reasons = tuple(dict.fromkeys((Reason.BUDGET_EXHAUSTED, *kept)))
    return stricter._replace(reasons=reasons[:MAX_REASONS])


def values_of(verdict: Verdict | None, left_minor: int | None) -> str | None:
    """The values that a decision read, as canonical JSON, with the amount that the budget left."""
    if left_minor is None:
        return None if verdict is None else verdict.read_values
    values = {} if verdict is None else dict(verdict.values)
    return canonical({**values, "budget.left_minor": left_minor})
