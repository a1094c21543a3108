"""The `quality_gate` group: one asset per source, its published rows, with what the gate found as asset checks.

A factory over the source files and suites; loading, auditing and publishing is engage.batches'. No check blocks: the
gate lives in the data, where a held batch has no rows.
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from assets.freshness import policy_of
from assets.naming import facts_of, landing_key, need_of, raw_key, tags_of
from assets.resources import WarehouseResource, readable_failures
from engage import batches, clock, configuration, health, partitions
from engage.settings import Settings
from engage.sources import Source
from engage.suites import Suite

GATE = "quality_gate"
# A backfill has thousands of batches; the plot needs the newest, the ledger has them all.
EVENTS_PER_RUN = 100
LINES_SHOWN = 25


def gate_asset(source: Source, suite: Suite, sources: dict[str, Source], settings: Settings) -> dg.AssetsDefinition:
    """Return the asset that loads, audits and publishes (or holds) every landed delivery of `source`.

    Sources that name students come after the student rosters, for a reference is understood by them.
    """
    key, table = raw_key(source), partitions.partition(source)
    rosters = [raw_key(s) for s in sources.values() if s.record == "students" and source.kind.names_student]

    @dg.asset(
        key=key,
        deps=[landing_key(source), *rosters],
        group_name=GATE,
        description=f"{source.title}: the rows that passed the quality gate. {source.description}",
        kinds={"postgres", "greatexpectations"},
        owners=[source.owner.email],
        tags=tags_of(source),
        op_tags=need_of(source),
        metadata={**facts_of(source), "dagster/table_name": table.as_string().replace('"', "")},
        freshness_policy=policy_of(source),
        check_specs=[
            dg.AssetCheckSpec(GATE, asset=key, description="Every batch scored 80 or more and broke no critical rule."),
            *(dg.AssetCheckSpec(rule.meta.id, asset=key, description=rule.meta.title) for rule in suite.rules),
        ],
        pool=source.id,
    )
    def _published(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        with readable_failures(), warehouse.connect() as connection:
            configuration.sync(connection, settings.config, sources, clock.now())
            connection.commit()
            outcomes = batches.process_pending(warehouse.address, source, suite, settings.landing_url, clock.now())
            done = health.batches(connection, [outcome.batch_id for outcome in outcomes])
            judged = done or health.latest_batch(connection, source.id)
            rules = health.rule_totals(connection, [batch.batch_id for batch in judged])
            held = health.held_batches(connection, source.id)
            rows = health.table_rows(connection, table)
        if len(done) > EVENTS_PER_RUN:
            context.log.info(f"{len(done)} batches; events for the newest {EVENTS_PER_RUN}, all are in ops.batch.")
        # The newest batch rides on the result itself, so that it is one point of the plot and not two.
        for batch in done[-EVENTS_PER_RUN:-1]:
            context.log_event(dg.AssetMaterialization(key, metadata=_of_batch(batch)))
        return dg.MaterializeResult(
            metadata={
                **(_of_batch(done[-1]) if done else {}),
                "dagster/row_count": rows or 0,
                "batches_processed": len(done),
                "batches_held": sum(batch.state == "held" for batch in done),
                "batches_held_in_all": len(held),
                "batches": _table(done or judged),
            },
            check_results=[_gate_result(judged, held), *_rule_results(suite, rules, judged)],
        )

    return _published


def _of_batch(batch: health.BatchRow) -> dict[str, dg.MetadataValue]:
    """Return what the UI plots and lists of one batch. Numbers, names and days only."""
    values: dict[str, dg.MetadataValue] = {
        "delivery": dg.MetadataValue.text(batch.name),
        "days": dg.MetadataValue.text(_days(batch)),
        "state": dg.MetadataValue.text(batch.state),
    }
    if batch.quality_score is not None:
        values["quality_score"] = dg.MetadataValue.float(round(batch.quality_score, 2))
    counts = {"rows_accepted": batch.rows_accepted, "rows_quarantined": batch.rows_quarantined}
    return values | {name: dg.MetadataValue.int(count) for name, count in counts.items() if count is not None}


def _days(batch: health.BatchRow) -> str:
    return " to ".join(sorted({str(day) for day in (batch.first_day, batch.last_day) if day}))


def _table(rows: Sequence[health.BatchRow]) -> dg.TableMetadataValue:
    """Return the batches as a table: held ones first, then the newest; at most LINES_SHOWN."""
    ordered = list(reversed(rows))
    ordered.sort(key=lambda batch: batch.state != "held")
    records = [
        dg.TableRecord(
            {
                "state": batch.state,
                "delivery": batch.name,
                "days": _days(batch),
                "quality": round(batch.quality_score or 0, 1),
                "accepted": batch.rows_accepted or 0,
                "quarantined": batch.rows_quarantined or 0,
                "left_out": batch.rows_dropped or 0,
                "problem": batch.problem or "",
                "notes": "; ".join(batch.notes),
            }
        )
        for batch in ordered[:LINES_SHOWN]
    ]
    kinds = {"quality": "float", "accepted": "int", "quarantined": "int", "left_out": "int"}
    names = ["state", "delivery", "days", "quality", "accepted", "quarantined", "left_out", "problem", "notes"]
    schema = dg.TableSchema([dg.TableColumn(name, kinds.get(name, "string")) for name in names])
    return dg.MetadataValue.table(records=records, schema=schema)


def _gate_result(judged: Sequence[health.BatchRow], held: Sequence[health.BatchRow]) -> dg.AssetCheckResult:
    """Red when a batch just judged was held, yellow while older ones still are."""
    now_held = [batch for batch in judged if batch.state == "held"]
    if now_held:
        said = "\n\n".join(f"{batch.name} is held: {batch.problem or 'it did not pass'}" for batch in now_held[:10])
    elif held:
        names = ", ".join(batch.name for batch in held[:10])
        said = f"{len(held)} older held: {names}. A corrected delivery replaces them, or `engage batch` decides."
    else:
        said = f"{len(judged)} judged, none is held." if judged else "No delivery has arrived yet."
    return dg.AssetCheckResult(
        check_name=GATE,
        passed=not held,
        severity=dg.AssetCheckSeverity.ERROR if now_held else dg.AssetCheckSeverity.WARN,
        description=said,
        metadata={
            "batches_judged": len(judged),
            "batches_held": len(now_held),
            "lowest_quality": round(min((batch.quality_score or 0 for batch in judged), default=0.0), 2),
        },
    )


def _rule_results(
    suite: Suite, rules: dict[str, health.RuleRow], judged: Sequence[health.BatchRow]
) -> Iterator[dg.AssetCheckResult]:
    """Say of every rule of the suite how many rows and files break it; never which values."""
    for rule in suite.rules:
        found = rules.get(rule.meta.id)
        if found is None:
            yield dg.AssetCheckResult(check_name=rule.meta.id, passed=True, description="Nothing to judge yet.")
            continue
        is_grave = rule.severity == "critical" and found.is_broken
        yield dg.AssetCheckResult(
            check_name=rule.meta.id,
            passed=not found.files_broken,
            severity=dg.AssetCheckSeverity.ERROR if is_grave else dg.AssetCheckSeverity.WARN,
            description=f"{rule.meta.title}: {_share(found)}",
            metadata={
                "rows_checked": found.rows_checked,
                "rows_failed": found.rows_failed,
                "share_met_pct": round(100 * found.share_met, 3),
                "files_checked": len(judged),
                "files_broken": found.files_broken,
            },
        )


def _share(found: health.RuleRow) -> str:
    if not found.files_broken:
        return "met."
    if found.rows_failed:
        return f"{found.rows_failed:,} of {found.rows_checked:,} rows do not (files: {found.files_broken})."
    return f"not met (files: {found.files_broken})."
