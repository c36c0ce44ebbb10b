"""A call that names nobody known opens nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization
from service.domain.cases import CaseKind, Outcome, Side
from service.domain.ledger import Standing
from service.domain.money import Money
from service.domain.suspense import Direction
from service.engine.operations import (
    BY_COMMAND,
    AddEvidence,
    ApproveMerge,
    Authorize,
    BookDebt,
    BuyPass,
    Command,
    DecideCase,
    GrantPass,
    MatchSuspense,
    OpenComplaint,
    ProposeMerge,
    PutUser,
    RecordUnmatched,
    RefundPass,
    ReportTransfer,
    ResolveCase,
    ReverseByOrigin,
    SetLimit,
    SetStanding,
    Wake,
)
from service.engine.records.transfers import TransferState
from service.engine.tables import columns_of
from tests.engine.calls import CNY, authorize, balances, counts, refused, rental
from tests.fakes import Desk
from tests.operations.every import ON_AUTHORIZATION

MISSPELT = "amn"
REGISTERING = {Authorize, BuyPass, GrantPass, PutUser}
"""Commands that make a person known."""
AHEAD = {ReverseByOrigin}
"""Commands that may come before the one that makes the person known: they leave a tombstone."""

PEOPLES: dict[str, tuple[Command, str]] = {
    "limit": (SetLimit(MISSPELT, Money(CNY, 1)), "USER_NOT_FOUND"),
    "limit by the score": (SetLimit(MISSPELT, None), "USER_NOT_FOUND"),
    "merge": (ProposeMerge(MISSPELT, "ann", "why", "key-1"), "USER_NOT_FOUND"),
    "merge into": (ProposeMerge("ann", MISSPELT, "why", "key-1"), "USER_NOT_FOUND"),
    "approved merge": (ApproveMerge(MISSPELT, "ann", "key-1"), "USER_NOT_FOUND"),
    "standing": (SetStanding(MISSPELT, Standing.WATCHED), "USER_NOT_FOUND"),
    "case": (DecideCase(MISSPELT, "0" * 20, "0" * 20), "CASE_NOT_FOUND"),
    "pass": (RefundPass(MISSPELT, "0" * 20), "PASS_NOT_FOUND"),
    "transfer": (
        ReportTransfer(MISSPELT, "0" * 20, TransferState.SUCCEEDED, ""),
        "TRANSFER_NOT_FOUND",
    ),
}
RENTALS: dict[str, Callable[[Authorization], Command]] = {
    **{name: call.command for name, call in ON_AUTHORIZATION.items()},
    "complaint": lambda it: OpenComplaint(it.user_id, it.authorization_id, CaseKind.OTHER),
    "wake": lambda it: Wake(it.user_id, it.authorization_id),
    "debt": lambda it: BookDebt(
        it.user_id, it.authorization_id, Money(CNY, 1), "repair-1", "photo"
    ),
}
CASES: dict[str, Callable[[Authorization], Command]] = {
    "evidence": lambda it: AddEvidence(
        it.user_id, it.authorization_id, case_id="0" * 20, side=Side.USER, text="no"
    ),
    "decision": lambda it: ResolveCase(
        it.user_id, it.authorization_id, case_id="0" * 20, outcome=Outcome.FOR_USER
    ),
}


@pytest.mark.parametrize("name", PEOPLES)
def test_r13_a_misspelt_person_is_not_found(desk: Desk, name: str) -> None:
    """R13: a call of the platform about a person whom neither PutUsers nor Authorize made known is
    NOT_FOUND, names that person, and leaves no row in any table."""
    command, said = PEOPLES[name]
    before = counts(desk)
    refusal = refused(desk, command, caller=PLATFORM)
    assert refusal.reason == said
    if said == "USER_NOT_FOUND":
        assert refusal.metadata == {"user": MISSPELT}
    assert counts(desk) == before


@pytest.mark.parametrize("name", RENTALS)
def test_r13_a_rental_under_a_misspelt_person_is_not_found(desk: Desk, name: str) -> None:
    """R13: a call on an authorization under a misspelt person is NOT_FOUND, and leaves no row."""
    it = rental(desk, authorize())._replace(user_id=MISSPELT)
    before = counts(desk)
    refusal = refused(desk, RENTALS[name](it), caller=PLATFORM)
    assert refusal.reason == "AUTHORIZATION_NOT_FOUND"
    assert counts(desk) == before


@pytest.mark.parametrize("name", CASES)
def test_r13_a_case_under_a_misspelt_person_is_not_found(desk: Desk, name: str) -> None:
    """R13: a call on a case under a misspelt person is NOT_FOUND, and leaves no row."""
    it = rental(desk, authorize())._replace(user_id=MISSPELT)
    before = counts(desk)
    assert refused(desk, CASES[name](it), caller=PLATFORM).reason == "CASE_NOT_FOUND"
    assert counts(desk) == before


def test_r13_money_is_not_matched_to_a_misspelt_person(desk: Desk) -> None:
    """R13: money in suspense is not matched to an authorization under a misspelt person."""
    desk.do(RecordUnmatched(Direction.IN, Money(CNY, 5), "odd-1"), caller=PLATFORM)
    it = rental(desk, authorize())
    before = counts(desk)
    match = MatchSuspense("odd-1", Money(CNY, 5), "key-1", MISSPELT, it.authorization_id)
    assert refused(desk, match, caller=PLATFORM).reason == "AUTHORIZATION_NOT_FOUND"
    assert counts(desk) == before


def test_r13_every_command_about_a_person_is_tried() -> None:
    """R13: these tests try each kind of command that names a person, except commands that make a
    person known or are allowed for unknown people."""
    it = Authorization._make("x" for _ in Authorization._fields)._replace(cash_minor=1)
    tried = {MatchSuspense, *(type(command) for command, _ in PEOPLES.values())}
    tried |= {type(make(it)) for make in (*RENTALS.values(), *CASES.values())}
    naming = {kind for kind in BY_COMMAND if "user_id" in columns_of(kind)}
    assert naming - tried - REGISTERING - AHEAD == set()


def test_r13_a_person_with_one_rental_is_known(desk: Desk) -> None:
    """R13: a person is known by an Authorize alone, and gets limits in every configured
    currency."""
    assert refused(desk, SetLimit("zoe", Money(CNY, 5_000)), caller=PLATFORM).reason == (
        "USER_NOT_FOUND"
    )
    rental(desk, authorize("zoe"))
    desk.do(SetLimit("zoe", Money(CNY, 5_000)), caller=PLATFORM)
    assert balances(desk, "zoe")[0] == 5_000
