"""Drafts of files that do not say how they are written: their encodings and their forms."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from models import drafting, encodings, reading, spec
from models.drafting import Question
from models.errors import DatasetError, SpecError
from tests.models.reading_tables import TODAY, read
from tests.models.small_tables import table
from tests.models.test_cases import file_of, lines
from tests.models.test_drafting import ARFF, QUESTION, drafted

WESTERN = (
    "Köln für Größe München Straße Weiß äußern Übung ÄRZTE STRAßE GRÖSSE Käse",
    "España Año Málaga niño corazón MAÑANA PEÑA averigüe",
    "São Paulo Ações Não situação OPERAÇÃO AÇÕES SITUAÇÃO mãe pão limões ÓRGÃO",
    "Crédit Impayé Été créé créée naïf Noël œuvre reçu CRÉÉ DÉCÉDÉ",
    "Malmö Århus Åbo smörgås blåbær hyvää päivää tyttöä Jyväskylä HÄÄYÖ Ääni",
)
CHINESE = (
    "男 女", "已婚 未婚 离异 丧偶", "是 否", "其他", "学生 教师 职员", "A类 B类 C类", "VIP客户",
    "朱镕基 陶喆 张鑫 李堃 王昇", "高中 本科 大专 硕士", "正常 逾期 坏账", "鑫", "O型血 AB型",
    "无業 無業 國語 體育 臺灣", "金额。5", "t恤 iPhone手机",
)  # fmt: skip


def of_words(words: list[str], delimiter: str, header: str = "x,word,y") -> str:
    """A file whose second column has these words."""
    rows = [f"{i % 83},{words[i % len(words)]},{i * 7 % 10 // 6}" for i in range(200)]
    return "\n".join([header, *rows]).replace(",", delimiter) + "\n"


@pytest.mark.parametrize("words", WESTERN)
@pytest.mark.parametrize("delimiter", [",", "|"])
def test_western_words_are_not_taken_for_chinese(words: str, delimiter: str) -> None:
    """Words of German, Spanish, Portuguese, French, Swedish and Finnish in a Western encoding are
    read as such, also each alone in its file, and though most of them could be Chinese."""
    for some in (words.split(), *([word] for word in words.split())):
        content = of_words(some, delimiter).encode("cp1252")
        assert encodings.guess(content, "y") != "gb18030", some


@pytest.mark.parametrize("words", CHINESE)
@pytest.mark.parametrize("delimiter", [",", "|"])
def test_short_chinese_words_are_not_taken_for_western(words: str, delimiter: str) -> None:
    """Columns of one or two Chinese characters are read as Chinese, also where the only other
    characters are ASCII, and where rare or traditional characters are among them."""
    content = of_words(words.split(), delimiter).encode("gb18030")
    assert encodings.guess(content, "y") == "gb18030"


@pytest.mark.parametrize(
    ("label", "encoding"),
    [("Spłata", "cp1250"), ("Дефолт", "cp1251"), ("연체", "cp949"), ("違約", "big5"),
     ("Défaut", "mac_roman"), ("AB型", "gb18030")],
)  # fmt: skip
def test_the_name_of_the_label_tells_the_encoding(
    tmp_path: Path, label: str, encoding: str
) -> None:
    """A file is read in the encoding in which it has the label's name."""
    rows = file_of([f"{i % 83},{i * 7 % 10 // 6}" for i in range(300)], f"x,{label}")
    (tmp_path / "table.csv").write_text(rows, encoding=encoding)
    question = Question(label, ("1",), (), "missed", "a month", "made up")
    made = drafting.draft(tmp_path / "table.csv", tmp_path / "draft.toml", question, TODAY)
    found = tomllib.loads(made.text)
    assert (found["data"]["encoding"], found["label"]["column"]) == (encoding, label)


@pytest.mark.parametrize(("word", "encoding"), [("Köln", "cp1252"), ("北京", "gb18030")])
def test_an_encoding_that_is_a_guess_is_told(tmp_path: Path, word: str, encoding: str) -> None:
    """A draft says which encoding it took for a file that does not say it, with a cell of the file,
    and what to do if it is another one; a refused label says so too."""
    (tmp_path / "table.csv").write_bytes(of_words([word], ";").encode(encoding))
    said = (
        f"the file does not say its encoding and is read as {encoding}, such as '{word}': if that "
        "is wrong, save it as UTF-8 and draft again"
    )
    made = drafting.draft(tmp_path / "table.csv", tmp_path / "draft.toml", QUESTION, TODAY)
    assert said in made.notes
    assert f"[data]\n# CHECK: {said}\n" in made.text
    with pytest.raises(DatasetError, match=f"no column z; .* is read as {encoding}"):
        drafting.draft(
            tmp_path / "table.csv", tmp_path / "draft.toml", QUESTION._replace(label="z"), TODAY
        )


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_seen(tmp_path: Path, encoding: str) -> None:
    """A file in UTF-16 is read also without a byte order mark, because every other byte is 0; one
    zero byte in a file of single bytes does not make it UTF-16."""
    (tmp_path / "table.csv").write_bytes(of_words(["北京", "Köln"], ",").encode(encoding))
    made = drafting.draft(tmp_path / "table.csv", tmp_path / "draft.toml", QUESTION, TODAY)
    assert tomllib.loads(made.text)["data"]["encoding"] == encoding
    content = file_of(lines(table())).replace("3", "3\0", 1)
    with pytest.raises(DatasetError, match="is not text"):
        drafted(tmp_path, content)


@pytest.mark.parametrize("mark", [",", " ", "\t"])
@pytest.mark.parametrize("label", ["y", "4"])
def test_names_of_rows_have_no_name_in_a_table_of_r(tmp_path: Path, mark: str, label: str) -> None:
    """The first column has the names of the rows where the header has one name fewer than the rows
    have cells, as R writes it."""
    rows = [f'"{row.split(",")[0]}",{row.split(",", 1)[1]}' for row in lines(table())]
    content = file_of(rows, '"a","b","y"').replace(",", mark)
    (tmp_path / "table.csv").write_text(content, encoding="utf-8")
    question = QUESTION._replace(label=label)
    made = drafting.draft(tmp_path / "table.csv", tmp_path / "draft.toml", question, TODAY)
    (tmp_path / "draft.toml").write_text(made.text, encoding="utf-8")
    found = tomllib.loads(made.text)
    assert found["data"]["columns"] == ["row names", "a", "b", "y"]
    assert found["id"] == {"column": "row names"}
    assert reading.load(spec.load(tmp_path / "draft.toml")).raw[:, 0].tolist() == table().a.tolist()


def test_a_delimiter_after_each_row_makes_no_names_of_rows(tmp_path: Path) -> None:
    """Names stay with their columns where each row but the header ends with a delimiter."""
    made = drafted(tmp_path, file_of([f"{row}," for row in lines(table())], "id,a,b,y"))
    assert [it["name"] for it in made["feature"]] == ["a", "b"]
    assert made["id"] == {"column": "id"}


def test_comments_among_the_rows_of_weka_are_left_out(tmp_path: Path) -> None:
    """Lines of a file of Weka that begin with % are no rows, wherever they stand, and the rows keep
    the numbers of their lines."""
    rows = ["% it's a note", *lines(table()), "% the end"]
    rows.insert(300, "  % half")
    made = drafted(tmp_path, ARFF + "\n".join(rows) + "\n")
    assert made["data"]["comment"] == "%"
    data = reading.load(spec.load(tmp_path / "draft.toml"))
    assert data.raw[:, 0].tolist() == table().a.tolist()
    assert data.row.tolist() == [*range(2, 301), *range(302, 603)]


def test_lines_that_begin_with_the_comment_are_blank(tmp_path: Path) -> None:
    """A spec may name the beginning of lines that count as blank, also before the header."""
    content = 'x,bad\n# one, " two\n1,0\n #\n3,1\n#'
    assert read(tmp_path, content, data={"comment": "#"}).row.tolist() == [2, 4]


@pytest.mark.parametrize("comment", [5, "# ", "é"])
def test_a_comment_that_no_line_can_begin_with_is_refused(tmp_path: Path, comment: Any) -> None:
    """The beginning of a comment is ASCII text without a space."""
    with pytest.raises(SpecError, match=r"data\.comment: must be ASCII characters"):
        read(tmp_path, "x,bad\n1,0\n", data={"comment": comment})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[{"x": 1, "y": 0},\n{"x": 2, "y": 1}]', "is JSON: convert it to CSV or Parquet"),
        ('\n{\n "rows": [[1, 0], [2, 1]]}', "is JSON: convert"),
        ('{"x": 1, "y": 0}\n{"x": 2, "y": 1}\n', "is JSON lines: convert"),
        ("<!DOCTYPE html>\n<html><table></table></html>", "is an HTML page: convert"),
        ("<table><tr><td>x</td><td>y</td></tr></table>", "is an HTML page: convert"),
        ('<?xml version="1.0"?><Workbook/>', "is XML: convert"),
        ("SQLite format 3\0x", "is a SQLite database: write its table"),
        ("<stata_dta><header>", "is a Stata file: convert"),
        (ARFF + "{0 5, 1 2.5, 3 1}\n{1 3.5}\n", "is a sparse ARFF file"),
    ],
)
def test_a_file_of_another_format_is_refused_by_its_name(
    tmp_path: Path, content: str, said: str
) -> None:
    """A file that is no table is refused with the name of its format and what to do."""
    with pytest.raises(DatasetError, match=said):
        drafted(tmp_path, content)
