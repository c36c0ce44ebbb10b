from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import checking, dataset, features, spec, train
from models.data import taiwan
from models.errors import DeriveError, IncompatibleError, TamperedError
from models.scorer import ModelScorer, Scored
from tests.models import small_tables
from tests.models.small_tables import A, B, row, table, tree
from tests.shell import forked_workers

STATUS = st.integers(-2, 9).map(float)
BILL = st.one_of(st.integers(-400_000, 2_000_000).map(float), st.floats(-1e7, 1e7))
PAID = st.one_of(st.just(0.0), st.just(-0.0), st.floats(0.0, 1e7))
ROW = st.tuples(
    st.floats(1e3, 1e7), *[STATUS] * 6, *[BILL] * 6, *[PAID] * 6
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=70))
def test_a_row_alone_equals_the_row_in_a_batch(rows: list[tuple[float, ...]]) -> None:
    """A row's derived columns do not depend on the other rows, not even in the last bit."""
    raw = np.array(rows)
    together = taiwan.derive(raw)
    assert np.isfinite(together).all()
    for i in range(raw.shape[0]):
        assert taiwan.derive(raw[i : i + 1]).tobytes() == together[i].tobytes()


def test_memory_layout_does_not_matter(shipped_data: dataset.Dataset) -> None:
    """Column-major, strided and contiguous inputs give the same bits."""
    raw = shipped_data.raw[:500]
    expected = taiwan.derive(raw).tobytes()
    assert taiwan.derive(np.asfortranarray(raw)).tobytes() == expected
    assert taiwan.derive(np.repeat(raw, 2, axis=0)[::2]).tobytes() == expected


def test_derived_columns_equal_their_definitions(
    shipped_data: dataset.Dataset, shipped_spec: spec.Spec
) -> None:
    """Each derived column equals its definition, computed plainly."""
    raw = shipped_data.raw
    limit, status, bill, paid = raw[:, 0], raw[:, 1:7], raw[:, 7:13], raw[:, 13:19]
    late = np.maximum(status, 0)
    utilisation = bill / limit[:, None]
    expected = {
        "credit_limit": limit,
        "status_6": status[:, 5],
        "paid_2": paid[:, 1],
        "months_late_3": late[:, 2],
        "utilisation_1": utilisation[:, 0],
        "payment_ratio_5": np.minimum(paid[:, 4] / np.maximum(bill[:, 5], 1), 2),
        "late_weighted": late @ np.array([1, 0.8, 0.6, 0.4, 0.3, 0.2]),
        "months_unpaid": (paid == 0).sum(axis=1),
        "months_inactive": (status == -2).sum(axis=1),
        "months_paid_in_full": (status == -1).sum(axis=1),
        "late_total": late.sum(axis=1),
        "late_highest": late.max(axis=1),
        "bill_highest": bill.max(axis=1),
        "utilisation_highest": utilisation.max(axis=1),
        "paid_lowest": paid.min(axis=1),
        "paid_two_months": paid[:, 0] + paid[:, 1],
        "paid_1_to_limit": paid[:, 0] / limit,
        "paid_to_limit": paid.sum(axis=1) / limit,
        "paid_to_billed": np.minimum(paid.sum(axis=1) / np.maximum(bill.sum(axis=1), 1), 5),
        "spent_1_to_limit": (bill[:, 0] - bill[:, 1] + paid[:, 0]) / limit,
        "spent_2_to_limit": (bill[:, 1] - bill[:, 2] + paid[:, 1]) / limit,
        "utilisation_change": utilisation[:, 0] - utilisation[:, 1],
        "credit_left": limit - bill[:, 0],
    }
    derived = taiwan.derive(raw)
    names = [d.name for d in shipped_spec.derived]
    assert derived.shape == (30_000, len(names))
    for name, values in expected.items():
        np.testing.assert_allclose(derived[:, names.index(name)], values, rtol=1e-12, atol=1e-9)


def test_the_source_hash_runs_no_code() -> None:
    """The hash is that of the derive function's module file, and does not need the function to
    exist."""
    digest = features.source_sha256("models.data.taiwan:derive")
    assert digest == features.source_sha256("models.data.taiwan:anything")
    assert digest != features.source_sha256("models.features:apply")


@pytest.mark.parametrize("name", ["no.such.module:f", "models.data.taiwan:missing", "math:pi"])
def test_functions_that_cannot_be_used_are_derive_errors(name: str) -> None:
    """A missing or uncallable derive function is refused."""
    with pytest.raises(DeriveError):
        features.resolve(name)


def test_wrong_shape_is_a_derive_error() -> None:
    """A derive function with another number of columns than the spec is refused."""
    with pytest.raises(DeriveError, match="2 columns"):
        features.apply(features.resolve(None), np.ones((4, 3)), 2)


DERIVE = """import numpy as np

def derive(raw):
    a, b = raw.T
    return np.column_stack((a {sign} b, b))
"""


def with_module(folder: Path, sign: str) -> Path:
    """A folder with a table, a module, and a spec that names the module's function."""
    folder.mkdir()
    rows = [f"{i},{a},{b},{y}" for i, (a, b, y) in enumerate(zip(*table(), strict=True))]
    (folder / "table.csv").write_text("\n".join(["id,a,b,y", *rows]) + "\n")
    (folder / "ratios_of_a_bank.py").write_text(DERIVE.format(sign=sign))
    document = tree([A, B])
    columns = [{"name": name, "reason_group": name.upper()} for name in ("both", "b")]
    written = small_tables.toml(document) + (
        '[derive]\nfunction = "ratios_of_a_bank:derive"\n'
        + small_tables.toml({"derive.column": columns})
    )
    (folder / "spec.toml").write_text(written)
    return folder / "spec.toml"


def test_case_17_a_module_beside_the_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Case 17: a derive module beside the spec is found by the check and the training, and hashed
    into the manifest; the model is served only where the same module is on the server's own
    path, and its hash in the server's configuration.
    """
    path = with_module(tmp_path / "bank", "+")
    before = list(sys.path)
    assert checking.report(path, None).errors == []
    with forked_workers():
        train.train(path, tmp_path / "model", progress=False, jobs=1)
    assert sys.path == before
    assert "ratios_of_a_bank" not in sys.modules
    source = path.with_name("ratios_of_a_bank.py").read_bytes()
    document = json.loads((tmp_path / "model" / "manifest.json").read_text())
    assert document["derive"] == {
        "function": "ratios_of_a_bank:derive", "sha256": hashlib.sha256(source).hexdigest()
    }  # fmt: skip
    with pytest.raises(IncompatibleError, match="a server on the Python path alone"):
        ModelScorer.load(tmp_path / "model")
    # Another folder has another module of this name.
    other = with_module(tmp_path / "other", "-")
    with monkeypatch.context() as there:
        there.syspath_prepend(other.parent)
        with pytest.raises(TamperedError, match="its source has changed"):
            ModelScorer.load(tmp_path / "model")
    monkeypatch.syspath_prepend(path.parent)
    sha256 = document["derive"]["sha256"]
    with pytest.raises(DeriveError, match=f"add its sha256 to the setting derivations: {sha256}"):
        ModelScorer.load(tmp_path / "model", derivations=["0" * 64])
    assert "ratios_of_a_bank" not in sys.modules
    answer = ModelScorer.load(tmp_path / "model", derivations=[sha256]).score([row(0.1, 1.0)])[0]
    del sys.modules["ratios_of_a_bank"]
    assert isinstance(answer, Scored)


def test_modules_of_freehold_need_no_setting(small_directory: Path) -> None:
    """A model whose columns a module of Freehold computes is served without a setting, and so is
    one that needs no module."""
    assert ModelScorer.load(small_directory, derivations=[]).manifest.derive_function
    features.require_allowed(None, features.IDENTITY_SHA256, [])
    with pytest.raises(DeriveError, match="models_of_others"):
        features.require_allowed("models_of_others:derive", "0" * 64, [])


def test_specs_with_modules_of_one_name(tmp_path: Path) -> None:
    """Two specs, each with a module of the same name beside it, get each their own function."""
    raw = np.array([[3.0, 1.0]])
    for name, sign, both in (("one", "+", 4.0), ("two", "-", 2.0)):
        with features.beside(with_module(tmp_path / name, sign)):
            assert features.resolve("ratios_of_a_bank:derive")(raw)[0, 0] == both
            source = (tmp_path / name / "ratios_of_a_bank.py").read_bytes()
            assert (
                features.source_sha256("ratios_of_a_bank:derive")
                == hashlib.sha256(source).hexdigest()
            )
    with pytest.raises(DeriveError, match="cannot be found"):
        features.source_sha256("ratios_of_a_bank:derive")
