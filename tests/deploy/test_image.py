"""The container file's own steps, run in a plain folder, make an image that serves.

They install everything anew, which takes half a minute of CPU. Therefore only `.ci/run` runs them.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.deploy.containerfile import Image, steps

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "service" / "deploy"
EXAMPLE_MODEL = ROOT / "tests" / "models" / "schema_1"
WAIT_S = 60.0

pytestmark = pytest.mark.skipif(
    os.environ.get("FREEHOLD_BUILD_IMAGE") != "yes", reason="only .ci/run builds the image"
)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image after all of its steps."""
    ignore = (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()
    patterns = [it for it in ignore if it and not it.startswith("#")]
    made = Image(tmp_path_factory.mktemp("image"), ROOT, patterns)
    for step in steps((DEPLOY / "Containerfile").read_text()):
        made.run(step)
    return made


def files(image: Image) -> dict[str, tuple[int, int]]:
    """Size and time of every file of the image outside its volumes."""
    volumes = [image.path(it) for it in image.volumes]
    return {
        str(it): (it.stat().st_size, it.stat().st_mtime_ns)
        for it in image.path("/").rglob("*")
        if it.is_file() and not any(it.is_relative_to(volume) for volume in volumes)
    }


def run(image: Image, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command of the image to its end."""
    environment = image.variables(variables)
    program = Path(environment["PATH"].split(":")[0]) / words[0]
    return subprocess.run(
        [program, *words[1:]],
        cwd=image.path("."),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )


def test_the_image_serves_and_writes_only_into_its_volume(image: Image) -> None:
    """Every step of the container file succeeds. The image's entry point migrates and serves, its
    health check succeeds while it serves and fails afterwards, SIGTERM ends it with exit code 0,
    and nothing outside its volume was written: the root file system may be read-only."""
    assert image.user == "10001:10001"
    # The image serves models; it has nothing that only their training needs.
    trained = run(image, "freehold", "train", "--spec", str(ROOT / "pyproject.toml"), "--out", "x")
    assert "pip install 'freehold[train]'" in trained.stderr
    assert image.environment["HOME"] == image.volumes[0]
    before = files(image)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    image.path("model").symlink_to(EXAMPLE_MODEL)
    variables = {"FREEHOLD_DATABASE": "sqlite:///freehold.db", "FREEHOLD_ADDRESS": address}
    assert run(image, *image.entry, "migrate", **variables).returncode == 0
    # A test listens on this machine alone.
    words = [address if it == "0.0.0.0:50051" else image.mapped(it) for it in image.command]
    assert address in words
    environment = image.variables(variables)
    program = Path(environment["PATH"].split(":")[0]) / image.entry[0]
    with ExitStack() as stack:
        serving = subprocess.Popen(
            [program, *image.entry[1:], *words],
            cwd=image.path("."),
            env=environment,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(serving.wait)
        stack.callback(serving.kill)
        asked = run(image, *image.health, "--wait", "50", **variables)
        assert (asked.returncode, asked.stdout) == (0, "SERVING\n"), asked.stderr
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(WAIT_S) == 0
    assert run(image, *image.health, **variables).returncode == 1
    assert files(image) == before
