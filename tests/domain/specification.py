"""Which command is allowed in which state, written down from the specification once more.

Not derived from the code: the tests compare the code's own table with this one.
"""

from __future__ import annotations

from service.domain.authorization import Act, State

TABLE = """
                        OFFERED REVIEW AUTHORIZED ACTIVE OVERDUE RETURN_CLAIMED SETTLED others
ConfirmAuthorization       x      -        x        x       x          x           x      x
ResolveReview              -      x        -        -       -          -           -      -
StartRental                -      -        x        -       -          -           -      -
IncrementAuthorization     -      -        x        x       x          -           -      -
DecreaseAuthorization      -      -        x        x       x          x           -      -
ExtendRental               -      -        -        x       x          -           -      -
SettleAuthorization        -      -        -        x       x          x           -      -
ReverseAuthorization       x      x        x        x       -          -           -      -
ClaimReturn                -      -        -        x       x          -           -      -
ContestReturn              -      -        -        -       -          x           -      -
ReportLost                 -      -        -        -       x          -           -      -
ReportFound                -      -        -        -       -          -           x      -
RecordPayment              -      -        -        x       x          x           x      -
RecordPaidElsewhere        -      -        -        x       x          x           x      -
LowerCharge                -      -        -        x       x          x           x      -
RefundCharge               -      -        -        x       x          x           x      -
PayOutRefund               -      -        x        x       x          x           x      x
OpenDispute                -      -        -        x       x          x           x      -
ResolveDispute             -      -        -        x       x          x           x      -
RecordChargeBack           -      -        x        x       x          x           x      x
ResolveChargeBack          -      -        x        x       x          x           x      x
SetProvision               -      -        -        -       -          -           x      -
ProposeWriteOff            -      -        -        -       -          -           x      -
ApproveWriteOff            -      -        -        -       -          -           x      -
"""
"""`others` are the closed states without a charge: DECLINED, REVERSED, EXPIRED.

A cash part that comes late or twice is owed back, so a confirmation is refused only in REVIEW,
which leaves by the verdict; what is owed back is paid out, and what came in is charged back,
wherever money can have come in.
"""

UNCHARGED = frozenset({State.DECLINED, State.REVERSED, State.EXPIRED})


def _parsed() -> dict[Act, frozenset[State]]:
    heads, *rows = TABLE.strip().splitlines()
    columns = [UNCHARGED if name == "others" else {State(name)} for name in heads.split()]
    table = {}
    for row in rows:
        name, *marks = row.split()
        states = [column for column, mark in zip(columns, marks, strict=True) if mark == "x"]
        table[Act(name)] = frozenset[State]().union(*states)
    return table


ALLOWED = _parsed()
ILLEGAL = [(act, state) for act in Act for state in State if state not in ALLOWED[act]]
LEGAL = [(act, state) for act in Act for state in State if state in ALLOWED[act]]
