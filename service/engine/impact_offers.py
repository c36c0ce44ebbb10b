"""The offers that scores get, before and after a promotion, under the policies in force."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from service.domain.graded_offers import cut_offs, mildest_offer
from service.domain.policy import Offer
from service.domain.product import Product
from service.engine.catalog import Catalog

Ladder = tuple[tuple[int, Offer], ...]
"""Cut-offs with the offer from each on, the highest first; below them all of it is asked for."""


class OffersImpact(NamedTuple):
    """Products whose offers have the same cut-offs, and the people by the mildest offer that they
    get by the served model's score and by the candidate's."""

    ladder: Ladder
    products: tuple[tuple[str, str], ...]
    people: Counter[tuple[Offer, Offer]]


def offers_of(
    scores: Mapping[tuple[int | None, int | None], int], catalog: Catalog, most: int
) -> list[OffersImpact]:
    """The offers by all ladders in force, that of most products first; `most` of them.

    `scores` counts people by both scores. Rules that count rentals, and the free part of a line,
    are left out.
    """
    products: defaultdict[Ladder, list[tuple[str, str]]] = defaultdict(list)
    example: dict[Ladder, Product] = {}
    for name, product in sorted(catalog.products.items()):
        ladder = tuple((cut, mildest_offer(cut, product)) for cut in cut_offs(product))
        products[ladder].append(name)
        example.setdefault(ladder, product)
    first = sorted(products, key=lambda it: (-len(products[it]), it))[:most]
    return [_offers(it, tuple(products[it]), example[it], scores) for it in first]


def _offers(
    ladder: Ladder,
    products: tuple[tuple[str, str], ...],
    product: Product,
    scores: Mapping[tuple[int | None, int | None], int],
) -> OffersImpact:
    people: Counter[tuple[Offer, Offer]] = Counter()
    offer_of = {score: mildest_offer(score, product) for pair in scores for score in pair}
    for (served, candidate), number in scores.items():
        people[offer_of[served], offer_of[candidate]] += number
    return OffersImpact(ladder, products, people)
