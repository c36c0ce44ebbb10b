"""The choice of an offer told a second time: rungs of scores, caps, and what is left.

An item is a deposit under terms; a step of an item is an offer and its part on credit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.engine.plain_terms import OFFERS, Row

Step = tuple[str, int]


class Judged(NamedTuple):
    """What rules ask of an order.

    `strict` is the strictest offer that they ask for, from 0; 3 is a decline. `caps` have the most
    on credit of each item with the reason, or None. `values` are all values that were read.
    """

    strict: int
    review: bool
    reasons: list[str]
    values: Row
    caps: list[tuple[int, str] | None]


def nothing(items: int) -> Judged:
    """No rule applies."""
    return Judged(0, False, [], {}, [None] * items)


class Asked(NamedTuple):
    """An item: its deposit, and its terms."""

    deposit: int
    terms: Row


class Chosen(NamedTuple):
    """The offer, or None; each item's part on credit; the reasons."""

    offer: str | None
    credits: list[int]
    reasons: list[str]


def rungs(terms: Row) -> list[tuple[int, int, str]]:
    """From which score on which share of the deposit is on credit, the highest score first."""
    rules, share = terms["rules"], terms["share"]
    bounds = terms["zero_from"], terms["reduced_from"]
    for row in rules.get("cut_off", []):
        if row["category"] == terms["category"]:
            bounds = row["zero_from_score"], row["reduced_from_score"]
            share = row.get("reduced_credit_share_bp", share)
            break
    else:
        if "ladder" in rules:
            names = {0: "FULL", 10_000: "ZERO"}
            return [
                (row["from_score"], row["credit_share_bp"],
                 names.get(row["credit_share_bp"], "REDUCED"))
                for row in rules["ladder"]
            ]  # fmt: skip
    return [(bounds[0], 10_000, "ZERO"), (bounds[1], share, "REDUCED")]


def reached(score: int | None, terms: Row) -> int:
    """The place of the first rung that a score reaches."""
    of = rungs(terms)
    if score is None:
        return len(of)
    return next((place for place, row in enumerate(of) if score >= row[0]), len(of))


def steps(it: Asked, first: int, cap: tuple[int, str] | None) -> list[Step]:
    """The steps of an item from a rung on, the mildest first; the last one is FULL."""
    found = [(offer, it.deposit * bp // 10_000) for _, bp, offer in rungs(it.terms)[first:]]
    if not found or found[-1][0] != "FULL":
        found.append(("FULL", 0))
    return capped(found, cap)


def capped(found: list[Step], cap: tuple[int, str] | None) -> list[Step]:
    """The steps with at most the cap on credit."""
    if cap is None:
        return found
    most = cap[0]
    at_most = ("REDUCED" if most else "FULL", most)
    return list(
        dict.fromkeys(at_most if minor > most else (offer, minor) for offer, minor in found)
    )


def choose(
    score: int | None,
    why: Sequence[str],
    accept: Sequence[str],
    available: int,
    asked: Sequence[Asked],
    judged: Judged,
) -> Chosen:
    """The one offer for all items of an order."""
    whole = [steps(it, reached(score, it.terms), None) for it in asked]
    ranks = [OFFERS.index(its[0][0]) for its in whole]
    worst = ranks.index(max(ranks))
    reasons: list[str] = []
    if score is not None and reached(score, asked[worst].terms) > 0:
        name = "REDUCED" if whole[worst][0][0] == "FULL" else "ZERO"
        reasons.append(f"SCORE_BELOW_{name}_DEPOSIT")
    if score is None or reasons:
        reasons += why
    items = [capped(its, cap) for its, cap in zip(whole, judged.caps, strict=True)]
    return _first_borne(reasons, accept, available, asked, items, judged)


def choose_again(
    members: Sequence[Row], available: int, asked: Sequence[Asked], judged: Judged
) -> Chosen:
    """The offer of a review, or a stricter one."""
    items = []
    for member, it, cap in zip(members, asked, judged.caps, strict=True):
        present = (member["offer"], member["credit"])
        lower = [
            step
            for step in steps(it, 0, None)
            if OFFERS.index(step[0]) >= OFFERS.index(present[0]) and step[1] < present[1]
        ]
        its = [present, *lower]
        items.append(capped(its if its[-1][0] == "FULL" else [*its, ("FULL", 0)], cap))
    known = [why for why in members[0]["reasons"] if why != "LINE_EXHAUSTED"]
    accept = members[0]["accept_offers"]
    return _first_borne(known, accept, available, asked, items, judged)


def _first_borne(
    known: list[str],
    accept: Sequence[str],
    available: int,
    asked: Sequence[Asked],
    items: list[list[Step]],
    judged: Judged,
) -> Chosen:
    lowered = [
        cap[1]
        for it, its, cap in zip(asked, items, judged.caps, strict=True)
        if cap is not None and its[0][1] == cap[0] < it.deposit
    ]
    reasons = list(dict.fromkeys([*judged.reasons, *lowered, *known]))
    if "LINE_EXHAUSTED" in reasons:
        reasons = exhausted(reasons)
    none = [0] * len(asked)
    if judged.strict == len(OFFERS):
        return Chosen(None, none, reasons)
    mildest = max([judged.strict, *(OFFERS.index(its[0][0]) for its in items)])
    allowed = [it for it in accept or OFFERS if OFFERS.index(it) >= mildest]
    allowed.sort(key=lambda offer: offer != OFFERS[mildest])
    if not allowed:
        return Chosen(None, none, ["OFFER_NOT_ACCEPTED", *reasons])
    tries = [(offer, _tries(OFFERS.index(offer), items)) for offer in allowed]
    if not any(each for _, each in tries):
        # No rung of any item has an offer that is accepted.
        return Chosen(None, none, ["OFFER_NOT_ACCEPTED", *reasons])
    for offer, each in tries:
        for credits in each:
            if sum(credits) <= available:
                if judged.review:
                    reasons = list(dict.fromkeys(["UNDER_REVIEW", *reasons]))
                return Chosen(offer, credits, reasons)
            reasons = exhausted(reasons)
    return Chosen(None, none, reasons)


def exhausted(reasons: list[str]) -> list[str]:
    """The reasons, of which an exhausted line is the first."""
    return list(dict.fromkeys(["LINE_EXHAUSTED", *reasons]))


def _tries(rank: int, items: list[list[Step]]) -> list[list[int]]:
    """The parts on credit under an offer, the largest first: each item takes its next lower step,
    as long as it has one of this offer."""
    lists = []
    for its in items:
        same = [minor for offer, minor in its if OFFERS.index(offer) == rank]
        lists.append(same or [minor for offer, minor in its if OFFERS.index(offer) > rank][:1])
    most = max(sum(OFFERS.index(offer) == rank for offer, _ in its) for its in items)
    return [[its[min(place, len(its) - 1)] for its in lists] for place in range(most)]


def within_budget(choose_within: Any, available: int, left: int | None) -> Chosen:
    """The choice within the line, or a stricter one within what budgets leave too."""
    choice: Chosen = choose_within(available)
    if left is None or sum(choice.credits) <= left:
        return choice
    stricter: Chosen = choose_within(min(available, left))
    reasons = list(stricter.reasons)
    if "LINE_EXHAUSTED" not in choice.reasons:
        reasons = [why for why in reasons if why != "LINE_EXHAUSTED"]
    return stricter._replace(reasons=list(dict.fromkeys(["BUDGET_EXHAUSTED", *reasons])))
