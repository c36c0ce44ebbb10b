"""The result of a verification of the books, and what it reads of an event."""

from __future__ import annotations

from typing import NamedTuple

from service.domain.receipt import Receipt

TERMS = "TERMS"
"""The rule of a fault in the rows of terms, which the books do not need."""
DAMAGED = "DAMAGED"
"""The rule of a fault in the database's own pages or indexes."""


class BookFault(NamedTuple):
    """A fault in the books: the broken rule, the row where it was seen, and the finding."""

    rule: str
    row: str
    detail: str


class Witness(NamedTuple):
    """The number and the digest of a seal, noted outside the database."""

    number: int
    digest: bytes


class Verification(NamedTuple):
    """The number of rows that a verification checked, and the first fault, if any.

    `signatures` of the `seals` were checked: all, or none without a key. `unchecked` describes each
    check that was left out; it is empty after a full verification. `notes` are about the database
    itself, such as checks that it does not offer; of a backup, also about its terms.
    """

    lines: int
    entries: int
    authorizations: int
    fault: BookFault | None
    seals: int = 0
    signatures: int = 0
    last_seal: Witness | None = None
    unchecked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Told(NamedTuple):
    """The values of a payload's authorization: amounts in minor units.

    Times are in microseconds since the epoch, 0 for none. `reasons` are separated by commas, and
    `parent` is a resource name. `order_fee_minor` is -1 if the order has no fee. `product_revision`
    is 0, and `price_hash` empty, in events of earlier builds. `price_place` names the place whose
    prices count. `lapse`, `case`, `details`, `moved_no_money`, `step_decision_id`, `consent` and
    `reviewed` name other rows of the step. A text is empty if there is nothing to tell.
    """

    name: str
    version: int
    state: str
    held_credit_minor: int
    held_cash_minor: int
    captured_minor: int
    due_minor: int
    refund_payable_minor: int
    uncollected_minor: int
    unheld_disputed_minor: int
    unheld_until_us: int
    product_id: str
    asset_id: str
    custody: str
    offer: str
    reasons: str
    band: str
    deposit_minor: int
    decision_id: str
    model_id: str
    policy_revision: int
    lost_us: int
    claim_until_us: int
    sold_us: int
    request_id: str
    group_id: str
    parent: str
    order_fee_minor: int
    product_revision: int
    price_hash: str
    price_place: str
    lapse: str
    case: str
    details: bool
    moved_no_money: bool
    step_decision_id: str
    consent: str
    reviewed: bool
    receipt: Receipt | None
