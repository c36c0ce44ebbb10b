"""Scores the people of a batch together, before its transaction begins."""

from __future__ import annotations

import array
import hashlib
import json
import math
import threading
from collections.abc import Iterator, Sequence

from typing_extensions import TypeIs

from service.domain.policy import Reason
from service.engine.commands import Authorize, Increment, PutUser, Work
from service.engine.context import UNKNOWN_PERSON, Assessed, Assessment
from service.engine.ports import Scorer, Store, Unscorable
from service.engine.records import Scored, UserFeatures

VALUE_BYTES = 8


def schema_id_of(names: Sequence[str]) -> str:
    """The id of an order of raw values: SHA-256 of the names as JSON."""
    return hashlib.sha256(json.dumps(list(names)).encode()).hexdigest()


def pack(values: Sequence[float]) -> bytes:
    """Raw values as little-endian float64, eight bytes each."""
    packed = array.array("d", values)
    if packed.itemsize != VALUE_BYTES:
        raise OverflowError("this machine has no 64-bit double")
    if _BIG_ENDIAN:
        packed.byteswap()
    return packed.tobytes()


def unpack(raw: bytes) -> array.array[float]:
    """The values that `pack` packed."""
    values = array.array("d")
    values.frombytes(raw)
    if _BIG_ENDIAN:
        values.byteswap()
    return values


_BIG_ENDIAN = array.array("H", [1]).tobytes()[0] == 0


class Assessor:
    """Reads features and asks the model, for all the people of a batch at once."""

    def __init__(self, store: Store, scorer: Scorer) -> None:
        self.model_id = scorer.model_id
        self.scale_version = scorer.scale_version
        self._store = store
        self._scorer = scorer
        self._turn = threading.Lock()
        self.raw_names = tuple(scorer.raw_names)
        self.schema_id = schema_id_of(self.raw_names)
        store.save_feature_schema(self.schema_id, scorer.raw_names)

    def assess(self, batch: Sequence[Work], explain_below: int) -> Assessed:
        """Assesses the people who ask for a hold, as stored, and of every PutUser, as sent.

        Scores below `explain_below` come with the model's reasons.
        """
        asking = {
            work.command.user_id
            for work in batch
            if isinstance(work.command, Authorize | Increment)
        }
        people = self._store.features(asking) if asking else {}
        put = [work.command for work in batch if isinstance(work.command, PutUser)]
        rows = [raw for it in people.values() if (raw := self._scorable(it)) is not None]
        rows += [command.raw for command in put if command.scoring_consent]
        results = self._score(rows, explain_below)
        following = iter(results)
        return Assessed(
            asking={
                user_id: _assessment(features, following) for user_id, features in people.items()
            },
            put={
                command: Assessment(
                    command.scoring_consent,
                    0,
                    command.as_of_us,
                    *(next(following) if command.scoring_consent else NO_CONSENT),
                )
                for command in put
            },
        )

    def assess_one(self, features: UserFeatures) -> Assessment:
        """What the model says of one person as stored; without reasons."""
        raw = self._scorable(features)
        return _assessment(features, iter(self._score([] if raw is None else [raw], 0)))

    def _score(self, rows: Sequence[bytes], explain_below: int) -> list[_Verdict]:
        """A score with its reasons, or the reason why there is none, for each row."""
        if not rows:
            return []
        with self._turn:
            results = self._scorer.score_with_reasons(rows, explain_below)
        return [
            (None, (result.reason,)) if _is_unscorable(result) else (result, why)
            for result, why in results
        ]

    def _scorable(self, features: UserFeatures) -> bytes | None:
        """Raw values in the order of the served model, what an older schema lacks is missing;
        None where there are none, or no consent to score them."""
        schema_id, raw = features.schema_id, features.raw
        if schema_id is None or raw is None or not features.scoring_consent:
            return None
        if schema_id == self.schema_id:
            return raw
        names = self._store.feature_names(schema_id)
        old = dict(zip(names, unpack(raw), strict=True))
        return pack([old.get(name, math.nan) for name in self.raw_names])


_Verdict = tuple[Scored | None, tuple[str, ...]]
NO_CONSENT: _Verdict = (None, (Reason.NO_CONSENT,))


def _assessment(features: UserFeatures, verdicts: Iterator[_Verdict]) -> Assessment:
    """The person's assessment; takes the next verdict if there are features."""
    consent = features.scoring_consent
    if features.raw is None:
        return UNKNOWN_PERSON._replace(scoring_consent=consent)
    scored, why = next(verdicts) if consent else NO_CONSENT
    return Assessment(consent, features.version, features.as_of_us, scored, why)


def _is_unscorable(result: Scored | Unscorable) -> TypeIs[Unscorable]:
    return hasattr(result, "reason")
