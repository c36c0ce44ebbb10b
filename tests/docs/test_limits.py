"""Limits stand in one place, and private names of libraries are not used."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import models
import service
from service.bounds import BOUNDS, values_of, with_values
from service.clock import ClockLimits
from service.config import LIMITS, Limits, LimitsWrong, PostgresLimits
from service.engine.group_commit import CommitLimits
from service.engine.readers import ReaderLimits

SERVICE = Path(service.__file__).parent
APART = ("demo", "migrations")
"""The demo is a client, and migrations are frozen."""

UNIT = "a unit of time or size"
FORMAT = "the format of a file, a key, a hash or a packed value"
CONTRACT = "a rule that the contract names"
TERMS = "a bound of the terms: a value beyond it is regarded as a slip"
SHELL = "a command at the shell, which is no part of the server"
TEXT = "the length of a text that an error or a list of details shows"
STATEMENT = "the size of one statement, measured; each size is kept prepared"
EXIT_CODE = "an exit code of the process"
METHOD = "part of a method, as its comment says"
PICTURE = "a measure of a picture"

FACTS: dict[str, dict[str, str]] = {
    "books/beside.py": {"TOGETHER": METHOD},
    "books/codes.py": {"ABSENT": METHOD},
    "books/columns.py": {
        "BLOCK_VALUES": METHOD,
        "KEPT_TEXTS": METHOD,
        "LARGEST": METHOD,
        "LARGEST_SHARE": METHOD,
    },
    "books/details.py": {"TOGETHER": METHOD},
    "books/lapses.py": {"TOGETHER": METHOD},
    "books/consents.py": {"TOGETHER": METHOD},
    "books/increments.py": {"TOGETHER": METHOD},
    "books/quotas.py": {"TOGETHER": METHOD},
    "books/passes.py": {"TOGETHER": METHOD},
    "books/payloads.py": {"TOGETHER": METHOD},
    "books/portion.py": dict.fromkeys(
        ("PAYMENT_ROWS", "EVENTS", "MONEY", "LAST", "AUTHORIZATION_ROWS", "OPERATORS_OWN",
         "EVENT_ROWS", "LINES", "DEPOSITS", "BY_HAND", "AUTHORIZATIONS", "TRANSFER_ROWS",
         "_FORMAT", "CAPTURE_ROWS", "CORRECTION_ROWS", "CAPTURED", "CITED", "CONCEDED",
         "LATE_PICKUP_ROWS", "CASES", "ATTESTATION_ROWS", "ATTESTED"),
        METHOD,
    ),
    "books/processes.py": {
        "WORTH_SHARING": SHELL, "BEGIN_S": SHELL, "MOST_PROCESSES": SHELL, "PORTION": STATEMENT,
        "START_S": SHELL,
    },
    "books/groups.py": {
        "PORTION_BYTES": METHOD, "GROUPS": METHOD, "_LINK_BYTES": FORMAT,
    },
    "books/decisions.py": {"TOGETHER": METHOD},
    "books/read_values.py": {"HOUR_US": UNIT, "TOGETHER": METHOD},
    "books/share.py": {"ANSWERS": METHOD},
    "books/texts.py": {"LONGEST": METHOD},
    "cli/impact_segments.py": {"MOST_GROUPS": TEXT},
    "cli/impact_report.py": {"SMALL_GROUP": METHOD, "MOST_GROUPS": TEXT, "MOST_LADDERS": TEXT},
    "cli/drift.py": {"ALARM": SHELL},
    "storage/latest_features.py": {"PORTION": SHELL},
    "cli/overrides.py": {"DAY_US": UNIT},
    "storage/overrides.py": {"PORTION": SHELL, "_TOGETHER": STATEMENT, "_ENDED_VERSION": METHOD},
    "cli/listings.py": {"TOGETHER": SHELL},
    "cli/terms_texts.py": {"MOST_OUTSIDE": SHELL},
    "storage/listings.py": {"TOGETHER": STATEMENT},
    "cli/sources.py": {"MOST_SHOWN": TEXT},
    "certificates.py": {"RSA_BITS": METHOD, "WAIT_S": METHOD},
    "clock.py": {"SECOND_US": UNIT, "DAY_US": UNIT, "SLEW_DIVISOR": METHOD, "LOOKS": METHOD},
    "domain/access.py": {"KEY_BYTES": FORMAT, "KEY_ID_LENGTH": FORMAT},
    "domain/breaker_document.py": {
        "MOST_BREAKERS": CONTRACT, "MOST_DAYS": CONTRACT, "MOST_RENTALS": CONTRACT,
    },
    "storage/breakers.py": {"UNNUMBERED": FORMAT},
    "domain/budgets.py": {"DAY_US": UNIT, "IDLE_US": CONTRACT},
    "domain/budget_document.py": {"MOST_BUDGETS": CONTRACT, "SLICES": CONTRACT},
    "domain/captures.py": {"WITHOUT_ROW": FORMAT},
    "conditions.py": {"MOST_KEPT": METHOD},
    "domain/conditions.py": {"MOST_CHARACTERS": CONTRACT},
    "domain/condition_document.py": {"MOST_CONDITIONS": CONTRACT},
    "domain/cases.py": {"CLOCK_US": CONTRACT, "MOST_OF_A_KIND": CONTRACT},
    "domain/debts.py": {"AFTER_DISPUTE_US": CONTRACT},
    "domain/admission.py": {"HOUR_US": UNIT},
    "domain/rules_document.py": {
        "MOST_TABLES": CONTRACT, "MOST_RENTALS": CONTRACT, "MOST_DAYS": CONTRACT, "SHARE_BP": UNIT,
    },
    "domain/signal_document.py": {
        "MOST_SIGNALS": CONTRACT, "MOST_COUNTED": CONTRACT, "MOST_DAYS": CONTRACT,
        "MOST_WITHIN_MINUTES": CONTRACT,
    },
    "domain/bounds_document.py": {"MOST_BOUNDS": TERMS},
    "rpc/bounded_port.py": {"BACKLOG": METHOD, "LOOKS": METHOD, "RESET_PAUSE_S": METHOD},
    "rpc/frame_bounds.py": {
        **dict.fromkeys(
            ("EXPANSION", "HEAD_BYTES", "MOST_FRAME_BYTES", "PREFIX_BYTES", "STREAM_BITS"), FORMAT
        ),
        **dict.fromkeys(
            ("MOST_DROPPED", "MOST_HEADER_BYTES", "MOST_RESETS", "MOST_UNTOLD", "PING_STRIKES"),
            METHOD,
        ),
    },
    "rpc/native.py": {
        "MOST_EVENTS": METHOD, "MOST_IDLE_S": METHOD, "MOST_PATH_BYTES": FORMAT,
    },
    "rpc/terms_service.py": {"MOST_OUTSIDE": CONTRACT, "MOST_PRODUCTS": CONTRACT},
    "storage/compiling.py": {"TOGETHER": STATEMENT},
    "storage/terms_checks.py": {"ASKED_TOGETHER": STATEMENT, "MOST_NAMED": TEXT},
    "domain/document_fields.py": {
        "MOST_MINOR": TERMS, "MOST_MINUTES": TERMS, "MOST_SCORE": TERMS, "LIKENESS": TEXT,
    },
    "domain/documents.py": {"MOST_DIGITS": TEXT},
    "domain/least_fee.py": {"MOST_LOOKS": METHOD},
    "domain/limits_document.py": {"MOST_STEPS": TERMS, "MOST_RATES": TERMS},
    "domain/hash_chain.py": {
        "SUBJECT_BYTES": FORMAT, "LINK_FORMAT": FORMAT, "_FORMAT_PLACE": FORMAT,
    },
    "domain/hold.py": {"LONGEST_US": CONTRACT},
    "domain/currencies.py": {"MOST_DIGITS": TERMS},
    "domain/dunning.py": {"HOUR_US": UNIT, "DAY_US": UNIT},
    "domain/line_items.py": {"MOST_NAMES": TERMS},
    "domain/pass_document.py": {
        "DAY_MINUTES": UNIT, "MOST_DAYS": TERMS, "MOST_PASSES": TERMS, "MOST_PERCENT": TERMS,
        "MOST_PRICE_MINOR": TERMS,
    },
    "domain/passes.py": {"MOST_AHEAD_US": CONTRACT, "MOST_BEHIND_US": CONTRACT},
    "domain/policy.py": {"MAX_REASONS": CONTRACT},
    "domain/quotes.py": {"LONGEST_US": CONTRACT},
    "domain/fee_cycles.py": {"WEEK_US": UNIT, "LEAST_CYCLES": METHOD},
    "domain/fee_reach.py": {
        "HORIZON_MINUTES": CONTRACT,
        "HOURS_HORIZON_MINUTES": CONTRACT,
        "FIRST_PART_US": METHOD,
    },
    "domain/hour_prices.py": {
        "EPOCH_MINUTE": FORMAT,
        "WEEK_MINUTES": UNIT,
        "USUAL": FORMAT,
        "_MONTH_US": METHOD,
    },
    "domain/pricing_cost.py": {
        "MOST_STEPS": TERMS,
        "STEPS_OF_A_PRICE": METHOD,
        "STEPS_OF_A_SEGMENT": METHOD,
        "STEPS_OF_A_PART": METHOD,
        "CHANGES_OF_CLOCKS": METHOD,
        "SEARCHES": METHOD,
    },
    "domain/fee_lines.py": {"MINUTE_US": UNIT, "DAY_US": UNIT},
    "domain/tariff_document.py": {
        "DAY_MINUTES": UNIT, "WEEK_MINUTES": UNIT, "MOST_MINUTES": TERMS, "MOST_PRICE_MINOR": TERMS,
        "LEAST_WINDOW_MINUTES": TERMS, "MOST_SEGMENTS": TERMS, "MOST_PRICES": TERMS,
        "MOST_CAPS": TERMS, "MOST_QUOTAS": TERMS, "MOST_PLACES": TERMS, "MOST_STATIONS": TERMS,
        "NOT_ARITHMETIC_1": FORMAT,
    },
    "engine/feature_values.py": {"VALUE_BYTES": FORMAT, "UNSEEN": FORMAT},
    "engine/figures.py": {"_DAY_US": UNIT},
    "engine/engine.py": {"FEW": METHOD},
    "engine/impact.py": {"MOST_VALUES": METHOD},
    "engine/arrivals.py": {"RETURNING": METHOD, "PROBING": METHOD},
    "engine/group_commit.py": {"COLLECTING": METHOD, "CAUTION": METHOD},
    "engine/occurrence.py": {"EARLIEST_OCCURRENCE_US": CONTRACT},
    "engine/rates.py": {"SECOND_NS": UNIT},
    "ending.py": {"INTERRUPTS_S": METHOD, "FAILED": EXIT_CODE, "KILLED": EXIT_CODE},
    "engine/records/compatibility.py": {"ORDER_FEES_BUILD": FORMAT},
    "engine/process_job.py": {
        **dict.fromkeys(("COLLECT_S", "LONGEST_ANSWER_BYTES", "KEPT_BYTES", "ENDING_S"), METHOD),
    },
    "ids.py": {"_EPOCH_US": FORMAT, "_STEP_BITS": FORMAT, "_CHANCE_BITS": FORMAT},
    "preview/condition_columns.py": {"QUARTER_US": METHOD},
    "preview/conditions.py": {"MOST_COMBINATIONS": METHOD},
    "preview/crowds.py": {"UNBOUNDED": METHOD},
    "preview/exposure.py": {"POINTS": PICTURE},
    "preview/history.py": {
        "DAY_US": UNIT, "NEVER": METHOD, "FOREVER_US": METHOD, "UNSCORED": METHOD,
        "DECLINED": METHOD,
        **dict.fromkeys(("CANCELLED", "SUSPENDED", "ANOTHER", "WATCHED", "STALE"), FORMAT),
        **dict.fromkeys(("HELD", "STARTED", "LOST", "LATE", "MAYBE_HELD", "AT_ONCE"), FORMAT),
        **dict.fromkeys(("EXACT", "SETTLED", "LISTED"), FORMAT),
    },
    "preview/losses.py": {"LOOK_US": METHOD},
    "preview/own_view.py": {"MOST_MINOR": METHOD},
    "preview/picture.py": {"LETTER": PICTURE},
    "preview/read.py": {
        "PORTION": STATEMENT, "LEAD_US": METHOD,
        **dict.fromkeys(("STARTED", "HOLDING", "NO_CASH", "PAID", "HOLDS_CASH"), FORMAT),
        **dict.fromkeys(("LOST", "LATE", "STALE", "OFFER", "REVISION"), FORMAT),
        **dict.fromkeys(("SETTLED", "IMMEDIATE"), FORMAT),
    },
    "preview/replay.py": {"BEST_SCORE": METHOD},
    "preview/run.py": {"MOST_DAYS": CONTRACT},
    "preview/shortcut.py": {"MOST_MINOR": METHOD},
    "preview/sweep.py": {"MOST_STEPS": METHOD},
    "preview/usages.py": {"LEAD_US": METHOD},
    "rails/callbacks.py": {"SECRET_BYTES": FORMAT, "_LONGEST_DETAIL": CONTRACT},
    "rpc/admin_service.py": {"SECOND_US": UNIT},
    "rpc/line_items.py": {"MOST_BILL_BYTES": CONTRACT},
    "rpc/health_client.py": {"ANSWER_S": SHELL, "PAUSE_S": SHELL},
    "rpc/previews.py": {"USUAL_DAYS": CONTRACT},
    "rpc/pages.py": {"DEFAULT_PAGE": CONTRACT},
    "rpc/status.py": {"MOST_VIOLATIONS": TEXT, "MOST_CHARACTERS": TEXT},
    "signing.py": {"KEY_ID_CHARACTERS": FORMAT},
    "storage/admin.py": {"MINUTE_US": UNIT, "HOUR_US": UNIT, "DAY_US": UNIT},
    "storage/administration.py": {"LONGEST_TEXT": CONTRACT},
    "storage/backup.py": {"PORTION_BYTES": SHELL},
    "storage/bindings.py": {"MOST_CERTIFICATES": FORMAT},
    "storage/compatibility.py": dict.fromkeys(
        ("KEYS_BUILD", "RULES_BUILD", "LISTINGS_BUILD", "TARIFFS_BUILD", "QUOTAS_BUILD",
         "RETIRED_BUILD", "RESERVATIONS_BUILD", "EXPOSURE_BUILD", "PLACES_BUILD", "PASSES_BUILD",
         "FINDINGS_BUILD"),
        FORMAT,
    ),
    "storage/models.py": {"SIGNATURES": METHOD},
    "storage/dump.py": {"MAX_SAID": TEXT},
    "storage/migrate.py": {"MIGRATION_LOCK": FORMAT},
    "storage/only_server.py": {"LOCKED_BYTE": FORMAT},
    "storage/opening.py": {"MAX_SAID": TEXT},
    "storage/postgres.py": {"PAUSE_S": SHELL},
    "storage/postgres_session.py": {"LOOK_S": METHOD},
    "storage/rehearsal.py": {"ROOM": METHOD},
    "storage/postgres_tools.py": {"ANSWER_S": SHELL, "MOST_NAMED": TEXT},
    "storage/rail_accounts.py": {"LONGEST_LABEL": CONTRACT},
    "storage/seals.py": {"EVENTS_A_HEAD": STATEMENT},
    "storage/sqlite_files.py": {
        "LOG_HEADER_BYTES": FORMAT, "FRAME_HEADER_BYTES": FORMAT, "PAGE_BYTES": FORMAT,
    },
    "storage/findings.py": {"LONGEST": SHELL},
    "storage/horizon.py": {"EVERYTHING": FORMAT},
    "storage/requests.py": {"PORTION": STATEMENT},
    "storage/transaction.py": {
        "HEADS_TOGETHER": STATEMENT,
    },
    "storage/row_statements.py": {"MOST_ROWS": STATEMENT},
    "storage/sqlite.py": {
        "FEW_PAGES": METHOD, "LOOK_STEPS": METHOD, "ROWS_TOGETHER": STATEMENT,
        "SMALL_FILE_BYTES": FORMAT,
    },
    "storage/terms.py": {"MOST_US": TERMS, "LAST_US": TERMS, "MOST_CHANGES": METHOD},
}  # fmt: skip
"""Numbers that are not limits, by module, each with the reason why nobody sets it."""


def modules() -> Iterator[Path]:
    """The server's modules, except the one with the limits."""
    for path in sorted(SERVICE.rglob("*.py")):
        if not set(APART).intersection(path.relative_to(SERVICE).parts):
            yield path


def is_number(node: ast.expr | None, numbers: set[str]) -> bool:
    """Whether an expression is a number: a literal, a number's name, or arithmetic. Arithmetic
    needs at least one number; its other operands are names of constants, perhaps of another
    module."""
    match node:
        case ast.Constant(value=value):
            return type(value) in (int, float)
        case ast.UnaryOp(operand=operand):
            return is_number(operand, numbers)
        case ast.Name(id=name):
            return name in numbers
        case ast.BinOp():
            parts = [it for it in ast.walk(node) if isinstance(it, ast.Constant | ast.Name)]
            known = [is_number(it, numbers) for it in parts]
            constants = [isinstance(it, ast.Name) and it.id.isupper() for it in parts]
            return any(known) and all(one or two for one, two in zip(known, constants, strict=True))
    return False


def numbers_of(source: str) -> set[str]:
    """The names that a module, or a class in it, gives to numbers."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Module | ast.ClassDef):
            continue
        for statement in node.body:
            targets: list[ast.expr] = []
            value: ast.expr | None = None
            if isinstance(statement, ast.Assign):
                targets, value = statement.targets, statement.value
            elif isinstance(statement, ast.AnnAssign):
                targets, value = [statement.target], statement.value
            names = [it.id for it in targets if isinstance(it, ast.Name) and it.id.isupper()]
            if is_number(value, found):
                found.update(names)
    return found


def test_every_limit_stands_in_config() -> None:
    """A number with a name in a module is a limit in `service/config.py`, or one of the facts
    above. Each of the facts above still exists."""
    found = {}
    for path in modules():
        name = path.relative_to(SERVICE).as_posix()
        if name != "config.py" and (numbers := numbers_of(path.read_text())):
            found[name] = numbers
    assert found == {name: set(facts) for name, facts in FACTS.items()}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("WAIT_S = 5", {"WAIT_S"}),
        ("WAIT_S: float = 2.5", {"WAIT_S"}),
        ("A = 2\nMOST = -(A * 1_000 << 2)", {"A", "MOST"}),
        ("MOST = 100 * DAY_US\nNAME = PREFIX + 'x'", {"MOST"}),
        ("class Way:\n    MOST = 3", {"MOST"}),
        ("NAMES = ('a',)\nFLAG = True\nMOST = LIMITS.most\nlower = 3", set()),
    ],
)
def test_a_named_number_is_found(source: str, names: set[str]) -> None:
    """Numbers are found with and without a type, alone and as arithmetic, in modules and
    classes."""
    assert numbers_of(source) == names


# -- names and bounds of limits ----------------------------------------------------------------

COUNTS = frozenset({
    "max_queue", "max_batch", "patience", "min_arrivals", "max_attempts", "max_concurrent_streams",
    "max_calls", "max_calls_a_caller", "sweep_portion", "dispatch_portion", "seal_heads",
    "fold_rows", "fold_portion", "max_known", "max_unknown", "threads", "max_waiting",
    "bulk_in_flight", "cached_statements", "checkpoint_pages",
    "light_checkpoint_pages", "checkpoint_turns", "connections", "remembered_rows",
    "keepalives", "refusals_a_second", "max_held", "most_waiting", "most_in_a_line",
    "max_connections", "max_watches", "max_reflections",
    "max_queue_a_caller", "max_share", "max_strangers", "max_unread", "max_keys",
    "units_a_second", "read", "list", "quote", "write", "batch", "bulk", "verify",
    "calls_logged_a_second",
    "max_waiting_each", "page_window", "niceness", "most_decisions",
    "least_people", "overload_batches", "few_callers", "max_bulk_batch",
    "max_pending",
})  # fmt: skip
"""Limits that are counts."""
UNITS = ("_s", "_ms", "_bytes", "_kib", "_minor")


def leaves(limits: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every field that is not a group of fields: its path, itself and its value."""
    for it in fields(limits):
        value = getattr(limits, it.name)
        if is_dataclass(value):
            yield from leaves(value, f"{path}{it.name}.")
        else:
            yield f"{path}{it.name}", it, value


LEAVES = [it for it in leaves(LIMITS) if not callable(it[2])]


@pytest.mark.parametrize("path", [path for path, _, _ in LEAVES])
def test_a_limit_has_a_unit_and_bounds(path: str) -> None:
    """Every limit is a number within its own bounds. Its name has its unit, or says that it is a
    count."""
    ((_, field, value),) = [it for it in LEAVES if it[0] == path]
    low, high = field.metadata[BOUNDS]
    assert type(value) in (int, float)
    assert low <= value <= high
    assert field.name.endswith(UNITS) != (field.name in COUNTS)


WRONG = {
    "drain_s": lambda: replace(LIMITS, drain_s=-1.0),
    "commit.max_queue": lambda: Limits(commit=CommitLimits(max_queue=0)),
    "clock.most_apart_s": lambda: Limits(clock=ClockLimits(most_apart_s=float("nan"))),
    "resend_s": lambda: replace(LIMITS, resend_s=float("inf")),
    "reads.threads": lambda: Limits(reads=ReaderLimits(threads=1_000)),
    "postgres.connections": lambda: Limits(postgres=PostgresLimits(connections=16)),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_limit_out_of_bounds_is_refused(name: str) -> None:
    """A limit out of its bounds is refused with its name and its bounds. If there are more threads
    that use a connection than connections, that is refused too."""
    with pytest.raises(LimitsWrong, match=rf"{name} is .*: give ") as refused:
        WRONG[name]()
    assert str(refused.value).count(" is ") <= 2


def test_all_limits_out_of_bounds_are_named() -> None:
    """The refusal names every limit that is wrong, not only the first."""
    with pytest.raises(LimitsWrong, match=r"drain_s is -1.*; .*sweep_portion is 0"):
        replace(LIMITS, drain_s=-1, notice_s=-1, sweep_portion=0)


# -- limits of a process ---------------------------------------------------------------------------

LIMITED = {"open_database", "open_current", "open_to_migrate", "reach", "back_up"}
"""Functions that open a database with limits."""


def forgets_limits(source: str) -> list[int]:
    """The lines of a module that use the default limits in place of the limits that were given.

    The defaults may only be those of a parameter or of a look-up."""
    tree = ast.parse(source)
    allowed: set[ast.AST] = set()
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.arguments):
            allowed.update([*node.defaults, *filter(None, node.kw_defaults)])
        elif isinstance(node, ast.Call):
            called = [node.func, *node.args[:1]]
            names = {it.id for it in called if isinstance(it, ast.Name)}
            if isinstance(node.func, ast.Attribute) and node.func.attr == "get":
                allowed.update(node.args[1:])
            elif names & LIMITED and all(it.arg != "limits" for it in node.keywords):
                lines.append(node.lineno)
    used = [it for it in ast.walk(tree) if isinstance(it, ast.Name) and it.id == "LIMITS"]
    loads = [it for it in used if isinstance(it.ctx, ast.Load)]
    return sorted([*lines, *(it.lineno for it in loads if it not in allowed)])


def test_every_limit_is_one_that_was_given() -> None:
    """No module keeps the default limits from its import, and every database is opened with the
    limits of the process."""
    found = {str(path): forgets_limits(path.read_text()) for path in modules()}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("WAIT_S = LIMITS.wait_s", [1]),
        ("def f():\n    return LIMITS.wait_s", [2]),
        ("def f(limits=LIMITS, *, more=LIMITS):\n    return limits", []),
        ("open_database(url)\nopen_database(url, limits=limits)", [1]),
        ("open = partial(reach, limits=limits)\nopen = partial(open_current, url)", [2]),
    ],
)
def test_forgotten_limits_are_found(source: str, lines: list[int]) -> None:
    """A use of the defaults at import or in a function is found, and so is a database that is
    opened without limits."""
    assert forgets_limits(source) == lines


# -- private names of libraries ----------------------------------------------------------------


def private_imports(source: str) -> list[str]:
    """The names with an underscore that a module imports from other packages."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            private = any(it.startswith("_") and not it.startswith("__") for it in parts)
            if private and parts[0] not in ("service", "models", "freehold"):
                found.append(name)
    return found


def test_no_private_name_of_a_library_is_used() -> None:
    """A library's private names may be gone in its next version: the server imports none."""
    places = [*modules(), *Path(models.__file__).parent.rglob("*.py")]
    found = {str(path): names for path in places if (names := private_imports(path.read_text()))}
    assert found == {}


def test_a_private_name_is_found() -> None:
    """Private names and names of private modules are found; a name like __future__ is not."""
    source = "from __future__ import annotations\nfrom psycopg.errors import _WaitTimeout\n"
    source += "import protovalidate._gen\nfrom psycopg import OperationalError\n"
    assert private_imports(source) == ["psycopg.errors._WaitTimeout", "protovalidate._gen"]


def test_limits_are_handed_over_as_json() -> None:
    """Limits that a process hands to another one as JSON are the same there; a name that is no
    limit is refused."""
    changed = replace(
        LIMITS, drain_s=3.5, commit=CommitLimits(max_queue=7), reads=ReaderLimits(threads=2)
    )
    values = json.loads(json.dumps(values_of(changed)))
    assert with_values(LIMITS, values) == changed
    with pytest.raises(TypeError):
        with_values(LIMITS, {"sqlite": {"nothing": 1}})
