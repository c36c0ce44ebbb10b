"""ProposeMerge: one employee says that two people are one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from service.domain.errors import IllegalState, InvalidInput, NotFound
from service.engine.aliases import merged_into, survivor_of
from service.engine.calls import Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation
from service.engine.records.aliases import AliasRecord
from service.engine.rows import Draft, Keys, Rows
from service.engine.tables import ALIASES, USERS


@dataclass(frozen=True, slots=True)
class ProposeMerge:
    """Propose to merge `user_id` into `survivor`; `by` names the key used."""

    user_id: str
    survivor: str
    reason: str
    by: str


class OfTwo(Protocol):
    """A command that names two people."""

    @property
    def user_id(self) -> str: ...
    @property
    def survivor(self) -> str: ...


def of_both(_caller: str, it: OfTwo, keys: Keys) -> None:
    """Adds the keys of both people, their aliases and their lines."""
    keys.named |= {it.user_id, it.survivor}


def decide(_work: Work, it: ProposeMerge, rows: Rows, context: Context) -> Decided:
    """Records the proposal, in place of an earlier one; nothing else changes."""
    require_mergeable(it.user_id, it.survivor, rows)
    before = rows[ALIASES].get(it.user_id)
    version = 1 if before is None else before.version + 1
    alias = AliasRecord(
        it.user_id, it.survivor, it.reason, it.by, context.now_us, "", None, version
    ).digested()
    draft = Draft(list)
    draft[ALIASES].append(alias)
    return Decided(draft, alias, it.user_id, "")


def require_mergeable(user_id: str, survivor: str, rows: Rows) -> None:
    """Raises NotFound for an unknown person, and IllegalState if one was merged before.

    An alias leads to its survivor in one step. So a survivor is not merged into somebody else, and
    nobody is merged into an alias.
    """
    if user_id == survivor:
        raise InvalidInput.of("survivor", "survivor.other", "must be another person")
    for person in (user_id, survivor):
        if rows[USERS].get(person) is None:
            raise NotFound("user", person)
    if survivor_of(user_id, rows) != user_id or survivor_of(survivor, rows) != survivor:
        raise IllegalState(
            "USER_MERGED", "one of these two people is already merged into another person", ""
        )
    if merged_into(user_id, rows):
        raise IllegalState(
            "USER_SURVIVES",
            "other people are merged into this person: propose the merge the other way round",
            "",
        )


PROPOSE_MERGE = Operation(ProposeMerge, of_both, decide)
