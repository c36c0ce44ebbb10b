"""Rows that arrive as text: either the reader cuts the correct values out of them, or it raises
Doubt."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from service.books import groups, share
from service.books.columns import Codes, Kind, Maybe
from service.books.texts import Doubt, Names, Rows, read, readers
from service.books.verify import verify_books
from service.storage.database import open_database
from tests.fakes import Desk
from tests.storage.book import attack, live, relink

CODES: Codes = {"A": 0, "BB": 1, None: -1}
COLUMNS: dict[str, Kind | Codes] = {
    "count": Kind.NUMBER,
    "text": Kind.TEXT,
    "first": CODES,
    "second": CODES,
    "maybe": Kind.MAYBE,
    "last": Kind.AMOUNT,
}
"""Columns of every kind, two of them of names side by side."""


def cut(*rows: list[Any]) -> list[list[Any]]:
    """The rows as they are read out of their text; raises Doubt."""
    text = "".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) for row in rows)
    found = read(Rows(text, len(COLUMNS)), readers(COLUMNS))
    columns = [_values(found[name]) for name in COLUMNS]
    return [list(row) for row in zip(*columns, strict=True)]


def _values(column: Any) -> list[Any]:
    if isinstance(column, Maybe):
        pairs = zip(column.values.tolist(), column.there.tolist(), strict=True)
        return [value if there else None for value, there in pairs]
    return column.tolist() if hasattr(column, "tolist") else list(column)


def sound(chance: random.Random) -> list[Any]:
    """A row as it stands in sound books."""
    number = chance.choice((0, 9, 10, 99_999_999, 10**8, 1_700_000_000_000_000, 10**16 - 1))
    text = chance.choice(("", "x", "a-1", "A.b_c:d~e"))
    first, second = chance.choice(list(CODES)), chance.choice(list(CODES))
    maybe = chance.choice((None, 0, 7, number))
    return [number, text, first, second, maybe, chance.choice((0, 5, 12, 10**9))]


def coded(row: list[Any]) -> list[Any]:
    """The row with the codes of its names."""
    return [CODES[value] if place in (2, 3) else value for place, value in enumerate(row)]


@pytest.mark.parametrize("seed", range(20))
def test_sound_rows_are_read_as_they_are(seed: int) -> None:
    """Numbers up to 16 digits, texts, names and absent values are read without doubt."""
    chance = random.Random(seed)
    rows = [sound(chance) for _ in range(chance.randrange(12))]
    assert cut(*rows) == [coded(row) for row in rows]


STRANGE = (
    -1, 1.5, 1e300, 10**16, 10**20, None, True, "", "1", "None", "null", "a,b", "a]", "[", "],[",
    'a"b', "a\\b", "a\nb", "a\x00b", "ä", "C", "],[1,", "],,,,,[", "],[0,\"\",\"A\",\"A\",0,0",
)  # fmt: skip


@pytest.mark.parametrize("value", STRANGE)
@pytest.mark.parametrize("place", range(len(COLUMNS)))
def test_any_value_of_a_field_is_read_correctly_or_doubted(place: int, value: object) -> None:
    """No value of a field, of any type and content, is read as a different value."""
    rows = [sound(random.Random(seed)) for seed in range(3)]
    rows[1][place] = value
    try:
        found = cut(*rows)
    except Doubt:
        return
    assert found == [coded(row) for row in rows]
    assert [*map(type, found[1])] == [*map(type, coded(rows[1]))]


def test_names_side_by_side_are_looked_up_together() -> None:
    """A combination that was seen is not parsed again, and an unknown name is doubted each time."""
    names = Names({"first": CODES, "second": CODES})
    for _ in range(2):
        codes = names.read(Rows('["A","BB"]["A","BB"][null,"A"]', 2), 0)
        assert [codes["first"].tolist(), codes["second"].tolist()] == [[0, 0, -1], [1, 1, 0]]
        with pytest.raises(Doubt):
            names.read(Rows('["A","C"]', 2), 0)


@pytest.fixture
def undoubted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be read value by value."""

    def fail(*_: object) -> None:
        raise AssertionError("there was doubt")

    monkeypatch.setattr(share, "_verify_doubted", fail)


@pytest.mark.usefixtures("undoubted")
def test_sound_books_are_never_doubted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happens to people, their sound rows are read in bulk, on both databases."""
    live(desk)
    assert verify_books(desk.store.engine).fault is None
    monkeypatch.setattr(groups, "PORTION_BYTES", 1)
    assert verify_books(desk.store.engine).fault is None


@pytest.mark.usefixtures("undoubted")
def test_links_of_earlier_builds_are_read_in_bulk(lived_file: Path) -> None:
    """A line may begin with links of format 1 and continue with links of format 2."""
    with attack(lived_file) as connection:
        changed = connection.execute("UPDATE entries SET link_format = 1 WHERE sequence < 3")
        assert changed.rowcount > 5
        people = connection.execute("SELECT user_id, currency FROM lines").fetchall()
    for user_id, currency in people:
        relink(lived_file, user_id, currency)
    engine = open_database(f"sqlite:///{lived_file}")
    assert verify_books(engine).fault is None
    engine.dispose()


def test_only_doubted_people_are_read_value_by_value(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the people of a doubted portion are read again; all others are read in bulk."""
    live(desk)
    whole = verify_books(desk.store.engine)
    monkeypatch.setattr(groups, "PORTION_BYTES", 1)
    monkeypatch.setattr(groups, "GROUPS", 1)
    read_again: list[tuple[str | None, str | None]] = []
    verify_doubted, portion_of_groups = share._verify_doubted, groups.portion_of_groups

    def doubt_ben(taken: Any) -> Any:
        if any(row[0] == "ben" for rows in taken for row in rows):
            raise Doubt
        return portion_of_groups(taken)

    def note(connection: Any, it: share.Share, counts: Any) -> None:
        read_again.append((it.low, it.high))
        verify_doubted(connection, it, counts)

    monkeypatch.setattr(share, "portion_of_groups", doubt_ben)
    monkeypatch.setattr(share, "_verify_doubted", note)
    assert verify_books(desk.store.engine) == whole
    ((low, high),) = read_again
    assert low is None or low <= "ben"
    assert high is not None
    assert high > "ben"
