"""A stored document that was changed by SQL is refused by name, and stops nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from service.domain.access import PLATFORM
from service.domain.documents import DocumentKind as K
from service.domain.errors import TermsDamaged
from service.engine.records.documents import DocumentName
from service.storage.proof import verify_database
from service.storage.store import SqlStore
from service.storage.terms_reads import diff_terms, get_terms, page_of_terms
from tests.fakes import OPERATOR, OTHER_OPERATOR, START_US
from tests.storage.test_terms_acts import BIKE, POLICY, TARIFF, apply, retire, states
from tests.terms import plant

DAMAGES = ("'{'", "'[]'", "'{}'", "document || ' '")
TRIPS: dict[K, dict[str, Any]] = {
    K.TARIFF: {**TARIFF, "name": "trip"},
    K.POLICY: {**POLICY, "name": "trip"},
    K.PRODUCT: {**BIKE, "id": "trip", "tariff": "trip", "policy": "trip"},
}
CHANGES = {
    K.TARIFF: {"buy_out_minor": 9_000},
    K.POLICY: {"zero_from_score": 660},
    K.PRODUCT: {"deposit_minor": 9_800},
}


def damage(store: SqlStore, kind: str, value: str) -> None:
    """Changes the operator's document of a kind past the rules."""
    where = f"kind = '{kind}' AND owner = '{OPERATOR}' AND name = 'trip'"
    change = f"UPDATE terms_documents SET document = {value} WHERE {where}"
    if store.engine.dialect.name != "sqlite":
        plant(store.engine, change)
        return
    triggers = "SELECT name, sql FROM sqlite_master WHERE type='trigger' AND tbl_name=?"
    with store.engine.begin() as connection:
        found = connection.exec_driver_sql(triggers, ("terms_documents",)).all()
        for name, _ in found:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        connection.exec_driver_sql(change)
        for _, made in found:
            connection.exec_driver_sql(made)


@pytest.fixture
def trips(store: SqlStore) -> SqlStore:
    """The operator has a tariff, a policy and a product of the same name in force."""
    for kind, table in TRIPS.items():
        apply(store, kind, table)
    return store


@pytest.mark.parametrize("value", DAMAGES)
@pytest.mark.parametrize("kind", TRIPS)
def test_a_damaged_document_is_refused_by_name(trips: SqlStore, kind: K, value: str) -> None:
    """A document that is no JSON, no table, empty or another one is named by each call that needs
    it. Lists go on, the other documents of the operator, of another one and of the platform are
    changed as before, the product is rented out, and the verifier finds the document."""
    damage(trips, kind, value)
    name = DocumentName(str(kind), OPERATOR, "trip", 1)
    calls: list[Callable[[], object]] = [
        lambda: get_terms(trips.engine, name, START_US),
        lambda: diff_terms(trips.engine, name, 1, START_US),
        lambda: apply(trips, kind, {**TRIPS[kind], **CHANGES[kind]}),
    ]
    for call in calls:
        with pytest.raises(TermsDamaged) as error:
            call()
        assert error.value.metadata == {"kind": str(kind), "name": "trip", "revision": "1"}
    listed = page_of_terms(
        trips.engine, OPERATOR, "", "", ("", "", 0), None, START_US, retired=True
    )
    assert [it.name for it in listed].count("trip") == len(TRIPS)
    for owner in (OPERATOR, OTHER_OPERATOR, PLATFORM):
        apply(trips, K.TARIFF, {**TARIFF, "name": f"walk-{owner}"}, owner)
    assert (OPERATOR, "trip") in trips.catalog().products
    fault = verify_database(trips.engine).fault
    assert fault is not None
    assert "trip" in fault.row


def test_a_damaged_draft_is_withdrawn(store: SqlStore) -> None:
    """A damaged draft is not activated; it can be retired."""
    apply(store, K.TARIFF, TRIPS[K.TARIFF], activate=False)
    damage(store, K.TARIFF, "'{'")
    retire(store, DocumentName(str(K.TARIFF), OPERATOR, "trip", 1))
    assert states(store, K.TARIFF, "trip") == [(1, "RETIRED")]
