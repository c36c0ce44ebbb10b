"""The fingerprints of the client certificates to which a key is bound.

Keys of before are bound to none. A build before this one would let a bound key in without its
certificate. This migration does not shut such builds out, because no key is bound yet; the first
binding does (`bindings.py`).

Revision: 0023, after 0022.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "api_keys", sa.Column("certificates", sa.String(1024), nullable=False, server_default="")
    )
