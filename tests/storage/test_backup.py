"""Backups of a database in use, and restores: both are complete and verified, and never replace
other files."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from service.books.verify import verify_books
from service.domain.authorization import Authorization
from service.storage.backup import Backup, back_up, restore
from service.storage.database import open_database
from service.storage.migrate import is_current
from service.storage.proof import BackupRefused
from service.storage.store import SqlStore
from tests.engine.calls import authorize, settle
from tests.fakes import CountingIds, Desk
from tests.storage.test_earlier_builds import earlier_database
from tests.terms import BAD_POLICY, ON_BOTH, ON_SQLITE, forget_documents_in
from tests.terms import plant as plant_terms

PEOPLE = tuple(f"person-{number}" for number in range(20))
WAIT_S = 30.0


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def rent(desk: Desk, user_id: str, number: int) -> list[str]:
    """Makes two rentals in one transaction and ends the first; returns the acknowledged ids."""
    works = [
        desk.work(authorize(user_id, "umbrella", f"umbrella-{number}-{part}"))
        for part in ("a", "b")
    ]
    assert all(isinstance(result, bytes) for result in desk.apply(*works))
    ends = []
    for work in works:
        rental = desk.answers[work.request_id]
        assert isinstance(rental, Authorization)
        ends.append(desk.work(settle(rental, 0)))
    assert all(isinstance(result, bytes) for result in desk.apply(*ends))
    return [work.request_id for work in (*works, *ends)]


def people_who_rented(url: str) -> Desk:
    """An engine on a database with some history."""
    desk = Desk(SqlStore(open_database(url)))
    for user_id in PEOPLE:
        desk.put_user(user_id, 720)
    for number, user_id in enumerate(PEOPLE):
        rent(desk, user_id, number)
    return desk


@pytest.fixture
def busy(file: Path) -> Iterator[Desk]:
    """An engine with people who have rented and can rent again."""
    desk = people_who_rented(url_of(file))
    yield desk
    desk.store.close()


class Writer:
    """Rents in a thread until it is stopped, and keeps the acknowledged ids."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._stop = threading.Event()
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="renting")
        self.acknowledged: list[str] = []
        self.error: BaseException | None = None

    def _run(self) -> None:
        try:
            for number in itertools.count(1_000):
                if self._stop.is_set():
                    return
                done = rent(self._desk, PEOPLE[number % len(PEOPLE)], number)
                with self._wake:
                    self.acknowledged.extend(done)
                    self._wake.notify_all()
        except BaseException as error:
            self.error = error
            with self._wake:
                self._wake.notify_all()

    def wait_for_more(self, count: int) -> None:
        """Returns once this many more calls were acknowledged."""
        with self._wake:
            goal = len(self.acknowledged) + count
            assert self._wake.wait_for(
                lambda: len(self.acknowledged) >= goal or self.error is not None, WAIT_S
            )
        if self.error is not None:
            raise self.error

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Rents while the block runs."""
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error


def stored_requests(path: Path) -> set[str]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
        return {row[0] for row in connection.execute("SELECT request_id FROM requests")}


def content(path: Path) -> list[str]:
    """Schema and rows, as SQL."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def products(path: Path) -> list[tuple[object, ...]]:
    """All products, with empty texts as stored."""
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        return connection.execute("SELECT * FROM products ORDER BY rowid").fetchall()


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(BackupRefused) as caught:
        call()
    return caught.value.reason


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_backup_under_load_is_one_moment(busy: Desk, file: Path, tmp_path: Path) -> None:
    """A backup taken during writes has every call that was answered before it, and only whole
    transactions.

    Its books verify, and the writer goes on meanwhile.
    """
    writer = Writer(busy)
    during = 0
    with writer.at_work():
        for number in range(5):
            writer.wait_for_more(20)
            before = set(writer.acknowledged)
            made = back_up(url_of(file), tmp_path / f"{number}.db")
            during += len(set(writer.acknowledged) - before)
            kept = stored_requests(made.path)
            assert before <= kept
            assert made.books.fault is None
            assert made.books.lines == len(PEOPLE)
            # Each transaction of the writer has two requests: a backup has both or neither.
            assert (len(kept) - len(PEOPLE)) % 2 == 0
    assert during > 0
    writer_ids = set(writer.acknowledged)
    assert stored_requests(tmp_path / "4.db") - writer_ids <= stored_requests(tmp_path / "0.db")


def test_a_backup_has_the_logs_commits(busy: Desk, file: Path, tmp_path: Path) -> None:
    """A backup has the commits that are still in the write-ahead log, and needs no log itself."""
    with closing(sqlite3.connect(f"file:{file}?immutable=1", uri=True)) as without_log:
        assert without_log.execute("SELECT count(*) FROM authorizations").fetchone() == (0,)
    made = back_up(url_of(file), tmp_path / "backup.db")
    assert made.books.authorizations == 2 * len(PEOPLE)
    assert names(tmp_path) == {"backup.db", "backup.db.sha256"}
    assert content(made.path) == content(file)
    assert made.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()
    assert (tmp_path / "backup.db.sha256").read_text() == f"{made.sha256}  backup.db\n"
    assert made.path.stat().st_mode & 0o077 == 0


def test_a_backup_replaces_no_file(busy: Desk, file: Path, tmp_path: Path) -> None:
    """A backup is refused, and changes nothing, when a file, a link or a sum has its name."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "sum.sha256").write_text("mine")
    before = names(tmp_path)
    for name in ("file", "link", "sum"):
        assert refusal(lambda name=name: back_up(url_of(file), tmp_path / name)) == "FILE_EXISTS"  # type: ignore[misc]
    assert names(tmp_path) == before
    assert (tmp_path / "file").read_text() == (tmp_path / "sum.sha256").read_text() == "mine"


def test_wrong_books_make_no_backup(busy: Desk, file: Path, tmp_path: Path) -> None:
    """A database with wrong books is not backed up: the row is named and no file is left."""
    plant(file)
    with pytest.raises(BackupRefused, match="BALANCE_STORED at lines/person-0/CNY") as caught:
        back_up(url_of(file), tmp_path / "backup.db")
    assert caught.value.reason == "BOOKS_WRONG"
    assert names(tmp_path) == set()


def plant(path: Path) -> None:
    """Stores a balance that is not the sum of the entries."""
    with closing(sqlite3.connect(path)) as connection:
        changed = connection.execute(
            "UPDATE lines SET limit_minor = limit_minor + 1, available_minor = available_minor + 1 "
            "WHERE user_id = 'person-0'"
        )
        assert changed.rowcount == 1
        connection.commit()


@pytest.mark.parametrize("what", ["nothing", "a text", "no schema", "a broken page"])
def test_only_a_database_is_backed_up(what: str, busy: Desk, file: Path, tmp_path: Path) -> None:
    """A missing, foreign, empty or damaged database is refused; none is created, and no file is
    left."""
    folder, source = tmp_path / "to", tmp_path / "source.db"
    folder.mkdir()
    match what:
        case "nothing":
            expected = "NO_DATABASE"
        case "a text":
            source.write_text("no database\n" * 1_000)
            expected = "NOT_COPIED"
        case "no schema":
            with closing(sqlite3.connect(source)) as connection:
                connection.execute("CREATE TABLE t (a)")
            expected = "SCHEMA_NOT_CURRENT"
        case _:
            back_up(url_of(file), source)
            (tmp_path / "source.db.sha256").unlink()
            with closing(sqlite3.connect(source)) as connection:
                page, size = connection.execute(
                    "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_master "
                    "WHERE name = 'entries'"
                ).fetchone()
            overwrite(source, (page - 1) * size, bytes(size))
            expected = "BACKUP_DAMAGED"
    before = names(tmp_path)
    assert refusal(lambda: back_up(url_of(source), folder / "backup.db")) == expected
    assert names(folder) == set()
    assert names(tmp_path) == before


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as target:
        target.seek(offset)
        target.write(data)


def test_a_backup_needs_a_folder(busy: Desk, file: Path, tmp_path: Path) -> None:
    """A backup into a missing folder is refused."""
    assert refusal(lambda: back_up(url_of(file), tmp_path / "none" / "b.db")) == "NOT_WRITABLE"


def test_only_a_file_can_be_backed_up(tmp_path: Path) -> None:
    """A database in memory is refused."""
    for url in ("sqlite://", "sqlite:///:memory:"):
        assert refusal(lambda url=url: back_up(url, tmp_path / "b.db")) == "NO_FILE"  # type: ignore[misc]


def test_a8_a_wrong_row_of_terms_is_no_damage(busy: Desk, file: Path, tmp_path: Path) -> None:
    """A8: a row of terms may be wrong, or refer to a missing row. The database is still backed up
    and restored unchanged, and the backup names the dangling row and its table."""
    sound = tmp_path / "sound.db"
    forget_documents_in(busy.store.engine)
    restore(back_up(url_of(file), tmp_path / "sound.backup").path, url_of(sound))
    for number, spoiled in enumerate((BAD_POLICY, *ON_BOTH, *ON_SQLITE)):
        source = url_of(Path(shutil.copy(sound, tmp_path / f"source-{number}.db")))
        engine = open_database(source)
        plant_terms(engine, spoiled)
        made = back_up(source, tmp_path / f"wrong-{number}.db")
        target = url_of(tmp_path / f"restored-{number}.db")
        assert restore(made.path, target) == made.books
        again = open_database(target)
        assert verify_books(again).fault is None
        assert products(tmp_path / f"restored-{number}.db") == products(
            tmp_path / f"source-{number}.db"
        )
        for opened in (engine, again):
            opened.dispose()
        if spoiled in (BAD_POLICY, ON_BOTH[0]):
            assert "products: city bike 1 names nothing 1 of policies, which is not there" in (
                made.warnings
            )
        assert all("products" in it for it in made.warnings)


def test_a8_a_key_of_an_unknown_operator_is_no_damage(
    busy: Desk, file: Path, tmp_path: Path
) -> None:
    """A8: an API key of a missing operator is reported without the key's hash."""
    hashed = "0" * 64
    plant_terms(
        busy.store.engine,
        "INSERT INTO api_keys (key_hash, operator_id, scopes, create_us)"
        f" VALUES ('{hashed}', 'nobody', '', 0)",
    )
    made = back_up(url_of(file), tmp_path / "b.db")
    assert made.warnings == ("api_keys: a row names nobody of operators, which is not there",)


# -- restore -------------------------------------------------------------------------------


@pytest.fixture
def made(busy: Desk, file: Path, tmp_path: Path) -> Backup:
    (tmp_path / "backups").mkdir()
    return back_up(url_of(file), tmp_path / "backups" / "backup.db")


def test_a_round_trip_changes_nothing(made: Backup, file: Path, tmp_path: Path) -> None:
    """A restored database has the same rows as the backed up one, and its books verify."""
    target = tmp_path / "restored.db"
    assert restore(made.path, url_of(target)) == made.books
    assert names(tmp_path) == {"backups", "restored.db"}
    assert content(target) == content(file)


def test_a_restored_database_serves(made: Backup, busy: Desk, tmp_path: Path) -> None:
    """A restored database goes on: it answers retries and takes new calls."""
    target = tmp_path / "restored.db"
    restore(made.path, url_of(target))
    store = SqlStore(open_database(url_of(target)))
    try:
        desk = Desk(store, ids=LaterIds())
        known = desk.work(authorize(PEOPLE[0], "umbrella", "umbrella-0-a"), request_id="request-21")
        assert desk.apply(known) == busy.apply(known)
        assert known.request_id not in desk.answers
        rent(desk, PEOPLE[0], 9_999)
        with store.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert verify_books(store.engine).authorizations == made.books.authorizations + 2
        assert verify_books(store.engine).fault is None
    finally:
        store.close()


class LaterIds(CountingIds):
    """Ids that the backed up database does not have."""

    def new(self, now_us: int) -> str:
        return "v" + super().new(now_us)[1:]


@pytest.mark.parametrize("beside", ["", "-wal", "-shm", "-journal"])
def test_a_restore_replaces_no_file(beside: str, made: Backup, tmp_path: Path) -> None:
    """A restore does not touch an existing database, nor SQLite's files beside one."""
    target, left = tmp_path / "target.db", tmp_path / f"target.db{beside}"
    left.write_text("mine")
    assert refusal(lambda: restore(made.path, url_of(target))) == "FILE_EXISTS"
    assert names(tmp_path) == {"backups", left.name}
    assert left.read_text() == "mine"


def test_a_flipped_byte_is_refused(made: Backup, tmp_path: Path) -> None:
    """A backup with one changed byte, at any place, is refused, and no file is left."""
    whole = made.path.read_bytes()
    for offset in range(0, len(whole), len(whole) // 20):
        overwrite(made.path, offset, bytes([whole[offset] ^ 1]))
        assert refusal(lambda: restore(made.path, url_of(tmp_path / "target.db"))) == (
            "BACKUP_DAMAGED"
        )
        overwrite(made.path, offset, whole[offset : offset + 1])
    assert names(tmp_path) == {"backups"}


@pytest.mark.parametrize("kept", [0, 100, 4_096, -4_096, -1])
def test_a_truncated_backup_is_refused(kept: int, made: Backup, tmp_path: Path) -> None:
    """A truncated backup is refused: by its sum, or by its content when the sum was made anew."""
    cut = made.path.read_bytes()[:kept]
    made.path.write_bytes(cut)
    url = url_of(tmp_path / "target.db")
    assert refusal(lambda: restore(made.path, url)) == "BACKUP_DAMAGED"
    anew = hashlib.sha256(cut).hexdigest()
    reason = refusal(lambda: restore(made.path, url, sha256=anew))
    # A file without bytes is a database without tables.
    assert reason == ("BACKUP_DAMAGED" if cut else "SCHEMA_NOT_CURRENT")
    assert names(tmp_path) == {"backups"}


def test_a_planted_balance_is_refused(made: Backup, tmp_path: Path) -> None:
    """A backup with wrong books is refused even if its checksum is right."""
    plant(made.path)
    anew = hashlib.sha256(made.path.read_bytes()).hexdigest()
    url = url_of(tmp_path / "target.db")
    assert refusal(lambda: restore(made.path, url, sha256=anew)) == "BOOKS_WRONG"
    assert names(tmp_path) == {"backups"}


def test_a_backup_needs_its_sum(made: Backup, tmp_path: Path) -> None:
    """Without FILE.sha256 a restore asks for the sum; with the right sum given, it runs."""
    (made.path.parent / "backup.db.sha256").unlink()
    url = url_of(tmp_path / "target.db")
    assert refusal(lambda: restore(made.path, url)) == "NO_SUM"
    assert refusal(lambda: restore(made.path, url, sha256="0" * 64)) == "BACKUP_DAMAGED"
    assert restore(made.path, url, sha256=made.sha256.upper()) == made.books


def test_another_schema_is_refused(made: Backup, tmp_path: Path) -> None:
    """A backup with another version's schema is refused, and the message says what to do."""
    with closing(sqlite3.connect(made.path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
        connection.commit()
    anew = hashlib.sha256(made.path.read_bytes()).hexdigest()
    url = url_of(tmp_path / "target.db")
    assert refusal(lambda: restore(made.path, url, sha256=anew)) == "SCHEMA_NOT_CURRENT"


def test_a_failed_restore_leaves_no_database(
    made: Backup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restored database that cannot be verified in its place is removed."""
    target = tmp_path / "target.db"
    link = os.link

    def link_and_spoil(source: Path, name: Path) -> None:
        link(source, name)
        plant(name)

    monkeypatch.setattr("service.storage.backup.os.link", link_and_spoil)
    assert refusal(lambda: restore(made.path, url_of(target))) == "BOOKS_WRONG"
    assert names(tmp_path) == {"backups"}


# -- backups of earlier builds ---------------------------------------------------------------------


def test_a_backup_of_an_earlier_build_is_brought_up_to_date(tmp_path: Path) -> None:
    """A backup with an earlier schema is restored and verified in the current schema, with its
    content; the backup file stays unchanged."""
    backup, target = tmp_path / "earlier.db", tmp_path / "target.db"
    earlier_database(url_of(backup), "6882bc2")
    whole = backup.read_bytes()
    books = restore(backup, url_of(target), sha256=hashlib.sha256(whole).hexdigest())
    assert (books.authorizations, books.fault) == (3, None)
    assert backup.read_bytes() == whole
    assert names(tmp_path) == {"target.db", "earlier.db"}
    assert stored_requests(target) == stored_requests(backup)
    engine = open_database(url_of(target))
    assert is_current(engine)
    engine.dispose()


def test_a_backup_of_a_later_build_is_refused(made: Backup, tmp_path: Path) -> None:
    """A backup whose schema is only for later builds is refused, and no file is left."""
    with closing(sqlite3.connect(made.path, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("INSERT INTO compatibility (oldest_build) VALUES (9999)")
    anew = hashlib.sha256(made.path.read_bytes()).hexdigest()
    target = url_of(tmp_path / "target.db")
    assert refusal(lambda: restore(made.path, target, sha256=anew)) == "SCHEMA_NOT_CURRENT"
    assert names(tmp_path) == {"backups"}
