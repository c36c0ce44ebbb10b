"""Scores the people of a batch together, before its transaction begins."""

from __future__ import annotations

import array
import hashlib
import json
import math
import threading
from collections.abc import Sequence

from typing_extensions import TypeIs

from service.engine.commands import Authorize, PutUser, Work
from service.engine.decide import Assessment
from service.engine.ports import Scorer, Store, Unscorable
from service.engine.records import FeatureSnapshot, Scored

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

    def assess(self, batch: Sequence[Work]) -> dict[str, Assessment]:
        """Assessments by user id, for each Authorize and PutUser of the batch.

        A person who is put and authorized in one batch is assessed on the features being put.
        """
        put = {
            work.command.user_id: work.command
            for work in batch
            if isinstance(work.command, PutUser)
        }
        asked = {
            work.command.user_id for work in batch if isinstance(work.command, Authorize)
        }.difference(put)
        known = self._store.features(asked) if asked else {}
        users: list[str] = []
        rows: list[bytes] = []
        versions: list[tuple[int, int]] = []
        for user_id, features in known.items():
            snapshot = features.snapshot
            if snapshot is not None:
                users.append(user_id)
                rows.append(self._in_order(snapshot.schema_id, snapshot.raw))
                versions.append((snapshot.version, snapshot.as_of_us))
        for user_id, command in put.items():
            users.append(user_id)
            rows.append(command.raw)
            versions.append((0, command.as_of_us))
        results = self._score(rows) if rows else ()
        return {
            user_id: _assessment(version, as_of_us, result)
            for user_id, (version, as_of_us), result in zip(users, versions, results, strict=True)
        }

    def assess_snapshot(self, snapshot: FeatureSnapshot) -> Assessment:
        """What the model says of one set of raw values, for reading a profile."""
        row = self._in_order(snapshot.schema_id, snapshot.raw)
        return _assessment(snapshot.version, snapshot.as_of_us, self._score([row])[0])

    def _score(self, rows: Sequence[bytes]) -> Sequence[Scored | Unscorable]:
        with self._turn:
            return self._scorer.score(rows)

    def _in_order(self, schema_id: str, raw: bytes) -> bytes:
        """Raw values of an older schema in the order of the served model; unknown ones missing."""
        if schema_id == self.schema_id:
            return raw
        old = dict(zip(self._store.feature_names(schema_id), unpack(raw), strict=True))
        return pack([old.get(name, math.nan) for name in self.raw_names])


def _assessment(version: int, as_of_us: int, result: Scored | Unscorable) -> Assessment:
    if _is_unscorable(result):
        return Assessment(version, as_of_us, None, result.reason)
    return Assessment(version, as_of_us, result, None)


def _is_unscorable(result: Scored | Unscorable) -> TypeIs[Unscorable]:
    return hasattr(result, "reason")
