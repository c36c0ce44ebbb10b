"""What the engine needs from outside: a store, a scorer, and keys to seals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, TypeVar

from service.engine.catalog import Catalog, TermsNames
from service.engine.records.seals import SealedHead, SealRecord
from service.engine.records.transfers import TransferRecord
from service.engine.records.users import UserFeatures
from service.engine.rows import Rows, TakenPayable, Wish

Row = TypeVar("Row")

UserKey = str
AuthorizationKey = tuple[str, str]
PayableKey = tuple[str, str]


class Waking(NamedTuple):
    """An authorization to which time does something at an instant; in the order of the instants."""

    wake_us: int
    user_id: str
    authorization_id: str


class Conflict(Exception):
    """Another process changed or claimed a row first; nothing was written."""


class StorageFailed(Exception):
    """The database refused or is away; nothing was written."""


class OutcomeUnknown(Exception):
    """The answer to COMMIT was lost; only a later read tells whether it took place."""


class ReadAgain(Exception):
    """Authorizations must be read, and their people's lines locked, before the batch can be
    decided. The transaction ends without a trace: what `take_payable` took is back."""

    def __init__(self, authorizations: frozenset[AuthorizationKey]) -> None:
        super().__init__(f"{len(authorizations)} more authorizations must be read")
        self.authorizations = authorizations


class Transaction(Protocol):
    """One write transaction; reads see and lock what is then written."""

    def read(self, rows: Rows, wishes: Iterable[Wish]) -> None:
        """Reads rows into the overlay, one table after another in the order given.

        Rows of tables that are `locked` are locked in the order of their keys.
        """
        ...

    def lapsed(self, keys: Iterable[UserKey], now_us: int) -> list[AuthorizationKey]:
        """What holds something for these people and to which time has done something by now.

        Not locked: the people's lines may not be either.
        """
        ...

    def take_payable(self, keys: Iterable[PayableKey]) -> dict[PayableKey, TakenPayable]:
        """A portion of what operators are owed, by (operator id, currency).

        The rows that add up to it are taken away; `write` puts their sum back as one.
        """
        ...

    def payable_left(self, keys: Iterable[PayableKey]) -> dict[PayableKey, int]:
        """What operators are owed beside what was taken, in minor units."""
        ...

    def last_seal_number(self) -> int:
        """The number of the last seal; 0 before the first."""
        ...

    def write(self, rows: Rows) -> None:
        """Writes everything, one statement a table.

        Raises Conflict when a row had another version than the one read, or a key was taken.
        """
        ...


class TermsStore(Protocol):
    """Reads terms; for any thread."""

    def catalog(self) -> Catalog:
        """All terms as they stand, as far as they are sound."""
        ...

    def changed_terms(self, after: int) -> tuple[TermsNames | None, Catalog] | None:
        """What changed after a change's number, by its names, with the terms of these names.

        None for the names: too much changed, and the catalog has all terms. None: nothing changed.
        """
        ...

    def terms_of(self, names: TermsNames) -> tuple[TermsNames, Catalog]:
        """The terms of these names, as far as they are sound, and all names that were read."""
        ...


class Store(TermsStore, Protocol):
    """Where everything is kept."""

    def begin(self) -> AbstractContextManager[Transaction]:
        """Opens a write transaction; leaving the block commits, an exception rolls back.

        Raises StorageFailed, Conflict, or OutcomeUnknown when the COMMIT's answer was lost.
        """
        ...

    def features(self, keys: Iterable[UserKey]) -> dict[UserKey, UserFeatures]:
        """People with their latest features; by the writing thread, before it begins."""
        ...

    def feature_names(self, schema_id: str) -> tuple[str, ...]:
        """The order of the raw values in snapshots of this schema; empty if unknown."""
        ...

    def save_feature_schema(self, schema_id: str, names: Sequence[str]) -> None:
        """Records an order of raw values; a schema known already is left alone."""
        ...

    def waking(self, now_us: int, limit: int, after: Waking | None = None) -> list[Waking]:
        """Authorizations to which time has done something by now, the earliest first.

        Only those behind `after`, if it is given.
        """
        ...

    def unsent_transfers(
        self, before_us: int, limit: int, after: TransferRecord | None = None
    ) -> list[TransferRecord]:
        """Transfers that were requested, or sent before an instant and not answered since.

        The longest unchanged first; only those behind `after`, if it is given.
        """
        ...

    def unfolded(self, rows: int) -> list[PayableKey]:
        """Whose balances stand in more than so many rows."""
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
    """Why a person's features cannot be scored, and the feature at fault, if it is one."""

    @property
    def reason(self) -> str: ...
    @property
    def feature(self) -> str: ...


class Scorer(Protocol):
    """The credit model; built once, called by one thread at a time."""

    @property
    def model_id(self) -> str: ...
    @property
    def scale_version(self) -> str: ...
    @property
    def raw_names(self) -> tuple[str, ...]: ...
    @property
    def absent_names(self) -> frozenset[str]:
        """The raw values that count as missing when they were not sent."""
        ...

    def score_with_reasons(
        self, rows: Sequence[bytes], below: int
    ) -> Sequence[tuple[Scored | Unscorable, tuple[str, ...]]]:
        """Scores rows of `len(raw_names)` little-endian float64 together, in order.

        A score less than `below` comes with up to four stable codes of what lowers it most, the
        worst first.
        """
        ...


Deliver = Callable[[bytes, str], Awaitable[None]]
"""Where call-backs go: a body and its signature. What it raises makes the rail try again."""


class Rail(Protocol):
    """A payment rail: debits people and pays out to them.

    It must do a transfer at most once, however often the same id is submitted, and tell later by
    a signed call-back what became of it.
    """

    async def submit(self, transfer: TransferRecord) -> None:
        """Takes a transfer; raises when it did not take it, or may not have."""
        ...

    async def tell(self, deliver: Deliver) -> int:
        """Delivers what it has to say by now; returns how many call-backs were acknowledged.

        Asked every moment. A rail that calls ReportTransfer by itself has nothing to say here; one
        that has to be asked is asked here.
        """
        ...


class Unsealed(NamedTuple):
    """What is to be sealed next: the last seal, how far the outbox was looked at, and the heads
    of lines that were not sealed as they are; whether more is waiting."""

    last: SealRecord | None
    outbox_sequence: int
    heads: tuple[SealedHead, ...]
    more: bool


class SealStore(Protocol):
    """What the sealer reads; for any thread."""

    def last_event(self) -> int:
        """The number of the last event that is committed; 0 before the first."""
        ...

    def unsealed(self, after: int, max_heads: int) -> Unsealed:
        """Heads of lines with events after a number that were not sealed as they are now.

        Events to which a transaction may still add one with a smaller number are left for later.
        """
        ...


class SealKeys(Protocol):
    """Public keys of seals; whoever has them can check a seal and make none."""

    def verify(self, key_id: str, digest: bytes, signature: bytes) -> bool:
        """Whether the signature over the digest was made with this key, which must be known."""
        ...


class Signer(Protocol):
    """Signs seals; the key is never in the database."""

    @property
    def key_id(self) -> str: ...

    def sign(self, digest: bytes) -> bytes:
        """The signature over a digest."""
        ...
