"""An in-memory stand-in for the server, with the parts of the contract that the driver's tests
use."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeAlias

import grpc
import grpc.aio
from freehold.v1 import (
    authorization_service_pb2_grpc,
    credit_service_pb2_grpc,
    ledger_service_pb2_grpc,
    sandbox_service_pb2_grpc,
)
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import (
    AuthorizeRequest,
    AuthorizeResponse,
    ConfirmAuthorizationRequest,
    ConfirmAuthorizationResponse,
    ListAuthorizationsRequest,
    ListAuthorizationsResponse,
    ReverseAuthorizationRequest,
    ReverseAuthorizationResponse,
    SettleAuthorizationRequest,
    SettleAuthorizationResponse,
    StartRentalRequest,
    StartRentalResponse,
)
from freehold.v1.credit_service_pb2 import (
    CreditProfile,
    PutUsersRequest,
    PutUsersResponse,
    RecordPaymentRequest,
    RecordPaymentResponse,
)
from freehold.v1.ledger_service_pb2 import VerifyBooksRequest, VerifyBooksResponse
from freehold.v1.sandbox_service_pb2 import AdvanceClockRequest, AdvanceClockResponse
from freehold.v1.types_pb2 import OFFER_FULL, OFFER_REDUCED, OFFER_ZERO

DEPOSITS = {"bike": 19_900, "power-bank": 9_900, "umbrella": 5_900}
OFFER_WINDOW_S = 900

Context: TypeAlias = Any  # grpc has no types of its own


class FakeFreehold(
    authorization_service_pb2_grpc.AuthorizationServiceServicer,
    credit_service_pb2_grpc.CreditServiceServicer,
    ledger_service_pb2_grpc.LedgerServiceServicer,
    sandbox_service_pb2_grpc.SandboxServiceServicer,
):
    """Offers follow the score: 600 and more zero, 500 and more reduced, else full.

    calls        (method, request id) in the order of arrival
    exhausted    users whose line never bears the credit part of a confirmation
    """

    def __init__(self, scores: dict[str, int]) -> None:
        self.scores = scores
        self.exhausted: set[str] = set()
        self.now = datetime(1970, 1, 1, tzinfo=UTC)
        self.found: dict[str, Authorization] = {}
        self.tombstones: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self.registered: dict[str, bool] = {}
        self.instants: list[datetime] = []
        self._starts: dict[str, int] = {}

    async def Authorize(self, request: AuthorizeRequest, context: Context) -> AuthorizeResponse:
        self.calls.append(("Authorize", request.request_id))
        number = len(self.found)
        made = Authorization(
            name=f"users/{request.user_id}/authorizations/{number:020d}",
            request_id=request.request_id,
            product_id=request.product_id,
        )
        deposit = DEPOSITS[request.product_id]
        score = self.scores[request.user_id]
        made.deposit_asked.currency_code = "CNY"
        if request.request_id in self.tombstones:
            made.state = Authorization.STATE_DECLINED
            made.reasons.append("CANCELLED_BEFORE_ARRIVAL")
        elif score >= 600:
            made.offer = OFFER_ZERO
            self._hold(made, request.start, deposit, 0)
        else:
            made.offer = OFFER_REDUCED if score >= 500 else OFFER_FULL
            made.state = Authorization.STATE_OFFERED
            made.deposit_asked.amount_minor = deposit // 2 if score >= 500 else deposit
            made.expire_time.FromSeconds(int(self.now.timestamp()) + OFFER_WINDOW_S)
        self.found[made.name] = made
        self._starts[made.name] = request.start
        return AuthorizeResponse(authorization=made)

    def _hold(self, made: Authorization, start: int, credit: int, cash: int) -> None:
        made.held_credit.amount_minor = credit
        made.held_cash.amount_minor = cash
        made.held.amount_minor = credit + cash
        if start == AuthorizeRequest.START_ON_PICKUP:
            made.state = Authorization.STATE_AUTHORIZED
            made.expire_time.FromSeconds(int(self.now.timestamp()) + 900)
        else:
            made.state = Authorization.STATE_ACTIVE
            made.ClearField("expire_time")

    async def ConfirmAuthorization(
        self, request: ConfirmAuthorizationRequest, context: Context
    ) -> ConfirmAuthorizationResponse:
        self.calls.append(("ConfirmAuthorization", request.request_id))
        made = self.found[request.name]
        if request.name.split("/")[1] in self.exhausted:
            made.state = Authorization.STATE_DECLINED
            made.refund_payable.CopyFrom(request.paid)
            made.ClearField("expire_time")
            return ConfirmAuthorizationResponse(authorization=made)
        cash = made.deposit_asked.amount_minor
        self._hold(made, self._starts[made.name], DEPOSITS[made.product_id] - cash, cash)
        return ConfirmAuthorizationResponse(authorization=made)

    async def StartRental(
        self, request: StartRentalRequest, context: Context
    ) -> StartRentalResponse:
        self.calls.append(("StartRental", request.request_id))
        made = self.found[request.name]
        made.state = Authorization.STATE_ACTIVE
        made.ClearField("expire_time")
        return StartRentalResponse(authorization=made)

    async def SettleAuthorization(
        self, request: SettleAuthorizationRequest, context: Context
    ) -> SettleAuthorizationResponse:
        self.calls.append(("SettleAuthorization", request.request_id))
        made = self.found[request.name]
        if made.state != Authorization.STATE_ACTIVE:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not active")
        amount = request.amount.amount_minor
        made.state = Authorization.STATE_SETTLED
        made.captured.amount_minor = amount
        made.due.amount_minor = max(0, amount - made.held_cash.amount_minor)
        self._release(made)
        return SettleAuthorizationResponse(authorization=made)

    def _release(self, made: Authorization) -> None:
        for part in (made.held, made.held_credit, made.held_cash):
            part.amount_minor = 0
        made.ClearField("expire_time")

    async def ReverseAuthorization(
        self, request: ReverseAuthorizationRequest, context: Context
    ) -> ReverseAuthorizationResponse:
        self.calls.append(("ReverseAuthorization", request.request_id))
        if request.HasField("origin"):
            self.tombstones.add(request.origin.authorize_request_id)
            return ReverseAuthorizationResponse(tombstone=True)
        made = self.found[request.name]
        made.state = Authorization.STATE_REVERSED
        self._release(made)
        return ReverseAuthorizationResponse(authorization=made)

    async def ListAuthorizations(
        self, request: ListAuthorizationsRequest, context: Context
    ) -> ListAuthorizationsResponse:
        begin = int(request.page_token or 0)
        every = list(self.found.values())
        end = begin + min(request.page_size, 7)
        return ListAuthorizationsResponse(
            authorizations=every[begin:end],
            next_page_token=str(end) if end < len(every) else "",
        )

    async def PutUsers(self, request: PutUsersRequest, context: Context) -> PutUsersResponse:
        for user in request.users:
            self.registered[user.user_id] = user.scoring_consent
        return PutUsersResponse(
            profiles=[
                CreditProfile(user_id=u.user_id, score=self.scores[u.user_id])
                for u in request.users
            ]
        )

    async def RecordPayment(
        self, request: RecordPaymentRequest, context: Context
    ) -> RecordPaymentResponse:
        self.calls.append(("RecordPayment", request.request_id))
        made = self.found[request.authorization]
        made.due.amount_minor -= request.amount.amount_minor
        return RecordPaymentResponse(authorization=made)

    async def VerifyBooks(
        self, request: VerifyBooksRequest, context: Context
    ) -> VerifyBooksResponse:
        return VerifyBooksResponse(verified=True, authorizations=len(self.found))

    async def AdvanceClock(
        self, request: AdvanceClockRequest, context: Context
    ) -> AdvanceClockResponse:
        self.now = request.now.ToDatetime(UTC)
        self.instants.append(self.now)
        expired = 0
        for made in self.found.values():
            if (
                made.HasField("expire_time")
                and made.state != Authorization.STATE_EXPIRED
                and made.expire_time.seconds <= request.now.seconds
            ):
                made.state = Authorization.STATE_EXPIRED
                self._release(made)
                expired += 1
        return AdvanceClockResponse(now=request.now, woken=expired)


async def serve(fake: FakeFreehold) -> tuple[grpc.aio.Server, str]:
    """Starts the stand-in on a free port of this machine."""
    server = grpc.aio.server()
    for register in (
        authorization_service_pb2_grpc.add_AuthorizationServiceServicer_to_server,
        credit_service_pb2_grpc.add_CreditServiceServicer_to_server,
        ledger_service_pb2_grpc.add_LedgerServiceServicer_to_server,
        sandbox_service_pb2_grpc.add_SandboxServiceServicer_to_server,
    ):
        register(fake, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, f"127.0.0.1:{port}"
