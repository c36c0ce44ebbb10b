"""The settings of `freehold serve`, each declared once, as one field of one dataclass.

A field of `Settings` becomes an option, a variable of the environment, a key of the configuration
file, a line of `freehold config show`, and a row of SETTINGS.md. Limits are settings too, but have
no option. Their names begin with `limits.`, and `service/config.py` declares them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from service.bounds import BOUNDS
from service.cli.addresses import (
    is_address,
    is_network_address,
    why_not_metrics,
    why_not_plaintext,
)
from service.config import AIO, NATIVE, TRANSPORTS, Limits

Group = TypeVar("Group")
Names = tuple[str, ...]
SETTING = "setting"
UNITS = {"_s": "seconds", "_ms": "milliseconds", "_bytes": "bytes", "_kib": "KiB"}


class Kind(NamedTuple):
    """A kind of value.

    forms   the types that it may have in a TOML file
    read    makes the value from one of these, or from a text; raises ValueError, which says what
            to give
    form    its form in one word, for the help
    asked   what to give
    """

    forms: tuple[type, ...]
    read: Callable[[Any], Any]
    form: str
    asked: str


def _address(text: str) -> str:
    if not is_address(text):
        raise ValueError(ADDRESS.asked)
    return text


def _network_address(text: str) -> str:
    if not is_network_address(text):
        raise ValueError(NETWORK_ADDRESS.asked)
    return text


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise ValueError(FOLDER.asked)
    return Path(text)


def _existing_file(text: str) -> Path:
    if not Path(text).is_file():
        raise ValueError(EXISTING_FILE.asked)
    return Path(text)


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(INSTANT.asked) from None
    if not 2020 <= instant.year < 2055:
        raise ValueError("give a year from 2020 to 2054")
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _transport(text: str) -> str:
    if text not in TRANSPORTS:
        raise ValueError(TRANSPORT.asked)
    return text


def _hashes(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}([, ]+[0-9a-f]{64})*", text):
        raise ValueError(HASHES.asked)
    return text


def _switch(value: bool | str) -> bool:
    if isinstance(value, bool):
        return value
    switch = {"true": True, "1": True, "false": False, "0": False}.get(value.lower())
    if switch is None:
        raise ValueError(SWITCH.asked)
    return switch


def _number(low: float, high: float, *, whole: bool, unit: str) -> Kind:
    kind: type[int] | type[float] = int if whole else float
    of = f" of {unit}" if unit else ""
    asked = f"give a {'whole ' if whole else ''}number{of} from {low:,} to {high:,}"

    def read(value: float | str) -> float:
        try:
            number = kind(value)
        except (ValueError, OverflowError):
            raise ValueError(asked) from None
        if not low <= number <= high:
            raise ValueError(asked)
        return number

    return Kind((int,) if whole else (int, float), read, "NUMBER", asked)


ADDRESS = Kind((str,), _address, "ADDRESS", "give HOST:PORT or unix:PATH")
NETWORK_ADDRESS = Kind((str,), _network_address, "HOST:PORT", "give HOST:PORT")
URL = Kind((str,), str, "URL", "give a database URL, in quotes")
FOLDER = Kind((str,), _folder, "FOLDER", "give an existing folder")
EXISTING_FILE = Kind((str,), _existing_file, "FILE", "give an existing file")
PEM_FILE = Kind((str,), Path, "FILE", "give a PEM file")
HASHES = Kind((str,), _hashes, "SHA256", "give sha256 hashes in hexadecimal, with commas between")
INSTANT = Kind(
    (str,), _instant, "INSTANT", "give an instant in ISO 8601, such as 2026-01-31T08:00:00Z"
)
TRANSPORT = Kind((str,), _transport, "NAME", f"give {' or '.join(TRANSPORTS)}")
SWITCH = Kind((bool,), _switch, "", "give true or false")


def without_password(url: str) -> str:
    """A database's URL for people to see, without its secrets."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return "(an unreadable URL)"
    secret = {name: "***" for name in parsed.query if "pass" in name}
    return parsed.update_query_dict(secret).render_as_string(hide_password=True)


class Declared(NamedTuple):
    """The description of a setting, which its field carries; see `setting`."""

    meaning: str
    kind: Kind
    required: bool = False
    hidden: Callable[[str], str] = str


def setting(
    meaning: str,
    kind: Kind,
    default: Any = None,
    *,
    required: bool = False,
    hidden: Callable[[str], str] = str,
) -> Any:
    """A field of Settings. `hidden` takes the secrets out of a text that was given for it."""
    return field(default=default, metadata={SETTING: Declared(meaning, kind, required, hidden)})


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a server. None means that a setting was not given."""

    listen: str = setting("Address to listen on.", ADDRESS, "127.0.0.1:50051")
    database: str = setting(
        "Database URL, for example sqlite:///freehold.db.",
        URL,
        required=True,
        hidden=without_password,
    )
    model: Path = setting("Folder that `freehold train` wrote.", FOLDER, required=True)
    derivations: str | None = setting(
        "Hashes (sha256) of the modules that a model may compute its columns with, besides "
        "Freehold's own.",
        HASHES,
    )
    tls_certificate: Path | None = setting(
        "PEM file with the server's certificate and its chain; needs tls_key.", PEM_FILE
    )
    tls_key: Path | None = setting(
        "PEM file with the certificate's key, closed to other users of the machine.", PEM_FILE
    )
    tls_client_ca: Path | None = setting(
        "PEM file with authorities: every client must show a certificate of one of them.",
        PEM_FILE,
    )
    plaintext_on_network: bool = setting(
        "Serve without TLS on an address that other machines reach.", SWITCH, False
    )
    transport: str = setting(
        "Library that speaks gRPC: aio, or native, which is faster and has no TLS.", TRANSPORT, AIO
    )
    seal_key: Path | None = setting(
        "File that `freehold create-seal-key` wrote. Without it the books are not sealed.",
        EXISTING_FILE,
    )
    rail_secret: Path | None = setting(
        "File with the secret by which the payment rail signs its call-backs.", EXISTING_FILE
    )
    sandbox: datetime | None = setting(
        "Use a clock that starts at this instant (ISO 8601) and moves only by "
        "SandboxService.AdvanceClock.",
        INSTANT,
    )
    simulated_rail: bool = setting(
        "Use a simulated payment rail, which moves no money; only in a sandbox.", SWITCH, False
    )
    metrics: str | None = setting(
        "Address of the metrics for Prometheus, in plain HTTP and without a key.", NETWORK_ADDRESS
    )
    metrics_on_network: bool = setting(
        "Allow an address of the metrics that other machines can reach.", SWITCH, False
    )
    limits: Limits = field(default_factory=Limits)


def derivations_of(settings: Settings) -> frozenset[str]:
    """The hashes of the modules that a model may use, besides Freehold's own."""
    return frozenset(re.findall(r"[0-9a-f]{64}", settings.derivations or ""))


def conflicts(settings: Settings) -> Iterator[tuple[str, str]]:
    """The settings that do not fit the others: for each its name, and what to do."""
    if settings.simulated_rail and settings.sandbox is None:
        yield "simulated_rail", "it is allowed only in a sandbox: give sandbox too"
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None and key is not None:
        yield "tls_key", "it is of no use alone: give tls_certificate too"
    if key is None and certificate is not None:
        yield "tls_certificate", "it is of no use alone: give tls_key too"
    if settings.tls_client_ca is not None and certificate is None and key is None:
        yield "tls_client_ca", "it is of no use alone: give tls_certificate and tls_key too"
    if settings.transport == NATIVE and (certificate is not None or key is not None):
        yield "transport", "native has no TLS: give aio, or let a proxy speak TLS in front of it"
    if certificate is None and key is None and not settings.plaintext_on_network:
        why = why_not_plaintext(settings.listen)
        if why is not None:
            yield "listen", why
    address = settings.metrics
    if address is not None and not settings.metrics_on_network:
        why = why_not_metrics(address)
        if why is not None:
            yield "metrics", why


class Setting(NamedTuple):
    """One setting: a field of Settings, or a limit.

    `path` has the names of its groups and its own. `meaning` is empty for a limit, whose docstring
    has it. `bounds` and `unit` are those of a limit. The other fields are those of `setting`.
    """

    path: Names
    default: Any
    meaning: str
    kind: Kind
    required: bool = False
    hidden: Callable[[str], str] = str
    unit: str = ""
    bounds: tuple[float, float] | None = None

    @property
    def name(self) -> str:
        """Its name, such as limits.commit.max_batch."""
        return ".".join(self.path)

    @property
    def variable(self) -> str:
        """Its variable in the environment: the name in capitals, with _ for each dot."""
        return variable("_".join(self.path))

    def shown(self, value: Any) -> Any:
        """A value as JSON and TOML can have it, without secrets."""
        match value:
            case None | bool() | int() | float():
                return value
            case datetime():
                return value.isoformat()
            case _:
                return self.hidden(str(value))

    @property
    def option(self) -> str | None:
        """Its option; None for a limit."""
        return f"--{self.name.replace('_', '-')}" if len(self.path) == 1 else None


def variable(name: str) -> str:
    """The variable of the environment for a name."""
    return f"FREEHOLD_{name.upper()}"


@cache
def all_settings() -> Mapping[Names, Setting]:
    """All settings by their paths; those of a group stand together, before the groups in it."""
    return {it.path: it for it in _settings(Settings())}


def _settings(group: Any, path: Names = ()) -> Iterator[Setting]:
    groups = []
    for it in fields(group):
        value, here = getattr(group, it.name), (*path, it.name)
        if is_dataclass(value):
            groups.append((value, here))
        elif SETTING in it.metadata:
            yield Setting(here, value, *it.metadata[SETTING])
        elif BOUNDS in it.metadata:
            unit = next((UNITS[end] for end in UNITS if it.name.endswith(end)), "")
            low, high = bounds = it.metadata[BOUNDS]
            kind = _number(low, high, whole=it.type in (int, "int"), unit=unit)
            yield Setting(here, kind.read(value), "", kind, unit=unit, bounds=bounds)
    for value, here in groups:
        yield from _settings(value, here)


def changed(group: Group, values: Mapping[Names, Any], path: Names = ()) -> Group:
    """A copy of a group, such as Settings, with other values; raises LimitsWrong."""
    found: Any = group
    changes = {}
    for it in fields(found):
        value, here = getattr(found, it.name), (*path, it.name)
        if is_dataclass(value):
            changes[it.name] = changed(value, values, here)
        elif here in values:
            changes[it.name] = values[here]
    copy: Group = replace(found, **changes)
    return copy
