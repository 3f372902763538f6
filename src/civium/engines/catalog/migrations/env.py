"""What Alembic runs around the steps: on the connection that it was given, in one transaction."""

from alembic import context

from civium.engines.catalog.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
