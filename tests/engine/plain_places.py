"""Prices of places told a second time: the tariff of each place, and the price of an order."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from service.domain.details import Order
from tests.engine.plain_terms import Row, Terms

STATIONS = (("dock-1", "dock-7"), ("dock-2",))

FIRST: list[Row] = [
    {"name": "east", "stations": list(STATIONS[0]), "start_fee_minor": 250},
    {
        "name": "west", "stations": list(STATIONS[1]), "first_use_minutes": 0,
        "segment": [{"from_minute": 0, "interval_minutes": 20, "price_minor": 170}], "cap": [],
    },
]  # fmt: skip
"""The places of tariffs at the beginning."""


def with_first(tariff: Row) -> Row:
    """A tariff with the first places, each without the prices that are the usual ones."""
    places = [
        {key: value for key, value in place.items() if key == "name" or tariff.get(key) != value}
        for place in FIRST
    ]
    return {**tariff, "place": places}


def by_place(tariff: Row) -> Iterator[tuple[list[str], Row]]:
    """The stations and the whole tariff of each place, and at last those of all other stations."""
    usual = {key: value for key, value in tariff.items() if key != "place"}
    for place in tariff.get("place", []):
        prices = {**usual, **place, "name": usual["name"], "place": place["name"]}
        stations = prices.pop("stations")
        yield stations, {key: value for key, value in prices.items() if value != []}
    yield [], usual


def at(terms: Terms, order: Order | None) -> Terms:
    """The terms at the station of an order."""
    station = "" if order is None else order.place.station
    found: Any = terms["stations"].get(station, terms)
    return found if isinstance(found, Terms) else terms


def drawn(chance: Random, tariff: Row) -> bool:
    """Gives a tariff places, or none; returns whether a station is in two of them."""
    tariff.pop("place", None)
    if chance.random() < 0.2:
        return False
    number, twice = chance.choice((1, 2, 2)), chance.random() < 0.05
    tariff["place"] = [
        {"name": name, "stations": list(stations), **_own_prices(chance, tariff)}
        for name, stations in list(zip(("east", "west"), STATIONS, strict=True))[:number]
    ]
    if twice and number == 2:
        tariff["place"][1]["stations"] = ["dock-2", "dock-7"]
        return True
    return False


def _own_prices(chance: Random, tariff: Row) -> Row:
    """Prices that differ from the usual ones."""
    found: Row = {}
    if chance.random() < 0.6:
        found["start_fee_minor"] = tariff["start_fee_minor"] + chance.choice((50, 200))
    if chance.random() < 0.6:
        more = chance.choice((10, 60))
        found["segment"] = [
            {**row, "price_minor": row["price_minor"] + more} for row in tariff["segment"]
        ]
    if chance.random() < 0.3:
        found["cap"] = []
    return found
