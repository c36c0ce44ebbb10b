"""One attack against one server: a good caller before and during it, memory, and SIGTERM.

The server has one core. The good caller's generator and the attacker share the other; the attacker
has the lower priority, so that the good caller's latency is the server's and not the generator's.
SIGTERM comes while the attack goes on.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.attacks.attacker import Attacker, Facts
from benchmarks.attacks.ground import PEOPLE
from benchmarks.attacks.scene import Scene
from benchmarks.harness import BenchmarkError
from benchmarks.load import AUTHORIZE, Job, Report, generate
from benchmarks.processes import Server, two_cores
from service.config import LIMITS

GOOD_IN_FLIGHT = 8
MOST_SLOWER = 4.0
MOST_MEMORY = 1.5
LEAST_ANSWERED = 0.99
STOP_LIMIT_S = LIMITS.drain_s + 2.0
SURVIVED_MEANS = (
    f"a good caller ({GOOD_IN_FLIGHT} in flight) has at least {LEAST_ANSWERED:.0%} of its calls"
    f" answered with OK, its p50 is below {MOST_SLOWER:g} times its own without the attack,"
    f" the server's memory (its children's too) stays within {MOST_MEMORY:g} times that before the"
    f" attack, and SIGTERM during the attack ends the server with exit code 0 within"
    f" {STOP_LIMIT_S:g} s; some attacks add a condition, which `failed` names"
)
_LOOK_S = 0.1
_KIB = 1024


@dataclass(frozen=True)
class Attack:
    """An attack to play.

    name    of the attack in the report
    play    the name of a function in `benchmarks.attacks.play`
    size    its numbers
    ground  the kind of database: a name of `benchmarks.attacks.ground`
    method  the good caller's method
    unread  nobody reads the server's log
    extra   a further condition: the reasons why the facts at the end are wrong
    """

    name: str
    play: str
    size: dict[str, int]
    ground: str = PEOPLE
    method: str = AUTHORIZE
    unread: bool = False
    extra: Callable[[Facts], list[str]] = lambda _facts: []


@dataclass(frozen=True)
class Good:
    """The good caller's work.

    users    its people without the attack, then those with it
    warm_up  calls before each measurement
    limit_s  the longest time of a measurement
    """

    key: str
    users: tuple[tuple[str, ...], tuple[str, ...]]
    warm_up: int
    limit_s: float


@dataclass(frozen=True)
class Verdict:
    """The result of one attack.

    p50_ms_without, p50_ms_with  of the good caller; None if no call was answered
    p99_ms_with                  of the same calls
    answered_with                share of the good caller's calls that were answered with OK
    first_errors                 a few of the others
    memory_mib_before            of the server, after the good caller's calls without the attack
    memory_mib_most              the most during the attack
    stop_s                       seconds from SIGTERM to the end; None if it had to be killed
    attack                       facts of the attacker, at its start and at its end
    failed                       the conditions that do not hold; empty if the server survived
    """

    name: str
    survived: bool
    failed: list[str]
    p50_ms_without: float
    p50_ms_with: float | None
    p99_ms_with: float | None
    answered_with: float
    first_errors: list[str]
    memory_mib_before: float
    memory_mib_most: float
    stop_s: float | None
    attack: dict[str, Facts] = field(default_factory=dict)


class Memory:
    """Samples the resident memory of a process and its children until its end."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.most = resident_bytes(pid)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(_LOOK_S):
            self.most = max(self.most, resident_bytes(self._pid))


def resident_bytes(pid: int) -> int:
    """The resident bytes of a process and its children; 0 once it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(resident_bytes(int(it)) for it in children)


def besiege(attack: Attack, server: Server, scene: Scene, good: Good, log: Path) -> Verdict:
    """Play the attack against a server that is up; the server has ended afterwards.

    `log` gets the attacker's errors.
    """
    _, core = two_cores()
    job = Job(
        port=server.port, server_pid=server.pid, key=good.key, product_id=scene.product_id,
        in_flight=GOOD_IN_FLIGHT, warm_up=good.warm_up, users=good.users[0], seed=1,
        method=attack.method, limit_s=good.limit_s,
    )  # fmt: skip
    without = generate(job, core=core)
    before = resident_bytes(server.pid)
    with Memory(server.pid) as memory, Attacker(attack.play, scene, log) as attacker:
        begun = attacker.ready()
        during, errors = _during(replace(job, users=good.users[1], seed=2), core)
        stop = server.stop_within(STOP_LIMIT_S)
        ended = attacker.end()
    with_it = during.latency_ms_p50 if during else None
    answered = during.acknowledged / (during.acknowledged + during.errors) if during else 0.0
    failed = [
        *_slower(without.latency_ms_p50, with_it, answered),
        *_larger(before, memory.most),
        *([stop.fault] if stop.fault else []),
        *attack.extra(ended),
    ]
    return Verdict(
        name=attack.name,
        survived=not failed,
        failed=failed,
        p50_ms_without=without.latency_ms_p50,
        p50_ms_with=with_it,
        p99_ms_with=during.latency_ms_p99 if during else None,
        answered_with=answered,
        first_errors=during.first_errors if during else errors,
        memory_mib_before=before / _KIB**2,
        memory_mib_most=memory.most / _KIB**2,
        stop_s=None if stop.exit_code is None else stop.took_s,
        attack={"begun": begun, "ended": ended},
    )


def _during(job: Job, core: int) -> tuple[Report | None, list[str]]:
    """The good caller's report during the attack, or None and the reason."""
    try:
        report = generate(job, core=core)
    except BenchmarkError as error:
        return None, [str(error)[-500:]]
    return report, report.first_errors


def _slower(without_ms: float, with_ms: float | None, answered: float) -> list[str]:
    if with_ms is None:
        return ["the good caller was not answered"]
    found = []
    if answered < LEAST_ANSWERED:
        found.append(f"only {answered:.1%} of the good caller's calls were answered")
    if with_ms >= MOST_SLOWER * without_ms:
        found.append(f"the good caller's p50 grew from {without_ms:.1f} to {with_ms:.1f} ms")
    return found


def _larger(before: int, most: int) -> list[str]:
    if most <= MOST_MEMORY * before:
        return []
    return [f"memory grew from {before / _KIB**2:.0f} to {most / _KIB**2:.0f} MiB"]
