"""The institution's scoring configuration: read from `config/scoring.yaml`, validated, and written to `ops` for dbt.

A configuration is named by its content: the same files give the same version anywhere. What the numbers mean is in
scoring.md and in the dbt models; nothing is computed here.
"""

import contextlib
import functools
import hashlib
import json
from collections.abc import Iterator
from datetime import datetime, time
from pathlib import Path
from typing import Literal, Self
from zoneinfo import available_timezones

import psycopg
from psycopg.types.json import Jsonb
from pydantic import Field, ValidationError, model_validator

from engage.sources import ConfigurationError, Source, Strict, explain
from engage.strict import read_yaml
from engage.warehouse import Connection, connect

RosterAttribute = Literal[
    "programme_code", "faculty_code", "year_of_study", "mode", "entry_band", "cohort", "campus_residence"
]

# Reads a folder of hundreds of files.
_time_zones = functools.cache(available_timezones)


PUBLISHED = "published"
"""The set of peer groups by which scores are published."""


class PeerLevel(Strict):
    """One way to divide the students into groups; no attributes: the whole institution."""

    name: str
    attributes: list[RosterAttribute]


class Scoring(Strict):
    """Constants of the weekly score (scoring.md); the defaults are the documented ones."""

    time_zone: str = "Europe/London"
    category_weights: dict[Literal["attendance", "vle", "library_access", "other"], float]
    peer_levels: list[PeerLevel] = Field(min_length=1)
    """Finest first."""
    calibration: Literal["normal_scores", "zscore"] = "normal_scores"
    missing: Literal["exclude", "impute"] = "exclude"
    week_weights: list[float] = Field(default=[1.0, 0.5, 0.25, 0.125])
    min_complete_days: int = Field(default=5, ge=1, le=7)
    min_eligible_days: int = Field(default=4, ge=1, le=7)
    min_group_size: int = Field(default=30, ge=2)
    min_institution_size: int = Field(default=10, ge=2)
    min_category_weight: float = Field(default=0.5, ge=0, le=1)
    min_quality: float = Field(default=80, ge=0, le=100)
    max_z: float = Field(default=3, gt=0)
    max_imputed_weeks: int = Field(default=2, ge=0)
    degraded_weeks: int = Field(default=3, ge=1)
    peer_sets: dict[str, list[PeerLevel]] = {}
    """Other ways to compare, for analysis: scored side by side and never published."""
    attention_below: int = Field(default=350, ge=0, le=1000)
    concern_below: int = Field(default=300, ge=0, le=1000)
    decline_over: int = Field(default=100, gt=0)
    """Points lost in four teaching weeks."""
    lasting_weeks: int = Field(default=3, ge=1)
    recovery_from: int = Field(default=50, gt=0)
    good_attendance_pct: float = Field(default=80, ge=0, le=100)
    attendance_fall_pct: float = Field(default=10, gt=0, le=100)
    cohort_share: float = Field(default=0.4, gt=0, le=1)
    cohort_fall_over: int = Field(default=100, gt=0)
    cohort_activity_share: float = Field(default=0.5, gt=0, le=1)
    full_time_days: int = Field(default=7, ge=1, le=28)
    part_time_days: int = Field(default=21, ge=1, le=28)
    part_time_modes: list[str] = ["PT"]
    rating_cuts: list[float] = Field(default=[0.25, 0.6, 1.4, 2.2], min_length=4, max_length=4)
    review_after_days: int = Field(default=21, ge=7)
    publish_at: time = time(8)
    """On the Monday after the week, in the institution's time zone."""
    wait_until: time = time(14)
    """On that Monday: how long a week waits for a source that is late."""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.time_zone not in _time_zones():
            raise ValueError(f"time_zone: {self.time_zone} is not a known time zone")
        if abs(sum(self.category_weights.values()) - 1) > 1e-9 or min(self.category_weights.values()) < 0:
            raise ValueError("category_weights: must be shares that add up to 1")
        if not self.week_weights or self.week_weights[0] <= 0 or min(self.week_weights) < 0:
            raise ValueError("week_weights: the week itself needs a weight above 0, and none may be below 0")
        for name, levels in self.all_peer_sets.items():
            key = "peer_levels" if name == PUBLISHED else f"peer_sets: {name}"
            if not levels or len({level.name for level in levels}) < len(levels):
                raise ValueError(f"{key}: needs a level, and no two of the same name")
        if PUBLISHED in self.peer_sets:
            raise ValueError(f"peer_sets: {PUBLISHED} is the name of peer_levels")
        if sorted(set(self.rating_cuts)) != self.rating_cuts or self.rating_cuts[0] <= 0:
            raise ValueError("rating_cuts: must be above 0 and rise")
        if self.concern_below > self.attention_below:
            raise ValueError("concern_below: must not be above attention_below")
        if self.wait_until < self.publish_at:
            raise ValueError("wait_until: must not be before publish_at")
        return self

    @property
    def all_peer_sets(self) -> dict[str, list[PeerLevel]]:
        """The published set first, then those for analysis, by name."""
        return {PUBLISHED: self.peer_levels, **self.peer_sets}


def load_scoring(config: Path) -> Scoring:
    """Read `scoring.yaml` of a configuration folder. Raises ConfigurationError naming file and key."""
    path = config / "scoring.yaml"
    try:
        return Scoring.model_validate(read_yaml(path))
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path}: not there; every configuration folder needs one") from error
    except ValidationError as error:
        raise ConfigurationError(explain(path, error)) from None


def version_of(scoring: Scoring, sources: dict[str, Source]) -> tuple[str, dict[str, object]]:
    """Return the version (12 hex digits of the content's SHA-256) and the content: all a score depends on."""
    relevant = {"record", "category", "weight", "digital", "enabled_from", "disabled_from"}
    content: dict[str, object] = {
        "scoring": scoring.model_dump(mode="json"),
        "sources": {name: s.model_dump(mode="json", include=relevant) for name, s in sorted(sources.items())},
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12], content


@contextlib.contextmanager
def in_force(url: str, config: Path, sources: dict[str, Source], now: datetime) -> Iterator[None]:
    """Write the configuration, and let nobody write another meanwhile: one week is scored by one configuration."""
    with connect(url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(hashtext('engage.configuration'))")
        sync(connection, config, sources, now)
        yield


def is_known(connection: Connection) -> bool:
    """Say whether a configuration was ever written."""
    return connection.execute("select from ops.scoring_parameter").fetchone() is not None


_TAKE_OUT = """
with gone as (
    delete from ops.source as s
    where s.source_id = any(%(sources)s) or not exists (select from ops.batch as b where b.source_id = s.source_id)
)
update ops.source as s set disabled_from = least(disabled_from, (%(now)s at time zone %(zone)s)::date)
where
    not s.source_id = any(%(sources)s) and exists (select from ops.batch as b where b.source_id = s.source_id)
"""


def sync(connection: Connection, config: Path, sources: dict[str, Source], now: datetime) -> str:
    """Write the configuration in force to `ops`, in one transaction; return its version. Repeatable."""
    scoring = load_scoring(config)
    version, content = version_of(scoring, sources)
    parameters = scoring.model_dump(exclude={"category_weights", "peer_levels", "peer_sets"}) | {
        "config_version": version,
        "as_of": now,
    }
    columns = psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, parameters))
    values = psycopg.sql.SQL(", ").join(map(psycopg.sql.Placeholder, parameters))
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(hashtext('engage.configuration'))")
        cursor.execute(
            "insert into ops.config_version (config_version, content, recorded_at) values (%s, %s, %s) "
            "on conflict do nothing",
            [version, Jsonb(content), now],
        )
        cursor.execute("delete from ops.scoring_parameter")
        cursor.execute(
            psycopg.sql.SQL("insert into ops.scoring_parameter ({}) values ({})").format(columns, values), parameters
        )
        cursor.execute("delete from ops.category_weight")
        cursor.executemany("insert into ops.category_weight values (%s, %s)", list(scoring.category_weights.items()))
        cursor.execute("delete from ops.peer_level")
        levels = [(peers, one.name, one.attributes) for peers, found in scoring.all_peer_sets.items() for one in found]
        cursor.executemany(
            "insert into ops.peer_level (position, peer_set, peer_level, attributes) values (%s, %s, %s, %s)",
            [(place, *level) for place, level in enumerate(levels, start=1)],
        )
        # One that has delivered and is taken out, or made a draft again, is disabled from today: its past stays.
        cursor.execute(_TAKE_OUT, {"sources": list(sources), "now": now, "zone": scoring.time_zone})
        cursor.executemany(
            "insert into ops.source values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    *(s.id, s.title, s.record, s.relation, s.category, s.weight, s.digital),
                    *(s.enabled_from, s.disabled_from),
                    *(late.warn_after_h, late.fail_after_h, ",".join(late.quiet_weekdays), ",".join(late.quiet_in)),
                )
                for s in sources.values()
                for late in [s.freshness]
            ],
        )
    return version
