"""What a source is called in the graph: its asset keys, owners, kinds and tags, all from its YAML file.

No source or vendor by name.
"""

import re

import dagster as dg

from engage.sources import Source


def landing_key(source: Source) -> dg.AssetKey:
    """Return the key of the bytes as received."""
    return dg.AssetKey(["landing", source.id])


def raw_key(source: Source) -> dg.AssetKey:
    """Return the key of the published rows."""
    return dg.AssetKey(["raw", source.id])


def name_of(text: str) -> str:
    """Return `text` with everything that a Dagster name cannot have replaced by `_`."""
    return re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_")


def tags_of(source: Source) -> dict[str, str]:
    """Return the tags by which the UI filters."""
    tags = {"source": source.id, "system": source.system, "record": source.record, "category": source.category or ""}
    return {key: name_of(value)[:63] for key, value in tags.items() if value}


def need_of(source: Source) -> dict[str, str]:
    """Return the tag by which a run takes the rosters first, then the sources that weigh most (scoring.md)."""
    order = ("other", "library_access", "vle", "attendance")
    need = order.index(source.category) if source.category else len(order) + (source.record == "students")
    return {"dagster/priority": str(need)}


def facts_of(source: Source) -> dict[str, dg.MetadataValue]:
    """Return what the source file says and a data engineer asks first."""
    facts = {
        "source_file": f"sources/{source.id}.yaml",
        "system": source.system,
        "relation": source.relation,
        "cadence": f"{source.cadence}, by {source.delivered_at:%H:%M}",
        "collected": f"until {source.disabled_from} (disabled_from)" if source.disabled_from else "yes",
        "stale_after": f"{source.freshness.fail_after_h:g} h",
        "owner": f"{source.owner.name} <{source.owner.email}>",
        "lawful_basis": source.privacy.lawful_basis,
        "dpia_reference": source.privacy.dpia_reference,
        "kept_for": f"{source.privacy.retention_days} days",
    }
    return {key: dg.MetadataValue.text(value) for key, value in facts.items()}
