"""Reads stand-in decisions with the features that the model failed on."""

from __future__ import annotations

from sqlalchemy import Engine, select

from service.domain.policy import Offer, Reason
from service.engine.records.users import UserFeatures
from service.engine.stand_ins import StandIn
from service.storage import schema as t
from service.storage.database import reading


def stand_ins(engine: Engine, since_us: int) -> list[StandIn]:
    """The stand-in decisions on orders since an instant, in the order of their ids.

    A person who has withdrawn the consent since has no features here. Raises as `reading`.
    """
    d, a, s, u = (it.c for it in (t.decisions, t.authorizations, t.feature_snapshots, t.users))
    own = (a.user_id == d.user_id) & (a.decision_id == d.decision_id) & (a.parent_id == "")
    snapshot = (s.user_id == d.user_id) & (s.version == d.feature_version)
    query = (
        select(
            *(d.decision_id, d.user_id, a.authorization_id, d.decide_us),
            *(d.operator_id, d.product_id, d.product_revision, d.offer, a.accept_offers),
            (d.line_limit_minor - d.line_held_minor - d.line_drawn_minor).label("available"),
            *(u.scoring_consent, s.version, s.schema_id, s.raw, s.as_of_us),
        )
        .select_from(
            t.decisions.join(t.authorizations, own)
            .join(t.users, u.user_id == d.user_id)
            .outerjoin(t.feature_snapshots, snapshot)
        )
        .where(d.unscorable_reason == Reason.STAND_IN_DECISION, d.decide_us >= since_us)
        .order_by(d.decision_id)
    )
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    found = []
    for row in rows:
        features = None
        if row.scoring_consent and row.version is not None:
            kept = (row.version, row.schema_id, row.raw, row.as_of_us)
            features = UserFeatures(row.user_id, True, *kept)
        found.append(
            StandIn(
                row.decision_id,
                row.user_id,
                row.authorization_id,
                row.decide_us,
                (row.operator_id, row.product_id, row.product_revision),
                None if row.offer is None else Offer(row.offer),
                tuple(Offer(it) for it in row.accept_offers.split(",") if it),
                row.available,
                features,
            )
        )
    return found
