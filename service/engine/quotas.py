"""The quotas of free minutes in a batch: the minutes that are left, and those that a step uses.

The lock and the version of the person's line guard the quotas of the person: whoever settles a
rental holds them. A quota's row has a version and a CHECK of its own besides.
"""

from __future__ import annotations

from typing import NamedTuple

from service.domain.authorization import Authorization
from service.domain.quotas import Pool, charges_nothing, divided, pools_of, used_minutes
from service.domain.receipt import Receipt
from service.engine.catalog import Catalog
from service.engine.ports import Transaction
from service.engine.records.quotas import QuotaRecord, QuotaUseRecord
from service.engine.rows import Draft, Rows, Wish
from service.engine.tables import AUTHORIZATIONS, QUOTA_USES, QUOTAS, QuotaKey

_BY_AUTHORIZATION = ("user_id", "authorization_id")


def read_quotas(rows: Rows, catalog: Catalog, transaction: Transaction) -> None:
    """Reads the quotas of all rentals in the rows, and the minutes that the closed ones used."""
    counters, closed = set[QuotaKey](), set[tuple[str, str]]()
    known = rows.pools = {} if rows.pools is None else rows.pools
    for key, it in rows[AUTHORIZATIONS].items():
        if it.start_us is None or it.parent_id or key in known:
            continue
        product = catalog.revisions.get((it.operator_id, it.product_id, it.product_revision))
        pools = known[key] = () if product is None else pools_of(product.tariff, it.start_us)
        if pools:
            counters |= {_key(it, pool) for pool in pools}
            if it.close_us is not None:
                closed.add(key)
    wishes = [Wish(QUOTAS, QUOTAS.key, counters - rows.read[QUOTAS].keys())]
    wishes.append(Wish(QUOTA_USES, _BY_AUTHORIZATION, closed))
    transaction.read(rows, wishes)


class Share(NamedTuple):
    """The minutes of quotas for a rental: the most that are left, or, if `fixed`, those that it
    used."""

    minutes: int
    fixed: bool = False


def share_of(it: Authorization, rows: Rows, draft: Draft, *, closes: bool) -> Share:
    """The minutes that are left for a rental, or that it used if an earlier step closed it.

    With `closes` the present step closes it, and its minutes are counted now.
    """
    pools = _pools(it, rows)
    if not pools:
        return Share(0)
    if it.close_us is None or closes:
        return Share(sum(_left(it, pools, draft, rows)))
    return Share(sum(use.minutes for use in _uses(it, draft, rows).values()), fixed=True)


def use_minutes(draft: Draft, it: Authorization, receipt: Receipt, rows: Rows) -> None:
    """Adds the minutes that the fee of a receipt used to the draft of the step that settled the
    rental. They are free again at once if the operator charged nothing."""
    pools = _pools(it, rows)
    minutes = used_minutes(receipt) if pools else 0
    if not minutes:
        return
    returned_version = it.version if charges_nothing(receipt) else 0
    parts = divided(minutes, _left(it, pools, draft, rows))
    for pool, part in zip(pools, parts, strict=True):
        if part:
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
                _count(draft, it, pool, part, rows)


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
            _count(draft, it, pool, -use.minutes, rows)


def _uses(it: Authorization, draft: Draft, rows: Rows) -> dict[tuple[str, str], QuotaUseRecord]:
    """The minutes that a rental used, by the name and the kind of period of the quota."""
    name = (it.user_id, it.authorization_id)
    its = (*rows[QUOTA_USES].values(), *draft.get(QUOTA_USES, ()))
    return {(use.name, use.per): use for use in its if use[:2] == name}


def _pools(it: Authorization, rows: Rows) -> tuple[Pool, ...]:
    return (rows.pools or {}).get((it.user_id, it.authorization_id), ())


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
    counted = [_counted(_key(it, pool), draft, rows) for pool in pools]
    return [
        max(0, pool.most_minutes - (0 if row is None else row.used_minutes))
        for pool, row in zip(pools, counted, strict=True)
    ]


def _count(draft: Draft, it: Authorization, pool: Pool, minutes: int, rows: Rows) -> None:
    """Adds minutes to a quota's row in the draft; negative minutes are free again."""
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
