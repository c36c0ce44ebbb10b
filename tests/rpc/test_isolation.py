"""Two operators learn nothing of each other, except that a person's line does not suffice.

The same calls of one operator are played in two worlds. In the quiet world nobody else is there. In
the busy world a second operator rents to the same people before each call: under the same request
ids, with items and references of the same names. Every answer, refusal, list and page token must be
the same in both worlds, once ids are replaced by their order of appearance.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from freehold.v1.admission_service_pb2 import LISTING_EFFECT_DENY, LISTING_KIND_USER
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.terms_service_pb2 import (
    TERMS_KIND_POLICY,
    TERMS_KIND_PRODUCT,
    TERMS_KIND_TARIFF,
)
from freehold.v1.types_pb2 import OFFER_FULL
from google.protobuf.json_format import MessageToDict, MessageToJson, Parse
from google.protobuf.message import Message
from sqlalchemy import Engine

from service.clock import SandboxClock
from service.domain.access import hash_key, key_id_of, new_key, possible_scopes
from service.domain.breakers import OpenedBreaker
from service.domain.tariff import DAY_US
from service.engine.records.administration import NewKey
from service.storage import admin
from service.storage.breakers import BreakerStore
from tests.fakes import OPERATOR, OTHER_OPERATOR, START_US, serving
from tests.operations.every import CALLS
from tests.operations.passes import granted
from tests.rpc import ready
from tests.rpc.examples import example, examples, named, passing
from tests.rpc.support import (
    ADMIN_RPCS,
    EVERY,
    FOLLOWING,
    NO_CASE,
    NOWHERE,
    OPERATOR_RPCS,
    RPCS,
    SHARED_RPCS,
    Caller,
    Desks,
    Refused,
    add_person,
    desks,
    outcome,
    yuan,
)
from tests.storage.administered import DAY_TARIFF

ID = re.compile(r"\b(?:[0-9a-v]{20}|[0-9a-f]{16})\b|fh_[A-Za-z0-9_-]+")
"""Ids of rows and of keys, and the text of a key."""
OF_PERSONS = ("ProposeAct", "ApproveAct", "WithdrawAct", "ListProposals")
OPERATORS_OWN = (*OPERATOR_RPCS, *SHARED_RPCS)
"""Methods that an operator's key can call."""


@dataclass
class Transcript:
    """All that one operator sees, with each id replaced by the number of its first appearance."""

    told: list[tuple[str, Any]] = field(default_factory=list)
    _ids: dict[str, str] = field(default_factory=dict)

    def add(self, method: str, seen: object) -> None:
        """Adds a text or an object that JSON can write."""
        text = json.dumps(seen, ensure_ascii=False, sort_keys=True, default=str)
        self.told.append((method, ID.sub(self._numbered, text)))

    def _numbered(self, found: re.Match[str]) -> str:
        return self._ids.setdefault(found[0], f"id-{len(self._ids) + 1}")


def visible(message: Message) -> Any:
    """A message as its fields; a page token as the JSON text that it encodes."""
    fields = MessageToDict(message, preserving_proto_field_name=True)
    token = fields.get("next_page_token", "")
    if token and not re.fullmatch(r"[0-9]+|[a-z0-9-]+", token):
        fields["next_page_token"] = json.loads(base64.urlsafe_b64decode(token))
    if "keys" in fields:
        # Ids of keys are random, and so is their order in a page.
        fields["keys"].sort(key=lambda it: json.dumps(it | {"key_id": ""}, sort_keys=True))
    return fields


class Watched(Caller):
    """A caller whose answers and refusals are noted."""

    transcript: Transcript

    def send(self, name: str, request: Message | bytes, **options: Any) -> bytes:
        try:
            answer = super().send(name, request, **options)
        except Refused as error:
            trailers = [it for it in error.trailers if it[0] != "grpc-status-details-bin"]
            self.transcript.add(name, [str(error), MessageToDict(error.status), trailers])
            raise
        self.transcript.add(name, [len(answer), visible(RPCS[name].response.FromString(answer))])
        return answer


class Registrar(Caller):
    """The platform's caller; in the busy world it tells the neighbour of each new person."""

    neighbour: Callable[[str], None] | None = None

    def person(self, score: float = 620.0, **parts: Any) -> str:
        user_id = super().person(score, **parts)
        if self.neighbour is not None:
            self.neighbour(user_id)
        return user_id


class World(NamedTuple):
    """A server with one watched operator, and perhaps a busy neighbour."""

    desk: Desks
    operator: Watched
    office: Watched
    """A program of the operator, which administers keys."""
    boss: Watched
    """A person of the operator, who administers keys."""
    registrar: Registrar
    foreign: dict[str, str]
    """The neighbour's objects: an open and a closed rental, a case, a person, a key. In the quiet
    world they do not exist."""


class Neighbour:
    """The second operator, who rents to everybody; its rentals leave no trace on a line."""

    def __init__(self, desk: Desks, caller: Caller) -> None:
        self._desk, self._caller = desk, caller
        self.foreign: dict[str, str] = {}

    def rent(self, user_id: str) -> None:
        """A rental that is out, one that is settled and disputed, and one that was reversed."""
        caller = self._caller
        out = self._taken(user_id, "umbrella", asset_id="umbrella-1-" + user_id)
        done = self._taken(user_id, "power-bank")
        if done.state == Authorization.STATE_ACTIVE:
            done = caller.settle(done.name, 100)
            case = caller.call(
                "OpenComplaint", name=done.name, complaint="CASE_KIND_WRONG_FEE", evidence="photo"
            ).case
            self.foreign["case"] = case.name
        caller.reverse(self._taken(user_id, "bike").name)
        self.foreign |= {"open": out.name, "closed": done.name}

    def _taken(self, user_id: str, product_id: str, **parts: Any) -> Authorization:
        """A rental with the whole deposit in cash, active unless it was declined."""
        caller = self._caller
        it = caller.authorize(user_id, product_id, accept_offers=[OFFER_FULL], **parts)
        if it.state == Authorization.STATE_OFFERED:
            it = caller.confirm(it.name, it.deposit_asked.amount_minor)
        return it

    def administer(self) -> None:
        """A key and a person of the neighbour, and an open breaker."""
        engine = self._desk.served.store.engine
        now_us = self._desk.served.clock.now_us()
        bounds = (1, DAY_US, 0, 1)  # revision, window, most_minor, least_rentals
        breaker = OpenedBreaker(
            OTHER_OPERATOR, 0, "bike", "CNY", *bounds, 1, 1, now_us - DAY_US, now_us
        )
        assert BreakerStore(engine).written(breaker) is not None
        self.foreign |= {
            "person": add_staff(engine, OTHER_OPERATOR),
            "key": add_till(engine, OTHER_OPERATOR),
        }


def add_staff(engine: Engine, owner: str) -> str:
    """Adds the person lin; returns the id."""
    add_person(engine, "lin", owner)
    return "lin"


def add_till(engine: Engine, owner: str) -> str:
    """Adds a key that reads cases; returns its id."""
    key = new_key()
    admin.add_key(
        engine, key, owner, START_US, wanted=NewKey(owner, scopes=frozenset(["cases.read"]))
    )
    return key_id_of(hash_key(key))


@contextmanager
def world(folder: Path, *, busy: bool) -> Iterator[World]:
    """A world, whose callers count their request ids from 1."""
    with ExitStack() as stack:
        clock = SandboxClock(START_US)
        served = stack.enter_context(serving(folder, clock=clock, key_clock=clock))
        desk = stack.enter_context(desks(served))
        engine, callers = served.store.engine, {}
        scopes = frozenset(map(str, possible_scopes(OPERATOR)))
        for owner in (OPERATOR, OTHER_OPERATOR):
            add_person(engine, "boss", owner)
            for person_id in ("", "boss"):
                key = new_key()
                wanted = NewKey(owner, person_id, scopes=scopes)
                admin.add_key(engine, key, owner, START_US, wanted=wanted)
                callers[owner, person_id] = Watched(served.address, key)
        operator = Watched(served.address, served.operator_key)
        other = Caller(served.address, served.other_operator_key)
        platform = Registrar(served.address, served.platform_key)
        for watched in (operator, *callers.values()):
            watched.transcript = Transcript()
        mine = (operator, other, platform, *callers.values())
        for number, caller in enumerate((*mine, desk.colleague, desk.admin)):
            caller._numbers = itertools.count(1 + 1_000_000 * (number if number > 1 else 0))
        desk = desk._replace(operator=operator, other=other, platform=platform)
        neighbour = Neighbour(desk, other)
        if busy:
            platform.neighbour = neighbour.rent
            neighbour.administer()
            callers[OTHER_OPERATOR, ""].call("AddListings", **LISTED)
        offices = callers[OPERATOR, ""], callers[OPERATOR, "boss"]
        yield World(desk, operator, *offices, platform, neighbour.foreign)
        for caller in mine:
            caller.close()


@pytest.fixture(scope="module")
def worlds(
    transport: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[World, World]]:
    """The quiet world and the busy one."""
    with ExitStack() as stack:
        folders = (tmp_path_factory.mktemp("quiet"), tmp_path_factory.mktemp("busy"))
        quiet = stack.enter_context(world(folders[0], busy=False))
        yield quiet, stack.enter_context(world(folders[1], busy=True))


def same(worlds: tuple[World, World], play: Callable[[World], None]) -> list[tuple[str, Any]]:
    """Plays in both worlds, and requires that the operator sees the same; returns it."""
    seen = []
    for place in worlds:
        transcript = Transcript()
        for caller in (place.operator, place.office, place.boss):
            caller.transcript = transcript
        play(place)
        seen.append(transcript.told)
    for quiet, busy in zip(*seen, strict=True):
        assert quiet == busy
    return seen[0]


def pages(caller: Caller, method: str, **filters: Any) -> None:
    """Reads a list, two rows a page, to its end."""
    token = ""
    while True:
        page = caller.call(method, page_size=2, page_token=token, **filters)
        token = page.next_page_token
        if not token:
            return


LISTED: dict[str, Any] = {
    "effect": LISTING_EFFECT_DENY,
    "subjects": [{"kind": LISTING_KIND_USER, "subject": "listed"}],
    "reason": "stolen",
}
OF_TARIFFS: dict[str, Any] = {"kind": TERMS_KIND_TARIFF}
NEVER = {"open": "u" * 20, "closed": "v" * 20}


def foreign_name(place: World, kind: str, user_id: str) -> str:
    """The name of the neighbour's rental of a person; in the quiet world of one that never was."""
    return place.foreign.get(kind, f"users/{user_id}/authorizations/{NEVER[kind]}")


def of_mine(desk: Desks) -> dict[str, Callable[[], dict[str, Any]]]:
    """For each method without a request id of its own, the fields of a request that has an
    answer."""
    fresh = desk.operator.fresh
    return {
        "BatchAuthorize": lambda: {
            "items": [
                {"request_id": fresh(), "user_id": user_id, "product_id": product_id}
                for user_id in (desk.platform.person(), desk.platform.person(550), "unknown")
                for product_id in ("bike", "no-such-product")
            ]
        },
        "BatchSettle": lambda: {
            "items": [
                {"request_id": fresh(), "name": name, "usage": {}}
                for name in (ready.active(desk).name, ready.overdue(desk).name, NOWHERE)
            ]
        },
        "GetAuthorization": lambda: {"name": ready.overdue(desk).name},
        "GetReceipt": lambda: {"name": ready.settled(desk).name},
        "ListAuthorizations": lambda: {"user_id": ready.settled(desk).name.split("/")[1]},
        "QuoteAuthorization": lambda: {
            "user_id": desk.platform.person(),
            "items": [{"product_id": "bike"}, {"product_id": "umbrella"}],
        },
        "QuoteFee": lambda: {"name": ready.overdue(desk).name},
        "GetCase": lambda: {
            "name": desk.operator.call(
                "OpenComplaint",
                name=ready.settled(desk).name,
                complaint="CASE_KIND_WRONG_FEE",
                evidence="photo",
            ).case.name
        },
        "ListPasses": lambda: {"user_id": granted(desk).held.name.split("/")[1]},
        "ListCases": lambda: {"user_id": ready.settled(desk).name.split("/")[1]},
    }


def of_the_office(place: World) -> dict[str, Callable[[], list[dict[str, Any]]]]:
    """For each method on keys and persons, requests about the operator's own and the neighbour's
    objects."""
    office, foreign = place.office, place.foreign
    key = foreign.get("key", "0" * 16)
    person = foreign.get("person", "lin")

    def own_key() -> str:
        return add_till(place.desk.served.store.engine, OPERATOR)

    def proposed() -> int:
        request = RPCS["AddPerson"].request(
            request_id=office.fresh(), person_id=office.fresh("p"), display_name="P"
        )
        body = request.SerializeToString()
        return int(place.boss.call("ProposeAct", method="AddPerson", request=body).proposal.number)

    def tariff() -> str:
        return json.dumps({**DAY_TARIFF, "name": office.fresh("t")})

    def listed() -> int:
        return int(office.call("AddListings", **LISTED).listings[0].number)

    def draft() -> dict[str, Any]:
        made = office.call("ApplyTerms", kind=TERMS_KIND_TARIFF, document=tariff()).result.terms
        return {**OF_TARIFFS, "name": made.name, "revision": made.revision}

    return {
        "CreateKey": lambda: [
            {"scopes": ["cases.read"], "label": "a"},
            {"person_id": person, "scopes": ["cases.read"]},
        ],
        "ListKeys": lambda: [{}],
        "UpdateKey": lambda: [{"key_id": own_key(), "label": "b"}, {"key_id": key, "label": "b"}],
        "RollKey": lambda: [{"key_id": own_key()}, {"key_id": key}],
        "RevokeKey": lambda: [{"key_id": own_key()}, {"key_id": key}],
        **dict.fromkeys(
            ("BindKey", "UnbindKey"),
            lambda: [{"key_id": it, "fingerprint": "0" * 64} for it in (own_key(), key)],
        ),
        "AddPerson": lambda: [{"person_id": person, "display_name": "Lin"}],
        "ListPersons": lambda: [{"page_size": 1}, {}],
        "RemovePerson": lambda: [{"person_id": person}],
        "ListAuditEvents": lambda: [{"page_size": 1}, {}],
        "AddListings": lambda: [LISTED, {**LISTED, "operator_id": OTHER_OPERATOR}],
        "EndListings": lambda: [
            {"numbers": [listed()], "reason": "over"},
            {"numbers": [1_000], "reason": "never"},
        ],
        "ListListings": lambda: [{"page_size": 1}, {}],
        "ListBudgets": lambda: [{"page_size": 1}, {}, {"operator_id": OTHER_OPERATOR}],
        "ListBreakers": lambda: [{"page_size": 1}, {}, {"operator_id": OTHER_OPERATOR}],
        "ResetBreaker": lambda: [
            {"number": 1, "reason": "theirs"},
            {"number": 1, "reason": "theirs", "operator_id": OTHER_OPERATOR},
        ],
        "ApplyTerms": lambda: [
            {"kind": TERMS_KIND_TARIFF, "document": tariff(), "activate": True},
            {"kind": TERMS_KIND_TARIFF, "document": tariff(), "validate_only": True},
            {"kind": TERMS_KIND_PRODUCT, "document": '{"id": "kite"}'},
        ],
        "ValidateTerms": lambda: [draft(), {**draft(), "name": "nothing"}],
        "ActivateTerms": lambda: [draft(), {**draft(), "revision": 9}],
        "RetireTerms": lambda: [draft(), {**OF_TARIFFS, "name": "bike", "revision": 1}],
        "ListTerms": lambda: [{"page_size": 1}, {"kind": TERMS_KIND_POLICY}],
        "GetTerms": lambda: [{**OF_TARIFFS, "name": "bike"}, {**OF_TARIFFS, "name": "theirs"}],
        "DiffTerms": lambda: [
            {**OF_TARIFFS, "name": "bike"},
            {**OF_TARIFFS, "name": "theirs", "document": tariff()},
        ],
        "PreviewTerms": lambda: [
            {**OF_TARIFFS, "document": tariff(), "product_ids": ["bike"]},
            {**OF_TARIFFS, "document": tariff(), "product_ids": ["theirs"]},
        ],
        "ProposeAct": lambda: [{"method": "RevokeKey", "request": b"\x0a\x01a"}],
        "ApproveAct": lambda: [{"proposal": proposed()}, {"proposal": 1_000}],
        "WithdrawAct": lambda: [{"proposal": proposed()}, {"proposal": 1_000}],
        "ListProposals": lambda: [{"page_size": 1}, {}],
    }


def send(caller: Caller, method: str, request: Any) -> None:
    """Sends a request twice; answers and refusals are noted by the caller."""
    for _ in range(2):
        outcome(lambda: caller.send(method, request))


@pytest.mark.parametrize("method", [it for it in EVERY if it in OPERATORS_OWN])
def test_a_neighbour_changes_nothing_that_an_operator_sees(
    worlds: tuple[World, World], method: str
) -> None:
    """A call, its replay, its refusals, a call on a neighbour's object, and the lists after it are
    the same, whether or not a neighbour rents to the same person."""

    def play(place: World) -> None:
        desk, operator = place.desk, place.operator
        if method in ADMIN_RPCS:
            for parts in of_the_office(place)[method]():
                request: Any = RPCS[method].request(**parts)
                if "request_id" in request.DESCRIPTOR.fields_by_name:
                    request.request_id = place.office.fresh()
                send(place.boss if method in OF_PERSONS else place.office, method, request)
            pages(place.office, "ListAuditEvents")
            return
        if method in CALLS:
            request = passing(desk, method)
        else:
            request = RPCS[method].request(**of_mine(desk)[method]())
        send(operator, method, request)
        send(operator, method, example(method))
        user_id = place.registrar.person()
        if method in FOLLOWING:
            for kind in ("open", "closed"):
                send(operator, method, named(method, foreign_name(place, kind, user_id)))
        for user in {user_id, getattr(request, "user_id", "") or user_id}:
            pages(operator, "ListAuthorizations", user_id=user)
        pages(operator, "ListCases", user_id=user_id)

    told = same(worlds, play)
    assert method in [name for name, _ in told]


def of_the_neighbour(place: World, method: str, kind: str) -> list[Message]:
    """All forms of a call, with the neighbour's names wherever an object or a person is named; in
    the quiet world these do not exist."""
    user_id = place.registrar.person()
    name = foreign_name(place, kind, user_id)
    case = place.foreign.get("case", f"{foreign_name(place, 'closed', user_id)}/cases/{'t' * 20}")
    found = []
    for form in examples(method):
        text = MessageToJson(form, preserving_proto_field_name=True)
        for old, new in ((NO_CASE, case), (NOWHERE, name), ("somebody", user_id)):
            text = text.replace(old, new)
        text = re.sub('"example-[^"]*"', lambda _: json.dumps(place.operator.fresh()), text)
        found.append(Parse(text, RPCS[method].request()))
    return found


PROBED = [
    it
    for it in EVERY
    if it in OPERATORS_OWN
    and it not in ADMIN_RPCS
    and any(re.search("nobody|somebody", str(form)) for form in examples(it))
]
"""Methods of operators that name an object or a person in some field."""


@pytest.mark.parametrize("kind", ["open", "closed"])
@pytest.mark.parametrize("method", PROBED)
def test_a_neighbours_names_are_names_of_nothing(
    worlds: tuple[World, World], method: str, kind: str
) -> None:
    """A call in each of its forms that names a neighbour's rentals and cases, in any field and with
    any version, has the answer of a call that names nothing that exists."""

    def play(place: World) -> None:
        for request in of_the_neighbour(place, method, kind):
            send(place.operator, method, request)

    assert len(same(worlds, play)) >= 2
    assert len(PROBED) >= 30


@pytest.mark.parametrize("method", [it for it in EVERY if it not in OPERATORS_OWN])
def test_a_platforms_call_tells_an_operator_nothing(
    worlds: tuple[World, World], method: str
) -> None:
    """A call of the platform or the rail is refused for an operator's key in the same words,
    whether or not there is a neighbour."""

    def play(place: World) -> None:
        refusal = place.operator.refused(method, example(method))
        assert refusal.reason == "SCOPE_MISSING"

    same(worlds, play)


def test_whole_lists_are_the_same(worlds: tuple[World, World]) -> None:
    """The lists of all rentals and cases, and all their page tokens, are the same with a neighbour,
    in the order in which the operator made the rows."""

    def play(place: World) -> None:
        for _ in range(4):
            ready.settled(place.desk)
        pages(place.operator, "ListAuthorizations")
        for state in ("STATE_SETTLED", "STATE_ACTIVE"):
            pages(place.operator, "ListAuthorizations", state=state)
        pages(place.operator, "ListCases")

    assert len(same(worlds, play)) > 10
    quiet, busy = worlds
    assert not quiet.desk.other.page().authorizations
    assert len(busy.desk.other.page(page_size=1000, state="STATE_ACTIVE").authorizations) > 3
    assert busy.foreign.keys() == {"open", "closed", "case", "person", "key"}


def test_a_line_that_does_not_suffice_is_all_that_shows(worlds: tuple[World, World]) -> None:
    """A neighbour's hold on credit shows only as an offer with less credit, for want of a line."""
    quiet, busy = worlds
    reasons = []
    for place in worlds:
        user_id = Caller.person(place.registrar)
        if place is busy:
            held = place.desk.other.authorize(user_id, "bike")
            assert held.held_credit.amount_minor
        answer = place.operator.authorize(user_id, "bike")
        reasons.append((answer.offer, list(answer.reasons)))
        assert answer.held.amount_minor in (0, yuan(19_900).amount_minor)
    assert reasons[0][1] == []
    assert reasons[1][1] == ["LINE_EXHAUSTED"]
    assert quiet is not busy
