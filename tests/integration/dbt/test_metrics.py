"""Every metric of the semantic layer, asked through MetricFlow, says what plain SQL over the marts says."""

import json
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from engage import dbt
from tests.integration.dbt.conftest import OWN, Project

Ask = Callable[[str, list[str]], str]

STUDENT, STATE = "student__programme_code", "source_day__freshness"
SCORES = "marts.weekly_score inner join marts.student using (student_id)"
TRENDS = "marts.score_trend inner join marts.student using (student_id)"
ATTENDANCE = "marts.daily_activity inner join marts.student using (student_id)"
HEALTH = "marts.source_health"
PLAIN = {
    STUDENT: {
        "week_start": {
            SCORES: {
                "students_scored": "count(score)",
                "students_not_scored": "count(*) - count(score)",
                "degraded_scores": "count(*) filter (where score is not null and marks @> '{degraded}')",
                "imputed_scores": "count(*) filter (where score is not null and marks @> '{imputed}')",
            },
            TRENDS: {
                "students_below_350": "count(*) filter (where score < 350)",
                "share_below_350": "count(*) filter (where score < 350)::float / nullif(count(score), 0)",
                "students_below_300": "count(*) filter (where score < 300)",
                "share_below_300": "count(*) filter (where score < 300)::float / nullif(count(score), 0)",
                "students_declining": "count(*) filter (where declining)",
                "share_declining": "count(*) filter (where declining)::float / nullif(count(score), 0)",
                "students_consistently_low": "count(*) filter (where consistently_low)",
                "students_recovering": "count(*) filter (where recovering)",
                "students_falling_together": "count(*) filter (where falling_together)",
                "students_in_quiet_decline": "count(*) filter (where quiet_decline)",
                "students_in_cohort_event": "count(*) filter (where cohort_event)",
                "mean_attendance_4w": "avg(attendance_4w)",
            },
        },
        "activity_date": {
            ATTENDANCE: {
                "sessions_attended": "sum(attended)",
                "sessions_expected": "sum(expected)",
                "attendance_rate": "sum(attended)::float / sum(expected)",
            }
        },
    },
    STATE: {
        "health_date": {
            HEALTH: {
                "source_days": "count(*) filter (where freshness <> 'disabled')",
                "source_days_complete": "count(*) filter (where freshness <> 'disabled' and complete)",
                "source_days_covered": "count(*) filter (where freshness <> 'disabled' and covered)",
                "share_source_days_complete": "avg(complete::int) filter (where freshness <> 'disabled')",
                "coverage": "avg(covered::int) filter (where freshness <> 'disabled')",
                "sources_stale": "count(distinct source_id) filter (where freshness = 'stale')",
                "rows_accepted": "sum(rows_accepted)",
                "rows_quarantined": "sum(rows_quarantined)",
            }
        }
    },
}
CASES = [
    (metric, dimension, day, relation, expression)
    for dimension, days in PLAIN.items()
    for day, relations in days.items()
    for relation, metrics in relations.items()
    for metric, expression in metrics.items()
]
# Two programmes of different size, several weeks; what is counted is in some rows only.
ROWS = """
insert into intermediate.int_student (student_id, programme_code, status)
select 's' || i, 'P' || i / 26, 'active' from generate_series(1, 40) as i;
insert into marts.weekly_score (student_id, week_start, revision, status, score, marks)
select
    's' || i, date '2026-09-28' + 7 * w, 1, 'any', case when (i + w) % 9 > 0 then 200 + (53 * i + 7 * w) % 600 end,
    array_remove(array[case when i % 3 = w then 'degraded' end, case when i % 5 = w then 'imputed' end], null)
from generate_series(1, 40) as i, generate_series(0, 3) as w;
insert into marts.score_trend (
    student_id, week_start, score, weeks_below_350, weeks_below_300, declining, consistently_low, recovering,
    falling_together, quiet_decline, cohort_event, attendance_4w
)
select
    student_id, week_start, score, coalesce((score < 350)::int * 2, 0), coalesce((score < 300)::int, 0), i % 3 = 0,
    i % 4 = 0, i % 5 = 0, i % 6 = 0, i % 7 = 0, i % 8 = 0, nullif(i, 13) * 1.5
from (select *, substr(student_id, 2)::int as i from marts.weekly_score) as s;
insert into marts.daily_activity (
    student_id, activity_date, source_id, category, interactions, events, expected, attended
)
select 's' || i, date '2026-09-28' + d, 'a', 'attendance', 1, 1, 1 + i % 2, (i + d) % 2
from generate_series(1, 40) as i, generate_series(0, 20) as d;
insert into marts.source_health (
    source_id, health_date, freshness, judged_at, covered, complete, rows_accepted, rows_quarantined
)
select
    'source_' || s, date '2026-09-28' + d,
    case (s * s + d) % 9 when 0 then 'stale' when 1 then 'disabled' else 'fresh' end,
    now(), (s + d) % 5 > 0, (s + d) % 5 > 1, 100 * s + d, s
from generate_series(1, 3) as s, generate_series(0, 20) as d;
"""


@pytest.fixture(scope="module")
def ask(project: Project) -> Iterator[Ask]:
    """A function that returns MetricFlow's SQL for a metric by dimensions."""
    # It deprecates its own date handling.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from metricflow.engine.metricflow_engine import MetricFlowEngine, MetricFlowQueryRequest
        from metricflow.protocols.sql_client import SqlEngine
        from metricflow.sql.render.postgres import PostgresSQLSqlPlanRenderer
        from metricflow_semantics.model.dbt_manifest_parser import parse_manifest_from_dbt_generated_manifest
        from metricflow_semantics.model.semantic_manifest_lookup import SemanticManifestLookup

        text = semantic_manifest(project).replace("any_database", OWN)
        manifest = parse_manifest_from_dbt_generated_manifest(text)
        client = SimpleNamespace(sql_engine_type=SqlEngine.POSTGRES, sql_plan_renderer=PostgresSQLSqlPlanRenderer())
        engine = MetricFlowEngine(SemanticManifestLookup(manifest), client)

        def explain(metric: str, dimensions: list[str]) -> str:
            request = MetricFlowQueryRequest.create(metric_names=[metric], group_by_names=dimensions)
            return str(engine.explain(request).sql_statement.sql)

        yield explain


def semantic_manifest(project: Project) -> str:
    return dbt.manifest_path(project.home).with_name("semantic_manifest.json").read_text()


def test_every_metric_is_compared_and_says_that_it_is_not_for_publication(project: Project) -> None:
    metrics = {m["name"]: m["description"] for m in json.loads(semantic_manifest(project))["metrics"]}
    assert metrics.keys() == {case[0] for case in CASES}
    assert [name for name, said in metrics.items() if "never for publication where groups are small" not in said] == []


def test_metrics_say_what_plain_sql_says(ask: Ask, connection: psycopg.Connection[Any]) -> None:
    connection.execute(ROWS)
    for metric, dimension, day, relation, expression in CASES:
        found = connection.execute(ask(metric, ["metric_time__week", dimension])).fetchall()
        group = "programme_code" if dimension == STUDENT else "freshness"
        plain = connection.execute(
            f"select date_trunc('week', {day}), {group}, {expression} from {relation} group by 1, 2"
        ).fetchall()
        assert tidy(found) == tidy(plain), metric
        assert len({value for *_, value in tidy(plain)}) > 1, metric


def tidy(rows: list[Any]) -> list[tuple[Any, ...]]:
    values = [(*head, float(value) if isinstance(value, Decimal) else value) for *head, value in rows]
    return sorted((*head, round(value, 9)) for *head, value in values if value)
