"""Payment references: each counts once for a rail account, whoever reports it.

A row of `payments` is a used reference. Its key is the owner of the rail account and the stored
reference, so the database itself refuses a second use, even by another server. Earlier builds
stored references under the caller that reported them. That is the caller's default account, so they
stay used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from service.domain.access import PLATFORM
from service.domain.authorization import TransferKind
from service.domain.errors import InvalidInput, NotFound, PaymentReferenceUsed
from service.engine.context import Context
from service.engine.ports import Transaction
from service.engine.records.payments import PaymentRecord
from service.engine.records.rail_accounts import (
    DEFAULT,
    RailAccountRecord,
    account_name,
    default_of,
)
from service.engine.records.transfers import TransferRecord, transfer_reference
from service.engine.rows import Keys, Reference, Rows, Wish
from service.engine.tables import CASES, PAYMENTS, RAIL_ACCOUNTS, TRANSFERS, Pair

_ACCOUNTS = "/railAccounts/"


class OfPayment(Protocol):
    """A command with a payment: its reference, and the resource name of its rail account.

    The name is empty for the caller's default account.
    """

    @property
    def payment_reference(self) -> str: ...
    @property
    def rail_account(self) -> str: ...


def reference_of(caller: str, it: OfPayment) -> Reference:
    """The payment as the caller names it."""
    about = getattr(it, "user_id", ""), getattr(it, "authorization_id", "")
    if not it.rail_account:
        return Reference(caller, DEFAULT, it.payment_reference, about)
    holder, _, name = it.rail_account.rpartition(_ACCOUNTS)
    return Reference(holder.removeprefix("operators/"), name, it.payment_reference, about)


def of_reference(caller: str, it: OfPayment, keys: Keys) -> None:
    """Adds the keys of a command's payment."""
    named = reference_of(caller, it)
    keys.references.add(named)
    if named.holder not in (caller, PLATFORM):
        keys.operators.add(named.holder)


def read_references(rows: Rows, keys: Keys, transaction: Transaction) -> None:
    """Reads the rail accounts of the batch, and all payments that may have used its references."""
    holders = {it.holder for it in keys.references}
    transaction.read(rows, [Wish(RAIL_ACCOUNTS, ("caller",), holders)])
    shared = {
        (account.owner, account.account)
        for it in keys.references
        if (account := _account(it, rows)) is not None and account.owner == PLATFORM
    }
    transaction.read(rows, [Wish(RAIL_ACCOUNTS, ("owner", "account"), shared)])
    used: set[Pair] = set()
    transfers: set[str] = set()
    for it in keys.references:
        account = _account(it, rows)
        if account is not None:
            used.update(_places(it, account, rows))
            if account.owner == PLATFORM:
                transfers.add(it.reference)
    transaction.read(
        rows,
        [Wish(PAYMENTS, PAYMENTS.key, used), Wish(TRANSFERS, ("transfer_id",), transfers)],
    )
    # Without a rental the other questions of the platform stand under the same name.
    again = {(*it.about, name) for it in keys.references if (name := first_use_name(it, rows))}
    transaction.read(rows, [Wish(CASES, ("user_id", "authorization_id", "reference"), again)])


def require_new_payment(
    caller: str,
    it: OfPayment,
    currency: str,
    rows: Rows,
    context: Context,
    *,
    taken_back: bool = False,
) -> Pair:
    """The key of the payment's row: the account's owner and the reference as stored.

    Raises NotFound for another caller's account, and in the same way for an account that does not
    exist. Raises PaymentReferenceUsed if the reference was used before, or is a transfer's id: the
    rail itself reports its transfers. In an account that operators share, only the platform learns
    of the first use; an operator gets the same NotFound. If the money was `taken_back`, the
    reference is the bank's, and may be the id of the debit. Raises InvalidInput for a payment in
    another currency than the account's.
    """
    named = reference_of(caller, it)
    account = _account(named, rows)
    unknown = NotFound("rail_account", account_name(named.holder, named.name))
    if account is None or caller not in (named.holder, PLATFORM):
        raise unknown
    if named.holder not in (caller, PLATFORM) and named.holder not in context.catalog.operators:
        raise unknown
    transfer = transfer_named(named, rows)
    if taken_back and transfer is not None and transfer.kind is TransferKind.DEBIT:
        transfer = None
    if transfer is not None or _first_use(named, rows) is not None:
        if caller not in (account.owner, PLATFORM):
            raise unknown
        raise PaymentReferenceUsed(it.payment_reference, account_name(named.holder, named.name))
    if account.currency not in ("", currency):
        raise InvalidInput.of(
            "rail_account", "rail_account.currency", f"the account takes only {account.currency}"
        )
    return account.owner, _stored(account, it.payment_reference)


def first_use_name(named: Reference, rows: Rows) -> str:
    """The name of the row with the first use of a reference; empty if the reference is unused.

    The id of a transfer counts as used as soon as the transfer is requested. The returned name is
    that of the transfer's payment, which exists once a debit has succeeded.
    """
    first, transfer = _first_use(named, rows), transfer_named(named, rows)
    if first is not None:
        return f"payments/{first.caller}/{first.payment_reference}"
    if transfer is not None:
        return f"payments/{PLATFORM}/{transfer_reference(transfer.transfer_id)}"
    return ""


def _first_use(named: Reference, rows: Rows) -> PaymentRecord | None:
    """The payment that used a reference first; None if the reference is unused or the account is
    unknown."""
    account = _account(named, rows)
    if account is None:
        return None
    used = (rows[PAYMENTS].get(place) for place in _places(named, account, rows))
    return next((it for it in used if it is not None), None)


def transfer_named(named: Reference, rows: Rows) -> TransferRecord | None:
    """The transfer of the platform's rail that has the reference as its id, whoever pays it."""
    account = _account(named, rows)
    if account is None or account.owner != PLATFORM:
        return None
    every = rows[TRANSFERS].values()
    return next((it for it in every if it.transfer_id == named.reference), None)


def _account(named: Reference, rows: Rows) -> RailAccountRecord | None:
    found = rows[RAIL_ACCOUNTS].get((named.holder, named.name))
    if found is None and named.name == DEFAULT:
        return default_of(named.holder)
    return found


def _stored(account: RailAccountRecord, reference: str) -> str:
    """The reference as stored; no client's reference contains a slash."""
    return (
        reference if account.account == DEFAULT else f"railAccounts/{account.account}/{reference}"
    )


def _places(named: Reference, account: RailAccountRecord, rows: Rows) -> Iterator[Pair]:
    """The keys under which the reference may have been used in the account.

    If a caller's payments were recorded before its default account became a shared one, their key
    has the caller's own name.
    """
    yield account.owner, _stored(account, named.reference)
    for it in rows[RAIL_ACCOUNTS].values():
        same = (it.owner, it.account) == (account.owner, account.account)
        if same and it.is_default and it.caller != it.owner:
            yield it.caller, named.reference
