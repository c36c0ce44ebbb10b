"""ApproveMerge: a second employee confirms that two people are one."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.errors import IllegalState
from service.domain.ledger import Standing
from service.domain.transitions import Transition
from service.engine.aliases import in_use_minor
from service.engine.calls import Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation
from service.engine.operations.propose_merge import of_both, require_mergeable
from service.engine.people import announce_of, bring_limit
from service.engine.posting import line_for
from service.engine.rows import Draft, Keys, Rows
from service.engine.tables import ALIASES, LINES, USERS


@dataclass(frozen=True, slots=True)
class ApproveMerge:
    """Merge `user_id` into `survivor`, as proposed; `by` names the key used."""

    user_id: str
    survivor: str
    by: str


def wanted(caller: str, it: ApproveMerge, keys: Keys) -> None:
    """Needs both people; other calls of the batch may find them merged."""
    of_both(caller, it, keys)
    keys.merging.add((it.user_id, it.survivor))


def decide(_work: Work, it: ApproveMerge, rows: Rows, context: Context) -> Decided:
    """Cuts the merged person's lines to 0, and the survivor's by what is still in use there.

    The worse of the two standings counts for the survivor. Raises IllegalState if the merge was not
    proposed, or by the same key.
    """
    require_mergeable(it.user_id, it.survivor, rows)
    proposed = rows[ALIASES].get(it.user_id)
    if proposed is None or proposed.survivor != it.survivor:
        raise IllegalState("MERGE_NOT_PROPOSED", "no merge of these two people was proposed", "")
    if proposed.proposed_by == it.by:
        raise IllegalState(
            "SECOND_PERSON_REQUIRED",
            "the same person proposed the merge; another one must approve it",
            "",
        )
    draft = Draft(list)
    lines = [*rows.lines_of(it.user_id), *rows.lines_of(it.survivor)]
    standing = max((line.standing for line in lines), key=list(Standing).index, default=None)
    for currency in sorted({context.currency, *(line.currency for line in lines)}):
        merged, _ = line_for(it.user_id, currency, rows, context)
        kept, _ = line_for(it.survivor, currency, rows, context)
        bring_limit(draft, merged, 0, context)
        merged.limit_fixed = True
        wished_minor = kept.limit_minor - kept.cut_pending_minor
        kept_minor = max(0, wished_minor - in_use_minor(merged))
        bring_limit(draft, kept, kept_minor, context)
        kept.standing = standing or kept.standing
        draft[LINES] += [merged, kept]
    for person in (it.user_id, it.survivor):
        user = rows[USERS][person]
        draft[USERS].append(user._replace(alias_of=it.survivor))
        announce_of(draft, Transition.LIMIT_SET, person, context)
    announce_of(draft, Transition.STANDING_SET, it.survivor, context)
    alias = proposed._replace(
        approved_by=it.by, approve_us=context.now_us, version=proposed.version + 1
    ).digested()
    draft[ALIASES].append(alias)
    return Decided(draft, alias, it.user_id, "")


APPROVE_MERGE = Operation(ApproveMerge, wanted, decide)
