"""Applies one batch: score, read, decide in order, write, commit, answer.

Every call that changes something passes through `Engine.apply`, one batch at a time. No other code
writes.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from service.clock import Clock
from service.domain.authorization import Custody
from service.domain.errors import (
    AssetInUse,
    FreeholdError,
    InternalFault,
    InvariantBroken,
    Unavailable,
)
from service.engine.admission import read_admission
from service.engine.aliases import read_aliases, require_aliases
from service.engine.attesting import metered, read_attestations
from service.engine.calls import EncodeAuthorization, EncodeBeside, Payloads, Work, own_work
from service.engine.cases import read_cases, with_open_case
from service.engine.catalog import Catalog
from service.engine.charges import read_charges, read_damage
from service.engine.clock_gaps import ClockGap
from service.engine.conflict_pauses import PAUSES, ConflictPauses
from service.engine.context import NO_CONDITIONS, Context, Decided
from service.engine.debts import DebtLog, Debts, say_nothing
from service.engine.decision_counts import DecisionCounts
from service.engine.first_answers import first_answer
from service.engine.increment_tries import read_tries
from service.engine.items_in_use import name_product
from service.engine.lapsed_holds import LapsedHolds
from service.engine.late_pickups import read_late_pickups
from service.engine.named_products import named_products
from service.engine.operations import BY_COMMAND, Wake
from service.engine.passes import read_named_passes
from service.engine.ports import (
    AuthorizationKey,
    Conditions,
    Conflict,
    OutcomeUnknown,
    ReadAgain,
    StorageFailed,
    Store,
    Transaction,
)
from service.engine.quotas import read_begun, read_quotas
from service.engine.records.requests import RequestRecord
from service.engine.references import read_references
from service.engine.refusals import (
    advise_on_payment,
    away,
    keep_refusal,
    keep_what_time_brought,
    unknown,
)
from service.engine.rows import Keys, Rows, Wish
from service.engine.scoring import Assessor
from service.engine.survivors import read_whole, to_survivors
from service.engine.tables import (
    AUTHORIZATIONS,
    COMPATIBILITY,
    DEBTS,
    DECISIONS,
    LINES,
    OPEN_ITEMS,
    OUTBOX,
    REQUESTS,
    TRANSFERS,
    USERS,
)
from service.engine.terms import Terms, TermsInUse, TermsLog
from service.engine.timed import giving_back
from service.ids import Ids

Result = bytes | FreeholdError
FEW = 16
"""The most commands of a part of a large batch that failed as a whole."""


class FaultLog(Protocol):
    """Logs the details of a defect, and the call that met it; the caller sees only the id."""

    def __call__(self, fault_id: str, error: BaseException, about: Work | None = None) -> None: ...


class BatchSplit(Exception):
    """A batch failed as a whole; its calls are then applied one by one. The exception's cause is
    the failure."""


@dataclass(slots=True)
class EngineStatistics:
    """Counts, since the start, of batches that took more than one transaction."""

    conflicts: int = 0
    """Transactions rolled back because another process had changed the same rows."""
    read_again: int = 0
    """Transactions rolled back because lines of people with lapsed holds had to be locked."""
    split: int = 0
    """Batches whose calls were applied one by one."""


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
        encode: EncodeAuthorization,
        encode_beside: EncodeBeside,
        pauses: ConflictPauses = PAUSES,
        log_debt: DebtLog = say_nothing,
        conditions: Conditions = NO_CONDITIONS,
        server_id: str = "",
    ) -> None:
        """`encode` makes the bytes of an authorization, for its events and for answers.
        `encode_beside` makes the bytes of another row of the step for the event.

        Raises TermsUnusable if `currency` has no sound limits.
        """
        self.statistics = EngineStatistics()
        self.decisions = DecisionCounts()
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
        self.debts = Debts(store, self.terms, log_debt)
        # Revisions that rentals name and no table has; batches do not look for them again.
        self._missing: set[tuple[str, str, int]] = set()
        self._last_terms = self.terms.used
        self._notice_gap = notice_gap
        self._encode, self._encode_beside = encode, encode_beside
        self._conditions = conditions
        self._server_id = server_id or secrets.token_hex(8)

    def apply(self, batch: Sequence[Work]) -> list[Result]:
        """The answer or the refusal of each work, in order; never raises.

        All answers are committed when it returns. An answer whose commit could not be confirmed is
        Unavailable.
        """
        only = batch[0] if len(batch) == 1 else None
        try:
            return self._apply_together(batch)
        except OutcomeUnknown as error:
            self._fault(error, only)
            return [unknown() for _ in batch]
        except StorageFailed as error:
            self._fault(error, only)
            return [away() for _ in batch]
        except Exception as error:
            if len(batch) > 1:
                # One work must not fail the others: each is applied alone, or first with a few.
                few = FEW if len(batch) > FEW else 1
                self._log_split(len(batch), few, error)
                parts = [batch[start : start + few] for start in range(0, len(batch), few)]
                return [result for part in parts for result in self.apply(part)]
            return [self._refusal(error, only)]

    def _refusal(self, error: Exception, work: Work | None) -> FreeholdError:
        fault = self._fault(error, work)
        if isinstance(error, Conflict):
            return Unavailable("CONTENTION", "other processes changed the same rows; retry")
        return fault

    def _log_split(self, calls: int, few: int, cause: Exception) -> None:
        self.statistics.split += 1
        parts = "one by one" if few == 1 else f"{few} at a time"
        split = BatchSplit(f"{calls} calls go {parts}: {type(cause).__name__}")
        split.__cause__ = cause
        self._fault(split, None)

    def _fault(self, error: BaseException, work: Work | None) -> InternalFault:
        fault_id = secrets.token_hex(8)
        self._log_fault(fault_id, error, work)
        return InternalFault(fault_id)

    def _apply_together(self, batch: Sequence[Work]) -> list[Result]:
        also: set[AuthorizationKey] = set()
        attempt = rounds = 1
        while True:
            context = self._context(batch)
            if context.assessed.survivors:
                batch = to_survivors(batch, context.assessed.survivors)
            try:
                with self._store.begin() as transaction:
                    rows, keys = self._read(batch, also, transaction, context)
                    if keys.late:
                        read_late_pickups(rows, keys, transaction, context.now_us)
                    if self._read_what_others_added(rows, keys, context.catalog):
                        used = self.terms.used
                        context = replace(
                            context,
                            catalog=used.catalog,
                            counts=used.counts,
                            budgets=used.budgets,
                        )
                    read_admission(batch, rows, keys, transaction, context)
                    if (used := self.terms.used).quotas:
                        read_quotas(rows, context.catalog, transaction, used.sellers)
                    lapsed = LapsedHolds(frozenset(keys.users), transaction, rows, context)
                    results = [self._decide(work, rows, context, lapsed) for work in batch]
                    if rows.budgets is not None:
                        rows.budgets.settle(rows, transaction)
                    if rows.payable or rows.taken_payable:
                        rows.batch_id = self._ids.new(context.now_us)
                    transaction.write(rows)
                for gap in rows.clock_gaps:
                    self._notice_gap(gap)
                self.decisions.add(rows)
                return results
            except ReadAgain as more:
                # The error names all lapsed holds that may be in the way, so that a batch starts
                # over only once, however many of its calls were blocked.
                also |= more.authorizations
                self.statistics.read_again += 1
                if rounds == self._max_attempts:
                    raise Conflict("each attempt found further lapsed holds") from more
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
            assessed=self._assessor.assess(batch, terms.explain_below, self._scoring_failed),
            encode=self._encode,
            encode_beside=self._encode_beside,
            debts=self.debts.beyond,
            counts=terms.counts,
            conditions=self._conditions,
            budgets=terms.budgets,
            server_id=self._server_id,
        )

    def _scoring_failed(self, error: Exception) -> None:
        self._fault(error, None)

    def _terms_for(self, batch: Sequence[Work]) -> TermsInUse:
        """The terms in use, with any product that a call names and this server has not loaded."""
        terms = self.terms.used
        if terms is not self._last_terms:
            self._last_terms = terms
            self._missing.clear()
        unknown = named_products(batch).difference(
            terms.catalog.products, terms.catalog.refused, terms.catalog.retired
        )
        if unknown and self.terms.learn(unknown):
            return self.terms.used
        return terms

    def _read_what_others_added(self, rows: Rows, keys: Keys, catalog: Catalog) -> bool:
        """Reads terms that the batch needs and this server has not loaded; returns True if any."""
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
        self,
        batch: Sequence[Work],
        also: Iterable[AuthorizationKey],
        transaction: Transaction,
        context: Context,
    ) -> tuple[Rows, Keys]:
        """Reads all rows that the batch may touch, and the authorizations in `also`.

        Each table is read by one statement, and the users' lines are locked. Returns the rows and
        their keys.
        """
        rows, keys = Rows(), Keys()
        for work in batch:
            if work.request_id:
                keys.requests.add((work.caller, work.request_id))
            BY_COMMAND[type(work.command)].keys(work.caller, work.command, keys)
        for key in also:
            keys.users.add(key[0])
            keys.authorizations.add(key)
        keys.named |= read_whole(batch, keys.users, context)
        if keys.named:
            read_aliases(rows, keys, transaction)
        # The lines come first: on PostgreSQL this waits for transactions that change them, so that
        # later reads, above all of the request's own record, see their changes.
        wishes = [Wish(LINES, _BY_USER, keys.users), Wish(REQUESTS, REQUESTS.key, keys.requests)]
        if not (keys.origins or keys.transfers or keys.authorizations or keys.refunded):
            # No other read depends on these rows.
            wishes.append(Wish(OPEN_ITEMS, OPEN_ITEMS.key, keys.items))
            rows.sought_items, keys.items = keys.items, set()
        transaction.read(rows, wishes)
        if keys.passes or keys.refunded:
            read_named_passes(rows, keys, transaction)
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
            others = rows.succeeding(keys.succeeded)
            transaction.read(rows, [Wish(TRANSFERS, _BY_AUTHORIZATION, others)])
            keys.authorizations.update(
                (it.user_id, it.authorization_id) for it in rows[TRANSFERS].values()
            )
        if keys.authorizations:
            self._read_authorizations(rows, keys, transaction)
        if keys.authorizations or keys.charge_backs or keys.suspense:
            read_charges(rows, keys, transaction)
        if keys.attested:
            read_attestations(rows, keys.attested, transaction)
        if keys.cased or keys.questions:
            read_cases(rows, keys, transaction)
        if keys.items or keys.registered or keys.builds:
            wishes = [Wish(OPEN_ITEMS, OPEN_ITEMS.key, keys.items)]
            rows.sought_items |= keys.items
            wishes.append(Wish(USERS, USERS.key, keys.registered))
            wishes.append(Wish(COMPATIBILITY, COMPATIBILITY.key, keys.builds))
            transaction.read(rows, wishes)
        if keys.named:
            require_aliases(rows, keys)
        if keys.references:
            read_references(rows, keys, transaction)
        if keys.debts:
            transaction.read(rows, [Wish(DEBTS, _BY_PARENT, keys.debts)])
        if keys.payable:
            rows.taken_payable = transaction.take_payable(keys.payable)
        if keys.balances:
            rows.payable_left = transaction.payable_left(keys.balances)
        if keys.seal:
            rows.last_seal = transaction.last_seal_number()
        return rows, keys

    def _read_authorizations(self, rows: Rows, keys: Keys, transaction: Transaction) -> None:
        """Reads authorizations with their groups and their items."""
        transaction.read(rows, [Wish(AUTHORIZATIONS, AUTHORIZATIONS.key, keys.authorizations)])
        found = rows[AUTHORIZATIONS]
        if any(
            it.user_id in keys.users and (it.user_id, it.currency) not in rows[LINES]
            for it in found.values()
        ):
            # It is the first line of a person, and could not be locked before it existed.
            raise Conflict("a line was opened after the lines were read")
        groups = {
            (it.user_id, it.group_id)
            for key in keys.together
            if (it := found.get(key)) is not None and it.group_id
        }
        transaction.read(rows, [Wish(AUTHORIZATIONS, _BY_GROUP, groups)])
        read_damage(rows, keys, transaction)
        if keys.raised:
            read_tries(rows, keys.raised, transaction)
        keys.items.update((it.operator_id, it.asset_id) for it in found.values() if it.asset_id)
        keys.cased |= with_open_case(found.values())
        keys.attested |= metered(found.values())
        keys.captured |= giving_back(found.values())

    def _decide(self, work: Work, rows: Rows, context: Context, lapsed: LapsedHolds) -> Result:
        """The result of one work; its writes join the batch only if the whole work succeeded."""
        try:
            first = first_answer(work, rows)
        except Exception as error:
            return self._refused(error, work)
        if first is not None:
            return first
        if rows.pools is not None:
            read_begun(work.command, rows, context.catalog, lapsed.transaction)
        decided = self._decide_without_lapsed(work, rows, context, lapsed)
        if isinstance(decided, FreeholdError):
            operation = BY_COMMAND[type(work.command)]
            if decided.reason in operation.kept and work.request_id:
                keep_refusal(work, decided, rows, context)
            if operation.leaves is not None:
                rows.merge(operation.leaves(work, work.command, decided, rows, context))
            return decided
        events = decided.draft.get(OUTBOX, ())
        told = {(it.authorization_id, it.authorization_version): it.payload for it in events}
        try:
            answer = work.encode(decided.answer, Payloads(context.told, told))
        except Exception as error:
            return self._refused(error, work)
        if work.request_id:
            request = (
                work.caller,
                work.request_id,
                work.method,
                work.body,
                answer,
                decided.user_id,
                decided.authorization_id,
                context.now_us,
            )
            # The same as calling the class, in a fifth of the time.
            decided.draft[REQUESTS].append(tuple.__new__(RequestRecord, request))
        rows.merge(decided.draft)
        return answer

    def _decide_without_lapsed(
        self, work: Work, rows: Rows, context: Context, lapsed: LapsedHolds
    ) -> Decided | FreeholdError:
        """The decision or the refusal, after the lapsed holds in the way have ended.

        Raises the errors of reading the holds.
        """
        operation = BY_COMMAND[type(work.command)]
        woken: set[Wake] = set()
        while True:
            outcome: Decided | FreeholdError
            try:
                outcome = operation.decide(work, work.command, rows, context)
            except Exception as error:
                outcome = self._refused(error, work)
            if operation.asks is None:
                break
            if isinstance(outcome, Decided):
                draft = outcome.draft
                asked = draft.get(DECISIONS) or draft.get(AUTHORIZATIONS)
                if not asked or not asked[-1].reasons:
                    break  # nothing is in the way
            # Do not wake an authorization twice if it is still in the way.
            waking = [
                wake
                for key in sorted(lapsed.in_the_way(work, operation.asks, outcome))
                # A hold whose timer loses the item is in the way again, as a missing item.
                if (wake := Wake(*key, rows[AUTHORIZATIONS][key].custody is Custody.MISSING))
                not in woken
            ]
            if not waking:
                break
            for wake in waking:
                self._decide(own_work(wake), rows, context, lapsed)
            woken.update(waking)
        if isinstance(outcome, FreeholdError) and not isinstance(outcome, InternalFault):
            try:
                keep_what_time_brought(work, rows, context)
                advise_on_payment(work, outcome)
                if isinstance(outcome, AssetInUse):
                    name_product(outcome, rows, lapsed.transaction)
            except Exception as error:
                return self._refused(error, work)
        return outcome

    def _refused(self, error: Exception, work: Work) -> FreeholdError:
        """The refusal of one work for an error of its steps; a defect becomes an InternalFault."""
        if isinstance(error, FreeholdError) and not isinstance(error, InvariantBroken):
            return error
        return self._fault(error, work)


_BY_USER, _BY_GROUP = ("user_id",), ("user_id", "group_id")
_BY_AUTHORIZATION = ("user_id", "authorization_id")
_BY_PARENT = ("user_id", "parent_id")
