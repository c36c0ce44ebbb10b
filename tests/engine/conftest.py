"""Engines with a database that is verified after every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.books.verify import verify_books
from service.rpc.stored import read_payload
from service.storage.store import SqlStore
from tests.conftest import Databases
from tests.engine.faults import FaultyStore
from tests.fakes import Desk


@pytest.fixture
def store(url: str, databases: Databases) -> Iterator[SqlStore]:
    """A fresh database with two operators, on reused sessions."""
    opened = SqlStore(databases.engine(url))
    yield opened
    opened.close()


@pytest.fixture
def desk(store: SqlStore) -> Iterator[Desk]:
    """An engine on a fresh database, where Ann scores 700, Ben 550 and Cem 450."""
    made = Desk(store)
    made.put_users(ann=700, ben=550, cem=450)
    yield made
    assert verify_books(store.engine, read_payload=read_payload).fault is None


@pytest.fixture
def faulty(url: str, databases: Databases) -> Iterator[FaultyStore]:
    """A store that fails on request."""
    store = FaultyStore(databases.engine(url))
    yield store
    assert verify_books(store.engine, read_payload=read_payload).fault is None
    store.close()


@pytest.fixture
def shaky(faulty: FaultyStore) -> Desk:
    """An engine on a store that fails on request; Ann scores 700."""
    made = Desk(faulty)
    made.put_user("ann", 700)
    faulty.transactions = 0
    return made
