"""Checks the record of administrative acts: that it has every act, and that the keys, persons and
proposals are what the acts made of them.

Builds before migration 0024 recorded no acts, and they may still make and end keys. So a key that
the record does not know is right, unless it has what only later builds write.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from sqlalchemy import Column, Connection, Select, func, select

from service.books import told_acts as told
from service.books.breakers import ToldBreakers
from service.books.columns import kept, rows_of
from service.books.faults import Found
from service.books.listings import ToldListings
from service.books.models import ToldModels
from service.books.terms import TermsRecord
from service.domain.access import PLATFORM, key_id_of
from service.engine.records.administration import AuditEvent
from service.engine.records.rail_accounts import account_name
from service.storage import schema as t

Values = dict[str, Any]
"""The values of some columns of a row."""

UNRECORDED: Values = {
    "person_id": None, "label": "", "expire_us": None, "revoked_by": None, "units_a_second": None,
}  # fmt: skip
"""The columns of a key that no act made."""


def check_acts(connection: Connection) -> TermsRecord:
    """Raises Found unless each owner's acts are numbered from 1 to the newest, without a gap, and
    the rows of keys, persons, proposals, operators and accounts fit the acts.

    Returns the documents of terms as the acts tell of them, which are compared later.
    """
    _check_numbers(connection)
    acts = _Acts(connection)
    for row in rows_of(connection, _events(connection)):
        acts.add(AuditEvent(*row))
    return acts.compare(connection)


def _check_numbers(connection: Connection) -> None:
    newest: dict[str, int] = dict(rows_of(connection, _heads(connection)))
    for owner, count, first, last in rows_of(connection, _counts(connection)):
        head = newest.pop(owner, 0)
        if (count, first, last) != (head, 1, head):
            text = f"{count} acts from {first} to {last}, of {head} that were recorded"
            raise Found("AUDIT", f"audit/{owner}", text)
    for owner, head in newest.items():
        if head:
            raise Found("AUDIT", f"audit/{owner}", f"no act, of {head} that were recorded")


class _Acts:
    """The rows as the acts describe them. The acts of each owner are added in their order."""

    def __init__(self, connection: Connection) -> None:
        """Reads the keys, and the operators and accounts of which acts speak."""
        self._keys = {key_id_of(it["key_hash"]): it for it in _rows(connection, t.api_keys)}
        self._operators = {it["operator_id"]: it for it in _rows(connection, t.operators)}
        self._accounts = {
            account_name(it["caller"], it["name"]): it for it in _rows(connection, t.rail_accounts)
        }
        self._listings = ToldListings()
        self._breakers = ToldBreakers()
        self._models = ToldModels()
        self._told_keys: dict[str, Values] = {}
        self._told_persons: dict[tuple[str, str], Values] = {}
        self._told_proposals: dict[tuple[str, str], Values] = {}
        self._approvals = defaultdict[tuple[str, str], list[AuditEvent]](list)
        self._terms = TermsRecord()
        self._leaving = 0, AuditEvent("", 0, 0, "", "", "", "", "", "", "", "", 0, "")
        """The keys that are still to end of the person whose leaving was the last such act."""

    def add(self, it: AuditEvent) -> None:
        """Adds an act. Raises Found if its actor is unknown, or if it does not fit the acts
        before."""
        collection, name = told.collection_of(it), it.subject.rpartition("/")[2]
        details = told.details_of(it)
        if details is None or collection != told.COLLECTIONS[it.act]:
            raise _wrong(it, "the act, its subject and its details do not fit each other")
        self._check_actor(it)
        if it.proposal:
            self._approvals[it.by_owner, str(it.proposal)].append(it)
        self._check_leaving(it, details)
        match collection:
            case "keys":
                self._of_key(it, name, details)
            case "persons":
                self._of_person(it, name, details)
            case "proposals":
                self._of_proposal(it, name, details)
            case told.TERMS:
                _require(it, self._terms.add(it, details))
            case "operators":
                row = self._operators.get(name)
                _require(it, row is not None and row["create_us"] == it.record_us)
            case "listings":
                if not self._listings.fits(it, name, details):
                    raise _wrong(it, "the act does not fit the acts before")
            case "breakers":
                _require(it, self._breakers.fits(it, name, details["reason"]))
            case "models":
                _require(it, self._models.fits(it, name, details))
            case _:
                self._of_account(it, details)

    def _check_actor(self, it: AuditEvent) -> None:
        """A user of the shell, or a stored key with its owner and its person."""
        actor, key = ("", ""), self._keys.get(it.by_key_id)
        if key is not None:
            actor = key["operator_id"] or PLATFORM, key["person_id"] or ""
        unknown = it.by_key_id and key is None
        if unknown or actor != (it.by_owner, it.by_person_id):
            raise _wrong(it, "no such key acts for this owner and person")

    def _check_leaving(self, it: AuditEvent, details: Values) -> None:
        """A person's keys end right after the person has left."""
        keys, left = self._leaving
        if keys:
            same = (it.owner, it.act, details.get("person_id"))
            person_id = left.subject.removeprefix("persons/")
            if same != (left.owner, "key.revoked", person_id):
                raise _wrong(left, f"{keys} more keys of the person had to end")
            self._leaving = keys - 1, left
        elif it.act == "person.left":
            self._leaving = details["keys"], it

    def _of_key(self, it: AuditEvent, key_id: str, details: Values) -> None:
        row = self._keys.get(key_id)
        if row is None:
            raise _wrong(it, "the key is missing")
        if it.act in ("key.bound", "key.unbound"):
            self._of_binding(it, key_id, details)
            return
        known = self._told_keys.get(key_id)
        described = {name: details[name] for name in ("person_id", "label")}
        described["person_id"] = described["person_id"] or None
        if it.act in ("key.created", "key.rolled"):
            _require(it, known is None)
            self._told_keys[key_id] = {
                **described,
                "operator_id": None if it.owner == PLATFORM else it.owner,
                "scopes": " ".join(details["scopes"]),
                "create_us": it.record_us,
                "expire_us": details["expire_us"],
                "revoke_us": None,
                "revoked_by": None,
                **_of_some(details),
            }
            if it.act == "key.rolled":
                self._known(it, details["replaces"])["expire_us"] = details["ends_us"]
            return
        known = self._known(it, key_id)
        if it.act == "key.updated":
            _require(it, known["person_id"] == described["person_id"])
            _require(it, known.get("scopes") in (None, " ".join(details["scopes"])))
            known |= {"label": details["label"], "expire_us": details["expire_us"]}
            known |= _of_some(details)
        else:
            _require(it, described == {name: known[name] for name in described})
            known |= {"revoke_us": it.record_us, "revoked_by": it.by_text}

    def _of_binding(self, it: AuditEvent, key_id: str, details: Values) -> None:
        """Builds before migration 0036 recorded no bindings, so the first act names them all."""
        known, after = self._known(it, key_id), set(details["certificates"])
        fingerprint = details["fingerprint"]
        _require(it, (fingerprint in after) == (it.act == "key.bound"))
        if "certificates" in known:
            before = set(known["certificates"].split())
            _require(it, before ^ after == {fingerprint})
        known["certificates"] = " ".join(details["certificates"])

    def _known(self, it: AuditEvent, key_id: str) -> Values:
        """The key as the earlier acts describe it."""
        row = self._keys.get(key_id)
        if row is None or (row["operator_id"] or PLATFORM) != it.owner:
            raise _wrong(it, "the key is missing")
        if key_id not in self._told_keys and row["create_us"] == it.record_us:
            raise _wrong(it, "the act that made the key is missing")
        return self._told_keys.setdefault(key_id, dict(UNRECORDED))

    def _of_person(self, it: AuditEvent, person_id: str, details: Values) -> None:
        known = self._told_persons.get((it.owner, person_id))
        if it.act == "person.added":
            _require(it, known is None)
            self._told_persons[it.owner, person_id] = {
                "name": details["name"],
                "create_us": it.record_us,
                "created_by": it.by_text,
                "leave_us": None,
                "left_by": None,
            }
            return
        if known is None or known["left_by"] is not None:
            raise _wrong(it, "the person was not there")
        left_us = max(it.record_us, known["create_us"])
        known |= {"leave_us": left_us, "left_by": it.by_text}

    def _of_proposal(self, it: AuditEvent, number: str, details: Values) -> None:
        known = self._told_proposals.get((it.owner, number))
        if it.act == "act.proposed":
            _require(it, number == str(it.number))
            self._told_proposals[it.owner, number] = {
                "method": details["method"],
                "request": details["request_sha256"],
                "proposed_by": it.by_person_id,
                "proposer_key_id": it.by_key_id,
                "reason": details["reason"],
                "create_us": it.record_us,
                "expire_us": details["expire_us"],
                "approved_by": "",
                "approver_key_id": "",
                "approve_us": None,
                "withdraw_us": None,
            }
            return
        if known is None or known["method"] != details["method"]:
            raise _wrong(it, "the proposal of this call is missing")
        if it.act == "act.used":
            _require(it, number == str(it.proposal))
            return
        if it.act == "act.withdrawn":
            _require(it, known["withdraw_us"] is None and known["proposed_by"] == it.by_person_id)
            known["withdraw_us"] = max(it.record_us, known["create_us"])
            return
        _require(it, known["approve_us"] is None)
        known |= {
            "approved_by": it.by_person_id,
            "approver_key_id": it.by_key_id,
            "approve_us": max(it.record_us, known["create_us"]),
        }

    def _of_account(self, it: AuditEvent, details: Values) -> None:
        row = self._accounts.get(it.subject)
        used = row and (account_name(row["owner"], row["account"]), row["create_us"])
        _require(it, used == (details["account"], it.record_us))

    def compare(self, connection: Connection) -> TermsRecord:
        """Compares the rows with what the acts said, except documents of terms. Raises Found."""
        self._listings.compare(_rows(connection, t.listings), _rows(connection, t.listing_kinds))
        self._breakers.compare(_rows(connection, t.breakers))
        self._models.compare(_rows(connection, t.models))
        keys, left = self._leaving
        if keys:
            raise _wrong(left, f"{keys} more keys of the person had to end")
        for key_id, row in self._keys.items():
            told_key = self._told_keys.get(key_id, UNRECORDED)
            if row["revoked_by"] is None and told_key.get("revoke_us", 0) is None:
                # A build before 0024 may have ended the key.
                told_key = {**told_key, "revoke_us": row["revoke_us"]}
            _compare(f"api_keys/{key_id}", row, told_key)
        for row in _rows(connection, t.persons):
            person = row["owner"], row["person_id"]
            _compare("/".join(("persons", *person)), row, self._told_persons.pop(person, None))
        for row in _rows(connection, t.proposals):
            proposal = row["owner"], str(row["number"])
            row["request"] = sha256(row["request"]).hexdigest()
            name = "/".join(("proposals", *proposal))
            _compare(name, row, self._told_proposals.pop(proposal, None))
            self._check_uses(name, row, self._approvals.pop(proposal, []))
        for name, gone in (
            ("persons", self._told_persons),
            ("proposals", self._told_proposals),
            ("proposals", self._approvals),
        ):
            for key in gone:
                raise Found("AUDIT", "/".join((name, *key)), "an act names the row, and it is gone")
        return self._terms

    def _check_uses(self, name: str, row: Values, uses: list[AuditEvent]) -> None:
        """The first call under an approval is by the proposer, and its time is stored."""
        persons = {(it.by_person_id, it.approved_by) for it in uses}
        if persons - {(row["proposed_by"], row["approved_by"])}:
            raise Found("AUDIT", name, "an act under this approval names other persons")
        times = {max(it.record_us, row["approve_us"] or 0) for it in uses} or {None}
        if row["use_us"] not in times:
            raise Found("AUDIT", name, "use_us is not the time of an act under this approval")


def _compare(name: str, row: Values, expected: Values | None) -> None:
    if expected is None:
        raise Found("AUDIT", name, "no act made the row")
    for column, value in expected.items():
        if row[column] != value:
            raise Found("AUDIT", name, f"{column} differs from the record of acts")


def _of_some(details: Values) -> Values:
    """The values that only some keys have. A build before migration 0036 named no certificates."""
    values: Values = {"units_a_second": details.get("units_a_second")}
    if "certificates" in details:
        values["certificates"] = " ".join(details["certificates"])
    return values


def _require(it: AuditEvent, condition: bool) -> None:
    if not condition:
        raise _wrong(it, f"{it.act} does not fit the acts before, or the row of {it.subject}")


def _wrong(it: AuditEvent, detail: str) -> Found:
    return Found("AUDIT", f"audit/{it.owner}/{it.number}", detail)


# -- queries -------------------------------------------------------------------------------------


def _rows(connection: Connection, table: Any) -> Iterator[Values]:
    columns: list[Column[Any]] = list(table.columns)
    names = [column.name for column in columns]
    for row in rows_of(connection, _whole(connection, table.name)):
        yield dict(zip(names, row, strict=True))


@kept
def _whole(_connection: Connection, name: str) -> Select[Any]:
    table = t.metadata.tables[name]
    return select(table).order_by(*table.primary_key)


@kept
def _events(_connection: Connection) -> Select[Any]:
    a = t.audit.c
    return select(t.audit).order_by(a.owner, a.number)


@kept
def _heads(_connection: Connection) -> Select[tuple[str, int]]:
    h = t.audit_heads.c
    return select(h.owner, h.number).order_by(h.owner)


@kept
def _counts(_connection: Connection) -> Select[tuple[str, int, int, int]]:
    a = t.audit.c
    count, first, last = func.count(), func.min(a.number), func.max(a.number)
    return select(a.owner, count, first, last).group_by(a.owner).order_by(a.owner)
