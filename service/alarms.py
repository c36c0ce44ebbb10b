"""Log lines about waiting money: operators' debts, and money owed back to people."""

from __future__ import annotations

from contextlib import suppress

import structlog

from service.engine.debts import Debt
from service.engine.ports import OwedBack

log = structlog.get_logger("freehold")


def tell_debt(debt: Debt, *, ended: bool) -> None:
    """Logs that an operator owes more than its bound, or no longer does."""
    # Operators are companies, so their ids are not personal data.
    with suppress(Exception):
        if ended:
            log.info("operator owes less", operator_id=debt.operator_id, currency=debt.currency)
            return
        log.warning(
            "operator owes",
            **debt._asdict(),
            why="refunds after the operator's payouts are more than its bound: the operator gets"
            " no new rentals until it pays (RecordOperatorPayment) or earns the difference",
        )


def tell_owed_back(it: OwedBack, now_us: int) -> None:
    """Logs a sum that is owed back, and warns of refunds that have waited for too long."""
    # An authorization's id alone names nobody.
    with suppress(Exception):
        age_s = None if it.since_us is None else max(0, now_us - it.since_us) // 1_000_000
        told = {"currency": it.currency, "refunds": it.refunds, "owed_minor": it.owed_minor}
        log.info("owed back", **told, oldest_s=age_s)
        if it.late_count:
            log.warning(
                "refunds wait",
                currency=it.currency,
                refunds=it.late_count,
                owed_minor=it.late_minor,
                oldest_s=age_s,
                authorization_id=it.oldest,
                why="the rail refused these refunds repeatedly, or has not answered a debit, or"
                " their terms have no time for refunds: pay them out with PayOutRefund",
            )
