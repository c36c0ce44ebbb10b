"""The desks of the engine's tests, whose books are verified as theirs are."""

from __future__ import annotations

from tests.engine.conftest import desk, store

__all__ = ["desk", "store"]
