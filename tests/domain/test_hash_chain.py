"""The links of entries: every format that was ever written stays readable."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.hash_chain import LINK_FORMAT, LINK_FORMATS, NO_LINK, link_of
from service.domain.ledger import Account, Book, Entry
from service.domain.transitions import Transition

ENTRY = Entry(
    user_id="u-1",
    currency="CNY",
    sequence=2,
    transaction_sequence=2,
    operator_id="city",
    authorization_id="a-1",
    transition=Transition.CAPTURED,
    book=Book.LINE,
    debit=Account.HELD,
    credit=Account.AVAILABLE,
    amount_minor=300,
    debit_after_minor=300,
    credit_after_minor=700,
    event_us=5,
    ledger_us=9,
    link=NO_LINK,
)
LINKS = {
    1: "cee243fb680e8ac66e841e131dcade47849ff08766d2bd5e523ba3a0062d4327",
    2: "10d50e8d6f4a7d9aa8e923d8d9f3873f3bc1cf2dcbcc89edabf1cdd6498efb1b",
}
"""The link of the entry in each format, as the first build with that format made it."""


def link(entry: Entry) -> bytes:
    """The entry's link after a fixed previous link."""
    return link_of(b"h" * 32, b"s" * 16, entry)


@pytest.mark.parametrize("link_format", sorted(LINK_FORMATS))
def test_a_format_never_changes(link_format: int) -> None:
    """Each format gives the same bytes as when it was introduced."""
    assert link(ENTRY._replace(link_format=link_format)).hex() == LINKS[link_format]


def test_every_format_ever_written_is_read() -> None:
    """This build reads every format from 1 to the format that it writes."""
    assert sorted(LINK_FORMATS) == sorted(LINKS) == list(range(1, LINK_FORMAT + 1))
    assert ENTRY.link_format == LINK_FORMAT


CHANGED: dict[type, Any] = {
    str: "x", int: 999, Transition: Transition.SETTLED, Book: Book.MONEY, Account: Account.CASH,
    bytes: b"another",
}  # fmt: skip
COVERED = [name for name in Entry._fields if name not in ("user_id", "link", "link_format")]


@pytest.mark.parametrize("link_format", sorted(LINK_FORMATS))
@pytest.mark.parametrize("name", COVERED)
def test_a_link_covers_every_field(name: str, link_format: int) -> None:
    """In each format, a change of any field except the person's id changes the link."""
    entry = ENTRY._replace(link_format=link_format)
    changed = entry._replace(**{name: CHANGED[type(getattr(entry, name))]})
    assert changed != entry
    assert link(changed) != link(entry)


WORDS = st.text(alphabet="abc.-0123456789", max_size=6)


@given(operator_id=WORDS, authorization_id=WORDS, sequence=st.integers(0, 3))
def test_links_of_two_formats_differ(
    operator_id: str, authorization_id: str, sequence: int
) -> None:
    """For any entry, the links of two formats differ, so an entry cannot pass as an entry of
    another format."""
    entry = ENTRY._replace(
        operator_id=operator_id, authorization_id=authorization_id, sequence=sequence
    )
    links = {link(entry._replace(link_format=it)) for it in LINK_FORMATS}
    assert len(links) == len(LINK_FORMATS)


def test_an_unknown_format_gives_no_link() -> None:
    """A format that this build does not know gives no link."""
    for unknown in (0, LINK_FORMAT + 1):
        with pytest.raises(KeyError):
            link(ENTRY._replace(link_format=unknown))
