"""Reads a person's line with the score it rests on."""

from __future__ import annotations

from typing import Protocol

from service.domain.errors import NotFound
from service.domain.ledger import Line
from service.engine.assess import Assessor
from service.engine.calls import Profile
from service.engine.context import UNSCORED_BAND
from service.engine.records import UserFeatures


class ProfileStore(Protocol):
    """Reads one person, for any thread."""

    def person(self, user_id: str) -> UserFeatures | None:
        """One person with the latest features."""
        ...

    def line(self, user_id: str, currency: str) -> Line | None:
        """One line as it stands."""
        ...


def read_profile(store: ProfileStore, assessor: Assessor, user_id: str, currency: str) -> Profile:
    """The person's profile as of now; raises NotFound for a person never seen."""
    features = store.person(user_id)
    if features is None:
        raise NotFound("user", user_id)
    assessment = assessor.assess_one(features)
    scored = assessment.scored
    return Profile(
        line=store.line(user_id, currency) or Line(user_id, currency),
        score=scored.score if scored else None,
        band=scored.band if scored else UNSCORED_BAND,
        unscorable_reason="" if scored else assessment.why[0],
        feature_version=assessment.feature_version,
        as_of_us=assessment.as_of_us,
        model_id=assessor.model_id if scored else "",
        unscorable_feature=assessment.feature,
        extrapolated=scored.extrapolated if scored else (),
    )
