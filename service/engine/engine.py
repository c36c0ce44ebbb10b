"""Applies one batch: score, read, decide in order, write, commit; then the answers.

All calls that change something pass through `Engine.apply`, one batch at a time; there is no
other way to write.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from service.bounds import bounded
from service.clock import Clock
from service.domain import timers
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization
from service.domain.errors import (
    UNKNOWN,
    DeadlineTooNear,
    FreeholdError,
    InternalFault,
    InvariantBroken,
    RequestIdReused,
    Unavailable,
)
from service.engine.calls import AuthorizationCommand, Work, own_work
from service.engine.catalog import Catalog
from service.engine.clock_gaps import ClockGap
from service.engine.context import Context, Decided
from service.engine.lapsed_holds import LapsedHolds
from service.engine.operation import Pair
from service.engine.operations import BY_COMMAND, Authorize, Wake
from service.engine.ports import (
    AuthorizationKey,
    Conflict,
    OutcomeUnknown,
    ReadAgain,
    StorageFailed,
    Store,
    Transaction,
)
from service.engine.posting import bytes_of
from service.engine.records.requests import TOMBSTONE, RequestRecord
from service.engine.records.transfers import LATER_WORDS, TransferState
from service.engine.rows import Keys, Rows, Wish
from service.engine.scoring import Assessor
from service.engine.tables import (
    AUTHORIZATIONS,
    DECISIONS,
    LINES,
    OPEN_ITEMS,
    PAYMENTS,
    REQUESTS,
    TRANSFERS,
    USERS,
)
from service.engine.terms import Terms, TermsInUse, TermsLog
from service.ids import Ids

Result = bytes | FreeholdError


class FaultLog(Protocol):
    """Where a defect's details go; the caller sees only the id."""

    def __call__(self, fault_id: str, error: BaseException) -> None: ...


class BatchSplit(Exception):
    """A batch could not be carried out together, for its cause; its calls go one by one."""


@dataclass(frozen=True, slots=True)
class ConflictPauses:
    """The wait before a batch is decided anew because another process changed its rows.

    Between nothing and a bound that doubles with each attempt from `first_s` to `longest_s`, in
    seconds, by chance: two processes that met once must not meet again at the same moment.
    """

    first_s: float = bounded(0.000_5, 0, 1)
    longest_s: float = bounded(0.010, 0, 10)
    draw: Callable[[], float] = random.random
    sleep: Callable[[float], None] = time.sleep

    def wait(self, attempt: int) -> None:
        """Waits after an attempt, by its number; the first is 1."""
        self.sleep(self.draw() * min(self.longest_s, self.first_s * 2 ** (attempt - 1)))


PAUSES = ConflictPauses()


@dataclass(slots=True)
class EngineStatistics:
    """The batches that took more than one transaction, counted since the start."""

    conflicts: int = 0
    """Transactions given up because another process had changed the same rows."""
    read_again: int = 0
    """Transactions given up because lapsed holds of more people had to be locked."""
    split: int = 0
    """Batches whose calls went one by one."""


class Engine:
    """Decides batches of commands against one store; called by one thread at a time."""

    def __init__(
        self,
        store: Store,
        assessor: Assessor,
        clock: Clock,
        ids: Ids,
        *,
        currency: str,
        build: str,
        max_attempts: int,
        log_fault: FaultLog,
        log_terms: TermsLog,
        notice_gap: Callable[[ClockGap], None],
        encode: Callable[[Authorization], bytes],
        pauses: ConflictPauses = PAUSES,
    ) -> None:
        """`encode` makes the bytes of an authorization, for its events and for answers.

        Raises TermsUnusable when there are no sound limits in `currency`.
        """
        self.statistics = EngineStatistics()
        self._pauses = pauses
        self._store = store
        self._clock = clock
        self._ids = ids
        self._assessor = assessor
        self._currency = currency
        self._build = build
        self._max_attempts = max_attempts
        self._log_fault = log_fault
        self.terms = Terms(store, currency, log_terms)
        # Revisions that rentals refer to and that nobody has; not looked for with every batch.
        self._missing: set[tuple[str, str, int]] = set()
        self._last_terms = self.terms.used
        self._notice_gap = notice_gap
        self._encode = encode

    def apply(self, batch: Sequence[Work]) -> list[Result]:
        """The answer, or the refusal, of each work in order; never raises.

        When it returns, what it answered is committed. An answer that could not be proved
        committed is Unavailable.
        """
        try:
            return self._apply_together(batch)
        except OutcomeUnknown as error:
            self._fault(error)
            return [_unknown() for _ in batch]
        except StorageFailed as error:
            self._fault(error)
            return [_away() for _ in batch]
        except Exception as error:
            if len(batch) > 1:
                # One work must not take the others down: from here on each goes alone.
                self._log_split(len(batch), error)
                return [result for work in batch for result in self.apply([work])]
            return [self._refusal(error)]

    def _refusal(self, error: Exception) -> FreeholdError:
        fault = self._fault(error)
        if isinstance(error, Conflict):
            return Unavailable("CONTENTION", "other processes changed the same rows; retry")
        return fault

    def _log_split(self, calls: int, cause: Exception) -> None:
        self.statistics.split += 1
        split = BatchSplit(f"{calls} calls go one by one: {type(cause).__name__}")
        split.__cause__ = cause
        self._fault(split)

    def _fault(self, error: BaseException) -> InternalFault:
        fault_id = secrets.token_hex(8)
        self._log_fault(fault_id, error)
        return InternalFault(fault_id)

    def _apply_together(self, batch: Sequence[Work]) -> list[Result]:
        also: set[AuthorizationKey] = set()
        attempt = rounds = 1
        while True:
            context = self._context(batch)
            try:
                with self._store.begin() as transaction:
                    rows, keys = self._read(batch, also, transaction)
                    if self._read_what_others_added(rows, keys, context.catalog):
                        context = replace(context, catalog=self.terms.used.catalog)
                    lapsed = LapsedHolds(frozenset(keys.users), transaction, rows, context)
                    results = [self._decide(work, rows, context, lapsed) for work in batch]
                    if rows.payable or rows.taken_payable:
                        rows.batch_id = self._ids.new(context.now_us)
                    transaction.write(rows)
                for gap in rows.clock_gaps:
                    self._notice_gap(gap)
                return results
            except ReadAgain as more:
                # Everything that may be in the way was looked for, so that a batch begins anew
                # once, however many of its calls were blocked.
                also |= more.authorizations
                self.statistics.read_again += 1
                if rounds == self._max_attempts:
                    raise Conflict("ever more lapsed holds must be read") from more
                rounds += 1
            except Conflict:
                self.statistics.conflicts += 1
                if attempt == self._max_attempts:
                    raise
                self._pauses.wait(attempt)
                attempt += 1

    def _context(self, batch: Sequence[Work]) -> Context:
        terms = self._terms_for(batch)
        return Context(
            now_us=self._clock.now_us(),
            ids=self._ids,
            catalog=terms.catalog,
            currency=self._currency,
            model_id=self._assessor.model_id,
            scale_version=self._assessor.scale_version,
            schema_id=self._assessor.schema_id,
            build=self._build,
            assessed=self._assessor.assess(batch, terms.explain_below),
            encode=self._encode,
        )

    def _terms_for(self, batch: Sequence[Work]) -> TermsInUse:
        """The terms as last loaded, and any product that a call names and nobody here has seen."""
        terms = self.terms.used
        if terms is not self._last_terms:
            self._last_terms = terms
            self._missing.clear()
        unknown = {
            (work.caller, item.product_id)
            for work in batch
            if isinstance(work.command, Authorize)
            for item in work.command.items
        }.difference(terms.catalog.products, terms.catalog.refused)
        if unknown and self.terms.learn(unknown):
            return self.terms.used
        return terms

    def _read_what_others_added(self, rows: Rows, keys: Keys, catalog: Catalog) -> bool:
        """Reads the terms that the batch needs and that are not known here; says so."""
        missing = {
            key
            for it in rows[AUTHORIZATIONS].values()
            if (key := (it.operator_id, it.product_id, it.product_revision))
            not in catalog.revisions
        } - self._missing
        operators = keys.operators.difference(catalog.operators)
        if not missing and not operators:
            return False
        learned = self.terms.learn({key[:2] for key in missing}, operators)
        self._last_terms = self.terms.used
        self._missing |= missing.difference(self._last_terms.catalog.revisions)
        return learned

    def _read(
        self, batch: Sequence[Work], also: Iterable[AuthorizationKey], transaction: Transaction
    ) -> tuple[Rows, Keys]:
        """All rows that the batch may touch, and these authorizations, in as few statements as
        there are tables; with their keys, of which the users' lines are locked."""
        rows, keys = Rows(), Keys()
        for work in batch:
            if work.request_id:
                keys.requests.add((work.caller, work.request_id))
            BY_COMMAND[type(work.command)].keys(work.caller, work.command, keys)
        for key in also:
            keys.users.add(key[0])
            keys.authorizations.add(key)
        # The lines first: on PostgreSQL this waits for whoever changes them, and what is read
        # after it, the record of the same request above all, is what they left.
        wishes = [Wish(LINES, _BY_USER, keys.users), Wish(REQUESTS, REQUESTS.key, keys.requests)]
        if not keys.origins and not keys.transfers and not keys.authorizations:
            # No other row that is read depends on these.
            wishes.append(Wish(OPEN_ITEMS, OPEN_ITEMS.key, keys.items))
            keys.items = set()
        transaction.read(rows, wishes)
        if keys.origins:
            made = {
                (origin.user_id, origin.authorization_id)
                for key in keys.origins
                if (origin := rows[REQUESTS].get(key)) is not None and origin.authorization_id
            }
            keys.authorizations |= made
            keys.together |= made
        if keys.transfers:
            transaction.read(rows, [Wish(TRANSFERS, TRANSFERS.key, keys.transfers)])
            late = _late(keys.succeeded, rows)
            transaction.read(rows, [Wish(TRANSFERS, _BY_AUTHORIZATION, late)])
            keys.authorizations.update(
                (it.user_id, it.authorization_id) for it in rows[TRANSFERS].values()
            )
        if keys.authorizations:
            self._read_authorizations(rows, keys, transaction)
        if keys.items or keys.registered or keys.payments:
            wishes = [
                Wish(OPEN_ITEMS, OPEN_ITEMS.key, keys.items),
                Wish(USERS, USERS.key, keys.registered),
                Wish(PAYMENTS, PAYMENTS.key, keys.payments),
            ]
            transaction.read(rows, wishes)
        if keys.payable:
            rows.taken_payable = transaction.take_payable(keys.payable)
        if keys.balances:
            rows.payable_left = transaction.payable_left(keys.balances)
        if keys.seal:
            rows.last_seal = transaction.last_seal_number()
        return rows, keys

    def _read_authorizations(self, rows: Rows, keys: Keys, transaction: Transaction) -> None:
        """Authorizations with their groups and the items that they are about."""
        transaction.read(rows, [Wish(AUTHORIZATIONS, AUTHORIZATIONS.key, keys.authorizations)])
        found = rows[AUTHORIZATIONS]
        if any(
            it.user_id in keys.users and (it.user_id, it.currency) not in rows[LINES]
            for it in found.values()
        ):
            # Somebody's first line, which nobody could lock before it was there.
            raise Conflict("a line was opened after the lines were read")
        groups = {
            (it.user_id, it.group_id)
            for key in keys.together
            if (it := found.get(key)) is not None and it.group_id
        }
        transaction.read(rows, [Wish(AUTHORIZATIONS, _BY_GROUP, groups)])
        keys.items.update((it.operator_id, it.asset_id) for it in found.values() if it.asset_id)

    def _decide(self, work: Work, rows: Rows, context: Context, lapsed: LapsedHolds) -> Result:
        """One work's result; what it writes joins the batch only if all of it succeeded."""
        try:
            first = _first_answer(work, rows)
        except Exception as error:
            return self._refused(error)
        if first is not None:
            return first
        decided = self._decide_without_lapsed(work, rows, context, lapsed)
        if isinstance(decided, FreeholdError):
            return decided
        known = partial(bytes_of, decided.draft, context)
        try:
            answer = work.encode(decided.answer, known)
        except Exception as error:
            return self._refused(error)
        if work.request_id:
            record = RequestRecord(
                work.caller,
                work.request_id,
                work.method,
                work.body,
                answer,
                decided.user_id,
                decided.authorization_id,
                context.now_us,
            )
            decided.draft[REQUESTS].append(record)
        rows.merge(decided.draft)
        return answer

    def _decide_without_lapsed(
        self, work: Work, rows: Rows, context: Context, lapsed: LapsedHolds
    ) -> Decided | FreeholdError:
        """The decision, or the refusal, after every lapsed hold in the way has ended.

        Raises what reading the holds raises.
        """
        operation = BY_COMMAND[type(work.command)]
        woken: set[AuthorizationKey] = set()
        while True:
            outcome: Decided | FreeholdError
            try:
                outcome = operation.decide(work, work.command, rows, context)
            except Exception as error:
                outcome = self._refused(error)
            if operation.asks is None:
                break
            if isinstance(outcome, Decided):
                draft = outcome.draft
                if not (draft.get(DECISIONS) or draft[AUTHORIZATIONS])[-1].reasons:
                    break  # it got what it asked for
            # A hold that did not end is not woken twice.
            in_the_way = lapsed.in_the_way(work, operation.asks, outcome) - woken
            if not in_the_way:
                break
            for key in sorted(in_the_way):
                self._decide(own_work(Wake(*key)), rows, context, lapsed)
            woken |= in_the_way
        if isinstance(outcome, FreeholdError) and not isinstance(outcome, InternalFault):
            try:
                _keep_what_time_brought(work, rows, context)
            except Exception as error:
                return self._refused(error)
        return outcome

    def _refused(self, error: Exception) -> FreeholdError:
        """The refusal of one work, from what one of its steps raised; a defect is its fault."""
        if isinstance(error, FreeholdError) and not isinstance(error, InvariantBroken):
            return error
        return self._fault(error)


def _first_answer(work: Work, rows: Rows) -> Result | None:
    """The answer that a request id got before; None where the work is to be decided.

    Raises RequestIdReused for another request, DeadlineTooNear when nobody waits any more.
    """
    first = rows[REQUESTS].get((work.caller, work.request_id)) if work.request_id else None
    if first is not None and first.method != TOMBSTONE:
        return first.answer_again(work.method, work.body, work.differing_field)
    if first is not None and not isinstance(work.command, Authorize):
        raise RequestIdReused("method")
    if work.deadline is not None and work.deadline <= time.monotonic():
        raise DeadlineTooNear
    return None


def _keep_what_time_brought(work: Work, rows: Rows, context: Context) -> None:
    """What time has done to an authorization stands although the command on it was refused.

    The refusal tells of it. Were it not written, another process whose clock is behind could let
    a command pass that this one has called too late.
    """
    command = work.command
    if not isinstance(command, AuthorizationCommand):
        return
    current = rows[AUTHORIZATIONS].get((command.user_id, command.authorization_id))
    if current is None or work.caller not in (current.operator_id, PLATFORM):
        return
    if timers.is_due(current, context.now_us):
        named = Wake(command.user_id, command.authorization_id)
        rows.merge(BY_COMMAND[Wake].decide(own_work(named), named, rows, context).draft)


_BY_USER, _BY_GROUP = ("user_id",), ("user_id", "group_id")
_BY_AUTHORIZATION = ("user_id", "authorization_id")


def _late(succeeded: Iterable[Pair], rows: Rows) -> set[Pair]:
    """The authorizations of which a transfer succeeds after it had ended: a later one may be
    under way."""
    return {
        (it.user_id, it.authorization_id)
        for key in succeeded
        if (it := rows[TRANSFERS].get(key)) is not None
        and LATER_WORDS.get((it.kind, it.state)) is TransferState.SUCCEEDED
    }


def _away() -> Unavailable:
    return Unavailable("STORAGE_UNAVAILABLE", "the database refused; nothing was written")


def _unknown() -> Unavailable:
    return Unavailable("OUTCOME_UNKNOWN", UNKNOWN)
