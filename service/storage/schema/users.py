"""People, their features, and people who were merged."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, String, Table, Text

from service.engine.tables import ALIASES, SNAPSHOTS, USERS
from service.storage.schema.columns import (
    WHOLE,
    instant_column,
    key_column,
    metadata,
    number_column,
    text_column,
)
from service.storage.schema.record_tables import of_records

users = of_records(
    USERS,
    CheckConstraint("score_limit_minor >= 0", "score_limit_minor_not_negative"),
    CheckConstraint(
        "score_version >= 0 AND score_version <= feature_version", "score_of_known_features"
    ),
    CheckConstraint(
        "(score IS NULL) = (score_model_id = '')"
        " AND (score_version = 0 OR (score IS NULL) = (unscorable_reason <> ''))",
        "score_or_reason",
    ),
    # Servers of builds without the score's columns leave `score_version` behind `feature_version`.
    added={
        "score_version": "0",
        "score_band": "",
        "score_model_id": "",
        "score_scale_version": "",
        "unscorable_reason": "",
        "unscorable_feature": "",
        "extrapolated": "",
        "score_limit_minor": "0",
        "alias_of": "",
        "identity_hash": "",
    },
    score=WHOLE,
    score_band=String(1),
    score_model_id=String(200),
    score_scale_version=String(200),
    unscorable_reason=String(64),
    unscorable_feature=Text(),
    extrapolated=Text(),
    identity_hash=String(64),
)

aliases = of_records(
    ALIASES,
    CheckConstraint("user_id <> survivor", "of_somebody_else"),
    CheckConstraint("(approve_us IS NULL) = (approved_by = '')", "approval_is_whole"),
    CheckConstraint("approved_by <> proposed_by", "two_people_merge"),
    CheckConstraint("version > 0", "version_positive"),
    Index("ix_aliases_survivor", "survivor"),
    version=WHOLE,
)

feature_snapshots = of_records(
    SNAPSHOTS,
    CheckConstraint("(margin = '') = (model_id = '')", "margin_of_a_model"),
    CheckConstraint(
        "margin <> '' OR (reasons IS NULL AND extrapolated = '')", "reasons_of_a_margin"
    ),
    key=["user_id", "version"],
    added={"texts": "", "model_id": "", "margin": "", "extrapolated": ""},
    schema_id=String(64),
    texts=Text(),
    margin=String(32),
    reasons=Text(),
    extrapolated=Text(),
)

models = Table(
    "models",
    metadata,
    key_column("model_id"),
    text_column("outcome"),
    # The kind of each raw feature by its name, as a canonical JSON object
    Column("kinds", Text, nullable=False),
    number_column("register_us"),
    text_column("registered_by"),
    instant_column("retire_us"),
    Column("retired_by", String(200), nullable=True),
    Column("reason", String(1000), nullable=False, server_default=""),
    CheckConstraint("retire_us >= register_us", "retires_after_register"),
    CheckConstraint("(retire_us IS NULL) = (retired_by IS NULL)", "retired_whole"),
)

feature_schemas = Table(
    "feature_schemas",
    metadata,
    Column("schema_id", String(64), primary_key=True),
    # The names as a JSON list, in order.
    Column("names", String, nullable=False),
)
