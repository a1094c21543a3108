"""The Open University's official tables read in plain Python, apart from what delivers and loads them."""

import csv
import gzip
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from tests.reference.daily import Interaction, daily_activity
from tests.reference.university import Activity, Enrolment, Parameters, Source, Teaching, University

FOLDER = Path(__file__).parents[1] / "data" / "oulad"
STARTS = {"2013J": date(2013, 10, 1), "2014J": date(2014, 10, 1), "2013B": date(2013, 2, 1)}
CLICKS, SUBMISSIONS = Source("oulad_vle", "activity", "vle"), Source("oulad_submissions", "activity", "other")


def table(name: str) -> Iterator[dict[str, str]]:
    path = FOLDER / name
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        yield from csv.DictReader(lines)


def student(row: dict[str, str]) -> str:
    return f"{row['code_module']}-{row['code_presentation']}-{row['id_student']}"


def on(row: dict[str, str], column: str) -> date:
    return STARTS[row["code_presentation"]] + timedelta(int(row[column] or 0))


def interactions() -> list[Interaction]:
    found = [
        Interaction(CLICKS.source_id, on(row, "date"), student(row), None, int(row["sum_click"]))
        for row in table("studentVle.csv.gz")
    ]
    assessments = {row["id_assessment"]: row for row in table("assessments.csv")}
    for row in table("studentAssessment.csv"):
        if row["is_banked"] == "0":
            whole = assessments[row["id_assessment"]] | row
            found.append(Interaction(SUBMISSIONS.source_id, on(whole, "date_submitted"), student(whole), None, 1))
    return found


def university(rows: list[Interaction]) -> University:
    """Return what the scores depend on, from the official tables alone."""
    days = {row.day for row in rows}
    span = [min(days) + timedelta(k) for k in range((max(days) - min(days)).days + 1)]
    return University(
        Parameters(
            {"vle": 0.7, "other": 0.3},
            [
                ("programme_cohort", ["programme_code", "cohort"]),
                ("programme", ["programme_code"]),
                ("institution", []),
            ],
        ),
        [CLICKS, SUBMISSIONS],
        [
            Enrolment(
                "enrolments",
                date(2013, 1, 1),
                student(row),
                "active",
                on(row, "date_registration"),
                on(row, "date_unregistration") if row["date_unregistration"] else None,
                {"programme_code": row["code_module"], "cohort": row["code_presentation"]},
            )
            for row in table("studentRegistration.csv")
        ],
        [
            Teaching(
                start := STARTS[row["code_presentation"]],
                start + timedelta(int(row["module_presentation_length"]) - 1),
                row["code_module"],
                row["code_presentation"],
            )
            for row in table("courses.csv")
        ],
        [
            Activity(student_id, day, source_id, interactions)
            for student_id, day, source_id, interactions, *_ in daily_activity(rows, [])
        ],
        {(source.source_id, day) for source in (CLICKS, SUBMISSIONS) for day in span},
    )


def teaching_weeks(model: University) -> list[date]:
    """Return the Mondays of all weeks that touch a presentation."""
    mondays = {
        t.starts_on - timedelta(t.starts_on.weekday()) + timedelta(7 * k) for t in model.calendar for k in range(45)
    }
    return sorted(w for w in mondays if any(w <= t.ends_on and w + timedelta(6) >= t.starts_on for t in model.calendar))
