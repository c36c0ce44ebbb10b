"""Memory that was freed, and goes back to the operating system."""

from __future__ import annotations

import ctypes
import sys

MANY_ROWS = 30_000
"""Work on so many rows gives the memory back that it freed. Other work soon uses it again."""


def give_back(rows: int = MANY_ROWS) -> None:
    """Gives memory back that work on so many rows freed, as far as the C library knows how.

    glibc keeps freed blocks of some megabytes, and splits them for smaller ones. After many fits of
    a large table the process would hold about twice what it uses.
    """
    if rows >= MANY_ROWS and sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
