"""A running installation: the warehouse up and migrated, Dagster's storage beside it, the environment of children set.

Everything that starts a process or a run begins with `running`. What the runs do is not known here.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from engage import access, clock, configuration, dbt, postgres, warehouse
from engage.settings import Settings
from engage.sources import ConfigurationError, load_sources

# The storage address comes from the environment, so that no password lies in a file.
DAGSTER_YAML = """\
storage:
  custom:
    module: orchestration.storage
    class: PooledPostgresStorage
    config:
      postgres_url: {env: ENGAGE_DAGSTER_STORAGE}
# What a run prints is in the daemon's log; a copy of it per run costs four processes, which a kill leaves behind.
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
telemetry: {enabled: false}
nux: {enabled: false}
# A run waits in the queue while another holds one of its pools: one per source, and `dbt`.
concurrency:
  runs: {max_concurrent_runs: 3}
  pools: {default_limit: 1, granularity: run}
run_monitoring:
  enabled: true
  start_timeout_seconds: 180
  max_runtime_seconds: 21600
  free_slots_after_run_end_seconds: 300
# One slow server must not keep the other sensors waiting.
sensors: {use_threads: true, num_workers: 4}
retention:
  schedule: {purge_after_days: 90}
  sensor: {purge_after_days: {skipped: 2, failure: 30, success: 30}}
"""


@dataclass(frozen=True)
class Runtime:
    """Addresses of a running installation."""

    url: str
    """`postgresql://...` of the warehouse."""
    dagster_url: str
    """`postgresql://...` of Dagster's own storage."""
    home: Path


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[Runtime]:
    """Yield the installation that `settings` describe: databases migrated, configuration there, environment set.

    Without a database URL the embedded Postgres runs meanwhile. The environment is as before on leaving.
    Raises ConfigurationError, PostgresError, psycopg.OperationalError.
    """
    # What can be known to be wrong is said before anything is started or made.
    sources, now = load_sources(settings.config), clock.now()
    if settings.database_url:
        dbt.environment(settings.database_url)
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"ENGAGE_HOME: {settings.home}: cannot be made ({error.strerror})") from None
    with contextlib.ExitStack() as stack:
        if (url := settings.database_url) is None:
            server = stack.enter_context(postgres.running(settings.home / "postgres"))
            url = warehouse.ensure_database(server, "engage")
            beside = "dagster"
        else:
            beside = urlsplit(url).path.removeprefix("/") + "_dagster"
        dagster_url = settings.dagster_url or warehouse.ensure_database(url, beside)
        is_new = warehouse.migrate(url)
        with warehouse.connect(url) as connection:
            if is_new:
                access.apply(connection)
            # Afterwards the jobs do: looking at an installation changes nothing in it.
            if not configuration.version_in_force(connection):
                configuration.sync(connection, settings.config, sources, now)
        if is_new:
            with warehouse.connect(dagster_url) as connection:
                access.shut(connection)
        stack.enter_context(_environment(settings, url, dagster_url))
        yield Runtime(url, dagster_url, settings.home)


@contextlib.contextmanager
def _environment(settings: Settings, url: str, dagster_url: str) -> Iterator[None]:
    """Set what Dagster, dbt and Great Expectations read, for us and for processes we start; put back what was there."""
    own = settings.home / "dagster"
    folder = Path(os.environ.get("DAGSTER_HOME") or own)
    folder.mkdir(parents=True, exist_ok=True)
    # An institution may have a dagster.yaml of its own, in a folder of its own.
    if folder == own or not (folder / "dagster.yaml").exists():
        (folder / "dagster.yaml").write_text(DAGSTER_YAML)
    before = dict(os.environ)
    os.environ.update(
        {
            "ENGAGE_CONFIG": str(settings.config),
            "ENGAGE_HOME": str(settings.home),
            "ENGAGE_LANDING_URL": settings.landing_url,
            "ENGAGE_DATABASE_URL": url,
            "ENGAGE_DAGSTER_URL": dagster_url,
            # The ledger knows what was done: that a crash of the server forgets a run's last events costs a run.
            "ENGAGE_DAGSTER_STORAGE": warehouse.sqlalchemy_url(dagster_url, "-csynchronous_commit=off"),
            "DAGSTER_HOME": str(folder),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "DO_NOT_TRACK": "1",
            "GX_ANALYTICS_ENABLED": "false",
            **dbt.environment(url, settings.home),
        }
    )
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
