"""The rules of charge-backs and of suspense told a second time, as plainly as possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.engine import operations as c
from tests.engine import plain_questions
from tests.engine.plain_terms import (
    CHARGED,
    CURRENCY,
    ENDED,
    PLATFORM,
    Refused,
    Row,
    minor,
    refundable,
    required,
    share,
    takeable,
    unrecovered,
    within,
)

if TYPE_CHECKING:
    from tests.engine.plain_books import Key, RentalKey
    from tests.engine.reference import Reference

RAIL = "rails/suspense"
TAKEN = (*CHARGED, *ENDED, "AUTHORIZED")
KEPT = ("owed", "held", "conceded", "goodwill", "recovered", "overpaid", "found")
NO_CASE: Row = {
    **dict.fromkeys(("suspense", "open", "overturned", *KEPT, "decide_version", "reopened"), 0),
    "decide_us": None,
}
NO_PROPOSAL: Row = {"by": "", "to": None, "proposed": 0}


# -- recording ------------------------------------------------------------------------------------


def _group(of: Reference, key: RentalKey) -> list[RentalKey]:
    """The rentals of a group. A debt that was booked in the same call does not belong to the
    group."""
    group = of.groups[key[:2]]
    return group if key in group else [key]


def _payments(of: Reference, it: Row, named: str) -> dict[tuple[str, str], Row]:
    """The payments that a bank may mean: of this rental, or a deposit of its group, or of the
    expired reservation whose deposit the rental has now."""
    found = {}
    late = _taken_over(of, it)
    mine = [it["key"], *([late[0]] if late else [])]
    together = [key for each in mine for key in _group(of, each)]
    for caller in sorted({it["operator_id"], PLATFORM}):
        for reference in sorted((named, f"transfers/{named}")):
            row = of.payments.get((caller, reference))
            if row is None or row["kind"] not in ("PAYMENT", "DEPOSIT"):
                continue
            if row["key"] in mine or (row["kind"] == "DEPOSIT" and row["key"] in together):
                found[caller, reference] = row
    return found


def _left(of: Reference, it: Row, named: str) -> int:
    """The part of a payment that no bank has taken, at most the amount that the rental has.

    If a bank took a payment with the same reference elsewhere, that was another payment.
    """
    payments = _payments(of, it, named)
    if not payments:
        return 0
    taken = sum(
        row["amount"] - row["suspense"] - row["overturned"]
        for (key, _), row in of.charge_backs.items()
        if row["payment"] == named
        and payments.keys() & _payments(of, of.rentals[key], named).keys()
    )
    amounts = [payment["amount"] for payment in payments.values()]
    left = min(max(amounts), sum(amounts) - taken)
    late, group = _taken_over(of, it), _group(of, it["key"])
    own = [
        payment["key"] == it["key"] or (payment["kind"] == "DEPOSIT" and payment["key"] in group)
        for payment in payments.values()
    ]
    if late and not any(own):
        left = min(left, late[1]["deposit"] - _taken(of, it["key"]))
    return int(max(0, left))


def _taken_over(of: Reference, it: Row) -> tuple[RentalKey, Row] | None:
    """The reservation whose deposit the rental took over, and the row that records it."""
    for key, row in of.late_pickups.items():
        if row["begun"] == it["key"] and row["deposit"]:
            return key, row
    return None


def _taken(of: Reference, rental: RentalKey) -> int:
    """The money of a rental that banks have taken and not given back."""
    return sum(
        int(row["amount"] - row["suspense"] - row["overturned"])
        for (key, _), row in of.charge_backs.items()
        if key == rental
    )


def _here(of: Reference, it: Row, named: str, amount: int) -> None:
    """A case about a deposit that has moved on is recorded where the deposit is."""
    row = of.late_pickups.get(it["key"])
    unknown = bool(named) and not _payments(of, it, named)
    if row is None or unknown or amount <= takeable(it):
        return
    if _taken(of, row["begun"]) < row["deposit"]:
        raise Refused("DEPOSIT_TAKEN_OVER")


def _open(
    of: Reference, it: Row, case_id: str, caller: str, amount: int, charged: int, payment: str,
    now_us: int,
) -> Row:  # fmt: skip
    here = max(it["received"] - it["paid_out"], it["held_cash"] + it["refund_payable"])
    row = {
        **NO_CASE,
        "caller": caller, "payment": payment, "amount": amount, "suspense": amount - charged,
        "open": charged, "record_us": now_us,
        "gone_out": max(0, charged - max(0, here - it["charged_back"])),
    }  # fmt: skip
    of.put(of.charge_backs, (it["key"], case_id), row)
    of.change(it, at_the_bank=1 + it.get("at_the_bank", 0))
    return row


def charge_back(
    of: Reference, caller: str, it: Row, command: c.RecordChargeBack, now_us: int
) -> Row:
    """The bank takes a payment back; what exceeds it is in suspense."""
    named, told = command.payment, (it["key"], command.payment_reference)
    if named and not command.rail_account and told in of.charge_backs:
        raise Refused("BUSINESS_REFERENCE_REUSED")
    owner, case_id = of._new_payment(caller, command)
    if (it["key"], case_id) in of.charge_backs:
        raise Refused("PAYMENT_REFERENCE_USED")
    amount = of._paid(caller, it, command, "CASE", *TAKEN)
    _here(of, it, named, amount)
    if named:
        left = _left(of, it, named)
        charged = min(amount, left, takeable(it))
    else:
        within(amount, takeable(it))
        left = charged = amount
    row = _open(of, it, case_id, owner, amount, charged, named, now_us)
    of.step(
        it,
        "collection.charged_back",
        now_us,
        ("receivable_charged_back", "cash", charged),
        ("suspense", "cash", amount - charged),
        charged_back=it["charged_back"] + charged,
    )
    if charged < amount:
        rest = amount - charged
        item = _suspend(of, owner, case_id, "OUT", rest, it["user_id"], it, now_us)
        _share(of, it, item, (owner, case_id), named, left - charged, now_us)
        if item["open"]:
            _ask(of, (owner, case_id), item)
    return row


def _share(
    of: Reference, it: Row, item: Row, told: tuple[str, str], named: str, left: int, now_us: int
) -> None:
    """The other members bear the part of a group's deposit that is above one member's money."""
    kinds = {payment["kind"] for payment in _payments(of, it, named).values()}
    group = _group(of, it["key"])
    if kinds != {"DEPOSIT"} or len(group) < 2:
        return
    caller, case_id = told
    for other in [of.rentals[key] for key in sorted(group) if key != it["key"]]:
        part = min(item["open"], left, takeable(other))
        if part <= 0 or other["state"] not in TAKEN:
            continue
        left -= part
        of.bring_up(other, now_us)
        name = f"suspense/{item['matches'] + 1}/{case_id}"
        _end(of, told, caller, part, now_us)
        of._record((caller, name), "CASE", other["user_id"], part, other)
        _open(of, other, name, caller, part, part, named, now_us)
        of.step(
            other,
            "collection.charged_back",
            now_us,
            ("receivable_charged_back", "suspense", part),
            charged_back=other["charged_back"] + part,
        )


# -- deciding -------------------------------------------------------------------------------------


def _of(of: Reference, it: Row) -> list[tuple[str, Row]]:
    """The cases of a rental, the oldest first."""
    found = [(case_id, row) for (key, case_id), row in of.charge_backs.items() if key == it["key"]]
    return sorted(found, key=lambda one: (one[1]["record_us"], one[0]))


def _without_row(of: Reference, it: Row) -> int:
    return int(it["charged_back"] - sum(row["open"] for _, row in _of(of, it)))


def found(of: Reference, it: Row) -> None:
    """The operator has given up a part that a bank has: the oldest cases are decided up to this
    amount."""
    too_much = -_without_row(of, it)
    for _, row in _of(of, it):
        part = min(too_much, row["open"])
        if part > 0:
            too_much -= part
            of.change(row, open=row["open"] - part, found=row["found"] + part)


def given_up(of: Reference, it: Row, most: int) -> None:
    """The fee is another now. Of the fee that lost cases took, the operator may get back only
    `most`, so the oldest cases keep the rest."""
    rows = [row for _, row in _of(of, it)]
    fees = []
    for row in rows:
        others = sum(part for number, part in _conceded(of, it, row) if not _is_fee(of, it, number))
        fees.append(max(0, row["conceded"] - others))
    too_much = sum(fees) - most
    for row, fee in zip(rows, fees, strict=True):
        part = min(too_much, fee)
        if part > 0:
            too_much -= part
            of.change(row, conceded=row["conceded"] - part, found=row["found"] + part)


def _conceded(of: Reference, it: Row, row: Row) -> list[tuple[int, int]]:
    """The captures that the decision on a case conceded, with the amounts."""
    return [
        (one["capture"], one["conceded"])
        for (key, _), one in sorted(of.corrections.items(), key=lambda entry: entry[0][1])
        if key == it["key"]
        and one["version"] == row["decide_version"]
        and one["transition"] == "collection.charge_back_won"
        and one["conceded"]
    ]


def _is_fee(of: Reference, it: Row, number: int) -> bool:
    return number == 0 or dict(of._of(it))[number]["purpose"] == "FEE"


def resolve(
    of: Reference, _caller: str, it: Row, command: c.ResolveChargeBack, now_us: int
) -> None:
    """Decides one case or all open cases. A decision the other way is undone first."""
    rows = [row for _, row in _of(of, it) if row["open"]]
    others = _without_row(of, it)
    if command.case_id:
        others, row = 0, of.charge_backs.get((it["key"], command.case_id), {})
        if not row:
            raise Refused("CHARGE_BACK_NOT_FOUND")
        decided = "overturned" if not command.user_won else "kept"
        kept = sum(row[place] for place in KEPT)
        already = row["overturned"] if decided == "overturned" else kept
        if row["suspense"] == row["amount"] or (not row["open"] and already):
            raise Refused("CHARGE_BACK_DECIDED")
        rows = [row]
    required(it, *TAKEN)
    for row in rows:
        kept = sum(row[place] for place in KEPT)
        if row["overturned"]:
            _take_again(of, it, row, command, now_us)
        elif kept and (not row["open"] or not command.user_won):
            _undo(of, it, row, command, now_us)
    amount = others + sum(row["open"] for row in rows)
    if amount == 0:
        raise Refused("NOTHING_CHARGED_BACK")
    if not command.user_won:
        back = ("cash", "receivable_charged_back", amount)
        name = "collection.charge_back_overturned"
        of.step(it, name, now_us, back, charged_back=it["charged_back"] - amount)
        of._correct(it, command, (name, now_us), (0, amount, 0, 0))
        for row in rows:
            of.change(
                row, overturned=row["open"], open=0, decide_us=now_us, decide_version=it["version"]
            )
        return
    _give(of, it, rows, others, command, now_us)


def _give(
    of: Reference,
    it: Row,
    rows: list[Row],
    others: int,
    command: c.ResolveChargeBack,
    now_us: int,
) -> None:
    """The person keeps the money. For one case after the other, it is taken from its places."""
    if it["unheld"] and command.goodwill:
        raise Refused("NO_GOODWILL_FOR_A_DEBT")
    late = min(it["recovered"], max(0, refundable(it) - it["elsewhere"]))
    places = {
        "owed": it["refund_payable"],
        "held": it["held_cash"],
        "charge": max(0, refundable(it) - it["recovered"] - it["elsewhere"]),
        "recovered": late,
    }
    total = dict.fromkeys((*places, "overpaid"), 0)
    for row in (None, *rows):
        rest = others if row is None else row["open"]
        took = dict.fromkeys(total, 0)
        for place, there in places.items():
            took[place] = min(rest, there - total[place])
            rest -= took[place]
        took["overpaid"] = rest
        total = {place: total[place] + took[place] for place in total}
        if row is not None:
            charge = took.pop("charge")
            took |= {"goodwill" if command.goodwill else "conceded": charge}
            kept = {place: row[place] + minor_of for place, minor_of in took.items()}
            version = it["version"] + 1
            of.change(row, **kept, open=0, decide_us=now_us, decide_version=version)
    amount, after = sum(total.values()), dict(it)
    given_up = 0 if command.goodwill else total["charge"]
    cited = of._cited(it, given_up) if given_up else []
    parts = [(number, part, part, 0) for number, part in cited]
    if amount > given_up:
        parts.append((0, amount - given_up, 0, 0))
    of.step(
        it,
        "collection.charge_back_won",
        now_us,
        ("refund_payable", "receivable_charged_back", total["owed"]),
        ("deposit", "receivable_charged_back", total["held"]),
        *of._borne(after, command.goodwill, total["charge"], "receivable_charged_back"),
        ("recovery", "receivable_charged_back", total["recovered"]),
        ("overpaid", "receivable_charged_back", total["overpaid"]),
        charged_back=it["charged_back"] - amount,
        refund_payable=it["refund_payable"] - total["owed"],
        cash=it["cash"] - total["held"],
        held_cash=it["held_cash"] - total["held"],
        refunded=it["refunded"] + total["charge"],
        recovered=it["recovered"] - total["recovered"],
        received=it["received"] - amount,
        overpaid=it["overpaid"] + total["overpaid"],
        conceded=after["conceded"],
        fee=after["fee"],
    )
    of._correct(it, command, ("collection.charge_back_won", now_us), *parts)


REOPENED = "collection.charge_back_reopened"


def _take_again(
    of: Reference, it: Row, row: Row, command: c.ResolveChargeBack, now_us: int
) -> None:
    """The bank takes the money once more."""
    amount = row["overturned"]
    known = bool(row["payment"]) and bool(_payments(of, it, row["payment"]))
    if amount > takeable(it) or (known and amount > _left(of, it, row["payment"])):
        raise Refused("NOTHING_LEFT_TO_TAKE_BACK")
    taken = ("receivable_charged_back", "cash", amount)
    of.step(it, REOPENED, now_us, taken, charged_back=it["charged_back"] + amount)
    of._correct(it, command, (REOPENED, now_us), (0, amount, 0, 0))
    of.change(row, open=amount, overturned=0, reopened=row["reopened"] + 1)


def _undo(of: Reference, it: Row, row: Row, command: c.ResolveChargeBack, now_us: int) -> None:
    """Everyone gets back what the decision for the person took; the rest is the person's."""
    amount = sum(row[place] for place in KEPT)
    holds = it["state"] in ("AUTHORIZED", "ACTIVE", "OVERDUE", "RETURN_CLAIMED")
    gets = {
        "deposit": row["held"] if holds else 0,
        "recovery": min(row["recovered"], unrecovered(it)),
        "overpaid": min(row["overpaid"], it["overpaid"]),
    }
    most = it["terms"]["most_hold"]
    if most is not None:
        gets["deposit"] = min(gets["deposit"], max(0, most - it["credit"] - it["cash"]))
    written_off = row["overpaid"] - gets["overpaid"]
    gets["credit_loss"] = min(written_off, it["overpaid_written_off"])
    # What Freehold bore, and the operator has not given up since.
    given = it["lowered"] + it["refunded"] + it["forgiven"]
    gets["goodwill"] = min(row["goodwill"], given - it["conceded"])
    gets["refund_payable"] = amount - row["conceded"] - sum(gets.values())
    conceded = it["conceded"] - row["conceded"]
    earned = share(it["captured"] - conceded, it["fee_bp"]) - it["fee"]
    gets |= {"operator_payable": row["conceded"] - earned, "fee_income": earned}
    # A part of the fee may have been given up since, so what is no fee comes back first.
    took = _conceded(of, it, row)
    no_fee = [one for one in took if not _is_fee(of, it, one[0])]
    of_case, rest = [], row["conceded"]
    for number, most in [*no_fee, *(one for one in took if one not in no_fee)]:
        part = min(rest, most)
        if part:
            of_case.append((number, part, -part, 0))
            rest -= part
    if rest:
        of_case.append((0, rest, -rest, 0))
    if amount > row["conceded"]:
        of_case.append((0, amount - row["conceded"], 0, 0))
    of.step(
        it,
        REOPENED,
        now_us,
        *(("receivable_charged_back", account, part) for account, part in gets.items()),
        charged_back=it["charged_back"] + amount,
        received=it["received"] + amount,
        refund_payable=it["refund_payable"] + gets["refund_payable"],
        cash=it["cash"] + gets["deposit"],
        held_cash=it["held_cash"] + gets["deposit"],
        recovered=it["recovered"] + gets["recovery"],
        overpaid=it["overpaid"] - gets["overpaid"],
        overpaid_written_off=it["overpaid_written_off"] - gets["credit_loss"],
        refunded=it["refunded"] - row["conceded"] - gets["goodwill"],
        conceded=conceded,
        fee=it["fee"] + earned,
    )
    of._correct(it, command, (REOPENED, now_us), *of_case)
    of.change(row, **dict.fromkeys(KEPT, 0), open=row["open"] + amount)
    of.change(row, reopened=row["reopened"] + 1)


# -- suspense -------------------------------------------------------------------------------------


def _suspend(
    of: Reference, caller: str, reference: str, way: str, amount: int, user_id: str, it: Row | None,
    now_us: int,
) -> Row:  # fmt: skip
    row = {
        **NO_PROPOSAL,
        "user_id": user_id, "key": None if it is None else it["key"], "way": way,
        "amount": amount, "open": amount, "returned": 0, "matches": 0, "record_us": now_us,
    }  # fmt: skip
    of.put(of.suspense, (caller, reference), row)
    return row


def _rail(of: Reference, name: str, now_us: int, *posting: Any) -> None:
    """A posting on the rail's own line."""
    of.post(RAIL, PLATFORM, None, name, (posting,))
    of.events.append((RAIL, None, name, now_us))


def unmatched(of: Reference, caller: str, command: c.RecordUnmatched, now_us: int) -> Row:
    """Money matches nothing."""
    counted = of._new_payment(caller, command)
    amount, way = minor(command.amount), str(command.direction)
    within(amount, amount)
    of._record(counted, f"UNMATCHED_{way}", RAIL, amount)
    if way == "IN":
        _rail(of, "suspense.came_in", now_us, "cash", "suspense", amount)
    else:
        _rail(of, "suspense.taken_back", now_us, "suspense", "cash", amount)
    item = _suspend(of, *counted, way, amount, RAIL, None, now_us)
    _ask(of, counted, item)
    return item


def match(
    of: Reference, caller: str, command: c.MatchSuspense, now_us: int
) -> tuple[Row, Row | None]:
    """An amount in suspense is matched; answers the item, and the rental if there is one."""
    owner = command.owner if command.owner and caller == PLATFORM else caller
    told = (owner, command.payment_reference)
    item = of.suspense.get(told)
    if item is None:
        raise Refused("SUSPENSE_NOT_FOUND")
    came_in = item["way"] == "IN"
    if not command.authorization_id:
        if command.amount.currency != CURRENCY:
            raise Refused("INVALID_INPUT")
        amount = command.amount.amount_minor
        within(amount, item["open"])
        _end(of, told, caller, amount, now_us, returned=amount)
        name = _match_name(item, command)
        of._record((owner, name), "RETURNED" if came_in else "REGAINED", RAIL, amount)
        accounts = ("suspense", "cash") if came_in else ("cash", "suspense")
        _rail(of, f"suspense.{'returned' if came_in else 'regained'}", now_us, *accounts, amount)
        return item, None
    if came_in == bool(command.payment):
        raise Refused("INVALID_INPUT")
    key = of.names.get((command.user_id, command.authorization_id))
    if key is None or caller not in (key[0], PLATFORM):
        raise Refused("AUTHORIZATION_NOT_FOUND")
    it = of.rentals[key]
    of.bring_up(it, now_us)
    amount = minor(command.amount)
    within(amount, item["open"])
    if came_in:
        return _pay(of, (told, caller), it, item, command, amount, now_us)
    if not _payments(of, it, command.payment):
        raise Refused("PAYMENT_NOT_FOUND")
    _here(of, it, command.payment, amount)
    within(amount, min(_left(of, it, command.payment), takeable(it)))
    if (it["key"], f"suspense/{item['matches'] + 1}/{told[1]}") in of.charge_backs:
        raise Refused("BUSINESS_REFERENCE_REUSED")
    required(it, *TAKEN)
    _end(of, told, caller, amount, now_us)
    name = _match_name(item, command)
    of._record((owner, name), "CASE", it["user_id"], amount, it)
    _open(of, it, name, owner, amount, amount, command.payment, now_us)
    of.step(
        it,
        "collection.charged_back",
        now_us,
        ("receivable_charged_back", "suspense", amount),
        charged_back=it["charged_back"] + amount,
    )
    return item, it


def _pay(
    of: Reference, by: tuple[Key, str], it: Row, item: Row, command: c.MatchSuspense, amount: int,
    now_us: int,
) -> tuple[Row, Row | None]:  # fmt: skip
    """If a second key approves, money that came in pays a deposit or a debt, or is owed to the
    person."""
    members, asked = [], 0
    if it["state"] == "OFFERED":
        members = of._members(it, "OFFERED", now_us)
        asked = sum(member["cash"] for member in members)
        if amount < asked:
            raise Refused("INVALID_INPUT")
    elif it["state"] == "REVIEW":
        raise Refused("ILLEGAL_TRANSITION")
    if (item["by"] and item["to"], item["proposed"]) != (it["key"], amount):
        of.change(item, by=command.by, to=it["key"], proposed=amount)
        return item, None
    if item["by"] == command.by:
        raise Refused("SECOND_PERSON_NEEDED")
    _end(of, *by, amount, now_us)
    name = _match_name(item, command)
    charged = it["state"] in CHARGED and it["captured_credit"]
    pays = charged or it["unheld"] or it["overpaid"] or it["overpaid_written_off"]
    of._record((by[0][0], name), "PAYMENT" if pays else "DEPOSIT", it["user_id"], amount, it)
    if pays:
        of._pay(it, amount, now_us, "suspense")
    elif members:
        of._deposited(members, it, amount, of._obstacle(members), now_us, "suspense")
    else:
        of._owe_back(it, amount, now_us, "suspense")
    return item, it


def _ask(of: Reference, told: tuple[str, str], item: Row) -> None:
    """The platform is asked what money in suspense is."""
    of.put(of.questions, told, [plain_questions.new(0, item=item)])


def _end(
    of: Reference, told: Key, caller: str, amount: int, now_us: int, returned: int = 0
) -> None:
    """A part of an item leaves suspense; the last part ends the question about it."""
    item = of.suspense[told]
    of.change(item, open=item["open"] - amount, returned=item["returned"] + returned)
    of.change(item, matches=item["matches"] + 1, **NO_PROPOSAL)
    for row in of.questions.get(told, ()):
        if not item["open"] and plain_questions.is_open(row):
            plain_questions.close(of, row, caller, now_us)


def _match_name(item: Row, command: c.MatchSuspense) -> str:
    return f"suspense/{item['matches']}/{command.payment_reference}"
