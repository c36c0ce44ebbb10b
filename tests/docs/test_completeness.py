"""An operation that is told in one place is told in all of them.

Each list here is written by hand: a new operation fails the test that names what is missing.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from freehold import client

from benchmarks.races_scenarios import RACES
from service.books.expectations import EFFECTS
from service.domain.authorization import Act
from service.domain.transitions import Transition
from service.engine.calls import AuthorizationCommand
from service.engine.operations import OPERATIONS
from service.rpc import authorization_service, collection_service, credit_service
from tests.engine.chance import FITS, OTHERS
from tests.engine.reference import RULES

README = Path(__file__).resolve().parents[2] / "README.md"
METHODS = [
    it.name
    for service in (authorization_service, collection_service, credit_service)
    for it in service.MUTATIONS
]
OTHERWISE_NAMED = {"ReverseByOrigin": "Reverse by origin"}
"""Operations that the random model calls by another name."""
NOT_AT_RANDOM = {
    "FoldPayable": "comes with every batch, whenever a balance stands in more than one row",
    "RecordSeal": "reads what the sealer reads, and changes no line: tests of the sealer have it",
}
POSTS_NOTHING = {
    *(Transition.FEATURES_RECORDED, Transition.STANDING_SET, Transition.WRITE_OFF_PROPOSED),
    *(Transition.OFFERED, Transition.REVIEW, Transition.STARTED, Transition.EXTENDED),
    *(Transition.OVERDUE, Transition.RETURN_CLAIMED, Transition.RETURN_CONTESTED, Transition.SOLD),
    *(Transition.DEBIT_REQUESTED, Transition.DEBIT_AWAITED, Transition.DEBIT_CANCELLED),
    *(Transition.DEBIT_FAILED, Transition.REMINDED, Transition.DUE_1_DAY, Transition.DUE_31_DAYS),
    *(Transition.DUE_61_DAYS, Transition.DUE_91_DAYS),
}
RACED = {
    "Authorize": "line",
    "AuthorizeGroup": "group",
    "ConfirmAuthorization": "offer",
    "ResolveReview": "review",
    "StartRental": "pickup",
    "IncrementAuthorization": "line",
    "SettleAuthorization": "captures",
    "ReverseAuthorization": "tombstone",
    "ContestReturn": "claim",
    "ReportLost": "overdue",
    "RecordPayment": "payment",
    "RecordChargeBack": "refund",
    "PayOutRefund": "refund",
    "ApproveWriteOff": "write-off",
    "PayOutOperator": "payout",
    "SetStanding": "suspension",
}
"""The race in which each call meets another one that wants the same."""
SAME_LINE = "changes one authorization by its version, as the calls of the race `captures` do"
NOT_RACED = {
    **dict.fromkeys(
        ("DecreaseAuthorization", "ExtendRental", "ClaimReturn", "ReportFound", "LowerCharge"),
        SAME_LINE,
    ),
    **dict.fromkeys(("RefundCharge", "OpenDispute", "ResolveDispute"), SAME_LINE),
    **dict.fromkeys(("ResolveChargeBack", "SetProvision", "ProposeWriteOff"), SAME_LINE),
    "RecordPaidElsewhere": "its reference counts once, as that of the race `payment` does",
    "RecordOperatorPayment": "its balance is taken as that of the race `payout` is",
    "SetCreditLimit": "locks the line as `suspension` does",
}


def test_every_operation_comes_at_random() -> None:
    """The random model calls every operation, or says why it does not."""
    known = {kind.split(" ")[0] for kind in FITS} | set(OTHERS)
    names = {it.command.__name__ for it in OPERATIONS}
    missing = {
        name
        for name in names
        if OTHERWISE_NAMED.get(name, name) not in known and name not in NOT_AT_RANDOM
    }
    assert missing == set(), f"give tests/engine/chance.py a weight for {sorted(missing)}"
    assert set(NOT_AT_RANDOM) < names


def test_every_command_on_an_authorization_has_a_plain_rule() -> None:
    """The reference has a rule for every command on an authorization."""
    commands = {it.command for it in OPERATIONS if issubclass(it.command, AuthorizationCommand)}
    missing = {it.__name__ for it in commands - set(RULES)}
    assert missing == set(), f"give RULES of tests/engine/reference.py {sorted(missing)}"


def test_every_operation_is_told_once() -> None:
    """No two operations have the same command."""
    commands = [it.command for it in OPERATIONS]
    assert len(set(commands)) == len(commands)


@pytest.mark.parametrize("act", Act)
def test_every_act_is_a_method(act: Act) -> None:
    """Each act that states allow or forbid is a method of the contract with a row at the wire."""
    assert act in METHODS, f"no MUTATIONS in service/rpc has {act}"


@pytest.mark.parametrize("transition", Transition)
def test_the_books_expect_every_transition(transition: Transition) -> None:
    """The books know which postings a transition may have, or that it has none."""
    told = "EFFECTS of service/books/expectations.py, or POSTS_NOTHING here"
    assert (transition in EFFECTS) != (transition in POSTS_NOTHING), f"{transition}: {told}"


@pytest.mark.parametrize("method", METHODS)
def test_the_readme_names_every_method(method: str) -> None:
    """The README's table of calls has every method that changes something."""
    assert f"`{method}`" in README.read_text(encoding="utf-8"), method


@pytest.mark.parametrize("method", METHODS)
def test_the_client_has_every_method(method: str) -> None:
    """Both Python clients have every method that changes something."""
    name = "".join(f"_{it.lower()}" if it.isupper() else it for it in method).lstrip("_")
    assert hasattr(client.Client, name), name
    assert hasattr(client.AsyncClient, name), name


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_raced(method: str) -> None:
    """A race has every method that changes something, or there is a reason why none is needed."""
    assert (method in RACED) != (method in NOT_RACED), f"{method}: RACED or NOT_RACED"
    assert RACED.get(method, "line") in RACES
