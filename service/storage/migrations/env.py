"""Runs Alembic on the connection passed by `service.storage.migrate`."""

from __future__ import annotations

from alembic import context

from service.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
