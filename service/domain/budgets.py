"""Budgets of exposure: how much an operator's rentals under one policy hold on credit together.

The exposure may be held by calls on several servers, and no row is shared by all requests. Each
server has a lease: the budget grants it an amount, and the server's own holds minus its own
releases may not be more. The sum of all grants is at most the budget, so the sum of all holds is
too. A lease keeps at most its part of one slice unused. So whoever is refused is refused at most
one slice early.

The holds of a server stand in its lease, by the same transaction that makes them. So nothing is
lost if a server is killed: another server folds its lease into the account.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from service.domain.product import Product
from service.domain.rules import Budget, Span

DAY_US = 86_400_000_000
IDLE_US = 600_000_000
"""A lease that was not used for so long is folded; a server that lives takes a new one."""


class BudgetKey(NamedTuple):
    """A budget: of an operator under a policy, in a currency.

    `period` is empty for a budget of open exposure, or the number of the day (UTC) since 1970.
    """

    operator_id: str
    policy_id: str
    currency: str
    period: str


class Account(NamedTuple):
    """The account of a budget: the sum of all grants, and the holds of servers that were folded.

    `most_minor` is the budget of the last grant, or the sum of the grants if that is more, because
    the budget was lowered since. `version` counts the changes.
    """

    operator_id: str
    policy_id: str
    currency: str
    period: str
    most_minor: int
    granted_minor: int
    folded_minor: int
    version: int

    @property
    def key(self) -> BudgetKey:
        """The budget."""
        return BudgetKey(*self[:4])


class Lease(NamedTuple):
    """The lease of one server: its grant, its holds minus its releases, and the most that it may
    keep unused.

    The holds may be less than zero, because a server releases what others held.
    """

    operator_id: str
    policy_id: str
    currency: str
    period: str
    server_id: str
    granted_minor: int
    net_minor: int
    reserve_minor: int
    change_us: int
    version: int

    @property
    def unused_minor(self) -> int:
        """The part of the grant that is not used."""
        return self.granted_minor - self.net_minor


class Revised(NamedTuple):
    """A budget, and the revision of the policy that has it; whether that revision is in force."""

    in_force: bool
    revision: int
    budget: Budget


InForce = Mapping[tuple[str, str, Span], Revised]
"""The budgets in force, by policy id, currency and span."""


def budgets_in(revisions: Iterable[Product], present: Iterable[Product]) -> InForce:
    """The budgets of the policies of all revisions of products.

    Of a policy's revisions the one counts under which products are rented out now. Without any the
    newest one counts: rentals from before still hold amounts.
    """
    found: dict[tuple[str, str, Span], Revised] = {}
    for products, in_force in ((revisions, False), (present, True)):
        for product in products:
            policy = product.policy
            for it in () if policy.rules is None else policy.rules.budget or ():
                name = (policy.policy_id, it.currency, it.span)
                new = Revised(in_force, policy.revision, it)
                found[name] = max(found.get(name, new), new)
    return found


def newest(one: InForce, other: InForce) -> InForce:
    """Both together; a revision in force counts before others, and then the newer one."""
    if not other:
        return one
    found = dict(one)
    for name, it in other.items():
        found[name] = max(found.get(name, it), it)
    return found


def period_of(budget: Budget, now_us: int) -> str:
    """The period of a budget at an instant."""
    return "" if budget.span is Span.OPEN else str(now_us // DAY_US)


class Standing(NamedTuple):
    """A budget as one server sees it in one transaction: the account, its own lease, and those of
    other servers; the first two are None before their first use."""

    key: BudgetKey
    budget: Budget
    account: Account | None
    own: Lease | None
    others: tuple[Lease, ...]

    @property
    def free_minor(self) -> int:
        """The part of the budget that no server has; below zero after the budget was lowered."""
        granted_minor = 0 if self.account is None else self.account.granted_minor
        return self.budget.most_minor - granted_minor

    def left_minor(self, change_minor: int, now_us: int) -> int:
        """The amount that this server may still hold, after `change_minor` of this transaction.

        After the budget was lowered, what is released makes no room above it.
        """
        unused_minor = 0 if self.own is None else self.own.unused_minor
        # What idle or dead servers have not used is free again.
        whole, _ = folded_first(self, now_us)
        return max(0, unused_minor + whole.free_minor - change_minor)


class Settled(NamedTuple):
    """The rows of a budget after a transaction: the account, if it changed, the changed leases, and
    those that were folded."""

    account: Account | None
    leases: tuple[Lease, ...]
    folded: tuple[Lease, ...]


NO_LEASES: tuple[Lease, ...] = ()


def folded_first(it: Standing, now_us: int) -> tuple[Standing, tuple[Lease, ...]]:
    """The standing without the leases of servers that are idle or dead, and these leases.

    Their holds stay in the account, and what they did not use is free again.
    """
    idle = tuple(lease for lease in it.others if lease.change_us + IDLE_US < now_us)
    if not idle or it.account is None:
        return it, ()
    account = it.account._replace(
        granted_minor=it.account.granted_minor - sum(lease.unused_minor for lease in idle),
        folded_minor=it.account.folded_minor + sum(lease.net_minor for lease in idle),
    )
    others = tuple(lease for lease in it.others if lease not in idle)
    return it._replace(account=account, others=others), idle


def settle(it: Standing, change_minor: int, server_id: str, now_us: int) -> Settled | None:
    """The rows after this server has held `change_minor` more, or released some.

    The account changes only if the lease does not suffice, or would keep too much. None if the
    budget does not suffice.
    """
    begun, folded = it, NO_LEASES
    if it.own is None or it.own.unused_minor < change_minor:
        it, folded = folded_first(it, now_us)
    account = it.account or Account(*it.key, it.budget.most_minor, 0, 0, 0)
    own, joined = it.own, NO_LEASES
    if own is None:
        own = Lease(*it.key, server_id, 0, 0, 0, now_us, 0)
    servers = len(it.others) + 1
    reserve_minor = it.budget.slice_minor // servers
    if it.own is None:
        account, joined = _shared(account, it.others, reserve_minor)
    own = own._replace(net_minor=own.net_minor + change_minor, change_us=now_us)
    unused_minor, least_minor = own.unused_minor, min(own.reserve_minor, reserve_minor)
    if not 0 <= unused_minor <= least_minor or it.own is None:
        free_minor = max(0, it.budget.most_minor - account.granted_minor)
        wanted_minor = min(reserve_minor // 2 - unused_minor, free_minor)
        if unused_minor + wanted_minor < 0:
            return None
        own = own._replace(
            granted_minor=own.granted_minor + wanted_minor, reserve_minor=reserve_minor
        )
        granted_minor = account.granted_minor + wanted_minor
        account = account._replace(granted_minor=granted_minor)
    if account != begun.account:
        most_minor = max(it.budget.most_minor, account.granted_minor)
        account = account._replace(most_minor=most_minor, version=account.version + 1)
    own = own._replace(version=own.version + 1)
    return Settled(None if account == begun.account else account, (own, *joined), folded)


def _shared(
    account: Account, others: Iterable[Lease], reserve_minor: int
) -> tuple[Account, tuple[Lease, ...]]:
    """The account and the leases after one more server has joined: all keep less unused."""
    changed = []
    for lease in others:
        over_minor = max(0, lease.unused_minor - reserve_minor)
        account = account._replace(granted_minor=account.granted_minor - over_minor)
        changed.append(
            lease._replace(
                granted_minor=lease.granted_minor - over_minor,
                reserve_minor=reserve_minor,
                version=lease.version + 1,
            )
        )
    return account, tuple(changed)


class BudgetNow(NamedTuple):
    """A budget at one moment, in minor units.

    `leased_minor` is granted to servers and not used. `left_minor` is neither used nor leased;
    below zero after the budget was lowered. `next_slice_minor` is the most that a server leases
    next.
    """

    policy_id: str
    currency: str
    span: Span
    most_minor: int
    used_minor: int
    leased_minor: int
    left_minor: int
    next_slice_minor: int


def budget_now(
    key: BudgetKey, budget: Budget, account: Account | None, leases: Collection[Lease]
) -> BudgetNow:
    """A budget by its account, which is None before its first use, and its leases."""
    folded_minor = 0 if account is None else account.folded_minor
    unused_minor = sum(lease.unused_minor for lease in leases)
    left_minor = budget.most_minor - (0 if account is None else account.granted_minor)
    share_minor = budget.slice_minor // max(1, len(leases)) // 2
    return BudgetNow(
        key.policy_id,
        budget.currency,
        budget.span,
        budget.most_minor,
        folded_minor + sum(lease.net_minor for lease in leases),
        unused_minor,
        left_minor,
        max(0, min(share_minor, left_minor)),
    )
