"""The commands for tariffs as pricing plans of GBFS."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service.cli.gbfs import export_tariffs, import_tariff
from service.cli.toml_text import toml_of
from service.domain.tariff_document import read_tariff, write_tariff

COMPANY = """
name = "power-bank-2026"
currency = "CNY"
rounding = "STARTED"
free_minutes = 5
buy_out_minor = 9_900
[[segment]]
interval_minutes = 30
price_minor = 150
"""
DAYS = """
name = "bank"
currency = "CNY"
arithmetic = 1
start_fee_minor = 0
free_minutes = 5
interval_minutes = 30
interval_price_minor = 150
day_cap_minor = CAP
buy_out_minor = 9_900
"""
CAP = """
[[cap]]
window_minutes = 1_440
most_minor = 3_000
"""


def written(tmp_path: Path, name: str, text: str) -> str:
    """The path of a file with this text."""
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return str(path)


def export(*words: str) -> Result:
    """The result of `freehold tariff export`."""
    return CliRunner().invoke(export_tariffs, ["--gbfs", *words])


def bring(*words: str) -> Result:
    """The result of `freehold tariff import`."""
    return CliRunner().invoke(import_tariff, ["--gbfs", "--buy-out-minor", "9900", *words])


def test_a_tariff_goes_out_and_comes_back(tmp_path: Path) -> None:
    """Tariffs are printed as a feed with exact amounts, and a plan of it is printed as a tariff
    in TOML."""
    files = [
        written(tmp_path, "company.toml", COMPANY + CAP),
        written(tmp_path, "other.toml", COMPANY.replace("power-bank-2026", "other")),
    ]
    done = export("--gbfs-version", "3.1-RC3", *files)
    assert done.exit_code == 0, done.output
    feed = json.loads(done.output)
    assert feed["version"] == "3.1-RC3"
    assert feed["last_updated"].endswith("Z")
    assert [it["plan_id"] for it in feed["data"]["plans"]] == ["power-bank-2026", "other"]
    assert '"rate": 1.50' in done.output
    file = written(tmp_path, "plans.json", done.output)
    back = bring("--plan", "power-bank-2026", file)
    assert back.exit_code == 0, back.output
    tariff = read_tariff(tomllib.loads(back.stdout))
    assert (tariff.name, tariff.currency) == ("power-bank-2026", "CNY")
    assert tariff.tariff.segments[0][:4] == (5, None, 30, 150)
    assert tariff.tariff.caps == ((1_440, 3_000),)
    assert "Note: a tariff does not keep description" in back.stderr


def test_a_tariff_of_arithmetic_1_goes_out(tmp_path: Path) -> None:
    """A tariff of arithmetic 1 is printed as the plan with the same fees; one whose days a plan
    cannot express is refused by its key."""
    days = DAYS.replace("CAP", "3_000")
    done = export("--gbfs-version", "3.1-RC3", written(tmp_path, "days.toml", days))
    assert done.exit_code == 0, done.output
    (plan,) = json.loads(done.output)["data"]["plans"]
    assert [it["start"] for it in plan["per_min_pricing"]] == [5, 1_440]
    assert plan["fare_capping"] == {"duration": 1_440, "price": 30}
    high = written(tmp_path, "high.toml", DAYS.replace("CAP", "9_000"))
    assert "day_cap_minor: must be at most 7200" in export(high).output


def test_each_fault_is_told_with_its_file(tmp_path: Path) -> None:
    """A key that GBFS cannot express, a wrong key, a name that is there twice, and a file without
    TOML are told with the file and the key, each on a line of its own. A mark of the byte order
    before the text is no fault."""
    capped = written(tmp_path, "capped.toml", f"\ufeff{COMPANY}{CAP}")
    done = export(capped)
    assert done.exit_code == 1
    told = f"Error: {capped}: cap[0]: GBFS 3.0 has no caps: export version 3.1-RC3\n"
    assert done.output == told
    wrong = written(tmp_path, "wrong.toml", COMPANY.replace("interval", "intervall"))
    assert f"{wrong}: segment[0].intervall_minutes: is not a field" in export(wrong).output
    twice = written(tmp_path, "twice.toml", COMPANY)
    assert "name: power-bank-2026 is in two files" in export(twice, twice).output
    assert "is not readable TOML" in export(written(tmp_path, "text", "no = ")).output
    (tmp_path / "bytes").write_bytes(b"\xff")
    assert "is not UTF-8: save it" in export(str(tmp_path / "bytes")).output


def test_a_plan_that_is_no_tariff_is_refused(tmp_path: Path) -> None:
    """A plan with prices by distance is refused by its key, and so is the id of no plan."""
    plan = {"plan_id": "a", "currency": "EUR", "price": 1, "is_taxable": False}
    km = {**plan, "per_km_pricing": [{"start": 0, "rate": 1, "interval": 1}]}
    for found, text in ((km, "per_km_pricing: cannot be expressed"), (None, "name one of them")):
        plans = [found] if found else [plan, {**plan, "plan_id": "b"}]
        feed = json.dumps({"version": "3.0", "data": {"plans": plans}})
        done = bring(written(tmp_path, "plans.json", feed))
        assert done.exit_code == 1
        assert text in done.output


@pytest.mark.parametrize("text", ["plain", 'with "quotes"', "\x7f \\ \n", "京"])
def test_a_document_is_written_as_toml(text: str) -> None:
    """A document is the same after it was written as TOML: texts, lists, and tables in tables."""
    document = {
        "name": text, "count": 1_000, "yes": True, "names": [text, "b"], "empty": [],
        "of": {"it": 1}, "segment": [{"a": 1, "price": [{"b": [1]}, {"b": []}]}, {"a": 2}],
    }  # fmt: skip
    assert tomllib.loads(toml_of(document)) == document
    tariff = write_tariff(read_tariff(tomllib.loads(COMPANY + CAP)))
    assert tomllib.loads(toml_of(tariff)) == tariff
