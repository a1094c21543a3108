"""The `notifications` group: what students triggered, what is to be done about it, and the messages to people.

Thin: what is evaluated and written is engage.contact's, what is sent engage.outbox'. No metadata names a student, and
counts of what is about students are to the nearest five; those of messages are exact.
"""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg
from psycopg.rows import dict_row

from assets.figures import rounded
from assets.owners import rows_of, table_of
from assets.resources import WarehouseResource, readable_failures
from engage import clock, outbox, weekly
from engage.contact import bundles, evaluation, ladders, visa_digest
from engage.messaging import load_messaging
from engage.settings import Settings

GROUP = "notifications"
EVALUATED, DELIVERED = dg.AssetKey([GROUP, "evaluated"]), dg.AssetKey([GROUP, "delivered"])
_MADE_FROM = ("int_inactivity", "int_inactivity_fact", "int_inactivity_withdrawn", "int_rule_fact", "int_ladder_step")
_TOLD_FROM = ("notification", "contact_step", "case_action", "sponsored_contact_point")
HOLDS = dg.AssetCheckSpec(
    "no_hold_lasts",
    asset=EVALUATED,
    description="No notification has been held for more than two days: it waits for a feed, and closes undetermined.",
)
TAKEN = dg.AssetCheckSpec(
    "everything_was_taken", asset=DELIVERED, description="No message to staff, students or the CRM was given up."
)
ADDRESSED = dg.AssetCheckSpec(
    "everybody_has_an_address",
    asset=DELIVERED,
    description="In the last 14 days nothing was left unsaid because nobody is known to say it to; and the visa team, "
    "if there is something to tell it, has an address.",
)
_TOTALS = """
select kind, status, count(*) as notifications, max(trigger_date)::text as newest
from ops.notification group by kind, status order by kind, status
"""
_HOLDS = """
select
    gap ->> 'source' as source, gap ->> 'day' as day, count(distinct notification_id) as notifications,
    count(distinct notification_id) filter (
        where trigger_date < (%(now)s at time zone time_zone)::date - 2
    ) as for_over_two_days
from ops.notification
cross join ops.scoring_parameter
cross join jsonb_array_elements(evidence -> 'missing') as gap
where status = 'held' and kind <> 'score'
group by source, day
order by day, source
"""
_RULES = """
select
    rule_id as rule, count(distinct notification_id) as notifications, count(*) as actions,
    count(*) filter (where state = 'suppressed') as suppressed
from ops.action where rule_id is not null group by rule_id order by rule_id
"""
_MESSAGES = """
select kind, state, count(*) as messages, min(created_at) filter (where state = 'pending') as oldest
from ops.outbox where kind <> 'owner' group by kind, state order by kind, state
"""
_UNSAID = """
select
    why, count(*) as actions,
    count(*) filter (where why like 'no %% is known' and created_at > %(now)s - interval '14 days') as nobody_lately
from ops.action
-- what waits for somebody to be known is unsaid, too
where state = 'suppressed' or (state = 'open' and why is not null)
group by why order by count(*) desc
"""


def evaluated_asset(settings: Settings) -> dg.AssetsDefinition:
    """Return the asset that turns silence and scores into notifications, and these into what is to be done."""

    @dg.asset(
        key=EVALUATED,
        deps=[dg.AssetKey(["intermediate", name]) for name in _MADE_FROM],
        group_name=GROUP,
        description="Notifications raised, held, dropped, undetermined or superseded, and what the active rules ask "
        "for: messages, cases, ladders. One transaction; a second run changes nothing.",
        kinds={"postgres"},
        owners=["team:student_support"],
        check_specs=[HOLDS],
    )
    def _evaluated(warehouse: WarehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        now = clock.now()
        with readable_failures(), weekly.one_at_a_time(warehouse.address), warehouse.connect() as connection:
            if not evaluation.is_possible(connection):
                raise dg.Failure("Nothing is built yet that could be evaluated: run daily_marts.", allow_retries=False)
            found = evaluation.evaluate(connection, settings.config, now)
            totals, by_rule = rows_of(connection, _TOTALS), rows_of(connection, _RULES)
            holds = connection.cursor(row_factory=dict_row).execute(_HOLDS, {"now": now}).fetchall()
        counts = {
            status: rounded(sum(int(str(row["notifications"])) for row in totals if row["status"] == status))
            for status in ("raised", "held", "dropped", "undetermined", "superseded")
        }
        late = [row for row in holds if row["for_over_two_days"]]
        said = "; ".join(f"{row['source']} of {row['day']}" for row in late[:10])
        return dg.MaterializeResult(
            metadata={
                **{f"notifications_{status}": count for status, count in counts.items()},
                "case_actions": rounded(found.case_actions.get("open", 0) + found.case_actions.get("append", 0)),
                "ladders_begun": rounded(found.ladders_begun),
                "corrections": rounded(found.corrections),
                "by_kind": table_of(_rounded(totals), ["kind", "status", "notifications", "newest"]),
                "held_for": table_of(_rounded(holds), ["source", "day", "notifications"]),
                "by_rule": table_of(_rounded(by_rule), ["rule", "notifications", "actions", "suppressed"]),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name=HOLDS.name,
                    asset_key=EVALUATED,
                    passed=not late,
                    severity=dg.AssetCheckSeverity.WARN,
                    description=f"Notifications wait for data of {said}." if late else "None.",
                )
            ],
        )

    return _evaluated


def delivered_asset(settings: Settings) -> dg.AssetsDefinition:
    """Return the asset that writes what is due to staff, students and the CRM, and sends what waits in the outbox."""

    @dg.asset(
        key=DELIVERED,
        deps=[EVALUATED, *(dg.AssetKey(["marts", name]) for name in _TOLD_FROM)],
        group_name=GROUP,
        description="Messages to staff, students and the CRM: digests, steps that are due, cases, corrections. With "
        "`delivery: preview` they become files in ENGAGE_HOME/outbox, and nothing leaves the machine.",
        kinds={"postgres", "email"},
        owners=["team:student_support"],
        check_specs=[TAKEN, ADDRESSED],
    )
    def _delivered(warehouse: WarehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        now = clock.now()
        with readable_failures(), warehouse.connect() as connection:
            messaging = load_messaging(settings.config)
            with connection.transaction():
                steps = ladders.tell_due(connection, now)
            written = bundles.write(connection, settings, now)
            became = outbox.send_due(connection, messaging, settings.home, now)
            messages = rows_of(connection, _MESSAGES)
            unsaid = connection.cursor(row_factory=dict_row).execute(_UNSAID, {"now": now}).fetchall()
            nobody = [str(row["why"]) for row in unsaid if row["nobody_lately"]]
            if visa_digest.is_nobody_told(connection, messaging):
                nobody.append("sponsored students passed a day of warning, and the role visa has no address")
        states = {
            state: sum(int(str(row["messages"])) for row in messages if row["state"] == state)
            for state in ("pending", "sent", "previewed", "failed", "suppressed")
        }
        return dg.MaterializeResult(
            metadata={
                "steps_due": rounded(steps),
                "messages_written": sum(written.values()),
                "messages_sent": became.get("sent", 0) + became.get("previewed", 0),
                **{f"messages_{state}_ever": count for state, count in states.items()},
                "actions_suppressed_ever": rounded(sum(int(str(row["actions"])) for row in unsaid)),
                "delivery": messaging.delivery,
                "messages": table_of(messages, ["kind", "state", "messages", "oldest"]),
                "not_said": table_of(_rounded(unsaid), ["why", "actions"]),
            },
            check_results=list(_checks(states["failed"], nobody)),
        )

    return _delivered


def _rounded(rows: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    return [{name: rounded(value) if isinstance(value, int) else value for name, value in row.items()} for row in rows]


def _checks(failed: int, nobody: list[str]) -> Iterator[dg.AssetCheckResult]:
    yield dg.AssetCheckResult(
        check_name=TAKEN.name,
        asset_key=DELIVERED,
        passed=not failed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{failed} were: see `engage outbox list --state failed` and `engage case list`."
        if failed
        else "None was.",
    )
    yield dg.AssetCheckResult(
        check_name=ADDRESSED.name,
        asset_key=DELIVERED,
        passed=not nobody,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{'; '.join(nobody)}." if nobody else "Everybody has.",
    )
