"""`freehold serve`: what it refuses about TLS and addresses, and what it logs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.faults.support import environment
from tests.shell import freehold
from tests.tls.authority import DAY, new_key, pem
from tests.tls.support import Desk

NETWORK = ("0.0.0.0:0", "[::]:0", "192.0.2.1:50051", "0:50051", ":::50051", "[::ffff:0.0.0.0]:0")
MACHINE = ("127.0.0.1:1", "127.8.9.10:1", "localhost:1", "[::1]:1", "[::ffff:127.0.0.1]:1")


def refused(folder: Path, *words: str, **given: str) -> str:
    """The one line with which `serve` on a new database's URL ends."""
    (folder / "model").mkdir(exist_ok=True)
    done = freehold(
        *("serve", "--database", f"sqlite:///{folder / 'none.db'}"),
        *("--model", str(folder / "model"), *words),
        environment=environment() | given,
        cwd=folder,
    )
    assert (done.returncode, done.stdout) in ((1, ""), (2, "")), done
    lines = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, done.stderr
    if done.returncode == 1:
        assert done.stderr.splitlines()[-1] == lines[0]
    return lines[0]


@pytest.mark.parametrize("address", NETWORK)
def test_plaintext_on_a_network_is_refused(tmp_path: Path, address: str) -> None:
    """Without TLS an address that other machines reach is refused, and the line names both ways
    out."""
    line = refused(tmp_path, "--listen", address)
    assert f"other machines reach {address}" in line
    assert "tls_certificate and tls_key" in line
    assert "plaintext_on_network" in line


def test_a_name_of_the_network_is_refused(tmp_path: Path) -> None:
    """A name without an address is refused, since nobody can tell who reaches it."""
    line = refused(tmp_path, "--listen", "no-such-host.invalid:1")
    assert line == (
        "Error: listen (--listen): the host of no-such-host.invalid:1 is not known: give another"
        " address"
    )


@pytest.mark.parametrize("address", [*MACHINE, "unix:freehold.sock"])
def test_plaintext_on_the_machine_is_allowed(tmp_path: Path, address: str) -> None:
    """On an address of the machine's own, `serve` goes on without TLS: it then looks for its
    database."""
    assert "none.db" in refused(tmp_path, "--listen", address)


@pytest.mark.parametrize("given", ["option", "environment"])
def test_plaintext_on_a_network_if_asked(tmp_path: Path, given: str) -> None:
    """--plaintext-on-network, or FREEHOLD_PLAINTEXT_ON_NETWORK=true, allows plaintext anywhere."""
    words = ("--plaintext-on-network",) if given == "option" else ()
    said = {} if words else {"FREEHOLD_PLAINTEXT_ON_NETWORK": "true"}
    assert "none.db" in refused(tmp_path, "--listen", "0.0.0.0:0", *words, **said)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--tls-key", "k"), "it is of no use alone: give tls_certificate too"),
        (("--tls-certificate", "c"), "it is of no use alone: give tls_key too"),
        (("--tls-client-ca", "a"), "it is of no use alone: give tls_certificate and tls_key too"),
    ],
)
def test_files_that_belong_together(tmp_path: Path, words: tuple[str, ...], line: str) -> None:
    """A certificate without its key, a key without its certificate, or a client CA alone is
    refused."""
    assert refused(tmp_path, *words).endswith(line)


def options(desk: Desk) -> tuple[str, ...]:
    certificate, key, ca = desk.files
    return (
        *("--tls-certificate", str(certificate), "--tls-key", str(key)),
        *("--tls-client-ca", str(ca)),
    )


def no_certificate(desk: Desk) -> str:
    desk.files.certificate.unlink()
    return f"cannot read {desk.files.certificate}: No such file or directory"


def no_pem(desk: Desk) -> str:
    desk.files.certificate.write_text("no certificate")
    return f"{desk.files.certificate} holds no certificate in PEM"


def no_key(desk: Desk) -> str:
    desk.files.key.write_bytes(desk.pair.certificate)
    return f"{desk.files.key} holds no private key in PEM"


def other_key(desk: Desk) -> str:
    desk.files.key.write_bytes(desk.authority.issue().key)
    return f"the key in {desk.files.key} does not fit the first certificate"


def expired(desk: Desk) -> str:
    desk.authority.issue(begins=-2 * DAY, ends=-DAY).write(desk.files.certificate, desk.files.key)
    return f"a certificate in {desk.files.certificate} expired at "


def too_early(desk: Desk) -> str:
    desk.authority.issue(begins=DAY).write(desk.files.certificate, desk.files.key)
    return f"a certificate in {desk.files.certificate} is not valid before "


def open_key(desk: Desk) -> str:
    desk.files.key.chmod(0o604)
    return f"{desk.files.key} is open to everybody on this machine; run chmod 600 on it"


def secret_key(desk: Desk) -> str:
    desk.files.key.write_bytes(pem(new_key(), b"a passphrase"))
    return f"the key in {desk.files.key} has a passphrase"


def weak_key(desk: Desk) -> str:
    weak = desk.authority.issue(key=rsa.generate_private_key(65537, 1024))
    weak.write(desk.files.certificate, desk.files.key)
    return f"the key in {desk.files.key} is of a kind that clients refuse"


def no_ca(desk: Desk) -> str:
    desk.ca.write_text("")
    return f"{desk.ca} holds no certificate in PEM"


@pytest.mark.parametrize(
    "spoil",
    [
        no_certificate,
        no_pem,
        no_key,
        other_key,
        expired,
        too_early,
        open_key,
        secret_key,
        weak_key,
        no_ca,
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, spoil: Callable[[Desk], str]) -> None:
    """A file that is missing, wrong, expired or open to others is refused at the start, in one line
    that names it."""
    desk = Desk(tmp_path, mutual=True)
    expected = spoil(desk)
    assert refused(tmp_path, *options(desk)).startswith(f"Error: {expected}")


def test_the_native_transport_has_no_tls(tmp_path: Path) -> None:
    """With a certificate the native transport is refused, and the line says what to do."""
    files = ("--tls-certificate", "server.pem", "--tls-key", "server.key")
    line = refused(tmp_path, "--transport", "native", *files)
    assert line == (
        "Error: transport (--transport): native has no TLS: give aio, or let a proxy speak TLS in"
        " front of it"
    )


def test_a_transport_is_one_of_two(tmp_path: Path) -> None:
    """Any other name of a transport is refused, and the line has both names."""
    line = refused(tmp_path, "--transport", "http")
    assert line == 'Error: transport is "http" (--transport): give aio or native'
