"""Dagster's Postgres storage with a connection kept open, in place of a new one for every event, which is half the time
of a short run. Named by dagster.yaml; knows nothing of what is stored.
"""

from typing import Any

from dagster_postgres import DagsterPostgresStorage


class PooledPostgresStorage(DagsterPostgresStorage):
    """What the webserver does for itself, for runs, sensors and the daemon too."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> Any:
        """Return Dagster's own storage, made to keep its connections."""
        storage = super().from_config_value(inst_data, config_value)
        for part in (storage.event_log_storage, storage.run_storage, storage.schedule_storage):
            part.optimize_for_webserver(statement_timeout=60_000, pool_recycle=60, max_overflow=20)
        return storage
