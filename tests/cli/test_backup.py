"""`freehold backup` and `freehold restore`, as an operator types them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.books.verify import verify_books
from service.storage.terms_acts import adopt
from tests.cli.test_commands import invoke, refused, shell
from tests.fakes import OPERATOR, START_US, Desk
from tests.storage.test_backup import PEOPLE, Writer, content, names, people_who_rented, plant
from tests.terms import BAD_POLICY, forget_documents_in
from tests.terms import plant as plant_terms

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def busy(file: Path) -> Iterator[Desk]:
    """People who have rented and can rent again."""
    desk = people_who_rented(f"sqlite:///{file}")
    yield desk
    desk.store.close()


def test_a_backup_beside_a_server_and_its_restore(busy: Desk, file: Path, tmp_path: Path) -> None:
    """`backup` copies a database during writes, and `restore` brings it back; both print the
    verification. The writer continues while another process makes the backup.
    """
    backup, target = tmp_path / "backup.db", tmp_path / "restored.db"
    writer = Writer(busy)
    with writer.at_work():
        writer.wait_for_more(20)
        before = len(writer.acknowledged)
        done = shell("backup", "--database", f"sqlite:///{file}", "--to", str(backup))
        assert len(writer.acknowledged) > before
    assert (done.returncode, done.stderr) == (0, "")
    counted, verdict, told = done.stdout.splitlines()
    assert counted.startswith(f"{len(PEOPLE)} lines, ")
    assert verdict == "books verified"
    assert told == f"sha256: {hashlib.sha256(backup.read_bytes()).hexdigest()}"
    again = shell("restore", "--from", str(backup), "--database", f"sqlite:///{target}")
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.splitlines() == [counted, verdict]
    assert content(target) == content(backup)


def test_a8_a_wrong_row_of_terms_is_a_warning(busy: Desk, file: Path, tmp_path: Path) -> None:
    """A8: if a product's policy is missing, `backup` exits with 0 and names the table and the row
    on standard error. The backup can be restored."""
    forget_documents_in(busy.store.engine)
    plant_terms(busy.store.engine, BAD_POLICY.replace("city'", "city' AND product_id = 'bike'"))
    to = str(tmp_path / "b.db")
    done = shell("backup", "--database", f"sqlite:///{file}", "--to", to)
    row = "products: city bike 1 names nothing 1 of policies, which is not there"
    assert (done.returncode, done.stderr) == (0, f"Warning: {row}\n")
    again = shell("restore", "--from", to, "--database", f"sqlite:///{tmp_path / 'r.db'}")
    assert (again.returncode, again.stderr) == (0, "")


def test_terms_that_differ_from_their_documents_are_a_warning(
    busy: Desk, file: Path, tmp_path: Path
) -> None:
    """If a product's row differs from its document, `backup` and `restore` exit with 0 and a
    warning, and a verification names the row. A fault in the books still comes first."""
    adopt(busy.store.engine, OPERATOR, START_US)
    plant_terms(
        busy.store.engine, "UPDATE products SET deposit_minor = 1 WHERE product_id = 'umbrella'"
    )
    database, to = f"sqlite:///{file}", str(tmp_path / "b.db")
    done = shell("backup", "--database", database, "--to", to)
    warning = "Warning: TERMS at products/city/umbrella/1: deposit_minor differs from its document"
    assert (done.returncode, done.stderr) == (0, f"{warning}; the books are right\n")
    assert "books verified" in done.stdout
    again = shell("restore", "--from", to, "--database", f"sqlite:///{tmp_path / 'r.db'}")
    assert (again.returncode, again.stderr) == (0, done.stderr)
    fault = verify_books(busy.store.engine).fault
    assert fault is not None
    assert (fault.rule, fault.row) == ("TERMS", "products/city/umbrella/1")
    plant(file)
    wrong = shell("backup", "--database", database, "--to", str(tmp_path / "w.db"))
    assert "BALANCE_STORED at lines/person-0/CNY" in refused(wrong)


def test_wrong_books_end_with_1_and_no_file(busy: Desk, file: Path, tmp_path: Path) -> None:
    """backup of wrong books exits with 1, names the row in one line, and leaves no file."""
    plant(file)
    done = shell("backup", "--database", f"sqlite:///{file}", "--to", str(tmp_path / "b.db"))
    assert "BALANCE_STORED at lines/person-0/CNY" in refused(done)
    assert names(tmp_path) == set()


def test_a_quick_backup_reports_the_check_left_out(busy: Desk, file: Path, tmp_path: Path) -> None:
    """`backup --quick` copies wrong books and reports that it did not verify them; `restore`
    refuses this backup."""
    plant(file)
    to, database = str(tmp_path / "quick.db"), f"sqlite:///{file}"
    done = shell("backup", "--database", database, "--to", to, "--quick")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("not checked: the books in the backup")
    assert "verified" not in done.stdout
    target = f"sqlite:///{tmp_path / 'target.db'}"
    assert "BALANCE_STORED" in refused(shell("restore", "--from", to, "--database", target))


def test_neither_command_overwrites(busy: Desk, file: Path, tmp_path: Path) -> None:
    """backup onto a file and restore onto a database are refused in one line each."""
    url, backup = f"sqlite:///{file}", tmp_path / "b.db"
    assert shell("backup", "--database", url, "--to", str(backup)).returncode == 0
    first = backup.read_bytes()
    assert "exists" in refused(shell("backup", "--database", url, "--to", str(backup)))
    assert backup.read_bytes() == first
    assert "exists" in refused(shell("restore", "--from", str(backup), "--database", url))


def test_a_full_target_leaves_nothing(busy: Desk, file: Path, tmp_path: Path) -> None:
    """backup to a full disk exits with 1 and one line, and leaves no file."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)); "
        "from service.cli import main; main()"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-c", code, "backup"),
            *("--database", f"sqlite:///{file}", "--to", str(tmp_path / "b.db")),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "proto")))},
    )
    assert "could not be copied" in refused(done)
    assert names(tmp_path) == set()


@pytest.mark.parametrize("command", [("backup", "--to"), ("restore", "--from")])
@pytest.mark.parametrize("bad", ["mysql://localhost/x", "no url at all", ""])
def test_a_bad_database_url_is_named(command: tuple[str, str], bad: str, tmp_path: Path) -> None:
    """An unusable database URL is refused with the option's name."""
    (tmp_path / "file").touch()
    name = "file" if command[0] == "restore" else "new"
    done = invoke(*command, str(tmp_path / name), "--database", bad)
    assert done.exit_code == 2
    assert "--database" in done.output


def test_help_names_the_options() -> None:
    """--help of both commands names their options."""
    for command, option in (("backup", "--to"), ("restore", "--from")):
        page = invoke(command, "--help")
        assert page.exit_code == 0
        assert option in page.output
        assert "--postgres-bin" in page.output
