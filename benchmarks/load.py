"""The load generator: a closed loop of Authorize, Settle or Reverse calls from its own
process.

Closed loop: each caller sends its next call when the last one was answered. A slow server therefore
gets fewer calls, and latencies are those of a caller in a queue.

All messages are distinct and serialised before the clock starts; answers are parsed as by any
client, and counted after it stops. For Settle and Reverse, the rentals are made before the clock
starts too.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import random
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import grpc
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import (
    AuthorizeRequest,
    AuthorizeResponse,
    BatchAuthorizeRequest,
    BatchAuthorizeResponse,
    BatchSettleRequest,
    BatchSettleResponse,
    GetAuthorizationRequest,
    GetAuthorizationResponse,
    ReverseAuthorizationRequest,
    ReverseAuthorizationResponse,
    SettleAuthorizationRequest,
    SettleAuthorizationResponse,
)

from benchmarks.harness import BenchmarkError, percentile
from benchmarks.processes import busy_seconds, cpu_seconds, spawn

AUTHORIZE, SETTLE, REVERSE = METHODS = ("Authorize", "Settle", "Reverse")
GET = "Get"

_SERVICE = "/freehold.v1.AuthorizationService/"
_BATCHES: dict[str, tuple[str, Any, Any]] = {
    AUTHORIZE: ("BatchAuthorize", BatchAuthorizeRequest, BatchAuthorizeResponse),
    SETTLE: ("BatchSettle", BatchSettleRequest, BatchSettleResponse),
}
_SINGLE: dict[str, tuple[str, Any]] = {
    AUTHORIZE: ("Authorize", AuthorizeResponse),
    SETTLE: ("SettleAuthorization", SettleAuthorizationResponse),
    REVERSE: ("ReverseAuthorization", ReverseAuthorizationResponse),
    GET: ("GetAuthorization", GetAuthorizationResponse),
}
_READS = 4_000
_DEADLINE_S = 10.0
_SHOWN_ERRORS = 5
_Answer = (
    AuthorizeResponse
    | SettleAuthorizationResponse
    | ReverseAuthorizationResponse
    | GetAuthorizationResponse
)


@dataclass(frozen=True)
class Job:
    """One run against one server.

    port        on 127.0.0.1
    server_pid  process whose CPU time is measured
    key         API key, sent as ``authorization: Bearer KEY``
    product_id  the rented product
    in_flight   callers, each with one call under way
    warm_up     calls made before the clock starts
    users       one id per call, warm-up first: Authorize is called len(users) times in all
    seed        request ids and asset ids follow from it
    method      AUTHORIZE, SETTLE or REVERSE. For the latter two each user's rental is authorized
                first, and the ones that are ACTIVE are settled or reversed; the same share of these
                calls is warm-up. With GET the rentals are authorized first too, and then read again
                and again
    limit_s     seconds after which no further call is sent; None for no limit
    trusted     PEM file with the certificate of a server that speaks TLS; None for plaintext
    items       requests in one message, as items of a batch; 1 sends single calls. Then `in_flight`
                counts messages
    """

    port: int
    server_pid: int
    key: str
    product_id: str
    in_flight: int
    warm_up: int
    users: tuple[str, ...]
    seed: int
    method: str = AUTHORIZE
    limit_s: float | None = None
    trusted: str | None = None
    items: int = 1


@dataclass(frozen=True)
class Report:
    """The figures of one run; all but `acknowledged` are of the calls after the warm-up. The items
    of a batch are its calls, but latencies are those of its messages.

    acknowledged      calls answered with OK, warm-up included
    errors            calls not answered with OK, warm-up included
    first_errors      a few of them, as text
    calls_per_s       answered with OK, per second of wall time
    latency_ms_*      of calls answered with OK, milliseconds
    wall_s            seconds of wall time
    load_cpu_share    CPU time of the generator / wall time; near 1 it is the bottleneck
    server_cpu_share  CPU time of the server / wall time
    other_cpu_share   CPU time of everything else on the machine / wall time
    server_cpu_us     CPU microseconds of the server per call
    states            answers by state of the authorization, warm-up included
    moved             answers that moved money, warm-up included: a hold on the credit line, its
                      release, or a captured amount
    request_bytes     mean serialised size of a request
    response_bytes    mean serialised size of an answer
    sample            an answer that moved money, serialised, in hexadecimal; empty when there was
                      none
    """

    acknowledged: int
    errors: int
    first_errors: list[str]
    calls_per_s: float
    latency_ms_p50: float
    latency_ms_p99: float
    latency_ms_max: float
    wall_s: float
    load_cpu_share: float
    server_cpu_share: float
    other_cpu_share: float
    server_cpu_us: float
    states: dict[str, int]
    moved: int
    request_bytes: float
    response_bytes: float
    sample: str


def messages(job: Job) -> list[bytes]:
    """One serialised AuthorizeRequest per user, each with its own request id and item."""
    source = random.Random(job.seed)
    return [
        AuthorizeRequest(
            request_id=str(uuid.UUID(int=source.getrandbits(128), version=4)),
            user_id=user,
            product_id=job.product_id,
            asset_id=f"{job.seed:x}-{number:08d}",
            start=AuthorizeRequest.START_IMMEDIATE,
        ).SerializeToString()
        for number, user in enumerate(job.users)
    ]


def settlements(job: Job, names: Sequence[str]) -> list[bytes]:
    """One serialised SettleAuthorizationRequest per rental: the usage until now, by the tariff.

    Earlier builds know all its fields.
    """
    return [
        SettleAuthorizationRequest(
            request_id=request_id, name=name, usage=SettleAuthorizationRequest.Usage()
        ).SerializeToString()
        for request_id, name in zip(_ids(f"settle {job.seed}"), names, strict=False)
    ]


def reversals(job: Job, names: Sequence[str]) -> list[bytes]:
    """One serialised ReverseAuthorizationRequest per rental, in fields that earlier builds know."""
    return [
        ReverseAuthorizationRequest(request_id=request_id, name=name).SerializeToString()
        for request_id, name in zip(_ids(f"reverse {job.seed}"), names, strict=False)
    ]


def _ids(seed: str) -> Iterator[str]:
    """Request ids without an end."""
    source = random.Random(seed)
    while True:
        yield str(uuid.UUID(int=source.getrandbits(128), version=4))


_ENDS = {SETTLE: settlements, REVERSE: reversals}
"""The requests that end rentals."""


def reads(names: Sequence[str]) -> list[bytes]:
    """Serialised GetAuthorizationRequests, the rentals in turn; none without a rental."""
    each = [GetAuthorizationRequest(name=name).SerializeToString() for name in names]
    return list(islice(cycle(each), _READS))


async def run(job: Job) -> Report:
    """Run the job in this process. Raises BenchmarkError when no call was answered with OK."""
    requests, warm_up = messages(job), job.warm_up
    answers: list[_Answer] = []
    errors: list[str] = []
    async with _channel(job) as channel:
        if job.method != AUTHORIZE:
            await _drive(
                channel, job, AUTHORIZE, batches(job, AUTHORIZE, requests), answers, errors
            )
            if end := _ENDS.get(job.method):
                requests = end(job, [a.authorization.name for a in answers if _active(a)])
                warm_up = max(1, len(requests) * job.warm_up // len(job.users))
            else:
                requests = reads([a.authorization.name for a in answers])
            answers.clear()
        warming = batches(job, job.method, requests[:warm_up])
        timed = batches(job, job.method, requests[warm_up:])
        await _drive(channel, job, job.method, warming, answers, errors)
        warm = len(answers)
        gc.collect()
        gc.freeze()  # garbage collections of the generator would show as the server's latency
        gc.disable()
        server, load, busy = cpu_seconds(job.server_pid), time.process_time(), busy_seconds()
        started = time.perf_counter()
        latencies = await _drive(channel, job, job.method, timed, answers, errors)
        wall = time.perf_counter() - started
        server = cpu_seconds(job.server_pid) - server
        load = time.process_time() - load
        busy = busy_seconds() - busy
        gc.enable()
    measured = len(answers) - warm
    if measured == 0:
        raise BenchmarkError(f"no call was answered: {'; '.join(errors[:_SHOWN_ERRORS])}")
    latencies.sort()
    return Report(
        acknowledged=len(answers),
        errors=len(errors),
        first_errors=errors[:_SHOWN_ERRORS],
        calls_per_s=measured / wall,
        latency_ms_p50=percentile(latencies, 0.50) * 1e3,
        latency_ms_p99=percentile(latencies, 0.99) * 1e3,
        latency_ms_max=latencies[-1] * 1e3,
        wall_s=wall,
        load_cpu_share=load / wall,
        server_cpu_share=server / wall,
        other_cpu_share=max(0.0, busy - server - load) / wall,
        server_cpu_us=server / measured * 1e6,
        states=_states(answers),
        moved=sum(map(_moved, answers)),
        request_bytes=sum(map(len, requests)) / len(requests),
        response_bytes=sum(a.ByteSize() for a in answers) / len(answers),
        sample=_sample(answers),
    )


def _channel(job: Job) -> grpc.aio.Channel:
    """One connection; a handshake of TLS is over before the clock starts."""
    address, options = f"127.0.0.1:{job.port}", (("grpc.use_local_subchannel_pool", 1),)
    if job.trusted is None:
        return grpc.aio.insecure_channel(address, options=options)
    credentials = grpc.ssl_channel_credentials(Path(job.trusted).read_bytes())
    return grpc.aio.secure_channel(address, credentials, options=options)


def batches(job: Job, method: str, requests: Sequence[bytes]) -> Sequence[bytes]:
    """The messages with these requests: each by itself, or so many in a batch."""
    if job.items == 1:
        return requests
    _, request, _ = _BATCHES[method]
    batches = []
    for start in range(0, len(requests), job.items):
        batch = request()
        for body in requests[start : start + job.items]:
            batch.items.add().MergeFromString(body)
        batches.append(batch.SerializeToString())
    return batches


async def _drive(
    channel: grpc.aio.Channel,
    job: Job,
    method: str,
    messages: Sequence[bytes],
    answers: list[_Answer],
    errors: list[str],
) -> list[float]:
    """Send all messages, `in_flight` at a time; return the latencies in seconds of those that
    were answered."""
    name, response = _SINGLE[method]
    if job.items > 1:
        name, _, response = _BATCHES[method]
    call = channel.unary_unary(_SERVICE + name, response_deserializer=response.FromString)
    left = iter(messages)
    metadata = (("authorization", f"Bearer {job.key}"),)
    latencies: list[float] = []
    clock = time.perf_counter
    end = clock() + (math.inf if job.limit_s is None else job.limit_s)

    async def caller() -> None:
        for message in left:
            sent = clock()
            if sent >= end:
                return
            try:
                answer = await call(message, metadata=metadata, timeout=_DEADLINE_S)
            except grpc.aio.AioRpcError as error:
                errors.append(f"{error.code().name}: {error.details()}")
            else:
                latencies.append(clock() - sent)
                if job.items == 1:
                    answers.append(answer)
                    continue
                # Only their places are noted while the clock runs.
                answers.extend(it.response for it in answer.outcomes if it.HasField("response"))
                errors.extend(it.error.message for it in answer.outcomes if it.HasField("error"))

    await asyncio.gather(*(caller() for _ in range(job.in_flight)))
    return latencies


def _states(answers: list[_Answer]) -> dict[str, int]:
    counts = Counter(answer.authorization.state for answer in answers)
    return {
        Authorization.State.Name(state).removeprefix("STATE_"): count
        for state, count in counts.most_common()
    }


def _active(answer: _Answer) -> bool:
    return answer.authorization.state == Authorization.STATE_ACTIVE


def _moved(answer: _Answer) -> bool:
    it = answer.authorization
    released = it.state == Authorization.STATE_REVERSED
    return released or it.held_credit.amount_minor > 0 or it.captured.amount_minor > 0


def _sample(answers: list[_Answer]) -> str:
    return next((a.SerializeToString().hex() for a in answers if _moved(a)), "")


def generate(job: Job, *, core: int) -> Report:
    """Run the job in a fresh process pinned to `core`. Raises BenchmarkError."""
    with spawn(
        ["benchmarks.load"], core=core, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as child:  # fmt: skip
        out, error = child.communicate(json.dumps(asdict(job)).encode())
    if child.returncode != 0:
        raise BenchmarkError(f"the load generator failed:\n{error.decode(errors='replace')}")
    return Report(**json.loads(out))


def main() -> None:
    """Read a Job as JSON from stdin, run it, write its Report as JSON to stdout."""
    content = json.load(sys.stdin)
    job = Job(**content | {"users": tuple(content["users"])})
    json.dump(asdict(asyncio.run(run(job))), sys.stdout)


if __name__ == "__main__":
    main()
