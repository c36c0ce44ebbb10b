"""The rules of pauses, waivers and returns without a dock, written a second time.

Each function is a rule of the reference, and takes the reference as its first argument.
"""

from __future__ import annotations

from typing import Any

from service.engine import operations as c
from tests.engine import reference_charge_backs as bank
from tests.engine.plain_passes import kept
from tests.engine.plain_quotas import minutes_of
from tests.engine.plain_terms import (
    CHARGED,
    MINUTE_US,
    Pauses,
    Refused,
    Row,
    lost_at,
    minor,
    moves,
    no_damage,
    pass_minutes,
    required,
    whole_fee,
)


def words(books: Any, it: Row) -> list[Row]:
    """The attestations of a rental, in their order."""
    found: list[Row] = []
    while (it["key"], len(found) + 1) in books.attestations:
        found.append(books.attestations[it["key"], len(found) + 1])
    return found


def stands(books: Any, it: Row, before: int | None = None) -> list[list[int]]:
    """The times in which the meter stands: from, until, and 1 if the rental was resumed. Pauses
    that were told at the version `before` of the rental, or later, are left out."""
    found: list[list[int]] = []
    paused_by = 0
    for word in words(books, it):
        if before is not None and word["version"] >= before:
            break
        if word["kind"] == "PAUSE":
            found.append([word["event_us"], word["until_us"], 0])
            paused_by = word["version"]
        elif word["kind"] == "RESUME":
            together = word["version"] == paused_by
            ended = found[-1] if together else going_on(found, word["event_us"])[0]
            ended[1:] = [word["event_us"], 1]
    return found


def going_on(pauses: list[list[int]], at_us: int) -> list[list[int]]:
    """A list with the pause that is running at an instant and was not resumed; empty without such a
    pause."""
    return [one for one in pauses if one[0] <= at_us < one[1] and not one[2]]


def stood(books: Any, it: Row, until_us: int, before: int | None = None) -> int:
    """How long the meter stood until an instant; see `stands` for `before`."""
    cut = [(begin, min(end, until_us)) for begin, end, _ in stands(books, it, before)]
    return sum(max(0, end - begin) for begin, end in cut)


def times(books: Any, it: Row, before: int | None = None) -> list[tuple[int, int]]:
    """The times in which the meter stands, in their order; see `stands` for `before`."""
    return sorted((begin, end) for begin, end, _ in stands(books, it, before))


def waived(books: Any, it: Row, part: str) -> int:
    """The amount waived before it was captured ("pending"), or after that ("given")."""
    sums = {"pending": 0, "given": 0}
    for word in words(books, it):
        if word["kind"] == "WAIVER":
            sums["pending"] += word["pending"]
            sums["given"] += word["amount"] - word["pending"]
    return sums[part]


def attest(books: Any, it: Row, kind: str, event_us: int, command: Any, **more: Any) -> Row:
    """Notes the attestation of the step just taken."""
    explained = kind in ("PAUSE", "WAIVER")
    row = {
        "kind": kind, "cause": str(command.cause) if explained else None,
        "source": str(command.source) if explained else None, "evidence": command.evidence,
        "until_us": None, "amount": 0, "pending": 0, "version": it["version"],
        "event_us": event_us, **more,
    }  # fmt: skip
    books.put(books.attestations, (it["key"], len(words(books, it)) + 1), row)
    return row


def _move(books: Any, it: Row, name: str, event_us: int, by_us: int, **new: Any) -> None:
    """Moves all that follows from the meter."""
    moved = {
        "paused_us": it["paused_us"] + by_us, "due_us": it["due_us"] + by_us,
        "lost_us": it["lost_us"] + by_us,
    }  # fmt: skip
    books.step(it, f"authorization.{name}", event_us, **{**moved, **new})


def pause(books: Any, caller: str, it: Row, command: c.PauseRental, now_us: int) -> Row:
    """Stops the meter for what is left of the time for pauses, or until the end that is told."""
    late = command.resumed_us is not None and it["state"] == "SETTLED" and not it["parent_id"]
    if not late:
        required(it, "ACTIVE", "OVERDUE")
    from_us = books._occurred(it, command.occurred_us, now_us, lowers=True)
    told_us = None
    if command.resumed_us is not None:
        told_us = books._occurred(it, command.resumed_us, now_us, lowers=True)
    no_damage(it)
    earlier = stands(books, it)
    # The part of an earlier pause that lies after the return does not use up the time for pauses.
    used_us, over_us = sum(end - begin for begin, end, _ in earlier), now_us
    if late:
        if it["start_us"] is None:
            raise Refused("NEVER_OUT")
        ended_us = _ended_us(books, it)
        over_us = now_us if ended_us is None else ended_us
        if from_us >= over_us:
            raise Refused("INVALID_INPUT")
        used_us = stood(books, it, over_us)
    elif any(end > now_us for _, end, _ in earlier):
        raise Refused("ALREADY_PAUSED")
    if told_us is not None and told_us <= from_us:
        raise Refused("INVALID_INPUT")
    left_us = it["terms"]["pause_us"] - used_us
    if left_us <= 0 or len(earlier) >= it["terms"]["most_pauses"]:
        raise Refused("PAUSE_LIMIT_REACHED")
    while inside := [end for begin, end, _ in earlier if begin <= from_us < end]:
        from_us = inside[0]
    if told_us is not None and (told_us <= from_us or (late and from_us >= over_us)):
        raise Refused("ALREADY_PAUSED")
    # An earlier pause, told later, ends where the later one begins.
    later = [begin for begin, end, _ in earlier if from_us < begin < end]
    until_us = min([from_us + left_us, *later])
    end_us = until_us if told_us is None else min(until_us, told_us)
    if late:
        _pause_late(books, it, command, (from_us, end_us), ended_us)
        row = attest(books, it, "PAUSE", from_us, command, until_us=end_us)
        attest(books, it, "RESUME", end_us, command)
        return row
    long_us = end_us - from_us
    state = "ACTIVE" if it["due_us"] + long_us > now_us else it["state"]
    lost_us = it["lost_us"] + long_us
    pauses = sorted([*times(books, it), (from_us, end_us)])
    if moves(it["terms"]):
        lost_us = max(
            lost_us, lost_at(it["terms"], it["start_us"], pass_minutes(books, it), pauses)
        )
    if end_us < until_us:
        lost_us = _lost_us(books, it, long_us, now_us, pauses)
    _move(books, it, "paused", from_us, long_us, state=state, lost_us=lost_us)
    row = attest(books, it, "PAUSE", from_us, command, until_us=until_us)
    if end_us < until_us:
        attest(books, it, "RESUME", end_us, command)
    return row


def _pause_late(
    books: Any, it: Row, command: c.PauseRental, paused: tuple[int, int], over_us: int | None
) -> None:
    """Gives back the part of the fee that a pause of a settled rental saves."""
    begin_us, end_us = paused
    long_us = end_us - begin_us
    moved = {
        "paused_us": it["paused_us"] + long_us, "due_us": it["due_us"] + long_us,
        "lost_us": None if it["lost_us"] is None else it["lost_us"] + long_us,
    }  # fmt: skip
    if over_us is None:
        books.step(it, "authorization.paused", begin_us, **moved)
        return
    ran_us = over_us - it["start_us"] - stood(books, it, over_us)
    own_us = max(0, min(end_us, over_us) - begin_us)
    before = times(books, it)
    without = _unwaived(books, it, ran_us, before)
    lowered = _unwaived(books, it, ran_us - own_us, sorted([*before, (begin_us, end_us)]))
    fees = [row for _, row in books._of(it) if row["purpose"] == "FEE"]
    charged = sum(row["amount"] - row["conceded"] for row in fees) + it["uncollected"]
    usage = max(lowered, charged - (without - lowered))
    books.change(it, **moved)
    said = c.ReportFound(it["user_id"], "", reason=str(command.cause))
    books.lower_to(it, "authorization.paused", usage, begin_us, said)


def _unwaived(books: Any, it: Row, run_us: int, pauses: Pauses) -> int:
    """The fee for a time on the meter, less all waived amounts."""
    pending = waived(books, it, "pending")
    minutes = minutes_of(books, it, run_us, pauses, pending)
    whole = kept(books, it, whole_fee(it, run_us, pauses, minutes * MINUTE_US))
    due = max(0, whole - pending)
    return max(0, due - waived(books, it, "given"))


def _ended_us(books: Any, it: Row) -> int | None:
    """The end of the usage that was charged, by all reports that count; None if the price of a lost
    item was charged.

    A loss ends no usage. But if a lost item is back, and no report says since when, the usage
    counts until the loss.
    """
    closing, closed_us = books.closings[it["key"]]
    ends = []
    for number in range(1, it["corrections"] + 1):
        row = books.corrections[it["key"], number]
        if row["transition"] in ("authorization.found", "authorization.return_presumed"):
            ends.append(row["event_us"])
    ends += [
        case["occurred_us"]
        for (key, _), case in books.cases.items()
        if key == it["key"]
        and case["kind"] in ("LATE_CLAIM", "RETURN_BLOCKED", "ITEM_AT_FAULT")
        and case["outcome"] == "FOR_USER"
        and case["occurred_us"] is not None
    ]
    if not ends or closing != "authorization.lost":
        if closing == "authorization.lost" and it["custody"] != "IN_STATION":
            return None
        ends.append(closed_us)
    if it["claim_us"] is not None:
        return int(max(it["start_us"], min(it["claim_us"], *ends)))
    return int(min(ends))


def resume(books: Any, caller: str, it: Row, command: c.ResumeRental, now_us: int) -> Row:
    """Lets the meter run on."""
    required(it, "ACTIVE", "OVERDUE")
    at_us = books._occurred(it, command.occurred_us, now_us)
    no_damage(it)
    earlier = stands(books, it)
    later = [one for one in sorted(earlier) if one[0] > at_us and not one[2]]
    ended = [*going_on(earlier, at_us), *later]
    if not ended:
        raise Refused("NOT_PAUSED")
    at_us = max(at_us, ended[0][0])
    back_us = at_us - ended[0][1]
    mine = (ended[0][0], ended[0][1])
    others = [one for one in times(books, it) if one != mine]
    pauses = sorted([*others, (mine[0], at_us)])
    lost_us = _lost_us(books, it, back_us, now_us, pauses)
    _move(books, it, "resumed", at_us, back_us, lost_us=lost_us)
    return attest(books, it, "RESUME", at_us, command)


def _lost_us(books: Any, it: Row, by_us: int, now_us: int, pauses: Pauses) -> int:
    """The time of loss after a resume: the item is overdue for a while before it counts as lost,
    however late the resume is told."""
    overdue_us = max(it["due_us"] + by_us, now_us) + it["terms"]["overdue_us"]
    lost_us = it["lost_us"] + by_us
    if moves(it["terms"]):
        lost_us = lost_at(it["terms"], it["start_us"], pass_minutes(books, it), pauses)
    return int(max(lost_us, overdue_us))


def waive(books: Any, caller: str, it: Row, command: c.WaiveFee, now_us: int) -> Row:
    """Gives the captured fee back, and keeps the rest from being captured."""
    asked = None if command.amount is None else minor(command.amount)
    if asked == 0:
        raise Refused("INVALID_INPUT")
    no_damage(it)
    required(it, *CHARGED)
    settled = it["state"] == "SETTLED"
    if settled and it["custody"] != "IN_STATION":
        raise Refused("NOT_RETURNED")
    fees = [row for _, row in books._of(it) if row["purpose"] == "FEE"]
    captured = sum(row["amount"] for row in fees)
    kept = sum(row["amount"] - row["conceded"] for row in fees)
    open_now = open_ever = 0
    above = _above_the_hold(books, it) if settled else 0
    if not settled:
        cap = it["terms"]["buy_out"]
        open_now = max(0, books._usage(it, now_us) - captured)
        open_ever = max(0, cap - waived(books, it, "pending") - captured)
        open_ever = 0 if it["order_fee"] == 0 else open_ever
    if kept + above + (open_ever if asked is None else open_now) == 0:
        raise Refused("NOTHING_TO_WAIVE")
    if asked is not None and asked > kept + above + open_now:
        raise Refused("INVALID_INPUT")
    amount = kept + above + open_ever if asked is None else asked
    fallen = min(amount, above)
    given = min(amount - fallen, kept)
    pending = amount - fallen - given
    of_fee = [one for one in books._of(it) if one[1]["purpose"] == "FEE"]
    postings, new, parts = books._give(it, given, of_fee)
    if settled and asked is None:
        new |= {"uncollected": 0}
    elif fallen:
        new |= {"uncollected": above - fallen}
    parts += [(0, pending + fallen, 0, 0)] if pending + fallen else []
    books.step(it, "authorization.fee_waived", now_us, *postings, **new)
    said = c.ReportFound(it["user_id"], "", reason=str(command.cause))
    books._correct(it, said, ("authorization.fee_waived", now_us), *parts)
    books._lower_fee(it, "authorization.found", now_us, said)
    bank.found(books, it)
    if asked is None:
        bank.given_up(books, it, 0)
    return attest(books, it, "WAIVER", now_us, command, amount=amount, pending=pending)


def _above_the_hold(books: Any, it: Row) -> int:
    """The fee of a late pick-up that its hold did not cover, and that nobody gave up."""
    row = books.debts.get((it["key"], "FEE_ABOVE_HOLD"))
    debt = None if row is None else books.rentals[row["key"]]
    if debt is None or debt["reasons"] != ("FEE_ABOVE_HOLD",):
        return 0
    return int(debt["unheld"] - debt["unheld_dropped"] - debt["conceded"])


def handed_over(books: Any, it: Row, command: c.Settle, event_us: int) -> Row:
    """Notes that an item came back without a dock."""
    return attest(books, it, str(command.handover), event_us, command)
