"""Random documents of terms, acts on them, and listings; each follows from one number."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from types import MappingProxyType
from typing import Any, NamedTuple

from tests.engine import plain_places
from tests.engine.plain_conditions import EXPRESSIONS, HIDDEN
from tests.engine.plain_documents import Act, Documents
from tests.engine.plain_terms import DAY_US, FEE_BP, HOUR_US, PLATFORM, Row

OPERATORS = tuple(FEE_BP)
OWN_POLICIES = ("own", "other")
SIGNALS = (
    "DEVICE_SHARED", "PAYMENT_ACCOUNT_SHARED", "NEW_ACCOUNTS_ON_DEVICE",
    "NEW_ACCOUNTS_ON_PAYMENT_ACCOUNT", "MANY_DEVICES", "MANY_PAYMENT_ACCOUNTS", "ITEM_REPEATED",
    "IMPLAUSIBLE_RETURNS",
)  # fmt: skip
THEN = ("FULL", "REVIEW", "DECLINE")
TIMES: dict[str, tuple[Any, ...]] = {
    "offer_window_minutes": (5, 15, 30), "pickup_window_minutes": (10, 30, 45),
    "max_feature_age_days": (30, 400), "review_window_hours": (2, 24, 30),
    "rental_period_hours": (6, 24, 72, 80), "claim_window_hours": (0, 12, 48, 72),
    "missing_window_days": (3, 30), "report_window_days": (2, 90, 100),
    "overdue_window_hours": (1, 2, 5), "refund_after_hours": ("NONE", 0, 3, 24),
    "debt_window_days": (10, 90), "pause_limit_hours": (0, 4, 24, 48),
    "free_cancellation_minutes": ("NONE", 0, 5, 20),
    "longest_reservation_hours": ("NONE", 1, 2), "longest_rental_hours": ("NONE", 40, 60, 100),
}  # fmt: skip
LISTED_RULES = (
    "VELOCITY_USER_OPEN", "VELOCITY_DEVICE_DAY", "VELOCITY_PAYMENT_ACCOUNT_HOUR", "NEW_USER",
    "NEW_USER_OPEN", "SIGNAL_DEVICE_SHARED", "SIGNAL_ITEM_REPEATED", "CONDITION/a", "CONDITION/b",
)  # fmt: skip
WRONG_TEXTS = ("nothing == 1", "deposit_minor", "deposit_minor >")


class Drawn(NamedTuple):
    """An act to send: its kind, whose, and what; `wrong` is a document that makes no sense."""

    kind: str
    act: Act
    of: str = ""
    name: str = ""
    revision: int = 0
    document: Row = MappingProxyType({})  # type: ignore[assignment]
    activate: bool = False
    beyond: bool = False
    wrong: bool = False
    rows: tuple[Row, ...] = ()
    numbers: tuple[int, ...] = ()
    reason: str = "by chance"


def draw(chance: Random, books: Any, now_us: int) -> Drawn:
    """The act that this chance gives now."""
    kinds = (
        ["Apply"] * 12 + ["Check"] * 2 + ["Validate", "Activate", "Activate", "Retire", "Retire"]
    )
    kinds += ["AddListings"] * 5 + ["EndListings"] * 4
    kind = chance.choice(kinds)
    owner = chance.choice((PLATFORM, PLATFORM, *OPERATORS))
    person, approved = chance.choice((("", False), ("", False), ("eve", False), ("eve", True)))
    act = Act(owner, person, approved)
    if kind in ("Apply", "Check"):
        return _application(chance, books, kind, act)
    if kind == "AddListings":
        return Drawn(kind, act, rows=_listings(chance, books, now_us), reason=_reason(chance))
    if kind == "EndListings":
        known = [it["number"] for it in books.listings if it["owner"] == owner]
        open_ = [it["number"] for it in books.listings
                 if it["owner"] == owner and it["end_us"] is None]  # fmt: skip
        numbers = open_ if open_ and chance.random() < 0.9 else [*known, 99]
        picked = tuple(sorted(set(chance.choices(numbers, k=chance.choice((1, 1, 2))))))
        return Drawn(kind, act, numbers=picked, reason=_reason(chance))
    return _step(chance, books, kind, act)


def _reason(chance: Random) -> str:
    return "" if chance.random() < 0.03 else "by chance"


def _step(chance: Random, books: Documents, kind: str, act: Act) -> Drawn:
    """A step of a revision that is there: mostly one that may be taken."""
    wanted = {"Validate": ("DRAFT",), "Activate": ("DRAFT", "VALIDATED"), "Retire": ("ACTIVE",)}
    its = [
        (of, name, it["revision"], it["state"])
        for (of, owner, name), rows in sorted(books.documents.items())
        if owner == act.owner
        for it in rows
    ]
    fit = [it for it in its if it[3] in wanted[kind]]
    if kind == "Retire" and chance.random() < 0.5:
        # A document that was never in force.
        fit = [it for it in its if it[3] in ("DRAFT", "VALIDATED")] or fit
    of, name, revision, _ = chance.choice(fit if fit and chance.random() < 0.8 else its)
    if chance.random() < 0.03:
        revision += 20
    return Drawn(kind, act, of, name, revision)


def _application(chance: Random, books: Documents, kind: str, act: Act) -> Drawn:
    """A document for an owner; mostly a change of the one in force."""
    own = ("policy", "tariff", "product", "product")
    kinds = ("policy", "policy", "policy", "limits", "bounds") if act.owner == PLATFORM else own
    of = chance.choice(kinds)
    if chance.random() < 0.02:
        of = chance.choice(("policy", "tariff", "product", "limits", "bounds"))
    document, wrong = MAKERS[of](chance, books, act.owner)
    if chance.random() < 0.03:
        document, wrong = {**document, "unknown_key": 1}, True
    activate, beyond = chance.random() < 0.75, False
    if act.owner != PLATFORM:
        beyond = chance.random() < 0.1
    return Drawn(kind, act, of, "", 0, document, activate, beyond, wrong)


# -- documents -----------------------------------------------------------------------------------


def _based_on(books: Documents, kind: str, owner: str, name: str, other: Row) -> Row:
    """The newest revision of a document, or another document in its place."""
    its = books.documents.get((kind, owner, name))
    return dict(its[-1]["document"] if its else other)


def _policy(chance: Random, books: Documents, owner: str) -> tuple[Row, bool]:
    platform = owner == PLATFORM
    name = chance.choice(("bike", "small-item")) if platform else chance.choice(OWN_POLICIES)
    if chance.random() < 0.03:
        name = "bike"
    basis = books.documents["policy", PLATFORM, chance.choice(("bike", "small-item"))][0][
        "document"
    ]
    it = _based_on(books, "policy", owner, name, basis) | {"name": name}
    if not platform:
        it = {key: value for key, value in it.items() if key != "new_user"}
    for _ in range(chance.choice((0, 1, 2, 3, 4, 6))):
        change = chance.choice((_scores, _scores, _time, _time, _tries, *SECTIONS.values()))
        change(chance, it, platform)
    return it, _is_wrong(it, platform)


def _is_wrong(it: Row, platform: bool) -> bool:
    """Whether a policy makes no sense, or reads what operators may not read."""
    hidden = any(
        name in HIDDEN
        for row in it.get("condition", [])
        for name in EXPRESSIONS.get(row["when"], ((),))[0]
    )
    falls = it.get("zero_from_score", 0) < it.get("reduced_from_score", 0)
    return falls or (hidden and not platform)


def _scores(chance: Random, it: Row, _platform: bool) -> None:
    """Other cut-offs, or a ladder in their place."""
    for name in ("ladder", "zero_from_score", "reduced_from_score", "reduced_credit_share_bp"):
        it.pop(name, None)
    if chance.random() < 0.3:
        scores = sorted(chance.sample((450, 500, 550, 600, 650, 700), chance.choice((1, 2, 3, 4))))
        shares = sorted(chance.sample((0, 2_500, 5_000, 6_600, 8_000, 10_000), len(scores)))
        it["ladder"] = [
            {"from_score": score, "credit_share_bp": share}
            for score, share in reversed(list(zip(scores, shares, strict=True)))
        ]
        return
    zero, reduced = chance.choice((550, 600, 650, 701)), chance.choice((450, 500, 550))
    if chance.random() < 0.03:
        reduced = zero + 1
    share = chance.choice((0, 2_500, 5_000, 5_000, 6_667, 10_000))
    it |= {"zero_from_score": zero, "reduced_from_score": reduced, "reduced_credit_share_bp": share}


def _time(chance: Random, it: Row, _platform: bool) -> None:
    name = chance.choice(sorted(TIMES))
    it.pop("longest_reservation_us", None) if name == "longest_reservation_hours" else None
    it[name] = chance.choice(TIMES[name])


def _tries(chance: Random, it: Row, _platform: bool) -> None:
    it["most_pauses"] = chance.choice((0, 1, 10))
    it["most_increments"] = chance.choice(("NONE", 0, 1, 3))


def _cut_off(chance: Random, it: Row, _platform: bool) -> None:
    names = sorted(chance.sample(("BIKE", "POWER_BANK", "UMBRELLA"), chance.choice((1, 2))))
    rows = []
    for category in names:
        row: Row = {
            "category": category, "zero_from_score": chance.choice((600, 650, 700)),
            "reduced_from_score": chance.choice((500, 560)),
        }  # fmt: skip
        if chance.random() < 0.5:
            row["reduced_credit_share_bp"] = chance.choice((1_000, 7_000))
        rows.append(row)
    it["cut_off"] = rows


def _velocity(chance: Random, it: Row, platform: bool) -> None:
    rows = []
    for _ in range(chance.choice((1, 2, 3))):
        row: Row = {
            "of": chance.choice(("USER", "DEVICE", "PAYMENT_ACCOUNT")),
            "counted": chance.choice(("OPEN", "HOUR", "DAY")),
            "most": chance.choice((0, 1, 2, 3, 4)), "then": chance.choice(THEN),
        }  # fmt: skip
        if platform and chance.random() < 0.3:
            row |= {"over": "ALL_OPERATORS", "then": "FULL"}
        rows.append(row)
    it["velocity"] = rows


def _new_user(chance: Random, it: Row, platform: bool) -> None:
    row: Row = {}
    if chance.random() < 0.7:
        row["until_settled"] = chance.choice((1, 2, 3))
    if not row or chance.random() < 0.3:
        row["until_days"] = chance.choice((1, 5, 30))
    if chance.random() < 0.5:
        row["mildest_offer"] = chance.choice(("REDUCED", "FULL"))
    if chance.random() < 0.5:
        row["most_waived_minor"] = chance.choice((0, 3_000, 8_000, 12_000))
    if len(row) < 2 or chance.random() < 0.4:
        row["most_open"] = chance.choice((0, 1, 2, 3))
        row["then"] = chance.choice(("FULL", "REVIEW"))
    if not {"mildest_offer", "most_waived_minor", "most_open"} & row.keys():
        row["mildest_offer"] = "REDUCED"
    if platform and chance.random() < 0.5:
        row["over"] = "ALL_OPERATORS"
        if "then" in row:
            row["then"] = "FULL"
    it["new_user"] = row


def _condition(chance: Random, it: Row, _platform: bool) -> None:
    picked = chance.sample(sorted(EXPRESSIONS), chance.choice((1, 1, 2, 3)))
    then = ("REDUCED", *THEN)
    if chance.random() < 0.05:
        picked[0] = chance.choice(WRONG_TEXTS)
    it["condition"] = [
        {"name": name, "when": when, "then": chance.choice(then)}
        for name, when in zip("abc", picked, strict=False)
    ]


def _signal(chance: Random, it: Row, _platform: bool) -> None:
    rows = []
    for name in chance.sample(SIGNALS, chance.choice((1, 2, 4))):
        row: Row = {
            "signal": name, "most": chance.choice((0, 1, 2)), "days": chance.choice((1, 2, 9)),
            "then": chance.choice(THEN),
        }  # fmt: skip
        if name == "IMPLAUSIBLE_RETURNS":
            row["within_minutes"] = chance.choice((10, 30))
        rows.append(row)
    it["signal"] = rows


def _budget(chance: Random, it: Row, _platform: bool) -> None:
    """Without slices, so that the amount that is left does not depend on the other servers."""
    it["budget"] = [
        {
            "currency": "CNY", "span": span, "slice_minor": 0,
            "most_minor": chance.choice((0, 6_000, 15_000, 25_000, 40_000)),
        }
        for span in chance.choice((("OPEN",), ("OPEN",), ("DAY",), ("OPEN", "DAY")))
    ]  # fmt: skip
    if chance.random() < 0.1:
        it["budget"][0]["currency"] = "USD"


def _breaker(chance: Random, it: Row, _platform: bool) -> None:
    row: Row = {
        "currency": "CNY", "days": chance.choice((1, 3, 9)),
        "most_minor": chance.choice((0, 5_000, 20_000)),
    }  # fmt: skip
    if chance.random() < 0.5:
        row["least_rentals"] = 2
    if chance.random() < 0.5:
        row["closes"] = "WHEN_UNDER"
    it["breaker"] = [row]


def _or_nothing(name: str, make: Callable[[Random, Row, bool], None]) -> Any:
    """Makes a section, or removes it."""

    def change(chance: Random, it: Row, platform: bool) -> None:
        if name in it and chance.random() < 0.5:
            del it[name]
        else:
            make(chance, it, platform)

    return change


SECTIONS = {
    name: _or_nothing(name, make)
    for name, make in (
        ("cut_off", _cut_off), ("velocity", _velocity), ("new_user", _new_user),
        ("condition", _condition), ("signal", _signal), ("budget", _budget),
        ("breaker", _breaker),
    )
}  # fmt: skip


def _tariff(chance: Random, books: Documents, owner: str) -> tuple[Row, bool]:
    names = ("bike", "umbrella", "power-bank", "charger", "scooter", "night")
    name = chance.choice(names)
    basis = books.documents["tariff", "city", "bike"][0]["document"]
    it = _based_on(books, "tariff", owner, name, basis) | {"name": name}
    if chance.random() < 0.03:
        it["currency"] = "USD"
    if "arithmetic" in it:
        it |= {
            "start_fee_minor": chance.choice((0, 100, 150)),
            "free_minutes": chance.choice((0, 5, 15)),
            "interval_minutes": chance.choice((10, 15, 30, 60)),
            "interval_price_minor": chance.choice((50, 100, 150, 210)),
            "day_cap_minor": chance.choice((900, 1_000, 3_000)),
            "buy_out_minor": chance.choice((5_900, 9_900, 19_900)),
        }
        return it, False
    it["start_fee_minor"] = chance.choice((0, 100))
    it["segment"] = [dict(row) for row in it["segment"]]
    for row in it["segment"]:
        row["price_minor"] = chance.choice((90, 100, 150))
    it["buy_out_minor"] = chance.choice((5_900, 9_900, 19_900))
    it.pop("quota", None)
    if chance.random() < 0.7:
        it.setdefault("time_zone", "Asia/Shanghai")
        quotas = [
            {"name": "daily", "minutes": chance.choice((5, 20, 60)), "per": "DAY"},
            {"name": "weekly", "minutes": chance.choice((30, 45, 300)), "per": "WEEK"},
        ]
        it["quota"] = quotas[: chance.choice((1, 2))]
    it.pop("pass", None)
    if chance.random() < 0.6:
        it.setdefault("time_zone", "Asia/Shanghai")
        passes = [
            {"name": "daily", "price_minor": 600, "days": 7, "minutes": 20, "per": "DAY"},
            {"name": "each", "price_minor": 900, "days": 3, "minutes": 30, "per": "RENTAL"},
            {"name": "share", "price_minor": 500, "days": 30, "percent": chance.choice((5, 50))},
        ]
        it["pass"] = passes[: chance.choice((1, 2, 3))]
    return it, plain_places.drawn(chance, it)


def _product(chance: Random, books: Documents, owner: str) -> tuple[Row, bool]:
    names = ("bike", "umbrella", "power-bank", "charger", "scooter", "extra")
    name = chance.choice(names)
    basis = books.documents["product", "city", "power-bank"][0]["document"]
    it = _based_on(books, "product", owner, name, basis) | {"id": name}
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        match chance.randrange(6):
            case 0:
                it["deposit_minor"] = chance.choice((3_000, 5_900, 9_901, 19_900))
                it.pop("most_hold_minor", None)
                if chance.random() < 0.7:
                    it["most_hold_minor"] = it["deposit_minor"] + chance.choice((-1, 0, 0, 9_000))
            case 1:
                it["tariff"] = chance.choice((*names[:5], "night", "none"))
            case 2:
                it["policy"] = chance.choice(("bike", "small-item", *OWN_POLICIES, "none"))
            case 3:
                it["cancellation_fee_minor"] = chance.choice((0, 200, 300, 5_000))
            case 4:
                it.pop("damage_without_consent_minor", None)
                if chance.random() < 0.7:
                    it["damage_without_consent_minor"] = chance.choice((0, 1_000, 4_000))
            case 5:
                it["currency"] = "USD" if chance.random() < 0.2 else "CNY"
    hold = it.get("most_hold_minor")
    return it, (hold is not None and hold < it["deposit_minor"])


def _limits(chance: Random, _books: Documents, _owner: str) -> tuple[Row, bool]:
    scores = sorted(chance.sample((450, 500, 550, 600, 650, 700), chance.choice((2, 3, 4))))
    limits = sorted(chance.choices((0, 10_000, 20_000, 30_000, 50_000, 90_000), k=len(scores)))
    rows = [
        {"currency": "CNY", "from_score": score, "limit_minor": limit}
        for score, limit in zip(scores, limits, strict=True)
    ]
    wrong = limits[0] != limits[-1] and chance.random() < 0.05
    if wrong:
        for row, limit in zip(rows, reversed(limits), strict=True):
            row["limit_minor"] = limit
    if chance.random() < 0.05:
        for row in rows:
            row["currency"] = "USD"
    return {"limit": rows}, wrong


def _bounds(chance: Random, _books: Documents, _owner: str) -> tuple[Row, bool]:
    it: Row = {"name": chance.choice(("default", "default", "city", "harbour", "nobody"))}
    draws: dict[str, tuple[Any, ...]] = {
        "least_zero_from_score": (500, 550, 600), "least_reduced_from_score": (400, 500),
        "most_credit_share_bp": (5_000, 8_000), "most_increments": (2, 3),
        "longest": ({"rental_period_hours": 72}, {"claim_window_hours": 48}),
        "amount": ([{"currency": "CNY", "most_deposit_minor": 19_900}],
                   [{"currency": "CNY", "most_hold_minor": 30_000}]),
        "second_person": (["policy"], ["tariff"], ["policy", "product"]),
    }  # fmt: skip
    for name in chance.sample(sorted(draws), chance.choice((0, 1, 1, 2))):
        it[name] = chance.choice(draws[name])
    return it, False


MAKERS: dict[str, Callable[[Random, Documents, str], tuple[Row, bool]]] = {
    "policy": _policy, "tariff": _tariff, "product": _product, "limits": _limits,
    "bounds": _bounds,
}  # fmt: skip


# -- listings ------------------------------------------------------------------------------------


def _listings(chance: Random, books: Any, now_us: int) -> tuple[Row, ...]:
    """New listings, which differ in their subjects only; seldom wrong ones."""
    from tests.engine.chance import USERS

    kind = chance.choice(("USER", "USER", "DEVICE", "PAYMENT_ACCOUNT", "EVERYBODY"))
    subjects = {
        "USER": USERS, "DEVICE": ("device", "other"), "PAYMENT_ACCOUNT": ("account", "other"),
        "EVERYBODY": ("",),
    }[kind]  # fmt: skip
    rules: tuple[str, ...] = ()
    if chance.random() < 0.6:
        # A condition that no policy has is refused, so the rules have one less often.
        sure = [it for it in LISTED_RULES if "/" not in it]
        rules = tuple(chance.sample(chance.choice((sure, LISTED_RULES)), chance.choice((1, 2, 5))))
    effect = "ALLOW" if bool(rules) != (chance.random() < 0.03) else "DENY"
    if rules and chance.random() < 0.02:
        rules = (*rules, "SCORE_BELOW_ZERO_DEPOSIT")
    # A person who is denied for ever would do nothing any more.
    ends = (1, HOUR_US, 5 * HOUR_US, DAY_US)
    expire_us = now_us + chance.choice(ends)
    if chance.random() < 0.03:
        expire_us = now_us
    forever = effect == "ALLOW" and chance.random() < 0.5
    policies = ("", "", "bike", "small-item", "own", *(f"{it}/own" for it in OPERATORS))
    shared: Row = {
        "kind": kind, "rules": rules, "effect": effect, "policy_id": chance.choice(policies),
        "expire_us": None if forever else expire_us,
    }  # fmt: skip
    picked = chance.sample(subjects, min(len(subjects), chance.choice((1, 1, 2))))
    return tuple({**shared, "subject": subject} for subject in picked)
