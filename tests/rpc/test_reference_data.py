"""The lists that Freehold ships are checked before a server starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from service import reference_data
from service.app import App
from service.domain.errors import TermsUnusable
from service.parts import Parts


@pytest.fixture
def forgotten() -> Iterator[None]:
    """The lists are read anew, also after the test."""
    lists = reference_data.line_items, reference_data.jurisdictions
    for it in lists:
        it.cache_clear()
    yield
    for it in lists:
        it.cache_clear()


@pytest.mark.parametrize("damaged", ["line_items.toml", "jurisdictions.toml"])
@pytest.mark.usefixtures("forgotten")
def test_a_server_with_a_damaged_list_does_not_start(
    monkeypatch: pytest.MonkeyPatch, damaged: str
) -> None:
    """A server whose list has an entry without its keys is not made, and the file is named."""
    read = reference_data._document

    def document(name: str) -> dict[str, Any]:
        return {"item": [{}], "jurisdiction": [{}]} if name == damaged else read(name)

    monkeypatch.setattr(reference_data, "_document", document)
    with pytest.raises(TermsUnusable, match=damaged):
        App(cast(Parts, None))
