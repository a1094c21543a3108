"""What an edition says is what a plain count says, rounded; and it is made once, whole or not at all."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from engage.decisions import DecisionError
from engage.governance import besides, editions
from engage.governance.figures import figures
from engage.governance.periods import Kind
from tests.integration.governance.kit import FIRST, NOW, Registry
from tests.integration.governance.people import groups, university
from tests.reference.governance import COUNTS, count, nearest_five, weeks_of

WEEKS = weeks_of(FIRST, 6)
STUDENTS = university(3, 500)
OUTCOME = f"insert into marts.intervention_outcome values ({', '.join(['%s'] * 14)})".encode()


@pytest.fixture
def term(registry: Registry) -> Registry:
    """Six weeks of 500 students, who do not change."""
    registry.enrol(STUDENTS)
    for week in WEEKS:
        registry.score(week, STUDENTS)
    return registry


def make(registry: Registry, kind: Kind = "on_request", now: datetime = NOW) -> str:
    return editions.make(registry.connection, kind, None, now)


def test_counts_are_those_of_a_plain_count_rounded(term: Registry) -> None:
    edition = make(term)
    shown = hidden = 0
    for week in WEEKS:
        exact = count(week, STUDENTS)
        for figure in (*COUNTS, "score_band"):
            for (start, dimension, member, category), value in term.values(edition, figure).items():
                if start == week:
                    hidden += value is None
                    shown += value is not None
                    number = exact.get((figure, week, dimension, member, category), 0)
                    assert value is None or value == nearest_five(number), (figure, dimension, member)
    assert shown > 20 * hidden
    named = {(row.dimension, row.member) for row in term.rows(edition) if row.figure_id == "students_scored"}
    assert named == {one for one in groups(STUDENTS) if one[0] not in ("sex", "disability")}
    assert {row.figure_id for row in term.rows(edition)} <= set(figures())


def test_shares_and_ratios_are_made_of_what_is_shown(term: Registry) -> None:
    edition = make(term)
    week = WEEKS[0]
    exact = count(week, STUDENTS)
    rows = [row for row in term.rows(edition) if row.figure_id == "flagged_share" and row.category == "week"]
    assert {("sex", "f"), ("sex", "m"), ("disability", "known"), ("mode", "PT")} <= {
        (r.dimension, r.member) for r in rows
    }
    shares = {}
    for row in (row for row in rows if row.period_start == week):
        part, base = (
            exact.get((one, week, row.dimension, row.member, ""), 0) for one in ("flagged", "students_scored")
        )
        assert row.base == nearest_five(base) or row.base is None
        if row.value is not None:
            shares[row.dimension, row.member] = row.value
            assert row.value == int(100 * nearest_five(part) / nearest_five(base) + 0.5)
    for (_, dimension, member, _), ratio in term.values(edition, "fairness_ratio").items():
        if ratio is not None:
            # Nobody changes, so an average week is any week.
            assert ratio == pytest.approx(shares[dimension, member] / shares["all", "all"], abs=0.006)


def test_notifications_are_counted_when_they_happen(registry: Registry) -> None:
    students = university(5, 60)
    registry.enrol(students)
    for week in WEEKS[:4]:
        registry.score(week, [replace(one, is_raised=False) for one in students])
    for n in range(12):
        registry.notify(f"S{n}", WEEKS[1], "raised", resolved=WEEKS[2])
    for n in range(12, 22):
        registry.notify(f"S{n}", WEEKS[1], "dropped", resolved=WEEKS[3])
    shown = registry.values(make(registry), "notifications")
    for week, category, number in (
        (WEEKS[1], "held", 20),
        (WEEKS[1], "raised", 0),
        (WEEKS[2], "raised", 10),
        (WEEKS[3], "dropped", 10),
        (WEEKS[3], "undetermined", 0),
    ):
        assert shown[week, "all", "all", f"low_activity:{category}"] in (number, None)
    known = [shown[week, "all", "all", "low_activity:held"] for week in WEEKS[:4]]
    assert known == [0, 20, 0, 0]


def test_what_became_of_low_scores_is_known_after_eight_weeks(registry: Registry) -> None:
    students = university(5, 200)
    low = [n for n, one in enumerate(students) if one.score < 350]
    registry.enrol(students)
    for week in weeks_of(FIRST, 9):
        registry.score(week, students)
    assert len(low) > 25
    for n in low[:10]:
        registry.notify(f"S{n}", WEEKS[4], "raised", "no_digital_activity")
    shown = [row for row in registry.rows(make(registry)) if row.figure_id == "score_hit_share"]
    assert {row.period_start for row in shown} == {WEEKS[0]}
    by_category = {row.category: row for row in shown}
    assert by_category["below_attention"].value == int(100 * 10 / nearest_five(len(low)) + 0.5)
    assert by_category["others"].value == 0


def test_outcomes_exemptions_contacts_and_steps(term: Registry) -> None:
    run = term.connection.execute
    for n in range(30):
        at = datetime(2026, 9, 8, 10, tzinfo=UTC)
        outcome = (f"S{n}", "contact", "crm", str(n), at, n < 15, 50, 60, 70, 10.0, 10.0, 10.0, 0.25, True)
        run(OUTCOME, outcome)
        run("insert into intermediate.int_contact values (%s, %s, 'reached')", [f"S{n}", at])
        run("insert into intermediate.int_exemption values (%s, 'Placement', %s, %s)", [f"S{n}", WEEKS[1], WEEKS[2]])
    run("insert into intermediate.int_exemption values ('S1', 'Rare', %s, %s)", [WEEKS[1], WEEKS[2]])
    run("insert into marts.contact_step select 'due', n < 6 from generate_series(1, 12) as n")
    edition = make(term)
    period = (FIRST, "all", "all")
    assert term.values(edition, "outcome_recovered_share") == {
        (*period, "contacted"): 50,
        (*period, "comparable"): 33,  # 10 of 30, each to the nearest 5
    }
    assert term.values(edition, "outcome_change")[*period, "contacted:5w"] == 60
    assert term.values(edition, "outcome_people")[*period, "contacted"] == 30
    exempt = term.values(edition, "exemptions")
    assert [exempt[week, "all", "all", "Placement"] for week in WEEKS[:4]] == [0, 30, 30, 0]
    assert {category for _, _, _, category in exempt} == {"Placement"}
    assert term.values(edition, "contacts")[date(2026, 9, 7), "all", "all", "reached"] == 30
    assert term.values(edition, "ladder_steps") == {(*period, "due"): 10, (*period, "overdue"): 5}


def test_of_contacts_not_settled_yet_the_early_successes_do_not_count(term: Registry) -> None:
    """After four weeks a rise is known already, that there is none only after six."""
    early, late = (datetime(2026, 9, day, 10, tzinfo=UTC) for day in (8, 22))
    for n in range(30):
        settled = (f"S{n}", "contact", "crm", f"a{n}", early, n < 10, 20, 20, 20, 10.0, 10.0, 10.0, 0.25, True)
        term.connection.execute(OUTCOME, settled)
    for n in range(5, 60):
        success = (f"S{n}", "contact", "crm", f"b{n}", late, True, 90, None, None, 90.0, None, None, 1.0, False)
        term.connection.execute(OUTCOME, success)
    edition = make(term)
    period = (FIRST, "all", "all")
    assert term.values(edition, "outcome_people") == {(*period, one): 30 for one in ("contacted", "comparable")}
    shares = {(*period, "contacted"): 33, (*period, "comparable"): 33}  # 10 of 30, each to the nearest 5
    assert term.values(edition, "outcome_recovered_share") == shares
    assert term.values(edition, "outcome_change")[*period, "contacted:4w"] == 20


def test_an_erasure_is_not_counted_place_by_place_and_no_category_tells_by_being_there(term: Registry) -> None:
    run = term.connection.execute
    run("insert into marts.contact_step values ('missed', false), ('missed', false)")
    run(
        "insert into ops.subject_request (kind, received_on, due_on, recorded_at, recorded_by)"
        " values ('erasure', %s, %s, now(), 'ada')",
        [WEEKS[0], NOW],
    )
    for kind, places in (("erasure", {"ops.notification": 9, "ops.audit": 1}), ("retention", {"raw.cases": 9, "x": 2})):
        run("insert into ops.deletion_run (kind, begun_at, asked_by) values (%s, now(), 'ada')", [kind])
        for place, number in places.items():
            run(
                "insert into ops.deletion (run_id, place, rows, way, deleted_at)"
                " values ((select max(run_id) from ops.deletion_run), %s, %s, 'deleted', %s)",
                [place, number, WEEKS[0] + timedelta(days=2)],
            )
    edition = make(term)
    shown = {figure: {k[3]: v for k, v in term.values(edition, figure).items()} for figure in figures()}
    assert shown["deletions"] == {"retention:raw.cases": 10}
    assert "missed" not in shown["ladder_steps"]
    asked = {f"{kind}:{state}" for kind in ("access", "erasure") for state in ("received", "completed", "overdue")}
    assert shown["subject_requests"] == {}
    of_a_term = editions.make(term.connection, "termly", (FIRST, WEEKS[-1] + timedelta(days=6)), NOW)
    told = {category: value for (*_, category), value in term.values(of_a_term, "subject_requests").items()}
    assert told == dict.fromkeys(asked, 0)


def test_sources_decisions_and_the_register_hold_no_person(term: Registry) -> None:
    run = term.connection.execute
    for n in range(7):
        run(
            "insert into marts.source_health values ('vle', %s, %s, %s, 90)",
            [WEEKS[0] + timedelta(days=n), "stale" if n == 3 else "fresh", n != 3],
        )
    run(
        "insert into ops.rule_version (rule_id, rule_version, content, recorded_at) values ('silent', 'v', '{}', now())"
    )
    run(
        "insert into ops.rule_activation"
        " (rule_id, rule_version, action, effective_from, decided_at, decided_by, reason)"
        " values ('silent', 'v', 'activate', %s, %s, 'Ada Lovelace', 'Ask Ada')",
        [WEEKS[2], datetime(2026, 9, 8, tzinfo=UTC)],
    )
    edition = make(term)
    week = term.connection.execute(
        "select days_expected, days_complete, days_stale, mean_quality from governance.source_week"
        " where edition_id = %s",
        [edition],
    ).fetchall()
    assert week == [(7, 6, 1, 90.0)]
    changes = term.connection.execute("select kind, what from governance.change where edition_id = %s", [edition])
    assert ("rule", "silent activated, from 2026-09-07") in changes.fetchall()
    told = term.connection.execute("select count(*) from governance.source_register where edition_id = %s", [edition])
    assert told.fetchall()[0][0] > 20  # type: ignore[operator]
    everything = "select string_agg(t::text, ' ') from governance.{} as t"
    for table in ("change", "figure", "source_week", "edition"):
        (text,) = term.connection.execute(everything.format(table).encode()).fetchall()[0]
        assert "Ada" not in str(text)


def test_what_says_the_same_is_not_made_again(term: Registry) -> None:
    weekly = make(term, "weekly")
    assert weekly == f"weekly-{WEEKS[-1] + timedelta(days=6)}"
    assert make(term, "weekly", NOW + timedelta(hours=1)) == weekly
    first = make(term)
    assert make(term, now=NOW + timedelta(hours=1)) == first == f"on_request-{WEEKS[-1] + timedelta(days=6)}-1"
    term.connection.execute("insert into marts.contact_step select 'due', false from generate_series(1, 12)")
    assert make(term, now=NOW + timedelta(hours=2)) == first[:-1] + "2"


def test_two_periods_on_request_that_end_together_are_two_editions(term: Registry) -> None:
    whole, last = make(term), WEEKS[-1] + timedelta(days=6)
    part = editions.make(term.connection, "on_request", (WEEKS[2], last), NOW)
    assert (whole, part) == (f"on_request-{last}-1", f"on_request-{last}-2")
    assert editions.make(term.connection, "on_request", (WEEKS[2], last), NOW) == part
    assert make(term) == whole


def test_what_cannot_be_known_yet_is_no_zero(registry: Registry) -> None:
    registry.enrol(STUDENTS)
    for n, week in enumerate(WEEKS):
        known = [one if n > 1 else replace(one, consistently_low=False) for one in STUDENTS]
        registry.score(week, known if n > 3 else [replace(one, declining=False) for one in known])
    registry.connection.execute("update marts.score_trend set change_4w = null where week_start < %s", [WEEKS[4]])
    rows = registry.rows(make(registry))
    for figure, first in (("declining", 4), ("consistently_low", 2), ("below_attention", 0)):
        for one in (figure, f"{figure}_share"):
            assert {row.period_start for row in rows if row.figure_id == one} == set(WEEKS[first:]), one


def due(registry: Registry, now: datetime = NOW) -> list[tuple[Kind, date]]:
    """Return kind and last day of what is due."""
    return [(kind, period.end) for kind, period in editions.due(registry.connection, now)]


def make_week(registry: Registry, week: date, now: datetime = NOW) -> str:
    return editions.make(registry.connection, "weekly", (week, week + timedelta(days=6)), now)


def test_each_kind_is_due_once(term: Registry) -> None:
    assert due(term) == [("weekly", date(2026, 10, 4)), ("monthly", date(2026, 9, 27))]
    monthly = make(term, "monthly")
    assert due(term) == [("weekly", date(2026, 10, 4))]
    period = term.connection.execute("select period_start, period_end, title from governance.edition").fetchall()
    # October is not over yet; weeks belong to the month in which they end.
    assert period == [(date(2026, 8, 31), date(2026, 9, 27), "September 2026")]
    assert monthly == "monthly-2026-09-27"
    later = NOW + timedelta(days=40)
    assert [kind for kind, _ in due(term, later)] == ["weekly", "monthly", "termly"]
    make(term, "termly", later)
    assert "termly" not in [kind for kind, _ in due(term, later)]


def test_of_weeks_published_together_each_is_due_the_oldest_first(registry: Registry) -> None:
    registry.enrol(STUDENTS)
    for week in WEEKS[:3]:
        registry.score(week, STUDENTS)
    make(registry, "weekly")
    for week in WEEKS[3:5]:
        registry.score(week, STUDENTS)
    sundays = [week + timedelta(days=6) for week in WEEKS[3:5]]
    missed = [end for kind, end in due(registry) if kind == "weekly"]
    assert missed == sundays, "and none of the weeks before the first summary"
    for week in WEEKS[3:5]:
        make_week(registry, week)
    assert previous(registry) == {f"weekly-{end}": f"weekly-{end - timedelta(days=7)}" for end in sundays}
    assert "weekly" not in [kind for kind, _ in due(registry)]


def test_what_was_missed_is_made_up_for_twelve_weeks(registry: Registry) -> None:
    weeks = weeks_of(FIRST, 15)
    students = STUDENTS[:60]
    registry.enrol(students)
    registry.score(weeks[0], students)
    make(registry, "weekly")
    for week in weeks[1:]:
        registry.score(week, students)
    missed = due(registry, NOW + timedelta(days=60))
    assert [end for kind, end in missed if kind == "weekly"] == [week + timedelta(days=6) for week in weeks[-12:]]


def test_months_are_due_by_their_names(registry: Registry) -> None:
    registry.enrol(STUDENTS)
    registry.score(WEEKS[0], STUDENTS)
    make(registry, "monthly", datetime(2026, 9, 2, tzinfo=UTC))
    for week in weeks_of(FIRST, 10)[1:]:
        registry.score(week, STUDENTS)
    later = datetime(2026, 11, 5, tzinfo=UTC)
    months = [period for kind, period in editions.due(registry.connection, later) if kind == "monthly"]
    assert [one.title for one in months] == ["September 2026", "October 2026"]
    for one in months:
        editions.make(registry.connection, "monthly", (one.start, one.end), later)
    titles = registry.connection.execute("select title from governance.edition order by period_end").fetchall()
    assert titles == [("August 2026",), ("September 2026",), ("October 2026",)]


def previous(registry: Registry) -> dict[object, object]:
    """Return the edition before, of those that have one."""
    query = "select edition_id, previous_edition_id from governance.edition where previous_edition_id is not null"
    return dict(registry.connection.execute(query).fetchall())  # type: ignore[arg-type]


def test_without_a_published_week_there_is_nothing_to_sum_up(registry: Registry) -> None:
    assert due(registry) == []
    with pytest.raises(DecisionError, match="nothing to sum up"):
        make(registry)
    with pytest.raises(DecisionError, match="2026-08-01"):
        editions.make(registry.connection, "on_request", (date(2026, 8, 1), date(2026, 8, 7)), NOW)


def test_a_term_that_goes_on_is_said_to_go_on(term: Registry) -> None:
    with pytest.raises(DecisionError, match=r"2026T1 ends on 22 November 2026.*on-request"):
        make(term, "termly")
    term.connection.execute("delete from raw.term_calendar")
    with pytest.raises(DecisionError, match="term calendar"):
        make(term, "termly")


def test_a_month_that_goes_on_is_said_to_go_on(registry: Registry) -> None:
    registry.enrol(STUDENTS)
    registry.score(WEEKS[0], STUDENTS)
    with pytest.raises(DecisionError, match=r"no month with published scores is over.*on-request"):
        make(registry, "monthly", datetime(2026, 8, 31, 14, tzinfo=UTC))


def test_what_breaks_in_the_middle_leaves_nothing(term: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(besides, "REGISTER", "select 1 / 0 from ops.source where %(edition)s <> ''")
        with pytest.raises(psycopg.errors.DivisionByZero):
            make(term)
    for table in ("edition", "figure", "source_week", "change"):
        assert term.connection.execute(f"select count(*) from governance.{table}".encode()).fetchall() == [(0,)]
    assert make(term).endswith("-1")


def test_a_week_restated_is_counted_anew(term: Registry) -> None:
    before = make(term, "weekly")
    others = [one for one in STUDENTS if one.score >= 350]
    term.score(WEEKS[-1], others, revision=2, at=NOW + timedelta(days=1))
    later = NOW + timedelta(days=2)
    assert [kind for kind, _ in due(term, later)] == ["weekly", "monthly"]
    after = make(term, "weekly", later)
    assert after == f"{before}-2"
    assert [kind for kind, _ in due(term, later)] == ["monthly"]
    key = (WEEKS[-1], "all", "all", "")
    assert term.values(after, "students_scored")[key] == nearest_five(len(others))
    assert term.values(after, "below_attention")[key] == 0
    kept = [row[1:] for row in term.rows(before) if row.period_start < WEEKS[-1]]
    assert set(kept) <= {row[1:] for row in term.rows(after)}


def test_the_edition_made_for_a_restatement_tells_of_it_once(term: Registry) -> None:
    before = make(term, "weekly")
    term.score(WEEKS[-1], STUDENTS, revision=2, at=NOW + timedelta(days=1))
    # of the week before: in the period, and once the edition is made
    term.score(WEEKS[-2], STUDENTS, revision=2, at=datetime(2026, 9, 30, tzinfo=UTC))
    term.score(WEEKS[-2], STUDENTS, revision=3, at=NOW + timedelta(days=3))
    after = make(term, "weekly", NOW + timedelta(days=2))

    assert restatements(term, before) == []
    assert restatements(term, after) == [
        (date(2026, 9, 30), f"week {WEEKS[-2]}, revision 2"),
        (date(2026, 10, 27), f"week {WEEKS[-1]}, revision 2"),
    ]


def test_an_edition_does_not_tell_again_what_was_restated_before_its_period(term: Registry) -> None:
    term.score(WEEKS[1], STUDENTS, revision=2, at=datetime(2026, 9, 15, tzinfo=UTC))
    assert restatements(term, make(term, "weekly")) == []


def test_an_older_week_restated_gets_another_edition(term: Registry) -> None:
    first = {week: make_week(term, week) for week in WEEKS[2:]}
    make(term, "monthly")
    assert due(term) == []
    others = [one for one in STUDENTS if one.score >= 350]
    term.score(WEEKS[3], others, revision=2, at=NOW + timedelta(days=1))
    later = NOW + timedelta(days=2)
    sunday = WEEKS[3] + timedelta(days=6)
    assert due(term, later) == [("weekly", sunday), ("monthly", date(2026, 9, 27))]

    released = term.rows(first[WEEKS[3]])
    after = make_week(term, WEEKS[3], later)
    assert after == f"weekly-{sunday}-2"
    assert term.values(after, "students_scored")[WEEKS[3], "all", "all", ""] == nearest_five(len(others))
    assert restatements(term, after) == [(date(2026, 10, 27), f"week {WEEKS[3]}, revision 2")]
    assert term.rows(first[WEEKS[3]]) == released
    assert [kind for kind, _ in due(term, later)] == ["monthly"]

    week = WEEKS[-1] + timedelta(days=7)
    term.score(week, STUDENTS)
    newest = make_week(term, week, later)
    assert previous(term)[after] == first[WEEKS[3]]
    assert previous(term)[newest] == first[WEEKS[-1]], "the week before, not what was made last"
    alike = [term.values(one, "students_scored") for one in (after, newest)]
    assert all(alike[1][key] == value for key, value in alike[0].items())


def restatements(registry: Registry, edition: str) -> list[tuple[object, ...]]:
    """Return when what was scored again, as an edition lists it."""
    query = (
        "select changed_on, what from governance.change where kind = 'restatement' and edition_id = %s order by what"
    )
    return registry.connection.execute(query, [edition]).fetchall()
