"""The engine's interfaces to storage, the credit model, payment rails and seal keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, TypeVar

from service.domain.admission import Past, Rental
from service.domain.cases import WaitingCase
from service.domain.rules import Of
from service.domain.signals import Trace
from service.engine.catalog import Catalog, TermsNames
from service.engine.figures import Figures
from service.engine.records.seals import SealedHead, SealRecord
from service.engine.records.transfers import TransferRecord
from service.engine.records.users import UserFeatures
from service.engine.rows import Docking, Rows, TakenPayable, Wish

Row = TypeVar("Row")

UserKey = str
Bearer = tuple[Of, str]
"""A bearer of rentals: a user id, or the hash of a device or of a payment account."""
OperatorsBearer = tuple[str, Of, str]
"""An operator, and a bearer of rentals with it."""
AuthorizationKey = tuple[str, str]
PayableKey = tuple[str, str]


class Since(NamedTuple):
    """An instant, in microseconds since the epoch, UTC. No authorization that was asked for later
    has an id less than `id`."""

    us: int
    id: str


class Waking(NamedTuple):
    """An authorization with its next timer; sorted by the instants."""

    wake_us: int
    user_id: str
    authorization_id: str


class OwedBack(NamedTuple):
    """The amount owed back to people in a currency, in minor units, and the number of refunds.

    The oldest may go out since `since_us`; None if banks took all of it back. `late_count` refunds,
    `late_minor` together, wait for too long; the oldest of these is of the authorization `oldest`.
    """

    currency: str
    refunds: int
    owed_minor: int
    since_us: int | None
    late_count: int
    late_minor: int
    oldest: str


class Conflict(Exception):
    """Another process changed or inserted a row first; nothing was written."""


class StorageFailed(Exception):
    """The database refused or is unavailable; nothing was written."""


class OutcomeUnknown(Exception):
    """The answer to COMMIT was lost; only a later read shows whether it was committed."""


class ReadAgain(Exception):
    """More authorizations must be read and their lines locked before the batch can be decided.

    The transaction is rolled back; rows taken by `take_payable` are back.
    """

    def __init__(self, authorizations: frozenset[AuthorizationKey]) -> None:
        super().__init__(f"{len(authorizations)} more authorizations must be read")
        self.authorizations = authorizations


class Conditions(Protocol):
    """Evaluates conditions of policies; thread-safe."""

    def evaluated(
        self, whens: tuple[str, ...], values: Mapping[str, object]
    ) -> Sequence[bool | None]:
        """Whether each expression is true for these values; None for one that cannot be evaluated.

        Never raises.
        """
        ...


class NoConditions:
    """In place of an evaluator: no condition can be evaluated."""

    def evaluated(
        self, whens: tuple[str, ...], _values: Mapping[str, object]
    ) -> Sequence[bool | None]:
        """None for each expression."""
        return (None,) * len(whens)


class Transaction(Protocol):
    """One write transaction; its reads lock the rows that it may change."""

    def read(self, rows: Rows, wishes: Iterable[Wish]) -> None:
        """Reads rows into the overlay, one table after another in the order given.

        Rows of a `locked` table are locked in the order of their keys.
        """
        ...

    def lapsed(self, keys: Iterable[UserKey], now_us: int) -> list[AuthorizationKey]:
        """These people's authorizations that hold something and have a due timer.

        The authorizations are not locked, and the lines of these people need not be locked.
        """
        ...

    def products_of(self, keys: Iterable[AuthorizationKey]) -> dict[AuthorizationKey, str]:
        """The product ids of these authorizations, which are not locked."""
        ...

    def reserved(self, keys: Iterable[AuthorizationKey]) -> set[AuthorizationKey]:
        """The ids of these authorizations that held for a pick-up, as their entries show."""
        ...

    def dockings(self, keys: Iterable[AuthorizationKey]) -> dict[AuthorizationKey, Docking]:
        """The steps that settled these rentals, from their entries. A step without entries has a
        row of its own instead.

        If the step moved no money, an earlier build wrote neither.
        """
        ...

    def lock_bearers(self, bearers: Iterable[Bearer]) -> None:
        """Makes other transactions wait that lock one of these bearers too, until this one ends.

        Call it after the lines are locked. A database with one writer does nothing.
        """
        ...

    def rentals(
        self, bearers: Iterable[Bearer], since: Since | None
    ) -> list[tuple[Bearer, AuthorizationKey, Rental]]:
        """The rentals of bearers that are open, and those that were asked for after `since`.

        With None only open ones. The rentals are not locked.
        """
        ...

    def traces(
        self, bearers: Iterable[OperatorsBearer], since_us: int, since_id: str
    ) -> list[tuple[OperatorsBearer, AuthorizationKey, Trace]]:
        """The traces of operators' bearers that were asked for after `since_us`.

        No id of these is less than `since_id`. The rentals are not locked.
        """
        ...

    def pasts(self, keys: Iterable[tuple[str, str]], most: int) -> dict[tuple[str, str], Past]:
        """The settled rentals of people with an operator, by user id and operator id.

        An empty operator id stands for all operators. At most `most` of them are counted.
        """
        ...

    def take_payable(self, keys: Iterable[PayableKey]) -> dict[PayableKey, TakenPayable]:
        """Takes a portion of operators' balances, by (operator id, currency).

        The rows of the portion are deleted; `write` inserts their sum as one row.
        """
        ...

    def payable_left(self, keys: Iterable[PayableKey]) -> dict[PayableKey, int]:
        """The rest of operators' balances, without the portions taken, in minor units."""
        ...

    def last_seal_number(self) -> int:
        """The number of the last seal; 0 before the first."""
        ...

    def write(self, rows: Rows) -> None:
        """Writes all changes, one statement for each table.

        Raises Conflict if a row's version is not the one read, or a key is taken.
        """
        ...


class TermsStore(Protocol):
    """Reads terms; thread-safe."""

    def catalog(self) -> Catalog:
        """All sound terms."""
        ...

    def changed_terms(self, after: int) -> tuple[TermsNames | None, Catalog] | None:
        """The terms that changed after this change number; None if no terms changed.

        The result has the names of the changed terms, and a catalog with the terms of these names.
        If too much changed, the names are None, and the catalog has all terms.
        """
        ...

    def terms_of(self, names: TermsNames) -> tuple[TermsNames, Catalog]:
        """The sound terms of these names, and all names that were read."""
        ...


class FeatureStore(Protocol):
    """People's features, and the orders of their values."""

    def features(self, keys: Iterable[UserKey]) -> dict[UserKey, UserFeatures]:
        """People with their latest features; call it on the writing thread, before `begin`."""
        ...

    def feature_names(self, schema_id: str) -> tuple[str, ...]:
        """The order of the raw values in snapshots of this schema; empty if unknown."""
        ...

    def save_feature_schema(self, schema_id: str, names: Sequence[str]) -> None:
        """Stores an order of raw values; a known schema is left alone."""
        ...


class Store(TermsStore, FeatureStore, Protocol):
    """The database, as the engine uses it."""

    def begin(self) -> AbstractContextManager[Transaction]:
        """Opens a write transaction; leaving the block commits, an exception rolls back.

        Raises StorageFailed or Conflict, and OutcomeUnknown if the answer to COMMIT was lost.
        """
        ...

    def waking(self, now_us: int, limit: int, after: Waking | None = None) -> list[Waking]:
        """Authorizations with a due timer, earliest first; only those after `after`, if given."""
        ...

    def cases_over(
        self, now_us: int, limit: int, after: WaitingCase | None = None
    ) -> list[WaitingCase]:
        """Open cases whose own clock has run out, earliest first.

        Only those after `after`, if given.
        """
        ...

    def unsent_transfers(
        self, before_us: int, limit: int, after: TransferRecord | None = None
    ) -> list[TransferRecord]:
        """Transfers that are requested, or were sent before an instant and not answered since.

        The transfer that is unchanged for longest comes first. With `after`, only later transfers
        are read.
        """
        ...

    def unfolded(self, rows: int) -> list[PayableKey]:
        """The operators' balances that have more than `rows` rows."""
        ...

    def owed_back(self, late_us: int) -> list[OwedBack]:
        """The sums owed back, by currency; refunds that wait since `late_us` or before are late."""
        ...

    def figures(self, now_us: int, sealed_sequence: int) -> Figures:
        """Sums over the whole database; events after this number may lack a seal."""
        ...

    def debts(self) -> dict[PayableKey, int]:
        """The amounts that operators owe, in minor units; only balances below zero."""
        ...


class Scored(Protocol):
    """A person's score: `margin` is the model's raw output, `pd` the calibrated probability.

    `extrapolated` names the features that were taken as the nearest value of the training.
    """

    @property
    def margin(self) -> float: ...
    @property
    def pd(self) -> float: ...
    @property
    def score(self) -> int: ...
    @property
    def band(self) -> str: ...
    @property
    def extrapolated(self) -> tuple[str, ...]: ...


class Unscorable(Protocol):
    """The reason why features cannot be scored, and the feature at fault, if any."""

    @property
    def reason(self) -> str: ...
    @property
    def feature(self) -> str: ...


REASONS_PENDING = ("REASONS_PENDING",)
"""The reasons of a score if the model did not find them in time; a later call has them."""


class Scorer(Protocol):
    """The credit model; it is built once, and called by one thread at a time.

    The score and the reasons of a row depend only on the row and on the model's id.
    """

    @property
    def model_id(self) -> str: ...
    @property
    def scale_version(self) -> str: ...
    @property
    def outcome(self) -> str: ...
    @property
    def raw_names(self) -> tuple[str, ...]: ...
    @property
    def absent_names(self) -> frozenset[str]:
        """The raw values that count as missing if they were not sent."""
        ...

    @property
    def levels(self) -> Mapping[str, Mapping[str, float]]:
        """The number of each known text of those raw values that are texts, and NaN for texts that
        stand for a missing value."""
        ...

    def score_with_reasons(
        self, rows: Sequence[bytes], below: int
    ) -> Sequence[tuple[Scored | Unscorable, tuple[str, ...]]]:
        """Scores rows of `len(raw_names)` little-endian float64 together, in order.

        A score less than `below` comes with up to four stable reason codes, the most harmful first,
        or with `REASONS_PENDING`.
        """
        ...

    def scored(self, margin: float, extrapolated: tuple[str, ...]) -> Scored:
        """The score of a margin that this model gave; raises ValueError for no finite number."""
        ...


Deliver = Callable[[bytes, str], Awaitable[object]]
"""A function that receives a call-back, body and signature; if it raises, the rail tries again."""


class Rail(Protocol):
    """A payment rail: debits people and pays out to them.

    It must execute a transfer at most once, however often the same id is submitted. It reports the
    outcome later by a signed call-back.
    """

    async def submit(self, transfer: TransferRecord) -> None:
        """Hands in a transfer. Raises if the rail did not accept it, and if that is unknown."""
        ...

    async def tell(self, deliver: Deliver) -> int:
        """Sends the due call-backs, and returns the number of acknowledged ones.

        This is called at short intervals. A rail that calls ReportTransfer by itself does nothing
        here. A rail that must be polled is polled here.
        """
        ...


class Unsealed(NamedTuple):
    """The next heads to seal: the last seal, the outbox position read so far, and unsealed heads.

    `more` says whether further heads wait.
    """

    last: SealRecord | None
    outbox_sequence: int
    heads: tuple[SealedHead, ...]
    more: bool


class SealStore(Protocol):
    """The sealer's reads; thread-safe."""

    def last_event(self) -> int:
        """The number of the last committed event; 0 before the first."""
        ...

    def unsealed(self, after: int, max_heads: int) -> Unsealed:
        """Heads of lines that have events after this number and are not sealed as they are now.

        Events are left for later while a transaction may still add one with a smaller number.
        """
        ...


class SealKeys(Protocol):
    """Public keys of seals: they can check seals, and not make any."""

    def verify(self, key_id: str, digest: bytes, signature: bytes) -> bool:
        """True if this key is known and made the signature over the digest."""
        ...


class Signer(Protocol):
    """Signs seals; its key is never in the database."""

    @property
    def key_id(self) -> str: ...

    def sign(self, digest: bytes) -> bytes:
        """The signature over a digest."""
        ...
