from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from models import development, train
from models.bootstrap import METHOD
from tests.models.small_tables import table
from tests.shell import forked_workers

SPEC = """
data = { path = "table.csv" }
group = { column = "who" }
weight = { column = "w" }
validation = { folds = 3, seeds = [0] }
model = { trees = 20, depth = 2, min_child_samples = 20 }
[label]
column = "y"
bad = [1]
good = [0]
outcome = "missed"
horizon = "a month"
population = "made up"
[[exclude]]
reason = "other products"
column = "w"
values = ["9"]
[[feature]]
name = "a"
role = "input"
type = "number"
reason_group = "A"
[[feature]]
name = "b"
role = "protected"
type = "integer"
groups = [1, 2]
group_names = ["zero", "one", "two"]
reference_group = "zero"
"""


def test_groups_and_weights_are_in_every_figure(tmp_path: Path) -> None:
    """With groups and weights the figures are weighted, every interval is a bootstrap over groups,
    and the rows that were left out are listed with their reason."""
    it = table(900)
    weight = np.where(it.b > 0, 3.0, 0.5)
    rows = [
        f"{a},{b:.0f},{y},{i // 3},{'9' if i < 9 else w}"
        for i, (a, b, y, w) in enumerate(zip(it.a, it.b, it.y, weight, strict=True))
    ]
    text = "\n".join(["a,b,y,who,w", *rows]) + "\n"
    (tmp_path / "table.csv").write_text(text, encoding="utf-8")
    (tmp_path / "spec.toml").write_text(SPEC, encoding="utf-8")
    with forked_workers():
        figures = train.train(tmp_path / "spec.toml", tmp_path / "out", progress=False, jobs=1)
    assert figures["excluded"] == [{"reason": "other products", "rows": 9}]
    assert figures["grouped"]
    assert figures["weighted"]
    assert figures["gain"]["method"] == METHOD
    assert figures["gain"]["interval"][0] < figures["gain"]["auc_mean"]
    assert figures["gain"]["auc_mean"] < figures["gain"]["interval"][1]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())["label"]
    used = development.read(tmp_path / "out").data
    assert used.weight is not None
    assert manifest["base_rate"] == pytest.approx(
        np.average(used.label, weights=used.weight), abs=0.03
    )
    assert abs(manifest["base_rate"] - manifest["bad"] / manifest["rows"]) > 0.05
    area = figures["holdout"]["auc"]
    assert area["method"] == METHOD
    assert area["interval"][0] < area["value"] < area["interval"][1]
    # People with b = 0 are a third of the rows, and a twelfth of the weight.
    shares = [band["share"] for band in figures["score_bands"]]
    assert abs(sum(shares) - 1.0) < 1e-9
    (attribute,) = figures["fairness"]["attributes"]
    zero, one, _ = attribute["groups"]
    # The group that the spec names, though it is no larger than the others.
    assert attribute["compared_with"] == "zero"
    assert zero["n"] > 0
    assert one["approval"]["interval"][0] <= one["approval"]["value"]
