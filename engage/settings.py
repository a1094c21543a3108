"""Where things are: the few environment variables of contracts.md, read in one place. No defaults live elsewhere."""

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from engage.sources import ConfigurationError

PROJECT = Path(__file__).parent.parent
# Stricter than libpq, which takes part of an unescaped password for host or port, and quotes it when that fails.
_POSTGRES_URL = re.compile(
    r"postgres(?:ql)?(?P<rest>://(?:(?:[^@/?#%]|%(?!00)[0-9A-Fa-f]{2})*@)?[^@/?#]*/[^@/?#]+(?:\?[^#]*)?)"
)


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
    """Folder of the expectation suites, one YAML file per source (`ENGAGE_EXPECTATIONS`)."""
    dbt_project: Path = PROJECT / "dbt_project"
    dagster_url: str | None = None
    """`postgresql://...` of Dagster's own storage (`ENGAGE_DAGSTER_URL`); None: a database beside the warehouse."""

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the environment; relative folders are taken from the checkout, whatever the working folder.

        Raises ConfigurationError for an address that is none.
        """
        home = PROJECT / (os.environ.get("ENGAGE_HOME") or ".engage")
        return cls(
            config=PROJECT / (os.environ.get("ENGAGE_CONFIG") or "config"),
            home=home,
            database_url=_postgres_url("ENGAGE_DATABASE_URL"),
            landing_url=os.environ.get("ENGAGE_LANDING_URL") or str(home / "landing"),
            expectations=PROJECT / (os.environ.get("ENGAGE_EXPECTATIONS") or "expectations"),
            dagster_url=_postgres_url("ENGAGE_DAGSTER_URL"),
        )


def _postgres_url(variable: str) -> str | None:
    """Return the address that a variable holds. An error never quotes it: it holds a password."""
    if not (said := os.environ.get(variable)):
        return None
    with contextlib.suppress(ValueError):
        # Asking for the port checks it.
        if (match := _POSTGRES_URL.fullmatch(said)) and urlsplit(said).port != 0:
            return f"postgresql{match['rest']}"
    raise ConfigurationError(
        f"{variable}: must read postgresql://user:password@host:port/database; in a password, @ is %40, / is %2F"
    )
