"""Memory that was freed, and goes back to the operating system."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Gives freed memory back, as far as the C library knows how.

    glibc keeps freed blocks of some megabytes, and splits them for smaller ones. After many fits of
    a large table the process would hold about twice what it uses.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
