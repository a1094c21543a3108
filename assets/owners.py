"""The `source_owners` group: what is wrong with the sources now, and what their owners were told.

Thin: incidents and messages are engage.incidents' and engage.outbox'. Runs after the gate, and whenever its sensor
finds something new to say.
"""

from collections.abc import Mapping, Sequence

import dagster as dg
from psycopg.rows import dict_row

from assets.naming import raw_key
from assets.resources import WarehouseResource, readable_failures
from engage import clock, incidents, outbox
from engage.messaging import load_messaging
from engage.settings import Settings
from engage.sources import Source
from engage.suites import Suite
from engage.warehouse import Connection

KEY = dg.AssetKey("source_owners")
DELIVERED = "nothing_undelivered"
_OPEN = """
select source_id as source, kind, opened_at, facts->>'since' as since, reminded_at, escalated_at
from ops.incident where resolved_at is null order by opened_at, incident_id
"""
_TOLD = """
select distinct
    o.message_id, o.created_at as written_at, m.purpose, o.channel, o.recipient, o.subject, o.state, o.attempts, o.error
from ops.outbox as o
inner join ops.incident_message as m using (message_id)
order by o.message_id desc
limit 25
"""
_COUNTS = """
select
    (select count(*) from ops.incident where resolved_at is null) as incidents_open,
    count(*) filter (where state = 'pending') as messages_waiting,
    count(*) filter (where state = 'pending' and error is not null) as messages_put_off,
    count(*) filter (where state = 'failed') as messages_failed,
    count(*) filter (where state = 'suppressed') as messages_held_back,
    max(error) filter (where state in ('pending', 'failed')) as error
from ops.outbox where kind = 'owner'
"""


def owners_asset(sources: Mapping[str, Source], suites: Mapping[str, Suite], settings: Settings) -> dg.AssetsDefinition:
    """Return the asset that opens and closes incidents, writes what is to be said, and sends it."""
    titles = {name: {rule.meta.id: rule.meta.title for rule in suite.rules} for name, suite in suites.items()}

    @dg.asset(
        key=KEY,
        deps=[raw_key(source) for source in sources.values()],
        group_name="source_owners",
        description="What is wrong with the sources, and who was told: each owner once, and once when it is over.",
        kinds={"postgres"},
        check_specs=[
            dg.AssetCheckSpec(DELIVERED, asset=KEY, description="Every message has reached a server that took it.")
        ],
    )
    def _owners(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        with readable_failures(), warehouse.connect() as connection:
            messaging, now = load_messaging(settings.config), clock.now()
            changes = incidents.refresh(connection, sources, titles, messaging, now)
            became = outbox.send_due(connection, messaging, settings.home, now)
            ((counts,), is_open, told) = (rows_of(connection, query) for query in (_COUNTS, _OPEN, _TOLD))
        error = counts.pop("error")
        context.log.info(f"{changes.opened} opened, {changes.resolved} over, messages: {became or 'none'}")
        is_good = not counts["messages_failed"] and not counts["messages_put_off"]
        said = f"{counts['messages_failed']} given up, {counts['messages_put_off']} put off: {error}."
        return dg.MaterializeResult(
            check_results=[
                dg.AssetCheckResult(
                    check_name=DELIVERED,
                    passed=is_good,
                    severity=dg.AssetCheckSeverity.ERROR if counts["messages_failed"] else dg.AssetCheckSeverity.WARN,
                    description="Nothing waits." if is_good else f"{said} See `engage outbox list --state failed`.",
                )
            ],
            metadata={
                **{name: int(str(count)) for name, count in counts.items()},
                "incidents_opened": changes.opened,
                "incidents_over": changes.resolved,
                "messages_written": len(changes.messages),
                "messages_sent": became.get("sent", 0) + became.get("previewed", 0),
                "delivery": messaging.delivery,
                "open": table_of(is_open, ["source", "kind", "since", "opened_at", "reminded_at", "escalated_at"]),
                "told": table_of(told, ["written_at", "purpose", "recipient", "subject", "state", "attempts", "error"]),
            },
        )

    return _owners


def rows_of(connection: Connection, query: str) -> list[dict[str, object]]:
    """Return the rows of a query by column."""
    return connection.cursor(row_factory=dict_row).execute(query.encode()).fetchall()


def table_of(rows: Sequence[Mapping[str, object]], names: Sequence[str]) -> dg.TableMetadataValue:
    """Return rows as a table for the UI."""
    records = [
        dg.TableRecord({name: "" if row[name] is None else str(row[name])[:200] for name in names}) for row in rows
    ]
    return dg.MetadataValue.table(records=records, schema=dg.TableSchema([dg.TableColumn(name) for name in names]))
