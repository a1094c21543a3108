"""How evidence about a student is put to a person: what happened, how they fare, what is due. Never the score itself.

Words only: what a letter looks like is people_letters.py's and the templates'.
"""

from collections.abc import Sequence
from datetime import date, datetime
from itertools import groupby

from engage.contact.people import Student
from engage.contact.recipients import Waiting

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_BANDS = ((350, "well below"), (450, "below"), (550, "around"), (1001, "above"))
_GROUPS = {
    "programme_year": "students of the same programme and year",
    "programme": "students of the same programme",
    "faculty": "students of the faculty",
    "institution": "all students",
}
_CLEARLY = 50
"""Points in four weeks; less is no movement."""


def day(of: date) -> str:
    """Say a day: `10 March`."""
    return f"{of.day} {of:%B}"


def weekday(of: date) -> str:
    """Say a day: `Tue 10 March`."""
    return f"{of:%a} {day(of)}"


def span(first: date, last: date) -> str:
    """Say days from first to last: `1 to 7 March`."""
    if first == last:
        return day(first)
    return f"{first.day if (first.year, first.month) == (last.year, last.month) else day(first)} to {day(last)}"


def many(number: int, thing: str) -> str:
    """Say how many: `three weeks`."""
    said = _NUMBERS[number] if number < len(_NUMBERS) else f"{number:,}"
    return f"{said} {thing}{'s' * (number != 1)}"


def happened(told: Waiting, local: datetime) -> str:
    """Say what a notification is about, with its evidence, for staff. `local`: now, in the institution's zone."""
    if told.about == "score" or told.about is None or not told.evidence or "from" not in told.evidence:
        when = f", week of {day(told.week_start)}" if told.week_start else ""
        return f"Weekly engagement{when}: {told.rule_title or 'a rule applies'}."
    evidence = told.evidence
    first, last = date.fromisoformat(evidence["from"]), date.fromisoformat(evidence["to"])
    counts = evidence.get("interactions") or {}
    total = sum(int(count) for count in counts.values())
    # How far each system was complete is why this may be said at all.
    complete = f"complete data from {many(len(counts), 'system')}"
    if told.about == "no_digital_activity":
        said = f"No digital activity on {span(first, last)}: {complete}."
        silent = int(evidence.get("silent_days") or 0)
        said += f" By then {many(silent, 'day')} in a row." * (silent > int(evidence.get("days") or 0))
    else:
        said = f"Hardly any activity on {span(first, last)}: {many(total, 'interaction')} in all, online and in class;"
        said += f" {complete}."
    raised = told.raised_at and told.raised_at.astimezone(local.tzinfo)
    if raised and told.trigger_date and raised.date() > told.trigger_date:
        said += f" Known late: the data of these days was not whole before {day(raised)}."
    return said


def in_short(told: Waiting) -> str:
    """Say what was told before, in a few words."""
    evidence = told.evidence or {}
    if told.about in ("no_digital_activity", "low_activity") and "from" in evidence:
        days = span(date.fromisoformat(evidence["from"]), date.fromisoformat(evidence["to"]))
        return f"{'no digital activity' if told.about == 'no_digital_activity' else 'hardly any activity'} on {days}"
    when = f", week of {day(told.week_start)}" if told.week_start else ""
    return f"weekly engagement{when}: {told.rule_title or 'a rule applies'}"


def why_not(told: Waiting, came: Sequence[tuple[str, Sequence[date]]]) -> str:
    """Say why what was told does not hold. `came`: sources with more activity than was known, and its days."""
    if came:
        shown = "; ".join(f"{title}, {days(on)}" for title, on in came)
        return f"data that came since shows activity ({shown})"
    return told.reason or "what it rested on was corrected"


def days(some: Sequence[date]) -> str:
    """Say days, in a row as spans: `3 to 5 March, 7 March`."""
    runs = [
        [one for _, one in run]
        for _, run in groupby(enumerate(sorted(set(some))), lambda at: at[1].toordinal() - at[0])
    ]
    return ", ".join(span(run[0], run[-1]) for run in runs)


def trend(student: Student) -> str | None:
    """Say where the student stands among their peers, and which way it goes; None: there is no recent score."""
    if student.score is None or student.week_start is None:
        return None
    band = next(said for below, said in _BANDS if student.score < below)
    group = _GROUPS.get(student.peer_level or "", "comparable students")
    falling, change = student.weeks_falling or 0, student.change_4w
    if falling >= 2:
        way = f", and falling for {many(falling, 'week')}"
    elif change is not None and change < -_CLEARLY:
        way = ", and lower than four weeks before"
    elif student.recovering or (change is not None and change > _CLEARLY):
        way = ", and rising"
    else:
        way = "" if change is None else ", and steady"
    return f"{band.capitalize()} the average of {group}{way} (week of {day(student.week_start)})."


def attendance(student: Student) -> str | None:
    """Say how many of the expected sessions were attended; None: none were expected."""
    share = student.attendance_4w
    if share is None:
        return None
    word = next(word for low, word in ((80, "Good"), (50, "Patchy"), (-1, "Low")) if share >= low)
    return f"{word}: {share:.0f} % of the sessions of the last four teaching weeks."


def in_touch(student: Student, local: datetime) -> str:
    """Say when somebody was in contact last, and whether a case is open."""
    if student.contacted_at is None:
        contact = "No contact is on record"
    else:
        ago = (local.date() - student.contacted_at.astimezone(local.tzinfo).date()).days
        contact = "Last contact today" if ago <= 0 else f"Last contact {many(ago, 'day')} ago"
    if student.case_since is None:
        return f"{contact}; no open case."
    return f"{contact}; a case has been open since {day(student.case_since.astimezone(local.tzinfo))}."


def step(told: Waiting) -> str:
    """Say which step of a ladder is due: what, how, by when."""
    content = told.content
    due = content.get("due_date")
    said = str(content.get("title") or "The next step of the contact ladder")
    channel = str(content.get("channel") or "").replace("_", " ")
    said += f" (by {channel})" if channel and channel.lower() not in said.lower() else ""
    return f"{said}; due {weekday(date.fromisoformat(str(due)))}." if due else f"{said}."
