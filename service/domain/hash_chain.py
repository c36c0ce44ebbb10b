"""The hash chain of a line's entries, and the hash chain of the seals over lines.

A link is the SHA-256 of the previous link and the entry, in which a keyed hash replaces the
person's id. When a person is erased, the chain still verifies and does not name the person. A
seal's digest covers the previous seal and the heads of lines; it names no person either.

Each entry names the format of its link, so that one line may have links of several formats. Format
1 covers the 14 fields from the currency to the ledger time. From format 2 on, the link also covers
the number of its format: a link of one format is never valid in another. If entries get a new
field, a new format must cover the field; links of earlier formats do not change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

NO_LINK = b""
"""The link before the first entry."""
LINK_FORMAT = 2
"""The format of the links that this build writes."""
SUBJECT_BYTES = 16


def subject_of(user_id: str, subject_key: bytes) -> bytes:
    """The person's stand-in in the chain: a keyed hash of the id, 16 bytes."""
    return hashlib.blake2b(
        user_id.encode(), key=subject_key, digest_size=SUBJECT_BYTES, person=b"freehold.subject"
    ).digest()


def link_of(previous: bytes, subject: bytes, entry: Sequence[Any]) -> bytes:
    """The link of an entry: 32 bytes over the previous link, the subject and the entry.

    `entry` is a `ledger.Entry` or a row of its table. Its `link_format` decides which fields the
    hash covers; its own `link` is never covered. Raises KeyError for a format that this build does
    not know.
    """
    # No value contains a line feed, so different entries have different texts.
    text = _TEXTS[entry[_FORMAT_PLACE]] % tuple(entry[_COVERED])
    return link_over(previous, subject, text)


def link_over(previous: bytes, subject: bytes, text: str) -> bytes:
    """The link of an entry with this text: 32 bytes."""
    return hashlib.sha256(previous + subject + text.encode()).digest()


class SharedTexts(NamedTuple):
    """The parts of an entry's text that all entries of one transaction share.

    The text of an entry is `before`, the sequence, `between`, then book, accounts, amount and
    balances with a line feed after each, and `after`.
    """

    before: str
    between: str
    after: str


def shared_texts(
    link_format: int,
    currency: str,
    first: int,
    head: Sequence[str],
    times: Sequence[int],
) -> SharedTexts:
    """The texts of a transaction: `first` is its first sequence, `head` has the operator, the
    authorization and the transition, `times` the event time and the ledger time."""
    operator_id, authorization_id, transition = head
    event_us, ledger_us = times
    return SharedTexts(
        f"{_HEADS[link_format]}{currency}\n",
        f"\n{first}\n{operator_id}\n{authorization_id}\n{transition}\n",
        f"{event_us}\n{ledger_us}",
    )


# The places of the covered fields (currency to ledger time) and of `link_format` in an entry.
_COVERED = slice(1, 15)
_FORMAT_PLACE = 16
# Formatting one template takes half as long as joining the texts of the fields.
_FIELDS = "\n".join(["%s"] * 14)
# A currency has three letters, so no text of format 1 begins like a text of another format.
_HEADS = {1: "", 2: "2\n"}
_TEXTS = {number: head + _FIELDS for number, head in _HEADS.items()}
LINK_FORMATS = frozenset(_TEXTS)
"""The formats of links that this build reads."""


def seal_digest(
    number: int,
    previous: bytes,
    seal_us: int,
    outbox_sequence: int,
    heads: Iterable[tuple[int, bytes]],
) -> bytes:
    """The digest of a seal: 32 bytes over the previous seal and each line's (version, head).

    The heads come in ascending order of their bytes, so that the order depends on no id.
    """
    digest = hashlib.sha256(b"freehold.seal\n")
    digest.update(b"%d %d %d %d\n" % (number, seal_us, outbox_sequence, len(previous)))
    digest.update(previous)
    for version, head in heads:
        digest.update(b"%d %d\n" % (version, len(head)))
        digest.update(head)
    return digest.digest()
