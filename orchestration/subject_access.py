"""The job `subject_access`: makes the copy of a request that was recorded with `engage sar record`.

Dagster keeps what a run was asked for, so a request is named by its number and never its student. The rules are
engage.privacy.subject_access's.
"""

import contextlib
from collections.abc import Iterator

import dagster as dg

from assets.resources import WarehouseResource, readable_failures
from engage import clock
from engage.privacy import subject_access
from engage.settings import Settings

_DESCRIPTION = (
    "Makes the copy of everything held about the student of a request that was recorded with `engage sar record`, as "
    "ENGAGE_HOME/subject-access/<request>.zip, readable for its owner alone. May be killed anywhere and run again."
)


class AccessRequest(dg.Config):
    """Which request, and who makes the copy."""

    request_id: int
    by: str
    """Who does it: the page does not know who uses it."""


def subject_access_job() -> dg.JobDefinition:
    """Return the job."""

    @dg.op(name="copy", description=_DESCRIPTION)
    def copy(context: dg.OpExecutionContext, config: AccessRequest, warehouse: WarehouseResource) -> None:
        settings = Settings.from_environment()
        with readable_failures(), _without_values(), warehouse.connect() as connection:
            installation = subject_access.installed(connection, settings)
            made = subject_access.answer(installation, config.request_id, config.by, clock.now())
            due = subject_access.find(connection, config.request_id).due
        context.log.info(
            f"request {config.request_id}, due on {due}: {made.rows} rows of {made.tables} tables: {made.path}"
        )

    @dg.job(name="subject_access", description=_DESCRIPTION)
    def _subject_access() -> None:
        copy()

    return _subject_access


@contextlib.contextmanager
def _without_values() -> Iterator[None]:
    """Say of what a file or a row is that cannot be read only what kind of fault it is: its text may quote it."""
    try:
        yield
    except (OSError, ValueError, LookupError) as error:
        failure = dg.Failure(f"The copy could not be made: {type(error).__name__}.", allow_retries=False)
    else:
        return
    raise failure from None
