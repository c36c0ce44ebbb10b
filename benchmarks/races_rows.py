"""A race's rows in the database, read beside the servers, and their invariants.

After any race

- a person's line has limit = available + held + drawn, nothing of it is negative, and held, drawn
  and owed back are the sums over the person's authorizations, and over the entries;
- every version of an authorization, from 1 to the last, has exactly one event: no version has two,
  and no change was lost;
- an answered call has one request record with the answer's bytes; a refused one has none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, func, select

from benchmarks.races_arena import CITY, HARBOUR, JOINT, PAYEES
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization
from service.domain.ledger import Account, Line
from service.domain.transitions import Transition
from service.engine.records.refusals import REFUSED
from service.storage import rows
from service.storage import schema as t
from service.storage.database import reading

STATE_AFTER = {
    Transition.OFFERED: "OFFERED",
    Transition.REVIEW: "REVIEW",
    Transition.DECLINED: "DECLINED",
    Transition.AUTHORIZED: "AUTHORIZED",
    Transition.ACTIVE: "ACTIVE",
    Transition.STARTED: "ACTIVE",
    Transition.LATE_PICKED_UP: "ACTIVE",
    Transition.OVERDUE: "OVERDUE",
    Transition.RETURN_CLAIMED: "RETURN_CLAIMED",
    Transition.RETURN_CONTESTED: "ACTIVE",
    Transition.SETTLED: "SETTLED",
    Transition.HANDED_OVER: "SETTLED",
    Transition.CLAIM_ACCEPTED: "SETTLED",
    Transition.LOST: "SETTLED",
    Transition.REVERSED: "REVERSED",
    Transition.ASSET_TAKEN: "REVERSED",
    Transition.EXPIRED: "EXPIRED",
}
"""The state after a transition; other transitions keep the state."""

_CALLERS = (CITY, HARBOUR, *PAYEES, PLATFORM)
_ON_THE_LINE = (Account.AVAILABLE, Account.HELD, Account.DRAWN)


@dataclass
class Stored:
    """The rows of some people; amounts are minor units.

    lines           by user id
    authorizations  of each user id, in the order of their ids
    steps           transitions of each authorization id, in the order of the versions
    versions        of these events, in their order
    balances        available, held and drawn of each user id, as the entries add up
    requests        answers by request id; an id that is there twice belongs to two callers
    payments        user ids by payment reference
    items           authorization ids of open items, by asset id
    quotas          free minutes used, of each user id, one number for each quota and period
    passes          of each user id, the rentals that use a pass, and if it was refunded
    """

    lines: dict[str, Line] = field(default_factory=dict)
    authorizations: defaultdict[str, list[Authorization]] = field(
        default_factory=lambda: defaultdict(list)
    )
    steps: defaultdict[str, list[Transition]] = field(default_factory=lambda: defaultdict(list))
    versions: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    balances: defaultdict[str, Counter[Account]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    requests: defaultdict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    payments: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    items: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    quotas: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    passes: defaultdict[str, list[tuple[int, bool]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def authorization(self, name: str) -> Authorization:
        """The authorization with this resource name; raises KeyError."""
        _, user_id, _, authorization_id = name.split("/")
        for it in self.authorizations[user_id]:
            if it.authorization_id == authorization_id:
                return it
        raise KeyError(name)

    def states(self, it: Authorization) -> list[str]:
        """Every state that it was in, in order."""
        return [
            STATE_AFTER[step] for step in self.steps[it.authorization_id] if step in STATE_AFTER
        ]


class Reader:
    """Reads the rows that were written since the last read."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        with reading(engine) as connection:
            self._seen = connection.scalar(select(func.max(t.outbox.c.sequence))) or 0

    def read(
        self,
        users: Collection[str],
        requests: Collection[str],
        references: Collection[str],
        assets: Collection[str],
    ) -> Stored:
        """The rows of these people, calls, payments and items, and their events since the last
        read."""
        stored = Stored()
        with reading(self._engine) as connection:
            self._read_people(connection, users, stored)
            self._read_events(connection, users, stored)
            r, p, i = t.requests.c, t.payments.c, t.open_items.c
            query = select(r.request_id, r.answer).where(
                r.caller.in_(_CALLERS),
                r.request_id.in_(requests),
                # A kept refusal is no answer.
                ~r.method.endswith(REFUSED),
            )
            for request_id, answer in connection.execute(query):
                stored.requests[request_id].append(answer)
            paid = select(p.payment_reference, p.user_id).where(
                p.caller.in_(_CALLERS),
                p.payment_reference.in_(
                    [*references, *(f"railAccounts/{JOINT}/{it}" for it in references)]
                ),
            )
            for reference, user_id in connection.execute(paid):
                stored.payments[reference].append(user_id)
            out = select(i.asset_id, i.authorization_id).where(
                i.operator_id.in_(_CALLERS), i.asset_id.in_(assets)
            )
            for asset_id, authorization_id in connection.execute(out):
                stored.items[asset_id].append(authorization_id)
        return stored

    def _read_people(self, connection: Connection, users: Collection[str], stored: Stored) -> None:
        for row in connection.execute(select(t.lines).where(t.lines.c.user_id.in_(users))):
            stored.lines[row.user_id] = rows.line_of(row)
        a = t.authorizations.c
        query = select(t.authorizations).where(a.user_id.in_(users)).order_by(a.authorization_id)
        for row in connection.execute(query):
            stored.authorizations[row.user_id].append(rows.authorization_of(row))
        e = t.entries.c
        entries = select(e.user_id, e.debit, e.credit, e.amount_minor).where(e.user_id.in_(users))
        for user_id, debit, credit, amount_minor in connection.execute(entries):
            stored.balances[user_id][Account(debit)] += amount_minor
            stored.balances[user_id][Account(credit)] -= amount_minor
        q = t.quotas.c
        used = select(q.user_id, q.used_minutes).where(q.user_id.in_(users))
        for user_id, minutes in connection.execute(used):
            stored.quotas[user_id].append(minutes)
        p = t.passes.c
        held = select(p.user_id, p.uses, p.refund_us).where(p.user_id.in_(users))
        for user_id, uses, refund_us in connection.execute(held):
            stored.passes[user_id].append((uses, refund_us is not None))

    def _read_events(self, connection: Connection, users: Collection[str], stored: Stored) -> None:
        o = t.outbox.c
        query = select(
            o.sequence, o.user_id, o.authorization_id, o.authorization_version, o.transition
        ).where(o.sequence > self._seen)
        # Two processes take numbers in any order: the versions give the order of events.
        for sequence, user_id, authorization_id, version, transition in connection.execute(
            query.order_by(o.authorization_version, o.sequence)
        ):
            self._seen = max(self._seen, sequence)
            if authorization_id and user_id in users:
                stored.steps[authorization_id].append(Transition(transition))
                stored.versions[authorization_id].append(version)


def wrong(stored: Stored, users: Iterable[str]) -> list[str]:
    """The invariants that these people's rows break, a sentence each."""
    found = []
    for user_id in users:
        held = stored.authorizations[user_id]
        line = stored.lines.get(user_id)
        if line is None:
            found.append(f"{user_id} has no line")
            continue
        found += _wrong_line(line, held, stored.balances[user_id])
        for it in held:
            versions = stored.versions[it.authorization_id]
            if versions != list(range(1, it.version + 1)):
                found.append(f"{it.name} has version {it.version} and events of {versions}")
    return found


def _wrong_line(
    line: Line, authorizations: Sequence[Authorization], entries: Counter[Account]
) -> list[str]:
    stands = (line.available_minor, line.held_minor, line.drawn_minor)
    sums = {
        "limit": (line.limit_minor, sum(stands)),
        "held": (line.held_minor, sum(it.held_credit_minor for it in authorizations)),
        "drawn": (line.drawn_minor, sum(it.due_minor + it.disputed_minor for it in authorizations)),
        "deposit": (line.deposit_minor, sum(it.held_cash_minor for it in authorizations)),
        "refund payable": (
            line.refund_payable_minor,
            sum(it.refund_payable_minor for it in authorizations),
        ),
    }
    sums |= {
        f"entries of {account}": (minor, entries[account])
        for account, minor in zip(_ON_THE_LINE, stands, strict=True)
    }
    found = [
        f"{line.user_id}: {what} is {is_minor}, adds up to {should_minor}"
        for what, (is_minor, should_minor) in sums.items()
        if is_minor != should_minor
    ]
    if min(stands) < 0:
        found.append(f"{line.user_id}: available, held, drawn are {stands}")
    return found
