"""The tables, with the invariants that the database itself checks.

`user_id` leads the primary key of every table that a command touches, so that the schema can
be sharded by user. Named exceptions, in tables of their own: `requests` (operator, request
id), `open_items` (operator, asset), `payments` and `suspense` (owner of the rail account,
reference), `rail_accounts` (who names it, name), and the tables of `administration` and
`listings` (owner). Amounts
are minor units; columns ending in `_us` are microseconds since the epoch, UTC.
"""

from __future__ import annotations

from service.storage.schema.access import compatibility, requests
from service.storage.schema.administration import (
    api_keys,
    audit,
    audit_heads,
    persons,
    proposals,
)
from service.storage.schema.attestations import attestations
from service.storage.schema.authorizations import authorizations, decisions, open_items
from service.storage.schema.breakers import breakers
from service.storage.schema.budgets import budget_accounts, budget_leases
from service.storage.schema.captures import captures, corrections
from service.storage.schema.cases import case_evidence, cases
from service.storage.schema.charge_backs import charge_backs, suspense
from service.storage.schema.columns import metadata
from service.storage.schema.consents import consents
from service.storage.schema.details import authorization_details
from service.storage.schema.documents import compiled_products, terms_documents
from service.storage.schema.events import outbox
from service.storage.schema.lapses import lapses
from service.storage.schema.late_pickups import late_pickups
from service.storage.schema.later_decisions import later_decisions
from service.storage.schema.ledger import entries, lines, operator_payables
from service.storage.schema.listings import listing_kinds, listings
from service.storage.schema.passes import passes
from service.storage.schema.payments import debts, payments, rail_accounts, transfers
from service.storage.schema.quotas import quota_uses, quotas
from service.storage.schema.record_tables import recorded
from service.storage.schema.refused_increments import refused_increments
from service.storage.schema.seals import sealed_heads, seals
from service.storage.schema.terms import (
    exposure_rates,
    limit_steps,
    operators,
    policies,
    products,
    terms_changes,
)
from service.storage.schema.unposted import unposted_dockings
from service.storage.schema.users import (
    aliases,
    feature_schemas,
    feature_snapshots,
    models,
    users,
)
from service.storage.schema.verdicts import verdicts

__all__ = [
    "aliases",
    "api_keys",
    "attestations",
    "audit",
    "audit_heads",
    "authorization_details",
    "authorizations",
    "breakers",
    "budget_accounts",
    "budget_leases",
    "captures",
    "case_evidence",
    "cases",
    "charge_backs",
    "compatibility",
    "compiled_products",
    "consents",
    "corrections",
    "debts",
    "decisions",
    "entries",
    "exposure_rates",
    "feature_schemas",
    "feature_snapshots",
    "lapses",
    "late_pickups",
    "later_decisions",
    "limit_steps",
    "lines",
    "listing_kinds",
    "listings",
    "metadata",
    "models",
    "open_items",
    "operator_payables",
    "operators",
    "outbox",
    "passes",
    "payments",
    "persons",
    "policies",
    "products",
    "proposals",
    "quota_uses",
    "quotas",
    "rail_accounts",
    "recorded",
    "refused_increments",
    "requests",
    "sealed_heads",
    "seals",
    "suspense",
    "terms_changes",
    "terms_documents",
    "transfers",
    "unposted_dockings",
    "users",
    "verdicts",
]
