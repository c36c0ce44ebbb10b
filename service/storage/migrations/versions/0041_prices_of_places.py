"""Prices of places: rows of products with the stations of a place.

A row of an earlier build has no stations and counts no places: it has the prices of all stations. A
server of the build before would take these prices at the stations of a place too, so whoever stores
the first tariff with a place names build 41 in `compatibility`.

Revision: 0041, after 0040.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.storage.migrations.checks import add_check

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("products", sa.Column("stations", sa.Text(), nullable=True))
    places = sa.Column("places", sa.Integer(), nullable=False, server_default="0")
    op.add_column("products", places)
    add_check("products", "ck_products_stations_are_a_list", "stations LIKE '[\"%\"]'")
    arithmetic = "stations IS NULL OR tariff IS NOT NULL"
    add_check("products", "ck_products_place_of_arithmetic_2", arithmetic)
    counted = (
        "places = 0 OR (places > 0 AND places < revision AND stations IS NULL"
        " AND tariff IS NOT NULL AND retire_us IS NULL)"
    )
    add_check("products", "ck_products_places_before_the_row", counted)
