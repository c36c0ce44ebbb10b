"""Scoring: scores all people of a batch together, before its transaction begins.

A score depends only on the features and the model. PutUser stores what the model gave beside the
features, so the model is asked again only after another one was promoted.

The model runs in this process and takes microseconds, so no deadline passes while it runs. It may
fail on a row, though. Then each person is scored alone, and a person whose row fails gets a
stand-in: no score, with the reason STAND_IN_DECISION, so that the full deposit is asked for.
`stand_ins.py` scores the same features later.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple

from service.domain.policy import Reason
from service.engine.calls import Work
from service.engine.context import Assessed, Assessment
from service.engine.feature_values import (
    Kind,
    ModelFeatures,
    OtherKind,
    kinds_of,
    number_texts,
    pack,
    schema_id_of,
    unpack,
)
from service.engine.operations import BY_COMMAND
from service.engine.operations.put_user import PutUser
from service.engine.ports import Scored, Scorer, Store
from service.engine.records.name_lists import names_of
from service.engine.records.users import UserFeatures


class Assessor:
    """Reads features and calls the model once for all people of a batch."""

    def __init__(self, store: Store, scorer: Scorer) -> None:
        self.model_id = scorer.model_id
        self.scale_version = scorer.scale_version
        self._store = store
        self._scorer = scorer
        self._turn = threading.Lock()
        self.raw_names = tuple(scorer.raw_names)
        self._absent_names = scorer.absent_names
        self._levels = scorer.levels
        self.kinds: Mapping[str, Kind] = kinds_of(self.raw_names, self._levels)
        self.features = ModelFeatures(scorer.model_id, scorer.outcome, self.kinds)
        self.schema_id = schema_id_of(self.raw_names)
        store.save_feature_schema(self.schema_id, scorer.raw_names)

    def reading_from(self, store: Store) -> Assessor:
        """The same assessor over another store; both take turns at the model."""
        other = copy(self)
        other._store = store
        return other

    def assess(
        self,
        batch: Sequence[Work],
        explain_below: int,
        note_failure: Callable[[Exception], object],
    ) -> Assessed:
        """Assesses people who ask for a hold, by their stored features, and each PutUser, by the
        features sent.

        Scores below `explain_below` come with the model's reasons. `note_failure` is called with
        the error if the model fails.
        """
        asking = {work.command.user_id for work in batch if BY_COMMAND[type(work.command)].scored}
        people = self._store.features(asking) if asking else {}
        survivors = {
            user_id: it.alias_of
            for user_id, it in people.items()
            if it.alias_of and it.alias_of != user_id
        }
        if survivors:
            people |= self._store.features(set(survivors.values()).difference(people))
        sent = [work.command for work in batch if isinstance(work.command, PutUser)]
        persons = [self._stored(it, explain_below) for it in people.values()]
        persons += [self._sent(it) for it in sent]
        assessments = self._assessments(persons, explain_below, note_failure)
        return Assessed(
            asking=dict(zip(people, assessments, strict=False)),
            put=dict(zip(sent, assessments[len(people) :], strict=True)),
            survivors=survivors,
            surviving=frozenset([name for name, it in people.items() if it.alias_of == name]),
            explain_below=explain_below,
        )

    def assess_again(self, people: Sequence[UserFeatures]) -> list[Assessment]:
        """Assesses people by given features, without reasons. Raises the model's error."""

        def give_up(error: Exception) -> None:
            raise error

        return self._assessments([self._stored(it, 0) for it in people], 0, give_up)

    def _assessments(
        self,
        persons: Sequence[_Person],
        explain_below: int,
        note_failure: Callable[[Exception], object],
    ) -> list[Assessment]:
        """For each person a score with its reasons, or the reason for its absence."""
        rows = [it.row for it in persons if isinstance(it.row, bytes)]
        results: Iterator[Any] = iter(())
        if rows:
            with self._turn:
                results = iter(self._scores(rows, explain_below, note_failure))
        made = []
        for consent, version, as_of_us, row in persons:
            if isinstance(row, _Known):
                made.append(Assessment(consent, version, as_of_us, row.scored, row.why))
                continue
            if isinstance(row, _Refusal):
                made.append(Assessment(consent, version, as_of_us, None, (row.why,), row.feature))
                continue
            result, why = next(results)
            if hasattr(result, "reason"):
                unscorable = (None, (result.reason,), result.feature)
                made.append(Assessment(consent, version, as_of_us, *unscorable))
            else:
                made.append(Assessment(consent, version, as_of_us, result, why))
        return made

    def _scores(
        self,
        rows: Sequence[bytes],
        explain_below: int,
        note_failure: Callable[[Exception], object],
    ) -> Sequence[Any]:
        """The scores of rows: together, or each alone if the model fails on all of them."""
        try:
            return self._scorer.score_with_reasons(rows, explain_below)
        except Exception as error:
            note_failure(error)
            if len(rows) == 1:
                return [_STAND_IN]
        found: list[Any] = []
        for row in rows:
            try:
                found += self._scorer.score_with_reasons([row], explain_below)
            except Exception:
                found.append(_STAND_IN)
        return found

    def _stored(self, it: UserFeatures, explain_below: int) -> _Person:
        """A person's stored values in the served model's order, their known score, or the reason
        against scoring."""
        row: bytes | _Known | _Refusal
        if it.schema_id is None or it.raw is None:
            row = _NO_FEATURES
        elif not it.scoring_consent:
            row = _NO_CONSENT
        elif it.model_id == self.model_id and (known := self._known(it, explain_below)):
            row = known
        elif it.schema_id == self.schema_id and not self._levels and not it.texts:
            row = it.raw
        else:
            row = self._row(self._store.feature_names(it.schema_id), it.raw, it.texts or "")
        return _Person(it.scoring_consent, it.version, it.as_of_us, row)

    def _known(self, it: UserFeatures, explain_below: int) -> _Known | None:
        """The served model's result for these features; None if it must be asked.

        It is asked for reasons that nobody needed then, and if the stored margin is no number.
        """
        names = names_of(it.extrapolated or "")
        try:
            scored = self._scorer.scored(float.fromhex(it.margin or ""), names)
        except (ValueError, OverflowError):
            return None
        if scored.score >= explain_below:
            return _Known(scored, ())
        if it.reasons is None:
            return None
        return _Known(scored, names_of(it.reasons))

    def _sent(self, command: PutUser) -> _Person:
        """A PutUser's values in the served model's order, or the reason against scoring.

        Stores the schema of the values.
        """
        row: bytes | _Refusal = command.raw
        if command.names is not None:
            self._store.save_feature_schema(schema_id_of(command.names), command.names)
        if not command.scoring_consent:
            row = _NO_CONSENT
        elif command.names is not None or command.texts or self._levels:
            names = self.raw_names if command.names is None else command.names
            row = self._row(names, command.raw, command.texts)
        return _Person(command.scoring_consent, 0, command.as_of_us, row)

    def _row(self, names: Sequence[str], raw: bytes, texts: str) -> bytes | _Refusal:
        """The values in the served model's order, and its numbers of the texts.

        A value that was not sent is not a missing value, because nobody said that the person has no
        such value. It counts as missing only if the model's spec says so.
        """
        sent = dict(zip(names, unpack(raw), strict=True))
        if texts or self._levels:
            try:
                sent = number_texts(sent, texts, self.kinds, self._levels)
            except OtherKind as error:
                return _Refusal(Reason.FEATURE_OF_OTHER_KIND, error.feature)
        for name in self.raw_names:
            if name not in sent and name not in self._absent_names:
                return _Refusal(Reason.FEATURE_NOT_SENT, name)
        return pack([sent.get(name, math.nan) for name in self.raw_names])


class _Refusal(NamedTuple):
    """The reason why a person cannot be scored, and the feature at fault, if any."""

    why: str
    feature: str = ""


class _Known(NamedTuple):
    """A score that the served model gave before, with its reasons."""

    scored: Scored
    why: tuple[str, ...]


class _Person(NamedTuple):
    """A person to assess: the row of values, the known score, or the reason against scoring."""

    scoring_consent: bool
    version: int
    as_of_us: int | None
    row: bytes | _Known | _Refusal


class _StandIn(NamedTuple):
    """The result of a row on which the model failed."""

    reason: str = Reason.STAND_IN_DECISION
    feature: str = ""


_STAND_IN = (_StandIn(), ())
_NO_CONSENT = _Refusal(Reason.NO_CONSENT)
_NO_FEATURES = _Refusal(Reason.NO_FEATURES)
