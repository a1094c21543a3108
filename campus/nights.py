"""The nights of a year in a warehouse: what has come by each morning is put there, built, and judged.

Files are put where published batches stand, without servers and gate; from there on it is production's own: the
models of dbt and the ledger. Beside it a table of what SQL would have sent that knows nothing of completeness.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, cast

from psycopg import sql

from campus.silence import LENGTH
from campus.world import ZONE
from campus.year import STREAMS, Away, File, Year
from engage import dbt, warehouse
from engage.contact import notifications
from engage.warehouse import Connection

Key = tuple[int, int]
"""Student (index) and day number of a trigger."""
MODELS = (
    "daily_activity int_day_source int_day_roster int_day_build int_day_student activity_windows int_exemption "
    "int_evidence_day int_inactivity_day int_quiet_student int_quiet_reset int_inactivity int_inactivity_withdrawn"
)
_PARAMETERS = """
insert into ops.config_version values ('backtest', '{}', now());
insert into ops.scoring_parameter (
    config_version, time_zone, week_weights, min_complete_days, min_eligible_days, min_group_size,
    min_institution_size, min_category_weight, min_quality, max_z, calibration, missing, max_imputed_weeks,
    degraded_weeks
) values ('backtest', 'Europe/London', '{1}', 5, 4, 30, 10, 0.5, 80, 3, 'zscore', 'exclude', 2, 3);
create schema naive;
create table naive.alarm (student_id text, trigger_date date);
"""
_BATCH = """
with delivery as (
    insert into ops.delivery (source_id, content_hash, name, size_bytes, version_at, landed_path, landed_at)
    values (%(source)s, %(name)s, %(name)s, 1, %(now)s, '', %(now)s)
    returning delivery_id
), batch as (
    insert into ops.batch (delivery_id, source_id, state, quality_score, started_at, published_at)
    select delivery_id, %(source)s, 'published', 95, %(now)s, %(now)s from delivery
    returning batch_id
)
insert into ops.batch_day (batch_id, source_id, day, is_covered, is_current)
select batch_id, %(source)s, %(day)s, true, true from batch
"""
# What somebody would write who knows the calendar, the roster and the exemptions, and takes no rows for no activity.
_NAIVE = """
insert into naive.alarm
select e.student_id, %(today)s
from raw.enrolments as e
where
    e.as_of_date = (select max(as_of_date) from raw.enrolments)
    and e.status = 'active' and coalesce(e.status_from, '-infinity') <= %(first)s
    and coalesce(e.status_to, 'infinity') >= %(today)s
    and not exists (
        select from marts.daily_activity as a inner join ops.source as s using (source_id)
        where
            s.is_digital and a.interactions > 0 and a.student_id = e.student_id
            and a.activity_date >= %(first)s and a.activity_date < %(today)s
    )
    and not exists (
        select from ops.exemption as x
        where x.student_id = e.student_id and x.starts_on <= %(today)s and x.ends_on >= %(first)s
    )
    and not exists (
        select from naive.alarm as n where n.student_id = e.student_id and n.trigger_date > %(first)s
    )
"""


@dataclass(frozen=True)
class Found:
    """What was found by the end."""

    notifications: dict[Key, tuple[str, int]]
    """Status, and how many days after its date it was raised."""
    alarms: set[Key]


@dataclass
class Nights:
    """A year on its way into a warehouse; days are numbers, students indices."""

    year: Year
    url: str
    home: Path
    """Of dbt."""
    came: int = 0
    """How many of the files have come."""
    listed: set[Away] | None = None
    """Who was away, by the newest list."""
    judged: int = 0
    """The last night."""

    def prepare(self) -> None:
        """Write sources, calendar and parameters, and make the views that the models read."""
        dbt.run(self.url, ["run", "--select", "staging"], self.home)
        with warehouse.connect(self.url) as connection:
            connection.execute(_PARAMETERS)
            for record, partitions in {
                "activity": [s.source_id for s in STREAMS],
                "enrolments": ["enrolments"],
                "term_calendar": ["term_calendar"],
            }.items():
                for name in partitions:
                    connection.execute(
                        sql.SQL("create table {} partition of {} for values in ({})").format(
                            sql.Identifier("raw", f"{record}_{name}"), sql.Identifier("raw", record), sql.Literal(name)
                        )
                    )
            sources: list[tuple[Any, ...]] = [("enrolments", "enrolments", False, None, None, None, "")]
            sources.append(("term_calendar", "term_calendar", False, None, None, None, ""))
            for stream in STREAMS:
                begins, ends = (self.year.date(day) for day in self.year.lives(stream))
                quiet = "" if stream.works_weekends else "Sat,Sun"
                last = None if stream.ends == 1 else ends
                sources.append((stream.source_id, "activity", stream.is_digital, "vle", begins, last, quiet))
            columns = ["source_id", "record", "is_digital", "category", "enabled_from", "disabled_from"]
            columns += ["quiet_weekdays", "title", "relation"]
            _copy(connection, "ops.source", columns, [(*s, "", "replace_days") for s in sources])
            columns = ["source_id", "as_of_date", "batch_id", "row_number", "term_code", "kind", "starts_on", "ends_on"]
            _copy(
                connection,
                "raw.term_calendar",
                columns,
                [
                    ("term_calendar", self.year.date(-2), 1, n, "Y", kind, self.year.date(first), self.year.date(last))
                    for n, (kind, first, last) in enumerate(self.year.periods())
                ],
            )

    def night(self, today: int) -> None:
        """Let everything arrive that is there on the morning of `today`, build the marts, and judge."""
        now = datetime.combine(self.year.date(today), time(6), ZONE)
        with warehouse.connect(self.url) as connection:
            connection.execute("update ops.scoring_parameter set as_of = %s", [now])
            files = self.year.files[0]
            while self.came < len(files) and files[self.came].comes <= today:
                self._deliver(connection, files[self.came], now)
                self.came += 1
            self._enrol(connection, today)
        dbt.run(self.url, ["run", "--select", *MODELS.split()], self.home)
        with warehouse.connect(self.url) as connection:
            notifications.sync(connection, now)
            for day in range(max(self.judged + 1, LENGTH), min(today, self.year.days) + 1):
                if self.year.in_term[day - LENGTH : day].all():
                    first = self.year.date(day - LENGTH)
                    connection.execute(_NAIVE, {"today": self.year.date(day), "first": first})
        self.judged = today

    def _deliver(self, connection: Connection, file: File, now: datetime) -> None:
        stream, day = STREAMS[file.stream], self.year.date(file.day)
        known = {"source": stream.source_id, "day": day, "now": now, "name": f"{file.day} {file.is_partial}"}
        connection.execute(
            "update ops.batch_day set is_current = false where (source_id, day) = (%(source)s, %(day)s)", known
        )
        connection.execute("delete from raw.activity where (source_id, activity_date) = (%(source)s, %(day)s)", known)
        connection.execute(_BATCH, known)
        seen = self.year.acts[file.stream][:, file.day].nonzero()[0].tolist()
        columns = ["source_id", "activity_date", "student_id", "quantity", "batch_id", "row_number"]
        rows = [(stream.source_id, day, f"s{n:05}", 1, 1, n) for n in seen if not (file.is_partial and n % 3 == 0)]
        _copy(connection, "raw.activity", columns, rows)
        connection.execute(
            "insert into ops.touched_day (source_id, day) values (%(source)s, %(day)s) on conflict do nothing", known
        )

    def _enrol(self, connection: Connection, today: int) -> None:
        """Write a new list if the registry knows more than on the last one, and the exemptions that were entered."""
        known = {one for one in self.year.away if one.known < today}
        if known != self.listed:
            by_student = {one.student: one for one in known}
            as_of = self.year.date(-2 if self.listed is None else today - 1)
            periods = [period for n in range(self.year.students) for period in self._periods(n, by_student.get(n))]
            columns = ["source_id", "as_of_date", "batch_id", "row_number", "student_id", "status", "status_from"]
            rows = [("enrolments", as_of, 1, k, *period) for k, period in enumerate(periods)]
            _copy(connection, "raw.enrolments", [*columns, "status_to"], rows)
            self.listed = known
        entered = [
            (f"s{e.student:05}", e.kind, self.year.date(e.begins), self.year.date(e.ends), self._noon(e.known))
            for e in self.year.exemptions
            if e.known < today
        ]
        connection.execute("truncate ops.exemption cascade")
        _copy(
            connection, "ops.exemption", ["student_id", "exemption_type", "starts_on", "ends_on", "created_at"], entered
        )

    def _periods(self, n: int, away: Away | None) -> list[tuple[str, str, date | None, date | None]]:
        student = f"s{n:05}"
        if away is None:
            return [(student, "active", None, None)]
        begins, ends = self.year.date(away.begins), self.year.date(min(away.ends, 9999))
        return [(student, "active", None, begins), (student, away.kind, begins, ends), (student, "active", ends, None)]

    def _noon(self, day: int) -> datetime:
        return datetime.combine(self.year.date(day), time(12), ZONE)

    def found(self) -> Found:
        """Return what is in the ledger and in the naive list by now, by index and day number."""
        with warehouse.connect(self.url) as connection:
            known = connection.execute(
                "select student_id, trigger_date, status, coalesce(raised_at::date - trigger_date, 0)"
                " from ops.notification where kind = 'no_digital_activity'"
            ).fetchall()
            alarms = connection.execute("select student_id, trigger_date from naive.alarm").fetchall()
        return Found(
            {self._key(s, day): (str(status), cast(int, days)) for s, day, status, days in known},
            {self._key(s, day) for s, day in alarms},
        )

    def _key(self, student: object, day: object) -> Key:
        return int(str(student)[1:]), (cast(date, day) - self.year.first_monday).days


def _copy(connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with connection.cursor().copy(f"copy {table} ({', '.join(columns)}) from stdin".encode()) as copy:
        for row in rows:
            copy.write_row(row)
