"""Listings told a second time: all of them are looked at for each order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.engine.plain_merges import Merges
from tests.engine.plain_terms import PLATFORM, Refused, Row

SKIPPABLE = ("VELOCITY_", "NEW_USER", "SIGNAL_", "CONDITION/")


class Listings(Merges):
    """The listings of the operators and of the platform."""

    def __init__(self) -> None:
        super().__init__()
        self.listings: list[Row] = []

    def add_listings(self, owner: str, wanted: list[Row], reason: str, now_us: int) -> list[Row]:
        """Adds listings that differ in their subjects; raises Refused."""
        if not reason:
            raise Refused("INVALID_INPUT")
        first = wanted[0]
        rules, expire_us = first["rules"], first["expire_us"]
        for it in wanted:
            if (it["kind"] == "EVERYBODY") != (it["subject"] == ""):
                raise Refused("INVALID_INPUT")
            if it["kind"] == "EVERYBODY" and expire_us is None:
                raise Refused("INVALID_INPUT")
        if expire_us is not None and expire_us <= now_us:
            raise Refused("INVALID_INPUT")
        if bool(rules) != (first["effect"] == "ALLOW"):
            raise Refused("INVALID_INPUT")
        if not all(it.startswith(SKIPPABLE) for it in rules):
            raise Refused("INVALID_INPUT")
        policy_id = self.policy_of_listing(owner, first["policy_id"], first["effect"])
        if first["effect"] == "ALLOW":
            skipping = self.policies_of_listing(owner, policy_id)
            if not skipping:
                raise Refused("INVALID_INPUT")
            has = {f"CONDITION/{row['name']}" for it in skipping for row in it.get("condition", [])}
            if not has.issuperset(it for it in rules if "/" in it):
                raise Refused("INVALID_INPUT")
        number = sum(it["owner"] == owner for it in self.listings)
        made = [
            {**it, "policy_id": policy_id, "owner": owner, "number": number + place,
             "reason": reason, "create_us": now_us, "end_us": None, "end_reason": ""}
            for place, it in enumerate(wanted, 1)
        ]  # fmt: skip
        self.listings += made
        return made

    def policy_of_listing(self, owner: str, named: str, effect: str) -> str:
        """The id of the policy that a listing names; raises Refused."""
        raise NotImplementedError

    def policies_of_listing(self, owner: str, policy_id: str) -> list[Row]:
        """The documents of policies whose rules a listing skips: all that may be in force yet."""
        raise NotImplementedError

    def end_listings(self, owner: str, numbers: list[int], reason: str, now_us: int) -> None:
        """Ends listings by their numbers; raises Refused."""
        if not reason:
            raise Refused("INVALID_INPUT")
        known = {it["number"]: it for it in self.listings if it["owner"] == owner}
        for number in numbers:
            if number not in known:
                raise Refused("LISTING_NOT_FOUND")
            if known[number]["end_us"] is not None:
                raise Refused("LISTING_ENDED")
        for number in numbers:
            known[number] |= {"end_us": now_us, "end_reason": reason}

    def listed(
        self, caller: str, user_id: str, details: Any, products: Sequence[Row], now_us: int
    ) -> tuple[bool, dict[str, str]]:
        """Whether a listing denies an order, and the rules that listings skip, each with the
        listing."""
        people = [user_id, *self.merged(user_id)]
        device, account = "", ""
        if details is not None:
            device, account = details["device_hash"], details["payment_account_hash"]
        mine = [
            it
            for it in self.listings
            if it["owner"] in (PLATFORM, caller)
            and it["end_us"] is None
            and (it["expire_us"] is None or now_us < it["expire_us"])
            and (
                (it["kind"] == "USER" and it["subject"] in people)
                or (it["kind"] == "DEVICE" and device and it["subject"] == device)
                or (it["kind"] == "PAYMENT_ACCOUNT" and account and it["subject"] == account)
                or it["kind"] == "EVERYBODY"
            )
        ]
        mine.sort(key=lambda it: (it["owner"], it["number"]))
        policies = list(dict.fromkeys(it["policy"] for it in products))
        skips: list[dict[str, str]] = []
        for policy in policies:
            of_policy = [it for it in mine if it["policy_id"] in ("", policy)]
            if any(it["effect"] == "DENY" for it in of_policy):
                return True, {}
            may = [
                it for it in of_policy
                if it["owner"] == PLATFORM or policy.startswith(f"{it['owner']}/")
            ]  # fmt: skip
            skips.append(
                {rule: f"{it['owner']}/{it['number']}" for it in may for rule in it["rules"]}
            )
        first = skips[0] if skips else {}
        return False, {
            rule: name for rule, name in first.items() if all(rule in it for it in skips)
        }
