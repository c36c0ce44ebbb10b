"""The names of the lines of a bill: the shipped list, and the list in a product's terms."""

from __future__ import annotations

from typing import Any

import pytest

from service.domain.errors import InvalidInput, TermsUnusable
from service.domain.line_items import (
    LineItem,
    line_items_of,
    names_of,
    names_of_text,
    names_text,
    require_listed,
    unknown_items,
)
from service.reference_data import line_items

ITEMS = (
    LineItem("USAGE", ("*",), "租借费用", "Usage"),
    LineItem("HELMET_LOST", ("BIKE",), "头盔遗失赔偿", "Helmet lost"),
)
ENTRY = {"name": "USAGE", "categories": ["*"], "zh": "租借费用", "en": "Usage"}


def test_the_shipped_list_is_sound() -> None:
    """Every shipped name has words in Chinese and in English, and names a loss or a damage for each
    of the default categories."""
    for it in line_items():
        assert any("\u4e00" <= sign <= "\u9fff" for sign in it.zh)
        assert it.en.isascii()
    for category in ("BIKE", "UMBRELLA", "POWER_BANK"):
        names = names_of(line_items(), category)
        assert {"USAGE", "ITEM_LOST", "ITEM_DAMAGED"} < set(names)
        assert len(names) > len(names_of(line_items(), "OTHER"))


def test_names_depend_on_the_category() -> None:
    """A category has the names of all categories, and its own."""
    assert names_of(ITEMS, "BIKE") == ("USAGE", "HELMET_LOST")
    assert names_of(ITEMS, "UMBRELLA") == ("USAGE",)


@pytest.mark.parametrize(
    "entries",
    [
        [{**ENTRY, "name": "usage"}],
        [ENTRY, ENTRY],
        [{**ENTRY, "categories": []}],
        [{**ENTRY, "zh": ""}],
        [{**ENTRY, "en": ""}],
        [{"name": "USAGE"}],
        [{**ENTRY, "price": 1}],
    ],
)
def test_a_damaged_list_is_refused(entries: list[dict[str, Any]]) -> None:
    """A list with a malformed or repeated name, without words or without a category is unusable."""
    assert line_items_of({"item": [ENTRY]}) == ITEMS[:1]
    with pytest.raises(TermsUnusable):
        line_items_of({"item": entries})


def test_a_products_list_is_checked() -> None:
    """Every name of a product's list must exist for its category; all faults are told."""
    assert unknown_items(["USAGE", "HELMET_LOST"], "BIKE", ITEMS) == ()
    found = unknown_items(["HELMET_LOST", "USAGE", "WINGS_LOST"], "UMBRELLA", ITEMS)
    assert [it.field for it in found] == ["line_items[0]", "line_items[2]"]
    assert {it.rule for it in found} == {"line_items.unknown"}
    assert all(it.description.endswith("UMBRELLA: use USAGE") for it in found)


def test_a_list_is_kept_as_text() -> None:
    """A list is written as a JSON array without spaces, and read back the same."""
    text = names_text(("USAGE", "HELMET_LOST"))
    assert text == '["USAGE","HELMET_LOST"]'
    assert names_of_text(text) == ("USAGE", "HELMET_LOST")


@pytest.mark.parametrize(
    "text", ["", "USAGE", "[]", '["usage"]', '["USAGE","USAGE"]', "[1]", '{"USAGE":1}', '"USAGE"']
)
def test_a_damaged_text_is_refused(text: str) -> None:
    """A text that is not an array of different names is refused."""
    with pytest.raises(InvalidInput):
        names_of_text(text)


def test_without_a_list_every_name_is_allowed() -> None:
    """A product without a list allows lines without a name, and lines with any name."""
    require_listed(("", "WINGS_LOST"), None)


def test_a_line_that_is_not_listed_is_refused() -> None:
    """With a list, each line must have a listed name; the refusal names the line and the list."""
    require_listed(("USAGE", "USAGE"), ("USAGE", "HELMET_LOST"))
    with pytest.raises(InvalidInput) as refusal:
        require_listed(("USAGE", "", "WINGS_LOST"), ("USAGE", "HELMET_LOST"))
    found = refusal.value.violations
    assert [it.field for it in found] == ["line_items[1].item", "line_items[2].item"]
    assert {it.rule for it in found} == {"line_items.item.listed"}
    assert all("USAGE, HELMET_LOST" in it.description for it in found)
