"""The spec: one TOML file that describes the data and the model's columns.

Every table and key is listed in `KEYS`; an unknown key is an error, because a misspelt
``monotone`` would otherwise silently remove a constraint. One reading finds all faults.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models import spec_card, spec_columns, spec_data, spec_model, spec_monitoring
from models.derivations import Derivation
from models.errors import SpecError
from models.spec_card import Card
from models.spec_columns import Derived, Feature
from models.spec_data import Data, Exclusion, Label, Time
from models.spec_model import Recipe
from models.spec_monitoring import HOUSE, Monitoring
from models.toml_table import TomlTable

KEYS: dict[str, tuple[str, ...]] = {
    "": (
        "data", "label", "id", "group", "weight", "time", "exclude", "feature", "derive",
        "derivation", "validation", "model", "house", "card", "monitoring",
    ),
    "data": spec_data.DATA_KEYS,
    "label": spec_data.LABEL_KEYS,
    "id": spec_data.COLUMN_KEYS,
    "group": spec_data.COLUMN_KEYS,
    "weight": spec_data.COLUMN_KEYS,
    "time": spec_data.TIME_KEYS,
    "exclude": spec_data.EXCLUDE_KEYS,
    "feature": spec_columns.FEATURE_KEYS,
    "feature.reason": spec_columns.REASON_KEYS,
    "derive": spec_columns.DERIVE_KEYS,
    "derive.column": spec_columns.DERIVED_KEYS,
    "validation": ("folds", "seeds", "extra_seeds"),
    "derivation": spec_model.DERIVATION_KEYS,
    "model": spec_model.MODEL_KEYS,
    "card": spec_card.CARD_KEYS,
    "monitoring": spec_monitoring.MONITORING_KEYS,
    "house": (
        "missing_rows", "missing_bad", "missing_good", "level_rows", "level_share",
        "special_rows", "warn_refused", "most_refused",
        "most_better_blank", "most_unknown_labels", "fewest_of_class",
    ),
}  # fmt: skip
"""The keys of each table of the spec; `models/SPEC.md` explains them."""


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
    `most_better_blank` is a warning. A share of rows above `most_unknown_labels` with a label that
    is neither good, bad nor ignored is an error. The hold-out, and each fold, has at least
    `fewest_of_class` good and as many bad rows.
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
    most_unknown_labels: float = 0.01
    fewest_of_class: int = 5


@dataclass(frozen=True)
class Spec:
    """A validated spec. `sha256` is of the TOML file's bytes.

    `id_column` is None where the number of the row serves as its id. Rows with one value of
    `group_column` never lie on both sides of a fold; `weight_column` has each row's weight.
    Without a pinned `recipe` the training chooses one.
    """

    path: Path
    sha256: str
    data: Data
    label: Label
    id_column: str | int | None
    group_column: str | int | None
    weight_column: str | int | None
    time: Time | None
    exclusions: tuple[Exclusion, ...]
    features: tuple[Feature, ...]
    derive_function: str | None
    derived: tuple[Derived, ...]
    validation: Validation
    recipe: Recipe | None
    seed: int
    house: HouseRules
    derivations: tuple[Derivation, ...] = ()
    card: Card | None = None
    monitoring: Monitoring = HOUSE

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
    first faulty place, for anything unreadable, missing, unknown or contradictory.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        tree = tomllib.loads(raw.decode("utf-8-sig").replace("\r\n", "\n"))
    except OSError as error:
        raise SpecError(str(path), f"cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise SpecError(str(path), f"is not TOML ({error})") from error
    return parse(tree, path=path, sha256=hashlib.sha256(raw).hexdigest())


def parse(tree: dict[str, Any], *, path: Path, sha256: str) -> Spec:
    """Validate an already parsed TOML tree. Raises SpecError with all faults."""
    faults: list[SpecError] = []
    top = TomlTable("", tree, KEYS[""], faults)
    data = spec_data.data(top, path.parent)
    features = spec_columns.features(top, data.notation)
    function, derived = spec_columns.derive(top, features)
    model = TomlTable("model", top.get("model", {}), KEYS["model"], faults)
    spec = Spec(
        path=path,
        sha256=sha256,
        data=data,
        label=spec_data.label(top),
        id_column=spec_data.column(top, "id"),
        group_column=spec_data.column(top, "group"),
        weight_column=spec_data.column(top, "weight"),
        time=spec_data.time(top, data.notation.last_year),
        exclusions=spec_data.exclusions(top, data.notation.last_year),
        features=features,
        derive_function=function,
        derived=derived,
        validation=_validation(top),
        recipe=spec_model.pinned(model),
        seed=spec_model.seed(model),
        house=_house(top),
        derivations=_derivations(top, features, function),
        card=spec_card.card(top),
        monitoring=spec_monitoring.monitoring(top),
    )
    if not faults:
        _check_columns(spec, top)
    if faults:
        first, *others = faults
        raise SpecError(first.key, first.problem, tuple(others))
    return spec


def _check_columns(spec: Spec, top: TomlTable) -> None:
    """Each column of the file has one part, except that the id may also be the group, and the time
    also a date among the features."""
    taken: dict[str | int, str] = {spec.label.column: "label.column"}
    time = None if spec.time is None else spec.time.column
    for column, key in (
        (spec.id_column, "id.column"),
        (spec.weight_column, "weight.column"),
        (time, "time.column"),
        (spec.group_column, "group.column"),
    ):
        if column is None or (key == "group.column" and column == spec.id_column):
            continue
        if column in taken:
            top.fault(key, f"names the same column as {taken[column]}")
        taken[column] = key
    for index, feature in enumerate(spec.features):
        if feature.beside_time and taken.get(feature.column) == "time.column":
            continue
        if feature.column in taken:
            key = f"feature[{index}]." + ("name" if feature.column == feature.name else "column")
            top.fault(key, f"names the same column as {taken[feature.column]}")
        taken[feature.column] = f"feature[{index}]"


def _validation(top: TomlTable) -> Validation:
    table = TomlTable("validation", top.get("validation", {}), KEYS["validation"], top.faults)
    seeds = tuple(table.list_of("seeds", int, [0, 1, 2]))
    extra = tuple(table.list_of("extra_seeds", int, []))
    if not seeds:
        table.fault("seeds", "must not be empty")
    for name, values in (("seeds", seeds), ("extra_seeds", extra)):
        if any(not 0 <= s < 2**31 for s in values):
            table.fault(name, "must be from 0 to 2147483647")
    if set(seeds) & set(extra):
        table.fault("extra_seeds", "has a seed that is also in validation.seeds")
    return Validation(folds=table.integer("folds", 3, 20, 5), seeds=seeds, extra_seeds=extra)


def _derivations(
    top: TomlTable, features: tuple[Feature, ...], function: str | None
) -> tuple[Derivation, ...]:
    tables = top.tables("derivation", KEYS["derivation"], required=False)
    if tables and function is not None:
        top.fault("derivation", "is not allowed beside a derive function; choose one")
    types = {f.name: f.type for f in features if f.role == "input"}
    groups = [spec_columns.reason_group(table) for table in tables]
    return spec_model.derivations(tables, types, groups)


def _house(top: TomlTable) -> HouseRules:
    table = TomlTable("house", top.get("house", {}), KEYS["house"], top.faults)
    usual = HouseRules()
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
        most_unknown_labels=table.number(
            "most_unknown_labels", 0.0, 1.0, usual.most_unknown_labels
        ),
        fewest_of_class=table.integer("fewest_of_class", 2, 1000, usual.fewest_of_class),
    )
