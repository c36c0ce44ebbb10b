"""Drafts of files as other programs and countries write them."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from models import cells, checking, drafting, reading, spec
from models.drafting import Question
from models.errors import DatasetError, SpecError
from models.spec_columns import Notation
from tests.models.reading_tables import TODAY, read, spec_of
from tests.models.small_tables import table
from tests.models.test_cases import file_of, lines
from tests.models.test_draft_columns import DAY, column, written
from tests.models.test_drafting import QUESTION, drafted

NOTE = "Total amount funded: 460296150"


def test_a_note_after_the_rows_is_left_out_of_a_draft(tmp_path: Path) -> None:
    """Lines at the end of a file that have fewer cells than its rows are left out by a draft, which
    says so, and the rows keep their numbers."""
    content = f"Notes offered by prospectus\n{file_of(lines(table()))}\n\n{NOTE}\n{NOTE}\n"
    made = drafted(tmp_path, content)
    assert (made["data"]["skip_lines"], made["data"]["skip_last_lines"]) == (1, 2)
    data = reading.load(spec.load(tmp_path / "draft.toml"))
    assert data.row.tolist() == list(range(1, 601))
    draft = drafting.draft(tmp_path / "table.csv", tmp_path / "draft.toml", QUESTION, TODAY)
    assert "lines at the end that are no rows are left out: 2" in draft.notes


def test_a_row_that_breaks_off_is_no_note(tmp_path: Path) -> None:
    """A file that ends within a row is refused with the row's number, because it is not whole."""
    content = file_of(lines(table()))
    with pytest.raises(DatasetError, match="row 600: has 3 cells, not 4"):
        drafted(tmp_path, content[: content.rindex(",", 0, content.rindex(",") - 1) + 2])


def test_blank_lines_are_none_of_the_last_lines(tmp_path: Path) -> None:
    """`skip_last_lines` counts the lines after the last row that are not blank."""
    rows = "\n".join(f"{i},{i % 2}" for i in range(8))
    data = read(tmp_path, f"x,bad\n{rows}\n\nend\n\n\n", data={"skip_last_lines": 1})
    assert data.row.tolist() == list(range(1, 9))


def test_the_header_is_the_line_with_the_label(tmp_path: Path) -> None:
    """Of two lines of names above the rows, a draft takes the one that has the label."""
    made = drafted(tmp_path, "X1,X2,X3,Y\n" + file_of(lines(table())))
    assert made["data"]["skip_lines"] == 1
    assert [it["name"] for it in made["feature"]] == ["a", "b"]


@pytest.mark.parametrize("outcome", ["y", ""])
def test_rows_without_an_outcome_do_not_describe_people(tmp_path: Path, outcome: str) -> None:
    """A draft describes its columns by the rows whose outcome is bad or good: neither a header that
    is repeated nor a total lets a column of numbers have words or blanks."""
    rows = lines(table())
    rows.insert(300, f"id,a,b,{outcome}")
    made = drafted(tmp_path, file_of([*rows, ",Total,,"]))
    assert [{*it} for it in made["feature"]] == 2 * [{"name", "role", "type", "reason_group"}]


def test_debts_that_are_not_over_are_not_good(tmp_path: Path) -> None:
    """A draft takes for good the commonest other outcome that is final, and not one of debts that
    are not over, however many they are."""
    words = ["Current", "Current", "Completed", "Past Due (1-15 days)"]
    rows = [f"{row[:-2]},{'Lost' if row[-1] == '1' else words[i % 4]}"
            for i, row in enumerate(lines(table()))]  # fmt: skip
    (tmp_path / "table.csv").write_text(file_of(rows), encoding="utf-8")
    question = Question("y", ("Lost",), (), "missed", "a month", "made up")
    made = drafting.draft(tmp_path / "table.csv", tmp_path / "draft.toml", question, TODAY)
    assert tomllib.loads(made.text)["label"]["good"] == ["Completed"]


def test_nested_columns_are_left_out_of_a_draft(tmp_path: Path) -> None:
    """A draft leaves out the columns of a Parquet file that are no numbers, texts or dates, and
    says which type they have."""
    it = table()
    frame = pl.DataFrame({"a": it.a, "y": it.y}).with_columns(
        tags=pl.lit(["x"]).first(), person=pl.struct("a"), raw=pl.lit(b"\1"),
        wait=pl.lit(datetime.timedelta(3)),
    )  # fmt: skip
    frame.write_parquet(tmp_path / "t.parquet")
    made = drafting.draft(tmp_path / "t.parquet", tmp_path / "t.toml", QUESTION, TODAY)
    roles = {f["name"]: f["role"] for f in tomllib.loads(made.text)["feature"]}
    assert roles.pop("a") == "input"
    assert roles == dict.fromkeys(("tags", "person", "raw", "wait"), "excluded")
    assert "raw: has type Binary, which is no number, text or date" in made.notes


@pytest.mark.parametrize(
    ("cell", "unit", "kind"),
    [
        (lambda i: f" {12 * (1 + i % 5)} months", "months", "integer"),
        (lambda i: "1 month" if i % 9 == 0 else f"{i} months", "months", "integer"),
        (lambda i: f"{i / 10}万元", "万元", "number"),
        (lambda i: f"{i}岁", "岁", "integer"),
        (lambda i: f"${i / 100}M", "M", "number"),
        (lambda i: f"{i % 9} years" if i % 2 else f"{i % 9} months", None, "text"),
        (lambda i: f"{i % 9}K" if i % 2 else 1 + i % 9, None, "text"),
        (lambda i: f"{i % 9}B", None, "text"),
        (lambda i: f"A{i % 9}", None, "text"),
    ],
)
def test_numbers_with_one_unit_are_numbers(
    tmp_path: Path, cell: Callable[[int], object], unit: str | None, kind: str
) -> None:
    """A column whose cells all have one unit is a column of numbers, and the draft names the unit;
    with several units, or with numbers without one, it is a text, and so are codes with letters."""
    found = column(tmp_path, "size", cell)
    assert (found["type"], found.get("unit")) == (kind, unit)


@pytest.mark.parametrize(
    ("cell", "keys"),
    [
        (lambda i: f'"({i}.50)"' if i % 3 else f"{i}.50", {"accounting": True}),
        (lambda i: f"{i}.50-" if i % 3 else f"{i}.50", {"accounting": True}),
        (lambda i: f"$({i}.50)" if i % 3 else f"${i}.50", {"currency": ["$"]}),
        (lambda i: f"\u2212{i}.50" if i % 3 else f"{i}.50", {"accounting": True}),
        (lambda i: f"{i}.5\uff05", {"percent": True}),
        (lambda i: f'"{1 + i}\u202f000,50 €"', {"decimal": ",", "currency": ["€"]}),
        (lambda i: f'"R$ {1 + i}.000,50"', {"decimal": ",", "currency": ["R$"]}),
        (lambda i: f'"₹{1 + i % 90},00,000/-"', {"thousands": ",", "currency": ["₹", "/-"]}),
    ],
)
def test_numbers_of_other_countries_are_numbers(
    tmp_path: Path, cell: Callable[[int], object], keys: dict[str, Any]
) -> None:
    """Numbers below 0 as accountants write them, full-width percent signs, narrow spaces between
    thousands and marks behind a price are read, each as the draft declares it."""
    found = column(tmp_path, "amount", cell)
    assert found["type"] in ("number", "integer")
    assert {key: found.get(key) for key in keys} == keys


def test_accountants_write_numbers_below_zero_in_three_ways() -> None:
    """With `accounting`, `(5)`, `5-` and the minus sign are read as numbers below 0, and two signs
    are no number."""
    text = pl.Series(["(1,234.50)", "12.5-", "\u22125", "-5", "5", "--5", "-5-", "(-5)", "()", "-"])
    read = cells.numbers(text, Notation(accounting=True, thousands=",", missing=()))
    assert read.values[:5].tolist() == [-1234.5, -12.5, -5.0, -5.0, 5.0]
    assert read.wrong.tolist() == 5 * [False] + 5 * [True]
    assert cells.numbers(pl.Series(["5-"]), Notation(thousands=",")).wrong.all()


@pytest.mark.parametrize(
    "form",
    [
        "%Y年%m月", "%Y年%m月%d日", "%Y-%m-%dT%H:%M:%S.000+08:00", "%Y-%m-%d %H:%M:%S UTC",
        "%m/%d/%Y %I:%M:%S %p", "%a %b %d %Y", "%d-%B-%Y",
    ],
)  # fmt: skip
def test_forms_of_dates_of_other_programs_are_known(tmp_path: Path, form: str) -> None:
    """Dates in Chinese, with a time zone, with the afternoon or with a weekday are dates, and a
    draft with two columns of them derives an age."""

    def cells_of(i: int) -> str:
        moment = datetime.datetime(2015, 3, 1, 15, 30) + i * datetime.timedelta(1)
        opened = moment - datetime.timedelta(900 + 400 * (i % 7))
        return f"{moment:{form}},{opened:{form}}"  # fmt: skip

    made = tomllib.loads(written(tmp_path, "applied,opened", cells_of).text)
    assert [it["of"] for it in made["derivation"]] == [["opened", "applied"]]


@pytest.mark.parametrize(
    "name",
    [
        "Geschlecht", "Alter", "Familienstand", "Staatsangehörigkeit", "sexo", "Estado civil",
        "Idade", "Âge", "situation familiale", "nationalité", "età", "caste", "性別", "CustomerAge",
        "applicantGender",
    ],
)  # fmt: skip
def test_protected_attributes_are_known_in_other_languages(tmp_path: Path, name: str) -> None:
    """Sex, age, family status and origin are kept from the model, in whichever language and in
    whichever case a column is named after them."""
    assert column(tmp_path, name, lambda i: 18 + i % 60)["role"] == "protected"


@pytest.mark.parametrize("name", ["Geburtsdatum", "Data de nascimento", "生年月日"])
def test_dates_of_birth_are_known_in_other_languages(tmp_path: Path, name: str) -> None:
    """A date of birth is kept from the model in whichever language it is named."""
    found = column(tmp_path, name, lambda i: DAY - i * datetime.timedelta(20))
    assert found["role"] == "excluded"


def test_the_groups_of_an_age_with_a_unit_are_those_of_an_age(tmp_path: Path) -> None:
    """A protected number has groups also where each cell has a unit."""
    assert column(tmp_path, "年龄", lambda i: f"{18 + i % 60}岁")["groups"] == [25, 35, 45, 55]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("Kundennummer", "group"), ("CPF", "group"), ("MemberKey", "group"), ("Konto", "group"),
        ("身份证号", "group"), ("Kundenalter", None), ("CPFL", None),
    ],
)  # fmt: skip
def test_persons_are_known_in_other_languages(tmp_path: Path, name: str, part: str | None) -> None:
    """A column of persons' numbers keeps their rows in one fold, in whichever language it is
    named."""
    made = tomllib.loads(written(tmp_path, name, lambda i: 7 * (i % 200)).text)
    assert (made.get("group") == {"column": name}) == (part == "group")


@pytest.mark.parametrize(
    ("name", "cell", "kind"),
    [
        ("Zip", lambda i: 10_000 + 7 * (i % 9), "code"),
        ("BranchCode", lambda i: i % 5, "code"),
        ("PLZ", lambda i: 10_000 + 7 * (i % 290), "integer"),
        ("income", lambda i: i % 9, "integer"),
        ("decode", lambda i: i % 2, "integer"),
    ],
)
def test_numbers_that_are_names_are_categories(
    tmp_path: Path, name: str, cell: Callable[[int], object], kind: str
) -> None:
    """Whole numbers whose column is named after codes, such as post codes, are categories if most
    rows share theirs with enough others; else the draft asks whether a larger one is more."""
    made = written(tmp_path, name, cell)
    (found,) = [it for it in tomllib.loads(made.text)["feature"] if it["name"] == name]
    assert found["type"] == kind
    assert any("codes" in it for it in made.notes if it.startswith(name)) == (name != "income"
        and name != "decode")  # fmt: skip


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("recoveries", "excluded"), ("collection_recovery_fee", "excluded"),
        ("total_pymnt", "excluded"), ("ChgOffPrinGr", "excluded"), ("核销金额", "excluded"),
        ("chargeoff_within_12_mths", "input"), ("months since recovery", "input"),
        ("total_acc", "input"), ("payments", "input"),
    ],
)  # fmt: skip
def test_what_is_written_after_the_outcome_is_told_by_its_name(
    tmp_path: Path, name: str, role: str
) -> None:
    """A column whose name says that it is written after the outcome, such as a recovery, is left
    out with a comment; what a history counted before is not."""
    assert column(tmp_path, name, lambda i: i % 9)["role"] == role


def test_a_date_after_today_is_none_of_a_decision(tmp_path: Path) -> None:
    """The date of the decision is none that lies after the day of the draft, such as the end of a
    contract."""

    def cells_of(i: int) -> str:
        first = DAY + i * datetime.timedelta(1)
        return f"{first},{first + (10_950 + i % 500) * datetime.timedelta(1)}"

    made = tomllib.loads(written(tmp_path, "first,until", cells_of).text)
    assert "derivation" not in made


@pytest.mark.parametrize(
    ("name", "cell", "unit"),
    [
        ("created_at", lambda i: 1_577_836_800 + 8_640 * (i % 300), "seconds"),
        ("Datum", lambda i: 43_831 + i % 400, "days"),
        ("income", lambda i: 43_831 + i % 400, None),
        ("update", lambda i: i % 400, None),
    ],
)
def test_counts_of_time_are_no_amounts(
    tmp_path: Path, name: str, cell: Callable[[int], object], unit: str | None
) -> None:
    """Days of a spreadsheet and seconds since 1970, in a column that is named after a date, are
    left out, because a model could only learn from them how late it is."""
    made = written(tmp_path, name, cell)
    said = f"{name}: {unit} since a fixed day: in a model they only say how late it is"
    assert (said in made.notes) == (unit is not None)


def test_the_case_of_an_outcome_does_not_count(tmp_path: Path) -> None:
    """Outcomes that differ in upper and lower case alone are one outcome of a draft."""
    words = {"0": ("No", "no", "NO"), "1": ("Yes", "yes", "YES")}
    rows = [f"{row[:-2]},{words[row[-1]][i % 3]}" for i, row in enumerate(lines(table()))]
    (tmp_path / "table.csv").write_text(file_of(rows), encoding="utf-8")
    question = Question("y", ("Yes",), (), "missed", "a month", "made up")
    made = drafting.draft(tmp_path / "table.csv", tmp_path / "draft.toml", question, TODAY)
    label = tomllib.loads(made.text)["label"]
    assert (label["bad"], label["good"]) == (["YES", "Yes", "yes"], ["NO", "No", "no"])
    assert "ignore" not in label


def test_single_quotes_around_cells_are_seen(tmp_path: Path) -> None:
    """A draft sees that a file has its cells in single quotes, and a name with an apostrophe does
    not make it think so."""
    rows = [",".join(f"'{cell}'" for cell in row.split(",")) for row in lines(table())]
    made = drafted(tmp_path, file_of([f"{row},'a,b'" for row in rows], "id,a,b,y,c"))
    assert made["data"]["quote"] == "'"
    assert {it["name"]: it.get("type") for it in made["feature"]}["a"] == "number"
    plain = drafted(tmp_path, file_of([f"{row},O'Neil" for row in lines(table())], "id,a,b,y,c"))
    assert "quote" not in plain["data"]


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (lambda i: f"{i}.5%" if i % 2 else f"{i}.5 CHF", True),
        (lambda i: f"{1 + i % 40}万" if i % 2 else 5000 + 10 * (i % 40), True),
        (lambda i: f"{i} Main St", False),
        (lambda i: f"10.0.{i % 256}.{i % 7}", False),
        (lambda i: f"{i}xx", False),
        (lambda i: f"AB{i}", False),
    ],
)
def test_cells_that_look_like_numbers_are_told(
    tmp_path: Path, cell: Callable[[int], object], told: bool
) -> None:
    """A draft says so if the cells of a text are numbers in several notations; addresses and codes
    with letters are none."""
    made = written(tmp_path, "mixed", cell)
    said = "mixed: most cells look like numbers: give them one notation, or a unit"
    assert (said in made.notes) == told


def test_codes_are_told_in_full(tmp_path: Path) -> None:
    """The note on special values has all of their digits, and so have the names of groups."""
    made = written(tmp_path, "paid", lambda i: 99_999_999 if i % 9 == 0 else i % 500)
    said = "99999999 taken for special values, which are codes and no amounts"
    assert f"paid: {said}" in made.notes
    groups = column(tmp_path, "sex", lambda i: 12_345_670 + i % 3)["group_names"]
    assert groups == ["below 12345671", "from 12345671", "from 12345672"]


@pytest.mark.parametrize(
    ("cell", "kind", "told"),
    [
        (lambda i: f"{1 + i % 12:02}", "code", True),
        (lambda i: f"{1 + i % 9:03}", "code", True),
        (lambda i: f"{i % 9:03}", "integer", True),
        (lambda i: f"{7 * (i % 290):05}", "integer", True),
        (lambda i: f"{i % 2:02}", "integer", False),
        (lambda i: 10 + i % 12, "integer", False),
        (lambda i: f"{i % 12:02}" if i % 5 else "100", "integer", False),
        (lambda i: f"{i % 9 / 10:.1f}", "number", False),
    ],
)
def test_numbers_with_zeros_before_them_are_categories(
    tmp_path: Path, cell: Callable[[int], object], kind: str, told: bool
) -> None:
    """Whole numbers of equal width, some with zeros before them, are categories if most rows share
    theirs with enough others and none is 0; else the draft asks whether a larger one is more."""
    made = written(tmp_path, "size", cell)
    (found,) = [it for it in tomllib.loads(made.text)["feature"] if it["name"] == "size"]
    assert found["type"] == kind
    assert any("the zeros before its numbers" in it for it in made.notes) == told


@pytest.mark.parametrize(("times", "warned"), [(6, True), (5, False)])
def test_rows_that_are_repeated_are_warned_of(tmp_path: Path, times: int, warned: bool) -> None:
    """A check warns where at least 1 % of the rows repeat another one, unless a group keeps them
    together."""
    rows = [f"{i}.5,{row[-3:]}" for i, row in enumerate(lines(table()))][: 600 - times]
    rows += rows[7 : 7 + times]
    made = drafted(tmp_path, file_of(rows, "a,b,y"))
    for group in (None, {"column": "b"}):
        tree = made if group is None else {**made, "group": group}
        tree["feature"] = [it for it in made["feature"] if group is None or it["name"] != "b"]
        findings = reading.Findings()
        checking.check(spec.parse(tree, path=tmp_path / "t.toml", sha256=""), None, findings)
        said = (
            f"{times} rows repeat another row in every input and in the label; the first is row 8"
        )
        assert any(said in it for it in findings.warnings) == (warned and group is None)


def test_equal_rows_of_common_values_are_not_warned_of(tmp_path: Path) -> None:
    """A check does not take many people with the same common values, such as accounts that nobody
    uses, for copies of each other."""
    rows = [f"{i}.5,{row[-3:]}" for i, row in enumerate(lines(table()))]
    rows[100:160] = [f"0,{i % 6},{rows[i][-1]}" for i in range(60)]
    made = drafted(tmp_path, file_of(rows, "a,b,y"))
    findings = reading.Findings()
    checking.check(spec.parse(made, path=tmp_path / "t.toml", sha256=""), None, findings)
    assert not any("repeat another row" in it for it in findings.warnings)


def test_accounting_needs_a_truth_value(tmp_path: Path) -> None:
    """A key with another value than its type's is refused by its name."""
    with pytest.raises(SpecError, match=r"data\.accounting"):
        spec_of(tmp_path, "x,bad\n1,0\n", data={"accounting": "yes"})
