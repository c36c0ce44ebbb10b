"""A flipped bit in any table or index of a SQLite file is found, or the file is not opened."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from service.storage import schema as t
from tests.books.test_any_column import fault_of, listed, whole_book
from tests.engine.model import Model
from tests.engine.soak import random_steps
from tests.fakes import new_database
from tests.storage.book import copy_of

COMMANDS = 300
FLIPS = 24 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 1
"""The bits that are flipped in the cells of each table and each index, one at a time; and as many
in the headers of their pages."""
LEAVES = {0x0D, 0x0A}
"""The first byte of a leaf's page, of a table and of an index (sqlite.org/fileformat2.html)."""
HEADER_BYTES, POINTER_BYTES = {0x0D: 8, 0x0A: 8, 0x05: 12, 0x02: 12}, 2


class Flip(NamedTuple):
    """One bit of a file: the table or index it belongs to, and its place."""

    name: str
    page: int
    byte: int
    bit: int


@pytest.fixture(scope="module", params=["every transition", "a random mix"])
def book(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database after every transition, or after many random commands; in one file."""
    folder = tmp_path_factory.mktemp("book")
    if request.param == "every transition":
        return whole_book(request.getfixturevalue("lived"), folder)
    file = folder / "mix.db"
    new_database(f"sqlite:///{file}").close()
    model = Model(f"sqlite:///{file}")
    try:
        for step in random_steps("a mix for bits"):
            model.do(step)
            if model.commands >= COMMANDS:
                break
    finally:
        model.close()
    return copy_of(file, "mixed.db")


def trees(file: Path) -> dict[str, list[int]]:
    """The pages of each table and index that has rows; the first page has number 1."""
    found: dict[str, list[int]] = {}
    with closing(sqlite3.connect(file)) as connection:
        query = "SELECT name, pageno FROM dbstat WHERE pagetype <> 'overflow' ORDER BY 1, 2"
        for name, page in connection.execute(query):
            found.setdefault(name, []).append(page)
    return found


class Page:
    """A page of a tree of rows or entries, as bytes of the file."""

    def __init__(self, content: bytes, number: int) -> None:
        self.size = int.from_bytes(content[16:18], "big")
        self.begin = (number - 1) * self.size
        self.header = self.begin + (100 if number == 1 else 0)
        self.kind = content[self.header]
        self.cells = int.from_bytes(content[self.header + 3 : self.header + 5], "big")
        self.array = self.header + HEADER_BYTES[self.kind]
        places = [
            int.from_bytes(content[at : at + POINTER_BYTES], "big")
            for at in range(self.array, self.array + POINTER_BYTES * self.cells, POINTER_BYTES)
        ]
        self.places = sorted(places)

    def cell(self, chance: random.Random) -> int:
        """The place of a byte in a cell."""
        index = chance.randrange(self.cells)
        ends = [*self.places[1:], self.size]
        # Cells grow from the end; 12 bytes are in each cell, whatever comes behind it.
        end = min(ends[index], self.places[index] + 12)
        return self.begin + chance.randrange(self.places[index], end)

    def head(self, chance: random.Random) -> int:
        """The place of a byte in the page's header or in its array of cells."""
        return chance.randrange(self.header, self.array + POINTER_BYTES * self.cells)


def flips(file: Path, seed: str) -> Iterator[Flip]:
    """Bits of every table and index that has rows, in cells and in the headers of pages."""
    content, chance = file.read_bytes(), random.Random(seed)
    for name, numbers in trees(file).items():
        pages = [page for page in (Page(content, it) for it in numbers) if page.cells]
        for _ in range(FLIPS if pages else 0):
            leaf = chance.choice([page for page in pages if page.kind in LEAVES])
            yield Flip(name, leaf.begin // leaf.size + 1, leaf.cell(chance), chance.randrange(8))
            page = chance.choice(pages)
            yield Flip(name, page.begin // page.size + 1, page.head(chance), chance.randrange(8))


def flipped(file: Path, to: Path, flip: Flip) -> Path:
    """A copy of the file with this bit flipped."""
    shutil.copy(file, to)
    with to.open("r+b") as copy:
        copy.seek(flip.byte)
        (byte,) = copy.read(1)
        copy.seek(flip.byte)
        copy.write(bytes([byte ^ 1 << flip.bit]))
    return to


def differing(one: Path, other: Path) -> set[tuple[str, str]]:
    """The columns of which a value differs between two files; a table of which the number of rows
    differs has all its columns in it."""
    found: set[tuple[str, str]] = set()
    for table in t.metadata.sorted_tables:
        names = [column.name for column in table.columns]
        rows = []
        for file in (one, other):
            with closing(sqlite3.connect(file)) as connection:
                connection.text_factory = bytes
                query = f"SELECT rowid, {', '.join(names)} FROM {table.name} NOT INDEXED"
                rows.append(connection.execute(f"{query} ORDER BY rowid").fetchall())
        if [row[0] for row in rows[0]] != [row[0] for row in rows[1]]:
            found |= {(table.name, name) for name in names}
            continue
        for first, second in zip(*rows, strict=True):
            pairs = zip(names, first[1:], second[1:], strict=True)
            found |= {(table.name, name) for name, before, after in pairs if before != after}
    return found


def means_the_same(one: Path, other: Path) -> bool:
    """Whether the texts of two files' schemas differ at most in capital letters."""
    texts = []
    for file in (one, other):
        with closing(sqlite3.connect(file)) as connection:
            rows = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name")
            texts.append([(name, (sql or "").upper()) for name, sql in rows])
    return texts[0] == texts[1]


def test_a_flipped_bit_is_found(book: Path, tmp_path: Path) -> None:
    """A bit is flipped in a cell, and one in the header of a page, of each table and each index
    that has rows. Each flip makes the file refused, or is found by the verifier, or changes only
    values of columns that the README lists, or changes nothing that anybody reads."""
    # The random model's answers are not the contract's.
    answers = book.name != "mixed.db"
    assert fault_of(book, answers=answers) is None
    columns, tried, unseen, seen = listed(), set(), [], 0
    for flip in flips(book, book.name):
        tried.add(flip.name)
        file = flipped(book, tmp_path / "flipped.db", flip)
        if fault_of(file, answers=answers) is not None:
            seen += 1
        elif not (differing(book, file) <= columns and means_the_same(book, file)):
            unseen.append((flip, sorted(differing(book, file))))
        for beside in ("-wal", "-shm"):
            Path(f"{file}{beside}").unlink(missing_ok=True)
    assert unseen == []
    assert seen > len(tried)
    known = {table.name for table in t.metadata.sorted_tables}
    assert not answers or known <= tried
