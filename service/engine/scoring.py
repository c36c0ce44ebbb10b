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
from collections.abc import Callable, Mapping, Sequence
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
from service.engine.ports import FeatureStore, Scored, Scorer
from service.engine.records.name_lists import names_of
from service.engine.records.users import UserFeatures


def give_up(error: Exception) -> None:
    """Raises the error with which the model failed."""
    raise error


class Assessor:
    """Reads features and calls the model once for all people of a batch."""

    def __init__(self, store: FeatureStore, scorer: Scorer) -> None:
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

    def reading_from(self, store: FeatureStore) -> Assessor:
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
        merged = {user_id: it.alias_of for user_id, it in people.items() if it.alias_of}
        survivors = {user_id: name for user_id, name in merged.items() if name != user_id}
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
            surviving=frozenset(
                [user_id for user_id, it in people.items() if it.alias_of == user_id]
            ),
            explain_below=explain_below,
        )

    def assess_again(
        self,
        people: Sequence[UserFeatures],
        note_failure: Callable[[Exception], object] = give_up,
    ) -> list[Assessment]:
        """Assesses people by given features, without reasons.

        Raises the model's error if `note_failure` does."""
        return self._assessments([self._stored(it, 0) for it in people], 0, note_failure)

    def _assessments(
        self,
        persons: Sequence[_Person | Assessment],
        explain_below: int,
        note_failure: Callable[[Exception], object],
    ) -> list[Assessment]:
        """For each person a score with its reasons, or the reason for its absence."""
        rows = [it.row for it in persons if isinstance(it, _Person)]
        if not rows:
            return [it for it in persons if isinstance(it, Assessment)]
        with self._turn:
            results = iter(self._scores(rows, explain_below, note_failure))
        made = []
        for it in persons:
            if isinstance(it, Assessment):
                made.append(it)
                continue
            result, why = next(results)
            if hasattr(result, "reason"):
                made.append(it.refused(result.reason, result.feature))
            else:
                made.append(it.assessed(result, why))
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

    def _stored(self, it: UserFeatures, explain_below: int) -> _Person | Assessment:
        """A person with the stored values in the served model's order, or the assessment, if the
        score is known or the person cannot be scored."""
        told = it.scoring_consent, it.version, it.as_of_us
        if it.schema_id is None or it.raw is None:
            return Assessment(*told, None, (Reason.NO_FEATURES,))
        if not it.scoring_consent:
            return Assessment(*told, None, (Reason.NO_CONSENT,))
        if it.model_id == self.model_id and (known := self._known(it, explain_below)):
            return Assessment(*told, *known)
        person = _Person(*told, it.raw)
        if it.schema_id == self.schema_id and not self._levels and not it.texts:
            return person
        return self._in_order(person, self._store.feature_names(it.schema_id), it.texts or "")

    def _known(self, it: UserFeatures, explain_below: int) -> tuple[Scored, tuple[str, ...]] | None:
        """The served model's score for these features and its reasons; None if it must be asked.

        It is asked for reasons that nobody needed then, and if the stored margin is no number.
        """
        names = names_of(it.extrapolated or "")
        try:
            scored = self._scorer.scored(float.fromhex(it.margin or ""), names)
        except (ValueError, OverflowError):
            return None
        if scored.score >= explain_below:
            return scored, ()
        if it.reasons is None:
            return None
        return scored, names_of(it.reasons)

    def _sent(self, command: PutUser) -> _Person | Assessment:
        """A PutUser's values in the served model's order, or the assessment of a person who cannot
        be scored.

        Stores the schema of the values.
        """
        if command.names is not None:
            self._store.save_feature_schema(schema_id_of(command.names), command.names)
        person = _Person(command.scoring_consent, 0, command.as_of_us, command.raw)
        if not command.scoring_consent:
            return person.refused(Reason.NO_CONSENT)
        if command.names is not None or command.texts or self._levels:
            names = self.raw_names if command.names is None else command.names
            return self._in_order(person, names, command.texts)
        return person

    def _in_order(self, person: _Person, names: Sequence[str], texts: str) -> _Person | Assessment:
        """The person with the values in the served model's order, and its numbers of the texts.

        A value that was not sent is not a missing value, because nobody said that the person has no
        such value. It counts as missing only if the model's spec says so.
        """
        sent = dict(zip(names, unpack(person.row), strict=True))
        if texts or self._levels:
            try:
                sent = number_texts(sent, texts, self.kinds, self._levels)
            except OtherKind as error:
                return person.refused(Reason.FEATURE_OF_OTHER_KIND, error.feature)
        for name in self.raw_names:
            if name not in sent and name not in self._absent_names:
                return person.refused(Reason.FEATURE_NOT_SENT, name)
        return person._replace(row=pack([sent.get(name, math.nan) for name in self.raw_names]))


class _Person(NamedTuple):
    """A person whom the model scores by a row of values."""

    scoring_consent: bool
    version: int
    as_of_us: int | None
    row: bytes

    def assessed(self, scored: Scored, why: tuple[str, ...]) -> Assessment:
        """The assessment with the model's score and reasons."""
        return Assessment(self.scoring_consent, self.version, self.as_of_us, scored, why)

    def refused(self, why: str, feature: str = "") -> Assessment:
        """The assessment without a score, for this reason."""
        consent, version, as_of_us, _ = self
        return Assessment(consent, version, as_of_us, None, (why,), feature)


class _StandIn(NamedTuple):
    """The result of a row on which the model failed."""

    reason: str = Reason.STAND_IN_DECISION
    feature: str = ""


_STAND_IN = (_StandIn(), ())
