"""The jobs `exempt_students` and `change_exemptions`: exemptions made and changed from the UI.

Dagster keeps what a run was asked for, so no student number may be in it: students are named in a file in the drop
folder (`ENGAGE_HOME/exemptions/`), exemptions by their ids. The rules are engage.contact.exemptions'.
"""

from datetime import date, datetime
from typing import Literal

import dagster as dg

from assets.resources import WarehouseResource, readable_failures
from engage import clock
from engage.contact import exemption_files, exemptions
from engage.decisions import DecisionError
from engage.settings import Settings
from engage.strict import ConfigurationError
from engage.warehouse import Connection

_EXEMPT = (
    "Exempt the students of a CSV file (student_id,exemption_type,starts_on,ends_on) in ENGAGE_HOME/exemptions/; what "
    "became of each line is written beside it. Red when a line was refused: the others are in."
)
_CHANGE = (
    "Extend, move or delete exemptions by their ids. Of one that has begun the days up to today stay. "
    "Red when one was refused: the others are changed."
)


class ExemptionFile(dg.Config):
    """Which file, and who decides."""

    file: str
    """Its name, without a folder."""
    by: str
    """Who decides: the page does not know who uses it."""
    reason: str = ""
    """Is kept; never names a student."""


class ExemptionChange(dg.Config):
    """What is to become of which exemptions, and who decides."""

    action: Literal["extend", "move", "delete"]
    exemption_ids: list[int]
    starts_on: str = ""
    """The new first day, as 2026-03-01, to move; empty: as before."""
    ends_on: str = ""
    """The new last day, to extend or to move."""
    by: str
    reason: str = ""


def exemption_jobs() -> list[dg.JobDefinition]:
    """Return both jobs."""

    @dg.op(name="exempt", description=_EXEMPT)
    def exempt(context: dg.OpExecutionContext, config: ExemptionFile, warehouse: WarehouseResource) -> None:
        signed = exemptions.Signed(config.by, clock.now(), config.reason)
        with readable_failures():
            path = exemption_files.dropped(Settings.from_environment().home, config.file)
            with warehouse.connect() as connection:
                lines = exemption_files.bulk(connection, path, signed)
        report = path.with_name(f"{path.name}.report.csv")
        exemption_files.write_report(report, lines)
        counts = exemption_files.counted(lines)
        context.log.info(", ".join(f"{count} {result}" for result, count in counts.items()))
        if counts["refused"]:
            raise dg.Failure(f"{counts['refused']} lines were refused: {report} says why", allow_retries=False)

    @dg.op(name="change", description=_CHANGE)
    def change(context: dg.OpExecutionContext, config: ExemptionChange, warehouse: WarehouseResource) -> None:
        signed = exemptions.Signed(config.by, clock.now(), config.reason)
        refused = []
        with readable_failures(), warehouse.connect() as connection:
            starts_on, ends_on = _day("starts_on", config.starts_on), _day("ends_on", config.ends_on)
            for number in config.exemption_ids:
                try:
                    context.log.info(_changed(connection, config.action, number, starts_on, ends_on, signed).said)
                except DecisionError as error:
                    refused.append(str(error))
        if refused:
            raise dg.Failure("; ".join(refused), allow_retries=False)

    @dg.job(name="exempt_students", description=_EXEMPT)
    def exempt_students() -> None:
        exempt()

    @dg.job(name="change_exemptions", description=_CHANGE)
    def change_exemptions() -> None:
        change()

    return [exempt_students, change_exemptions]


def _changed(
    connection: Connection,
    action: Literal["extend", "move", "delete"],
    number: int,
    starts_on: date | None,
    ends_on: date | None,
    signed: exemptions.Signed,
) -> exemptions.Done:
    if action == "delete":
        return exemptions.delete(connection, number, signed)
    if ends_on is None:
        raise ConfigurationError(f"ends_on: must be given to {action}")
    if action == "extend":
        return exemptions.extend(connection, number, ends_on, signed)
    return exemptions.move(connection, number, starts_on, ends_on, signed)


def _day(name: str, said: str) -> date | None:
    try:
        return datetime.strptime(said, "%Y-%m-%d").date() if said else None
    except ValueError:
        raise ConfigurationError(f"{name}: must be a day as 2026-03-01") from None
