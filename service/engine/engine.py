"""Applies one batch: score, read, decide in order, write, commit; then the answers.

All calls that change something pass through `Engine.apply`, one batch at a time; there is no
other way to write.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ParamSpec, Protocol, TypeVar

from service.clock import Clock
from service.domain import timers
from service.domain.errors import (
    UNKNOWN,
    DeadlineTooNear,
    FreeholdError,
    InternalFault,
    InvariantBroken,
    RequestIdReused,
    TermsUnusable,
    Unavailable,
)
from service.engine import following
from service.engine.assess import Assessor
from service.engine.changes import Changes
from service.engine.commands import (
    Authorize,
    Confirm,
    FoldPayable,
    Following,
    Increment,
    OpenBulk,
    PayOutOperator,
    PutUser,
    RecordChargeBack,
    RecordOperatorPayment,
    RecordPaidElsewhere,
    RecordPayment,
    RecordSeal,
    ReportTransfer,
    ResolveReview,
    ReverseByOrigin,
    SetLimit,
    SetStanding,
    StartRental,
    Wake,
    Work,
    own_work,
)
from service.engine.context import Context, Decided
from service.engine.decide import decide
from service.engine.lapsed_holds import ASKING, LapsedHolds
from service.engine.ports import (
    AuthorizationKey,
    Conflict,
    OutcomeUnknown,
    ReadAgain,
    StorageFailed,
    Store,
    Transaction,
    UserKey,
)
from service.engine.records import (
    LATER_WORDS,
    PLATFORM,
    TOMBSTONE,
    Catalog,
    ClockGap,
    RequestRecord,
    TermsFault,
    TermsKind,
    TransferRecord,
    TransferState,
    operator_account,
)
from service.ids import Ids

Result = bytes | FreeholdError
Value = TypeVar("Value")
Given = ParamSpec("Given")


class FaultLog(Protocol):
    """Where a defect's details go; the caller sees only the id."""

    def __call__(self, fault_id: str, error: BaseException) -> None: ...


class TermsLog(Protocol):
    """Where it is told that terms are wrong, and that they are no longer: each once."""

    def __call__(self, fault: TermsFault, *, mended: bool) -> None: ...


class BatchSplit(Exception):
    """A batch could not be carried out together, for its cause; its calls go one by one."""


@dataclass(frozen=True, slots=True)
class ConflictPauses:
    """The wait before a batch is decided anew because another process changed its rows.

    Between nothing and a bound that doubles with each attempt from `first_s` to `longest_s`, in
    seconds, by chance: two processes that met once must not meet again at the same moment.
    """

    first_s: float = 0.000_5
    longest_s: float = 0.010
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
        pauses: ConflictPauses = PAUSES,
    ) -> None:
        """Raises TermsUnusable when there are no sound limits in `currency`."""
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
        self._log_terms = log_terms
        self._wrong: frozenset[TermsFault] = frozenset()
        # Revisions that rentals refer to and that nobody has; not looked for with every batch.
        self._missing: set[tuple[str, str, int]] = set()
        terms = store.catalog()
        if currency not in terms.limit_steps:
            raise TermsUnusable(_no_limits(terms, currency))
        self._catalog = terms
        self._use_catalog(terms)
        self._notice_gap = notice_gap
        # How often the catalog was said to have changed, and how much of that was followed.
        self._changes = self._followed = 0

    def catalog_changed(self) -> None:
        """Makes the next batch read the catalog again; for one thread, whichever it is."""
        self._changes += 1

    def _use_catalog(self, read: Catalog) -> None:
        """Goes by these terms from here on, as far as they are sound, and tells what is not."""
        if self._currency not in read.limit_steps:
            gone = TermsFault(TermsKind.LIMITS, (self._currency,), "there are none")
            if not any(fault[:2] == gone[:2] for fault in read.faults):
                read = replace(read, faults=(*read.faults, gone))
        catalog = self._catalog = read.or_last_good(self._catalog)
        wrong = frozenset(catalog.faults)
        for fault in catalog.faults:
            if fault not in self._wrong:
                self._log_terms(fault, mended=False)
        still = {fault[:2] for fault in wrong}
        for fault in sorted(self._wrong, key=str):
            if fault[:2] not in still:
                self._log_terms(fault, mended=True)
        self._wrong = wrong
        cut_offs = [product.policy.zero_from_score for product in catalog.products.values()]
        # Whoever reaches every product's mildest offer needs no reasons.
        self._explain_below = max(cut_offs, default=0)

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
                    changes, locked = self._read(batch, also, transaction)
                    if self._read_what_others_added(batch, changes):
                        context = replace(context, catalog=self._catalog)
                    lapsed = LapsedHolds(transaction, locked, changes, context)
                    results = [self._decide(work, changes, context, lapsed) for work in batch]
                    changes.batch_id = self._ids.new(context.now_us)
                    transaction.write(changes)
                for gap in changes.clock_gaps:
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
        self._refresh_catalog(batch)
        return Context(
            now_us=self._clock.now_us(),
            ids=self._ids,
            catalog=self._catalog,
            currency=self._currency,
            model_id=self._assessor.model_id,
            scale_version=self._assessor.scale_version,
            schema_id=self._assessor.schema_id,
            build=self._build,
            assessed=self._assessor.assess(batch, self._explain_below),
        )

    def _refresh_catalog(self, batch: Sequence[Work]) -> None:
        """Reads the catalog again when it has changed, or a call names a product added since."""
        changes = self._changes
        if changes != self._followed:
            self._use_catalog(self._store.catalog())
            self._missing.clear()
            self._followed = changes
        unknown = {
            (work.caller, item.product_id)
            for work in batch
            if isinstance(work.command, Authorize)
            for item in work.command.items
        }.difference(self._catalog.products, self._catalog.refused)
        # Asked one by one, so that made-up names do not make the writer read everything.
        if any(self._store.has_product(*key) for key in unknown):
            self._use_catalog(self._store.catalog())

    def _read_what_others_added(self, batch: Sequence[Work], changes: Changes) -> bool:
        """Reads the terms again, and says so, when the batch needs some that are not known here."""
        known, operators = self._catalog.revisions, self._catalog.operators
        unknown = {
            key
            for it in changes.base_authorizations.values()
            if (key := (it.operator_id, it.product_id, it.product_revision)) not in known
        } - self._missing
        if not unknown and not any(
            isinstance(work.command, PayOutOperator | RecordOperatorPayment)
            and work.command.operator_id not in operators
            for work in batch
        ):
            return False
        self._use_catalog(self._store.catalog())
        self._missing |= unknown.difference(self._catalog.revisions)
        return True

    def _read(
        self, batch: Sequence[Work], also: Iterable[AuthorizationKey], transaction: Transaction
    ) -> tuple[Changes, set[UserKey]]:
        """All rows that the batch may touch, and these authorizations, in as few statements as
        there are tables; with the people whose lines are locked."""
        changes, wanted = Changes(), _Wanted()
        for work in batch:
            wanted.add(work)
        for key in also:
            wanted.users.add(key[0])
            wanted.authorizations.add(key)
        # The lines first: on PostgreSQL this waits for whoever changes them, and what is read
        # after it, the record of the same request above all, is what they left.
        changes.base_lines = transaction.lines(wanted.users)
        changes.base_requests = transaction.requests(wanted.requests)
        for key in wanted.origins:
            origin = changes.base_requests.get(key)
            if origin is not None and origin.authorization_id:
                wanted.authorizations.add((origin.user_id, origin.authorization_id))
                wanted.together.add((origin.user_id, origin.authorization_id))
        if wanted.registered:
            changes.base_users = transaction.users(wanted.registered)
        if wanted.transfers:
            changes.base_transfers = transaction.transfers(wanted.transfers)
            changes.base_transfers |= transaction.transfers_of(wanted.late(changes.base_transfers))
            wanted.authorizations.update(
                (it.user_id, it.authorization_id) for it in changes.base_transfers.values()
            )
        if wanted.authorizations:
            changes.base_authorizations = transaction.authorizations(wanted.authorizations)
        found = changes.base_authorizations
        if any(
            it.user_id in wanted.users and (it.user_id, it.currency) not in changes.base_lines
            for it in found.values()
        ):
            # Somebody's first line, which nobody could lock before it was there.
            raise Conflict("a line was opened after the lines were read")
        groups = {
            (it.user_id, it.group_id)
            for key in wanted.together
            if (it := found.get(key)) is not None and it.group_id
        }
        if groups:
            found.update(transaction.groups(groups))
        wanted.items.update((it.operator_id, it.asset_id) for it in found.values() if it.asset_id)
        if wanted.items:
            changes.base_items = transaction.open_items(wanted.items)
        if wanted.payments:
            changes.base_payments = transaction.payments(wanted.payments)
        if wanted.payable:
            changes.base_payable = transaction.take_payable(wanted.payable)
        if wanted.balances:
            changes.base_payable_left = transaction.payable_left(wanted.balances)
        if wanted.seal:
            changes.base_seal_number = transaction.last_seal_number()
        return changes, wanted.users

    def _decide(
        self, work: Work, changes: Changes, context: Context, lapsed: LapsedHolds
    ) -> Result:
        """One work's result; what it writes joins the batch only if all of it succeeded."""
        first = self._guarded(_first_answer, work, changes)
        if first is not None:
            return first
        decided = self._decide_without_lapsed(work, changes, context, lapsed)
        if isinstance(decided, FreeholdError):
            return decided
        answer = self._guarded(work.encode, decided.answer)
        if isinstance(answer, FreeholdError):
            return answer
        changes.merge(decided.draft)
        if work.request_id:
            changes.requests[work.caller, work.request_id] = RequestRecord(
                work.caller,
                work.request_id,
                work.method,
                work.body,
                answer,
                decided.user_id,
                decided.authorization_id,
                context.now_us,
            )
        return answer

    def _decide_without_lapsed(
        self, work: Work, changes: Changes, context: Context, lapsed: LapsedHolds
    ) -> Decided | FreeholdError:
        """The decision, or the refusal, after every lapsed hold in the way has ended.

        Raises what reading the holds raises.
        """
        asks = type(work.command) in ASKING
        woken: set[AuthorizationKey] = set()
        while True:
            outcome = self._guarded(decide, work, changes, context)
            # A hold that did not end is not woken twice.
            in_the_way = lapsed.in_the_way(work, outcome) - woken if asks else None
            if not in_the_way:
                break
            for key in sorted(in_the_way):
                self._decide(own_work(Wake(*key)), changes, context, lapsed)
            woken |= in_the_way
        if isinstance(outcome, FreeholdError) and not isinstance(outcome, InternalFault):
            kept = self._guarded(_keep_what_time_brought, work, changes, context)
            if kept is not None:
                return kept
        return outcome

    def _guarded(
        self, step: Callable[Given, Value], *given: Given.args, **named: Given.kwargs
    ) -> Value | FreeholdError:
        """What a step of one work returns, or its refusal; a defect is a fault of that work."""
        try:
            return step(*given, **named)
        except InvariantBroken as error:
            return self._fault(error)
        except FreeholdError as error:
            return error
        except Exception as error:
            return self._fault(error)


def _first_answer(work: Work, changes: Changes) -> Result | None:
    """The answer that a request id got before; None where the work is to be decided.

    Raises RequestIdReused for another request, DeadlineTooNear when nobody waits any more.
    """
    first = changes.request(work.caller, work.request_id) if work.request_id else None
    if first is not None and first.method != TOMBSTONE:
        return first.answer_again(work.method, work.body, work.differing_field)
    if first is not None and not isinstance(work.command, Authorize):
        raise RequestIdReused("method")
    if work.deadline is not None and work.deadline <= time.monotonic():
        raise DeadlineTooNear
    return None


def _keep_what_time_brought(work: Work, changes: Changes, context: Context) -> None:
    """What time has done to an authorization stands although the command on it was refused.

    The refusal tells of it. Were it not written, another process whose clock is behind could let
    a command pass that this one has called too late.
    """
    command = work.command
    if not isinstance(command, Following):
        return
    current = changes.authorization(command.user_id, command.authorization_id)
    if current is None or work.caller not in (current.operator_id, PLATFORM):
        return
    if timers.is_due(current, context.now_us):
        named = Wake(command.user_id, command.authorization_id)
        changes.merge(following.wake(named, changes, context).draft)


class _Wanted:
    """The keys of all rows that the commands of a batch may touch."""

    def __init__(self) -> None:
        self.users: set[str] = set()
        self.requests: set[tuple[str, str]] = set()
        self.registered: set[str] = set()
        self.authorizations: set[tuple[str, str]] = set()
        self.together: set[tuple[str, str]] = set()
        """Authorizations whose whole group is wanted."""
        self.items: set[tuple[str, str]] = set()
        self.payments: set[tuple[str, str]] = set()
        self.transfers: set[tuple[str, str]] = set()
        self.succeeded: set[tuple[str, str]] = set()
        """Transfers of which the rail says that they succeeded."""
        self.payable: set[tuple[str, str]] = set()
        self.balances: set[tuple[str, str]] = set()
        self.origins: list[tuple[str, str]] = []
        self.seal = False

    def add(self, work: Work) -> None:
        """Adds what one command may touch."""
        command, caller = work.command, work.caller
        if work.request_id:
            self.requests.add((caller, work.request_id))
        match command:
            case Authorize():
                self.users.add(command.user_id)
                self.items.update((caller, it.asset_id) for it in command.items if it.asset_id)
                if command.parent_id:
                    self.authorizations.add((command.user_id, command.parent_id))
            case Following() | Wake():
                self.users.add(command.user_id)
                name = (command.user_id, command.authorization_id)
                self.authorizations.add(name)
                self._add_following(caller, command, name)
            case ReverseByOrigin():
                self.users.add(command.user_id)
                self.origins.append((caller, command.authorize_request_id))
                self.requests.add(self.origins[-1])
            case PutUser() | SetLimit() | SetStanding():
                self.users.add(command.user_id)
                self.registered.add(command.user_id)
            case ReportTransfer():
                self.users.add(command.user_id)
                self.transfers.add((command.user_id, command.transfer_id))
                if command.state is TransferState.SUCCEEDED:
                    self.succeeded.add((command.user_id, command.transfer_id))
            case PayOutOperator() | RecordOperatorPayment():
                self.users.add(operator_account(command.operator_id))
                self.payments.add((caller, command.payment_reference))
                self.payable.add((command.operator_id, command.amount.currency))
                self.balances.add((command.operator_id, command.amount.currency))
            case FoldPayable():
                self.payable.add((command.operator_id, command.currency))
            case RecordSeal():
                self.seal = True
            case OpenBulk():
                pass

    def late(self, transfers: Mapping[tuple[str, str], TransferRecord]) -> set[tuple[str, str]]:
        """The authorizations, by user id and authorization id, of which a transfer succeeds after
        it had ended: a later one may be under way."""
        return {
            (it.user_id, it.authorization_id)
            for key in self.succeeded
            if (it := transfers.get(key)) is not None
            and LATER_WORDS.get((it.kind, it.state)) is TransferState.SUCCEEDED
        }

    def _add_following(self, caller: str, command: Following | Wake, name: tuple[str, str]) -> None:
        match command:
            case Confirm():
                self.payments.add((caller, command.payment_reference))
                self.together.add(name)
            case Increment() | RecordPayment() | RecordPaidElsewhere() | RecordChargeBack():
                if command.payment_reference:
                    self.payments.add((caller, command.payment_reference))
                if isinstance(command, RecordPayment):
                    self.transfers.add((command.user_id, command.payment_reference))
            case StartRental():
                if command.asset_id:
                    self.items.add((caller, command.asset_id))
            case ResolveReview():
                self.together.add(name)


def _no_limits(terms: Catalog, currency: str) -> str:
    """Why nobody's limit follows from a score, in one line that says what to do."""
    of_currency = TermsKind.LIMITS, (currency,)
    why = [it.why for it in terms.faults if it[:2] == of_currency] or ["there are none"]
    return f"no limits in {currency}: {why[0]}; put the rows of limit_steps right and start again"


def _away() -> Unavailable:
    return Unavailable("STORAGE_UNAVAILABLE", "the database refused; nothing was written")


def _unknown() -> Unavailable:
    return Unavailable("OUTCOME_UNKNOWN", UNKNOWN)
