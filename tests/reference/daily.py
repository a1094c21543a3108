"""Daily activity in plain Python, from the published definitions: what `daily_activity` must hold for given rows."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True)
class Interaction:
    source_id: str
    day: date
    student_id: str
    occurred_at: datetime | None
    quantity: int


@dataclass(frozen=True)
class Session:
    source_id: str
    day: date
    student_id: str
    starts_at: datetime
    is_mandatory: bool
    is_attended: bool


Row = tuple[str, date, str, int, int, datetime | None, datetime | None, int | None, int | None]
"""Student, day, source, interactions, events, first_at, last_at, expected, attended."""


def daily_activity(interactions: list[Interaction], sessions: list[Session]) -> list[Row]:
    """Return the rows of `daily_activity`, sorted by student, day and source."""
    rows: list[Row] = []
    by_day: dict[tuple[str, date, str], list[Interaction]] = defaultdict(list)
    for i in interactions:
        by_day[i.student_id, i.day, i.source_id].append(i)
    for key, found in by_day.items():
        times = [i.occurred_at for i in found if i.occurred_at is not None]
        if total := sum(i.quantity for i in found):
            rows.append((*key, total, len(found), min(times, default=None), max(times, default=None), None, None))
    register: dict[tuple[str, date, str], list[Session]] = defaultdict(list)
    for s in sessions:
        register[s.student_id, s.day, s.source_id].append(s)
    for key, on_register in register.items():
        attended = [s.starts_at for s in on_register if s.is_attended]
        mandatory = [s for s in on_register if s.is_mandatory]
        if attended or mandatory:
            n = len(attended)
            present = sum(s.is_attended for s in mandatory)
            first, last = min(attended, default=None), max(attended, default=None)
            rows.append((*key, n, n, first, last, len(mandatory), present))
    return sorted(rows, key=lambda r: r[:3])
