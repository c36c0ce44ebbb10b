"""The course of an authorization after a race, and the winner that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from freehold.v1.authorization_pb2 import Authorization

from benchmarks.races_arena import Answer
from benchmarks.races_round import Round, of, told
from service.domain.transitions import Transition as T


class Course(NamedTuple):
    """The transitions of one authorization, as stored."""

    state: str
    steps: Sequence[T]
    states: Sequence[str]


async def course_of(r: Round, it: Authorization) -> Course:
    """The course of one authorization, read from the database."""
    stored = await r.stored()
    found = stored.authorization(it.name)
    return Course(str(found.state), stored.steps[found.authorization_id], stored.states(found)[1:])


def require_steps(r: Round, answers: Sequence[Answer], course: Course, kinds: dict[str, T]) -> None:
    """Requires that as many calls of each kind were answered as their steps were taken."""
    for kind, step in kinds.items():
        done, taken = len(told(of(answers, kind))), course.steps.count(step)
        r.require(done == taken, f"{done} answers to {kind}, done {taken} times")


def won_first(
    r: Round,
    answers: Sequence[Answer],
    course: Course,
    names: dict[T, str],
    time: T | None = None,
) -> None:
    """Records the first step after the preparation as the winner.

    `time` is the step that time takes by itself.
    """
    if time is not None:
        r.time_was(first=time in course.steps)
    step = next((it for it in course.steps if it in names), None)
    if r.require(step is not None, f"nobody won: {list(course.steps)}") and step is not None:
        won = [it for it in of(answers, names[step]) if it.told is not None]
        r.won(answers, won, names[step])
