"""Students, days and files for the tests of exemptions."""

from datetime import UTC, date, datetime, time
from pathlib import Path

STUDENTS = ["s1", "s2", "s3"]
DAY = date(2026, 6, 1)
ABSENCE, PLACEMENT = "Authorised Absence", "Practice Placement Block"
HEADER = "student_id,exemption_type,starts_on,ends_on"


def june(day: int) -> date:
    return date(2026, 6, day)


def at(day: date, hour: int = 12) -> datetime:
    return datetime.combine(day, time(hour), UTC)


def file_of(path: Path, *lines: str, header: str = HEADER, encoding: str = "utf-8") -> Path:
    path.write_text("\n".join([header, *lines, ""]), encoding=encoding)
    return path
