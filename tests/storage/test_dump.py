"""Backups of PostgreSQL: one verified snapshot, made with PostgreSQL's own tools, restored into an
empty database."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from benchmarks.postgres import pinned_programs
from service.books.verify import verify_books
from service.config import LIMITS
from service.domain.verification import Verification
from service.storage import schema as t
from service.storage.backup import back_up, restore
from service.storage.database import open_database
from service.storage.migrate import is_current
from service.storage.postgres import postgres_bounds
from service.storage.proof import BackupRefused
from tests.fakes import Desk
from tests.postgres import OLDEST, Cluster, major_of, major_of_pinned, other_programs
from tests.storage.test_backup import (
    PEOPLE,
    Writer,
    names,
    overwrite,
    people_who_rented,
    refusal,
)
from tests.storage.test_earlier_builds import earlier_database
from tests.terms import BAD_POLICY, forget_documents_in
from tests.terms import plant as plant_terms

NOTHING = hashlib.sha256(b"").hexdigest()
OTHERS = other_programs()
MAJORS = ["pinned", *sorted({OLDEST, *OTHERS} - {major_of_pinned()})]
PINNED = pytest.mark.parametrize("cluster", ["pinned"], indirect=True, scope="module")
"""For tests whose rule does not depend on the version of the server and its tools."""


@pytest.fixture(scope="module", params=MAJORS)
def cluster(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Cluster]:
    """The tests' PostgreSQL, and one server of each other major version on this machine."""
    if request.param == "pinned":
        yield cluster
        return
    if request.param not in OTHERS:
        pytest.skip(f"no PostgreSQL {request.param} on this machine: apt-get install postgresql-15")
    with Cluster(programs=OTHERS[request.param]) as started:
        yield started


@pytest.fixture(scope="module")
def programs(cluster: Cluster) -> Path:
    """The folder of the server's own programs, for `--postgres-bin`."""
    found = cluster.admin.execute("SELECT setting FROM pg_config() WHERE name = 'BINDIR'")
    return Path(str(found.fetchone()[0]))  # type: ignore[index]


@pytest.fixture
def source(cluster: Cluster) -> str:
    return cluster.url(cluster.fresh())


@pytest.fixture
def target(cluster: Cluster) -> str:
    return cluster.url(cluster.empty())


@pytest.fixture
def busy(source: str) -> Iterator[Desk]:
    """People who have rented and can rent again."""
    desk = people_who_rented(source)
    yield desk
    desk.store.close()


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    engine = open_database(url)
    try:
        yield engine
    finally:
        engine.dispose()


def stored_requests(url: str) -> set[str]:
    with opened(url) as engine, engine.connect() as connection:
        return set(connection.scalars(text("SELECT request_id FROM requests")))


def content(url: str) -> dict[str, list[Any]]:
    """Every row of every table, sorted."""
    with opened(url) as engine, engine.connect() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(table.select())))
            for table in t.metadata.sorted_tables
        }


def relations(url: str) -> int:
    with opened(url) as engine, engine.connect() as connection:
        count = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        return int(connection.scalar(text(count)) or 0)


def plant(url: str) -> None:
    """Stores a balance that is not the sum of the entries."""
    change = (
        "UPDATE lines SET limit_minor = limit_minor + 1, available_minor = available_minor + 1 "
        "WHERE user_id = 'person-0'"
    )
    with opened(url) as engine, engine.begin() as connection:
        assert connection.execute(text(change)).rowcount == 1


def test_a_dump_under_load_is_one_moment(
    busy: Desk, source: str, target: str, programs: Path, tmp_path: Path
) -> None:
    """A dump taken during writes has every call that was answered before the dump, and only whole
    transactions. Once restored, it has exactly the rows that the verification of its snapshot read,
    and its books verify.
    """
    writer = Writer(busy)
    with writer.at_work():
        writer.wait_for_more(20)
        before = set(writer.acknowledged)
        made = back_up(source, tmp_path / "books.dump", postgres_bin=programs)
        assert len(writer.acknowledged) > len(before)
    assert made.books.fault is None
    assert restore(made.path, target, postgres_bin=programs) == made.books
    kept = stored_requests(target)
    assert before <= kept <= stored_requests(source)
    # Each transaction of the writer has two requests: a dump has both or neither.
    assert (len(kept) - len(PEOPLE)) % 2 == 0


def test_a_round_trip_changes_nothing(
    busy: Desk, source: str, target: str, programs: Path, tmp_path: Path
) -> None:
    """A restored database has the same rows as the backed up one, and serves calls."""
    made = back_up(source, tmp_path / "books.dump", postgres_bin=programs)
    assert names(tmp_path) == {"books.dump", "books.dump.sha256"}
    restore(made.path, target, postgres_bin=programs)
    assert content(target) == content(source)
    assert relations(target) == relations(source)
    with opened(target) as engine:
        assert verify_books(engine) == made.books


@PINNED
def test_wrong_books_make_no_dump(busy: Desk, source: str, programs: Path, tmp_path: Path) -> None:
    """A database with wrong books is not backed up: the row is named and no file is left."""
    plant(source)
    with pytest.raises(BackupRefused, match="BALANCE_STORED at lines/person-0/CNY"):
        back_up(source, tmp_path / "books.dump", postgres_bin=programs)
    assert names(tmp_path) == set()


@PINNED
def test_a_damaged_dump_is_refused(
    busy: Desk, source: str, target: str, programs: Path, tmp_path: Path
) -> None:
    """A changed or truncated dump is refused before the database is touched."""
    made = back_up(source, tmp_path / "books.dump", postgres_bin=programs)
    whole = made.path.read_bytes()
    overwrite(made.path, len(whole) // 2, bytes([whole[len(whole) // 2] ^ 1]))
    assert refusal(lambda: restore(made.path, target, postgres_bin=programs)) == "BACKUP_DAMAGED"
    made.path.write_bytes(whole[:-100])
    assert refusal(lambda: restore(made.path, target, postgres_bin=programs)) == "BACKUP_DAMAGED"
    assert relations(target) == 0


def test_a_truncated_dump_restores_nothing(
    busy: Desk, source: str, target: str, programs: Path, tmp_path: Path
) -> None:
    """A truncated dump whose sum was made anew fails completely: the database stays empty."""
    made = back_up(source, tmp_path / "books.dump", postgres_bin=programs)
    cut = made.path.read_bytes()[: made.path.stat().st_size * 2 // 3]
    made.path.write_bytes(cut)
    anew = hashlib.sha256(cut).hexdigest()
    with pytest.raises(BackupRefused) as caught:
        restore(made.path, target, sha256=anew, postgres_bin=programs)
    assert caught.value.reason == "TOOL_FAILED"
    assert relations(target) == 0


@PINNED
def test_a_wrong_balance_in_a_dump_is_named(
    busy: Desk, source: str, target: str, programs: Path, tmp_path: Path
) -> None:
    """A restore of wrong books reports that they must not be served, and names the row."""
    plant(source)
    dump = tmp_path / "by-hand.dump"
    address = busy.store.engine.url.render_as_string().replace("+psycopg", "")
    words = [str(programs / "pg_dump"), "--format=custom", f"--file={dump}", address]
    subprocess.run(words, check=True)
    anew = hashlib.sha256(dump.read_bytes()).hexdigest()
    with pytest.raises(
        BackupRefused, match="do not serve from the restored database: BALANCE_STORED at lines/"
    ):
        restore(dump, target, sha256=anew, postgres_bin=programs)


@PINNED
def test_a_restore_needs_an_empty_database(
    busy: Desk, source: str, programs: Path, tmp_path: Path
) -> None:
    """A restore does not touch a database that has tables."""
    made = back_up(source, tmp_path / "books.dump", postgres_bin=programs)
    before = content(source)
    assert (
        refusal(lambda: restore(made.path, source, postgres_bin=programs)) == "DATABASE_NOT_EMPTY"
    )
    assert content(source) == before


@PINNED
def test_the_password_is_on_no_command_line(
    busy: Desk, source: str, target: str, programs: Path, tmp_path: Path
) -> None:
    """PostgreSQL's tools get the URL's password, but not on their command line, which everyone may
    read."""
    folder, seen = tmp_path / "bin", tmp_path / "seen"
    folder.mkdir()
    for name in ("pg_dump", "pg_restore"):
        tool = folder / name
        tool.write_text(
            "#!/bin/sh\n"
            f'echo "{name} password=$PGPASSWORD: $*" >> {shlex.quote(str(seen))}\n'
            f'exec {shlex.quote(str(programs / name))} "$@"\n'
        )
        tool.chmod(0o755)
    secret = "s3cret-with-ü and space"
    with_secret = [
        open_database(url).url.set(password=secret).render_as_string(hide_password=False)
        for url in (source, target)
    ]
    made = back_up(with_secret[0], tmp_path / "books.dump", postgres_bin=folder)
    restore(made.path, with_secret[1], postgres_bin=folder)
    lines = seen.read_text().splitlines()
    connecting = [line for line in lines if "--dbname" in line]
    assert [line.split()[0] for line in connecting] == ["pg_dump", "pg_restore"]
    for line in lines:
        told, _, words = line.partition(": ")
        assert secret not in words
        assert (line in connecting) is (secret in told)


@PINNED
@pytest.mark.parametrize("failing", ["pg_dump", "pg_restore"])
def test_a_failing_tool_leaves_nothing(
    failing: str, busy: Desk, source: str, programs: Path, tmp_path: Path
) -> None:
    """When one of PostgreSQL's tools fails, its own line is shown and no file is left."""
    folder, to = tmp_path / "bin", tmp_path / "to"
    folder.mkdir()
    to.mkdir()
    for name in ("pg_dump", "pg_restore"):
        os.symlink(programs / name, folder / name)
    (folder / failing).unlink()
    (folder / failing).write_text(
        "#!/bin/sh\n"
        f'[ "$1" = --version ] && exec {shlex.quote(str(programs / failing))} --version\n'
        f"echo '{failing}: error: no' >&2\nexit 1\n"
    )
    (folder / failing).chmod(0o755)
    with pytest.raises(BackupRefused, match=f"^{failing}: error: no$"):
        back_up(source, to / "books.dump", postgres_bin=folder)
    assert names(to) == set()


def test_a_missing_tool_is_named(source: str, tmp_path: Path) -> None:
    """Without PostgreSQL's tools, the refusal names the places where they were searched."""
    with pytest.raises(BackupRefused, match=f"are needed.*none in {tmp_path}: give --postgres-bin"):
        back_up(source, tmp_path / "books.dump", postgres_bin=tmp_path)
    assert names(tmp_path) == set()


def test_a_dump_of_an_earlier_build_is_brought_up_to_date(
    cluster: Cluster, target: str, programs: Path, tmp_path: Path
) -> None:
    """A dump with an earlier schema is restored and verified in the current schema, with its
    content."""
    url, backup = cluster.url(cluster.empty()), tmp_path / "earlier.dump"
    earlier_database(url, "6882bc2")
    address = url.replace("+psycopg", "")
    words = [str(programs / "pg_dump"), "--format=custom", f"--file={backup}", address]
    subprocess.run(words, check=True)
    sha256 = hashlib.sha256(backup.read_bytes()).hexdigest()
    books = restore(backup, target, sha256=sha256, postgres_bin=programs)
    assert (books.authorizations, books.fault) == (3, None)
    with opened(target) as engine:
        assert is_current(engine)
    assert stored_requests(target) == stored_requests(url)


# -- versions --------------------------------------------------------------------------------------


def test_a20_the_tools_of_the_servers_version_are_found(
    busy: Desk,
    source: str,
    target: str,
    programs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A20: without --postgres-bin the tools of the server's own version are used, even when other
    versions come first in PATH; the dump restores."""
    folders = [*OTHERS.values(), pinned_programs(), programs]
    monkeypatch.setenv("PATH", os.pathsep.join([*map(str, folders), os.environ["PATH"]]))
    made = back_up(source, tmp_path / "books.dump")
    assert restore(made.path, target) == made.books


def test_a20_tools_get_only_options_they_know(
    busy: Desk, source: str, programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A20: PostgreSQL's tools get the URL's options and the time limit, but not the defaults of the
    driver's own library ("invalid connection option")."""
    folder, seen = tmp_path / "bin", tmp_path / "seen"
    folder.mkdir()
    for name in ("pg_dump", "pg_restore"):
        tool = folder / name
        tool.write_text(
            f'#!/bin/sh\necho "$*" >> {shlex.quote(str(seen))}\n'
            f'exec {shlex.quote(str(programs / name))} "$@"\n'
        )
        tool.chmod(0o755)
    back_up(f"{source}&sslmode=disable", tmp_path / "books.dump", postgres_bin=folder)
    (line,) = (it for it in seen.read_text().splitlines() if "--dbname" in it)
    told = dict(re.findall(r"(\w+)=(\S*)", line.partition("--dbname=")[2]))
    assert told.pop("sslmode") == "disable"
    assert set(told) == {"host", "port", "dbname", "user", *postgres_bounds(LIMITS.postgres)}


def restored(backup: Path, url: str, programs: Path) -> Verification | BackupRefused:
    """The restore's output."""
    try:
        return restore(backup, url, postgres_bin=programs)
    except BackupRefused as refused:
        return refused


def test_a20_a_backup_of_an_older_server_restores_into_a_newer_one(
    busy: Desk, source: str, programs: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A20: a dump restores into every newer PostgreSQL. An older PostgreSQL that cannot read the
    dump refuses it with one clear line, and stays empty."""
    made = back_up(source, tmp_path / "books.dump", postgres_bin=programs)
    mine = int(major_of(programs))
    for major, folder in {**OTHERS, major_of_pinned(): pinned_programs()}.items():
        if int(major) == mine:
            continue
        with Cluster(programs=folder) as other:
            url = other.url(other.empty())
            found = restored(made.path, url, folder)
            if isinstance(found, BackupRefused):
                assert int(major) < mine
                assert "was made by a newer PostgreSQL" in found.message
                assert relations(url) == 0
            else:
                assert found == made.books


def test_a20_tools_of_another_version_are_refused(
    source: str, programs: Path, tmp_path: Path
) -> None:
    """A20: tools of another major version than the server's are not used. The refusal names the
    needed version, and the versions that were found, with their places."""
    (tmp_path / "any").touch()
    for number in (14, 19):
        for name in ("pg_dump", "pg_restore"):
            tool = tmp_path / name
            tool.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {number}.3 (Debian)'\n")
            tool.chmod(0o755)
        needed = f"pg_dump and pg_restore {major_of(programs)} are needed, as the server is "
        with pytest.raises(BackupRefused, match=needed) as caught:
            back_up(source, tmp_path / "books.dump", postgres_bin=tmp_path)
        assert f"found {number}.3 in {tmp_path}: give --postgres-bin FOLDER" in caught.value.message
        with pytest.raises(BackupRefused, match=needed):
            restore(tmp_path / "any", source, sha256=NOTHING, postgres_bin=tmp_path)
    assert names(tmp_path) == {"pg_dump", "pg_restore", "any"}


def test_a8_a_dangling_row_is_reported_before_the_dump(
    busy: Desk, target: str, programs: Path, tmp_path: Path
) -> None:
    """A8: if a row breaks a key of the database by referring to a missing row, a backup stops with
    one line, because a restore would fail. If the database has no such key, the backup is made with
    a warning and can be restored."""
    engine, url = busy.store.engine, busy.store.engine.url.render_as_string(hide_password=False)
    forget_documents_in(engine)
    plant_terms(engine, BAD_POLICY)
    row = "products: city [a-z-]+ 1 names nothing 1 of policies, which is not there"
    with pytest.raises(BackupRefused, match=f"^{row}: .*delete it") as caught:
        back_up(url, tmp_path / "b.dump", postgres_bin=programs)
    assert caught.value.reason == "TERMS_DANGLE"
    assert names(tmp_path) == set()
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE products DROP CONSTRAINT fk_products_policy_id"))
    made = back_up(url, tmp_path / "b.dump", postgres_bin=programs)
    assert made.warnings
    assert all(re.fullmatch(row, it) for it in made.warnings)
    assert restore(made.path, target, postgres_bin=programs) == made.books
