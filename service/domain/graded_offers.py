"""The choice of an offer under the rules of a policy: cut-offs by category, ladders, verdicts.

Each item has steps, from the mildest to the strictest: an offer, and the part of the deposit that
it holds on credit. Without rules there is one step for each offer; a ladder may have several for
REDUCED. The offers are tried in the same order as without rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from service.domain.admission import Cap, Verdict
from service.domain.authorization import Authorization
from service.domain.money import share_minor
from service.domain.policy import (
    ALL_OFFERS,
    MAX_REASONS,
    NOT_MILDER,
    STRICTNESS,
    Choice,
    Offer,
    Reason,
    Split,
    Wanted,
    choose,
    decline,
    in_order,
)
from service.domain.rules import Outcome, Rules
from service.domain.rules_document import SHARE_BP

_ZERO, _REDUCED, _FULL = ALL_OFFERS
NO_RULES = Rules()


class _Rung(NamedTuple):
    """From this score on: the offer, and the credit share in basis points."""

    from_score: int
    share_bp: int
    offer: Offer


class Step(NamedTuple):
    """One possible offer for an item, and its credit part in minor units."""

    offer: Offer
    credit_minor: int


def highest_cut_off(it: Wanted) -> int:
    """The lowest score that gets the mildest offer; higher scores need no reasons."""
    return _rungs(it)[0].from_score


def cut_offs(it: Wanted) -> tuple[int, ...]:
    """The scores from which offers for an item change, the highest first. No other difference of
    two scores changes an offer."""
    return tuple([rung.from_score for rung in _rungs(it)])


def mildest_offer(score: int | None, it: Wanted) -> Offer:
    """The mildest offer for an item at this score; FULL for a person who cannot be scored."""
    rungs = _rungs(it)
    place, _ = _hit(score, it)
    return rungs[place].offer if place < len(rungs) else _FULL


def _rungs(it: Wanted) -> tuple[_Rung, ...]:
    """The cut-offs of an item as a ladder, the highest first."""
    policy, rules = it.policy, it.policy.rules or NO_RULES
    for cut_off in rules.cut_off or ():
        if cut_off.category == it.category:
            share_bp = cut_off.reduced_credit_share_bp
            if share_bp is None:
                share_bp = policy.reduced_credit_share_bp
            return _two(cut_off.zero_from_score, cut_off.reduced_from_score, share_bp)
    if rules.ladder is not None:
        return tuple([_Rung(*rung, _offer_of(rung.credit_share_bp)) for rung in rules.ladder])
    return _two(policy.zero_from_score, policy.reduced_from_score, policy.reduced_credit_share_bp)


def _two(zero_from_score: int, reduced_from_score: int, share_bp: int) -> tuple[_Rung, ...]:
    zero = _Rung(zero_from_score, SHARE_BP, _ZERO)
    return zero, _Rung(reduced_from_score, share_bp, _REDUCED)


def _offer_of(share_bp: int) -> Offer:
    if share_bp == SHARE_BP:
        return _ZERO
    return _REDUCED if share_bp else _FULL


def _steps(it: Wanted, first: int, cap: Cap | None) -> list[Step]:
    """The steps of an item from the rung `first` on, and FULL at the end."""
    rungs = _rungs(it)[first:]
    steps = [Step(one.offer, share_minor(it.deposit_minor, one.share_bp)) for one in rungs]
    if not steps or steps[-1].offer is not _FULL:
        steps.append(Step(_FULL, 0))
    return _capped(steps, cap)


def _capped(steps: list[Step], cap: Cap | None) -> list[Step]:
    """The steps with at most the cap on credit. A capped step is REDUCED, or FULL without any."""
    if cap is None:
        return steps
    found: list[Step] = []
    for step in steps:
        if step.credit_minor > cap.most_minor:
            step = Step(_REDUCED if cap.most_minor else _FULL, cap.most_minor)
        if not found or found[-1] != step:
            found.append(step)
    return found


def _hit(score: int | None, it: Wanted) -> tuple[int, tuple[str, ...]]:
    """The place of the first rung that the score reaches, and the reasons against milder ones."""
    rungs = _rungs(it)
    if score is None:
        return len(rungs), ()
    place = next((at for at, rung in enumerate(rungs) if score >= rung.from_score), len(rungs))
    if place == 0:
        return place, ()
    if place == len(rungs) or rungs[place].offer is _FULL:
        return place, (Reason.SCORE_BELOW_REDUCED_DEPOSIT,)
    return place, (Reason.SCORE_BELOW_ZERO_DEPOSIT,)


def _is_plain(wanted: Sequence[Wanted], verdict: Verdict | None) -> bool:
    """True if no rule changes an offer, which is the usual case for bounds of rentals."""
    if verdict is not None and (verdict.least or verdict.review or any(verdict.caps)):
        return False
    for it in wanted:
        rules = it.policy.rules
        if rules is not None and (rules.cut_off is not None or rules.ladder is not None):
            return False
    return verdict is None or not verdict.reasons


def choose_graded(
    score: int | None,
    why: Sequence[str],
    accepted: Sequence[Offer],
    available_minor: int,
    wanted: Sequence[Wanted],
    verdict: Verdict | None,
) -> Choice:
    """Chooses as `policy.choose`, under the rules of the policies and a verdict on the order."""
    if _is_plain(wanted, verdict):
        return choose(score, why, accepted, available_minor, wanted)
    reasons: tuple[str, ...] = ()
    strictest = -1
    items = []
    for place, it in enumerate(wanted):
        first, against = _hit(score, it)
        steps = _steps(it, first, None if verdict is None else verdict.caps[place])
        items.append(steps)
        rank = STRICTNESS[_steps(it, first, None)[0].offer]
        if rank > strictest:
            strictest, reasons = rank, against
    if score is None or reasons:
        reasons = (*reasons, *why)
    return _first_borne(reasons, accepted, available_minor, wanted, items, verdict)


def choose_graded_again(
    members: Sequence[Authorization],
    accepted: Sequence[Offer],
    available_minor: int,
    wanted: Sequence[Wanted],
    verdict: Verdict | None,
) -> Choice:
    """Chooses the present offer of a review, or a stricter one, as `policy.choose_again`."""
    items = []
    for place, (member, it) in enumerate(zip(members, wanted, strict=True)):
        present = Step(member.offer or _FULL, member.credit_minor)
        lower = [
            step
            for step in _steps(it, 0, None)
            if STRICTNESS[step.offer] >= STRICTNESS[present.offer]
            and step.credit_minor < present.credit_minor
        ]
        cap = None if verdict is None else verdict.caps[place]
        steps = [present, *lower]
        if steps[-1].offer is not _FULL:
            steps.append(Step(_FULL, 0))
        items.append(_capped(steps, cap))
    known = tuple([it for it in members[0].reasons if it != Reason.LINE_EXHAUSTED])
    return _first_borne(known, accepted, available_minor, wanted, items, verdict)


def _first_borne(
    reasons: tuple[str, ...],
    accepted: Sequence[Offer],
    available_minor: int,
    wanted: Sequence[Wanted],
    items: Sequence[list[Step]],
    verdict: Verdict | None,
) -> Choice:
    """The first allowed offer whose credit parts together fit the line."""
    if verdict is not None:
        reasons = tuple(dict.fromkeys((*_reasons_of(verdict, wanted, items), *reasons)))
        if Reason.LINE_EXHAUSTED in reasons:
            # A rule over all operators must look like an exhausted line, also by its place.
            reasons = _exhausted(reasons)
        if verdict.least is Outcome.DECLINE:
            return decline(len(wanted), *reasons)
    mildest = max((steps[0].offer for steps in items), key=STRICTNESS.__getitem__)
    if verdict is not None and verdict.least is not None:
        least = _FULL if verdict.least is Outcome.FULL else _REDUCED
        mildest = max(mildest, least, key=STRICTNESS.__getitem__)
    allowed: Sequence[Offer] = NOT_MILDER[mildest]
    if accepted:
        allowed = in_order(accepted, mildest)
        if not allowed:
            reasons = (Reason.OFFER_NOT_ACCEPTED, *reasons)
    tried = False
    for offer in allowed:
        for credits_minor in _tries(offer, items):
            tried = True
            if sum(credits_minor) <= available_minor:
                splits = [
                    Split(minor, it.deposit_minor - minor)
                    for minor, it in zip(credits_minor, wanted, strict=True)
                ]
                reasons = _reviewed(reasons, verdict)
                return Choice(offer, tuple(splits), reasons[:MAX_REASONS])
            reasons = _exhausted(reasons)
    if allowed and not tried:
        reasons = (Reason.OFFER_NOT_ACCEPTED, *reasons)
    return decline(len(wanted), *reasons)


def _exhausted(reasons: tuple[str, ...]) -> tuple[str, ...]:
    """The reasons with that of an exhausted line in the first place."""
    return tuple(dict.fromkeys((Reason.LINE_EXHAUSTED, *reasons)))


def _reasons_of(
    verdict: Verdict, wanted: Sequence[Wanted], items: Sequence[list[Step]]
) -> Iterable[str]:
    """The reasons of a verdict; a cap counts only if it lowers a credit part."""
    yield from verdict.reasons
    for it, steps, cap in zip(wanted, items, verdict.caps, strict=True):
        if cap is not None and steps[0].credit_minor == cap.most_minor < it.deposit_minor:
            yield cap.reason


def _reviewed(reasons: tuple[str, ...], verdict: Verdict | None) -> tuple[str, ...]:
    """The reasons with that of a review in the first place, if the verdict asks for one."""
    if verdict is None or not verdict.review:
        return reasons
    return tuple(dict.fromkeys((Reason.UNDER_REVIEW, *reasons)))


def _tries(offer: Offer, items: Sequence[list[Step]]) -> Iterable[list[int]]:
    """The credit parts of the items under an offer, the largest first.

    An item without a step of this offer has the credit part of its next stricter step.
    """
    parts = []
    for steps in items:
        same = [it.credit_minor for it in steps if it.offer is offer]
        stricter = [it.credit_minor for it in steps if STRICTNESS[it.offer] > STRICTNESS[offer]]
        parts.append((len(same), [*same, *stricter]))
    most = max(number for number, _ in parts)
    for place in range(most):
        yield [minors[min(place, max(number - 1, 0))] for number, minors in parts]
