"""The rows beside an authorization: the decision on it, and the item that is out."""

from __future__ import annotations

from typing import NamedTuple


class Decision(NamedTuple):
    """All that a decision rested on, enough to take it again.

    `margin` is the model's raw margin as a hexadecimal float64, empty when nobody was
    scored. `unscorable_feature` is the feature for which nobody was, empty for other reasons;
    `extrapolated` are the features scored as the nearest value that the model was trained on.
    Amounts are minor units, times microseconds since the epoch, UTC.
    """

    decision_id: str
    user_id: str
    operator_id: str
    request_id: str
    decide_us: int
    model_id: str
    scale_version: str
    feature_version: int
    margin: str
    score: int | None
    unscorable_reason: str | None
    scoring_consent: bool
    product_id: str
    product_revision: int
    policy_id: str
    policy_revision: int
    line_limit_minor: int
    line_held_minor: int
    line_drawn_minor: int
    line_version: int
    offer: str | None
    reasons: tuple[str, ...]
    build: str
    unscorable_feature: str
    extrapolated: tuple[str, ...]


class OpenItem(NamedTuple):
    """An item that is in an open rental of its operator."""

    operator_id: str
    asset_id: str
    user_id: str
    authorization_id: str
