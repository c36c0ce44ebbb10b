"""Reasons of verdicts on reviews."""

from __future__ import annotations

import pytest

from service.domain.errors import InvalidInput
from service.domain.reviews import ReviewReason, require_reason


@pytest.mark.parametrize("reason", ReviewReason)
@pytest.mark.parametrize("text", ["", "  ", "a pay slip"])
def test_a_reason_and_its_text(reason: ReviewReason, text: str) -> None:
    """A text needs a reason; `OTHER` needs a text that says something; any other reason may have
    one."""
    if reason is ReviewReason.NOT_GIVEN and text:
        field = "reason"
    elif reason is ReviewReason.OTHER and not text.strip():
        field = "reason_text"
    else:
        require_reason(reason, text)
        return
    with pytest.raises(InvalidInput) as refused:
        require_reason(reason, text)
    assert [it.field for it in refused.value.violations] == [field]
