"""Where things are: the few environment variables of contracts.md, read in one place. No defaults live elsewhere."""

import os
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Settings:
    """Folders and addresses of one installation."""

    config: Path
    """Folder of what an institution edits (`ENGAGE_CONFIG`)."""
    home: Path
    """Folder of state: landing store, embedded database, reports (`ENGAGE_HOME`)."""
    database_url: str | None
    """`postgresql://...` of the warehouse (`ENGAGE_DATABASE_URL`); None: the embedded Postgres."""
    landing_url: str
    """Where received bytes are kept: a folder or any fsspec URL (`ENGAGE_LANDING_URL`)."""
    expectations: Path = PROJECT / "expectations"
    """Folder of the expectation suites, one YAML file per source."""
    dbt_project: Path = PROJECT / "dbt_project"
    dagster_url: str | None = None
    """`postgresql://...` of Dagster's own storage (`ENGAGE_DAGSTER_URL`); None: a database beside the warehouse."""

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the environment; relative folders are taken from the checkout, whatever the working folder."""
        home = PROJECT / os.environ.get("ENGAGE_HOME", ".engage")
        return cls(
            config=PROJECT / os.environ.get("ENGAGE_CONFIG", "config"),
            home=home,
            database_url=os.environ.get("ENGAGE_DATABASE_URL") or None,
            landing_url=os.environ.get("ENGAGE_LANDING_URL") or str(home / "landing"),
            dagster_url=os.environ.get("ENGAGE_DAGSTER_URL") or None,
        )
