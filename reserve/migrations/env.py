"""Alembic's entry: runs on the connection that `database.migrate` opened, inside its gate and transaction."""

from alembic import context
from sqlmodel import SQLModel

import reserve.model  # noqa: F401 - fills the metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=SQLModel.metadata, render_as_batch=False)
with context.begin_transaction():
    context.run_migrations()
