"""The desks of the engine's tests, whose books are verified as theirs are."""

from __future__ import annotations

from tests.engine.conftest import desk, store, url

__all__ = ["desk", "store", "url"]
