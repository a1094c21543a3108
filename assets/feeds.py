"""The `feeds` group: one asset per source, the bytes as received in the landing store and the ledger.

A factory over the source files; fetching and storing is engage.landing's.
"""

import dagster as dg

from assets.naming import facts_of, landing_key, need_of, tags_of
from assets.resources import WarehouseResource, readable_failures
from engage import clock, health, landing
from engage.connectors import AccessError, TransportError
from engage.settings import Settings
from engage.sources import ConfigurationError, Source

FETCHED = "fetched"
GOES_ON = "engage/goes_on"
"""Tag of runs in which a source that refuses us must not stop what does not need it."""


def landing_asset(source: Source, settings: Settings) -> dg.AssetsDefinition:
    """Return the asset that lands every settled delivery of `source` that the ledger does not have.

    What cannot be fetched fails its check, so that the gate goes on with what was landed; the sensor asks again later.
    """
    key = landing_key(source)

    @dg.asset(
        key=key,
        group_name="feeds",
        description=f"{source.title}: deliveries as received, byte for byte. {source.description}",
        kinds={source.transport.kind, source.format.kind},
        owners=[source.owner.email],
        tags=tags_of(source),
        op_tags=need_of(source),
        metadata=facts_of(source),
        check_specs=[dg.AssetCheckSpec(FETCHED, asset=key, description="Everything that has settled was fetched.")],
        pool=source.id,
        retry_policy=dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL),
    )
    def _landing(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        with readable_failures(), warehouse.connect() as connection:
            report, fault = landing.LandingReport(), None
            try:
                report = landing.land(connection, source, settings.landing_url, clock.now())
            except TransportError as error:
                fault = str(error)
            except (AccessError, ConfigurationError) as error:
                # Somebody must act, so the run is red; but not before the gate has done what waits for it.
                if not health.unfinished(connection, source.id) and GOES_ON not in context.run.tags:
                    raise
                fault = str(error)
            newest = health.latest_deliveries(connection, source.id)
        problems = [*([fault] if fault else []), *report.problems]
        for problem in problems:
            context.log.warning(problem)
        counts = {
            "deliveries_landed": len(report.landed),
            "bytes_landed": sum(delivery.size_bytes for delivery in report.landed),
            "duplicates": report.duplicates,
            "waiting_to_settle": report.waiting,
        }
        return dg.MaterializeResult(
            check_results=[
                dg.AssetCheckResult(
                    check_name=FETCHED,
                    passed=not problems,
                    severity=dg.AssetCheckSeverity.ERROR if fault else dg.AssetCheckSeverity.WARN,
                    description="\n\n".join(problems[:10]) or "Nothing was left behind.",
                )
            ],
            metadata={
                # What was landed before a fault is not in the report.
                **({} if fault else counts),
                "problems": len(problems),
                **({"last_delivery": dg.MetadataValue.timestamp(newest[0].landed_at)} if newest else {}),
                "latest_deliveries": _table(newest),
            },
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
