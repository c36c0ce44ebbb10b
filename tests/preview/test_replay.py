"""Decisions that are decided again under a draft."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.domain.policy import Offer
from service.preview.history import History
from service.preview.own_view import own_view
from service.preview.replay import Replayed, Terms
from service.preview.shortcut import replay_fast
from service.preview.verdicts import Verdict
from tests.preview.histories import Told, by_chance, changed, history
from tests.preview.plain import replay

ZERO, REDUCED, FULL, DECLINED = range(4)


def ends(told: list[Told], **values: Any) -> list[tuple[int, int]]:
    """The ranks of the strictest and the mildest verdict on each item under a draft."""
    made = history(told)
    found = replay(made, Terms(changed(made.products, **values)))
    every = found.verdicts.all
    return [
        (every[strict].rank, every[lenient].rank)
        for strict, lenient in zip(found.strict.tolist(), found.lenient.tolist(), strict=True)
    ]


def whole(found: Replayed) -> list[list[Verdict]]:
    """All verdicts of a replay."""
    columns = (found.before, found.again, found.strict, found.lenient)
    return [[found.verdicts.all[number] for number in it.tolist()] for it in columns]


def test_a_higher_cut_off_asks_a_person_below_it_for_more() -> None:
    """A person with score 620 gets REDUCED in place of ZERO if the cut-off rises from 600 to 640,
    and a person with score 640 gets ZERO as before."""
    told = [Told(0, 1, 620, 50_000, 0), Told(0, 2, 640, 50_000, 1)]
    assert ends(told, zero_from_score=640) == [(REDUCED, REDUCED), (ZERO, ZERO)]


def test_a_person_who_accepts_only_no_deposit_is_declined_below_the_cut_off() -> None:
    """A person who accepts only ZERO and is below the draft's cut-off is declined."""
    told = [Told(0, 1, 620, 50_000, 0, accepted=(Offer.ZERO,))]
    assert ends(told, zero_from_score=640) == [(DECLINED, DECLINED)]


def test_a_rental_that_is_declined_frees_the_line_for_a_later_one() -> None:
    """Person 1 had a bank (9,900) and then too little for a bike (19,900 of 15,000). If the bank
    is declined under the draft, 24,900 are free, and the bike needs no deposit."""
    bank = Told(0, 1, 620, 24_900, 0, accepted=(Offer.ZERO,))
    bike = Told(1, 1, 700, 15_000, 10)
    assert ends([bank, bike]) == [(ZERO, ZERO), (REDUCED, REDUCED)]
    assert ends([bank, bike], zero_from_score=650) == [(DECLINED, DECLINED), (ZERO, ZERO)]


def test_a_returned_rental_frees_nothing_any_more() -> None:
    """After the return of the bank, which cost nothing, its decline changes nothing."""
    bank = Told(0, 1, 620, 24_900, 0, accepted=(Offer.ZERO,), minutes=5)
    bike = Told(1, 1, 700, 15_000, 10)
    assert ends([bank, bike], zero_from_score=650)[1] == (REDUCED, REDUCED)


def test_a_person_who_is_asked_for_more_may_have_gone_away() -> None:
    """Person 1 is asked for 4,950 in cash for the bank under the draft. If this is paid, 4,950 more
    are free for the bike, and if not, 9,900: the bike's offer is not certain."""
    bank, bike = Told(0, 1, 620, 24_900, 0), Told(1, 1, 700, 11_000, 10)
    assert ends([bank, bike], zero_from_score=650) == [(REDUCED, REDUCED), (REDUCED, ZERO)]


def test_a_milder_offer_that_was_taken_uses_more_of_the_line() -> None:
    """Person 1 took a bank with a part of the deposit. Under a draft without it the bank holds
    4,950 more, and 19,900 for the bike are not free any more."""
    bank, bike = Told(0, 1, 560, 30_000, 0), Told(1, 1, 700, 20_000, 10)
    assert ends([bank, bike], zero_from_score=550) == [(ZERO, ZERO), (REDUCED, REDUCED)]


def test_a_person_who_left_an_offer_may_take_a_milder_one() -> None:
    """Person 1 did not take the bank with a part of the deposit. Without a deposit it may be taken,
    for any time, so the bike's offer is not certain."""
    bank = Told(0, 1, 560, 24_900, 0, taken=False)
    bike = Told(1, 1, 700, 24_900, 10)
    assert ends([bank, bike], zero_from_score=550) == [(ZERO, ZERO), (REDUCED, ZERO)]


def test_other_people_are_not_touched_by_a_line() -> None:
    """A line that is freed under the draft is free for its person alone."""
    bank = Told(0, 1, 620, 24_900, 0, accepted=(Offer.ZERO,))
    bike = Told(1, 2, 700, 15_000, 10)
    assert ends([bank, bike], zero_from_score=650)[1] == (REDUCED, REDUCED)


def test_a_smaller_deposit_is_exact() -> None:
    """A bank for 4,000 needs no cash from a person whose line has 5,000."""
    assert ends([Told(0, 1, 700, 5_000, 0)], deposit_minor=4_000) == [(ZERO, ZERO)]


def test_all_items_of_a_group_get_one_offer() -> None:
    """A bank and a bike of one call need 29,800: with 28,000 free both get REDUCED, and with a
    deposit of 9,900 each both get ZERO."""
    told = [Told(0, 1, 700, 28_000, 0, call=1), Told(1, 1, 700, 28_000, 0, call=1)]
    assert ends(told) == [(REDUCED, REDUCED)] * 2
    assert ends(told, deposit_minor=9_900) == [(ZERO, ZERO)] * 2


DRAFTS = st.fixed_dictionaries(
    {
        "zero_from_score": st.integers(540, 720),
        "reduced_from_score": st.integers(440, 540),
        "reduced_credit_share_bp": st.sampled_from([0, 2_000, 5_000, 8_000, 10_000]),
        "deposit_minor": st.sampled_from([None, 0, 4_000, 9_900, 25_000]),
    }
)
HISTORIES = st.builds(
    by_chance, st.integers(0, 2**32), items=st.integers(1, 40), people=st.integers(1, 6)
)


@given(made=HISTORIES, draft=DRAFTS)
def test_the_shortcut_gives_the_same_as_the_plain_replay(
    made: History, draft: dict[str, Any]
) -> None:
    """Every verdict of the shortcut is that of the plain replay, whatever the history and the
    draft."""
    terms = Terms(changed(made.products, **draft))
    assert whole(replay_fast(made, terms)) == whole(replay(made, terms))


@given(made=HISTORIES)
def test_the_terms_in_force_change_nothing(made: History) -> None:
    """A draft that is equal to the terms in force gives every stored answer again."""
    before, again, strict, lenient = whole(replay_fast(made, Terms(made.products)))
    assert before == again == strict == lenient


@given(made=HISTORIES, zero=st.integers(600, 720), reduced=st.integers(500, 600))
def test_higher_cut_offs_are_exact_and_never_milder(made: History, zero: int, reduced: int) -> None:
    """Under higher cut-offs a person's first decision is exact, and never milder for a caller who
    prefers less cash; later ones may have a freed line."""
    terms = Terms(changed(made.products, zero_from_score=zero, reduced_from_score=reduced))
    found = replay_fast(made, terms)
    before, _, strict, lenient = whole(found)
    seen = set()
    for row, user in enumerate(made.users.tolist()):
        if user not in seen:
            assert strict[row] == lenient[row]
            if made.accepted[int(made.accept[row])][:1] != (Offer.FULL,):
                assert strict[row].rank >= before[row].rank
        seen.add(user)


def known(told: list[Told]) -> list[tuple[int, int]]:
    """The free parts of the lines as the operator knows them."""
    made = own_view(history(told))
    return list(zip(made.available.tolist(), made.most_available.tolist(), strict=True))


def test_an_operator_knows_of_a_line_only_whether_it_sufficed() -> None:
    """A bank of 9,900 without a deposit tells that 9,900 were free. A bank with a part of the
    deposit because of the line tells that from 4,950 to 9,899 were free, one with a full deposit
    that less than 4,950 were, and a bank with a full deposit because of the score tells nothing."""
    free = [12_345, 5_000, 4_000, 12_345]
    told = [Told(0, 1, 700, minor, at) for at, minor in enumerate(free[:3])]
    told.append(Told(0, 1, 450, free[3], 3))
    assert known(told) == [(9_900, 10**15), (4_950, 9_899), (0, 4_949), (0, 10**15)]


def test_what_an_operator_does_not_know_is_a_range() -> None:
    """Under a deposit of 12,000 the operator does not know whether a line sufficed that covered
    9,900; under one of 8,000 it did."""
    made = own_view(history([Told(0, 1, 700, 11_000, 0)]))
    for deposit_minor, expected in ((12_000, (REDUCED, ZERO)), (8_000, (ZERO, ZERO))):
        found = replay(made, Terms(changed(made.products, deposit_minor=deposit_minor)))
        every = found.verdicts.all
        assert (every[found.strict[0]].rank, every[found.lenient[0]].rank) == expected


@given(made=HISTORIES, draft=DRAFTS)
def test_a_draft_finds_no_more_about_lines(made: History, draft: dict[str, Any]) -> None:
    """In the operator's view, the figures depend only on the stored answers: other lines with the
    same answers give the same figures, and both replays agree."""
    seen = own_view(made)
    terms = Terms(changed(made.products, **draft))
    assert whole(replay_fast(seen, terms)) == whole(replay(seen, terms))
    again = own_view(replace(made, available=made.available * 0))
    assert again.available.tolist() == seen.available.tolist()
    assert again.most_available.tolist() == seen.most_available.tolist()


@given(made=HISTORIES)
def test_the_terms_in_force_change_nothing_in_the_operators_view(made: History) -> None:
    """A draft that is equal to the terms in force changes nothing in the operator's view too."""
    before, again, strict, lenient = whole(replay_fast(own_view(made), Terms(made.products)))
    assert before == again == strict == lenient
