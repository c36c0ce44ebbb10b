"""Checks documents of terms: that the record of acts has every step of them, and that the rows of
policies and products are what their documents say.

A document that no act drafted follows from rows of an earlier build or from the default terms. It
is right if the rows agree with it. If no act retired it either, it was retired by the document that
followed from the rows after it, or it was retired from its beginning.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, ForeignKeyConstraint, Select, exists, func, select

from service.books.columns import kept, rows_of
from service.books.faults import Found
from service.domain.access import PLATFORM
from service.domain.documents import DocumentState
from service.domain.verification import TERMS
from service.engine.records.administration import AuditEvent
from service.engine.records.documents import TermsDocument
from service.storage import schema as t

Key = tuple[str, str, str, int]
Values = dict[str, Any]
UNITS_US = {"_minutes": 60_000_000, "_hours": 3_600_000_000, "_days": 86_400_000_000}
STEPS = {
    "terms.validated": ("validate_us", "validated_by", "validate_reason", DocumentState.VALIDATED),
    "terms.activated": ("activate_us", "activated_by", "activate_reason", DocumentState.ACTIVE),
    "terms.retired": ("retire_us", "retired_by", "retire_reason", DocumentState.RETIRED),
}
BEFORE = {
    "validate_us": ("create_us",),
    "activate_us": ("create_us", "validate_us"),
    "retire_us": ("create_us", "validate_us", "activate_us"),
}
"""The instants that a step is not before, even if another server's clock is behind."""
NOT_IN_DOCUMENTS = {"rules", "policy_id", "revision", "policy_revision", "operator_id", "retire_us"}
"""Columns of policies and products that are compared by themselves."""


class _Told(NamedTuple):
    """The steps of a document by the record of acts."""

    drafted: bool
    values: Values


class TermsRecord:
    """The documents as the acts describe them. The acts of each owner are added in their order."""

    def __init__(self) -> None:
        self._told: dict[Key, _Told] = {}
        self._ended: dict[Key, int] = {}
        """When an act retired a document of a product."""

    def add(self, it: AuditEvent, details: Values) -> bool:
        """Adds an act on a document; returns False if it does not fit the acts before."""
        parts = it.subject.split("/")
        if len(parts) != 4 or not parts[3].isdecimal():
            return False
        key = parts[1], it.owner, parts[2], int(parts[3])
        known = self._told.get(key)
        if it.act == "terms.drafted":
            if known is not None:
                return False
            values = {
                "create_us": it.record_us,
                "created_by": it.by_text,
                "state": DocumentState.DRAFT,
            }
            values |= {"create_reason": details["reason"], "digest": details["digest"]}
            self._told[key] = _Told(True, values)
            return True
        known = self._told.setdefault(key, _Told(False, {}))
        self._step(known, it, it.act, details["reason"])
        if it.act == "terms.retired" and parts[1] == "product":
            self._ended[key] = it.record_us
        replaced = details.get("replaces", 0)
        if replaced:
            other = self._told.setdefault((*key[:3], replaced), _Told(False, {}))
            self._step(other, it, "terms.retired", f"replaced by revision {key[3]}")
        return True

    def _step(self, known: _Told, it: AuditEvent, act: str, reason: str) -> None:
        us, by, why, state = STEPS[act]
        known.values.update({us: it.record_us, by: it.by_text, why: reason, "state": state})

    def compare(self, connection: Connection) -> None:
        """Compares the documents with the acts, and the rows with the documents. Raises Found."""
        policies: dict[tuple[str, int], tuple[str, Values]] = {}
        ended: set[tuple[str, str, int]] = set()
        adopted: list[TermsDocument] = []
        for row in rows_of(connection, _documents(connection)):
            it = TermsDocument(*row)
            name = "/".join(("terms", it.owner, it.kind, it.name, str(it.revision)))
            document = _document(it, name)
            told = self._told.pop(it.full_name, _Told(False, {}))
            self._compare_steps(it, name, told)
            if not told.drafted:
                # The end that an act told is compared with the act.
                by_act = "retire_us" in told.values
                adopted.append(it._replace(retire_us=None) if by_act else it)
            end_us = self._ended.get(it.full_name)
            if end_us is not None and it.activate_us is not None:
                ended.add((it.owner, it.name, end_us))
            if it.kind == "policy":
                policy_id = it.name if it.owner == PLATFORM else f"{it.owner}/{it.name}"
                policies[policy_id, it.revision] = it.state, document
        for key in self._told:
            name = "/".join(("terms", key[1], key[0], key[2], str(key[3])))
            raise Found("AUDIT", name, "an act names the document, and it is gone")
        _compare_replaced(adopted)
        _compare_policies(connection, policies)
        _compare_products(connection)
        _compare_ends(connection, ended)

    def _compare_steps(self, it: TermsDocument, name: str, told: _Told) -> None:
        expected = (
            {**dict.fromkeys(_STEP_COLUMNS), "state": DocumentState.DRAFT} if told.drafted else {}
        )
        expected |= told.values
        row = it._asdict()
        for column, value in expected.items():
            if value is not None and column in BEFORE:
                value = max(value, *(row[other] or 0 for other in BEFORE[column]))
            if row[column] != value:
                raise Found("AUDIT", name, f"{column} differs from the record of acts")


_STEP_COLUMNS = tuple(column for step in STEPS.values() for column in step[:3])


def _compare_replaced(adopted: list[TermsDocument]) -> None:
    """A document that no act retired has the time, the actor and the reason of the document that
    replaced it, or of its own beginning; no act drafted these documents."""
    for it in adopted:
        if it.retire_us is None:
            continue
        earlier = [getattr(it, column) or 0 for column in BEFORE["retire_us"]]
        ends = (
            (max(other.create_us, *earlier), other.created_by, other.create_reason)
            for other in adopted
            if (other.kind, other.owner, other.name) == (it.kind, it.owner, it.name)
            and other.revision >= it.revision
        )
        end = it.retire_us, it.retired_by, it.retire_reason
        if all(end != other for other in ends):
            name = "/".join(("terms", it.owner, it.kind, it.name, str(it.revision)))
            raise Found(TERMS, name, "neither an act nor another document retired it")


def _document(it: TermsDocument, name: str) -> Values:
    if sha256(it.document.encode()).hexdigest() != it.digest:
        raise Found(TERMS, name, "the digest is not that of the document")
    try:
        document = json.loads(it.document)
    except (ValueError, RecursionError):
        document = None
    named = {"product": "id", "limits": ""}.get(it.kind, "name")
    if not isinstance(document, dict) or (named and document.get(named) != it.name):
        raise Found(TERMS, name, "the document is not a table of this name")
    return document


def _compare_policies(
    connection: Connection, documents: dict[tuple[str, int], tuple[str, Values]]
) -> None:
    names = list(t.policies.columns.keys())
    for row in rows_of(connection, _whole(connection, t.policies.name)):
        values = dict(zip(names, row, strict=True))
        key = values["policy_id"], values["revision"]
        _, document = documents.pop(key, ("", None))
        if document is None:
            if "/" in key[0]:
                raise Found(TERMS, f"policies/{key[0]}/{key[1]}", "it has no document")
            continue
        _compare(f"policies/{key[0]}/{key[1]}", values, _policy_columns(values, document))
    for (policy_id, revision), (state, _) in documents.items():
        if state == DocumentState.ACTIVE:
            text = "the document is in force, and its row is gone"
            raise Found(TERMS, f"policies/{policy_id}/{revision}", text)


def _policy_columns(row: Values, document: Values) -> Values:
    """The columns of a policy by its document; those of a ladder are left out."""
    expected: Values = {}
    for column in row:
        if column in NOT_IN_DOCUMENTS:
            continue
        stem = column.removesuffix("_us")
        for name, unit in (*((f"{stem}{end}", us) for end, us in UNITS_US.items()), (column, 1)):
            if name in document:
                value = document[name]
                expected[column] = value * unit if isinstance(value, int) else None
    if "ladder" in document:
        expected |= _cut_offs(document["ladder"])
    # A document of an earlier build lacks the keys that were added since.
    sections = {name: it for name, it in document.items() if isinstance(it, list | dict)}
    rules = None if row["rules"] is None else _json(row["rules"])
    return {**expected, "rules": row["rules"] if rules == (sections or None) else sections}


def _cut_offs(ladder: list[Values]) -> Values:
    """The two cut-offs and the share of a policy with a ladder, for builds without ladders."""
    whole = [it["from_score"] for it in ladder if it["credit_share_bp"] == 10_000]
    partly = [it for it in ladder if 0 < it["credit_share_bp"] < 10_000]
    zero = min(whole) if whole else 2**31 - 1
    lower = [it["from_score"] for it in partly] or ([zero] if whole else [])
    return {
        "zero_from_score": zero,
        "reduced_from_score": min([zero, min(lower)]) if lower else zero,
        "reduced_credit_share_bp": min((it["credit_share_bp"] for it in partly), default=0),
    }


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _compare_products(connection: Connection) -> None:
    ((links,),) = rows_of(connection, _count(connection))
    ((whole,),) = rows_of(connection, _whole_count(connection))
    if links != whole:
        text = "a row names a product or a document that is gone"
        raise Found(TERMS, "compiled_products", text)
    names = list(t.products.columns.keys())
    columns = list(t.compiled_products.columns.keys())
    places = _PlacesBefore()
    for row in rows_of(connection, _compiled(connection)):
        values = dict(zip(names, row[: len(names)], strict=True))
        link = dict(zip(columns, row[len(names) : -2], strict=True))
        own, tariff = _json(row[-2]), _json(row[-1])
        name = f"products/{values['operator_id']}/{values['product_id']}/{values['revision']}"
        if values["retire_us"] is not None:
            # A product ends by a revision of its own, which no document made.
            raise Found(TERMS, name, "it is retired, and a row says that documents made it")
        owner, policy = link["policy_owner"], link["policy_name"]
        expected = {
            "policy_id": policy if owner == PLATFORM else f"{owner}/{policy}",
            "policy_revision": link["policy_revision"],
            **{column: own[column] for column in values if column in own},
            "line_items": _listed(own.get("line_items")),
            **_tariff_columns(values, _of_stations(values, tariff)),
            "stations": _listed(_stations(values, tariff)),
        }
        named = own["policy"], own["tariff"]
        if (policy, link["tariff_name"]) != named:
            raise Found(TERMS, name, "its document names another tariff or policy")
        _compare(name, values, expected)
        places.require(name, values, link, tariff)
    places.require_none()


class _PlacesBefore:
    """The rows of places between the row before and the row of all other stations."""

    def __init__(self) -> None:
        self._named: list[tuple[Values, str]] = []

    def require(self, name: str, row: Values, link: Values, tariff: Values) -> None:
        """Raises Found unless all rows of a tariff's places come directly before its other row, in
        the tariff's order and of the same documents."""
        if row["stations"] is not None:
            self._named.append((link, _json(row["tariff"])["place"]))
            return
        expected = [it["name"] for it in tariff.get("place", [])]
        links = [
            {**link, "revision": row["revision"] - number} for number in range(len(expected), 0, -1)
        ]
        if self._named != list(zip(links, expected, strict=True)):
            raise Found(TERMS, name, "the rows before it are not those of its tariff's places")
        if row["places"] != len(expected):
            raise Found(TERMS, name, "places is not the number of its tariff's places")
        self._named = []

    def require_none(self) -> None:
        """Raises Found if the last rows are of places."""
        if self._named:
            link = self._named[-1][0]
            name = f"products/{link['operator_id']}/{link['product_id']}/{link['revision']}"
            raise Found(TERMS, name, "the row of the other stations is gone")


def _place(row: Values, tariff: Values) -> Values | None:
    """The place in a tariff's document of which a row has the prices; None if it has the others."""
    if row["stations"] is None:
        return None
    own = _json(row["tariff"] or "")
    named = own.get("place") if isinstance(own, dict) else None
    return next((it for it in tariff.get("place", []) if it["name"] == named), {"name": None})


def _stations(row: Values, tariff: Values) -> list[str] | None:
    """The stations of a row by its tariff's document; none if the row names no place of it."""
    place = _place(row, tariff)
    return None if place is None else place.get("stations", [])


def _of_stations(row: Values, tariff: Values) -> Values:
    """A tariff's document with the prices of a row's place in place of the usual ones."""
    place = _place(row, tariff)
    usual = {key: it for key, it in tariff.items() if key != "place"}
    if place is None:
        return usual
    own = {key: it for key, it in place.items() if key not in ("name", "stations")}
    whole = {**usual, **own, "place": place["name"]}
    return {key: it for key, it in whole.items() if it != []}


def _tariff_columns(row: Values, tariff: Values) -> Values:
    """The columns of a product by its tariff. Those beside a tariff of arithmetic 2 say nothing."""
    if "arithmetic" in tariff:
        return {"tariff": None, **{column: tariff[column] for column in row if column in tariff}}
    own = {key: value for key, value in tariff.items() if key not in ("name", "currency")}
    text = json.dumps(own, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return {"tariff": text, "buy_out_minor": tariff["buy_out_minor"]}


def _compare_ends(connection: Connection, ended: set[tuple[str, str, int]]) -> None:
    """Each retired product has its row, and no other product has one."""
    rows = set(rows_of(connection, _ends(connection)))
    for operator_id, product_id, _ in sorted(rows ^ ended):
        text = "retire_us is not the time of an act that retired the product"
        raise Found(TERMS, f"products/{operator_id}/{product_id}", text)


def _listed(names: Any) -> str | None:
    return None if names is None else json.dumps(names, separators=(",", ":"))


def _compare(name: str, row: Values, expected: Values) -> None:
    for column, value in expected.items():
        if row[column] != value:
            raise Found(TERMS, name, f"{column} differs from its document")


# -- queries -------------------------------------------------------------------------------------


@kept
def _documents(_connection: Connection) -> Select[Any]:
    table = t.terms_documents
    return select(table).order_by(*table.primary_key)


@kept
def _whole(_connection: Connection, name: str) -> Select[Any]:
    table = t.metadata.tables[name]
    return select(table).order_by(*table.primary_key)


@kept
def _compiled(_connection: Connection) -> Select[Any]:
    """Each product's row with documents, its link, its document, and its tariff's document."""
    p, c = t.products, t.compiled_products
    own, tariff = t.terms_documents.alias("own"), t.terms_documents.alias("of_tariff")
    same = [
        getattr(p.c, it) == getattr(c.c, it) for it in ("operator_id", "product_id", "revision")
    ]
    of_own = [
        *(own.c.kind == "product", own.c.owner == c.c.operator_id),
        *(own.c.name == c.c.product_id, own.c.revision == c.c.product_revision),
    ]
    of_tariff = [
        *(tariff.c.kind == "tariff", tariff.c.owner == c.c.tariff_owner),
        *(tariff.c.name == c.c.tariff_name, tariff.c.revision == c.c.tariff_revision),
    ]
    query = select(p, c, own.c.document, tariff.c.document).where(*same, *of_own, *of_tariff)
    return query.order_by(*p.primary_key)


@kept
def _ends(_connection: Connection) -> Select[Any]:
    p = t.products.c
    ends = select(p.operator_id, p.product_id, p.retire_us).where(p.retire_us.is_not(None))
    return ends.order_by(p.operator_id, p.product_id, p.revision)


@kept
def _count(_connection: Connection) -> Select[Any]:
    return select(func.count()).select_from(t.compiled_products)


@kept
def _whole_count(_connection: Connection) -> Select[Any]:
    """The number of rows whose product and documents are all there."""
    c = t.compiled_products.c
    there = [
        exists().where(*(a == b for a, b in zip(key.columns, _named(key), strict=True)))
        for key in t.compiled_products.foreign_key_constraints
    ]
    return select(func.count(c.revision)).where(
        *(it.correlate(t.compiled_products) for it in there)
    )


def _named(key: ForeignKeyConstraint) -> list[Column[Any]]:
    return [it.column for it in key.elements]
