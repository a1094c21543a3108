"""The visa team's digest: sponsored students who passed a warning day, or the limit, without contact; each once.

Of whom it stays uncertain because data is missing for longer than any hold lasts, that is told, once, in so many words.

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
# What is not certain yet is not told, unless the data is missing for so long that a hold would be closed; what was
# certain before a feed broke is. Nothing counts outside term, but what was passed by then is still to be told.
_PASSED = """
with newest as (
    select c.* from marts.sponsored_contact_point as c
    where
        c.contact_date = (select max(n.contact_date) from marts.sponsored_contact_point as n)
        and (c.not_counted_because is null or c.not_counted_because = 'outside term')
),
sure as (
    select
        n.student_id, max(c.certain_days) as certain_days,
        min(c.contact_date) filter (where c.incomplete_days > 0) as missing_since
    from newest as n
    inner join marts.sponsored_contact_point as c
        on n.student_id = c.student_id and n.last_contact_date is not distinct from c.last_contact_date
    group by n.student_id
),
told as (
    select
        one ->> 'student_id' as student_id, one ->> 'last_contact' as last_contact,
        max((one ->> 'day')::integer) as day, bool_or((one ->> 'undetermined')::boolean) as undetermined
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
    sure.certain_days, sure.missing_since, passed.day, held.is_undetermined
from newest as n
inner join sure on n.student_id = sure.student_id
cross join lateral (
    select coalesce(max(days.day), 0) as day from days where days.day <= sure.certain_days
) as passed
cross join lateral (
    select
        n.counted_days > n.limit_days and sure.certain_days <= n.limit_days
        and n.contact_date - coalesce(sure.missing_since, n.contact_date) > p.hold_days as is_undetermined
    from ops.scoring_parameter as p
) as held
left join told on n.student_id = told.student_id and n.last_contact_date::text is not distinct from told.last_contact
where
    passed.day > coalesce(told.day, 0)
    or (held.is_undetermined and not coalesce(told.undetermined or told.day > n.limit_days, false))
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
    missing_since: date | None
    """The first of the days of which data is missing."""
    day: int
    """The last of the days passed for certain: one of warn_days, or the one after the limit; 0 is none."""
    is_undetermined: bool
    """More days than the limit count, not all of them certain, and the data is missing for longer than a hold lasts."""


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
    unsure = sum(one.is_undetermined for one in passed)
    near = len(passed) - over - unsure
    said = [f"{over} sponsored student{'s are' if over > 1 else ' is'} over the limit"] * bool(over)
    said += [f"{unsure} sponsored student{'s' * (unsure > 1)} may be over the limit"] * bool(unsure)
    said += [f"{near} sponsored student{'s approach' if near > 1 else ' approaches'} the limit"] * bool(near)
    heading = " and ".join(filter(None, [", ".join(said[:-1]), said[-1]]))
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
            "undetermined": one.is_undetermined,
        }
        for one in passed
    ]
    subject = f"{heading}, {context['today']}"
    return Draft(key, "email", messaging.roles[ROLE], subject, text, html, payload={"sponsored": told}, kind="digest")


def _lines(one: Passed) -> list[str]:
    left = one.limit_days - one.certain_days
    said = f"{left} left" if left >= 0 else f"{-left} over the limit"
    days = words.many(one.incomplete_days, "day")
    if one.is_undetermined and one.missing_since:
        over = one.counted_days - one.limit_days
        lines = [
            f"Not determined: {one.counted_days} days count without a contact point, {over} over the limit, if there"
            f" was none on {days} of which data is missing.",
            f"The first of these days is {words.day(one.missing_since)}."
            f" Certain: {words.many(one.certain_days, 'day')}.",
        ]
    else:
        lines = [f"{one.certain_days} days count without a contact point: {said}."]
    if one.last_contact_date:
        lines.append(f"Last contact point on {words.day(one.last_contact_date)}.")
    else:
        lines.append("No contact point is known.")
    if one.counted_days > one.certain_days and not one.is_undetermined:
        lines.append(f"{one.counted_days} days, if there was none on {days} of which data is still to come.")
    return lines
