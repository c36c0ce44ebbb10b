"""Terms of conditions: taken apart, evaluated alone, and put together again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.conditions import CelConditions
from service.domain.conditions import reads
from service.preview.condition_parts import alternatives_of, holds

CEL = CelConditions()
VALUES = st.fixed_dictionaries(
    {
        "hour": st.integers(0, 3),
        "items": st.integers(0, 2),
        "reserves": st.booleans(),
        "station": st.sampled_from(["", "a && b", "'"]),
        "labels": st.sampled_from([{}, {"kind": "a"}]),
    }
)
TERMS = st.sampled_from(
    [
        *("hour < 2", "6 / hour > 2", "items == 1", "reserves", "!reserves", 'station == "a && b"'),
        *(
            'station != "\'"',
            "labels['kind'] == 'a'",
            "items in [1, 2]",
            "hour > 1 ? reserves : true",
        ),
        "['a', 'b'].exists(it, it == station || it == 'a')",
    ]
)
EXPRESSIONS = st.recursive(
    TERMS,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["&&", "||", " && ", "\n|| "]), inner).map("".join)
        | inner.map(lambda it: f"({it})")
    ),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("when", "alternatives"),
    [
        ("hour < 6", (("hour < 6",),)),
        ("hour < 6 && score < 600", (("hour < 6 ", " score < 600"),)),
        ("reserves || hour < 6 && items > 1", (("reserves ",), (" hour < 6 ", " items > 1"))),
        ("(reserves || scored) && items > 1", (("(reserves || scored) ", " items > 1"),)),
        ('station == "a && b" && reserves', (('station == "a && b" ', " reserves"),)),
        ("hour > 1 && reserves ? scored : true", (("hour > 1 && reserves ? scored : true",),)),
        ("reserves && // a || b\n scored", (("reserves && // a || b\n scored",),)),
        (r"station == '\'' && reserves", ((r"station == '\'' && reserves",),)),
    ],
)
def test_a_condition_is_taken_apart(when: str, alternatives: tuple[tuple[str, ...], ...]) -> None:
    """`||` binds less than `&&`; brackets and texts stay whole, and so does an expression with a
    choice, a comment or an escape."""
    assert alternatives_of(when) == alternatives


@given(EXPRESSIONS, VALUES)
def test_the_terms_of_a_condition_tell_its_outcome(when: str, values: dict[str, object]) -> None:
    """A condition is true, is false or fails as its terms tell, each with the values that it
    reads."""
    (whole,) = CEL.evaluated((when,), {name: values[name] for name in reads(when)})

    def outcome(term: str) -> bool | None:
        (found,) = CEL.evaluated((term,), {name: values[name] for name in reads(term)})
        return found

    assert holds([map(outcome, terms) for terms in alternatives_of(when)]) is whole
