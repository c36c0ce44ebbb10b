"""Prices of places stay: no server drops them with a new policy.

A running server of a build before 0041 knows no places. If a new policy comes into force through
it, it copies the newest row of each product, and the copy has no places. The trigger refuses a copy
under the same revision of the tariff; then the server changes nothing.

Revision: 0045, after 0044.
"""

from __future__ import annotations

from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

SAID = "the prices of places of this tariff are missing: activate the terms through a newer server"
LOST = (
    "EXISTS (SELECT 1 FROM products AS made"
    " JOIN products AS last ON last.operator_id = made.operator_id"
    " AND last.product_id = made.product_id AND last.revision = made.revision - 1"
    " JOIN compiled_products AS link ON link.operator_id = last.operator_id"
    " AND link.product_id = last.product_id AND link.revision = last.revision"
    " WHERE made.operator_id = NEW.operator_id AND made.product_id = NEW.product_id"
    " AND made.revision = NEW.revision AND made.places = 0 AND made.stations IS NULL"
    " AND last.places > 0 AND link.tariff_owner = NEW.tariff_owner"
    " AND link.tariff_name = NEW.tariff_name AND link.tariff_revision = NEW.tariff_revision)"
)


def upgrade() -> None:
    name, change = "compiled_products_keep_places", "BEFORE INSERT ON compiled_products"
    if op.get_bind().dialect.name == "postgresql":
        refuse = f"RAISE EXCEPTION '{SAID}' USING ERRCODE = '23514'"
        body = f"BEGIN IF {LOST} THEN {refuse}; END IF; RETURN NEW; END"
        op.execute(
            f"CREATE FUNCTION refuse_lost_places() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$"
        )
        op.execute(
            f"CREATE TRIGGER {name} {change} FOR EACH ROW EXECUTE FUNCTION refuse_lost_places()"
        )
        return
    op.execute(
        f"CREATE TRIGGER {name} {change} WHEN {LOST} BEGIN SELECT RAISE(ABORT, '{SAID}'); END"
    )
