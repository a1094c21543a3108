"""Ladders of contacts in plain Python, as docs/ladder.md has them: which step is due when, done and stopped by what."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/London")
ORDER = ["superseded", "not_active", "exempt", "answered", "active_again", "nobody_acted"]
PATIENCE = timedelta(28)
"""A step that is due for longer ends its ladder."""

Done = tuple[datetime, str, str]
"""When, by what, and the number of the contact."""
Step = tuple[date | None, Done | None]
"""When it is due, and what did it."""


@dataclass(frozen=True)
class Period:
    kind: str
    starts_on: date
    ends_on: date
    programme: str | None = None


@dataclass(frozen=True)
class Contact:
    contact_id: str
    at: datetime
    outcome: str | None


@dataclass(frozen=True)
class Letter:
    """What became of our e-mail of a step."""

    step_number: int
    at: datetime
    became: Literal["sent", "suppressed", "failed", "late"]
    """late: not written, because the step was done or the ladder had ended."""

    @property
    def done_by(self) -> str:
        return "message" if self.became == "sent" else "skipped"


@dataclass
class Run:
    started_on: date
    waits: list[int]
    """Of each step the working days until the next."""
    stop_when: list[str]
    in_vacations: bool = False
    contacts: list[Contact] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    active_days: list[date] = field(default_factory=list)
    exemptions: list[tuple[date, date]] = field(default_factory=list)
    not_active_as_of: date | None = None
    superseded_at: datetime | None = None


@dataclass(frozen=True)
class Row:
    due_date: date | None
    done_at: datetime | None
    done_by: str | None
    status: str
    is_due_today: bool
    is_overdue: bool
    run_status: str
    stopped_by: str | None


def is_working(day: date, calendar: list[Period], in_vacations: bool) -> bool:
    free = {"closure"} if in_vacations else {"closure", "vacation"}
    return day.weekday() < 5 and not any(
        p.kind in free and p.programme is None and p.starts_on <= day <= p.ends_on for p in calendar
    )


def later(day: date, days: int, calendar: list[Period], in_vacations: bool) -> date:
    """Return the day that is so many working days after another."""
    while days:
        day += timedelta(1)
        days -= is_working(day, calendar, in_vacations)
    return day


def rows(run: Run, calendar: list[Period], now: datetime) -> list[Row]:
    """Return the steps of a run as marts.contact_step has them."""
    today, walked = now.astimezone(ZONE).date(), list(_walk(run, calendar, now))
    stop = _stop(run, walked, now)
    found: list[Step] = []
    for due, done in walked:
        in_time = None if stop and done and done[0] > stop[0] else done
        if stop and in_time is None and _start(due) > stop[0]:
            break
        found.append((due, in_time))
        if in_time is None:
            break
    found += [(None, None)] * (len(run.waits) - len(found))
    is_finished = found[-1][1] is not None
    run_status = "finished" if is_finished else "stopped" if stop else "running"
    told = []
    for due_date, done in found:
        is_due = due_date is not None and due_date <= today
        status = "done" if done else "stopped" if stop else "due" if is_due else "waiting"
        told.append(
            Row(
                due_date,
                done and done[0],
                done and done[1],
                status,
                status == "due" and is_working(today, calendar, run.in_vacations),
                status == "due" and due_date is not None and due_date < today,
                run_status,
                stop[1] if stop and run_status == "stopped" else None,
            )
        )
    return told


def _walk(run: Run, calendar: list[Period], now: datetime) -> Iterator[tuple[date, Done | None]]:
    """Give the steps up to the first that is not done, as if nothing ended the ladder."""
    due = later(run.started_on - timedelta(1), 1, calendar, run.in_vacations)
    for number, wait in enumerate(run.waits, start=1):
        ways = [(c.at, "contact", c.contact_id) for c in run.contacts if _start(due) <= c.at <= now]
        letters = [x for x in run.letters if x.step_number == number and x.became != "late"]
        ways += [(x.at, x.done_by, "") for x in letters]
        done = min(ways, default=None)
        yield due, done
        if done is None:
            return
        due = later(done[0].astimezone(ZONE).date(), wait, calendar, run.in_vacations)


def _stop(run: Run, walked: list[tuple[date, Done | None]], now: datetime) -> tuple[datetime, str] | None:
    today, ends = now.astimezone(ZONE).date(), []
    for due, done in walked:
        too_late = _start(due + PATIENCE + timedelta(1))
        if (done[0] if done else now) > too_late:
            ends.append((too_late, "nobody_acted"))
    if run.superseded_at:
        ends.append((run.superseded_at, "superseded"))
    if run.not_active_as_of:
        ends.append((_start(max(run.started_on, run.not_active_as_of)), "not_active"))
    for first, last in run.exemptions:
        if last >= run.started_on and first <= today:
            ends.append((_start(max(run.started_on, first)), "exempt"))
    if "answered" in run.stop_when:
        ends += [
            (c.at, "answered")
            for c in run.contacts
            if c.outcome and c.outcome.lower() == "reached" and _start(run.started_on) <= c.at <= now
        ]
    if "active_again" in run.stop_when:
        ends += [(_start(day), "active_again") for day in run.active_days if run.started_on <= day <= today]
    return min(ends, key=lambda end: (end[0], ORDER.index(end[1])), default=None)


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), ZONE)
