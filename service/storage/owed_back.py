"""The amounts owed back to people, added up outside any write transaction."""

from __future__ import annotations

from sqlalchemy import Engine, and_, case, func, select

from service.engine.ports import OwedBack
from service.storage import schema as t
from service.storage.database import reading


def owed_back(engine: Engine, late_us: int) -> list[OwedBack]:
    """The sums owed back, by currency. A refund that has been waiting since `late_us` or longer is
    late.

    This reads every line, one short row for each person, and the authorizations of the people to
    whom money is owed. Raises StorageFailed.
    """
    line, a = t.lines.c, t.authorizations.c
    of_line = and_(a.user_id == line.user_id, a.currency == line.currency)
    # Rows of earlier builds have no time of their own. What a bank took back waits for its
    # decision, and for nobody's payout.
    closed_us = case((a.charged_back_minor == 0, func.coalesce(a.close_us, a.create_us)))
    since_us = func.coalesce(a.refund_since_us, closed_us)
    late = since_us <= late_us
    owed = (
        select(
            a.currency,
            func.count(),
            func.sum(a.refund_payable_minor),
            func.min(since_us),
            func.sum(case((late, 1), else_=0)),
            func.sum(case((late, a.refund_payable_minor), else_=0)),
        )
        .select_from(t.lines.join(t.authorizations, of_line))
        .where(line.refund_payable_minor > 0, a.refund_payable_minor > 0)
        .group_by(a.currency)
        .order_by(a.currency)
    )
    oldest = (
        select(a.authorization_id)
        .select_from(t.lines.join(t.authorizations, of_line))
        .where(line.refund_payable_minor > 0, a.refund_payable_minor > 0, late)
        .order_by(since_us, a.authorization_id)
        .limit(1)
    )
    found = []
    with reading(engine) as connection:
        for currency, count, owed_minor, since, late_count, late_minor in connection.execute(owed):
            named = ""
            if late_count:
                named = str(connection.scalar(oldest.where(a.currency == currency)))
            found.append(
                OwedBack(
                    currency,
                    int(count),
                    int(owed_minor),
                    None if since is None else int(since),
                    int(late_count),
                    int(late_minor),
                    named,
                )
            )
    return found
