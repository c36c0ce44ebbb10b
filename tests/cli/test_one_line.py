"""A22: every fault around a command is reported in one line that says what to do.

Every command is tried in every bad situation that can concern it. It exits with a code other than
0, prints one line (after a wrong option, perhaps also the usage), and leaves all files unchanged.
"""

from __future__ import annotations

import io
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from service.cli import main
from service.storage.migrate import head_revision
from tests.cli.test_commands import COMMANDS as SHELL_COMMANDS
from tests.cli.test_commands import ROOT, shell
from tests.conftest import NewFile
from tests.postgres import Cluster

WRONG = "wr0ng-s3cret"


class Place(NamedTuple):
    """A test's folder with the commands' needs: a model, a backup, a database."""

    folder: Path
    model: Path
    cluster: Cluster
    template: Path

    @property
    def file(self) -> Path:
        """The path given to commands, in SQLite's situations."""
        return self.folder / "freehold.db"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.file}"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Cluster]:
    """A PostgreSQL that asks the user `guarded` for a password."""
    with Cluster() as started:
        hba = started.data / "pg_hba.conf"
        hba.write_text("local all guarded scram-sha-256\n" + hba.read_text("utf-8"), "utf-8")
        started.admin.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
        started.admin.execute("SELECT pg_reload_conf()")
        yield started


@pytest.fixture
def place(tmp_path: Path, model: Path, guarded: Cluster, new_file: NewFile) -> Place:
    return Place(tmp_path, model, guarded, new_file())


class Said(NamedTuple):
    """A command's exit code and output."""

    code: int
    stderr: str


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> Said:
    """A command in this process, with the interpreter's handling of its end."""
    before, sys.argv = sys.argv, ["freehold", *words]
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        sys.argv = before
    code, stderr = ended.value.code, capsys.readouterr().err
    return Said(1, f"{stderr}{code}\n") if isinstance(code, str) else Said(int(code or 0), stderr)


def in_a_process(*words: str) -> Said:
    """A command in its own process."""
    done = shell(*words, stdin="fh_key\n")
    return Said(done.returncode, done.stderr)


def one_line(said: Said) -> str:
    """The one line of a command's refusal; fails on any other output."""
    assert said.code != 0
    assert "Traceback" not in said.stderr
    lines = said.stderr.splitlines()
    if said.code == 2:
        assert lines[0].startswith("Usage: "), said.stderr
    else:
        assert len(lines) == 1, said.stderr
    assert lines[-1].startswith("Error: "), said.stderr
    return lines[-1]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
    }


# -- databases -------------------------------------------------------------------------------------

COMMANDS: dict[str, tuple[str, ...]] = {
    **SHELL_COMMANDS,
    "serve": ("serve", "--listen", "127.0.0.1:0", "--model", "{model}"),
    "backup": ("backup", "--to", "{folder}/to"),
    "restore": ("restore", "--from", "{folder}/from", "--sha256", "0" * 64),
}
ALL = frozenset(COMMANDS)
READERS = ALL - {"migrate", "restore"}
USERS = ALL - {"restore"}


class Situation(NamedTuple):
    """An unusable database: a function that makes it and returns its URL, the commands to try, and
    the words that the message must have."""

    make: Callable[[Place], str]
    commands: frozenset[str]
    said: tuple[str, ...]


def nothing(place: Place) -> str:
    return place.url


def no_folder(place: Place) -> str:
    return f"sqlite:///{place.folder / 'none' / 'freehold.db'}"


def a_folder(place: Place) -> str:
    place.file.mkdir()
    return place.url


def a_text(place: Place) -> str:
    place.file.write_text("not a database\n" * 500)
    return place.url


def an_empty_file(place: Place) -> str:
    place.file.touch()
    return place.url


def somebody_elses_file(place: Place) -> str:
    with closing(sqlite3.connect(place.file)) as connection:
        connection.execute("CREATE TABLE recipes (name)")
    return place.url


def a_damaged_file(place: Place) -> str:
    shutil.copy(place.template, place.file)
    with place.file.open("r+b") as file:
        file.seek(100)
        file.write(os.urandom(2_000))
    return place.url


OLDER = "UPDATE alembic_version SET version_num = '0001'"
NEWER = "UPDATE alembic_version SET version_num = '9999'"
CLOSED = "INSERT INTO compatibility (oldest_build) VALUES (9998)"
UNSAID = "DROP TABLE compatibility"
REFUSED_BUILD = ("newer schema 9999", "for builds from 9998 on", "run the newer build")


def changed_by(*statements: str) -> Callable[[Place], str]:
    def make(place: Place) -> str:
        shutil.copy(place.template, place.file)
        with closing(sqlite3.connect(place.file, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)
        return place.url

    return make


def in_memory(place: Place) -> str:
    return "sqlite://"


def with_options(place: Place) -> str:
    return f"{place.url}?mode=ro"


def nobody_listens(place: Place) -> str:
    return "postgresql+psycopg://freehold@127.0.0.1:1/freehold"


def no_socket(place: Place) -> str:
    return f"postgresql+psycopg://freehold@/freehold?host={place.folder}"


def no_such_database(place: Place) -> str:
    return place.cluster.url("nowhere")


def no_such_user(place: Place) -> str:
    return place.cluster.url("postgres").replace("freehold@", "stranger@")


def wrong_password(place: Place) -> str:
    return place.cluster.url("postgres").replace("freehold@", f"guarded:{WRONG}@")


def bad_option(place: Place) -> str:
    return f"{place.cluster.url('postgres')}&sslmode=perhaps"


def bad_port(place: Place) -> str:
    return "postgresql+psycopg://freehold@127.0.0.1:http/freehold"


def other_driver(place: Place) -> str:
    return "postgresql+psycopg2://freehold@127.0.0.1/freehold"


def an_empty_database(place: Place) -> str:
    return place.cluster.url(place.cluster.empty())


def with_sql(*statements: str, migrated: bool) -> Callable[[Place], str]:
    def make(place: Place) -> str:
        name = place.cluster.fresh() if migrated else place.cluster.empty()
        with psycopg.connect(place.cluster.dsn(name)) as session:
            for statement in statements:
                session.execute(statement.encode())
        return place.cluster.url(name)

    return make


UNREACHED = ("no connection to PostgreSQL: ", "check host, port, user, password and database")
SITUATIONS: dict[str, Situation] = {
    "file not there": Situation(nothing, READERS, ("is not there", "freehold migrate")),
    "folder not there": Situation(no_folder, ALL, ("none",)),
    "a folder": Situation(a_folder, USERS, ("is not a file: say sqlite:///FILE",)),
    "a text": Situation(a_text, USERS, ("is not a database: check --database",)),
    "an empty file": Situation(an_empty_file, READERS, ("is empty", "freehold migrate")),
    "somebody else's, read": Situation(
        somebody_elses_file, READERS, ("is not a Freehold database", "check --database")
    ),
    "somebody else's, to migrate": Situation(
        somebody_elses_file, frozenset({"migrate"}), ("recipes", "give an empty database")
    ),
    "damaged": Situation(a_damaged_file, USERS, ("is damaged: restore a backup",)),
    "newer": Situation(changed_by(NEWER, CLOSED), USERS, REFUSED_BUILD),
    "newer, naming no oldest build": Situation(
        changed_by(NEWER, UNSAID), USERS, ("newer schema 9999: run the newer build",)
    ),
    "newer, naming nonsense": Situation(
        changed_by(NEWER, "UPDATE compatibility SET oldest_build = 'x' WHERE oldest_build = 6"),
        USERS,
        ("newer schema 9999: run the newer build",),
    ),
    "older": Situation(changed_by(OLDER), READERS, ("older schema 0001", "run freehold migrate")),
    "in memory": Situation(in_memory, ALL, ("say sqlite:///FILE",)),
    "options": Situation(with_options, ALL, ("say sqlite:///FILE",)),
    "nobody listens": Situation(nobody_listens, ALL, UNREACHED),
    "no socket": Situation(no_socket, ALL, UNREACHED),
    "no such database": Situation(no_such_database, ALL, ('"nowhere" does not exist', *UNREACHED)),
    "no such user": Situation(no_such_user, ALL, ('role "stranger" does not exist', *UNREACHED)),
    "wrong password": Situation(wrong_password, ALL, ("authentication failed", *UNREACHED)),
    "bad option": Situation(bad_option, ALL, ("perhaps", *UNREACHED)),
    "bad port": Situation(bad_port, ALL, ("--database",)),
    "another driver": Situation(other_driver, ALL, ("say", "postgresql+psycopg://")),
    "empty on PostgreSQL": Situation(an_empty_database, READERS, ("is empty", "freehold migrate")),
    "newer on PostgreSQL": Situation(
        with_sql(NEWER, CLOSED, migrated=True),
        USERS,
        REFUSED_BUILD,
    ),
    "older on PostgreSQL": Situation(
        with_sql(OLDER, migrated=True),
        READERS,
        ("older schema 0001", "run freehold migrate"),
    ),
    "somebody else's on PostgreSQL": Situation(
        with_sql("CREATE TABLE users (name text)", migrated=False),
        USERS,
        ("a", "database"),
    ),
}
MEETINGS = [
    (command, name)
    for name, situation in SITUATIONS.items()
    for command in COMMANDS
    if command in situation.commands
]


@pytest.mark.parametrize(("command", "situation"), MEETINGS)
def test_a22_an_unusable_database_is_reported_in_one_line(
    command: str,
    situation: str,
    place: Place,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A22: each command reports its database's fault and the remedy in one line, and makes or
    changes no file. The line has no password."""
    met = SITUATIONS[situation]
    (place.folder / "from").write_text("a backup")
    url = met.make(place)
    before = tree(place.folder)
    words = [word.format(model=place.model, folder=place.folder) for word in COMMANDS[command]]
    words += ["--database", url]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"fh_key\n")))
    # The server sets up its process, so it needs one.
    said = in_a_process(*words) if command == "serve" else typed(capsys, *words)
    line = one_line(said)
    for part in met.said:
        assert part in line
    assert WRONG not in line
    assert tree(place.folder) == before


# -- missing libraries -----------------------------------------------------------------------------


def without(module: str, folder: Path, *words: str) -> Said:
    """A command in an interpreter in which a module is not installed."""
    folder.mkdir()
    text = f"raise ModuleNotFoundError(\"No module named '{module}'\", name='{module}')\n"
    (folder / f"{module}.py").write_text(text)
    path = os.pathsep.join((str(folder), str(ROOT), str(ROOT / "proto")))
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", *words],
        input="fh_key\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": path},
    )
    return Said(done.returncode, done.stderr)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a22_a_driver_that_is_not_installed(
    command: str,
    place: Place,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A22: without PostgreSQL's driver every command names the extra that installs it."""
    (place.folder / "from").write_text("a backup")
    words = [word.format(model=place.model, folder=place.folder) for word in COMMANDS[command]]
    words += ["--database", place.cluster.url("postgres")]
    if command == "serve":
        said = without("psycopg", place.folder / "modules", *words)
    else:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"fh_key\n")))
        monkeypatch.setitem(sys.modules, "psycopg", None)
        said = typed(capsys, *words)
    line = one_line(said)
    assert "PostgreSQL's driver is not installed: pip install 'freehold[postgres]'" in line


@pytest.mark.parametrize("module", ["altair", "polars", "scipy", "threadpoolctl", "vl_convert"])
def test_a22_training_without_its_extra(module: str, place: Place) -> None:
    """A22: if a library is missing, `train` names the library and the extra that installs it."""
    spec = place.folder / "spec.toml"
    spec.touch()
    words = ("train", "--spec", str(spec), "--out", str(place.folder / "out"))
    line = one_line(without(module, place.folder / "modules", *words))
    assert f"training needs {module}" in line
    assert "pip install 'freehold[train]'" in line
    assert not (place.folder / "out").exists()


# -- files -----------------------------------------------------------------------------------------


def migrated(place: Place) -> str:
    shutil.copy(place.template, place.file)
    return place.url


def file_of(place: Place, name: str, content: bytes) -> str:
    path = place.folder / name
    path.write_bytes(content)
    return str(path)


def empty_folder(place: Place) -> str:
    (place.folder / "empty").mkdir()
    return str(place.folder / "empty")


def folder_with_a_manifest(place: Place) -> str:
    (place.folder / "odd").mkdir()
    return str(Path(file_of(place, "odd/manifest.json", b"[]")).parent)


def serving_on(place: Place, *options: str) -> tuple[str, ...]:
    model = () if "--model" in options else ("--model", str(place.model))
    return ("serve", "--listen", "127.0.0.1:0", "--database", migrated(place), *model, *options)


FILES: dict[str, tuple[Callable[[Place], tuple[str, ...]], str]] = {
    "no model": (lambda it: serving_on(it, "--model", str(it.folder / "none")), "--model"),
    "an empty model": (lambda it: serving_on(it, "--model", empty_folder(it)), "manifest.json"),
    "a model of nothing": (lambda it: serving_on(it, "--model", folder_with_a_manifest(it)), ""),
    "no seal key": (
        lambda it: serving_on(it, "--seal-key", str(it.folder / "none")),
        "(--seal-key): give an existing file",
    ),
    "a seal key of text": (
        lambda it: serving_on(it, "--seal-key", file_of(it, "seal", b"text")),
        "seal",
    ),
    "no rail secret": (
        lambda it: serving_on(it, "--rail-secret", str(it.folder / "none")),
        "--rail-secret",
    ),
    "a short rail secret": (
        lambda it: serving_on(it, "--rail-secret", file_of(it, "rail", b"short")),
        "--rail-secret",
    ),
    "no public key": (
        lambda it: ("verify", "--database", migrated(it), "--seal-key", str(it.folder / "none")),
        "cannot read",
    ),
    "a public key of text": (
        lambda it: (
            "verify",
            "--database",
            migrated(it),
            "--seal-key",
            file_of(it, "seal", b"text"),
        ),
        "holds no public key",
    ),
    "a seal key that is there": (
        lambda it: ("create-seal-key", file_of(it, "seal", b"mine")),
        "File exists",
    ),
    "no folder for a seal key": (
        lambda it: ("create-seal-key", str(it.folder / "none" / "seal")),
        "No such file",
    ),
    "a backup that is there": (
        lambda it: ("backup", "--database", migrated(it), "--to", file_of(it, "to", b"mine")),
        "exists",
    ),
    "no folder for a backup": (
        lambda it: ("backup", "--database", migrated(it), "--to", str(it.folder / "none" / "to")),
        "cannot write into",
    ),
    "no backup": (
        lambda it: ("restore", "--database", it.url, "--from", str(it.folder / "none")),
        "--from",
    ),
    "a backup without a sum": (
        lambda it: ("restore", "--database", it.url, "--from", file_of(it, "from", b"text")),
        "--sha256",
    ),
    "a restore over a database": (
        lambda it: (
            "restore",
            "--database",
            migrated(it),
            "--from",
            file_of(it, "from", b""),
            "--sha256",
            "0" * 64,
        ),
        "exists; it was left as it is",
    ),
    "no spec": (
        lambda it: ("train", "--spec", str(it.folder / "none"), "--out", str(it.folder / "out")),
        "--spec",
    ),
    "a spec of text": (
        lambda it: (
            "train",
            "--spec",
            file_of(it, "spec", b"text"),
            "--out",
            str(it.folder / "out"),
        ),
        "",
    ),
    "a spec of bytes": (
        lambda it: (
            "train",
            "--spec",
            file_of(it, "spec", b"\xff\xfe"),
            "--out",
            str(it.folder / "out"),
        ),
        "",
    ),
}


@pytest.mark.parametrize("situation", sorted(FILES))
def test_a22_an_unusable_file_is_reported_in_one_line(situation: str, place: Place) -> None:
    """A22: a model, key, secret, backup or spec may be missing, be wrong, or exist where a new one
    must be written. It is reported in one line, and nothing is written."""
    make, part = FILES[situation]
    words = make(place)
    before = tree(place.folder)
    assert part in one_line(in_a_process(*words))
    left = tree(place.folder)
    # The server's lock file stays by design.
    left.pop("freehold.db-server", None)
    assert left == before


# -- addresses -------------------------------------------------------------------------------------


def test_a22_an_address_that_is_in_use(place: Place) -> None:
    """A22: an address where another process listens is reported as in use."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        line = one_line(in_a_process(*serving_on(place, "--listen", listen)))
    assert f"cannot listen on {listen}: another process listens there" in line
    assert "give another --listen" in line


@pytest.mark.parametrize(
    ("listen", "said"),
    [
        ("192.0.2.1:50051", "this machine does not have that address"),
        ("no-such-host.invalid:50051", "the host is not known"),
        ("127.0.0.1:99999", "give HOST:PORT"),
        ("127.0.0.1:\u0665\u0660", "give HOST:PORT"),
        ("127.0.0.1", "give HOST:PORT"),
    ],
)
def test_a22_an_address_of_another_machine(listen: str, said: str, place: Place) -> None:
    """A22: an address of another machine, and a text that is no address, are reported as such."""
    words = serving_on(place, "--listen", listen, "--plaintext-on-network")
    line = one_line(in_a_process(*words))
    assert listen in line
    assert said in line


def test_a22_a_port_without_the_right_to_it(place: Place) -> None:
    """A22: a port below 1024 without the right to it is refused, and the message names the
    right."""
    first = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if not first.exists() or int(first.read_text()) <= 80:
        pytest.skip("here every user may have every port")
    without: tuple[str, ...] = ()
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv, by which root gives the right up, is not installed")
        without = ("setpriv", "--bounding-set=-net_bind_service")
    words = serving_on(place, "--listen", "127.0.0.1:80")
    done = subprocess.run(
        [*without, sys.executable, "-m", "service.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "proto")))},
    )
    assert "need CAP_NET_BIND_SERVICE" in one_line(Said(done.returncode, done.stderr))


# -- later steps -----------------------------------------------------------------------------------


def test_a22_a_database_that_goes_away_during_a_command(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A22: a file that is removed while a command writes to it is reported in one line too."""
    from service.storage.administration import Administration

    # A transaction's last step before its commit.
    monkeypatch.setattr(Administration, "keep", lambda *_: place.file.unlink())
    line = one_line(typed(capsys, "platform", "create-key", "--database", migrated(place)))
    assert "is not there any more" in line
    assert not place.file.exists()


def test_a22_a_key_that_is_not_text(place: Place) -> None:
    """A22: bytes that are not text are not a key."""
    done = shell("revoke-key", "--database", migrated(place), stdin=b"\xff\xfe\n")
    assert "key not found" in one_line(Said(done.returncode, done.stderr))


def test_a22_the_situations_start_from_a_usable_database(place: Place) -> None:
    """A22: the database from which the situations are made is usable, and migrate makes one."""

    with closing(sqlite3.connect(place.template)) as connection:
        found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    assert found == [(head_revision(),)]
    assert in_a_process("migrate", "--database", place.url) == Said(0, "")
    assert place.file.is_file()
