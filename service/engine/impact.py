"""The impact of a promotion: everybody on record, scored by the served model and by a candidate.

The limit of a person under a model is the one that PutUsers would set with the model's score of the
features on record, by the limits in force. Nothing is changed.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from service.engine.catalog import Catalog
from service.engine.context import Assessment
from service.engine.people import limit_by_score
from service.engine.records.users import UserFeatures
from service.engine.rows import Rows
from service.engine.scoring import Assessor
from service.engine.segments import OTHERS, Segment

MOST_VALUES = 10_000
"""The groups of a segment that are counted; the people of further ones count as `OTHERS`."""
UNSCORABLE = ""
"""The band of a person who cannot be scored."""


class Person(Protocol):
    """A person's latest features, and the rows of the person's lines and aliases."""

    @property
    def features(self) -> UserFeatures: ...
    @property
    def rows(self) -> Rows: ...


class Apart(StrEnum):
    """Why a person is not compared."""

    MERGED = "merged"
    """New calls go to another person, who is compared."""
    NO_FEATURES = "no_features"
    NO_CONSENT = "no_consent"


def apart(it: UserFeatures) -> Apart | None:
    """Why a person is not compared; None for those who are."""
    if it.alias_of not in ("", it.user_id):
        return Apart.MERGED
    if it.raw is None:
        return Apart.NO_FEATURES
    return None if it.scoring_consent else Apart.NO_CONSENT


class LineImpact(NamedTuple):
    """A person's line in one currency, in minor units: its limit now, its amounts held and drawn,
    and the limits by the served model and by the candidate.

    Both limits are None if no score changes the limit.
    """

    currency: str
    now_minor: int
    held_minor: int
    drawn_minor: int
    served_minor: int | None
    candidate_minor: int | None


class Compared(NamedTuple):
    """A person, as the served model and the candidate assess the features on record."""

    features: UserFeatures
    served: Assessment
    candidate: Assessment
    lines: tuple[LineImpact, ...]


class Models(NamedTuple):
    """The served model, the candidate, and the terms of the limits."""

    served: Assessor
    candidate: Assessor
    catalog: Catalog
    note_failure: Callable[[Exception], object]


def compare(models: Models, people: Sequence[Person]) -> list[Compared]:
    """Assesses people with consent and features by both models."""
    features = [it.features for it in people]
    served = models.served.assess_again(features, models.note_failure)
    candidate = models.candidate.assess_again(features, models.note_failure)
    return [
        Compared(it.features, old, new, _lines(it, old, new, models.catalog))
        for it, old, new in zip(people, served, candidate, strict=True)
    ]


def _lines(
    it: Person, served: Assessment, candidate: Assessment, catalog: Catalog
) -> tuple[LineImpact, ...]:
    """The person's lines, in the order of the currencies."""
    return tuple(
        LineImpact(
            line.currency,
            line.limit_minor - line.cut_pending_minor,
            line.held_minor,
            line.drawn_minor,
            *(limit_by_score(line, _score(by), it.rows, catalog) for by in (served, candidate)),
        )
        for line in it.rows.lines_of(it.features.user_id)
    )


def _score(it: Assessment) -> int | None:
    return None if it.scored is None else it.scored.score


class Effect(StrEnum):
    """An effect of the promotion on a person; limits are those of all the person's lines."""

    LIMIT_UP = "limit_up"
    """A limit rises, and none falls."""
    LIMIT_DOWN = "limit_down"
    LIMIT_TO_ZERO = "limit_to_zero"
    """A limit falls to zero; such a person counts under `LIMIT_DOWN` too."""
    SCORE_UP = "score_up"
    SCORE_DOWN = "score_down"
    NEWLY_UNSCORABLE = "newly_unscorable"
    NEWLY_SCORABLE = "newly_scorable"


def effects_on(it: Compared) -> list[Effect]:
    """The effects on a person."""
    found = []
    before, after = _score(it.served), _score(it.candidate)
    if before is None or after is None:
        if before is not None:
            found.append(Effect.NEWLY_UNSCORABLE)
        elif after is not None:
            found.append(Effect.NEWLY_SCORABLE)
    elif before != after:
        found.append(Effect.SCORE_UP if after > before else Effect.SCORE_DOWN)
    moved = [
        (line.served_minor, line.candidate_minor)
        for line in it.lines
        if line.served_minor is not None
        and line.candidate_minor is not None
        and line.served_minor != line.candidate_minor
    ]
    falls = [new for old, new in moved if new < old]
    if falls:
        found.append(Effect.LIMIT_DOWN)
        if not min(falls):
            found.append(Effect.LIMIT_TO_ZERO)
    elif moved:
        found.append(Effect.LIMIT_UP)
    return found


@dataclass(slots=True)
class Money:
    """The lines of one currency, and their sums in minor units.

    lines            all lines of the people who are compared
    kept             those whose limit no score changes: somebody fixed it, or it has no steps
    up, down         those whose limit rises or falls
    to_zero          those whose limit falls to zero; they are among `down`
    out_of_date      those whose limit now is not the one by the served model
    served_minor     the sum of the limits by the served model; kept ones are left out
    candidate_minor  the same by the candidate
    up_minor         the sum of all rises
    down_minor       the sum of all falls
    held_minor       the amounts held now, on all lines
    drawn_minor      the amounts drawn now, on all lines
    above            the lines on which more is held and drawn than the candidate's limit
    above_minor      the sum of these excesses
    above_served     the same of the served model's limit
    above_served_minor
    """

    lines: int = 0
    kept: int = 0
    up: int = 0
    down: int = 0
    to_zero: int = 0
    out_of_date: int = 0
    served_minor: int = 0
    candidate_minor: int = 0
    up_minor: int = 0
    down_minor: int = 0
    held_minor: int = 0
    drawn_minor: int = 0
    above: int = 0
    above_minor: int = 0
    above_served: int = 0
    above_served_minor: int = 0

    def add(self, it: LineImpact) -> None:
        """Counts a line."""
        self.lines += 1
        self.held_minor += it.held_minor
        self.drawn_minor += it.drawn_minor
        old, new = it.served_minor, it.candidate_minor
        if old is None or new is None:
            self.kept += 1
            return
        self.served_minor += old
        self.candidate_minor += new
        self.out_of_date += it.now_minor != old
        self.up += new > old
        self.down += new < old
        self.to_zero += new == 0 < old
        self.up_minor += max(0, new - old)
        self.down_minor += max(0, old - new)
        used = it.held_minor + it.drawn_minor
        self.above += used > new
        self.above_minor += max(0, used - new)
        self.above_served += used > old
        self.above_served_minor += max(0, used - old)


@dataclass(slots=True)
class Group:
    """People of one group, and the effects on them."""

    people: int = 0
    effects: Counter[Effect] = field(default_factory=Counter)

    def add(self, effects: Sequence[Effect]) -> None:
        """Counts a person with these effects."""
        self.people += 1
        self.effects.update(effects)

    def join(self, other: Group) -> None:
        """Takes the people of another group in."""
        self.people += other.people
        self.effects.update(other.effects)


Why = tuple[str, str]
"""A reason why a person cannot be scored, and the feature at fault, or nothing."""


class Tally:
    """The sums of an impact. Its memory grows with the kinds of results, not with the people."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.apart: Counter[Apart] = Counter()
        self.everybody = Group()
        self.scores: Counter[tuple[int | None, int | None]] = Counter()
        """People by their scores under the served model and the candidate."""
        self.bands: Counter[tuple[str, str]] = Counter()
        """People by their bands under the served model and the candidate."""
        self.newly_unscorable: Counter[Why] = Counter()
        self.newly_scorable: Counter[Why] = Counter()
        """People by the served model's reason."""
        self.money: defaultdict[str, Money] = defaultdict(Money)
        self.groups: dict[str, dict[str, Group]] = {it.name: {} for it in segments}
        self.as_of_us = 0
        """The instant of the newest features that were read."""
        self.segments = tuple(segments)
        self._digest = hashlib.sha256()

    @property
    def population_sha256(self) -> str:
        """The hash of the ids of all people, in their order, and of the versions of their
        features."""
        return self._digest.hexdigest()

    def note(self, it: UserFeatures) -> Apart | None:
        """Notes a person on record, and tells why the person is not compared, if so."""
        self._digest.update(f"{it.user_id} {it.version} {it.scoring_consent}\n".encode())
        self.as_of_us = max(self.as_of_us, it.as_of_us or 0)
        why = apart(it)
        if why is not None:
            self.apart[why] += 1
        return why

    def add(self, it: Compared) -> None:
        """Counts a person who is compared."""
        effects = effects_on(it)
        self.everybody.add(effects)
        self.scores[_score(it.served), _score(it.candidate)] += 1
        self.bands[_band(it.served), _band(it.candidate)] += 1
        if Effect.NEWLY_UNSCORABLE in effects:
            self.newly_unscorable[_why(it.candidate)] += 1
        if Effect.NEWLY_SCORABLE in effects:
            self.newly_scorable[_why(it.served)] += 1
        for line in it.lines:
            self.money[line.currency].add(line)
        for segment in self.segments:
            groups = self.groups[segment.name]
            name = segment.group_of(it.features)
            if name not in groups and len(groups) >= MOST_VALUES:
                name = OTHERS
            groups.setdefault(name, Group()).add(effects)


def _band(it: Assessment) -> str:
    return UNSCORABLE if it.scored is None else it.scored.band


def _why(it: Assessment) -> Why:
    return str(it.why[0]), it.feature
