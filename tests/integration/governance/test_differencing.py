"""An attacker who reads all that is published of small universities learns of no small number what it is, or is not."""

import random
from collections import defaultdict
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engage.governance import disclosure, editions
from engage.governance.periods import Kind
from tests.integration.governance.kit import FIRST, NOW, Registry
from tests.integration.governance.people import MONDAY, faculty_of, groups, published, university
from tests.reference.governance import Attacker, Cell, Student, count, learnt, weeks_of

UNIVERSITIES = st.builds(university, st.integers(0, 10**6), st.integers(12, 200), st.integers(1, 3), st.integers(1, 7))


def attack(students: list[Student]) -> dict[tuple[object, ...], set[int]]:
    attacker = Attacker(published(students), groups(students), faculty_of(students))
    return learnt(attacker, count(MONDAY, students))


@settings(max_examples=8, deadline=None, derandomize=True)
@given(UNIVERSITIES)
def test_of_no_small_number_anything_can_be_ruled_out(students: list[Student]) -> None:
    assert attack(students) == {}


def test_rounding_alone_gives_small_numbers_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attacker is able to: were nothing hidden, small numbers would be known."""
    monkeypatch.setattr(disclosure, "to_hide", lambda counts, relations: set())
    monkeypatch.setattr(disclosure, "is_safe", lambda counts, relations: True)
    known = [values for seed in range(4) for values in attack(university(seed, 60)).values()]
    assert known and min(map(len, known)) < 3


def test_no_two_editions_tell_more_than_one(registry: Registry) -> None:
    """Weeks, a month of them and the term; between them a hold resolved late, a student erased, a week restated."""
    weeks = weeks_of(FIRST, 5)
    students = university(11, 70)
    by_week = [[replace(one, score=max(0, one.score - 40 * n)) for one in students] for n in range(5)]
    registry.enrol(students)
    draw, made = random.Random(1), []
    truth: dict[Cell, int] = {}
    for n, week in enumerate(weeks):
        registry.score(week, by_week[n])
        truth |= count(week, by_week[n])
        for student in range(70):
            if draw.random() < 0.1:
                resolved = week + timedelta(days=7) if draw.random() < 0.5 else None
                status = "raised" if resolved is None else draw.choice(("raised", "dropped"))
                registry.notify(f"S{student}", week, status, "no_digital_activity", resolved)
        made.append(make(registry, "weekly", week, n))
    made.append(make(registry, "monthly", weeks[-1], 40))
    truth |= flows(registry, [*periods(registry, weeks), (FIRST, weeks, "term")])
    before = [row for edition in made for row in registry.rows(edition)]
    assert_same_between(before)

    erased = next(n for n, one in enumerate(students) if one.score < 350)
    registry.erase(f"S{erased}")
    made.append(make(registry, "on_request", weeks[-1], 41))
    after = [row for edition in made for row in registry.rows(edition)]
    assert_same_between(after)

    known = groups(students) - {("all", "all")}
    attacker = Attacker(distinct(after), known, faculty_of(students), periods(registry, weeks))
    # A period counted after the erasure has one notification less; only the weeks and what was counted before is true.
    assert {cell: left for cell, left in learnt(attacker, truth).items() if made[-1] not in cell} == {}

    restated = [replace(one, score=one.score // 2) for one in by_week[-1]]
    registry.score(weeks[-1], restated, revision=2, at=NOW + timedelta(days=50))
    registry.erase(f"S{erased}")
    del restated[erased]
    newest = [row for row in registry.rows(make(registry, "weekly", weeks[-1], 60)) if row.period_start == weeks[-1]]
    attacker = Attacker([row for row in newest if row.figure_id != "notifications"], known, faculty_of(students))
    assert learnt(attacker, count(weeks[-1], restated)) == {}


def test_an_older_edition_made_again_tells_no_more(registry: Registry) -> None:
    """After the weeks, their month and the term; what was held in that week has been resolved meanwhile."""
    weeks = weeks_of(FIRST, 5)
    students = university(12, 70)
    registry.enrol(students)
    draw, made = random.Random(2), []
    for n, week in enumerate(weeks):
        registry.score(week, students)
        for student in range(70):
            if draw.random() < 0.1:
                status = draw.choice(("raised", "dropped"))
                resolved = week + timedelta(days=7) if status == "dropped" or draw.random() < 0.5 else None
                registry.notify(f"S{student}", week, status, "no_digital_activity", resolved)
        made.append(make(registry, "weekly", week, n))
    made.append(make(registry, "monthly", weeks[-1], 40))
    made.append(make(registry, "on_request", weeks[-1], 41))
    released = [registry.rows(edition) for edition in made]

    restated = [replace(one, score=one.score // 2) for one in students]
    registry.score(weeks[2], restated, revision=2, at=NOW + timedelta(days=50))
    made.append(make(registry, "weekly", weeks[2], 60))
    assert made[-1] == f"{made[2]}-2"
    assert [registry.rows(edition) for edition in made[:-1]] == released

    known = groups(students) - {("all", "all")}
    told = [row for edition in made for row in registry.rows(edition) if row.figure_id == "notifications"]
    attacker = Attacker(distinct(told), known, faculty_of(students), periods(registry, weeks))
    assert learnt(attacker, flows(registry, periods(registry, weeks))) == {}
    newest = [row for row in registry.rows(made[-1]) if row.period_start == weeks[2]]
    attacker = Attacker([row for row in newest if row.figure_id != "notifications"], known, faculty_of(students))
    assert learnt(attacker, count(weeks[2], restated)) == {}


def make(registry: Registry, kind: Kind, week: date, days: int) -> str:
    """Make the edition that ends with a week; `days` later than NOW."""
    first = FIRST if kind == "on_request" else week
    period = None if kind == "monthly" else (first, week + timedelta(days=6))
    return editions.make(registry.connection, kind, period, NOW + timedelta(days=days))


def assert_same_between(rows: list[Any]) -> None:
    """Whatever is late, corrected or erased: what is shown of a week is the same in every edition."""
    by_cell: dict[Cell, set[object]] = defaultdict(set)
    for row in rows:
        if (row.dimension == "all" and row.figure_id == "notifications") or row.figure_id in (
            "students_scored",
            "declining",
        ):
            by_cell[row[1:6]].add((row.value, row.suppressed))
    assert {len(values) for values in by_cell.values()} == {1}


def distinct(rows: list[Any]) -> list[Any]:
    """Return every number once; those of periods by edition."""
    return list({(row[1:] if row.figure_id != "notifications" else row): row for row in rows}.values())


def periods(registry: Registry, weeks: list[date]) -> list[tuple[date, list[date], str]]:
    found = registry.connection.execute(
        "select period_start, period_end, edition_id from governance.edition"
    ).fetchall()
    return [(start, [week for week in weeks if start <= week <= end], str(name)) for start, end, name in found]  # type: ignore[operator, misc]


def flows(registry: Registry, of: list[tuple[date, list[date], str]]) -> dict[Cell, int]:
    """Count notifications as they happened, by week, and by faculty in every period."""
    events = registry.connection.execute(
        """
        select date_trunc('week', at)::date, kind || ':' || what, faculty_code, count(*) from (
            select student_id, kind, 'raised' as what, raised_at as at from ops.notification
            union all
            select student_id, kind, 'held', noticed_at from ops.notification
            where raised_at > noticed_at or raised_at is null
            union all
            select student_id, kind, status, resolved_at from ops.notification where status = 'dropped'
        ) as e inner join raw.enrolments using (student_id) where at is not null group by 1, 2, 3
        """
    ).fetchall()
    found: dict[Cell, int] = defaultdict(int)
    for week, category, faculty, number in events:
        found["notifications", week, "all", "all", category] += number  # type: ignore[operator]
        for start, inside, name in of:
            if week in inside:
                found["notifications", start, "faculty", faculty, category, name] += number  # type: ignore[operator]
    return found
