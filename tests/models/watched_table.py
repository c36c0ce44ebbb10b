"""A table with every kind of value, and its model, to watch people by."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np

from models import reading, spec, train
from models.samples import state_of
from tests.shell import forked_workers

ROWS = 900
LEVELS = ("clerk", "driver", "pilot", "poet")
TAIL = "poet"
SPEC = """
[data]
path = "people.csv"

[label]
column = "paid"
bad = ["no"]
good = ["yes"]
horizon = "a month"
outcome = "missed"
population = "made up"

[validation]
folds = 3
seeds = [0]

[model]
trees = 40
min_child_samples = 20

[[feature]]
name = "job"
type = "text"
role = "input"

[[feature]]
name = "months"
type = "number"
role = "input"
special = [-9]

[[feature]]
name = "income"
type = "number"
role = "input"
missing = "nan"
absent = "missing"

[[feature]]
name = "born"
type = "date"
role = "input"

[[feature]]
name = "asked"
type = "date"
role = "input"

[[derivation]]
name = "age"
operation = "months_between"
of = ["born", "asked"]
"""


def watched_table(folder: Path) -> Path:
    """Trains the model into `folder`; its training rows are beside it in `rows.npy`."""
    chance = np.random.default_rng(5)
    job = chance.choice(len(LEVELS), ROWS, p=(0.4, 0.35, 0.24, 0.01))
    months = np.where(chance.random(ROWS) < 0.2, -9, chance.integers(0, 120, ROWS))
    income = np.round(chance.normal(3_000, 500, ROWS), 2)
    blank = chance.random(ROWS) < 0.2
    asked = chance.integers(10_500, 11_500, ROWS)
    born = asked - chance.integers(7_000, 25_000, ROWS)
    odds = 0.8 * (job == 1) - 0.01 * months - 0.0004 * income + 0.5
    bad = chance.random(ROWS) < 1 / (1 + np.exp(-odds))
    first = date(1970, 1, 1)
    lines = ["job,months,income,born,asked,paid"]
    lines += [
        f"{LEVELS[job[i]]},{months[i]},{'' if blank[i] else income[i]},"
        f"{first + timedelta(int(born[i]))},{first + timedelta(int(asked[i]))},"
        f"{'no' if bad[i] else 'yes'}"
        for i in range(ROWS)
    ]
    (folder / "people.csv").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "spec.toml").write_text(SPEC, "utf-8")
    with forked_workers():
        train.train(folder / "spec.toml", folder / "model", progress=False, jobs=1)
    state = state_of(reading.load(spec.load(folder / "spec.toml")))
    np.save(folder / "model" / "rows.npy", state.raw[state.training])
    return folder / "model"
