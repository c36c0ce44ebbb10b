"""Errors: stable reasons, metadata, and texts without personal data."""

from __future__ import annotations

import pytest

from service.domain import errors as e


@pytest.mark.parametrize(
    ("error", "reason", "metadata"),
    [
        (e.Unauthenticated("KEY_REVOKED", "revoked"), "KEY_REVOKED", {}),
        (e.PermissionDenied("books.verify"), "SCOPE_MISSING", {"scope": "books.verify"}),
        (e.NotFound("user", "u-1"), "USER_NOT_FOUND", {"user": "u-1"}),
        (e.RequestIdReused("amount"), "REQUEST_ID_REUSED", {"field": "amount"}),
        (
            e.PaymentReferenceUsed("p-1", "a-1"), "PAYMENT_REFERENCE_USED",
            {"payment_reference": "p-1", "rail_account": "a-1"},
        ),
        (e.IllegalState("ILLEGAL_TRANSITION", "no", "SETTLED"), "ILLEGAL_TRANSITION",
         {"state": "SETTLED"}),
        (e.VersionMismatch(1, 2), "VERSION_MISMATCH", {"expected_version": "1", "version": "2"}),
        (e.Exhausted("QUEUE_FULL", "full", 50), "QUEUE_FULL", {}),
        (e.Unavailable("CONTENTION", "retry"), "CONTENTION", {}),
        (e.DeadlineTooNear(), "DEADLINE_TOO_NEAR", {}),
        (e.InternalFault("f-1"), "INTERNAL", {"fault_id": "f-1"}),
        (e.InvariantBroken("a balance"), "INVARIANT_BROKEN", {}),
    ],
)  # fmt: skip
def test_every_error_has_a_stable_reason(
    error: e.FreeholdError, reason: str, metadata: dict[str, str]
) -> None:
    """Each error has its stable reason and metadata, and its text is its message."""
    assert (error.reason, error.metadata) == (reason, metadata)
    assert str(error) == error.message


def test_texts_name_no_person() -> None:
    """No text names a person or a payment; only the metadata may."""
    kinds = ("user", "authorization", "line", "case", "charge_back", "payment", "transfer", "pass")
    unknown = [e.NotFound(it, "u-1") for it in kinds]
    for error in (*unknown, e.PaymentReferenceUsed("p-1", "a-1")):
        assert not {"u-1", "p-1", "a-1"} & set(str(error).split())
    assert str(e.NotFound("tariff", "bank")) == "tariff not found: bank"


@pytest.mark.parametrize(("count", "text"), [(0, "message"), (20, "f19"), (23, "and 3 more")])
def test_an_invalid_input_names_its_fields(count: int, text: str) -> None:
    """Invalid input names its fields, at most twenty of them, and keeps every violation."""
    error = e.InvalidInput([e.Violation(f"f{n}", "rule", "why") for n in range(count)])
    assert str(error).endswith(text)
    assert len(error.violations) == count
