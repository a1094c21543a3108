"""Puts a reference History into a warehouse as it is known on a day, and judges it by the models and the ledger.

What the models read of daily activity and its windows is written here by hand: their own tests check those. All happens
in one transaction, which the caller rolls back.
"""

import re
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from engage.contact import notifications
from tests.integration.dbt import universe
from tests.reference.silence import SILENCE, Gaps, History, Trigger

Connection = psycopg.Connection[Any]
ZONE = ZoneInfo("Europe/London")
BEFORE = ["int_day_source", "int_day_roster", "int_day_build", "int_day_student"]
AFTER = ["int_exemption", "int_evidence_day", "int_inactivity_day", "int_quiet_student", "int_quiet_reset"]
AFTER += ["int_inactivity", "int_inactivity_withdrawn"]
LISTS = ["raw.enrolments", "raw.term_calendar", "ops.exemption_change", "ops.exemption", "ops.source", "ops.batch_day"]
LISTS += ["ops.batch", "ops.delivery", "marts.daily_activity", "marts.activity_windows"]
WINDOWS = """
insert into marts.activity_windows (
    student_id, activity_date, source_id, interactions_14d, interactions_21d, days_since_last
)
select s.student_id, s.day, d.source_id, coalesce(n14, 0), coalesce(n21, 0), s.day - last_date
from intermediate.int_day_student as s
inner join intermediate.int_day_source as d using (day)
cross join lateral (
    select
        sum(interactions) filter (where activity_date > s.day - 14) as n14,
        sum(interactions) filter (where activity_date > s.day - 21) as n21, max(activity_date) as last_date
    from marts.daily_activity as a
    where a.student_id = s.student_id and a.source_id = d.source_id and a.activity_date <= s.day and interactions > 0
) as known
"""


@dataclass
class Judge:
    """Judges histories, one after the other, as the nights that follow on each other do."""

    connection: Connection
    compiled: Path
    """Where the SQL of the models is, by name."""
    hold_days: int = 14
    rows: dict[tuple[str, date], frozenset[tuple[str, int]]] = field(default_factory=dict, repr=False)

    def evaluate(self, history: History, today: date, killed_after: str | None = None) -> list[int]:
        """Judge what is known on the morning of `today`; return the notifications that were superseded.

        `killed_after`: the last model that dbt made before it was killed.
        """
        now = datetime.combine(today, time(6), ZONE)
        self._put(history, now)
        for name in BEFORE:
            self._run(name)
        self.connection.execute(WINDOWS)
        for name in AFTER:
            self._run(name)
            if name == killed_after:
                break
        return notifications.sync(self.connection, now).superseded

    def found(self) -> dict[str, dict[Trigger, Gaps]]:
        """Return by status what the ledger holds, with what was missing."""
        by_status: dict[str, dict[Trigger, Gaps]] = {}
        for status, kind, student, day, evidence in self.connection.execute(
            "select status, kind, student_id, trigger_date, evidence from ops.notification"
        ):
            gaps = tuple(sorted((date.fromisoformat(gap["day"]), gap["source"]) for gap in evidence["missing"]))
            by_status.setdefault(status, {})[Trigger(kind, student, day)] = gaps
        return by_status

    def dates(self, status: str = "raised", kind: str = SILENCE) -> dict[str, list[date]]:
        """Return the trigger dates of a status by student."""
        found: dict[str, list[date]] = {}
        for one in sorted(self.found().get(status, {}), key=lambda t: t.trigger_date):
            if one.kind == kind:
                found.setdefault(one.student_id, []).append(one.trigger_date)
        return found

    def _run(self, name: str) -> None:
        (path,) = self.compiled.rglob(f"{name}.sql")
        schema = "intermediate"
        self.connection.execute(
            f"drop table {schema}.{name} cascade; create table {schema}.{name} as {path.read_text()}"
        )

    def _put(self, history: History, now: datetime) -> None:
        connection = self.connection
        for table in LISTS:
            connection.execute(f"delete from {table}")
        connection.execute("delete from ops.built_day where mart <> 'int_inactivity'")
        connection.execute("insert into ops.config_version values ('test', '{}', now()) on conflict do nothing")
        connection.execute("delete from ops.scoring_parameter")
        connection.execute(
            "insert into ops.scoring_parameter (config_version, time_zone, week_weights, min_complete_days, "
            "min_eligible_days, min_group_size, min_institution_size, min_category_weight, min_quality, max_z, "
            "calibration, missing, max_imputed_weeks, degraded_weeks, as_of, silent_days, low_activity_at_most, "
            "low_activity_days, hold_days) values ('test', 'Europe/London', '{1}', 5, 4, 30, 10, 0.5, 80, 3, "
            "'zscore', 'exclude', 2, 3, %s, %s, %s, %s, %s)",
            [now, history.silent_days, history.low_at_most, history.low_days, self.hold_days],
        )
        columns = ["source_id", "title", "relation", "is_digital", "record", "category", "enabled_from"]
        columns += ["disabled_from", "quiet_weekdays", "quiet_in"]
        sources: list[tuple[Any, ...]] = [
            (f.source_id, "", "replace_days", f.is_digital, f.record, f.category, f.enabled_from, f.disabled_from,
             ",".join(f.quiet_weekdays), ",".join(f.quiet_in))
            for f in history.feeds
        ]  # fmt: skip
        lists = sorted({"term_calendar", *(e.source_id for e in history.enrolments)})
        records = {name: "term_calendar" if name == "term_calendar" else "enrolments" for name in lists}
        sources += [(name, "", "snapshot", False, records[name], None, None, None, "", "") for name in lists]
        universe.rows(connection, "ops.source", columns, sources)
        for quality, is_complete in ((universe.COMPLETE, True), (universe.POOR, False)):
            universe.cover(connection, quality, [day for day, good in history.covered.items() if good == is_complete])
        self._enrol(history)
        universe.rows(
            connection,
            "ops.exemption",
            ["student_id", "exemption_type", "starts_on", "ends_on", "created_at"],
            [
                (
                    e.student_id,
                    "Authorised Absence",
                    e.starts_on,
                    e.ends_on,
                    datetime.combine(e.created_on, time(12), ZONE),
                )
                for e in history.exemptions
            ],
        )
        categories = {f.source_id: f.category for f in history.feeds}
        universe.rows(
            connection,
            "marts.daily_activity",
            ["student_id", "activity_date", "source_id", "category", "interactions", "events"],
            [(who, day, source, categories[source], n, n) for (who, day, source), n in history.activity.items()],
        )
        self._touch(history)

    def _enrol(self, history: History) -> None:
        for source in {e.source_id for e in history.enrolments}:
            universe.partition(self.connection, "enrolments", {source})
        universe.partition(self.connection, "term_calendar", {"term_calendar"})
        keys = ["source_id", "as_of_date", "batch_id", "row_number"]
        universe.rows(
            self.connection,
            "raw.enrolments",
            [*keys, "student_id", "status", "status_from", "status_to", "programme_code", "cohort", "mode"],
            [
                (e.source_id, e.as_of, 1, k, e.student_id, e.status, e.status_from, e.status_to,
                 *(e.attributes.get(name) for name in ("programme_code", "cohort", "mode")))
                for k, e in enumerate(history.enrolments)
            ],
        )  # fmt: skip
        universe.rows(
            self.connection,
            "raw.term_calendar",
            [*keys, "term_code", "kind", "starts_on", "ends_on", "programme_code", "cohort"],
            [
                (
                    "term_calendar",
                    date(2026, 1, 1),
                    1,
                    k,
                    "T",
                    t.kind,
                    t.starts_on,
                    t.ends_on,
                    t.programme_code,
                    t.cohort,
                )
                for k, t in enumerate(history.calendar)
            ],
        )

    def _touch(self, history: History) -> None:
        """Count the days whose rows are others than the last time, as daily_activity does."""
        rows: dict[tuple[str, date], set[tuple[str, int]]] = {day: set() for day in self.rows}
        for (who, day, source), n in history.activity.items():
            rows.setdefault((source, day), set()).add((who, n))
        now = {key: frozenset(some) for key, some in rows.items()}
        changed = [key for key, some in now.items() if some != self.rows.get(key, frozenset())]
        self.connection.cursor().executemany(
            "insert into ops.day_version as known values (%s, %s, 1) "
            "on conflict (source_id, day) do update set version = known.version + 1",
            changed,
        )
        self.rows = now


def compiled(home: Path) -> Path:
    """Return where a dbt home keeps the SQL of its models."""
    return home / "dbt" / "target" / "compiled" / "engage" / "models"


def told(reason: str) -> set[str]:
    """Return the sources that a hold names."""
    return set(re.findall(r"(\w+) on ", reason))


def tomorrow(day: date) -> date:
    """Return the day on which a day is judged."""
    return day + timedelta(1)
