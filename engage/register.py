"""The register of processing: what each source is collected for, why the university may, who answers and for how long.

Made from the source files, drafts included, and from the ledger: since when a source is used, and what is held of one
whose file is gone. What students are told of it is privacy_notice.py's.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import cast

from psycopg.rows import dict_row

from engage.sources import Source
from engage.warehouse import Connection

NOT_RECORDED = "not recorded yet"
_UNSAID = (None, NOT_RECORDED, "not known yet", "none yet", "not named yet")
_MUST_BE_SAID = ("purpose", "lawful_basis", "dpia_reference", "dpia_date", "owner", "retention_days")
_BEGUN = """
select source_id, min((landed_at at time zone %s)::date) from ops.delivery group by source_id
"""
# One that is no longer in force is disabled by the next run at the latest.
_NO_LONGER_IN_FORCE = """
select
    source_id, title, system, record, category, purpose, lawful_basis, dpia_reference, dpia_date, owner_name as owner,
    retention_days, least(disabled_from, %s) - 1 as in_use_to
from ops.source where source_id <> all(%s) order by source_id
"""


@dataclass(frozen=True)
class Entry:
    """What the register says of a source."""

    source_id: str
    title: str
    system: str | None
    state: str
    """enabled, disabled, draft, or taken out: it has no file any more, and what it delivered is held.

    One with `enabled: false` that has been in force is disabled: what it delivered is held, too.
    """
    record: str
    category: str | None
    purpose: str | None
    lawful_basis: str | None
    dpia_reference: str | None
    dpia_date: date | None
    owner: str | None
    retention_days: int | None
    in_use_from: date | None
    """Local day of the first delivery."""
    in_use_to: date | None
    """The last day on which it is collected; None: no end is set."""
    source: Source | None = None
    """Its file."""

    @property
    def missing(self) -> list[str]:
        """What must be said and is not, as keys of the source file."""
        said = {name: getattr(self, name) for name in _MUST_BE_SAID}
        return [name for name, value in said.items() if value in _UNSAID]


def missing(source: Source) -> list[str]:
    """Return what a source file does not say that the register must."""
    return _of_file(source, None, date.max).missing


def entries(connection: Connection, sources: dict[str, Source], time_zone: str, today: date) -> list[Entry]:
    """Return the register, by id. `sources`: with drafts; `time_zone`, `today`: the institution's."""
    rows = connection.execute(_BEGUN, [time_zone]).fetchall()
    begun = {str(name): cast(date, day) for name, day in rows}
    found = {source.id: _of_file(source, begun.get(source.id), today) for source in sources.values()}
    for past in _no_longer_in_force(connection, [one.id for one in sources.values() if one.enabled], begun, today):
        file = found.get(past.source_id)
        found[past.source_id] = _disabled(past, file) if file else past
    return sorted(found.values(), key=lambda one: one.source_id)


def _of_file(source: Source, begun: date | None, today: date) -> Entry:
    last = source.disabled_from and source.disabled_from - timedelta(days=1)
    state = "disabled" if last and last < today else "enabled"
    said = source.privacy
    return Entry(
        source.id,
        source.title,
        source.system,
        state if source.enabled else "draft",
        source.record,
        source.category,
        said.purpose,
        said.lawful_basis,
        said.dpia_reference,
        said.dpia_date,
        source.owner.name,
        # A draft may leave it open, and then stands at a day.
        said.retention_days if source.enabled or said.retention_days > 1 else None,
        begun,
        last,
        source,
    )


def _no_longer_in_force(
    connection: Connection, in_force: list[str], begun: dict[str, date], today: date
) -> Iterator[Entry]:  # fmt: skip
    given = [today, in_force]
    for row in connection.cursor(row_factory=dict_row).execute(_NO_LONGER_IN_FORCE, given).fetchall():
        yield Entry(**row, state="taken out", in_use_from=begun.get(row["source_id"]))


def _disabled(past: Entry, file: Entry) -> Entry:
    """Return what was said of a source when it was last in force; its file adds what was never said."""
    added = {name: getattr(file, name) for name in past.missing}
    return replace(past, state="disabled", source=file.source, **added)
