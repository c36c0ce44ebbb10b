"""An operation that is in one list is in all lists.

Each list that these tests compare is written by hand: a new operation fails the test that names the
missing place. Each test imports its lists itself, so a missing name fails this test and not the
collection of all tests.
"""

from __future__ import annotations

import re
from collections.abc import Set
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.domain.acts import Act
    from service.domain.transitions import Transition

README = Path(__file__).resolve().parents[2] / "README.md"
OTHERWISE_NAMED = {"ReverseByOrigin": "Reverse by origin"}
"""Operations that the random model calls by another name."""
NOT_AT_RANDOM = {
    "FoldPayable": "comes with every batch, whenever a balance stands in more than one row",
    "RecordSeal": "reads what the sealer reads, and changes no line: tests of the sealer have it",
}


def posts_nothing() -> set[Transition]:
    """Transitions that move no money and nothing on a line."""
    from service.domain.transitions import Transition

    return {
        *(Transition.FEATURES_RECORDED, Transition.STANDING_SET, Transition.WRITE_OFF_PROPOSED),
        *(Transition.OFFERED, Transition.REVIEW, Transition.STARTED, Transition.EXTENDED),
        *(Transition.OVERDUE, Transition.RETURN_CLAIMED, Transition.RETURN_CONTESTED),
        *(Transition.SOLD, Transition.DEBIT_REQUESTED, Transition.DEBIT_AWAITED),
        *(Transition.DEBIT_CANCELLED, Transition.DEBIT_FAILED, Transition.REMINDED),
        *(Transition.DUE_1_DAY, Transition.DUE_31_DAYS, Transition.DUE_61_DAYS),
        *(Transition.DUE_91_DAYS, Transition.APPEARED),
        *(Transition.CASE_OPENED, Transition.EVIDENCE_ADDED),
        *(Transition.RESUMED, Transition.PASS_GRANTED),
    }


def none_left(missing: Set[str], why: str) -> None:
    """Fails with the missing names."""
    assert not missing, "; ".join(f"{name} {why}" for name in sorted(missing))


def contract() -> set[str]:
    """The methods of the contract that change something: those with a request id.

    The methods on keys, persons and listings are no operations of the engine.
    """
    from freehold.method import Method
    from freehold.methods import Methods

    return {
        it.path.rpartition("/")[2]
        for it in vars(Methods).values()
        if isinstance(it, Method)
        and "request_id" in it.request.DESCRIPTOR.fields_by_name
        and not re.search("AdminService|AdmissionService|TermsService", it.path)
    }


def acts() -> dict[str, Act]:
    """The acts of all rules of the domain, by the call's name."""
    from service import domain
    from service.domain.acts import Act

    modules = [import_module(f"service.domain.{it.name}") for it in iter_modules(domain.__path__)]
    return {it.call: it for module in modules for it in vars(module).values() if type(it) is Act}


def test_the_wire_has_every_method_of_the_contract() -> None:
    """Each method of the contract that changes something has a row at the wire, and each row has a
    method."""
    from service.rpc import (
        authorization_service,
        case_service,
        collection_service,
        credit_service,
        pass_service,
    )

    services = (
        *(authorization_service, case_service, collection_service, credit_service),
        pass_service,
    )
    rows = {it.name for service in services for it in service.MUTATIONS}
    rows |= {credit_service.PUT_USERS}
    none_left(contract() - rows, "has no row in the MUTATIONS of its service in service/rpc")
    none_left(rows - contract(), "is no method in proto/freehold/v1")


def test_the_list_of_operations_is_current() -> None:
    """The list of operations has the row of every file in its folder."""
    from service.engine import generate

    assert generate.LIST.read_text(encoding="utf-8") == generate.text(), "run `make stubs`"


def test_no_two_operations_have_the_same_command() -> None:
    """No two operations have the same command."""
    from service.engine.operations import OPERATIONS

    commands = [it.command for it in OPERATIONS]
    assert len(set(commands)) == len(commands)


def test_every_act_is_a_method() -> None:
    """Each call on an authorization has a rule under an act, and each act is a call of the
    contract."""
    from tests.operations.every import ON_AUTHORIZATION

    none_left(set(ON_AUTHORIZATION) - set(acts()), "has no rule in service/domain, under an act")
    none_left(set(acts()) - contract(), "is no method in proto/freehold/v1")


def test_every_transition_in_the_code_has_a_name() -> None:
    """Every transition that a file of the service mentions has a name in
    `domain/transitions.py`."""
    from service.domain.transitions import Transition

    named = {
        name
        for file in (README.parent / "service").rglob("*.py")
        for name in re.findall(r"\b(?:Transition|T)\.([A-Z]\w+)", file.read_text(encoding="utf-8"))
    }
    none_left(named - set(Transition.__members__), "is not in service/domain/transitions.py")


def test_the_books_expect_every_transition() -> None:
    """The books know the postings of each transition, or know that it has no postings."""
    from service.books.expectations import EFFECTS
    from service.domain.transitions import Transition

    told = {it for it in Transition if (it in EFFECTS) != (it in posts_nothing())}
    none_left(set(Transition) - told, "is not in EFFECTS of service/books/expectations.py")


def test_every_command_on_an_authorization_has_a_reference_rule() -> None:
    """The reference has a rule for every command on an authorization."""
    from service.engine.calls import AuthorizationCommand
    from service.engine.operations import OPERATIONS
    from tests.engine.reference import RULES

    commands = {it.command for it in OPERATIONS if issubclass(it.command, AuthorizationCommand)}
    missing = {it.__name__ for it in commands - set(RULES)}
    none_left(missing, "has no rule in RULES of tests/engine/reference.py")


def test_every_operation_comes_at_random() -> None:
    """The random model calls every operation, or has a reason why not."""
    from service.engine.operations import OPERATIONS
    from tests.engine.chance import FITS, OTHERS

    known = {kind.split(" ")[0] for kind in FITS} | set(OTHERS)
    names = {it.command.__name__ for it in OPERATIONS}
    missing = {
        name
        for name in names
        if OTHERWISE_NAMED.get(name, name) not in known and name not in NOT_AT_RANDOM
    }
    none_left(missing, "has no weight in FITS of tests/engine/chance.py")
    assert set(NOT_AT_RANDOM) < names


def test_the_tests_have_every_method() -> None:
    """Each method of the contract that changes something has its call in tests/operations."""
    from tests.operations.every import CALLS

    none_left(contract() - set(CALLS), "has no file in tests/operations")
    none_left(set(CALLS) - contract(), "is no method in proto/freehold/v1")


def test_every_method_is_raced() -> None:
    """A race has every method that changes something, or there is a reason why none is needed."""
    from benchmarks.races_scenarios import RACES
    from tests.operations.every import CALLS

    for call in CALLS.values():
        assert bool(call.race) != bool(call.unraced), f"{call.method}: a race, or the reason"
        assert not call.race or call.race in RACES, call.method


def batched() -> dict[str, str]:
    """The methods of the contract whose items are requests of another method, and that method."""
    from freehold.method import Method
    from freehold.methods import Methods

    found = {}
    for it in vars(Methods).values():
        items = it.request.DESCRIPTOR.fields_by_name.get("items") if type(it) is Method else None
        if items is not None and "request_id" in items.message_type.fields_by_name:
            found[it.path.rpartition("/")[2]] = items.message_type.name.removesuffix("Request")
    return found


def test_every_batch_is_answered() -> None:
    """Each method of the contract with requests of another method as its items has its row at the
    wire, with the rule of that method, and the tests of every call know it."""
    from service.rpc import authorization_service
    from tests.rpc.support import BATCHED

    rows = {it.name: it.mutation.name for it in authorization_service.BATCHES}
    assert rows == batched() == BATCHED


def test_the_readme_names_every_method() -> None:
    """The README's table of calls has every method that changes something."""
    readme = README.read_text(encoding="utf-8")
    missing = {it for it in contract() | batched().keys() if f"`{it}`" not in readme}
    none_left(missing, "is not in the table of calls in README.md")


def test_the_client_has_every_method() -> None:
    """Both Python clients have every method of the contract."""
    from freehold.client import AsyncClient, Client

    for method in contract() | batched().keys():
        name = "".join(f"_{it.lower()}" if it.isupper() else it for it in method).lstrip("_")
        assert hasattr(Client, name), name
        assert hasattr(AsyncClient, name), name
