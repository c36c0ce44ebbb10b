"""Files as people bring them, and their specs."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from models import reading, spec
from models.dataset import Dataset

TODAY = date(2026, 11, 29)
"""The day on which specs are drafted."""
X = {"name": "x", "type": "number", "role": "input"}


def spec_of(folder: Path, content: str | bytes, **tables: Any) -> spec.Spec:
    """The spec of a file `table.csv` with this content.

    Its label is `bad`, its one input `x`, and it has no id; `tables` add to the spec's tables, or
    replace them where they are lists.
    """
    path = str(tables.get("data", {}).get("path", "table.csv"))
    body = content.encode("utf-8") if isinstance(content, str) else content
    (folder / path).write_bytes(body)
    tree: dict[str, Any] = {
        "data": {"path": path},
        "label": {
            "column": "bad", "bad": ["1"], "good": ["0"],
            "horizon": "a month", "outcome": "default", "population": "people",
        },
        "feature": [X],
    }  # fmt: skip
    for name, table in tables.items():
        tree[name] = {**tree.get(name, {}), **table} if isinstance(table, dict) else table
    return spec.parse(tree, path=folder / "spec.toml", sha256="0" * 64)


def read(folder: Path, content: str | bytes, **tables: Any) -> Dataset:
    """The data set of such a file."""
    return reading.load(spec_of(folder, content, **tables))
