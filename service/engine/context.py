"""The context of a batch, and the result of a command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from service.domain.authorization import Authorization
from service.domain.budgets import InForce
from service.domain.details import UNKNOWN_PRICE, price_of
from service.domain.policy import Reason
from service.domain.receipt import Receipt
from service.engine.calls import Answer, EncodeAuthorization, EncodeBeside
from service.engine.catalog import Catalog
from service.engine.debts import Debt
from service.engine.ports import Conditions, NoConditions, Scored
from service.engine.rows import Draft
from service.engine.tables import Pair
from service.ids import Ids

UNSCORED_BAND = ""
NO_CONDITIONS = NoConditions()


class Assessment(NamedTuple):
    """A registered person's consent, the version of the features, and the result of scoring.

    If `scored` is None, the person cannot be scored, `why` gives the reason, and `feature` names
    the feature at fault, if any. Otherwise `why` holds the model's reasons for a score below the
    mildest offer.
    """

    scoring_consent: bool
    feature_version: int
    as_of_us: int | None
    scored: Scored | None
    why: tuple[str, ...]
    feature: str = ""

    def cannot(self, reason: str) -> Assessment:
        """The same assessment without a score, for this reason."""
        return self._replace(scored=None, why=(reason,), feature="")


UNKNOWN_PERSON = Assessment(False, 0, None, None, (Reason.NO_FEATURES,))


class Assessed(NamedTuple):
    """Assessments: of people who ask for a hold, by user id, and of people sent by PutUser.

    `survivors` gives, for the id of each merged person, the survivor who gets the new rentals; both
    are assessed. `surviving` has all people who ask and into whom others were merged. Scores below
    `explain_below` have their reasons.
    """

    asking: Mapping[str, Assessment]
    put: Mapping[Any, Assessment]
    survivors: Mapping[str, str]
    surviving: frozenset[str] = frozenset()
    explain_below: int = 0


@dataclass(frozen=True, slots=True)
class Context:
    """The context of a batch: an instant, the terms, and the scores taken before it began.

    `encode` makes the bytes of an authorization as callers see it; `told` calls it.
    `encode_beside` makes the bytes of another row of the step for the authorization's event.
    `debts` are the operators' debts beyond their bounds, by operator id and currency. `counts` is
    True if the rules of a policy read the rentals of the past.
    """

    now_us: int
    ids: Ids
    catalog: Catalog
    currency: str
    model_id: str
    scale_version: str
    schema_id: str
    build: str
    assessed: Assessed
    encode: EncodeAuthorization
    encode_beside: EncodeBeside
    debts: Mapping[Pair, Debt]
    counts: bool
    conditions: Conditions = NO_CONDITIONS
    budgets: InForce = field(default_factory=dict)
    server_id: str = ""
    quotes: bool = False
    """True for a quote: nothing is written or used up, and lines are seen roughly."""

    def told(self, it: Authorization, receipt: Receipt | None = None) -> bytes:
        """The bytes of an authorization as callers see it, with its price."""
        key = (it.operator_id, it.product_id, it.product_revision)
        product = self.catalog.revisions.get(key)
        return self.encode(it, receipt, UNKNOWN_PRICE if product is None else price_of(product))


class Decided(NamedTuple):
    """The rows that a command writes, and its answer."""

    draft: Draft
    answer: Answer
    user_id: str
    authorization_id: str
