"""Documents of terms told a second time: their revisions, and the terms that follow from them.

A document is its canonical table. Rentals keep the terms under which they began, so each new
revision of a product is a new row that never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from service.domain.pricing_cost import slow_prices
from service.domain.terms_readers import read_tariff_document
from tests.engine import plain_places
from tests.engine.plain_gifts import gives_power
from tests.engine.plain_listings import Listings
from tests.engine.plain_tariffs import CHARGER, SCOOTER
from tests.engine.plain_terms import (
    CURRENCY,
    DAY_US,
    FEE_BP,
    HOUR_US,
    MINUTE_US,
    PLATFORM,
    RULES,
    Refused,
    Row,
    Terms,
    pass_minutes,
)

UNITS = {"minutes": MINUTE_US, "hours": HOUR_US, "days": DAY_US, "us": 1}
SECTIONS = ("cut_off", "ladder", "velocity", "new_user", "condition", "signal", "budget", "breaker")
KINDS = ("bounds", "limits", "policy", "tariff", "product")

POLICY: Row = {
    "zero_from_score": 550, "reduced_from_score": 500, "reduced_credit_share_bp": 5_000,
    "offer_window_minutes": 15, "pickup_window_minutes": 30, "max_feature_age_days": 400,
    "review_window_hours": 24, "rental_period_hours": 72, "claim_window_hours": 48,
    "missing_window_days": 30, "report_window_days": 90, "overdue_window_hours": 2,
    "refund_after_hours": 0, "debt_window_days": 90, "pause_limit_hours": 24,
    "free_cancellation_minutes": "NONE", "longest_reservation_hours": "NONE",
    "longest_rental_hours": "NONE", "most_pauses": 10, "most_increments": 2,
}  # fmt: skip
POLICIES: dict[str, Row] = {
    "small-item": {**POLICY, "name": "small-item", **RULES["small-item"]},
    "bike": {
        **{name: value for name, value in POLICY.items() if name != "longest_reservation_hours"},
        "name": "bike", "zero_from_score": 600, "rental_period_hours": 24,
        "refund_after_hours": 24, "free_cancellation_minutes": 5,
        "longest_reservation_us": 90 * MINUTE_US, "longest_rental_hours": 60,
        "most_increments": "NONE", **RULES["bike"],
    },
}  # fmt: skip


def _day_tariff(name: str, *numbers: int) -> Row:
    keys = ("start_fee", "free", "interval", "interval_price", "day_cap", "buy_out")
    units = {"free": "minutes", "interval": "minutes"}
    written = {
        f"{key}_{units.get(key, 'minor')}": number
        for key, number in zip(keys, numbers, strict=True)
    }
    return {"name": name, "currency": CURRENCY, "arithmetic": 1, **written}


TARIFFS: dict[str, Row] = {
    "bike": _day_tariff("bike", 150, 0, 15, 100, 3_000, 19_900),
    "umbrella": _day_tariff("umbrella", 0, 15, 60, 100, 1_000, 5_900),
    "power-bank": _day_tariff("power-bank", 0, 5, 30, 150, 3_000, 9_900),
    "charger": {"name": "charger", "currency": CURRENCY, **CHARGER},
    "scooter": {"name": "scooter", "currency": CURRENCY, **SCOOTER},
}


def _product(name: str, category: str, policy: str, deposit: int, worth: int, **more: Any) -> Row:
    return {
        "id": name, "category": category, "currency": CURRENCY, "deposit_minor": deposit,
        "replacement_minor": worth, "tariff": name, "policy": policy,
        "cancellation_fee_minor": 0, **more,
    }  # fmt: skip


_BIKE: Row = {
    "cancellation_fee_minor": 200, "damage_without_consent_minor": 4_000, "most_hold_minor": 25_000,
}  # fmt: skip
_BANK: Row = {"damage_without_consent_minor": 1_000}
PRODUCTS: dict[str, Row] = {
    "bike": _product("bike", "BIKE", "bike", 19_900, 120_000, **_BIKE),
    "umbrella": _product(
        "umbrella", "UMBRELLA", "small-item", 5_900, 4_500, cancellation_fee_minor=300,
        most_hold_minor=11_800, line_items=["USAGE", "CANOPY_DAMAGED"],
    ),
    "power-bank": _product("power-bank", "POWER_BANK", "small-item", 9_900, 8_000, **_BANK),
    "charger": _product("charger", "POWER_BANK", "small-item", 9_900, 8_000, **_BANK),
    "scooter": _product("scooter", "BIKE", "bike", 19_900, 120_000, **_BIKE),
}  # fmt: skip
"""The products of each operator at the beginning."""
LIMITS: Row = {
    "limit": [
        {"currency": CURRENCY, "from_score": score, "limit_minor": limit}
        for score, limit in ((500, 10_000), (550, 20_000), (600, 30_000), (650, 50_000))
    ]
}


def time_us(document: Row, name: str) -> int | None:
    """A time of a policy in microseconds; None for no bound."""
    for unit, us in UNITS.items():
        if f"{name}_{unit}" in document:
            number = document[f"{name}_{unit}"]
            return None if number == "NONE" else number * us
    raise KeyError(name)


def compiled(
    product: Row, tariff: Row, policy: Row, revision: int, policy_id: str, policy_revision: int
) -> Terms:
    """The terms of one revision of a product."""
    rules = {name: policy[name] for name in SECTIONS if name in policy}
    shares = [row["credit_share_bp"] for row in rules.get("ladder", [])]
    share = min((it for it in shares if 0 < it < 10_000), default=0)
    tries = policy["most_increments"]
    times = {
        "period": "rental_period", "refund": "refund_after", "free_us": "free_cancellation",
        "reserved": "longest_reservation", "rented": "longest_rental", "offer_us": "offer_window",
        "pickup_us": "pickup_window", "review_us": "review_window", "claim_us": "claim_window",
        "missing_us": "missing_window", "report_us": "report_window",
        "overdue_us": "overdue_window", "debt_us": "debt_window", "pause_us": "pause_limit",
        "features_us": "max_feature_age",
    }  # fmt: skip
    listed = product.get("line_items")
    terms: Row = {
        "product_id": product["id"], "revision": revision, "policy": policy_id,
        "policy_revision": policy_revision, "category": product["category"],
        "deposit": product["deposit_minor"], "most_hold": product.get("most_hold_minor"),
        "consent": product.get("damage_without_consent_minor"),
        "cancelling": product["cancellation_fee_minor"],
        "line_items": None if listed is None else tuple(listed),
        "zero_from": policy.get("zero_from_score"),
        "reduced_from": policy.get("reduced_from_score"),
        "share": policy.get("reduced_credit_share_bp", share),
        "tries": None if tries == "NONE" else tries, "most_pauses": policy["most_pauses"],
        "rules": rules, "buy_out": tariff["buy_out_minor"],
        **{name: time_us(policy, key) for name, key in times.items()},
    }  # fmt: skip
    if "arithmetic" in tariff:
        terms |= {
            "start_fee": tariff["start_fee_minor"], "free": tariff["free_minutes"],
            "interval": tariff["interval_minutes"], "price": tariff["interval_price_minor"],
            "day_cap": tariff["day_cap_minor"],
        }  # fmt: skip
    else:
        terms["document"] = {
            name: value for name, value in tariff.items() if name not in ("name", "currency")
        }
    return Terms(terms)


class Act(NamedTuple):
    """An act on documents: the owner, who acts, and whether a second person has approved.

    `person` is empty for a program and for the shell.
    """

    owner: str
    person: str = ""
    approved: bool = False


class Documents(Listings):
    """All revisions of documents, and the rows that were made of them."""

    def __init__(self) -> None:
        super().__init__()
        self.documents: dict[tuple[str, str, str], list[Row]] = {}
        self.revisions: dict[tuple[str, str], list[Terms | None]] = {}
        """All revisions of each operator's products; None is the end of a product."""
        self.limits: list[Row] = []
        for name, policy in POLICIES.items():
            self._begin("policy", PLATFORM, name, policy)
        self._begin("limits", PLATFORM, "limits", LIMITS)
        self.limits = LIMITS["limit"]
        for operator in FEE_BP:
            for name, tariff in TARIFFS.items():
                self._begin("tariff", operator, name, tariff)
            for name, product in PRODUCTS.items():
                self._begin("product", operator, name, product)
                self._compile(operator, name)

    def policy_of_listing(self, owner: str, named: str, effect: str) -> str:
        """The id of the policy that a listing names; raises Refused."""
        if not named:
            return ""
        known = {
            name if holder == PLATFORM else f"{holder}/{name}": holder
            for (kind, holder, name), rows in self.documents.items()
            if kind == "policy"
            and (owner == PLATFORM or holder in (owner, PLATFORM))
            and any(it["state"] != "RETIRED" for it in rows)
        }
        found = next((it for it in (f"{owner}/{named}", named) if it in known), None)
        if found is None or (effect == "ALLOW" and owner not in (PLATFORM, known[found])):
            raise Refused("INVALID_INPUT")
        return found

    def policies_of_listing(self, owner: str, policy_id: str) -> list[Row]:
        """The documents of policies whose rules a listing skips: all that may be in force yet."""
        return [
            it["document"]
            for (kind, holder, name), rows in self.documents.items()
            if kind == "policy" and owner in (holder, PLATFORM)
            and policy_id in ("", name if holder == PLATFORM else f"{holder}/{name}")
            for it in rows
            if it["state"] != "RETIRED"
        ]  # fmt: skip

    def _begin(self, kind: str, owner: str, name: str, document: Row) -> None:
        row = {"revision": 1, "state": "ACTIVE", "document": document}
        self.documents[kind, owner, name] = [row]

    # -- what is in force ------------------------------------------------------------------------

    def product(self, operator: str, name: str) -> Terms | None:
        """The terms under which a product is rented out now."""
        its = self.revisions.get((operator, name))
        return its[-1] if its else None

    def active(self, kind: str, owner: str, name: str) -> Row | None:
        """The revision in force."""
        found = [
            it for it in self.documents.get((kind, owner, name), ()) if it["state"] == "ACTIVE"
        ]
        assert len(found) <= 1
        return found[0] if found else None

    def reached(self, kind: str, owner: str, name: str) -> tuple[str, Row] | None:
        """The document that an operator means by a name, with its owner."""
        for holder in (owner, PLATFORM):
            if (it := self.active(kind, holder, name)) is not None:
                return holder, it
        return None

    def in_force(self, kind: str) -> Iterator[tuple[str, str, Row]]:
        """The owner, the name and the document of all in force of a kind."""
        for of, owner, name in sorted(self.documents):
            it = self.active(of, owner, name)
            if of == kind and it is not None:
                yield owner, name, it["document"]

    @property
    def present(self) -> list[Terms]:
        """The terms of all products that are rented out."""
        return [it for its in self.revisions.values() if (it := its[-1]) is not None]

    @property
    def budgets_in_force(self) -> dict[tuple[str, str], int]:
        """The budgets by policy and span: those in force, or else of the newest revision."""
        found: dict[tuple[str, str], tuple[bool, int, int]] = {}
        present = self.present
        for it in [it for its in self.revisions.values() for it in its if it is not None]:
            for row in it["rules"].get("budget", []):
                name = it["policy"], row.get("span", "OPEN")
                new = (it in present, it["policy_revision"], row["most_minor"])
                found[name] = max(found.get(name, new), new)
        return {name: most for name, (_, _, most) in found.items()}

    # -- acts ------------------------------------------------------------------------------------

    def whole(self, act: Callable[[], str], *, dry: bool = False) -> str:
        """Does an act wholly or not at all; of a dry one nothing stays."""
        documents = {key: [dict(it) for it in its] for key, its in self.documents.items()}
        rows, limits = {key: list(its) for key, its in self.revisions.items()}, self.limits
        stays = False
        try:
            outcome = act()
            stays = not dry
            return outcome
        finally:
            if not stays:
                self.documents, self.revisions, self.limits = documents, rows, limits

    def apply_terms(
        self,
        act: Act,
        kind: str,
        document: Row,
        *,
        activate: bool,
        beyond: bool = False,
        wrong: bool = False,
        dry: bool = False,
    ) -> str:
        """Adds a document, and may put it into force; returns the outcome.

        A wrong document makes no sense, whatever is there. A dry act needs no second person, and
        returns an outcome in spite of faults.
        """
        owner = act.owner
        if (kind == "product" and owner == PLATFORM) or (
            kind in ("limits", "bounds") and owner != PLATFORM
        ):
            raise Refused("INVALID_INPUT")
        if wrong:
            raise Refused("TERMS_WRONG")
        name = document.get("id") or document.get("name") or "limits"
        faulty = any(self._faults(kind, owner, name, document, beyond=beyond))
        if faulty and activate and not dry:
            raise Refused("TERMS_WRONG")
        active = self.active(kind, owner, name)
        if active is not None and active["document"] == document:
            return "UNCHANGED"
        its = self.documents.setdefault((kind, owner, name), [])
        outcome = "UNCHANGED"
        waiting = its and its[-1]["state"] in ("DRAFT", "VALIDATED")
        if not (waiting and its[-1]["document"] == document):
            outcome = "DRAFTED"
            its.append({"revision": len(its) + 1, "state": "DRAFT", "document": document})
        it = its[-1]
        if not faulty and it["state"] == "DRAFT":
            it["state"] = outcome = "VALIDATED"
        if activate and not faulty:
            self._put_into_force(act, kind, name, it)
            outcome = "ACTIVATED"
        return outcome

    def validate_terms(self, act: Act, kind: str, name: str, revision: int) -> str:
        """Validates a draft without faults."""
        it = self._revision(act, kind, name, revision)
        faulty = any(self._faults(kind, act.owner, name, it["document"]))
        if it["state"] != "DRAFT" or faulty:
            return "UNCHANGED"
        it["state"] = "VALIDATED"
        return "VALIDATED"

    def activate_terms(self, act: Act, kind: str, name: str, revision: int) -> str:
        """Puts a revision into force."""
        it = self._revision(act, kind, name, revision)
        if it["state"] == "ACTIVE":
            return "UNCHANGED"
        if it["state"] == "RETIRED":
            raise Refused("TERMS_RETIRED")
        if any(self._faults(kind, act.owner, name, it["document"])):
            raise Refused("TERMS_WRONG")
        self._put_into_force(act, kind, name, it)
        return "ACTIVATED"

    def retire_terms(self, act: Act, kind: str, name: str, revision: int) -> str:
        """Ends a document that nothing needs."""
        it = self._revision(act, kind, name, revision)
        if it["state"] == "RETIRED":
            return "UNCHANGED"
        if it["state"] == "ACTIVE":
            if kind == "limits" or self._named(kind, act.owner, name):
                raise Refused("TERMS_IN_USE")
            self._require_two(act, kind, it["document"], None)
            if kind == "product":
                self.revisions[act.owner, name].append(None)
        it["state"] = "RETIRED"
        return "RETIRED"

    def _revision(self, act: Act, kind: str, name: str, revision: int) -> Row:
        its = self.documents.get((kind, act.owner, name), [])
        if not 1 <= revision <= len(its):
            raise Refused(f"{kind.upper()}_NOT_FOUND")
        return its[revision - 1]

    def _put_into_force(self, act: Act, kind: str, name: str, it: Row) -> None:
        owner, before = act.owner, self.active(kind, act.owner, name)
        self._require_two(act, kind, before and before["document"], it["document"])
        if before is not None:
            before["state"] = "RETIRED"
        it["state"] = "ACTIVE"
        if kind == "limits":
            self.limits = it["document"]["limit"]
        elif kind == "product":
            self._compile(owner, name)
        elif kind != "bounds":
            for operator, product in self._named(kind, owner, name):
                self._compile(operator, product)

    def _compile(self, operator: str, name: str) -> None:
        """Adds a revision of a product, if the documents differ from those of the last one."""
        product = self.active("product", operator, name)
        assert product is not None
        tariff = self.reached("tariff", operator, product["document"]["tariff"])
        policy = self.reached("policy", operator, product["document"]["policy"])
        assert tariff is not None
        assert policy is not None
        holder, of_policy = policy
        policy_id = of_policy["document"]["name"]
        policy_id = policy_id if holder == PLATFORM else f"{holder}/{policy_id}"
        its = self.revisions.setdefault((operator, name), [])
        stations: dict[str, Terms] = {}
        for stations_of_one, prices in plain_places.by_place(tariff[1]["document"]):
            it = compiled(
                product["document"],
                prices,
                of_policy["document"],
                len(its) + 1,
                policy_id,
                of_policy["revision"],
            )
            whole = Terms({**it, "of_stations": stations_of_one, "stations": {}})
            its.append(whole)
            for station in stations_of_one:
                stations[station] = whole
        whole["stations"] = stations

    def _named(self, kind: str, owner: str, name: str) -> list[tuple[str, str]]:
        """The products in force that mean a tariff or a policy in force."""
        if kind not in ("tariff", "policy"):
            return []
        found = []
        for operator, product, document in self.in_force("product"):
            meant = self.reached(kind, operator, document[kind])
            if document[kind] == name and meant is not None and meant[0] == owner:
                found.append((operator, product))
        return found

    def _require_two(self, act: Act, kind: str, before: Row | None, after: Row | None) -> None:
        """A person needs a second one for what gives power, or if the bounds say so."""
        power = kind in self._bounds(act.owner, always=True).get("second_person", [])
        power = power or gives_power(kind, before, after)
        if kind == "product" and before and after:
            named = [self.reached("policy", act.owner, it["policy"]) for it in (before, after)]
            if None not in named:
                old, new = [(it[0], it[1]) for it in named if it is not None]
                other = (old[0], old[1]["document"]["name"]) != (new[0], new[1]["document"]["name"])
                power = power or (
                    other and gives_power("policy", old[1]["document"], new[1]["document"])
                )
        if power and act.person and not act.approved:
            raise Refused("APPROVAL_REQUIRED")

    # -- faults ----------------------------------------------------------------------------------

    def _bounds(self, owner: str, *, always: bool = False) -> Row:
        """The bounds of an operator; of the platform only the kinds that need two persons."""
        names = ("default", owner) if owner != PLATFORM else ("default",) * always
        found: Row = {}
        for name in names:
            it = self.active("bounds", PLATFORM, name)
            if it is not None:
                own = dict(it["document"])
                for key in ("second_person", "jurisdictions"):
                    own[key] = sorted({*found.get(key, ()), *own.get(key, ())})
                own["longest"] = {**found.get("longest", {}), **own.get("longest", {})}
                amounts = {row["currency"]: row for row in found.get("amount", [])}
                amounts |= {row["currency"]: row for row in own.get("amount", [])}
                own["amount"] = list(amounts.values())
                found |= own
        return found

    def _faults(
        self, kind: str, owner: str, name: str, document: Row, *, beyond: bool = False
    ) -> Iterator[bool]:
        """True for each check that a document fails."""
        bounds = {} if beyond or owner == PLATFORM else self._bounds(owner)
        if kind in ("tariff", "policy") and owner != PLATFORM:
            # A name of the platform's is taken.
            own = self.active(kind, owner, name)
            yield own is None and self.active(kind, PLATFORM, name) is not None
        if kind == "policy":
            yield any(row["when"] not in self.expressions for row in document.get("condition", []))
            yield from _policy_outside(document, bounds)
        # A section in a currency without limits would never count.
        priced = [row for key in ("budget", "breaker", "amount") for row in document.get(key, [])]
        yield not {row["currency"] for row in priced} <= {row["currency"] for row in self.limits}
        if kind == "tariff":
            naming = self._naming(owner, name)
            # The bound of the time to price is rough: the same estimate is asked.
            sold = max([0, *(self._sold(operator, it["id"]) for operator, it in naming)])
            yield any(slow_prices(read_tariff_document(document), sold))
            for _, product in naming:
                yield product["currency"] != document["currency"]
        if kind == "product":
            tariff = self.reached("tariff", owner, document["tariff"])
            yield tariff is None or tariff[1]["document"]["currency"] != document["currency"]
            if tariff is not None:
                read = read_tariff_document(tariff[1]["document"])
                yield any(slow_prices(read, self._sold(owner, document["id"])))
            yield self.reached("policy", owner, document["policy"]) is None
            yield document["currency"] not in [row["currency"] for row in self.limits]
            yield document["cancellation_fee_minor"] > document["deposit_minor"]
            for row in bounds.get("amount", []):
                if row["currency"] == document["currency"]:
                    hold = document.get("most_hold_minor")
                    yield document["deposit_minor"] > row.get("most_deposit_minor", 10**12)
                    yield "most_hold_minor" in row and (
                        hold is None or hold > row["most_hold_minor"]
                    )
        if kind == "limits":
            kept = [row["currency"] for row in document["limit"]]
            yield bool(self.present) and CURRENCY not in kept
        if kind == "bounds":
            yield name not in ("default", *FEE_BP)

    expressions: frozenset[str] = frozenset()
    """The conditions that make sense."""

    def _sold(self, operator: str, product_id: str) -> int:
        """The most minutes of a pass that a revision of a product sold."""
        return pass_minutes(self, {"operator_id": operator, "product_id": product_id})

    def _naming(self, owner: str, name: str) -> list[tuple[str, Row]]:
        """The products in force that name a tariff of an owner: their operators and documents."""
        mine = [it for it in self.in_force("product") if owner in (PLATFORM, it[0])]
        return [
            (operator, document)
            for operator, _, document in mine
            if document["tariff"] == name
            and (operator == owner or self.active("tariff", operator, name) is None)
        ]


def _policy_outside(document: Row, bounds: Row) -> Iterator[bool]:
    """True for each bound that a policy breaks."""
    zero, reduced = bounds.get("least_zero_from_score"), bounds.get("least_reduced_from_score")
    share = bounds.get("most_credit_share_bp", 10_000)
    cut_offs = list(document.get("cut_off", []))
    if "ladder" not in document:
        cut_offs.append(document)
    for row in cut_offs:
        yield zero is not None and row["zero_from_score"] < zero
        yield reduced is not None and row["reduced_from_score"] < reduced
        yield row.get("reduced_credit_share_bp", 0) > share
    for row in document.get("ladder", []):
        whole, partly = row["credit_share_bp"] == 10_000, 0 < row["credit_share_bp"] < 10_000
        yield whole and zero is not None and row["from_score"] < zero
        yield partly and reduced is not None and row["from_score"] < reduced
        yield partly and row["credit_share_bp"] > share
    for key, most in bounds.get("longest", {}).items():
        name, _, unit = key.rpartition("_")
        own_us = time_us(document, name)
        yield own_us is None or own_us > most * UNITS[unit]
    if "most_increments" in bounds:
        tries = document["most_increments"]
        yield tries == "NONE" or tries > bounds["most_increments"]
