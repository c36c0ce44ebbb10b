"""A server whose steps are timed: ``python -m benchmarks.budget_server FILE serve …``.

The functions of an Authorize are wrapped by a meter of their thread's CPU time before the server
starts. The time of a step is its own: the time of another step within it counts there. The meter's
own price, measured at the start, is taken off. At each SIGUSR1 the sums so far go to FILE as one
line of JSON.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

from sqlalchemy import Engine as Database

from models.scorer import ModelScorer
from service.cli import cli
from service.engine.context import Context
from service.engine.engine import Engine
from service.engine.group_commit import Committer
from service.engine.operations import BY_COMMAND, Authorize, authorize
from service.engine.rows import Rows
from service.engine.scoring import Assessor
from service.rpc import mutations, pipeline
from service.rpc.direct import DirectCall
from service.rpc.frame_bounds import Link
from service.storage.sqlite import SqliteSession
from service.storage.store import SqlStore
from service.storage.transaction import BatchStatements, SqlTransaction

_TRIALS = 20_000


class Meter:
    """Sums of CPU time by step, each without the steps called in it."""

    def __init__(self) -> None:
        self._taken: defaultdict[str, float] = defaultdict(float)
        self._calls: defaultdict[str, int] = defaultdict(int)
        self._nested: defaultdict[str, int] = defaultdict(int)
        self._here = threading.local()
        self._inside_s, self._around_s = self._prices()

    def timed(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose time is added to a step."""
        taken, calls, nested, here = self._taken, self._calls, self._nested, self._here
        clock = time.thread_time

        @wraps(function)
        def measured(*arguments: Any, **named: Any) -> Any:
            outer = getattr(here, "times", None)
            here.times = own = [0.0, 0]
            began_s = clock()
            try:
                return function(*arguments, **named)
            finally:
                took_s = clock() - began_s
                here.times = outer
                if outer is not None:
                    outer[0] += took_s
                    outer[1] += 1
                taken[step] += took_s - own[0]
                calls[step] += 1
                nested[step] += int(own[1])

        return measured

    def of(self, owner: Any, name: str, step: str) -> None:
        """Times a function or method in its place."""
        setattr(owner, name, self.timed(step, getattr(owner, name)))

    def _prices(self) -> tuple[float, float]:
        """The seconds that measuring adds to a step, and to the step around it."""
        empty = self.timed("", lambda: None)
        began_s = time.thread_time()
        for _ in range(_TRIALS):
            empty()
        whole_s, inside_s = time.thread_time() - began_s, self._taken.pop("")
        del self._calls[""], self._nested[""]
        return inside_s / _TRIALS, (whole_s - inside_s) / _TRIALS

    def sums(self) -> dict[str, Any]:
        """The CPU seconds of each step and of the process, without the price of measuring."""
        price_s = self._inside_s + self._around_s
        steps = {
            step: taken_s - self._calls[step] * self._inside_s - self._nested[step] * self._around_s
            for step, taken_s in self._taken.items()
        }
        process_s = time.process_time() - sum(self._calls.values()) * price_s
        return {"steps": steps, "calls": dict(self._calls), "process_s": process_s}


def time_steps(meter: Meter) -> None:
    """Wraps the functions of an Authorize."""
    meter.of(pipeline, "parse", "parse and check the message")
    _time_mutations(meter)
    meter.of(Committer, "send", "queue")
    meter.of(Committer, "_take", "take turns")
    # These four are of the native transport.
    meter.of(Link, "sent", "pass frames to the transport")
    meter.of(Link, "answered", "pass frames to the client")
    meter.of(DirectCall, "start", "admit")
    meter.of(DirectCall, "answer", "send the answer")
    meter.of(Engine, "apply", "batch, other work")
    meter.of(Assessor, "assess", "score: assessments")
    meter.of(ModelScorer, "score_with_reasons", "score: model")
    meter.of(SqliteSession, "begin", "begin")
    meter.of(SqliteSession, "commit", "commit")
    meter.of(Engine, "_read", "read: keys and records")
    meter.of(Rows, "merge", "merge")
    meter.of(authorize, "apply", "post the step")
    meter.of(Context, "told", "encode the authorization")
    meter.of(SqlTransaction, "write", "write: values of rows")
    meter.of(SqlTransaction, "rentals", "rules: rentals")
    decide = meter.timed("decide", BY_COMMAND[Authorize].decide)
    BY_COMMAND[Authorize] = replace(BY_COMMAND[Authorize], decide=decide)
    _time_statements(meter)


def _time_mutations(meter: Meter) -> None:
    made = mutations.works_of

    def work_of(mutation: mutations.Mutation) -> Any:
        timed = replace(
            mutation,
            command=meter.timed("make the command", mutation.command),
            write=meter.timed("encode the answer", mutation.write),
        )
        return made(timed)

    mutations.works_of = work_of


def _time_statements(meter: Meter) -> None:
    began = SqlStore.__init__

    def begin(self: SqlStore, engine: Database) -> None:
        began(self, engine)
        _time_batch(meter, self._statements)

    SqlStore.__init__ = begin  # type: ignore[method-assign]


def _time_batch(meter: Meter, statements: BatchStatements) -> None:
    for name in statements._fields:
        statement = getattr(statements, name)
        if hasattr(statement, "fetch"):
            _time_once(meter, statement, "fetch", f"SQLite reads {name}")
            _time_once(meter, statement, "run", f"SQLite writes {name.removeprefix('insert_')}")
    for table, of in statements.tables.items():
        for statement in of.read.values():
            _time_once(meter, statement, "fetch", f"SQLite reads {table.name}")
        for writing in (of.insert, of.usual_insert, of.update, of.usual_update):
            if writing is not None:
                _time_once(meter, writing.statement, "run", f"SQLite writes {table.name}")


def _time_once(meter: Meter, statement: Any, name: str, step: str) -> None:
    # The statements are built once for all stores of the process.
    if name not in vars(statement):
        meter.of(statement, name, step)


def main() -> None:
    """Serves, and writes the sums at each SIGUSR1."""
    out, *arguments = sys.argv[1:]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    meter = Meter()
    time_steps(meter)

    def tell() -> None:
        with Path(out).open("a", encoding="utf-8", buffering=1) as sink:
            while True:
                signal.sigwait({signal.SIGUSR1})
                sink.write(f"{json.dumps(meter.sums())}\n")

    threading.Thread(target=tell, name="sums", daemon=True).start()
    cli(arguments)


if __name__ == "__main__":
    main()
