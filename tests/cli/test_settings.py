"""Settings: where they come from, and how wrong ones are refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner, Result
from freehold.v1.authorization_service_pb2 import AuthorizeRequest

from service.cli import cli
from service.cli.generate import PAGE, meaning, text
from service.cli.settings import all_settings, without_password
from tests.cli.test_commands import COMMANDS
from tests.faults.support import prepare, server
from tests.rpc.support import Refused

SECRET = "open-sesame"
URL = f"postgresql+psycopg://freehold:{SECRET}@127.0.0.1:1/shop"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "freehold.toml"


def invoke(*words: str, **variables: str) -> Result:
    """Runs a command in this process, with these variables."""
    before: dict[str, str | None] = {"FREEHOLD_DATABASE": None, "FREEHOLD_CONFIG": None}
    return CliRunner(env={**before, **variables}).invoke(cli, words)


def shown(*words: str, **variables: str) -> dict[str, dict[str, Any]]:
    """The output of `freehold config show`, by the settings' names."""
    done = invoke("config", "show", "--json", *words, **variables)
    assert done.exit_code == 0, done.stderr
    return {it["name"]: it for it in json.loads(done.stdout)["settings"]}


def faults(*words: str, **variables: str) -> list[str]:
    """The faults that `freehold config check` names, those of missing settings aside."""
    done = invoke("config", "check", *words, **variables)
    assert (done.exit_code, done.stdout) == (1, "")
    lines = [line.strip().removeprefix("Error: ") for line in done.stderr.splitlines()]
    if len(lines) > 1:
        assert lines.pop(0) == f"{len(lines)} settings are wrong:"
    return [line for line in lines if " is missing: " not in line]


# -- sources ---------------------------------------------------------------------------------------


def test_an_option_precedes_the_environment_the_file_and_the_default(file: Path) -> None:
    """A setting's value comes from its option, else from the environment, else from the file, else
    it is the default; `freehold config show` names the source."""
    file.write_text('# Ours.\nlisten = "127.0.0.1:3"\n')
    by_file, variable = ("--config", str(file)), {"FREEHOLD_LISTEN": "127.0.0.1:2"}
    option = ("--listen", "127.0.0.1:1")
    found = [
        shown(*option, *by_file, **variable),
        shown(*by_file, **variable),
        shown(*by_file),
        shown(FREEHOLD_CONFIG=str(file)),
        shown(),
    ]
    assert [(it["listen"]["value"], it["listen"]["source"]) for it in found] == [
        ("127.0.0.1:1", "--listen"),
        ("127.0.0.1:2", "FREEHOLD_LISTEN"),
        ("127.0.0.1:3", f"{file}, line 2"),
        ("127.0.0.1:3", f"{file}, line 2"),
        ("127.0.0.1:50051", "default"),
    ]


def test_the_option_names_another_file_than_the_environment(file: Path) -> None:
    """--config precedes FREEHOLD_CONFIG."""
    file.write_text("limits.drain_s = 7")
    found = shown("--config", str(file), FREEHOLD_CONFIG=str(file.with_name("none")))
    assert found["limits.drain_s"]["value"] == 7.0


def test_an_empty_variable_is_not_given() -> None:
    """An empty variable counts as not given, for settings and for FREEHOLD_CONFIG."""
    found = shown(FREEHOLD_LISTEN="", FREEHOLD_LIMITS_DRAIN_S="", FREEHOLD_CONFIG="")
    assert {it["source"] for it in found.values()} == {"default"}


def test_a_wrong_value_that_is_overridden_does_not_count(file: Path) -> None:
    """A value of the file that the environment overrides may be wrong on this machine."""
    file.write_text('rail_secret = "/none"\n')
    assert faults("--config", str(file)) == [
        f'rail_secret is "/none" ({file}, line 1): give an existing file'
    ]
    found = shown("--config", str(file), FREEHOLD_RAIL_SECRET=str(file))
    assert found["rail_secret"]["value"] == str(file)


def test_switches_can_be_turned_off() -> None:
    """An option turns a switch off that the environment turns on."""
    variables = {"FREEHOLD_SIMULATED_RAIL": "true", "FREEHOLD_SANDBOX": "2024-01-01T00:00:00Z"}
    assert shown(**variables)["simulated_rail"]["value"] is True
    assert shown("--no-simulated-rail", **variables)["simulated_rail"]["value"] is False


def test_every_variable_is_of_one_setting() -> None:
    """No two settings have the same variable, and each variable sets its own setting alone."""
    settings = all_settings().values()
    assert max(Counter(it.variable for it in settings).values()) == 1
    limits = [it for it in settings if it.bounds is not None]
    before = shown()
    for it in limits:
        assert it.bounds is not None
        # The pools need the connections, so the numbers of threads and connections stay.
        value = it.default if it.path[-1] in ("threads", "connections") else it.bounds[1]
        after = shown(**{it.variable: str(value)})
        changed = {name for name in after if after[name] != before[name]}
        assert changed == {it.name}
        assert (after[it.name]["value"], after[it.name]["source"]) == (value, it.variable)


def test_the_output_of_show_is_a_file(file: Path) -> None:
    """`freehold config show` prints a file in TOML that gives every setting the same value."""
    key = file.with_name('a "b"\\ü')
    key.touch()
    given = {"FREEHOLD_LIMITS_DRAIN_S": "0.00001", "FREEHOLD_SEAL_KEY": str(key)}
    done = invoke("config", "show", **given)
    file.write_text(done.stdout, "utf-8")
    again, before = shown("--config", str(file)), shown(**given)
    assert {name: it["value"] for name, it in again.items()} == {
        name: it["value"] for name, it in before.items()
    }
    assert again["limits.drain_s"]["source"].startswith(f"{file}, line ")
    assert "drain_s = 1e-05  # FREEHOLD_LIMITS_DRAIN_S; seconds from 0 to 3600\n" in done.stdout


# -- faults ----------------------------------------------------------------------------------------

OF_FILE = {
    "a whole number": (
        "limits.max_calls = 1.5",
        "limits.max_calls is 1.5 ({}, line 1): give a whole number from 1 to 1,000,000",
    ),
    "a truth for a number": (
        "[limits]\n\ndrain_s = true",
        "limits.drain_s is true ({}, line 3): give a number of seconds from 0 to 3,600",
    ),
    "a text for a number": (
        '[limits.commit]\nmax_batch = "64"',
        'limits.commit.max_batch is "64" ({}, line 2): give a whole number from 1 to 1,024',
    ),
    "no number": (
        "limits.resend_s = nan",
        "limits.resend_s is NaN ({}, line 1): give a number of seconds from 1 to 2,592,000",
    ),
    "too large": (
        "limits.postgres.lock_ms = 3600001",
        (
            "limits.postgres.lock_ms is 3600001 ({}, line 1): give a whole number of milliseconds"
            " from 1 to 3,600,000"
        ),
    ),
    "too many digits": (
        f"limits.drain_s = {'9' * 400}",
        f"limits.drain_s is {'9' * 80} ({{}}, line 1): give a number of seconds from 0 to 3,600",
    ),
    "a later line": (
        'database = "\u2028"\nlisten = ""',
        'listen is "" ({}, line 2): give HOST:PORT or unix:PATH',
    ),
    "too small": (
        'listen = "127.0.0.1:1"\n\n[limits]\nsqlite = { busy_ms = 5, cache_kib = 1_023 }',
        (
            "limits.sqlite.cache_kib is 1023 ({}, line 4): give a whole number of KiB from 1,024 to"
            " 16,777,216"
        ),
    ),
    "a value of several lines": (
        '# Ours.\nlisten = """\na\n"""\n',
        'listen is "a\\n" ({}, line 2): give HOST:PORT or unix:PATH',
    ),
    "a table for a value": (
        "[listen]\na = 1",
        "listen is a table ({}, line 1): give HOST:PORT or unix:PATH",
    ),
    "a list": ("listen = [1]", "listen is a list ({}, line 1): give HOST:PORT or unix:PATH"),
    "a value for a table": (
        "limits.commit = 1",
        "limits.commit ({}, line 1) is a table: give its settings",
    ),
    "a mistyped name": ('lisen = ""', "lisen ({}, line 1) is no setting: did you mean listen?"),
    "a mistyped limit": (
        "[limits]\nmax_caller = 5",
        "limits.max_caller ({}, line 2) is no setting: did you mean limits.max_calls?",
    ),
    "a limit of another group": (
        "[limits]\nmax_batch = 5",
        "limits.max_batch ({}, line 2) is no setting: did you mean limits.commit.max_batch?",
    ),
    "a mistyped table": (
        "\n[limit]\nmax_calls = 1",
        "limit ({}, line 2) is no setting: did you mean limits?",
    ),
    "a name like none": ("zzz = 1", "zzz ({}, line 1) is no setting"),
    "no folder": ('model = "/none"', 'model is "/none" ({}, line 1): give an existing folder'),
    "no switch": ("simulated_rail = 1", "simulated_rail is 1 ({}, line 1): give true or false"),
    "no instant": (
        'sandbox = "yesterday"',
        (
            'sandbox is "yesterday" ({}, line 1): give an instant in ISO 8601, such as'
            " 2026-01-31T08:00:00Z"
        ),
    ),
    "too early": (
        'sandbox = "2019-12-31T00:00:00Z"',
        'sandbox is "2019-12-31T00:00:00Z" ({}, line 1): give a year from 2020 to 2054',
    ),
    "a switch without its setting": (
        "simulated_rail = true",
        "simulated_rail ({}, line 1): it is allowed only in a sandbox: give sandbox too",
    ),
    "too few connections": (
        "limits.reads.threads = 12",
        (
            "limits.postgres.connections is 20: the threads of all pools, the writer and the probe"
            " use up to 22 connections: give at least 22"
        ),
    ),
    "no TOML": (
        "listen = ",
        "{} is not TOML: Invalid value (at end of document)",
    ),
}


@pytest.mark.parametrize("fault", OF_FILE)
def test_a_fault_of_the_file_is_named(fault: str, file: Path) -> None:
    """A wrong value in the file is refused with its name, its line, and what to give. A name that
    is no setting is refused with the name that is most like it."""
    content, said = OF_FILE[fault]
    file.write_text(content)
    assert faults("--config", str(file)) == [said.format(file)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"a = '\xff'", "is no text in UTF-8"),
    ],
)
def test_a_file_that_is_no_text(content: bytes | None, said: str, file: Path) -> None:
    """A missing file, and one that is no text, are refused."""
    if content is not None:
        file.write_bytes(content)
    assert faults(FREEHOLD_CONFIG=str(file)) == [f"{file} {said}"]


OF_ENVIRONMENT = {
    "a text": (
        {"FREEHOLD_LIMITS_MAX_CALLS": "many"},
        (
            'limits.max_calls is "many" (FREEHOLD_LIMITS_MAX_CALLS): give a whole number from 1 to'
            " 1,000,000"
        ),
    ),
    "a fraction": (
        {"FREEHOLD_LIMITS_COMMIT_MAX_BATCH": "64.0"},
        (
            'limits.commit.max_batch is "64.0" (FREEHOLD_LIMITS_COMMIT_MAX_BATCH): give a whole'
            " number from 1 to 1,024"
        ),
    ),
    "infinite": (
        {"FREEHOLD_LIMITS_DRAIN_S": "inf"},
        (
            'limits.drain_s is "inf" (FREEHOLD_LIMITS_DRAIN_S): give a number of seconds from 0 to'
            " 3,600"
        ),
    ),
    "a mistyped limit": (
        {"FREEHOLD_LIMITS_COMIT_MAX_BATCH": SECRET},
        (
            "FREEHOLD_LIMITS_COMIT_MAX_BATCH is no setting: did you mean"
            " FREEHOLD_LIMITS_COMMIT_MAX_BATCH?"
        ),
    ),
    "no switch": (
        {"FREEHOLD_SIMULATED_RAIL": "maybe"},
        'simulated_rail is "maybe" (FREEHOLD_SIMULATED_RAIL): give true or false',
    ),
}


@pytest.mark.parametrize("fault", OF_ENVIRONMENT)
def test_a_fault_of_the_environment_is_named(fault: str) -> None:
    """A wrong value in the environment is refused with the setting, the variable, and what to
    give. A variable that begins with FREEHOLD_LIMITS_ and is no limit is refused."""
    variables, said = OF_ENVIRONMENT[fault]
    assert faults(**variables) == [said]


def test_other_variables_are_left_alone() -> None:
    """Variables of clients and of other programs do not matter, even if they begin with
    FREEHOLD_."""
    variables = {"FREEHOLD_ADDRESS": "x", "FREEHOLD_PORT_50051_TCP": "tcp://10.0.0.1:50051"}
    assert shown(**variables) == shown()


def test_all_faults_are_named_at_once(file: Path) -> None:
    """Every fault of the options, the environment and the file is named in one go, and every
    missing setting, both by `freehold config check` and by `freehold serve`."""
    file.write_text("lisen = 1\n[limits]\ndrain_s = -1\n[limits.commit]\nmax_batch = 0\n")
    variables = {"FREEHOLD_LIMITS_X": "1", "FREEHOLD_LIMITS_NOTICE_S": "x"}
    words = ("--config", str(file), "--listen", "here")
    done = [invoke(*it, *words, **variables) for it in (("config", "check"), ("serve",))]
    assert {it.exit_code for it in done} == {1}
    assert {it.stdout for it in done} == {""}
    for it in done:
        lines = it.stderr.splitlines()
        assert lines[0] == "Error: 8 settings are wrong:"
        assert {line.split()[0] for line in lines[1:]} == {
            "FREEHOLD_LIMITS_X", "lisen", "listen", "database", "model", "limits.drain_s",
            "limits.notice_s", "limits.commit.max_batch",
        }  # fmt: skip


def test_right_settings_pass_the_check(file: Path) -> None:
    """`freehold config check` exits with 0 if no setting is wrong or missing."""
    file.write_text(f'database = "sqlite:///a.db"\nmodel = {json.dumps(str(file.parent))}\n')
    done = invoke("config", "check", "--config", str(file))
    assert (done.exit_code, done.output) == (0, "the settings are right\n")


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_other_commands_read_limits_and_ignore_settings_of_the_server(
    command: str, tmp_path: Path
) -> None:
    """A command that opens the database takes it, and the limits, from the same places. It does not
    look at the other settings."""
    words = (*COMMANDS[command], "--database", f"sqlite:///{tmp_path / 'none' / 'freehold.db'}")
    said = invoke(*words, FREEHOLD_LIMITS_SQLITE_BUSY_MS="-1", FREEHOLD_MODEL="/none").stderr
    assert said == (
        'Error: limits.sqlite.busy_ms is "-1" (FREEHOLD_LIMITS_SQLITE_BUSY_MS): give a whole number'
        " of milliseconds from 0 to 600,000\n"
    )


# -- secrets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("--json",)])
@pytest.mark.parametrize("source", ["file", "environment", "option"])
def test_passwords_are_not_shown(source: str, words: tuple[str, ...], file: Path) -> None:
    """`freehold config show` hides the password in a database's URL, wherever it stands, and shows
    no variable but those of settings."""
    url = f"{URL}?sslpassword={SECRET}&sslmode=require"
    variables = {"FREEHOLD_OTHER": SECRET, "FREEHOLD_DATABASE": url if source != "file" else ""}
    given = ("--database", url) if source == "option" else ()
    file.write_text(f'database = "{url}"')
    done = invoke("config", "show", *words, "--config", str(file), *given, **variables)
    assert done.exit_code == 0
    assert SECRET not in done.output
    assert "postgresql+psycopg://freehold:***@127.0.0.1:1/shop?" in done.output
    assert "sslmode=require" in done.output


def test_faults_hide_passwords(file: Path) -> None:
    """No fault shows a password, nor the value of a variable that is no setting."""
    file.write_text(f'listen = 1\ndatabase = ["{URL}"]')
    done = invoke("config", "check", "--config", str(file), FREEHOLD_LIMITS_PASSWORD=SECRET)
    assert "database is a list" in done.stderr
    assert "FREEHOLD_LIMITS_PASSWORD is no setting" in done.stderr
    assert SECRET not in done.output
    for url in (f"freehold:{SECRET}@shop", f"postgresql://freehold:x@shop:{SECRET}/shop"):
        assert SECRET not in without_password(url)


# -- a real server ---------------------------------------------------------------------------------


def reason_for_long(address: str, key: str) -> str:
    """The reason by which a server refuses a message of about 3,000 bytes."""
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary("/freehold.v1.AuthorizationService/Authorize")
        message = AuthorizeRequest(request_id="r" * 3_000).SerializeToString()
        with pytest.raises(grpc.RpcError) as refused:
            call(message, metadata=[("authorization", f"Bearer {key}")], timeout=30)
    return Refused(refused.value).reason


@pytest.mark.parametrize("source", ["file", "environment", "default"])
def test_a_server_runs_with_a_limit_from_each_source(
    source: str, file: Path, tmp_path: Path, model: Path
) -> None:
    """A server refuses a message that is longer than the limit that the file or the environment
    gives; with the default it reads the message. Address, database and model may come from the
    file as well."""
    url = f"sqlite:///{tmp_path / 'freehold.db'}"
    key, _ = prepare(url)
    limit = "[limits]\nmax_message_bytes = 2048\n" if source == "file" else ""
    file.write_text(f'sandbox = "2024-01-01T00:00:00Z"\n{limit}')
    variables = {"FREEHOLD_LIMITS_MAX_MESSAGE_BYTES": "2048"} if source == "environment" else {}
    options = ("--config", str(file))
    with server(url, model, "127.0.0.1:0", *options, **variables) as running:
        said = running.wait_for("serving")
        assert said["sandbox"] is True
        reason = reason_for_long(said["address"], key)
        assert running.terminate() == 0
    assert (reason == "MESSAGE_TOO_LARGE") == (source != "default"), reason


# -- the page --------------------------------------------------------------------------------------


def test_every_setting_has_a_meaning() -> None:
    """Every setting, and so every limit, has a meaning of at least three words."""
    assert all(len(meaning(it).split()) >= 3 for it in all_settings().values())


def test_the_page_is_current() -> None:
    """SETTINGS.md lists every setting as it is declared; `make stubs` writes it."""
    assert PAGE.read_text("utf-8") == text()
