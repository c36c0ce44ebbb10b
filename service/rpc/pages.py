"""Pages of lists: their size and their tokens."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence

from service.domain.errors import InvalidInput
from service.engine.reads import START, Place

DEFAULT_PAGE = 50
"""The size of a page if the request names none."""
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
        raise InvalidInput.of(
            "page_token", "page_token.form", "must be the next_page_token of an answer"
        ) from error
    if not isinstance(after, str) or not PLACE.fullmatch(after):
        raise InvalidInput.of(
            "page_token", "page_token.form", "must be the next_page_token of an answer"
        )
    if rest != list(filters):
        raise InvalidInput.of(
            "page_token", "page_token.query", "must come from a query with the same filters"
        )
    return Place.read(after)


def filtered_token_of(place: Place | None, filters: Sequence[object]) -> str:
    """The token of the next page, valid only with the same filters; empty on the last page."""
    if place is None:
        return ""
    return base64.urlsafe_b64encode(json.dumps([str(place), *filters]).encode()).decode()
