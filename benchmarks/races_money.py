"""Races for money: captures, payments, transfers, refunds, write-offs, payouts."""

from __future__ import annotations

from typing import Any

from freehold.client import AsyncClient as Methods
from freehold.v1.rail_service_pb2 import Transfer

from benchmarks.races_arena import FEE_BP, PAYEES
from benchmarks.races_course import course_of, require_steps, won_first
from benchmarks.races_round import (
    ABORTED,
    BIKE_MINOR,
    EXISTS,
    FAILED,
    FULL,
    HOUR_US,
    INVALID,
    UMBRELLA_MINOR,
    ZERO,
    Round,
    of,
    refused,
    told,
    yuan,
)
from service.domain.transitions import Transition as T
from service.engine.records.transfers import TransferState


async def captures(r: Round) -> None:
    """Captures and releases that compete for one hold add up to it exactly.

    In every third round all calls expect the same version: one succeeds, the others are ABORTED.
    """
    parts, amount_minor = 5, BIKE_MINOR // 5
    user_id = await r.person()
    held = await r.authorize(user_id, "bike", **ZERO)
    seen: dict[str, Any] = {"expected_version": held.version} if r.number % 3 == 0 else {}
    fields: dict[str, Any] = {"name": held.name, "amount": yuan(amount_minor), **seen}
    answers = await r.race(
        [r.call("capture", Methods.settle_authorization, final=False, **fields) for _ in range(5)]
        + [r.call("release", Methods.decrease_authorization, **fields) for _ in range(4)]
    )
    won = told(answers)
    r.won(answers, won)
    if seen:
        r.one(won, "change of one version")
        r.lost(refused(answers), ABORTED, "VERSION_MISMATCH")
    else:
        r.require(len(won) == parts, f"{len(won)} parts of {parts}")
        r.lost(refused(answers), INVALID, "INVALID_INPUT")
    stored = (await r.stored()).authorization(held.name)
    r.require(
        stored.captured_minor == amount_minor * len(of(won, "capture")),
        f"captured {stored.captured_minor}",
    )
    taken_minor = amount_minor * len(won)
    r.require(stored.held_minor == BIKE_MINOR - taken_minor, f"{stored.held_minor} is held")


async def payment(r: Round) -> None:
    """A payment reference counts once, even for two people, each at a different server.

    In some rounds the payment confirms offers; in the other rounds it pays the due amount.
    """
    people = await r.people(2)
    reference = r.reference()
    method: Any = Methods.confirm_authorization if r.number % 2 else Methods.record_payment
    calls = []
    for server, (user_id, kind) in enumerate(zip(people, ("one", "other"), strict=True)):
        fields: dict[str, Any] = {"payment_reference": reference}
        if r.number % 2:
            offered = await r.authorize(user_id, **FULL)
            fields |= {"name": offered.name, "paid": yuan(UMBRELLA_MINOR)}
        else:
            settled = await r.settle(await r.authorize(user_id, **ZERO), 1_000)
            fields |= {"key": r.platform, "authorization": settled.name, "amount": yuan(600)}
        calls += [r.call(kind, method, server=server, **fields) for _ in "abc"]
    answers = await r.race(calls)
    won = told(answers)
    if r.one(won, "payment"):
        r.won(answers, won)
    r.lost(refused(answers), EXISTS, "PAYMENT_REFERENCE_USED")
    stored = await r.stored()
    r.require(len(stored.payments[reference]) == 1, f"recorded {stored.payments[reference]}")
    paid_minor = sum(
        it.paid_minor + it.held_cash_minor
        for user_id in people
        for it in stored.authorizations[user_id]
    )
    once_minor = UMBRELLA_MINOR if r.number % 2 else 600
    r.require(paid_minor == once_minor, f"{paid_minor} was paid")


async def debit(r: Round) -> None:
    """When a debit succeeds after its failure while the rail reports the next one's result, the
    money pays what is due once, and the rest is owed back.

    Each result is reported twice. In every other round the next debit fails.
    """
    due_minor, both = 800, r.number % 2 == 0
    user_id = await r.person()
    async with r.turn():
        await r.advance(r.instant_us(0))
        held = await r.settle(await r.authorize(user_id, **ZERO), due_minor)
    async with r.turn():
        await r.advance(r.instant_us(HOUR_US))
        (first,) = (await r.ask(Methods.list_transfers, user_id=user_id)).transfers
        await r.tell(r.report("setup", first, TransferState.FAILED, r.instant_us(HOUR_US)))
    again_us = r.instant_us(72 * HOUR_US)
    async with r.turn():
        await r.advance(again_us)
        _, second = (await r.ask(Methods.list_transfers, user_id=user_id)).transfers
        word = TransferState.SUCCEEDED if both else TransferState.FAILED
        answers = await r.contend(
            [r.report("late", first, TransferState.SUCCEEDED, again_us) for _ in "ab"]
            + [r.report("next", second, word, again_us) for _ in "ab"]
        )
    r.require(not refused(answers), f"refused: {[it.refusal for it in refused(answers)]}")
    late = {it.told for it in of(answers, "late")}
    r.require(len(late) == 1, "a late success was answered in two ways")
    course = await course_of(r, held)
    cancelled = T.DEBIT_CANCELLED in course.steps
    r.won(answers, of(answers, "late" if cancelled else "next"))
    ends = [Transfer.State.Name(it.message.transfer.state) for it in of(answers, "next")]
    right = "STATE_SUCCEEDED" if both else "STATE_CANCELLED" if cancelled else "STATE_FAILED"
    r.require(ends == [right] * 2, f"the next debit was answered {ends}")
    stored = (await r.stored()).authorization(held.name)
    sums = (stored.paid_minor, stored.refund_payable_minor, stored.debiting_minor)
    right_sums = (due_minor, due_minor if both else 0, 0)
    r.require(sums == right_sums, f"paid, owed back and under way: {sums}")


async def refund(r: Round) -> None:
    """The bank takes back at most the payment, and no money that it has taken back is paid out."""
    parts, amount_minor = r.chance.randint(1, 5), 400
    user_id = await r.person()
    held = await r.settle(await r.authorize(user_id, **ZERO), parts * amount_minor)
    await r.do(
        Methods.record_payment,
        key=r.platform,
        authorization=held.name,
        payment_reference=r.reference(),
        amount=yuan(parts * amount_minor),
    )
    await r.do(Methods.refund_charge, name=held.name, amount=yuan(parts * amount_minor))
    fields: dict[str, Any] = {"name": held.name, "amount": yuan(amount_minor)}
    answers = await r.race(
        [r.call("payout", Methods.pay_out_refund, key=r.platform, **fields) for _ in range(3)]
        + [
            r.call(
                "charge-back",
                Methods.record_charge_back,
                key=r.platform,
                payment_reference=r.reference(),
                **fields,
            )
            for _ in range(3)
        ]
    )
    won = told(answers)
    r.won(answers, won)
    payouts, taken = len(of(won, "payout")), len(of(won, "charge-back"))
    r.require(taken == min(3, parts), f"{taken} parts of {parts} were charged back")
    # A charge-back after a payout is of money that went out.
    r.require(
        min(3, parts - taken) <= payouts <= min(3, parts),
        f"{payouts} parts of {parts} were paid out, and {taken} charged back",
    )
    r.lost(refused(answers), INVALID, "INVALID_INPUT")
    stored = (await r.stored()).authorization(held.name)
    r.require(
        (stored.paid_out_minor, stored.charged_back_minor)
        == (amount_minor * len(of(won, "payout")), amount_minor * len(of(won, "charge-back"))),
        f"paid out {stored.paid_out_minor}, charged back {stored.charged_back_minor}",
    )


async def write_off(r: Round) -> None:
    """An amount proposed for write-off is written off once, by a second key, or was paid before.

    Two keys approve at once, one of them the proposer's, and the payment comes at the same moment.
    """
    due_minor = 1_500
    user_id = await r.person()
    held = await r.settle(await r.authorize(user_id, **ZERO), due_minor)
    proposer, *others = r.keys.platform
    await r.do(Methods.propose_write_off, key=proposer, name=held.name)
    answers = await r.race(
        [r.call("approve", Methods.approve_write_off, key=key, name=held.name) for key in others]
        + [
            r.call("approve alone", Methods.approve_write_off, key=proposer, name=held.name),
            r.call(
                "pay",
                Methods.record_payment,
                key=r.platform,
                authorization=held.name,
                payment_reference=r.reference(),
                amount=yuan(due_minor),
            ),
        ]
    )
    course = await course_of(r, held)
    won = told(of(answers, "approve"))
    require_steps(r, answers, course, {"approve": T.WRITTEN_OFF, "pay": T.PAYMENT_RECORDED})
    won_first(r, answers, course, {T.WRITTEN_OFF: "approve", T.PAYMENT_RECORDED: "pay"})
    r.require(len(won) <= 1, f"written off {len(won)} times")
    r.lost(refused(answers), FAILED)
    stored = (await r.stored()).authorization(held.name)
    sums = (stored.paid_minor, stored.written_off_minor, stored.recovered_minor)
    right = (0, due_minor, due_minor) if won else (due_minor, 0, 0)
    r.require(sums == right, f"paid, written off and recovered: {sums}")


async def payout(r: Round) -> None:
    """An operator is paid exactly what it is owed, never more.

    In every other round a capture, which adds to it, comes at the same moment.
    """
    payee = PAYEES[r.lane]
    key = r.keys.operators[payee]
    user_id = await r.person()
    held = await r.authorize(user_id, key=key, **ZERO)
    more = await r.authorize(user_id, key=key, **ZERO) if r.number % 2 else None
    parts = r.chance.randint(1, 5)
    async with r.turn():
        await r.settle(held, 2_000, key=key)
        owed_minor = await _owed_minor(r, payee)
        amount_minor = owed_minor // parts
        calls = [
            r.call(
                "pay out",
                Methods.pay_out_operator,
                key=r.keys.platform[number % 3],
                operator_id=payee,
                amount=yuan(amount_minor),
                payment_reference=r.reference(),
            )
            for number in range(parts + 3)
        ]
        captured_minor = 0
        if more is not None:
            captured_minor = 1_000 - 1_000 * FEE_BP // 10_000
            calls.append(
                r.call(
                    "capture",
                    Methods.settle_authorization,
                    key=key,
                    name=more.name,
                    amount=yuan(1_000),
                )
            )
        answers = await r.contend(calls)
        left_minor = await _owed_minor(r, payee)
    won = told(of(answers, "pay out"))
    least, most = (
        min(minor // amount_minor, parts + 3) for minor in (owed_minor, owed_minor + captured_minor)
    )
    outcome = "more than was owed before" if len(won) > least else "what was owed before"
    r.won(answers, won, outcome)
    r.require(least <= len(won) <= most, f"{len(won)} paid out, owed were {least} to {most}")
    r.lost(refused(answers), FAILED, "PAYABLE_EXCEEDED")
    right_minor = owed_minor + captured_minor - amount_minor * len(won)
    r.require(left_minor == right_minor >= 0, f"{left_minor} is owed instead of {right_minor}")
    stored = await r.stored()
    for answer in of(answers, "pay out"):
        reference = Methods.pay_out_operator.request.FromString(answer.call.body).payment_reference
        recorded = len(stored.payments[reference])
        r.require(recorded == (answer in won), f"a payout recorded {recorded} times")


async def _owed_minor(r: Round, payee: str) -> int:
    answer = await r.ask(Methods.get_operator_balance, operator_id=payee)
    return sum(it.amount_minor for it in answer.payables)
