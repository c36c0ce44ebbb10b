"""Seals over the heads of lines."""

from __future__ import annotations

from typing import NamedTuple


class SealedHead(NamedTuple):
    """The head of a line's chain at a version, under a seal."""

    user_id: str
    currency: str
    version: int
    head: bytes


class SealRecord(NamedTuple):
    """A signature over the heads of changed lines; seals are chained, as entries are.

    `digest` covers the number, the seal before it, the time and the heads in their order. The seal
    has read the outbox up to `outbox_sequence`.
    """

    number: int
    previous: bytes
    digest: bytes
    signature: bytes
    key_id: str
    seal_us: int
    outbox_sequence: int
    heads: tuple[SealedHead, ...]
