"""The refusal of an item in use: it names the product of the rental that has the item.

An operator's item is the same item under every product. The row of an open item has no product. The
rental may belong to another person, and that person's line is not locked. So the product is read
only for a refusal, and without a lock.
"""

from __future__ import annotations

from service.domain.errors import AssetInUse
from service.engine.ports import Transaction
from service.engine.rows import Rows
from service.engine.tables import AUTHORIZATIONS


def name_product(refusal: AssetInUse, rows: Rows, transaction: Transaction) -> None:
    """Adds to a refusal the product under which the item is in use."""
    known = rows[AUTHORIZATIONS].get(refusal.holder)
    products = {refusal.holder: known.product_id} if known is not None else {}
    products = products or transaction.products_of({refusal.holder})
    if refusal.holder in products:
        refusal.of_product(products[refusal.holder])
