"""Scrapes a server's metrics once a second, as a Prometheus does."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self
from urllib.request import urlopen

from benchmarks.harness import BenchmarkError

_EVERY_S = 1.0
_LIMIT_S = 10.0


class Scraper:
    """A thread that scrapes an endpoint until the block ends; a context manager."""

    def __init__(self, port: int) -> None:
        self.scrapes = 0
        """The scrapes that succeeded."""
        self._url = f"http://127.0.0.1:{port}/metrics"
        self._ended = threading.Event()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="scraper", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raises BenchmarkError if a scrape failed, or none was made."""
        self._ended.set()
        self._thread.join()
        if error is None and (self._error is not None or not self.scrapes):
            raise BenchmarkError(f"{self._url} could not be scraped: {self._error}")

    def _run(self) -> None:
        try:
            while True:
                with urlopen(self._url, timeout=_LIMIT_S) as answer:
                    answer.read()
                self.scrapes += 1
                if self._ended.wait(_EVERY_S):
                    return
        except OSError as error:
            self._error = error
