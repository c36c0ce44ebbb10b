"""Pages of lists: their size and their tokens."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence

from service.domain.errors import InvalidInput, malformed_token
from service.engine.reads import START, Place

DEFAULT_PAGE = 50
"""The size of a page if the request names none."""
ID = re.compile(r"[0-9a-v]{20}")
PLACE = re.compile(r"[0-9a-v]{20}(\.[0-9]{1,18})?")


def size_of(page_size: int) -> int:
    """The largest number of rows of the page."""
    return page_size or DEFAULT_PAGE


def place_of(token: str) -> Place:
    """The place after which the page begins; an empty token means the first page."""
    return Place.read(token) if token else START


def token_of(place: Place | None) -> str:
    """The token of the next page; empty on the last page."""
    return "" if place is None else str(place)


def filtered_place_of(token: str, filters: Sequence[object]) -> Place:
    """The place in a token of `filtered_token_of` with the same filters.

    Raises InvalidInput for a token of another query and for a malformed token.
    """
    if not token:
        return START
    try:
        after, *rest = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, TypeError, RecursionError) as error:
        raise malformed_token() from error
    place = _row(after)
    if place is None:
        raise malformed_token()
    if rest != list(filters):
        raise InvalidInput.of(
            "page_token", "page_token.query", "must come from a query with the same filters"
        )
    return place


def _row(after: object) -> Place | None:
    """The place of a row, which a token names by its id and its user; None for anything else."""
    match after:
        case [str(identifier), str(user_id)] if ID.fullmatch(identifier) and "\0" not in user_id:
            return Place(0, identifier, user_id)
        case str(text) if PLACE.fullmatch(text):
            # A token of an earlier build, which goes on over an upgrade.
            return Place.read(text)
    return None


def filtered_token_of(place: Place | None, filters: Sequence[object]) -> str:
    """The token of the next page, valid only with the same filters; empty on the last page.

    It has no number of the database, because such a number counts the rows of other operators.
    """
    if place is None:
        return ""
    row = [place.id, place.user_id]
    return base64.urlsafe_b64encode(json.dumps([row, *filters]).encode()).decode()
