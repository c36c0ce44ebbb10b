"""A simulated payment rail for sandboxes and tests: it moves no money, and answers as a real rail.

It executes each transfer once, however often it is sent. A transfer's outcome follows from its id
and a seed, so that runs repeat. The rail reports outcomes by signed call-backs, some of them twice.
A debit that failed may succeed when dunning asks again, because the next debit is another transfer.
The rail reports some debits as failed and, days later, as succeeded.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass

from service.clock import Clock
from service.domain.authorization import TransferKind
from service.domain.dunning import DAY_US
from service.engine.ports import Deliver
from service.engine.records.transfers import TransferRecord, TransferState
from service.rails.callbacks import RailReport, sign, write_report


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Shares in percent of failing debits, failing payouts, late debits and repeated call-backs.

    A late debit fails first, and succeeds `late_us` microseconds after it was handed in.
    """

    failing_debits: int = 15
    failing_payouts: int = 2
    late_debits: int = 5
    late_us: int = 4 * DAY_US
    repeated: int = 10
    seed: int = 1


class SimulatedRail:
    """Implements `engine.ports.Rail`; awaiting `tell` sends the call-backs."""

    def __init__(self, secret: bytes, clock: Clock, behaviour: Behaviour | None = None) -> None:
        self._secret = secret
        self._clock = clock
        self._behaviour = behaviour or Behaviour()
        self._taken: dict[str, RailReport] = {}
        self._untold: dict[str, RailReport] = {}
        self._late_us: dict[str, int] = {}
        """The times at which debits reported as failed succeed after all, by transfer id."""

    @property
    def taken(self) -> int:
        """The number of transfers handed in, each counted once."""
        return len(self._taken)

    async def submit(self, transfer: TransferRecord) -> None:
        """Executes a transfer; for a known one it only repeats the report."""
        report = self._taken.get(transfer.transfer_id)
        if report is None:
            report = self._decided(transfer)
            self._taken[transfer.transfer_id] = report
            debit = transfer.kind is TransferKind.DEBIT
            if debit and report.state is TransferState.FAILED and self._is_late(report):
                self._late_us[report.transfer_id] = self._clock.now_us() + self._behaviour.late_us
        self._untold[transfer.transfer_id] = report

    def _decided(self, transfer: TransferRecord) -> RailReport:
        behaviour = self._behaviour
        debit = transfer.kind is TransferKind.DEBIT
        share = behaviour.failing_debits if debit else behaviour.failing_payouts
        failed = self._draw(transfer.transfer_id, "outcome") < share
        return RailReport(
            transfer.user_id,
            transfer.transfer_id,
            TransferState.FAILED if failed else TransferState.SUCCEEDED,
            "INSUFFICIENT_FUNDS" if failed else "",
        )

    def _is_late(self, report: RailReport) -> bool:
        return self._draw(report.transfer_id, "late") < self._behaviour.late_debits

    def _draw(self, transfer_id: str, what: str) -> int:
        """A number from 0 to 99, always the same for the same transfer and `what`."""
        text = f"{self._behaviour.seed}/{what}/{transfer_id}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) % 100

    async def tell(self, deliver: Deliver) -> int:
        """Sends the due call-backs, and returns the number of acknowledged ones."""
        self._queue_late_successes()
        untold, self._untold = self._untold, {}
        told = await asyncio.gather(*(self._tell(report, deliver) for report in untold.values()))
        return sum(told)

    def _queue_late_successes(self) -> None:
        """Queues the reports of late debits that have succeeded by now."""
        now_us = self._clock.now_us()
        for transfer_id in [it for it, at_us in self._late_us.items() if at_us <= now_us]:
            del self._late_us[transfer_id]
            report = self._taken[transfer_id]._replace(state=TransferState.SUCCEEDED, detail="")
            self._taken[transfer_id] = self._untold[transfer_id] = report

    async def _tell(self, report: RailReport, deliver: Deliver) -> bool:
        body = write_report(report)
        again = self._draw(report.transfer_id, "again") < self._behaviour.repeated
        try:
            for _ in range(2 if again else 1):
                await deliver(body, sign(body, self._secret, self._clock.now_us() // 1_000_000))
        except Exception:
            # The call-back was not acknowledged, so it is sent again.
            self._untold[report.transfer_id] = report
            return False
        return True
