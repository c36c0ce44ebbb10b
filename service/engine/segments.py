"""Groups of people by a value of their features on record."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence

from service.engine.feature_values import unpack
from service.engine.records.users import UserFeatures

NOT_SENT, MISSING, OTHERS = "not sent", "missing", "other values"


class Segment:
    """The groups of people by one feature.

    name       the feature's name
    protected  the candidate's spec declares it as protected
    lows       the least value of each group of numbers but the first, ascending
    names      the names of these groups, one more than `lows`; without them each value is a group
    special    numbers that are no amounts; each is a group
    texts      the group of each text; other texts are groups of their own
    schemas    the names of the raw values of each schema, by its id
    """

    def __init__(
        self,
        name: str,
        schemas: Mapping[str, Sequence[str]],
        *,
        protected: bool = False,
        lows: Sequence[float] = (),
        names: Sequence[str] = (),
        special: Collection[float] = (),
        texts: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.names, self.protected = name, tuple(names), protected
        self._lows = tuple(lows)
        self._special = frozenset(special)
        self._texts = texts or {}
        self._places = {
            schema_id: found.index(name) for schema_id, found in schemas.items() if name in found
        }

    def group_of(self, it: UserFeatures) -> str:
        """The name of the group of a person with features."""
        if it.texts:
            text = json.loads(it.texts).get(self.name)
            if text is not None:
                return self._texts.get(text, text)
        place = self._places.get(it.schema_id or "")
        if place is None or it.raw is None:
            return NOT_SENT
        return self._of_number(unpack(it.raw)[place])

    def _of_number(self, value: float) -> str:
        if math.isnan(value):
            return MISSING
        if value in self._special or not self.names:
            return number_text(value)
        return self.names[bisect_right(self._lows, value)]


def number_text(value: float) -> str:
    """A number as a person writes it."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
