"""The declared simulator."""

from __future__ import annotations

import numpy as np
import pytest

from service.demo import outcomes


def test_declared_probabilities() -> None:
    """P(unpaid | bad) is 0.08 and P(unpaid | good) is 0.01, and the output states them."""
    assert (outcomes.UNPAID.bad, outcomes.UNPAID.good) == (0.08, 0.01)
    text = " ".join(outcomes.assumptions())
    for chance in (outcomes.UNPAID, outcomes.LOST, outcomes.LOST_PAID):
        assert f"= {chance.bad}" in text
        assert f"= {chance.good}" in text


@pytest.mark.parametrize("value", [0, 1])
def test_frequencies(value: int) -> None:
    """Over many draws, each outcome is as frequent as declared for its label."""
    label = np.full(400_000, value, dtype=np.int8)
    conduct = outcomes.draw(label, np.random.default_rng(7))
    for flags, chance in (
        (conduct.unpaid, outcomes.UNPAID),
        (conduct.lost, outcomes.LOST),
        (conduct.lost_paid, outcomes.LOST_PAID),
    ):
        p = chance.bad if value else chance.good
        assert abs(float(flags.mean()) - p) < 5 * (p * (1 - p) / 400_000) ** 0.5


def test_noise_is_per_rental() -> None:
    """Rentals with the same label differ: one label does not decide every rental."""
    conduct = outcomes.draw(np.ones(10_000, dtype=np.int8), np.random.default_rng(7))
    assert 0 < int(conduct.unpaid.sum()) < 10_000


def test_reproducible() -> None:
    """The same generator state gives the same conduct."""
    label = np.ones(1_000, dtype=np.int8)
    one = outcomes.draw(label, np.random.default_rng(3))
    two = outcomes.draw(label, np.random.default_rng(3))
    assert (one.unpaid == two.unpaid).all()
    assert (one.lost == two.lost).all()
