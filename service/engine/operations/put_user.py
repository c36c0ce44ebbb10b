"""PutUser: register a user or update the user's features."""

from __future__ import annotations

from dataclasses import dataclass, replace

from service.domain.access import PLATFORM
from service.domain.errors import IllegalState, InvalidInput, Unavailable, Violation
from service.domain.ledger import Line
from service.domain.policy import Reason
from service.domain.transitions import Transition
from service.engine.aliases import survivor_of
from service.engine.calls import Work
from service.engine.clock_gaps import ClockGap
from service.engine.context import Assessment, Context, Decided
from service.engine.feature_values import schema_id_of
from service.engine.operation import Operation
from service.engine.people import announce_of, bring_limit, limit_by_score, of_user
from service.engine.ports import REASONS_PENDING
from service.engine.posting import line_for
from service.engine.profile import profile_of
from service.engine.records.name_lists import text_of_names
from service.engine.records.users import (
    NOT_SCORED,
    UNSCORED,
    FeatureScore,
    FeatureSnapshot,
    KeptScore,
    UserRecord,
)
from service.engine.rows import Draft, Rows
from service.engine.tables import LINES, SNAPSHOTS, USERS


@dataclass(frozen=True, slots=True)
class PutUser:
    """Register a person or update the person's features.

    `raw` are the numbers sent, and `texts` the texts, as in `FeatureSnapshot`; NaN stands for a
    missing value. `names` are the names of the numbers and missing values; None means all features
    of the served model, in its order. `ignored` are the names that were not kept. `violations`
    are the faults of the input. A command with faults is refused, unless it is a retry of a command
    that was accepted under another model. An empty `identity_hash` leaves the one on record as it
    is.
    """

    user_id: str
    raw: bytes
    as_of_us: int
    scoring_consent: bool
    violations: tuple[Violation, ...] = ()
    names: tuple[str, ...] | None = None
    identity_hash: str = ""
    texts: str = ""
    ignored: tuple[str, ...] = ()


def decide(work: Work, it: PutUser, rows: Rows, context: Context) -> Decided:
    """Registers a person or updates the features. The limits in all currencies follow the score,
    except those that somebody fixed.

    A later `as_of_us` than now counts as now. Raises InvalidInput for wrong input. Raises
    IllegalState for features that are older than the stored ones, and Unavailable if the model
    fails on the features: a stand-in decides one rental, and never a limit.
    """
    now_us = context.now_us
    if it.violations:
        raise InvalidInput(list(it.violations))
    if Reason.STAND_IN_DECISION in context.assessed.put[it].why:
        text = "the model failed on these features; nothing was stored: retry later"
        raise Unavailable("SCORER_FAILED", text)
    user_id = survivor_of(it.user_id, rows)
    old_user = rows[USERS].get(user_id)
    if old_user is not None and it.as_of_us < old_user.as_of_us:
        raise IllegalState("FEATURES_OUTDATED", "newer features are stored", "")
    as_of_us = min(it.as_of_us, now_us)
    if old_user is not None:
        # Another process, whose clock is ahead, may have stored the earlier features.
        as_of_us = max(as_of_us, old_user.as_of_us)
    line, _ = line_for(user_id, context.currency, rows, context)
    version = (old_user.feature_version if old_user else 0) + 1
    kept = _kept_score(context.assessed.put[it], version, context)
    draft = Draft(list)
    draft[LINES].append(line)
    schema_id = context.schema_id if it.names is None else schema_id_of(it.names)
    draft[SNAPSHOTS].append(
        FeatureSnapshot(
            *(user_id, version, schema_id, it.raw, as_of_us, now_us, it.texts),
            *_score_of_features(context.assessed.put[it], context),
        )
    )
    if it.as_of_us > now_us:
        draft.clock_gap = ClockGap(PLATFORM, "PutUsers", it.as_of_us - now_us, now_us)
    limit_minor = limit_by_score(line, kept.score, rows, context.catalog)
    if limit_minor is not None:
        bring_limit(draft, line, limit_minor, context)
        kept = kept._replace(limit_minor=limit_minor)
    _bring_other_limits(draft, line, kept.score, rows, context)
    create_us = old_user.create_us if old_user else now_us
    alias_of = old_user.alias_of if old_user else ""
    identity_hash = it.identity_hash or (old_user.identity_hash if old_user else "")
    user = UserRecord(
        user_id, it.scoring_consent, version, as_of_us, create_us, *kept, alias_of, identity_hash
    )
    draft[USERS].append(user)
    announce_of(draft, Transition.FEATURES_RECORDED, user_id, context)
    profile = replace(profile_of(user, line), ignored=it.ignored)
    return Decided(draft, profile, user_id, "")


def _bring_other_limits(
    draft: Draft, main: Line, score: int | None, rows: Rows, context: Context
) -> None:
    """The limits of the person's lines in other currencies follow the score too.

    A line in a further currency is opened, with its limit, by the first rental in it.
    """
    for it in rows.lines_of(main.user_id):
        limit_minor = limit_by_score(it, score, rows, context.catalog)
        if it.currency != main.currency and limit_minor is not None:
            line = it.copy()
            bring_limit(draft, line, limit_minor, context)
            draft[LINES].append(line)


def _kept_score(assessment: Assessment, version: int, context: Context) -> KeptScore:
    """The score of these features, before a limit follows from it."""
    scored = assessment.scored
    if scored is None:
        return UNSCORED._replace(
            feature_version=version,
            unscorable_reason=str(assessment.why[0]),
            unscorable_feature=assessment.feature,
            limit_minor=None,
        )
    return KeptScore(
        version,
        scored.score,
        scored.band,
        context.model_id,
        context.scale_version,
        "",
        "",
        scored.extrapolated,
        None,
    )


def _score_of_features(assessment: Assessment, context: Context) -> FeatureScore:
    """The result for later calls, so that the same model need not score the features again."""
    scored = assessment.scored
    if scored is None:
        return NOT_SCORED
    explained = scored.score < context.assessed.explain_below and assessment.why != REASONS_PENDING
    return FeatureScore(
        context.model_id,
        scored.margin.hex(),
        text_of_names(assessment.why) if explained else None,
        scored.extrapolated,
    )


PUT_USER = Operation(PutUser, of_user, decide)
