"""Profiles: a person's line, the stored score, and the basis of the limit."""

from __future__ import annotations

from service.domain.credit import SCORE_NOT_KEPT, limit_basis
from service.domain.errors import NotFound
from service.domain.ledger import Line
from service.domain.policy import Reason
from service.engine.calls import Profile
from service.engine.reads import ProfileReader
from service.engine.records.users import UNSCORED, UserRecord


def profile_of(user: UserRecord, line: Line) -> Profile:
    """The profile of a person with this line; it uses the stored score."""
    kept, version = user.kept, user.feature_version
    score_kept = kept.feature_version == version
    if not score_kept:
        kept = UNSCORED._replace(unscorable_reason=SCORE_NOT_KEPT)
    elif not version:
        kept = kept._replace(unscorable_reason=Reason.NO_FEATURES)
    return Profile(
        line=line,
        score=kept.score,
        band=kept.band,
        unscorable_reason=kept.unscorable_reason,
        feature_version=version,
        as_of_us=user.as_of_us if version else None,
        model_id=kept.model_id,
        scale_version=kept.scale_version,
        unscorable_feature=kept.unscorable_feature,
        extrapolated=kept.extrapolated,
        limit_basis=limit_basis(
            line.limit_minor - line.cut_pending_minor,
            kept.limit_minor,
            fixed=line.limit_fixed,
            score_kept=score_kept,
        ),
    )


def read_profile(store: ProfileReader, user_id: str, currency: str) -> Profile:
    """The profile of the person, or of the survivor if the person was merged.

    Raises NotFound for an unknown person.
    """
    found = store.person(user_id, currency)
    if found is None:
        raise NotFound("user", user_id)
    user, line = found
    if user.alias_of not in ("", user_id):
        # The survivor of a survivor is the same person, so this ends.
        return read_profile(store, user.alias_of, currency)
    return profile_of(user, line or Line(user_id, currency))
