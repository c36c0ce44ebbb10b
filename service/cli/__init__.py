"""The `freehold` command."""

from service.cli.command import cli, main

__all__ = ["cli", "main"]
