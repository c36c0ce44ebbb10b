"""One log line a call, at most so many in a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from service.domain.access import PLATFORM

log = structlog.get_logger("freehold.calls")


class CallLog:
    """Logs calls without personal data; calls beyond the bound are counted in the next line."""

    def __init__(self, a_second: int, steady_s: Callable[[], float] = time.monotonic) -> None:
        """Logs at most `a_second` calls in a second; 0 logs none."""
        self._a_second = a_second
        self.wanted = a_second > 0
        self._steady_s = steady_s
        self._second = 0
        self._logged = 0
        self._left_out = 0

    def add(
        self,
        method: str,
        code: str,
        reason: str,
        caller: str | None,
        request_id: str,
        took_s: float,
    ) -> None:
        """Logs one call; `caller` is the operator's id, empty for an unknown caller, or None for
        the platform."""
        second = int(self._steady_s())
        if second != self._second:
            self._second, self._logged = second, 0
        if self._logged >= self._a_second:
            self._left_out += 1
            return
        self._logged += 1
        left_out, self._left_out = self._left_out, 0
        with suppress(Exception):  # a log that cannot be written must not stop the calls
            log.info(
                "call",
                method=method,
                code=code,
                reason=reason,
                caller=PLATFORM if caller is None else caller,
                request_id=request_id,
                ms=round(took_s * 1000, 3),
                left_out=left_out,
            )
