"""The rail accounts of the random model, and the rule of its reference for payment references."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from service.domain.access import PLATFORM
from service.storage import rail_accounts
from tests.engine.plain_terms import FEE_BP, Refused

SHARED = {
    ("city", "default"): "bank",
    ("harbour", "joint"): "bank",
    ("harbour", "front"): "default",
}
"""The operators' names for accounts of the platform."""
OWN = {(PLATFORM, "bank"), ("harbour", "till")}
NAMES = (
    *("operators/city/railAccounts/default", "operators/harbour/railAccounts/default"),
    *("operators/harbour/railAccounts/joint", "operators/harbour/railAccounts/till"),
    *("operators/harbour/railAccounts/front", "operators/city/railAccounts/till"),
    *("platform/railAccounts/bank", "platform/railAccounts/default"),
    "operators/nobody/railAccounts/default",
)
"""Names that commands use: most of them exist, but not for every caller."""


def add_accounts(engine: Engine, now_us: int) -> None:
    """Adds the accounts to a database."""
    for owner, name in sorted(OWN):
        rail_accounts.create(engine, owner, name, "", "", now_us)
    for (operator, name), shared in SHARED.items():
        rail_accounts.share(engine, shared, operator, name, now_us)


def account(caller: str, command: Any) -> tuple[str, str]:
    """The owner of a payment's account, and its name there.

    Raises Refused for a name that the caller does not have.
    """
    holder, name = caller, "default"
    if command.rail_account:
        *operator, _, name = command.rail_account.split("/")
        holder = operator[-1]
    if (holder, name) in SHARED:
        found = PLATFORM, SHARED[holder, name]
    elif (holder, name) in OWN or (name == "default" and holder in (*FEE_BP, PLATFORM)):
        found = holder, name
    else:
        raise Refused("RAIL_ACCOUNT_NOT_FOUND")
    if caller not in (holder, PLATFORM):
        raise Refused("RAIL_ACCOUNT_NOT_FOUND")
    return found


def counted_once(caller: str, command: Any, used: Any, transfers: Any) -> tuple[str, str]:
    """The key under which a payment is recorded; raises Refused if its reference was used.

    `transfers` are the names of the rail's transfers: nobody reports them as payments.
    """
    owner, name = account(caller, command)
    reference = command.payment_reference
    key = owner, reference if name == "default" else f"railAccounts/{name}/{reference}"
    told = caller in (owner, PLATFORM)
    moved = owner == PLATFORM and any(transfer == reference for _, transfer in transfers)
    if key in used or (moved and not told):
        raise Refused("PAYMENT_REFERENCE_USED" if told else "RAIL_ACCOUNT_NOT_FOUND")
    return key
