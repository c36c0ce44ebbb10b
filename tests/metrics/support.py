"""Helpers of the tests of metrics."""

from __future__ import annotations

import asyncio

from tests.fakes import Served


def read_figures(served: Served) -> None:
    """Reads the figures over the whole database, and the sums owed back, now."""
    for work in (served.app.background.figures.work, served.app.background.owed_back.work):
        asyncio.run_coroutine_threadsafe(work(), served.loop).result(30)
