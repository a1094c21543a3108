"""The cases that the product promises, by name: when silence triggers, when it does not, and what becomes of a hold."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from tests.integration.dbt.conftest import Project
from tests.integration.dbt.silence import Judge, compiled, told, tomorrow
from tests.integration.dbt.test_daily_marts import build as build  # the fixture
from tests.integration.dbt.test_daily_marts import put
from tests.reference.scoring import Activity, Parameters, Source, Teaching, University
from tests.reference.silence import Exempt, Feed, History, Term, Trigger, span
from tests.reference.university import Enrolment

Connection = psycopg.Connection[Any]
FIRST, LAST = date(2026, 2, 16), date(2026, 4, 30)
DAYS = span(FIRST, LAST)
VLE, PORTAL = Feed("vle"), Feed("portal")
REGISTER = Feed("register", is_digital=False, record="attendance", category="attendance")


def march(day: int) -> date:
    return date(2026, 3, 1) + timedelta(day - 1)


def university(silent: dict[str, tuple[date, date]], until: date, **away: tuple[str, date, date]) -> History:
    """Return a university in which each student does something every day but from one day until another."""
    covered = {(feed.source_id, day): True for feed in (VLE, PORTAL, REGISTER) for day in span(FIRST, until)}
    rows = [Enrolment("enrolments", FIRST, s, "active", None, None, {"programme_code": "P1"}) for s in silent]
    rows += [Enrolment("enrolments", FIRST, s, status, begins, ends, {}) for s, (status, begins, ends) in away.items()]
    activity = {
        (student, day, source): 3
        for student, (begins, ends) in silent.items()
        for day in span(FIRST, until)
        for source in ("vle", "register")
        if not begins <= day <= ends
    }
    return History([VLE, PORTAL, REGISTER], rows, [Term("teaching", FIRST, LAST)], activity, covered)


@pytest.fixture
def judge(connection: Connection, project: Project) -> Judge:
    """A judge of nights; all is rolled back when its connection is closed."""
    return Judge(connection, compiled(project.home))


def nights(judge: Judge, known: Callable[[date], History], first: date, last: date) -> dict[str, list[date]]:
    """Judge every night from the one after `first` to the one after `last`; return what was raised, by student."""
    for day in span(first, last):
        judge.evaluate(known(day), tomorrow(day))
    assert not judge.connection.execute("select from ops.notification where raised_at::date <> trigger_date").fetchall()
    return judge.dates()


def test_nothing_from_1_to_7_march_triggers_on_8_march_and_then_every_seven_days(judge: Judge) -> None:
    silent = {"a": (march(1), march(7)), "b": (march(3), march(25)), "c": (march(1), march(6)), "d": (march(99), LAST)}
    found = nights(judge, lambda day: university(silent, day), march(5), march(27))
    assert found == {"a": [march(8)], "b": [march(10), march(17), march(24)]}
    ((evidence,),) = judge.connection.execute(
        "select evidence from ops.notification where kind = 'no_digital_activity' "
        "and student_id = 'b' and trigger_date = %s",
        [march(17)],
    ).fetchall()
    assert evidence == {
        "from": "2026-03-10", "to": "2026-03-16", "days": 7, "silent_days": 14, "last_digital_date": "2026-03-02",
        "interactions": {"vle": 0, "portal": 0}, "complete": True, "missing": [],
    }  # fmt: skip


def test_activity_begins_the_count_anew_on_any_digital_system_and_on_no_other(judge: Judge) -> None:
    known = university({"a": (march(1), march(20)), "b": (march(1), march(20))}, march(20))
    known.activity["a", march(5), "portal"] = 1
    known.activity["b", march(5), "register"] = 1
    judge.evaluate(known, march(21))
    assert judge.dates() == {"a": [march(13), march(20)], "b": [march(8), march(15)]}


def test_who_is_suspended_on_placement_abroad_or_gone_is_never_flagged(judge: Judge) -> None:
    statuses = ["suspended", "placement", "study_abroad", "withdrawn"]
    silent = {"none": (march(1), march(31)), **{s: (march(1), march(31)) for s in statuses}}
    away = {status: (status, march(1), march(22)) for status in statuses}
    found = nights(judge, lambda day: university(silent, day, **away), march(7), march(31))
    # Back on the 22nd, silence counts from then on.
    assert found == {"none": [march(d) for d in (8, 15, 22, 29)], **{status: [march(29)] for status in statuses}}


def test_an_exemption_prevents_what_falls_into_it_and_one_made_afterwards_cancels_nothing(judge: Judge) -> None:
    silent = {name: (march(1), march(31)) for name in ("before", "after", "reaching back", "trigger date")}
    exemptions = [
        Exempt("before", march(4), march(12), march(2)),
        Exempt("after", march(9), march(12), march(8)),
        Exempt("reaching back", march(1), march(12), march(9)),
        Exempt("trigger date", march(8), march(8), march(7)),
    ]

    def known(day: date) -> History:
        return replace(university(silent, day), exemptions=[e for e in exemptions if e.created_on <= day])

    assert nights(judge, known, march(6), march(20)) == {
        "before": [march(20)],
        "after": [march(8), march(20)],
        "reaching back": [march(8), march(20)],
        "trigger date": [march(16)],
    }
    assert set(judge.found()) == {"raised"}


@pytest.mark.parametrize("missing", [1, 4, 7])
def test_a_feed_missing_on_any_of_the_seven_days_flags_nobody_until_it_arrives(judge: Judge, missing: int) -> None:
    """The hold names feed and day; when it comes exactly the truly silent are raised, late."""
    truth = university({"silent": (march(1), march(12)), "busy": (march(1), march(7))}, march(9))
    truth.activity["busy", march(missing), "portal"] = 2
    hole = ("portal", march(missing))
    blind = replace(
        truth,
        covered={key: good for key, good in truth.covered.items() if key != hole},
        activity={key: n for key, n in truth.activity.items() if key[:0:-1] != hole},
    )
    judge.evaluate(blind, march(10))
    assert judge.found() == {
        "held": {Trigger("no_digital_activity", s, march(8)): ((march(missing), "portal"),) for s in ("silent", "busy")}
    }
    ((reason,),) = judge.connection.execute("select distinct reason from ops.notification").fetchall()
    assert f"portal on {missing} Mar" in reason and told(reason) == {"portal"}
    # A file of poor quality is no evidence either.
    judge.evaluate(replace(truth, covered=truth.covered | {hole: False}), march(11))
    assert "raised" not in judge.found()
    assert judge.evaluate(truth, march(12)) == []
    assert judge.dates() == {"silent": [march(8)]}
    assert judge.dates("dropped") == {"busy": [march(8)]}
    ((raised,),) = judge.connection.execute(
        "select raised_at::date from ops.notification where status = 'raised'"
    ).fetchall()
    assert raised == march(12)


def test_a_hold_of_more_than_fourteen_days_is_undetermined_for_good(judge: Judge) -> None:
    truth = university({"silent": (march(1), march(7))}, march(30))
    blind = replace(truth, covered={k: good for k, good in truth.covered.items() if k != ("vle", march(2))})
    judge.evaluate(blind, march(22))
    assert judge.dates("held") == {"silent": [march(8)]}
    judge.evaluate(blind, march(23))
    assert judge.dates("undetermined") == {"silent": [march(8)]}
    judge.evaluate(truth, march(24))
    assert set(judge.found()) == {"undetermined"}


def test_silence_of_long_ago_that_a_backfill_explains_later_is_not_closed_for_good(judge: Judge) -> None:
    truth = university({"silent": (march(1), march(7))}, march(30))
    part = replace(truth, covered={k: good for k, good in truth.covered.items() if k != ("vle", march(2))})
    judge.evaluate(part, march(28))
    assert judge.dates("undetermined") == {"silent": [march(8)]}
    judge.evaluate(truth, march(28))
    assert judge.dates("raised") == {"silent": [march(8)]}


def test_a_correction_that_adds_activity_supersedes_and_one_that_takes_it_away_raises(judge: Judge) -> None:
    before = university({"a": (march(1), march(20)), "b": (march(2), march(20))}, march(9))
    judge.evaluate(before, march(10))
    assert judge.dates() == {"a": [march(8)], "b": [march(9)]}
    ((number,),) = judge.connection.execute("select notification_id from ops.notification where student_id = 'a'")
    corrected = replace(before, activity=before.activity | {("a", march(4), "vle"): 1})
    assert judge.evaluate(corrected, march(10)) == [number]
    assert judge.dates() == {"b": [march(9)]}
    assert judge.evaluate(before, march(11)) == []
    assert judge.dates() == {"a": [march(8)], "b": [march(9)]}


def test_a_registry_that_tells_late_of_a_placement_withdraws_what_was_raised(judge: Judge) -> None:
    before = university({"a": (march(1), march(20))}, march(10))
    judge.evaluate(before, march(11))
    told_late = [replace(e, as_of=march(11)) for e in before.enrolments]
    told_late.append(replace(told_late[0], status="placement", status_from=march(5), status_to=march(25)))
    after = replace(before, enrolments=before.enrolments + told_late)
    assert len(judge.evaluate(after, march(12))) == 1
    assert judge.dates("superseded") == {"a": [march(8)]}
    taken_back = [replace(e, as_of=march(12)) for e in before.enrolments]
    judge.evaluate(replace(before, enrolments=after.enrolments + taken_back), march(13))
    assert judge.dates() == {"a": [march(8)]}


def test_a_run_that_was_killed_between_two_models_withdraws_nothing_and_forgets_no_day(judge: Judge) -> None:
    before = university({"a": (march(1), march(20)), "b": (march(3), march(20))}, march(10))
    judge.evaluate(before, march(8))
    assert judge.dates() == {"a": [march(8)]}
    judge.evaluate(before, march(11), killed_after="int_inactivity_day")
    assert judge.dates() == {"a": [march(8)]}
    judge.evaluate(before, march(11))
    assert judge.dates() == {"a": [march(8)], "b": [march(10)]}


def test_days_on_which_no_digital_source_was_enabled_are_no_silence(judge: Judge) -> None:
    """The old system is switched off on the 5th, the new one on from the 9th: nobody looked in between."""
    known = university({"a": (march(1), march(31))}, march(17))
    feeds = [replace(VLE, disabled_from=march(5)), replace(PORTAL, enabled_from=march(9)), REGISTER]
    judge.evaluate(replace(known, feeds=feeds), march(18))
    assert judge.dates() == {"a": [march(16)]}


def test_low_activity_needs_the_register_too_and_comes_again_after_as_many_days(judge: Judge) -> None:
    known = university({"low": (march(1), march(31)), "seen": (march(1), march(31))}, march(31))
    known.activity["low", march(3), "vle"] = 2
    known.activity.update({("seen", march(d), "register"): 3 for d in (9, 22)})
    judge.evaluate(known, tomorrow(march(31)))
    assert judge.dates(kind="low_activity") == {"low": [march(15), march(29)]}
    blind = {key: good for key, good in known.covered.items() if key != ("register", march(20))}
    judge.evaluate(replace(known, covered=blind), tomorrow(march(31)))
    # What was raised stays; it rested on what was complete then.
    assert judge.dates(kind="low_activity") == {"low": [march(15), march(29)]}


def test_the_rating_falls_gradually_and_a_couple_of_days_off_is_never_inactive(
    connection: Connection, build: Callable[[], None]
) -> None:
    days = span(march(2), march(30))
    offs = {f"off {n}": span(march(20), march(19 + n)) for n in (1, 2, 3, 6, 7)}
    students = [*offs, *(f"peer {n}" for n in range(8))]
    activity = [Activity(s, d, "vle", 5) for s in students for d in days if d not in offs.get(s, [])]
    covered = {("vle", d) for d in days}
    roster = [Enrolment("enrolments", march(1), s, "active", None, None, {"mode": "FT"}) for s in students]
    given = University(
        Parameters({"vle": 1.0}, [("institution", [])], min_group_size=5),
        [Source("vle", "activity", "vle")], roster, [Teaching(march(1), march(31))], activity, covered,
    )  # fmt: skip
    put(connection, given)
    connection.execute(
        "update ops.scoring_parameter set as_of = %s::timestamp at time zone time_zone", [tomorrow(days[-1])]
    )
    build()
    found: dict[str, dict[date, int]] = {}
    for student, day, rating in connection.execute("select student_id, rating_date, rating from marts.daily_rating"):
        found.setdefault(student, {})[day] = rating
    for student, off in offs.items():
        fall = [found[student][day] for day in [off[0] - timedelta(1), *off]]
        assert all(0 <= one - other <= 2 for one, other in pairwise(fall)), (student, fall)
        assert (0 in fall) == (len(off) == 7), (student, fall)
        assert found[student][off[-1] + timedelta(1)] > 0
