"""Which weeks a governance summary is about: the newest week, month or term that is over, or from one day to another.

A period is whole weeks, Monday to Sunday; a week belongs to the month in which it ends. Only published weeks count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from engage import clock
from engage.decisions import DecisionError
from engage.warehouse import Connection

Kind = Literal["weekly", "monthly", "termly", "on_request"]
SCHEDULED: tuple[Kind, ...] = ("weekly", "monthly", "termly")
TREND_WEEKS = 12
"""So many published weeks at least are in every edition."""
WAITS = timedelta(days=3)
"""For the last week of a month or term to be published: it might never be."""
_WEEKS = "select distinct week_start from ops.publication where state = 'published' order by 1"
_TERMS = """
with newest as (select source_id, max(as_of_date) as as_of_date from raw.term_calendar group by source_id)
select term_code, min(starts_on), max(ends_on)
from raw.term_calendar inner join newest using (source_id, as_of_date)
where kind = 'teaching' and term_code is not null
group by term_code
order by 2, 1
"""


@dataclass(frozen=True)
class Period:
    """From a Monday to a Sunday, with the published weeks in it."""

    start: date
    end: date
    weeks: tuple[date, ...]
    title: str


@dataclass(frozen=True)
class Calendar:
    """What has been published, and when terms are."""

    weeks: Sequence[date]
    """Mondays of published weeks."""
    terms: Sequence[tuple[str, date, date]]
    """Code, first and last day, the earliest first."""
    today: date

    def of(self, kind: Kind) -> Period | None:
        """Return the newest period of a kind that is over and published; on request: the term until now."""
        if kind != "on_request":
            return found[-1] if (found := self.all(kind)) else None
        return self._period(self.term_start(self.weeks[-1]), self._sunday(self.weeks[-1])) if self.weeks else None

    def all(self, kind: Kind) -> list[Period]:
        """Return every period of a scheduled kind that is over and published, the oldest first; on request: none."""
        if not self.weeks:
            return []
        spans: list[tuple[date, date, str]] = []
        if kind == "weekly":
            spans = [(week, self._sunday(week), "") for week in self.weeks]
        elif kind == "monthly":
            spans = self._months()
        elif kind == "termly":
            spans = [(start, end, f"Term {code}") for code, start, end in self.terms if self._is_over(end)]
        return [period for span in spans if (period := self._period(*span))]

    def why_none(self, kind: Kind) -> str:
        """Say why no period of a kind is over and published."""
        if not self.weeks:
            return "no week with published scores is over yet: there is nothing to sum up"
        if kind == "termly" and not self.terms:
            return "no source of the term calendar has said when terms are, so that none can be summed up"
        running = [f" ({term} ends on {_said(end)})" for term, _, end in self.terms if not self._is_over(end)]
        told = running[0] if kind == "termly" and running else ""
        name = {"termly": "term", "monthly": "month"}.get(kind, "week")
        return f"no {name} with published scores is over yet{told}: --kind on-request sums up the weeks that are"

    def between(self, kind: Kind, start: date, end: date) -> Period:
        """Return the whole weeks from one day to another, by the name that a period of the kind has.

        Raises DecisionError when none of them is published.
        """
        named = [one for one in self.all(kind) if (one.start, one.end) == (start, end)]
        if found := named[-1] if named else self._period(start, end):
            return found
        raise DecisionError(f"no whole week between {start} and {end} has published scores")

    def term_start(self, day: date) -> date:
        """Return when the term of a day began; without a term, the first week of a trend."""
        begun = [start for _, start, _ in self.terms if start <= day + timedelta(days=6)]
        return begun[-1] if begun else self.trend(day)[0]

    def trend(self, last: date) -> list[date]:
        """Return the weeks of a trend that ends with a week."""
        return [week for week in self.weeks if week <= last][-TREND_WEEKS:]

    def _months(self) -> list[tuple[date, date, str]]:
        months = []
        last = self.today.replace(day=1) - timedelta(days=1)
        while last >= self.weeks[0]:
            first = last.replace(day=1)
            ends = [first + timedelta(days=n) for n in range(last.day)]
            sundays = [day for day in ends if day.weekday() == 6]
            if self._is_over(sundays[-1]):
                months.append((sundays[0] - timedelta(days=6), sundays[-1], f"{first:%B %Y}"))
            last = first - timedelta(days=1)
        return months[::-1]

    @staticmethod
    def _sunday(week: date) -> date:
        return week + timedelta(days=6)

    def _is_over(self, end: date) -> bool:
        """Say whether a day has passed, and its week is published or not waited for any longer."""
        monday = end - timedelta(days=end.weekday())
        return end < self.today and (self.weeks[-1] >= monday or self.today > monday + timedelta(days=6) + WAITS)

    def _within(self, start: date, end: date) -> tuple[date, ...]:
        monday = start - timedelta(days=start.weekday())
        sunday = end + timedelta(days=6 - end.weekday())
        return tuple(week for week in self.weeks if monday <= week <= sunday - timedelta(days=6))

    def _period(self, start: date, end: date, title: str = "") -> Period | None:
        weeks = self._within(start, end)
        if not weeks:
            return None
        monday, sunday = start - timedelta(days=start.weekday()), end + timedelta(days=6 - end.weekday())
        said = (
            f"{_said(monday)} to {_said(sunday)}" if sunday - monday > timedelta(days=6) else f"Week of {_said(monday)}"
        )
        return Period(monday, sunday, weeks, title or said)


def calendar(connection: Connection, now: datetime) -> Calendar:
    """Ask the warehouse."""
    weeks = [row[0] for row in connection.execute(_WEEKS).fetchall()]
    terms = [tuple(row) for row in connection.execute(_TERMS).fetchall()]
    return Calendar(weeks, terms, clock.local(connection, now).date())  # type: ignore[arg-type]


def _said(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
