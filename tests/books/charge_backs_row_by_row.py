"""Charge-backs and suspense, verified a second time: one row after the other, by plain SQL."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, text

from service.books.faults import Found

PLACES = (
    *("suspense", "open", "overturned", "owed", "held", "conceded", "goodwill", "recovered"),
    *("overpaid", "found"),
)
OPEN = text(
    "SELECT a.charged_back_minor - sum(b.open_minor) FROM authorizations AS a"
    " JOIN charge_backs AS b USING (user_id, authorization_id)"
    " WHERE user_id = :user_id AND authorization_id = :authorization_id"
    " AND (b.case_id <= :case_id) GROUP BY a.charged_back_minor"
)
PAYMENT = text("SELECT * FROM payments WHERE caller = :caller AND payment_reference = :reference")
MATCHES = text(
    "SELECT * FROM payments WHERE caller = :caller AND payment_reference LIKE :references"
    " ORDER BY payment_reference"
)
NOWHERE = text(
    "SELECT caller, payment_reference FROM suspense WHERE proposed_by <> '' AND NOT EXISTS"
    " (SELECT 1 FROM authorizations WHERE user_id = proposed_user_id"
    " AND authorization_id = proposed_authorization_id) ORDER BY caller, payment_reference"
)
QUESTIONS = text(
    "SELECT user_id, authorization_id, case_id FROM cases AS c WHERE kind = 'UNMATCHED_MONEY'"
    " AND NOT EXISTS (SELECT 1 FROM suspense AS s"
    " WHERE c.reference = 'payments/' || s.caller || '/' || s.payment_reference"
    " AND s.amount_minor = c.asked_minor AND (c.state = 'CLOSED' OR s.open_minor > 0))"
    " ORDER BY user_id, authorization_id, case_id"
)
PERSONS = ("user_id", "proposed_user_id")
ASKED = text("SELECT count(*) FROM cases WHERE kind = 'UNMATCHED_MONEY' AND case_id = :id")
ORPHANS = (
    (
        "CHARGE_BACK",
        (
            "SELECT caller, payment_reference FROM payments AS p WHERE kind = 'CASE' AND NOT EXISTS"
            " (SELECT 1 FROM charge_backs"
            " WHERE caller = p.caller AND case_id = p.payment_reference)"
        ),
    ),
    (
        "SUSPENSE",
        (
            "SELECT caller, payment_reference FROM payments AS p WHERE kind LIKE 'UNMATCHED%'"
            " AND NOT EXISTS (SELECT 1 FROM suspense WHERE caller = p.caller"
            " AND payment_reference = p.payment_reference)"
        ),
    ),
    (
        "SUSPENSE",
        (
            "SELECT caller, payment_reference FROM payments AS p"
            " WHERE payment_reference LIKE 'suspense/%' AND NOT EXISTS (SELECT 1 FROM suspense"
            " AS s WHERE caller = p.caller AND p.payment_reference LIKE 'suspense/%/'"
            " || s.payment_reference)"
        ),
    ),
)


def _all(connection: Connection, query: Any, **values: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(query, values).mappings()]


def _digest(row: dict[str, Any], *left_out: str, more: str = "") -> bytes:
    kept = [str(value) for name, value in row.items() if name not in (*left_out, "digest")]
    return sha256("\n".join(kept + [more] * bool(more)).encode()).digest()


def _case_of(item: dict[str, Any]) -> str:
    """The id of the case about an item: the first 20 digits of a hash, to the base of 32."""
    said = f"{item['caller']}\n{item['payment_reference']}".encode()
    number, digits = int.from_bytes(sha256(said).digest()[:13]) >> 4, []
    for _ in range(20):
        number, digit = divmod(number, 32)
        digits.append("0123456789abcdefghijklmnopqrstuv"[digit])
    return "".join(reversed(digits))


def verify(connection: Connection) -> None:
    """Raises Found at the first wrong charge-back, item in suspense, or payment of one."""
    ordered = "SELECT * FROM charge_backs ORDER BY user_id, authorization_id, case_id"
    cases = _all(connection, text(ordered))
    for case in cases:
        _verify_case(connection, case)
    for case in cases:
        keys = {name: case[name] for name in ("user_id", "authorization_id", "case_id")}
        left = connection.scalar(OPEN, keys)
        if left is None or left < 0:
            raise Found("CHARGE_BACK", _name(case), "more is open than is charged back")
    items = _all(connection, text("SELECT * FROM suspense ORDER BY caller, payment_reference"))
    for item in items:
        _verify_item(connection, item)
    for item in _all(connection, NOWHERE):
        name = f"suspense/{item['caller']}/{item['payment_reference']}"
        raise Found("SUSPENSE", name, "is proposed to nothing")
    for rule, query in ORPHANS:
        for row in _all(connection, text(f"{query} ORDER BY caller, payment_reference")):
            raise Found(rule, "/".join(("payments", *row.values())), "nothing belongs to it")
    for row in _all(connection, QUESTIONS):
        raise Found("CASE", "/".join(("cases", *row.values())), "asks about nothing that is open")
    for item in items:
        whole = _digest(item, *PERSONS, more=_case_of(item))
        if whole == bytes(item["digest"]) and not connection.scalar(ASKED, {"id": _case_of(item)}):
            of = item["user_id"] * (item["user_id"] != "rails/suspense")
            name = "/".join(("cases", of, item["authorization_id"], _case_of(item)))
            raise Found("CASE", name, "was asked, and is gone")


def _name(case: dict[str, Any]) -> str:
    return f"charge_backs/{case['user_id']}/{case['authorization_id']}/{case['case_id']}"


def _verify_case(connection: Connection, case: dict[str, Any]) -> None:
    if sum(case[f"{place}_minor"] for place in PLACES) != case["amount_minor"]:
        raise Found("CHARGE_BACK", _name(case), "its parts are not the whole")
    if _digest(case, "user_id") != bytes(case["digest"]):
        raise Found("CHARGE_BACK", _name(case), "changed since it was written")
    same = ("user_id", "authorization_id", "amount_minor", "currency", "record_us")
    found = _all(connection, PAYMENT, caller=case["caller"], reference=case["case_id"])
    if [(it["kind"], *(it[name] for name in same)) for it in found] != [
        ("CASE", *(case[name] for name in same))
    ]:
        raise Found("CHARGE_BACK", _name(case), "no payment records this")
    query = text("SELECT * FROM suspense WHERE caller = :caller AND payment_reference = :case_id")
    items = _all(connection, query, caller=case["caller"], case_id=case["case_id"])
    expected = [("OUT", case["suspense_minor"], case["user_id"], case["authorization_id"])]
    parts = [
        (it["direction"], it["amount_minor"], it["user_id"], it["authorization_id"]) for it in items
    ]
    if parts != (expected if case["suspense_minor"] else []):
        raise Found("CHARGE_BACK", _name(case), "its item in suspense does not match it")


def _verify_item(connection: Connection, item: dict[str, Any]) -> None:
    name = f"suspense/{item['caller']}/{item['payment_reference']}"
    told = [_digest(item, *PERSONS, more=more) for more in ("", _case_of(item))]
    if bytes(item["digest"]) not in told:
        raise Found("SUSPENSE", name, "changed since it was written")
    caller, reference = item["caller"], item["payment_reference"]
    found = _all(connection, PAYMENT, caller=caller, reference=reference)
    kinds = [it["kind"] for it in found]
    if kinds not in (["CASE"], [f"UNMATCHED_{item['direction']}"]):
        raise Found("SUSPENSE", name, "no payment records this")
    if kinds != ["CASE"]:
        same = ("user_id", "authorization_id", "amount_minor", "currency", "record_us")
        if any(found[0][column] != item[column] for column in same):
            raise Found("SUSPENSE", name, "another payment")
    elif not _all(
        connection,
        text(
            "SELECT 1 FROM charge_backs WHERE caller = :caller AND case_id = :reference"
            " AND suspense_minor = :minor"
        ),
        caller=caller,
        reference=reference,
        minor=item["amount_minor"],
    ):
        raise Found("SUSPENSE", name, "no charge-back says so")
    matches = _all(connection, MATCHES, caller=caller, references=f"suspense/%/{reference}")
    wanted = {f"suspense/{n}/{reference}" for n in range(1, item["matches"] + 1)}
    came_in = item["direction"] == "IN"
    back, others = ("RETURNED", ("PAYMENT", "DEPOSIT")) if came_in else ("REGAINED", ("CASE",))
    returned = sum(it["amount_minor"] for it in matches if it["kind"] == back)
    matched = sum(it["amount_minor"] for it in matches if it["kind"] in others)
    if (
        {it["payment_reference"] for it in matches} != wanted
        or any(it["kind"] not in (back, *others) for it in matches)
        or returned != item["returned_minor"]
        or returned + matched + item["open_minor"] != item["amount_minor"]
    ):
        raise Found("SUSPENSE", name, "the matches are others")
