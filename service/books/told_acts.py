"""The forms of recorded acts: the subject and the details of each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from service.engine.records.administration import AuditEvent

ACCOUNT_ADDED = "rail_account.added"
TERMS = "terms"

COLLECTIONS = {
    "key.created": "keys",
    "key.updated": "keys",
    "key.rolled": "keys",
    "key.revoked": "keys",
    "key.bound": "keys",
    "key.unbound": "keys",
    "person.added": "persons",
    "person.left": "persons",
    "act.proposed": "proposals",
    "act.approved": "proposals",
    "act.used": "proposals",
    "act.withdrawn": "proposals",
    "operator.created": "operators",
    ACCOUNT_ADDED: "railAccounts",
    "terms.drafted": TERMS,
    "terms.validated": TERMS,
    "terms.activated": TERMS,
    "terms.retired": TERMS,
    "listings.added": "listings",
    "listings.ended": "listings",
    "breaker.reset": "breakers",
    "models.registered": "models",
    "models.retired": "models",
    "models.accepted": "models",
    "models.finding_opened": "models",
    "models.finding_closed": "models",
}
"""The collection of each act's subject."""


def collection_of(it: AuditEvent) -> str:
    """The collection of an act's subject."""
    first, _, _ = it.subject.partition("/")
    if first == TERMS:
        return TERMS
    collection = it.subject.rpartition("/")[0]
    # An account's name begins with its owner's.
    return collection.rpartition("/")[2] if it.act == ACCOUNT_ADDED else collection


_INSTANT = (int, type(None))
_KEY: Mapping[str, Any] = {"person_id": str, "label": str, "scopes": list, "expire_us": _INSTANT}
_FORMS: Mapping[str, Mapping[str, Any]] = {
    "key.created": _KEY,
    "key.updated": _KEY,
    "key.rolled": {**_KEY, "replaces": str, "ends_us": int},
    "key.revoked": {"person_id": str, "label": str},
    "key.bound": {"fingerprint": str, "certificates": list},
    "key.unbound": {"fingerprint": str, "certificates": list},
    "person.added": {"name": str},
    "person.left": {"keys": int},
    "act.proposed": {"method": str, "reason": str, "expire_us": int, "request_sha256": str},
    "act.approved": {"method": str},
    "act.used": {"method": str},
    "act.withdrawn": {"method": str},
    "operator.created": {"name": str, "fee_bp": int},
    ACCOUNT_ADDED: {"account": str},
    "terms.drafted": {"reason": str, "digest": str},
    "terms.validated": {"reason": str},
    "terms.activated": {"reason": str, "replaces": int},
    "terms.retired": {"reason": str},
    "listings.added": {"last": int, "reason": str, "digest": str},
    "listings.ended": {"numbers": list, "reason": str},
    "breaker.reset": {"reason": str},
    "models.registered": {"outcome": str, "kinds": str},
    "models.retired": {"reason": str},
    "models.accepted": {"verdict": str, "reason": str},
    "models.finding_opened": {"finding": int, "severity": str, "text": str},
    "models.finding_closed": {"finding": int, "text": str},
}
_OF_SOME: Mapping[str, Any] = {"certificates": list, "units_a_second": int}
"""The details of keys that only some keys have."""


def details_of(it: AuditEvent) -> dict[str, Any] | None:
    """The details of an act; None if the act is unknown, or its details have another form."""
    form = _FORMS.get(it.act)
    try:
        details = json.loads(it.details)
    except (ValueError, RecursionError):
        return None
    if form is None or not isinstance(details, dict):
        return None
    if "scopes" in form:
        form = {**form, **{name: _OF_SOME[name] for name in _OF_SOME.keys() & details.keys()}}
    if details.keys() != form.keys():
        return None
    right = all(isinstance(details[name], kind) for name, kind in form.items())
    texts = [*details.get("scopes", ()), *details.get("certificates", ())] if right else []
    return details if right and all(map(_is_text, texts)) else None


def _is_text(value: object) -> bool:
    return isinstance(value, str)
