"""Verdicts of persons on reviews, and the reasons that they give."""

from __future__ import annotations

from enum import StrEnum

from service.domain.errors import InvalidInput


class Verdict(StrEnum):
    """The verdict on a review."""

    APPROVED = "APPROVED"
    DECLINED = "DECLINED"


class ReviewReason(StrEnum):
    """The ground of a verdict: what was found in favour of the person, or against the person."""

    NOT_GIVEN = "NOT_GIVEN"
    IDENTITY = "IDENTITY"
    INFORMATION = "INFORMATION"
    MEANS = "MEANS"
    HISTORY = "HISTORY"
    FRAUD = "FRAUD"
    ORDER = "ORDER"
    EXCEPTION = "EXCEPTION"
    OTHER = "OTHER"


def require_reason(reason: ReviewReason, text: str) -> None:
    """Raises InvalidInput for a text without a reason, and for `OTHER` without a text."""
    if reason is ReviewReason.NOT_GIVEN and text:
        raise InvalidInput.of("reason", "reason.with_text", "must be given with reason_text")
    if reason is ReviewReason.OTHER and not text.strip():
        rule = "must say the reason, because it is none of the list"
        raise InvalidInput.of("reason_text", "reason_text.of_other", rule)
