"""Alembic's entry: runs the versions on the connection that `engage.warehouse.migrate` hands over. Nothing else."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table_schema="ops", transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
