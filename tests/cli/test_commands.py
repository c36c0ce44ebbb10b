"""The shell's commands, run in this process as a person types them."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from service.cli import cli
from service.domain.access import OPERATOR_SCOPES, PLATFORM_SCOPES, Scope, hash_key
from service.storage.database import open_database
from service.storage.keys import find_principal
from service.storage.store import SqlStore
from tests.engine.calls import authorize, rental, settle
from tests.fakes import START_US, Desk
from tests.faults.support import environment as surroundings
from tests.shell import freehold
from tests.storage.book import real_answers, tamper

ROOT = Path(__file__).resolve().parents[2]


def invoke(*words: str, stdin: str = "") -> Result:
    """Runs one command in this process."""
    return CliRunner(env={"FREEHOLD_DATABASE": None}).invoke(cli, words, input=stdin)


def shell(
    *words: str, stdin: str | bytes = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs one command as its own process, with `main`'s handling of errors."""
    whole = {**surroundings(), **environment}
    return freehold(*words, stdin=stdin, environment=whole, cwd=ROOT)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a command's refusal."""
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "freehold.db"


@pytest.fixture
def url(file: Path) -> str:
    return f"sqlite:///{file}"


@pytest.fixture(scope="module")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that `freehold migrate` has made."""
    path = tmp_path_factory.mktemp("migrated") / "freehold.db"
    assert invoke("migrate", "--database", f"sqlite:///{path}").exit_code == 0
    assert not path.with_name("freehold.db-wal").exists()
    return path


@pytest.fixture
def migrated(migrated_file: Path, file: Path, url: str) -> str:
    """A copy of it: copying takes a hundredth of the time."""
    shutil.copy(migrated_file, file)
    return url


def rows(file: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(file)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_migrate_twice_changes_nothing(url: str, file: Path) -> None:
    """A second migrate succeeds and changes neither the schema nor the default terms."""
    tables = ("sqlite_master", "limit_steps", "policies")
    queries = [f"SELECT * FROM {table}" for table in tables]
    assert invoke("migrate", "--database", url).output == "database is up to date\n"
    first = [rows(file, query) for query in queries]
    assert all(first)
    assert invoke("migrate", "--database", url).exit_code == 0
    assert [rows(file, query) for query in queries] == first


def test_migrate_keeps_existing_rows(migrated: str, file: Path) -> None:
    """A migrate of a database in use keeps its operators, keys and changed terms."""
    key = json.loads(operator(migrated, "city").output)["api_key"]
    connection = sqlite3.connect(file)
    connection.execute("UPDATE limit_steps SET limit_minor = 1 WHERE from_score = 500")
    connection.commit()
    connection.close()
    assert invoke("migrate", "--database", migrated).exit_code == 0
    assert rows(file, "SELECT limit_minor FROM limit_steps WHERE from_score = 500") == [(1,)]
    engine = open_database(migrated)
    assert find_principal(engine, hash_key(key), START_US) is not None
    engine.dispose()


def operator(url: str, operator_id: str, *options: str) -> Result:
    return invoke(
        "operator", "create", operator_id, "--name", "City", "--database", url, "--json", *options
    )


def test_an_operator_is_created_with_its_key_and_products(migrated: str, file: Path) -> None:
    """operator create prints the operator and its key as JSON, once; only the key's hash is
    stored."""
    done = operator(migrated, "city", "--fee-bps", "250")
    assert done.exit_code == 0
    answer = json.loads(done.output)
    assert set(answer) == {"operator_id", "api_key"}
    key = answer["api_key"]
    assert key.startswith("fh_")
    assert done.output.count(key) == 1
    assert rows(file, "SELECT operator_id, name, fee_bp FROM operators") == [("city", "City", 250)]
    assert {row[0] for row in rows(file, "SELECT product_id FROM products")} == {
        "bike",
        "umbrella",
        "power-bank",
    }
    engine = open_database(migrated)
    principal = find_principal(engine, hash_key(key), START_US)
    engine.dispose()
    assert principal is not None
    assert (principal.operator_id, principal.scopes) == ("city", OPERATOR_SCOPES)
    for kept in file.parent.glob("freehold.db*"):
        assert key.encode() not in kept.read_bytes()


def test_without_json_the_key_is_a_plain_line(migrated: str) -> None:
    """Without --json the same values are printed as lines."""
    done = invoke("operator", "create", "city", "--name", "City", "--database", migrated)
    assert done.exit_code == 0
    first, second = done.output.splitlines()
    assert first == "operator id: city"
    assert second.startswith("api key: fh_")


def test_key_only_is_for_scripts(migrated: str) -> None:
    """With --key-only every command that makes a key prints only the key."""
    operator(migrated, "city")
    for words in (
        ("operator", "create", "harbour", "--name", "Harbour"),
        ("operator", "create-key", "city"),
        ("platform", "create-key"),
    ):
        done = invoke(*words, "--database", migrated, "--key-only")
        assert done.exit_code == 0
        engine = open_database(migrated)
        assert (
            find_principal(engine, hash_key(done.output.removesuffix("\n")), START_US) is not None
        )
        engine.dispose()


def test_keys_are_listed_with_their_scopes(migrated: str, file: Path) -> None:
    """`keys` shows each key's name, owner and scopes, with withheld and ignored scopes, as lines or
    as JSON; it never shows a key."""
    made = json.loads(operator(migrated, "city").output)["api_key"]
    invoke("platform", "create-key", "--database", migrated)
    with sqlite3.connect(file) as connection:
        old = "UPDATE api_keys SET scopes = 'bikes.fly returns.claim' WHERE operator_id IS NULL"
        connection.execute(old)
    connection.close()
    done = invoke("keys", "--database", migrated)
    assert (done.exit_code, made in done.output) == (0, False)
    assert all(len(it) <= 100 for it in done.output.splitlines())
    # The further lines of a key are indented.
    rows = done.output.strip().replace("\n    ", " ").splitlines()
    platforms, citys = (" ".join(it.split()) for it in rows)
    assert "owner: platform" in platforms
    assert "granted: returns.claim ignored: bikes.fly withheld: books.read " in platforms
    assert f"key_id: {hash_key(made)[:16]} owner: city created: " in citys
    assert "authorizations.write cases.read cases.write listings.read listings.write" in citys
    assert "withheld" not in citys
    assert "revoked" not in citys
    listed = json.loads(invoke("keys", "--database", migrated, "--json").output)
    assert [it["owner"] for it in listed] == ["platform", "city"]
    assert listed[0]["ignored"] == ["bikes.fly"]
    assert listed[1]["withheld"] == []
    invoke("revoke-key", "--database", migrated, stdin=f"{made}\n")
    assert "revoked: 20" in invoke("keys", "--database", migrated).output


def test_an_operator_is_created_once(migrated: str) -> None:
    """A second operator with the same id is refused with one line and changes nothing."""
    assert operator(migrated, "city").exit_code == 0
    words = ("operator", "create", "city", "--name", "Other", "--database", migrated)
    assert "city exists" in refused(shell(*words))


@pytest.mark.parametrize("operator_id", ["City", "platform", "a b", "", "-a", "x" * 64, "é", "a\n"])
def test_an_operators_id_is_checked(migrated: str, file: Path, operator_id: str) -> None:
    """An operator's id has lower-case letters, digits and hyphens, and is never the platform's."""
    done = invoke("operator", "create", "--name", "N", "--database", migrated, "--", operator_id)
    assert done.exit_code == 1
    assert getattr(done.exception, "reason", "") == "INVALID_INPUT"
    assert rows(file, "SELECT count(*) FROM operators") == [(0,)]
    assert rows(file, "SELECT count(*) FROM api_keys") == [(0,)]


@pytest.mark.parametrize("name", ["", "\u202eevil", "a\nb", "x" * 201])
def test_an_operators_name_is_checked(migrated: str, file: Path, name: str) -> None:
    """An operator's name has 1 to 200 characters, and no control characters, as a person's has."""
    done = invoke("operator", "create", "city", "--name", name, "--database", migrated)
    assert done.exit_code == 1
    assert getattr(done.exception, "reason", "") == "INVALID_INPUT"
    assert rows(file, "SELECT count(*) FROM operators") == [(0,)]


@pytest.mark.parametrize("fee", ["-1", "10001", "3%", "1.5"])
def test_a_commission_is_a_share(migrated: str, fee: str) -> None:
    """A commission outside 0 to 10,000 basis points is refused with the option's name."""
    done = operator(migrated, "city", "--fee-bps", fee)
    assert done.exit_code == 2
    assert "--fee-bps" in done.output


def test_an_operator_may_have_further_keys(migrated: str) -> None:
    """operator create-key prints another key of an existing operator; an unknown operator is
    refused."""
    operator(migrated, "city")
    done = invoke("operator", "create-key", "city", "--database", migrated, "--json")
    answer = json.loads(done.output)
    assert answer["operator_id"] == "city"
    engine = open_database(migrated)
    principal = find_principal(engine, hash_key(answer["api_key"]), START_US)
    engine.dispose()
    assert principal is not None
    assert principal.operator_id == "city"
    words = ("operator", "create-key", "nobody", "--database", migrated)
    assert "operator not found" in refused(shell(*words))


def test_the_platforms_key_has_the_platforms_scopes(migrated: str) -> None:
    """platform create-key prints a key with every scope except those that only operators have."""
    done = invoke("platform", "create-key", "--database", migrated, "--json")
    engine = open_database(migrated)
    principal = find_principal(engine, hash_key(json.loads(done.output)["api_key"]), START_US)
    engine.dispose()
    assert principal is not None
    assert (principal.operator_id, principal.scopes) == (None, PLATFORM_SCOPES)
    shared = {*(Scope.RETURNS_CLAIM, Scope.PROPOSALS_WRITE), *(Scope.CASES_READ, Scope.CASES_WRITE)}
    shared |= {Scope.LISTINGS_READ, Scope.LISTINGS_WRITE, Scope.TERMS_READ}
    assert shared == PLATFORM_SCOPES & OPERATOR_SCOPES


def test_a_key_is_revoked_by_standard_input(migrated: str) -> None:
    """revoke-key reads the key from standard input and revokes it; a second time is refused."""
    key = json.loads(operator(migrated, "city").output)["api_key"]
    done = invoke("revoke-key", "--database", migrated, stdin=f"{key}\n")
    assert (done.exit_code, done.output) == (0, "key revoked\n")
    engine = open_database(migrated)
    assert find_principal(engine, hash_key(key), START_US) is None
    engine.dispose()
    for again in (key, "fh_never", ""):
        line = refused(shell("revoke-key", "--database", migrated, stdin=again))
        assert "key not found" in line
        assert not again or again not in line


# -- verify --------------------------------------------------------------------------------


@pytest.fixture
def books(migrated: str, file: Path) -> str:
    """A database in which one person rented, paid nothing, and rents again."""
    operator(migrated, "city")
    store = SqlStore(open_database(migrated))
    desk = Desk(store)
    desk.put_user("u-1", 620)
    for asset_id in ("bike-1", "bike-2"):
        it = rental(desk, authorize("u-1", "umbrella", asset_id))
        if asset_id == "bike-1":
            rental(desk, settle(it, 500))
    store.close()
    real_answers(file)
    return migrated


def test_verify_reports_correct_books(books: str) -> None:
    """`verify` prints the numbers of checked rows, and exits with 0 if it finds no fault."""
    done = invoke("verify", "--database", books)
    assert done.exit_code == 0
    counted, verdict = done.output.splitlines()
    assert counted == "1 line, 7 entries, 2 authorizations"
    assert verdict == "books verified"


def test_verify_of_empty_books(migrated: str) -> None:
    """Books without any line have no fault."""
    assert "0 lines" in invoke("verify", "--database", migrated).output


FAULTS = {
    "a balance": (
        "UPDATE lines SET available_minor = available_minor - 1, limit_minor = limit_minor - 1",
        "BALANCE_STORED at lines/u-1/CNY",
    ),
    "an entry's amount": (
        "UPDATE entries SET amount_minor = amount_minor + 1 WHERE sequence = 2",
        "BALANCE_AFTER at entries/u-1/CNY/2",
    ),
    "an entry lost": (
        "DELETE FROM entries WHERE sequence = 2",
        "ENTRY_MISSING at entries/u-1/CNY/3: expected 2",
    ),
    "the last entry lost": (
        "DELETE FROM entries WHERE sequence = 7",
        "ENTRY_MISSING at lines/u-1/CNY",
    ),
    "a capture": (
        "UPDATE authorizations SET captured_minor = captured_minor - 1 WHERE state = 'SETTLED'",
        "AUTHORIZATION_AMOUNT at users/u-1/authorizations/",
    ),
    "an authorization lost": (
        "DELETE FROM authorizations WHERE state = 'ACTIVE'",
        "ENTRY_WITHOUT_AUTHORIZATION at entries/u-1/CNY/7",
    ),
    "a line lost": ("DELETE FROM lines", "ENTRY_WITHOUT_LINE at entries/u-1/CNY/1"),
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_verify_names_the_wrong_row(books: str, file: Path, fault: str) -> None:
    """verify exits with 1 and names the rule and the row when it finds a fault."""
    statement, expected = FAULTS[fault]
    tamper(file, statement)
    done = invoke("verify", "--database", books)
    assert done.exit_code == 1
    assert expected in done.output
    assert "books verified" not in done.output


# -- databases -----------------------------------------------------------------------------

COMMANDS: dict[str, tuple[str, ...]] = {
    "migrate": ("migrate",),
    "operator create": ("operator", "create", "city", "--name", "City"),
    "operator create-key": ("operator", "create-key", "city"),
    "platform create-key": ("platform", "create-key"),
    "keys": ("keys",),
    "bind-key": ("bind-key", "0" * 16, "--fingerprint", "0" * 64),
    "unbind-key": ("unbind-key", "0" * 16, "--fingerprint", "0" * 64),
    "rail-account create": ("rail-account", "create", "platform", "bank"),
    "rail-account list": ("rail-account", "list"),
    "rail-account share": ("rail-account", "share", "default", "city"),
    "revoke-key": ("revoke-key",),
    "roll-key": ("roll-key", "0123456789abcdef"),
    "update-key": ("update-key", "0123456789abcdef", "--label", "x"),
    "person add": ("person", "add", "ada", "--name", "Ada"),
    "person leave": ("person", "leave", "ada"),
    "person list": ("person", "list"),
    "audit": ("audit",),
    "verify": ("verify",),
}


@pytest.mark.parametrize("command", sorted(COMMANDS))
@pytest.mark.parametrize("bad", ["mysql://localhost/x", "no url at all", "", "oracle://x"])
def test_a_bad_database_url_is_named(command: str, bad: str) -> None:
    """Every command refuses an unusable database URL with the option's name."""
    done = invoke(*COMMANDS[command], "--database", bad, stdin="key\n")
    assert done.exit_code == 2
    assert "--database" in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_database_is_required(command: str) -> None:
    """Without --database every command reports that it is missing."""
    done = invoke(*COMMANDS[command])
    assert done.exit_code == 1
    assert "database is missing: give --database, FREEHOLD_DATABASE, or" in done.output


def test_the_database_may_come_from_the_environment(url: str) -> None:
    """FREEHOLD_DATABASE replaces --database."""
    done = shell("migrate", FREEHOLD_DATABASE=url)
    assert (done.returncode, done.stdout) == (0, "database is up to date\n")


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"migrate"}))
def test_without_a_schema_the_database_refuses_in_one_line(url: str, command: str) -> None:
    """Commands on a database without migrations are refused with one line, without SQL."""
    line = refused(shell(*COMMANDS[command], "--database", url, stdin="fh_key\n"))
    assert "database" in line
    assert "SELECT" not in line
    assert "fh_" not in line


def test_a_file_that_is_not_a_database_is_refused_in_one_line(tmp_path: Path) -> None:
    """A file that is not a database, or a missing folder, is refused with one line."""
    text = tmp_path / "notes.txt"
    text.write_text("not a database\n" * 100)
    for path in (text, tmp_path / "none" / "freehold.db"):
        line = refused(shell("migrate", "--database", f"sqlite:///{path}"))
        assert "database" in line
    assert text.read_text() == "not a database\n" * 100


def parameters_of(command: click.Command) -> Iterator[click.Parameter]:
    """The parameters of a command and of all commands in it."""
    yield from command.params
    for one in command.commands.values() if isinstance(command, click.Group) else ():
        yield from parameters_of(one)


def test_every_number_has_a_largest_value() -> None:
    """A number that a command takes has a largest value, so that no number is too large for a
    database."""
    numbers = [
        it for it in parameters_of(cli)
        if isinstance(it.type, click.IntRange | click.FloatRange | type(click.INT))
    ]  # fmt: skip
    assert len(numbers) > 30
    for it in numbers:
        assert getattr(it.type, "max", None) is not None, it
        assert getattr(it.type, "max", 0) < 2**63, it


def test_a_word_that_is_not_utf_8_is_refused(migrated: str) -> None:
    """A word with bytes that are not UTF-8 is refused in one line."""
    for words in (("listing", "list"), ("tariff", "list", "--operator"), ("budget", "list")):
        done = shell(*words, "city\udcff", "--database", migrated)
        assert refused(done) == "Error: a word of the command is not UTF-8: type it again"


def test_help_works_without_a_database() -> None:
    """--help works for every command and names its options."""
    pages: list[Callable[[], Result]] = [
        lambda words=words: invoke(*words[:2], "--help")  # type: ignore[misc]
        for words in (("serve",), ("train",), *COMMANDS.values())
        if len(words) < 2 or words[0] in ("operator", "person", "platform", "rail-account")
    ]
    for page in pages:
        done = page()
        assert done.exit_code == 0
        assert "Usage:" in done.output


def test_every_command_has_a_whole_line_in_the_list() -> None:
    """The list of commands tells each command's work in one line of 80 characters, uncut."""
    cut = [line for group in groups(cli, ()) for line in group if line.endswith("...")]
    assert cut == []


def groups(command: click.Command, words: tuple[str, ...]) -> Iterator[list[str]]:
    """The list of commands of each group, as its --help prints it at 80 columns."""
    if not isinstance(command, click.Group):
        return
    said = CliRunner(env={"COLUMNS": "80"}).invoke(cli, [*words, "--help"]).output
    listed = said.partition("Commands:\n")[2].splitlines()
    assert len(listed) >= len(command.commands)
    yield listed
    for name, it in command.commands.items():
        yield from groups(it, (*words, name))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("keys",), "no keys: make one by freehold platform create-key"),
        (("person", "list"), "no persons: add one by freehold person add"),
        (("audit",), "no acts"),
        (("model", "list"), "no models: a server registers its own at its start"),
        (("rail-account", "list"), "no accounts but the default ones"),
    ],
)
def test_an_empty_list_says_so(migrated: str, words: tuple[str, ...], said: str) -> None:
    """A list without rows says that there are none; as JSON it is empty."""
    assert invoke(*words, "--database", migrated).output == f"{said}\n"
    assert json.loads(invoke(*words, "--json", "--database", migrated).output) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("listing", "list"), "no listings"),
        (("breaker", "list"), "no openings"),
        (("budget", "list"), "no budgets"),
    ],
)
def test_an_operators_empty_list_says_so(migrated: str, words: tuple[str, ...], said: str) -> None:
    """A list of an operator without rows says that there are none; as JSON it is empty."""
    operator(migrated, "city")
    assert invoke(*words, "city", "--database", migrated).output == f"{said}\n"
    assert json.loads(invoke(*words, "city", "--json", "--database", migrated).output) == []
