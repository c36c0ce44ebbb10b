"""Pages of lists: how many rows a request asks for, and how its token names a place."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence

from service.domain.errors import InvalidInput
from service.engine.reads import START, Place

DEFAULT_PAGE = 50
"""Rows of a page whose size was not given."""
PLACE = re.compile(r"[0-9a-v]{20}(\.[0-9]{1,18})?")


def size_of(page_size: int) -> int:
    """The rows of a page at most."""
    return page_size or DEFAULT_PAGE


def place_of(token: str) -> Place:
    """The place behind which a page begins; an empty token means the first page."""
    return Place.read(token) if token else START


def token_of(place: Place | None) -> str:
    """The token of the page behind a place; empty where nothing follows."""
    return "" if place is None else str(place)


def filtered_place_of(token: str, filters: Sequence[object]) -> Place:
    """The place of a token that `filtered_token_of` made of the same filters.

    Raises InvalidInput for the token of another query, and for what is no token.
    """
    if not token:
        return START
    try:
        after, *rest = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, TypeError, RecursionError) as error:
        raise InvalidInput.of("page_token", "page_token.form", "is not a page token") from error
    if not isinstance(after, str) or not PLACE.fullmatch(after):
        raise InvalidInput.of("page_token", "page_token.form", "is not a page token")
    if rest != list(filters):
        raise InvalidInput.of("page_token", "page_token.query", "belongs to another query")
    return Place.read(after)


def filtered_token_of(place: Place | None, filters: Sequence[object]) -> str:
    """A token that is refused with other filters; empty where nothing follows."""
    if place is None:
        return ""
    return base64.urlsafe_b64encode(json.dumps([str(place), *filters]).encode()).decode()
