"""The warehouse as the assets see it, and the way an error of `engage` becomes a failure that anybody may read.

No settings are read at import, and no connection is opened before a run needs it.
"""

import contextlib
import os
from collections.abc import Iterator

import dagster as dg
import psycopg
import sqlalchemy.exc

from engage import warehouse
from engage.batches import BatchError
from engage.connectors import AccessError, TransportError
from engage.dbt import DbtError
from engage.decisions import DecisionError
from engage.restatement import RestatementError
from engage.sources import ConfigurationError


class WarehouseResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The warehouse; its address comes from the environment unless a test gives one."""

    url: str = ""

    @property
    def address(self) -> str:
        """Return `postgresql://...`. Raises dagster.Failure when none is configured."""
        if found := self.url or os.environ.get("ENGAGE_DATABASE_URL"):
            return found
        raise dg.Failure("No warehouse: start it with `engage up`, or set ENGAGE_DATABASE_URL.", allow_retries=False)

    def connect(self) -> warehouse.Connection:
        """Open a connection; use it in a `with`."""
        return warehouse.connect(self.address)


@contextlib.contextmanager
def readable_failures() -> Iterator[None]:
    """Turn expected errors into dagster.Failure. A database error may quote a row: only its kind is told."""
    try:
        yield
    except TransportError as error:
        failure = dg.Failure(str(error))
    except (AccessError, BatchError, ConfigurationError, DbtError, DecisionError, RestatementError) as error:
        failure = dg.Failure(str(error), allow_retries=False)
    except psycopg.Error as error:
        failure = dg.Failure(f"The warehouse refused: {type(error).__name__} (SQLSTATE {error.sqlstate or 'unknown'}).")
    except sqlalchemy.exc.SQLAlchemyError as error:
        failure = dg.Failure(f"The warehouse refused: {type(error).__name__}.")
    else:
        return
    # `from None`: Dagster would record the text of the error before.
    raise failure from None
