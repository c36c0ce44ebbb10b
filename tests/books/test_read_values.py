"""The counts that decisions have read are recounted from the events."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from service.books.verify import verify_books
from service.domain.rules import Counted, NewUser, Of, Outcome, Over, Rules, Velocity
from service.domain.rules_document import json_of_rules
from service.storage import schema as t
from service.storage.database import open_database, writing
from service.storage.store import SqlStore
from tests.conftest import Databases
from tests.engine import acts
from tests.engine.calls import authorize, pick_up, rental, reverse, settle
from tests.fakes import Desk

HOUR_US = 3_600_000_000
NAMES = (
    *("user.open", "user.hour", "user.day", "user.settled.all_operators"),
    "user.open.all_operators",
)
RULES = Rules(
    velocity=tuple(Velocity(Of.USER, it, 9, Outcome.DECLINE) for it in Counted),
    new_user=NewUser(until_settled=3, most_open=9, then=Outcome.FULL, over=Over.ALL_OPERATORS),
)


@pytest.fixture
def lived(databases: Databases) -> str:
    """The books of a person with rentals in all states, and with decisions that counted them."""
    url = databases.new()
    desk = Desk(SqlStore(open_database(url)))
    for policy in ("bike", "small-item"):
        acts.change_terms(desk, t.policies, policy, rules=json_of_rules(RULES))
    desk.put_user("ann", 700)
    rental(desk, settle(rental(desk, authorize("ann", "umbrella")), 0))
    rental(desk, reverse(rental(desk, authorize("ann", "umbrella"))))
    waiting = rental(desk, pick_up("ann", "umbrella"))
    rental(desk, authorize("ann", "umbrella"))
    assert waiting.expire_us is not None
    assert desk.clock.advance(waiting.expire_us)
    # No timer has ended the reservation yet, but it has lapsed.
    rental(desk, authorize("ann", "umbrella"))
    assert desk.clock.advance(desk.clock.now_us() + HOUR_US)
    rental(desk, authorize("ann", "bike"))
    desk.store.close()
    return url


def test_a_person_with_all_kinds_of_rentals_verifies(lived: str) -> None:
    """The recount from the events equals all counts that the decisions have read."""
    engine = open_database(lived)
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT read_values FROM decisions WHERE read_values IS NOT NULL")
        )
        read = [it for (it,) in found]
    assert len(read) == 6
    assert '"user.open":2' in read[5]
    assert '"user.day":3' in read[5]
    assert '"user.hour":0' in read[5]
    assert verify_books(engine).fault is None
    engine.dispose()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", [1, 4, 5])
def test_a_changed_count_is_found(lived: str, name: str, place: int) -> None:
    """A count of a person's rentals that somebody changed is a fault of its decision."""
    engine = open_database(lived)
    with writing(engine) as connection:
        rows = connection.execute(
            text("SELECT decision_id, read_values FROM decisions ORDER BY decision_id")
        ).all()
        decision_id, values = rows[place]
        before = f'"{name}":'
        start = values.index(before) + len(before)
        number = int(values[start : start + 1])
        changed = values[:start] + str(number + 1) + values[start + 1 :]
        connection.execute(
            t.decisions.update()
            .where(t.decisions.c.decision_id == decision_id)
            .values(read_values=changed)
        )
    fault = verify_books(engine).fault
    assert fault is not None
    assert (fault.rule, fault.row) == ("READ_VALUES", f"decisions/{decision_id}")
    assert fault.detail == f"{name} was {number}, {number + 1} were read"
    engine.dispose()


@pytest.mark.parametrize("wrong", ["", "[]", "null", "{", "[" * 100_000])
def test_a_text_that_makes_no_sense_is_found(lived: str, wrong: str) -> None:
    """Values that are no table of names and numbers are a fault."""
    engine = open_database(lived)
    with writing(engine) as connection:
        connection.execute(t.decisions.update().values(read_values=wrong))
    fault = verify_books(engine).fault
    assert fault is not None
    assert fault.rule == "READ_VALUES"
    engine.dispose()


@pytest.mark.parametrize("wrong", ["{", "[]", '{"budget":5}', '{"budget":[{}]}', "[" * 100_000])
def test_rules_that_make_no_sense_are_found(lived: str, wrong: str) -> None:
    """Rules of a policy that are no table of rules are a fault, if a rental holds under them."""
    engine = open_database(lived)
    with writing(engine) as connection:
        connection.execute(t.policies.update().values(rules=wrong))
    fault = verify_books(engine).fault
    assert fault is not None
    assert (fault.rule, fault.detail) == ("BUDGET", "its rules make no sense")
    engine.dispose()
