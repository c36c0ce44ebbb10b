"""Listings: subjects that are refused, and subjects that are spared named rules of a policy."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from service.domain.access import PLATFORM
from service.domain.errors import InvalidInput, Violation
from service.domain.near_names import near_name
from service.domain.policy import Reason


class ListingEffect(StrEnum):
    """The consequence of a listing."""

    DENY = "DENY"
    """Authorize is declined."""
    ALLOW = "ALLOW"
    """Named rules of the policy are skipped."""


class ListingKind(StrEnum):
    """The kind of the listed subject."""

    USER = "USER"
    DEVICE = "DEVICE"
    PAYMENT_ACCOUNT = "PAYMENT_ACCOUNT"
    EVERYBODY = "EVERYBODY"


SUBJECT_FORMS = {
    ListingKind.USER: re.compile(r"[A-Za-z0-9._:~-]{1,64}"),
    ListingKind.DEVICE: re.compile(r"[A-Za-z0-9+/=_-]{1,88}"),
    ListingKind.PAYMENT_ACCOUNT: re.compile(r"[A-Za-z0-9+/=_-]{1,88}"),
}
"""The forms of subjects, as Authorize takes them."""
RULE_FORM = re.compile(r"[A-Z][A-Z0-9_]{0,63}(/[a-z0-9][a-z0-9-]{0,62})?")
SKIPPABLE = frozenset(it for it in Reason if it.startswith(("VELOCITY_", "NEW_USER", "SIGNAL_")))
"""The rules that a listing may skip, beside conditions; each is named by its reason."""
CONDITION_PREFIX = "CONDITION/"
"""The beginning of the name of a rule that is a condition of the policy."""


class Listing(NamedTuple):
    """A listing with its history.

    `owner` is an operator's id, or "platform"; `number` counts the owner's listings from 1. The
    listing counts for the policy `policy_id` only, or for all policies if that is empty. Instants
    are microseconds since the epoch, UTC. `expire_us` is None if the listing does not end by
    itself; `end_us` is None as long as nobody ended it.
    """

    owner: str
    number: int
    effect: ListingEffect
    kind: ListingKind
    subject: str
    rules: tuple[str, ...]
    policy_id: str
    reason: str
    create_us: int
    created_by: str
    expire_us: int | None = None
    end_us: int | None = None
    ended_by: str = ""
    end_reason: str = ""

    def counts(self, policy_id: str, now_us: int) -> bool:
        """True if the listing is in force at an instant, for a decision under a policy."""
        return (
            self.end_us is None
            and (self.expire_us is None or now_us < self.expire_us)
            and self.policy_id in ("", policy_id)
        )

    def may_skip(self, policy_id: str) -> bool:
        """True if the owner may skip rules of a policy: the platform of all, an operator of its
        own policies."""
        return self.owner == PLATFORM or policy_id.startswith(f"{self.owner}/")


class Listed(NamedTuple):
    """The listings that count for one decision: whether one denies, and the skipped rules.

    `skipped` gives for each rule the listing that skips it, as `OWNER/NUMBER`.
    """

    denied_by: str
    skipped: dict[str, str]


def listed(found: Iterable[Listing], policy_ids: Iterable[str], now_us: int) -> Listed:
    """The effect of the listings of a person, a device and an account on one decision.

    Several policies belong to a group of items: each of them can deny the whole group, and a rule
    is skipped only under the policies of its listing, here if it is skipped under all of them.
    """
    policies = tuple(dict.fromkeys(policy_ids))
    rows = sorted(found)
    for it in rows:
        if it.effect is ListingEffect.DENY and any(it.counts(name, now_us) for name in policies):
            return Listed(f"{it.owner}/{it.number}", {})
    by_policy = [
        {
            rule: f"{it.owner}/{it.number}"
            for it in rows
            if it.effect is ListingEffect.ALLOW and it.counts(name, now_us) and it.may_skip(name)
            for rule in it.rules
        }
        for name in policies
    ]
    skipped = dict(by_policy[0]) if by_policy else {}
    for other in by_policy[1:]:
        skipped = {rule: name for rule, name in skipped.items() if rule in other}
    return Listed("", skipped)


def require_sound(listings: Sequence[Listing], known_rules: frozenset[str]) -> None:
    """Raises InvalidInput with all faults of new listings, which differ in their subjects only."""
    faults = [fault for place, it in enumerate(listings) for fault in _of_subject(it, place)]
    if listings:
        faults += _of_end(listings)
        faults += _of_rules(listings[0], known_rules)
    if faults:
        raise InvalidInput(faults)


def require_counting(it: Listing, known: Mapping[str, Collection[str]]) -> None:
    """Raises InvalidInput for each condition that a listing skips and none of its policies has, and
    for an owner without a policy whose rules it may skip.

    `known` has the names of the conditions of each policy that the owner may know, by the policy's
    id. The listing counts for its policy, or else for all whose rules the owner may skip. The other
    rules have fixed names, so such a policy may get them later.
    """
    concerned = [it.policy_id] if it.policy_id else [name for name in known if it.may_skip(name)]
    here = {name for policy_id in concerned for name in known[policy_id]}
    whose = it.policy_id or ("no policy" if it.owner == PLATFORM else "no policy of yours")
    faults = []
    for place, rule in enumerate(it.rules):
        name = rule.removeprefix(CONDITION_PREFIX)
        if name != rule and name not in here:
            has = f"{whose} has {'no' if it.policy_id else 'the'} condition {name}"
            text = f"{has}: {_where_it_is(it, name, here, known)}"
            faults.append(Violation(f"rules[{place}]", "rules.no_condition", text))
    if it.rules and not concerned and not faults:
        text = "would never be skipped: there is no policy yet"
        if it.owner != PLATFORM:
            text = "would never be skipped: only the platform skips rules of its own policies"
        text += "; apply a policy first, a draft suffices"
        faults.append(Violation("rules", "rules.no_policy", text))
    if faults:
        raise InvalidInput(faults)


def _where_it_is(
    it: Listing, name: str, here: Collection[str], known: Mapping[str, Collection[str]]
) -> str:
    """The advice to an owner whose listing names a condition that its policies do not have."""
    elsewhere = sorted((not it.may_skip(other), other) for other in known if name in known[other])
    if elsewhere:
        foreign, other = elsewhere[0]
        return f"{other} has it" + (", and only the platform skips its rules" if foreign else "")
    near = near_name(name, here)
    if near is not None:
        return f"did you mean {CONDITION_PREFIX}{near}?"
    return "apply a policy that has it first; a draft suffices"


def _of_subject(it: Listing, place: int) -> list[Violation]:
    path, form = f"subjects[{place}].subject", SUBJECT_FORMS.get(it.kind)
    if form is None:
        text = "must be empty: the listing is for everybody"
        return [Violation(path, "subject.everybody", text)] if it.subject else []
    if not form.fullmatch(it.subject):
        text = f"must match {form.pattern}, as Authorize takes it"
        return [Violation(path, "subject.form", text)]
    return []


def _of_end(listings: Sequence[Listing]) -> list[Violation]:
    expire_us, path = listings[0].expire_us, "expire_time"
    if expire_us is None:
        if any(it.kind is ListingKind.EVERYBODY for it in listings):
            text = "must be given: a listing for everybody ends by itself"
            return [Violation(path, "expire_time.everybody", text)]
    elif expire_us <= listings[0].create_us:
        text = "must lie ahead: a listing that has expired changes nothing"
        return [Violation(path, "expire_time.past", text)]
    return []


def _of_rules(it: Listing, known_rules: frozenset[str]) -> list[Violation]:
    if it.effect is ListingEffect.DENY:
        text = "must be empty: a listing that denies skips no rule"
        return [Violation("rules", "rules.deny", text)] if it.rules else []
    if not it.rules:
        return [Violation("rules", "rules.missing", "must name at least one rule to skip")]
    found = []
    for place, rule in enumerate(it.rules):
        if not RULE_FORM.fullmatch(rule) or not (
            rule in known_rules or rule.startswith(CONDITION_PREFIX)
        ):
            names = ", ".join(sorted(known_rules | {f"{CONDITION_PREFIX}NAME"}))
            text = f"{rule} is no rule that can be skipped; these can: {names}"
            found.append(Violation(f"rules[{place}]", "rules.unknown", text))
    return found
