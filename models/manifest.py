"""A model directory: `model.txt`, `manifest.json`, `metrics.json`, and nothing executable.

Beside them are the spec, the development sample (`models.development`) and the report
(`models.page`), which a server does not read.

The manifest describes the model and has a sha256 for everything that it depends on. The model id is
the sha256 of the manifest's canonical JSON without `model_id` and `created_at`. So the same inputs
give the same id at any time and with any number of processes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from models import domain, encoding, fairness_gate, features, scorecard, tables
from models.calibrate import Platt
from models.dataset import id_hash
from models.domain import Trained
from models.encoding import Preparation
from models.errors import (
    DeriveError,
    IncompatibleError,
    ModelDirectoryError,
    TamperedError,
)
from models.scorecard import Scale
from models.spec import HouseRules
from models.spec_columns import Derived, Feature, Notation

SCHEMA = 3
# Schema 1 had no `trained` and no `absent` in its raw columns: see `_trained_of_schema_1`. Schema 2
# had no `preparation`, no `kind`, and the columns' own names in the model's text.
LATER_SCHEMA = 4
"""Of a model that an earlier build must not read: it would neither bound the months between dates
nor free the dates, and it would serve a model of simulated outcomes."""
TOKENS_SCHEMA = 5
"""Of a model with texts that stand for a missing value: an earlier build would take them for unseen
ones."""
_READABLE = (1, 2, SCHEMA, LATER_SCHEMA, TOKENS_SCHEMA)
_TOKENS = "missing_tokens"
"""A key of the raw columns of that schema which are texts."""
MANIFEST, MODEL, METRICS = "manifest.json", "model.txt", "metrics.json"

# The parts of each document that depend on the time of training.
_UNHASHED = ("model_id", "created_at")
_METRICS_UNHASHED = ("seconds", "created_at")
_ABSENT = object()
_SHA256 = re.compile(r"[0-9a-f]{64}")
# A raw column has these keys if its spec has them, and its reason's texts below `reason`.
_DICTIONARY = ("description", "unit", "source", "lawful_basis", "maximum_age_days")


@dataclass(frozen=True)
class Golden:
    """One row whose margin and score every load must reproduce exactly."""

    raw: tuple[float, ...]
    margin: float
    score: int


@dataclass(frozen=True)
class Manifest:
    """A verified manifest and the model's text that it belongs to.

    `fitted` is the preparation of the raw rows unless a derive function prepares them. `kind` is
    `trees` or `scorecard`; `text_names` are the columns' names in the model's text.
    `document` is the whole JSON, for values without a field here (parameters, versions, reference
    histograms, fold hashes).
    """

    model_id: str
    created_at: str
    outcome: str
    horizon: str
    population: str
    base_rate: float
    raw: tuple[Feature, ...]
    trained: tuple[Trained, ...]
    derived: tuple[Derived, ...]
    derive_function: str | None
    fitted: Preparation | None
    kind: str
    text_names: tuple[str, ...]
    platt: Platt
    scale: Scale
    scale_version: str
    training_id_salt: str
    training_id_hashes: frozenset[str]
    golden: tuple[Golden, ...]
    model_text: str = field(repr=False)
    document: Mapping[str, Any] = field(repr=False)
    fairness: str = fairness_gate.FINE
    """The verdict of the fairness gate; a model of an earlier build was not judged."""
    simulated: bool = False
    """Whether the outcomes were simulated; then only a sandbox may serve the model."""

    @property
    def raw_names(self) -> tuple[str, ...]:
        """Names of the raw columns in the order of a row's values."""
        return tuple(f.name for f in self.raw)

    def preparation(self) -> Preparation:
        """How raw rows become the model's columns; imports the derive function if there is one.

        Raises DeriveError.
        """
        return self.fitted or encoding.of_function(self.derive_function, self.derived)


def schema_of(preparation: Preparation, raw: Sequence[Feature], *, simulated: bool) -> int:
    """The schema of a new manifest: the earliest one that can tell the model."""
    if any(_tokens(feature) for feature in raw):
        return TOKENS_SCHEMA
    return LATER_SCHEMA if preparation.spans or simulated else SCHEMA


def canonical(document: Mapping[str, Any]) -> bytes:
    """One text for one document: sorted keys, no spaces, no NaN, ASCII only."""
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True
    ).encode("ascii")


def model_id(document: Mapping[str, Any]) -> str:
    """Hexadecimal sha256 of the manifest without its own id and its time stamp."""
    return _sha256(canonical({k: v for k, v in document.items() if k not in _UNHASHED}))


def metrics_sha256(metrics: Mapping[str, Any]) -> str:
    """Hexadecimal sha256 of the metrics without their durations and time stamp."""
    return _sha256(canonical({k: v for k, v in metrics.items() if k not in _METRICS_UNHASHED}))


def differing(
    one: Mapping[str, Any], other: Mapping[str, Any], apart: Sequence[str] = _METRICS_UNHASHED
) -> list[str]:
    """The keys, but those `apart`, that two documents have other values of, or that only one of
    them has; below a table's key, its keys: `model.auc`."""
    names = []
    for key in sorted({*one, *other} - {*apart}):
        mine, theirs = one.get(key, _ABSENT), other.get(key, _ABSENT)
        if isinstance(mine, dict) and isinstance(theirs, dict):
            inner = {*mine, *theirs}
            names += [
                f"{key}.{k}"
                for k in sorted(inner)
                if mine.get(k, _ABSENT) != theirs.get(k, _ABSENT)
            ]
        elif mine != theirs:
            names.append(key)
    return names


def raw_column(feature: Feature, trained: Trained) -> dict[str, Any]:
    """A raw column of the manifest's schema, with its values in the served model's training."""
    bounds = (feature.minimum, feature.maximum)
    low, high = (None if abs(v) == float("inf") else v for v in bounds)
    return {
        "name": feature.name,
        "type": feature.type,
        "missing": feature.missing,
        "absent": feature.absent,
        "special": list(feature.special),
        "actionable": feature.actionable,
        "reason_group": feature.reason_group,
        "min": low,
        "max": high,
        "levels": list(feature.levels),
        **_tokens(feature),
        "trained": domain.to_json(trained),
        **_dictionary(feature),
    }


def _tokens(feature: Feature) -> dict[str, list[str]]:
    """The texts of a text column that stand for a missing value, if it has any."""
    found = list(feature.notation.missing) if feature.type == "text" else []
    return {_TOKENS: found} if found else {}


def without_tokens(document: dict[str, Any], schema: int) -> None:
    """Makes a new manifest one of an earlier schema, which has no missing texts."""
    document["schema"] = schema
    for column in document["raw"]:
        column.pop(_TOKENS, None)


def _dictionary(feature: Feature) -> dict[str, Any]:
    """The entry of a column in the dictionary of features: the keys that its spec has."""
    entry: dict[str, Any] = {key: getattr(feature, key) for key in _DICTIONARY}
    texts = {"zh": feature.reason_zh, "en": feature.reason_en}
    entry["reason"] = {key: text for key, text in texts.items() if text is not None} or None
    return {key: value for key, value in entry.items() if value is not None}


def derived_column(derived: Derived) -> dict[str, Any]:
    """A derived column of the manifest's schema."""
    return {
        "name": derived.name,
        "monotone": derived.monotone,
        "reason_group": derived.reason_group,
    }


@contextmanager
def workshop(versions: Path) -> Iterator[Path]:
    """A folder beside the versions of models, which vanishes with what is left in it."""
    try:
        versions.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".training-", dir=versions) as partial:
            yield Path(partial) / "model"
    except OSError as error:
        raise ModelDirectoryError(f"{versions}: cannot be written ({error.strerror})") from error


def publish(partial: Path, directory: Path) -> Path:
    """Move a whole model to its own folder, unless that folder has it."""
    if not (directory / MANIFEST).exists():
        os.replace(partial, directory)
    return directory


def find(versions: Path, asked: str) -> Path:
    """The folder of the model with this id, or with the only id that begins so.

    Raises ModelDirectoryError.
    """
    found = sorted(p.parent for p in versions.glob(f"*/{MANIFEST}"))
    found = [p for p in found if _SHA256.fullmatch(p.name) and p.name.startswith(asked)]
    if len(found) != 1:
        raise ModelDirectoryError(
            f"{versions}: {len(found) or 'no'} models have an id that begins with {asked}"
        )
    return found[0]


def write(
    directory: Path,
    document: Mapping[str, Any],
    model_text: str,
    metrics: Mapping[str, Any],
    beside: Callable[[Path], None] = lambda _: None,
) -> str:
    """Write the three files and what goes `beside` them, and return the model id.

    Raises ModelDirectoryError where the directory has another model: none is ever replaced.
    Each file is replaced as a whole and the manifest last: the hashes of a half-written directory
    do not match, and `read` refuses it.
    """
    full = {**document, "model_id": model_id(document)}
    if other := occupant(directory, full["model_id"]):
        raise ModelDirectoryError(
            f"{directory}: holds another model, {other}, which is never replaced; "
            "name another folder"
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        beside(directory)
        _replace(directory / MODEL, [model_text.encode("utf-8")])
        pretty = json.dumps(metrics, indent=2, allow_nan=False)
        _replace(directory / METRICS, [(pretty + "\n").encode("utf-8")])
        _replace(directory / MANIFEST, _pretty(full))
    except OSError as error:
        raise ModelDirectoryError(f"{directory}: cannot be written ({error.strerror})") from error
    return str(full["model_id"])


def occupant(directory: Path, wanted: str) -> str:
    """The id of the other model than `wanted` that the directory has; empty if it has none."""
    if not (directory / MANIFEST).exists():
        return ""
    found = str(_json(directory / MANIFEST).get("model_id"))
    return "" if found == wanted else found


def figures(directory: Path) -> dict[str, Any]:
    """The figures of a model directory, unverified: `read` verifies them."""
    return _json(directory / METRICS)


def read(directory: Path, *, expected_id: str | None = None) -> Manifest:
    """Read a model directory and verify every hash in it; no model is parsed, no code imported.

    Raises ModelDirectoryError (missing, unreadable), IncompatibleError (schema or scale of another
    build), TamperedError (any hash, or `expected_id`, differs).
    """
    directory = Path(directory)
    document = _json(directory / MANIFEST)
    if document.get("schema") not in _READABLE:
        raise IncompatibleError(
            f"{MANIFEST}: schema {document.get('schema')!r} is not one that this build reads "
            f"({', '.join(map(str, _READABLE))})"
        )
    stored_id = document.get("model_id")
    if model_id(document) != stored_id:
        raise TamperedError(f"{MANIFEST}: the hash of its content is not its model id")
    if expected_id is not None and stored_id != expected_id:
        raise TamperedError(f"{MANIFEST}: model id is {stored_id}, expected {expected_id}")
    try:
        model_text = _verified_model(directory, document)
        metrics = _json(directory / METRICS)
        if metrics_sha256(metrics) != document["metrics_sha256"]:
            raise TamperedError(
                f"{METRICS}: its sha256 differs from the manifest; restore it or train again"
            )
        _verify_derive(document["derive"])
        return replace(_manifest(document, model_text), fairness=fairness_gate.verdict_of(metrics))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelDirectoryError(f"{MANIFEST}: is malformed ({error!r})") from error


def is_training_id(manifest: Manifest, row_id: str) -> bool:
    """Whether the model was fitted on the person with this id."""
    return id_hash(manifest.training_id_salt, row_id) in manifest.training_id_hashes


def _verified_model(directory: Path, document: Mapping[str, Any]) -> str:
    content = _bytes(directory / MODEL)
    if _sha256(content) != document["model_sha256"]:
        raise TamperedError(
            f"{MODEL}: its sha256 differs from the manifest; restore the folder or train again"
        )
    return content.decode("utf-8")


def _verify_derive(derive: Mapping[str, Any]) -> None:
    try:
        found = features.source_sha256(derive["function"])
    except DeriveError as error:
        raise IncompatibleError(str(error)) from error
    if found != derive["sha256"]:
        raise TamperedError(
            f"{derive['function']}: its source has changed; restore the source or train again"
        )


def _manifest(document: Mapping[str, Any], model_text: str) -> Manifest:
    scale = document["scale"]
    if scale["version"] != scorecard.VERSION:
        raise IncompatibleError(
            f"the scale has version {scale['version']!r}; this build reads {scorecard.VERSION!r}"
        )
    platt = Platt(*(float.fromhex(document["platt"][k]) for k in ("a", "b")))
    stored_scale = Scale(*(float.fromhex(scale[k]) for k in ("a", "b")))
    if stored_scale != scorecard.scale(platt):
        raise TamperedError("scale: a and b do not follow from platt")
    training = document["training_ids"]
    hashes = training["sha256"]
    if any(not _SHA256.fullmatch(h) for h in hashes):
        raise ModelDirectoryError("training_ids: has a value that is not a sha256")
    label = document["label"]
    derived = tuple(
        Derived(c["name"], c["monotone"], c["reason_group"]) for c in document["derived"]
    )
    return Manifest(
        model_id=document["model_id"],
        created_at=document["created_at"],
        outcome=label["outcome"],
        horizon=label["horizon"],
        population=label["population"],
        base_rate=label["base_rate"],
        raw=tuple(_raw_feature(c) for c in document["raw"]),
        trained=(
            _trained_of_schema_1(document, model_text)
            if document["schema"] == 1
            else tuple(domain.from_json(c["trained"]) for c in document["raw"])
        ),
        derived=derived,
        derive_function=document["derive"]["function"],
        fitted=_fitted(document, derived),
        kind=document.get("kind", "trees"),
        text_names=tuple(
            d.name if document.get("preparation") is None else f"c{j}"
            for j, d in enumerate(derived)
        ),
        platt=platt,
        scale=stored_scale,
        scale_version=scale["version"],
        training_id_salt=training["salt"],
        training_id_hashes=frozenset(hashes),
        golden=tuple(
            Golden(
                tuple(float.fromhex(v) for v in g["raw"]), float.fromhex(g["margin"]), g["score"]
            )
            for g in document["golden"]
        ),
        model_text=model_text,
        document=document,
        simulated=label.get("simulated", False),
    )


def _fitted(document: Mapping[str, Any], derived: tuple[Derived, ...]) -> Preparation | None:
    fitted = document.get("preparation")
    if fitted is None:
        return None
    prepared = encoding.from_json(fitted, [c["name"] for c in document["raw"]])
    if prepared.columns != derived:
        raise ModelDirectoryError(f"{MANIFEST}: preparation and derived have different columns")
    return prepared


def _raw_feature(column: Mapping[str, Any]) -> Feature:
    infinity = float("inf")
    return Feature(
        name=column["name"],
        type=column["type"],
        role="input",
        missing=column["missing"],
        absent=column.get("absent", "reject"),
        special=tuple(column["special"]),
        monotone=0,
        actionable=column["actionable"],
        reason_group=column["reason_group"],
        minimum=-infinity if column["min"] is None else column["min"],
        maximum=infinity if column["max"] is None else column["max"],
        groups=(),
        group_names=(),
        levels=tuple(column.get("levels", ())),
        notation=Notation(missing=tuple(column.get(_TOKENS, ()))),
        description=column.get("description"),
        unit=column.get("unit"),
        source=column.get("source"),
        lawful_basis=column.get("lawful_basis"),
        maximum_age_days=column.get("maximum_age_days"),
        reason_zh=column.get("reason", {}).get("zh"),
        reason_en=column.get("reason", {}).get("en"),
    )


def _trained_of_schema_1(document: Mapping[str, Any], model_text: str) -> tuple[Trained, ...]:
    """The training rows as a manifest of schema 1 describes them.

    Such a manifest counts missing values of good and bad rows together. Its model's text has the
    bounds of the derived columns. These are the bounds of the raw columns only if the model uses
    the raw columns directly.
    """
    rows = HouseRules().missing_rows
    rows = max(rows, document["parameters"]["min_data_in_leaf"])
    raw, bounds = document["raw"], [(-math.inf, math.inf)] * len(document["raw"])
    if document["derive"]["function"] is None:
        bounds = tables.column_bounds(model_text)
    return tuple(
        Trained(
            low=low,
            high=high,
            seen=None,
            missing=histogram["missing"],
            missing_bad=None,
            nullable=column["missing"] == "nan" and histogram["missing"] >= rows,
        )
        for column, histogram, (low, high) in zip(raw, document["reference"], bounds, strict=True)
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(_bytes(path))
    except ValueError as error:
        raise ModelDirectoryError(f"{path.name}: is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise ModelDirectoryError(f"{path.name}: is not a JSON object")
    return document


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelDirectoryError(f"{path}: cannot be read ({error.strerror})") from error


def _pretty(document: Mapping[str, Any]) -> Iterator[bytes]:
    """The document as indented text, piece by piece: it has a hash of each training row."""
    for piece in json.JSONEncoder(indent=1).iterencode(document):
        yield piece.encode("utf-8")
    yield b"\n"


def _replace(path: Path, content: Iterable[bytes]) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.writelines(content)
    os.replace(partial, path)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
