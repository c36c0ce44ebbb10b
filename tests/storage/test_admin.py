"""Setting up from the shell: operators, products, keys."""

from __future__ import annotations

import re
import sqlite3
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select

from service.domain.access import (
    OPERATOR_SCOPES,
    PLATFORM,
    PLATFORM_SCOPES,
    KeyScopes,
    Principal,
    Scope,
    hash_key,
    key_id_of,
    new_key,
)
from service.domain.errors import InvalidInput, NotFound, RequestIdReused
from service.engine.records.administration import KeyInfo
from service.storage import admin
from service.storage import schema as t
from service.storage.database import open_database, writing
from service.storage.keys import find_principal, list_keys
from service.storage.store import SqlStore
from tests.fakes import OPERATOR, START_US


@pytest.mark.parametrize("operator_id", ["a", "0", "city-bikes-2", "a" * 63, "a-", "a--b"])
def test_an_operators_id(store: SqlStore, operator_id: str) -> None:
    """An operator's id has lower-case letters, digits and hyphens, at most 63."""
    admin.create_operator(store.engine, operator_id, "Name", 0, START_US)
    assert operator_id in store.catalog().operators


@pytest.mark.parametrize(
    "operator_id",
    ["", "A", "a" * 64, "-a", "a_b", "a b", "a\n", "ä", "a/b", "a.b", PLATFORM],
)
def test_a_wrong_operators_id(store: SqlStore, operator_id: str) -> None:
    """Any other id is refused, and so is the platform's own name."""
    with pytest.raises(InvalidInput) as refused:
        admin.create_operator(store.engine, operator_id, "Name", 0, START_US)
    assert refused.value.violations[0].field == "operator_id"
    assert operator_id not in store.catalog().operators


def test_an_operator_is_created_once(store: SqlStore) -> None:
    """Creating an operator that exists is refused and changes nothing."""
    with pytest.raises(admin.OperatorExists) as refused:
        admin.create_operator(store.engine, OPERATOR, "Other name", 1, START_US)
    assert refused.value.metadata == {"operator": OPERATOR}
    assert store.catalog().operators[OPERATOR].name == "City"


def test_an_operator_is_created_once_for_a_request_id(store: SqlStore) -> None:
    """Creating an operator again with the same request id and content succeeds and changes nothing;
    other content is refused, and the refusal names the difference."""
    for _ in range(2):
        admin.create_operator(store.engine, "new", "New", 250, START_US, request_id="a-1")
    assert store.catalog().operators["new"].fee_bp == 250
    with pytest.raises(RequestIdReused) as refused:
        admin.create_operator(store.engine, "new", "New", 300, START_US, request_id="a-1")
    assert refused.value.metadata == {"field": "body"}
    with pytest.raises(RequestIdReused) as refused:
        admin.add_key(store.engine, new_key(), "new", START_US, request_id="a-1")
    assert refused.value.metadata == {"field": "method"}


def test_a_retry_is_answered_before_new_rules_for_ids(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repeated registration of an operator succeeds even when its id would be refused today."""
    admin.create_operator(store.engine, "new", "New", 250, START_US, request_id="a-1")
    monkeypatch.setattr(admin, "OPERATOR_ID", re.compile("[0-9]+"))
    admin.create_operator(store.engine, "new", "New", 250, START_US, request_id="a-1")
    with pytest.raises(InvalidInput):
        admin.create_operator(store.engine, "newer", "New", 250, START_US, request_id="a-2")


@pytest.mark.parametrize("operator_id", [OPERATOR, None])
def test_a_request_id_makes_one_key(store: SqlStore, operator_id: str | None) -> None:
    """A key made again with the same request id replaces the first key, because the first may not
    have arrived. A key made without a request id is an additional key."""
    lost, shown, other = new_key(), new_key(), new_key()
    admin.add_key(store.engine, other, operator_id, START_US)
    admin.add_key(store.engine, lost, operator_id, START_US, request_id="k-1")
    admin.add_key(store.engine, shown, operator_id, START_US + 1, request_id="k-1")
    known = [find_principal(store.engine, hash_key(key), START_US) for key in (lost, shown, other)]
    assert [principal is not None for principal in known] == [False, True, True]


def test_an_operator_starts_with_the_default_products(store: SqlStore) -> None:
    """A new operator has a bike, an umbrella and a power bank with a tariff for each."""
    admin.create_operator(store.engine, "new", "New", 250, START_US)
    catalog = store.catalog()
    mine = {product_id: p for (who, product_id), p in catalog.products.items() if who == "new"}
    assert {product_id: p.deposit_minor for product_id, p in mine.items()} == {
        "bike": 19_900, "umbrella": 5_900, "power-bank": 9_900,
    }  # fmt: skip
    assert {p.category for p in mine.values()} == {"BIKE", "UMBRELLA", "POWER_BANK"}
    assert all(p.tariff.buy_out_minor == p.deposit_minor for p in mine.values())
    assert catalog.operators["new"].fee_bp == 250


def test_the_defaults_are_written_once(store: SqlStore) -> None:
    """Installing the defaults again does not change limits or policies, even edited ones."""
    with store.engine.connect().execution_options(writes=True) as connection, connection.begin():
        connection.execute(t.limit_steps.update().values(limit_minor=1))
        connection.execute(t.policies.update().values(zero_from_score=900))
    before = store.catalog()
    admin.install_defaults(store.engine)
    assert store.catalog() == before
    assert {step.limit_minor for step in before.limit_steps["CNY"]} == {1}


def test_keys_have_the_scopes_of_their_owner(store: SqlStore) -> None:
    """An operator's key may work with authorizations, the platform's with everything else."""
    operators, platforms = new_key(), new_key()
    admin.add_key(store.engine, operators, OPERATOR, START_US)
    admin.add_key(store.engine, platforms, None, START_US)
    find = partial(find_principal, now_us=START_US)
    for key, operator_id, scopes in (
        (operators, OPERATOR, OPERATOR_SCOPES),
        (platforms, None, PLATFORM_SCOPES),
    ):
        key_hash = hash_key(key)
        principal = Principal(operator_id, scopes, key_id_of(key_hash))
        assert find(store.engine, key_hash) == principal
    assert find(store.engine, hash_key("fh_unknown")) is None
    assert find(store.engine, operators) is None


def test_a_key_with_a_removed_scope_goes_on(store: SqlStore) -> None:
    """A key with a removed scope keeps its other scopes."""
    key = new_key()
    admin.add_key(store.engine, key, OPERATOR, START_US)
    with writing(store.engine) as connection:
        connection.execute(t.api_keys.update().values(scopes="bikes.fly authorizations.read"))
    found = find_principal(store.engine, hash_key(key), START_US)
    assert found is not None
    assert found.scopes == {Scope.AUTHORIZATIONS_READ}


def test_the_list_of_keys_has_their_scopes(store: SqlStore) -> None:
    """The list of keys has each key's owner and scopes, the platform's first, and no key's text."""
    keys = [new_key() for _ in range(3)]
    for at, (key, owner) in enumerate(zip(keys, (OPERATOR, None, OPERATOR), strict=True)):
        admin.add_key(store.engine, key, owner, START_US + at)
    with writing(store.engine) as connection:
        old = t.api_keys.update().where(t.api_keys.c.key_hash == hash_key(keys[0]))
        connection.execute(old.values(scopes="bikes.fly authorizations.read"))
    admin.revoke_key(store.engine, keys[2], START_US + 9)
    platforms, first, second = list_keys(store.engine)
    none: frozenset[str] = frozenset()
    assert platforms == KeyInfo(
        key_id_of(hash_key(keys[1])),
        None,
        KeyScopes(PLATFORM_SCOPES, none, frozenset()),
        START_US + 1,
        None,
    )
    assert (first.key_id, first.operator_id) == (key_id_of(hash_key(keys[0])), OPERATOR)
    assert first.scopes == KeyScopes(
        frozenset({Scope.AUTHORIZATIONS_READ}),
        frozenset({"bikes.fly"}),
        frozenset(
            {
                *(Scope.AUTHORIZATIONS_WRITE, Scope.RETURNS_CLAIM),
                *(Scope.CASES_READ, Scope.CASES_WRITE, Scope.PROPOSALS_WRITE),
                *(Scope.TERMS_READ, Scope.QUOTES_READ),
                *(Scope.LISTINGS_READ, Scope.LISTINGS_WRITE),
            }
        ),
    )
    assert (second.scopes.granted, second.revoke_us) == (OPERATOR_SCOPES, START_US + 9)


def test_a_key_of_an_unknown_operator(store: SqlStore) -> None:
    """A key for an operator that does not exist is refused."""
    with pytest.raises(NotFound):
        admin.add_key(store.engine, new_key(), "nobody", START_US)


def test_a_revoked_key_is_unknown(store: SqlStore) -> None:
    """A revoked key gives no access, stays on record, and cannot be revoked again; the operator's
    other keys stay valid."""
    gone, stays = new_key(), new_key()
    for key in (gone, stays):
        admin.add_key(store.engine, key, OPERATOR, START_US)
    admin.revoke_key(store.engine, gone, START_US + 1)
    assert find_principal(store.engine, hash_key(gone), START_US) is None
    assert find_principal(store.engine, hash_key(stays), START_US) is not None
    with store.engine.connect() as connection:
        query = select(t.api_keys.c.revoke_us).where(t.api_keys.c.key_hash == hash_key(gone))
        assert connection.scalar(query) == START_US + 1
    for key in (gone, "fh_unknown"):
        with pytest.raises(NotFound) as refused:
            admin.revoke_key(store.engine, key, START_US + 2)
        assert key not in str(refused.value.metadata)


def test_a_keys_text_is_nowhere_in_the_file(file: Path) -> None:
    """Keys are stored as hashes: no byte sequence of the database's files is a key."""
    store = SqlStore(open_database(f"sqlite:///{file}"))
    key = new_key()
    admin.add_key(store.engine, key, OPERATOR, START_US)
    find_principal(store.engine, hash_key(key), START_US)
    admin.revoke_key(store.engine, key, START_US)
    sides = [path.read_bytes() for path in sorted(file.parent.iterdir())]
    store.close()
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    everything = b"".join([*sides, file.read_bytes()])
    assert hash_key(key).encode() in everything
    assert key.encode() not in everything
    assert key.removeprefix("fh_").encode() not in everything


def test_a_key_is_revoked_once_for_a_request_id(store: SqlStore) -> None:
    """A repeated revocation with the same request id succeeds; the same id for another key is
    refused."""
    keys = [new_key(), new_key()]
    for key in keys:
        admin.add_key(store.engine, key, None, START_US)
    for _ in range(2):
        admin.revoke_key(store.engine, keys[0], START_US + 1, request_id="r-1")
    assert find_principal(store.engine, hash_key(keys[0]), START_US) is None
    with pytest.raises(RequestIdReused):
        admin.revoke_key(store.engine, keys[1], START_US + 1, request_id="r-1")
    assert find_principal(store.engine, hash_key(keys[1]), START_US) is not None
