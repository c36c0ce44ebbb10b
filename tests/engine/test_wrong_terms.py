"""A8: one wrong row of an operator's product; all other calls go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from service.domain.authorization import State
from service.domain.errors import TermsUnusable
from service.engine.calls import Profile
from service.engine.catalog import TermsKind
from service.engine.operations import Item
from service.storage.database import writing
from service.storage.store import SqlStore
from tests.engine.acts import settle_usage
from tests.engine.calls import authorize, pick_up, refused, rental, settle, stored
from tests.fakes import OPERATOR, OTHER_OPERATOR, Desk
from tests.terms import BAD_POLICY, ON_BOTH, copied_product, forget_documents, plant

HOUR_US = 3_600_000_000
WRONG = "PRODUCT_MISCONFIGURED"
BIKE = (OPERATOR, "bike", 1)
BAD_BIKE = f"{BAD_POLICY} AND product_id = 'bike'"
MEND = (
    "UPDATE products SET deposit_minor = 19900, currency = 'CNY', policy_id = 'bike',"
    " policy_revision = 1, line_items = NULL, interval_minutes = 15, tariff = NULL"
    " WHERE operator_id = 'city' AND product_id = 'bike'"
)
REVISION_2 = copied_product(
    "operator_id = 'city' AND product_id = 'bike'",
    revision=2,
    deposit_minor=7000,
    policy_id="'nothing'",
)


def change(desk: Desk, *statements: str) -> None:
    """Changes terms by SQL, past the rules; the reloader notices."""
    with writing(desk.store.engine) as connection:
        forget_documents(connection)
    plant(desk.store.engine, *statements)
    desk.engine.terms.follow()


def told(desk: Desk) -> list[tuple[TermsKind, tuple[object, ...], bool]]:
    """New reports on the terms."""
    found = [(fault.kind, fault.key, mended) for fault, mended in desk.terms]
    desk.terms.clear()
    return found


def others_go_on(desk: Desk) -> None:
    """Requires that the operator's other products, the other operator's bike and the platform's
    calls are served."""
    rental(desk, settle(rental(desk, authorize("ann", "umbrella")), 0))
    it = rental(desk, authorize(), caller=OTHER_OPERATOR)
    assert (it.product_id, it.state) == ("bike", State.ACTIVE)
    rental(desk, settle(it, 100), caller=OTHER_OPERATOR)
    assert isinstance(desk.put_user("ann", 700), Profile)


@pytest.mark.parametrize("statement", ON_BOTH)
def test_a8_only_the_wrong_product_is_refused(desk: Desk, statement: str) -> None:
    """A8: if one product is wrong, only an Authorize for this product is refused: alone, in a
    group, and in a batch with other calls. The fault and its end are each reported once, with
    operator and product. Afterwards the product can be rented again."""
    change(desk, statement)
    for _ in range(3):
        error = refused(desk, authorize())
        assert (error.reason, error.metadata) == (WRONG, {"product": "bike"})
    items = (Item("umbrella", ""), Item("bike", ""))
    assert refused(desk, authorize()._replace(items=items, grouped=True)).reason == WRONG
    no, yes = desk.apply(
        desk.work(authorize()), desk.work(authorize("ben", "umbrella"), request_id="yes")
    )
    assert getattr(no, "reason", "") == WRONG
    assert isinstance(yes, bytes)
    assert told(desk) == [(TermsKind.PRODUCT, BIKE, False)]
    others_go_on(desk)
    change(desk, MEND)
    assert rental(desk, authorize()).state is State.ACTIVE
    assert told(desk) == [(TermsKind.PRODUCT, BIKE, True)]
    assert not desk.faults


def test_a8_a_wrong_product_is_read_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A8: neither calls for a wrong product nor calls on its rentals make the writer read all terms
    each time."""
    it = rental(desk, pick_up())
    change(desk, BAD_BIKE)
    refused(desk, authorize())
    other = Desk(desk.store, ids=desk.engine._ids)
    reads: list[int] = []

    def counting(read: Callable[..., object]) -> Callable[..., object]:
        def counted(*given: object) -> object:
            reads.append(1)
            return read(*given)

        return counted

    for name in ("catalog", "terms_of", "changed_terms"):
        monkeypatch.setattr(SqlStore, name, counting(getattr(SqlStore, name)))
    for engine in (desk, other):
        for _ in range(5):
            refused(engine, authorize(), request_id="again")
            refused(engine, settle(it, 10**9), request_id="too-much")
        # The second process never saw the row while it was right, so it looks once.
        assert len(reads) <= 1


def test_a8_rentals_under_a_good_revision_go_on(desk: Desk) -> None:
    """A8: rentals under a good earlier revision continue, even in a new process. If a revision
    became wrong after this process had read it, rentals under this revision continue in this
    process."""
    first, second = rental(desk, authorize()), rental(desk, pick_up())
    change(desk, REVISION_2)
    assert refused(desk, authorize()).reason == WRONG
    desk.clock.advance(desk.clock.now_us() + HOUR_US)
    assert rental(desk, settle_usage(first)).captured_minor == 550
    started = Desk(desk.store, ids=desk.engine._ids)
    assert told(started) == [(TermsKind.PRODUCT, (OPERATOR, "bike", 2), False)]
    assert refused(started, authorize(), request_id="new").reason == WRONG
    change(desk, f"{BAD_BIKE} AND revision = 1")
    assert refused(desk, settle(second, 0)).reason == "ILLEGAL_TRANSITION"
    assert stored(desk, second).state is State.EXPIRED


def test_a8_rentals_under_unreadable_terms(desk: Desk) -> None:
    """A8: the revision of a rental is wrong when a process starts. The process refuses commands
    that need these terms, as a fault of the product, and serves them once the row is right."""
    it = rental(desk, authorize())
    change(desk, BAD_BIKE)
    started = Desk(desk.store, ids=desk.engine._ids)
    started.clock.advance(desk.clock.now_us() + HOUR_US)
    assert refused(started, settle_usage(it), request_id="s").reason == WRONG
    others_go_on(started)
    change(started, MEND)
    assert rental(started, settle_usage(it), request_id="s").captured_minor == 550
    assert not started.faults


def test_a8_a_wrong_operator(desk: Desk) -> None:
    """A8: if an operator's row is gone, the operator continues under its last good row. A new
    process refuses its products and serves all others."""
    rental(desk, authorize("ann", "umbrella"))
    change(desk, "CREATE TABLE kept AS SELECT * FROM operators WHERE operator_id = 'city'")
    change(desk, "DELETE FROM operators WHERE operator_id = 'city'")
    it = rental(desk, authorize())
    assert it.fee_bp == 300
    assert told(desk) == [(TermsKind.OPERATOR, (OPERATOR,), False)]
    rental(desk, settle(it, 0))
    started = Desk(desk.store, ids=desk.engine._ids)
    assert refused(started, authorize(), request_id="new").reason == WRONG
    it = rental(started, authorize(), caller=OTHER_OPERATOR, request_id="theirs")
    assert it.state is State.ACTIVE
    assert not desk.faults + started.faults
    # The books are verified after the test, and a missing operator is a fault.
    change(desk, "INSERT INTO operators SELECT * FROM kept")
    change(desk, "DROP TABLE kept")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE limit_steps SET limit_minor = 9000000000000000000 WHERE from_score = 650",
        "DELETE FROM limit_steps",
    ],
)
def test_a8_wrong_limits(desk: Desk, statement: str) -> None:
    """A8: while limits are wrong, the last good limits count, and the fault is reported once. A
    process without good limits refuses to start, with one line that names the currency and the
    fault."""
    change(desk, statement)
    for user_id, limit_minor in (("new-1", 50_000), ("new-2", 50_000)):
        profile = desk.put_user(user_id, 700)
        assert isinstance(profile, Profile)
        assert profile.line.limit_minor == limit_minor
    others_go_on(desk)
    assert told(desk) == [(TermsKind.LIMITS, ("CNY",), False)]
    with pytest.raises(TermsUnusable, match=r"no limits in CNY: .*limit_steps") as unusable:
        Desk(desk.store)
    assert "\n" not in unusable.value.message
    change(
        desk,
        "DELETE FROM limit_steps",
        "INSERT INTO limit_steps VALUES ('CNY', 500, 10000), ('CNY', 650, 60000)",
    )
    profile = desk.put_user("new-3", 700)
    assert isinstance(profile, Profile)
    assert profile.line.limit_minor == 60_000
    assert told(desk) == [(TermsKind.LIMITS, ("CNY",), True)]


def test_a8_limits_that_fall_as_the_score_rises(desk: Desk) -> None:
    """A8: limits may fall as the score rises, as in every earlier build: they count, a process
    starts with them, and nothing is reported."""
    change(desk, "UPDATE limit_steps SET limit_minor = 10 WHERE from_score = 650")
    Desk(desk.store)
    profile = desk.put_user("new-1", 700)
    assert isinstance(profile, Profile)
    assert profile.line.limit_minor == 10
    assert told(desk) == []


def test_a8_a_fault_that_comes_back_is_reported_again(desk: Desk) -> None:
    """A8: a fault that comes back is reported again, and so is another fault of the same row."""
    for statement in (BAD_BIKE, MEND, BAD_BIKE, ON_BOTH[2]):
        change(desk, statement)
        others_go_on(desk)
    assert [mended for _, _, mended in told(desk)] == [False, True, False, False]


def test_a8_the_catalog_keeps_the_last_good_terms(desk: Desk) -> None:
    """A8: the last good terms replace wrong rows, but not rows that are gone."""
    good = desk.store.catalog()
    gone = replace(good, operators={}, revisions={}, limit_steps={})
    assert gone.or_last_good(good) == gone
