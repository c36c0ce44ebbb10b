"""Reads beside the writer, for the wire: one row, a page of a list, the past of a line."""

from __future__ import annotations

from typing import Generic, NamedTuple, Protocol, TypeVar

from service.domain.authorization import Authorization, State
from service.domain.ledger import Entry, Line, LineAt
from service.engine.records.transfers import TransferRecord, TransferState
from service.engine.records.users import UserRecord

Row = TypeVar("Row")


class Place(NamedTuple):
    """A row's place in a list: rows stand in the order of their arrival, then of their ids.

    `arrival` is the number that the database gave the row, 0 where it gives none. As a text, which
    is what page tokens hold, a place is `ID` or `ID.ARRIVAL`.
    """

    arrival: int
    id: str

    def __str__(self) -> str:
        return f"{self.id}.{self.arrival}" if self.arrival else self.id

    @classmethod
    def read(cls, text: str) -> Place:
        """The place of a text; raises ValueError for another text.

        A build that knew no arrivals made texts without them. Its lists go on with rows that may
        have been on an earlier page; none is left out.
        """
        identifier, _, arrival = text.partition(".")
        return cls(int(arrival or 0), identifier)


START = Place(0, "")
"""The place before the first row of any list."""


class Page(NamedTuple, Generic[Row]):
    """Some rows of a list; `last` is the place of the last one where more follow, else None."""

    rows: list[Row]
    last: Place | None


class AuthorizationReader(Protocol):
    """Reads authorizations outside any write transaction."""

    def authorization(self, user_id: str, authorization_id: str) -> Authorization | None:
        """One authorization as it stands."""
        ...


class ProfileReader(Protocol):
    """Reads people outside any write transaction."""

    def person(self, user_id: str, currency: str) -> tuple[UserRecord, Line | None] | None:
        """One person and the line in this currency, as they stood at one instant."""
        ...


class ListReader(Protocol):
    """Reads pages of lists, outside any write transaction."""

    def authorizations(
        self, operator_id: str, *, after: Place, size: int, user_id: str, state: State | None
    ) -> Page[Authorization]:
        """A page of an operator's authorizations, of one person or in one state if asked."""
        ...

    def reviews(self, *, after: Place, size: int) -> Page[Authorization]:
        """A page of everybody's authorizations in REVIEW."""
        ...

    def transfers(
        self, user_id: str, *, after: Place, size: int, state: TransferState | None
    ) -> Page[TransferRecord]:
        """A page of a person's transfers, or of everybody's."""
        ...


class HistoryReader(Protocol):
    """Reads entries and past balances, outside any write transaction."""

    def line_at(
        self, user_id: str, currency: str, known_us: int | None, happened_us: int | None
    ) -> LineAt | None:
        """Balances by the entries written, and of what happened, by these instants."""
        ...

    def entries(self, user_id: str, currency: str, *, after: Place, size: int) -> Page[Entry]:
        """A page of a line's entries; the id of an entry's place is its sequence."""
        ...
