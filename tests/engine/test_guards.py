"""Guards against impossible rows: a defect is reported as one, and its command writes nothing."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, insert, select

from service.domain.errors import InternalFault, InvariantBroken
from service.engine.correcting import captures_of
from service.engine.posting import line_of
from service.engine.rows import Rows
from service.storage import schema as t
from service.storage.database import writing
from tests.engine.acts import settle_usage
from tests.engine.calls import authorize, rental, settle, stored
from tests.fakes import Desk
from tests.terms import forget_documents_in


def test_missing_terms_fail_one_command(desk: Desk) -> None:
    """If the terms of an authorization are missing, only its own command fails; the other commands
    of the batch pass."""
    it, other = rental(desk, authorize()), rental(desk, authorize("ann", "umbrella"))
    bikes = t.products.c.product_id == "bike"
    forget_documents_in(desk.store.engine)
    with writing(desk.store.engine) as connection:
        gone = connection.execute(select(t.products).where(bikes)).mappings().all()
        connection.execute(delete(t.products).where(bikes))
    assert desk.engine.terms.follow()
    fault, passed = desk.apply(desk.work(settle_usage(it)), desk.work(settle(other, 0)))
    assert isinstance(fault, InternalFault)
    assert isinstance(passed, bytes)
    assert stored(desk, it) == it
    (error,) = desk.faults
    assert isinstance(error, InvariantBroken)
    with writing(desk.store.engine) as connection:
        connection.execute(insert(t.products), [dict(it) for it in gone])


def test_an_authorization_without_a_line(desk: Desk) -> None:
    """An authorization without a line gets no postings."""
    it = rental(desk, authorize())
    with pytest.raises(InvariantBroken):
        line_of(it, Rows())


def test_captures_that_were_not_read(desk: Desk) -> None:
    """A rental with captures that were not read gives nothing back."""
    it = rental(desk, settle(rental(desk, authorize()), 500))
    assert it.captures == 1
    with pytest.raises(InvariantBroken):
        captures_of(it, Rows())
