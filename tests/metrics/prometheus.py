"""A real Prometheus for tests: it scrapes a server, and answers queries."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from benchmarks.processes import free_port
from tests.metrics.files import ALARMS

PROGRAMS = {name: shutil.which(name) for name in ("prometheus", "promtool")}
WAIT_S = 60.0
"""The longest wait of a test; reached only when something is wrong."""

CONFIGURATION = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{alarms}"]
scrape_configs:
  - job_name: freehold
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


class Prometheus:
    """A running Prometheus."""

    def __init__(self, address: str) -> None:
        self.address = address

    def ask(self, path: str, **parts: str) -> Any:
        """The data of an answer of its API."""
        with urlopen(f"{self.address}/api/v1/{path}?{urlencode(parts)}", timeout=WAIT_S) as answer:
            document = json.load(answer)
        assert document["status"] == "success", document
        return document["data"]

    def values(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The labels and values of an expression now."""
        found = self.ask("query", query=expression)["result"]
        return [(it["metric"], float(it["value"][1])) for it in found]

    def wait_until(self, expression: str) -> None:
        """Waits until an expression has a result."""
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                if self.values(expression):
                    return
            except (URLError, ConnectionError):
                pass
            assert time.monotonic() < deadline, f"no result of {expression}"
            time.sleep(0.2)


@contextmanager
def scraping(folder: Path, port: int) -> Iterator[Prometheus]:
    """A Prometheus with the shipped alarms, which scrapes a port every second."""
    program = PROGRAMS["prometheus"]
    assert program is not None
    configuration = folder / "prometheus.yml"
    configuration.write_text(CONFIGURATION.format(alarms=ALARMS, port=port), "utf-8")
    listen = f"127.0.0.1:{free_port()}"
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={configuration}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={listen}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        started = Prometheus(f"http://{listen}")
        started.wait_until('up{job="freehold"} == 1')
        yield started
    finally:
        process.terminate()
        process.wait(WAIT_S)
