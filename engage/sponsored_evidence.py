"""The evidence about one sponsored student: dated contact points, what does not count and why, how whole the data is.

A page to print and a table to keep, out of the same rows of marts.sponsored_contact_point. Who had it is written to
`ops.audit` first. Nothing else of the student is in it.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from psycopg.rows import dict_row

from engage.contact.people_words import day, many, span
from engage.decisions import DecisionError
from engage.letters import templates
from engage.spreadsheets import harmless
from engage.warehouse import Connection

_IS_BUILT = "select to_regclass('marts.sponsored_contact_point') is not null"
_LIST = """
select
    student_id, status, days_left, counted_days, certain_days, last_contact_date, days_since_last_contact_point,
    incomplete_days, limit_days, not_counted_because, contact_date as counted_up_to
from marts.sponsored_contact_point
where contact_date = (select max(n.contact_date) from marts.sponsored_contact_point as n)
order by status = 'not_counted', days_left, student_id
"""
_DAYS = "select * from marts.sponsored_contact_point where student_id = %s order by contact_date"
_AUDIT = """
insert into ops.audit (happened_at, person, action, rows)
values (%s, %s, 'exported the evidence of sponsored student ' || %s, %s)
"""
_SAID = {
    "within": "Within the limit.",
    "warning": "A warning day has passed.",
    "over_limit": "Over the limit.",
    "undetermined": "Not determined: data of some days has not come yet, and there may have been a contact on them.",
    "not_counted": "Not counted at present.",
}


@dataclass(frozen=True)
class Exported:
    """The files written."""

    page: Path
    table: Path
    days: int


def sponsored(connection: Connection) -> list[dict[str, Any]]:
    """Return the sponsored students as of the newest day, whoever has the fewest days left first.

    Raises DecisionError when the mart has not been made yet.
    """
    _built(connection)
    return connection.cursor(row_factory=dict_row).execute(_LIST).fetchall()


def export(connection: Connection, student_id: str, folder: Path, by: str, now: datetime) -> Exported:
    """Write the evidence about one student as `sponsored_<number>.html` and `.csv`. Commits.

    Raises DecisionError for who is no sponsored student, OSError.
    """
    _built(connection)
    rows = connection.cursor(row_factory=dict_row).execute(_DAYS, [student_id]).fetchall()
    if not rows:
        raise DecisionError("no sponsored student has this number, or nothing is counted: see engage sponsored list")
    connection.execute(_AUDIT, [now, by, student_id, len(rows)])
    connection.commit()
    # A number that comes from a list may be no name for a file.
    name = "".join(one if one.isalnum() or one in "-_" else "_" for one in student_id)
    folder.mkdir(parents=True, exist_ok=True)
    html, table = folder / f"sponsored_{name}.html", folder / f"sponsored_{name}.csv"
    table.write_text(_table(rows), encoding="utf-8-sig", newline="")
    html.write_text(page(rows, by, now), encoding="utf-8")
    return Exported(html, table, len(rows))


def _built(connection: Connection) -> None:
    if connection.execute(_IS_BUILT).fetchone() != (True,):
        raise DecisionError("marts.sponsored_contact_point has not been made yet; the next night makes it")


def _table(rows: Sequence[dict[str, Any]]) -> str:
    written = io.StringIO()
    writer = csv.DictWriter(written, list(rows[0]))
    writer.writeheader()
    writer.writerows({name: harmless(value) for name, value in row.items()} for row in rows)
    return written.getvalue()


def page(rows: Sequence[dict[str, Any]], by: str, now: datetime) -> str:
    """Return the page of a student's rows, the oldest first: one file, no script, nothing from elsewhere."""
    last = rows[-1]
    since = last["last_contact_date"]
    return (
        templates()
        .get_template("sponsored_evidence.html.j2")
        .render(
            number=last["student_id"],
            said=_SAID[last["status"]],
            status=last["status"],
            facts=[
                ("Last contact point", _long(since) if since else "none that is known"),
                ("Days that count since then", str(last["counted_days"])),
                ("Limit", f"{last['limit_days']} days"),
                ("Days left", str(last["days_left"]) if last["days_left"] >= 0 else f"{-last['days_left']} over"),
                ("Days of which data is not whole", str(last["incomplete_days"])),
                ("Looked at", f"{_long(rows[0]['contact_date'])} to {_long(last['contact_date'])}"),
            ],
            contacts=[
                (_long(row["contact_date"]), row["kinds"], row["contact_points"])
                for row in rows[::-1]
                if row["contact_points"]
            ],
            gaps=_gaps(rows),
            away=_runs(rows, "not_counted_because"),
            incomplete=[
                when for when, _ in _runs([{**row, "what": None if row["is_complete"] else ""} for row in rows], "what")
            ],
            made=f"{now:%d %B %Y, %H:%M} UTC",
            by=by,
        )
    )


def _gaps(rows: Sequence[dict[str, Any]], from_days: int = 7) -> list[tuple[str, str, int]]:
    """Return the stretches without a contact point in which so many days or more count, the newest first."""
    found, run = [], []
    for row in [*rows, {"contact_points": 1}]:
        if not row["contact_points"]:
            run.append(row)
            continue
        counted = sum(one["not_counted_because"] is None for one in run)
        if counted >= from_days:
            found.append((_long(run[0]["contact_date"]), _long(run[-1]["contact_date"]), counted))
        run = []
    return found[::-1]


def _runs(rows: Sequence[dict[str, Any]], key: str) -> list[tuple[str, str]]:
    """Return the stretches of days on which a column says the same, with what it says, the newest first."""
    found: list[tuple[date, date, str]] = []
    for row in rows:
        if (said := row[key]) is None:
            continue
        if found and found[-1][2] == said and found[-1][1] + timedelta(1) == row["contact_date"]:
            found[-1] = (found[-1][0], row["contact_date"], said)
        else:
            found.append((row["contact_date"], row["contact_date"], said))
    return [(_span(first, last), said[:1].upper() + said[1:]) for first, last, said in found[::-1]]


def _long(of: date) -> str:
    return f"{day(of)} {of.year}"


def _span(first: date, last: date) -> str:
    if first.year != last.year:
        return f"{_long(first)} to {_long(last)}"
    return f"{span(first, last)} {last.year}, {many((last - first).days + 1, 'day')}"
