"""One engine beside the reference: both get the same calls, and every row is compared."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy
from sqlalchemy import event, make_url

from service.books.verify import verify_books
from service.clock import SandboxClock
from service.conditions import CelConditions
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization
from service.domain.cases import Case, digest_of
from service.domain.charge_backs import ChargeBack
from service.domain.errors import DeadlineTooNear, FreeholdError
from service.domain.ledger import Line
from service.domain.suspense import SuspenseItem
from service.engine import operations as c
from service.engine.breakers import LossWatch
from service.engine.calls import (
    Acknowledged,
    Answer,
    Attestation,
    AuthorizationCommand,
    CaseTold,
    ChargedBack,
    Corrected,
    Cut,
    Group,
    LateStart,
    Matched,
    Paid,
    PassTold,
    Payloads,
    Priced,
    Profile,
    Settled,
    Tombstone,
    Work,
    own_work,
)
from service.engine.engine import FEW, BatchSplit, Engine, Result
from service.engine.feature_values import pack
from service.engine.group_commit import CommitLimits, Committer
from service.engine.ports import Conflict, OutcomeUnknown, StorageFailed
from service.engine.profile import read_profile
from service.engine.records.aliases import AliasRecord
from service.engine.records.passes import PassRecord
from service.engine.records.transfers import TransferRecord
from service.engine.scoring import Assessor
from service.engine.tables import ALIASES, CASES
from service.rpc.beside import encode_beside
from service.rpc.convert import encode_authorization
from service.rpc.stored import read_payload
from service.storage import schema as t
from service.storage.admin import by_shell
from service.storage.breakers import BreakerStore, reset_breaker
from service.storage.database import open_database
from service.storage.schema.record_tables import CONVERTERS
from tests.engine import plain_breakers, plain_passes, plain_questions
from tests.engine.chance import Call, Chance
from tests.engine.faults import DEATHS, Died, Fault, FaultyStore
from tests.engine.model_terms import TermsSteps
from tests.engine.plain_accounts import add_accounts
from tests.engine.plain_beside import beside
from tests.engine.plain_books import Key, RentalKey
from tests.engine.plain_details import COLUMNS
from tests.engine.plain_receipts import receipt_of, told_receipt
from tests.engine.plain_terms import (
    CURRENCY,
    DAY_US,
    DEBT_LIMIT,
    OUT,
    TERMS,
    Refused,
    Retried,
    Row,
    debt_due,
)
from tests.engine.reference import Reference
from tests.engine.statement import Statement
from tests.fakes import START_US, CountingIds, FakeScorer, encode
from tests.terms import forget_documents

ATTEMPTS = 3
TROUBLES: dict[str, list[Fault]] = {
    "none": [],
    **{fault.name.lower(): [fault] for fault in Fault if fault is not Fault.NONE},
    # Another process writes in between.
    "rival": [Fault.CONFLICT],
    # The commands cannot commit together, so each is applied alone, or with a few.
    "contended": [Fault.CONFLICT] * ATTEMPTS,
}
"""The faults of a batch, by name."""
NOT_DONE = {
    "away": "STORAGE_UNAVAILABLE",
    "failed": "STORAGE_UNAVAILABLE",
    "unknown": "OUTCOME_UNKNOWN",
}
EXPECTED_FAULTS = (Conflict, OutcomeUnknown, StorageFailed)
CHECK_ALL_EVERY = 16
MESSAGE_EVERY = 3
"""One group of calls without a fault in so many is sent in one message."""

Step = list[Any]
"""["calls", trouble, numbers], ["time", number], ["terms", number] or
["sweep"]: JSON, so a run can be saved."""


def _short(name: str) -> str:
    return name.removesuffix("_minor")


_COLUMNS = [_short(column.name) for column in t.recorded(t.authorizations)]
_SELECTED = ", ".join(column.name for column in t.recorded(t.authorizations))
_ASKED = ", ".join(column.name for column in t.recorded(t.transfers))
_CASED = ", ".join(column.name for column in t.recorded(t.cases))
_FIELDS = [_short(name) for name in Authorization._fields]
_UNSEEN = frozenset({"authorization_id", "decision_id", "group_id"})
"""Columns that only the engine knows."""
_VALUES = "SELECT operator_id, request_id, read_values FROM decisions WHERE read_values IS NOT NULL"
OPEN_FOR_US = 2 * DAY_US
"""The time after which a person closes a breaker."""
_BREAKERS = (
    "SELECT operator_id, number, policy_id, loss_minor, rentals, open_us, close_us FROM breakers"
)
_LINE = {
    "limit": "limit_minor", "available": "available_minor", "held": "held_minor",
    "drawn": "drawn_minor", "receivable": "receivable_minor", "disputed": "disputed_minor",
    "charged_back": "charged_back_minor", "deposit": "deposit_minor",
    "refund_payable": "refund_payable_minor", "cut_pending": "cut_pending_minor",
    "standing": "standing", "limit_fixed": "limit_fixed", "version": "version",
    "overpaid": "overpaid_minor", "unheld": "unheld_minor",
}  # fmt: skip


SUMS = (
    "held",
    "deposit",
    "drawn",
    "disputed",
    "charged_back",
    "refund_payable",
    "overpaid",
    "unheld",
)
"""The balances of a line that are sums over the person's rentals."""
_PROFILE = (
    "score", "band", "unscorable_reason", "feature_version", "as_of_us", "model_id",
    "scale_version", "limit_basis",
)  # fmt: skip


class Violation(AssertionError):
    """The engine and the reference differ."""


_STORES: dict[str, FaultyStore] = {}
"""One template of each kind of database; the others are its copies."""


def store_of(database: sqlalchemy.Engine) -> FaultyStore:
    """The store of a process that starts."""
    kind = database.dialect.name
    if kind not in _STORES:
        _STORES[kind] = FaultyStore(database)
    return _STORES[kind].reopened(database)


def _patient(url: str) -> str:
    """The URL of the database. PostgreSQL waits for any time, since a busy machine breaks no
    rule."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        return url
    waits = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    options = {"options": " ".join(f"-c {name}=0" for name in waits)}
    return address.update_query_dict(options).render_as_string(hide_password=False)


def _hurry(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")


def require(found: object, expected: object, *where: object) -> None:
    """Raises Violation with the difference unless the two are equal."""
    if found == expected:
        return
    if isinstance(found, dict) and isinstance(expected, dict):
        names = [name for name in {**expected, **found} if found.get(name) != expected.get(name)]
        found = {name: found.get(name, "absent") for name in names}
        expected = {name: expected.get(name, "absent") for name in names}
    raise Violation(f"{where}: found {found!r}, expected {expected!r}")


class _Ticket(NamedTuple):
    """The results of works that were sent together."""

    results: list[Result]

    def answer(self, result: Result) -> None:
        """Nothing: the results are read at the end."""

    def end(self, result: Result) -> None:
        """Keeps a result."""
        self.results.append(result)


class Sent(NamedTuple):
    """Calls that one engine got together, and its results."""

    calls: list[Call]
    results: list[Result]


class Model:
    """Two operators, four people, one database that sometimes fails, and processes that may die."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = SandboxClock(START_US)
        self.ids = CountingIds()
        self.reference = Reference()
        self.chance = Chance(self.reference)
        self.statement = Statement(self._overturned, self._spread)
        self.faults: list[BaseException] = []
        self.answers: dict[Key, bytes] = {}
        self.first: dict[Key, Call] = {}
        """The call that was applied for each request id."""
        self.counts: Counter[tuple[str, str]] = Counter()
        """Calls by kind and outcome."""
        self.troubles: Counter[str] = Counter()
        self.transitions: Counter[str] = Counter()
        self._captured: dict[Key, Answer] = {}
        self._rival: tuple[FaultyStore, Engine] | None = None
        self._names: dict[RentalKey, str] = {}
        self._keys: dict[str, RentalKey | None] = {"": None}
        self._passes: dict[str, Key] = {}
        """From authorization id to rental; also ids of entries without a rental."""
        self._entries: Counter[str] = Counter()
        self._events = 0
        self._decisions = 0
        self._last_case = ""
        self._batches = 0
        self._database = open_database(_patient(url))
        if self._database.dialect.name == "sqlite":
            # No power cut is tested here, so nothing needs to reach the disk.
            event.listen(self._database, "connect", _hurry)
        with self._database.begin() as terms:
            forget_documents(terms)
            for statement in TERMS:
                terms.exec_driver_sql(statement)
            for operator_id, limit in DEBT_LIMIT.items():
                terms.exec_driver_sql(
                    f"UPDATE operators SET debt_limit_minor = {limit}"
                    f" WHERE operator_id = '{operator_id}'"
                )
        add_accounts(self._database, START_US)
        self.store, self.engine = self._open()
        self._session = self._database.raw_connection()
        connection: Any = self._session.driver_connection
        if self._database.dialect.name == "postgresql":
            connection.autocommit = True
        self._cursor: Any = connection.cursor()
        self.terms = TermsSteps(self)
        self.learn_terms()
        self._register()

    def learn_terms(self) -> None:
        """All processes load the terms that have changed."""
        for engine in (self.engine, *([self._rival[1]] if self._rival else [])):
            engine.terms.follow()

    def keeps(self, caller: str, request_id: str) -> bool:
        """Whether a call is kept for retries."""
        where = f"caller = '{caller}' AND request_id = '{request_id}'"
        return bool(self.read(f"SELECT 1 FROM requests WHERE {where}"))

    def _open(self) -> tuple[FaultyStore, Engine]:
        """Starts a process."""
        store = store_of(self._database)
        engine = Engine(
            store,
            Assessor(store, FakeScorer()),
            self.clock,
            self.ids,
            currency=CURRENCY,
            build="test",
            max_attempts=ATTEMPTS,
            log_fault=lambda _id, error, _about=None: self.faults.append(error),
            log_terms=lambda fault, mended: self.faults.append(AssertionError(fault, mended)),
            notice_gap=lambda _gap: None,
            encode=encode_authorization,
            encode_beside=encode_beside,
            conditions=CelConditions(),
        )
        return store, engine

    def _register(self) -> None:
        """Registers three people; Cem stays unknown."""
        calls = [
            Call(
                "PutUser",
                PLATFORM,
                f"first-{user_id}",
                c.PutUser(user_id, pack([score, 0.0]), START_US, True),
            )
            for user_id, score in (("ann", 800), ("ben", 550), ("dan", 650))
        ]
        self._compare_answers(self._send(calls, self.engine), "none", START_US)
        self._check()

    @property
    def commands(self) -> int:
        """The number of calls so far, without the sweeper's and the final retries."""
        return sum(number for (kind, _), number in self.counts.items() if kind != "sweep")

    # -- possible moves --------------------------------------------------------------------------

    def do(self, step: Step) -> None:
        """Takes one step and compares the two sides."""
        match step:
            case ["calls", trouble, seeds]:
                self._calls(trouble, seeds)
            case ["time", seed]:
                now_us = self.clock.now_us()
                self.clock.advance(now_us + self.chance.jump_us(seed, now_us))
            case ["terms", seed]:
                self.terms.act(seed)
            case ["sweep"]:
                self._sweep()
            case _:
                raise ValueError(f"not a step: {step}")

    def _calls(self, trouble: str, seeds: Sequence[int]) -> None:
        """Sends a batch of calls with a fault."""
        now_us = self.clock.now_us()
        self.chance.look()
        calls = [self.chance.call(seed, now_us) for seed in seeds]
        together = trouble == "none" and seeds[0] % MESSAGE_EVERY == 0
        self.troubles["in one message" if together else trouble] += 1
        if trouble == "contended" and len(calls) == 1:
            trouble = "alone contended"
        done: list[Sent] = []
        if trouble == "rival":
            # The call meets all of the rival's calls: what its decision ends, it ends before
            # theirs.
            rival, calls = calls[:-1] or calls, calls[-1:]
            self._rivals()
            self.store.interlude = lambda: done.append(self._send(rival, self._rivals()))
        self.store.plan = list(TROUBLES[trouble.removeprefix("alone ")])
        if together:
            calls = [call for call in calls if call.caller == calls[0].caller]
        folds = self._folds() if trouble == "none" and not together else []
        try:
            if together:
                done.append(self._send_in_a_message(calls))
            else:
                done.append(self._send(calls, self.engine, folds))
        except Died as death:
            require(death, DEATHS[TROUBLES[trouble][0]])
            self._rise_again()
            done.append(Sent(calls, []))
        for sent in done:
            if trouble == "rival" and sent is done[-1]:
                self._let_lapse(calls, now_us)
            self._compare_answers(sent, trouble if sent is done[-1] else "none", now_us)
        if trouble in _DEATHS:
            # The new process has looked at the balances, with what the dead one wrote.
            self._look_at_losses()
        self._require_no_defect()
        self._check()

    def _let_lapse(self, calls: list[Call], now_us: int) -> None:
        """Ends the lapsed holds that blocked a call's first decision, even if the rival may have
        removed them before the second decision."""
        named = [(it.command.user_id, it.command.authorization_id) for it in calls
                 if isinstance(it.command, AuthorizationCommand)]  # fmt: skip
        self._learn_fees()
        for key in self.reference.waking(now_us):
            it = self.reference.rentals[key]
            user_id, authorization_id = self.chance.name(key)
            if (user_id, authorization_id) in named:
                continue
            ((version,),) = self.read(
                "SELECT version FROM authorizations"
                f" WHERE user_id = '{user_id}' AND authorization_id = '{authorization_id}'"
            )
            if it["state"] in ("AUTHORIZED", *OUT) and version > it["version"]:
                self.reference.bring_up(it, now_us)

    def _rivals(self) -> Engine:
        """Another process on the same database."""
        if self._rival is None:
            self._rival = self._open()
            self._look_at_losses()
        return self._rival[1]

    def _rise_again(self) -> None:
        """Replaces a dead process with a new one."""
        self.store.bury()
        self.store, self.engine = self._open()

    def _look_at_losses(self) -> None:
        """All processes add up the operators' balances at the same time; one adds the losses up,
        and all follow."""
        now_us, engines = self.clock.now_us(), [self.engine]
        if self._rival is not None:
            engines.append(self._rival[1])
        self._look_at_breakers(now_us)
        breakers = BreakerStore(self._database)
        LossWatch(self.engine.terms, breakers, lambda _: None).look(now_us)
        for engine in engines:
            engine.debts.look()
            engine.terms.follow()
        self.reference.look_at_losses(now_us)

    def _look_at_breakers(self, now_us: int) -> None:
        """A person closes the breakers that are open for days."""
        for (operator_id, number), row in self.reference.breaker_rows.items():
            if row[-1] is None and row[-2] < now_us - OPEN_FOR_US:
                asked = by_shell("reset_breaker", [number], "", "root")
                reset_breaker(
                    self._database, asked, operator_id, number, "looked", now_us, lambda _: b""
                )
                plain_breakers.reset(self.reference, operator_id, number, now_us)
        self.engine.terms.follow()

    def _folds(self) -> list[Work]:
        """The compactor's work."""
        return [own_work(c.FoldPayable(*key)) for key in self.store.unfolded(1)]

    def _send(self, calls: list[Call], engine: Engine, folds: Sequence[Work] = ()) -> Sent:
        """Sends one batch of calls. The batch also folds operators' balances, which changes no
        answer."""
        results = self._apply(engine, [*folds, *(self._work(call) for call in calls)])
        require([reason(it) for it in results[: len(folds)]], [""] * len(folds), "folder")
        return Sent(calls, results[len(folds) :])

    def _apply(self, engine: Engine, works: list[Work]) -> list[Result]:
        """The results of one batch."""
        return engine.apply(works)

    def _send_in_a_message(self, calls: list[Call]) -> Sent:
        """Sends calls of one caller as the items of one message, through a committer."""
        works = [self._work(call) for call in calls]

        ticket = _Ticket([])

        async def send() -> None:
            committer = Committer(self.engine.apply, CommitLimits(max_batch=len(works)))
            committer.start()
            assert committer.send_all(works, ticket) == (len(works), None)
            await committer.close()

        asyncio.run(send())
        return Sent(calls, ticket.results)

    def _work(self, call: Call) -> Work:
        command, name = call.command, name_of(call)
        body = repr(command).encode()
        grouped = isinstance(command, c.Authorize) and command.grouped

        def keep(answer: Answer, _payloads: Payloads) -> bytes:
            self._captured[name] = answer
            return encode(answer)

        return Work(
            caller=call.caller,
            request_id=call.request_id,
            method="AuthorizeGroup" if grouped else type(command).__name__,
            body=body,
            command=command,
            encode=keep,
            differing_field=lambda first: None if first == body else "body",
            deadline=0.0 if call.late else None,
        )

    def _sweep(self) -> None:
        """Takes every due step of the rows that the sweeper finds. Merges balances in a separate
        batch, which changes no sum."""
        now_us = self.clock.now_us()
        found = [it[1:] for it in self.store.waking(now_us, 10_000)]
        expected = {self.chance.name(key) for key in self.reference.waking(now_us)}
        require(set(found), expected, "waking")
        if found:
            calls = [Call("sweep", "", "", c.Wake(*name)) for name in found]
            sent = self._send(calls, self.engine)
            # The debt for a fee may end with a step of its rental, which the same batch takes; then
            # the reference must say so too.
            keys = [self._keys[authorization_id] for _, authorization_id in found]
            fees = {
                row["key"]
                for (_, by), row in self.reference.debts.items()
                if by == "FEE_ABOVE_HOLD"
            }
            allowed = [{"", "NOTHING_TO_DO"} if key in fees else {""} for key in keys]
            for result, reasons in zip(sent.results, allowed, strict=True):
                require(reason(result) in reasons, True, "sweeper", reason(result))
            self._compare_answers(sent, "none", now_us)
        self._sweep_cases(now_us)
        self._send([], self.engine, self._folds())
        self._look_at_losses()
        self._require_no_defect()
        self._check()

    def _sweep_cases(self, now_us: int) -> None:
        """Decides every case after its time has ended, from the rows that the worker finds."""
        found = [it[1:] for it in self.store.cases_over(now_us, 10_000)]
        over = {self.reference.case_names[key]: key for key in self.reference.case_names}
        expected = {
            over[name]
            for name, case in self.reference.cases.items()
            if case["state"] == "OPEN"
            and case["kind"] not in ("CLAIM", "DISPUTE")
            and case["due_us"] <= now_us
        }
        require(set(found), expected, "cases over")
        if found:
            calls = [Call("case over", "", "", c.DecideCase(*key)) for key in found]
            sent = self._send(calls, self.engine)
            require([reason(it) for it in sent.results], [""] * len(calls), "case clock")
            self._compare_answers(sent, "none", now_us)

    # -- answers ---------------------------------------------------------------------------------

    def _compare_answers(self, sent: Sent, trouble: str, now_us: int) -> None:
        """Runs the same calls on the reference and compares the answers."""
        unanswered = trouble == "lost" or trouble in _DEATHS
        for call in sent.calls:
            if trouble in NOT_DONE or trouble in _UNWRITTEN or trouble == "alone contended":
                self.counts[call.kind, "NOT_DONE"] += 1
        if trouble in NOT_DONE or trouble == "alone contended":
            said = NOT_DONE.get(trouble, "CONTENTION")
            require([reason(it) for it in sent.results], [said] * len(sent.calls), trouble)
            return
        if trouble in _UNWRITTEN:
            return
        if trouble == "lost":
            lost = ["OUTCOME_UNKNOWN"] * len(sent.calls)
            require([reason(it) for it in sent.results], lost, trouble)
        self.reference.begin_batch()
        part = FEW if len(sent.calls) > FEW else 1
        for place, call in enumerate(sent.calls):
            result = None if unanswered else sent.results[place]
            if trouble == "contended" and place % part == 0:
                self.reference.begin_batch()
            self._compare_answer(call, result, now_us)

    def _compare_answer(self, call: Call, result: Result | None, now_us: int) -> None:
        name = name_of(call)
        why, answer = "", None
        late = call.late and name not in self.reference.requests
        if late or (call.late and self._is_tombstone(name, call)):
            why = "DEADLINE_TOO_NEAR"
        else:
            try:
                answer = self.reference.run(call.caller, call.request_id, call.command, now_us)
            except Refused as refusal:
                why = str(refusal)
            except Retried:
                why = "RETRIED"
        self.counts[call.kind, why] += 1
        if why == "RETRIED":
            if result is not None:
                require(result, self.answers[name], "retry", call)
        elif why:
            if result is not None and reason(result) != why:
                raise Violation(
                    f"{call}: answered {reason(result)}, expected {why}; {self._behind()}"
                )
        else:
            self._keep(call, name, result, answer)

    def _overturned(self, user_id: str, authorization_id: str) -> list[str]:
        """The bank's cases of a rental that are overturned, by the reference."""
        of, cases = self.reference.names[user_id, authorization_id], self.reference.charge_backs
        return [case_id for (key, case_id), row in cases.items() if key == of and row["overturned"]]

    def _spread(self, user_id: str, case_id: str) -> list[tuple[str, str, int]]:
        """The parts of a case that other members of the group bear, by the reference."""
        return [
            (name[1], one, row["amount"])
            for (key, one), row in self.reference.charge_backs.items()
            if one.startswith("suspense/") and one.endswith(f"/{case_id}")
            for name in [self.chance.name(key)]
            if name[0] == user_id
        ]

    def _is_tombstone(self, name: Key, call: Call) -> bool:
        first = self.reference.requests.get(name)
        known = first is not None and first["command"] is None
        return known and isinstance(call.command, c.Authorize)

    def _behind(self) -> str:
        """The faults logged so far in this batch, for a violation's text."""
        faults = [f"{error!r} from {error.__cause__!r}" for error in self.faults]
        return f"behind it: {faults}"

    def _keep(self, call: Call, name: Key, result: Result | None, expected: Any) -> None:
        """Compares a new answer and keeps its bytes for retries."""
        if result is not None and reason(result):
            raise Violation(
                f"{call}: refused with {reason(result)}, expected {expected}; {self._behind()}"
            )
        answer = self._captured[name]
        encoded = self._encoded(name, answer)
        require(encoded if result is None else result, encoded, "bytes", call)
        if call.request_id:
            self.answers[name], self.first[name] = encoded, call
        self._learn_names(name, answer)
        self._compare_with(answer, expected, call)
        self.statement.hear(call.command, answer)

    def _encoded(self, _name: Key, answer: Answer) -> bytes:
        """The bytes of an answer."""
        return encode(answer)

    def _learn_names(self, name: Key, answer: Answer) -> None:
        its: tuple[Authorization, ...] = ()
        while isinstance(answer, Cut | Priced):
            answer = answer.answer
        if isinstance(answer, LateStart):
            answer = answer.authorization
        if isinstance(answer, PassTold):
            self._learn_pass(name, answer)
            if answer.authorization is None:
                return
            answer = answer.authorization
        if isinstance(answer, Authorization):
            its = (answer,)
        elif isinstance(answer, Group):
            its = answer.authorizations
        for place, it in enumerate(its):
            key = (*name, place)
            if key in self.reference.rentals and key not in self._names:
                self._names[key], self._keys[it.authorization_id] = it.authorization_id, key
                self.reference.names[it.user_id, it.authorization_id] = key
                self.chance.named(key, it.authorization_id)
                require(bool(it.group_id), len(its) > 1, "group", name)
        require(len({it.group_id for it in its}), min(1, len(its)), "one group", name)

    def _learn_pass(self, name: Key, answer: PassTold) -> None:
        """Learns the id of a new pass, which its debt names."""
        held, reference = answer.held, self.reference
        if name in reference.passes:
            reference.pass_names[held.user_id, held.pass_id] = name
            self._passes[held.pass_id] = name
            if (*name, 0) in reference.rentals:
                reference.rentals[*name, 0]["parent_id"] = held.pass_id

    def _learn_fees(self) -> None:
        """Learns the names of debts for fees, which no answer needs to name."""
        debts = self.reference.debts.items()
        fees = {row["key"] for (_, by), row in debts if by == "FEE_ABOVE_HOLD"}
        expected = fees - self._names.keys()
        if not expected:
            return
        for user_id, parent_id, authorization_id in self.read(
            "SELECT user_id, parent_id, authorization_id FROM debts"
            " WHERE business_reference = 'FEE_ABOVE_HOLD'"
        ):
            # The answer that names the parent may not have been compared yet.
            parent = self._keys.get(parent_id)
            if parent is None:
                continue
            key = (*parent[:2], 1)
            if key in expected:
                self._names[key], self._keys[authorization_id] = authorization_id, key
                self.reference.names[user_id, authorization_id] = key
                self.chance.named(key, authorization_id)

    def _compare_with(self, answer: Answer, expected: Any, call: Call) -> None:
        match answer, expected:
            case Priced(), ("priced", whole, price_hash):
                require(answer.price_hash, price_hash, call)
                self._compare_with(answer.answer, whole, call)
            case Cut(), ("cut", whole, times):
                require(answer.times, times, call)
                self._compare_with(answer.answer, whole, call)
            case Authorization(), ("authorization", row):
                self._compare_row(_plain(answer), row, call)
            case LateStart(), ("late", row, cited):
                self._compare_row(_plain(answer.authorization), row, call)
                of = self.reference.rentals[cited]["user_id"]
                reservation = f"users/{of}/authorizations/{self._names[cited]}"
                require(answer.reservation, reservation, call)
            case PassTold(), ("pass", row, debt):
                require(self._plain_pass(answer.held), _plain_held(row), call)
                require(answer.authorization is None, debt is None, call)
                if answer.authorization is not None:
                    expected_debt = {**debt, "parent_id": answer.held.pass_id}
                    self._compare_row(_plain(answer.authorization), expected_debt, call)
            case Group(), ("group", its):
                require(len(answer.authorizations), len(its), call)
                for it, row in zip(answer.authorizations, its, strict=True):
                    self._compare_row(_plain(it), row, call)
            case Corrected(), ("corrected", row, corrections):
                self._compare_row(_plain(answer.authorization), row, call)
                found = [_plain_correction(it[3:-1]) for it in answer.corrections]
                require(found, corrections, call)
            case CaseTold(), ("question", row):
                told = {name: getattr(answer.case, name) for name in plain_questions.STATE}
                require(told, {name: row[name] for name in plain_questions.STATE}, call)
            case CaseTold(), ("case", row):
                told = _plain_case(answer.case)
                require(told, {**row, "evidence": len(row["evidence"])}, call)
            case Attestation(), ("attested", row, attested):
                self._compare_row(_plain(answer.authorization), row, call)
                require(_plain_attestation(answer.row[3:]), attested, call)
            case ChargedBack(), ("charged back", row, case):
                self._compare_row(_plain(answer.authorization), row, call)
                require(_plain_charge_back(answer.charge_back), case, call)
            case Matched(), ("matched", item, row):
                require(self._plain_item(answer.item), item, call)
                require(answer.authorization is None, row is None, call)
                if answer.authorization is not None:
                    self._compare_row(_plain(answer.authorization), row, call)
            case Settled(), ("settled", row, total, number):
                self._compare_row(_plain(answer.authorization), row, call)
                capture = answer.capture
                require(None if capture is None else capture.number, number, call)
                fee = answer.fee
                require(None if fee is None else fee.total_minor, total, call)
                if fee is not None:
                    require(sum(line.amount_minor for line in fee.lines), total, call)
            case Profile(), ("profile", row):
                require(_plain_profile(answer), row, call)
            case Line(), ("line", row):
                require(_plain_line(answer), row, call)
            case AliasRecord(), ("merge", user_id, row):
                require(_plain_alias(answer), (user_id, row), call)
            case TransferRecord(), ("transfer", row):
                require(self._plain_transfer(answer), row, call)
            case Paid(), ("paid", row):
                paid = (answer.operator_id, answer.paid_minor, answer.payable_minor)
                require(paid, (row["operator_id"], row["paid"], row["payable"]), call)
            case (Tombstone(), ("tombstone",)) | (Acknowledged(), ("recorded",)):
                pass
            case _:
                raise Violation(f"answered {answer!r}, expected {expected!r}: {call}")

    def _compare_row(self, found: Row, expected: Row, where: object) -> None:
        for name, value in found.items():
            if name not in _UNSEEN and value != expected[name]:
                fields = {name: found[name] for name in found if name not in _UNSEEN}
                require(fields, {name: expected[name] for name in fields}, where)

    def _plain_transfer(self, it: Sequence[Any]) -> Row:
        user_id, _, authorization_id, kind, amount, currency, state, detail, *times = it
        asked_us, at_us, *earlier = times
        require(currency, CURRENCY, "transfer")
        return {
            "user_id": user_id, "key": self._keys[authorization_id], "kind": kind,
            "amount": amount, "state": state, "detail": detail, "request_us": asked_us,
            "change_us": at_us, "earlier": tuple(earlier),
        }  # fmt: skip

    def _plain_pass(self, it: PassRecord) -> Row:
        return {
            "user_id": it.user_id, "operator_id": it.operator_id, "product_id": it.product_id,
            "name": it.name, "price": it.price_minor, "gives": str(it.gives), "size": it.size,
            "zone": it.time_zone, "from_us": it.from_us, "until_us": it.until_us,
            "refund_us": it.refund_us,
        }  # fmt: skip

    def _plain_item(self, it: SuspenseItem) -> Row:
        return {
            "user_id": it.user_id, "key": self._keys[it.authorization_id], "way": it.direction,
            "amount": it.amount_minor, "open": it.open_minor, "returned": it.returned_minor,
            "matches": it.matches, "record_us": it.record_us, "by": it.proposed_by,
            "to": self._keys[it.proposed_authorization_id], "proposed": it.proposed_minor,
        }  # fmt: skip

    def _require_no_defect(self) -> None:
        """Requires that every logged fault was a planned one."""
        causes = [it.__cause__ if isinstance(it, BatchSplit) else it for it in self.faults]
        defects = [error for error in causes if not isinstance(error, EXPECTED_FAULTS)]
        self.faults.clear()
        if defects:
            raise Violation(f"a defect was logged: {defects[0]!r}") from defects[0]

    # -- stored rows -----------------------------------------------------------------------------

    def read(self, query: str) -> Sequence[Any]:
        """The rows of a query."""
        self._cursor.execute(query)
        rows: Sequence[Any] = self._cursor.fetchall()
        return rows

    def _check(self) -> None:
        """Compares new entries and events, all lines, items and payables, and the changed
        rentals."""
        self._batches += 1
        self._learn_fees()
        self._check_entries()
        changed = self._check_events().union(self.reference.touched)
        self.reference.touched.clear()
        self._check_lines()
        self._learn_cases()
        self._check_transfers(everything=False)
        self._check_items()
        if self._batches % CHECK_ALL_EVERY == 0:
            self.check_all()
        elif changed:
            self._check_rentals(changed)

    def check_all(self) -> None:
        """Compares every row of every table that the reference knows."""
        self.terms.check()
        self._check_rentals(self.reference.rentals)
        self._check_transfers(everything=True)
        self._check_sums()
        found = {
            (row[0], row[1]): {
                "kind": row[2], "user_id": row[3], "key": self._keys[row[4]], "amount": row[5],
            }
            for row in self.read("SELECT * FROM payments")
        }  # fmt: skip
        require(found, self.reference.payments, "payments")
        opened = {(row[0], row[1]): list(row[2:]) for row in self.read(_BREAKERS)}
        require(opened, self.reference.breaker_rows, "breakers")
        query = (
            f"SELECT {', '.join(plain_questions.STATE)}, user_id, authorization_id, reference,"
            " operator_id, currency, asked_minor"
            " FROM cases WHERE kind = 'SECOND_REFERENCE' ORDER BY case_id"
        )
        second: dict[Any, list[Row]] = {}
        for *state, user_id, of, first, operator_id, currency, minor in self.read(query):
            case = {**_state(state), "asked": (operator_id, currency, minor)}
            second.setdefault((user_id, of, first), []).append(case)
        require(second, self.reference.second_uses, "cases of second references")
        self._check_questions()
        self._check_quotas()
        debts = {
            # The debt of a pass cites the pass, and stands under its own key.
            (self._keys[row[3] if row[2] == "PASS_BOUGHT" else row[1]], row[2]): {
                "user_id": row[0], "key": self._keys[row[3]], "amount": row[5],
                "evidence": row[7], "consent": row[8],
            }
            for row in self.read("SELECT * FROM debts")
        }  # fmt: skip
        require(debts, self.reference.debts, "debts")
        late = {
            self._keys[row[1]]: {
                "begun": self._keys[row[2]], "start_us": row[3], "deposit": row[4],
                "record_us": row[5],
            }
            for row in self.read("SELECT * FROM late_pickups")
        }  # fmt: skip
        require(late, self.reference.late_pickups, "late_pickups")
        asked: dict[Any, list[Row]] = {}
        for row in self.read(
            f"SELECT authorization_id, reference, occurred_us, {', '.join(plain_questions.STATE)}"
            " FROM cases WHERE kind = 'LATE_PICKUP' ORDER BY case_id"
        ):
            holder = self._keys[row[1].rpartition("/")[2]]
            case = {**_state(row[3:]), "holder": holder, "occurred_us": row[2]}
            asked.setdefault(self._keys[row[0]], []).append(case)
        require(asked, self.reference.late_questions, "cases of late pick-ups")
        refused: dict[Any, tuple[Any, ...]] = {}
        for row in self.read(
            "SELECT authorization_id, number, caller, request_id, reason, record_us"
            " FROM refused_increments ORDER BY user_id, authorization_id, number"
        ):
            before = refused.get(self._keys[row[0]], ())
            require(row[1], len(before) + 1, "number of a refused increment")
            refused[self._keys[row[0]]] = (*before, tuple(row[2:]))
        require(refused, self.reference.refused_increments, "refused_increments")
        self._check_cases()
        aliases = [
            _plain_alias(CONVERTERS[ALIASES].record(tuple(row)))
            for row in self.read("SELECT * FROM aliases")
        ]
        require(dict(aliases), self.reference.aliases, "aliases")
        charge_backs = {
            (self._keys[row[1]], row[2]): _plain_charge_back(ChargeBack(*row))
            for row in self.read("SELECT * FROM charge_backs")
        }
        require(charge_backs, self.reference.charge_backs, "charge-backs")
        items = {
            (row[0], row[1]): self._plain_item(SuspenseItem(*row))
            for row in self.read("SELECT * FROM suspense")
        }
        require(items, self.reference.suspense, "suspense")
        people = {
            row[0]: (bool(row[1]), row[2], row[3]) for row in self.read("SELECT * FROM users")
        }
        expected = {
            user_id: (it["consent"], it["features"], it["as_of_us"])
            for user_id, it in self.reference.people.items()
        }
        require(people, expected, "users")
        for user_id in self.reference.people:
            read = read_profile(self.store, user_id, CURRENCY)
            require(
                _plain_profile(read),
                self.reference.profile(self.reference.survivor(user_id)),
                "profile",
                user_id,
            )
        ((decisions,),) = self.read("SELECT count(*) FROM decisions")
        require(decisions, len(self.reference.decisions), "decisions")
        require(
            sorted(map(tuple, self.read(_VALUES))),
            sorted(self.reference.read_values),
            "the values read",
        )
        ((requests,),) = self.read("SELECT count(*) FROM requests")
        require(requests, len(self.reference.requests), "requests")

    def _check_quotas(self) -> None:
        """Compares the minutes of quotas that rentals used, and their sums."""
        found = {
            (self._keys[of], user_id, operator, self._passes.get(name, name), per, begin_us): (
                minutes,
                bool(returned),
            )
            for user_id, of, name, per, operator, begin_us, minutes, returned in self.read(
                "SELECT user_id, authorization_id, name, per, operator_id, period_us, minutes,"
                " returned_version FROM quota_uses"
            )
        }
        uses = self.reference.quota_uses
        require(found, {key: (it["minutes"], it["returned"]) for key, it in uses.items()}, "quotas")
        sums: Counter[tuple[Any, ...]] = Counter()
        for key, it in uses.items():
            if key[4] != "MINUTES_A_RENTAL":
                sums[key[1:]] += 0 if it["returned"] else it["minutes"]
        used = {
            (*row[:2], self._passes.get(row[2], row[2]), *row[3:5]): row[5]
            for row in self.read(
                "SELECT user_id, operator_id, name, per, period_us, used_minutes FROM quotas"
                " WHERE used_minutes > 0"
            )
        }
        require(used, {key: number for key, number in sums.items() if number}, "sums of quotas")
        counted = {
            self._passes[pass_id]: (number, refund_us)
            for pass_id, number, refund_us in self.read(
                "SELECT pass_id, uses, refund_us FROM passes"
            )
        }
        passes = self.reference.passes
        expected = {
            name: (plain_passes.uses(self.reference, name), it["refund_us"])
            for name, it in passes.items()
        }
        require(counted, expected, "passes")

    def _check_questions(self) -> None:
        """An item that stayed in suspense has one case, open as long as a part of the item is."""
        query = (
            "SELECT reference, user_id, authorization_id, operator_id, asked_minor,"
            f" {', '.join(plain_questions.STATE)} FROM cases WHERE kind = 'UNMATCHED_MONEY'"
        )
        found = sorted(
            (row[0], row[1], self._keys.get(row[2]), *row[3:]) for row in self.read(query)
        )
        expected = []
        for (caller, reference), (row,) in self.reference.questions.items():
            item, ended = row["item"], [row[name] for name in plain_questions.STATE]
            user_id = "" if item["key"] is None else item["user_id"]
            asks = "" if caller == PLATFORM else caller
            name = f"payments/{caller}/{reference}"
            expected.append((name, user_id, item["key"], asks, item["amount"], *ended))
        require(found, sorted(expected), "cases of unmatched money")

    def _learn_cases(self) -> None:
        """Reads the ids of new cases, so that calls can name them."""
        for user_id, authorization_id, case_id, version in self.read(
            "SELECT user_id, authorization_id, case_id, open_version FROM cases"
            f" WHERE case_id > '{self._last_case}' AND open_version > 0 ORDER BY case_id"
        ):
            key = self._keys[authorization_id]
            if key is None or (key, version) not in self.reference.cases:
                raise Violation(f"a case of no rental or of no step: {key} {version}")
            name = (key, version)
            self.reference.case_names[user_id, authorization_id, case_id] = name
            self._last_case = case_id
        require(len(self.reference.case_names), len(self.reference.cases), "cases")
        self._learn_questions()

    def _learn_questions(self) -> None:
        """Reads the names of the questions of the platform, so that calls can answer them."""
        names, places = self.reference.question_names, Counter[Any]()
        for user_id, of, case_id, kind, reference in self.read(
            "SELECT user_id, authorization_id, case_id, kind, reference FROM cases"
            " WHERE open_version = 0 ORDER BY case_id"
        ):
            about: dict[str, Any] = {
                "LATE_PICKUP": self._keys.get(of), "SECOND_REFERENCE": (user_id, of, reference),
                "UNMATCHED_MONEY": tuple(reference.split("/", 2)[1:]),
            }  # fmt: skip
            key = about[kind]
            names[user_id, of, case_id] = (kind, key, places[kind, key])
            places[kind, key] += 1

    def _check_cases(self) -> None:
        """Compares all cases, and all evidence."""
        said: dict[tuple[str, ...], list[Any]] = {}
        for row in self.read("SELECT * FROM case_evidence ORDER BY case_id, number"):
            said.setdefault(tuple(row[:3]), []).append((*row[4:8],))
        found = {
            (self._keys[row[1]], row[10]): {
                **_plain_case(CONVERTERS[CASES].record(row)), "evidence": tuple(said[row[:3]]),
            }
            for row in map(
                tuple, self.read(f"SELECT {_CASED} FROM cases WHERE open_version > 0")
            )
        }  # fmt: skip
        require(found, self.reference.cases, "cases")

    def _check_lines(self) -> None:
        found = {row[0]: _plain_line(Line(*row)) for row in self.read("SELECT * FROM lines")}
        expected = {user_id: self.reference.shown(user_id) for user_id in self.reference.lines}
        for user_id, line in expected.items():
            if found.get(user_id) != line:
                require(found.get(user_id), line, "line", user_id)
        require(len(found), len(expected), "lines")
        payables = dict(
            self.read("SELECT operator_id, SUM(amount_minor) FROM operator_payables GROUP BY 1")
        )
        owed = {name: amount for name, amount in self.reference.owed.items() if amount}
        require({name: int(it) for name, it in payables.items() if it}, owed, "payable")

    def _check_entries(self) -> None:
        """Compares the new entries' sums by account with the reference's; none may be missing."""
        after = " OR ".join(
            f"(user_id = '{user_id}' AND currency = 'CNY' AND sequence > {self._entries[user_id]})"
            for user_id in self.reference.lines
        )
        if not after:
            return
        moved: defaultdict[tuple[Any, ...], int] = defaultdict(int)
        for row in self.read(
            "SELECT user_id, operator_id, authorization_id, transition, debit, credit,"
            f" amount_minor, sequence FROM entries WHERE {after} ORDER BY user_id, sequence"
        ):
            user_id, operator_id, authorization_id, transition, debit, credit, amount, number = row
            self._entries[user_id] += 1
            require(number, self._entries[user_id], "sequence", user_id)
            name = (user_id, operator_id, self._keys[authorization_id], transition)
            moved[*name, debit] += amount
            moved[*name, credit] -= amount
        expected: defaultdict[tuple[Any, ...], int] = defaultdict(int)
        for account, amount in self.reference.moved:
            expected[account] += amount
        self.reference.moved.clear()
        require(dict(moved), dict(expected), "entries")

    def _check_events(self) -> set[RentalKey]:
        """Requires an event for every step, with the rental and its operator; returns the rentals
        with events."""
        found: Counter[tuple[Any, ...]] = Counter()
        for row in self.read(
            "SELECT sequence, user_id, authorization_id, transition, event_us,"
            " authorization_version, operator_id, payload FROM outbox"
            f" WHERE sequence > {self._events} ORDER BY sequence"
        ):
            self._events = row[0]
            self._check_payload(*row[1:])
            found[row[1], self._keys.get(row[2], ("unknown", row[2], 0)), row[3], row[4]] += 1
            self.transitions[row[3]] += 1
        require(found, Counter(self.reference.events), "events")
        self.reference.events.clear()
        return {key for _, key, _, _ in found if key is not None}

    def _check_payload(
        self, user_id: str, of: str, transition: str, event_us: int, version: int,
        operator_id: str, payload: bytes,
    ) -> None:  # fmt: skip
        """Requires that a rental's event contains the rental, and a person's event nothing."""
        if not of:
            require((operator_id, payload), ("", b""), "payload", user_id)
            return
        told = read_payload(payload)
        name = f"users/{user_id}/authorizations/{of}"
        require((told.name, told.version), (name, version), "payload", of)
        step = (user_id, of, version, transition, event_us)
        require(beside(self.read, self.store, step, told), {}, "beside", of)
        key = self._keys.get(of)
        if key is not None:
            it = self.reference.rentals[key]
            require(operator_id, it["operator_id"], "operator", of)
            lapse, *_ = self.reference.lapses.get((key, version), ("",))
            require(told.lapse, lapse, "lapse", of)
            consent = self.reference.consents.get((key, version), "")
            require(told.consent, consent, "consent", of)
            given = self.reference.verdicts.get(key, (0,))[0] == version
            require(told.reviewed, given, "reviewed", of)
            found = told.receipt and told_receipt(told.receipt)
            due = receipt_of(self.reference, it, transition, event_us, version)
            require(found, due, "receipt", of)

    def _check_rentals(self, keys: Iterable[RentalKey]) -> None:
        names = sorted((self.reference.rentals[key]["user_id"], self._names[key]) for key in keys)
        if not names:
            return
        users = ", ".join(sorted({f"'{user_id}'" for user_id, _ in names}))
        ids = ", ".join(f"'{authorization_id}'" for _, authorization_id in names)
        query = f"SELECT {_SELECTED} FROM authorizations WHERE user_id IN ({users})"
        everything = len(names) == len(self.reference.rentals)
        rows = self.read(query if everything else f"{query} AND authorization_id IN ({ids})")
        require(len(rows), len(names), "authorizations")
        for row in rows:
            key = self._keys[row[1]]
            assert key is not None
            self._compare_row(_plain_row(row), self.reference.rentals[key], ("stored", key))

        where = f"user_id IN ({users})", f"authorization_id IN ({ids})"
        self._check_captures(*where, set(keys))
        self._check_details(*where, set(keys))
        self._check_lapses(*where, set(keys))
        self._check_consents(*where, set(keys))
        self._check_verdicts(*where, set(keys))

    def _check_consents(self, of_users: str, of_ids: str, keys: set[RentalKey]) -> None:
        """Compares the consents to damage charges."""
        rows = self.read(
            "SELECT authorization_id, authorization_version, user_consent_reference"
            f" FROM consents WHERE {of_users} AND {of_ids}"
        )
        found = {(self._keys[of], version): told for of, version, told in rows}
        expected = {name: it for name, it in self.reference.consents.items() if name[0] in keys}
        require(found, expected, "consents")

    def _check_verdicts(self, of_users: str, of_ids: str, keys: set[RentalKey]) -> None:
        """Compares the verdicts on reviews."""
        rows = self.read(
            "SELECT authorization_id, authorization_version, verdict, reason, reason_text,"
            f" decided_by FROM verdicts WHERE {of_users} AND {of_ids}"
        )
        found = {self._keys[of]: tuple(told) for of, *told in rows}
        expected = {name: it for name, it in self.reference.verdicts.items() if name in keys}
        require(found, expected, "verdicts")

    def _check_details(self, of_users: str, of_ids: str, keys: set[RentalKey]) -> None:
        """Compares what was told about the orders of these rentals."""
        columns = ", ".join(("authorization_id", *COLUMNS))
        rows = self.read(
            f"SELECT {columns} FROM authorization_details WHERE {of_users} AND {of_ids}"
        )
        found = {self._keys[of]: dict(zip(COLUMNS, row, strict=True)) for of, *row in rows}
        expected = {key: it for key, it in self.reference.details.items() if key in keys}
        require(found, expected, "details")

    def _check_lapses(self, of_users: str, of_ids: str, keys: set[RentalKey]) -> None:
        """Compares the list of what time ended."""
        rows = self.read(
            "SELECT authorization_id, authorization_version, lapse, transition, event_us"
            f" FROM lapses WHERE {of_users} AND {of_ids}"
        )
        found = {(self._keys[row[0]], row[1]): tuple(row[2:]) for row in rows}
        expected = {name: it for name, it in self.reference.lapses.items() if name[0] in keys}
        require(found, expected, "lapses")

    def _check_captures(self, of_users: str, of_ids: str, keys: set[RentalKey]) -> None:
        """Compares the rows of captures, corrections and attestations of these rentals."""
        for table, plain, expected in (
            (t.captures, _plain_capture, self.reference.captures),
            (t.corrections, _plain_correction, self.reference.corrections),
            (t.attestations, _plain_attestation, self.reference.attestations),
        ):
            names = ", ".join(column.name for column in t.recorded(table))
            query = f"SELECT {names} FROM {table.name} WHERE {of_users} AND {of_ids}"
            found = {(self._keys[row[1]], row[2]): plain(row[3:]) for row in self.read(query)}
            these = {name: row for name, row in expected.items() if name[0] in keys}
            for name, row in these.items():
                require(found.get(name), row, table.name, name)
            require(len(found), len(these), table.name)

    def _check_transfers(self, *, everything: bool) -> None:
        """Takes over the ids of new transfers, in the order of their requests."""
        if not everything and not self.reference.ordered:
            return
        new: defaultdict[RentalKey | None, list[Key]] = defaultdict(list)
        for row in self.read(f"SELECT {_ASKED} FROM transfers ORDER BY transfer_id"):
            name = (row[0], row[1])
            if name not in self.reference.transfers:
                new[self._keys[row[2]]].append(name)
            elif everything:
                require(self._plain_transfer(row), self.reference.transfers[name], "transfer")
        for transfer in self.reference.ordered:
            if not new[transfer["key"]]:
                raise Violation(f"a transfer is missing: {transfer}")
            self.reference.transfers[new[transfer["key"]].pop(0)] = transfer
        self.reference.ordered.clear()
        require([name for names in new.values() for name in names], [], "transfers")

    def _check_items(self) -> None:
        found = {(row[0], row[1]): row[3:] for row in self.read("SELECT * FROM open_items")}
        expected = {}
        for item, key in self.reference.items.items():
            custody = self.reference.rentals[key]["custody"]
            kind = custody if custody in ("MISSING", "SOLD") else "RENTED"
            expected[item] = (self._names[key], kind)
        require(found, expected, "items")

    def _check_sums(self) -> None:
        """Requires that a person's rentals add up to the line."""
        sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for it in self.reference.rentals.values():
            due = it["captured_credit"] - it["paid"] - it["lowered"] - it["written_off"]
            sums[it["user_id"]] += Counter(
                held=it["held_credit"], deposit=it["held_cash"], drawn=due,
                disputed=it["disputed"], charged_back=it["charged_back"],
                refund_payable=it["refund_payable"], overpaid=it["overpaid"],
                unheld=debt_due(it) + it["unheld_disputed"],
            )  # fmt: skip
        for user_id in self.reference.lines:
            line = self.reference.shown(user_id)
            for part in SUMS:
                require(line[part], sums[user_id][part], "sum", user_id, part)

    # -- the end ---------------------------------------------------------------------------------

    def finish(self) -> None:
        """At the end, requires that every row is right, the books have the money of the rail's
        statement, every retry gets its first answer, and the books verify."""
        self.check_all()
        require(self.statement.found(self.read), self.statement.expected(self.read), "rail")
        again = list(self.first.values())
        for place in range(0, len(again), 64):
            calls = [call._replace(late=False) for call in again[place : place + 64]]
            for call, result in self._retry(calls):
                require(result, self.answers[call.caller, call.request_id], "at the end", call)
        self._require_no_defect()
        self._check()
        found = verify_books(self.store.engine, read_payload=read_payload)
        require(found.fault, None, "verify")
        require(found.authorizations, len(self.reference.rentals), "verify")

    def _retry(self, calls: list[Call]) -> Iterable[tuple[Call, Result]]:
        """The results of calls that are sent again."""
        return zip(calls, self._send(calls, self.engine).results, strict=True)

    def close(self) -> None:
        """Closes the database."""
        if self._rival is not None:
            self._rival[0].close()
        self._session.close()
        self.store.close()


_DEATHS = frozenset(fault.name.lower() for fault in DEATHS)
_UNWRITTEN = _DEATHS - {"after_commit"}


def reason(result: Result) -> str:
    """The reason of a refusal; empty when there was none."""
    if isinstance(result, DeadlineTooNear):
        return "DEADLINE_TOO_NEAR"
    return result.reason if isinstance(result, FreeholdError) else ""


def name_of(call: Call) -> Key:
    """The key of a call's answer."""
    if isinstance(call.command, c.Wake) and not call.request_id:
        return "wake", call.command.authorization_id
    if isinstance(call.command, c.DecideCase) and not call.request_id:
        return "case", call.command.case_id
    return call.caller, call.request_id


def _plain_held(it: Row) -> Row:
    """A pass of the reference without what the engine does not tell."""
    return {name: value for name, value in it.items() if name not in ("terms", "debt")}


def _plain(it: Authorization) -> Row:
    """An authorization in the reference's words."""
    return {**dict(zip(_FIELDS, it, strict=True)), "wake_us": it.wake_us}


def _plain_charge_back(it: ChargeBack) -> Row:
    """A charge-back in the reference's words."""
    unseen = ("user_id", "authorization_id", "case_id", "currency", "changes", "digest")
    return {_short(name): value for name, value in it._asdict().items() if name not in unseen}


def _plain_row(values: Sequence[Any]) -> Row:
    """A row of `authorizations` in the reference's words."""
    row: Row = dict(zip(_COLUMNS, values, strict=True))
    for name in ("accept_offers", "reasons"):
        row[name] = tuple(row[name].split(",")) if row[name] else ()
    return row


def _plain_capture(values: Sequence[Any]) -> Row:
    """A row of `captures` in the reference's words, from the purpose on."""
    purpose, amount, reference, version, event_us, _, _, conceded, disputed = values
    return {
        "purpose": purpose, "amount": amount, "reference": reference, "version": version,
        "event_us": event_us, "conceded": conceded, "disputed": disputed,
    }  # fmt: skip


def _plain_correction(values: Sequence[Any]) -> Row:
    """A row of `corrections` in the reference's words, from the transition on."""
    names = ("transition", "capture", "amount", "conceded", "disputed", "reference", "reason")
    return dict(zip((*names, "version", "event_us"), values, strict=False))


def _state(values: Sequence[Any]) -> Row:
    """The state of a question of the platform."""
    return dict(zip(plain_questions.STATE, values, strict=True))


def _plain_case(it: Case) -> Row:
    """A case as the reference keeps it, with the number of its rows of evidence."""
    row = {_short(name): value for name, value in it._asdict().items()}
    for name in ("user_id", "authorization_id", "case_id", "open_version", "version", "digest"):
        del row[name]
    require(it.digest, digest_of(it), "digest")
    require((row.pop("currency"), row.pop("reference")), (CURRENCY, ""), "case")
    require(row.pop("opened_by"), "USER", "case")
    return row


def _plain_alias(it: AliasRecord) -> tuple[str, Row]:
    """A person's id and the alias, as the reference has it."""
    row = it._asdict()
    if row.pop("digest") != it.right_digest:
        raise Violation(f"the digest of an alias is wrong: {it}")
    return row.pop("user_id"), row


def _plain_attestation(values: Sequence[Any]) -> Row:
    """A row of `attestations` in the reference's words, from the kind on."""
    names = ("kind", "cause", "source", "evidence", "until_us", "amount", "pending")
    return dict(zip((*names, "version", "event_us"), values, strict=False))


def _plain_profile(it: Profile) -> Row:
    """A profile in the reference's words."""
    kept = {name: getattr(it, name) for name in _PROFILE}
    return {**kept, "line": _plain_line(it.line)}


def _plain_line(line: Line) -> Row:
    return {name: getattr(line, column) for name, column in _LINE.items()}
