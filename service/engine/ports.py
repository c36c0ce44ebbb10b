"""What the engine needs from outside: a store and a scorer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from service.domain.authorization import Authorization
from service.domain.ledger import Line
from service.engine.changes import Changes
from service.engine.records import (
    Catalog,
    OpenItem,
    PaymentRecord,
    RequestRecord,
    Scored,
    TransferRecord,
    UserFeatures,
    UserRecord,
)

UserKey = str
RequestKey = tuple[str, str]
AuthorizationKey = tuple[str, str]
ItemKey = tuple[str, str]
PaymentKey = tuple[str, str]
TransferKey = tuple[str, str]
PayableKey = tuple[str, str]


class Conflict(Exception):
    """Another process changed or claimed a row first; nothing was written."""


class StorageFailed(Exception):
    """The database refused or is away; nothing was written."""


class OutcomeUnknown(Exception):
    """The answer to COMMIT was lost; only a later read tells whether it took place."""


class Transaction(Protocol):
    """One write transaction; reads see and lock what is then written."""

    def requests(self, keys: Iterable[RequestKey]) -> dict[RequestKey, RequestRecord]:
        """Request records by (caller, request id)."""
        ...

    def users(self, keys: Iterable[UserKey]) -> dict[UserKey, UserRecord]:
        """People by id."""
        ...

    def lines(self, keys: Iterable[UserKey]) -> dict[tuple[str, str], Line]:
        """Every line of these people, by (user id, currency); locked in sorted order."""
        ...

    def authorizations(
        self, keys: Iterable[AuthorizationKey]
    ) -> dict[AuthorizationKey, Authorization]:
        """Authorizations by (user id, authorization id)."""
        ...

    def groups(self, keys: Iterable[tuple[UserKey, str]]) -> dict[AuthorizationKey, Authorization]:
        """The authorizations of groups by (user id, group id); keys as in `authorizations`."""
        ...

    def transfers(self, keys: Iterable[TransferKey]) -> dict[TransferKey, TransferRecord]:
        """Transfers by (user id, transfer id)."""
        ...

    def take_payable(self, keys: Iterable[PayableKey]) -> dict[PayableKey, int]:
        """What operators are owed, in minor units, by (operator id, currency).

        The rows that add up to it are taken away; `write` puts their sum back as one.
        """
        ...

    def open_items(self, keys: Iterable[ItemKey]) -> dict[ItemKey, OpenItem]:
        """Items in open rentals, by (operator id, asset id)."""
        ...

    def payments(self, keys: Iterable[PaymentKey]) -> dict[PaymentKey, PaymentRecord]:
        """Payments by (caller, payment reference)."""
        ...

    def write(self, changes: Changes) -> None:
        """Writes everything, one statement a table.

        Raises Conflict when a row had another version than the one read, or a key was taken.
        """
        ...


class Store(Protocol):
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

    def waking(self, now_us: int, limit: int) -> list[AuthorizationKey]:
        """Authorizations to which time has done something by now, the earliest first."""
        ...

    def has_product(self, operator_id: str, product_id: str) -> bool:
        """Whether an operator rents such a product out."""
        ...

    def catalog(self) -> Catalog:
        """Operators, products and limits as configured now."""
        ...


class Unscorable(Protocol):
    """Why a person's features cannot be scored."""

    @property
    def reason(self) -> str: ...


class Scorer(Protocol):
    """The credit model; built once, called by one thread at a time."""

    @property
    def model_id(self) -> str: ...
    @property
    def scale_version(self) -> str: ...
    @property
    def raw_names(self) -> tuple[str, ...]: ...

    def score_with_reasons(
        self, rows: Sequence[bytes], below: int
    ) -> Sequence[tuple[Scored | Unscorable, tuple[str, ...]]]:
        """Scores rows of `len(raw_names)` little-endian float64 together, in order.

        A score less than `below` comes with up to four stable codes of what lowers it most, the
        worst first.
        """
        ...
