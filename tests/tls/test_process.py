"""The real server as a process: its certificates, its log, its socket file and its health."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from freehold.client import Client
from freehold.tls import TlsFiles
from freehold.v1.credit_service_pb2 import ListReviewsRequest

from service.certificates import fingerprint_of
from service.cli import cli
from tests.faults.support import Server, one_line, prepare, run, server
from tests.rpc.support import until
from tests.tls.authority import DAY
from tests.tls.support import Desk


@pytest.fixture(scope="module", autouse=True)
def servers(without_training: None, forked_servers: None) -> None:
    """The servers are forked, without the `train` extra."""


class Site:
    """A database, its platform's key, and the files of TLS in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = f"sqlite:///{folder / 'freehold.db'}"
        _, self.key = prepare(self.database)
        self.desk = Desk(folder, mutual=True)
        self.own = self.desk.authority.issue("platform")
        self.files = TlsFiles(self.desk.ca, folder / "own.pem", folder / "own.key")
        self.own.write(folder / "own.pem", folder / "own.key")

    @property
    def options(self) -> tuple[str, ...]:
        """The server's options for mutual TLS."""
        certificate, key, ca = self.desk.files
        return (
            *("--tls-certificate", str(certificate), "--tls-key", str(key)),
            *("--tls-client-ca", str(ca)),
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def health(address: str, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["health", address, *words])
    return done.exit_code, done.output


def shown(address: str) -> str:
    """The fingerprint of the certificate that a new connection gets."""
    host, port = address.split(":")
    return fingerprint_of(ssl.get_server_certificate((host, int(port))).encode())


def events(running: Server) -> list[str]:
    running.drain()
    return [str(line["event"]) for line in running.lines()]


def test_a_server_with_mutual_tls(site: Site, model: Path) -> None:
    """`serve` with a certificate and a client CA answers `health` and the client with a certificate
    of that CA, takes a new certificate without a restart, keeps it when the next one is half
    written, and logs each of these."""
    first, certificate = site.desk.pair, site.desk.files.certificate
    with server(site.database, model, "127.0.0.1:0", *site.options) as running:
        serving = running.wait_for("serving")
        address = str(serving["address"])
        assert serving["tls"] is True
        assert running.wait_for("certificate")["sha256"] == first.fingerprint
        of_ca = ("--tls-ca", str(site.desk.ca))
        own = ("--tls-certificate", str(site.files.certificate), "--tls-key", str(site.files.key))
        assert health(address, *of_ca, *own) == (0, "SERVING\n")
        by_variable = CliRunner(env={"FREEHOLD_TLS_CA": str(site.desk.ca)})
        assert by_variable.invoke(cli, ["health", address, *own]).output == "SERVING\n"
        assert health(address, *of_ca) == (1, f"Error: {address} does not serve: UNAVAILABLE\n")
        assert health(address) == (1, f"Error: {address} does not serve: UNAVAILABLE\n")
        named = (*of_ca, *own, "--tls-name", "localhost")
        assert health(address, *named) == (0, "SERVING\n")
        with Client(address, site.key, tls=site.files) as client:
            client.list_reviews(ListReviewsRequest())
            second = site.desk.renew()
            until(lambda: shown(address) == second.fingerprint, "the new certificate is shown")
            certificate.write_bytes(site.desk.authority.issue().certificate[:-200])
            until(lambda: bool(shown(address)) and "certificate unusable" in events(running), "log")
            assert shown(address) == second.fingerprint
            client.list_reviews(ListReviewsRequest())
        assert running.terminate() == 0
        told = [line for line in running.lines() if str(line["event"]).startswith("certificate")]
        used = [line.get("sha256") for line in told if line["event"] == "certificate"]
        assert used == [first.fingerprint, second.fingerprint]
        (wrong,) = [line for line in told if line["event"] == "certificate unusable"]
        assert str(certificate) in wrong["why"]
        assert wrong["level"] == "error"


def test_a_certificate_that_ends_soon(site: Site, model: Path) -> None:
    """A certificate with less than 21 days left is told at the start, with its end and the
    remedy."""
    pair = site.desk.authority.issue(ends=20 * DAY)
    pair.write(site.desk.files.certificate, site.desk.files.key)
    with server(site.database, model, "127.0.0.1:0", *site.options) as running:
        told = running.wait_for("certificate ends")
        assert (told["sha256"], told["left_days"]) == (pair.fingerprint, 19)
        assert told["level"] == "warning"
        assert "without a restart" in told["why"]
        running.wait_for("serving")
        assert running.terminate() == 0


@pytest.mark.parametrize("tls", [False, True], ids=["plaintext", "TLS"])
def test_a_socket_file(site: Site, model: Path, tls: bool) -> None:
    """`--listen unix:PATH` serves on a socket file that only the server's user can open, and
    removes it at the stop. Another server does not take it over."""
    path = site.folder / "freehold.sock"
    address = f"unix:{path}"
    options = site.options if tls else ()
    asked = ("--tls-ca", str(site.desk.ca), "--tls-name", "localhost") if tls else ()
    own = ("--tls-certificate", str(site.files.certificate), "--tls-key", str(site.files.key))
    with server(site.database, model, address, *options) as running:
        assert running.wait_for("serving")["address"] == address
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert health(address, *asked, *(own if tls else ())) == (0, "SERVING\n")
        other = f"sqlite:///{site.folder / 'other.db'}"
        prepare(other)
        with server(other, model, address) as second:
            assert second.finish() == 1
            assert second.log.splitlines()[-1] == (
                f"Error: cannot listen on {address}: another process listens there; give another"
                " --listen"
            )
        assert health(address, *asked, *(own if tls else ())) == (0, "SERVING\n")
        assert running.terminate() == 0
    assert not path.exists()


def test_a_socket_file_that_a_dead_server_left(site: Site, model: Path) -> None:
    """The socket file of a server that was killed does not stop the next server."""
    address = f"unix:{site.folder / 'freehold.sock'}"
    with server(site.database, model, address) as running:
        running.wait_for("serving")
        running.kill()
    with server(site.database, model, address) as running:
        running.wait_for("serving")
        assert health(address) == (0, "SERVING\n")
        assert running.terminate() == 0


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("taken", "a file of that name exists"),
        ("none/freehold.sock", "No such file or directory"),
        ("x" * 120, "AF_UNIX path too long"),
    ],
)
def test_a_socket_file_that_cannot_be_made(site: Site, model: Path, name: str, why: str) -> None:
    """A path that cannot be a socket file is refused in one line, and no file is lost."""
    (site.folder / "taken").write_text("kept")
    address = f"unix:{site.folder / name}"
    done = run("serve", "--listen", address, "--database", site.database, "--model", str(model))
    assert done.returncode == 1
    line = one_line(done.stderr)
    assert line == f"Error: cannot listen on {address}: {why}; give another --listen"
    assert (site.folder / "taken").read_text() == "kept"
