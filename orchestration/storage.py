"""Dagster's Postgres storage with a connection kept open, and what does not change asked for once: both in place of
anew for every event, which is half the time of a short run. Named by dagster.yaml; knows nothing of what is stored.
"""

from typing import Any

from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from dagster_postgres.utils import get_token_provider_from_config, pg_url_from_config


class PooledPostgresStorage(DagsterPostgresStorage):
    """What the webserver does for itself, for runs, sensors and the daemon too."""

    event_log_storage: Any = None

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> Any:
        """Return the storage, made to keep its connections."""
        makes_tables = config_value.get("should_autocreate_tables", True)
        token_provider = get_token_provider_from_config(config_value)
        storage = cls(pg_url_from_config(config_value), makes_tables, inst_data, token_provider)
        storage.event_log_storage = _EventLog(storage.postgres_url, makes_tables, token_provider=token_provider)
        for part in (storage.event_log_storage, storage.run_storage, storage.schedule_storage):
            part.optimize_for_webserver(statement_timeout=60_000, pool_recycle=60, max_overflow=20)
        return storage


class _EventLog(PostgresEventLogStorage):
    """Remembers which tables and columns are there. One that is not is looked for again: a migration brings it."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self._there: set[tuple[str, str]] = set()
        super().__init__(*args, **more)

    def has_table(self, table_name: str) -> bool:
        """Say whether there is such a table."""
        return self._remembered("table", table_name, super().has_table)

    def has_asset_key_col(self, column_name: str) -> bool:
        """Say whether the table of assets has such a column."""
        return self._remembered("column", column_name, super().has_asset_key_col)

    def _remembered(self, kind: str, name: str, look: Any) -> bool:
        if (kind, name) not in self._there and look(name):
            self._there.add((kind, name))
        return (kind, name) in self._there
