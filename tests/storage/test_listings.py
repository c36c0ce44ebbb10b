"""Listings on both databases: acts, history, and the verifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, text, update
from sqlalchemy.exc import DBAPIError

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.documents import DocumentKind
from service.domain.errors import ActRefused, InvalidInput, NotFound
from service.domain.listings import Listing, ListingEffect, ListingKind
from service.storage import listings
from service.storage import schema as t
from service.storage.admin import by_shell
from service.storage.administration import list_audit
from service.storage.compatibility import LISTINGS_BUILD
from service.storage.database import writing
from service.storage.migrate import oldest_build_of
from service.storage.store import SqlStore
from tests.fakes import OPERATOR, OTHER_OPERATOR, START_US
from tests.storage.administered import apply_terms

DENY, ALLOW = ListingEffect.DENY, ListingEffect.ALLOW
USER, DEVICE = ListingKind.USER, ListingKind.DEVICE
CUT_OFFS = {"zero_from_score": 600, "reduced_from_score": 520, "reduced_credit_share_bp": 5_000}


def wanted(subject: str = "ann", kind: ListingKind = USER, *rules: str) -> Listing:
    """A listing to add: it denies, or skips rules."""
    return Listing("", 0, ALLOW if rules else DENY, kind, subject, rules, "", "", 0, "")


def add(
    engine: Engine, *rows: Listing, owner: str = OPERATOR, reason: str = "theft", request: str = ""
) -> list[Listing]:
    """Adds listings as the shell does."""
    made: list[Listing] = []

    def keep(found: Sequence[Listing]) -> bytes:
        made.extend(found)
        return b"made"

    asked = by_shell("add_listings", [owner, rows], request, "root")
    listings.add_listings(engine, asked, owner, rows, reason, START_US, keep)
    return made


def end(engine: Engine, *numbers: int, owner: str = OPERATOR, now_us: int = START_US + 5) -> None:
    """Ends listings as the shell does."""
    asked = by_shell("end_listings", [owner, numbers], "", "root")
    listings.end_listings(engine, asked, owner, numbers, "found", now_us, lambda _: b"")


def fault(engine: Engine) -> Any:
    """The first fault that the verifier finds."""
    return verify_books(engine).fault


def test_listings_are_added_ended_and_kept(store: SqlStore) -> None:
    """Listings are numbered for each owner; an ended one stays, with whoever made and ended it,
    when and why. Each act is in the record."""
    engine = store.engine
    add(engine, wanted(), wanted("d0", DEVICE, "NEW_USER"))
    add(engine, wanted("eve"), owner=PLATFORM)
    end(engine, 1)
    first, second = listings.list_listings(engine, OPERATOR)
    assert (first.number, first.created_by, first.reason) == (1, "shell/root", "theft")
    assert (first.end_us, first.ended_by, first.end_reason) == (START_US + 5, "shell/root", "found")
    assert (second.number, second.rules, second.end_us) == (2, ("NEW_USER",), None)
    assert [it.number for it in listings.list_listings(engine, PLATFORM)] == [1]
    acts = [(it.act, it.subject) for it in list_audit(engine, OPERATOR)]
    assert acts == [("listings.added", "listings/1"), ("listings.ended", "listings/1")]
    assert fault(engine) is None


def test_a_listing_names_a_policy_that_counts(store: SqlStore) -> None:
    """A listing names a policy by its id, or as a product names it: that of its owner, or else of
    the platform. A policy that the owner does not have, or whose rules it may not skip, is refused,
    because such a listing would never count."""
    engine = store.engine
    for name, owner in (("Careful:2", OPERATOR), ("own", OTHER_OPERATOR), ("w", PLATFORM)):
        apply_terms(engine, owner, DocumentKind.POLICY, {"name": name, **CUT_OFFS})

    def ids(named: str, *rules: str, owner: str = OPERATOR) -> str:
        it = wanted("ann", USER, *rules)._replace(policy_id=named)
        (made,) = add(engine, it, owner=owner)
        return made.policy_id

    assert ids("Careful:2", "NEW_USER") == ids("city/Careful:2") == "city/Careful:2"
    assert ids("city/Careful:2", "NEW_USER", owner=PLATFORM) == "city/Careful:2"
    assert ids("small-item") == ids("small-item", "NEW_USER", owner=PLATFORM) == "small-item"
    assert ids("own", "NEW_USER", owner=OTHER_OPERATOR) == "harbour/own"
    assert ids("w") == "w"
    for named, rules, said in (
        ("careful:2", (), "did you mean city/Careful:2?"),
        ("nothing", (), "there is no nothing: apply it first"),
        ("harbour/own", (), "there is no harbour/own"),
        ("small-item", ("NEW_USER",), "small-item of the platform, which alone skips its rules"),
    ):
        with pytest.raises(InvalidInput) as refused:
            ids(named, *rules)
        assert said in refused.value.violations[0].description
    assert fault(engine) is None


def test_a_listing_skips_rules_that_a_policy_has(store: SqlStore) -> None:
    """A listing names a condition that one of its policies has, be it in a draft. Any other is
    refused, with where it is or the condition that was meant, because it would never count; so is
    any rule if there is no such policy."""
    engine = store.engine

    def policy(name: str, owner: str, *conditions: str, activate: bool = True) -> None:
        rows = [{"name": it, "when": "hour < 6", "then": "DECLINE"} for it in conditions]
        table = {"name": name, **CUT_OFFS, "condition": rows}
        apply_terms(engine, owner, DocumentKind.POLICY, table, activate=activate)

    def allow(*rules: str, owner: str = OPERATOR, named: str = "") -> str:
        try:
            add(engine, wanted("ann", USER, *rules)._replace(policy_id=named), owner=owner)
        except InvalidInput as refused:
            return "; ".join(f"{it.field} {it.description}" for it in refused.violations)
        return ""

    none = "rules[0] no policy of yours has the condition night: apply a policy that has it first"
    assert allow("CONDITION/night") == f"{none}; a draft suffices"
    # Without a policy of its own, an operator has no rules that it may skip.
    assert allow("NEW_USER") == (
        "rules would never be skipped: only the platform skips rules of its own policies; apply a"
        " policy first, a draft suffices"
    )
    assert allow("NEW_USER", owner=PLATFORM) == ""
    policy("own", OPERATOR, "night", "dear")
    policy("new", OPERATOR, "youth", activate=False)
    policy("own", OTHER_OPERATOR, "secret")
    policy("of-all", PLATFORM, "weekend")
    assert allow("NEW_USER", "CONDITION/night", "CONDITION/youth") == ""
    assert allow("CONDITION/youth", named="new") == ""
    assert allow("CONDITION/secret", "CONDITION/weekend", owner=PLATFORM) == ""
    assert allow("CONDITION/secret", owner=OTHER_OPERATOR) == ""
    first = "no policy of yours has the condition"
    for rules, named, said in (
        (["CONDITION/nihgt"], "", f"{first} nihgt: did you mean CONDITION/night?"),
        (["CONDITION/secret"], "", f"{first} secret: apply a policy that has it first; a draft"),
        (["CONDITION/weekend"], "", "of-all has it, and only the platform skips its rules"),
        (["CONDITION/night"], "new", "city/new has no condition night: city/own has it"),
        (["NEW_USER", "CONDITION/x", "CONDITION/y"], "", "rules[1]"),
    ):
        assert said in allow(*rules, named=named)
    assert "no policy has the condition nope" in allow("CONDITION/nope", owner=PLATFORM)
    # A revision that was replaced never comes back into force.
    policy("own", OPERATOR, "dear")
    assert allow("CONDITION/night").startswith(f"rules[0] {first} night")
    assert allow("CONDITION/dear", named="own") == ""
    assert fault(engine) is None


def test_listings_are_found_by_subject_and_state(store: SqlStore) -> None:
    """A list may name a kind, a subject, and only the listings in force; pages follow numbers."""
    engine = store.engine
    add(engine, wanted("a"), wanted("b"), wanted("a", DEVICE), wanted("c"))
    add(engine, wanted("e")._replace(expire_us=START_US + 9))
    end(engine, 2)

    def numbers(*words: Any, **more: Any) -> list[int]:
        return [it.number for it in listings.list_listings(engine, OPERATOR, *words, **more)]

    assert numbers(USER) == [1, 2, 4, 5]
    assert numbers(USER, "a") == [1]
    assert numbers(active_at_us=START_US + 8) == [1, 3, 4, 5]
    assert numbers(active_at_us=START_US + 9) == [1, 3, 4]
    assert numbers(after=2, size=2) == [3, 4]


def test_an_act_is_done_once(store: SqlStore) -> None:
    """A repeated request adds its listings once."""
    for _ in range(2):
        add(store.engine, wanted(), request="once")
    assert len(listings.list_listings(store.engine, OPERATOR)) == 1


def test_a_wrong_act_adds_nothing(store: SqlStore) -> None:
    """One wrong listing, an unknown operator and an empty reason refuse the whole request."""
    engine = store.engine
    with pytest.raises(InvalidInput):
        add(engine, wanted(), wanted("a b"))
    with pytest.raises(InvalidInput):
        add(engine, wanted(), reason="")
    with pytest.raises(NotFound):
        add(engine, wanted(), owner="nowhere")
    assert listings.list_listings(engine, OPERATOR) == []
    assert list_audit(engine, OPERATOR) == []


def test_a_listing_ends_once(store: SqlStore) -> None:
    """An unknown listing, another owner's, and one that was ended cannot be ended; then none of
    the request's listings is."""
    engine = store.engine
    add(engine, wanted(), wanted("eve"))
    end(engine, 1)
    for numbers, error in (((2, 1), ActRefused), ((2, 3), NotFound)):
        with pytest.raises(error):
            end(engine, *numbers)
    with pytest.raises(NotFound):
        end(engine, 1, owner="other")
    assert [it.end_us is None for it in listings.list_listings(engine, OPERATOR)] == [False, True]


def test_the_first_listing_shuts_out_builds_without_listings(store: SqlStore) -> None:
    """From the first listing on, no build starts that follows none."""
    with store.engine.connect() as connection:
        assert (oldest_build_of(connection) or 0) < LISTINGS_BUILD
    add(store.engine, wanted())
    with store.engine.connect() as connection:
        assert oldest_build_of(connection) == LISTINGS_BUILD


@pytest.mark.parametrize("change", ["subject = 'eve'", "expire_us = NULL", "reason = 'x'"])
def test_a_listing_is_never_changed(store: SqlStore, change: str) -> None:
    """The database refuses to change or remove a listing, and to end it again."""
    add(store.engine, wanted()._replace(expire_us=START_US + 1))
    end(store.engine, 1)
    for statement in (
        f"UPDATE listings SET {change}",
        "UPDATE listings SET end_reason = 'y'",
        "DELETE FROM listings",
    ):
        with pytest.raises(DBAPIError), writing(store.engine) as connection:
            connection.execute(text(statement))


def test_the_verifier_sees_a_listing_that_no_act_made(store: SqlStore) -> None:
    """A listing that was added by SQL, ended by SQL or left out of the kinds is found."""
    engine = store.engine
    add(engine, wanted())
    with writing(engine) as connection:
        ended = {"end_us": START_US, "ended_by": "x"}
        connection.execute(update(t.listings).values(**ended))
    assert fault(engine).row == f"listings/{OPERATOR}/1"


def test_the_verifier_sees_a_missing_kind(store: SqlStore) -> None:
    """A removed row of the kinds, without which servers follow no listing, is found."""
    add(store.engine, wanted())
    with writing(store.engine) as connection:
        connection.execute(t.listing_kinds.delete())
    assert fault(store.engine).row == f"listing_kinds/{OPERATOR}/USER"


def test_a_kind_is_noted_once(store: SqlStore) -> None:
    """Only the first listing of a kind makes servers read the terms again."""
    engine = store.engine
    query = select(func.count()).select_from(t.terms_changes)
    add(engine, wanted())
    with engine.connect() as connection:
        before = connection.scalar(query)
    add(engine, wanted("ben"))
    with engine.connect() as connection:
        assert connection.scalar(query) == before
