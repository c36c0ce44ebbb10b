"""Adds the user's consent to a damage charge to the draft."""

from __future__ import annotations

from service.domain.authorization import Authorization
from service.domain.errors import InvalidInput
from service.engine.beside import tell
from service.engine.context import Context
from service.engine.records.consents import ConsentRecord
from service.engine.rows import Draft
from service.engine.tables import CONSENTS


def add_consent(draft: Draft, after: Authorization, reference: str, context: Context) -> None:
    """Adds the row of the consent to the step that led to this version of the authorization.

    The step's event tells of it.
    """
    row = ConsentRecord(
        after.user_id,
        after.authorization_id,
        after.version,
        after.operator_id,
        reference,
        context.now_us,
        b"",
    )
    row = row._replace(digest=row.expected_digest)
    draft[CONSENTS].append(row)
    tell(draft, row, context)


def no_damage() -> InvalidInput:
    """The error for a consent that is sent with anything but a new charge for damage."""
    return InvalidInput.of(
        "user_consent_reference",
        "user_consent_reference.damage",
        "is allowed only for a new charge for damage",
    )
