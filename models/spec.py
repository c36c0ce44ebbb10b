"""The spec: one TOML file that describes the data and the model's columns.

Every table and key is listed in `_KEYS`; an unknown key is an error, because a misspelt
``monotone`` would otherwise silently remove a constraint.
"""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models import spec_model
from models.derivations import Derivation
from models.errors import SpecError
from models.spec_model import Recipe
from models.toml_table import TomlTable

ROLES = ("input", "protected", "excluded")
TYPES = ("number", "integer", "code")
MISSING = ("reject", "nan")
ABSENT = ("reject", "missing")
COMPRESSIONS = ("none", "xz", "gz")

_KEYS: dict[str, tuple[str, ...]] = {
    "": ("data", "label", "id", "time", "feature", "derive",
        "derivation", "validation", "model", "house"),
    "data": (
        "path", "format", "compression", "delimiter", "encoding", "header", "columns", "sha256",
    ),
    "label": ("column", "bad", "good", "horizon", "outcome", "population"),
    "id": ("column",),
    "time": ("column", "oot_from"),
    "feature": (
        "name", "type", "role", "missing", "absent", "special", "monotone", "actionable",
        "reason_group", "min", "max", "groups", "group_names",
    ),
    "derive": ("function", "column"),
    "derive.column": ("name", "monotone", "reason_group"),
    "validation": ("folds", "seeds", "extra_seeds"),
    "model": spec_model.MODEL_KEYS,
    "house": (
        "missing_rows", "missing_bad", "missing_good", "level_rows", "level_share",
        "special_rows", "warn_refused", "most_refused",
        "most_better_blank",
    ),
}  # fmt: skip

_UPPER_SNAKE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Data:
    """The place and format of the data file; `sha256` is of the uncompressed bytes."""

    path: Path
    format: str
    compression: str
    delimiter: str
    encoding: str
    header: bool
    columns: tuple[str, ...]
    sha256: str | None


@dataclass(frozen=True)
class Label:
    """The values of the label's column that are bad and good, and the meaning of the outcome."""

    column: str
    bad: tuple[str, ...]
    good: tuple[str, ...]
    horizon: str
    outcome: str
    population: str


@dataclass(frozen=True)
class Time:
    """Rows at or after `oot_from` (ISO text, compared as text) are the hold-out."""

    column: str
    oot_from: str


@dataclass(frozen=True)
class Feature:
    """One raw column.

    `missing` says whether a row may lack the value, `absent` whether a value that a client did
    not send counts as missing. `minimum` and `maximum` bound the declared domain, inclusive.
    `groups` cuts a protected column into len(groups) + 1 groups by their lower bounds;
    `group_names` names them. `levels` are a text's levels in the order of their positions.
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
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Derived:
    """One column the model sees: its name, direction (PD per value) and reason group."""

    name: str
    monotone: int
    reason_group: str | None


@dataclass(frozen=True)
class Validation:
    """Stratified folds; `seeds` make the headline, `extra_seeds` are printed beside it."""

    folds: int
    seeds: tuple[int, ...]
    extra_seeds: tuple[int, ...]


@dataclass(frozen=True)
class HouseRules:
    """Limits for the use of a model.

    A value may be missing if at least `missing_rows` training rows (and as many as the smallest
    leaf has) lack it, `missing_bad` of them bad and `missing_good` good. A level of a code or a
    text is kept with at least `level_rows` rows and `level_share` of all; a special value has a
    column of its own with at least `special_rows` rows. The others are shares of
    the hold-out: of rows refused for one column's value, a share above `warn_refused` is a warning
    and above `most_refused` an error; of people who score better without the value, a share above
    `most_better_blank` is a warning.
    """

    missing_rows: int = 50
    missing_bad: int = 5
    missing_good: int = 5
    level_rows: int = 30
    level_share: float = 0.005
    special_rows: int = 50
    warn_refused: float = 0.005
    most_refused: float = 0.05
    most_better_blank: float = 0.05


@dataclass(frozen=True)
class Spec:
    """A validated spec. `sha256` is of the TOML file's bytes. Without a pinned `recipe` the
    training chooses one."""

    path: Path
    sha256: str
    data: Data
    label: Label
    id_column: str
    time: Time | None
    features: tuple[Feature, ...]
    derive_function: str | None
    derived: tuple[Derived, ...]
    validation: Validation
    recipe: Recipe | None
    seed: int
    house: HouseRules
    derivations: tuple[Derivation, ...] = ()

    @property
    def inputs(self) -> tuple[Feature, ...]:
        """Features that the model may use, in raw order."""
        return tuple(f for f in self.features if f.role == "input")

    @property
    def raw_names(self) -> tuple[str, ...]:
        """Names of the input features, in raw order."""
        return tuple(f.name for f in self.inputs)

    @property
    def protected(self) -> tuple[Feature, ...]:
        """Features used only to measure fairness."""
        return tuple(f for f in self.features if f.role == "protected")


def load(path: Path) -> Spec:
    """Read and validate the spec at `path`.

    The data path inside is relative to the spec's own folder. Raises SpecError, whose `key` is the
    faulty place, for anything unreadable, missing, unknown or contradictory.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        tree = tomllib.loads(raw.decode("utf-8"))
    except OSError as error:
        raise SpecError(str(path), f"cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(str(path), f"is not TOML ({error})") from error
    return parse(tree, path=path, sha256=hashlib.sha256(raw).hexdigest())


def parse(tree: dict[str, Any], *, path: Path, sha256: str) -> Spec:
    """Validate an already parsed TOML tree. Raises SpecError."""
    top = TomlTable("", tree, _KEYS[""])
    features = _features(top)
    label = _label(top)
    id_table = TomlTable("id", top.get("id", ...), _KEYS["id"])
    id_column = id_table.text("column")
    time = _time(top)
    taken = {label.column: "label.column", id_column: "id.column"}
    if label.column == id_column:
        raise SpecError("id.column", "is the label's column")
    if time is not None and time.column in taken:
        raise SpecError("time.column", f"names the same column as {taken[time.column]}")
    for index, feature in enumerate(features):
        if feature.name in taken:
            raise SpecError(
                f"feature[{index}].name", f"names the same column as {taken[feature.name]}"
            )
    function, derived = _derive(top, features)
    model = TomlTable("model", top.get("model", {}), _KEYS["model"])
    return Spec(
        path=path,
        sha256=sha256,
        data=_data(top, path.parent),
        label=label,
        id_column=id_column,
        time=time,
        features=features,
        derive_function=function,
        derived=derived,
        validation=_validation(top),
        recipe=spec_model.pinned(model),
        seed=spec_model.seed(model),
        house=_house(top),
        derivations=_derivations(top, features, function),
    )


def _data(top: TomlTable, folder: Path) -> Data:
    table = TomlTable("data", top.get("data", ...), _KEYS["data"])
    sha256 = table.optional_text("sha256")
    if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise SpecError("data.sha256", "must be 64 lower-case hexadecimal digits")
    delimiter = table.text("delimiter", ",")
    if len(delimiter) != 1:
        raise SpecError("data.delimiter", "must be one character")
    header = table.flag("header", True)
    columns = tuple(table.list_of("columns", str, []))
    if not header and not columns:
        raise SpecError("data.columns", "is needed where the file has no header")
    return Data(
        path=folder / table.text("path"),
        format=table.choice("format", ("csv",)),
        compression=table.choice("compression", COMPRESSIONS, "none"),
        delimiter=delimiter,
        encoding=table.text("encoding", "utf-8"),
        header=header,
        columns=columns,
        sha256=sha256,
    )


def _label(top: TomlTable) -> Label:
    table = TomlTable("label", top.get("label", ...), _KEYS["label"])
    bad = tuple(str(v) for v in table.list_of("bad", (str, int)))
    good = tuple(str(v) for v in table.list_of("good", (str, int)))
    for name, values in (("bad", bad), ("good", good)):
        if not values:
            raise SpecError(f"label.{name}", "must not be empty")
    both = sorted(set(bad) & set(good))
    if both:
        raise SpecError("label.good", f"has the value {both[0]!r}, which is also in label.bad")
    return Label(
        column=table.text("column"),
        bad=bad,
        good=good,
        horizon=table.text("horizon"),
        outcome=table.text("outcome"),
        population=table.text("population"),
    )


def _time(top: TomlTable) -> Time | None:
    if "time" not in top.value:
        return None
    table = TomlTable("time", top.value["time"], _KEYS["time"])
    return Time(column=table.text("column"), oot_from=table.text("oot_from"))


def _features(top: TomlTable) -> tuple[Feature, ...]:
    items = top.get("feature", ...)
    if not isinstance(items, list) or not items:
        raise SpecError("feature", "must be a non-empty array of tables")
    features = tuple(_feature(index, item) for index, item in enumerate(items))
    _unique("feature", [f.name for f in features])
    if not any(f.role == "input" for f in features):
        raise SpecError("feature", "has no column with role input")
    return features


def _feature(index: int, item: object) -> Feature:
    table = TomlTable(f"feature[{index}]", item, _KEYS["feature"])
    role = table.choice("role", ROLES)
    low = table.number("min", -math.inf, math.inf, -math.inf)
    high = table.number("max", -math.inf, math.inf, math.inf)
    if low > high:
        raise SpecError(table.at("max"), "must not be below min")
    groups = tuple(float(v) for v in table.list_of("groups", (int, float), []))
    if groups and role != "protected":
        raise SpecError(table.at("groups"), "is allowed only for a protected column")
    if list(groups) != sorted(groups):
        raise SpecError(table.at("groups"), "must be in ascending order")
    names = tuple(table.list_of("group_names", str, []))
    if (groups or names) and len(names) != len(groups) + 1:
        raise SpecError(table.at("group_names"), f"must name {len(groups) + 1} groups")
    monotone = table.integer("monotone", -1, 1, 0)
    if monotone and role != "input":
        raise SpecError(table.at("monotone"), "is allowed only for an input column")
    missing = table.choice("missing", MISSING, "reject")
    absent = table.choice("absent", ABSENT, "reject")
    if absent == "missing" and missing != "nan":
        raise SpecError(table.at("absent"), 'may be "missing" only if missing is "nan"')
    return Feature(
        name=table.text("name"),
        type=table.choice("type", TYPES),
        role=role,
        missing=missing,
        absent=absent,
        special=tuple(float(v) for v in table.list_of("special", (int, float), [])),
        monotone=monotone,
        actionable=table.flag("actionable", False),
        reason_group=_reason_group(table),
        minimum=low,
        maximum=high,
        groups=groups,
        group_names=names,
    )


def _reason_group(table: TomlTable) -> str | None:
    value = table.optional_text("reason_group")
    if value is not None and not _UPPER_SNAKE.fullmatch(value):
        raise SpecError(table.at("reason_group"), f"must be UPPER_SNAKE_CASE, not {value!r}")
    return value


def _derive(
    top: TomlTable, features: tuple[Feature, ...]
) -> tuple[str | None, tuple[Derived, ...]]:
    inputs = [f for f in features if f.role == "input"]
    if "derive" not in top.value:
        # Without a derive function the model uses the raw columns as they are.
        return None, tuple(Derived(f.name, f.monotone, f.reason_group) for f in inputs)
    for index, feature in enumerate(features):
        if feature.monotone:
            raise SpecError(
                f"feature[{index}].monotone",
                "is not allowed for a raw column behind a derive function; set it in derive.column",
            )
    table = TomlTable("derive", top.value["derive"], _KEYS["derive"])
    function = table.text("function")
    if not _FUNCTION.fullmatch(function):
        raise SpecError("derive.function", "must have the form package.module:function")
    items = table.get("column", ...)
    if not isinstance(items, list) or not items:
        raise SpecError("derive.column", "must be a non-empty array of tables")
    derived = []
    for index, item in enumerate(items):
        column = TomlTable(f"derive.column[{index}]", item, _KEYS["derive.column"])
        derived.append(
            Derived(
                name=column.text("name"),
                monotone=column.integer("monotone", -1, 1, 0),
                reason_group=_reason_group(column),
            )
        )
    _unique("derive.column", [d.name for d in derived])
    hidden = {f.name for f in features if f.role != "input"}
    for index, column_ in enumerate(derived):
        if column_.name in hidden:
            raise SpecError(f"derive.column[{index}].name", "is not an input column")
        if any(c in column_.name for c in ' \t",:[]{}'):
            raise SpecError(
                f"derive.column[{index}].name", "has a character that a model's text cannot have"
            )
    return function, tuple(derived)


def _validation(top: TomlTable) -> Validation:
    table = TomlTable("validation", top.get("validation", ...), _KEYS["validation"])
    seeds = tuple(table.list_of("seeds", int))
    extra = tuple(table.list_of("extra_seeds", int, []))
    if not seeds:
        raise SpecError("validation.seeds", "must not be empty")
    for name, values in (("seeds", seeds), ("extra_seeds", extra)):
        if any(not 0 <= s < 2**31 for s in values):
            raise SpecError(f"validation.{name}", "must be from 0 to 2147483647")
    if set(seeds) & set(extra):
        raise SpecError("validation.extra_seeds", "has a seed that is also in validation.seeds")
    return Validation(folds=table.integer("folds", 3, 20), seeds=seeds, extra_seeds=extra)


def _derivations(
    top: TomlTable, features: tuple[Feature, ...], function: str | None
) -> tuple[Derivation, ...]:
    items = top.get("derivation", [])
    if not isinstance(items, list):
        raise SpecError("derivation", "must be an array of tables")
    if items and function is not None:
        raise SpecError("derivation", "is not allowed beside a derive function; choose one")
    tables = [
        TomlTable(f"derivation[{i}]", item, spec_model.DERIVATION_KEYS)
        for i, item in enumerate(items)
    ]
    types = {f.name: f.type for f in features if f.role == "input"}
    return spec_model.derivations(tables, types, [_reason_group(table) for table in tables])


def _house(top: TomlTable) -> HouseRules:
    table, usual = TomlTable("house", top.get("house", {}), _KEYS["house"]), HouseRules()
    return HouseRules(
        missing_rows=table.integer("missing_rows", 1, 1_000_000, usual.missing_rows),
        missing_bad=table.integer("missing_bad", 1, 1_000_000, usual.missing_bad),
        missing_good=table.integer("missing_good", 1, 1_000_000, usual.missing_good),
        level_rows=table.integer("level_rows", 1, 1_000_000, usual.level_rows),
        level_share=table.number("level_share", 0.0, 0.5, usual.level_share),
        special_rows=table.integer("special_rows", 1, 1_000_000, usual.special_rows),
        warn_refused=table.number("warn_refused", 0.0, 1.0, usual.warn_refused),
        most_refused=table.number("most_refused", 0.0, 1.0, usual.most_refused),
        most_better_blank=table.number("most_better_blank", 0.0, 1.0, usual.most_better_blank),
    )


def _unique(key: str, names: list[str]) -> None:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            raise SpecError(f"{key}[{index}].name", f"repeats {name!r}")
        seen.add(name)
