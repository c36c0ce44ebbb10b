"""Drafts a spec from a table: a TOML text that trains as it is, with comments for its reader."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from models import checking, draft_dates, freed, profiles, reading, sniffing, spec, text_tables
from models.checking import Alone
from models.dataset import Dataset
from models.draft_columns import A_DATE, A_LATE_DATE, Column, exclude, one_id, set_part, unreadable
from models.errors import DatasetError
from models.profiles import Guess, Profile

LEAK_AUC = 0.985
"""A column that alone has this AUC is left out of a draft."""
_TOTAL = re.compile(r"\s*(grand\s+)?(sub)?(total|sum|summe|gesamt|合计|总计)s?\s*:?\s*", re.I)

_NOT_OVER = re.compile(
    r"\b(current|active|open|ongoing|running|in[\s_-]*(progress|grace|process|repayment)|pending|"
    r"issued|approved|unknown|n/?a|null|not[\s_-]*yet\w*|late|past[\s_-]*due|overdue|"
    r"indeterminate|cancell?ed|rejected|laufend|offen|aktiv|en[\s_-]*cours|vigente|em[\s_-]*aberto)\b|"
    r"^[?.-]*$|还款中|进行中|未结清|未到期|审核|未知",
    re.I,
)


class Question(NamedTuple):
    """The meaning of the table, which only its owner knows."""

    label: str
    bad: tuple[str, ...]
    good: tuple[str, ...]
    outcome: str
    horizon: str
    population: str


class Draft(NamedTuple):
    """A spec's text, the rows and the input columns that it has, and notes for its reader."""

    text: str
    rows: int
    inputs: int
    notes: tuple[str, ...]


CELLS_AT_ONCE = 1_000_000
"""The cells that are profiled at once, whole columns of them and one at least. They take up to 16
bytes each; the file is split into cells again for further columns."""
MOST_TIMES = 7
"""The times that a file is split into cells for the profiles, at most: of a long table more cells
are profiled."""


class _Table(NamedTuple):
    keys: dict[str, Any]
    notes: tuple[str, ...]
    columns: list[Column]
    labels: Counter[str]
    values: dict[str, list[str]]
    total: tuple[int, str] | None
    rows: int


def draft(path: Path, target: Path, question: Question, today: date) -> Draft:
    """Draft the spec `target` of the table at `path`. Years of two digits are not after `today`.

    Raises DatasetError where the file is no table, the label's column or its bad value is not
    there, or no spec of this table could train.
    """
    label: str | int = int(question.label) if question.label.isdecimal() else question.label
    table = _profiled(path, target.parent, label, question, today.year)
    columns, values = table.columns, table.values
    at = _label_position([c.profile.name for c in columns], question.label, label)

    def written() -> spec.Spec:
        return _parsed(_toml(table, columns, at, question, values), target)

    _exclude_leaks(reading.load(written()), columns)
    freed.give_back()
    _derive_ages(columns, written, today)
    freed.give_back()
    text = _toml(table, columns, at, question, values)
    findings = reading.Findings()
    checking.check(_parsed(text, target), None, findings)
    findings.require()
    notes = [*table.notes, *_left_out(values, table.labels)]
    if lines := table.keys.get("skip_last_lines"):
        notes.append(f"lines at the end that are no rows are left out: {lines}")
    notes += [f"{c.profile.name}: {each}" for c in columns for each in c.comments]
    inputs = sum(c.part == "feature" and c.role == "input" for c in columns)
    return Draft(text, table.rows, inputs, (*notes, *findings.warnings))


def _two_digit_years(column: Column) -> bool:
    """Whether the dates of a column have years of two digits."""
    return column.guess.type == "date" and "%y" in column.guess.format


def _date_century(column: Column, this_year: int) -> None:
    """Says which hundred years two digits mean: those until today, but not in a column whose name
    says that its dates may lie ahead."""
    last = draft_dates.centuries(column.profile.name, this_year)
    if last != this_year:
        column.keys["last_year"] = last
    note = f"years of two digits are read as {last - 99} to {last}: else change last_year"
    column.guess = replace(column.guess, notes=(*column.guess.notes, note))


def _profiled(
    path: Path, folder: Path, label: str | int, question: Question, this_year: int
) -> _Table:
    """The profiles of the columns, by the rows whose outcome is bad or good. Totals, headers that
    are repeated and debts that are not over would be read as if they were people."""
    keys, about = sniffing.sniff(path, label, folder)
    opened = text_tables.open_table(sniffing.data_of(keys, folder))
    at = _label_position(opened.names, question.label, label, about)
    labels: Counter[str] = Counter()
    for block in opened.blocks([at]):
        for value, count in block.cells[str(at)].value_counts().iter_rows():
            labels[value] += count
    values = _outcomes(question, labels)
    known = [*values["bad"], *values["good"]]
    rows = sum(labels[value] for value in known)
    last: dict[str, Any] = {}
    ends: dict[str, Any] = {}
    columns: list[Column] = []
    width = max(1, CELLS_AT_ONCE // opened.rows, -(-len(opened.names) // MOST_TIMES))
    for first in range(0, len(opened.names), width):
        found = [Profile(n, first + j) for j, n in enumerate(opened.names[first : first + width])]
        read = [p for p in found if p.position not in opened.unreadable]
        for block in opened.blocks([at, *(p.position for p in read)]):
            if not block.cells.height:
                continue
            kept = block.cells.filter(pl.col(str(at)).is_in(known))
            for profile in read if kept.height else ():
                profile.add(kept[str(profile.position)])
            ends = block.cells.row(-1, named=True)
        last |= ends
        for profile in found:
            if kind := opened.unreadable.get(profile.position):
                columns.append(unreadable(profile, kind))
            else:
                columns.append(_column(profile, at, rows, opened.rows, this_year))
        freed.give_back()
    one_id(columns)
    if any(map(_two_digit_years, columns)):
        keys["last_year"] = this_year
    return _Table(keys, about, columns, labels, values, _total(last, at), opened.rows)


def _column(profile: Profile, at: int, rows: int, of: int, this_year: int) -> Column:
    """The column of a profile of `rows` rows `of` a table, whose values are forgotten; `at` is the
    label's position."""
    column = Column(profile, profiles.guess(profile))
    if _two_digit_years(column):
        _date_century(column, this_year)
    if profile.position == at:
        column.part = "label"
    else:
        set_part(column, rows, of)
    profile.forget()
    return column


def _total(last: dict[str, Any], at: int) -> tuple[int, str] | None:
    """The position and text of a cell that says that the last row is a total."""
    if last.get(str(at)):
        return None
    for position, cell in last.items():
        if cell and _TOTAL.fullmatch(cell):
            return int(position), cell
    return None


def _label_position(
    names: Sequence[str], name: str, label: str | int, about: Sequence[str] = ()
) -> int:
    if name in names:
        return names.index(name)
    if isinstance(label, int) and 1 <= label <= len(names):
        return label - 1
    known = ", ".join(names[:20])
    said = "; ".join((f"--label: there is no column {name}", f"the columns are {known}", *about))
    raise DatasetError(said)


def _outcomes(question: Question, labels: Counter[str]) -> dict[str, list[str]]:
    """The texts of bad, good and ignored outcomes; equal numbers are one outcome."""
    bad = [v for v in labels if v and _one_of(v, question.bad)]
    if not bad:
        seen = ", ".join(repr(v) for v, _ in labels.most_common(10))
        raise DatasetError(f"--bad: no row has this label; the labels are {seen}")
    rest = [v for v, _ in labels.most_common() if v and v not in bad]
    # Debts that are not over are often more than those that are.
    over = [v for v in rest if not _NOT_OVER.search(v)]
    chosen = question.good or tuple((over or rest)[:1])
    good = [v for v in rest if _one_of(v, chosen)]
    if not good:
        raise DatasetError("--good: no row has this label")
    ignored = [v for v in labels if v not in bad and v not in good]
    return {"bad": sorted(bad), "good": sorted(good), "ignore": sorted(ignored)[:100]}


def _left_out(values: dict[str, list[str]], labels: Counter[str]) -> Iterator[str]:
    """A note on the rows whose labels are neither bad nor good."""
    used = {*values["bad"], *values["good"]}
    rest = [(value, count) for value, count in labels.most_common() if value not in used]
    if rest:
        said = ", ".join(repr(value) for value, _ in rest[:5]) + (", ..." if len(rest) > 5 else "")
        rows = sum(count for _, count in rest)
        yield f"label: {rows} rows are neither bad nor good and are left out: {said}"


def _one_of(value: str, wanted: tuple[str, ...]) -> bool:
    """Whether a label is one of these, in upper or lower case, or as the same number."""
    if value.casefold() in [w.strip().casefold() for w in wanted]:
        return True
    try:
        return float(value) in [float(w) for w in wanted]
    except ValueError:
        return False


def _parsed(text: str, target: Path) -> spec.Spec:
    return spec.parse(tomllib.loads(text), path=target, sha256="")


def _exclude_leaks(data: Dataset, columns: list[Column]) -> None:
    """Excludes columns that alone tell bad from good too well."""
    inputs = {c.keys["name"]: c for c in columns if c.part == "feature" and c.role == "input"}
    for name, power in checking.each_alone(data).items():
        if leak := _leak(power):
            exclude(inputs[name], leak)
    if not any(c.role == "input" for c in inputs.values()):
        raise DatasetError("every input column alone tells bad from good: no model is needed")


def _leak(power: Alone) -> str | None:
    """The comment on a column that alone tells bad from good too well."""
    if not power.tells and power.auc < LEAK_AUC:
        return None
    return f"LEAK? alone it has an AUC of {power.auc:.3f}: known only after the outcome?"


def _derive_ages(columns: list[Column], written: Callable[[], spec.Spec], today: date) -> None:
    """Derives the months from each date to the date of the decision, if the table has one that is
    not after `today`; the spec is `written` from the columns."""
    dates = {c.keys["name"]: c for c in columns if c.part == "feature" and c.guess.type == "date"
             and c.role == "excluded" and c.comments[-1] in (A_DATE, A_LATE_DATE)}  # fmt: skip
    if len(dates) < 2:
        return
    for column in dates.values():
        column.role = "input"
    findings = reading.Findings()
    data = reading.read(written(), findings)
    for column in dates.values():
        column.role = "excluded"
    if findings.errors:
        # A date that is written otherwise, beyond the cells that the format was guessed from.
        return
    days = {n: data.raw[:, j] for j, n in enumerate(data.spec.raw_names) if n in dates}
    for name, column in dates.items():
        blank = np.isnan(days[name]).astype(np.float64)
        told = checking.alone(blank, data.label).auc >= checking.SUSPECT_AUC
        if told and column.comments[-1] == A_DATE:
            column.comments[-1] = "LEAK? that this date is filled tells the outcome"
    decided = draft_dates.decision(days, today)
    if decided is None:
        return
    for name in draft_dates.earlier(days, decided):
        column = dates[name]
        if column.comments[-1] != A_DATE:
            continue
        months = draft_dates.months(days[name], days[decided])
        leak = _leak(checking.alone(months, data.label))
        if leak or np.unique(months).shape[0] < 2:
            column.comments[-1] = leak or "it lies equally long before the decision in all rows"
            continue
        column.role, column.age_at = "input", decided
        column.comments[-1] = f"a date: the model sees the months from it to {decided}"
    if any(c.age_at for c in dates.values()):
        dates[decided].role = "input"
        dates[decided].comments[-1] = "taken for the date of the decision, which ages end at"


def _toml(
    table: _Table,
    columns: list[Column],
    at: int,
    question: Question,
    values: dict[str, list[str]],
) -> str:
    lines = [
        "# A draft by `freehold spec init`. It trains as it is; read the comments before you trust",
        "# its model. models/SPEC.md explains every key, also [card], which names owner and uses.",
        "",
        "[data]",
        *(f"# CHECK: {each}" for each in table.notes),
        *(_line(k, v) for k, v in table.keys.items() if _DEFAULTS.get(k, ...) != v),
        "missing_tokens = []  # blanks always count as missing; other texts are named by column",
        "",
        "[label]",
        _line("column", _reference(columns[at], columns)),
        _line("bad", values["bad"]),
        _line("good", values["good"]),
    ]
    if values["ignore"]:
        lines += ["# CHECK: rows with these labels are left out", _line("ignore", values["ignore"])]
    lines += [
        _line("outcome", question.outcome),
        _line("horizon", question.horizon),
        _line("population", question.population),
    ]
    for part in ("id", "group"):
        for column in columns:
            if column.part == part:
                lines += ["", *_comments(column), f"[{part}]",
                          _line("column", _reference(column, columns))]  # fmt: skip
    lines += _time(columns)
    if table.total is not None:
        position, cell = table.total
        lines += ["", "[[exclude]]", _line("reason", "a total, not a person"),
                  _line("column", _reference(columns[position], columns)),
                  _line("values", [cell])]  # fmt: skip
    taken: set[str] = set()
    for column in columns:
        if column.part == "feature":
            lines += _feature(column, columns, taken)
    for column in columns:
        if column.age_at:
            lines += _age(column, taken)
    return "\n".join(lines) + "\n"


_DEFAULTS = {"format": "csv", "compression": "none", "delimiter": ",", "quote": '"',
             "encoding": "utf-8", "skip_lines": 0, "skip_last_lines": 0,
             "header": True}  # fmt: skip


def _time(columns: list[Column]) -> list[str]:
    dates = [c for c in columns if c.guess.type == "date" and c.part == "feature"]
    if not dates:
        return []
    ends = {c.age_at for c in dates}
    # A row without a date is in no part of the table that [time] makes.
    usual = next((c for c in dates if not c.guess.missing), dates[0])
    column = next((c for c in dates if c.keys.get("name") in ends), usual)
    return [
        "",
        "# To hold out the latest rows, choose a date:",
        "# [time]",
        "# " + _line("column", _reference(column, columns)),
        "# " + _line("format", column.guess.format),
        "# oot_from = 2026-01-01",
    ]


def _feature(column: Column, columns: list[Column], taken: set[str]) -> list[str]:
    profile, guess = column.profile, column.guess
    name = column.keys.get("name") or _name(profile, taken)
    column.keys["name"] = name
    taken.add(name)
    lines = ["", *_comments(column), "[[feature]]", _line("name", name)]
    reference = _reference(column, columns)
    if reference != name:
        lines.append(_line("column", reference))
    if profile.name != name and not profile.name.startswith("column_"):
        lines.append(_line("description", profile.name))
    lines.append(_line("role", column.role))
    if column.role == "excluded":
        return lines
    lines.append(_line("type", guess.type))
    if guess.type == "date":
        lines.append(_line("format", guess.format))
        lines += [_line(k, v) for k, v in column.keys.items() if k == "last_year"]
    if guess.missing:
        lines.append(_line("missing", "nan"))
    if guess.tokens:
        lines.append(_line("missing_tokens", list(guess.tokens)))
    lines += _notation(guess)
    if guess.unit:
        lines.append(_line("unit", guess.unit))
    if guess.special and column.role == "input":
        lines.append(_line("special", list(guess.special)))
    lines += [_line(k, v) for k, v in column.keys.items() if k in ("groups", "group_names")]
    if column.role == "input" and guess.type != "date":
        lines.append(_line("reason_group", _reason(name, profile.position)))
    return lines


def _age(column: Column, taken: set[str]) -> list[str]:
    name, decided = column.keys["name"], column.age_at
    title = checking.safe_name(f"months from {name} to {decided}")
    while title in taken:
        title = f"{title[:50]} {column.profile.position + 1}"
    taken.add(title)
    return [
        "",
        "[[derivation]]",
        _line("name", title),
        _line("operation", "months_between"),
        _line("of", [name, decided]),
        _line("reason_group", _reason(f"MONTHS_SINCE_{name}", column.profile.position)),
    ]


def _notation(guess: Guess) -> list[str]:
    notation = guess.notation
    if guess.type not in ("number", "integer"):
        return []
    return [
        _line(key, value)
        for key, value, usual in (
            ("decimal", notation.decimal, "."), ("thousands", notation.thousands, ""),
            ("currency", list(notation.currency), []), ("percent", notation.percent, False),
            ("accounting", notation.accounting, False),
        )
        if value != usual and not notation.plain
    ]  # fmt: skip


def _name(profile: Profile, taken: set[str]) -> str:
    name = profile.name
    if not checking.WIRE_NAME.fullmatch(name):
        name = checking.safe_name(name) or f"column_{profile.position + 1}"
    while name in taken:
        name = f"{name[:50]}_{profile.position + 1}"
    return name


def _reference(column: Column, columns: list[Column]) -> str | int:
    """A column by its name in the file, or by its position where the name is not its own."""
    name = column.profile.name
    alone = sum(c.profile.name == name for c in columns) == 1
    return name if alone and name.isprintable() else column.profile.position + 1


def _reason(name: str, position: int) -> str:
    words = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")
    return words if re.fullmatch(r"[A-Z][A-Z0-9_]*", words) else f"COLUMN_{position + 1}"


def _comments(column: Column) -> list[str]:
    return [f"# CHECK: {each}" for each in column.comments]


def _line(key: str, value: Any) -> str:
    return f"{key} = {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        # A TOML string is a JSON string, except for the character 127.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(int(value)) if isinstance(value, float) and value == int(value) else repr(value)
