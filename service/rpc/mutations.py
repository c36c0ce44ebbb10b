"""Mutations, the calls that change something: one table row maps message to command and answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from google.protobuf.message import Message

from service.domain.access import PLATFORM, Scope
from service.domain.errors import InvalidInput
from service.domain.money import Money
from service.engine.calls import AuthorizationCommand, Work
from service.engine.group_commit import Committer
from service.engine.operations import Command
from service.engine.rates import Weight
from service.rpc import convert
from service.rpc.answers import Writer, write_authorized
from service.rpc.meaning import differing_field
from service.rpc.pipeline import Call, Method, as_it_is
from service.rpc.retries import Retries

Reader = Callable[[Call[Any]], Any]
"""A function that reads one argument of a command from a call."""


def _as_they_are(_message: Any) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Mutation:
    """One method: its request, response, scope, command, and the writer of its answer.

    `paths` maps the engine's field names to this request's paths, for violations.
    """

    request: type[Message]
    response: type[Message]
    scope: Scope
    command: Callable[[Call[Any]], Command]
    write: Writer = write_authorized
    paths: Callable[[Any], Mapping[str, str]] = _as_they_are

    @property
    def name(self) -> str:
        """The method's name; its request is named after it."""
        return self.request.DESCRIPTOR.name.removesuffix("Request")


def methods_of(
    committer: Committer, retries: Retries, mutations: Sequence[Mutation], max_bytes: int
) -> list[Method[Any]]:
    """The methods of a table; they send their commands to the committer."""
    return [_method(committer, retries, it, max_bytes) for it in mutations]


def _method(
    committer: Committer, retries: Retries, mutation: Mutation, max_bytes: int
) -> Method[Any]:
    work = works_of(mutation)
    renames = mutation.paths is not _as_they_are

    def named(call: Call[Any], error: InvalidInput) -> InvalidInput:
        return renamed(error, mutation.paths(call.message))

    def handle(call: Call[Any]) -> Awaitable[bytes]:
        return committer.submit(work(call))

    async def handle_renaming(call: Call[Any]) -> bytes:
        try:
            return await handle(call)
        except InvalidInput as error:
            raise named(call, error) from error

    return Method(
        mutation.name,
        mutation.request,
        mutation.scope,
        handle_renaming if renames else handle,
        max_bytes,
        Weight.WRITE,
        _first_answer(retries, mutation.name),
        work,
        named if renames else as_it_is,
    )


def _first_answer(retries: Retries, method: str) -> Callable[[Call[Any]], Awaitable[bytes | None]]:
    return lambda call: retries.first_answer(method, call.principal.operator_id or PLATFORM, call)


def works_of(mutation: Mutation) -> Callable[[Call[Any]], Work]:
    """A function that turns a call of the method into work; it raises InvalidInput."""
    name, command = mutation.name, mutation.command
    encode = partial(mutation.write, mutation.response)

    def work(call: Call[Any]) -> Work:
        message = call.message
        return Work(
            call.principal.operator_id or PLATFORM,
            message.request_id,
            name,
            call.body,
            command(call),
            encode,
            partial(differing_field, message),
            call.deadline,
        )

    return work


def renamed(error: InvalidInput, paths: Mapping[str, str]) -> InvalidInput:
    """The refusal, with the paths of the request in place of the engine's field names."""
    violations = [it._replace(field=paths.get(it.field, it.field)) for it in error.violations]
    return InvalidInput(violations, reason=error.reason)


# -- commands ------------------------------------------------------------------------------------


def about(kind: type[AuthorizationCommand], **arguments: Reader) -> Callable[[Call[Any]], Command]:
    """Makes commands on the authorization in `name`; `arguments` read the other fields."""

    def build(call: Call[Any]) -> AuthorizationCommand:
        message = call.message
        user_id, authorization_id = convert.split_name(message.name)
        return kind(
            user_id,
            authorization_id,
            expected_version=convert.expected_version(message),
            **{name: read(call) for name, read in arguments.items()},
        )

    return build


def amount(call: Call[Any]) -> Money:
    """The call's amount."""
    return convert.money(call.message.amount)


def cited(call: Call[Any]) -> int | None:
    """The number of the cited capture, or None."""
    return call.message.capture if call.message.HasField("capture") else None


def reason(call: Call[Any]) -> str:
    """The reason of a correction; it may be empty."""
    text: str = call.message.reason
    return text


def business_reference(call: Call[Any]) -> str:
    """The operator's own reference; it may be empty."""
    reference: str = call.message.business_reference
    return reference


def payment_reference(call: Call[Any]) -> str:
    """The reference of the payment."""
    reference: str = call.message.payment_reference
    return reference


def rail_account(call: Call[Any]) -> str:
    """The resource name of the payment's rail account; empty for the caller's default one."""
    name: str = call.message.rail_account
    return name


def occurred_us(call: Call[Any]) -> int | None:
    """The time of the event, or None for now."""
    return convert.optional_us(call.message, "occurred_at")


def evidence(call: Call[Any]) -> str:
    """The reference to the evidence; empty if there is none."""
    reference: str = call.message.evidence
    return reference
