"""The `feeds` group: one asset per source, the bytes as received in the landing store and the ledger.

A factory over the source files; fetching and storing is engage.landing's.
"""

import dagster as dg

from assets.naming import facts_of, landing_key, tags_of
from assets.resources import WarehouseResource, readable_failures
from engage import clock, health, landing
from engage.settings import Settings
from engage.sources import Source


def landing_asset(source: Source, settings: Settings) -> dg.AssetsDefinition:
    """Return the asset that lands every settled delivery of `source` that the ledger does not have."""

    @dg.asset(
        key=landing_key(source),
        group_name="feeds",
        description=f"{source.title}: deliveries as received, byte for byte. {source.description}",
        kinds={source.transport.kind, source.format.kind},
        owners=[source.owner.email],
        tags=tags_of(source),
        metadata=facts_of(source),
        pool=source.id,
        retry_policy=dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL),
    )
    def _landing(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        with readable_failures(), warehouse.connect() as connection:
            report = landing.land(connection, source, settings.landing_url, clock.now())
            newest = health.latest_deliveries(connection, source.id)
        for problem in report.problems:
            context.log.warning(problem)
        return dg.MaterializeResult(
            metadata={
                "deliveries_landed": len(report.landed),
                "bytes_landed": sum(delivery.size_bytes for delivery in report.landed),
                "duplicates": report.duplicates,
                "waiting_to_settle": report.waiting,
                "problems": len(report.problems),
                **({"last_delivery": dg.MetadataValue.timestamp(newest[0].landed_at)} if newest else {}),
                "latest_deliveries": _table(newest),
            }
        )

    return _landing


def _table(deliveries: list[health.DeliveryRow]) -> dg.TableMetadataValue:
    records = [
        dg.TableRecord(
            {
                "delivery": delivery.name,
                "bytes": delivery.size_bytes,
                "first_day": str(delivery.first_day or ""),
                "last_day": str(delivery.last_day or ""),
                "landed_at": f"{delivery.landed_at:%Y-%m-%d %H:%M:%S} UTC",
            }
        )
        for delivery in deliveries
    ]
    columns = [("delivery", "string"), ("bytes", "int"), ("first_day", "string"), ("last_day", "string")]
    schema = dg.TableSchema([dg.TableColumn(name, kind) for name, kind in [*columns, ("landed_at", "string")]])
    return dg.MetadataValue.table(records=records, schema=schema)
