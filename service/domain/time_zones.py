"""Time zones of the IANA data base, from the pinned package `tzdata`.

The machine's own data is not read: it may be older on one server than on another, and then the same
rental would cost two amounts.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo


@cache
def time_zones() -> frozenset[str]:
    """The names of all zones, such as `Asia/Shanghai`."""
    names = files("tzdata").joinpath("zones").read_text(encoding="utf-8")
    return frozenset(names.split())


@cache
def time_zone(name: str) -> ZoneInfo:
    """The zone of this name. Raises KeyError for an unknown name."""
    if name not in time_zones():
        raise KeyError(name)
    path = files("tzdata").joinpath("zoneinfo", *name.split("/"))
    with path.open("rb") as data:
        return ZoneInfo.from_file(data, key=name)
