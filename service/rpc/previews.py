"""PreviewTerms: what a draft of terms would have done to rentals that happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from freehold.v1 import terms_preview_pb2 as pb
from freehold.v1.terms_service_pb2 import PreviewTermsRequest, PreviewTermsResponse

from service.domain.access import PLATFORM, Scope
from service.domain.document_fields import TERMS_WRONG
from service.domain.documents import table_of_json
from service.domain.errors import InvalidInput, Violation
from service.engine.preview_job import PreviewJob
from service.engine.rates import Weight
from service.rpc.convert import timestamp
from service.rpc.owners import owner_of
from service.rpc.pipeline import Call, Method
from service.rpc.terms_service import KINDS, fault_of

USUAL_DAYS = 30


class Previews:
    """The call PreviewTerms; the preview runs in a process of its own."""

    def __init__(self, job: PreviewJob, now_us: Callable[[], int]) -> None:
        self._job = job
        self._now_us = now_us

    def method(self, max_bytes: int) -> Method[Any]:
        """The method with its scope."""
        name, request = "PreviewTerms", PreviewTermsRequest
        return Method(name, request, Scope.TERMS_READ, self.preview, max_bytes, Weight.VERIFY)

    async def preview(self, call: Call[PreviewTermsRequest]) -> bytes:
        """The answer. Raises as `PreviewJob.preview`."""
        message, by = call.message, call.principal
        owner = owner_of(by, message.operator_id)
        if owner == PLATFORM:
            text = "is needed: a preview is of one operator's rentals"
            raise InvalidInput.of("operator_id", "operator_id.needed", text)
        document = table_of_json(message.document)
        try:
            said = await self._job.preview(
                owner,
                str(KINDS[message.kind]),
                document,
                message.product_ids,
                message.days or USUAL_DAYS,
                self._now_us(),
                as_operator=by.operator_id is not None,
                width=message.picture_width,
            )
        except InvalidInput as error:
            if error.reason != TERMS_WRONG:
                raise
            faults = [it._replace(field=f"document.{it.field}") for it in error.violations]
            raise InvalidInput(faults, TERMS_WRONG) from error
        return response_of(said["report"], said["picture"]).SerializeToString()


def response_of(report: dict[str, Any], picture: str) -> PreviewTermsResponse:
    """The answer with a report and a picture."""
    return PreviewTermsResponse(
        operator_id=report["operator_id"],
        name=report["name"],
        from_time=timestamp(report["from_us"]),
        until_time=timestamp(report["until_us"]),
        whole=_part(report["whole"]),
        products=map(_part, report["products"]),
        notes=report["notes"],
        picture=picture,
        faults=[fault_of(Violation(**it)) for it in report["faults"]],
    )


def _part(it: dict[str, Any]) -> pb.PreviewPart:
    same = (
        *("product_id", "decisions", "users", "repeated", "approved_before", "approved_after"),
        *("changed", "users_affected"),
    )
    return pb.PreviewPart(
        **{name: it[name] for name in same},
        answers=[
            pb.PreviewDecisions(
                before=f"PREVIEW_ANSWER_{before}",
                after=f"PREVIEW_ANSWER_{after}",
                decisions=number,
            )
            for before, row in it["offers"].items()
            for after, number in row.items()
        ],
        cash_asked=[pb.PreviewAmount(**_coded(amounts)) for amounts in it["cash_asked"]],
        fees=[pb.PreviewFees(**_coded(fees)) for fees in it["fees"]],
        peak_held=[_held(held, "peak_minor") for held in it["held"]],
        mean_held=[_held(held, "mean_minor") for held in it["held"]],
        reasons=it["refusals"],
        happened=[_rentals(group) for group in it["happened"]],
    )


def _held(it: dict[str, Any], name: str) -> pb.PreviewAmount:
    least, most = sorted((it["least"][name], it["most"][name]))
    after = pb.PreviewRange(least=least, most=most)
    return pb.PreviewAmount(
        currency_code=it["currency"], before_minor=it["before"][name], after_minor=after
    )


def _coded(it: dict[str, Any]) -> dict[str, Any]:
    """The values with the contract's name of the currency."""
    return {"currency_code" if name == "currency" else name: value for name, value in it.items()}


def _rentals(it: dict[str, Any]) -> pb.PreviewRentals:
    """The rentals of one effect."""
    values = _coded(it)
    return pb.PreviewRentals(effect=f"PREVIEW_EFFECT_{values.pop('answer')}", **values)
