"""Seals over the heads of lines."""

from __future__ import annotations

from typing import NamedTuple


class SealedHead(NamedTuple):
    """The head of a line's chain as it stood at a version, under a seal."""

    user_id: str
    currency: str
    version: int
    head: bytes


class SealRecord(NamedTuple):
    """A signature over the heads of lines that changed; seals are chained as entries are.

    `digest` covers the number, the seal before it, the time and the heads in their order; the
    outbox up to `outbox_sequence` has been looked at.
    """

    number: int
    previous: bytes
    digest: bytes
    signature: bytes
    key_id: str
    seal_us: int
    outbox_sequence: int
    heads: tuple[SealedHead, ...]
