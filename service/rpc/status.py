"""Maps Freehold's errors to gRPC status codes and the details that clients read."""

from __future__ import annotations

from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from service.domain.errors import (
    ActRefused,
    AssetInUse,
    AssetSold,
    BusinessReferenceReused,
    ConsentRequired,
    DeadlineTooNear,
    Exhausted,
    FreeholdError,
    IllegalState,
    InternalFault,
    InvalidInput,
    NotFound,
    OperatorOwes,
    PaymentReferenceUsed,
    PermissionDenied,
    PriceChanged,
    ProductMisconfigured,
    ProductRetired,
    RequestIdReused,
    TermsDamaged,
    Unauthenticated,
    Unavailable,
    VersionMismatch,
)

DOMAIN = "freehold"
DETAILS_KEY = "grpc-status-details-bin"

# Trailers are limited to 8 KiB; a client would see another error for a longer one.
MOST_VIOLATIONS = 16
MOST_CHARACTERS = 120

CODES: dict[type[FreeholdError], StatusCode] = {
    InvalidInput: StatusCode.INVALID_ARGUMENT,
    Unauthenticated: StatusCode.UNAUTHENTICATED,
    PermissionDenied: StatusCode.PERMISSION_DENIED,
    NotFound: StatusCode.NOT_FOUND,
    RequestIdReused: StatusCode.ALREADY_EXISTS,
    PaymentReferenceUsed: StatusCode.ALREADY_EXISTS,
    BusinessReferenceReused: StatusCode.ALREADY_EXISTS,
    ActRefused: StatusCode.FAILED_PRECONDITION,
    IllegalState: StatusCode.FAILED_PRECONDITION,
    AssetInUse: StatusCode.FAILED_PRECONDITION,
    AssetSold: StatusCode.FAILED_PRECONDITION,
    ProductMisconfigured: StatusCode.FAILED_PRECONDITION,
    TermsDamaged: StatusCode.FAILED_PRECONDITION,
    ProductRetired: StatusCode.FAILED_PRECONDITION,
    ConsentRequired: StatusCode.FAILED_PRECONDITION,
    OperatorOwes: StatusCode.FAILED_PRECONDITION,
    PriceChanged: StatusCode.FAILED_PRECONDITION,
    VersionMismatch: StatusCode.ABORTED,
    Exhausted: StatusCode.RESOURCE_EXHAUSTED,
    Unavailable: StatusCode.UNAVAILABLE,
    DeadlineTooNear: StatusCode.DEADLINE_EXCEEDED,
    InternalFault: StatusCode.INTERNAL,
}


def code_of(error: FreeholdError) -> StatusCode:
    """The gRPC status code of an error."""
    return CODES.get(type(error), StatusCode.INTERNAL)


def text_of(error: FreeholdError) -> str:
    """The error's message for callers, cut to fit a trailer."""
    return error.message[: 2 * MOST_CHARACTERS]


def details_of(error: FreeholdError) -> bytes:
    """A serialized google.rpc.Status: ErrorInfo, and BadRequest or RetryInfo if they apply."""
    details = [
        _any(
            error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
        )
    ]
    if isinstance(error, InvalidInput):
        bad = error_details_pb2.BadRequest()
        for violation in error.violations[:MOST_VIOLATIONS]:
            bad.field_violations.add(
                field=violation.field[:MOST_CHARACTERS],
                reason=violation.rule,
                description=violation.description[:MOST_CHARACTERS],
            )
        details.append(_any(bad))
    if isinstance(error, Exhausted | Unavailable) and error.retry_after_ms is not None:
        delay = Duration()
        delay.FromMilliseconds(error.retry_after_ms)
        details.append(_any(error_details_pb2.RetryInfo(retry_delay=delay)))
    code: int = code_of(error).value[0]
    status = status_pb2.Status(code=code, message=text_of(error), details=details)
    serialized: bytes = status.SerializeToString()
    return serialized


def _any(
    message: (
        error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo
    ),
) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
