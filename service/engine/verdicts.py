"""Adds the verdict on a review to the draft."""

from __future__ import annotations

from service.domain.authorization import Authorization, Step
from service.domain.reviews import ReviewReason, Verdict
from service.engine.beside import tell
from service.engine.context import Context
from service.engine.records.verdicts import VerdictRecord
from service.engine.rows import Draft
from service.engine.tables import VERDICTS


def add_verdict(
    draft: Draft,
    step: Step,
    after: Authorization,
    given: tuple[Verdict, ReviewReason, str, str],
    context: Context,
) -> None:
    """Adds the row of the verdict to the step that carried it out: the verdict, its reason with the
    text, and the hand that gave it. The step's event tells of the reason."""
    row = VerdictRecord(
        after.user_id,
        after.authorization_id,
        after.version,
        after.operator_id,
        *given,
        step.transition,
        step.event_us,
        context.now_us,
        b"",
    )
    row = row._replace(digest=row.expected_digest)
    draft[VERDICTS].append(row)
    tell(draft, row, context)
