"""The development sample of a model, kept beside it, so that the model can be made again.

The sample has the values as training used them, not the cells of the file, and of each id only its
salted hash. It is Parquet, with one column for each part of the data set; everything else is in the
file's metadata. The hash in the manifest is of the content, so another version of the Parquet
library may write other bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models import dataset, spec
from models.dataset import Dataset
from models.errors import ModelDirectoryError, TamperedError

SAMPLE, SPEC = "sample.parquet", "spec.toml"

Hashes = NDArray[np.uint8]

_DIGITS = 64
# Rows that are written at once.
_PORTION = 16_384
_INPUT, _PROTECTED = "input ", "protected "
_ABOUT = "freehold"
# Arrays that a data set may lack.
_OPTIONAL = ("time", "group", "weight")


class Development(NamedTuple):
    """A data set without its ids, the (n, 32) bytes of the salted sha256 of each row's id, and the
    bytes of the spec's file."""

    data: Dataset
    salt: str
    hashes: Hashes
    spec_bytes: bytes


def of(data: Dataset) -> Development:
    """The development sample of a data set that was read from its file."""
    # The inputs decide the salt, so the model id follows from them too. The salt keeps hashes of
    # two data sets apart; it does not hide an id that can be guessed.
    text = f"training ids {data.sha256} {data.spec.sha256}"
    salt = hashlib.sha256(text.encode()).hexdigest()
    hashes = bytearray()
    for row_id in data.ids:
        hashes += bytes.fromhex(dataset.id_hash(salt, row_id))
    # The ids themselves would take as much memory as eight columns.
    return Development(replace(data, ids=()), salt, _rows_of(hashes), data.spec.path.read_bytes())


def written(hashes: Hashes) -> list[str]:
    """Hashes as hexadecimal text."""
    text = hashes.tobytes().hex()
    return [text[at : at + _DIGITS] for at in range(0, len(text), _DIGITS)]


def content_sha256(development: Development) -> str:
    """Hexadecimal sha256 of all values of the sample."""
    digest = hashlib.sha256(json.dumps(_about(development), sort_keys=True).encode())
    for start in range(0, development.hashes.shape[0], _PORTION):
        digest.update(development.hashes[start : start + _PORTION].tobytes().hex().encode())
    for name, values in _columns(development.data).items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def write(development: Development, directory: Path) -> None:
    """Write the sample and the spec into a model's folder. Raises OSError."""
    import polars
    from polars.io.plugins import register_io_source

    columns = _columns(development.data)
    rows = development.hashes.shape[0]

    def frame(start: int, end: int) -> polars.DataFrame:
        hashes = polars.Series(written(development.hashes[start:end]), dtype=polars.String)
        values = {name: polars.Series(each[start:end]) for name, each in columns.items()}
        return polars.DataFrame({"id_sha256": hashes, **values})

    def portions(*_: object) -> Iterator[polars.DataFrame]:
        # The whole frame would be another copy of the table.
        for start in range(0, rows, _PORTION):
            yield frame(start, start + _PORTION)

    about = json.dumps(_about(development), sort_keys=True)
    register_io_source(portions, schema=frame(0, 0).schema).sink_parquet(
        directory / SAMPLE, compression="zstd", row_group_size=_PORTION, metadata={_ABOUT: about}
    )
    (directory / SPEC).write_bytes(development.spec_bytes)


def read(directory: Path) -> Development:
    """The sample of a model's folder.

    Raises ModelDirectoryError when the folder has none that can be read, SpecError for a spec that
    this build does not accept.
    """
    import polars

    path = directory / SAMPLE
    try:
        about = json.loads(polars.read_parquet_metadata(path)[_ABOUT])
        frame = polars.read_parquet(path)
        spec_bytes = (directory / SPEC).read_bytes()
        columns = {name: frame[name].to_numpy() for name in frame.columns if name != "id_sha256"}
        hashes = _rows_of(bytes.fromhex("".join(frame["id_sha256"])))
        the_spec = spec.load(directory / SPEC)
        data = _data(the_spec, columns, about, hashes.shape[0])
    except (OSError, KeyError, ValueError, TypeError, polars.exceptions.PolarsError) as error:
        raise ModelDirectoryError(
            f"{directory}: its development sample cannot be read ({error}); a model of an earlier "
            "build has none"
        ) from error
    return Development(data, about["salt"], hashes, spec_bytes)


def require(development: Development, document: Mapping[str, Any]) -> None:
    """Raises TamperedError unless the sample is the one that a manifest names."""
    if content_sha256(development) != document.get("sample_sha256"):
        raise TamperedError(
            f"{SAMPLE}: its content differs from the manifest; rows that were erased cannot be "
            "made up, so the model cannot be made again"
        )


def _rows_of(hashes: bytes | bytearray) -> Hashes:
    return np.frombuffer(hashes, dtype=np.uint8).reshape(-1, _DIGITS // 2)


def _columns(data: Dataset) -> dict[str, NDArray[Any]]:
    """The arrays of a data set by their names in the file."""
    columns: dict[str, NDArray[Any]] = {"row": data.row, "label": data.label}
    for name in _OPTIONAL:
        if (values := getattr(data, name)) is not None:
            columns[name] = values
    columns |= {_INPUT + name: data.raw[:, j] for j, name in enumerate(data.spec.raw_names)}
    columns |= {_PROTECTED + name: values for name, values in data.protected.items()}
    return columns


def _about(development: Development) -> dict[str, Any]:
    data = development.data
    return {
        "salt": development.salt,
        "spec_sha256": data.spec.sha256,
        "data_sha256": data.sha256,
        "levels": {name: list(levels) for name, levels in data.levels.items()},
        "excluded": [list(each) for each in data.excluded],
        "warnings": list(data.warnings),
    }


def _data(
    the_spec: spec.Spec, columns: Mapping[str, NDArray[Any]], about: Mapping[str, Any], rows: int
) -> Dataset:
    # Columns without two different values were left out, and are not in the sample.
    features = tuple(
        f for f in the_spec.features if f.role != "input" or _INPUT + f.name in columns
    )
    kept = replace(the_spec, features=features, sha256=about["spec_sha256"])
    raw = np.empty((rows, len(kept.raw_names)), order="F")
    for j, name in enumerate(kept.raw_names):
        raw[:, j] = columns[_INPUT + name]
    return Dataset(
        spec=kept,
        ids=(),
        row=columns["row"].copy(),
        raw=raw,
        label=columns["label"].copy(),
        sha256=about["data_sha256"],
        levels={name: tuple(levels) for name, levels in about["levels"].items()},
        protected={
            f.name: columns[_PROTECTED + f.name].copy()
            for f in the_spec.protected
            if _PROTECTED + f.name in columns
        },
        **{name: columns[name].copy() for name in _OPTIONAL if name in columns},
        excluded=tuple((reason, count) for reason, count in about["excluded"]),
        warnings=tuple(about["warnings"]),
    )
