"""Operations: one row for each kind of command, with everything that the engine knows of the
command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from service.domain.errors import FreeholdError
from service.engine.calls import Work
from service.engine.context import Context, Decided
from service.engine.references import of_reference
from service.engine.rows import Draft, Keys, Rows

Command = TypeVar("Command")
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Asks:
    """Marks a command that needs the line or an item. Lapsed holds may block either.

    items        the items that the command names
    offers_anew  whether a stricter offer than before counts as a refusal
    """

    items: Callable[[str, Any], list[Pair]] = lambda _caller, _command: []
    offers_anew: bool = False


@dataclass(frozen=True, slots=True)
class Operation(Generic[Command]):
    """One kind of command: the rows it reads, and its decision.

    command  the type of the command
    keys     adds the keys of the rows that a caller's command may touch
    decide   decides one command on the rows, without any I/O; raises a FreeholdError to refuse it,
             and then nothing is written
    asks     whether it needs the line or an item
    scored   whether the user is scored for it, by the stored features
    kept     reasons of refusals that are kept with the request id, as a decline is
    leaves   the rows that a refusal leaves, if any
    """

    command: type[Command]
    keys: Callable[[str, Command, Keys], None]
    decide: Callable[[Work, Command, Rows, Context], Decided]
    asks: Asks | None = None
    scored: bool = False
    kept: frozenset[str] = frozenset()
    leaves: Callable[[Work, Command, FreeholdError, Rows, Context], Draft] | None = None


class OfAuthorization(Protocol):
    """A command that names one authorization."""

    @property
    def user_id(self) -> str: ...
    @property
    def authorization_id(self) -> str: ...


def of_authorization(_caller: str, it: OfAuthorization, keys: Keys) -> None:
    """Adds the keys of a command on one authorization: the authorization and its line."""
    keys.users.add(it.user_id)
    keys.authorizations.add((it.user_id, it.authorization_id))


def of_correction(caller: str, it: OfAuthorization, keys: Keys) -> None:
    """Adds the keys of a correction: of the authorization and its captures.

    A business reference is used once, so the corrections are read as well if one is given.
    """
    of_authorization(caller, it, keys)
    keys.captured.add((it.user_id, it.authorization_id))
    if getattr(it, "business_reference", ""):
        keys.corrected.add((it.user_id, it.authorization_id))


def of_group(caller: str, it: OfAuthorization, keys: Keys) -> None:
    """Adds the keys of a command on an authorization and its whole group."""
    of_authorization(caller, it, keys)
    keys.together.add((it.user_id, it.authorization_id))


def of_payment(caller: str, it: Any, keys: Keys) -> None:
    """Adds the keys of a command on one authorization, and of its payment."""
    of_authorization(caller, it, keys)
    of_reference(caller, it, keys)
