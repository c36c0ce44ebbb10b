"""The chain of hashes through the entries of a line, and that of the seals over their heads.

A link is a SHA-256 over the link before it and the entry, in which a keyed hash stands for the
person: whoever is erased leaves a chain that still verifies and names nobody. A seal's digest
covers the seal before it and the heads of lines, and names nobody either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

NO_LINK = b""
"""What stands before the first link."""
SUBJECT_BYTES = 16


def subject_of(user_id: str, subject_key: bytes) -> bytes:
    """What stands for a person in the chain: a keyed hash of the id, 16 bytes."""
    return hashlib.blake2b(
        user_id.encode(), key=subject_key, digest_size=SUBJECT_BYTES, person=b"freehold.subject"
    ).digest()


def link_of(previous: bytes, subject: bytes, entry: Sequence[object]) -> bytes:
    """The link of an entry: 32 bytes over the previous link, the subject and the entry.

    `entry` is a `ledger.Entry`; all of it counts but the person's id, which comes first, and
    the link itself, which comes last.
    """
    # No value holds a line feed, so that no two entries have the same text.
    text = _TEXT % tuple(entry[1:-1])
    return hashlib.sha256(previous + subject + text.encode()).digest()


# One format for all fields at once takes half as long as joining their texts.
_TEXT = "\n".join(["%s"] * 14)


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
