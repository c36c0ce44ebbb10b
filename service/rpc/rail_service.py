"""RailService: reports of the payment rail, and lists of transfers."""

from __future__ import annotations

from functools import partial
from typing import Any

from freehold.v1 import rail_service_pb2 as pb
from freehold.v1 import types_pb2 as types

from service.clock import Clock
from service.domain.access import PLATFORM, Scope
from service.domain.authorization import TransferKind
from service.domain.errors import InvariantBroken, Unavailable
from service.engine.calls import Answer, Payloads, Work
from service.engine.group_commit import Committer
from service.engine.operations import ReportTransfer
from service.engine.rates import Weight
from service.engine.readers import Readers
from service.engine.reads import ListReader
from service.engine.records.transfers import TransferRecord, TransferState
from service.rails.callbacks import read_report
from service.rpc.convert import timestamp
from service.rpc.pages import place_of, size_of, token_of
from service.rpc.pipeline import Call, Method

SERVICE = "freehold.v1.RailService"
KINDS = {it: getattr(pb.Transfer, f"KIND_{it}") for it in TransferKind}
STATES = {it: getattr(pb.Transfer, f"STATE_{it}") for it in TransferState}
STATE_OF = {number: it for it, number in STATES.items()}


def transfer_message(it: TransferRecord) -> pb.Transfer:
    """The message of a transfer, for the platform."""
    earlier = None
    if it.earlier_state is not None:
        earlier = pb.Transfer.Word(
            state=STATES[it.earlier_state],
            detail=it.earlier_detail or "",
            time=timestamp(it.earlier_us),
        )
    return pb.Transfer(
        name=f"users/{it.user_id}/transfers/{it.transfer_id}",
        authorization=f"users/{it.user_id}/authorizations/{it.authorization_id}",
        kind=KINDS[it.kind],
        amount=types.Money(currency_code=it.currency, amount_minor=it.amount_minor),
        state=STATES[it.state],
        detail=it.detail,
        request_time=timestamp(it.request_us),
        change_time=timestamp(it.change_us),
        earlier=earlier,
    )


def _encode(answer: Answer, _payloads: Payloads) -> bytes:
    if not isinstance(answer, TransferRecord):
        raise InvariantBroken("the answer is not of the method's type")
    return pb.ReportTransferResponse(transfer=transfer_message(answer)).SerializeToString()


class Rails:
    """The calls on transfers. Without a `secret` there is no rail, and every report is refused."""

    def __init__(
        self,
        committer: Committer,
        reader: ListReader,
        readers: Readers,
        clock: Clock,
        secret: bytes | None,
        *,
        tolerance_s: float,
    ) -> None:
        """Signatures are valid for `tolerance_s` seconds."""
        self._committer = committer
        self._reader = reader
        self._readers = readers
        self._clock = clock
        self._secret = secret
        self._tolerance_s = tolerance_s

    def methods(self, max_bytes: int) -> list[Method[Any]]:
        """The service's methods with their scopes."""
        return [
            Method(
                "ReportTransfer",
                pb.ReportTransferRequest,
                Scope.TRANSFERS_REPORT,
                self._report,
                max_bytes,
                Weight.WRITE,
            ),
            Method(
                "ListTransfers",
                pb.ListTransfersRequest,
                Scope.TRANSFERS_READ,
                self._list,
                max_bytes,
                Weight.LIST,
            ),
        ]

    async def report(self, body: bytes, signature: str) -> bytes:
        """Records a rail's report after checking its signature; returns the answer's bytes."""
        if self._secret is None:
            raise Unavailable(
                "NO_RAIL", "no payment rail is configured on this server", retry_after_ms=None
            )
        said = read_report(
            body,
            signature,
            self._secret,
            self._clock.now_us() // 1_000_000,
            self._tolerance_s,
        )
        work = Work(
            caller=PLATFORM,
            request_id="",
            method="ReportTransfer",
            body=body,
            command=ReportTransfer(said.user_id, said.transfer_id, said.state, said.detail),
            encode=_encode,
            differing_field=lambda _first: None,
        )
        return await self._committer.submit(work)

    async def _report(self, call: Call[pb.ReportTransferRequest]) -> bytes:
        return await self.report(call.message.body, call.message.signature)

    async def _list(self, call: Call[pb.ListTransfersRequest]) -> bytes:
        message = call.message
        read = partial(
            self._reader.transfers,
            message.user_id,
            after=place_of(message.page_token),
            size=size_of(message.page_size),
            state=STATE_OF.get(message.state),
        )
        page = await self._readers.run(call, read)
        return pb.ListTransfersResponse(
            transfers=[transfer_message(it) for it in page.rows],
            next_page_token=token_of(page.last),
        ).SerializeToString()
