"""Aliases: new calls for a merged person go to the survivor, and the survivor's limit is lowered.

The merged person's line is cut to 0 and runs off. The amounts that are still in use there can only
shrink. Whenever the survivor's limit is set, these amounts are subtracted. So both lines together
never use more than the survivor's limit, and no call for a rental needs to read the other line.
"""

from __future__ import annotations

from collections.abc import Collection

from service.domain.ledger import Line
from service.engine.ports import Conflict, Transaction
from service.engine.rows import Keys, Rows, Wish
from service.engine.tables import ALIASES, LINES, USERS, Pair


def read_aliases(rows: Rows, keys: Keys, transaction: Transaction) -> None:
    """Reads the aliases of the people whom calls name, and adds all their people to the keys."""
    transaction.read(rows, [Wish(ALIASES, ALIASES.key, keys.named)])
    # An earlier call of the batch may approve a proposal.
    survivors = keys.named | {it.survivor for it in rows[ALIASES].values()}
    transaction.read(rows, [Wish(ALIASES, ("survivor",), survivors)])
    people = survivors | {it.user_id for it in rows[ALIASES].values()}
    keys.users |= people
    keys.registered |= people


def require_aliases(rows: Rows, keys: Keys) -> None:
    """Raises Conflict if a person was merged after the aliases were read.

    The lines are locked by now, so that a second try reads the merge.
    """
    for user_id in keys.named:
        user = rows[USERS].get(user_id)
        if user is None or not user.alias_of:
            continue
        survives = user.alias_of == user_id
        known = merged_into(user_id, rows) if survives else survivor_of(user_id, rows) != user_id
        if not known:
            raise Conflict("a person was merged after the aliases were read")


def survivor_of(user_id: str, rows: Rows) -> str:
    """The person to whom new calls for a person go; mostly the same one."""
    alias = rows[ALIASES].get(user_id)
    return user_id if alias is None or alias.approve_us is None else alias.survivor


def merged_into(user_id: str, rows: Rows) -> list[str]:
    """The people who were merged into a person."""
    return [
        it.user_id
        for it in rows[ALIASES].values()
        if it.survivor == user_id and it.approve_us is not None
    ]


def whole_person(user_id: str, rows: Rows) -> list[str]:
    """The survivor of a person, and all people merged into it; mostly the person alone."""
    root = survivor_of(user_id, rows)
    return [root, *merged_into(root, rows)]


def may_be_whole(user_id: str, rows: Rows, merging: Collection[Pair]) -> set[str]:
    """All people of whom a call of the batch may be about the whole person: earlier calls may have
    merged `merging`, each person into a survivor."""
    people, before = {user_id}, 0
    while len(people) > before:
        before = len(people)
        merged = [pair for pair in merging if not people.isdisjoint(pair)]
        people = people.union(*merged, *(whole_person(it, rows) for it in people))
    return people


def running_off_minor(user_id: str, currency: str, rows: Rows) -> int:
    """The amount that is still in use on the lines of people merged into a person."""
    lines = (rows[LINES].get((it, currency)) for it in merged_into(user_id, rows))
    return sum(in_use_minor(line) for line in lines if line is not None)


def in_use_minor(line: Line) -> int:
    """The part of a line that is held or drawn."""
    return line.held_minor + line.drawn_minor
