"""From raw columns to the model's columns.

A derive function takes (n, k_raw) float64 and returns (n, k_derived) float64, and must give a
single row the same bits as the row inside any batch. The source of its module is hashed into the
model's manifest: a model's figures hold only for that text of the function.

A training also finds the module beside its spec. A server never looks there: it serves the model
only if the same module is on its own Python path, so a model folder brings no code into a server.
And it imports a module that is no part of Freehold only if its own configuration has the module's
hash, so whoever may choose a model does not thereby choose which code runs.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import DeriveError

Floats = NDArray[np.float64]
Derive = Callable[[Floats], Floats]

IDENTITY_SHA256 = hashlib.sha256(b"").hexdigest()
OWN = "models."
"""The beginning of the names of modules that came with Freehold."""


@contextmanager
def beside(spec_path: Path) -> Iterator[None]:
    """Modules in the folder of a spec are found meanwhile, after all others.

    They are forgotten at the end, because the folder of another spec may have a module of the same
    name.
    """
    folder = spec_path.resolve().parent
    if any(Path(place).resolve() == folder for place in sys.path):
        yield
        return
    known = {*sys.modules}
    importlib.invalidate_caches()
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in {*sys.modules} - known:
            source = getattr(sys.modules[name], "__file__", None)
            if source is not None and Path(source).is_relative_to(folder):
                del sys.modules[name]


def source_sha256(function: str | None) -> str:
    """Hexadecimal sha256 of the source of the function's whole module, helpers included.

    The module is read without running it, so a loader can refuse it before execution. Line ends are
    normalised first, so a checkout that rewrites them has the same function. Raises DeriveError
    when the module has no source.
    """
    if function is None:
        return IDENTITY_SHA256
    module = function.partition(":")[0]
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError) as error:
        raise DeriveError(f"{module}: cannot be found ({error})") from error
    if found is None:
        raise DeriveError(
            f"{module}: cannot be found; a training looks for it beside the spec and on the Python "
            "path, a server on the Python path alone"
        )
    if found.origin is None or not found.has_location:
        raise DeriveError(f"{module}: has no source file")
    try:
        source = Path(found.origin).read_bytes()
    except OSError as error:
        raise DeriveError(f"{module}: source cannot be read ({error.strerror})") from error
    return hashlib.sha256(source.replace(b"\r\n", b"\n")).hexdigest()


def require_allowed(function: str | None, sha256: str, allowed: Collection[str]) -> None:
    """Raises DeriveError for a module that is no part of Freehold, unless its hash is allowed."""
    if function is None or function.startswith(OWN) or sha256 in allowed:
        return
    module = function.partition(":")[0]
    raise DeriveError(
        f"{module}: the server's configuration does not have this module; read its source, and add "
        f"its sha256 to the setting derivations: {sha256}"
    )


def resolve(function: str | None) -> Derive:
    """The function that "package.module:name" names, or the identity. Raises DeriveError."""
    if function is None:
        return _identity
    module, _, name = function.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise DeriveError(f"{function}: cannot be imported ({error})") from error
    if not callable(found):
        raise DeriveError(f"{function}: is not a function")
    derive: Derive = found
    return derive


def apply(derive: Derive, raw: Floats, width: int) -> Floats:
    """Run `derive` on (n, k_raw) and check that the result is (n, width) float64."""
    derived = derive(raw)
    if not isinstance(derived, np.ndarray) or derived.dtype != np.float64:
        raise DeriveError("the derive function must return a float64 array")
    if derived.shape != (raw.shape[0], width):
        raise DeriveError(
            f"the derive function returned shape {derived.shape}, "
            f"the spec names {width} columns for {raw.shape[0]} rows"
        )
    if np.isinf(derived).any():
        raise DeriveError("the derive function returned an infinite value")
    return derived


def _identity(raw: Floats) -> Floats:
    # Adding zero copies, and turns -0.0 into 0.0 as every derive function should.
    return raw + 0.0
