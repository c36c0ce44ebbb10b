"""A payment rail for sandboxes and tests: it moves nothing, and answers as a real one does.

It takes each transfer once, however often it is sent; whether it succeeds follows from the
transfer's id and a seed, so that runs repeat; and it tells by signed call-backs, some of them
twice. A debit that failed may succeed when the ladder asks again, since that is another transfer.
Of some debits it says that they failed, and days later that they succeeded.
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
    """Shares in percent: of debits and payouts that fail, of failed debits that succeed after all,
    and of call-backs that come twice; `late_us` is how long after it was handed in a debit succeeds
    late, in microseconds."""

    failing_debits: int = 15
    failing_payouts: int = 2
    late_debits: int = 5
    late_us: int = 4 * DAY_US
    repeated: int = 10
    seed: int = 1


class SimulatedRail:
    """Implements `engine.ports.Rail`; call-backs go out when `tell` is awaited."""

    def __init__(self, secret: bytes, clock: Clock, behaviour: Behaviour | None = None) -> None:
        self._secret = secret
        self._clock = clock
        self._behaviour = behaviour or Behaviour()
        self._taken: dict[str, RailReport] = {}
        self._untold: dict[str, RailReport] = {}
        self._late_us: dict[str, int] = {}
        """When a debit of which it says that it failed will have succeeded."""

    @property
    def taken(self) -> int:
        """How many transfers it was given, each counted once."""
        return len(self._taken)

    async def submit(self, transfer: TransferRecord) -> None:
        """Takes a transfer; one that was taken before is told again, and not done again."""
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
        """From 0 to 99, always the same for the same transfer."""
        text = f"{self._behaviour.seed}/{what}/{transfer_id}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) % 100

    async def tell(self, deliver: Deliver) -> int:
        """Delivers the call-backs that are due; returns how many were acknowledged."""
        self._change_minds()
        untold, self._untold = self._untold, {}
        told = await asyncio.gather(*(self._tell(report, deliver) for report in untold.values()))
        return sum(told)

    def _change_minds(self) -> None:
        """What is known by now to have succeeded after all is to be told."""
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
            # Whatever it was: not acknowledged, so that it is told once more.
            self._untold[report.transfer_id] = report
            return False
        return True
