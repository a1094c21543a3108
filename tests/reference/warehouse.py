"""Reads what scores depend on out of a warehouse, so that the reference can be held against any run of the graph.

Nothing is computed here: daily activity is taken as the mart has it (tests/reference/daily.py checks that one).
"""

from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row

from tests.reference.scoring import Activity, Enrolment, Exemption, Parameters, Source, Teaching, University

ATTRIBUTES = ["programme_code", "faculty_code", "year_of_study", "mode", "entry_band", "cohort", "campus_residence"]
ATTRIBUTES += ["tutor_id"]


def read(connection: psycopg.Connection[Any]) -> University:
    """Return the University that the warehouse describes, with the configuration now in force."""
    given = connection.cursor(row_factory=dict_row).execute("select * from ops.scoring_parameter").fetchone()
    assert given is not None, "the warehouse has no configuration"
    constants = {name: given[name] for name in Parameters.__dataclass_fields__ if name in given}
    levels = connection.execute(
        "select peer_level, attributes from ops.peer_level where peer_set = 'published' order by position"
    ).fetchall()
    weights = connection.execute("select category, weight from ops.category_weight").fetchall()
    calendar = connection.cursor(row_factory=class_row(Teaching)).execute(
        "select starts_on, ends_on, programme_code, cohort from raw.term_calendar as c where kind = 'teaching' "
        "and as_of_date = (select max(as_of_date) from raw.term_calendar as d where d.source_id = c.source_id)"
    )
    enrolments = connection.execute(
        "select source_id, as_of_date, student_id, status, status_from, status_to, "
        f"{', '.join(ATTRIBUTES)} from raw.enrolments order by source_id, as_of_date, row_number"
    )
    return University(
        Parameters(category_weights=dict(weights), peer_levels=levels, **constants),
        connection.cursor(row_factory=class_row(Source))
        .execute("select source_id, record, category, weight, enabled_from, disabled_from from ops.source")
        .fetchall(),
        [Enrolment(*[*row[:6], dict(zip(ATTRIBUTES, row[6:], strict=True))]) for row in enrolments],
        calendar.fetchall(),
        connection.cursor(row_factory=class_row(Activity))
        .execute(
            "select student_id, activity_date as day, source_id, interactions, expected, attended "
            "from marts.daily_activity"
        )
        .fetchall(),
        set(connection.execute("select source_id, day from ops.coverage where is_complete").fetchall()),
        connection.cursor(row_factory=class_row(Exemption))
        .execute("select student_id, starts_on, ends_on from ops.exemption")
        .fetchall(),
    )
