"""Commands that bind keys to client certificates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
from sqlalchemy import Engine

from service.cli.parts import database_option, opened

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
def bind_key(key_id: str, certificate: Path | None, fingerprint: str | None, database: str) -> None:
    """Let a key work only with a client certificate.

    KEY_ID is in the list of `freehold keys`. A key may be bound to several certificates; one of
    them must be shown. A running server follows within two seconds. Servers of a build that does
    not know bindings do not start any more; stop those that run."""
    from service.storage import bindings

    _change(bindings.bind, key_id, certificate, fingerprint, database)


@click.command("unbind-key")
@click.argument("key_id")
@_CERTIFICATE
@_FINGERPRINT
@database_option
def unbind_key(
    key_id: str, certificate: Path | None, fingerprint: str | None, database: str
) -> None:
    """End the binding of a key to a certificate.

    A key that is bound to no certificate works on every connection."""
    from service.storage import bindings

    _change(bindings.unbind, key_id, certificate, fingerprint, database)


def _change(
    change: Callable[[Engine, str, str], frozenset[str]],
    key_id: str,
    certificate: Path | None,
    fingerprint: str | None,
    database: str,
) -> None:
    bound = change(opened(database), key_id, _fingerprint(certificate, fingerprint))
    if not bound:
        click.echo(f"key {key_id} is bound to no certificate and works on every connection")
    for it in sorted(bound):
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
