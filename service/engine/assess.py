"""Scores the people of a batch together, before its transaction begins."""

from __future__ import annotations

import array
import hashlib
import json
import math
import threading
from collections.abc import Sequence
from typing import NamedTuple

from typing_extensions import TypeIs

from service.domain.policy import Reason
from service.engine.commands import Authorize, Increment, PutUser, Work
from service.engine.context import Assessed, Assessment
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
        self._absent_names = scorer.absent_names
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
        stored = {user_id: self._stored_row(it) for user_id, it in people.items()}
        sent = {
            work.command: self._sent_row(work.command)
            for work in batch
            if isinstance(work.command, PutUser)
        }
        verdicts = self._verdicts([*stored.values(), *sent.values()], explain_below)
        following = iter(verdicts)
        return Assessed(
            asking={user_id: _assessment(it, next(following)) for user_id, it in people.items()},
            put={
                command: Assessment(command.scoring_consent, 0, command.as_of_us, *next(following))
                for command in sent
            },
        )

    def _verdicts(self, rows: Sequence[bytes | _Verdict], explain_below: int) -> list[_Verdict]:
        """A score with its reasons, or the reason why there is none, for each row; what is a
        verdict already stays."""
        to_score = [row for row in rows if isinstance(row, bytes)]
        if not to_score:
            return [row for row in rows if not isinstance(row, bytes)]
        with self._turn:
            results = self._scorer.score_with_reasons(to_score, explain_below)
        following = iter(results)
        return [_verdict(*next(following)) if isinstance(row, bytes) else row for row in rows]

    def _stored_row(self, features: UserFeatures) -> bytes | _Verdict:
        """A person's stored values in the served model's order, or why they cannot be scored."""
        schema_id, raw = features.schema_id, features.raw
        if schema_id is None or raw is None:
            return _NO_FEATURES
        if not features.scoring_consent:
            return _NO_CONSENT
        if schema_id == self.schema_id:
            return raw
        return self._row(self._store.feature_names(schema_id), raw)

    def _sent_row(self, command: PutUser) -> bytes | _Verdict:
        """The values that a PutUser brings, likewise; their schema is recorded."""
        if command.names is not None:
            self._store.save_feature_schema(schema_id_of(command.names), command.names)
        if not command.scoring_consent:
            return _NO_CONSENT
        return command.raw if command.names is None else self._row(command.names, command.raw)

    def _row(self, names: Sequence[str], raw: bytes) -> bytes | _Verdict:
        """Values by name in the order of the served model.

        A value that was never sent is not a missing one: nobody said that the person has none. It
        counts as missing only where the model's spec says so.
        """
        sent = dict(zip(names, unpack(raw), strict=True))
        for name in self.raw_names:
            if name not in sent and name not in self._absent_names:
                return _Verdict(None, (Reason.FEATURE_NOT_SENT,), name)
        return pack([sent.get(name, math.nan) for name in self.raw_names])


class _Verdict(NamedTuple):
    """A score and the reasons for it, or no score, the reason for that and the feature at fault."""

    scored: Scored | None
    why: tuple[str, ...]
    feature: str = ""


_NO_CONSENT = _Verdict(None, (Reason.NO_CONSENT,))
_NO_FEATURES = _Verdict(None, (Reason.NO_FEATURES,))


def _verdict(result: Scored | Unscorable, why: tuple[str, ...]) -> _Verdict:
    if _is_unscorable(result):
        return _Verdict(None, (result.reason,), result.feature)
    return _Verdict(result, why)


def _assessment(features: UserFeatures, verdict: _Verdict) -> Assessment:
    consent = features.scoring_consent
    return Assessment(consent, features.version, features.as_of_us, *verdict)


def _is_unscorable(result: Scored | Unscorable) -> TypeIs[Unscorable]:
    return hasattr(result, "reason")
