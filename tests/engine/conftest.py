"""Engines with a database that is verified after every test on SQLite, and after one in eight on
PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from zlib import crc32

import pytest

from service.books.verify import verify_books
from service.rpc.stored import read_payload
from service.storage.store import SqlStore
from tests.conftest import Databases
from tests.engine.faults import FaultyStore
from tests.fakes import Desk


def verified(request: pytest.FixtureRequest, store: SqlStore) -> bool:
    """Whether the books are correct after this test.

    The same test's books on SQLite are always verified. On PostgreSQL a verification takes as much
    CPU time as most tests do, so there it follows one test in eight, chosen by name.
    """
    if store.engine.dialect.name == "postgresql" and crc32(request.node.nodeid.encode()) % 8:
        return True
    return verify_books(store.engine, read_payload=read_payload).fault is None


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    """The URL of a database like a fresh one, of which a test of rules changes only rows."""
    made = databases.lend()
    yield made
    databases.drop(made)


@pytest.fixture
def store(url: str, databases: Databases) -> Iterator[SqlStore]:
    """A fresh database with two operators, on connections that stay open."""
    opened = SqlStore(databases.engine(url))
    yield opened
    opened.close()


@pytest.fixture
def desk(store: SqlStore, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """An engine on a fresh database, where Ann scores 700, Ben 550 and Cem 450."""
    made = Desk(store)
    made.put_users(ann=700, ben=550, cem=450)
    yield made
    assert verified(request, store)


@pytest.fixture
def faulty(url: str, databases: Databases, request: pytest.FixtureRequest) -> Iterator[FaultyStore]:
    """A store that fails on request."""
    store = FaultyStore(databases.engine(url))
    yield store
    assert verified(request, store)
    store.close()


@pytest.fixture
def shaky(faulty: FaultyStore) -> Desk:
    """An engine on a store that fails on request; Ann scores 700."""
    made = Desk(faulty)
    made.put_user("ann", 700)
    faulty.transactions = 0
    return made
