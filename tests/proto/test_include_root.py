"""The contract compiles from the checkout and from the wheel, with nothing else on the path."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import grpc_tools
import pytest
from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from hatchling.builders.wheel import WheelBuilder

HERE = Path(__file__).resolve().parents[2]
PROTO = HERE / "proto"
RULES = "buf/validate/validate.proto"
KNOWN = Path(grpc_tools.__file__).parent / "_proto"
"""The well-known types, which come with every compiler."""


def contract(root: Path) -> list[str]:
    """The contract's files below an include root."""
    return sorted(it.relative_to(root).as_posix() for it in root.glob("freehold/v*/*.proto"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, as it is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    (built,) = WheelBuilder(str(HERE)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(built) as content:
        content.extractall(folder / "content")
    return folder / "content"


def compiled(root: Path, out: Path) -> descriptor_pb2.FileDescriptorSet:
    """protoc's output for the contract, with only this include root."""
    words = ["protoc", f"--proto_path={root}", f"--proto_path={KNOWN}", "--include_imports"]
    assert protoc.main([*words, f"--descriptor_set_out={out}", *contract(root)]) == 0
    return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())


def test_the_checkout_is_a_complete_include_root(tmp_path: Path) -> None:
    """protoc compiles the whole contract, rules included, with `proto/` as its include root."""
    names = {it.name for it in compiled(PROTO, tmp_path / "set").file}
    assert names.issuperset({RULES, *contract(PROTO)})
    assert len(contract(PROTO)) >= 8


def test_the_wheel_is_a_complete_include_root(tmp_path: Path, wheel: Path) -> None:
    """The folder into which the wheel is installed is a complete include root too, with the licence
    of the rules."""
    assert compiled(wheel, tmp_path / "one") == compiled(PROTO, tmp_path / "two")
    assert (wheel / "buf/validate/ATTRIBUTION.md").is_file()
    assert list(wheel.glob("freehold-*.dist-info/licenses/LICENSE"))


@pytest.mark.parametrize("words", [("build",), ("lint",)])
def test_buf_needs_no_registry(tmp_path: Path, words: tuple[str, ...]) -> None:
    """buf builds and lints `proto/` with an empty cache and without a network."""
    buf = Path(sys.executable).with_name("buf")
    nowhere = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    alone = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "BUF_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [buf, *words, PROTO], env={**alone, **nowhere}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_committed_rules_are_the_enforced_ones(tmp_path: Path) -> None:
    """The committed rules equal those of the installed protovalidate, except for the names of other
    languages' packages."""
    # The package has no public name for its rules; check this again with a new version.
    from protovalidate._gen.buf.validate import validate_pb

    (ours,) = [it for it in compiled(PROTO, tmp_path / "set").file if it.name == RULES]
    theirs = descriptor_pb2.FileDescriptorProto.FromString(validate_pb._DESC.proto.to_binary())
    for it in (ours, theirs):
        it.ClearField("options")
        it.ClearField("source_code_info")
    assert ours == theirs


def test_the_origin_of_the_rules_is_named() -> None:
    """The attribution has the licence, the installed version, and the file's hash."""
    text = (PROTO / "buf/validate/ATTRIBUTION.md").read_text()
    digest = hashlib.sha256((PROTO / RULES).read_bytes()).hexdigest()
    assert f"`{digest}`" in text
    assert "Apache License 2.0" in text
    pinned = re.search(r"^protovalidate==(\S+)$", (HERE / "requirements.txt").read_text(), re.M)
    assert pinned is not None
    assert f"`protovalidate` {pinned[1]}," in text
