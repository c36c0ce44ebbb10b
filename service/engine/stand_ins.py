"""Stand-in decisions, compared with the decisions that the model gives on the same features.

A stand-in was decided without a score, because the model failed. It stays as it was: the comparison
only tells whether the offer would have been another one. Rules that count rentals are left out, so
the offer told is what the score alone gives on the line as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from service.domain.graded_offers import choose_graded
from service.domain.policy import Offer, Reason
from service.domain.product import Product
from service.engine.records.users import UserFeatures
from service.engine.scoring import Assessor

CONSENT_WITHDRAWN = "CONSENT_WITHDRAWN"
"""The reason why features are not scored again: the person has withdrawn the consent since."""
TERMS_MISSING = "TERMS_MISSING"


class StandIn(NamedTuple):
    """A stand-in decision: on whose rental, when, the offer, and what it was made of.

    `offer` is None for a decline. `available_minor` is the free part of the line then. `features`
    are those that the model failed on; None if they are gone, or may not be scored any more.
    """

    decision_id: str
    user_id: str
    authorization_id: str
    decide_us: int
    product: tuple[str, str, int]
    offer: Offer | None
    accepted: tuple[Offer, ...]
    available_minor: int
    features: UserFeatures | None


class Compared(NamedTuple):
    """A stand-in with the offer by the score, or with the reason why there is none (`why`)."""

    stand_in: StandIn
    score: int | None
    offer: Offer | None
    why: str

    @property
    def differs(self) -> bool:
        """True if the score gives another offer."""
        return not self.why and self.offer is not self.stand_in.offer


def compare(
    found: Sequence[StandIn],
    assessor: Assessor,
    products: Mapping[tuple[str, str, int], Product],
) -> list[Compared]:
    """Decides stand-ins again with scores of their own features. Raises the model's error."""
    return [_compared(it, assessor, products.get(it.product)) for it in found]


def _compared(it: StandIn, assessor: Assessor, product: Product | None) -> Compared:
    if it.features is None or product is None:
        why = CONSENT_WITHDRAWN if it.features is None else TERMS_MISSING
        return Compared(it, None, None, why)
    (assessment,) = assessor.assess_again([it.features])
    if assessment.scored is None:
        return Compared(it, None, None, assessment.why[0] if assessment.why else Reason.NO_FEATURES)
    score = assessment.scored.score
    choice = choose_graded(score, (), it.accepted, it.available_minor, [product], None)
    return Compared(it, score, choice.offer, "")
