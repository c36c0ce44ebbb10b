"""Keys, persons, administrative acts and approvals, as the wire and the shell see them.

`owner` is an operator's id, or "platform". Instants are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from service.domain.access import KeyScopes, Principal


def actor_name(owner: str, person_id: str, key_id: str, shell_user: str) -> str:
    """The name in records of a user of the shell, or of a key with its owner and person."""
    if shell_user:
        return f"shell/{shell_user}"
    person = f"persons/{person_id}/" if person_id else ""
    return f"{owner}/{person}keys/{key_id}"


class By(NamedTuple):
    """Whoever acts: a key, or a user of the shell."""

    principal: Principal | None
    shell_user: str = ""

    @property
    def text(self) -> str:
        """The name in records."""
        if self.principal is None:
            return actor_name("", "", "", self.shell_user)
        it = self.principal
        return actor_name(it.owner, it.person_id, it.key_id, "")


class Approval(NamedTuple):
    """The approval under which a call is sent: the proposal's number, and the call itself."""

    number: int
    method: str
    request: bytes


class Asked(NamedTuple):
    """One administrative request, with its id for a safe retry; an empty id means no retries.

    `differs` compares a first body with this one: the field that differs, or None. `first_key`
    reads the key's id from a stored answer.
    """

    by: By
    caller: str
    request_id: str
    method: str
    body: bytes
    differs: Callable[[bytes], str | None]
    first_key: Callable[[bytes], str] = bytes.decode
    approval: Approval | None = None


class KeyInfo(NamedTuple):
    """A key without its text. `person_id` is empty for the key of a program; an instant is None if
    it has not come. `units_a_second` is its rate: 0 is no limit, and None the server's rate."""

    key_id: str
    operator_id: str | None
    scopes: KeyScopes
    create_us: int
    revoke_us: int | None
    person_id: str = ""
    label: str = ""
    expire_us: int | None = None
    last_use_us: int | None = None
    revoked_by: str = ""
    certificates: frozenset[str] = frozenset()
    units_a_second: int | None = None


class NewKey(NamedTuple):
    """A key to be made. `scopes` is empty for the owner's usual ones, and `certificates` for a key
    that works on every connection; `units_a_second` is as in KeyInfo."""

    operator_id: str | None
    person_id: str = ""
    label: str = ""
    scopes: frozenset[str] = frozenset()
    expire_us: int | None = None
    certificates: frozenset[str] = frozenset()
    units_a_second: int | None = None


class KeyChange(NamedTuple):
    """A change of a key; None leaves a value as it is. `usual_rate` gives the key the server's
    rate, and `units_a_second` one of its own."""

    label: str | None = None
    expire_us: int | None = None
    units_a_second: int | None = None
    usual_rate: bool = False


class Person(NamedTuple):
    """A person who has keys."""

    owner: str
    person_id: str
    name: str
    create_us: int
    created_by: str
    leave_us: int | None
    left_by: str | None


class AuditEvent(NamedTuple):
    """One administrative act; `details` is a JSON object without secrets."""

    owner: str
    number: int
    record_us: int
    act: str
    subject: str
    details: str
    by_owner: str
    by_key_id: str
    by_person_id: str
    by_user: str
    request_id: str
    proposal: int
    approved_by: str

    @property
    def by_text(self) -> str:
        """The actor's name in records, as `By.text`."""
        return actor_name(self.by_owner, self.by_person_id, self.by_key_id, self.by_user)


class Proposal(NamedTuple):
    """A call that waits for, or has, the approval of a second person."""

    owner: str
    number: int
    method: str
    request: bytes
    proposed_by: str
    proposer_key_id: str
    reason: str
    create_us: int
    expire_us: int
    approved_by: str
    approver_key_id: str
    approve_us: int | None
    use_us: int | None
    withdraw_us: int | None = None
