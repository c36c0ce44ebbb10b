"""The chain of hashes through the entries of a line, and that of the seals over their heads.

A link is a SHA-256 over the link before it and the entry, in which a keyed hash stands for the
person: whoever is erased leaves a chain that still verifies and names nobody. A seal's digest
covers the seal before it and the heads of lines, and names nobody either.

Each entry says in which format its link is written, so that formats may follow each other within
a line. Format 1 covers the 14 fields from the currency to the ledger's time. Format 2 covers its
own number besides, and so does every later one: a link of one format is no link of another. A new
field of entries needs a new format that covers it, and leaves the links of earlier formats alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

NO_LINK = b""
"""What stands before the first link."""
LINK_FORMAT = 2
"""The format of the links that this build writes."""
SUBJECT_BYTES = 16


def subject_of(user_id: str, subject_key: bytes) -> bytes:
    """What stands for a person in the chain: a keyed hash of the id, 16 bytes."""
    return hashlib.blake2b(
        user_id.encode(), key=subject_key, digest_size=SUBJECT_BYTES, person=b"freehold.subject"
    ).digest()


def link_of(previous: bytes, subject: bytes, entry: Sequence[Any]) -> bytes:
    """The link of an entry: 32 bytes over the previous link, the subject and the entry.

    `entry` is a `ledger.Entry`, or a row of its table; the format that it names decides what is
    covered, never its link. Raises KeyError for a format that this build does not know.
    """
    # No value holds a line feed, so that no two entries have the same text.
    text = _TEXTS[entry[_FORMAT_PLACE]] % tuple(entry[_COVERED])
    return hashlib.sha256(previous + subject + text.encode()).digest()


# Where an entry has the fields from the currency to the ledger's time, and its link's format.
_COVERED = slice(1, 15)
_FORMAT_PLACE = 16
# One template for all fields at once takes half as long as joining their texts.
_FIELDS = "\n".join(["%s"] * 14)
# A currency has three letters, so that no text of format 1 begins like one of another.
_TEXTS = {1: _FIELDS, 2: f"2\n{_FIELDS}"}
LINK_FORMATS = frozenset(_TEXTS)
"""The formats of links that this build reads."""


def seal_digest(
    number: int,
    previous: bytes,
    seal_us: int,
    outbox_sequence: int,
    heads: Iterable[tuple[int, bytes]],
) -> bytes:
    """What a seal signs: 32 bytes over the seal before it and (version, head) of each line.

    The heads come in ascending order of their bytes, so that nobody's id decides the order.
    """
    digest = hashlib.sha256(b"freehold.seal\n")
    digest.update(b"%d %d %d %d\n" % (number, seal_us, outbox_sequence, len(previous)))
    digest.update(previous)
    for version, head in heads:
        digest.update(b"%d %d\n" % (version, len(head)))
        digest.update(head)
    return digest.digest()
