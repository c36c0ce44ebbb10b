"""The page on conditions has all variables."""

from __future__ import annotations

from pathlib import Path

import service
from service.domain.conditions import VARIABLES

PAGE = Path(service.__file__).parent / "cli" / "README.md"


def test_the_page_has_each_variable_with_its_type() -> None:
    """The table of variables has each declared variable with its type and its meaning, and no
    other."""
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index("| variable | type | meaning |") :].split("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    more = "; only in policies of the platform"
    expected = [
        [f"`{it.name}`", str(it.kind), it.meaning + (more if it.platform_only else "")]
        for it in VARIABLES
    ]
    assert rows == expected
