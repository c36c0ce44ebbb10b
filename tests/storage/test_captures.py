"""Captures and corrections in the database: added only, and each business reference once."""

from __future__ import annotations

import pytest
from sqlalchemy import Table, insert, select, text
from sqlalchemy.exc import IntegrityError

from service.domain.captures import Purpose
from service.storage import schema as t
from service.storage.database import writing
from tests.engine import acts
from tests.engine.calls import authorize, rental
from tests.engine.conftest import desk, store
from tests.fakes import Desk

__all__ = ["desk", "store"]

CHANGING = {"user_id", "conceded_minor", "disputed_minor"}
"""Columns of captures that may change; a person who is erased gets another id."""


@pytest.fixture
def charged(desk: Desk) -> Desk:
    """An engine with a capture and a correction, each with a business reference."""
    desk.put_user("ann", 700)
    it = rental(desk, authorize("ann", "power-bank"))
    it = rental(desk, acts.capture(it, 900, Purpose.PENALTY, reference="case-1"))
    rental(desk, acts.pause(it))
    rental(desk, acts.lower(it, 100, reference="case-2", reason="a mistake"))
    return desk


@pytest.mark.parametrize("table", [t.captures, t.corrections, t.attestations], ids=str)
def test_47_corrections_are_append_only(charged: Desk, table: Table) -> None:
    """47: the database refuses to remove a capture, a correction or an attestation, and to change
    its content. Only the conceded and the disputed amount of a capture may change."""
    kept = {column.name for column in table.columns}
    kept -= CHANGING if table is t.captures else {"user_id"}
    statements = [f"UPDATE {table.name} SET {name} = {name}" for name in sorted(kept)]
    statements.append(f"DELETE FROM {table.name}")
    if charged.store.engine.dialect.name == "postgresql":
        statements.append(f"TRUNCATE {table.name}")
    for statement in statements:
        with (
            pytest.raises(IntegrityError, match=f"{table.name} is append-only"),
            writing(charged.store.engine) as connection,
        ):
            connection.execute(text(statement))


@pytest.mark.parametrize("table", [t.captures, t.corrections], ids=["captures", "corrections"])
def test_r10_the_database_takes_a_reference_once(charged: Desk, table: Table) -> None:
    """R10: the database refuses a second row of a rental with the same business reference. Another
    rental may have the same reference, and rows without a reference are not compared."""
    with charged.store.engine.connect() as connection:
        row = dict(connection.execute(select(table)).mappings().one())
    again = {**row, "number": 2}
    with pytest.raises(IntegrityError), writing(charged.store.engine) as connection:
        connection.execute(insert(table), again)
    others = [
        {**row, "authorization_id": "another"},
        {**again, "business_reference": ""},
        {**again, "number": 3, "business_reference": ""},
    ]
    with writing(charged.store.engine) as connection:
        connection.execute(insert(table), others)
        connection.rollback()
