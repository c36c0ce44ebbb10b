"""After any change of any row, the verifier finds the same fault as a row-by-row replay.

The replay knows no record of acts with its documents of terms, no budgets, no breakers, no quotas,
no lines that decisions saw, and no values that they have read. The verifier leaves these out here,
so that any other difference is seen; tests/storage/test_verify.py and test_terms.py plant faults in
them.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from sqlalchemy import Boolean, LargeBinary, String

from service.books import columns, groups, share, verify
from service.books.verify import verify_books
from service.domain.verification import BookFault
from service.rpc.stored import read_payload
from service.storage import schema as t
from service.storage.database import open_database
from tests.books import row_by_row
from tests.storage.book import KEYS, at, attack, copy_of, relink, seal

TABLES = (
    t.lines, t.entries, t.authorizations, t.outbox, t.payments, t.transfers, t.requests,
    t.captures, t.corrections, t.captures, t.corrections, t.attestations, t.attestations,
    t.aliases, t.aliases, t.authorization_details, t.lapses, t.unposted_dockings, t.consents,
    t.verdicts,
    t.later_decisions, t.refused_increments, t.refused_increments,
    t.sealed_heads, t.seals, t.operator_payables, t.open_items, t.decisions, t.users, t.products,
)  # fmt: skip
NUMBERS = (-1, 0, 1, 2, 99, 1 << 40, (1 << 62) + 1, -(1 << 62), (1 << 63) - 1)
SEEDS = range(400 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 8)
CHANGES = 12
"""The number of changes for each seed; each is made on a fresh copy."""


@pytest.fixture(scope="module")
def book(lived: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed book with every transition."""
    file = Path(shutil.copy(lived, tmp_path_factory.mktemp("book")))
    with at(file) as desk:
        seal(desk, max_heads=2)
        assert not desk.faults
    return copy_of(file, "sealed.db")


@pytest.fixture(autouse=True)
def _as_far_as_the_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the checks that the replay does not have."""
    no_terms = SimpleNamespace(compare=lambda _: None)
    monkeypatch.setattr(verify, "check_acts", lambda *_: no_terms)
    for module, check in (
        (verify, "check_budgets"),
        (verify, "check_breakers"),
        (share, "wrong_quota"),
        (share, "wrong_read_values"),
        (share, "wrong_line"),
    ):
        assert callable(getattr(module, check))
        monkeypatch.setattr(module, check, lambda *_: None)


class Change(NamedTuple):
    """One statement that changes the books, with its values."""

    statement: str
    values: tuple[object, ...] = ()


def changes(file: Path, seed: int) -> Iterator[Change]:
    """Random changes without end: another value, a value of another row, a deleted row, a doubled
    row."""
    chance = random.Random(seed)
    connection = sqlite3.connect(file)
    while True:
        table = chance.choice(TABLES)
        rows = connection.execute(f"SELECT * FROM {table.name} ORDER BY 1, 2").fetchall()
        if not rows:
            continue
        row, other = chance.choice(rows), chance.choice(rows)
        keys = [column.name for column in table.primary_key]
        names = [column.name for column in table.columns]
        where = " AND ".join(f"{key} = ?" for key in keys)
        key = tuple(row[names.index(name)] for name in keys)
        if chance.random() < 0.15:
            yield Change(f"DELETE FROM {table.name} WHERE {where}", key)
            continue
        place = chance.randrange(len(names))
        column = table.columns[names[place]]
        if chance.random() < 0.3:
            value: object = other[place]
        elif isinstance(column.type, Boolean):
            value = chance.choice((0, 1))
        elif isinstance(column.type, String):
            value = chance.choice(("", "x", "zoe", b"x", chance.choice(rows)[place]))
        elif isinstance(column.type, LargeBinary):
            value = chance.choice((b"", b"x", "x", bytes(32)))
        else:
            now = row[place] if isinstance(row[place], int) else 0
            near = (now + 1, now - 1)
            value = chance.choice((*NUMBERS, *near, *near, *near, None, "many", 1.5))
        if column.name in keys and chance.random() < 0.5:
            values = tuple(value if n == place else row[n] for n in range(len(names)))
            marks = ", ".join("?" * len(names))
            yield Change(f"INSERT OR REPLACE INTO {table.name} VALUES ({marks})", values)
        else:
            changed = f"UPDATE OR REPLACE {table.name} SET {column.name} = ? WHERE {where}"
            yield Change(changed, (value, *key))


def faults(file: Path) -> tuple[BookFault | None, BookFault | None]:
    """The verifier's fault, and the row-by-row replay's."""
    engine = open_database(f"sqlite:///{file}")
    try:
        bulk = verify_books(engine, KEYS).fault
        single = row_by_row.verify_books(engine, KEYS).fault
    finally:
        engine.dispose()
    return bulk, single


def named(fault: BookFault | None) -> tuple[str, str] | None:
    """The rule and the row of a fault."""
    return None if fault is None else (fault.rule, fault.row)


def _of_nobody(change: Change, fault: BookFault | None) -> bool:
    """Whether a row lost its person: it is found as unreadable, or as missing elsewhere."""
    nobody = "SET user_id" in change.statement and not isinstance(change.values[0], str)
    return nobody and fault is not None


def tried(book: Path, folder: Path, seed: int, *, links: bool) -> list[tuple[object, ...]]:
    """Makes the changes of a seed; returns those for which the two faults differ. With `links`,
    each person's hash chain is made anew after each change, so that it does not reveal the
    change."""
    differing: list[tuple[object, ...]] = []
    found = changes(book, seed)
    for _ in range(CHANGES):
        file = Path(shutil.copy(book, folder / "tampered.db"))
        change = next(found)
        try:
            with attack(file) as connection:
                if connection.execute(*change).rowcount < 1:
                    continue
        except (sqlite3.Error, OverflowError):
            continue
        if links:
            try:
                for user_id in ("ann", "ben", "cem"):
                    relink(file, user_id)
                with attack(file) as connection:
                    connection.execute("DELETE FROM sealed_heads")
                    connection.execute("DELETE FROM seals")
            except (TypeError, ValueError, KeyError):
                continue
        bulk, single = faults(file)
        if named(bulk) != named(single) and not _of_nobody(change, bulk):
            differing.append((change, bulk, single))
    return differing


@pytest.mark.parametrize("seed", SEEDS)
def test_any_change_is_found_as_by_a_replay(book: Path, tmp_path: Path, seed: int) -> None:
    """After any change of one row of any table, both verifiers name the same rule and the same
    row."""
    assert tried(book, tmp_path, seed, links=False) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_any_forged_change_is_found_as_by_a_replay(
    book: Path, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same holds when all links are made anew, and when people come in many small portions."""
    monkeypatch.setattr(columns, "BLOCK_VALUES", 120)
    monkeypatch.setattr(groups, "PORTION_BYTES", 1)
    assert tried(book, tmp_path, seed + 1_000, links=True) == []


BESIDE = (
    "aliases",
    "authorization_details",
    "cases",
    "lapses",
    "unposted_dockings",
    "later_decisions",
)


@pytest.mark.parametrize("table", BESIDE)
def test_any_removed_row_is_found_as_by_a_replay(book: Path, tmp_path: Path, table: str) -> None:
    """A step writes rows beside its authorization. After the removal of any such row and its
    evidence, both verifiers name the same rule and the same row."""
    with sqlite3.connect(book) as connection:
        names = [column.name for column in t.metadata.tables[table].primary_key]
        query = f"SELECT {', '.join(names)} FROM {table}"
        keys = connection.execute(query).fetchall()
    assert keys
    for key in keys:
        file = Path(shutil.copy(book, tmp_path / "tampered.db"))
        where = " AND ".join(f"{name} = ?" for name in names)
        with attack(file) as connection:
            connection.execute(f"DELETE FROM {table} WHERE {where}", key)
            if table == "cases":
                connection.execute(f"DELETE FROM case_evidence WHERE {where}", key)
        engine = open_database(f"sqlite:///{file}")
        try:
            bulk = verify_books(engine, KEYS, read_payload=read_payload).fault
            single = row_by_row.verify_books(engine, KEYS, payloads=True).fault
        finally:
            engine.dispose()
        assert bulk is not None, key
        assert named(bulk) == named(single), key
