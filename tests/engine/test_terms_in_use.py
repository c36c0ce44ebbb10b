"""The terms in use: changes are loaded off the writer, and only the changes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from service.domain.access import PLATFORM
from service.engine.catalog import Catalog, TermsNames
from service.engine.operations import PayOutOperator
from service.storage import admin
from service.storage import schema as t
from service.storage import terms as storage
from service.storage.database import writing
from service.storage.store import SqlStore
from tests.engine.acts import money, revise
from tests.engine.calls import authorize, refused, rental
from tests.fakes import START_US, Desk
from tests.terms import BAD_POLICY, ON_BOTH, copied_product, forget_documents_in, plant

HANG_S = 30.0
MEND = (
    "UPDATE products SET deposit_minor = 19900, currency = 'CNY', policy_id = 'bike',"
    " policy_revision = 1 WHERE operator_id = 'city' AND product_id = 'bike'"
)
CHANGES = [
    *ON_BOTH,
    MEND,
    BAD_POLICY,
    "UPDATE products SET policy_id = 'small-item' WHERE product_id <> 'bike'",
    "UPDATE products SET day_cap_minor = day_cap_minor + 1 WHERE operator_id = 'harbour'",
    "UPDATE policies SET zero_from_score = zero_from_score + 1 WHERE policy_id = 'bike'",
    "UPDATE policies SET claim_window_us = 9000000000000000000 WHERE policy_id = 'small-item'",
    "UPDATE policies SET claim_window_us = 1",
    "UPDATE policies SET policy_id = 'renamed' WHERE policy_id = 'bike'",
    "UPDATE policies SET policy_id = 'bike' WHERE policy_id = 'renamed'",
    "DELETE FROM operators WHERE operator_id = 'city'",
    (
        "INSERT INTO operators SELECT 'city', 'City', 300, create_us, 0 FROM operators"
        " WHERE operator_id = 'harbour' AND NOT EXISTS"
        " (SELECT 1 FROM operators WHERE operator_id = 'city')"
    ),
    "UPDATE operators SET fee_bp = fee_bp + 1",
    "UPDATE limit_steps SET limit_minor = 9000000000000000000 WHERE from_score = 600",
    "UPDATE limit_steps SET limit_minor = 30000 WHERE from_score = 600",
    "DELETE FROM products WHERE operator_id = 'harbour' AND product_id = 'umbrella'",
    copied_product(
        "product_id = 'bike' AND NOT EXISTS (SELECT 1 FROM products WHERE product_id = 'kite')",
        product_id="'kite'",
    ),
    "UPDATE products SET revision = 2 WHERE product_id = 'kite'",
]


def plain(catalog: Catalog) -> Catalog:
    """A catalog with its faults in the order of their names."""
    return replace(catalog, faults=tuple(sorted(set(catalog.faults), key=str)))


@pytest.mark.parametrize("seed", range(6))
def test_partly_loaded_terms_equal_a_full_load(store: SqlStore, seed: int) -> None:
    """After any changes by hand in any order, the loaded changes give the same terms as a new
    server reads."""
    chance, catalog = Random(seed), store.catalog()
    for _ in range(25):
        for statement in chance.sample(CHANGES, chance.choice((1, 1, 1, 3))):
            plant(store.engine, statement)
        changed = store.changed_terms(catalog.change)
        whole = store.catalog()
        if changed is not None:
            names, part = changed
            assert names is not None
            catalog = catalog.with_part(names, part)
        assert plain(catalog) == plain(whole)
        assert len(catalog.faults) == len(set(catalog.faults))
        assert catalog.change == whole.change


def test_many_changes_are_read_in_full(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """All terms are read when too many changed at once, or when a change has no name."""
    start = store.catalog().change
    plant(store.engine, "UPDATE operators SET fee_bp = fee_bp + 1")
    monkeypatch.setattr(storage, "MOST_CHANGES", 2)
    assert store.changed_terms(start) == (None, store.catalog())
    monkeypatch.undo()
    names, _ = store.changed_terms(start) or (None, None)
    assert names == TermsNames(operators=frozenset({"city", "harbour"}))
    last = store.catalog().change
    with writing(store.engine) as connection:
        connection.execute(insert(t.terms_changes).values(kind="all", name="", part=""))
    assert store.changed_terms(last) == (None, store.catalog())


def test_the_writer_reads_all_terms_only_at_its_start(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither changed terms nor a new operator, product or revision make the writer read all terms:
    each is read by its name, once."""
    engine = desk.store.engine
    other = Desk(desk.store, ids=desk.engine._ids)

    def never(_store: SqlStore) -> None:
        raise AssertionError("all terms were read")

    monkeypatch.setattr(SqlStore, "catalog", never)
    revise(engine, "umbrella", deposit_minor=7_000)
    assert desk.engine.terms.follow()
    assert rental(desk, authorize("ann", "umbrella")).held_minor == 7_000
    admin.create_operator(engine, "new", "New", 300, START_US)
    assert rental(desk, authorize("ben", "bike"), caller="new").operator_id == "new"
    assert rental(other, authorize("cem", "bike"), caller="new", request_id="n").fee_bp == 300
    assert desk.engine.terms.follow()
    assert not desk.engine.terms.follow()


def test_unknown_names_change_nothing(desk: Desk) -> None:
    """An unknown product or operator leaves the terms in use unchanged."""
    before = desk.engine.terms.used
    assert refused(desk, authorize(product_id="moon")).reason == "PRODUCT_NOT_FOUND"
    out = PayOutOperator("nobody", money(1), "out")
    assert refused(desk, out, caller=PLATFORM).reason == "OPERATOR_NOT_FOUND"
    assert desk.engine.terms.used is before


def test_calls_are_answered_while_terms_are_loaded(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While changed terms are loaded, calls are decided under the earlier terms. Terms that the
    writer reads meanwhile are kept, and so are the loaded terms."""
    engine = desk.store.engine
    read, reading, go = desk.store.changed_terms, threading.Event(), threading.Event()

    def slow(after: int) -> Any:
        found = read(after)
        reading.set()
        assert go.wait(HANG_S)
        return found

    monkeypatch.setattr(desk.store, "changed_terms", slow)
    revise(engine, "umbrella", deposit_minor=7_000)
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(desk.engine.terms.follow)
        assert reading.wait(HANG_S)
        admin.create_operator(engine, "new", "New", 300, START_US)
        assert rental(desk, authorize("ann", "umbrella")).product_revision == 1
        assert rental(desk, authorize("ben", "bike"), caller="new").operator_id == "new"
        go.set()
        assert loading.result(HANG_S)
    assert "new" in desk.engine.terms.used.catalog.operators
    assert rental(desk, authorize("ann", "umbrella")).product_revision == 2
    assert desk.engine.terms.follow()
    assert plain(desk.engine.terms.used.catalog) == plain(desk.store.catalog())


def test_older_terms_do_not_replace_newer_ones(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """If changed terms are loaded while the writer reads one of them, the writer reads this one
    again."""
    admin.create_operator(desk.store.engine, "new", "New", 300, START_US)
    read, late = desk.store.terms_of, ["UPDATE operators SET fee_bp = 400"]

    def overtaken(names: TermsNames) -> Any:
        found = read(names)
        if late:
            plant(desk.store.engine, late.pop())
            assert desk.engine.terms.follow()
        return found

    monkeypatch.setattr(desk.store, "terms_of", overtaken)
    assert rental(desk, authorize("ben", "bike"), caller="new").fee_bp == 400
    assert not desk.engine.terms.follow()


def test_reasons_are_requested_below_the_highest_cut_off(desk: Desk) -> None:
    """The score below which reasons are requested follows the terms, up and down."""
    forget_documents_in(desk.store.engine)
    seen = [desk.engine.terms.used.explain_below]
    for score in (900, 601):
        change = f"UPDATE policies SET zero_from_score = {score} WHERE policy_id = 'bike'"
        plant(desk.store.engine, change)
        assert desk.engine.terms.follow()
        seen.append(desk.engine.terms.used.explain_below)
    assert seen == [600, 900, 601]


def one_by_one(engine: Engine, numbers: list[int]) -> None:
    """Adds operators with these numbers, each in its own transaction."""
    for number in numbers:
        admin.create_operator(engine, f"o-{number}", "O", 300, START_US)


def test_changes_are_numbered_in_commit_order(store: SqlStore) -> None:
    """A reader that follows the changes of two concurrent writers misses none."""
    catalog, stop = store.catalog(), threading.Event()
    with ThreadPoolExecutor(2) as pool:
        makers = [
            pool.submit(one_by_one, store.engine, list(range(start, 24, 2))) for start in (0, 1)
        ]
        while not stop.is_set():
            if all(it.done() for it in makers):
                stop.set()
            names, part = store.changed_terms(catalog.change) or (TermsNames(), catalog)
            assert names is not None
            catalog = catalog.with_part(names, part)
        for it in makers:
            it.result()
    assert plain(catalog) == plain(store.catalog())
    assert len(catalog.operators) == 26
