"""The quotas and passes in a batch: what is left of them for a rental, and what a step uses.

The lock and the version of the person's line guard the quotas of the person: whoever settles a
rental holds them. A quota's row has a version and a CHECK of its own besides.
"""

from __future__ import annotations

from typing import NamedTuple

from service.domain.authorization import Authorization
from service.domain.errors import ProductMisconfigured
from service.domain.passes import Span
from service.domain.quotas import (
    Pool,
    charges_nothing,
    divided,
    is_discounted,
    pool_of_pass,
    pools_of,
    used_minutes,
)
from service.domain.receipt import Receipt
from service.domain.segment_tariff import PassGift, SegmentTariff
from service.engine import passes
from service.engine.calls import AuthorizationCommand
from service.engine.catalog import Catalog
from service.engine.ports import Transaction
from service.engine.records.quotas import QuotaRecord, QuotaUseRecord
from service.engine.rows import Draft, Rows, Wish
from service.engine.tables import AUTHORIZATIONS, PASSES, QUOTA_USES, QUOTAS, QuotaKey

_BY_AUTHORIZATION = ("user_id", "authorization_id")


def read_quotas(
    rows: Rows,
    catalog: Catalog,
    transaction: Transaction,
    sellers: frozenset[str] | None = None,
) -> None:
    """Reads the quotas of all rentals in the rows, the passes of their people, and the minutes that
    the closed ones used.

    `sellers` are the operators that sell or sold passes; None means those of an earlier call.
    """
    if sellers is not None:
        rows.sellers = sellers
    known = rows.pools = {} if rows.pools is None else rows.pools
    found = list[Authorization]()
    for key, it in rows[AUTHORIZATIONS].items():
        if it.start_us is None or it.parent_id or key in known:
            continue
        product = catalog.revisions.get((it.operator_id, it.product_id, it.product_revision))
        # A tariff of arithmetic 1 has neither quotas nor passes.
        if product is not None and isinstance(product.tariff, SegmentTariff):
            known[key] = pools_of(product.tariff, it.start_us)
            found.append(it)
    holders = {(it.user_id, it.operator_id) for it in found if it.operator_id in rows.sellers}
    passes.read_passes(rows, holders, transaction)
    counters, closed = set[QuotaKey](), set[tuple[str, str]]()
    for it in found:
        pools = _pools(it, rows) if passes.is_readable(it, rows) else ()
        counters |= {_key(it, pool) for pool in pools if pool.counted}
        if it.close_us is not None and (pools or (it.user_id, it.operator_id) in holders):
            closed.add((it.user_id, it.authorization_id))
    wishes = [Wish(QUOTAS, QUOTAS.key, counters - rows.read[QUOTAS].keys())]
    wishes.append(Wish(QUOTA_USES, _BY_AUTHORIZATION, closed))
    transaction.read(rows, wishes)


def read_begun(command: object, rows: Rows, catalog: Catalog, transaction: Transaction) -> None:
    """Reads the quotas of the rental of a command if an earlier command of the batch began it:
    before that, the instant whose periods count was not known."""
    if not isinstance(command, AuthorizationCommand):
        return
    key = (command.user_id, command.authorization_id)
    it = rows[AUTHORIZATIONS].get(key)
    if it is None or it.start_us is None:
        return
    before = rows.read[AUTHORIZATIONS].get(key)
    if before is None or before.start_us is None:
        read_quotas(rows, catalog, transaction)


class Share(NamedTuple):
    """The minutes of quotas and a pass for a rental: the most that are left, or, if `fixed`, those
    that it used. The first `pass_minutes` are those of the pass, and `percent` is its share of the
    fee."""

    minutes: int = 0
    fixed: bool = False
    pass_minutes: int = 0
    percent: int = 0


def share_of(it: Authorization, rows: Rows, draft: Draft, *, closes: bool) -> Share:
    """The minutes that are left for a rental, or that it used if an earlier step closed it.

    With `closes` the present step closes it, and its minutes are counted now.
    """
    if it.close_us is None or closes:
        pools = _pools(it, rows)
        left = _left(it, pools, draft, rows)
        of_pass = [
            (minutes, pool.percent)
            for pool, minutes in zip(pools, left, strict=True)
            if isinstance(pool.per, PassGift)
        ]
        return Share(sum(left), False, *(of_pass[0] if of_pass else (0, 0)))
    minutes, of_pass_minutes, percent = 0, 0, 0
    for use in _uses(it, draft, rows).values():
        minutes += use.minutes
        if use.per in _GIFTS:
            of_pass_minutes += use.minutes
        if use.per == PassGift.PERCENT:
            held = rows[PASSES].get((it.user_id, it.operator_id, use.name))
            if held is None:
                raise ProductMisconfigured(it.product_id)
            percent = held.size
    return Share(minutes, True, of_pass_minutes, percent)


_GIFTS = frozenset(map(str, PassGift))


def use_minutes(draft: Draft, it: Authorization, receipt: Receipt, rows: Rows) -> None:
    """Adds the minutes that the fee of a receipt used, and the use of a pass that lowered it, to
    the draft of the step that settled the rental. They are free again at once if the operator
    charged nothing."""
    pools = _pools(it, rows)
    minutes, shared = used_minutes(receipt), is_discounted(receipt)
    if not pools or not (minutes or shared):
        return
    returned_version = it.version if charges_nothing(receipt) else 0
    parts = divided(minutes, _left(it, pools, draft, rows))
    for pool, part in zip(pools, parts, strict=True):
        if part or (pool.percent and shared):
            use = QuotaUseRecord(
                it.user_id,
                it.authorization_id,
                pool.name,
                pool.per,
                it.operator_id,
                pool.period_us,
                part,
                it.version,
                returned_version,
            )
            draft[QUOTA_USES].append(use)
            if not returned_version:
                _count(draft, it, pool, part, 1, rows)


def give_back(draft: Draft, it: Authorization, rows: Rows) -> None:
    """Adds the return of a rental's minutes to the draft if nothing of its charge is left."""
    pools = _pools(it, rows)
    if not pools or it.close_us is None or not 0 < it.captured_minor <= it.conceded_minor:
        return
    uses = _uses(it, draft, rows)
    for pool in pools:
        use = uses.get((pool.name, pool.per))
        if use is not None and not use.returned_version:
            draft[QUOTA_USES].append(use._replace(returned_version=it.version))
            _count(draft, it, pool, -use.minutes, -1, rows)


def _uses(it: Authorization, draft: Draft, rows: Rows) -> dict[tuple[str, str], QuotaUseRecord]:
    """The minutes that a rental used, by the name and the kind of period of the quota."""
    name = (it.user_id, it.authorization_id)
    its = (*rows[QUOTA_USES].values(), *draft.get(QUOTA_USES, ()))
    return {(use.name, use.per): use for use in its if use[:2] == name}


def _pools(it: Authorization, rows: Rows) -> tuple[Pool, ...]:
    """The pass of a rental and the quotas of its tariff, in the order in which they are used.

    Raises ProductMisconfigured for a pass whose row was damaged.
    """
    if not passes.is_readable(it, rows):
        raise ProductMisconfigured(it.product_id)
    of_tariff = (rows.pools or {}).get((it.user_id, it.authorization_id))
    held = None if of_tariff is None else passes.pass_of(it, rows)
    if held is None or it.start_us is None:
        return of_tariff or ()
    span = Span(held.from_us, held.until_us)
    gift = (held.pass_id, held.gives, held.size, held.time_zone)
    return (pool_of_pass(*gift, span, it.start_us), *(of_tariff or ()))


def _key(it: Authorization, pool: Pool) -> QuotaKey:
    return (it.user_id, it.operator_id, pool.name, str(pool.per), pool.period_us)


def _counted(key: QuotaKey, draft: Draft, rows: Rows) -> QuotaRecord | None:
    """A quota's row as changed by the draft; None if nothing of it was ever used."""
    drafted: QuotaRecord
    for drafted in draft.get(QUOTAS, ()):
        if drafted.key == key:
            return drafted
    return rows[QUOTAS].get(key)


def _left(it: Authorization, pools: tuple[Pool, ...], draft: Draft, rows: Rows) -> list[int]:
    """The minutes that are left in each pool."""
    counted = [_counted(_key(it, pool), draft, rows) if pool.counted else None for pool in pools]
    return [
        max(0, pool.most_minutes - (0 if row is None else row.used_minutes))
        for pool, row in zip(pools, counted, strict=True)
    ]


def _count(
    draft: Draft, it: Authorization, pool: Pool, minutes: int, uses: int, rows: Rows
) -> None:
    """Adds minutes to a quota's row in the draft, and uses to that of a pass; negative ones are
    free again."""
    if isinstance(pool.per, PassGift):
        passes.add_uses(draft, (it.user_id, it.operator_id, pool.name), uses, rows)
    if not pool.counted:
        return
    key = _key(it, pool)
    row = _counted(key, draft, rows) or QuotaRecord(*key, 0, 0, 0)
    draft[QUOTAS] = [one for one in draft.get(QUOTAS, ()) if one.key != key]
    draft[QUOTAS].append(
        row._replace(
            most_minutes=max(row.most_minutes, pool.most_minutes),
            used_minutes=row.used_minutes + minutes,
            changes=row.changes + 1,
        )
    )
