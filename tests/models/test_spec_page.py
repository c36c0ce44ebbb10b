from __future__ import annotations

import re
from pathlib import Path

import models
from models import spec

PAGE = (Path(models.__file__).parent / "SPEC.md").read_text(encoding="utf-8")


def rows_by_table() -> dict[str, dict[str, str]]:
    """The example of each key on the page, by the table of the spec."""
    found: dict[str, dict[str, str]] = {}
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        head = section.split("\n", 1)[0]
        for keys, example in re.findall(r"^\| (`[^|]*`) \| (.*?) \| ", section, re.MULTILINE):
            for key in re.findall(r"`([^`]+)`", keys):
                for name in re.findall(r"`\[+(\w+)\]+`", head):
                    found.setdefault(name, {})[key] = example
    return found


def test_the_page_has_every_key_with_an_example() -> None:
    """models/SPEC.md explains each key of each table, with an example, and no other key."""
    rows = rows_by_table()
    wanted: dict[str, set[str]] = {}
    for table, keys in spec.KEYS.items():
        top, _, inner = table.partition(".")
        for key in keys if table else ():
            wanted.setdefault(top, set()).add(f"{inner}.{key}" if inner else key)
    for name in ("id", "group", "weight"):
        assert f"{name}.column" in rows[name]
        del rows[name], wanted[name]
    assert {name: {*keys} for name, keys in rows.items()} == wanted
    assert all(example.strip() for keys in rows.values() for example in keys.values())
    assert {*spec.KEYS[""]} == {*wanted, "id", "group", "weight"}
