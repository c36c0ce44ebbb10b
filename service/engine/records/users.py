"""People, their features, and their stored scores."""

from __future__ import annotations

from typing import NamedTuple


class KeptScore(NamedTuple):
    """The score of a person's features when they were recorded.

    `feature_version` is the version of the features; 0 means that there are none. If `score` is
    None, `unscorable_reason` gives the reason, and `unscorable_feature` the feature at fault, if
    any. `extrapolated` is as in `Decision`. `limit_minor` is the limit that followed, in minor
    units, or None if the limit has no score as its basis.
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
"""The stored score of a person without features, whose limit is 0."""


class UserRecord(NamedTuple):
    """A person. Version 0 means no features; `as_of_us` is the instant of the latest features.

    The fields from `score_version` on are those of `KeptScore`. If a server of an earlier build
    accepted newer features, these fields still belong to the older ones. `alias_of` is the person
    to whom new calls go. A survivor, into whom others were merged, names itself. The field is empty
    for everybody else. `identity_hash` is a keyed hash of the person's identity, or empty.
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
    alias_of: str = ""
    identity_hash: str = ""

    @property
    def kept(self) -> KeptScore:
        """The stored score, and the limit that followed from it."""
        return KeptScore(*self[5:14])


class FeatureScore(NamedTuple):
    """The model's result for the features of a snapshot, whenever it is asked.

    `model_id` and `margin`, as in `Decision`, are empty if the model did not score the features.
    `reasons` are its reasons with commas between them; None if nobody asked for them then, or if
    they were not found in time. `extrapolated` is as in `Decision`.
    """

    model_id: str
    margin: str
    reasons: str | None
    extrapolated: tuple[str, ...]


NOT_SCORED = FeatureScore("", "", None, ())
"""The score of features that no model scored."""


class FeatureSnapshot(NamedTuple):
    """A person's raw features, immutable: little-endian float64 in the order of the schema, and
    texts as a canonical JSON object by name, or "" without any.

    The fields from `model_id` on are those of `FeatureScore`.
    """

    user_id: str
    version: int
    schema_id: str
    raw: bytes
    as_of_us: int
    record_us: int
    texts: str = ""
    model_id: str = ""
    margin: str = ""
    reasons: str | None = None
    extrapolated: tuple[str, ...] = ()


class UserFeatures(NamedTuple):
    """A person's latest features, as in `FeatureSnapshot`. Without features the version is 0 and
    the rest is None. `reasons` and `extrapolated` are texts of `name_lists.py`."""

    user_id: str
    scoring_consent: bool
    version: int
    schema_id: str | None
    raw: bytes | None
    as_of_us: int | None
    alias_of: str = ""
    texts: str | None = None
    model_id: str | None = None
    margin: str | None = None
    reasons: str | None = None
    extrapolated: str | None = None
