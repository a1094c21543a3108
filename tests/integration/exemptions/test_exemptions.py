"""Exemptions obey scoring.md whatever is done to them, and nothing of who did what when is lost."""

import threading
from datetime import UTC, date, datetime, timedelta
from typing import cast

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engage.contact import exemptions
from engage.contact.exemptions import TYPES, Signed, Wish
from engage.decisions import DecisionError
from engage.settings import PROJECT
from engage.warehouse import Connection, connect
from tests.integration.exemptions.kit import ABSENCE, DAY, PLACEMENT, at, june


def signed(day: int = 1, reason: str = "") -> Signed:
    return Signed("Grace", at(june(day)), reason)


def wish(first: int, last: int, student: str = "s1", kind: str = ABSENCE) -> Wish:
    return Wish(student, kind, june(first), june(last))


def made(connection: Connection, first: int, last: int, student: str = "s1", kind: str = ABSENCE) -> int:
    return exemptions.add(connection, wish(first, last, student, kind), signed()).exemption_id


def days_of(connection: Connection, number: int) -> tuple[int, int] | None:
    """First and last day in June; None: deleted."""
    query = "select starts_on, ends_on from ops.exemption where exemption_id = %s and deleted_at is null"
    found = connection.execute(query, [number]).fetchone()
    return (found[0].day, found[1].day) if found else None  # type: ignore[attr-defined]


def test_the_types_are_those_that_the_list_of_the_registry_may_name() -> None:
    suite = yaml.safe_load((PROJECT / "expectations" / "exemptions.yaml").read_text())
    (types,) = [one["kwargs"]["value_set"] for one in suite["expectations"] if one["meta"]["id"] == "known_type"]
    assert tuple(types) == TYPES


def test_an_exemption_starts_after_the_day_of_its_creation(known: Connection) -> None:
    with pytest.raises(DecisionError, match="2026-06-02 or later"):
        exemptions.add(known, wish(1, 9), signed(1))
    assert days_of(known, exemptions.add(known, wish(2, 2), signed(1)).exemption_id) == (2, 2)
    # Half past midnight in London is the evening before in UTC.
    night = Signed("Grace", datetime(2026, 6, 1, 23, 30, tzinfo=UTC))
    with pytest.raises(DecisionError, match="2026-06-03 or later"):
        exemptions.add(known, wish(2, 9, "s2"), night)


def test_what_cannot_be_is_refused(known: Connection) -> None:
    for asked, why in [
        (wish(9, 8), "before it starts"),
        (wish(2, 9, kind="Holiday"), "must be one of Authorised Absence, Break"),
        (wish(2, 9, student="nobody"), "no roster has named this student"),
        (wish(2, 9, student="nul\0"), "no roster has named this student"),
    ]:
        with pytest.raises(DecisionError, match=why) as refused:
            exemptions.add(known, asked, signed())
        assert asked.student_id not in str(refused.value)
    with pytest.raises(DecisionError, match="name of who"):
        exemptions.add(known, wish(2, 9), Signed(" ", at(DAY)))
    assert known.execute("select count(*) from ops.exemption").fetchone() == (0,)


def test_a_student_whom_only_the_marts_know_is_known(known: Connection) -> None:
    known.execute("create table marts.student as select 'enrolled'::text as student_id")
    assert exemptions.add(known, wish(2, 9, "enrolled"), signed()).is_news


def test_the_same_again_is_there_already_and_overlapping_days_of_a_type_are_refused(known: Connection) -> None:
    number = made(known, 5, 9)
    again = exemptions.add(known, wish(5, 9), signed(6))
    assert (again.exemption_id, again.is_news) == (number, False), "also when it has begun"
    for first, last in [(2, 5), (6, 7), (9, 20), (2, 20)]:
        with pytest.raises(DecisionError, match=f"exemption {number} of the same type"):
            made(known, first, last)
    other, after, of_other = made(known, 5, 9, kind=PLACEMENT), made(known, 10, 12), made(known, 5, 9, "s2")
    with pytest.raises(DecisionError, match="of the same type"):
        exemptions.extend(known, number, june(10), signed())
    with pytest.raises(DecisionError, match="of the same type"):
        exemptions.move(known, after, june(9), june(12), signed())
    assert [days_of(known, one) for one in (number, other, after, of_other)] == [(5, 9), (5, 9), (10, 12), (5, 9)]
    exemptions.delete(known, number, signed())
    assert made(known, 4, 8) > of_other, "what is deleted is in nobody's way"


def test_one_that_has_not_begun_may_become_anything_after_today(known: Connection) -> None:
    number = made(known, 10, 20)
    exemptions.move(known, number, june(3), june(4), signed(2))
    assert days_of(known, number) == (3, 4)
    with pytest.raises(DecisionError, match="after today, 2026-06-02"):
        exemptions.move(known, number, june(2), june(4), signed(2))
    assert exemptions.delete(known, number, signed(2)).is_news
    assert days_of(known, number) is None
    assert not exemptions.delete(known, number, signed(2)).is_news
    with pytest.raises(DecisionError, match="is deleted"):
        exemptions.extend(known, number, june(9), signed(2))


def test_one_that_has_begun_keeps_its_days_up_to_today(known: Connection) -> None:
    number = made(known, 5, 20)
    with pytest.raises(DecisionError, match="no later end"):
        exemptions.extend(known, number, june(19), signed(10))
    assert not exemptions.extend(known, number, june(20), signed(10)).is_news
    for first, last in [(4, 20), (6, 20), (10, 20), (None, 9), (5, 9), (5, 3), (12, 11)]:
        with pytest.raises(DecisionError):
            exemptions.move(known, number, june(first) if first else None, june(last), signed(10))
    exemptions.extend(known, number, june(25), signed(10))
    exemptions.move(known, number, None, june(22), signed(10))
    assert days_of(known, number) == (5, 22)
    told = exemptions.move(known, number, june(28), june(30), signed(10))
    assert days_of(known, number) == (5, 10)
    assert f"exemption {number + 1} (2026-06-28 to 2026-06-30) takes over" in told.said
    assert days_of(known, number + 1) == (28, 30)
    exemptions.delete(known, number + 1, signed(28))
    assert days_of(known, number + 1) == (28, 28), "its first day is today, and stays"


def test_one_that_ends_today_stays_as_it_is(known: Connection) -> None:
    number = made(known, 5, 10)
    with pytest.raises(DecisionError, match="stays as it is"):
        exemptions.extend(known, number, june(20), signed(10))
    with pytest.raises(DecisionError, match="stays as it is"):
        exemptions.move(known, number, june(15), june(20), signed(10))
    with pytest.raises(DecisionError, match="stays as it is"):
        exemptions.delete(known, number, signed(10))
    with pytest.raises(DecisionError, match="there is no exemption 99"):
        exemptions.delete(known, 99, signed())


def test_every_change_is_kept_with_who_when_and_why(known: Connection) -> None:
    number = exemptions.add(known, wish(5, 20), Signed(" Ada ", at(DAY), " asked for ")).exemption_id
    exemptions.extend(known, number, june(25), Signed("Lin", at(june(6))))
    exemptions.move(known, number, june(28), june(30), Signed("Mo", at(june(7)), "came back"))
    exemptions.delete(known, number + 1, Signed("Ada", at(june(8))))
    told = known.execute(
        "select exemption_id, action, extract(day from starts_on)::int, extract(day from ends_on)::int, changed_by,"
        " extract(day from changed_at)::int, reason from ops.exemption_change order by change_id"
    ).fetchall()
    assert told == [
        (number, "add", 5, 20, "Ada", 1, "asked for"),
        (number, "extend", 5, 25, "Lin", 6, None),
        (number, "move", 5, 7, "Mo", 7, "came back"),
        (number + 1, "add", 28, 30, "Mo", 7, "came back"),
        (number + 1, "delete", 28, 30, "Ada", 8, None),
    ]
    first = known.execute("select created_by, created_at from ops.exemption order by 1, 2 limit 1").fetchone()
    assert first == ("Ada", at(DAY))


def test_two_at_the_same_time_do_not_make_two(known: Connection, database_url: str) -> None:
    said: list[bool] = []

    def one() -> None:
        with connect(database_url) as own:
            said.append(exemptions.add(own, wish(5, 9), signed()).is_news)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == [False, False, False, True]


Days = dict[int, frozenset[int]]
"""Exemption -> the days that it covers."""


def allowed(there: Days, action: str, number: int, new: frozenset[int], today: int) -> frozenset[int] | None:
    """Return all days that are covered after a change, or None where it may not be: scoring.md on sets of days."""
    before = frozenset[int]().union(*there.values())
    if action == "add":
        is_possible = new in there.values() or (min(new) > today and not new & before)
        return before | new if is_possible else None
    old = there[number]
    others, passed = before - old, frozenset(one for one in old if one <= today)
    wanted = {"extend": old | frozenset(range(min(old), max(new) + 1)), "delete": frozenset[int]()}.get(action, new)
    if max(old) <= today or wanted & others or (action == "extend" and max(new) < max(old)):
        return None
    # Moved, it has its own first day, or one after today.
    if action == "move" and min(new) <= today and (min(new) != min(old) or max(new) < today):
        return None
    return others | passed | wanted


CHANGE = st.tuples(
    st.sampled_from(["add", "add", "extend", "move", "move", "delete", "wait"]),
    st.integers(0, 5),
    st.integers(-2, 9),
    st.integers(0, 6),
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CHANGE, min_size=6, max_size=25))
def test_whatever_is_done_the_past_stays(known: Connection, changes: list[tuple[str, int, int, int]]) -> None:
    """No day up to today becomes covered or stops being so, and the rules agree with those on sets of days."""
    known.execute("truncate ops.exemption, ops.exemption_change")
    known.commit()
    today, there = 5, Days()
    for action, which, ahead, length in changes:
        if action == "wait":
            today += min(length, 3)
        if action == "wait" or (action != "add" and not there):
            continue
        number = sorted(there)[which % len(there)] if there else 0
        first, last = today + ahead, today + ahead + length
        expected = allowed(there, action, number, frozenset(range(first, last + 1)), today)
        is_news = change(known, action, number, first, last, today)
        before, there = there, covered(known)
        if is_news:
            assert expected == frozenset().union(*there.values())
            assert sum(map(len, there.values())) == len(expected), "no day twice"
            assert {d for d in expected if d <= today} == {
                d for all_of in before.values() for d in all_of if d <= today
            }
        else:
            assert there == before and (is_news is False or expected is None)
    assert known.execute(LAST_SAID).fetchone() == known.execute("select count(*) from ops.exemption").fetchone()


LAST_SAID = """
select count(*) from ops.exemption as e inner join lateral (
    select * from ops.exemption_change as c where c.exemption_id = e.exemption_id order by change_id desc limit 1
) as c on (c.starts_on, c.ends_on) = (e.starts_on, e.ends_on)
"""
"""How many exemptions are what their history says last."""


def change(connection: Connection, action: str, number: int, first: int, last: int, today: int) -> bool | None:
    """Return whether something became other than it was; None: it was refused."""
    who = Signed("Grace", at(day(today)))
    try:
        if action == "add":
            return exemptions.add(connection, Wish("s1", ABSENCE, day(first), day(last)), who).is_news
        if action == "extend":
            return exemptions.extend(connection, number, day(last), who).is_news
        if action == "move":
            return exemptions.move(connection, number, day(first), day(last), who).is_news
        return exemptions.delete(connection, number, who).is_news
    except DecisionError:
        return None


def day(number: int) -> date:
    return DAY + timedelta(number)


def covered(connection: Connection) -> Days:
    query = "select exemption_id, starts_on - %s, ends_on - %s from ops.exemption where deleted_at is null"
    rows = cast(list[tuple[int, int, int]], connection.execute(query, [DAY, DAY]).fetchall())
    return {number: frozenset(range(first, last + 1)) for number, first, last in rows}
