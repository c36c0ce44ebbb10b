"""Acts on documents of terms: apply, validate, activate and retire.

Each is one transaction with its act in the owner's record, and counts once for its request id. All
acts on terms, of whichever owner, happen one after another. Whoever activates a document writes the
rows that the engine reads in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection, Engine, insert, select

from service.domain.access import PLATFORM
from service.domain.document_fields import terms_wrong
from service.domain.documents import (
    Difference,
    DocumentKind,
    DocumentState,
    Table,
    differences,
)
from service.domain.errors import ActRefused, InvalidInput, Violation
from service.domain.tariff_document import TariffDocument
from service.domain.terms_power import gives_power
from service.domain.terms_readers import Parsed, read_document
from service.engine.records.administration import Asked, By
from service.engine.records.documents import DocumentName, TermsDocument
from service.storage import schema as t
from service.storage.administration import Administration, administer, changing, require_text
from service.storage.adoption import ADOPTED, FROM_ROWS, Adoption
from service.storage.compatibility import (
    EXPOSURE_BUILD,
    RETIRED_BUILD,
    build_of_rules,
    build_of_tariff,
    shut_out_older,
)
from service.storage.compiling import (
    P,
    ProductRevision,
    compile_product,
    compile_users_of,
    is_newest,
    parts_of,
    write_limit_rows,
    write_policy_row,
)
from service.storage.documents import (
    active_of,
    add,
    new_document,
    newest_of,
    next_revision,
    reached,
    read_one,
    store,
    table_of,
    taken,
)
from service.storage.terms_checks import (
    faults_of,
    named_by,
    second_person_kinds,
    terms_outside,
    unused_rules,
)


class Outcome(StrEnum):
    """The effect of an act on a document."""

    DRAFTED = "DRAFTED"
    VALIDATED = "VALIDATED"
    ACTIVATED = "ACTIVATED"
    RETIRED = "RETIRED"
    UNCHANGED = "UNCHANGED"
    """The same document has this state already."""


class Order(NamedTuple):
    """A document to apply for an owner, with the reason, and whether to activate it.

    `beyond_bounds` lets the platform activate terms outside its own bounds.
    """

    kind: DocumentKind
    owner: str
    table: Table
    reason: str
    activate: bool = False
    beyond_bounds: bool = False


class Applied(NamedTuple):
    """The result of an act.

    `differences` are those from the revision in force to this one, `faults` the reasons why the
    document cannot come into force now, and `products` the new rows of products. `outside` are the
    bounds that terms in force break once new bounds are in force, and `unused` the rules that count
    for no product in force; both hinder nothing.
    """

    document: TermsDocument
    outcome: Outcome
    differences: tuple[Difference, ...] = ()
    faults: tuple[Violation, ...] = ()
    products: tuple[ProductRevision, ...] = ()
    outside: tuple[Violation, ...] = ()
    unused: tuple[Violation, ...] = ()


Encode = Callable[[Applied], bytes]


class _Undone(Exception):
    """Ends the transaction of a dry run, so that nothing of it stays."""


def apply_terms(engine: Engine, asked: Asked, order: Order, now_us: int, encode: Encode) -> bytes:
    """Adds a document as a draft, validates it if it has no faults, and activates it if the order
    says so; returns the answer.

    The same document as the one in force, or as the newest draft, adds nothing. Raises InvalidInput
    with all faults if the document makes no sense, or has faults and should come into force. Raises
    NotFound, ActRefused and RequestIdReused.
    """

    def act(desk: Administration) -> bytes:
        return encode(_TermsDesk(desk).apply(order))

    return administer(engine, asked, order.owner, now_us, act)


def check_terms(engine: Engine, asked: Asked, order: Order, now_us: int) -> Applied:
    """The result that `apply_terms` would have; nothing is changed, and no approval is needed.

    Raises InvalidInput if the document makes no sense, and NotFound.
    """
    results = []
    try:
        with changing(engine) as connection:
            desk = Administration(connection, asked, order.owner, now_us)
            desk.require_owner()
            results.append(_TermsDesk(desk, dry=True).apply(order))
            raise _Undone
    except _Undone:
        return results[0]


def validate_terms(
    engine: Engine, asked: Asked, name: DocumentName, reason: str, now_us: int, encode: Encode
) -> bytes:
    """Validates a draft; returns the answer, with the faults if it has any."""

    def act(desk: Administration) -> bytes:
        return encode(_TermsDesk(desk).validate(name, reason))

    return administer(engine, asked, name.owner, now_us, act)


def activate_terms(
    engine: Engine,
    asked: Asked,
    name: DocumentName,
    reason: str,
    now_us: int,
    encode: Encode,
    beyond_bounds: bool = False,
) -> bytes:
    """Puts a revision into force, in place of the one before; returns the answer.

    Raises as `apply_terms`.
    """

    def act(desk: Administration) -> bytes:
        return encode(_TermsDesk(desk).activate(name, reason, beyond_bounds=beyond_bounds))

    return administer(engine, asked, name.owner, now_us, act)


def retire_terms(
    engine: Engine, asked: Asked, name: DocumentName, reason: str, now_us: int, encode: Encode
) -> bytes:
    """Withdraws a draft, or ends a document in force that nothing needs; returns the answer.

    A retired product is not rented out any more. Raises NotFound, ActRefused and RequestIdReused.
    """

    def act(desk: Administration) -> bytes:
        return encode(_TermsDesk(desk).retire(name, reason))

    return administer(engine, asked, name.owner, now_us, act)


def adopt(engine: Engine, owner: str, now_us: int) -> None:
    """Gives documents to the terms of an owner that have none."""
    asked = Asked(By(None, ADOPTED), PLATFORM, "", "adopt", b"", lambda _: None)
    with changing(engine) as connection:
        _adopt(Administration(connection, asked, owner, now_us))


def _adopt(desk: Administration) -> None:
    """Locks the terms, and gives documents to those of the owner and the platform."""
    desk.lock_too(PLATFORM)
    for owner in dict.fromkeys((PLATFORM, desk.owner)):
        Adoption(desk.connection, owner, desk.now_us, ADOPTED, FROM_ROWS).run()


def _require_owner_of(kind: DocumentKind, owner: str) -> None:
    """Raises InvalidInput if such documents are not the owner's."""
    if kind is DocumentKind.PRODUCT and owner == PLATFORM:
        text = "must name the operator of the product"
        raise InvalidInput.of("operator_id", "operator_id.of_product", text)
    if kind in (DocumentKind.LIMITS, DocumentKind.BOUNDS) and owner != PLATFORM:
        raise InvalidInput.of("kind", "kind.of_platform", f"{kind} are documents of the platform")


class _TermsDesk:
    """One act on one owner's terms."""

    def __init__(self, desk: Administration, *, dry: bool = False) -> None:
        self._desk = desk
        self._connection: Connection = desk.connection
        self._dry = dry
        _adopt(desk)

    def apply(self, order: Order) -> Applied:
        require_text("reason", order.reason)
        owner = self._desk.owner
        _require_owner_of(order.kind, owner)
        parsed = read_document(order.kind, order.table, platform=owner == PLATFORM)
        found = self._faults(parsed, beyond_bounds=order.beyond_bounds)
        if found and order.activate and not self._dry:
            raise terms_wrong(found)
        active = active_of(self._connection, parsed.kind, owner, parsed.name)
        changed = differences({} if active is None else self._meaning(active), parsed.document)
        if active is not None and not changed:
            same = Applied(active, Outcome.UNCHANGED, (), tuple(found))
            return self._with_remarks(same, parsed)
        outcome, it = self._draft(parsed, order.reason)
        if not found and it.state == DocumentState.DRAFT:
            it = self._validated(it, order.reason)
            outcome = Outcome.VALIDATED
        products: list[ProductRevision] = []
        if order.activate and not found:
            it, products = self._put_into_force(it, parsed, order.reason)
            outcome = Outcome.ACTIVATED
        done = Applied(it, outcome, changed, tuple(found), tuple(products))
        return self._with_remarks(done, parsed)

    def validate(self, name: DocumentName, reason: str) -> Applied:
        require_text("reason", reason)
        it = read_one(self._connection, name)
        parsed = self._read(it)
        changed = self._changed(parsed)
        found = self._faults(parsed)
        outcome = Outcome.UNCHANGED
        if it.state == DocumentState.DRAFT and not found:
            it, outcome = self._validated(it, reason), Outcome.VALIDATED
        return self._with_remarks(Applied(it, outcome, changed, tuple(found)), parsed)

    def activate(self, name: DocumentName, reason: str, *, beyond_bounds: bool) -> Applied:
        require_text("reason", reason)
        it = read_one(self._connection, name)
        if it.state == DocumentState.ACTIVE:
            return Applied(it, Outcome.UNCHANGED)
        if it.state == DocumentState.RETIRED:
            raise ActRefused(
                "TERMS_RETIRED",
                f"revision {it.revision} was retired: apply the document again, as a new revision",
            )
        parsed = self._read(it)
        found = self._faults(parsed, beyond_bounds=beyond_bounds)
        if found:
            raise terms_wrong(found)
        changed = self._changed(parsed)
        if it.state == DocumentState.DRAFT:
            it = self._validated(it, reason)
        it, products = self._put_into_force(it, parsed, reason)
        done = Applied(it, Outcome.ACTIVATED, changed, (), tuple(products))
        return self._with_remarks(done, parsed)

    def retire(self, name: DocumentName, reason: str) -> Applied:
        require_text("reason", reason)
        it = read_one(self._connection, name)
        if it.state == DocumentState.RETIRED:
            return Applied(it, Outcome.UNCHANGED)
        products = []
        if it.state == DocumentState.ACTIVE:
            self._require_unused(it)
            self._require_second_person(DocumentKind(it.kind), table_of(it), None)
            if it.kind == DocumentKind.PRODUCT:
                products.append(self._end_product(it))
        it = self._take(it, DocumentState.RETIRED, reason)
        self._note("terms.retired", it, reason=reason)
        return Applied(it, Outcome.RETIRED, products=tuple(products))

    # -- steps -------------------------------------------------------------------------------------

    def _draft(self, parsed: Parsed, reason: str) -> tuple[Outcome, TermsDocument]:
        """The newest draft if it is the same document, or a new one."""
        owner = self._desk.owner
        newest = newest_of(self._connection, parsed.kind, owner, parsed.name)
        waiting = newest is not None and newest.state in (
            DocumentState.DRAFT,
            DocumentState.VALIDATED,
        )
        if newest is not None and waiting and self._meaning(newest) == parsed.document:
            return Outcome.UNCHANGED, newest
        revision = next_revision(self._connection, parsed, owner)
        by = self._desk.asked.by.text
        made = new_document(parsed, owner, revision, self._desk.now_us, by, reason)
        add(self._connection, made)
        self._note("terms.drafted", made, reason=reason, digest=made.digest)
        return Outcome.DRAFTED, made

    def _validated(self, it: TermsDocument, reason: str) -> TermsDocument:
        valid = self._take(it, DocumentState.VALIDATED, reason)
        self._note("terms.validated", valid, reason=reason)
        return valid

    def _put_into_force(
        self, it: TermsDocument, parsed: Parsed, reason: str
    ) -> tuple[TermsDocument, list[ProductRevision]]:
        before = active_of(self._connection, it.kind, it.owner, it.name)
        old = None if before is None else table_of(before)
        self._require_second_person(parsed.kind, old, parsed.document)
        if before is not None:
            self._take(before, DocumentState.RETIRED, f"replaced by revision {it.revision}")
        active = self._take(it, DocumentState.ACTIVE, reason)
        products = self._compile(active, parsed)
        replaced = 0 if before is None else before.revision
        self._note("terms.activated", active, reason=reason, replaces=replaced)
        return active, products

    def _compile(self, it: TermsDocument, parsed: Parsed) -> list[ProductRevision]:
        """Writes the rows that the engine reads."""
        match parsed.kind:
            case DocumentKind.POLICY:
                if parsed.value.rules is not None:
                    shut_out_older(self._connection, build_of_rules(parsed.value.rules))
                write_policy_row(self._connection, it)
                return compile_users_of(self._connection, it)
            case DocumentKind.TARIFF:
                if isinstance(parsed.value, TariffDocument):
                    shut_out_older(self._connection, build_of_tariff(parsed.value))
                return compile_users_of(self._connection, it)
            case DocumentKind.PRODUCT:
                parts = parts_of(self._connection, it)
                return [] if parts is None else compile_product(self._connection, parts)
            case DocumentKind.LIMITS:
                if parsed.value.total is not None:
                    shut_out_older(self._connection, EXPOSURE_BUILD)
                write_limit_rows(self._connection, parsed.value)
        return []

    def _end_product(self, it: TermsDocument) -> ProductRevision:
        """Adds the row that ends a product."""
        shut_out_older(self._connection, RETIRED_BUILD)
        mine = P.operator_id == it.owner, P.product_id == it.name, is_newest()
        row = dict(self._connection.execute(select(t.products).where(*mine)).mappings().one())
        revision = row["revision"] + 1
        row |= {"revision": revision, "retire_us": self._desk.now_us, "places": 0}
        self._connection.execute(insert(t.products), row)
        return ProductRevision(it.owner, it.name, revision)

    def _take(self, it: TermsDocument, state: DocumentState, reason: str) -> TermsDocument:
        step = taken(it, state, self._desk.now_us, self._desk.asked.by.text, reason)
        store(self._connection, step)
        return step

    def _note(self, act: str, it: TermsDocument, **details: object) -> None:
        self._desk.note(act, it.full_name.subject, **details)

    # -- rules -------------------------------------------------------------------------------------

    def _read(self, it: TermsDocument) -> Parsed:
        return read_document(DocumentKind(it.kind), table_of(it), platform=it.owner == PLATFORM)

    def _meaning(self, it: TermsDocument) -> dict[str, object]:
        """A stored document as this build writes it; an earlier one may have had fewer keys."""
        return self._read(it).document

    def _changed(self, parsed: Parsed) -> tuple[Difference, ...]:
        """The differences from the revision in force."""
        active = active_of(self._connection, parsed.kind, self._desk.owner, parsed.name)
        return differences({} if active is None else self._meaning(active), parsed.document)

    def _faults(self, parsed: Parsed, *, beyond_bounds: bool = False) -> list[Violation]:
        owner = self._desk.owner
        return faults_of(self._connection, parsed, owner, beyond_bounds=beyond_bounds)

    def _with_remarks(self, done: Applied, it: Parsed) -> Applied:
        """The result with the remarks on a document of bounds or of a policy; others have none."""
        if it.kind is DocumentKind.BOUNDS:
            return done._replace(outside=tuple(terms_outside(self._connection, it.value)))
        if it.kind is DocumentKind.POLICY:
            wrong = {fault.field for fault in done.faults}
            found = unused_rules(self._connection, it.value.rules, self._desk.owner)
            return done._replace(unused=tuple(one for one in found if one.field not in wrong))
        return done

    def _require_second_person(
        self, kind: DocumentKind, before: Table | None, after: Table | None
    ) -> None:
        """Uses the approval of a person's act that gives power, or whose kind always needs one."""
        if self._dry:
            return
        always = kind in second_person_kinds(self._connection, self._desk.owner)
        if always or gives_power(kind, before, after) or self._laxer_policy(kind, before, after):
            self._desk.require_second_person_of_persons()

    def _laxer_policy(self, kind: DocumentKind, before: Table | None, after: Table | None) -> bool:
        """True if a product comes under another policy that is laxer."""
        if kind is not DocumentKind.PRODUCT or before is None or after is None:
            return False
        owner, named = self._desk.owner, (before["policy"], after["policy"])
        old, new = (reached(self._connection, DocumentKind.POLICY, owner, it) for it in named)
        if old is None or new is None or old.full_name == new.full_name:
            return False
        return bool(gives_power(DocumentKind.POLICY, table_of(old), table_of(new)))

    def _require_unused(self, it: TermsDocument) -> None:
        if it.kind == DocumentKind.LIMITS:
            raise ActRefused(
                "TERMS_IN_USE", "limits are always needed: activate another revision instead"
            )
        if it.kind in (DocumentKind.POLICY, DocumentKind.TARIFF):
            users = named_by(self._connection, it)
            if users:
                raise ActRefused(
                    "TERMS_IN_USE",
                    f"the {it.kind} {it.name} is needed by {users}: give these another one first",
                )
