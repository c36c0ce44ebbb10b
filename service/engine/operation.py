"""What an operation is: one row for each kind of command, all that the engine knows of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from service.engine.calls import Work
from service.engine.context import Context, Decided
from service.engine.rows import Keys, Rows

Command = TypeVar("Command")
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Asks:
    """Marks a command that asks for the line or an item, which lapsed holds may keep from it.

    items        the items that the command names itself
    offers_anew  a stricter offer than before counts as a refusal
    """

    items: Callable[[str, Any], list[Pair]] = lambda _caller, _command: []
    offers_anew: bool = False


@dataclass(frozen=True, slots=True)
class Operation(Generic[Command]):
    """One kind of command: what it reads, and how it is decided.

    command  its type
    keys     adds the keys of the rows that a command of a caller may touch
    decide   decides one command on the rows, without any I/O; raises a FreeholdError for a refusal,
             of which nothing is written
    asks     whether it asks for the line or an item
    scored   whether the user is scored for it, by the features on record
    """

    command: type[Command]
    keys: Callable[[str, Command, Keys], None]
    decide: Callable[[Work, Command, Rows, Context], Decided]
    asks: Asks | None = None
    scored: bool = False


class OfAuthorization(Protocol):
    """A command that names one authorization."""

    @property
    def user_id(self) -> str: ...
    @property
    def authorization_id(self) -> str: ...


def of_authorization(_caller: str, it: OfAuthorization, keys: Keys) -> None:
    """The keys of a command on one authorization, with its line."""
    keys.users.add(it.user_id)
    keys.authorizations.add((it.user_id, it.authorization_id))


def of_group(caller: str, it: OfAuthorization, keys: Keys) -> None:
    """The same, for a command that is decided for the whole group."""
    of_authorization(caller, it, keys)
    keys.together.add((it.user_id, it.authorization_id))


def of_payment(caller: str, it: Any, keys: Keys) -> None:
    """The same, with the payment that the command records."""
    of_authorization(caller, it, keys)
    keys.payments.add((caller, it.payment_reference))
