"""Shared parts of the calls that give a person a pass."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from service.domain import passes
from service.domain.errors import NotFound
from service.domain.ledger import Line
from service.domain.near_names import near_name
from service.domain.passes import Span
from service.domain.product import Product
from service.domain.segment_tariff import Pass, SegmentTariff
from service.engine.aliases import survivor_of
from service.engine.calls import Work
from service.engine.context import Context
from service.engine.passes import held_of
from service.engine.people import of_user, open_line
from service.engine.posting import line_for
from service.engine.records.passes import PassRecord
from service.engine.records.users import UserRecord
from service.engine.rows import Draft, Keys, Rows
from service.engine.tables import USERS


class Asked(Protocol):
    """A call for a pass: the person, the product, the name of the pass in its tariff, the pass's
    beginning in microseconds since the epoch (None means now), and the operator's reference."""

    @property
    def user_id(self) -> str: ...
    @property
    def product_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def from_us(self) -> int | None: ...
    @property
    def reference(self) -> str: ...


class Sale(NamedTuple):
    """A new pass, its product, and the person's line and draft; the draft has no pass yet."""

    held: PassRecord
    product: Product
    line: Line
    draft: Draft


def wanted(caller: str, it: Asked, keys: Keys) -> None:
    """Needs the person with all lines, and the person's passes of the operator."""
    of_user(caller, it, keys)
    keys.passes.add((it.user_id, caller))


def begin(work: Work, it: Asked, from_us: int, rows: Rows, context: Context) -> Sale:
    """A pass by the tariff in force that begins at an instant, for the survivor of the person.

    A person who is not known is registered with a line, as by a first rental. Raises NotFound for
    an unknown product or pass, and IllegalState if the person has a pass for the product in that
    time.
    """
    user_id, operator_id = survivor_of(it.user_id, rows), work.caller
    product, offered, zone = _offered(operator_id, it, context)
    passes.require_beginning(from_us, context.now_us)
    span = passes.span_of(offered.days, zone, from_us)
    passes.require_alone(held_of(rows, user_id, operator_id), product.product_id, span)
    draft = Draft(list)
    line, is_new = line_for(user_id, product.currency, rows, context)
    if is_new:
        open_line(draft, line, context.assessed.asking.get(user_id), rows, context)
    if rows[USERS].get(user_id) is None:
        draft[USERS] = [UserRecord(user_id, False, 0, 0, context.now_us)]
    held = _row(work, it, line, product, offered, zone, span, context)
    return Sale(held, product, line, draft)


def _row(
    work: Work,
    it: Asked,
    line: Line,
    product: Product,
    offered: Pass,
    zone: str,
    span: Span,
    context: Context,
) -> PassRecord:
    return PassRecord(
        line.user_id,
        work.caller,
        context.ids.new(context.now_us),
        product.product_id,
        product.revision,
        offered.name,
        offered.gives,
        offered.size,
        zone,
        offered.price_minor,
        product.currency,
        *span,
        authorization_id="",
        reference=it.reference,
        request_id=work.request_id,
        record_us=context.now_us,
        refund_us=None,
        refund_request_id="",
        uses=0,
        changes=1,
    )


def _offered(operator_id: str, it: Asked, context: Context) -> tuple[Product, Pass, str]:
    """The product in force, the pass that its tariff sells, and the tariff's time zone."""
    product = context.catalog.in_force(operator_id, it.product_id)
    names = []
    if isinstance(product.tariff, SegmentTariff):
        for offered in product.tariff.passes:
            if offered.name == it.name:
                return product, offered, product.tariff.time_zone
            names.append(offered.name)
    near = near_name(it.name, names)
    raise NotFound("pass", it.name, near, of=f"the product {it.product_id}")
