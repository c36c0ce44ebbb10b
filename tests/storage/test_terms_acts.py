"""Acts on documents of terms: drafts, activation, retirement, bounds, terms of earlier builds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from service.domain.access import PLATFORM, Principal, Scope
from service.domain.documents import DocumentKind, DocumentState
from service.domain.errors import ActRefused, InvalidInput, NotFound, RequestIdReused
from service.domain.product import Product
from service.domain.segment_tariff import SegmentTariff
from service.domain.tariff_document import tariff_columns
from service.engine.records.administration import Approval, Asked, By
from service.engine.records.compatibility import ORDER_FEES_BUILD
from service.engine.records.documents import DocumentName
from service.storage import schema as t
from service.storage.administration import list_audit
from service.storage.compatibility import (
    RESERVATIONS_BUILD,
    RETIRED_BUILD,
    RULES_BUILD,
    TARIFFS_BUILD,
)
from service.storage.database import writing
from service.storage.migrate import oldest_build_of
from service.storage.proof import verify_database
from service.storage.store import SqlStore
from service.storage.terms_acts import (
    Applied,
    Order,
    Outcome,
    activate_terms,
    apply_terms,
    check_terms,
    retire_terms,
    validate_terms,
)
from service.storage.terms_reads import diff_terms, get_terms, page_of_terms
from tests.fakes import OPERATOR, OTHER_OPERATOR, START_US
from tests.storage.administered import DAY_TARIFF, approve, asked, propose, shell
from tests.terms import copied_product, plant

K = DocumentKind
TARIFF = {**DAY_TARIFF, "name": "bike"}
POLICY: dict[str, Any] = {
    "name": "careful",
    "zero_from_score": 650,
    "reduced_from_score": 500,
    "reduced_credit_share_bp": 4_000,
}
BIKE: dict[str, Any] = {
    "id": "bike",
    "category": "BIKE",
    "currency": "CNY",
    "deposit_minor": 9_900,
    "replacement_minor": 90_000,
    "tariff": "bike",
    "policy": "careful",
}


def kept_in(results: list[Applied]) -> Callable[[Applied], bytes]:
    """A function that keeps a result, and has empty bytes as its answer."""

    def encode(it: Applied) -> bytes:
        results.append(it)
        return b""

    return encode


def apply(
    store: SqlStore,
    kind: K,
    table: dict[str, Any],
    owner: str = OPERATOR,
    *,
    by: Asked | None = None,
    **more: Any,
) -> Applied:
    """Applies a document and activates it, unless that is said otherwise."""
    results: list[Applied] = []
    order = Order(kind, owner, table, "as agreed", **{"activate": True, **more})
    request = by or shell("apply")
    apply_terms(store.engine, request, order, START_US, kept_in(results))
    return results[0]


def retire(store: SqlStore, name: DocumentName, by: Asked | None = None) -> Applied:
    """Retires a revision."""
    results: list[Applied] = []
    request = by or shell("retire")
    retire_terms(store.engine, request, name, "over", START_US, kept_in(results))
    return results[0]


def rules(error: pytest.ExceptionInfo[InvalidInput]) -> set[tuple[str, str]]:
    """The path and the rule of each fault."""
    return {(it.field, it.rule) for it in error.value.violations}


def states(store: SqlStore, kind: K, name: str, owner: str = OPERATOR) -> list[tuple[int, str]]:
    """The revisions of a document with their states."""
    found = page_of_terms(
        store.engine, owner, str(kind), name, ("", "", 0), None, START_US, retired=True
    )
    return [(it.revision, it.state) for it in found]


def columns(product: Product) -> dict[str, Any]:
    """The columns that a product's tariff decides."""
    return tariff_columns(product.tariff)


def sound(store: SqlStore) -> bool:
    """True if the books, the acts and the terms agree."""
    return verify_database(store.engine).fault is None


def test_a_document_goes_from_draft_to_active(store: SqlStore) -> None:
    """A document is a draft, is validated, and comes into force; the one before is retired. Each
    step has its time, its actor and its reason."""
    drafted = apply(store, K.TARIFF, TARIFF, activate=False)
    assert (drafted.outcome, drafted.document.state) == (Outcome.VALIDATED, "VALIDATED")
    assert ("start_fee_minor", "150", "100") in drafted.differences
    results: list[Applied] = []
    name = drafted.document.full_name
    activate_terms(
        store.engine,
        shell("activate"),
        name,
        "now",
        START_US + 5,
        kept_in(results),
    )
    (active,) = results
    assert active.outcome is Outcome.ACTIVATED
    assert [tuple(it) for it in active.products] == [(OPERATOR, "bike", 2)]
    it = active.document
    assert (it.create_us, it.validate_us, it.activate_us) == (START_US, START_US, START_US + 5)
    assert (it.created_by, it.activated_by) == ("shell/tester", "shell/tester")
    assert (it.create_reason, it.activate_reason) == ("as agreed", "now")
    assert states(store, K.TARIFF, "bike") == [(1, "RETIRED"), (2, "ACTIVE")]
    assert store.catalog().products[OPERATOR, "bike"].tariff.start_fee_minor == 100
    assert store.catalog().revisions[OPERATOR, "bike", 1].tariff.start_fee_minor == 150
    told = [act.act for act in list_audit(store.engine, OPERATOR)]
    assert told == ["terms.drafted", "terms.validated", "terms.activated"]
    assert sound(store)


def test_the_same_document_changes_nothing(store: SqlStore) -> None:
    """A document that means the same as the one in force changes nothing, whatever it leaves out;
    a document that means the same as a waiting draft is that draft."""
    first = apply(store, K.POLICY, POLICY)
    again = apply(store, K.POLICY, {**POLICY, "rental_period_hours": 24, "most_pauses": 10})
    assert (again.outcome, again.document.revision) == (Outcome.UNCHANGED, 1)
    assert again.document == first.document
    stricter = {**POLICY, "zero_from_score": 700}
    for outcome in (Outcome.VALIDATED, Outcome.UNCHANGED):
        draft = apply(store, K.POLICY, stricter, activate=False)
        assert (draft.outcome, draft.document.revision) == (outcome, 2)
    assert apply(store, K.POLICY, stricter).document.revision == 2


def test_a_product_comes_under_its_own_terms(store: SqlStore) -> None:
    """A product gets the tariff and the policy that it names. A new revision of either counts for
    it at once, and rentals keep the revision under which they began."""
    apply(store, K.POLICY, POLICY)
    assert [it.revision for it in apply(store, K.PRODUCT, BIKE).products] == [2]
    product = store.catalog().products[OPERATOR, "bike"]
    assert (product.deposit_minor, product.policy.policy_id) == (9_900, "city/careful")
    assert columns(product)["interval_price_minor"] == 100
    apply(store, K.POLICY, {**POLICY, "zero_from_score": 700})
    apply(store, K.TARIFF, {**TARIFF, "interval_price_minor": 200})
    product = store.catalog().products[OPERATOR, "bike"]
    assert (product.revision, product.policy.revision) == (4, 2)
    assert (product.policy.zero_from_score, columns(product)["interval_price_minor"]) == (700, 200)
    assert store.catalog().revisions[OPERATOR, "bike", 2].policy.zero_from_score == 650
    assert store.catalog().products[OTHER_OPERATOR, "bike"].revision == 1
    assert sound(store)


def test_a_policy_of_the_platform_counts_for_every_operator(store: SqlStore) -> None:
    """A new revision of a platform's policy makes new rows of all products that name it, also of
    products without documents."""
    plant(store.engine, copied_product("product_id = 'bike'", product_id="'cargo'"))
    bike = get_terms(store.engine, DocumentName("policy", PLATFORM, "bike", 0), START_US)
    table = {"name": "bike", "zero_from_score": 610, "reduced_from_score": 500}
    found = apply(store, K.POLICY, {**table, "reduced_credit_share_bp": 5_000}, PLATFORM)
    assert (bike.revision, found.document.revision) == (1, 2)
    assert {it[:2] for it in found.products} == {
        (owner, name) for owner in (OPERATOR, OTHER_OPERATOR) for name in ("bike", "cargo")
    }
    for it in store.catalog().products.values():
        assert (it.policy.revision == 2) == (it.product_id in ("bike", "cargo"))
    assert sound(store)


def test_what_a_document_names_must_be_there(store: SqlStore) -> None:
    """A product that names missing documents is kept as a draft with its faults, and does not come
    into force before they are active."""
    wrong = {**BIKE, "id": "kite", "tariff": "kites", "currency": "EUR"}
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.PRODUCT, wrong)
    faults = {
        ("tariff", "tariff.unknown"),
        ("policy", "policy.unknown"),
        ("currency", "currency.no_limits"),
    }
    assert rules(refused) == faults
    with pytest.raises(NotFound, match="product not found: kite"):
        states(store, K.PRODUCT, "kite")
    draft = apply(store, K.PRODUCT, {**wrong, "currency": "CNY"}, activate=False)
    assert draft.outcome is Outcome.DRAFTED
    assert {it.field for it in draft.faults} == {"tariff", "policy"}
    apply(store, K.POLICY, POLICY)
    apply(store, K.TARIFF, {**TARIFF, "name": "kites"})
    results: list[Applied] = []
    name = draft.document.full_name
    validate_terms(store.engine, shell("v"), name, "", START_US, kept_in(results))
    assert results[0].outcome is Outcome.VALIDATED
    assert states(store, K.PRODUCT, "kite") == [(1, "VALIDATED")]
    assert (OPERATOR, "kite") not in store.catalog().products


def test_a_tariff_keeps_the_currency_of_its_products(store: SqlStore) -> None:
    """A tariff does not come into force in another currency than the products that name it."""
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.TARIFF, {**TARIFF, "currency": "EUR"})
    assert rules(refused) == {("currency", "currency.of_product")}


def test_a_name_of_the_platform_is_not_taken(store: SqlStore) -> None:
    """An operator's policy does not take the place of a platform's policy by its name."""
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.POLICY, {**POLICY, "name": "small-item"})
    assert rules(refused) == {("name", "name.of_platform")}


def test_a_dry_run_changes_nothing(store: SqlStore) -> None:
    """A dry run tells the effect or all faults, and changes nothing."""
    before = states(store, K.TARIFF, "bike")
    acts = list_audit(store.engine, OPERATOR)
    order = Order(K.TARIFF, OPERATOR, {**TARIFF, "day_cap_minor": 1}, "why", activate=True)
    found = check_terms(store.engine, shell("check"), order, START_US)
    assert (found.outcome, found.document.revision) == (Outcome.ACTIVATED, 2)
    assert len(found.products) == 1
    faulty = order._replace(table={**TARIFF, "currency": "EUR"})
    assert [it.rule for it in check_terms(store.engine, shell("c"), faulty, START_US).faults] == [
        "currency.of_product"
    ]
    assert states(store, K.TARIFF, "bike") == before
    assert list_audit(store.engine, OPERATOR) == acts
    assert store.catalog().products[OPERATOR, "bike"].revision == 1


def test_a_retired_product_is_not_rented_out(store: SqlStore) -> None:
    """A retired product leaves the products, its revisions stay, and it comes back by applying it
    again. Older builds do not start on the database then."""
    found = retire(store, DocumentName("product", OPERATOR, "umbrella", 1))
    assert found.outcome is Outcome.RETIRED
    catalog = store.catalog()
    assert (OPERATOR, "umbrella") not in catalog.products
    assert catalog.retired == {(OPERATOR, "umbrella")}
    assert (OPERATOR, "umbrella", 1) in catalog.revisions
    with store.engine.connect() as connection:
        assert connection.scalar(select(func.max(t.compatibility.c.oldest_build))) == RETIRED_BUILD
    assert sound(store)
    umbrella = {**BIKE, "id": "umbrella", "tariff": "umbrella", "policy": "small-item"}
    assert apply(store, K.PRODUCT, umbrella).document.revision == 2
    assert store.catalog().products[OPERATOR, "umbrella"].revision == 3
    assert sound(store)


@pytest.mark.parametrize(
    "name",
    [
        DocumentName("tariff", OPERATOR, "bike", 1),
        DocumentName("policy", PLATFORM, "bike", 1),
        DocumentName("limits", PLATFORM, "limits", 1),
    ],
)
def test_terms_in_use_are_not_retired(store: SqlStore, name: DocumentName) -> None:
    """A tariff or a policy that a product needs is not retired, and limits are not either."""
    with pytest.raises(ActRefused) as refused:
        retire(store, name)
    assert refused.value.reason == "TERMS_IN_USE"


def test_a_draft_is_withdrawn(store: SqlStore) -> None:
    """A retired draft cannot come into force any more."""
    draft = apply(store, K.POLICY, POLICY, activate=False).document
    assert retire(store, draft.full_name).document.state == DocumentState.RETIRED
    with pytest.raises(ActRefused) as refused:
        activate_terms(store.engine, shell("a"), draft.full_name, "", START_US, lambda _: b"")
    assert refused.value.reason == "TERMS_RETIRED"


def test_terms_stay_inside_the_bounds(store: SqlStore) -> None:
    """An operator's policy or product outside the platform's bounds is refused by the bound's name.
    An operator's own bounds come before the default ones, and the platform may go beyond."""
    table = {"name": "default", "least_zero_from_score": 640, "longest": {"claim_window_hours": 47}}
    table["amount"] = [{"currency": "CNY", "most_deposit_minor": 9_000, "most_hold_minor": 9_900}]
    apply(store, K.BOUNDS, table, PLATFORM)
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.POLICY, {**POLICY, "zero_from_score": 639})
    assert rules(refused) == {
        ("zero_from_score", "bounds.least_zero_from_score"),
        ("claim_window_hours", "bounds.longest.claim_window_hours"),
    }
    apply(store, K.POLICY, POLICY, beyond_bounds=True)
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.PRODUCT, BIKE)
    assert rules(refused) == {
        ("deposit_minor", "bounds.most_deposit_minor"),
        ("most_hold_minor", "bounds.most_hold_minor"),
    }
    own = {"name": OPERATOR, "longest": {"claim_window_hours": 48}, "least_zero_from_score": 600}
    apply(store, K.BOUNDS, own, PLATFORM)
    apply(store, K.POLICY, {**POLICY, "zero_from_score": 639})
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.BOUNDS, {"name": "nobody"}, PLATFORM)
    assert rules(refused) == {("name", "name.no_operator")}
    assert sound(store)


def test_new_bounds_name_the_terms_outside(store: SqlStore) -> None:
    """Bounds come into force although terms in force lie outside, and name these: all of the
    operators for the default bounds, and its own for an operator's. The dry run says the same."""
    apply(store, K.POLICY, POLICY)
    apply(store, K.PRODUCT, {**BIKE, "id": "bank", "category": "POWER_BANK", "policy": "careful"})
    apply(store, K.POLICY, {**POLICY, "name": "other"}, OTHER_OPERATOR)

    def outside(**bounds: Any) -> set[tuple[str, str]]:
        order = Order(K.BOUNDS, PLATFORM, bounds, "", activate=True)
        dry = check_terms(store.engine, shell("apply"), order, START_US)
        found = apply(store, K.BOUNDS, bounds, PLATFORM)
        assert found.outside == dry.outside
        assert (found.faults, found.outcome) == ((), Outcome.ACTIVATED)
        return {(it.field, it.rule) for it in found.outside}

    least, amount = BIKE["deposit_minor"] - 1, "bounds.most_deposit_minor"
    found = outside(
        name=OPERATOR,
        least_zero_from_score=700,
        amount=[{"currency": "CNY", "most_deposit_minor": least}],
    )
    score = "bounds.least_zero_from_score"
    assert found >= {
        ("policy city/careful/1 zero_from_score", score),
        ("product city/bank/1 deposit_minor", amount),
    }
    assert all(f" {OPERATOR}/" in field for field, _ in found)
    # The operator's own bounds come before the default ones, whose places count too.
    found = outside(name="default", least_zero_from_score=651, jurisdictions=["CN-SZ"])
    assert {("policy city/careful/1 zero_from_score", score),
            ("policy harbour/other/1 zero_from_score", score)} <= found  # fmt: skip
    places = {(field.split()[1], rule) for field, rule in found if rule.startswith("CN-SZ.")}
    assert ("city/bank/1", "CN-SZ.FREE_AT_LEAST_5_MINUTES") in places
    assert sound(store)


def test_rules_in_a_currency_without_limits_are_refused(store: SqlStore) -> None:
    """A budget, a breaker and a bound of amounts in a currency that has no limits are refused,
    because no product is in it; the refusal names the currency that was meant."""
    budget = [{"currency": it, "most_minor": 100} for it in ("CNY", "CNX")]
    breaker = [{"currency": "EUR", "days": 7, "most_minor": 100}]
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.POLICY, {**POLICY, "budget": budget, "breaker": breaker})
    assert rules(refused) == {
        ("budget[1].currency", "budget.currency.no_limits"),
        ("breaker[0].currency", "breaker.currency.no_limits"),
    }
    assert "did you mean CNY?" in refused.value.violations[0].description
    amount = [{"currency": "CNX", "most_deposit_minor": 100}]
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.BOUNDS, {"name": "default", "amount": amount}, PLATFORM)
    assert rules(refused) == {("amount[0].currency", "amount.currency.no_limits")}
    steps = [{"currency": it, "from_score": 500, "limit_minor": 10_000} for it in ("CNY", "EUR")]
    apply(store, K.LIMITS, {"limit": steps}, PLATFORM)
    apply(store, K.POLICY, {**POLICY, "breaker": breaker})
    assert sound(store)


def test_rules_that_count_for_no_product_are_noted(store: SqlStore) -> None:
    """A policy comes into force with a cut-off for a category, or a budget or a breaker in a
    currency, that no product in force of its owner has; each answer notes these rules."""
    steps = [{"currency": it, "from_score": 500, "limit_minor": 10_000} for it in ("CNY", "EUR")]
    apply(store, K.LIMITS, {"limit": steps}, PLATFORM)
    cut = {key: POLICY[key] for key in ("zero_from_score", "reduced_from_score")}
    table = {
        **POLICY,
        "cut_off": [{**cut, "category": it} for it in ("BIKE", "POWER_BNAK")],
        "budget": [{"currency": it, "most_minor": 100} for it in ("CNY", "EUR")],
        "breaker": [{"currency": "EUR", "days": 7, "most_minor": 100}],
    }
    apply(store, K.PRODUCT, {**BIKE, "id": "own", "policy": "small-item"})

    def unused(owner: str = OPERATOR) -> list[tuple[str, str]]:
        order = Order(K.POLICY, owner, table, "", activate=True)
        dry = check_terms(store.engine, shell("apply"), order, START_US)
        for found in (apply(store, K.POLICY, table, owner), dry):
            assert found.faults == ()
            assert found.unused == dry.unused
        return [(it.field, it.description.split(":")[0]) for it in found.unused]

    # A currency without limits is a fault, and no remark beside it.
    wrong = {**table, "budget": [{"currency": "USD", "most_minor": 100}]}
    dry = check_terms(store.engine, shell("apply"), Order(K.POLICY, OPERATOR, wrong, ""), START_US)
    assert [it.field for it in dry.faults] == ["budget[0].currency"]
    assert "budget[0].currency" not in {it.field for it in dry.unused}

    bank = ("cut_off[1].category", "POWER_BNAK is the category of no product in force")
    assert unused() == [
        bank,
        ("budget[1].currency", "EUR is the currency of no product in force"),
        ("breaker[0].currency", "EUR is the currency of no product in force"),
    ]
    own = {**BIKE, "id": "bank", "category": "POWER_BNAK", "policy": "small-item"}
    apply(store, K.PRODUCT, own, OTHER_OPERATOR)
    assert bank in unused()
    assert bank not in unused(PLATFORM)
    apply(store, K.PRODUCT, own)
    assert bank not in unused()
    assert sound(store)


def test_limits_of_several_currencies(store: SqlStore) -> None:
    """Limits are replaced as a whole, each currency with its own steps; a currency in use stays."""
    steps = [{"currency": "CNY", "from_score": 500, "limit_minor": 10_000}]
    euro = [{"currency": "EUR", "from_score": 600, "limit_minor": 5_000}]
    apply(store, K.LIMITS, {"limit": steps + euro}, PLATFORM)
    found = store.catalog().limit_steps
    assert {key: [tuple(vars_of(it)) for it in found[key]] for key in found} == {
        "CNY": [(500, 10_000)],
        "EUR": [(600, 5_000)],
    }
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.LIMITS, {"limit": euro}, PLATFORM)
    assert rules(refused) == {("limit", "limit.currency_in_use")}


def vars_of(step: Any) -> tuple[int, int]:
    """A step's score and limit."""
    return step.from_score, step.limit_minor


def test_terms_changed_by_sql_get_documents(store: SqlStore) -> None:
    """Rows that SQL or an earlier build wrote are listed, compared and revised like documents."""
    plant(
        store.engine,
        copied_product(
            "operator_id = 'city' AND product_id = 'bike'", revision=2, day_cap_minor=2_500
        ),
        "UPDATE limit_steps SET limit_minor = 60000 WHERE from_score = 650",
    )
    assert states(store, K.PRODUCT, "bike") == [(1, "ACTIVE")]
    assert states(store, K.TARIFF, "bike") == [(1, "RETIRED"), (2, "ACTIVE")]
    assert states(store, K.LIMITS, "limits", PLATFORM) == [(1, "RETIRED"), (2, "ACTIVE")]
    product = store.catalog().products[OPERATOR, "bike"]
    assert (product.revision, columns(product)["day_cap_minor"]) == (2, 2_500)
    found = apply(store, K.TARIFF, {**TARIFF, "day_cap_minor": 2_400})
    assert [it.revision for it in found.products] == [3]
    assert sound(store)


def test_a_person_needs_a_second_one_for_more_power(store: SqlStore) -> None:
    """A person makes a policy laxer, or limits higher, only with a second person; a program's key
    and a stricter policy need none."""
    apply(store, K.POLICY, POLICY)
    scopes = frozenset({Scope.TERMS_WRITE, Scope.TERMS_ACTIVATE, Scope.KEYS_ADMIN})
    with writing(store.engine) as connection:
        for number, person in enumerate(("ann", "ben", None)):
            row: dict[str, Any] = {
                "key_hash": str(number) * 64,
                "operator_id": OPERATOR,
                "scopes": "terms.write",
            }
            row |= {"create_us": 1, "person_id": person, "certificates": "", "label": ""}
            connection.execute(insert(t.api_keys), row)
    ann, ben, program = (
        Principal(OPERATOR, scopes, str(number) * 16, person)
        for number, person in enumerate(("ann", "ben", ""))
    )
    stricter, laxer = ({**POLICY, "zero_from_score": it} for it in (700, 600))
    apply(store, K.POLICY, stricter, by=asked(ann, "ApplyTerms"))
    with pytest.raises(ActRefused) as refused:
        apply(store, K.POLICY, laxer, by=asked(ann, "ApplyTerms"))
    assert refused.value.reason == "APPROVAL_REQUIRED"
    number = propose(store.engine, ann, "ApplyTerms", b"laxer")
    approve(store.engine, ben, number)
    approval = Approval(number, "ApplyTerms", b"laxer")
    apply(store, K.POLICY, laxer, by=asked(ann, "ApplyTerms", approval=approval))
    assert [it.approved_by for it in list_audit(store.engine, OPERATOR)][-1] == "ben"
    laxest = {**POLICY, "zero_from_score": 550}
    apply(store, K.POLICY, laxest, by=asked(program, "ApplyTerms"))
    bounds = {"name": OPERATOR, "second_person": ["tariff"]}
    apply(store, K.BOUNDS, bounds, PLATFORM)
    with pytest.raises(ActRefused):
        apply(store, K.TARIFF, TARIFF, by=asked(ann, "ApplyTerms"))


def test_an_act_counts_once(store: SqlStore) -> None:
    """A repeated request id gets the first answer; another document under it is refused."""
    order = Order(K.POLICY, OPERATOR, POLICY, "why", activate=True)
    for _ in range(2):
        request = shell("apply", POLICY, request_id="r-1")
        assert apply_terms(store.engine, request, order, START_US, lambda _: b"done") == b"done"
    assert states(store, K.POLICY, "careful") == [(1, "ACTIVE")]
    with pytest.raises(RequestIdReused):
        apply_terms(
            store.engine, shell("apply", "other", request_id="r-1"), order, START_US, lambda _: b""
        )


def test_missing_terms_are_not_found(store: SqlStore) -> None:
    """A document or an operator that does not exist is not found."""
    with pytest.raises(NotFound):
        get_terms(store.engine, DocumentName("policy", OPERATOR, "nothing", 0), START_US)
    with pytest.raises(NotFound):
        apply(store, K.POLICY, POLICY, "nobody")


def test_a_list_of_a_name_that_no_terms_have_is_not_found(store: SqlStore) -> None:
    """A list of one name is NOT_FOUND, with the name that was meant, if the owner has no terms of
    it; terms of another owner or kind do not count, and retired ones do."""
    apply(store, K.POLICY, POLICY)
    name = POLICY["name"]
    for owner, kind, wanted, said in (
        (OPERATOR, "policy", "carefull", "policy not found: carefull: did you mean careful?"),
        (OPERATOR, "", "carefull", "terms not found: carefull: did you mean careful?"),
        (OPERATOR, "tariff", name, "tariff not found: careful"),
        (OTHER_OPERATOR, "policy", name, "policy not found: careful"),
    ):
        with pytest.raises(NotFound) as refused:
            page_of_terms(store.engine, owner, kind, wanted, ("", "", 0), 9, START_US, True)
        assert str(refused.value) == said
    retire_terms(
        *(store.engine, shell("retire"), DocumentName("policy", OPERATOR, name, 1), ""),
        *(START_US, lambda _: b""),
    )
    assert page_of_terms(store.engine, OPERATOR, "", name, ("", "", 0), 9, START_US, False) == []


def test_differences_between_revisions(store: SqlStore) -> None:
    """Two revisions, or a revision and a document, are compared value by value."""
    apply(store, K.TARIFF, TARIFF)
    name = DocumentName("tariff", OPERATOR, "bike", 1)
    paths = {it.path for it in diff_terms(store.engine, name, 2, START_US)}
    assert paths == {"start_fee_minor", "buy_out_minor"}
    changed = {**TARIFF, "day_cap_minor": 1}
    in_force = name._replace(revision=0)
    assert [tuple(it) for it in diff_terms(store.engine, in_force, changed, START_US)] == [
        ("day_cap_minor", "3000", "1")
    ]


@pytest.mark.parametrize(
    "change",
    [
        "document = '{}'",
        "digest = 'x'",
        "state = 'DRAFT'",
        "state = 'ACTIVE'",
        "activate_us = 0",
        "created_by = 'x'",
    ],
)
def test_the_database_keeps_documents_as_they_are(store: SqlStore, change: str) -> None:
    """The database refuses to change a document in force, or to take a step back."""
    statement = f"UPDATE terms_documents SET {change} WHERE kind = 'tariff'"
    with pytest.raises(DBAPIError), writing(store.engine) as connection:
        connection.exec_driver_sql(statement)
    for table in ("terms_documents", "compiled_products"):
        with pytest.raises(DBAPIError), writing(store.engine) as connection:
            connection.exec_driver_sql(f"DELETE FROM {table}")


def test_one_revision_is_in_force(store: SqlStore) -> None:
    """The database refuses a second active revision of a document."""
    with store.engine.connect() as connection:
        row = connection.execute(
            select(t.terms_documents).where(t.terms_documents.c.kind == "limits")
        ).mappings()
        values = {**row.one(), "revision": 7}
        with pytest.raises(IntegrityError):
            connection.execute(insert(t.terms_documents), values)


def test_by_names_the_actor() -> None:
    """An act at the shell has the shell's user as its actor."""
    assert By(None, "root").text == "shell/root"


POWER_BANK: dict[str, Any] = {
    "name": "bank-2026",
    "currency": "CNY",
    "rounding": "STARTED",
    "free_minutes": 5,
    "buy_out_minor": 9_900,
    "segment": [{"interval_minutes": 30, "price_minor": 150}],
    "cap": [{"window_minutes": 1_440, "most_minor": 3_000}],
}


def test_a_tariff_of_segments_counts_for_its_products(store: SqlStore) -> None:
    """A product comes under a tariff of arithmetic 2, and back under one of arithmetic 1. Builds
    that do not know arithmetic 2 do not start any more."""
    apply(store, K.TARIFF, POWER_BANK)
    bank = {**BIKE, "id": "power-bank", "tariff": "bank-2026", "policy": "small-item"}
    apply(store, K.PRODUCT, bank)
    product = store.catalog().products[OPERATOR, "power-bank"]
    assert isinstance(product.tariff, SegmentTariff)
    assert product.tariff.segments[0].price_minor == 150
    apply(store, K.TARIFF, {**POWER_BANK, "free_minutes": 6})
    product = store.catalog().products[OPERATOR, "power-bank"]
    assert (product.revision, product.tariff.free_minutes) == (3, 6)
    assert sound(store)
    with store.engine.connect() as connection:
        assert connection.scalar(select(func.max(t.compatibility.c.oldest_build))) == TARIFFS_BUILD
    apply(store, K.TARIFF, {**TARIFF, "name": "bank-2026"})
    product = store.catalog().products[OPERATOR, "power-bank"]
    assert (product.revision, columns(product)["tariff"]) == (4, None)
    assert sound(store)


def test_a_cancellation_costs_no_more_than_the_deposit(store: SqlStore) -> None:
    """A product whose fee for a cancellation is above its deposit is refused: no more is held."""
    fee = {"cancellation_fee_minor": BIKE["deposit_minor"] + 1, "policy": "small-item"}
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.PRODUCT, {**BIKE, **fee})
    assert rules(refused) == {
        ("cancellation_fee_minor", "cancellation_fee_minor.above_deposit"),
    }
    fee["cancellation_fee_minor"] = BIKE["deposit_minor"]
    assert apply(store, K.PRODUCT, {**BIKE, **fee}).outcome is Outcome.ACTIVATED
    assert sound(store)


def test_a_condition_is_checked_with_line_and_column(store: SqlStore) -> None:
    """A policy with a wrong condition is refused: the fault has its path, line and column. An
    operator's condition does not read the score."""
    wrong = {"name": "night", "when": "hour > 3 &&\n  huor < 5", "then": "FULL"}
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.POLICY, {**POLICY, "condition": [wrong]})
    (fault,) = refused.value.violations
    assert (fault.field, fault.rule) == ("condition[0].when", "condition.when.wrong")
    assert "line 2, column 3" in fault.description
    scored = {**wrong, "when": "score > 600"}
    with pytest.raises(InvalidInput):
        apply(store, K.POLICY, {**POLICY, "condition": [scored]})
    apply(store, K.POLICY, {**POLICY, "condition": [{**wrong, "when": "hour > 3"}]})


def test_a_condition_on_fees_shuts_out_older_builds(store: SqlStore) -> None:
    """Builds that do not know fees of orders cannot evaluate a condition that reads them, so they
    do not start once such a policy is in force."""
    for when, build in (("hour > 3", RULES_BUILD), ("order_fee_minor > 1", ORDER_FEES_BUILD)):
        condition = {"name": "fees", "when": when, "then": "FULL"}
        apply(store, K.POLICY, {**POLICY, "condition": [condition]})
        with store.engine.connect() as connection:
            assert oldest_build_of(connection) == build


def test_a_deposit_covers_the_reservation(store: SqlStore) -> None:
    """A product and a tariff do not come into force together if a reservation may cost more than
    the deposit, whichever of them comes last. Builds that do not bill reservations do not start
    any more."""
    kept = {"interval_minutes": 1, "price_minor": 20}
    apply(store, K.TARIFF, {**POWER_BANK, "reservation": {**kept, "most_minor": 9_900}})
    bank = {**BIKE, "id": "power-bank", "tariff": "bank-2026", "policy": "small-item"}
    low = {**bank, "deposit_minor": 9_899}
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.PRODUCT, low)
    assert rules(refused) == {("deposit_minor", "deposit_minor.below_reservation")}
    apply(store, K.PRODUCT, {**bank, "deposit_minor": 9_900})
    dearer = {**POWER_BANK, "buy_out_minor": 9_901, "reservation": kept}
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.TARIFF, dearer)
    assert rules(refused) == {("reservation", "deposit_minor.below_reservation")}
    apply(store, K.TARIFF, {**POWER_BANK, "reservation": kept})
    with store.engine.connect() as connection:
        oldest = connection.scalar(select(func.max(t.compatibility.c.oldest_build)))
    assert oldest == RESERVATIONS_BUILD
