"""Puts a summary together: the facts, the first screen, the sections in the order in which they are read."""

import re
from dataclasses import replace
from functools import cache

from engage.governance.figures import Figure, figures
from engage.report import changes, evidence, snapshots, tiles, trends
from engage.report.document import Document
from engage.report.numbers import Numbers, spelled
from engage.report.stored import Stored


def summary(stored: Stored) -> Document:
    """Return the document of an edition. The same rows give the same document."""
    numbers = Numbers(stored, _catalogue())
    before = Numbers(stored.previous, _catalogue()) if stored.previous else None
    found, edition = changes.differences(numbers, before), stored.edition
    facts = [
        ("Period", f"{spelled(edition.period_start)} to {spelled(edition.period_end)}"),
        ("Data as of", f"{spelled(edition.data_as_of)}, {edition.data_as_of:%H:%M} UTC"),
        ("Configuration", edition.config_version),
        ("Edition", edition.edition_id),
        ("Made", f"{spelled(edition.made_at)}, {edition.made_at:%H:%M} UTC"),
        ("Before it", edition.previous_edition_id or "none"),
    ]
    sections = [
        changes.section(numbers, found),
        trends.section(numbers),
        snapshots.section(numbers),
        evidence.fairness(numbers),
        evidence.performance(numbers),
        evidence.sources(numbers),
        evidence.decisions(numbers),
        snapshots.rights(numbers),
        evidence.register(numbers),
        evidence.reading(numbers),
    ]
    return Document(f"Governance summary: {edition.title}", facts, tiles.tiles(numbers, found), sections)


@cache
def _catalogue() -> dict[str, Figure]:
    """Return the figures without what their words say of columns."""
    return {
        name: replace(one, describes=re.sub(r" \(category[^)]*\)", "", one.describes))
        for name, one in figures().items()
    }
