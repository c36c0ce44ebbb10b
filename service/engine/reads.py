"""Reads outside the writer, for the wire: single rows, pages of lists, and the past of lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from service.domain.authorization import Authorization, State
from service.domain.cases import Case, CaseKind, CaseState, Evidence, Side
from service.domain.charge_backs import ChargeBack
from service.domain.lapses import Lapse
from service.domain.ledger import Entry, Line, LineAt
from service.domain.meter import Meter
from service.domain.suspense import SuspenseItem
from service.domain.tariff import AnyTariff
from service.domain.transitions import Transition
from service.engine.feature_values import Kind
from service.engine.records.attestations import AttestationRecord
from service.engine.records.captures import CaptureRecord, CorrectionRecord
from service.engine.records.consents import ConsentRecord
from service.engine.records.details import DetailsRecord
from service.engine.records.passes import PassRecord
from service.engine.records.transfers import TransferRecord, TransferState
from service.engine.records.users import UserRecord

Row = TypeVar("Row")


class Place(NamedTuple):
    """A row's place in a list; rows are in the order of their arrival, then of their ids.

    `arrival` is the number that the database gave the row, or 0 if it gave none. The text of a
    place, as page tokens of the platform and the rail hold it, is `ID` or `ID.ARRIVAL`.

    The arrival numbers count the rows of all operators. So a token of an operator names the row
    itself, by its id and its user, and the number is looked up.
    """

    arrival: int
    id: str
    user_id: str = ""

    def __str__(self) -> str:
        return f"{self.id}.{self.arrival}" if self.arrival else self.id

    @classmethod
    def read(cls, text: str) -> Place:
        """The place of a text. Raises ValueError for any other text.

        A text of an earlier build has no arrival number. The page after such a text may repeat rows
        of an earlier page, but leaves out no row.
        """
        identifier, _, arrival = text.partition(".")
        return cls(int(arrival or 0), identifier)


START = Place(0, "")
"""The place before the first row of any list."""


class Page(NamedTuple, Generic[Row]):
    """Some rows of a list; `last` is the last row's place if more rows follow, else None."""

    rows: list[Row]
    last: Place | None


class Told(NamedTuple):
    """An authorization with all rows that belong to it, as of one instant.

    Captures, corrections and attestations are in the order of their numbers. `reservation` is the
    resource name of the reservation that a late pick-up cites, or empty. Charge-backs are in the
    order in which they were recorded.
    """

    authorization: Authorization
    captures: list[CaptureRecord]
    corrections: list[CorrectionRecord]
    reservation: str = ""
    attestations: Sequence[AttestationRecord] = ()
    charge_backs: Sequence[ChargeBack] = ()
    details: DetailsRecord | None = None
    consents: Sequence[ConsentRecord] = ()


class CaseWithEvidence(NamedTuple):
    """A case as of one instant, with its evidence in the order of the numbers."""

    case: Case
    evidence: list[Evidence]


class CaseReader(Protocol):
    """Reads cases outside any write transaction."""

    def case(self, user_id: str, authorization_id: str, case_id: str) -> CaseWithEvidence | None:
        """One case with its evidence, or None."""
        ...


class CaseFilter(NamedTuple):
    """The filter of a list of cases. An empty operator means all operators; None and 0 do not
    filter."""

    operator_id: str
    state: CaseState
    kind: CaseKind | None
    waits_for: Side | None
    due_before_us: int
    user_id: str


class Docked(NamedTuple):
    """A settled rental with the tariff under which it began, and the step that settled it.

    `debt_minor` is the part of the fee above the hold that became a debt in this step. `free_us` is
    the time in which the policy allows a free cancellation, and `cancelling_minor` the product's
    fee for a later one.
    """

    told: Told
    tariff: AnyTariff
    transition: Transition
    event_us: int
    meter: Meter
    debt_minor: int
    free_us: int | None = None
    cancelling_minor: int = 0


class AuthorizationReader(Protocol):
    """Reads authorizations outside any write transaction."""

    def docked(self, told: Told) -> Docked | None:
        """The step that settled a rental, or None."""
        ...

    def told(self, user_id: str, authorization_id: str) -> Told | None:
        """One authorization in its present state, or None."""
        ...


Keyed = tuple[list[Row], tuple[str, ...] | None]
"""Some rows, and the key of the last one if more rows follow."""


class ChargeBackReader(Protocol):
    """Reads charge-backs and money in suspense, in the order of their keys."""

    def charge_backs(
        self, user_id: str, *, open_only: bool, after: Sequence[str], size: int
    ) -> Keyed[ChargeBack]:
        """A page of a person's charge-backs, or of all if `user_id` is empty."""
        ...

    def suspense(
        self, *, matched_too: bool, after: Sequence[str], size: int
    ) -> Keyed[SuspenseItem]:
        """A page of the items in suspense."""
        ...


class PassReader(Protocol):
    """Reads the passes of people; thread-safe."""

    def passes(self, user_id: str, operator_id: str, *, after: str, size: int) -> Page[PassRecord]:
        """A page of the passes that an operator gave a person, after an id."""
        ...


class ProfileReader(Protocol):
    """Reads people outside any write transaction."""

    def person(self, user_id: str, currency: str) -> tuple[UserRecord, Line | None] | None:
        """A person and the person's line in this currency, as of one instant; None if the person is
        unknown."""
        ...

    def kinds(self) -> dict[str, frozenset[Kind]]:
        """The kinds of each raw feature that a model knows which is not retired."""
        ...


class ListReader(Protocol):
    """Reads pages of lists, outside any write transaction."""

    def authorizations(
        self,
        operator_id: str,
        *,
        after: Place,
        size: int,
        user_id: str,
        state: State | None,
        order_reference: str = "",
        lapse: Lapse | None = None,
    ) -> Page[Authorization]:
        """A page of an operator's authorizations; the arguments that are not empty filter it."""
        ...

    def details(self, listed: Sequence[Authorization]) -> dict[str, DetailsRecord]:
        """The details of the orders of a page, by the authorizations' names."""
        ...

    def reviews(self, *, after: Place, size: int) -> Page[Authorization]:
        """A page of all authorizations in REVIEW."""
        ...

    def cases(self, filters: CaseFilter, *, after: Place, size: int) -> Page[Case]:
        """A page of the cases that the caller may see."""
        ...

    def transfers(
        self, user_id: str, *, after: Place, size: int, state: TransferState | None
    ) -> Page[TransferRecord]:
        """A page of a person's transfers, or of all transfers if `user_id` is empty."""
        ...


class DecidedEntry(NamedTuple):
    """An entry with the id of its decision; the id is empty if there was no decision."""

    entry: Entry
    decision_id: str


class HistoryReader(Protocol):
    """Reads entries and past balances, outside any write transaction."""

    def line_at(
        self, user_id: str, currency: str, known_us: int | None, happened_us: int | None
    ) -> LineAt | None:
        """The balances after events until `happened_us`, by entries written until `known_us`."""
        ...

    def entries(
        self, user_id: str, currency: str, *, after: Place, size: int
    ) -> Page[DecidedEntry]:
        """A page of a line's entries; the id of an entry's place is its sequence."""
        ...
