"""The listings of the people, devices and payment accounts of a batch.

They are read in the batch, by an index: an operator may list 100,000 devices, which would be too
many for the memory of each server. The catalog knows the kinds of listings that exist, so a batch
without any reads nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple, Protocol

from service.domain.access import PLATFORM
from service.domain.listings import Listed, ListingKind, listed
from service.engine.aliases import may_be_whole, merged_into
from service.engine.ports import Transaction
from service.engine.rows import Rows, Wish
from service.engine.tables import ALIASES, LISTINGS, Pair

_BY_SUBJECT, _BY_SURVIVOR = ("owner", "kind", "subject"), ("survivor",)
_USER, _DEVICE = ListingKind.USER, ListingKind.DEVICE
_ACCOUNT, _EVERYBODY = ListingKind.PAYMENT_ACCOUNT, ListingKind.EVERYBODY

Kinds = frozenset[tuple[str, str]]
"""The kinds of listings that exist, as pairs of owner and kind."""


class Hashes(Protocol):
    """The details of an order that name the bearers; both may be empty."""

    @property
    def device_hash(self) -> str: ...
    @property
    def payment_account_hash(self) -> str: ...


class Asked(NamedTuple):
    """An order: the operator that asks, the person, and the order's hashes, if it has any."""

    caller: str
    user_id: str
    order: Hashes | None


def read_listings(
    rows: Rows,
    asked: Iterable[Asked],
    merging: Collection[Pair],
    kinds: Kinds,
    transaction: Transaction,
) -> None:
    """Reads the listings that may count for these commands, and the people who were merged.
    `merging` are the pairs of people whom the batch may merge."""
    asked = list(asked)
    people = {
        it.user_id for it in asked if (PLATFORM, _USER) in kinds or (it.caller, _USER) in kinds
    }
    transaction.read(rows, [Wish(ALIASES, _BY_SURVIVOR, people)])
    subjects: set[tuple[str, str, str]] = set()
    for it in asked:
        subjects.update(_subjects(it, may_be_whole(it.user_id, rows, merging), kinds))
    transaction.read(rows, [Wish(LISTINGS, _BY_SUBJECT, subjects)])


def listed_in(
    asked: Asked, policy_ids: Iterable[str], kinds: Kinds, rows: Rows, now_us: int
) -> Listed:
    """The effect of the listings of a batch on one decision."""
    people = (asked.user_id, *merged_into(asked.user_id, rows))
    subjects = set(_subjects(asked, people, kinds))
    found = [it for it in rows[LISTINGS].values() if (it.owner, it.kind, it.subject) in subjects]
    return listed(found, policy_ids, now_us)


def _subjects(asked: Asked, people: Iterable[str], kinds: Kinds) -> Iterator[tuple[str, str, str]]:
    """The owner, kind and subject of each listing that may count for a command.

    `people` are the person and the people merged into it: their listings count for the survivor.
    """
    order = asked.order
    for owner in (PLATFORM, asked.caller):
        if (owner, _USER) in kinds:
            for user_id in people:
                yield owner, _USER, user_id
        if order is not None and order.device_hash and (owner, _DEVICE) in kinds:
            yield owner, _DEVICE, order.device_hash
        if order is not None and order.payment_account_hash and (owner, _ACCOUNT) in kinds:
            yield owner, _ACCOUNT, order.payment_account_hash
        if (owner, _EVERYBODY) in kinds:
            yield owner, _EVERYBODY, ""
