"""Every call that changes something: the `CALLS` of each file of this folder.

A new call comes with one file here, which has the call and its own tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from tests.operations.call import Call, CallOnAuthorization

OF_ALL = ("call", "conftest", "every")
"""Files of this folder that have no calls."""


def _calls() -> Iterator[Call]:
    for file in sorted(Path(__file__).parent.glob("*.py")):
        if file.stem not in OF_ALL:
            yield from import_module(f"{__package__}.{file.stem}").CALLS


CALLS: dict[str, Call] = {it.method: it for it in _calls()}
ON_AUTHORIZATION: dict[str, CallOnAuthorization] = {
    name: it for name, it in CALLS.items() if isinstance(it, CallOnAuthorization)
}
