"""For how long what is held is kept: config/retention.yaml, and the sources' own periods as the warehouse has them.

What is past its period, and how it goes, is not known here.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from psycopg import sql
from psycopg.rows import class_row
from pydantic import Field, ValidationError, model_validator

from engage.connectors.windows import institution_zone
from engage.privacy.places import Place
from engage.strict import ConfigurationError, Strict, explain, read_yaml
from engage.warehouse import Connection

Period = Annotated[int, Field(gt=0)] | Literal["forever"]
SHORTEST_MARTS = 365
"""Days. Trends, outcomes and reviews look back 182 days."""
WITHOUT = ("source", "derived", "forever", "ledger")
"""What needs no period here: sources have their own, what is made anew goes with what it is made from, and the ledger,
which names files and nobody, stays: by it a file that still lies at its sender is not loaded again."""


class Periods(Strict):
    """Days by class."""

    marts: Period = 2190
    cases: Period = 2190
    notifications: Period = 1095
    messages: Period = 1095
    exemptions: Period = 2190
    people: Period = 2190
    staff: Period = 730
    rights: Period = 2190
    subject_access: Period = 90
    outbox: Period = 180
    logs: Period = 90
    reports: Period = "forever"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.marts != "forever" and self.marts < SHORTEST_MARTS:
            raise ValueError(
                f"marts: must be at least {SHORTEST_MARTS} days, for trends and outcomes look back half a year"
            )
        if _longer(self.notifications, self.cases):
            raise ValueError("cases: must not be shorter than notifications, which they are about")
        return self

    def days(self, name: str) -> int | None:
        """Return the days of a class; None: for ever."""
        if name in WITHOUT:
            return None
        period = getattr(self, name)
        return None if period == "forever" else int(period)


@dataclass(frozen=True)
class SourcePeriod:
    """What of a source is past its period: all before `kept_from`. None: there is nothing to go."""

    source_id: str
    record: str
    relation: str
    retention_days: int
    kept_from: date | None = None

    @property
    def day(self) -> str:
        """Name of the column of `raw.<record>` that files a row under a day."""
        return "as_of_date" if self.relation == "snapshot" else "activity_date"


def load_periods(config: Path) -> Periods:
    """Read config/retention.yaml; without it the shipped periods hold. Raises ConfigurationError naming the key."""
    path = config / "retention.yaml"
    try:
        return Periods.model_validate(read_yaml(path))
    except FileNotFoundError:
        return Periods()
    except ValidationError as error:
        raise ConfigurationError(explain(path, error, Periods)) from None


def check_classes(path: Path, places: list[Place]) -> None:
    """Raise ConfigurationError for tables whose period has no name that the file knows."""
    unknown = {f"{p.table} ({p.keep})" for p in places if p.keep not in (*Periods.model_fields, *WITHOUT)}
    if unknown:
        raise ConfigurationError(f"{path / 'retention.yaml'}: has no period for {', '.join(sorted(unknown))}")


def today(connection: Connection, now: datetime) -> date:
    """Return the day where the institution is."""
    return now.astimezone(institution_zone(connection) or ZoneInfo("UTC")).date()


def of_sources(connection: Connection, day: date) -> list[SourcePeriod]:
    """Return for each source from when its rows are kept.

    Events go by whole months, once the last day of one is past its period. Of lists the newest stays, and the one that
    held when the period began. What has gone once is not kept again by a longer period.
    """
    cursor = connection.cursor(row_factory=class_row(SourcePeriod))
    found = []
    for one in cursor.execute(_SOURCES).fetchall():
        oldest: date | None = day - timedelta(days=one.retention_days)
        if one.relation == "snapshot":
            query = sql.SQL("select max(as_of_date) from {} where source_id = %s and as_of_date <= %s")
            row = connection.execute(
                query.format(sql.Identifier("raw", one.record)), [one.source_id, oldest]
            ).fetchone()
            oldest = row[0] if row and isinstance(row[0], date) else None
        elif oldest:
            oldest = oldest.replace(day=1)
        known = [kept for kept in (oldest, one.kept_from) if kept]
        found.append(
            SourcePeriod(one.source_id, one.record, one.relation, one.retention_days, max(known, default=None))
        )
    return found


_SOURCES = """
select s.source_id, s.record, s.relation, s.retention_days, k.day as kept_from
from ops.source as s
left join ops.kept_from as k on k.kind = 'source' and k.source_id = s.source_id
where s.retention_days is not null
order by s.source_id
"""


def _longer(one: Period, other: Period) -> bool:
    return other != "forever" and (one == "forever" or one > other)
