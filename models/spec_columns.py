"""The features of a spec: how each column is written in the file, and its part in the model."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from models.toml_table import TomlTable

ROLES = ("input", "protected", "excluded")
TYPES = ("number", "integer", "code", "text", "date")
MISSING = ("reject", "nan")
ABSENT = ("reject", "missing")

ISO = "iso"
"""The format of dates such as 2026-11-29, also with a time of day or without a day."""

NOTATION_KEYS = (
    "decimal", "thousands", "currency", "percent", "accounting", "missing_tokens", "last_year",
)  # fmt: skip
FEATURE_KEYS = (
    "name", "column", "type", "role", "missing", "absent", "special", "monotone", "actionable",
    "reason_group", "min", "max", "groups", "group_names", "group_values",
    "reference_group", "format",
    *NOTATION_KEYS, "description", "unit", "source", "lawful_basis", "maximum_age_days", "reason",
)  # fmt: skip
REASON_KEYS = ("zh", "en")
DERIVE_KEYS = ("function", "column")
DERIVED_KEYS = ("name", "monotone", "reason_group")

# Blank cells always count as missing.
MISSING_TOKENS = ("NA", "NaN", "nan", "null")

_UPPER_SNAKE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
# Characters that LightGBM refuses in a name or changes, and control characters.
_UNSAFE = re.compile(r"""[^!#-+\--9;-Z\\^-z|~]""")
_DIRECTIVES = "YymdbBaHIMSp"

LAST_YEAR = 2069
"""The latest year that two digits mean, where a spec does not say another one."""


@dataclass(frozen=True)
class Notation:
    """The way that a column's cells are written.

    `decimal` is the mark before the decimals; `thousands` the mark between groups of digits, or "".
    `currency` are texts that may stand before or after a number. With `percent` each number has a
    percent sign and counts as a hundredth. With `accounting` a number below 0 may also be written
    `(5)`, `5-` or with the minus sign U+2212. `missing` are the cells, besides blanks, without a
    value, in the Unicode form NFC. Years of two digits are the hundred years up to `last_year`.
    """

    decimal: str = "."
    thousands: str = ""
    currency: tuple[str, ...] = ()
    percent: bool = False
    accounting: bool = False
    missing: tuple[str, ...] = MISSING_TOKENS
    last_year: int = LAST_YEAR

    @property
    def plain(self) -> bool:
        """Numbers are written as in a program."""
        return self.decimal == "." and not (
            self.thousands or self.currency or self.percent or self.accounting
        )


@dataclass(frozen=True)
class Feature:
    """One raw column.

    `missing` says whether a row may lack the value, `absent` whether a value that a client did
    not send counts as missing. `minimum` and `maximum` bound the declared domain, inclusive.
    `groups` cuts a protected column of numbers into len(groups) + 1 groups by their lower bounds;
    `group_values` lists the texts of each group of a protected text; `group_names` names them.
    `reference_group` is the one that others are compared with, None for the largest.
    `column` is the column's name or position in the file. `format` is that of a date. `levels` are
    a text's values in a table or in a model, in the order of their numbers; a spec has none. Of
    `notation`, a model has only the missing texts of a text.
    """

    name: str
    type: str
    role: str
    missing: str
    absent: str
    special: tuple[float, ...]
    monotone: int
    actionable: bool
    reason_group: str | None
    minimum: float
    maximum: float
    groups: tuple[float, ...]
    group_names: tuple[str, ...]
    group_values: tuple[tuple[str, ...], ...] = ()
    column: str | int = ""
    format: str = ISO
    notation: Notation = Notation()
    description: str | None = None
    unit: str | None = None
    source: str | None = None
    lawful_basis: str | None = None
    maximum_age_days: int | None = None
    reason_zh: str | None = None
    reason_en: str | None = None
    levels: tuple[str, ...] = ()
    reference_group: str | None = None

    @property
    def beside_time(self) -> bool:
        """Whether its column may also be [time]'s: the date of a decision tells ages too."""
        return self.type == "date" or self.role == "excluded"


@dataclass(frozen=True)
class Derived:
    """One column the model sees: its name, direction (PD per value) and reason group."""

    name: str
    monotone: int
    reason_group: str | None


def notation(table: TomlTable, usual: Notation) -> Notation:
    """The notation that a table declares; keys that it lacks are those of `usual`."""
    thousands = table.get("thousands", usual.thousands)
    if not isinstance(thousands, str) or len(thousands) > 1 or thousands.isalnum():
        table.fault("thousands", 'must be one character that is no letter or digit, or ""')
        thousands = ""
    decimal = table.choice("decimal", (".", ","), usual.decimal)
    if thousands and thousands in (decimal, "+", "-", "%"):
        table.fault("thousands", "must differ from the decimal mark and the signs")
    currency = tuple(table.list_of("currency", str, list(usual.currency)))
    if any(not c.strip() or any(d.isdigit() for d in c) for c in currency):
        table.fault("currency", "must not have a blank text or a digit")
    return Notation(
        decimal=decimal,
        thousands=thousands,
        currency=tuple(c.strip() for c in currency),
        percent=table.flag("percent", usual.percent),
        accounting=table.flag("accounting", usual.accounting),
        missing=tuple(
            unicodedata.normalize("NFC", t.strip())
            for t in table.list_of("missing_tokens", str, list(usual.missing))
        ),
        last_year=table.integer("last_year", 1_900, 2_199, usual.last_year),
    )


def date_format(table: TomlTable) -> str:
    """The `format` key: `iso`, or directives such as %d/%m/%Y."""
    value = table.text("format", ISO)
    if value == ISO or not value:
        return ISO
    used = re.findall(r"%(.?)", value)
    if any(d not in _DIRECTIVES for d in used) or any(not d for d in used):
        table.fault("format", f"may have %{', %'.join(_DIRECTIVES)} and no other directive")
    elif not {"Y", "y"} & {*used} or len({*used}) != len(used):
        table.fault("format", "must have one of %Y and %y, and no directive twice")
    return value


def features(top: TomlTable, usual: Notation) -> tuple[Feature, ...]:
    """The [[feature]] tables; `usual` is the notation of the file."""
    tables = top.tables("feature", FEATURE_KEYS, required=True)
    found = tuple(_feature(table, usual) for table in tables)
    _unique(tables, [f.name for f in found])
    if found and not any(f.role == "input" for f in found):
        top.fault("feature", "has no column with role input")
    return found


def _feature(table: TomlTable, usual: Notation) -> Feature:
    role = table.choice("role", ROLES)
    kind = table.choice("type", TYPES, "text" if role == "excluded" else ...)
    low = table.number("min", -math.inf, math.inf, -math.inf)
    high = table.number("max", -math.inf, math.inf, math.inf)
    if low > high:
        table.fault("max", "must not be below min")
    missing = table.choice("missing", MISSING, "reject")
    absent = table.choice("absent", ABSENT, "reject")
    if absent == "missing" and missing != "nan":
        table.fault("absent", 'may be "missing" only if missing is "nan"')
    monotone = table.integer("monotone", -1, 1, 0)
    if monotone and role != "input":
        table.fault("monotone", "is allowed only for an input column")
    if kind == "text":
        for key in ("special", "monotone", "min", "max", "groups"):
            if table.has(key):
                table.fault(key, "is not allowed for a text column")
    if table.has("special") and kind == "date":
        table.fault("special", "is not allowed for a date: write it in missing_tokens")
    if table.has("format") and kind != "date":
        table.fault("format", "is allowed only for a date column")
    groups, values, names = _groups(table, role, kind)
    name = table.text("name")
    reason = TomlTable(table.at("reason"), table.get("reason", {}), REASON_KEYS, table.faults)
    return Feature(
        name=name,
        type=kind,
        role=role,
        missing=missing,
        absent=absent,
        special=table.numbers("special"),
        monotone=monotone,
        actionable=table.flag("actionable", False),
        reason_group=reason_group(table),
        minimum=low,
        maximum=high,
        groups=groups,
        group_names=names,
        group_values=values,
        column=table.column("column", name or "?"),
        format=date_format(table) if kind == "date" else ISO,
        notation=notation(table, usual),
        description=table.optional_text("description"),
        unit=table.optional_text("unit"),
        source=table.optional_text("source"),
        lawful_basis=table.optional_text("lawful_basis"),
        maximum_age_days=(
            table.integer("maximum_age_days", 1, 36_500) if table.has("maximum_age_days") else None
        ),
        reason_zh=reason.optional_text("zh"),
        reason_en=reason.optional_text("en"),
        reference_group=_reference(table, role, names),
    )


def _reference(table: TomlTable, role: str, names: Sequence[str]) -> str | None:
    """The group that others are compared with. The names of groups that a table's texts make are
    not known here."""
    wanted = table.optional_text("reference_group")
    if wanted is not None and role != "protected":
        table.fault("reference_group", "is allowed only for a protected column")
    elif wanted is not None and names and wanted not in names:
        table.fault("reference_group", f"must be one of the group_names: {', '.join(names)}")
    return wanted


def _groups(
    table: TomlTable, role: str, kind: str
) -> tuple[tuple[float, ...], tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """The lower bounds, the texts and the names of a protected column's groups."""
    for key in ("groups", "group_values", "group_names"):
        if table.has(key) and role != "protected":
            table.fault(key, "is allowed only for a protected column")
    groups = table.numbers("groups")
    if list(groups) != sorted(groups):
        table.fault("groups", "must be in ascending order")
    lists = table.list_of_lists("group_values")
    if lists and kind != "text":
        table.fault("group_values", "is allowed only for a text column")
    flat = [value for values in lists for value in values]
    if len({*flat}) != len(flat):
        table.fault("group_values", "has a value twice")
    names = tuple(table.list_of("group_names", str, []))
    count = len(lists) if lists else len(groups) + 1
    if (groups or lists or names) and len(names) != count:
        table.fault("group_names", f"must name {count} groups")
    return groups, lists, names


def reason_group(table: TomlTable) -> str | None:
    """The `reason_group` key, in capitals."""
    value = table.optional_text("reason_group")
    if value and not _UPPER_SNAKE.fullmatch(value):
        table.fault("reason_group", f"must be UPPER_SNAKE_CASE, not {value!r}")
    return value


def derive(top: TomlTable, columns: tuple[Feature, ...]) -> tuple[str | None, tuple[Derived, ...]]:
    """The [derive] table: its function and the columns that the model sees."""
    if not top.has("derive"):
        # Without a derive function the model uses the raw columns as they are.
        return None, undirected([f for f in columns if f.role == "input"])
    for index, feature in enumerate(columns):
        if feature.monotone:
            top.fault(
                f"feature[{index}].monotone",
                "is not allowed for a raw column behind a derive function; set it in derive.column",
            )
    table = TomlTable("derive", top.value["derive"], DERIVE_KEYS, top.faults)
    function = table.text("function")
    if function and not _FUNCTION.fullmatch(function):
        table.fault("function", "must have the form package.module:function")
    tables = table.tables("column", DERIVED_KEYS, required=True)
    derived = tuple(
        Derived(
            name=each.text("name"),
            monotone=each.integer("monotone", -1, 1, 0),
            reason_group=reason_group(each),
        )
        for each in tables
    )
    _unique(tables, [d.name for d in derived])
    hidden = {f.name for f in columns if f.role != "input"}
    for each, column in zip(tables, derived, strict=True):
        if column.name in hidden:
            each.fault("name", "is not an input column")
        if _UNSAFE.search(column.name):
            each.fault("name", "has a character that a model's text cannot have")
    return function, derived


def undirected(inputs: list[Feature]) -> tuple[Derived, ...]:
    """The input columns as the model sees them without a derive function.

    LightGBM changes some names, and cannot write others: such a column has its number for a name.
    """
    names = {f.name for f in inputs}
    derived = []
    for index, feature in enumerate(inputs, start=1):
        name = feature.name
        if _UNSAFE.search(name):
            name = f"column_{index}"
            while name in names:
                name += "_"
        derived.append(Derived(name, feature.monotone, feature.reason_group))
    return tuple(derived)


def _unique(tables: list[TomlTable], names: list[str]) -> None:
    seen: set[str] = set()
    for table, name in zip(tables, names, strict=True):
        if name in seen:
            table.fault("name", f"repeats {name!r}")
        if name:
            seen.add(name)
