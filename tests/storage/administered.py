"""A database with every administrative act, done by the functions of the server."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, insert

from service.domain.access import PLATFORM, Principal, Scope, hash_key, key_id_of, write_scopes
from service.domain.documents import DocumentKind
from service.domain.listings import Listing, ListingEffect, ListingKind
from service.engine.feature_values import Kind, ModelFeatures
from service.engine.records.administration import (
    Approval,
    Asked,
    By,
    KeyChange,
    NewKey,
    Proposal,
)
from service.engine.records.documents import DocumentName
from service.storage import (
    admin,
    approvals,
    bindings,
    keys,
    listings,
    models,
    persons,
    rail_accounts,
    terms_acts,
)
from service.storage import schema as t
from service.storage.database import writing
from service.storage.store import SqlStore
from tests.fakes import START_US

HOUR_US = 3_600_000_000
LIFE_US = 24 * HOUR_US
OPERATOR = "city"
SCOPES = frozenset({str(Scope.KEYS_ADMIN), str(Scope.PAYMENTS_WRITE), str(Scope.BOOKS_READ)})


def administer(store: SqlStore, now_us: int) -> None:
    """Does every act at least once. All acts of a part have one time, except where a later one must
    come after it."""
    engine = store.engine
    _by_earlier_builds(engine, now_us)
    _by_shell(engine, now_us)
    store.note_uses({hash_key(text_of(name)): now_us + 3 for name in ("app", "ada")})
    ada, bob = (_principal(engine, name, now_us) for name in ("ada", "bob"))
    _by_two(engine, ada, bob, now_us)
    _for_money(engine, ada, bob, now_us)
    _own_keys(engine, now_us)
    _bound(engine, now_us)
    _leaving(engine, now_us)
    _listings(engine, now_us)
    _models(engine, now_us)
    _terms(engine, now_us)


def text_of(name: str) -> str:
    """The text of a key of the platform or an operator."""
    return f"fh_{name:x<32}"


def id_of(name: str) -> str:
    """The id of the key with `text_of` this name."""
    return key_id_of(hash_key(text_of(name)))


def _by_earlier_builds(engine: Engine, now_us: int) -> None:
    """Rows that a build before the record made: an operator, a rail account, and keys, of which
    that build ended one, and this build another."""
    rows = [
        {
            "key_hash": hash_key(text_of(name)),
            "operator_id": operator_id,
            "scopes": write_scopes(scopes),
            "create_us": now_us - HOUR_US,
            "revoke_us": revoke_us,
        }
        for name, operator_id, scopes, revoke_us in (
            ("old", OPERATOR, [Scope.AUTHORIZATIONS_READ], None),
            ("old-ended", None, [Scope.BOOKS_READ, Scope.USERS_WRITE], now_us - 1),
            ("old-known", None, [Scope.PAYOUTS_READ], None),
        )
    ]
    operator = {"operator_id": "pier", "name": "Pier", "fee_bp": 200, "create_us": now_us - HOUR_US}
    account = {
        **{"caller": OPERATOR, "name": "till", "owner": PLATFORM, "account": "bank"},
        **{"currency": "", "label": "", "create_us": now_us - HOUR_US},
    }
    with writing(engine) as connection:
        connection.execute(insert(t.operators), operator)
        connection.execute(insert(t.rail_accounts), account)
        connection.execute(insert(t.api_keys), rows)
    request = shell("update_key", "old-known")
    keys.update_key(engine, request, id_of("old-known"), KeyChange("till"), now_us, lambda _: b"")
    keys.revoke_key(engine, shell("revoke_key"), id_of("old-known"), now_us + 1, lambda _: b"")


def _by_shell(engine: Engine, now_us: int) -> None:
    """An operator, persons, their keys, a rail account, and a key that is changed and replaced."""
    admin.create_operator(engine, "depot", "Depot", 1_900, now_us, user="root")
    rail_accounts.create(engine, PLATFORM, "bank-2", "CNY", "Bank", now_us, "root")
    rail_accounts.share(engine, "bank-2", OPERATOR, "main", now_us, "root")
    for owner, person_id in ((PLATFORM, "ada"), (PLATFORM, "bob"), (OPERATOR, "eve")):
        request = shell("add_person", person_id)
        persons.add_person(engine, request, owner, person_id, "Name", now_us, lambda _: b"")
    made = (
        ("ada", NewKey(None, "ada", "laptop", SCOPES)),
        ("bob", NewKey(None, "bob", "laptop", SCOPES, now_us + 90 * HOUR_US)),
        ("bob-2", NewKey(None, "bob", "phone", SCOPES, now_us + 90 * HOUR_US)),
        ("eve", NewKey(OPERATOR, "eve", "desk")),
        ("eve-2", NewKey(OPERATOR, "eve", "phone")),
        ("app", NewKey(OPERATOR, label="app", expire_us=now_us + 50 * HOUR_US)),
    )
    for name, wanted in made:
        key = text_of(name)
        admin.add_key(engine, key, wanted.operator_id, now_us, user="root", wanted=wanted)
    for label in ("app of the docks", "docks"):
        request, end_us = shell("update_key", "app", label), now_us + 60 * HOUR_US
        keys.update_key(
            engine, request, id_of("app"), KeyChange(label, end_us), now_us + 1, lambda _: b""
        )
    keys.roll_key(
        engine, shell("roll_key", "app"), id_of("app"), HOUR_US, text_of("app-2"), now_us + 2,
        lambda *_: b"",
    )  # fmt: skip


def _by_two(engine: Engine, ada: Principal, bob: Principal, now_us: int) -> None:
    """Ada adds a person, whom Bob approves. Another proposal is approved, and one waits."""
    number = propose(engine, ada, now_us=now_us)
    approve(engine, bob, number, now_us + 1)
    request = asked(ada, "AddPerson", approval=Approval(number, "AddPerson", b"body"))
    persons.add_person(engine, request, PLATFORM, "cy", "Cy", now_us + 2, lambda _: b"")
    approve(engine, ada, propose(engine, bob, "RecordPayment", b"money", now_us), now_us + 3)
    propose(engine, ada, "CreateKey", b"key", now_us)
    number = propose(engine, ada, "CreateKey", b"another key", now_us)
    request = asked(ada, "WithdrawAct")
    approvals.withdraw_act(engine, request, number, now_us + 4, lambda _: b"")


def _for_money(engine: Engine, ada: Principal, bob: Principal, now_us: int) -> None:
    """Bob's call that moves money is approved, and sent twice with another key of his."""
    number = propose(engine, bob, "RecordPayment", b"more money", now_us)
    approve(engine, ada, number, now_us + 1)
    approval = Approval(number, "RecordPayment", b"more money")
    request = asked(_principal(engine, "bob-2", now_us), "RecordPayment", approval=approval)
    for sent_us in (now_us + 2, now_us + 3):
        approvals.use_for_call(engine, request, sent_us)


def _own_keys(engine: Engine, now_us: int) -> None:
    """Bob changes the label of a key with either of his keys."""
    for label in range(20):
        by = _principal(engine, ("bob", "bob-2")[label % 2], now_us)
        request, change = asked(by, "UpdateKey"), KeyChange(f"phone {label}")
        keys.update_key(engine, request, id_of("bob-2"), change, now_us + label, lambda _: b"")


def _bound(engine: Engine, now_us: int) -> None:
    """Keys are bound to certificates, and get and lose rates of their own."""
    for name, change, number in (
        ("old", bindings.bind, 1),
        ("app-2", bindings.bind, 1),
        ("app-2", bindings.bind, 2),
        ("app-2", bindings.unbind, 1),
    ):
        request, at_us = shell("bind_key", name, number), now_us + 4
        change(engine, request, id_of(name), f"{number:064x}", at_us, lambda _: b"")
    for name, rate in (("app-2", KeyChange(units_a_second=5)), ("ada", KeyChange(usual_rate=True))):
        keys.update_key(engine, shell("rate", name), id_of(name), rate, now_us + 5, lambda _: b"")
    key = text_of("app-3")
    keys.roll_key(
        engine, shell("roll_key", "app-2"), id_of("app-2"), HOUR_US, key, now_us + 6, lambda *_: b""
    )


def _models(engine: Engine, now_us: int) -> None:
    """A model that a server registered, and two of persons, one of them retired."""
    kinds = {"age": Kind.NUMBER, "job": Kind.TEXT}
    models.register_served(engine, ModelFeatures("served", "loss", kinds), now_us)
    for name in ("older", "next"):
        described = ModelFeatures(name, "loss", kinds)
        models.register_model(engine, shell("register_model", name), described, now_us)
    for user in ("ada", "bob"):
        asked = admin.by_shell("accept_model", ["next"], "", user)
        models.accept_model(engine, asked, "next", "blocked", "the best so far", now_us + 4)
    models.retire_model(engine, shell("retire_model", "older"), "older", "too old", now_us + 5)


def _listings(engine: Engine, now_us: int) -> None:
    """A user and a device are denied, of which the first listing is ended, and rules of a draft
    snoozed."""
    steps = {"zero_from_score": 600, "reduced_from_score": 520, "reduced_credit_share_bp": 5_000}
    draft = {"name": "snoozed", **steps}
    apply_terms(engine, OPERATOR, DocumentKind.POLICY, draft, now_us, activate=False)
    deny, allow = ListingEffect.DENY, ListingEffect.ALLOW
    rows = [
        Listing("", 0, deny, ListingKind.USER, "mallory", (), "", "", 0, ""),
        Listing("", 0, deny, ListingKind.DEVICE, "ab12", (), "small-item", "", 0, ""),
    ]
    snoozed = Listing(
        *("", 0, allow, ListingKind.EVERYBODY, "", ("NEW_USER",), "", "", 0, ""),
        expire_us=now_us + HOUR_US,
    )
    for owner, wanted in ((OPERATOR, rows), (OPERATOR, [snoozed]), (PLATFORM, rows[:1])):
        request = shell("add_listings", owner)
        listings.add_listings(engine, request, owner, wanted, "theft", now_us, lambda _: b"")
    request = shell("end_listings", OPERATOR)
    listings.end_listings(engine, request, OPERATOR, [1], "found", now_us + 7, lambda _: b"")


def _leaving(engine: Engine, now_us: int) -> None:
    """Eve leaves, with two keys."""
    request = shell("remove_person", "eve")
    keys.remove_person(engine, request, OPERATOR, "eve", now_us + 9, lambda *_: b"")


def _terms(engine: Engine, now_us: int) -> None:
    """The depot's terms: a tariff and a policy that are revised, a product that comes under them,
    one that is retired, and drafts that wait or are withdrawn. The platform bounds them."""
    bike: dict[str, Any] = {"id": "bike", "category": "BIKE", "currency": "CNY", "tariff": "bike"}
    bike |= {"deposit_minor": 9_900, "replacement_minor": 90_000, "policy": "careful"}
    policy: dict[str, Any] = {"name": "careful", "zero_from_score": 650, "reduced_from_score": 500}
    policy |= {"reduced_credit_share_bp": 4_000}
    rules = {"ladder": [{"from_score": 650, "credit_share_bp": 10_000}]}
    bounds = {"name": "depot", "most_increments": 6, "second_person": ["policy"]}
    for owner, kind, table in (
        ("depot", DocumentKind.POLICY, policy),
        ("depot", DocumentKind.POLICY, {**policy, "rental_period_hours": 48}),
        ("depot", DocumentKind.POLICY, {"name": "steps", **rules}),
        ("depot", DocumentKind.TARIFF, {**DAY_TARIFF, "name": "bike", "day_cap_minor": 2_900}),
        ("depot", DocumentKind.PRODUCT, bike),
        (PLATFORM, DocumentKind.BOUNDS, bounds),
    ):
        apply_terms(engine, owner, kind, table, now_us)
    apply_terms(
        engine, "depot", DocumentKind.TARIFF, {**DAY_TARIFF, "name": "draft"}, now_us, False
    )
    lost = {**bike, "id": "lost", "tariff": "nothing"}
    apply_terms(engine, "depot", DocumentKind.PRODUCT, lost, now_us, False)
    for name in (
        DocumentName("product", "depot", "lost", 1),
        DocumentName("product", "depot", "umbrella", 1),
    ):
        terms_acts.retire_terms(engine, shell("retire"), name, "over", now_us + 5, lambda _: b"")


DAY_TARIFF = {
    "currency": "CNY", "arithmetic": 1, "start_fee_minor": 100, "free_minutes": 0,
    "interval_minutes": 15, "interval_price_minor": 100, "day_cap_minor": 3_000,
    "buy_out_minor": 9_900,
}  # fmt: skip


def apply_terms(
    engine: Engine,
    owner: str,
    kind: DocumentKind,
    table: dict[str, Any],
    now_us: int = START_US,
    activate: bool = True,
) -> terms_acts.Applied:
    """Applies a document at the shell."""
    results: list[terms_acts.Applied] = []

    def encode(it: terms_acts.Applied) -> bytes:
        results.append(it)
        return b""

    order = terms_acts.Order(kind, owner, table, f"as {owner} wants", activate)
    terms_acts.apply_terms(engine, shell("apply"), order, now_us, encode)
    return results[0]


def shell(method: str, *body: object, request_id: str = "") -> Asked:
    """A command's administrative request."""
    return admin.by_shell(method, body, request_id, "tester")


def asked(
    by: Principal,
    method: str,
    request_id: str = "",
    body: bytes = b"body",
    approval: Approval | None = None,
) -> Asked:
    """A call's administrative request."""
    return Asked(
        By(by),
        by.owner,
        request_id,
        method,
        body,
        lambda first: None if first == body else "body",
        approval=approval,
    )


def propose(
    engine: Engine,
    by: Principal,
    method: str = "AddPerson",
    body: bytes = b"body",
    now_us: int = START_US,
) -> int:
    """The number of a new proposal."""
    made: list[Proposal] = []

    def encode(it: Proposal) -> bytes:
        made.append(it)
        return b""

    request = asked(by, "ProposeAct")
    approvals.propose(engine, request, method, body, "why", now_us, encode, LIFE_US)
    return made[0].number


def approve(engine: Engine, by: Principal, number: int, now_us: int = START_US) -> None:
    """Approves a proposal."""
    approvals.approve_act(
        engine, asked(by, "ApproveAct"), number, lambda _: Scope.KEYS_ADMIN, now_us, lambda _: b""
    )


def _principal(engine: Engine, name: str, now_us: int) -> Principal:
    found = keys.find_principal(engine, hash_key(text_of(name)), now_us)
    assert found is not None
    return found
