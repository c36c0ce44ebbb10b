"""A seal as a starting point: later changes are verified, and the output says what was not
checked."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from service.books.verify import WitnessMissing, verify_books
from service.cli import cli
from service.domain.access import PLATFORM
from service.domain.verification import Verification, Witness
from service.engine import operations as c
from service.engine.records.seals import SealRecord
from service.storage.database import open_database
from tests.engine import acts
from tests.engine.calls import authorize, pay, rental, settle
from tests.fakes import Desk, new_database
from tests.storage.book import (
    KEYS,
    at,
    copy_of,
    live,
    real_answers,
    seal,
    tamper,
    witness,
)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[SealRecord]]:
    """The file of a sealed book, in which Cem rents once more after the last seal, and its
    seals."""
    file = tmp_path_factory.mktemp("book") / "book.db"
    new_database(f"sqlite:///{file}").close()
    with at(file) as desk:
        live(desk)
        # Only the last event is Zoe's, so the last seal covers all events.
        desk.put_user("zoe", 700)
        rental(desk, authorize("zoe"))
        seals = seal(desk, max_heads=2)
        desk.do(c.SetLimit("cem", acts.money(300_000)), caller=PLATFORM)
        rental(desk, pay(rental(desk, settle(rental(desk, authorize("cem")), 500)), 500),
               caller=PLATFORM)  # fmt: skip
    return copy_of(file, "whole.db"), seals


@pytest.fixture
def file(book: tuple[Path, list[SealRecord]], tmp_path: Path) -> Path:
    """A copy of the book."""
    return Path(shutil.copy(book[0], tmp_path / "book.db"))


@pytest.fixture
def sealed(book: tuple[Path, list[SealRecord]]) -> list[SealRecord]:
    """The seals of the book."""
    return book[1]


def lines_of(file: Path) -> int:
    """The number of lines of the book."""
    with sqlite3.connect(file) as connection:
        (number,) = connection.execute("SELECT count(*) FROM lines").fetchone()
    connection.close()
    return int(number)


def since(file: Path, start: SealRecord, *others: Witness) -> Verification:
    """The result of a verification from a noted seal on."""
    engine = open_database(f"sqlite:///{file}")
    try:
        noted = [witness(start), *others]
        return verify_books(engine, KEYS, noted, since=start.number)
    finally:
        engine.dispose()


def test_only_changed_people_are_checked(file: Path, sealed: list[SealRecord]) -> None:
    """From the last seal on only Cem's line is verified, and the output says what was not
    checked."""
    found = since(file, sealed[-1])
    assert found.fault is None
    assert found.lines == 1
    assert found.unchecked[0].startswith(
        f"{lines_of(file) - 1} lines have the heads of seal {sealed[-1].number}, and"
    )
    assert any("operators' balances" in it for it in found.unchecked)


def test_all_people_changed_since_an_early_seal_are_checked(
    file: Path, sealed: list[SealRecord]
) -> None:
    """From an early seal on, every person with a later event is verified."""
    found = since(file, sealed[0])
    assert found.fault is None
    assert found.lines == lines_of(file) > 10
    assert found.unchecked[0].startswith("0 lines have the heads of seal 1, and")
    assert found.seals == len(sealed)


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("UPDATE lines SET held_minor=held_minor+1 WHERE user_id='cem'", "LIMIT_IS_THE_SUM"),
        ("UPDATE lines SET head=x'00' WHERE user_id='ann'", "HEAD_STORED"),
        ("UPDATE lines SET version=version-1 WHERE user_id='ann'", "ENTRY_MISSING"),
        ("DELETE FROM lines WHERE user_id='ann'", "ENTRY_WITHOUT_LINE"),
        ("UPDATE entries SET amount_minor=amount_minor+1 WHERE user_id='cem' AND sequence=1",
         "BALANCE_AFTER"),
        ("UPDATE sealed_heads SET head=x'00' WHERE user_id='cem'", "SEAL_DIGEST"),
        ("UPDATE seals SET signature=zeroblob(64) WHERE number={last}", "SEAL_SIGNATURE"),
        ("UPDATE authorizations SET captured_minor=501 WHERE user_id='cem' AND captured_minor=500",
         "AUTHORIZATION_AMOUNT"),
        ("UPDATE payments SET amount_minor=amount_minor+1 WHERE user_id='cem'", "PAYMENTS"),
        ("DELETE FROM requests WHERE user_id='cem' AND method='RecordPayment'", "REQUESTS"),
    ],
)  # fmt: skip
def test_faults_of_changed_people_are_found(
    file: Path, sealed: list[SealRecord], statement: str, rule: str
) -> None:
    """A change of a person who has entries after the seal is found, and so is a changed head of any
    other person."""
    tamper(file, statement.format(last=sealed[-1].number))
    fault = since(file, sealed[-1]).fault
    assert fault is not None
    assert fault.rule == rule


def test_unchanged_people_are_not_checked(file: Path, sealed: list[SealRecord]) -> None:
    """An old payment of Ann is not read, and the output says so."""
    tamper(file, "UPDATE payments SET amount_minor=amount_minor+1 WHERE payment_reference='p-1'")
    found = since(file, sealed[-1])
    assert found.fault is None
    assert "were not read" in found.unchecked[0]


def test_a_seal_without_a_witness_is_no_starting_point(
    file: Path, sealed: list[SealRecord]
) -> None:
    """A seal without a noted digest is refused, with one line that has the remedy."""
    engine = open_database(f"sqlite:///{file}")
    with pytest.raises(WitnessMissing, match="--witness 1:DIGEST"):
        verify_books(engine, KEYS, [witness(sealed[-1])], since=1)
    engine.dispose()


def test_a_witness_with_another_digest_is_a_fault(file: Path, sealed: list[SealRecord]) -> None:
    """A witness that differs from the database is a fault at the seal."""
    other = sealed[-1]._replace(digest=bytes(32))
    fault = since(file, other).fault
    assert fault is not None
    assert (fault.rule, fault.row) == ("SEAL_WITNESS", f"seals/{other.number}")


def test_a_missing_starting_point_is_a_fault(file: Path, sealed: list[SealRecord]) -> None:
    """A starting point that the database no longer has is a fault."""
    last = sealed[-1].number
    tamper(file, f"DELETE FROM seals WHERE number={last}",
           f"DELETE FROM sealed_heads WHERE number={last}")  # fmt: skip
    fault = since(file, sealed[-1]).fault
    assert fault is not None
    assert (fault.rule, fault.row) == ("SEAL_MISSING", f"seals/{last}")


def test_a_starting_point_on_both_databases(desk: Desk) -> None:
    """On PostgreSQL and on SQLite, a verification since a seal checks the same people."""
    live(desk)
    start = seal(desk)[-1]
    rental(desk, authorize("cem", "umbrella"))
    found = verify_books(desk.store.engine, KEYS, [witness(start)], since=start.number)
    assert (found.fault, found.lines) == (None, 1)


# -- the command ----------------------------------------------------------------------------------


def test_the_command_prints_the_checks_left_out(
    file: Path, sealed: list[SealRecord], tmp_path: Path
) -> None:
    """verify --since-seal takes the witness from a file, and prints what it did not check."""
    real_answers(file)
    start = sealed[-1]
    noted = tmp_path / "witness"
    noted.write_text(f"{start.number}:{start.digest.hex()}\n")
    words = ["verify", "--database", f"sqlite:///{file}", "--since-seal", str(start.number)]
    done = CliRunner().invoke(cli, [*words, "--witness", str(noted)])
    assert done.exit_code == 0, done.output
    assert f"not checked: {lines_of(file) - 1} lines have the heads" in done.output
    assert "books verified" not in done.output
    refused = CliRunner().invoke(cli, words)
    assert isinstance(refused.exception, WitnessMissing)


@pytest.mark.parametrize("value", ["1:00", "0:" + "0" * 64, "nowhere"])
def test_an_unreadable_witness(file: Path, value: str) -> None:
    """A witness is NUMBER:DIGEST, or a file of such lines."""
    done = CliRunner().invoke(
        cli, ["verify", "--database", f"sqlite:///{file}", "--witness", value]
    )
    assert done.exit_code == 2
    assert "NUMBER:DIGEST" in done.output
