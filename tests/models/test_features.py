from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import dataset, features, spec
from models.data import taiwan
from models.errors import DeriveError

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
