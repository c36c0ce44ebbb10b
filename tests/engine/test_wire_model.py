"""Random calls against a real server."""

from __future__ import annotations

import pytest

from service.config import TRANSPORTS
from tests.engine.soak import databases_of, random_steps, run_episode

COMMANDS = 1_000
"""Each run's commands; `python -m tests.engine.soak --wire native` runs as many as you like."""


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_server_agrees_with_the_plain_rules(transport: str) -> None:
    """Calls that come at the same time, alone or in one message, get the answers of the plain
    rules in the order in which the writer applies them, byte by byte as it decided; so do their
    retries, and every row and account is the reference's."""
    steps = random_steps(f"calls by {transport}")
    episode = run_episode(databases_of("sqlite"), 0, steps, COMMANDS, wire=transport)
    assert not episode.failure, episode.failure
    assert episode.commands >= COMMANDS
    assert episode.troubles["in one message"]
