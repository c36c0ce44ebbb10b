"""Signed call-backs of a payment rail."""

from __future__ import annotations

import json

import pytest

from service.domain.errors import InvalidInput, Unauthenticated
from service.engine.records.transfers import TransferState
from service.rails import callbacks
from service.rails.callbacks import RailReport, sign, write_report

SECRET = b"s" * 32
NOW_S = 1_780_272_000
TOLERANCE_S = 300
REPORT = RailReport("u-1", "0" * 20, TransferState.FAILED, "INSUFFICIENT_FUNDS")


def read(body: bytes, signature: str, secret: bytes, now_s: int) -> RailReport:
    """A reader that accepts signatures up to five minutes old."""
    return callbacks.read_report(body, signature, secret, now_s, TOLERANCE_S)


def test_a_signed_report_is_read_unchanged() -> None:
    """A report that the rail signed is read word for word."""
    body = write_report(REPORT)
    assert read(body, sign(body, SECRET, NOW_S), SECRET, NOW_S) == REPORT


@pytest.mark.parametrize("off_s", [-TOLERANCE_S, TOLERANCE_S])
def test_a_signature_counts_for_five_minutes(off_s: int) -> None:
    """A signature up to five minutes old or ahead is accepted; one second more is refused."""
    body = write_report(REPORT)
    assert read(body, sign(body, SECRET, NOW_S), SECRET, NOW_S + off_s) == REPORT
    beyond = off_s + (1 if off_s > 0 else -1)
    with pytest.raises(Unauthenticated) as refused:
        read(body, sign(body, SECRET, NOW_S), SECRET, NOW_S + beyond)
    assert refused.value.reason == "SIGNATURE_OUT_OF_TIME"


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        ("", "SIGNATURE_MALFORMED"),
        ("v1=00", "SIGNATURE_MALFORMED"),
        (f"t={NOW_S},v1={'0' * 64}", "SIGNATURE_WRONG"),
        (sign(write_report(REPORT), b"another secret" * 2, NOW_S), "SIGNATURE_WRONG"),
        (sign(write_report(REPORT) + b" ", SECRET, NOW_S), "SIGNATURE_WRONG"),
        (
            sign(write_report(REPORT), SECRET, NOW_S).replace("t=1", "t=2"),
            "SIGNATURE_WRONG",
        ),
    ],
)
def test_other_signatures_are_refused(signature: str, reason: str) -> None:
    """A signature that is malformed, by another secret, or over another body or time is refused."""
    with pytest.raises(Unauthenticated) as refused:
        read(write_report(REPORT), signature, SECRET, NOW_S)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"[" * 4_000,
        b"null",
        json.dumps({"user_id": "u", "transfer_id": "t"}).encode(),
        json.dumps({"user_id": "u", "transfer_id": "t", "state": "SENT"}).encode(),
        json.dumps({"user_id": "u", "transfer_id": "t", "state": []}).encode(),
        json.dumps({"user_id": 1, "transfer_id": "t", "state": "FAILED"}).encode(),
        json.dumps({"user_id": "a/b", "transfer_id": "t", "state": "FAILED"}).encode(),
        json.dumps({"user_id": "u", "transfer_id": "t", "state": "FAILED", "detail": 1}).encode(),
    ],
)
def test_a_signed_body_must_be_a_report(body: bytes) -> None:
    """A signed body that is not a report is INVALID_ARGUMENT, whatever it contains."""
    with pytest.raises(InvalidInput):
        read(body, sign(body, SECRET, NOW_S), SECRET, NOW_S)


def test_the_rails_text_is_made_storable() -> None:
    """Characters of the rail's text that cannot be stored or shown are replaced, not refused."""
    body = b'{"user_id": "u", "transfer_id": "t", "state": "FAILED", "detail": "a\\ud83d\\u0000b"}'
    assert read(body, sign(body, SECRET, NOW_S), SECRET, NOW_S).detail == "a??b"


def test_r16_the_rails_text_keeps_joiners() -> None:
    """R16: the joiners U+200C and U+200D, which Persian and emoji are written with, are kept in the
    rail's text; other invisible characters are replaced."""
    body = write_report(REPORT._replace(detail="نمی\u200cشود \U0001f469\u200d\U0001f680 \u202e"))
    kept = read(body, sign(body, SECRET, NOW_S), SECRET, NOW_S).detail
    assert kept == "نمی\u200cشود \U0001f469\u200d\U0001f680 ?"


def test_the_rails_text_is_cut() -> None:
    """At most 200 characters of the rail's text are kept."""
    body = write_report(REPORT._replace(detail="x" * 1_000))
    assert read(body, sign(body, SECRET, NOW_S), SECRET, NOW_S).detail == "x" * 200
