"""The random model's rule for people who are one: the reference's side."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from service.domain.access import PLATFORM
from service.engine import operations as c
from tests.engine.plain_books import Books
from tests.engine.plain_terms import Refused, Row

STANDINGS = ("NORMAL", "WATCHED", "SUSPENDED")
"""From the best to the worst."""


class Merges(Books):
    """Aliases: the survivor of each merged person, and the amount that their lines may still use
    together."""

    def __init__(self) -> None:
        super().__init__()
        self.aliases: dict[str, Row] = {}
        self.merged_before: dict[str, str] = {}
        """The survivors of merged people as of the beginning of the batch."""

    def look_at_merges(self) -> None:
        """New rentals go to the survivors that are known when a batch begins."""
        self.merged_before = {
            user_id: it["survivor"] for user_id, it in self.aliases.items() if it["approved_by"]
        }

    def survivor(self, user_id: str) -> str:
        """The person to whom new calls for a person go."""
        it = self.aliases.get(user_id)
        return str(it["survivor"]) if it and it["approved_by"] else user_id

    def merged(self, user_id: str) -> list[str]:
        """The people who were merged into a person."""
        return [name for name in self.aliases if user_id == self.survivor(name) != name]

    def ids_of(self, user_id: str) -> list[str]:
        """All ids of a person."""
        root = self.survivor(user_id)
        return [root, *self.merged(root)]

    def for_the_survivor(self, command: Any) -> Any:
        """The command as it is carried out: for a merged person, mostly the survivor's."""
        match command:
            case c.Authorize() if not command.parent_id and command.user_id in self.merged_before:
                return command._replace(user_id=self.merged_before[command.user_id])
            case c.PutUser() | c.SetLimit() | c.SetStanding():
                return replace(command, user_id=self.survivor(command.user_id))
        return command

    def left_of(self, user_id: str, limit: int) -> int:
        """The rest of a limit after what the lines of merged people still use."""
        lines = [self.lines[it] for it in self.merged(user_id) if it in self.lines]
        used = sum(int(line["held"] + line["drawn"]) for line in lines)
        return max(0, limit - used)

    def propose_merge(self, command: c.ProposeMerge, now_us: int) -> Any:
        """Records the key that says that two people are one."""
        self._mergeable(command)
        before = self.aliases.get(command.user_id)
        row = {
            "survivor": command.survivor, "reason": command.reason, "proposed_by": command.by,
            "propose_us": now_us, "approved_by": "", "approve_us": None,
            "version": before["version"] + 1 if before else 1,
        }  # fmt: skip
        self.put(self.aliases, command.user_id, row)
        return "merge", command.user_id, dict(row)

    def approve_merge(self, command: c.ApproveMerge, now_us: int) -> Any:
        """Cuts the merged person's line to 0, and the survivor's by what is in use there."""
        self._mergeable(command)
        user_id, survivor = command.user_id, command.survivor
        it = self.aliases.get(user_id)
        if it is None or it["survivor"] != survivor:
            raise Refused("MERGE_NOT_PROPOSED")
        if it["proposed_by"] == command.by:
            raise Refused("SECOND_PERSON_REQUIRED")
        old, kept = self.line(user_id), self.line(survivor)
        worse = max(old["standing"], kept["standing"], key=STANDINGS.index)
        self.bring_limit(user_id, 0)
        self.change(old, fixed=True)
        wished = -kept["limit_control"] - kept["pending"]
        left = max(0, wished - old["held"] - old["drawn"])
        self.bring_limit(survivor, left)
        self.change(kept, standing=worse)
        if left != wished:
            self.change(self.people[survivor], by_score=False)
        for person in (user_id, survivor):
            self.events.append((person, None, "line.limit_set", now_us))
        self.events.append((survivor, None, "line.standing_set", now_us))
        self.change(it, approved_by=command.by, approve_us=now_us, version=it["version"] + 1)
        return "merge", user_id, dict(it)

    def _mergeable(self, command: c.ProposeMerge | c.ApproveMerge) -> None:
        user_id, survivor = command.user_id, command.survivor
        if user_id == survivor:
            raise Refused("INVALID_INPUT")
        if user_id not in self.people or survivor not in self.people:
            raise Refused("USER_NOT_FOUND")
        if self.survivor(user_id) != user_id or self.survivor(survivor) != survivor:
            raise Refused("USER_MERGED")
        if self.merged(user_id):
            raise Refused("USER_SURVIVES")

    def bring_limit(self, user_id: str, limit: int) -> None:
        """Sets the limit: a raise is available at once; a cut takes what is available now and on
        later releases."""
        line = self.line(user_id)
        more = limit + line["limit_control"]
        self.change(line, pending=max(0, -more))
        raised = ("available", "limit_control", max(0, more))
        self.post(user_id, PLATFORM, None, "line.limit_set", (raised,))
