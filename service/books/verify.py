"""Verifies the books: replays every entry, compares every stored amount, and checks every seal.

Each authorization, payment and transfer is compared with its entries and events. People are
verified in portions, so memory is bounded for any number of entries. If there are several cores,
the people are divided into ranges, and each range has its own process. All processes read one state
of the database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, Engine, Select, select

from service.books import charge_backs
from service.books.acts import check_acts
from service.books.aliases import check_aliases
from service.books.breakers import check_breakers
from service.books.budgets import check_budgets
from service.books.columns import kept, rows_of
from service.books.faults import Found
from service.books.payloads import ReadPayload
from service.books.processes import Elsewhere, Progress, at_one_state
from service.books.seals import SealChain, Start, start_at
from service.books.share import EVERYBODY, Part, ReadAnswer, Readers
from service.domain.errors import FreeholdError
from service.domain.verification import BookFault, Verification, Witness
from service.engine.ports import SealKeys
from service.storage import schema as t


class WitnessMissing(FreeholdError):
    """A seal can be a start only if its digest is known from outside the database."""

    def __init__(self, number: int) -> None:
        super().__init__(
            "WITNESS_MISSING",
            f"seal {number} can be the start only with its digest from outside the database: give "
            f"--witness {number}:DIGEST from the server's log, or verify everything",
        )


def verify_books(
    engine: Engine,
    keys: SealKeys | None = None,
    witnesses: Iterable[Witness] = (),
    read_answer: ReadAnswer | None = None,
    *,
    read_payload: ReadPayload | None = None,
    since: int | None = None,
    elsewhere: Elsewhere | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Checks both books and their seals; names the row of the first fault.

    Without `keys` the signatures of the seals are not checked. `witnesses` are seals noted outside
    the database; without them, the removal of the last seals is not detected. Without `read_answer`
    the answers stored for retries are not read; without `read_payload` the payloads of events are
    not read.

    `since` is the number of a seal among the witnesses. With it, only people with changes after
    that seal are verified, each from the first entry on; `unchecked` of the result lists the checks
    left out. Raises WitnessMissing if that seal has no witness.

    With `elsewhere`, large books are shared among as many processes as there are cores. `progress`
    is called with the part of the entries that was read, from 0 to 1.

    Each entry moves an amount between two accounts of one book, so every transaction sums to zero
    in each book and currency. Each entry changes its line and its authorization by the same amount.
    If every stored line and authorization equals its entries, held is therefore the sum of the open
    credit parts, and deposit the sum of the open cash parts. Raises StorageFailed if the database
    is unavailable.
    """
    noted = dict(witnesses)
    if since is not None and since not in noted:
        raise WitnessMissing(since)
    chain, parts = SealChain(keys, noted), list[Part]()
    fault: BookFault | None = None
    unchecked: tuple[str, ...] = ()
    with at_one_state(engine, elsewhere, Readers(read_answer, read_payload)) as team:
        try:
            start, first = None, 1
            if since is not None:
                start = start_at(team.connection, since)
                first = start.oldest(team.connection)
                unchecked = _unchecked(team.connection, start, first)
            chain.check(team.connection, first)
            everybody = EVERYBODY if start is None else EVERYBODY._replace(start=start)
            parts = team.verify(everybody, progress)
            fault = _first(team.connection, parts, start)
        except Found as found:
            fault = found.fault
    return Verification(
        sum(it.lines for it in parts),
        sum(it.entries for it in parts),
        sum(it.authorizations for it in parts),
        fault,
        chain.seals,
        chain.signatures,
        chain.last,
        unchecked,
    )


def _first(connection: Connection, parts: Sequence[Part], start: Start | None) -> BookFault | None:
    """The first fault of all parts.

    The parts are people, balances, aliases, administrative acts, references, answers, payloads,
    cases and terms, in this order. So if the terms have a fault, the books have none.
    """
    for part in parts:
        if part.fault is not None:
            return part.fault
    if start is None:
        _check_payables(connection, parts)
        check_aliases(connection)
        check_budgets(connection)
        check_breakers(connection)
    terms = check_acts(connection)
    charge_backs.check(connection)
    broken = [it for part in parts for it in part.references]
    if broken:
        return min(broken, key=lambda it: it[0])[1]
    kept = [*(it.answer for it in parts), *(it.payload for it in parts)]
    wrong = next((it for it in kept if it is not None), None)
    if wrong is None:
        terms.compare(connection)
    return wrong


def _check_payables(connection: Connection, parts: Sequence[Part]) -> None:
    """Raises Found unless each operator's balance is the sum of all people's entries."""
    payable: Counter[tuple[str, str]] = Counter()
    for part in parts:
        for key, amount_minor in part.payable.items():
            payable[key] += amount_minor
    for operator_id, currency, _, amount_minor in rows_of(connection, _payables(connection)):
        payable[operator_id, currency] -= amount_minor
    for key in sorted(payable):
        if payable[key]:
            name = "/".join(("operator_payables", *key))
            raise Found("OPERATOR_PAYABLE", name, f"the entries add up to {payable[key]} more")


@kept
def _payables(_connection: Connection) -> Select[tuple[str, str, str, int]]:
    p = t.operator_payables.c
    return select(t.operator_payables).order_by(p.operator_id, p.currency, p.batch_id)


def _unchecked(connection: Connection, start: Start, first: int) -> tuple[str, ...]:
    """The checks left out if a seal is the start, one sentence for each."""
    lines = start.unmoved(connection)
    left = "1 line has" if lines == 1 else f"{lines} lines have"
    still = f"{left} the heads of seal {start.number}, and did not change since"
    left_out = [
        f"{still}; earlier entries and other rows of these people were not read",
        "operators' balances were not compared with the entries",
        "rows without a line or an event were not searched for",
    ]
    if first > 1:
        left_out.append(f"seals 1 to {first - 1}, and the heads that they cover, were not checked")
    return tuple(left_out)
