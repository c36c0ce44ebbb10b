"""Short forms of the calls in the engine's tests."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from service.domain.authorization import Authorization, Start
from service.domain.errors import FreeholdError
from service.domain.ledger import Line
from service.domain.money import Money
from service.domain.policy import Offer
from service.engine.calls import (
    Answer,
    Attestation,
    ChargedBack,
    Corrected,
    LateStart,
    Matched,
    Profile,
    Settled,
)
from service.engine.engine import Result
from service.engine.operations import (
    Authorize,
    Command,
    Confirm,
    Item,
    RecordPayment,
    Reverse,
    ReverseByOrigin,
    Settle,
    StartRental,
)
from service.engine.tables import AUTHORIZATIONS
from service.storage import schema as t
from service.storage.schema.record_tables import CONVERTERS
from tests.fakes import OPERATOR, Desk

CNY = "CNY"
ALL = (Offer.ZERO, Offer.REDUCED, Offer.FULL)


def authorize(
    user_id: str = "ann",
    product_id: str = "bike",
    asset_id: str = "",
    *,
    start: Start = Start.IMMEDIATE,
    accept: tuple[Offer, ...] = (),
    window_us: int | None = None,
) -> Authorize:
    """Authorizes a bike."""
    return Authorize(user_id, (Item(product_id, asset_id),), start, accept, window_us)


def pick_up(user_id: str = "ann", product_id: str = "bike", asset_id: str = "") -> Authorize:
    """Authorizes a bike for a later pick-up."""
    return authorize(user_id, product_id, asset_id, start=Start.ON_PICKUP)


def confirm(
    it: Authorization,
    paid_minor: int | None = None,
    *,
    reference: str = "pay-1",
    currency: str = CNY,
    version: int | None = None,
) -> Confirm:
    """Confirms with a payment, by default exactly the cash part."""
    paid = Money(currency, it.cash_minor if paid_minor is None else paid_minor)
    return Confirm(it.user_id, it.authorization_id, reference, paid, expected_version=version)


def start(it: Authorization, asset_id: str = "", *, version: int | None = None) -> StartRental:
    """Starts the rental."""
    return StartRental(it.user_id, it.authorization_id, asset_id, expected_version=version)


def settle(
    it: Authorization,
    amount_minor: int,
    *,
    final: bool = True,
    currency: str = CNY,
    version: int | None = None,
) -> Settle:
    """Settles the rental."""
    return Settle(
        it.user_id,
        it.authorization_id,
        Money(currency, amount_minor),
        final,
        expected_version=version,
    )


def reverse(it: Authorization, *, version: int | None = None) -> Reverse:
    """Reverses the authorization."""
    return Reverse(it.user_id, it.authorization_id, expected_version=version)


def reverse_origin(user_id: str, request_id: str) -> ReverseByOrigin:
    """Reverses an Authorize by its request id, whether it has arrived or not."""
    return ReverseByOrigin(user_id, request_id, None)


def pay(
    it: Authorization, amount_minor: int, *, reference: str = "pay-9", currency: str = CNY
) -> RecordPayment:
    """Records a payment of what is due."""
    return RecordPayment(it.user_id, it.authorization_id, reference, Money(currency, amount_minor))


def rental(
    desk: Desk, command: Command, *, request_id: str | None = None, caller: str = OPERATOR
) -> Authorization:
    """The authorization that a command returns."""
    answer: object = desk.do(command, request_id=request_id, caller=caller)
    carriers = Settled | Corrected | LateStart | Attestation | ChargedBack | Matched
    if isinstance(answer, carriers):
        answer = answer.authorization
    assert isinstance(answer, Authorization)
    return answer


def profile(answer: Answer) -> Profile:
    """The profile that PutUsers returns for one user."""
    assert isinstance(answer, Profile)
    return answer


def refused(
    desk: Desk, command: Command, *, request_id: str | None = None, caller: str = OPERATOR
) -> FreeholdError:
    """The error of a refused command."""
    with pytest.raises(FreeholdError) as caught:
        desk.do(command, request_id=request_id, caller=caller)
    return caught.value


def reason(result: Result) -> str:
    """The reason of a refusal; empty when there was none."""
    return result.reason if isinstance(result, FreeholdError) else ""


def line(desk: Desk, user_id: str = "ann") -> Line:
    """The person's line as it is stored."""
    return desk.store.line(user_id, CNY) or Line(user_id, CNY)


def balances(desk: Desk, user_id: str = "ann") -> tuple[int, int, int, int]:
    """Limit, available, held, drawn."""
    it = line(desk, user_id)
    return it.limit_minor, it.available_minor, it.held_minor, it.drawn_minor


def stored(desk: Desk, it: Authorization) -> Authorization:
    """The stored authorization, without what belongs to it."""
    return stored_of(desk, it.user_id, it.authorization_id)


def stored_of(desk: Desk, user_id: str, authorization_id: str) -> Authorization:
    """The stored authorization with this name."""
    c = t.authorizations.c
    query = select(*t.recorded(t.authorizations)).where(
        c.user_id == user_id, c.authorization_id == authorization_id
    )
    with desk.store.engine.connect() as connection:
        found: Authorization = CONVERTERS[AUTHORIZATIONS].record(connection.execute(query).one())
    return found


def counts(desk: Desk) -> dict[str, int]:
    """The number of rows in every table."""
    names = (table.name for table in t.metadata.sorted_tables)
    # Plain SQL text: compiling 20 statements takes longer than counting.
    query = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for name in names)
    with desk.store.engine.connect() as connection:
        return {row[0]: row[1] for row in connection.exec_driver_sql(query)}
