"""Messages that name a student who is erased: what has not left is taken back, and told anew without the student.

What a message says by now is nobody's but its reader's: of one that was sent, that it was is kept. Messages to the
owners of sources are about files, and keep their texts without the number. How messages are written is bundles.py's.
"""

import re
from pathlib import Path

from engage.privacy.mentions import ERASED, unname
from engage.privacy.places import Person, Place
from engage.warehouse import Connection

FOLDER = "outbox"
STILL_SAID = f"t.text <> '{ERASED}'"
"""Messages are found after their erasure, too, by the actions that refer to them."""
_NOT_TOLD = """
update ops.action set state = 'suppressed', why = 'the student is erased'
where student_id = any(%(students)s) and state = 'open'
"""
_TAKE = f"""
select t.message_id, t.state in ('pending', 'failed') from ops.outbox as t
where t.kind <> 'owner' and {STILL_SAID} and {{find}}
order by t.message_id
for update
"""  # noqa: S608
# The others in it wait for the next message. The student's own keep their number: by it previews are found.
_REOPEN = """
update ops.action set state = 'open', message_id = null
where message_id = any(%(back)s) and state = 'done' and student_id <> all(%(students)s)
"""
# The key of what is taken back is free: the message of today may be written again. A digest of the visa team has no
# actions; whom it told of stands in it.
_BLANK = f"""
update ops.outbox as t set
    message_key = case
        when t.message_id = any(%(back)s) then '{ERASED} ' || t.message_id
        else regexp_replace(t.message_key, %(words)s, '{ERASED} ' || t.message_id, 'gi')
    end,
    recipient = case
        when t.kind = 'student' or t.order_key like 'letter:%%' or t.recipient ~* %(words)s then '{ERASED}'
        else t.recipient
    end,
    subject = '{ERASED}', text = '{ERASED}', html = null, reply = null, error = null, order_key = null,
    payload = case
        when jsonb_typeof(t.payload -> 'sponsored') = 'array' and t.message_id <> all(%(back)s)
            then jsonb_build_object('sponsored', (
                select coalesce(jsonb_agg(one), '[]') from jsonb_array_elements(t.payload -> 'sponsored') as one
                where lower(one ->> 'student_id') <> all(%(refs)s)
            ))
        else '{{}}'
    end,
    state = case when t.message_id = any(%(back)s) then 'suppressed' else t.state end
where t.message_id = any(%(found)s)
"""  # noqa: S608


def take(connection: Connection, place: Place, who: Person, home: Path) -> tuple[int, int]:
    """Take a student out of all messages; return how many, and how many previews went with them.

    In a transaction of its own: killed anywhere, nothing is lost, and a second call ends it.
    """
    with connection.transaction():
        connection.execute(_NOT_TOLD, who.parameters)
        rows = connection.execute(_TAKE.format(find=place.find).encode(), who.parameters).fetchall()
        found = [int(str(number)) for number, _ in rows]
        back = [int(str(number)) for number, is_waiting in rows if is_waiting]
        given = {**who.parameters, "found": found, "back": back}
        connection.execute(_REOPEN, given)
        connection.execute(_BLANK, given)
        renamed = unname(connection, place.table, place.names, f"t.kind = 'owner' and {place.find}", who)
        # While nobody can send them: a preview is written with the row locked.
        files = [path for path in _previews(home) if _number(path) in found]
        for path in files:
            path.unlink(missing_ok=True)
    return len(found) + renamed, len(files)


def _previews(home: Path) -> list[Path]:
    return sorted(path for path in (home / FOLDER).glob("*") if path.is_file())


def _number(path: Path) -> int | None:
    leading = re.match(r"\d+(?=-)", path.name)
    return int(leading[0]) if leading else None
