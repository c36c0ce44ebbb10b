"""The list of mutants can be run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.run import ROOT, Mutant, MutantError, chosen, load

MUTANTS = load()


def test_there_are_at_least_twelve_mutants_with_their_own_names() -> None:
    """At least twelve guards are broken one at a time, each under its own name."""
    names = [mutant.name for mutant in MUTANTS]
    assert len(names) >= 12
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda it: it.name)
def test_every_mutant_can_be_applied(mutant: Mutant, tmp_path: Path) -> None:
    """A mutant changes one place of one file and names existing tests. The changed file still
    compiles."""
    target = tmp_path / mutant.file
    target.parent.mkdir(parents=True)
    target.write_text((ROOT / mutant.file).read_text(encoding="utf-8"), encoding="utf-8")
    mutant.apply(tmp_path)
    changed = target.read_text(encoding="utf-8")
    assert changed != (ROOT / mutant.file).read_text(encoding="utf-8")
    if target.suffix == ".py":
        compile(changed, mutant.file, "exec")
    assert mutant.tests
    for test in mutant.tests:
        assert (ROOT / test.partition("::")[0]).exists(), test


def test_several_mutants_can_be_chosen_by_name() -> None:
    """Chosen mutants run in the list's order, and a name that no mutant has is refused."""
    first, second = MUTANTS[0], MUTANTS[1]
    assert chosen([second.name, first.name]) == [first, second]
    assert chosen([]) == MUTANTS
    with pytest.raises(MutantError, match="no mutant no-such-guard"):
        chosen([first.name, "no-such-guard"])
