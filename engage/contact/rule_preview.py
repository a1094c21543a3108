"""What a rule would do, before anybody activates it: whom it is about now, and whom it would have told of over a term.

The past is what rules.py would have made of it, from the same facts by the same statement (rule_firing.py). Nothing is
written.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from psycopg.rows import dict_row

from engage.contact import rule_conditions
from engage.contact.rule_firing import IN_CONTACT_DAYS, fire, published_weeks, statement
from engage.contact.rules_file import Rule
from engage.warehouse import Connection

TERM_WEEKS = 12
"""Published weeks that a preview looks back."""
_DAYS = 7
"""Of a rule about silence: notifications of so many days are those of now."""
_NOW = """
with found as (
    select distinct on (f.student_id)
        f.student_id, f.programme_code as programme,
        coalesce(f.open_case or f.last_contact_date >= f.on_date - {contact_days}, false) as in_contact,
        coalesce({exempt}, false) as exempt,
        coalesce({condition}, false) as in_scope
    from {facts} as f
    where {asked}
    order by f.student_id, f.on_date desc
)
select * from found order by programme nulls last, student_id
"""
_OF_WEEK = "(select * from intermediate.int_rule_fact where week_start = {week})"
_OF_KIND = """(
    select n.student_id, k.*
    from ops.notification as n
    inner join ops.notification_fact as k using (notification_id)
    where n.kind = {kind} and n.status = 'raised' and n.trigger_date >= {from_date}
)"""
# What a preview reads goes whole weeks or days at a time, and its deletion is on record.
_DELETED = "select max(older_than) from ops.deletion where place = %s and way = 'deleted'"
_FIRED = "select student_id, week_start as day, status, in_contact from pg_temp.firing where status is not null"
_TOLD = """
select
    f.student_id, f.on_date as day, 'raised' as status,
    coalesce(f.open_case or f.last_contact_date >= f.on_date - {contact_days}, false) as in_contact
from {facts} as f
where {condition}
"""


class GoneError(Exception):
    """What was known in a week that is asked about has been deleted. Says up to when."""


@dataclass(frozen=True)
class Week:
    """What a rule would have done in one week."""

    week_start: date
    """Of a rule about scores the week that is scored, else the one in which the notifications trigger."""
    fired: int
    held: int
    """Because of a cohort event."""
    in_contact: int
    """Of those fired: with an open case, or contacted in the last 14 days."""


@dataclass(frozen=True)
class Preview:
    """What a rule would do."""

    rule: Rule
    since: date | None
    """The first week looked at; None: nothing is published."""
    newest: date | None
    """The week, or the first day, that `now` is about."""
    now: list[dict[str, Any]]
    """student_id, programme, in_contact, exempt, in_scope (false: only exempt students whom the rule leaves out)."""
    weeks: list[Week]
    fired: list[tuple[str, date, str]]
    """Student, week or trigger date, and raised, held or dropped."""

    @property
    def in_scope(self) -> list[dict[str, Any]]:
        """Those whom the rule is about now."""
        return [row for row in self.now if row["in_scope"]]

    def programmes(self) -> list[dict[str, object]]:
        """Return how many students are in scope now, and in contact, by programme."""
        there: dict[str, list[dict[str, Any]]] = {}
        for row in self.in_scope:
            there.setdefault(row["programme"] or "not known", []).append(row)
        return [
            {"programme": name, "students": len(rows), "in_contact": sum(row["in_contact"] for row in rows)}
            for name, rows in there.items()
        ]


def preview(connection: Connection, rule: Rule, since: date | None, now: datetime) -> Preview:
    """Return what a rule would do, as if it had been activated for the week `since`, a Monday.

    Default: the first of the newest 12 published weeks. Leaves nothing behind that the caller does not commit. Raises
    GoneError: of `since` nothing is known any more.
    """
    there = _there_since(connection, rule)
    if since and there and since < there:
        raise GoneError(
            f"what rules knew in the week from {since} has been deleted, as all before {there}: preview from a later"
            " Monday (docs/retention.md)"
        )
    published = published_weeks(connection)
    since = since or next(iter(list(published)[-TERM_WEEKS:]), None)
    if rule.kind:
        return _of_silence(connection, rule, since, there, now)
    weeks = {week: revision for week, revision in published.items() if since and week >= since}
    if not weeks:
        return Preview(rule, since, None, [], [], [])
    newest = max(weeks)
    found = _whom(connection, rule, statement(_OF_WEEK, week=newest))
    fire(connection, rule, weeks)
    rows = connection.cursor(row_factory=dict_row).execute(_FIRED).fetchall()
    connection.execute("drop table pg_temp.firing")
    return Preview(rule, since, newest, found, _by_week(rows, list(weeks)), _fired(rows))


def _there_since(connection: Connection, rule: Rule) -> date | None:
    """Return the first day of which what the rule is asked of is there; None: all of it is."""
    place = "ops.notification" if rule.kind else "intermediate.int_rule_fact"
    row = connection.execute(_DELETED, [place]).fetchone()
    return row[0] if row and isinstance(row[0], date) else None


def _of_silence(connection: Connection, rule: Rule, since: date | None, there: date | None, now: datetime) -> Preview:
    zone = connection.execute("select (%s at time zone time_zone)::date from ops.scoring_parameter", [now]).fetchone()
    today = zone[0] if zone and isinstance(zone[0], date) else now.date()
    this_week = today - timedelta(today.weekday())
    first = since or this_week - timedelta(7 * (TERM_WEEKS - 1))
    if there and first < there:
        first = there + timedelta(-there.weekday() % 7)
    from_date = today - timedelta(_DAYS - 1)
    found = _whom(connection, rule, statement(_OF_KIND, kind=rule.kind, from_date=from_date))
    told = statement(
        _TOLD,
        facts=statement(_OF_KIND, kind=rule.kind, from_date=first),
        condition=rule_conditions.condition(rule),
        contact_days=IN_CONTACT_DAYS,
    )
    rows = connection.cursor(row_factory=dict_row).execute(told).fetchall()
    weeks = [first + timedelta(days) for days in range(0, (this_week - first).days + 1, 7)]
    return Preview(rule, first, from_date, found, _by_week(rows, weeks), _fired(rows))


def _whom(connection: Connection, rule: Rule, facts: Any) -> list[dict[str, Any]]:
    query = statement(
        _NOW,
        facts=facts,
        asked=rule_conditions.asked(rule),
        condition=rule_conditions.condition(rule),
        exempt=rule_conditions.EXEMPT,
        contact_days=IN_CONTACT_DAYS,
    )
    return connection.cursor(row_factory=dict_row).execute(query).fetchall()


def _by_week(rows: list[dict[str, Any]], weeks: list[date]) -> list[Week]:
    there: dict[date, list[dict[str, Any]]] = {week: [] for week in weeks}
    for row in rows:
        there.setdefault(row["day"] - timedelta(row["day"].weekday()), []).append(row)
    return [
        Week(
            week,
            sum(row["status"] == "raised" for row in ones),
            sum(row["status"] != "raised" for row in ones),
            sum(row["status"] == "raised" and row["in_contact"] for row in ones),
        )
        for week, ones in there.items()
    ]


def _fired(rows: list[dict[str, Any]]) -> list[tuple[str, date, str]]:
    return sorted((row["student_id"], row["day"], row["status"]) for row in rows)
