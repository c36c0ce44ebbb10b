"""Reads everybody on record, and tells the impact of a promotion."""

from __future__ import annotations

import array
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from sqlalchemy import Connection, Engine

from service.engine.catalog import Catalog
from service.engine.feature_values import unpack
from service.engine.impact import Models, Tally, apart, compare
from service.engine.ports import Scorer
from service.engine.records.users import UserFeatures
from service.engine.scoring import Assessor
from service.engine.segments import Segment
from service.storage.database import reading, take_time
from service.storage.latest_features import PORTION, everybody, schemas
from service.storage.people import pages_of_people
from service.storage.terms import read_catalog

Schemas = Mapping[str, tuple[str, ...]]


class _Features:
    """The orders of raw values, for an assessor that is given its people. Nothing is stored."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def features(self, keys: Iterable[str]) -> dict[str, UserFeatures]:
        """Nobody: the pages bring the features."""
        return {}

    def feature_names(self, schema_id: str) -> tuple[str, ...]:
        """The order of the raw values of a schema; empty if unknown."""
        return self._schemas.get(schema_id, ())

    def save_feature_schema(self, schema_id: str, names: Sequence[str]) -> None:
        """Leaves the database as it is."""


class OnRecord:
    """The features on record: the orders of raw values by their schema, and the numbers."""

    def __init__(self, schemas: Schemas, connection: Connection) -> None:
        self.schemas = schemas
        self._connection = connection

    def numbers(self, names: Collection[str]) -> dict[str, array.array[float]]:
        """The numbers that the people who are compared have under some names; all are read."""
        found = {name: array.array("d") for name in names}
        places = {
            schema_id: [(order.index(name), found[name]) for name in names if name in order]
            for schema_id, order in self.schemas.items()
        }
        for people in everybody(self._connection):
            for it in people:
                if apart(it) is not None or it.raw is None:
                    continue
                values = unpack(it.raw)
                for place, numbers in places.get(it.schema_id or "", ()):
                    if not math.isnan(values[place]):
                        numbers.append(values[place])
        return found


def impact(
    database: Engine,
    served: Scorer,
    candidate: Scorer,
    segments_of: Callable[[OnRecord], Sequence[Segment]],
    note_failure: Callable[[Exception], object],
    page: int = PORTION,
) -> tuple[Tally, Catalog]:
    """The impact of promoting a candidate, and the terms by which it was told.

    All of it is read in one state of the database, in any time. `segments_of` makes the segments
    from the features on record. `note_failure` is called with a model's error; the person on
    whom it fails counts as one who cannot be scored. Raises StorageFailed.
    """
    with reading(database) as connection:
        take_time(connection)
        names, catalog = schemas(connection), read_catalog(connection)
        features = _Features(names)
        models = Models(
            Assessor(features, served), Assessor(features, candidate), catalog, note_failure
        )
        tally = Tally(segments_of(OnRecord(names, connection)))
        for people in pages_of_people(connection, page):
            wanted = [it for it in people if tally.note(it.features) is None]
            for compared in compare(models, wanted):
                tally.add(compared)
    return tally, catalog
