"""A flood of invented keys slows neither the server's own work nor callers with good keys."""

from __future__ import annotations

import ast
import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
from sqlalchemy import Engine

import service
from service import app as app_module
from service.config import KeyLimits, Limits
from service.domain.access import OPERATOR_SCOPES, Principal, hash_key
from service.domain.errors import Exhausted, Unauthenticated
from service.engine import hold_back
from service.engine.hold_back import HoldBackLimits
from service.engine.pool import Pool, PoolLimits
from service.engine.terms import Terms
from service.rpc import keys as keys_module
from service.rpc.keys import HEADER, PREFIX, KeyRing
from service.storage import admin
from service.storage.keys import find_principal
from tests.fakes import START_US, serving
from tests.rpc.examples import example
from tests.rpc.support import TIMEOUT_S, Caller, Refused, desks, outcome, until

WAITING = 8
FLOOD = 64
LIMITS = Limits(
    keys=KeyLimits(known_s=0.0, unknown_s=60.0),
    unknown_key_lookups=PoolLimits(threads=1, max_waiting=WAITING),
    catalog_interval_s=0.01,
)
"""Good keys are looked up with every call here; in a server, every few seconds."""


def bearer(key: str) -> tuple[tuple[str, str], ...]:
    return ((HEADER, f"{PREFIX}{key}"),)


class SlowLookups:
    """Look-ups of unknown keys wait at a gate, and each is counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate = threading.Event()
        self.counts: Counter[str] = Counter()
        self.good: set[str] = set()

        def find(engine: Engine, key_hash: str, now_us: int) -> Principal | None:
            self.counts[key_hash] += 1
            if key_hash not in self.good:
                assert self.gate.wait(TIMEOUT_S)
            return find_principal(engine, key_hash, now_us)

        monkeypatch.setattr(app_module, "find_principal", find)


@contextmanager
def flooded(caller: Caller, keys: Sequence[str], slow: SlowLookups) -> Iterator[list[object]]:
    """Calls with invented keys that wait for their answers. The answers are collected at the
    end."""
    answers: list[object] = []

    def call(key: str) -> None:
        sent = outcome(lambda: caller.refused("GetAuthorization", b"", metadata=bearer(key)))
        answers.append(sent)

    with ThreadPoolExecutor(len(keys)) as pool:
        try:
            for key in keys:
                pool.submit(call, key)
            yield answers
        finally:
            slow.gate.set()


def test_d7_a_flood_of_invented_keys_slows_no_other_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D7: while invented keys cause slow look-ups, a bounded number of calls waits, and the rest is
    refused with RESOURCE_EXHAUSTED and a delay. Good keys are answered, and the server's own reads
    continue."""
    slow, looks = SlowLookups(monkeypatch), Counter[str]()

    follow = Terms.follow

    def counted(terms: Terms) -> bool:
        looks["catalog"] += 1
        return follow(terms)

    monkeypatch.setattr(Terms, "follow", counted)
    with serving(tmp_path, limits=LIMITS) as served, desks(served) as desk:
        slow.good |= {hash_key(served.operator_key), hash_key(served.platform_key)}
        desk.operator.page()  # this key was good before
        made_up = [f"fh_made-up-{number}" for number in range(FLOOD)]
        with flooded(desk.other, made_up, slow) as answers:
            refused_at_once = FLOOD - WAITING - 1
            until(lambda: len(answers) == refused_at_once, "keys without a place are refused")
            for answer in list(answers):
                assert isinstance(answer, Refused)
                assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED
                assert answer.reason == "TOO_MANY_UNKNOWN_KEY_LOOKUPS"
                assert answer.retry_s is not None
                assert 0 < answer.retry_s < 60
            before = looks["catalog"]
            for _ in range(50):
                desk.operator.page()
            until(lambda: looks["catalog"] > before + 3, "the server's own reads go on")
            assert len(answers) == refused_at_once
        until(lambda: len(answers) == FLOOD, "waiting keys are answered")
        codes = Counter(it.code for it in answers if isinstance(it, Refused))
        assert codes[grpc.StatusCode.UNAUTHENTICATED] == WAITING + 1


def test_d7_an_unknown_key_is_looked_up_once_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D7: calls with one unknown key share one look-up. Later calls with this key need no look-up
    for a while."""
    slow = SlowLookups(monkeypatch)
    with serving(tmp_path, limits=LIMITS) as served, desks(served) as desk:
        with flooded(desk.other, ["fh_made-up"] * 20, slow) as answers:
            until(lambda: slow.counts[hash_key("fh_made-up")] == 1, "looked up")
        until(lambda: len(answers) == 20, "all are answered")
        for method in ("GetAuthorization", "Authorize", "PutUsers"):
            refusal = desk.other.refused(method, example(method), metadata=bearer("fh_made-up"))
            assert refusal.reason == "KEY_UNKNOWN"
        assert slow.counts[hash_key("fh_made-up")] == 1


def test_d7_a_key_made_after_its_refusal_works_soon(tmp_path: Path) -> None:
    """D7: a key that was tried before it was made is refused for at most `unknown_s`."""
    limits = Limits(keys=KeyLimits(unknown_s=0.2))
    with serving(tmp_path, limits=limits) as served:
        caller = Caller(served.address, "fh_made-later")
        try:
            assert isinstance(outcome(caller.page), Refused)
            admin.add_key(served.store.engine, "fh_made-later", "city", START_US)
            until(lambda: not isinstance(outcome(caller.page), Refused), "the key works")
        finally:
            caller.close()


# -- the ring by itself ----------------------------------------------------------------------

SOMEBODY = Principal("city", OPERATOR_SCOPES, "key-1")


class Ring:
    """A key ring whose keys are good if they begin with g; it remembers three of each kind."""

    def __init__(
        self,
        find: Callable[[str], Principal | None] | None = None,
        refusals: HoldBackLimits | None = None,
    ) -> None:
        self.looked_up: list[str] = []
        self._names = {hash_key(f"{kind}{n}"): f"{kind}{n}" for kind in "gb" for n in range(9)}
        self._find = find or self._by_name
        self.pools = [Pool(it, PoolLimits(threads=1, max_waiting=2)) for it in ("known", "new")]
        self.ring = KeyRing(
            self._look_up,
            familiar=self.pools[0],
            strangers=self.pools[1],
            limits=KeyLimits(
                known_s=60.0,
                max_known=3,
                unknown_s=60.0,
                max_unknown=3,
                refusals=refusals or HoldBackLimits(),
            ),
            now_us=lambda: START_US,
        )

    def _by_name(self, name: str) -> Principal | None:
        return SOMEBODY if name.startswith("g") else None

    def _look_up(self, key_hash: str) -> Principal | None:
        self.looked_up.append(self._names[key_hash])
        return self._find(self._names[key_hash])

    async def ask(self, key: str) -> Principal | None:
        """The caller of this key; None for an unknown key."""
        known = self.ring.known(bearer(key))
        try:
            return known or await self.ring.principal(bearer(key))
        except Unauthenticated:
            return None


def run(ring: Ring, *keys: str) -> list[Principal | None]:
    """The results of these keys, one after the other."""

    async def main() -> list[Principal | None]:
        return [await ring.ask(key) for key in keys]

    return asyncio.run(main())


def test_d7_invented_keys_replace_no_good_key() -> None:
    """D7: after any number of unknown keys, a good key that was looked up is not looked up
    again."""
    ring = Ring()
    run(ring, "g1", *(f"b{n}" for n in range(9)), "g1")
    assert ring.looked_up.count("g1") == 1


@pytest.mark.parametrize("kind", ["g", "b"])
def test_d7_the_oldest_answer_is_forgotten_first(kind: str) -> None:
    """D7: when the cache of look-ups is full, a new answer replaces only the oldest one."""
    ring = Ring()
    run(ring, *(f"{kind}{n}" for n in range(4)))
    ring.looked_up.clear()
    run(ring, f"{kind}1", f"{kind}2", f"{kind}3", f"{kind}0")
    assert ring.looked_up == [f"{kind}0"]


def test_d7_many_refusals_are_delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    """D7: of the refusals in one second, the first ones go out at once and the others are delayed.
    If there is no place to wait, a refusal also goes out at once. A good key is never delayed."""
    ring = Ring(refusals=HoldBackLimits(refusals_a_second=2, max_held=3, delay_s=30.0))
    seconds = [1.0]
    clock = SimpleNamespace(monotonic=lambda: seconds[0])
    monkeypatch.setattr(hold_back, "time", clock)
    monkeypatch.setattr(keys_module, "time", clock)

    async def main() -> None:
        many = [asyncio.create_task(ring.ask(f"b{n % 2}")) for n in range(9)]
        while sum(it.done() for it in many) < 2 + 4:
            await asyncio.sleep(0.01)
        held = [it for it in many if not it.done()]
        assert len(held) == 3
        assert await asyncio.wait_for(ring.ask("g1"), 10) is SOMEBODY
        seconds[0] = 2.0
        assert await asyncio.wait_for(ring.ask("b1"), 10) is None
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        for _ in range(2):
            seconds[0] += 1
            assert await asyncio.wait_for(ring.ask("b1"), 10) is None

    asyncio.run(main())


def test_d7_a_failed_look_up_is_not_remembered() -> None:
    """D7: when the database is away, a key is neither good nor unknown: the next call looks it
    up."""

    def away(_name: str) -> Principal | None:
        if len(ring.looked_up) == 1:
            raise Exhausted("AWAY", "for now")
        return SOMEBODY

    ring = Ring(away)
    with pytest.raises(Exhausted):
        run(ring, "g1")
    assert run(ring, "g1", "g1") == [SOMEBODY, SOMEBODY]
    assert ring.looked_up == ["g1", "g1"]


# -- no work on the default pool ---------------------------------------------------------------


def default_pool_uses(source: str) -> list[int]:
    """The lines of a module that give work to the event loop's default pool."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name | ast.Attribute | ast.alias):
            name = node.id if isinstance(node, ast.Name) else ""
            name = name or (node.attr if isinstance(node, ast.Attribute) else "")
            name = name or (node.name if isinstance(node, ast.alias) else "")
            if name in ("to_thread", "getaddrinfo", "getnameinfo") and "socket" not in ast.unparse(
                node
            ):
                lines.append(node.lineno)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "run_in_executor":
            given = node.args[0] if node.args else None
            if given is None or (isinstance(given, ast.Constant) and given.value is None):
                lines.append(node.lineno)
    return lines


def test_d7_no_work_goes_to_the_default_pool() -> None:
    """D7: no module of the server gives work to the event loop's default pool, because all work
    would share this pool without a bound."""
    folder = Path(service.__file__).parent
    found = {
        f"{path.relative_to(folder)}:{line}"
        for path in folder.rglob("*.py")
        for line in default_pool_uses(path.read_text())
    }
    assert found == set()


@pytest.mark.parametrize(
    "source",
    [
        "import asyncio\nasyncio.to_thread(f)",
        "from asyncio import to_thread",
        "loop.run_in_executor(None, f)",
        "loop.run_in_executor(executor=None, func=f)",
        "loop.getaddrinfo('host', 1)",
    ],
)
def test_d7_work_for_the_default_pool_is_found(source: str) -> None:
    """D7: the check finds each way of giving work to the default pool."""
    assert default_pool_uses(source)


def test_d7_work_for_its_own_pool_is_allowed() -> None:
    """D7: work for its own pool, and a plain look-up of an address, are not reported."""
    assert default_pool_uses("loop.run_in_executor(pool, f)\nsocket.getaddrinfo('h', 1)") == []


@pytest.mark.parametrize(("left_us", "kept"), [(100_000, False), (3_600_000_000, True)])
def test_a_cached_key_ends_with_its_expiry(left_us: int, kept: bool) -> None:
    """A key that expires sooner than its result is forgotten is looked up again at its expiry, and
    not before."""
    brief = Principal("city", OPERATOR_SCOPES, "key-1", expire_us=START_US + left_us)
    ring = Ring(lambda _name: brief)

    async def main() -> bool:
        assert await ring.ask("g1") == brief
        await asyncio.sleep(0.1)
        return ring.ring.known(bearer("g1")) is not None

    assert asyncio.run(main()) is kept


def test_the_uses_of_keys_are_counted_at_their_look_ups() -> None:
    """A known key's look-up is a use of it; an unknown key's is none. Uses are taken once, and come
    back if they could not be recorded, unless the key was used again."""
    ring = Ring()
    assert run(ring, "g1", "b1") == [SOMEBODY, None]
    uses = ring.ring.take_uses()
    assert uses == {hash_key("g1"): START_US}
    assert ring.ring.take_uses() == {}
    assert run(ring, "g2") == [SOMEBODY]
    ring.ring.give_back({hash_key("g1"): START_US - 1, hash_key("g2"): START_US - 1})
    assert ring.ring.take_uses() == {hash_key("g1"): START_US - 1, hash_key("g2"): START_US}
