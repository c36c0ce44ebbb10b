"""Generates the Python stubs of the contract, or checks that they are current.

    python proto/generate.py           write the stubs
    python proto/generate.py --check   fail when a committed stub differs
    python proto/generate.py --lint    run buf's linter over the contract

The rules of protovalidate (`buf/validate/validate.proto`) come as a descriptor
from the installed protovalidate package, so that the contract is compiled
against exactly the rules that the server enforces.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf import (
    descriptor_pb2,
    duration_pb2,
    field_mask_pb2,
    timestamp_pb2,
)
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

HERE = Path(__file__).resolve().parent
RULES = "buf/validate/validate.proto"


def contract_files() -> list[str]:
    """Paths of the contract's .proto files, relative to this folder."""
    return sorted(str(path.relative_to(HERE)) for path in HERE.glob("freehold/v*/*.proto"))


def write_rules(path: Path) -> None:
    """Writes the descriptor of the rules and of all that they import."""
    files = descriptor_pb2.FileDescriptorSet()
    for module in (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2):
        module.DESCRIPTOR.CopyToProto(files.file.add())
    files.file.add().ParseFromString(validate_pb._DESC.proto.to_binary())
    path.write_bytes(files.SerializeToString(deterministic=True))


def run_protoc(*arguments: str) -> None:
    if protoc.main(["protoc", *arguments]) != 0:
        raise SystemExit("protoc failed")


def generate(out: Path, scratch: Path) -> None:
    """Writes all stubs below `out`."""
    rules = scratch / "rules.binpb"
    write_rules(rules)
    run_protoc(f"--descriptor_set_in={rules}", f"--python_out={out}", f"--pyi_out={out}", RULES)
    # The package's own protos of the well-known types are replaced by the set's.
    run_protoc(
        f"--descriptor_set_in={rules}",
        f"--proto_path={HERE}",
        f"--python_out={out}",
        f"--pyi_out={out}",
        f"--grpc_python_out={out}",
        *contract_files(),
    )
    for stub in out.rglob("*_pb2_grpc.py"):
        if "Stub" not in stub.read_text():
            stub.unlink()  # a file without a service


def check() -> int:
    """Compares the committed stubs with fresh ones; returns the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        out.mkdir()
        generate(out, Path(folder))
        fresh = {path.relative_to(out) for path in out.rglob("*.py*")}
        kept = {
            path.relative_to(HERE)
            for pattern in ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py")
            for path in HERE.rglob(pattern)
        }
        stale = sorted(str(name) for name in fresh ^ kept)
        stale += sorted(
            str(name)
            for name in fresh & kept
            if not filecmp.cmp(out / name, HERE / name, shallow=False)
        )
    for name in stale:
        print(f"stale stub: proto/{name}", file=sys.stderr)
    print(f"{len(fresh)} stubs, {len(stale)} stale")
    return 1 if stale else 0


def lint() -> int:
    """Runs buf's linter over the compiled contract; returns its exit status."""
    buf = shutil.which("buf", path=str(Path(sys.executable).parent)) or shutil.which("buf")
    if buf is None:
        raise SystemExit("buf is not installed: pip install buf-bin")
    with tempfile.TemporaryDirectory() as folder:
        rules, image = Path(folder) / "rules.binpb", Path(folder) / "contract.binpb"
        write_rules(rules)
        run_protoc(
            f"--descriptor_set_in={rules}",
            f"--proto_path={HERE}",
            "--include_imports",
            "--include_source_info",
            f"--descriptor_set_out={image}",
            *contract_files(),
        )
        paths = [word for name in contract_files() for word in ("--path", name)]
        command = [buf, "lint", str(image), "--config", str(HERE / "buf.yaml"), *paths]
        return subprocess.run(command, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed stubs")
    parser.add_argument("--lint", action="store_true", help="run buf lint")
    options = parser.parse_args()
    if options.check:
        return check()
    if options.lint:
        return lint()
    with tempfile.TemporaryDirectory() as folder:
        generate(HERE, Path(folder))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
