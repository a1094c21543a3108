"""Readings that overlap, and lists that shrink: what is read twice counts once, fewer are a fault until released."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tests.integration.gate.kit import EVENTS, Gate

MONDAY = datetime(2026, 10, 5, 23, tzinfo=UTC)
"""Where 6 October begins in London."""
COUNTED = EVENTS | {"drop": [{"column": "kind", "equals": ["enrolment"], "reason": "an enrolment"}]}
AS_MANY = {
    "type": "expect_dropped_rows_not_to_shrink",
    "kwargs": {"reason": "an enrolment", "may_shrink_by": 20},
    "severity": "critical",
    "meta": {"id": "as_many", "title": "There are not more than 20 % fewer enrolments"},
}


def event(number: int, at: datetime, component: str = "mod_page") -> dict[str, Any]:
    return {"id": number, "user": {"username": "ab1"}, "time": at.isoformat(), "component": component}


def reading(day: int, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what a reading that ends with this day of October delivers."""
    start = MONDAY + timedelta(days=day - 6)
    return {
        "content": "".join(json.dumps(line) + "\n" for line in lines).encode(),
        "name": f"reading {day}",
        "day": date(2026, 10, day),
        "version_at": start + timedelta(days=1, hours=6),
        "window": (start, start + timedelta(days=1)),
    }


def test_what_the_overlap_brings_again_is_there_once_and_touches_no_day(gate: Gate) -> None:
    source = gate.source(EVENTS)
    gate.know("ab1", kind="username")
    late = [event(n, MONDAY + timedelta(hours=23, minutes=40)) for n in (1, 2)]
    gate.deliver(source, **reading(6, late))
    gate.process(source)
    gate.execute("delete from ops.touched_day")
    news = event(4, MONDAY + timedelta(hours=30))
    gate.deliver(source, **reading(7, [*late, news]))
    gate.process(source)
    assert gate.execute("select event_id from raw.activity order by 1") == [("1",), ("2",), ("4",)]
    assert gate.execute("select day from ops.touched_day") == [(date(2026, 10, 7),)]
    gate.execute("delete from ops.touched_day")
    # The third came late, and the second is another than it was.
    changed = event(2, MONDAY + timedelta(hours=23, minutes=40), "mod_quiz")
    gate.deliver(source, **reading(8, [late[0], changed, event(3, MONDAY + timedelta(hours=23, minutes=50)), news]))
    gate.process(source)
    found = gate.execute("select event_id, resource_type from raw.activity order by 1")
    assert found == [("1", "mod_page"), ("2", "mod_quiz"), ("3", "mod_page"), ("4", "mod_page")]
    assert gate.execute("select day from ops.touched_day") == [(date(2026, 10, 6),)]


def test_a_list_that_shrinks_is_held_until_a_person_releases_it(gate: Gate) -> None:
    source = gate.source(COUNTED)
    gate.know("ab1", kind="username")

    def states(*counts: int) -> list[str]:
        """Deliver readings with so many enrolments each, from the day after the last on."""
        for count in counts:
            ((day,),) = gate.execute("select 6 + count(*)::integer from ops.delivery")
            lines = [event(day, MONDAY + timedelta(days=day - 6)), *[{"kind": "enrolment"}] * count]
            gate.deliver(source, **reading(day, lines))
        return [outcome.state for outcome in gate.process(source, gate.suite(source, AS_MANY))]

    assert states(10, 8, 5) == ["published", "published", "held"]
    assert states(5) == ["held"], "not the held one is what it is compared with"
    gate.execute("update ops.batch set state = 'published' where batch_id = (select max(batch_id) from ops.batch)")
    assert states(5, 0) == ["published", "held"]
