"""TigerBeetle by its own Python client, where a server is given; the package is optional."""

from __future__ import annotations

import socket
import time
from importlib import import_module
from types import TracebackType
from typing import Any, Self

from benchmarks.harness import BenchmarkError

BATCH = 64
ACCOUNTS = 1_000
LEDGER, CODE = 1, 1
WAIT_S = 5.0


class TigerBeetle:
    """Pending transfers, TigerBeetle's holds, in batches of as many as Freehold's; a context
    manager."""

    def __init__(self, address: str) -> None:
        """`address` is that of a server of the cluster 0, such as 127.0.0.1:3000."""
        try:
            self._tb: Any = import_module("tigerbeetle")
        except ImportError as error:
            raise BenchmarkError(
                "TigerBeetle's client is not installed: pip install 'tigerbeetle>=0.17'"
            ) from error
        _reach(address)  # its client would try for ever
        self._client: Any = self._tb.ClientSync(cluster_id=0, replica_addresses=address)
        self._accounts: list[int] = []

    def __enter__(self) -> Self:
        self._client.__enter__()
        self._accounts = [self._tb.id() for _ in range(ACCOUNTS)]
        for start in range(0, ACCOUNTS, BATCH):
            made = [self._account(it) for it in self._accounts[start : start + BATCH]]
            statuses = self._tb.CreateAccountStatus
            self._done(self._client.create_accounts(made), len(made), statuses)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.__exit__(kind, error, trace)

    def speed(self, transfers: int) -> float:
        """Pending transfers a second, sent one batch after the other."""
        began_s = time.perf_counter()
        for start in range(0, transfers, BATCH):
            made = [self._transfer(start + number) for number in range(BATCH)]
            statuses = self._tb.CreateTransferStatus
            self._done(self._client.create_transfers(made), len(made), statuses)
        return -(-transfers // BATCH) * BATCH / (time.perf_counter() - began_s)

    def _account(self, account_id: int) -> Any:
        return self._tb.Account(
            id=account_id, debits_pending=0, debits_posted=0, credits_pending=0, credits_posted=0,
            user_data_128=0, user_data_64=0, user_data_32=0, ledger=LEDGER, code=CODE, flags=0,
            timestamp=0,
        )  # fmt: skip

    def _transfer(self, number: int) -> Any:
        place = 2 * number % ACCOUNTS
        return self._tb.Transfer(
            id=self._tb.id(), debit_account_id=self._accounts[place],
            credit_account_id=self._accounts[place + 1], amount=100, pending_id=0, user_data_128=0,
            user_data_64=0, user_data_32=0, timeout=0, ledger=LEDGER, code=CODE,
            flags=self._tb.TransferFlags.PENDING, timestamp=0,
        )  # fmt: skip

    def _done(self, results: Any, rows: int, statuses: Any) -> None:
        refused = [it for it in results if it.status != statuses.CREATED]
        if refused or len(results) != rows:
            raise BenchmarkError(f"TigerBeetle refused {len(refused)} of {rows}: {refused[:3]}")


def _reach(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=WAIT_S).close()
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"no server of TigerBeetle answers at {address!r}: {error}") from error
