"""The commands for documents of terms."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from service.domain.errors import NotFound
from tests.cli.test_commands import invoke

TARIFF = """
name = "bank-2026"
currency = "CNY"
rounding = "STARTED"
free_minutes = 5
buy_out_minor = 9_900
[[segment]]
interval_minutes = 30
price_minor = 150
"""
PRODUCT = """
id = "power-bank"
category = "POWER_BANK"
currency = "CNY"
deposit_minor = 9_900
replacement_minor = 8_000
tariff = "bank-2026"
policy = "small-item"
"""


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that the commands have made, with one operator."""
    path = tmp_path_factory.mktemp("city") / "freehold.db"
    for words in (("migrate",), ("operator", "create", "city", "--name", "City")):
        assert invoke(*words, "--database", f"sqlite:///{path}").exit_code == 0
    return path


class Desk:
    """The commands on a database with one operator, and a folder for files."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder

    def run(self, *words: str, exit_code: int = 0) -> str:
        """The output of a command."""
        done = invoke(*words, "--database", self.url)
        assert done.exit_code == exit_code, done.output
        return done.output

    def apply(self, kind: str, text: str, *words: str, exit_code: int = 0) -> str:
        """The output of applying a document of city's."""
        file = self.folder / f"{kind}.toml"
        file.write_text(text)
        owner = ("--operator", "city")
        return self.run(kind, "apply", str(file), *owner, *words, exit_code=exit_code)


@pytest.fixture
def desk(city: Path, tmp_path: Path) -> Desk:
    return Desk(f"sqlite:///{shutil.copy(city, tmp_path / 'freehold.db')}", tmp_path)


def test_a_document_is_applied_shown_compared_and_activated(desk: Desk) -> None:
    """A tariff is kept, listed, printed as TOML that means the same, compared and activated; the
    product that names it gets a new revision."""
    assert "has no faults" in desk.apply("tariff", TARIFF)
    listed = desk.run("tariff", "list", "--operator", "city").splitlines()
    assert listed[0].split() == ["NAME", "REVISION", "STATE", "SINCE", "BY", "REASON"]
    assert any(line.split()[:3] == ["bank-2026", "1", "validated"] for line in listed)
    assert "in force now" in desk.run("tariff", "activate", "bank-2026", "--operator", "city")
    shown = desk.run("tariff", "show", "bank-2026", "--operator", "city")
    document = tomllib.loads(shown)
    assert document["segment"][0]["price_minor"] == 150
    assert "unchanged" in desk.apply("tariff", shown)
    said = desk.apply("product", PRODUCT, "--activate")
    assert "  product city/power-bank: revision 2" in said.splitlines()
    dearer = TARIFF.replace("150", "200")
    file = desk.folder / "dearer.toml"
    file.write_text(dearer)
    owner = ("--operator", "city")
    assert desk.run("tariff", "diff", "bank-2026", *owner, "--file", str(file)).splitlines() == [
        "  ~ segment[0].price_minor: 150 -> 200"
    ]
    record: dict[str, Any] = json.loads(desk.apply("tariff", dearer, "--activate", "--json"))
    assert record["outcome"] == "ACTIVATED"
    assert record["products"] == [
        {"operator_id": "city", "product_id": "power-bank", "revision": 3}
    ]


def test_a_document_that_does_not_exist_is_named(desk: Desk) -> None:
    """A misspelt name is refused with the name that is most like it, also beside a file; a file of
    a new name is compared with nothing."""
    desk.apply("tariff", TARIFF, "--activate")
    file, owner = str(desk.folder / "tariff.toml"), ("--operator", "city")
    for words in (
        ("diff", "bank-2025", *owner, "--file", file), ("diff", "bank-2025", *owner),
        ("show", "bank-2025", *owner), ("activate", "bank-2025", *owner),
        ("retire", "bank-2025", *owner), ("show", "bank-2025", *owner, "--revision", "1"),
        ("list", "bank-2025", *owner), ("list", "bank-2025", "--all", *owner),
    ):  # fmt: skip
        done = invoke("tariff", *words, "--database", desk.url)
        assert isinstance(done.exception, NotFound), words
        assert str(done.exception) == "tariff not found: bank-2025: did you mean bank-2026?"
    done = invoke("tariff", "show", "bank-2026", "--revision", "9", *owner, "--database", desk.url)
    assert str(done.exception) == "tariff not found: bank-2026/9"
    done = invoke("policy", "show", "x", "--operator", "nobody", "--database", desk.url)
    assert str(done.exception) == "operator not found: nobody"
    assert len(desk.run("tariff", "list", "bank-2026", *owner).splitlines()) == 2
    Path(file).write_text(TARIFF.replace("bank-2026", "new"))
    assert "  + free_minutes = 5" in desk.run("tariff", "diff", "new", *owner, "--file", file)


def test_a_preview_names_the_rules_that_its_draft_breaks(desk: Desk) -> None:
    """A preview of a product or of a tariff under CN-BJ names each rule that it breaks; one of a
    draft without faults names none."""
    said = "cannot come into force now: "
    desk.apply("tariff", TARIFF, "--activate")
    desk.apply("product", PRODUCT, "--activate")
    file, owner = desk.folder / "product.toml", ("--operator", "city")
    assert said not in desk.run("product", "preview", str(file), *owner)
    file.write_text(f'{PRODUCT}jurisdiction = "CN-BJ"\n')
    told = desk.run("product", "preview", str(file), *owner)
    rules = (
        *("UNIT_AT_MOST_15_MINUTES", "FIRST_UNIT_FROM_5_MINUTES", "INCOMPLETE_UNITS_FREE"),
        "CAP_SET",
    )
    for rule in rules:
        assert f"breaks {rule} of CN-BJ" in told
    bounds = desk.folder / "bounds.toml"
    bounds.write_text('name = "city"\njurisdictions = ["CN-BJ"]\n')
    desk.run("bounds", "apply", str(bounds), "--activate")
    record = json.loads(desk.run("product", "preview", str(file), *owner, "--json"))
    assert [it["rule"] for it in record["faults"]] == [f"CN-BJ.{rule}" for rule in rules]
    file.write_text(TARIFF.replace("bank-2026", "other"))
    product = ("--product", "power-bank")
    told = desk.run("tariff", "preview", str(file), *owner, *product)
    assert told.count(said) == len(rules)
    assert all(f"breaks {rule} of CN-BJ" in told for rule in rules)


def test_faults_name_the_file_the_key_and_what_to_do(desk: Desk) -> None:
    """A wrong document is refused with a line for each fault; a text that is no TOML, with the
    place."""
    wrong = TARIFF.replace('"STARTED"', '"HALF"').replace("free_minutes", "free_minute")
    said = desk.apply("tariff", wrong, exit_code=1).removeprefix("Error: ").splitlines()
    file = desk.folder / "tariff.toml"
    assert [line.partition(" ")[0] for line in said] == [f"{file}:"] * 2
    assert "rounding must be one of COMPLETED, STARTED (rounding.choice)" in said[0]
    assert "free_minute is not a field of this document: did you mean free_minutes?" in said[1]
    twice = desk.folder / "twice.json"
    twice.write_text('{"name": "half", "buy_out_minor": 1, "buy_out_minor": 2}')
    words = ("tariff", "apply", str(twice), "--database", desk.url)
    assert "the key buy_out_minor stands in one object twice" in invoke(*words).output
    assert "line 1, column" in desk.apply("tariff", "name = half", exit_code=1)
    dated = TARIFF.replace("= 5", "= 2026-01-01").replace("= 150", "= 09:00:00")
    assert desk.apply("tariff", dated, exit_code=1).splitlines() == [
        f"Error: {file}: free_minutes is a date or a time: put it in quotes",
        f"{file}: segment[0].price_minor is a date or a time: put it in quotes",
    ]


def test_terms_without_an_operator_are_said_to_be_the_platforms(desk: Desk) -> None:
    """A command that names no operator says that the tariff is the platform's."""
    assert "no tariffs of the platform: apply one" in desk.run("tariff", "list")
    file = desk.folder / "tariff.toml"
    file.write_text(TARIFF)
    told = desk.run("tariff", "apply", str(file), "--activate")
    assert told.startswith("tariff bank-2026 of the platform revision 1: in force now")
    own = TARIFF.replace("bank-2026", "own")
    assert desk.apply("tariff", own).startswith("tariff own revision 1: kept")


def test_a_file_that_no_reader_takes_says_what_to_do(desk: Desk) -> None:
    """A file in another encoding, a number of thousands of digits, and a misspelt time zone or unit
    of time are refused with what to do; a unit is never taken for microseconds."""
    file = desk.folder / "tariff.toml"
    for text, said in (
        (TARIFF.encode("utf-16"), "is not UTF-8: save it in this encoding"),
        (TARIFF.replace("= 5", f"= 5{'0' * 5_000}").encode(), "a number of too many digits"),
        (TARIFF.replace("= 5", '= 5\ntime_zone = "asia/shanghai"').encode(), "Asia/Shanghai?"),
    ):
        file.write_bytes(text)
        for words in (("apply",), ("export", "--gbfs")):
            database = ("--database", desk.url) if words == ("apply",) else ()
            done = invoke("tariff", *words, str(file), *database)
            assert done.exit_code == 1, done.output
            assert said in done.output
            assert "set_int_max" not in done.output
    hours = 'name = "careful"\nrental_period_minutes = 60\n'
    assert "did you mean rental_period_hours?" in desk.apply("policy", hours, exit_code=1)


def test_a_mark_of_the_byte_order_is_passed_over(desk: Desk) -> None:
    """A document in UTF-8 may begin with a mark of the byte order, as some editors write it."""
    assert "has no faults" in desk.apply("tariff", f"\ufeff{TARIFF}")


def test_a_dry_run_says_all_and_changes_nothing(desk: Desk) -> None:
    """A dry run tells the faults of a product that names what is not there, and keeps nothing. It
    fails as the command itself would: a document with faults may be kept, and does not come into
    force."""
    assert "kept as a draft" in desk.apply("product", PRODUCT, "--dry-run")
    said = desk.apply("product", PRODUCT, "--dry-run", "--activate", exit_code=1)
    assert "refused, because it has faults (dry run: nothing was changed)" in said
    words = ("--dry-run", "--activate", "--json")
    record = json.loads(desk.apply("product", PRODUCT, *words, exit_code=1))
    assert record["outcome"] == "REFUSED"
    assert [it["rule"] for it in record["faults"]] == ["tariff.unknown"]
    assert "names the tariff bank-2026, and no such tariff is active: activate it first" in said
    assert "bank-2026" not in desk.run("product", "show", "power-bank", "--operator", "city")


def test_a_tariff_outside_a_jurisdiction_is_refused(desk: Desk) -> None:
    """A product under CN-BJ is refused with the name of each rule that its tariff breaks."""
    desk.apply("tariff", TARIFF, "--activate")
    beijing = f'{PRODUCT}jurisdiction = "CN-BJ"\n'
    said = desk.apply("product", beijing, "--activate", exit_code=1)
    for rule in ("UNIT_AT_MOST_15_MINUTES", "FIRST_UNIT_FROM_5_MINUTES", "INCOMPLETE_UNITS_FREE"):
        assert f"breaks {rule} of CN-BJ" in said
    unknown = f'{PRODUCT}jurisdiction = "XX"\n'
    assert "jurisdiction.unknown" in desk.apply("product", unknown, "--activate", exit_code=1)


def test_bounds_and_limits_are_the_platforms(desk: Desk) -> None:
    """The platform's limits are shown and replaced; its bounds make an operator's tariffs keep the
    rules of a place."""
    limits = desk.folder / "limits.toml"
    limits.write_text(desk.run("limit", "show").replace("50_000", "60_000"))
    assert "50000 -> 60000" in desk.run("limit", "apply", str(limits), "--activate")
    bounds = desk.folder / "bounds.toml"
    bounds.write_text('name = "city"\njurisdictions = ["CN-BJ"]\n')
    said = desk.run("bounds", "apply", str(bounds), "--activate")
    assert "terms in force outside these bounds (they stay in force):" in said
    assert "product city/power-bank/1 tariff." in said
    desk.apply("tariff", TARIFF, "--activate")
    assert "breaks" in desk.apply("product", PRODUCT, "--activate", exit_code=1)


def test_the_revisions_of_rentals_name_their_documents(desk: Desk) -> None:
    """`product revisions` says of which documents each revision was made that rentals name."""
    desk.apply("tariff", TARIFF, "--activate")
    desk.apply("product", PRODUCT, "--activate")
    desk.apply("tariff", TARIFF.replace("150", "160"), "--activate")
    name, owner = "power-bank", ("--operator", "city")
    lines = desk.run("product", "revisions", name, *owner).splitlines()
    assert lines[0].split() == ["PRODUCT_REVISION", "PRODUCT", "TARIFF", "POLICY"]
    numbers = [line.split()[0] for line in lines[1:]]
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    last = desk.run("product", "revisions", name, *owner, "--revision", numbers[-1])
    assert last.splitlines()[1].split() == lines[-1].split()
    (told,) = json.loads(
        desk.run("product", "revisions", name, *owner, "--revision", numbers[-1], "--json")
    )
    before, after = lines[-2].split(), lines[-1].split()
    assert after[after.index("revision") + 1] == before[before.index("revision") + 1]
    assert (told["revision"], told["tariff_revision"]) == (int(numbers[-1]), 2)
    done = invoke("product", "revisions", "power-bnk", *owner, "--database", desk.url)
    assert str(done.exception) == "product not found: power-bnk: did you mean power-bank?"


def test_a_product_is_retired(desk: Desk) -> None:
    """A retired product is listed only with --all."""
    owner = ("--operator", "city")
    said = desk.run("product", "retire", "umbrella", *owner, "--reason", "rain is over")
    assert "retired" in said
    assert "umbrella" not in desk.run("product", "list", *owner)
    assert "rain is over" in desk.run("product", "list", *owner, "--all")
