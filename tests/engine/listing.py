"""Listings for tests of the engine: made as the shell does, and learned at once."""

from __future__ import annotations

from collections.abc import Sequence

from service.domain.listings import Listing, ListingEffect, ListingKind
from service.storage import listings
from service.storage.admin import by_shell
from tests.fakes import OPERATOR, Desk


def add(
    desk: Desk,
    subject: str = "",
    kind: ListingKind = ListingKind.USER,
    *,
    owner: str = OPERATOR,
    rules: Sequence[str] = (),
    policy_id: str = "",
    expire_us: int | None = None,
) -> Listing:
    """Adds a listing: it denies, or skips the rules if there are any. The engine learns of it."""
    effect = ListingEffect.ALLOW if rules else ListingEffect.DENY
    wanted = Listing("", 0, effect, kind, subject, tuple(rules), policy_id, "", 0, "", expire_us)
    made: list[Listing] = []

    def keep(found: Sequence[Listing]) -> bytes:
        made.extend(found)
        return b""

    listings.add_listings(
        *(desk.store.engine, by_shell("add_listings", [], "", "tester"), owner, [wanted]),
        *("theft", desk.clock.now_us(), keep),
    )
    desk.engine.terms.follow()
    return made[0]


def end(desk: Desk, it: Listing) -> None:
    """Ends a listing."""
    asked = by_shell("end_listings", [], "", "tester")
    engine, now_us = desk.store.engine, desk.clock.now_us()
    listings.end_listings(
        engine, asked, it.owner, [it.number], "settled", now_us, lambda _made: b""
    )
