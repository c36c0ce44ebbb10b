"""Rail accounts from the shell: an operator's own, the platform's own, and shared ones.

An account is never changed or removed, because the references used in it stay used. So each command
can be repeated: the same account again changes nothing, and another account with the same name is
refused.
"""

from __future__ import annotations

import re

from sqlalchemy import Connection, Engine, insert, select

from service.domain.access import PLATFORM
from service.domain.errors import FreeholdError, InvalidInput, NotFound
from service.engine.records.rail_accounts import DEFAULT, RailAccountRecord, account_name
from service.storage import schema as t
from service.storage.admin import by_shell
from service.storage.administration import Administration, changing
from service.storage.database import reading
from service.storage.known_operators import require_operator

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
CURRENCY = re.compile(r"[A-Z]{3}")
LONGEST_LABEL = 200


class RailAccountExists(FreeholdError):
    """Another rail account has this name already."""

    def __init__(self, name: str) -> None:
        super().__init__(
            "RAIL_ACCOUNT_EXISTS",
            f"another account has the name {name}: accounts never change, so choose another name",
            {"rail_account": name},
        )


def create(
    engine: Engine,
    owner: str,
    name: str,
    currency: str,
    label: str,
    now_us: int,
    user: str = "",
) -> RailAccountRecord:
    """Adds an account of an operator or of the platform; `currency` is empty if it takes all.

    Raises InvalidInput, NotFound for an unknown operator, and RailAccountExists.
    """
    if name == DEFAULT:
        text = "exists already, for calls that name no account; choose another name"
        raise InvalidInput.of("name", "name.default", text)
    _require(NAME.fullmatch(name), "name", "must match [a-z0-9][a-z0-9-]{0,62}")
    _require(not currency or CURRENCY.fullmatch(currency), "currency", "must be like CNY")
    printable = len(label) <= LONGEST_LABEL and label.isprintable()
    _require(printable, "label", f"must be printable, at most {LONGEST_LABEL} characters")
    row = RailAccountRecord(owner, name, owner, name, currency, label, now_us)
    with changing(engine) as connection:
        return _added(connection, row, user)


def share(
    engine: Engine, account: str, operator_id: str, name: str, now_us: int, user: str = ""
) -> RailAccountRecord:
    """Lets an operator use an account of the platform under a name of its own.

    As "default", the account takes the payments for which the operator names none. The references
    that the operator used before stay used. Raises InvalidInput, RailAccountExists, and NotFound
    for an unknown operator or account.
    """
    _require(NAME.fullmatch(name), "name", "must match [a-z0-9][a-z0-9-]{0,62}")
    _require(operator_id != PLATFORM, "operator", "the platform needs no share of its own account")
    with changing(engine) as connection:
        found = _read(connection, PLATFORM, account)
        if found is None and account != DEFAULT:
            raise NotFound("rail_account", account_name(PLATFORM, account))
        currency, label = (found.currency, found.label) if found else ("", "")
        row = RailAccountRecord(operator_id, name, PLATFORM, account, currency, label, now_us)
        return _added(connection, row, user)


def list_accounts(engine: Engine) -> list[RailAccountRecord]:
    """All rows, by their names; accounts named "default" without a row are not listed."""
    r = t.rail_accounts.c
    with reading(engine) as connection:
        found = connection.execute(select(t.rail_accounts).order_by(r.caller, r.name)).all()
    return [RailAccountRecord(*row) for row in found]


def _require(condition: object, field: str, text: str) -> None:
    if not condition:
        raise InvalidInput.of(field, f"{field}.form", f"{field} {text}")


def _read(connection: Connection, caller: str, name: str) -> RailAccountRecord | None:
    r = t.rail_accounts.c
    query = select(t.rail_accounts).where(r.caller == caller, r.name == name)
    found = connection.execute(query).first()
    return None if found is None else RailAccountRecord(*found)


def _added(connection: Connection, row: RailAccountRecord, user: str) -> RailAccountRecord:
    """The stored row. If the same row is there already, it is not changed."""
    desk = Administration(connection, by_shell("", (), "", user), PLATFORM, row.create_us)
    if row.caller != PLATFORM:
        require_operator(connection, row.caller)
    before = _read(connection, row.caller, row.name)
    if before is None:
        connection.execute(insert(t.rail_accounts), row._asdict())
        account = account_name(row.owner, row.account)
        desk.note("rail_account.added", account_name(row.caller, row.name), account=account)
        return row
    if before._replace(create_us=row.create_us) != row:
        raise RailAccountExists(account_name(row.caller, row.name))
    return before
