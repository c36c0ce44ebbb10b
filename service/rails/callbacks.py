"""Signed call-backs: a rail's reports of transfers, which others cannot forge.

The signature is `t=SECONDS,v1=HEX`: an HMAC-SHA256, with a secret shared with the rail, of the
seconds since the epoch, a full stop and the body. A rail repeats a report until it is acknowledged;
a repeated report changes nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import NamedTuple

from service.domain.errors import InvalidInput, Unauthenticated
from service.engine.records.transfers import TransferState

SECRET_BYTES = 16
"""The least length of a secret, in bytes."""

_SIGNATURE = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})")
_SAID = {
    str(state): state
    for state in (TransferState.SUCCEEDED, TransferState.FAILED, TransferState.RETURNED)
}
_ID = re.compile(r"[A-Za-z0-9._:~-]{1,64}")
_LONGEST_DETAIL = 200
_JOINERS = "\u200c\u200d"
"""Invisible characters that Persian and emoji are written with."""


class RailReport(NamedTuple):
    """The outcome of a transfer: SUCCEEDED, FAILED or RETURNED, with the rail's own text."""

    user_id: str
    transfer_id: str
    state: TransferState
    detail: str


def write_report(report: RailReport) -> bytes:
    """The body of a call-back: JSON in UTF-8."""
    return json.dumps({**report._asdict(), "state": str(report.state)}).encode()


def sign(body: bytes, secret: bytes, now_s: int) -> str:
    """The signature of a body at an instant; `now_s` counts seconds since the epoch."""
    return f"t={now_s},v1={_mac(body, secret, now_s)}"


def _mac(body: bytes, secret: bytes, seconds: int) -> str:
    return hmac.new(secret, b"%d.%b" % (seconds, body), hashlib.sha256).hexdigest()


def read_report(
    body: bytes, signature: str, secret: bytes, now_s: int, tolerance_s: float
) -> RailReport:
    """The report in a signed body; its signature may be `tolerance_s` old, or ahead of the clock.

    Raises Unauthenticated if the signature is not the rail's, or if it is too old or too far ahead.
    Raises InvalidInput if the body is not a report.
    """
    parts = _SIGNATURE.fullmatch(signature)
    if parts is None:
        raise Unauthenticated(
            "SIGNATURE_MALFORMED", "the signature must have the form t=SECONDS,v1=HEX"
        )
    seconds = int(parts[1])
    if not hmac.compare_digest(parts[2], _mac(body, secret, seconds)):
        raise Unauthenticated(
            "SIGNATURE_WRONG", "the signature is not the rail's: check the secret"
        )
    if abs(now_s - seconds) > tolerance_s:
        raise Unauthenticated(
            "SIGNATURE_OUT_OF_TIME",
            "the signature's time is too far from the server's clock: sign again",
        )
    try:
        said = json.loads(body)
        report = RailReport(
            said["user_id"], said["transfer_id"], _SAID[said["state"]], said.get("detail", "")
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput.of(
            "body", "body.form", "must be the JSON report of a transfer"
        ) from error
    names = (report.user_id, report.transfer_id)
    if not all(isinstance(name, str) and _ID.fullmatch(name) for name in names):
        raise InvalidInput.of("body", "body.form", "must name a transfer")
    if not isinstance(report.detail, str):
        raise InvalidInput.of("body", "body.form", "detail must be a string")
    # The rail's text is stored and shown, so unprintable characters are replaced.
    printable = "".join([it if it.isprintable() or it in _JOINERS else "?" for it in report.detail])
    return report._replace(detail=printable[:_LONGEST_DETAIL])
