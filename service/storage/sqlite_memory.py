"""Switches off the count of SQLite's memory, which nobody reads.

By default SQLite counts each allocation under a lock of the whole process. A statement allocates
for every text and every row, so the count takes a fiftieth of the CPU time of a settlement.
"""

from __future__ import annotations

import ctypes
import sys
from importlib.util import find_spec

# From sqlite3.h.
_CONFIG_MEMSTATUS, _OFF = 9, 0


def uncount_memory() -> None:
    """Switches the count off for this process.

    Call it before SQLite's driver is imported: SQLite refuses the change once it is in use, and
    then it goes on counting. It also does so where its library cannot be reached.
    """
    # Elsewhere a function with a variable number of arguments may be called in another way.
    driver = find_spec("_sqlite3") if sys.platform == "linux" else None
    if driver is None or not driver.has_location or driver.origin is None:
        return
    try:
        # The driver's own library, or one with it inside; both have SQLite's functions.
        configure = ctypes.CDLL(driver.origin).sqlite3_config
    except (OSError, AttributeError):
        return
    configure(_CONFIG_MEMSTATUS, _OFF)
