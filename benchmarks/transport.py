"""The option by which a benchmark chooses the transport of its servers."""

from __future__ import annotations

import click

from service.config import AIO, TRANSPORTS

transport_option = click.option(
    "--transport",
    default=AIO,
    show_default=True,
    type=click.Choice(TRANSPORTS),
    help="The transport of Freehold's servers.",
)
