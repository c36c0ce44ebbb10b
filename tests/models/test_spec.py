from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from models import spec
from models.errors import SpecError

MINIMAL = """
[data]
path = "people.csv"
format = "csv"
[label]
column = "bad"
bad = [1]
good = [0]
horizon = "a month"
outcome = "default"
population = "people"
[id]
column = "id"
[validation]
folds = 5
seeds = [0]
[[feature]]
name = "income"
type = "number"
role = "input"
monotone = -1
[[feature]]
name = "age"
type = "integer"
role = "protected"
"""


def parse(tree: dict[str, Any]) -> spec.Spec:
    return spec.parse(tree, path=Path("folder/spec.toml"), sha256="0" * 64)


def changed(place: str, value: object) -> dict[str, Any]:
    """The minimal spec with one dotted key changed; None removes it."""
    tree = copy.deepcopy(tomllib.loads(MINIMAL))
    target: Any = tree
    *way, last = place.split(".")
    for step in way:
        target = target[int(step)] if step.isdigit() else target[step]
    if value is None:
        del target[last]
    else:
        target[last] = value
    return tree


def test_minimal_spec_uses_raw_columns_as_they_are() -> None:
    """Without a derive function the model uses the input columns with their own directions."""
    parsed = parse(tomllib.loads(MINIMAL))
    assert parsed.raw_names == ("income",)
    assert [(d.name, d.monotone) for d in parsed.derived] == [("income", -1)]
    assert parsed.data.path == Path("folder/people.csv")


@pytest.mark.parametrize(
    ("place", "value", "key"),
    [
        ("data", None, "data"),
        ("data.path", None, "data.path"),
        ("data.format", "excel", "data.format"),
        ("data.delimiter", ",,", "data.delimiter"),
        ("data.sha256", "XYZ", "data.sha256"),
        ("data.colour", "red", "data.colour"),
        ("surprise", {}, "surprise"),
        ("label.bad", [], "label.bad"),
        ("label.good", [0, 1], "label.good"),
        ("label.bad", [[1]], "label.bad"),
        ("label.horizon", "", "label.horizon"),
        ("id.column", "bad", "id.column"),
        ("feature", [], "feature"),
        ("feature.0.role", "target", "feature[0].role"),
        ("feature.0.role", "protected", "feature[0].monotone"),
        ("feature.0.monotone", 2, "feature[0].monotone"),
        ("feature.0.monotone", True, "feature[0].monotone"),
        ("feature.0.monotne", 1, "feature[0].monotne"),
        ("feature.0.missing", "zero", "feature[0].missing"),
        ("feature.0.reason_group", "late payment", "feature[0].reason_group"),
        ("feature.0.name", "id", "feature[0].name"),
        ("feature.1.name", "income", "feature[1].name"),
        ("feature.1.groups", [30], "feature[1].group_names"),
        ("feature.0.reference_group", "old", "feature[0].reference_group"),
        ("validation.folds", 1, "validation.folds"),
        ("validation.seeds", [], "validation.seeds"),
        ("validation.extra_seeds", [0], "validation.extra_seeds"),
        ("time", {"column": "month"}, "time.oot_from"),
        ("derive", {"function": "x:y", "column": []}, "feature[0].monotone"),
        ("model", {"trees": 0}, "model.trees"),
        ("model", {"subsample": 1.5}, "model.subsample"),
    ],
)
def test_wrong_specs_are_refused_by_key(place: str, value: object, key: str) -> None:
    """A missing, unknown, mistyped or contradictory key is an error that names the key."""
    with pytest.raises(SpecError) as caught:
        parse(changed(place, value))
    assert caught.value.key == key


def test_bounds_must_not_cross() -> None:
    """A declared domain with min above max is refused."""
    tree = changed("feature.0.min", 5)
    tree["feature"][0]["max"] = 4
    with pytest.raises(SpecError, match="below min"):
        parse(tree)


def test_unreadable_files_are_spec_errors(tmp_path: Path) -> None:
    """For a missing file, or a file that is not TOML, the reader raises a SpecError that names the
    file."""
    with pytest.raises(SpecError, match="cannot be read"):
        spec.load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("= 1", encoding="utf-8")
    with pytest.raises(SpecError, match="not TOML"):
        spec.load(tmp_path / "bad.toml")


def test_protected_columns_are_not_inputs(shipped_spec: spec.Spec) -> None:
    """Sex, education, marriage and age are in none of the model's columns."""
    protected = {"SEX", "EDUCATION", "MARRIAGE", "AGE"}
    assert {f.name for f in shipped_spec.protected} == protected
    assert not protected & set(shipped_spec.raw_names)
    assert not protected & {d.name for d in shipped_spec.derived}
    assert len(shipped_spec.raw_names) == 19


def test_a_reference_group_is_one_of_the_groups() -> None:
    """A reference group that is not among the named groups is a fault of the spec."""
    tree = changed("feature.1.groups", [30])
    age = tree["feature"][1]
    age |= {"group_names": ["young", "old"], "reference_group": "old"}
    assert parse(tree).protected[0].reference_group == "old"
    age["reference_group"] = "older"
    with pytest.raises(SpecError, match="must be one of the group_names: young, old"):
        parse(tree)
