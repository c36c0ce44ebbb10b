"""Opens a rebuilt database as a server would after a power cut, and checks its contents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.power_load import digest, digest_of_rows
from benchmarks.power_trace import Acknowledge, Event
from service.books.verify import verify_books
from service.storage.database import open_database

_SHOWN = 300


@dataclass(frozen=True)
class Batch:
    """One acknowledged batch.

    number    from 1, in order
    requests  digest of the answer by request id
    rows      digest of all rows of the database once it was committed
    """

    number: int
    requests: dict[str, str]
    rows: str


@dataclass(frozen=True)
class Verdict:
    """The verdict on one state.

    acknowledged   batches acknowledged before the cut
    lost_batches   of these, the ones with an answer missing or changed
    lost_requests  acknowledged requests without their answer
    broken         any other fault: half a batch, a gap, wrong books, an unreadable file; empty
                   without one
    """

    acknowledged: int
    lost_batches: int
    lost_requests: int
    broken: str

    @property
    def whole(self) -> bool:
        """Whether there is no loss and no fault."""
        return not self.lost_batches and not self.broken


def acknowledged(events: Sequence[Event]) -> list[Batch]:
    """The batches that the events acknowledge, in order."""
    lines = [json.loads(event.line) for event in events if isinstance(event, Acknowledge)]
    return [Batch(line["batch"], line["requests"], line["rows"]) for line in lines]


def check(database: Path, batches: Sequence[Batch], told: int, before: str) -> Verdict:
    """The verdict on the database file after recovery.

    `batches` are all of the run's, of which the first `told` were acknowledged before the cut;
    `before` is the digest of the rows before the first batch.
    """
    everything = sum(len(batch.requests) for batch in batches[:told])
    engine = open_database(f"sqlite:///{database}")
    try:
        with engine.connect() as connection:
            pages = str(connection.exec_driver_sql("PRAGMA integrity_check").scalar())
            if pages != "ok":
                return Verdict(told, told, everything, f"integrity_check: {pages}"[:_SHOWN])
            answers = {
                str(request_id): digest(answer)
                for request_id, answer in connection.exec_driver_sql(
                    "SELECT request_id, answer FROM requests"
                )
            }
        rows = digest_of_rows(engine)
        fault = verify_books(engine).fault
    except Exception as error:
        # Any error from damaged rows is a finding here, not a reason to stop.
        return Verdict(told, told, everything, f"not readable: {error}"[:_SHOWN])
    finally:
        engine.dispose()
    missing = [
        {name for name, answer in batch.requests.items() if answers.get(name) != answer}
        for batch in batches
    ]
    there = [batch for batch, names in zip(batches, missing, strict=True) if not names]
    books = "" if fault is None else f"{fault.rule} at {fault.row}: {fault.detail}"
    broken = _broken(batches, missing) or books or _other_rows(there, rows, before)
    return Verdict(
        told,
        sum(1 for names in missing[:told] if names),
        sum(len(names) for names in missing[:told]),
        broken,
    )


def _broken(batches: Sequence[Batch], missing: Sequence[set[str]]) -> str:
    for batch, names in zip(batches, missing, strict=True):
        if names and len(names) < len(batch.requests):
            return f"batch {batch.number} is there in part"
    # A batch with only refusals stored no request: nothing can be said about it.
    asked = [
        (batch, not names) for batch, names in zip(batches, missing, strict=True) if batch.requests
    ]
    there = [batch for batch, is_there in asked if is_there]
    if there != [batch for batch, _ in asked[: len(there)]]:
        return f"batch {there[-1].number} is there, and one before it is not"
    return ""


def _other_rows(there: Sequence[Batch], rows: str, before: str) -> str:
    # The rows after a batch with only refusals are those before it.
    last = next((batch for batch in reversed(there) if batch.requests), None)
    if rows != (before if last is None else last.rows):
        return f"the rows are not those after batch {0 if last is None else last.number}"
    return ""
