"""Log lines of the server: faults, health, clocks, terms, seals, certificates, and money that
waits."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import structlog

from service.certificates import Identity, TlsAlarms
from service.clock import ClockNews
from service.domain.breakers import OpenedBreaker
from service.engine.calls import Work
from service.engine.catalog import TermsFault
from service.engine.clock_gaps import ClockGap
from service.engine.debts import Debt
from service.engine.engine import FaultLog
from service.engine.ports import OwedBack
from service.engine.records.seals import SealRecord
from service.storage.horizon import Waiting
from service.storage.start_check import StartCheck

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


CLOCK_NEWS = {
    ClockNews.JUMPED: "the machine's clock was set: the server keeps its own time. Until the "
    "machine's clock is right again, nothing lapses, is lost, sold or debited by time alone. If "
    "the new time is right, restart the server",
    ClockNews.RIGHT_AGAIN: "the server follows the machine's clock again",
    ClockNews.BEHIND: "the machine's clock is behind the newest event in the database: one of "
    "them is wrong; set the clock and restart the server",
}


def log_clock(news: ClockNews, off_us: int) -> None:
    """Logs news of the clock."""
    # A log that cannot be written must not stop the readers of the clock.
    with suppress(Exception):
        write = log.info if news is ClockNews.RIGHT_AGAIN else log.error
        write(str(news), off_s=round(off_us / 1_000_000, 3), what=CLOCK_NEWS[news])


def log_seal(seal: SealRecord) -> None:
    # The logged witness proves a seal that somebody may later cut off.
    with suppress(Exception):
        witness = f"{seal.number}:{seal.digest.hex()}"
        log.info("seal", witness=witness, heads=len(seal.heads), key_id=seal.key_id)


def log_terms(fault: TermsFault, *, mended: bool) -> None:
    with suppress(Exception):
        write, event = (log.info, "terms_right_again") if mended else (log.error, "terms_wrong")
        write(event, kind=str(fault.kind), of=[str(part) for part in fault.key], why=fault.why)


def log_breaker(it: OpenedBreaker) -> None:
    """Logs a breaker that opened, or closed by its own rule."""
    # Operators and policies are no personal data.
    with suppress(Exception):
        write, event = log.warning, "breaker_open"
        if it.close_us is not None:
            write, event = log.info, "breaker_closed"
        write(
            event,
            operator_id=it.operator_id,
            number=it.number,
            policy=it.policy_id,
            currency=it.currency,
            loss_minor=it.loss_minor,
            most_minor=it.most_minor,
            rentals=it.rentals,
            why="the losses of the window were beyond the policy's bound: new rentals need the"
            " whole deposit in cash until the breaker closes",
        )


def warn_of_gap(gap: ClockGap, seen: int) -> None:
    # The caller is an operator, so its id is not personal data.
    with suppress(Exception):
        log.warning(
            "clock ahead",
            operator_id=gap.caller,
            method=gap.method,
            ahead_s=round(gap.gap_us / 1_000_000, 3),
            seen=seen,
            why="the call's time is more than a minute later than this server's clock: it was"
            " taken as now; correct the wrong clock",
        )


def log_waiting(it: Waiting) -> None:
    with suppress(Exception):
        log.warning(
            "reading waits",
            pid=it.pid,
            application=it.application,
            since_s=round(it.since_s, 1),
            why="a transaction of this PostgreSQL process has not ended, and seals and the newest"
            " pages of lists wait for it: end the transaction; if the pid is 0, roll back the"
            " prepared transactions",
        )


def _log_certificate(it: Identity) -> None:
    with suppress(Exception):
        log.info("certificate", sha256=it.fingerprint, ends=it.ends.isoformat())


def _log_unusable(why: str) -> None:
    with suppress(Exception):
        log.error("certificate unusable", why=f"{why}; the certificate before it stays in use")


def _log_usable_again() -> None:
    with suppress(Exception):
        log.info("certificate usable again")


def _warn_of_end(it: Identity, left: timedelta) -> None:
    with suppress(Exception):
        write = log.warning if left > timedelta() else log.error
        write(
            "certificate ends",
            sha256=it.fingerprint,
            ends=it.ends.isoformat(),
            left_days=left.days,
            why="write a new certificate and its key into the same files: the server uses them"
            " without a restart",
        )


TLS_ALARMS = TlsAlarms(_log_certificate, _log_unusable, _log_usable_again, _warn_of_end)


def log_start_check(found: StartCheck) -> None:
    """Logs the result of the search for damage after the start."""
    with suppress(Exception):
        if found.fault is not None:
            log.error(
                "database_damaged",
                where=found.fault.row,
                what=found.fault.detail,
                why="its file was changed by a disk, a memory fault or another program: stop the"
                " server, keep the file, and restore a backup",
            )
        elif found.left:
            log.info("database_checked_in_part", tables=len(found.checked), left=list(found.left))
        elif found.checked:
            log.info("database_checked", tables=len(found.checked))


def log_health(serving: bool, error: BaseException | None) -> None:
    with suppress(Exception):
        if serving:
            log.info("storage is back")
        else:
            # The cause of a refused batch is in the fault logged before.
            why = "a batch was refused" if error is None else str(error)
            cause = None if error is None else error.__cause__
            said = cause and (str(cause) or type(cause).__name__).splitlines()[0]
            log.error("storage is away", why=why, cause=said)


def log_fault(fault_id: str, error: BaseException, about: Work | None = None) -> None:
    # A log that cannot be written (closed pipe, full disk) must not stop the calls.
    with suppress(Exception):
        met = {} if about is None else {"method": about.method, "request_id": about.request_id}
        log.error("fault", fault_id=fault_id, **met, exc_info=error)


def log_failure(part: str, error: BaseException) -> None:
    """Logs that a part has failed without which the server cannot go on."""
    with suppress(Exception):
        log.error("part_failed", part=part, why="the server stops", exc_info=error)


def warn_of_open_files(paths: Sequence[str]) -> None:
    """Warns that other users of the machine may read or write these files."""
    if paths:
        log.warning("open_to_others", files=list(paths), do=shlex.join(["chmod", "600", *paths]))


class FaultCount:
    """Counts faults on their way to the log."""

    def __init__(self, log_fault: FaultLog) -> None:
        self._log_fault = log_fault
        self.count = 0
        """The faults since the start."""

    def __call__(self, fault_id: str, error: BaseException, about: Work | None = None) -> None:
        """Counts and logs one fault."""
        self.count += 1
        self._log_fault(fault_id, error, about)
