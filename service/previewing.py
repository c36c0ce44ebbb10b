"""The process of a server's preview."""

from __future__ import annotations

from typing import IO, Any

from service.answering import answer_one
from service.bounds import with_values
from service.config import Limits
from service.domain.errors import Exhausted, InvalidInput, NotFound
from service.engine.preview_job import write_refusal
from service.preview.picture import svg
from service.preview.report import to_json
from service.preview.run import Asked, preview
from service.storage.database import open_database


def main() -> None:
    """Previews as the question asks."""
    answer_one(_preview)


def _preview(asked: dict[str, Any], _out: IO[str]) -> dict[str, Any]:
    question = Asked(
        asked["operator_id"],
        asked["kind"],
        asked["document"],
        frozenset(asked["products"]),
        asked["days"],
        asked["until_us"],
        asked["most"],
        asked["least_people"],
    )
    engine = open_database(asked["url"], limits=with_values(Limits(), asked["limits"]))
    try:
        found = preview(engine, question)
        picture = svg(found, asked["width"]) if asked["width"] else ""
        return {"report": to_json(found), "picture": picture}
    except (InvalidInput, NotFound, Exhausted) as error:
        return write_refusal(error)
    finally:
        engine.dispose()


if __name__ == "__main__":
    main()
