"""The administration of the storage, as the wire calls it."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Engine

from service.rpc.admin_service import Acts
from service.rpc.admission_service import Desk
from service.rpc.terms_service import TermsActs
from service.storage import (
    approvals,
    bindings,
    breakers,
    budgets,
    keys,
    listings,
    persons,
    terms_acts,
    terms_reads,
)
from service.storage.administration import list_audit
from service.storage.proposals import list_proposals


def acts_of(engine: Engine) -> Acts:
    """The acts on keys, persons and approvals."""
    return Acts(
        create_key=partial(keys.create_key, engine),
        update_key=partial(keys.update_key, engine),
        roll_key=partial(keys.roll_key, engine),
        revoke_key=partial(keys.revoke_key, engine),
        bind_key=partial(bindings.bind, engine),
        unbind_key=partial(bindings.unbind, engine),
        list_keys=partial(keys.list_keys, engine),
        add_person=partial(persons.add_person, engine),
        remove_person=partial(keys.remove_person, engine),
        list_persons=partial(persons.list_persons, engine),
        propose=partial(approvals.propose, engine),
        approve_act=partial(approvals.approve_act, engine),
        withdraw_act=partial(approvals.withdraw_act, engine),
        list_proposals=partial(list_proposals, engine),
        list_audit=partial(list_audit, engine),
    )


def admission_of(engine: Engine) -> Desk:
    """The acts on listings and breakers, and the lists of both and of budgets."""
    return Desk(
        partial(listings.add_listings, engine),
        partial(listings.end_listings, engine),
        partial(listings.list_listings, engine),
        partial(budgets.list_budgets, engine),
        partial(breakers.list_breakers, engine),
        partial(breakers.reset_breaker, engine),
    )


def terms_acts_of(engine: Engine) -> TermsActs:
    """The terms of the storage, for the wire."""
    return TermsActs(
        apply=partial(terms_acts.apply_terms, engine),
        check=partial(terms_acts.check_terms, engine),
        validate=partial(terms_acts.validate_terms, engine),
        activate=partial(terms_acts.activate_terms, engine),
        retire=partial(terms_acts.retire_terms, engine),
        page=partial(terms_reads.page_of_terms, engine),
        get=partial(terms_reads.get_terms, engine),
        diff=partial(terms_reads.diff_terms, engine),
        order=terms_acts.Order,
    )
