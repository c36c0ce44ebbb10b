"""Plain SQL over a database: each query selects what breaks a promise of the README.

Nothing here comes from the verifier or the engine. The accounts and their sides are written down a
second time.
"""

from __future__ import annotations

from collections.abc import Mapping

HELD_STATES = ("AUTHORIZED", "ACTIVE", "OVERDUE", "RETURN_CLAIMED")
OPEN_STATES = ("OFFERED", "REVIEW", *HELD_STATES)
LINE_BOOK = ("available", "held", "drawn", "limit_control")
BALANCES = {
    "available": ("available_minor", 1),
    "held": ("held_minor", 1),
    "drawn": ("drawn_minor", 1),
    "limit_control": ("limit_minor", -1),
    "receivable": ("receivable_minor", 1),
    "receivable_disputed": ("disputed_minor", 1),
    "receivable_charged_back": ("charged_back_minor", 1),
    "deposit": ("deposit_minor", -1),
    "refund_payable": ("refund_payable_minor", -1),
    "overpaid": ("overpaid_minor", 1),
    "receivable_unheld": ("unheld_minor", 1),
}
"""The balances of a line: the account, its column, and 1 if a debit makes it larger."""
SUMS = {
    "held_minor": "held_credit_minor",
    "deposit_minor": "held_cash_minor",
    "refund_payable_minor": "refund_payable_minor",
    "overpaid_minor": "overpaid_minor",
    "charged_back_minor": "charged_back_minor",
    "receivable_minor": "captured_credit_minor - paid_minor - lowered_minor - disputed_minor"
    " - written_off_minor",
    "disputed_minor": "disputed_minor",
}
"""The balances of a line that are sums over the person's authorizations."""


def _in(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(it) for it in values)})"


def _moved(account: str, sign: int) -> str:
    """The sum of an account's movements on a line `l`."""
    return (
        f"(SELECT coalesce(sum(CASE WHEN e.debit = '{account}' THEN {sign} * e.amount_minor"
        f" ELSE {-sign} * e.amount_minor END), 0) FROM entries e"
        f" WHERE e.user_id = l.user_id AND e.currency = l.currency"
        f" AND (e.debit = '{account}' OR e.credit = '{account}'))"
    )


PROMISES: Mapping[str, str] = {
    "a line is available, held and drawn": """
        SELECT user_id FROM lines WHERE limit_minor <> available_minor + held_minor + drawn_minor
        OR drawn_minor <> receivable_minor + disputed_minor""",
    **{
        f"{column} is not negative": f"SELECT user_id FROM lines WHERE {column} < 0"
        for column, _ in BALANCES.values()
    },
    **{
        f"the balance {column} is the sum of its entries": (
            f"SELECT l.user_id FROM lines l WHERE l.{column} <> {_moved(account, sign)}"
        )
        for account, (column, sign) in BALANCES.items()
    },
    **{
        f"the balance {column} is the sum over the authorizations": (
            f"SELECT l.user_id FROM lines l WHERE l.{column} <> (SELECT coalesce(sum({parts}), 0)"
            " FROM authorizations a WHERE a.user_id = l.user_id AND a.currency = l.currency)"
            " AND l.user_id NOT LIKE '%/%'"
        )
        for column, parts in SUMS.items()
    },
    "an entry moves an amount between two accounts of one book": f"""
        SELECT user_id FROM entries WHERE debit = credit OR amount_minor <= 0
        OR ({_in("debit", LINE_BOOK)}) <> (book = 'line')
        OR ({_in("credit", LINE_BOOK)}) <> (book = 'line')""",
    "the entries of a line are numbered without gaps": """
        SELECT l.user_id FROM lines l LEFT JOIN entries e
        ON e.user_id = l.user_id AND e.currency = l.currency
        GROUP BY l.user_id, l.currency, l.version
        HAVING count(e.sequence) <> l.version OR coalesce(max(e.sequence), 0) <> l.version
        OR count(DISTINCT e.sequence) <> l.version""",
    "the head of a line is the link of its last entry": """
        SELECT l.user_id FROM lines l JOIN entries e ON e.user_id = l.user_id
        AND e.currency = l.currency AND e.sequence = l.version WHERE e.link <> l.head""",
    "an entry belongs to a line": """
        SELECT e.user_id FROM entries e LEFT JOIN lines l
        ON l.user_id = e.user_id AND l.currency = e.currency WHERE l.user_id IS NULL""",
    "an entry names an authorization of its person, operator and currency": """
        SELECT e.user_id FROM entries e LEFT JOIN authorizations a ON a.user_id = e.user_id
        AND a.authorization_id = e.authorization_id AND a.operator_id = e.operator_id
        AND a.currency = e.currency WHERE e.authorization_id <> '' AND a.user_id IS NULL""",
    "the entries of a transaction have one transition and one time": """
        SELECT e.user_id FROM entries e JOIN entries f ON f.user_id = e.user_id
        AND f.currency = e.currency AND f.sequence = e.transaction_sequence
        WHERE f.transition <> e.transition OR f.ledger_us <> e.ledger_us
        OR f.event_us <> e.event_us OR f.authorization_id <> e.authorization_id
        OR f.transaction_sequence <> f.sequence""",
    "what was posted has an event of the same transition and time": """
        SELECT e.user_id FROM entries e LEFT JOIN outbox o ON o.user_id = e.user_id
        AND o.authorization_id = e.authorization_id AND o.transition = e.transition
        AND o.event_us = e.event_us AND o.record_us = e.ledger_us
        WHERE e.authorization_id <> '' AND o.user_id IS NULL""",
    "each version of an authorization has one event": """
        SELECT a.user_id FROM authorizations a LEFT JOIN outbox o ON o.user_id = a.user_id
        AND o.authorization_id = a.authorization_id
        GROUP BY a.user_id, a.authorization_id, a.version
        HAVING count(o.sequence) <> a.version
        OR count(DISTINCT o.authorization_version) <> a.version
        OR max(o.authorization_version) <> a.version""",
    "a rental is settled once": """
        SELECT user_id FROM outbox WHERE transition IN ('authorization.settled',
        'authorization.handed_over', 'authorization.claim_accepted', 'authorization.cancelled')
        GROUP BY user_id, authorization_id HAVING count(*) > 1""",
    "what is closed holds nothing": f"""
        SELECT user_id FROM authorizations WHERE held_credit_minor + held_cash_minor <> 0
        AND NOT {_in("state", OPEN_STATES)}""",
    "an active rental does not expire": """
        SELECT user_id FROM authorizations WHERE expire_us IS NOT NULL AND parent_id = ''
        AND state IN ('ACTIVE', 'OVERDUE', 'RETURN_CLAIMED')""",
    "no more is captured than was authorized": """
        SELECT user_id FROM authorizations WHERE captured_minor > credit_minor + cash_minor
        AND unheld_minor = 0""",
    "no more is kept for the usage than the fee of the order": """
        SELECT a.user_id FROM authorizations a WHERE a.order_fee_minor IS NOT NULL
        AND (a.state <> 'SETTLED' OR a.custody = 'IN_STATION')
        AND a.order_fee_minor < (SELECT sum(c.amount_minor - c.conceded_minor) FROM captures c
        WHERE c.user_id = a.user_id AND c.authorization_id = a.authorization_id
        AND c.purpose = 'FEE')""",
    "money that came in has its place": """
        SELECT user_id FROM authorizations WHERE received_minor + elsewhere_minor + overpaid_minor
        + overpaid_written_off_minor <> paid_out_minor + held_cash_minor + refund_payable_minor
        + captured_minor - captured_credit_minor + paid_minor + recovered_minor
        - refunded_minor""",
    "the commission is the share of what was kept": """
        SELECT user_id FROM authorizations
        WHERE fee_minor <> (captured_minor - conceded_minor) * fee_bp / 10000""",
    "a request id has one authorization": """
        SELECT operator_id FROM authorizations WHERE request_id <> '' AND group_id = ''
        GROUP BY operator_id, request_id HAVING count(*) > 1""",
    "a request id is kept once": """
        SELECT caller FROM requests GROUP BY caller, request_id HAVING count(*) > 1""",
    "an authorization has its kept request": """
        SELECT a.user_id FROM authorizations a LEFT JOIN requests r ON r.caller = a.operator_id
        AND r.request_id = a.request_id AND r.user_id = a.user_id
        WHERE a.request_id <> '' AND r.caller IS NULL""",
    "an item is in one open rental": f"""
        SELECT operator_id FROM authorizations WHERE asset_id <> '' AND parent_id = ''
        AND {_in("state", HELD_STATES)} GROUP BY operator_id, asset_id HAVING count(*) > 1""",
    "an item in an open rental is not free": f"""
        SELECT a.user_id FROM authorizations a LEFT JOIN open_items o
        ON o.operator_id = a.operator_id AND o.asset_id = a.asset_id
        AND o.authorization_id = a.authorization_id WHERE a.asset_id <> '' AND a.parent_id = ''
        AND {_in("a.state", HELD_STATES)} AND o.asset_id IS NULL""",
    "a debit has its event": """
        SELECT a.user_id FROM authorizations a WHERE
        (SELECT count(*) FROM transfers t WHERE t.user_id = a.user_id
         AND t.authorization_id = a.authorization_id AND t.kind = 'DEBIT') <>
        (SELECT count(*) FROM outbox o WHERE o.user_id = a.user_id
         AND o.authorization_id = a.authorization_id
         AND o.transition = 'collection.debit_requested')""",
    "a payout has its event": """
        SELECT a.user_id FROM authorizations a WHERE
        (SELECT count(*) FROM transfers t WHERE t.user_id = a.user_id
         AND t.authorization_id = a.authorization_id AND t.kind = 'PAYOUT') <>
        (SELECT count(*) FROM outbox o WHERE o.user_id = a.user_id
         AND o.authorization_id = a.authorization_id
         AND o.transition IN ('collection.paid_out', 'collection.paid_out_by_time'))""",
    "an operator is owed the sum of its entries": """
        SELECT op.operator_id FROM (SELECT operator_id, currency FROM entries
            UNION SELECT operator_id, currency FROM operator_payables) op WHERE
        (SELECT coalesce(sum(p.amount_minor), 0) FROM operator_payables p
         WHERE p.operator_id = op.operator_id AND p.currency = op.currency) <>
        (SELECT coalesce(sum(CASE WHEN e.credit = 'operator_payable' THEN e.amount_minor
            ELSE -e.amount_minor END), 0) FROM entries e
         WHERE e.operator_id = op.operator_id AND e.currency = op.currency
         AND (e.debit = 'operator_payable') <> (e.credit = 'operator_payable'))""",
    "an authorization has its decision": """
        SELECT a.user_id FROM authorizations a LEFT JOIN decisions d
        ON d.decision_id = a.decision_id AND d.user_id = a.user_id
        AND d.operator_id = a.operator_id WHERE a.decision_id <> '' AND d.user_id IS NULL""",
    "a payment counts once": """
        SELECT caller FROM payments GROUP BY caller, payment_reference HAVING count(*) > 1""",
    "what a payment or a transfer names exists": """
        SELECT n.user_id FROM (SELECT user_id, authorization_id FROM payments
            UNION SELECT user_id, authorization_id FROM transfers) n LEFT JOIN authorizations a
        ON a.user_id = n.user_id AND a.authorization_id = n.authorization_id
        WHERE n.authorization_id <> '' AND a.user_id IS NULL""",
    "no balance after an entry is negative": """
        SELECT user_id FROM entries WHERE debit_after_minor < 0 OR credit_after_minor < 0""",
}
"""Each promise with the query of what breaks it."""
