"""The page's commands for an authority and its certificates."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import service
from service.certificates import Certificates, TlsFiles, read_fingerprint
from service.config import TlsLimits
from service.rpc.tls import ServerTls
from tests.fakes import serving
from tests.rpc.support import TIMEOUT_S
from tests.tls.support import Alarms
from tests.tls.test_process import health

PAGE = (Path(service.__file__).parent / "cli" / "README.md").read_text("utf-8")
(COMMANDS,) = re.findall(r"^```sh\n(openssl .*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the command openssl")
def test_the_pages_authority_works(tmp_path: Path) -> None:
    """The page's commands make an authority, a server's certificate and a client's, with which the
    server and `freehold health` work; openssl's fingerprint is the one of bind-key."""
    done = subprocess.run(
        ["sh", "-e"], input=COMMANDS, cwd=tmp_path, capture_output=True, text=True,
        timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ca, own, key = tmp_path / "ca.pem", tmp_path / "city.pem", tmp_path / "city.key"
    files = TlsFiles(tmp_path / "server.pem", tmp_path / "server.key", ca)
    tls = ServerTls(Certificates(files, Alarms().functions()), TlsLimits())
    with serving(tmp_path, tls=tls) as served:
        address = served.address.replace("127.0.0.1", "localhost")
        asked = ("--tls-ca", str(ca), "--tls-certificate", str(own), "--tls-key", str(key))
        assert health(address, *asked) == (0, "SERVING\n")
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", str(own)],
        capture_output=True, text=True, timeout=TIMEOUT_S, check=True,
    )  # fmt: skip
    digits = shown.stdout.strip().partition("=")[2]
    assert digits.replace(":", "").lower() == read_fingerprint(own)
