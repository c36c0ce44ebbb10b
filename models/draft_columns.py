"""The parts of a draft's columns: inputs, ids, groups, protected attributes, those left out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from models import profiles
from models.profiles import Guess, Profile
from models.spec_columns import Notation

LEAST_SHARED = 0.1
"""A column of texts is an input if at least this share of the rows has a text that a model can
know, since enough rows have it."""
LONG_NUMBER = 10_000_000
"""Whole numbers from here on, all equally long and another one in each row, are ids."""

# Names in the languages of raw files. Parts of a name are apart by anything but a letter.
_ID_NAME = re.compile(
    r"(^|[_\s.])(id|no|nr|num|number|key|uuid|guid|ref|index|row[_\s]?names?)$|^unnamed|^id|"
    r"nummer$|^n[°º]|^n[uú]m[eé]ro|(^|[^a-z])(telefon\w*|t[eé]l[eé]phone|phone|mobile|handy|celular|"
    r"e-?mail|konto|compte|cuenta|matr[ií]cul[ae]|folio|account|acct)[\s_.-]*(nr|no|#)?\.?$|"
    r"^(cpf|cnpj|dni|nif|nie|curp|rfc|ssn|nino|aadhaa?r|iban|bsn|pesel|passport|passaporte|"
    r"pasaporte)([^a-z]|$)|"
    r"编号|序号|身份证|手机号|电话|合同号|单号|卡号|账号|流水号",
    re.I,
)
_PERSON_NAME = re.compile(
    r"(cust(omer)?|client|member|user|borrower|applicant|person|account|party|kunde|kunden|"
    r"kreditnehmer|cliente|emprunteur)s?"
    r"([\s_.-]*(id|no|num|number|key|code|ref|name|uuid|guid|hash|token|nr|nummer|kennung))?$|"
    r"(客户|用户)(编?号|代码|名|标识|id)?$",
    re.I,
)
_PROTECTED = re.compile(
    r"(^|[^a-z])(sex|gender|female|male|wom[ae]n|age|senior|elderly|race|black|white|asian|"
    r"hispan\w*|african|afam|ethnic\w*|nationality|foreign\w*|marital\w*|marriage|married|"
    r"religion|disab\w*|pregnan\w*|birth\w*|born|dob|(family|civil|personal)[\s_.-]*status|"
    r"caste|tribe|scheduled|"
    # German, Portuguese, Spanish, French, Italian, Dutch and Polish.
    r"geschlecht|sexo|sexe|sesso|geslacht|p[lł]e[cć]|g[eêé]n(ero|ere|re)|alter|edad|idade|[aâ]ge|età|"
    r"leeftijd|wiek|geburt\w*|geb[\s_.-]*datum|nascimento|nacimiento|naissance|nascita|geboorte\w*|"
    r"urodzenia|familienstand|(estado|stato|état|etat|stan)[\s_.-]*(civile?|cywilny)|"
    r"situation[\s_.-]*(familiale|matrimoniale)|staatsangeh\w*|na[zct]ionali\w*|religi\w*|raza|"
    r"raça|razza|hautfarbe|[eé]tni\w*|behinder\w*|schwerbehinder\w*|discapaci\w*|defici[eê]ncia|"
    r"handicap\w*|schwanger\w*)"
    r"([^a-z]|$)|性别|年龄|出生|生日|民族|婚姻|籍贯|国籍|宗教|性別|年齡|年齢|生年月日|户籍|생년월일|성별|나이|"
    r"возраст|рождения|семейное",
    re.I,
)
# Numbers that are names: nobody adds them, and a larger one is not more.
_CODE_NAME = re.compile(
    r"(^|[^a-z])(zip|zip[\s_.-]?code|postal|postcode|plz|postleitzahl|cep|pin[\s_.-]?code|naics|sic|"
    r"mcc|fips|(branch|area|region|dealer|industry|sector|occupation|product|city|state|country)"
    r"[\s_.-]*(id|code|cd|no|nr|num)?)([^a-z]|$)|邮编|邮政编码|"
    r"(code|_cd)$",
    re.I,
)
_MOST_SHARED_CODES = 0.5
# Names of what is written after the outcome, and of what a history tells before it.
_AFTERWARDS = re.compile(
    r"recover(y|ies|ed)|(charged?|written?|wrt)[\s_.-]*off|chg[\s_.-]*off|collection[\s_.-]*(fee|rec)|"
    r"(net|gross|principal)[\s_.-]*loss|(^|[^a-z])(total|last|next)[\s_.-]*(pymnt|rec)([^a-z]|$)|"
    r"out[\s_.-]*prncp|customer[\s_.-]*payments|settlement|hardship|lgd([^a-z]|$)|"
    r"核销|催收|回收|逾期后",
    re.I,
)
_HISTORY = re.compile(
    r"[0-9]|within|ever|prior|previous|past|since|num(ber)?[\s_.-]*of|count|inq|bureau|^[a-z_]*flag$",
    re.I,
)
_DATE_NAME = re.compile(
    r"(^|[^a-z])(date|datum|fecha|time|timestamp|dt|at|epoch|created|opened)$|日期|时间", re.I
)
# Days of spreadsheets from 1954 on, seconds and milliseconds from 1980 on.
_COUNTS = (("days", 20e3, 70e3), ("seconds", 315e6, 3e9), ("milliseconds", 315e9, 3e12))
_NUMBERLIKE = re.compile(r"[^0-9]{0,5}[0-9][0-9.,' ]*[^0-9]{0,8}")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_THING = (
    r"(car|vehicle|auto|house|home|building|property|accounts?|acc(oun)?t|credit|loan|asset|item|"
    r"file|history|bureau|card|trade|tl|device|company|business|firm|employment|job|debt|policy)"
)
_AGE_OF_A_THING = re.compile(
    rf"(?<![a-z]){_THING}[\s_.-]*age(?![a-z])|"
    rf"(?<![a-z])age[\s_.-]*((of|the|oldest|newest|latest|first|last|avg|average)[\s_.-]*)*"
    rf"{_THING}(?![a-z])",
    re.I,
)
_AGE = re.compile(
    r"(^|[^a-z])([aâ]ge|alter|edad|idade|età|leeftijd|wiek)([^a-z]|$)|年[龄齡齢]", re.I
)
A_DATE = "a date: use it in [time], or derive an age by [[derivation]] with a second date"
_AGE_GROUPS = (25, 35, 45, 55)


@dataclass
class Column:
    """A column of the draft: its part, and the comments above it.

    From a date the months to another date, `age_at`, may be derived.
    """

    profile: Profile
    guess: Guess
    role: str = "input"
    part: str = "feature"
    comments: list[str] = field(default_factory=list)
    keys: dict[str, Any] = field(default_factory=dict)
    age_at: str | None = None


def one_id(columns: list[Column]) -> None:
    """Only the first of the ids stays one; the others are columns that are left out."""
    for extra in [c for c in columns if c.part == "id"][1:]:
        extra.part = "feature"


def unreadable(profile: Profile, kind: str) -> Column:
    """A column whose type is no number, text or date, which is left out."""
    column = Column(profile, Guess("empty", Notation(missing=())))
    exclude(column, f"has type {kind}, which is no number, text or date")
    return column


def set_part(column: Column, rows: int, of: int) -> None:
    """Sets the part of a column by its `rows` rows `of` a table, and says why it is none of the
    inputs."""
    profile, guess = column.profile, column.guess
    distinct = profile.distinct()
    name = _spaced(profile.name)
    column.comments += guess.notes
    if guess.type == "empty":
        exclude(column, "has no values")
        return
    if _PROTECTED.search(_AGE_OF_A_THING.sub("", name)):
        _protect(column)
        return
    whole = guess.type in ("text", "integer")
    if distinct == rows and whole and (_ID_NAME.search(name) or _counted(profile, of)):
        column.part = "id"
        exclude(column, "each row has another value: taken for an id")
    elif distinct is not None and whole and not guess.missing and _repeats(column, distinct, rows):
        column.part = "group"
        exclude(column, "several rows have one value: taken for a person, kept in one fold")
    elif guess.type == "date":
        exclude(column, A_DATE)
    elif _AFTERWARDS.search(name) and not _HISTORY.search(name):
        exclude(
            column, 'LEAK? its name says that it is written after the outcome: else role = "input"'
        )
    elif guess.type == "text" and guess.shared < LEAST_SHARED:
        exclude(column, "hardly any text is in enough rows to learn from")
        if _like_numbers(profile):
            column.comments.append(
                "most cells look like numbers: give them one notation, or a unit"
            )
    elif guess.type == "integer" and (said := _counts_time(column, name)):
        exclude(column, said)
    elif not guess.missing and _constant(profile):
        exclude(column, "all rows have the same value")
    elif guess.special:
        said = ", ".join(f"{v:g}" for v in guess.special)
        column.comments.append(f"{said} taken for special values, which are codes and no amounts")
    if column.part == "feature" and column.role == "input" and guess.type == "integer":
        _name_codes(column, name)


def _like_numbers(profile: Profile) -> bool:
    """Whether most different texts of a column are a number with little around it."""
    found = sum(_NUMBERLIKE.fullmatch(text) is not None for text in profile.other)
    return found > len(profile.other) / 2


def _counts_time(column: Column, name: str) -> str | None:
    """The comment on whole numbers that count time since a fixed day, by their name, or None."""
    values = np.concatenate(column.profile.numbers)
    if not _DATE_NAME.search(name) or not values.shape[0]:
        return None
    least, greatest = float(values.min()), float(values.max())
    for unit, first, last in _COUNTS:
        if first <= least and greatest <= last:
            return f"{unit} since a fixed day: in a model they only say how late it is"
    return None


def _name_codes(column: Column, name: str) -> None:
    """Makes whole numbers a category where the column's name says that they are codes."""
    values = np.concatenate(column.profile.numbers)
    _, counts = np.unique(values, return_counts=True)
    if not _CODE_NAME.search(name) or counts.shape[0] <= 2:
        return
    if profiles.shared(counts.tolist(), column.profile.rows) < _MOST_SHARED_CODES:
        column.comments.append("its name says that the numbers are codes: is a larger one more?")
        return
    column.guess = replace(column.guess, type="code", special=())
    column.comments.append("its name says that the numbers are codes, so each is a category")


def exclude(column: Column, reason: str) -> None:
    """Leaves a column out, and says why."""
    column.role = "excluded"
    column.comments.append(reason)


def _spaced(name: str) -> str:
    """A name whose words are apart, also those of `camelCase`."""
    return _CAMEL.sub("_", name)


def _constant(profile: Profile) -> bool:
    values = np.concatenate(profile.numbers)
    texts = len(profile.other)
    if profile.blank or (texts and values.shape[0]):
        return False
    return texts == 1 if texts else bool(values.min() == values.max())


def _counted(profile: Profile, of: int) -> bool:
    """Numbers that count up the rows, of which a few may lack, or that are long and equally long,
    as those of contracts and telephones are."""
    values = np.concatenate(profile.numbers)
    if values.shape[0] != profile.rows:
        return False
    least, greatest = float(values.min()), float(values.max())
    if np.all(np.diff(values) >= 1.0) and greatest - least < 1.5 * of:
        return True
    return least >= LONG_NUMBER and len(f"{least:.0f}") == len(f"{greatest:.0f}")


def _repeats(column: Column, distinct: int, rows: int) -> bool:
    """A column of persons: its name says so, and its values repeat."""
    name = _spaced(column.profile.name)
    named = _PERSON_NAME.search(name) or _ID_NAME.search(name)
    return bool(named) and 0.02 * rows < distinct < 0.98 * rows


def _protect(column: Column) -> None:
    profile, guess = column.profile, column.guess
    column.role = "protected"
    if guess.type == "date" or (guess.type == "text" and guess.levels > 20):
        exclude(column, "may be a protected attribute: the model does not see it")
        return
    column.comments.append(
        "may be a protected attribute: it measures fairness, and the model does not see it"
    )
    if guess.type not in ("number", "integer"):
        return
    values = profile.values(guess.notation)
    distinct = np.unique(values)
    if _AGE.search(_spaced(profile.name)) and distinct.shape[0] > 12:
        edges = [float(a) for a in _AGE_GROUPS if distinct[0] < a <= distinct[-1]]
    elif distinct.shape[0] <= 12:
        edges = distinct[1:].tolist()
    else:
        edges = np.unique(np.quantile(values, [0.25, 0.5, 0.75], method="higher")).tolist()
        edges = [e for e in edges if e > distinct[0]]
    if edges:
        column.keys["groups"] = edges
        names = [f"from {e:g}" for e in edges]
        column.keys["group_names"] = [f"below {edges[0]:g}", *names]
