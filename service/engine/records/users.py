"""People, their features, and the score that is kept of them."""

from __future__ import annotations

from typing import NamedTuple


class KeptScore(NamedTuple):
    """What the model said of a person's features when they were recorded.

    `feature_version` is the version of those features; 0 before the first. `score` None: there is
    none, for `unscorable_reason` and, if one is at fault, for `unscorable_feature`. `extrapolated`
    as in `Decision`. `limit_minor` is the limit that followed, in minor units; None if the limit
    rests on no score.
    """

    feature_version: int
    score: int | None
    band: str
    model_id: str
    scale_version: str
    unscorable_reason: str
    unscorable_feature: str
    extrapolated: tuple[str, ...]
    limit_minor: int | None


UNSCORED = KeptScore(0, None, "", "", "", "", "", (), 0)
"""The kept score of a person without features, whose limit is 0."""


class UserRecord(NamedTuple):
    """A person; `feature_version` 0 means no features yet, `as_of_us` when the latest were true.

    From `score_version` on the fields are those of `KeptScore`. They are of an older version where
    a server of an earlier build took newer features.
    """

    user_id: str
    scoring_consent: bool
    feature_version: int
    as_of_us: int
    create_us: int
    score_version: int = 0
    score: int | None = None
    score_band: str = ""
    score_model_id: str = ""
    score_scale_version: str = ""
    unscorable_reason: str = ""
    unscorable_feature: str = ""
    extrapolated: tuple[str, ...] = ()
    score_limit_minor: int | None = 0

    @property
    def kept(self) -> KeptScore:
        """The score that was kept, and the limit that followed from it."""
        return KeptScore(*self[5:])


class FeatureSnapshot(NamedTuple):
    """A person's raw features, immutable: little-endian float64 in the order of the schema."""

    user_id: str
    version: int
    schema_id: str
    raw: bytes
    as_of_us: int
    record_us: int


class UserFeatures(NamedTuple):
    """A person's latest features, as in `FeatureSnapshot`; without any, version 0 and None."""

    user_id: str
    scoring_consent: bool
    version: int
    schema_id: str | None
    raw: bytes | None
    as_of_us: int | None
