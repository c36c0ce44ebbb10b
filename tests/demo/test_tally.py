"""Counts and sums of the day, and their report and tables."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.ledger_service_pb2 import VerifyBooksResponse
from freehold.v1.types_pb2 import OFFER_FULL, OFFER_REDUCED, OFFER_ZERO, Offer
from rich.console import Console

from models.rates import Rate
from service.demo import report, table, tally
from service.demo.day import LOST_AFTER_S, Fate, Rental
from service.demo.drive import Journal, Record
from service.demo.population import Population
from service.demo.tally import Ended

PEOPLE = Population(
    ids=("a", "b", "c"),
    names=("x",),
    features=np.zeros((3, 1)),
    label=np.array([0, 1, 1], dtype=np.int8),
    consent=np.array([True, True, True]),
)
RENTAL = Rental(0, 0, 0, 0, 900, False, Fate.RIDE, 60, 60, 60, 0.5, False, False, False)
LISTED = {
    "SETTLED": Authorization.STATE_SETTLED,
    "REVERSED": Authorization.STATE_REVERSED,
    "EXPIRED": Authorization.STATE_EXPIRED,
    "DECLINED": Authorization.STATE_DECLINED,
    "ACTIVE": Authorization.STATE_ACTIVE,
}


class Day:
    """Builds records and the matching list, rental by rental."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.listed: list[Authorization] = []

    def add(
        self,
        state: str,
        offer: Offer | None = OFFER_ZERO,
        *,
        person: int = 0,
        held: tuple[int, int] = (19_900, 0),
        captured: int = 0,
        due: int = 0,
        known: Authorization.State | None = None,
        **rental: Any,
    ) -> None:
        index = len(self.records)
        listed = Authorization(request_id=f"a-{index:06d}", state=LISTED[state])
        listed.captured.amount_minor = captured
        listed.due.amount_minor = due
        record = Record(replace(RENTAL, index=index, person=person, **rental))
        record.state = listed.state if known is None else known
        record.offer = offer
        record.held_credit_minor, record.held_cash_minor = held
        record.captured_minor, record.due_minor = captured, due
        record.closed_s = 900
        record.lost = record.rental.lost
        self.records.append(record)
        self.listed.append(listed)

    def ended(self) -> list[Ended]:
        return tally.classify(self.records, self.listed)


@pytest.fixture
def day() -> Day:
    day = Day()
    day.add("SETTLED", captured=250)
    day.add("SETTLED", person=1, captured=250, due=250, unpaid=True)
    day.add("SETTLED", person=1, captured=19_900, due=19_900, lost=True)
    day.add("SETTLED", OFFER_REDUCED, person=2, held=(9_950, 9_950), captured=350, unpaid=True)
    day.add("SETTLED", OFFER_FULL, person=2, held=(0, 19_900), captured=19_900, lost=True)
    day.add("REVERSED", fate=Fate.CANCEL)
    day.add("EXPIRED", OFFER_FULL, person=2, known=Authorization.STATE_OFFERED, held=(0, 19_900))
    day.add("EXPIRED", known=Authorization.STATE_AUTHORIZED, fate=Fate.NO_SHOW)
    day.add("DECLINED", None, fate=Fate.UNDO, held=(0, 0))
    return day


def test_end_states(day: Day) -> None:
    """Every end state is counted, expired offers apart from expired reservations."""
    assert tally.by_end_state(day.ended()) == {
        "SETTLED_PAID": 2,
        "SETTLED_UNPAID": 1,
        "SETTLED_LOST": 2,
        "REVERSED": 1,
        "EXPIRED_OFFER": 1,
        "EXPIRED_UNPICKED": 1,
        "DECLINED": 1,
        "STILL_OPEN": 0,
    }
    assert report.empty_end_states(tally.by_end_state(day.ended())) == []


def test_an_open_rental_has_not_ended(day: Day) -> None:
    """An authorization that is still active is counted as open."""
    day.add("ACTIVE")
    assert tally.by_end_state(day.ended())["STILL_OPEN"] == 1


def test_groups(day: Day) -> None:
    """Bad rates are counted by rental and by person; items are counted apart from fees."""
    zero = tally.offer_figures(day.ended(), "ZERO", PEOPLE.label)
    assert (zero.rentals, zero.people, zero.card_bad) == (Rate(2, 3), Rate(1, 2), Rate(1, 2))
    assert (zero.fees_minor, zero.unpaid_minor, zero.items_minor) == (500, 250, 120_000)
    full = tally.offer_figures(day.ended(), "FULL", PEOPLE.label)
    assert (full.rentals, full.items_minor) == (Rate(1, 1), 120_000 - 19_900)
    reduced = tally.offer_figures(day.ended(), "REDUCED", PEOPLE.label)
    assert (reduced.rentals, reduced.loss_minor) == (Rate(0, 1), 0)


def test_waived(day: Day) -> None:
    """The waived amount is the amount held on credit. People who were ever asked for cash do not
    count as people who never had to pay cash."""
    waived = tally.waived(day.ended())
    assert waived.whole_minor == 5 * 19_900
    assert waived.minor == waived.whole_minor + 9_950
    assert waived.asked_minor == 7 * 19_900
    assert waived.people == Rate(2, 3)
    assert waived.always == Rate(2, 3)


def test_walked_away(day: Day) -> None:
    """Leaving an offer that asks for cash is walking away; waived deposits do not count."""
    assert tally.walked_away(day.ended()) == Rate(1, 3)


def test_as_run(day: Day) -> None:
    """The figures of the day are the sums of the server's amounts."""
    world = tally.as_run(day.ended())
    assert (world.rides, world.fees_minor, world.unpaid_minor) == (5, 850, 250)
    assert world.items_minor == 120_000 + 120_000 - 19_900


def test_demand(day: Day) -> None:
    """The other rules are computed for everyone who wanted to ride, including those who walked
    away."""
    rides = tally.rides(day.ended(), LOST_AFTER_S)
    assert len(rides) == 6
    assert rides[0].fee_minor == 250
    assert [r.duration_s for r in rides if r.lost] == [LOST_AFTER_S] * 2


def test_by_category_and_offer(day: Day) -> None:
    """Rentals are counted by product and answer."""
    counts = tally.by_category_and_offer(day.ended())
    assert counts["bike"] == {"ZERO": 5, "REDUCED": 1, "FULL": 2, "DECLINED": 1}
    assert sum(counts["umbrella"].values()) == 0


METRICS = {
    "model": {
        "auc": {"mean": 0.78, "sd": 0.01},
        "brier": {"mean": 0.13, "sd": 0.01},
        "ks": {"mean": 0.44, "sd": 0.01},
        "ece": {"worst": 0.008, "by_seed": [0.008]},
    },
    "holdout": {
        "n": 6000,
        "auc": {"value": 0.77, "n": 6000, "interval": [0.76, 0.78]},
        "brier": 0.13,
        "ks": 0.43,
        "ece": 0.01,
        "reliability": [1, 2, 3],
    },
}


@pytest.fixture
def found(day: Day) -> report.Findings:
    journal = Journal(day.records, {"Authorize": [0.001, 0.002, 0.009]}, wall_s=2.0)
    return report.find(
        PEOPLE,
        np.array([620, 540, 0]),
        journal,
        day.ended(),
        VerifyBooksResponse(verified=True, lines=3, entries=20, authorizations=9),
        [],
        {"batch_mean": 12.5},
    )


def test_report(found: report.Findings, tmp_path: Path) -> None:
    """The report has every figure of the tables, as JSON."""
    document = report.document(found, METRICS, "model-1", 7, 99.0)
    path = tmp_path / "report.json"
    report.write(path, document)
    read = json.loads(path.read_text())
    assert read == json.loads(json.dumps(document))
    assert read["by_decision"] == {"ZERO": 5, "REDUCED": 1, "FULL": 2, "DECLINED": 1}
    assert (read["authorizations"], read["people"], read["seed"]) == (9, 3, 7)
    assert (read["settled"], read["reversed"], read["expired"]) == (5, 1, 2)
    assert read["books_verified"] is True
    assert read["model"] == {"auc": 0.78, "brier": 0.13, "ece": 0.008, "ks": 0.44}
    assert read["holdout"]["auc"]["interval"] == [0.76, 0.78]
    assert (read["calls_per_second"], read["latency_ms_p50"]) == (1.5, 2.0)
    assert read["batch_mean"] == 12.5
    assert len(read["economics"]["worlds"]) == 5
    assert [row["score"] for row in read["cutoffs"]] == [550, 600, 650, 700]
    assert read["bad_rate"]["ZERO"]["per_rental"]["hits"] == 2
    assert all(isinstance(sentence, str) for sentence in read["assumptions"])


def test_shares_of_the_result_add_up(found: report.Findings) -> None:
    """The operator's and Freehold's parts add up exactly to the result of the day, before
    interest."""
    as_run = found.worlds[0]
    assert found.operator_minor + found.platform_minor == (
        as_run.result_minor - as_run.interest_minor
    )
    fees = sum(c * 300 // 10_000 for c in (250, 250, 19_900, 350, 19_900))
    assert found.platform_minor == fees - 250 - 19_900


def test_discrepancies_count_against_the_books(found: report.Findings) -> None:
    """Books that verify in themselves but differ from the answers are not reported as verified."""
    document = report.document(
        replace(found, discrepancies=["a-000000: differs"]), METRICS, "model-1", 7, 99.0
    )
    assert document["books_verified"] is False


def test_tables(found: report.Findings) -> None:
    """The tables show the offers, the end states, the losses, and that the books agree."""
    screen = io.StringIO()
    table.show(Console(file=screen, width=160), found, METRICS)
    shown = screen.getvalue()
    for words in (
        "waived",
        "expired: offer not confirmed",
        "Offers follow the score",
        "deposit, 30 % leave",
        "free for everyone",
        "Books verified",
        "mean batch of the server 12.5 commands",
    ):
        assert words in shown


def test_table_shows_faults(found: report.Findings) -> None:
    """Books that do not verify are shown with the first fault."""
    books = VerifyBooksResponse(verified=False)
    books.fault.rule, books.fault.row, books.fault.detail = "SUM", "line 1", "off by 1"
    screen = io.StringIO()
    table.show(Console(file=screen, width=160), replace(found, books=books), METRICS)
    assert "Books NOT verified" in screen.getvalue()
    assert "SUM at line 1: off by 1" in screen.getvalue()
