"""Commands that bind keys to client certificates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.parts import database_option, now_us, opened, request_option, shell_user

if TYPE_CHECKING:
    from service.engine.records.administration import KeyInfo

_CERTIFICATE = click.option(
    "--certificate",
    type=click.Path(dir_okay=False, path_type=Path),
    help="PEM file with the client's certificate.",
)
_FINGERPRINT = click.option(
    "--fingerprint", help="SHA-256 of the certificate in DER, hexadecimal; colons are allowed."
)


@click.command("bind-key")
@click.argument("key_id")
@_CERTIFICATE
@_FINGERPRINT
@database_option
@request_option
def bind_key(
    key_id: str, certificate: Path | None, fingerprint: str | None, database: str, request_id: str
) -> None:
    """Let a key work only with a client certificate.

    KEY_ID is in the list of `freehold keys`. A key may be bound to several certificates; one of
    them must be shown. A running server follows within two seconds. Servers of a build that does
    not know bindings do not start any more; stop those that run."""
    from service.storage import bindings

    _change(bindings.bind, key_id, _fingerprint(certificate, fingerprint), database, request_id)


@click.command("unbind-key")
@click.argument("key_id")
@_CERTIFICATE
@_FINGERPRINT
@database_option
@request_option
def unbind_key(
    key_id: str, certificate: Path | None, fingerprint: str | None, database: str, request_id: str
) -> None:
    """End the binding of a key to a certificate.

    A key that is bound to no certificate works on every connection."""
    from service.storage import bindings

    _change(bindings.unbind, key_id, _fingerprint(certificate, fingerprint), database, request_id)


def _change(
    change: Callable[..., bytes], key_id: str, fingerprint: str, database: str, request_id: str
) -> None:
    from service.storage.admin import by_shell

    def encode(it: KeyInfo) -> bytes:
        return " ".join(sorted(it.certificates)).encode()

    asked = by_shell(change.__name__, [key_id, fingerprint], request_id, shell_user())
    answer = change(opened(database), asked, key_id, fingerprint, now_us(), encode)
    bound = answer.decode().split()
    if not bound:
        click.echo(f"key {key_id} is bound to no certificate and works on every connection")
    for it in bound:
        click.echo(f"key {key_id} is bound to {it}")


def _fingerprint(certificate: Path | None, fingerprint: str | None) -> str:
    from service.certificates import read_fingerprint
    from service.storage.bindings import FINGERPRINT

    if fingerprint is not None and certificate is None:
        plain = fingerprint.replace(":", "").lower()
        if not FINGERPRINT.fullmatch(plain):
            raise click.BadParameter(
                "is not a SHA-256, 64 hexadecimal digits", param_hint="--fingerprint"
            )
        return plain
    if certificate is not None and fingerprint is None:
        return read_fingerprint(certificate)
    raise click.UsageError("give either --certificate or --fingerprint")
