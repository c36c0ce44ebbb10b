"""The server: assembles its parts, starts them and stops them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from threading import Event
from typing import Any

from service.administering import acts_of, admission_of, terms_acts_of
from service.alarms import (
    FaultCount,
    log_failure,
    log_fault,
    log_health,
    log_start_check,
    log_terms,
    log_waiting,
    tell_debt,
    warn_of_gap,
)
from service.background import Background
from service.clock import Clock, SandboxClock, SystemClock
from service.conditions import CelConditions
from service.config import CURRENCY
from service.ending import TimeLeft, end_statements
from service.engine.clock_gaps import ClockGaps
from service.engine.engine import Engine
from service.engine.group_commit import Committer
from service.engine.health import Prober
from service.engine.pool import Pool, in_a_thread
from service.engine.ports import StorageFailed
from service.engine.preview_job import PreviewJob
from service.engine.prices import Prices
from service.engine.quotes import Quotes
from service.engine.readers import Readers
from service.engine.scoring import Assessor
from service.engine.verification_job import VerificationJob
from service.parts import Parts
from service.reference_data import check_reference_data
from service.rpc import (
    admin_service,
    admission_service,
    authorization_service,
    case_service,
    collection_service,
    credit_service,
    ledger_service,
    pass_service,
    previews,
    rail_service,
    sandbox_service,
    terms_service,
)
from service.rpc.admin_service import Administration
from service.rpc.admission_service import Admission
from service.rpc.batches import Batches
from service.rpc.beside import encode_beside
from service.rpc.charge_backs import ChargeBackReads
from service.rpc.convert import encode_authorization
from service.rpc.credit_service import People
from service.rpc.keys import KeyRing
from service.rpc.mutations import methods_of
from service.rpc.pipeline import Method, Pipeline
from service.rpc.quotes import QuoteReads
from service.rpc.rail_service import Rails
from service.rpc.retries import Retries
from service.rpc.second_person import SecondPerson
from service.rpc.transports import listener
from service.storage import approvals
from service.storage.charge_backs import ChargeBackLists
from service.storage.history import History
from service.storage.horizon import Horizon
from service.storage.keys import find_principal
from service.storage.lists import Lists
from service.storage.models import register_served
from service.storage.passes import PassLists
from service.storage.payables import payables_of
from service.storage.probe import probe
from service.storage.quoting import QuoteStore
from service.storage.requests import find_requests
from service.storage.start_check import check_tables


def build_version() -> str:
    """The build's version, which decisions record."""
    try:
        return version("freehold")
    except PackageNotFoundError:
        return "source"


class App:
    """One server process."""

    def __init__(self, parts: Parts, stop: Callable[[], None] = lambda: None) -> None:
        """`stop` is called if a part fails without which no call is answered."""
        check_reference_data()
        self._stop, self.failed = stop, False
        self.parts = parts
        limits, store = parts.limits, parts.store
        assessor = Assessor(store, parts.scorer)
        register_served(store.engine, assessor.features, parts.clock.now_us())
        self.faults = FaultCount(log_fault)
        self.clock_gaps = ClockGaps(warn_of_gap, limits.clock_gaps)
        engine = Engine(
            store,
            assessor,
            parts.clock,
            parts.ids,
            currency=CURRENCY,
            build=build_version(),
            max_attempts=limits.max_attempts,
            log_fault=self.faults,
            log_terms=log_terms,
            notice_gap=self.clock_gaps.add,
            encode=encode_authorization,
            encode_beside=encode_beside,
            pauses=limits.conflict_pauses,
            log_debt=tell_debt,
            conditions=CelConditions(),
        )
        self.engine_statistics, self.decisions = engine.statistics, engine.decisions
        self.terms, self.debts = engine.terms, engine.debts
        self._readers = Readers(limits.reads)
        familiar = Pool("key lookups", limits.key_lookups)
        strangers = Pool("unknown key lookups", limits.unknown_key_lookups)
        backstage = Pool("background reads", limits.background)
        administrators = Pool("administrative acts", limits.administrators)
        pools = self._readers, familiar, strangers, backstage, administrators
        self.pools: tuple[Readers | Pool, ...] = pools
        self.prober = Prober(
            partial(probe, store.engine), self._tell_health, limits.probe, log_health
        )
        self.committer = Committer(engine.apply, limits.commit, self.prober.notice, self._fail)
        horizon = Horizon(store.engine, log_waiting, notice_after_s=limits.horizon_log_s)
        now_us = _key_clock(parts).now_us
        self._keys = KeyRing(
            lambda key_hash: find_principal(store.engine, key_hash, now_us()),
            familiar=familiar,
            strangers=strangers,
            limits=limits.keys,
            now_us=now_us,
        )
        use = partial(approvals.use_for_call, store.engine)
        second = SecondPerson(use, administrators, now_us, limits.second_person)
        self.pipeline = Pipeline(self._keys, second, limits, self.committer.notice_overload)
        acts = acts_of(store.engine)
        self._administration = Administration(acts, administrators, now_us, limits.administration)
        self._terms = terms_service.TermsDocuments(
            terms_acts_of(store.engine), administrators, now_us
        )
        self._admission = Admission(admission_of(store.engine), administrators, parts.clock.now_us)
        lists = Lists(
            store.engine,
            horizon,
            wait_s=limits.page_wait_s,
            retry_ms=limits.page_retry_ms,
            window=limits.page_window,
        )
        url = store.engine.url.render_as_string(hide_password=False)
        seals = None if parts.seal_key is None else [parts.seal_key.public.public_bytes_raw()]
        self._verifications = VerificationJob(url, seals, limits.verifications, limits)
        self._previews = PreviewJob(url, limits.previews, limits)
        self._rails = Rails(
            self.committer,
            lists,
            self._readers,
            parts.clock,
            parts.rail_secret,
            tolerance_s=limits.rail_tolerance_s,
        )
        self.background = Background(
            parts, engine, self.committer, backstage, horizon, self._keys, self._rails, self.faults
        )
        quotes = Quotes(engine, QuoteStore(store), parts.clock)
        services = self._services(assessor, lists, quotes)
        self._server = listener(
            parts.transport, self.pipeline, services, limits, self.committer, self._fail
        )
        self._probing: asyncio.Task[None] | None = None
        self._searching: asyncio.Task[None] | None = None
        self._stopping = Event()

    def _services(
        self, assessor: Assessor, lists: Lists, quotes: Quotes
    ) -> dict[str, list[Method[Any]]]:
        parts, store, small = self.parts, self.parts.store, self.parts.limits.max_message_bytes
        retries = Retries(partial(find_requests, store.engine), self._readers)
        needed = (self.committer, store, assessor, self._readers, retries)
        at_once = parts.limits.bulk_in_flight
        people = People(*needed, currency=CURRENCY, bulk_in_flight=at_once)
        prices = Prices(self.terms)
        rentals = authorization_service.AuthorizationReads(store, lists, prices, self._readers)
        payables = partial(payables_of, store.engine)
        treasury = collection_service.CollectionReads(payables, self._readers)
        history = History(store.engine)
        books = ledger_service.LedgerServicer(self._verifications.verify, history, self._readers)
        changing = partial(methods_of, self.committer, retries)
        batches = Batches(self.committer, retries, self.pipeline, parts.limits)
        services = {
            authorization_service.SERVICE: [
                *rentals.methods(small),
                *QuoteReads(quotes, self._readers).methods(small),
                *changing(authorization_service.MUTATIONS, small),
                *batches.methods(authorization_service.BATCHES),
            ],
            credit_service.SERVICE: [
                *people.methods(small, parts.limits.max_bulk_message_bytes),
                *credit_service.Reviews(lists, prices, self._readers).methods(small),
                *changing(credit_service.MUTATIONS, small),
            ],
            collection_service.SERVICE: [
                *treasury.methods(small),
                *ChargeBackReads(ChargeBackLists(store.engine), self._readers).methods(small),
                *changing(collection_service.MUTATIONS, small),
            ],
            case_service.SERVICE: [
                *case_service.CaseReads(store, lists, self._readers).methods(small),
                *changing(case_service.MUTATIONS, small),
            ],
            pass_service.SERVICE: [
                *pass_service.PassReads(PassLists(store.engine), self._readers).methods(small),
                *changing(pass_service.MUTATIONS, small),
            ],
            ledger_service.SERVICE: books.methods(small),
            rail_service.SERVICE: self._rails.methods(small),
            admin_service.SERVICE: self._administration.methods(small),
            terms_service.SERVICE: [
                *self._terms.methods(small),
                previews.Previews(self._previews, parts.clock.now_us).method(small),
            ],
            admission_service.SERVICE: self._admission.methods(small),
        }
        self._administration.know(services)
        if isinstance(parts.clock, SandboxClock):
            hand = sandbox_service.SandboxServicer(parts.clock, self.background.catch_up)
            services[sandbox_service.SERVICE] = hand.methods(small)
        return services

    async def start(self, address: str) -> int:
        """Serves on the address, and returns the port.

        Raises CannotListen. Raises ClockUnproven if the machine's clock is far ahead of the
        database and was not confirmed.
        """
        if isinstance(self.parts.clock, SystemClock):
            newest_us = self.parts.store.newest_us()
            self.parts.clock.compare_start(newest_us, vouched=self.parts.clock_vouched)
        tls = self.parts.tls
        self.committer.start()
        try:
            port = await self._server.start(address, tls and tls.credentials())
        except BaseException:
            await self.committer.close()
            for pool in self.pools:
                pool.end()
            raise
        await self.prober.start()
        self._probing = asyncio.create_task(self.prober.run())
        self._searching = asyncio.create_task(self._search())
        self.background.start()
        return port

    def _fail(self, part: str, error: BaseException) -> None:
        """Lets the server stop, because without this part no call is answered."""
        self.failed = True
        log_failure(part, error)
        self._stop()

    async def _search(self) -> None:
        """Looks for damage in the database's file, and reports it."""
        engine, most_s = self.parts.store.engine, self.parts.limits.sqlite.start_check_s
        search = partial(check_tables, engine, most_s, self._stopping)
        try:
            found = await in_a_thread("search for damage", search)
        except Exception as error:  # it must not end the server
            log_fault(secrets.token_hex(8), error)
            return
        log_start_check(found)
        if found.fault is not None:
            await self.prober.damaged(StorageFailed(f"{found.fault.row} is damaged"))

    async def _tell_health(self, serving: bool) -> None:
        self.parts.store.doubt()
        self._server.set_serving(serving)

    async def stop(self) -> list[str]:
        """Stops accepting calls, lets running calls finish, drains the queue, and closes.

        It takes at most `drain_s` and `closing_s` seconds. A part has what those before it
        left. Returns the parts that still run then.
        """
        limits = self.parts.limits
        time = TimeLeft(limits.drain_s + limits.closing_s)
        self.prober.close()
        self._stopping.set()
        jobs = asyncio.gather(self._verifications.close(), self._previews.close())
        if self._probing is not None:
            self._probing.cancel()
        await time.end("workers", self._stop_workers(), limits.drain_s)
        drain_s = max(0.0, time.left_s - limits.closing_s)
        calls = self._server.stop(drain_s, limits.notice_s)
        await time.end("calls", calls, drain_s + limits.closing_s / 4)
        await time.end("verification and preview", jobs, time.left_s - limits.closing_s / 2)
        if self._searching is not None:
            await time.end("search for damage", self._searching, time.left_s - limits.closing_s / 4)
        await self.background.last_seal(min(limits.last_seal_s, time.left_s / 4))
        writer = asyncio.create_task(self.committer.close())
        await time.wait(writer, time.left_s / 2)
        await end_statements(time, self.pools, writer, self.parts.store.interrupt)
        if not time.running:
            closing = in_a_thread("closing", self.parts.store.close)
            await time.end("database", closing, time.left_s)
        return time.running

    async def _stop_workers(self) -> None:
        probing = [] if self._probing is None else [self._probing]
        await asyncio.gather(*probing, return_exceptions=True)
        await self.background.stop()


def _key_clock(parts: Parts) -> Clock:
    """The clock by which keys expire. A sandbox moves its own clock, but not that of its keys."""
    if parts.key_clock is not None:
        return parts.key_clock
    return SystemClock() if isinstance(parts.clock, SandboxClock) else parts.clock
