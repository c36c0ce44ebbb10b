"""Rows beside an authorization: its decision, and its item in an open rental."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from service.domain.policy import Offer


class Decision(NamedTuple):
    """All inputs and results of a decision, enough to repeat it.

    `margin` is the model's raw margin as a hexadecimal float64, empty if the person was not scored.
    `unscorable_feature` is the feature that prevented scoring, empty for other reasons.
    `extrapolated` are the features scored as the nearest value of the training. `read_values` are
    the values that the policy's rules read, as canonical JSON; None if it has no such rules.
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
    offer: Offer | None
    reasons: tuple[str, ...]
    build: str
    unscorable_feature: str
    extrapolated: tuple[str, ...]
    read_values: str | None = None


class ItemKind(StrEnum):
    """Why an item is not free."""

    RENTED = "RENTED"
    """It is in an open rental."""
    MISSING = "MISSING"
    """It counts as lost, and is free as soon as somebody has it in hand."""
    SOLD = "SOLD"
    """It counts as sold, and is free once the operator reports it as found."""


class OpenItem(NamedTuple):
    """An item of an operator that is in an open rental, or was lost in a rental."""

    operator_id: str
    asset_id: str
    user_id: str
    authorization_id: str
    kind: ItemKind = ItemKind.RENTED
