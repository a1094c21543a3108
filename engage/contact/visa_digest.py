"""The visa team's digest: sponsored students who passed a warning day, or the limit, without contact; each once.

Only the role `visa` of messaging.yaml is ever written to. Days are counted in marts.sponsored_contact_point; what was
told stands in the message that told it. When messages leave is outbox.py's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg.rows import class_row

from engage import outbox
from engage.contact import people_words as words
from engage.letters import templates
from engage.messaging import Messaging
from engage.outbox import Draft
from engage.warehouse import Connection

ROLE = "visa"
_LOCK = "select pg_advisory_xact_lock(hashtext('engage.contact.visa_digest'))"
_IS_BUILT = "select to_regclass('marts.sponsored_contact_point') is not null"
_IS_WRITTEN = "select exists (select from ops.outbox where message_key = %s)"
# What is not certain yet is not told; what was certain before a feed broke is.
_PASSED = """
with newest as (
    select c.* from marts.sponsored_contact_point as c
    where
        c.contact_date = (select max(n.contact_date) from marts.sponsored_contact_point as n)
        and c.status <> 'not_counted'
),
sure as (
    select n.student_id, max(c.certain_days) as certain_days
    from newest as n
    inner join marts.sponsored_contact_point as c
        on n.student_id = c.student_id and n.last_contact_date is not distinct from c.last_contact_date
    group by n.student_id
),
told as (
    select
        one ->> 'student_id' as student_id, one ->> 'last_contact' as last_contact,
        max((one ->> 'day')::integer) as day
    from ops.outbox as o
    cross join jsonb_array_elements(o.payload -> 'sponsored') as one
    where starts_with(o.message_key, 'sponsored:') and o.state = any(%(told)s)
    group by 1, 2
),
days as (
    select w.day::integer as day from ops.setting as s
    cross join jsonb_array_elements_text(s.content -> 'warn_days') as w (day)
    where s.name = 'sponsorship'
    union all
    select (s.content ->> 'limit_days')::integer + 1 from ops.setting as s where s.name = 'sponsorship'
)
select
    n.student_id, n.contact_date, n.last_contact_date, n.counted_days, n.limit_days, n.incomplete_days,
    sure.certain_days, passed.day
from newest as n
inner join sure on n.student_id = sure.student_id
cross join lateral (select max(days.day) as day from days where days.day <= sure.certain_days) as passed
left join told on n.student_id = told.student_id and n.last_contact_date::text is not distinct from told.last_contact
where passed.day > coalesce(told.day, 0)
order by sure.certain_days desc, n.student_id
"""


@dataclass(frozen=True)
class Passed:
    """A student who passed a day that the visa team is to hear of."""

    student_id: str
    contact_date: date
    """The day up to which is counted."""
    last_contact_date: date | None
    counted_days: int
    limit_days: int
    incomplete_days: int
    certain_days: int
    """So many days are certain, whatever data is still to come."""
    day: int
    """The last of the days passed: one of warn_days, or the one after the limit."""


def write(connection: Connection, messaging: Messaging, now: datetime, local: datetime) -> bool:
    """Write the digest of today if there is anything to tell, and say whether it was. Commits.

    `local`: now, in the institution's zone; outside quiet hours. Not before the hour of digests, once a day, may be
    killed anywhere, and run by several at once.
    """
    if messaging.roles.get(ROLE) is None or local.time() < messaging.digest_at:
        return False
    connection.commit()
    with connection.transaction():
        connection.execute(_LOCK)
        key = f"sponsored:{local.date()}"
        if connection.execute(_IS_WRITTEN, [key]).fetchone() == (True,):
            return False
        if not (passed := _passed(connection, messaging)):
            return False
        outbox.write(connection, _draft(key, passed, messaging, local), now, suppress=False)
    return True


def waiting(connection: Connection, messaging: Messaging) -> int:
    """Return of how many students the visa team has not been told yet."""
    return len(_passed(connection, messaging)) if messaging.roles.get(ROLE) else 0


def is_nobody_told(connection: Connection, messaging: Messaging) -> bool:
    """Say whether there is something to tell the visa team, and messaging.yaml has no address for it."""
    return messaging.roles.get(ROLE) is None and bool(_passed(connection, messaging))


def _passed(connection: Connection, messaging: Messaging) -> list[Passed]:
    if connection.execute(_IS_BUILT).fetchone() != (True,):
        return []
    cursor = connection.cursor(row_factory=class_row(Passed))
    return cursor.execute(_PASSED, {"told": messaging.told}).fetchall()


def _draft(key: str, passed: Sequence[Passed], messaging: Messaging, local: datetime) -> Draft:
    over = sum(one.certain_days > one.limit_days for one in passed)
    near = len(passed) - over
    said = [f"{over} sponsored student{'s are' if over > 1 else ' is'} over the limit"] * bool(over)
    said += [f"{near} sponsored student{'s approach' if near > 1 else ' approaches'} the limit"] * bool(near)
    heading = " and ".join(said)
    context: dict[str, Any] = {
        "heading": heading,
        "today": words.weekday(local.date()),
        "until": words.day(passed[0].contact_date),
        "limit_days": passed[0].limit_days,
        "students": [{"number": one.student_id, "lines": _lines(one)} for one in passed],
        "asks": messaging.support,
    }
    pages = templates()
    text, html = (pages.get_template(f"sponsored_digest.{kind}.j2").render(context) for kind in ("txt", "html"))
    told = [
        {
            "student_id": one.student_id,
            "last_contact": None if one.last_contact_date is None else str(one.last_contact_date),
            "day": one.day,
        }
        for one in passed
    ]
    subject = f"{heading}, {context['today']}"
    return Draft(key, "email", messaging.roles[ROLE], subject, text, html, payload={"sponsored": told}, kind="digest")


def _lines(one: Passed) -> list[str]:
    left = one.limit_days - one.certain_days
    said = f"{left} left" if left >= 0 else f"{-left} over the limit"
    lines = [f"{one.certain_days} days count without a contact point: {said}."]
    if one.last_contact_date:
        lines.append(f"Last contact point on {words.day(one.last_contact_date)}.")
    else:
        lines.append("No contact point is known.")
    if one.counted_days > one.certain_days:
        days = words.many(one.incomplete_days, "day")
        lines.append(f"{one.counted_days} days, if there was none on {days} of which data is still to come.")
    return lines
