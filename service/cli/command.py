"""The `freehold` command: its keys, its server, and its errors in one line."""

from __future__ import annotations

import os
import sys

import click
from sqlalchemy.exc import SQLAlchemyError

from models.errors import ModelError
from service.cli.bindings import bind_key, unbind_key
from service.cli.books import backup, create_key_of_seals, restore, verify
from service.cli.breakers import breaker, budget
from service.cli.configuration import config
from service.cli.drift import drift
from service.cli.findings import finding
from service.cli.gbfs import tariff
from service.cli.impact import impact
from service.cli.keys import keys, operator, platform, revoke_key, roll_key, update_key
from service.cli.listings import listing, snooze
from service.cli.models import model
from service.cli.overrides import overrides
from service.cli.parts import database_option, missing_library, now_us, opened
from service.cli.persons import audit, person
from service.cli.preview import policy, preview_tariff, product
from service.cli.rail_accounts import rail_account
from service.cli.serve import health, serve
from service.cli.specs import spec
from service.cli.stand_ins import stand_ins
from service.cli.terms import (
    BOUNDS,
    OF_LIMITS,
    POLICIES,
    PRODUCTS,
    TARIFFS,
    add_commands,
    bounds,
    limit,
)
from service.cli.training import rebuild, train
from service.domain.errors import FreeholdError, InvalidInput
from service.engine.ports import OutcomeUnknown, StorageFailed
from service.storage.database import telling
from service.storage.opening import open_to_migrate

# gRPC's core would write lines of its own to standard error; our errors say what matters.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")


@click.group()
@click.version_option(package_name="freehold")
def cli() -> None:
    """Freehold: credit-based, deposit-free authorizations."""


@cli.command()
@database_option
@click.option(
    "--shard", is_flag=True, help="Also spread the tables over the nodes of a Citus cluster."
)
def migrate(database: str, shard: bool) -> None:
    """Create or update the schema.

    A new database gets the default limits and policies."""
    from service.storage.admin import install_defaults
    from service.storage.migrate import migrate as apply
    from service.storage.shard import shard as spread

    engine = opened(database, open_to_migrate)
    if not apply(engine):
        click.echo("nothing to migrate: the database has a newer schema, and this build runs on it")
        return
    install_defaults(engine, now_us())
    if shard:
        click.echo(f"tables spread: {', '.join(spread(engine)) or 'none'}")
    click.echo("database is up to date")


COMMANDS = (
    *(train, create_key_of_seals, rail_account, verify, backup, restore, serve, health, config),
    *(operator, platform, keys, update_key, roll_key, revoke_key, bind_key, unbind_key),
    *(model, person, audit, product, tariff, policy, limit, bounds, listing, snooze, spec),
    *(stand_ins, breaker, budget),
)
tariff.add_command(preview_tariff)
for group, of_kind in (
    (product, PRODUCTS),
    (tariff, TARIFFS),
    (policy, POLICIES),
    (limit, OF_LIMITS),
    (bounds, BOUNDS),
):
    add_commands(group, of_kind)
for of_models in (rebuild, drift, overrides, impact, finding):
    model.add_command(of_models)
for command in COMMANDS:
    cli.add_command(command)


def main() -> None:
    """Runs the command; an expected failure is one line and no traceback."""
    try:
        cli()
    except FreeholdError as error:
        said: BaseException = error
        text = error.message
        if isinstance(error, InvalidInput):
            text += f": {'; '.join(it.description for it in error.violations[:3])}"
    except ModelError as error:
        said, text = error, str(error)
        faults = text.split("\n")
        if len(faults) > 1:
            raise SystemExit("\n  ".join([f"Error: {len(faults)} faults:", *faults])) from error
    except StorageFailed as error:
        said, text = error, f"{error}{_told(error.__cause__)}"
    except OutcomeUnknown as error:
        said, text = error, f"{error}: check, or run it again with the same --request-id"
    except SQLAlchemyError as error:
        said, text = error, f"the database refused{_told(error)}"
    except UnicodeEncodeError as error:
        if all(_is_text(word) for word in sys.argv):
            raise
        said, text = error, "a word of the command is not UTF-8: type it again"
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        said, text = error, f"{where}{error.strerror or error}"
    except ImportError as error:
        missing = missing_library(error)
        if missing is None:
            raise
        said, text = error, f"{missing} is not installed: install Freehold with its requirements"
    else:
        return
    raise SystemExit(f"Error: {' '.join(text.split())}") from said


def _is_text(word: str) -> bool:
    """False for a word with bytes that are not UTF-8, which no database takes."""
    return not any("\ud800" <= it <= "\udfff" for it in word)


def _told(error: BaseException | None) -> str:
    """The driver's own words, for the end of a line.

    PostgreSQL's errors quote rows, so only their name and state are shown."""
    if error is None:
        return ""
    said = telling(error)
    return f": {getattr(said, 'orig', None) or said}"
