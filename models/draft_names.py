"""The hints of a raw column's name, in the languages of raw files.

A rule is about the words of a name, which capitals, blanks and marks part: `LoanCurrentDPD`,
`loan_current_dpd` and `loan current dpd` are one name.
"""

from __future__ import annotations

import re

_PARTS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^\w°º]+|_+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")

# Parts of a name are apart by anything but a letter.
_ID = re.compile(
    r"(^|[_\s.])(id|no|nr|num|number|key|uuid|guid|ref|index|row[_\s]?names?)$|^unnamed|^id|"
    r"nummer$|^n[°º]|^n[uú]m[eé]ro|(^|[^a-z])(telefon\w*|t[eé]l[eé]phone|phone|mobile|handy|celular|"
    r"e-?mail|konto|compte|cuenta|matr[ií]cul[ae]|folio|account|acct)[\s_.-]*(nr|no|#)?\.?$|"
    r"^(cpf|cnpj|dni|nif|nie|curp|rfc|ssn|nino|aadhaa?r|iban|bsn|pesel|passport|passaporte|"
    r"pasaporte)([^a-z]|$)|"
    r"编号|序号|身份证|手机号|电话|合同号|单号|卡号|账号|流水号",
    re.I,
)
_PERSON = re.compile(
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
# The same of names whose words are parted by one blank.
_PROTECTED_WORDS = re.compile(
    r"\b(yob|yearborn|year ?of ?birth|birth ?(date|day|year|place)|"
    r"(status|applicant|customer|cust|client|person)(sex|gender)|(sex|gender)(cd|code|id|flag)|"
    r"age ?(band|group|grp|range|class|bucket|cat|category|bracket)s?|"
    # A first name tells the sex, and a last name the origin.
    r"salutation|anrede|(fore|first|last|given|family|maiden|sur|middle) ?names?|vornamen?|"
    r"nachnamen?|prénom|prenom|apellidos?|sobrenome|cognome|"
    r"faith|church|denomination|konfession|citizen\w*|immigra\w+|migra(nt|tion)\w*|"
    r"native (country|language|tongue)|mother ?tongue|country of (birth|origin)|"
    r"languages?|veterans?|minorit(y|ies)|skin (colou?r|tone)|sexual orientation|"
    r"(maternity|paternity|parental) leave|public assistance|welfare|"
    r"famges|fam ?stand|gastarb\w*|ausländer\w*|herkunft\w*)\b"
)
# Words of things that have an age, as houses and accounts do.
_THING = (
    r"(car|vehicle|auto|house|home|housing|building|dwelling|property|mortgage|accounts?|acc(oun)?t|"
    r"credit|loan|lease|asset|item|file|history|bureau|card|trade|tl|line|device|company|business|"
    r"firm|employment|job|debt|policy|contract|equipment|tract|median)"
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
# Numbers that are names: nobody adds them, and a larger one is not more.
_CODE = re.compile(
    r"(^|[^a-z])(zip|zip[\s_.-]?code|postal|postcode|plz|postleitzahl|cep|pin[\s_.-]?code|naics|sic|"
    r"mcc|fips|(branch|area|region|dealer|industry|sector|occupation|product|city|state|country)"
    r"[\s_.-]*(id|code|cd|no|nr|num)?)([^a-z]|$)|邮编|邮政编码|"
    r"(code|_cd)$",
    re.I,
)
_TIME = re.compile(
    r"(^|[^a-z])(date|datum|fecha|time|timestamp|ts|dt|at|epoch|created|opened)$|日期|时间", re.I
)
_PAYMENT = r"(payments?|pymnts?|pmts?|paymt)"
_AMOUNT = r"(amount|amt|amnt|balance|bal|value|sum)"
_DAY = r"(date|dt|d|day|month|year|(on|at)$)"
_PRINCIPAL = r"(principal|prncp|prin|upb|capital)"
_LATE = r"(delinquen(t|cy)|past due|overdue|late|arrears?|dpd)"
# Names, as words parted by one blank, of what is written after the outcome.
_AFTERWARDS = re.compile(
    r"recover(y|ies|ed)|\b((charged?|write|written|wrt|chg) ?offs?|chargedoff|writtenoff)\b|"
    r"\bcollections? (fee|rec|status|agency|stage|flag|date|cost)|\bin collections?\b|"
    r"\b(net|gross|principal|credit|default|actual) (principal |credit )?loss(es)?\b|"
    rf"\bloss(es)? (given|severity|{_AMOUNT})\b|lgd\b|\bead\b|exposure at default|"
    rf"\b(total|last|next) (pymnt|rec)\b|\blast (paid\b|{_PAYMENT})|\bnext {_PAYMENT} {_DAY}\b|"
    r"\blast (credit pull|fico)\b|"
    rf"\bout prncp\b|\boutstanding {_PRINCIPAL}\b|\b{_PRINCIPAL} (outstanding|remaining)\b|"
    rf"\b(remaining|current|unpaid) (actual )?{_PRINCIPAL}\b|"
    rf"\bcustomer (principal )?{_PAYMENT}\b|"
    rf"\b({_AMOUNT}|{_PRINCIPAL}|interest|total) (re)?paid\b|\brepaid\b|"
    rf"\bpaid ({_AMOUNT}|{_PRINCIPAL}|interest|total|off)\b|"
    rf"\bdefault(ed)? ({_AMOUNT}|{_DAY}|reason)\b|\bdate of default\b|"
    r"\b(loan|final|end|ending|closing|outcome|exit|current loan) status\b|"
    r"\bfinal (bucket|outcome|result|balance|dpd)\b|"
    rf"\b(close|closed|closure|terminat(ed|ion)|settled) (reason|{_DAY}|{_AMOUNT}|code)\b|"
    r"\breason (of|for) (closure|closing|termination)\b|\bzero ?bal(ance)?\b|\bpay ?off\b|"
    r"settlement|hardship|foreclos|\brepossess|\bforbearance\b|\bliquidat|\bdeferral\b|"
    r"\b(sale|enhancement) proceeds\b|\bdisposition\b|\b(principal )?forgive(n|ness)\b|"
    r"\bpayment plan (start|end|status)|\b(loan )?modification (flag|cost|date)\b|"
    rf"\b(dpd|days {_LATE}|{_LATE} days) (\w+ )?(current|currently|end|final|now|after)\b|"
    rf"\b(current|final|end) (\w+ )?(dpd|days {_LATE}|{_LATE} (days|status))\b|"
    # German, French, Spanish, Portuguese and Chinese.
    r"\binkasso|\bmahnstufe|\babschreibung|\bausfall ?(datum|betrag|grund)|\bausgefallen|"
    r"\brecouvrement|\bcontentieux|\bdate (du )?défaut|\bcobran[zç]a|\bcastigad|"
    r"\brecupera(ci[oó]n|[cç][aã]o|do)|核销|催收|回收|逾期后|违约日期|结清日期|代偿"
)
# Words of a history that is known before the outcome.
_HISTORY = re.compile(
    r"[0-9]|within|\bever\b|\bprior|\bprevious|\bpast\b(?! due)|\bsince\b|\bhist(ory)?\b|\binq|"
    r"\bnum(ber)?\b|\bcounts?\b|\bcnt\b|bureau"
)
_LATE_AFTER = re.compile(rf"\b(dpd|{_LATE}|default)\b.*\bafter\b")
# Names of what a table may have as it is today, and not as it was at the decision.
_PERHAPS_LATER = re.compile(
    r"\b(current|outstanding|remaining|gross|closing) (balance|bal|debt)\b|"
    r"\b(balance|bal) (current|outstanding|remaining|gross)\b|"
    r"\b(account|acct|payment|repayment|delinquency|current) status\b|"
    r"\b(bad|default|npl|delinquency) (flag|ind|indicator|status)\b|\bcurrent delinquenc(y|ies)\b"
)
# Words that make a weight that of a row: not that of a vehicle.
_OF_A_ROW = (
    r"(sample|sampling|case|row|record|obs|observation|exposure|survey|design|population|freq|"
    r"frequency|inverse|probability|prob|final|fnl|analysis|statistical|train|training|class|"
    r"instance|importance)"
)
_WEIGHT = re.compile(
    rf"(({_OF_A_ROW} ?)*(weights?|wgts?)|({_OF_A_ROW} ?)+wts?)( [0-9]+)?|pond[eé]rations?|"
    r"ponderaci[oó]n|pondera[cç][aã]o|gewichtung|fallgewicht|权重|样本权重"
)
_OF_AN_APPLICATION = (
    r"(approval|appr|orig|origination|issue|issued|application|app|applied|loan|booking|booked|"
    r"disbursement|disbursal|funding|funded|decision|activity|reporting|snapshot|listing|fiscal)"
)
_CALENDAR = re.compile(
    rf"({_OF_AN_APPLICATION} )+(fy|yr|year|quarter|qtr|month|yearmonth|yyyymm|week|vintage|cohort)|"
    r"fy|fiscal ?(year|quarter)|vintage|cohort|yyyy(mm|q)?|year ?(quarter|month)|yq"
)


def _words(name: str) -> str:
    """The words of a name in lower case, parted by one blank."""
    return " ".join(part.lower() for part in _PARTS.split(name.strip()) if part)


def _spaced(name: str) -> str:
    """A name whose words are apart, also those of `camelCase`."""
    return _CAMEL.sub("_", name)


def is_id(name: str) -> bool:
    """Whether a column is named after a row's or a person's id."""
    return _ID.search(_spaced(name)) is not None


def is_person(name: str) -> bool:
    """Whether a column is named after a person or a person's number."""
    return _PERSON.search(_spaced(name)) is not None


def is_protected(name: str) -> bool:
    """Whether a column is named after an attribute that the law protects, or that tells one."""
    of_persons = _AGE_OF_A_THING.sub("", _spaced(name))
    return bool(_PROTECTED.search(of_persons) or _PROTECTED_WORDS.search(_words(of_persons)))


def is_age(name: str) -> bool:
    """Whether a column is named after an age."""
    return _AGE.search(_spaced(name)) is not None


def is_code(name: str) -> bool:
    """Whether numbers are named after codes, such as post codes."""
    return _CODE.search(_spaced(name)) is not None


def is_time(name: str) -> bool:
    """Whether a column is named after a date or a time."""
    return _TIME.search(_spaced(name)) is not None


def is_afterwards(name: str) -> bool:
    """Whether a name says that a column is written after the outcome, as a recovery is."""
    said = _words(name)
    if _LATE_AFTER.search(said):
        return True
    return bool(_AFTERWARDS.search(said)) and not _HISTORY.search(said)


def is_perhaps_later(name: str) -> bool:
    """Whether a column of this name may be of today, and not of the day of the decision."""
    said = _words(name)
    return bool(_PERHAPS_LATER.search(said)) and not re.search("prior|previous|ever", said)


def is_weight(name: str) -> bool:
    """Whether a column is named after the weight of a row."""
    return _WEIGHT.fullmatch(_words(name)) is not None


def is_calendar(name: str) -> bool:
    """Whether a column is named after the year, quarter or month of an application."""
    return _CALENDAR.fullmatch(_words(name)) is not None
