"""The examples of documents that operators change into their own."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from service.domain.bounds_document import Bounds
from service.domain.conditions import VARIABLES, Kind
from service.domain.documents import DocumentKind
from service.domain.policy_document import CUT_OFFS, MOST_INCREMENTS, MOST_PAUSES, TIMES
from service.domain.product_document import ProductDocument
from service.domain.rules import Rules
from service.domain.tariff_document import PLACE_KEYS
from service.domain.terms_readers import read_document
from service.reference_data import example_of
from tests.cli.test_commands import invoke

TIMED = {f"{it.name}_{it.unit}" for it in TIMES}
KEYS = {
    DocumentKind.BOUNDS: {*Bounds._fields},
    DocumentKind.LIMITS: {"limit", "exposure"},
    DocumentKind.POLICY: {
        *("name", "most_pauses", "most_increments"),
        *(*CUT_OFFS, *TIMED, *Rules._fields),
    },
    DocumentKind.TARIFF: {
        *("name", "currency", "rounding", "buy_out_minor", "time_zone"),
        *("quota", "pass", "place", *PLACE_KEYS),
    },
    DocumentKind.PRODUCT: {*ProductDocument._fields},
}
"""The keys of each kind of document."""


def keys_of(text: str) -> set[str]:
    """The keys of an example; a policy has a ladder or the numbers that it replaces."""
    return set(tomllib.loads(text.replace("# [[ladder]]", "[[ladder]]")))


@pytest.mark.parametrize("kind", DocumentKind)
def test_an_example_is_sound_and_has_every_key(kind: DocumentKind) -> None:
    """The example of each kind of document is sound as it stands, for operators as for the
    platform, and has every key."""
    text = example_of(kind)
    table: dict[str, Any] = tomllib.loads(text)
    for platform in (True, False):
        read_document(kind, table, platform=platform)
    assert keys_of(text) == KEYS[kind]


def test_the_example_of_a_policy_has_defaults_and_variables() -> None:
    """The example of a policy has the default of each time, and names each variable of conditions
    with its type."""
    text = example_of(DocumentKind.POLICY)
    table: dict[str, Any] = tomllib.loads(text)
    for it in TIMES:
        assert table[f"{it.name}_{it.unit}"] == ("NONE" if it.default is None else it.default)
    assert (table["most_pauses"], table["most_increments"]) == (MOST_PAUSES, MOST_INCREMENTS)
    listed = " ".join(text[text.index("An expression of CEL") :].split("[[condition]]")[0].split())
    kinds = {"int": Kind.INT, "bool": Kind.BOOL, "string": Kind.STRING}
    told = {"score": Kind.INT, "labels": Kind.STRINGS}
    for names, kind in re.findall(r"([a-z_, #]+) \((bool|string|int)\)", listed):
        told |= dict.fromkeys(re.findall(r"[a-z_]+", names), kinds[kind])
    assert {it.name: told.get(it.name) for it in VARIABLES} == {
        it.name: it.kind for it in VARIABLES
    }


@pytest.mark.parametrize("kind", ["bounds", "limit", "policy", "tariff", "product"])
def test_a_command_prints_the_example(kind: str) -> None:
    """`freehold policy example` prints the example of a policy, and so for each kind."""
    done = invoke(kind, "example")
    assert done.exit_code == 0
    assert done.output == example_of(DocumentKind("limits" if kind == "limit" else kind))
