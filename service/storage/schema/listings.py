"""Listings of users, devices and payment accounts, and the kinds that each owner uses.

`owner` is an operator's id, or "platform".
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, String, Table

from service.domain.listings import ListingEffect, ListingKind
from service.engine.tables import LISTINGS
from service.storage.schema.columns import among, key_column, metadata, string
from service.storage.schema.record_tables import of_records

# Triggers refuse to change a listing, except that it may be ended once.
listings = of_records(
    LISTINGS,
    CheckConstraint("number > 0", "number_positive"),
    CheckConstraint(among("effect", ListingEffect), "effect_known"),
    CheckConstraint(among("kind", ListingKind), "kind_known"),
    CheckConstraint("(effect = 'ALLOW') = (rules <> '')", "allow_names_rules"),
    CheckConstraint("(kind = 'EVERYBODY') = (subject = '')", "subject_given"),
    CheckConstraint("kind <> 'EVERYBODY' OR expire_us IS NOT NULL", "everybody_ends"),
    CheckConstraint("expire_us > create_us", "expires_after_create"),
    CheckConstraint("end_us >= create_us", "ends_after_create"),
    CheckConstraint("(end_us IS NULL) = (ended_by = '')", "end_whole"),
    Index("ix_listings_subject", "owner", "kind", "subject"),
    effect=String(16),
    kind=String(16),
    rules=string(2000),
    policy_id=string(200),
)

# The kinds of which an owner ever had a listing, so that a batch looks for no others. Servers learn
# of a new row as of changed terms.
listing_kinds = Table("listing_kinds", metadata, key_column("owner"), key_column("kind"))
