"""R18: claims, disputes and complaints are cases, with a clock, evidence and an outcome; R3: a
return that a user tells after the settlement opens one."""

from __future__ import annotations

from typing import Any

import pytest

from service.books.verify import verify_books
from service.domain import cases
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Custody, State
from service.domain.cases import Case, CaseKind, CaseState, Evidence, Outcome, Side
from service.domain.errors import InvalidInput
from service.engine import operations as c
from service.engine.calls import CaseTold
from service.engine.engine import Result
from service.rpc.stored import read_payload
from service.storage import schema as t
from service.storage.database import writing
from tests.engine import acts
from tests.engine.acts import DAY_US, HOUR_US, MINUTE_US, Books, money
from tests.engine.calls import authorize, pay, reason, refused, rental, settle, stored
from tests.fakes import OPERATOR, OTHER_OPERATOR, START_US, Desk
from tests.operations.call import Call
from tests.operations.holds import NOW
from tests.rpc import ready
from tests.rpc.support import NO_CASE, Desks, yuan

CLOCK_US = 48 * HOUR_US
DUNNED = ("collection.debit_requested", "collection.due_1_day", "collection.reminded")
"""The steps of dunning within two days, which a complaint does not stop."""


def _has_charge(desk: Desks, request: Any) -> None:
    request.name = ready.settled(desk).name
    request.complaint = 6  # WRONG_FEE
    request.amount.CopyFrom(yuan(100))


def _has_case(desk: Desks, request: Any) -> None:
    it = ready.settled(desk)
    request.name = desk.operator.call("OpenComplaint", name=it.name, complaint=6).case.name


def _has_evidence(desk: Desks, request: Any) -> None:
    _has_case(desk, request)
    request.side = 1  # USER
    request.text = "the station was full"


def _has_outcome(desk: Desks, request: Any) -> None:
    _has_case(desk, request)
    request.outcome = 2  # IN_PART
    request.amount.CopyFrom(yuan(100))


CALLS = (
    Call(
        method="OpenComplaint",
        scope="cases.write",
        required=frozenset({"name", "complaint"}),
        parts=(
            {"complaint": 6, "amount": yuan(100), "text": "too much", "evidence": "photo-1"},
            {"complaint": 4, "text": "no free slot", "evidence": "photo-1", "occurred_at": NOW},
        ),
        fill=_has_charge,
        race="case",
    ),
    Call(
        method="AddEvidence",
        scope="cases.write",
        required=frozenset({"name", "side"}),
        parts=(
            {"name": NO_CASE, "side": 1, "text": "the station was full", "evidence": "photo-1"},
        ),
        fill=_has_evidence,
        race="case",
    ),
    Call(
        method="ResolveCase",
        scope="cases.write",
        required=frozenset({"name", "outcome"}),
        parts=({"name": NO_CASE, "outcome": 2, "amount": yuan(100), "reason": "half"},),
        fill=_has_outcome,
        race="case",
    ),
)


def told(desk: Desk, command: c.Command, *, caller: str = OPERATOR) -> Case:
    """The case that a command returns."""
    answer = desk.do(command, caller=caller)
    assert isinstance(answer, CaseTold)
    return answer.case


def complain(
    it: Authorization,
    minor: int | None = None,
    kind: CaseKind = CaseKind.WRONG_FEE,
    text: str = "too much",
) -> c.OpenComplaint:
    """A complaint about a charge."""
    return c.OpenComplaint(*acts.name(it), kind, None if minor is None else money(minor), text)


def of(case: Case) -> tuple[str, str, str]:
    """The arguments by which a command names a case."""
    return case[:3]


def evidence(case: Case, side: Side, text: str = "see the photo") -> c.AddEvidence:
    """Evidence of a side."""
    return c.AddEvidence(*of(case), side=side, text=text, reference="photo-1")


def resolve(
    case: Case, outcome: Outcome, minor: int | None = None, reason: str = ""
) -> c.ResolveCase:
    """A decision."""
    amount = None if minor is None else money(minor)
    return c.ResolveCase(*of(case), outcome=outcome, amount=amount, reason=reason)


def over(desk: Desk, case: Case, now_us: int) -> Case:
    """The case after its clock has run out at `now_us`."""
    desk.clock.advance(now_us)
    assert [it[1:] for it in desk.store.cases_over(now_us, 9)] == [of(case)]
    result = by_time(desk, case)
    assert isinstance(result, bytes), result
    return kept(desk, case)[0]


def by_time(desk: Desk, case: Case) -> Result:
    """The result of the worker's try to decide the case."""
    (result,) = desk.apply(desk.work(c.DecideCase(*of(case)), caller="", request_id=""))
    return result


def kept(desk: Desk, case: Case) -> tuple[Case, list[Evidence]]:
    """The case and its evidence as stored."""
    found = desk.store.case(*of(case))
    assert found is not None
    return found.case, found.evidence


def open_cases(desk: Desk, it: Authorization) -> list[Case]:
    """The open cases about an authorization."""
    with desk.store.begin() as transaction:
        from service.engine.rows import Rows, Wish
        from service.engine.tables import CASES

        rows = Rows()
        transaction.read(rows, [Wish(CASES, ("user_id", "authorization_id"), {acts.name(it)})])
    return [case for case in rows[CASES].values() if case.is_open]


def verified(desk: Desk) -> None:
    """Requires sound books."""
    found = verify_books(desk.store.engine, read_payload=read_payload)
    assert found.fault is None


# -- complaints ----------------------------------------------------------------------------------


def test_r18_a_complaint_waits_48_hours_for_the_operator(desk: Desk) -> None:
    """R18: a complaint is a case with both parties, the amount in question, the user's evidence,
    and a clock of 48 hours for the operator. The charge does not change."""
    it = acts.charged(desk)
    books = Books(desk)
    case = told(desk, complain(it, 500))
    books.expect([], "case.opened")
    assert (case.kind, case.operator_id, case.user_id) == (CaseKind.WRONG_FEE, "city", "ann")
    assert (case.state, case.waits_for, case.due_us) == (
        CaseState.OPEN, Side.OPERATOR, START_US + CLOCK_US,
    )  # fmt: skip
    assert (case.asked_minor, case.opened_by, case.open_version) == (500, Side.USER, it.version + 1)
    found, (first,) = kept(desk, case)
    assert found == case
    assert (first.side, first.text, first.number) == (Side.USER, "too much", 1)
    assert stored(desk, it).due_minor == 1_250
    verified(desk)


def test_r18_silence_decides_for_the_user(desk: Desk) -> None:
    """R18: after exactly 48 hours, a complaint that nobody answered is decided for the user. The
    charge is lowered by the amount asked for: operator_payable x-f, fee_income f / receivable x and
    avail / drawn x. The case keeps the amount given back."""
    it = acts.charged(desk)
    case = told(desk, complain(it, 250))
    assert desk.store.cases_over(START_US + CLOCK_US - 1, 9) == []
    assert reason(by_time(desk, case)) == "NOTHING_TO_DO"
    books = Books(desk)
    case = over(desk, case, START_US + CLOCK_US + 5)
    happened = books.expect(
        [
            ("money", "operator_payable / receivable", 243),
            ("money", "fee_income / receivable", 7),
            ("line", "available / drawn", 250),
        ],
        *DUNNED,
        "case.decided_by_time",
    )
    assert happened.events[-1] == ("case.decided_by_time", START_US + CLOCK_US)
    assert (case.outcome, case.granted_minor, case.closed_by, case.close_us) == (
        Outcome.FOR_USER, 250, "", START_US + CLOCK_US,
    )  # fmt: skip
    assert stored(desk, it).due_minor == 1_000
    assert reason(by_time(desk, case)) == "NOTHING_TO_DO"
    verified(desk)


def test_r18_a_complaint_without_an_amount_asks_for_all(desk: Desk) -> None:
    """R18: a complaint without an amount asks for the whole charge. The paid part is refunded, and
    the due part is lowered."""
    it = acts.charged(desk)
    rental(desk, pay(it, 1_000), caller=PLATFORM)
    case = told(desk, complain(it, kind=CaseKind.NOT_MINE))
    case = over(desk, case, START_US + CLOCK_US)
    it = stored(desk, it)
    assert (it.due_minor, it.refunded_minor, it.refund_payable_minor) == (0, 1_000, 1_000)
    assert (it.conceded_minor, it.fee_minor, case.granted_minor) == (1_250, 0, 1_250)
    verified(desk)


def test_r18_no_more_is_given_back_than_is_left(desk: Desk) -> None:
    """R18: what was given back since the complaint is not given back again."""
    it = acts.charged(desk)
    case = told(desk, complain(it, 1_000))
    rental(desk, acts.lower(it, 800))
    case = over(desk, case, START_US + CLOCK_US)
    assert (case.granted_minor, stored(desk, it).due_minor) == (450, 0)
    verified(desk)


def test_r18_the_operator_grants_a_complaint(desk: Desk) -> None:
    """R18: the operator may grant a complaint wholly or in part. A part needs an amount, which is
    at most the amount asked for."""
    it = acts.charged(desk)
    case = told(desk, complain(it, 500))
    assert isinstance(refused(desk, resolve(case, Outcome.IN_PART, 501)), InvalidInput)
    assert isinstance(refused(desk, resolve(case, Outcome.IN_PART)), InvalidInput)
    assert isinstance(refused(desk, resolve(case, Outcome.FOR_USER, 5)), InvalidInput)
    case = told(desk, resolve(case, Outcome.IN_PART, 200, "half of the ride"))
    assert (case.outcome, case.granted_minor, case.closed_by) == (Outcome.IN_PART, 200, "city")
    assert stored(desk, it).due_minor == 1_050
    _, rows = kept(desk, case)
    assert [(row.side, row.text) for row in rows] == [
        (Side.USER, "too much"), (Side.OPERATOR, "half of the ride"),
    ]  # fmt: skip
    second = told(desk, complain(it, 50))
    assert told(desk, resolve(second, Outcome.FOR_USER)).granted_minor == 50
    assert stored(desk, it).due_minor == 1_000
    verified(desk)


def test_r18_no_operator_decides_in_its_own_favour(desk: Desk) -> None:
    """R18: an operator that does not grant a complaint adds evidence: the platform then has 48
    hours to decide, and its silence decides for the user."""
    it = acts.charged(desk)
    case = told(desk, complain(it, 500))
    assert refused(desk, resolve(case, Outcome.FOR_OPERATOR)).reason == (
        "NO_DECISION_IN_ONES_OWN_CASE"
    )
    desk.clock.advance(START_US + MINUTE_US)
    books = Books(desk)
    case = told(desk, evidence(case, Side.OPERATOR))
    books.expect([], "case.evidence_added")
    assert (case.waits_for, case.due_us) == (Side.PLATFORM, START_US + MINUTE_US + CLOCK_US)
    desk.clock.advance(START_US + 2 * MINUTE_US)
    case = told(desk, evidence(case, Side.OPERATOR))
    case = told(desk, evidence(case, Side.USER), caller=PLATFORM)
    assert (case.evidence, case.due_us) == (4, START_US + MINUTE_US + CLOCK_US)
    case = over(desk, case, START_US + MINUTE_US + CLOCK_US)
    assert (case.outcome, case.granted_minor) == (Outcome.FOR_USER, 500)
    verified(desk)


def test_r18_the_platform_decides_for_the_operator(desk: Desk) -> None:
    """R18: a decision of the platform for the operator moves no money, and the complaint of that
    kind is not opened again."""
    it = acts.charged(desk)
    case = told(desk, complain(it, 500))
    books = Books(desk)
    case = told(desk, resolve(case, Outcome.FOR_OPERATOR), caller=PLATFORM)
    books.expect([], "case.decided")
    assert (case.outcome, case.granted_minor, case.closed_by) == (
        Outcome.FOR_OPERATOR, 0, "platform",
    )  # fmt: skip
    assert refused(desk, complain(it, 500)).reason == "CASE_DECIDED"
    assert refused(desk, resolve(case, Outcome.FOR_USER)).reason == "CASE_CLOSED"
    assert refused(desk, evidence(case, Side.USER)).reason == "CASE_CLOSED"
    assert told(desk, complain(it, 500, CaseKind.OTHER)).is_open
    verified(desk)


def test_r18_a_complaint_is_opened_again_once(desk: Desk) -> None:
    """R18: after a part of 200 that the operator granted, the complaint is opened once more. Then
    the operator grants all of it or gives evidence, and a third complaint is refused."""
    it = acts.charged(desk, amount_minor=1_250)
    told(desk, resolve(told(desk, complain(it, 500)), Outcome.IN_PART, 200))
    again = told(desk, complain(it, 500))
    error = refused(desk, resolve(again, Outcome.IN_PART, 1))
    assert error.reason == "CASE_IS_THE_SECOND"
    again = told(desk, resolve(again, Outcome.FOR_USER))
    assert (again.granted_minor, stored(desk, it).due_minor) == (500, 1_250 - 200 - 500)
    error = refused(desk, complain(it, 500))
    assert error.reason == "CASE_DECIDED"
    assert again.name in error.message
    assert told(desk, complain(it, 500, CaseKind.OTHER)).is_open
    verified(desk)


def test_r18_the_platform_grants_a_part_of_a_second_complaint(desk: Desk) -> None:
    """R18: the platform may grant a part of a second complaint; silence decides for the user."""
    it = acts.charged(desk, amount_minor=1_250)
    for kind in (CaseKind.WRONG_FEE, CaseKind.OTHER):
        told(desk, resolve(told(desk, complain(it, 100, kind)), Outcome.IN_PART, 50))
    decided = told(desk, complain(it, 100, CaseKind.WRONG_FEE))
    decided = told(desk, resolve(decided, Outcome.IN_PART, 20), caller=PLATFORM)
    assert decided.granted_minor == 20
    assert decided.due_us is not None
    silent = told(desk, complain(it, 100, CaseKind.OTHER))
    silent = over(desk, silent, silent.due_us or 0)
    assert (silent.outcome, silent.granted_minor) == (Outcome.FOR_USER, 100)
    for kind in (CaseKind.WRONG_FEE, CaseKind.OTHER):
        assert refused(desk, complain(it, 1, kind)).reason == "CASE_DECIDED"
    verified(desk)


def test_r18_one_open_complaint_of_a_kind(desk: Desk) -> None:
    """R18: while a complaint is open, another one of its kind is refused."""
    it = acts.charged(desk)
    told(desk, complain(it))
    assert refused(desk, complain(it)).reason == "CASE_OPEN"
    assert told(desk, complain(it, kind=CaseKind.ITEM_AT_FAULT)).is_open


def test_r18_after_the_clock_only_time_decides(desk: Desk) -> None:
    """R18: from the instant at which the clock has run out, evidence and decisions are refused."""
    it = acts.charged(desk)
    case = told(desk, complain(it))
    desk.clock.advance(START_US + CLOCK_US)
    for command in (evidence(case, Side.OPERATOR), resolve(case, Outcome.FOR_OPERATOR)):
        assert refused(desk, command, caller=PLATFORM).reason == "CASE_DECIDED_BY_TIME"


@pytest.mark.parametrize("minor", [0])
def test_r18_an_amount_is_more_than_zero(desk: Desk, minor: int) -> None:
    """R18: an amount that is asked for or given back is more than zero."""
    it = acts.charged(desk)
    assert isinstance(refused(desk, complain(it, minor)), InvalidInput)
    case = told(desk, complain(it))
    assert isinstance(refused(desk, resolve(case, Outcome.IN_PART, minor)), InvalidInput)


def test_r18_another_operators_case_is_not_found(desk: Desk) -> None:
    """R18: a case of another operator's authorization is NOT_FOUND."""
    case = told(desk, complain(acts.charged(desk)))
    for command in (evidence(case, Side.OPERATOR), resolve(case, Outcome.FOR_USER)):
        assert refused(desk, command, caller=OTHER_OPERATOR).reason == "CASE_NOT_FOUND"
    unknown = case._replace(case_id="0" * 20)
    assert refused(desk, resolve(unknown, Outcome.FOR_USER)).reason == "CASE_NOT_FOUND"


def test_r18_damage_that_was_not_the_users(desk: Desk) -> None:
    """R18: a granted complaint about a debt without a hold drops the unpaid part, and refunds the
    paid part."""
    parent = acts.charged(desk, amount_minor=500)
    command = c.BookDebt(*acts.name(parent), money(4_000), "damage-1", "photo-1")
    it = rental(desk, command)
    rental(desk, pay(it, 1_000), caller=PLATFORM)
    rental(desk, acts.dispute(it, 700), caller=PLATFORM)
    case = told(desk, complain(it, kind=CaseKind.DAMAGE_NOT_MINE))
    books = Books(desk)
    case = over(desk, case, START_US + CLOCK_US)
    books.expect(
        [
            ("money", "operator_deferred / receivable_unheld", 3_000),
            ("money", "operator_payable / refund_payable", 970),
            ("money", "fee_income / refund_payable", 30),
        ],
        *DUNNED,
        "case.decided_by_time",
    )
    it = stored(desk, it)
    assert (it.unheld_due_minor, it.unheld_disputed_minor, it.refund_payable_minor) == (0, 0, 1_000)
    assert case.granted_minor == 4_000
    assert open_cases(desk, it) == []
    verified(desk)


def test_r18_a_disputed_amount_that_is_granted_ends_the_dispute(desk: Desk) -> None:
    """R18: a complaint that gives a disputed amount back ends the dispute and its case."""
    it = acts.charged(desk)
    rental(desk, acts.dispute(it, 1_250), caller=PLATFORM)
    case = told(desk, complain(it))
    assert {it.kind for it in open_cases(desk, it)} == {CaseKind.WRONG_FEE, CaseKind.DISPUTE}
    told(desk, resolve(case, Outcome.FOR_USER))
    assert stored(desk, it).disputed_minor == 0
    assert open_cases(desk, it) == []
    verified(desk)


# -- claims and disputes are cases -----------------------------------------------------------------


def test_r18_a_claim_is_a_case(desk: Desk) -> None:
    """R18: a claimed return opens a case that waits for the operator until the claim is accepted;
    silence closes it for the user, in the step that settles the rental."""
    it = rental(desk, authorize())
    it = rental(desk, c.ClaimReturn(*acts.name(it), None, "dock-7"))
    (case,) = open_cases(desk, it)
    assert (case.kind, case.due_us, case.occurred_us) == (
        CaseKind.CLAIM, it.claim_until_us, it.claim_us,
    )  # fmt: skip
    assert kept(desk, case)[1][0].reference == "dock-7"
    assert refused(desk, resolve(case, Outcome.FOR_USER)).reason == "CASE_HAS_ITS_OWN_CALL"
    it = acts.woken(desk, it, it.claim_until_us or 0)
    case, _ = kept(desk, case)
    assert (it.state, case.outcome, case.close_version) == (
        State.SETTLED, Outcome.FOR_USER, it.version,
    )  # fmt: skip
    verified(desk)


def test_r18_a_contest_decides_the_claim_with_its_evidence(desk: Desk) -> None:
    """R18: a contest closes the claim's case for the operator, and its evidence stands in it."""
    it = rental(desk, acts.claim_return(rental(desk, authorize())))
    (case,) = open_cases(desk, it)
    rental(desk, acts.contest(it))
    case, rows = kept(desk, case)
    assert (case.outcome, case.granted_minor) == (Outcome.FOR_OPERATOR, 0)
    assert [(row.side, row.reference) for row in rows] == [
        (Side.USER, ""), (Side.OPERATOR, "photo-1"),
    ]  # fmt: skip
    rental(desk, acts.claim_return(it))
    assert len(open_cases(desk, it)) == 1
    verified(desk)


def test_r18_a_settlement_decides_the_claim(desk: Desk) -> None:
    """R18: an operator that settles a claimed rental decides the claim for the user."""
    it = rental(desk, acts.claim_return(rental(desk, authorize())))
    (case,) = open_cases(desk, it)
    rental(desk, settle(it, 100))
    assert kept(desk, case)[0].outcome is Outcome.FOR_USER
    verified(desk)


@pytest.mark.parametrize(("won", "outcome"), [(True, "FOR_USER"), (False, "FOR_OPERATOR")])
def test_r18_a_dispute_is_a_case(desk: Desk, won: bool, outcome: str) -> None:
    """R18: a dispute opens a case that waits for the platform; a further dispute joins it, and the
    arbiter's decision closes it."""
    it = acts.charged(desk)
    rental(desk, acts.dispute(it, 300, reason="not my ride"), caller=PLATFORM)
    rental(desk, acts.dispute(it, 200), caller=PLATFORM)
    (case,) = open_cases(desk, it)
    assert (case.kind, case.asked_minor, case.waits_for, case.due_us) == (
        CaseKind.DISPUTE, 500, Side.PLATFORM, None,
    )  # fmt: skip
    rental(desk, acts.decide_dispute(it, user_won=won), caller=PLATFORM)
    case, rows = kept(desk, case)
    assert (case.outcome, case.granted_minor) == (Outcome(outcome), 500 if won else 0)
    assert [row.text for row in rows] == ["not my ride", ""]
    verified(desk)


# -- R3: a return that is told after the settlement ------------------------------------------------


@pytest.fixture
def five_percent(desk: Desk) -> None:
    """Ann and Ben may rent on credit, and Freehold's commission is 5 %."""
    desk.put_users(ann=800, ben=800)
    with writing(desk.store.engine) as connection:
        city = t.operators.c.operator_id == OPERATOR
        connection.execute(t.operators.update().where(city).values(fee_bp=500))
    assert desk.engine.terms.follow()


def power_bank(desk: Desk) -> Authorization:
    """A power bank in rent by Ann."""
    return rental(desk, authorize("ann", "power-bank", "pb-1"))


def late(it: Authorization, occurred_us: int | None) -> c.ClaimReturn:
    """A claim of a return."""
    return c.ClaimReturn(*acts.name(it), occurred_us, "dock-7")


@pytest.mark.usefixtures("five_percent")
def test_r3_a_users_late_word_opens_a_case(desk: Desk) -> None:
    """R3: after the settlement at 26.5 h the user reports a return at 2 h. This opens a case and
    changes nothing yet. If nobody answers, the fee is 600: 3,150 are given back, 2,993 by the
    operator and 157 of the commission."""
    it = power_bank(desk)
    desk.clock.advance(START_US + 26 * HOUR_US + HOUR_US // 2)
    it = rental(desk, acts.settle_usage(it))
    assert it.captured_minor == 3_750
    books = Books(desk)
    after = rental(desk, late(it, START_US + 2 * HOUR_US))
    books.expect([], "case.opened")
    assert after == it._replace(version=it.version + 1)
    (case,) = open_cases(desk, it)
    assert (case.kind, case.occurred_us) == (CaseKind.LATE_CLAIM, START_US + 2 * HOUR_US)
    assert refused(desk, late(it, START_US + HOUR_US)).reason == "CASE_OPEN"
    books = Books(desk)
    case = over(desk, case, case.due_us or 0)
    books.expect(
        [
            ("money", "operator_payable / receivable", 2_993),
            ("money", "fee_income / receivable", 157),
            ("line", "available / drawn", 3_150),
        ],
        *DUNNED,
        "case.decided_by_time",
    )
    assert (stored(desk, it).due_minor, case.granted_minor) == (600, 3_150)
    verified(desk)


@pytest.mark.usefixtures("five_percent")
@pytest.mark.parametrize("custody", [Custody.MISSING, Custody.SOLD])
def test_r3_a_return_after_a_sale_opens_a_case(desk: Desk, custody: Custody) -> None:
    """R3: the user reports a return after the item was lost or sold at 9,900. This opens a case. If
    it is granted as of 2 h, 9,300 are given back, 8,835 by the operator and 465 of the commission,
    and the item is free."""
    it = power_bank(desk)
    it = acts.woken(desk, it, it.due_us or 0)
    it = acts.woken(desk, it, it.lost_us or 0)
    if custody is Custody.SOLD:
        it = acts.woken(desk, it, it.sold_us or 0)
    assert (it.custody, it.captured_minor) == (custody, 9_900)
    rental(desk, late(it, START_US + 2 * HOUR_US))
    (case,) = open_cases(desk, it)
    books = Books(desk)
    case = told(desk, resolve(case, Outcome.FOR_USER))
    books.expect(
        [
            ("money", "operator_payable / receivable", 8_835),
            ("money", "fee_income / receivable", 465),
            ("line", "available / drawn", 9_300),
        ],
        "case.decided",
    )
    it = stored(desk, it)
    assert (it.custody, it.due_minor, case.granted_minor) == (Custody.IN_STATION, 600, 9_300)
    assert rental(desk, authorize("ben", "power-bank", "pb-1")).state is State.ACTIVE
    verified(desk)


def test_r3_a_late_claim_in_part_and_against_the_user(desk: Desk) -> None:
    """R3: a late claim is granted in part with an amount, or the platform decides it for the
    operator. A late claim without a time is refused."""
    it = rental(desk, acts.settle_usage(power_bank(desk), START_US))
    assert refused(desk, late(it, None)).reason == "ILLEGAL_TRANSITION"
    it = acts.charged(desk)
    rental(desk, late(it, START_US))
    (case,) = open_cases(desk, it)
    assert told(desk, resolve(case, Outcome.IN_PART, 250)).granted_minor == 250
    rental(desk, late(it, START_US))
    (case,) = open_cases(desk, it)
    case = told(desk, resolve(case, Outcome.FOR_OPERATOR), caller=PLATFORM)
    assert case.granted_minor == 0
    assert stored(desk, it).due_minor == 1_000
    assert refused(desk, late(it, START_US)).reason == "CASE_DECIDED"
    verified(desk)


def test_r3_a_late_word_beyond_the_window_is_refused(desk: Desk) -> None:
    """R3: after the settlement a return older than the policy's report window is refused."""
    it = acts.charged(desk)
    desk.clock.advance(START_US + 91 * DAY_US)
    assert isinstance(refused(desk, late(it, START_US)), InvalidInput)


def test_r3_no_contradiction_keeps_the_meter_running(desk: Desk) -> None:
    """R3: while the fee runs, a return before the start counts as the start, and a return older
    than the window counts as the window's beginning. The operator may contest either."""
    it = rental(desk, late(power_bank(desk), START_US - DAY_US))
    assert (it.state, it.claim_us) == (State.RETURN_CLAIMED, START_US)
    (gap,) = desk.clock_gaps
    assert gap.gap_us == -DAY_US
    it = rental(desk, acts.contest(it))
    assert it.state is State.ACTIVE
    verified(desk)


# -- questions of the platform ---------------------------------------------------------------------


def test_r18_a_question_of_the_platform() -> None:
    """R18: money that matches nothing is a case that waits for the platform without a clock; it
    names no person, and no operator may see it."""
    case = cases.open_case(
        "0" * 20, CaseKind.UNMATCHED_MONEY, START_US, currency="CNY", asked_minor=9, reference="b-1"
    )
    assert (case.waits_for, case.due_us) == (Side.PLATFORM, None)
    assert case.name == f"users/*/authorizations/*/cases/{'0' * 20}"
    assert case.digest == cases.digest_of(case)
