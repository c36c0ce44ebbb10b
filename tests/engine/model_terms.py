"""Acts on terms and listings in the random model: the real ones and the reference's, compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from service.domain.access import PLATFORM, Principal, hash_key, possible_scopes
from service.domain.documents import DocumentKind
from service.domain.errors import FreeholdError
from service.domain.listings import Listing, ListingEffect, ListingKind
from service.engine.records.administration import Approval, Asked, By, NewKey, Proposal
from service.engine.records.documents import DocumentName
from service.engine.records.requests import Replayed
from service.storage import approvals, listings, persons, terms_acts
from service.storage.admin import add_key, by_shell
from service.storage.administration import administer
from service.storage.keys import find_principal
from service.storage.terms_acts import Applied, Order
from tests.engine import plain_places
from tests.engine.chance_terms import Drawn, draw
from tests.engine.plain_documents import SECTIONS, Act
from tests.engine.plain_tariffs import stored
from tests.engine.plain_terms import FEE_BP, HOUR_US, Refused, Row

if TYPE_CHECKING:
    from tests.engine.model import Model

LIFE_US = HOUR_US


class TermsSteps:
    """The acts on terms and listings of one model."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._books = model.reference
        self._seen: dict[tuple[str, str], int] = {}
        self._keys: dict[tuple[str, str], Principal] = {}
        for owner in (*FEE_BP, PLATFORM):
            self._add_keys(owner)
        for owner in FEE_BP:
            # The terms of an earlier build get their documents.
            terms_acts.adopt(model.store.engine, owner, model.clock.now_us())
            for name in ("charger", "scooter"):
                self._add_places(owner, name)
        self.check()

    def _add_keys(self, owner: str) -> None:
        """Adds two persons, each with a key, and the key of a program."""
        engine, now_us = self._model.store.engine, self._model.clock.now_us()
        operator = None if owner == PLATFORM else owner
        asked = by_shell("add", [], "", "tester")
        for person in ("", "eve", "bob"):
            if person:
                persons.add_person(engine, asked, owner, person, "Somebody", now_us, lambda _: b"")
            key = f"{owner} {person}"
            wanted = NewKey(operator, person, scopes=frozenset(possible_scopes(operator)))
            add_key(engine, key, operator, now_us, wanted=wanted)
            principal = find_principal(engine, hash_key(key), now_us)
            assert principal is not None
            self._keys[owner, person] = principal

    def _add_places(self, owner: str, name: str) -> None:
        """Gives a tariff places, so that many orders are at a station of one."""
        (usual,) = self._books.documents["tariff", owner, name]
        document = plain_places.with_first(usual["document"])
        order = Order(DocumentKind.TARIFF, owner, document, "", activate=True)
        asked, now_us = by_shell("apply", [], "", "tester"), self._model.clock.now_us()
        terms_acts.apply_terms(self._model.store.engine, asked, order, now_us, lambda _: b"")
        self._books.apply_terms(Act(owner), "tariff", document, activate=True)

    def act(self, seed: int) -> None:
        """Does one act, compares its outcome, and lets the servers learn of it."""
        chance, now_us = Random(seed), self._model.clock.now_us()
        drawn = draw(chance, self._books, now_us)
        try:
            expected = self._expected(drawn, now_us)
        except Refused as refusal:
            expected = str(refusal)
        asked = self._asked(chance, drawn, now_us)
        found = self._told(drawn, asked, now_us)
        if found != expected:
            raise self._violation(f"{drawn}: {found}, expected {expected}")
        self._model.counts[f"{drawn.kind} {drawn.of}".strip(), found] += 1
        self._again(drawn, asked, now_us)
        self._model.learn_terms()
        self.check()

    def _violation(self, text: str) -> AssertionError:
        from tests.engine.model import Violation

        return Violation(text)

    # -- the reference's side --------------------------------------------------------------------

    def _expected(self, it: Drawn, now_us: int) -> str:
        books = self._books
        acts: dict[str, Callable[[], str]] = {
            "Apply": lambda: books.apply_terms(
                it.act, it.of, it.document, activate=it.activate, beyond=it.beyond, wrong=it.wrong
            ),
            "Check": lambda: books.apply_terms(
                it.act._replace(person=""), it.of, it.document, activate=it.activate,
                beyond=it.beyond, wrong=it.wrong, dry=True,
            ),
            "Validate": lambda: books.validate_terms(it.act, it.of, it.name, it.revision),
            "Activate": lambda: books.activate_terms(it.act, it.of, it.name, it.revision),
            "Retire": lambda: books.retire_terms(it.act, it.of, it.name, it.revision),
        }  # fmt: skip
        if it.kind == "AddListings":
            books.add_listings(it.act.owner, list(it.rows), it.reason, now_us)
            return "ADDED"
        if it.kind == "EndListings":
            books.end_listings(it.act.owner, list(it.numbers), it.reason, now_us)
            return "ENDED"
        return books.whole(acts[it.kind], dry=it.kind == "Check")

    # -- the real side ---------------------------------------------------------------------------

    def _asked(self, chance: Random, it: Drawn, now_us: int) -> Asked:
        """The request: of the shell, of a program, or of a person with or without an approval."""
        owner = chance.choice((it.act.owner, PLATFORM))
        principal = None
        if it.act.person or chance.random() < 0.5:
            principal = self._keys[owner, it.act.person]
        request_id = f"terms-{self._model.chance.fresh()}" if chance.random() < 0.3 else ""
        body = repr(it).encode()
        asked = Asked(
            By(principal, "" if principal else "tester"), owner, request_id, it.kind, body,
            lambda first: None if first == body else "body",
        )  # fmt: skip
        if it.act.approved:
            number = self._approve(owner, it.act.person, asked, now_us)
            asked = asked._replace(approval=Approval(number, it.kind, body))
        return asked

    def _approve(self, owner: str, person: str, asked: Asked, now_us: int) -> int:
        """Proposes the call, and lets another person approve it."""
        made: list[Proposal] = []

        def keep(it: Proposal) -> bytes:
            made.append(it)
            return b""

        engine = self._model.store.engine
        plain = asked._replace(request_id="", method="ProposeAct")
        approvals.propose(engine, plain, asked.method, asked.body, "", now_us, keep, LIFE_US)
        second = plain._replace(by=By(self._keys[owner, "bob"]), method="ApproveAct")
        approvals.approve_act(engine, second, made[0].number, lambda _: None, now_us, keep)
        return made[0].number

    def _told(self, it: Drawn, asked: Asked, now_us: int) -> str:
        """The outcome, or the reason of a refusal."""
        try:
            return self._do(it, asked, now_us)
        except FreeholdError as refusal:
            return refusal.reason

    def _do(self, it: Drawn, asked: Asked, now_us: int) -> str:
        engine, owner = self._model.store.engine, it.act.owner
        kept: list[Any] = []

        def keep(made: Any) -> bytes:
            kept.append(made)
            return str(getattr(made, "outcome", "")).encode()

        match it.kind:
            case "Apply" | "Check":
                order = Order(
                    DocumentKind(it.of), owner, it.document, it.reason, it.activate, it.beyond
                )
                if it.kind == "Check":
                    return str(terms_acts.check_terms(engine, asked, order, now_us).outcome)
                terms_acts.apply_terms(engine, asked, order, now_us, keep)
            case "AddListings":
                wanted = [_listing(row) for row in it.rows]
                listings.add_listings(engine, asked, owner, wanted, it.reason, now_us, keep)
                return "ADDED"
            case "EndListings":
                numbers = list(it.numbers)
                listings.end_listings(engine, asked, owner, numbers, it.reason, now_us, keep)
                return "ENDED"
            case _:
                name = DocumentName(it.of, owner, it.name, it.revision)
                acts: dict[str, Any] = {
                    "Validate": terms_acts.validate_terms, "Activate": terms_acts.activate_terms,
                    "Retire": terms_acts.retire_terms,
                }  # fmt: skip
                acts[it.kind](engine, asked, name, it.reason, now_us, keep)
        (applied,) = kept
        assert isinstance(applied, Applied)
        return str(applied.outcome)

    def _again(self, it: Drawn, asked: Asked, now_us: int) -> None:
        """Sends an act that counted a second time: it gets the first answer and changes nothing."""
        if not asked.request_id or not self._model.keeps(asked.caller, asked.request_id):
            return
        self._books.requests[asked.caller, asked.request_id] = {
            "command": None, "user": "", "key": None, "refused": "an act",
        }  # fmt: skip
        engine, owner = self._model.store.engine, it.act.owner
        again = administer(engine, asked, owner, now_us, lambda _: b"a second act")
        assert isinstance(again, Replayed), again

    # -- the rows --------------------------------------------------------------------------------

    def check(self) -> None:
        """Compares all documents, limits and listings, and the rows of products that are new."""
        read, books = self._model.read, self._books
        found: dict[Any, list[Any]] = {}
        for kind, owner, name, revision, state, text in read(
            "SELECT kind, owner, name, revision, state, document FROM terms_documents"
            " ORDER BY kind, owner, name, revision"
        ):
            row = {"revision": revision, "state": state, "document": json.loads(text)}
            found.setdefault((kind, owner, name), []).append(row)
        self._require(found, {key: its for key, its in books.documents.items() if its}, "documents")
        for row in read("SELECT * FROM products ORDER BY operator_id, product_id, revision"):
            key = (row[0], row[1])
            if row[2] > self._seen.get(key, 0):
                self._check_product(key, row[2])
                self._seen[key] = row[2]
        lengths = {key: len(its) for key, its in books.revisions.items() if its}
        self._require(self._seen, lengths, "revisions of products")
        limits = [
            dict(zip(("currency", "from_score", "limit_minor"), row, strict=True))
            for row in read(
                "SELECT currency, from_score, limit_minor FROM limit_steps"
                " ORDER BY currency, from_score"
            )
        ]
        self._require(limits, books.limits, "limits")
        listed = [
            (*row[:5], tuple(row[5].split(",") if row[5] else ()), *row[6:])
            for row in read(
                "SELECT owner, number, effect, kind, subject, rules, policy_id, reason,"
                " create_us, expire_us, end_us, end_reason FROM listings ORDER BY owner, number"
            )
        ]
        names = ("owner", "number", "effect", "kind", "subject", "rules", "policy_id", "reason",
                 "create_us", "expire_us", "end_us", "end_reason")  # fmt: skip
        expected = [tuple(it[name] for name in names) for it in books.listings]
        self._require(listed, sorted(expected, key=lambda it: it[:2]), "listings")

    def _check_product(self, key: tuple[str, str], revision: int) -> None:
        """Compares a new row of a product, and the row of its policy, with the terms."""
        columns = (
            "policy_id, policy_revision, category, deposit_minor, cancellation_fee_minor,"
            " most_hold_minor, damage_without_consent_minor, line_items, buy_out_minor, tariff,"
            " stations, places, retire_us"
        )
        (row,) = self._model.read(
            f"SELECT {columns} FROM products WHERE operator_id = '{key[0]}'"
            f" AND product_id = '{key[1]}' AND revision = {revision}"
        )
        terms = self._books.revisions[key][revision - 1]
        self._require(row[-1] is None, terms is not None, "the end of a product", key)
        if terms is None:
            return
        names = ("policy", "policy_revision", "category", "deposit", "cancelling", "most_hold",
                 "consent", "line_items", "buy_out")  # fmt: skip
        listed = row[7] and tuple(json.loads(row[7]))
        self._require((*row[:7], listed, row[8]), tuple(terms[it] for it in names), "product", key)
        document = stored(terms["document"]) if "document" in terms else None
        self._require(row[9], document, "tariff", key)
        stations = row[10] and json.loads(row[10])
        found = (stations or [], row[11])
        number = len({it["revision"] for it in terms["stations"].values()})
        self._require(found, (terms["of_stations"], number), "places", key)
        ((rules,),) = self._model.read(
            f"SELECT rules FROM policies WHERE policy_id = '{terms['policy']}'"
            f" AND revision = {terms['policy_revision']}"
        )
        known = {} if rules is None else json.loads(rules)
        self._require({it: known[it] for it in SECTIONS if it in known}, terms["rules"], "rules")

    def _require(self, found: object, expected: object, *where: object) -> None:
        from tests.engine.model import require

        require(found, expected, *where)


def _listing(row: Row) -> Listing:
    rules: Sequence[str] = row["rules"]
    return Listing(
        "", 0, ListingEffect(row["effect"]), ListingKind(row["kind"]), row["subject"],
        tuple(rules), row["policy_id"], "", 0, "", row["expire_us"],
    )  # fmt: skip
