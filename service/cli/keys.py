"""Commands for operators and for keys."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from service.cli.parts import (
    database_option,
    instant_text,
    json_option,
    key_only_option,
    key_request_option,
    now_us,
    opened,
    report_key,
    report_rows,
    request_option,
    shell_user,
)
from service.domain.access import PLATFORM, Scope, hash_key, key_id_of, new_key, scopes_of

if TYPE_CHECKING:
    from service.engine.records.administration import KeyInfo, NewKey

Command = TypeVar("Command", bound=Callable[..., None])

UNITS_US = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
SPAN = re.compile("([0-9]{1,6})([smhd])")


def read_span_us(text: str) -> int:
    """The microseconds of a time such as 24h; raises BadParameter."""
    found = SPAN.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text} is no time: give a number and s, m, h or d, such as 24h")
    return int(found[1]) * UNITS_US[found[2]]


class Expiry(NamedTuple):
    """The value of --expires, and its instant. A retry says the same, at another time."""

    said: str | None
    instant_us: int | None


def _expiry(_context: click.Context, _option: click.Parameter, text: str | None) -> Expiry:
    """The instant of --expires: ISO 8601, or a time from now on."""
    if text is None:
        return Expiry(None, None)
    if SPAN.fullmatch(text):
        return Expiry(text, now_us() + read_span_us(text))
    return Expiry(text, read_instant_us(text, ", or a time such as 90d"))


def read_instant_us(text: str, other: str = "") -> int:
    """The microseconds of an instant in ISO 8601, UTC unless it says otherwise; raises
    BadParameter, whose text ends with the `other` way to give one."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{text} is no instant: give one such as 2027-01-31{other}"
        ) from error
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return int(instant.timestamp()) * 1_000_000


def _span(_context: click.Context, _option: click.Parameter, text: str) -> int:
    return read_span_us(text)


def expires_option_of(
    meaning: str, name: str = "--expires", *, required: bool = False
) -> Callable[[Command], Command]:
    """The option for the end of something, as an `Expiry`."""
    return click.option(
        name,
        "expiry",
        metavar="INSTANT or TIME",
        callback=_expiry,
        required=required,
        help=f"{meaning}: an instant (ISO 8601, UTC) or a time such as 90d.",
    )


expires_option = expires_option_of("When the key ends by itself")


def of_key(command: Command) -> Command:
    """The options of a new key."""
    for option in (
        click.option(
            "--admin", is_flag=True, help="Also grant keys.admin: the key may manage keys by calls."
        ),
        click.option(
            "--scope",
            "scopes",
            multiple=True,
            metavar="SCOPE",
            help="Grant only these scopes; the default is all usual ones of the owner.",
        ),
        expires_option,
        click.option("--label", default="", help="A label, such as the key's purpose."),
        click.option(
            "--person",
            "person_id",
            default="",
            help="The person of the key (`freehold person add`); the default is a program.",
        ),
    ):
        command = option(command)
    return command


def _wanted(
    operator_id: str | None,
    person_id: str,
    label: str,
    expiry: Expiry,
    scopes: tuple[str, ...],
    admin: bool,
) -> NewKey:
    from service.engine.records.administration import NewKey

    named = frozenset(scopes)
    if admin:
        named = (named or scopes_of(operator_id)) | {Scope.KEYS_ADMIN}
    return NewKey(operator_id, person_id, label, frozenset(map(str, named)), expiry.instant_us)


@click.group()
def operator() -> None:
    """Add rental operators and their keys."""


@operator.command("create")
@click.argument("operator_id")
@click.option("--name", required=True, help="The operator's name.")
@click.option(
    "--fee-bps",
    type=click.IntRange(0, 10_000),
    default=300,
    show_default=True,
    help="Freehold's commission on captures, in basis points.",
)
@database_option
@json_option
@key_only_option
@key_request_option
def create_operator(
    operator_id: str,
    name: str,
    fee_bps: int,
    database: str,
    as_json: bool,
    key_only: bool,
    request_id: str,
) -> None:
    """Register an operator and print its API key.

    The operator gets the default products. The key is not shown again."""
    from service.storage import admin

    engine, key, user = opened(database), new_key(), shell_user()
    admin.create_operator(
        engine, operator_id, name, fee_bps, now_us(), request_id=request_id, user=user
    )
    second = f"{request_id}/key" if request_id else ""
    admin.add_key(engine, key, operator_id, now_us(), request_id=second, user=user)
    report_key({"operator_id": operator_id, "api_key": key}, as_json, key_only)


@operator.command("create-key")
@click.argument("operator_id")
@of_key
@database_option
@json_option
@key_only_option
@key_request_option
def create_operator_key(
    operator_id: str,
    database: str,
    as_json: bool,
    key_only: bool,
    request_id: str,
    **wanted: Any,
) -> None:
    """Print a further API key of an operator.

    The key is not shown again."""
    key = _create(operator_id, database, request_id, wanted)
    report_key({"operator_id": operator_id, "api_key": key}, as_json, key_only)


@click.group()
def platform() -> None:
    """Add keys of the platform."""


@platform.command("create-key")
@of_key
@database_option
@json_option
@key_only_option
@key_request_option
def create_platform_key(
    database: str, as_json: bool, key_only: bool, request_id: str, **wanted: Any
) -> None:
    """Print an API key of the platform.

    The key is not shown again."""
    report_key({"api_key": _create(None, database, request_id, wanted)}, as_json, key_only)


def _create(operator_id: str | None, database: str, request_id: str, wanted: dict[str, Any]) -> str:
    from service.storage import admin

    key, said = new_key(), [wanted[name] for name in ("person_id", "label", "scopes", "admin")]
    said.append(wanted["expiry"].said)
    admin.add_key(
        *(opened(database), key, operator_id, now_us()),
        request_id=request_id,
        user=shell_user(),
        wanted=_wanted(operator_id, **wanted),
        # A command of an earlier build had no options, and may be repeated.
        said=said if any(said) else (),
    )
    return key


@click.command("update-key")
@click.argument("key_id")
@click.option("--label", help="The new label.")
@expires_option
@click.option(
    "--units-a-second",
    type=click.IntRange(0, 1_000_000),
    help="A rate limit of its own, in units a second; 0: no limit.",
)
@click.option("--usual-rate", is_flag=True, help="Use the server's rate limit again.")
@database_option
@request_option
def update_key(
    key_id: str,
    label: str | None,
    expiry: Expiry,
    units_a_second: int | None,
    usual_rate: bool,
    database: str,
    request_id: str,
) -> None:
    """Change the label, the expiry or the rate limit of a key.

    KEY_ID is the id that `freehold keys` shows. An expiry can be moved, and not removed. A running
    server follows within two seconds."""
    from service.engine.records.administration import KeyChange
    from service.storage import keys
    from service.storage.admin import by_shell

    change = KeyChange(label, expiry.instant_us, units_a_second, usual_rate)
    if change == KeyChange():
        text = "say what to change: --label, --expires, --units-a-second or --usual-rate"
        raise click.UsageError(text)
    said: list[object] = [key_id, label, expiry.said]
    if units_a_second is not None or usual_rate:
        said += [units_a_second, usual_rate]
    asked = by_shell("update_key", said, request_id, shell_user())
    keys.update_key(opened(database), asked, key_id, change, now_us(), lambda _: b"")
    click.echo("key updated")


@click.command("roll-key")
@click.argument("key_id")
@click.option(
    "--overlap",
    "overlap_us",
    default="24h",
    show_default=True,
    callback=_span,
    help="How long the old key stays valid: a time such as 24h.",
)
@database_option
@json_option
@key_only_option
@key_request_option
def roll_key(
    key_id: str, overlap_us: int, database: str, as_json: bool, key_only: bool, request_id: str
) -> None:
    """Print the successor of a key.

    It has the same person, label, scopes and expiry, and is not shown again. The old key ends after
    the overlap."""
    from service.storage import keys
    from service.storage.admin import by_shell

    ends: list[KeyInfo] = []

    def encode(_made: KeyInfo, _text: str, old: KeyInfo) -> bytes:
        ends.append(old)
        return hash_key(key).encode()

    key, body = new_key(), [key_id, overlap_us]
    asked = by_shell("roll_key", body, request_id, shell_user())
    keys.roll_key(opened(database), asked, key_id, overlap_us, key, now_us(), encode)
    report = {"key_id": key_id_of(hash_key(key)), "api_key": key}
    report_key({**report, "old_key_ends": instant_text(ends[-1].expire_us)}, as_json, key_only)


@click.command("revoke-key")
@click.argument("key_id", default="")
@database_option
@request_option
def revoke_key(key_id: str, database: str, request_id: str) -> None:
    """End an API key now.

    KEY_ID is the id that `freehold keys` shows. Without it, the key itself is read from standard
    input, so that it stays out of the shell's history."""
    from service.storage import admin, keys

    engine, user = opened(database), shell_user()
    if key_id:
        asked = admin.by_shell("revoke_key", [key_id], request_id, user)
        keys.revoke_key(engine, asked, key_id, now_us(), lambda _: b"")
    else:
        key = sys.stdin.buffer.readline().decode("utf-8", "replace").strip()
        admin.revoke_key(engine, key, now_us(), request_id=request_id, user=user)
    click.echo("key revoked")


@click.command()
@database_option
@json_option
def keys(database: str, as_json: bool) -> None:
    """List the API keys with their scopes.

    Only hashes of keys are kept, so the keys themselves cannot be shown. A key has the scopes it
    was created with. This build does not know the scopes in `ignored`. The scopes in `withheld` are
    given to new keys only. A key with `certificates`, SHA-256 fingerprints, needs one of them on
    its connection."""
    from service.storage.keys import list_keys

    found = [
        {
            "key_id": it.key_id,
            "owner": it.operator_id or PLATFORM,
            "person": it.person_id,
            "label": it.label,
            "created": instant_text(it.create_us),
            "expires": instant_text(it.expire_us),
            "last_used": instant_text(it.last_use_us),
            "revoked": instant_text(it.revoke_us),
            "revoked_by": it.revoked_by,
            **{name: sorted(scopes) for name, scopes in it.scopes._asdict().items()},
            "certificates": sorted(it.certificates),
            "units_a_second": "" if it.units_a_second is None else str(it.units_a_second),
        }
        for it in list_keys(opened(database))
    ]
    report_rows(found, as_json, "no keys: make one by freehold platform create-key")
