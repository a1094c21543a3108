"""A student's own view as a page and as JSON: a row of marts.student_view, the weeks before it, the student's notes.

Nobody else's data is read, and nothing is decided here: the words are config/student_view.yaml's, which of them apply
marts.student_view's.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg.rows import dict_row

from engage.contact.people_words import day
from engage.contact.recipients import newest_lists
from engage.decisions import DecisionError
from engage.letters import templates
from engage.warehouse import Connection

WEEKS = 8
_ROWS = ("above", "around", "below")
_CATEGORIES = ("attendance", "vle", "library_access", "other")
_SETTING = "select content from ops.setting where name = 'student_view' and (content ->> 'enabled')::boolean"
_IS_BUILT = "select to_regclass('marts.student_view') is not null"
_VIEW = "select * from marts.student_view where student_id = %s"
_BEFORE = """
select t.week_start, t.score
from marts.score_trend as t
where t.student_id = %s and t.week_start > %s::date - %s and t.week_start <= %s
order by t.week_start
"""
_NOTES = f"""
with newest as materialized ({newest_lists("student_notes")})
select n.note, n.written_at
from newest inner join staging.stg_feeds__student_notes as n using (source_id, as_of_date)
where n.student_id = %s
order by n.written_at desc, n.note_id desc
"""  # noqa: S608
_ZONE = "select time_zone from ops.scoring_parameter"


@dataclass(frozen=True)
class View:
    """All that a student is shown."""

    row: dict[str, Any]
    weeks: list[tuple[date, str | None, int | None]]
    """Mondays with the standing of the week (None: not compared), the oldest first; a score only where it is shown."""
    notes: list[tuple[str, datetime]]
    """The student's own, the newest first, with the institution's time."""
    setting: dict[str, Any]

    @property
    def as_json(self) -> dict[str, Any]:
        """As names and plain values."""
        numbers = ["score"] * bool(self.setting["show_number"])
        return {
            **{name: value for name, value in self.row.items() if name != "score" or numbers},
            "weeks": [
                {"week_start": week, "standing": standing, **({"score": score} if numbers else {})}
                for week, standing, score in self.weeks
            ],
            "notes": [{"written_at": at, "note": note} for note, at in self.notes],
            **{f"{name}_words": self.setting["words"][name] for name in ("help", "correct", "copy_of_all")},
            "contact": self.setting["contact"],
            "privacy_contact": self.setting["privacy_contact"],
        }


def view(connection: Connection, student_id: str) -> View:
    """Return what this student is shown. Raises DecisionError: switched off, not made yet, or no such student."""
    found = connection.execute(_SETTING).fetchone()
    if found is None:
        raise DecisionError("the student view is switched off (config/student_view.yaml)")
    setting: dict[str, Any] = found[0]  # type: ignore[assignment]
    if connection.execute(_IS_BUILT).fetchone() != (True,):
        raise DecisionError("marts.student_view has not been made yet; the first night after a published week makes it")
    row = connection.cursor(row_factory=dict_row).execute(_VIEW, [student_id]).fetchone()
    if row is None:
        raise DecisionError("there is no student of this number, or the view was switched on since last night")
    weeks = []
    if row["status"] == "compared":
        week = row["week_start"]
        given = [student_id, week, 7 * WEEKS, week]
        weeks = [_week(monday, score, setting) for monday, score in connection.execute(_BEFORE, given).fetchall()]
    ((zone,),) = connection.execute(_ZONE).fetchall()
    connection.execute("select set_config('timezone', %s, true)", [zone])
    notes: list[tuple[str, datetime]] = connection.execute(_NOTES, [student_id]).fetchall()  # type: ignore[assignment]
    connection.rollback()
    return View(row, weeks, notes, setting)


def page(shown: View) -> str:
    """Return the page: one file, no script, nothing from elsewhere."""
    row, words = shown.row, shown.setting["words"]
    seen = row["last_activity"] or {}
    last = [(said, seen[said]) for name in _CATEGORIES if (said := words["categories"][name]) in seen]
    return (
        templates()
        .get_template("student_view.html.j2")
        .render(
            row=row,
            words=words,
            as_of=f"{day(row['as_of'])} {row['as_of'].year}",
            week=f"{day(row['week_start'])} {row['week_start'].year}" if row["week_start"] else None,
            last=last,
            chart=_chart(shown) if sum(standing is not None for _, standing, _ in shown.weeks) > 1 else None,
            weeks=[
                (day(monday), f"{standing} average" if standing else "not compared", score)
                for monday, standing, score in shown.weeks[::-1]
            ],
            notes=[(note, f"{day(at)} {at.year}") for note, at in shown.notes],
            show_number=shown.setting["show_number"],
            contact=shown.setting["contact"],
            privacy_contact=shown.setting["privacy_contact"],
        )
    )


def _week(monday: Any, score: Any, setting: dict[str, Any]) -> tuple[date, str | None, int | None]:
    number = score if setting["show_number"] else None
    if score is None:
        return monday, None, None
    if score >= setting["standing"]["above_from"]:
        return monday, "above", number
    return monday, "below" if score < setting["standing"]["below_under"] else "around", number


def _chart(shown: View) -> dict[str, Any]:
    """Lay out a point for each week in one of three rows: where it stands is told, and no more than that."""
    left, step, top, row = 78, 228 / max(len(shown.weeks) - 1, 1), 18, 34
    points: list[tuple[float, int]] = []
    lines: list[list[str]] = []
    line: list[str] = []
    for place, (_, standing, _) in enumerate(shown.weeks):
        if standing is None:
            lines, line = [*lines, line], []
            continue
        x, y = round(left + place * step, 1), top + _ROWS.index(standing) * row
        points.append((x, y))
        line.append(f"{x},{y}")
    first, last = shown.weeks[0][0], shown.weeks[-1][0]
    return {
        "rows": [(name.capitalize(), top + n * row) for n, name in enumerate(_ROWS)],
        "points": points,
        "lines": [" ".join(one) for one in [*lines, line] if len(one) > 1],
        "from": f"{first.day} {first:%b}",
        "to": f"{last.day} {last:%b}",
        "said": "; ".join(
            f"week of {day(monday)}: {standing or 'not compared'}" for monday, standing, _ in shown.weeks
        ),
    }
