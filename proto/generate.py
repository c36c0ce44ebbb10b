"""Generates the Python stubs of the contract and the client's methods, or checks them.

    python proto/generate.py           write the stubs and the methods
    python proto/generate.py --check   fail when a committed one differs
    python proto/generate.py --lint    run buf's linter over the contract

This folder is a complete include root: the rules of protovalidate are beside
the contract (`buf/validate/validate.proto`), and the well-known types come with
the compiler.
"""

from __future__ import annotations

import argparse
import filecmp
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import grpc_tools
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
RULES = "buf/validate/validate.proto"
METHODS = Path("freehold/methods.py")
METHODS_HEAD = '''"""Every method of the contract, for both clients. Written by `make stubs`."""

from __future__ import annotations

from freehold.method import Method
from {package} import (
    {modules},
)


class Methods:
    """Every method of the contract, a call of a client.

    The methods of AuthorizationService and PassService want an operator's key. Those of
    CaseService, AdminService, AdmissionService and TermsService, and `claim_return`, take either.
    The others want a platform's.
    """
'''
METHOD = """
    {call} = Method(
        "{service}",
        {module}.{request},
        {module}.{response},
    )
"""


def contract_files() -> list[str]:
    """Paths of the contract's .proto files, relative to this folder."""
    return sorted(str(path.relative_to(HERE)) for path in HERE.glob("freehold/v*/*.proto"))


def run_protoc(*arguments: str) -> None:
    known = Path(grpc_tools.__file__).parent / "_proto"
    if protoc.main(["protoc", f"--proto_path={HERE}", f"--proto_path={known}", *arguments]) != 0:
        raise SystemExit("protoc failed")


def generate(out: Path) -> None:
    """Writes all stubs below `out`."""
    stubs = (f"--python_out={out}", f"--pyi_out={out}")
    run_protoc(*stubs, RULES)
    run_protoc(*stubs, f"--grpc_python_out={out}", *contract_files())
    for stub in out.rglob("*_pb2_grpc.py"):
        if "Stub" not in stub.read_text():
            stub.unlink()  # a file without a service
    (out / METHODS).write_text(methods(), encoding="utf-8")


def methods() -> str:
    """The text of the client's methods: those of each service, in the contract's order."""
    with tempfile.TemporaryDirectory() as folder:
        described = Path(folder) / "contract"
        run_protoc(f"--descriptor_set_out={described}", *contract_files())
        contract = FileDescriptorSet.FromString(described.read_bytes())
    modules, calls = [], []
    for file in contract.file:
        module = Path(file.name).stem + "_pb2"
        for service in file.service:
            modules.append(module)
            calls += [
                METHOD.format(
                    call=re.sub("(?<!^)(?=[A-Z])", "_", it.name).lower(),
                    service=service.name,
                    module=module,
                    request=it.input_type.rpartition(".")[2],
                    response=it.output_type.rpartition(".")[2],
                )
                for it in service.method
            ]
    head = METHODS_HEAD.format(package=file.package, modules=",\n    ".join(modules))
    return head + "".join(calls)


def check() -> int:
    """Compares the committed stubs with fresh ones; returns the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        generate(out)
        fresh = {path.relative_to(out) for path in out.rglob("*.py*")}
        kept = {METHODS} | {
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
    """Runs buf's linter over the contract; returns its exit status."""
    buf = shutil.which("buf", path=str(Path(sys.executable).parent)) or shutil.which("buf")
    if buf is None:
        raise SystemExit("buf is not installed: pip install buf-bin")
    return subprocess.run([buf, "lint", str(HERE)], check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed stubs")
    parser.add_argument("--lint", action="store_true", help="run buf lint")
    options = parser.parse_args()
    if options.check:
        return check()
    if options.lint:
        return lint()
    generate(HERE)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
