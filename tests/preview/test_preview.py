"""Previews of histories that an engine has made, on both databases."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from sqlalchemy import update

from service.domain.errors import Exhausted, InvalidInput, NotFound
from service.domain.money import Money
from service.domain.policy_document import write_policy
from service.engine.operations import Item
from service.ids import RandomIds
from service.preview.history import asked_minor
from service.preview.picture import svg
from service.preview.replay import Terms
from service.preview.report import Preview, Range, to_json
from service.preview.run import Asked, preview
from service.preview.shortcut import replay_fast
from service.preview.text import shown
from service.storage import schema as t
from service.storage.database import writing
from service.storage.store import SqlStore
from tests.cli.test_commands import invoke
from tests.engine.acts import increment, settle_usage
from tests.engine.calls import authorize, confirm, rental
from tests.engine.currencies import EUR, EURO_RATE, offer_euros
from tests.fakes import MINUTE_US, OPERATOR, OTHER_OPERATOR, Desk
from tests.preview.histories import HOUR_US, changed, play, read
from tests.preview.plain import replay


@pytest.fixture
def city(store: SqlStore) -> Desk:
    """An engine whose ids begin with the time, as a server's do."""
    return Desk(store, ids=RandomIds())


def policy(store: SqlStore, product_id: str = "bike", **values: Any) -> dict[str, Any]:
    """The document of the policy in force, with other values."""
    in_force = store.catalog().products[OPERATOR, product_id].policy
    return {**write_policy(in_force), **values}


def previewed(desk: Desk, document: dict[str, Any], **values: Any) -> Preview:
    """The preview of a policy for the last 30 days."""
    until_us = desk.clock.now_us() + 1
    asked = Asked(OPERATOR, "policy", document, frozenset(), 30, until_us, 1_000)
    return preview(desk.store.engine, asked._replace(**values))


def test_a_preview_adds_up_a_small_history(city: Desk) -> None:
    """Ann (700) and Ben (620) take bikes without a deposit, and Cem (550) pays half of 19,900. If
    640 is needed for no deposit, Ben is asked for 9,950 in cash too."""
    city.put_users(ann=700, ben=620, cem=550)
    rentals = [rental(city, authorize(it)) for it in ("ann", "ben", "cem")]
    rental(city, confirm(rentals[2]))
    city.clock.advance(city.clock.now_us() + 60 * MINUTE_US)
    for it in rentals:
        city.do(settle_usage(it))
    city.clock.advance(city.clock.now_us() + 60 * MINUTE_US)
    found = previewed(city, policy(city.store, zero_from_score=640))
    whole = found.whole
    assert (whole.decisions, whole.users, whole.repeated, whole.exact) == (3, 3, 3, True)
    assert whole.offers == {"ZERO": {"ZERO": 1, "REDUCED": 1}, "REDUCED": {"REDUCED": 1}}
    assert (whole.approved_before, whole.approved_after) == (3, Range(3, 3))
    assert (whole.changed, whole.users_affected) == (Range(1, 1), Range(1, 1))
    assert whole.cash_asked == (("CNY", 9_950, Range(19_900, 19_900)),)
    held = whole.held[0]
    peaks = held.before.peak_minor, held.least.peak_minor, held.most.peak_minor
    assert peaks == (2 * 19_900 + 9_950, 19_900 + 9_950, 19_900 + 2 * 9_950)
    # An hour of a bike is 150 and four times 100.
    assert [(it.answer, it.rentals, it.fee_minor) for it in whole.happened] == [
        ("SAME", 2, 1_100),
        ("STRICTER", 1, 550),
    ]
    assert [it.product_id for it in found.products] == ["bike"]
    reasons = {it.reason: (it.before, it.after) for it in whole.refusals}
    assert reasons == {"SCORE_BELOW_ZERO_DEPOSIT": (1, Range(2, 2))}


def test_a_preview_holds_the_known_fee_of_an_order(city: Desk) -> None:
    """An order with a fee of 10.00 asks for 209.00. Ann (700) pays no deposit and Cem (550) half of
    it; if 720 is needed for no deposit, both pay half of it."""
    city.put_users(ann=700, cem=550)
    item = Item("bike", "", order_fee=Money("CNY", 1_000))
    rentals = [rental(city, authorize(it)._replace(items=(item,))) for it in ("ann", "cem")]
    assert rentals[1].cash_minor == 10_450
    rental(city, confirm(rentals[1]))
    city.clock.advance(city.clock.now_us() + 60 * MINUTE_US)
    whole = previewed(city, policy(city.store, zero_from_score=720)).whole
    assert (whole.decisions, whole.repeated, whole.exact) == (2, 2, True)
    assert whole.cash_asked == (("CNY", 10_450, Range(20_900, 20_900)),)
    held = whole.held[0]
    assert (held.before.peak_minor, held.most.peak_minor) == (20_900 + 10_450, 20_900)


@pytest.mark.parametrize("score", [700, 520])
def test_a_preview_holds_the_fee_from_before_increments(city: Desk, score: int) -> None:
    """An order with a fee of 10.00 asked for 209.00, and still does after increments of 7.00 and
    2.00, whether they are held on credit alone or half of them is paid in cash."""
    city.put_users(ann=score)
    item = Item("bike", "", order_fee=Money("CNY", 1_000))
    it = rental(city, authorize("ann")._replace(items=(item,)))
    it = rental(city, confirm(it)) if it.cash_minor else it
    assert (score < 550) is (it.cash_minor > 0)
    for minor in (700, 200):
        half = minor // 2 if it.cash_minor else None
        it = rental(city, increment(it, minor, half, f"paid-{minor}"))
    assert it.order_fee_minor == 1_900
    city.clock.advance(city.clock.now_us() + 60 * MINUTE_US)
    whole = previewed(city, policy(city.store)).whole
    assert (whole.decisions, whole.repeated, whole.exact) == (1, 1, True)
    made = read(city.store, city.clock.now_us() + 1)
    assert [asked_minor(it) for it in made.products] == [20_900]


def test_conditions_of_a_draft_read_the_known_fee(city: Desk) -> None:
    """A draft that declines orders with a fee of 10.00 or more declines one of three orders: that
    of 10.00, and not those of 9.99 and without a fee."""
    city.put_users(ann=700, ben=700, cem=700)
    fees = {"ann": Money("CNY", 1_000), "ben": Money("CNY", 999), "cem": None}
    for user_id, fee in fees.items():
        item = Item("bike", "", order_fee=fee)
        rental(city, authorize(user_id)._replace(items=(item,)))
    city.clock.advance(city.clock.now_us() + 60 * MINUTE_US)
    dear = {"name": "dear", "when": "order_fee_minor >= 1000", "then": "DECLINE"}
    whole = previewed(city, policy(city.store, condition=[dear])).whole
    assert {it.reason: it.after for it in whole.refusals} == {"CONDITION/dear": Range(1, 1)}


def test_the_mean_of_the_credit_held_is_over_the_whole_time(city: Desk) -> None:
    """A bike of 19,900 for one of two days is 9,950 on average."""
    city.put_users(ann=700)
    it = rental(city, authorize("ann"))
    city.clock.advance(city.clock.now_us() + 24 * HOUR_US)
    city.do(settle_usage(it))
    city.clock.advance(city.clock.now_us() + 24 * HOUR_US)
    until_us = city.clock.now_us()
    found = previewed(city, policy(city.store), until_us=until_us, days=2)
    assert found.whole.held[0].before.mean_minor == 9_950


@pytest.mark.parametrize("seed", range(4))
def test_the_policy_in_force_changes_nothing(city: Desk, seed: int) -> None:
    """Over a day of rentals by chance, a draft with the values in force changes no decision, and
    every decision is repeated."""
    play(city, seed, 60)
    for product_id in ("bike", "umbrella"):
        whole = previewed(city, policy(city.store, product_id)).whole
        assert whole.decisions == whole.repeated > 0
        assert (whole.changed, whole.users_affected) == (Range(0, 0), Range(0, 0))
        assert whole.exact
        assert all(row.keys() == {kind} for kind, row in whole.offers.items())
        for it in whole.cash_asked:
            assert it.after_minor == Range(it.before_minor, it.before_minor)
        assert all(it.before == it.least == it.most for it in whole.held)
        assert {it.answer for it in whole.happened} <= {"SAME"}
        assert all(it.after == Range(it.before, it.before) for it in whole.refusals)


@pytest.mark.parametrize("seed", range(4))
def test_the_shortcut_agrees_on_histories_of_an_engine(city: Desk, seed: int) -> None:
    """The shortcut and the plain replay agree on a history that an engine has made."""
    play(city, seed, 60)
    made = read(city.store, city.clock.now_us() + 1, ages=True)
    assert len(made) > 20
    drafts: list[dict[str, Any]] = [
        {"zero_from_score": 640},
        {"zero_from_score": 500},
        {"deposit_minor": 30_000},
        {"max_feature_age_us": 2 * HOUR_US},
    ]
    for values in drafts:
        terms = Terms(changed(made.products, **values))
        fast, plain = replay_fast(made, terms), replay(made, terms)
        for name in ("before", "again", "strict", "lenient"):
            numbers = getattr(fast, name).tolist(), getattr(plain, name).tolist()
            assert [fast.verdicts.all[it] for it in numbers[0]] == [
                plain.verdicts.all[it] for it in numbers[1]
            ]


def test_older_features_count_as_missing_under_a_shorter_age(city: Desk) -> None:
    """Features of 3 hours ago are too old under a draft of 2 hours, so the full deposit is asked
    for."""
    city.put_users(ann=700)
    city.clock.advance(city.clock.now_us() + 3 * HOUR_US)
    city.do(authorize("ann"))
    document = policy(city.store)
    del document["max_feature_age_days"]
    whole = previewed(city, {**document, "max_feature_age_us": 2 * HOUR_US}).whole
    assert whole.offers == {"ZERO": {"FULL": 1}}
    assert [it.reason for it in whole.refusals] == ["FEATURES_STALE"]


def test_a_preview_reads_its_operators_rows_alone(city: Desk) -> None:
    """Rentals of another operator are in no figure."""
    city.put_users(ann=700)
    city.do(authorize("ann"), caller=OTHER_OPERATOR)
    assert previewed(city, policy(city.store)).whole.decisions == 0


@pytest.mark.parametrize("portion", [1, 7])
def test_portions_of_rows_make_no_difference(
    city: Desk, portion: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A history that is read in many portions is the same as one that is read at once."""
    play(city, 5, 60)
    document, until_us = policy(city.store, zero_from_score=640), city.clock.now_us() + 1
    once, whole = read(city.store, until_us, ages=True), previewed(city, document)
    monkeypatch.setattr("service.preview.read.PORTION", portion)
    again = read(city.store, until_us, ages=True)
    columns = [it.name for it in fields(once) if isinstance(getattr(once, it.name), np.ndarray)]
    assert len(once) > 2 * portion
    assert all(np.array_equal(getattr(once, it), getattr(again, it)) for it in columns)
    assert to_json(previewed(city, document)) == to_json(whole)


def test_a_policy_is_previewed_for_the_products_under_its_name(city: Desk) -> None:
    """A draft with the name of the bikes' policy changes bikes alone; products may be named."""
    city.put_users(ann=560, ben=560)
    city.do(authorize("ann", "bike"))
    city.do(authorize("ben", "umbrella"))
    document = policy(city.store, "bike", zero_from_score=500)
    assert previewed(city, document).whole.changed == Range(1, 1)
    umbrellas = frozenset({"umbrella"})
    named = policy(city.store, "umbrella", name="new", zero_from_score=600)
    assert previewed(city, named, products=umbrellas).whole.changed == Range(1, 1)


@pytest.mark.parametrize(
    ("values", "error", "reason"),
    [
        ({"document": {"name": "bike"}}, InvalidInput, "TERMS_WRONG"),
        ({"operator_id": "nowhere"}, NotFound, "OPERATOR_NOT_FOUND"),
        ({"products": frozenset({"boat"})}, InvalidInput, "INVALID_INPUT"),
        ({"days": 0}, InvalidInput, "INVALID_INPUT"),
        ({"most": 0}, Exhausted, "TOO_MANY_DECISIONS"),
    ],
)
def test_a_wrong_question_is_refused(
    city: Desk, values: dict[str, Any], error: type[Exception], reason: str
) -> None:
    """A wrong document, operator, product, time or too many decisions are refused by name."""
    city.put_users(ann=700)
    city.do(authorize("ann"))
    with pytest.raises(error) as refusal:
        previewed(city, **{"document": policy(city.store), **values})
    assert getattr(refusal.value, "reason", "") == reason


def test_a_policy_without_products_is_refused(city: Desk) -> None:
    """A draft whose name no product's policy has needs the names of products."""
    with pytest.raises(InvalidInput) as refusal:
        previewed(city, policy(city.store, name="new"))
    assert [it.rule for it in refusal.value.violations] == ["name.no_products"]


def test_a_preview_is_shown_as_text_json_and_a_picture(city: Desk) -> None:
    """The text names the figures, the JSON has the same ones, and the picture is sound SVG at any
    width."""
    play(city, 7, 40)
    found = previewed(city, policy(city.store, zero_from_score=640))
    text = shown(found)
    assert f"{found.whole.decisions:,} decisions" in text
    assert "cash deposits asked for" in text
    told = json.loads(json.dumps(to_json(found)))
    assert told["whole"]["changed"] == found.whole.changed._asdict()
    for width in (100, 420, 960):
        picture = ElementTree.fromstring(svg(found, width))
        assert picture.get("width") == str(max(360, width))
        words = " ".join(picture.itertext())
        assert "no deposit" in words
        assert "Credit held" in words


def test_an_operators_preview_needs_enough_people(city: Desk) -> None:
    """With at least 3 people, decisions on 2 are refused and on 3 are shown, of whole days; the
    products of fewer people stand only in the sums."""
    city.put_users(ann=700, ben=620, cem=550)
    for user_id in ("ann", "ben"):
        city.do(authorize(user_id))
    city.clock.advance(city.clock.now_us() + 24 * HOUR_US)
    document = policy(city.store, zero_from_score=640)
    with pytest.raises(InvalidInput) as refusal:
        previewed(city, document, least_people=3)
    assert [it.rule for it in refusal.value.violations] == ["days.too_few_people"]
    city.do(authorize("cem"))
    city.do(authorize("cem", "umbrella"))
    # Today is not over.
    with pytest.raises(InvalidInput):
        previewed(city, document, least_people=3)
    city.clock.advance(city.clock.now_us() + 24 * HOUR_US)
    found = previewed(city, document, least_people=3)
    assert (found.whole.decisions, found.whole.users, found.products) == (4, 3, ())
    assert found.whole.offers["ZERO"] == {"ZERO": 2, "REDUCED": 1}
    umbrellas = policy(city.store, "umbrella", zero_from_score=700)
    with pytest.raises(InvalidInput):
        previewed(city, umbrellas, least_people=3)


def test_an_operators_preview_tells_no_more_of_lines(city: Desk) -> None:
    """Three people were asked for a part of the deposit. Whether their lines would have covered all
    of it stands in the platform's preview, and is not certain in the operator's."""
    city.put_users(ann=550, ben=550, cem=550)
    for user_id in ("ann", "ben", "cem"):
        city.do(authorize(user_id))
    city.clock.advance(city.clock.now_us() + 24 * HOUR_US)
    document = policy(city.store, zero_from_score=500)
    for least_people, after in ((0, "ZERO"), (3, "UNCERTAIN")):
        found = previewed(city, document, least_people=least_people)
        assert found.whole.offers == {"REDUCED": {after: 3}}


def test_the_free_part_under_a_total_exposure_counts(city: Desk) -> None:
    """A scooter of 40.00 euro leaves Ann 186 of 500 yuan, although nothing of the line in yuan is
    used: a bike without a deposit, at 150 under the draft, is covered, and one at 199 is not."""
    offer_euros(city, {EUR: EURO_RATE})
    city.put_users(ann=700)
    rental(city, authorize("ann", "scooter"))
    city.clock.advance(city.clock.now_us() + MINUTE_US)
    assert rental(city, authorize("ann")).offer == "REDUCED"
    found = previewed(city, policy(city.store))
    assert found.whole.repeated == found.whole.decisions == 2
    made = read(city.store, city.clock.now_us() + 1, totals=True)
    terms = Terms(changed(made.products, deposit_minor=15_000))
    again = replay_fast(made, terms)
    ranks = [again.verdicts.all[it].rank for it in again.strict.tolist()]
    assert ranks[-1] == 0


def test_a_free_part_that_was_not_kept_is_told(city: Desk) -> None:
    """Of three decisions under a total exposure two kept no free part, as earlier builds kept none:
    a note of the platform's preview counts them. The operator's preview reads no free part."""
    offer_euros(city, {EUR: EURO_RATE})
    city.put_users(ann=700, ben=700, cem=700)
    made = [rental(city, authorize(it)) for it in ("ann", "ben", "cem")]
    city.clock.advance(city.clock.now_us() + 24 * HOUR_US)
    note = "decisions kept no free part under a total exposure"
    assert note not in shown(previewed(city, policy(city.store)))
    with writing(city.store.engine) as connection:
        forgotten = [it.decision_id for it in made[:2]]
        of_earlier = t.decisions.c.decision_id.in_(forgotten)
        connection.execute(update(t.decisions).where(of_earlier).values(read_values=None))
    found = previewed(city, policy(city.store))
    assert f"2 {note}" in shown(found)
    assert note not in shown(previewed(city, policy(city.store), least_people=3))


def test_decisions_without_sound_terms_are_told(city: Desk) -> None:
    """A decision under a revision of a product that makes no sense is in no figure; a note counts
    it."""
    city.put_users(ann=700, ben=700)
    rental(city, authorize("ann"))
    rental(city, authorize("ben", "umbrella"))
    city.clock.advance(city.clock.now_us() + MINUTE_US)
    note = "1 decisions were made under revisions of products that make no sense"
    assert note not in shown(previewed(city, policy(city.store)))
    with writing(city.store.engine) as connection:
        connection.execute(
            update(t.authorizations)
            .where(t.authorizations.c.product_id == "umbrella")
            .values(product_revision=7)
        )
    assert note in shown(previewed(city, policy(city.store)))


def test_the_command_prints_a_preview(tmp_path: Path, file_city: Path) -> None:
    """`freehold policy preview` prints the text or JSON, writes the picture, and names each fault
    of the document."""
    draft, picture = tmp_path / "draft.toml", tmp_path / "preview.svg"
    draft.write_text(DRAFT, "utf-8")
    words = ("policy", "preview", str(draft), "--operator", "city", "--database")
    url = f"sqlite:///{file_city}"
    done = invoke(*words, url, "--picture", str(picture))
    assert done.exit_code == 0, done.output
    assert "there are no decisions in this time" in done.output
    assert picture.read_text("utf-8").startswith("<svg ")
    earlier = invoke(*words, url, "--until", "2026-06-02", "--days", "1")
    assert "from 2026-06-01T00:00:00Z until 2026-06-02T00:00:00Z" in earlier.output
    told = json.loads(invoke(*words, url, "--json").output)
    assert (told["kind"], told["name"], told["whole"]["decisions"]) == ("policy", "bike", 0)
    draft.write_text(DRAFT.replace("600", '"high"'), "utf-8")
    done = invoke(*words, url)
    assert done.exit_code == 1
    assert f"{draft}: zero_from_score: must be a whole number" in done.output
    draft.write_text("name =", "utf-8")
    assert "is not readable TOML" in invoke(*words, url).output


DRAFT = """
name = "bike"
zero_from_score = 600
reduced_from_score = 500
reduced_credit_share_bp = 5_000
"""


@pytest.fixture
def file_city(tmp_path: Path) -> Path:
    """A file that the commands have made, with one operator."""
    path = tmp_path / "freehold.db"
    for words in (("migrate",), ("operator", "create", "city", "--name", "City")):
        assert invoke(*words, "--database", f"sqlite:///{path}").exit_code == 0
    return path
