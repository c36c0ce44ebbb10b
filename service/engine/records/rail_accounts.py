"""Rail accounts: where payments arrive."""

from __future__ import annotations

from typing import NamedTuple

from service.domain.access import PLATFORM

DEFAULT = "default"
"""The account that a call means if it names none; everybody has one, with or without a row."""


class RailAccountRecord(NamedTuple):
    """A rail account, under the name that one caller gives to it.

    `caller` is the operator or the platform that uses the name. `owner` and `account` identify the
    account. It is the caller's own account of the same name, or one of the platform's accounts that
    operators share. `currency` is the currency of the account; empty means all currencies. Rows
    never change.
    """

    caller: str
    name: str
    owner: str
    account: str
    currency: str
    label: str
    create_us: int

    @property
    def is_default(self) -> bool:
        """Whether a call means this account if it names none."""
        return self.name == DEFAULT


def default_of(caller: str) -> RailAccountRecord:
    """The account of a caller for which no default is set."""
    return RailAccountRecord(caller, DEFAULT, caller, DEFAULT, "", "", 0)


def account_name(caller: str, name: str) -> str:
    """The resource name of an account."""
    owner = PLATFORM if caller == PLATFORM else f"operators/{caller}"
    return f"{owner}/railAccounts/{name}"
