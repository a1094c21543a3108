"""Rules at work: what they raise, hold, withdraw and ask for, week after week; and that a preview tells it before."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engage.contact import rule_activation, rules
from engage.contact.rule_preview import Preview, preview
from engage.contact.rules_file import Rule, load_rules
from tests.integration.dbt import universe
from tests.integration.dbt.test_rule_conditions import PARAMETERS, put
from tests.reference.alerts import Fact, firings, holds

Connection = psycopg.Connection[Any]
ROOT = Path(__file__).parents[3]
WEEKS = [date(2026, 9, 7) + timedelta(7 * k) for k in range(12)]
EVER = date(2000, 1, 1)
BEFORE = datetime(2026, 9, 1, tzinfo=UTC)
EXAMPLES = load_rules(ROOT / "config", ROOT / "expectations")


def monday_after(week: date, hour: int = 8) -> datetime:
    day = week + timedelta(7)
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def rule(when: dict[str, Any], **more: Any) -> Rule:
    return Rule.model_validate({"id": "r", "title": "A rule", "when": when, "actions": [{"notify": "tutor"}]} | more)


def activate(connection: Connection, one: Rule, since: date = EVER, now: datetime = BEFORE) -> None:
    rule_activation.activate(connection, one, "Head of Student Support", "decided in the board", since, now)


def ledger(connection: Connection, rule_id: str = "r") -> dict[tuple[str, date], str]:
    query = "select student_id, coalesce(week_start, trigger_date), status from ops.notification where rule_id = %s"
    return {(student, week): status for student, week, status in connection.execute(query, [rule_id]).fetchall()}


def actions(connection: Connection) -> list[tuple[Any, ...]]:
    query = "select action_key, kind, student_id, target, is_immediate, content, state, why from ops.action order by 1"
    return connection.execute(query).fetchall()


def everything(connection: Connection) -> list[Any]:
    tables = ("ops.notification", "ops.action", "ops.rule_week", "ops.rule_decision", "ops.notification_fact")
    return [connection.execute(f"select * from {table} order by 1, 2, 3").fetchall() for table in tables]


@pytest.fixture
def warehouse(connection: Connection) -> Connection:
    universe.configure(connection, PARAMETERS)
    return connection


def term(seed: int, students: int = 40) -> list[Fact]:
    """Return a term of students who fall, rise, are away, exempt, in contact; one week most of a programme falls."""
    chance = random.Random(seed)
    rows: list[Fact] = []
    for k in range(students):
        scores: list[int] = []
        level, rate, exempt_from = (
            chance.choice([280, 340, 360, 500]),
            chance.choice([40, 74, 76, 95]),
            chance.choice(WEEKS),
        )
        for week in WEEKS:
            level = min(1000, max(0, level + chance.choice([-130, -60, -20, 0, 10, 30, 60])))
            if chance.random() < 0.07:
                scores = []
                continue
            before, scores = scores, [level, *scores][:12]
            lower = [row.score for row in rows if row.student_id == f"S{k:02}" and row.score is not None]
            rows.append(
                Fact(
                    f"S{k:02}",
                    week,
                    score=level,
                    recent_scores=tuple(scores),
                    lowest_before=min(lower, default=None),
                    change_1w=level - before[0] if before else None,
                    declining=level - before[3] < -100 if len(before) > 3 else None,
                    consistently_low=len(scores) > 2 and max(scores[:3]) < 350,
                    attendance_4w=chance.choice([None, rate, rate + 1.5]),
                    cohort_event=week in (WEEKS[4], WEEKS[5]) and k % 2 == 0,
                    programme_code=chance.choice(["P1", "P2"]),
                    exemption_types=("Withdrawn",) if k % 7 == 0 and week >= exempt_from else (),
                    open_case=chance.random() < 0.2,
                    last_contact_date=week + timedelta(7 - chance.randint(1, 40)) if chance.random() < 0.5 else None,
                )
            )
    return rows


def silence(connection: Connection, kind: str, student: str, day: date, now: datetime) -> int:
    """Write a notification as engage.contact.notifications does, and what dbt has found of the student."""
    universe.rows(
        connection,
        "ops.notification",
        ["student_id", "rule_id", "kind", "trigger_date", "noticed_at", "raised_at", "status", "reason", "evidence"],
        [(student, kind, kind, day, now, now, "raised", "no digital activity for 7 days", "{}")],
    )
    return int(connection.execute("select max(notification_id) from ops.notification").fetchall()[0][0])


def found_by_dbt(connection: Connection, facts: list[Fact], day: date) -> None:
    connection.execute("delete from intermediate.int_inactivity_fact")
    names = ["student_id", "mode", "programme_code", "exemption_types", "open_case", "last_contact_date"]
    values = [[list(v) if isinstance(v := getattr(one, name), tuple) else v for name in names] for one in facts]
    universe.rows(connection, "intermediate.int_inactivity_fact", [*names, "on_date"], [(*v, day) for v in values])


def test_what_a_preview_says_of_a_past_term_is_what_every_example_then_does_student_by_student(
    warehouse: Connection,
) -> None:
    """Weeks are published one at a time, with an evaluation after each; the preview comes at the end."""
    rows = term(1)
    for one in EXAMPLES:
        activate(warehouse, one)
    silent: list[tuple[Fact, str, int]] = []
    for place, week in enumerate(WEEKS):
        now, of_week = monday_after(week), [row for row in rows if row.week_start == week]
        put(warehouse, of_week)
        day = now.date()
        found_by_dbt(warehouse, of_week, day)
        for number, row in enumerate(of_week[place::5]):
            kind = ("no_digital_activity", "low_activity")[number % 2]
            silent.append((row, kind, silence(warehouse, kind, row.student_id, day, now)))
        rules.evaluate(warehouse, now)
        before = everything(warehouse)
        assert rules.evaluate(warehouse, now + timedelta(hours=9)) == rules.Evaluated()
        assert everything(warehouse) == before

    fired = 0
    for one in EXAMPLES:
        told: Preview = preview(warehouse, one, None, monday_after(WEEKS[-1], 9))
        if one.kind:
            query = (
                "select n.student_id, n.trigger_date, 'raised' from ops.rule_decision as d"
                " inner join ops.notification as n using (notification_id) where d.rule_id = %s and d.is_met"
            )
            did = sorted(warehouse.execute(query, [one.id]).fetchall())
            asked = one.content["when"]
            asked = {"all": [part for part in asked.get("all", []) if "notification" not in part]}
            wanted = sorted(
                (row.student_id, row.on_date, "raised")
                for row, kind, _ in silent
                if kind == one.kind and (not asked["all"] or holds(asked, row)) and not row.exemption_types
            )
            assert did == wanted
        else:
            did = sorted((student, week, status) for (student, week), status in ledger(warehouse, one.id).items())
            did = [(s, w, "held" if status == "undetermined" else status) for s, w, status in did]
            assert {(s, w): status for s, w, status in did} == firings(one.content, rows, WEEKS)
        assert told.fired == did, one.id
        assert sum(week.fired for week in told.weeks) == sum(status == "raised" for *_, status in did)
        fired += len(did)
        newest = [row for row in rows if row.week_start == WEEKS[-1]]
        if not one.kind:
            met = {r.student_id for r in newest if holds(one.content["when"], r) and not r.exemption_types}
            assert {row["student_id"] for row in told.in_scope} == met
            assert sum(int(str(line["students"])) for line in told.programmes()) == len(met)
    assert fired > 100
    assert {status for one in EXAMPLES for status in ledger(warehouse, one.id).values()} >= {"raised", "dropped"}


def test_nothing_happens_before_a_person_has_activated_a_rule_and_nothing_after_it_was_taken_back(
    warehouse: Connection,
) -> None:
    low = rule({"score_below": 350})
    put(warehouse, [Fact("S1", WEEKS[0], score=100)])
    assert rules.evaluate(warehouse, monday_after(WEEKS[0])) == rules.Evaluated()
    with pytest.raises(rule_activation.ActivationError, match="--by and --reason"):
        rule_activation.activate(warehouse, low, " ", "why", EVER, monday_after(WEEKS[0]))
    activate(warehouse, low, since=WEEKS[1] + timedelta(1))
    with pytest.raises(rule_activation.ActivationError, match="is active like this already"):
        activate(warehouse, low)
    rules.evaluate(warehouse, monday_after(WEEKS[0]))
    assert ledger(warehouse) == {}, "the Monday after the week is before the day from which it is in force"
    put(warehouse, [Fact("S1", WEEKS[1], score=100)])
    done = rules.evaluate(warehouse, monday_after(WEEKS[1]))
    assert ledger(warehouse) == {("S1", WEEKS[1]): "raised"} and done.notifications == {"r": {"raised": 1}}
    rule_activation.deactivate(warehouse, "r", "me", "enough", WEEKS[2], monday_after(WEEKS[1]))
    with pytest.raises(rule_activation.ActivationError, match="is not active"):
        rule_activation.deactivate(warehouse, "r", "me", "enough", WEEKS[2], monday_after(WEEKS[1]))
    put(warehouse, [Fact("S1", WEEKS[2], score=400), Fact("S2", WEEKS[2], score=100)])
    rules.evaluate(warehouse, monday_after(WEEKS[2]))
    assert ledger(warehouse) == {("S1", WEEKS[1]): "raised"}
    history = warehouse.execute("select action, decided_by, reason from ops.rule_activation order by 1").fetchall()
    assert history == [("activate", "Head of Student Support", "decided in the board"), ("deactivate", "me", "enough")]


def test_each_action_is_written_once_with_its_target_and_evidence(warehouse: Connection) -> None:
    several = [
        {"notify": "tutor", "immediate": True},
        {"notify": "manager"},
        {"email_student": True},
        {"case": "engagement"},
        {"start": "nottingham"},
    ]
    activate(warehouse, rule({"all": [{"score_below": 350}, {"not": {"open_case": True}}]}, actions=several))
    fact = Fact("S1", WEEKS[0], score=100, recent_scores=(100,), last_contact_date=WEEKS[0])
    put(warehouse, [fact, replace(fact, student_id="S2", exemption_types=("Withdrawn",))])
    done = rules.evaluate(warehouse, monday_after(WEEKS[0]))
    number = warehouse.execute("select notification_id from ops.notification").fetchall()[0][0]
    assert actions(warehouse) == [
        (f"rule:r:{number}:case:engagement", "case", "S1", "engagement", False, {}, "open", None),
        (
            f"rule:r:{number}:email_student",
            "email_student",
            "S1",
            "student",
            False,
            {"text": "support_offer"},
            "open",
            None,
        ),
        (f"rule:r:{number}:notify:manager", "notify", "S1", "manager", False, {}, "open", None),
        (f"rule:r:{number}:notify:tutor", "notify", "S1", "tutor", True, {}, "open", None),
        (f"rule:r:{number}:start:nottingham", "ladder", "S1", "nottingham", False, {}, "open", None),
    ]
    assert done.actions[("notify", "open")] == 2
    evidence, reason = warehouse.execute("select evidence, reason from ops.notification").fetchall()[0]
    assert reason == "A rule" and evidence["because"] == ["score below 350", "not an open case"]
    assert (evidence["score"], evidence["days_since_contact"], evidence["open_case"]) == (100, 7, False)
    rules.evaluate(warehouse, monday_after(WEEKS[0]))
    assert len(actions(warehouse)) == 5


def test_what_comes_too_late_is_recorded_and_nobody_is_told(warehouse: Connection) -> None:
    activate(warehouse, rule({"score_below": 350}))
    put(warehouse, [Fact("S1", WEEKS[0], score=1), Fact("S2", WEEKS[1], score=1)])
    rules.evaluate(warehouse, monday_after(WEEKS[0]) + timedelta(days=15))
    assert set(ledger(warehouse).values()) == {"raised"}
    assert [(row[2], *row[-2:]) for row in actions(warehouse)] == [
        ("S1", "suppressed", "too old to tell"),
        ("S2", "open", None),
    ]


def test_a_cohort_event_holds_and_whoever_is_low_after_it_is_raised(warehouse: Connection) -> None:
    activate(warehouse, rule({"score_below": 350}))
    put(warehouse, [Fact("S1", WEEKS[0], score=1, cohort_event=True), Fact("S2", WEEKS[0], score=1, cohort_event=True)])
    rules.evaluate(warehouse, monday_after(WEEKS[0]))
    assert set(ledger(warehouse).values()) == {"held"} and actions(warehouse) == []
    assert {row[0].partition(":")[0] for row in warehouse.execute("select reason from ops.notification")} == {
        "cohort event"
    }
    put(warehouse, [Fact("S1", WEEKS[1], score=1), Fact("S2", WEEKS[1], score=500)])
    rules.evaluate(warehouse, monday_after(WEEKS[1]))
    assert ledger(warehouse) == {
        ("S1", WEEKS[0]): "dropped", ("S1", WEEKS[1]): "raised", ("S2", WEEKS[0]): "held"
    }  # fmt: skip
    assert [who for _, _, who, *_ in actions(warehouse)] == ["S1"]
    late = monday_after(WEEKS[0]) + timedelta(days=15)
    assert rules.evaluate(warehouse, late).notifications == {"r": {"undetermined": 1}}
    assert ledger(warehouse)["S2", WEEKS[0]] == "undetermined"
    assert rules.evaluate(warehouse, late) == rules.Evaluated()


def test_a_restatement_withdraws_what_is_not_so_any_more_and_raises_what_is(warehouse: Connection) -> None:
    activate(warehouse, rule({"score_below": 350}))
    first = [Fact(s, WEEKS[0], score=1) for s in ("gone", "stays")]
    second = [Fact(s, WEEKS[1], score=1, cohort_event=s == "held") for s in ("stays", "held", "later")]
    put(warehouse, [*first, *second])
    rules.evaluate(warehouse, monday_after(WEEKS[1]))
    gone = warehouse.execute("select notification_id from ops.notification where student_id = 'gone'").fetchall()[0][0]
    restated = [Fact("gone", WEEKS[0], score=400), Fact("stays", WEEKS[0], score=2), Fact("new", WEEKS[0], score=3)]
    put(warehouse, [*restated, *(replace(row, cohort_event=False) for row in second)], revision=1)
    done = rules.evaluate(warehouse, monday_after(WEEKS[1]))
    assert done.superseded == [gone]
    assert ledger(warehouse) == {
        ("gone", WEEKS[0]): "superseded",
        ("stays", WEEKS[0]): "raised",
        ("new", WEEKS[0]): "raised",
        ("held", WEEKS[1]): "raised",
        ("later", WEEKS[1]): "raised",
    }
    assert rules.evaluate(warehouse, monday_after(WEEKS[1])) == rules.Evaluated()
    # Restated back: it is raised again, under its own number. Telling again is what corrections.py does.
    put(warehouse, [Fact("gone", WEEKS[0], score=1), Fact("stays", WEEKS[0], score=1)], revision=2)
    assert len(rules.evaluate(warehouse, monday_after(WEEKS[1])).superseded) == 1
    again = warehouse.execute(
        "select notification_id, status from ops.notification where student_id = 'gone'"
    ).fetchall()
    assert again == [(gone, "raised")]


def test_a_week_restated_before_the_first_one_is_not_told_twice(warehouse: Connection) -> None:
    activate(warehouse, rule({"score_below": 350}))
    put(warehouse, [Fact("S1", WEEKS[0], score=400), *(Fact("S1", week, score=1) for week in WEEKS[1:3])])
    rules.evaluate(warehouse, monday_after(WEEKS[2]))
    assert ledger(warehouse) == {("S1", WEEKS[1]): "raised"}
    put(warehouse, [Fact("S1", WEEKS[0], score=1)], revision=1)
    rules.evaluate(warehouse, monday_after(WEEKS[2]))
    assert ledger(warehouse) == {("S1", WEEKS[1]): "raised"}


def test_a_rule_out_of_force_raises_nothing_and_is_withdrawn_yet(warehouse: Connection) -> None:
    activate(warehouse, rule({"score_below": 350}))
    put(warehouse, [Fact("S1", WEEKS[0], score=1)])
    rules.evaluate(warehouse, monday_after(WEEKS[0]))
    rule_activation.deactivate(warehouse, "r", "me", "enough", WEEKS[1], monday_after(WEEKS[0]))
    put(warehouse, [Fact("S1", WEEKS[0], score=400), Fact("S2", WEEKS[0], score=1)], revision=1)
    assert len(rules.evaluate(warehouse, monday_after(WEEKS[0])).superseded) == 1
    assert ledger(warehouse) == {("S1", WEEKS[0]): "superseded"}
    assert rules.evaluate(warehouse, monday_after(WEEKS[0])) == rules.Evaluated()


def test_a_rule_that_was_activated_anew_from_a_later_day_is_yet_withdrawn_of_the_weeks_before(
    warehouse: Connection,
) -> None:
    activate(warehouse, rule({"score_below": 350}))
    put(warehouse, [Fact("S1", WEEKS[0], score=1), Fact("S1", WEEKS[1], score=400)])
    rules.evaluate(warehouse, monday_after(WEEKS[1]))
    rule_activation.deactivate(warehouse, "r", "me", "enough", WEEKS[1], monday_after(WEEKS[1]))
    activate(warehouse, rule({"score_below": 350}), WEEKS[2], monday_after(WEEKS[1], 9))
    put(warehouse, [Fact("S1", WEEKS[0], score=400), Fact("S2", WEEKS[0], score=1)], revision=1)
    assert len(rules.evaluate(warehouse, monday_after(WEEKS[1], 10)).superseded) == 1
    assert ledger(warehouse) == {("S1", WEEKS[0]): "superseded"}
    assert rules.evaluate(warehouse, monday_after(WEEKS[1], 10)) == rules.Evaluated()


def test_a_changed_rule_leaves_what_was_raised_and_decides_anew(warehouse: Connection) -> None:
    activate(warehouse, rule({"score_below": 350}))
    put(warehouse, [Fact("S1", WEEKS[0], score=1), Fact("S2", WEEKS[0], score=340)])
    rules.evaluate(warehouse, monday_after(WEEKS[0]))
    stricter = rule({"score_below": 300})
    decided = rule_activation.decisions(warehouse)["r"]
    assert rule_activation.state_of(stricter, decided) == "changed in the file, not activated"
    assert rules.evaluate(warehouse, monday_after(WEEKS[0])) == rules.Evaluated(), "the file alone changes nothing"
    activate(warehouse, stricter)
    rules.evaluate(warehouse, monday_after(WEEKS[0]))
    assert ledger(warehouse) == {("S1", WEEKS[0]): "raised", ("S2", WEEKS[0]): "raised"}
    assert len(actions(warehouse)) == 2


def test_a_rule_about_silence_is_asked_once_of_each_notification(warehouse: Connection) -> None:
    asked = {"all": [{"notification": "no_digital_activity"}, {"score_below": 350}, {"not": {"open_case": True}}]}
    activate(warehouse, rule(asked))
    day = WEEKS[1] + timedelta(9)
    now = datetime(day.year, day.month, day.day, 6, tzinfo=UTC)
    # The newest week that is over speaks, and who is not in it has no score.
    scores = [("met", 0, 400), ("old", 0, 1), ("case", 1, 1), ("met", 1, 1), ("met", 2, 900)]
    put(warehouse, [Fact(student, WEEKS[week], score=score) for student, week, score in scores])
    students = ["met", "old", "case", "unknown", "low", "held"]
    found_by_dbt(warehouse, [Fact(s, WEEKS[1], open_case=s == "case") for s in students if s != "unknown"], day)
    for student in students:
        silence(warehouse, "low_activity" if student == "low" else "no_digital_activity", student, day, now)
    warehouse.execute("update ops.notification set status = 'held', raised_at = null where student_id = 'held'")
    done = rules.evaluate(warehouse, now)
    assert [who for _, _, who, *_ in actions(warehouse)] == ["met"] and done.actions == {("notify", "open"): 1}
    kept = warehouse.execute("select count(*), count(week_start), count(score) from ops.notification_fact").fetchall()
    assert kept == [(4, 4, 2)], "who has no facts yet is asked when they are there"
    # What becomes known later does not reopen it.
    found_by_dbt(warehouse, [Fact("case", WEEKS[1], open_case=False)], day)
    assert rules.evaluate(warehouse, now) == rules.Evaluated()


def test_before_any_week_is_published_rules_about_silence_work(warehouse: Connection) -> None:
    warehouse.execute("drop table intermediate.int_rule_fact cascade")
    activate(warehouse, rule({"notification": "no_digital_activity"}))
    day = WEEKS[0]
    found_by_dbt(warehouse, [Fact("S1", WEEKS[0])], day)
    now = datetime(day.year, day.month, day.day, 6, tzinfo=UTC)
    silence(warehouse, "no_digital_activity", "S1", day, now)
    rules.evaluate(warehouse, now)
    assert len(actions(warehouse)) == 1
    assert preview(warehouse, rule({"score_below": 350}), None, now).weeks == []


def test_killed_before_its_end_an_evaluation_leaves_nothing_and_the_next_one_does_it_all(
    warehouse: Connection, url: str
) -> None:
    activate(warehouse, rule({"score_below": 350}, actions=[{"notify": "tutor"}, {"case": "engagement"}]))
    put(warehouse, [Fact(f"S{k}", WEEKS[0], score=k) for k in range(300)])
    warehouse.commit()
    killed = psycopg.connect(url)
    rules.evaluate(killed, monday_after(WEEKS[0]))
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("select pg_terminate_backend(%s)", [killed.info.backend_pid])
    assert ledger(warehouse) == {} and actions(warehouse) == []
    warehouse.rollback()
    rules.evaluate(warehouse, monday_after(WEEKS[0]))
    warehouse.commit()
    rules.evaluate(warehouse, monday_after(WEEKS[0]))
    assert len(ledger(warehouse)) == 300 and len(actions(warehouse)) == 600
