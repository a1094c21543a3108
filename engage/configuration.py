"""The configuration in force: from the files to `ops`, where dbt reads it; who changed it, when, why, and what differs.

A version is named by its content: the same files give the same version anywhere. What the files may say is known to
scoring.py and sources.py; nothing is computed here.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from psycopg import sql
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from engage import sponsorship, student_view
from engage.scoring import Scoring as Scoring
from engage.scoring import load_scoring as load_scoring
from engage.sources import Source
from engage.warehouse import Connection, connect

OPS = "ops"


@dataclass(frozen=True)
class Story:
    """How a version came into force the last time."""

    config_version: str
    changed_at: datetime | None = None
    previous: str | None = None
    difference: list[str] = field(default_factory=list)
    """A line for every key that differs from the previous version."""
    author: str | None = None
    """Not for logs or metadata. None: nobody has said who decided this."""
    reason: str | None = None

    @property
    def is_unsaid(self) -> bool:
        """A change that nobody has recorded; the first configuration of all changed nothing."""
        return self.previous is not None and self.author is None

    def __str__(self) -> str:
        """Version and difference, without who and why."""
        told = "; ".join(self.difference) or "the first one"
        return f"{self.config_version}: {told}{' (nobody said why: engage config record)' * self.is_unsaid}"


@contextlib.contextmanager
def in_force(url: str, config: Path, sources: dict[str, Source], now: datetime) -> Iterator[str]:
    """Write the configuration, yield its version, and let nobody write another meanwhile.

    One week is scored by one configuration.
    """
    with connect(url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(hashtext('engage.configuration'))")
        yield sync(connection, config, sources, now)


def version_in_force(connection: Connection) -> str | None:
    """Return the version that was written last; None before the first."""
    row = connection.execute("select config_version from ops.scoring_parameter").fetchone()
    return cast(str, row[0]) if row else None


def sync(
    connection: Connection,
    config: Path,
    sources: dict[str, Source],
    now: datetime,
    author: str | None = None,
    reason: str | None = None,
) -> str:
    """Write the configuration in force to `ops`, in one transaction; return its version. Repeatable.

    What nobody has said yet of the version in force, `author` and `reason` say also afterwards.
    """
    scoring = load_scoring(config)
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtext('engage.configuration'))")
        previous = version_in_force(connection)
        _set(
            connection,
            {"sponsorship": sponsorship.in_force(config, sources), "student_view": student_view.in_force(config)},
        )
        version, content = write(connection, OPS, scoring, sources, now)
        if version != previous:
            connection.execute(
                "insert into ops.config_change (config_version, previous, difference, changed_at, author, reason) "
                "values (%s, %s, %s, %s, %s, %s)",
                [version, previous, difference(content_of(connection, previous), content), now, author, reason],
            )
        elif author:
            connection.execute(
                "update ops.config_change set author = %s, reason = %s "
                "where change_id = (select max(change_id) from ops.config_change) and author is null",
                [author, reason],
            )
    return version


def story(connection: Connection, version: str) -> Story:
    """Return how a version came into force, and what then changed: for the metadata and the log of a run, as a text."""
    found = connection.cursor(row_factory=class_row(Story)).execute(
        "select config_version, changed_at, previous, difference, author, reason from ops.config_change "
        "where config_version = %s order by change_id desc limit 1",
        [version],
    )
    return found.fetchone() or Story(version)


def content_of(connection: Connection, version: str | None) -> dict[str, Any]:
    """Return all that a version says; nothing of one that is not known."""
    row = connection.execute("select content from ops.config_version where config_version = %s", [version]).fetchone()
    return cast(dict[str, Any], row[0]) if row else {}


_TAKE_OUT = """
with gone as (
    delete from {schema}.source as s
    where s.source_id = any(%(sources)s) or not exists (select from ops.batch as b where b.source_id = s.source_id)
)
update {schema}.source as s set disabled_from = least(disabled_from, (%(now)s at time zone %(zone)s)::date)
where
    not s.source_id = any(%(sources)s) and exists (select from ops.batch as b where b.source_id = s.source_id)
"""


def write(
    connection: Connection, schema: str, scoring: Scoring, sources: dict[str, Source] | None, now: datetime
) -> tuple[str, dict[str, Any]]:
    """Write a configuration to the tables of `schema`: `ops`, or copies of its tables.

    Returns the version (12 hex digits of the content's SHA-256) and the content, all that a score depends on. Without
    `sources` those that are there stay.
    """

    def statement(text: str, **parts: sql.Composable) -> sql.Composed:
        return sql.SQL(cast(Any, text)).format(schema=sql.Identifier(schema), **parts)

    with connection.cursor() as cursor:
        if sources is not None:
            # One that has delivered and is taken out, or made a draft again, is disabled from today: its past stays.
            given = {"sources": list(sources), "now": now, "zone": scoring.time_zone}
            cursor.execute(statement(_TAKE_OUT), given)
            cursor.executemany(
                statement(
                    "insert into {schema}.source values ({values})", values=sql.SQL(", ").join([sql.Placeholder()] * 21)
                ),
                [
                    (
                        *(s.id, s.title, s.record, s.relation, s.category, s.weight, s.digital),
                        *(s.enabled_from, s.disabled_from),
                        *(late.warn_after_h, late.fail_after_h, ",".join(late.quiet_weekdays), ",".join(late.quiet_in)),
                        *(s.system, s.contact_point, said.purpose, said.lawful_basis, said.dpia_reference),
                        *(said.dpia_date, s.owner.name, said.retention_days),
                    )
                    for s in sources.values()
                    for late, said in [(s.freshness, s.privacy)]
                ],
            )
        content = {"scoring": scoring.model_dump(mode="json"), "sources": _sources(connection, statement)}
        # No score depends on them, and yet each is a decision of the institution. Who has neither has no keys of them.
        content |= dict(cast(Any, connection.execute("select name, content from ops.setting order by name").fetchall()))
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        version = hashlib.sha256(canonical.encode()).hexdigest()[:12]
        if schema == OPS:
            cursor.execute(
                "insert into ops.config_version (config_version, content, recorded_at) values (%s, %s, %s) "
                "on conflict do nothing",
                [version, Jsonb(content), now],
            )
        parameters = scoring.model_dump(exclude={"category_weights", "peer_levels", "peer_sets"}) | {
            "config_version": version,
            "as_of": now,
        }
        cursor.execute(statement("delete from {schema}.scoring_parameter"))
        cursor.execute(
            statement(
                "insert into {schema}.scoring_parameter ({columns}) values ({values})",
                columns=sql.SQL(", ").join(map(sql.Identifier, parameters)),
                values=sql.SQL(", ").join(map(sql.Placeholder, parameters)),
            ),
            parameters,
        )
        cursor.execute(statement("delete from {schema}.category_weight"))
        cursor.executemany(
            statement("insert into {schema}.category_weight values (%s, %s)"), list(scoring.category_weights.items())
        )
        cursor.execute(statement("delete from {schema}.peer_level"))
        levels = [(peers, one.name, one.attributes) for peers, found in scoring.all_peer_sets.items() for one in found]
        cursor.executemany(
            statement(
                "insert into {schema}.peer_level (position, peer_set, peer_level, attributes) values (%s, %s, %s, %s)"
            ),
            [(place, *level) for place, level in enumerate(levels, start=1)],
        )
    return version, content


def _set(connection: Connection, settings: dict[str, dict[str, Any] | None]) -> None:
    """Write the files that dbt reads whole; what has no file has no row."""
    connection.execute("delete from ops.setting")
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.setting (name, content) values (%s, %s)",
            [(name, Jsonb(content)) for name, content in settings.items() if content is not None],
        )


def _sources(connection: Connection, statement: Any) -> dict[str, dict[str, Any]]:
    """Return what a score depends on, also of sources that are in no file any more."""
    rows = connection.cursor(row_factory=dict_row).execute(
        statement(
            "select source_id, record, relation, category, weight, is_digital as digital, "
            "enabled_from::text, disabled_from::text from {schema}.source"
        )
    )
    return {row.pop("source_id"): row for row in sorted(rows, key=lambda row: str(row["source_id"]))}


def difference(before: Any, after: Any, path: str = "") -> list[str]:
    """Return a line for every key in which two contents differ: `category_weights.vle: 0.3 -> 0.35`."""
    if before == after or not (before or path):
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            line
            for key in [*after, *(key for key in before if key not in after)]
            for line in difference(before.get(key), after.get(key), f"{path}.{key}".removeprefix(".scoring").strip("."))
        ]
    if _is_named(before) and _is_named(after):
        old, new = ({one["name"]: one for one in ones} for ones in (before, after))
        both = [name for name in new if name in old]
        return [
            *(f"{path}: {name} removed" for name in old if name not in new),
            *(f"{path}: {name} added" for name in new if name not in old),
            *(line for name in both for line in difference(old[name], new[name], f"{path}.{name}")),
            *([f"{path}: in the order {', '.join(new)}"] if both != [name for name in old if name in new] else []),
        ]
    if isinstance(before or after, dict) or _is_named(before or after):
        return [f"{path}: {'added' if before is None else 'removed'}"]
    return [f"{path}: {_said(before)} -> {_said(after)}"]


def _is_named(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) and "name" in one for one in value)


def _said(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, list):
        return f"[{', '.join(map(_said, value))}]"
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)
