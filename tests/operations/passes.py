"""GrantPass, BuyPass and RefundPass: their examples for the tests of every call.

Their own tests are `tests/engine/test_passes.py` and `tests/rpc/test_passes.py`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select

from service.domain.segment_tariff import Pass, PassGift
from service.domain.tariff_document import tariff_columns
from service.storage import schema as t
from service.storage.database import writing
from tests.domain.segment_tariffs import COMPANY
from tests.operations.call import Call
from tests.rpc.support import Desks

RIDDEN = "ridden"
TARIFF = COMPANY._replace(
    time_zone="Asia/Shanghai",
    passes=(
        Pass("share", 500, 30, PassGift.PERCENT, 20),
        Pass("week", 990, 7, PassGift.MINUTES_A_RENTAL, 30),
    ),
)
PARTS = {
    "user_id": "somebody",
    "product_id": "bike",
    "pass_name": "week",
    "start_time": {"seconds": 4_000_000_000},
    "reference": "order-1",
}


def offered(desk: Desks) -> None:
    """Adds the product whose tariff sells passes."""
    p = t.products.c
    with writing(desk.served.store.engine) as connection:
        if connection.execute(select(p.revision).where(p.product_id == RIDDEN)).first() is None:
            bikes = select(t.products).where(p.operator_id == "city", p.product_id == "bike")
            bike = connection.execute(bikes).mappings().fetchmany(1)[0]
            row = {**bike, "product_id": RIDDEN, **tariff_columns(TARIFF)}
            connection.execute(insert(t.products), row)


def granted(desk: Desks, **parts: Any) -> Any:
    """The answer to GrantPass for a new person."""
    offered(desk)
    whole = {"user_id": desk.platform.person(), "product_id": RIDDEN, "pass_name": "week", **parts}
    return desk.operator.call("GrantPass", **whole)


def _names_a_pass(desk: Desks, request: Any) -> None:
    offered(desk)
    request.user_id = desk.platform.person()
    request.product_id, request.pass_name = RIDDEN, "week"


def _names_a_held_pass(desk: Desks, request: Any) -> None:
    request.name = granted(desk).held.name


OF_SALES = frozenset({"user_id", "product_id", "pass_name"})
CALLS = (
    Call(method="GrantPass", required=OF_SALES, parts=(PARTS,), fill=_names_a_pass, race="pass"),
    Call(
        method="BuyPass",
        required=OF_SALES,
        parts=({**PARTS, "price_hash": "0" * 64},),
        fill=_names_a_pass,
        race="pass",
    ),
    Call(
        method="RefundPass",
        parts=({"name": f"users/somebody/passes/{'0' * 20}"},),
        fill=_names_a_held_pass,
        race="pass",
    ),
)
