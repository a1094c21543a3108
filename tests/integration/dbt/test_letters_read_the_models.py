"""Messages to people read what dbt really makes, not only its contracts."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from psycopg.types.json import Jsonb

from engage.contact import bundles
from engage.settings import Settings
from engage.warehouse import Connection

EVIDENCE = {"from": "2026-03-03", "to": "2026-03-09", "days": 7, "silent_days": 7, "interactions": {"vle": 0}}


def test_a_digest_and_a_correction_are_written(connection: Connection, tmp_path: Path) -> None:
    now = datetime(2026, 3, 10, 9, tzinfo=UTC)
    connection.execute(
        "insert into intermediate.int_student (student_id, status, is_sponsored, tutor_id)"
        " values ('s1', 'active', false, 'T')"
    )
    connection.execute("insert into pii.student values ('s1', 'Ada', 'King', 's1@example.ac.uk', '2026-03-01')")
    connection.execute("insert into pii.staff values ('T', 'Tutor', 't@example.ac.uk', '2026-03-01')")
    connection.execute(
        "insert into ops.notification (student_id, rule_id, kind, trigger_date, noticed_at, raised_at, status,"
        " reason, evidence)"
        " values ('s1', 'r', 'no_digital_activity', '2026-03-10', %(now)s, %(now)s, 'raised', '', %(evidence)s)",
        {"now": now, "evidence": Jsonb(EVIDENCE)},
    )
    connection.execute(
        "insert into ops.action (action_key, kind, student_id, notification_id, target, created_at)"
        " select 'k', 'notify', 's1', notification_id, 'tutor', %s from ops.notification",
        [now],
    )
    settings = replace(Settings.from_environment(), config=tmp_path, home=tmp_path)

    assert bundles.write(connection, settings, now) == {"digest": 1}
    connection.execute(
        "insert into ops.action (action_key, kind, student_id, notification_id, target, content, created_at)"
        " select 'c', 'correction', 's1', notification_id, 't@example.ac.uk',"
        " jsonb_build_object('of', jsonb_build_array(message_id)), created_at from ops.action"
    )
    connection.execute("update ops.outbox set state = 'sent', sent_at = created_at")
    assert bundles.write(connection, settings, now.replace(day=11)) == {"digest": 1}
