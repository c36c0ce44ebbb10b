"""Assembles watches of the server: looks at the database beside the calls."""

from __future__ import annotations

from sqlalchemy import Engine

from service.alarms import log_breaker
from service.clock import Clock
from service.config import Limits
from service.engine.breakers import LossWatch
from service.engine.pool import Pool
from service.engine.terms import Terms
from service.engine.workers.breakers import BreakerWatch
from service.engine.workers.worker import Work
from service.storage.breakers import BreakerStore


def breaker_work(
    terms: Terms, engine: Engine, clock: Clock, pool: Pool, limits: Limits
) -> tuple[Work, float, None]:
    """The work of the watch over the losses of policies with breakers, and its interval."""
    watch = BreakerWatch(LossWatch(terms, BreakerStore(engine), log_breaker), clock, pool)
    return watch.work, limits.breakers_interval_s, None
