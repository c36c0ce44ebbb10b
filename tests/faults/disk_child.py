"""Children that use a database while its disk fails; they import little.

Most run under strace, which doubles the time of their start.
"""

from __future__ import annotations

import fcntl
import os
import sys
from dataclasses import replace

from service.config import LIMITS, Limits
from service.domain.authorization import Start
from service.domain.errors import Unavailable
from service.domain.money import Money
from service.engine.operations import Authorize, Command, Item, Settle
from service.engine.reads import START
from service.ids import RandomIds
from service.storage.admin import install_defaults
from service.storage.database import open_database
from service.storage.migrate import migrate
from service.storage.store import SqlStore
from tests.fakes import OPERATOR, Desk, lists_of

# linux/fs.h
FIBMAP, BLOCK_BYTES = 1, 4_096


def checkpointing(pages: int) -> Limits:
    """Limits under which a checkpoint comes after this many pages."""
    return replace(LIMITS, sqlite=replace(LIMITS.sqlite, checkpoint_pages=pages))


def act(what: str, file: str) -> None:
    """A child's work on a database; it prints each answer at once.

    It waits for a line before each try.
    """
    limits = checkpointing(200) if what == "many" else LIMITS
    engine = open_database(f"sqlite:///{file}", limits=limits)
    desk = Desk(SqlStore(engine), ids=RandomIds())
    # As in a server: readers, so that the log stays when the writer's connection closes.
    reader = engine.connect()
    reader.rollback()
    if what == "again":
        desk.apply(desk.work(umbrella("umbrella-2"), request_id="first"))
    print("ready", flush=True)
    number = 0
    while sys.stdin.readline():
        number += what == "many"
        name = f"{what}-{number}"
        (result,) = desk.apply(desk.work(command_of(what, desk), request_id=name, body=b""))
        if isinstance(result, bytes):
            print("told", name, result.hex(), flush=True)
        else:
            assert isinstance(result, Unavailable), result
            print(result.reason, flush=True)


def change_schema(file: str) -> None:
    """Runs `freehold migrate`."""
    engine = open_database(f"sqlite:///{file}", create=True)
    migrate(engine)
    install_defaults(engine)
    engine.dispose()


def command_of(what: str, desk: Desk) -> Command:
    """The command of a child by name."""
    if what != "settle":
        return umbrella()
    page = lists_of(desk.store).authorizations(
        OPERATOR, after=START, size=1, user_id="ann", state=None
    )
    it = page.rows[0]
    return Settle(it.user_id, it.authorization_id, Money("CNY", 300), final=True)


def umbrella(asset_id: str = "") -> Authorize:
    """Ann wants an umbrella."""
    return Authorize("ann", (Item("umbrella", asset_id),), Start.IMMEDIATE, ())


def last_block(path: str) -> int:
    """The block on its disk of a file's last block, found as root."""
    with open(path, "rb") as file:
        blocks = os.fstat(file.fileno()).st_blocks * 512 // BLOCK_BYTES
        return max(
            int.from_bytes(
                fcntl.ioctl(file, FIBMAP, place.to_bytes(4, sys.byteorder)), sys.byteorder
            )
            for place in range(blocks)
        )
