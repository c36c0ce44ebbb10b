"""The circumstances of a batch, and what a command comes to in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from service.domain.authorization import Authorization
from service.domain.policy import Reason
from service.engine.calls import Answer
from service.engine.catalog import Catalog
from service.engine.ports import Scored
from service.engine.rows import Draft
from service.ids import Ids

UNSCORED_BAND = ""


class Assessment(NamedTuple):
    """What is known of a person who was registered, and what the model said of the features.

    `scored` None: cannot be scored, and `why` says the reason. Otherwise `why` are the model's
    reasons for a score that does not reach the mildest offer. `feature` is the one at fault.
    """

    scoring_consent: bool
    feature_version: int
    as_of_us: int | None
    scored: Scored | None
    why: tuple[str, ...]
    feature: str = ""

    def cannot(self, reason: str) -> Assessment:
        """The same person, not to be scored for this reason."""
        return self._replace(scored=None, why=(reason,), feature="")


UNKNOWN_PERSON = Assessment(False, 0, None, None, (Reason.NO_FEATURES,))


class Assessed(NamedTuple):
    """Assessments: of those who ask, by user id, as stored; of those who are put, as sent."""

    asking: Mapping[str, Assessment]
    put: Mapping[Any, Assessment]


@dataclass(frozen=True, slots=True)
class Context:
    """The circumstances of a batch: one instant, the terms, and what the model said before
    the transaction began.

    `encode` makes the bytes of an authorization as callers see it.
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
    encode: Callable[[Authorization], bytes]


class Decided(NamedTuple):
    """What a command writes and what its caller is told."""

    draft: Draft
    answer: Answer
    user_id: str
    authorization_id: str
