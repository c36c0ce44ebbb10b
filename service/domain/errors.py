"""The tree of errors.

    FreeholdError
    ├── InvalidInput            malformed, missing, out of range: one violation for each field
    ├── Unauthenticated         no key, unknown key, revoked key
    ├── PermissionDenied        the key lacks a scope
    ├── ActRefused              an act of administration, or one that needs a second person
    ├── NotFound                no such resource for this caller
    ├── RequestIdReused         the request id was used before, with another body
    ├── PaymentReferenceUsed    the rail account's payment was recorded before
    ├── BusinessReferenceReused the operator's own reference was used before in this rental
    ├── IllegalState            the state does not allow the command
    │   ├── AssetInUse          the item is in an open rental
    │   └── AssetSold           the item counts as sold
    ├── ProductMisconfigured    the product's terms make no sense; nothing else is affected
    ├── TermsDamaged            a stored document of terms was changed outside Freehold
    ├── ProductRetired          the operator no longer rents the product out
    ├── ConsentRequired         the damage is above what is charged without the user's consent
    ├── OperatorOwes            the operator owes Freehold too much for new rentals
    ├── PriceChanged            the user was shown another price than the one in force
    ├── VersionMismatch         the expected version is stale
    ├── Exhausted               line, queue or quota is used up
    ├── Unavailable             not done, or unknown: retry with the same request id
    ├── DeadlineTooNear         refused before the write
    ├── TermsUnusable           the platform's own terms make no sense; the server does not start
    ├── ClockUnproven           the machine's clock may be wrong; the server does not start
    ├── InternalFault           a defect; the text carries an id and nothing else
    └── InvariantBroken         a defect found by a check; answered as InternalFault

Each error has a stable `reason` (upper snake case) and string `metadata`; `rpc/status.py` has
the one table from this tree to gRPC status codes. Texts never hold personal data, SQL or
secrets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class FreeholdError(Exception):
    """The root of the tree; it is never raised itself."""

    since_us: int | None = None
    """For a kept refusal that is given again: when it was first given, in microseconds."""

    def __init__(
        self, reason: str, message: str, metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata: dict[str, str] = dict(metadata or {})

    def advise(self, text: str) -> None:
        """Adds to the text what the caller may do next."""
        self.message = f"{self.message}; {text}"
        self.args = (self.message,)

    def about(self, authorization: str) -> None:
        """Adds the resource name of the authorization that the refusal is about."""
        if self.metadata.setdefault("authorization", authorization) == authorization:
            self.message = f"{self.message}: {authorization}"
            self.args = (self.message,)


class Violation(NamedTuple):
    """One broken input rule: the field's path, a stable rule id, a sentence."""

    field: str
    rule: str
    description: str


class InvalidInput(FreeholdError):
    """The request itself is wrong; a retry cannot help."""

    def __init__(self, violations: Sequence[Violation], reason: str = "INVALID_INPUT") -> None:
        fields = [violation.field for violation in violations] or ["message"]
        more = f" and {len(fields) - 20} more" if len(fields) > 20 else ""
        super().__init__(reason, f"invalid input: {', '.join(fields[:20])}{more}")
        self.violations = tuple(violations)

    @classmethod
    def of(cls, field: str, rule: str, description: str) -> InvalidInput:
        """An error with a single violation."""
        return cls([Violation(field, rule, description)])


class Unauthenticated(FreeholdError):
    """The caller has no key, an unknown key or a revoked key."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)


class PermissionDenied(FreeholdError):
    """The caller's key lacks `scope`."""

    def __init__(self, scope: str) -> None:
        super().__init__("SCOPE_MISSING", f"the key lacks the scope {scope}", {"scope": scope})


class ActRefused(FreeholdError):
    """The state of keys, persons and approvals does not allow the act."""


def approval_required(method: str) -> ActRefused:
    """The refusal of a call that a second person must approve first."""
    return ActRefused(
        "APPROVAL_REQUIRED",
        f"a second person must approve this {method}: send ProposeAct, let another person send"
        " ApproveAct, and send this call again with the metadata freehold-approval",
        {"method": method},
    )


def malformed_token() -> InvalidInput:
    """The refusal of a page token that no answer had."""
    return InvalidInput.of(
        "page_token", "page_token.form", "must be the next_page_token of an answer"
    )


NAMED_KINDS = frozenset(
    {"operator", "product", "tariff", "policy", "limits", "bounds", "terms", "key", "model",
     "finding", "proposal"}
)  # fmt: skip
"""The kinds of things that a text may name. Texts go to logs, so the names of people, of their
rentals and of payments stand only in the metadata."""


class NotFound(FreeholdError):
    """The resource does not exist, or the caller may not know that it exists."""

    def __init__(self, kind: str, name: str, near: str | None = None, of: str = "") -> None:
        """`near` is a name that exists and that the caller may have meant. `of` says where a name
        that a text may have was looked for, such as "the product bike"."""
        text = f"{kind} not found"
        if name and (of or kind in NAMED_KINDS):
            text += f": {name}"
        if of:
            text += f" of {of}"
        if near is not None:
            text += f": did you mean {near}?"
        super().__init__(f"{kind.upper()}_NOT_FOUND", text, {kind: name})


class RequestIdReused(FreeholdError):
    """The request id was used before, for another method or body."""

    def __init__(self, field: str) -> None:
        super().__init__(
            "REQUEST_ID_REUSED",
            f"the request id was used before with another {field}",
            {"field": field},
        )


class PaymentReferenceUsed(FreeholdError):
    """The payment was recorded before: a reference counts once for its rail account.

    The payment rail itself reports its transfers, so their ids are used from the beginning.
    `rail_account` is the account's resource name.
    """

    def __init__(self, reference: str, rail_account: str) -> None:
        super().__init__(
            "PAYMENT_REFERENCE_USED",
            "the payment reference was recorded before for this rail account, or the payment rail"
            " reports it itself",
            {"payment_reference": reference, "rail_account": rail_account},
        )


class BusinessReferenceReused(FreeholdError):
    """The operator used its own reference before, for the same rental.

    `first` is "capture", "correction" or "debt", and `name` the number or name of that row.
    """

    def __init__(self, reference: str, first: str, name: int | str) -> None:
        super().__init__(
            "BUSINESS_REFERENCE_REUSED",
            f"this rental has the business reference already, at {first} {name}",
            {"business_reference": reference, first: str(name)},
        )


class IllegalState(FreeholdError):
    """The command is not allowed in the authorization's present state."""

    def __init__(self, reason: str, message: str, state: str) -> None:
        super().__init__(reason, message, {"state": state})


class AssetInUse(IllegalState):
    """The item is in another open rental of its operator, under any product.

    `holder` is the user id and the authorization id of that rental.
    """

    def __init__(self, asset_id: str, user_id: str, authorization_id: str) -> None:
        self.holder = (user_id, authorization_id)
        name = f"users/{user_id}/authorizations/{authorization_id}"
        text = f"the item {asset_id} is in another open rental"
        super().__init__("ASSET_IN_USE", text, "IN_USE")
        self.metadata["asset"] = asset_id
        self.about(name)

    def of_product(self, product_id: str) -> None:
        """Adds the product of the rental that has the item."""
        self.metadata["product"] = product_id
        self.message = f"{self.message} of the product {product_id}"
        self.args = (self.message,)


class AssetSold(IllegalState):
    """The item counts as sold in an earlier rental of its operator, until ReportFound."""

    def __init__(self, asset_id: str, user_id: str, authorization_id: str) -> None:
        text = f"the item {asset_id} counts as sold; call ReportFound for its rental first"
        super().__init__("ASSET_SOLD", text, "SOLD")
        self.metadata["asset"] = asset_id
        self.about(f"users/{user_id}/authorizations/{authorization_id}")


class ProductMisconfigured(FreeholdError):
    """The terms of a product make no sense: it cannot be rented out."""

    def __init__(self, product_id: str) -> None:
        super().__init__(
            "PRODUCT_MISCONFIGURED",
            "the product's terms are wrong; the platform must correct them",
            {"product": product_id},
        )


class TermsDamaged(FreeholdError):
    """A stored document of terms is not the one that was applied."""

    def __init__(self, kind: str, name: str, revision: int) -> None:
        super().__init__(
            "TERMS_DAMAGED",
            f"revision {revision} of the {kind} {name} was changed in the database; the platform"
            " must restore it from a backup",
            {"kind": kind, "name": name, "revision": str(revision)},
        )


class ProductRetired(FreeholdError):
    """The operator no longer rents the product out; its open rentals go on."""

    def __init__(self, product_id: str) -> None:
        super().__init__(
            "PRODUCT_RETIRED",
            "the product was retired: rent another one, or activate its terms again",
            {"product": product_id},
        )


class OperatorOwes(FreeholdError):
    """The operator owes Freehold more than its bound, in minor units of the currency."""

    def __init__(self, currency: str, owed_minor: int, limit_minor: int) -> None:
        super().__init__(
            "OPERATOR_OWES",
            f"the operator owes {owed_minor}, but at most {limit_minor} is allowed: it gets"
            " new rentals once it has paid or earned the difference",
            {
                "currency": currency,
                "owed_minor": str(owed_minor),
                "debt_limit_minor": str(limit_minor),
            },
        )


class ConsentRequired(FreeholdError):
    """Damage to one rental is above the amount that is charged without the user's consent.

    Amounts are minor units: `bound_minor` in all, `left_minor` of it before this charge.
    """

    def __init__(self, bound_minor: int, left_minor: int) -> None:
        super().__init__(
            "CONSENT_REQUIRED",
            f"without the user's consent at most {left_minor} more may be charged for damage to"
            " this rental: ask the user, and send user_consent_reference",
            {"without_consent_minor": str(bound_minor), "left_minor": str(left_minor)},
        )


class PriceChanged(FreeholdError):
    """The price that the user was shown is not the price in force."""

    def __init__(self, product_id: str, in_force: str) -> None:
        super().__init__(
            "PRICE_CHANGED",
            "the price shown is not the price in force; show the new price and ask again",
            {"product": product_id, "price_hash": in_force},
        )


class TermsUnusable(FreeholdError):
    """Terms that every call needs make no sense."""

    def __init__(self, why: str) -> None:
        super().__init__("TERMS_UNUSABLE", why)


class ClockUnproven(FreeholdError):
    """The machine's clock is far ahead of everything recorded; it must be confirmed."""

    def __init__(self, why: str) -> None:
        super().__init__("CLOCK_UNPROVEN", why)


class VersionMismatch(FreeholdError):
    """The authorization changed after the caller read it."""

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(
            "VERSION_MISMATCH",
            f"the authorization has version {actual}, not {expected}; read it again",
            {"expected_version": str(expected), "version": str(actual)},
        )


class Exhausted(FreeholdError):
    """A limited resource is used up; `retry_after_ms` says when a retry may help."""

    def __init__(self, reason: str, message: str, retry_after_ms: int | None = None) -> None:
        super().__init__(reason, message)
        self.retry_after_ms = retry_after_ms


UNKNOWN = "it is unknown whether the call was committed; retry it with the same request id"


class Unavailable(FreeholdError):
    """The call was not done, or its outcome is unknown; retry with the same request id."""

    def __init__(self, reason: str, message: str, retry_after_ms: int | None = 100) -> None:
        super().__init__(reason, message)
        self.retry_after_ms = retry_after_ms


class DeadlineTooNear(FreeholdError):
    """The caller's deadline is too near; this attempt wrote nothing."""

    def __init__(self) -> None:
        super().__init__(
            "DEADLINE_TOO_NEAR", "the deadline is too near; retry with a later deadline"
        )


class InternalFault(FreeholdError):
    """A defect in Freehold; the log has the details under `fault_id`."""

    def __init__(self, fault_id: str) -> None:
        super().__init__("INTERNAL", f"internal fault {fault_id}", {"fault_id": fault_id})


class InvariantBroken(FreeholdError):
    """A rule that the code guarantees is broken; nothing may be written."""

    def __init__(self, message: str) -> None:
        super().__init__("INVARIANT_BROKEN", message)
