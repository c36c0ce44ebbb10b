"""One client's calls and answers: a file of JSON lines, which the checker reads after a kill.

The clients outlive the killed servers, so a line counts once it was passed to the operating system;
`Recorder.flush` does that before a client reports that it has stopped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

Kind = Literal["sent", "told", "unknown", "refused"]


class Line(NamedTuple):
    """One event of the call with this request id.

    sent      the call went out for the first time: `method`, and its bytes in `content`
    told      a try was answered with OK: its bytes in `content`
    unknown   a try had no answer, or one that says to retry: `why`
    refused   Freehold refused the call for good: `why`
    """

    kind: Kind
    request_id: str
    method: str = ""
    content: bytes = b""
    why: str = ""


class Recorder:
    """Appends to one history file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def write(self, line: Line) -> None:
        """Append one line; it may stay in this process until `flush`."""
        fields = (line.kind, line.request_id, line.method, line.content.hex(), line.why)
        self._file.write(json.dumps(fields) + "\n")

    def flush(self) -> None:
        """Pass all lines on, so that another process can read them."""
        self._file.flush()

    def close(self) -> None:
        """Flush and close."""
        self._file.close()


class Reader:
    """Reads the lines that were added to one history file since the last read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new_lines(self) -> Iterator[Line]:
        """The lines since the last call, in the order of writing."""
        with self._path.open("rb") as source:
            source.seek(self._offset)
            for text in source:
                self._offset += len(text)
                kind, request_id, method, content, why = json.loads(text)
                yield Line(kind, request_id, method, bytes.fromhex(content), why)
