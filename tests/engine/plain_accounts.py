"""The rail accounts of the random model, and the rule of its reference for payment references."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from service.domain.access import PLATFORM
from service.engine.operations import RecordChargeBack
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
    holder, name = _named(caller, command)
    found = _found(holder, name)
    if found is None or caller not in (holder, PLATFORM):
        raise Refused("RAIL_ACCOUNT_NOT_FOUND")
    return found


def _named(caller: str, command: Any) -> tuple[str, str]:
    if not command.rail_account:
        return caller, "default"
    *operator, _, name = command.rail_account.split("/")
    return operator[-1], name


def _found(holder: str, name: str) -> tuple[str, str] | None:
    if (holder, name) in SHARED:
        return PLATFORM, SHARED[holder, name]
    if (holder, name) in OWN or (name == "default" and holder in (*FEE_BP, PLATFORM)):
        return holder, name
    return None


def counted_once(caller: str, command: Any, used: Any, transfers: Any) -> tuple[str, str]:
    """The key under which a payment is recorded; raises Refused if its reference was used.

    `transfers` are the rail's transfers: nobody reports them as payments. A bank that takes a debit
    back may give its case the name of the debit.
    """
    owner, name = account(caller, command)
    reference = command.payment_reference
    key = _key(owner, name, reference)
    told = caller in (owner, PLATFORM)
    moved = _moved(owner, reference, transfers)
    if moved == "DEBIT" and isinstance(command, RecordChargeBack):
        moved = ""
    if key in used or moved:
        raise Refused("PAYMENT_REFERENCE_USED" if told else "RAIL_ACCOUNT_NOT_FOUND")
    return key


def _key(owner: str, name: str, reference: str) -> tuple[str, str]:
    return owner, reference if name == "default" else f"railAccounts/{name}/{reference}"


def _moved(owner: str, reference: str, transfers: Any) -> str:
    """The kind of the rail's transfer with this name; empty if there is none."""
    for (_, transfer), row in transfers.items():
        if owner == PLATFORM and transfer == reference:
            return str(row["kind"])
    return ""


def second_use(
    caller: str, command: Any, refusal: str, used: Any, transfers: Any
) -> tuple[str, str, str, str] | None:
    """The case that a refused payment opens: the rental, its operator and the first use.

    None if the reference was not used before, or the refusal has another reason.
    """
    if refusal not in ("PAYMENT_REFERENCE_USED", "RAIL_ACCOUNT_NOT_FOUND"):
        return None
    found = _found(*_named(caller, command))
    if found is None:
        return None
    owner, reference = _key(*found, command.payment_reference)
    if (owner, reference) not in used:
        if not _moved(owner, command.payment_reference, transfers):
            return None
        reference = f"transfers/{command.payment_reference}"
    user_id = getattr(command, "user_id", "")
    name = getattr(command, "authorization_id", "")
    operator = getattr(command, "operator_id", "") if caller == PLATFORM else caller
    return user_id, name, operator, f"payments/{owner}/{reference}"
