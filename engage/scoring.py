"""`config/scoring.yaml`: what an institution decides about the score, and what it may say, key by key.

What the numbers mean is in docs/the-formula.md and in the dbt models; how they reach these is configuration.py's.
"""

import functools
from datetime import time
from pathlib import Path
from typing import Literal, Self
from zoneinfo import available_timezones

from pydantic import Field, ValidationError, model_validator

from engage import source_values as values
from engage.strict import ConfigurationError, Strict, explain, read_yaml

RosterAttribute = Literal[
    "programme_code",
    "faculty_code",
    "year_of_study",
    "mode",
    "entry_band",
    "cohort",
    "campus_residence",
    "tutor_id",
]

# Reads a folder of hundreds of files.
_time_zones = functools.cache(available_timezones)


PUBLISHED = "published"
"""The set of peer groups by which scores are published."""


class PeerLevel(Strict):
    """One way to divide the students into groups; no attributes: the whole institution."""

    name: str = Field(min_length=1)
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
    min_group_size: int = Field(default=30, ge=2, le=1_000_000)
    min_institution_size: int = Field(default=10, ge=2, le=1_000_000)
    min_category_weight: float = Field(default=0.5, ge=0, le=1)
    min_quality: float = Field(default=80, ge=0, le=100)
    max_z: float = Field(default=3, gt=0)
    max_imputed_weeks: int = Field(default=2, ge=0, le=52)
    degraded_weeks: int = Field(default=3, ge=1, le=52)
    peer_sets: dict[str, list[PeerLevel]] = {}
    """Other ways to compare, for analysis: scored side by side and never published."""
    attention_below: int = Field(default=350, ge=0, le=1000)
    concern_below: int = Field(default=300, ge=0, le=1000)
    decline_over: int = Field(default=100, gt=0, le=1000)
    """Points lost in four teaching weeks."""
    lasting_weeks: int = Field(default=3, ge=1, le=52)
    recovery_from: int = Field(default=50, gt=0, le=1000)
    good_attendance_pct: float = Field(default=80, ge=0, le=100)
    attendance_fall_pct: float = Field(default=10, gt=0, le=100)
    cohort_share: float = Field(default=0.4, gt=0, le=1)
    cohort_fall_over: int = Field(default=100, gt=0, le=1000)
    cohort_activity_share: float = Field(default=0.5, gt=0, le=1)
    full_time_days: int = Field(default=7, ge=1, le=28)
    part_time_days: int = Field(default=21, ge=1, le=28)
    part_time_modes: list[str] = ["PT"]
    rating_cuts: list[float] = Field(default=[0.25, 0.6, 1.4, 2.2], min_length=4, max_length=4)
    review_after_days: int = Field(default=21, ge=7, le=366)
    silent_days: int = Field(default=7, ge=1, le=21)
    """In a row without any digital interaction: No Digital Activity, and again after so many more."""
    low_activity_at_most: int = Field(default=2, ge=0)
    """Interactions, digital and attended, in `low_activity_days` days."""
    low_activity_days: Literal[14, 21] = 14
    hold_days: int = Field(default=14, ge=1, le=90)
    """A notification held for longer is closed as undetermined."""
    contact_pause_days: int = Field(default=14, ge=0, le=366)
    """After a contact, a student is not on the contact list for so long."""
    publish_at: values.ClockTime = time(8)
    """On the Monday after the week, in the institution's time zone."""
    wait_until: values.ClockTime = time(14)
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
        if "" in self.peer_sets:
            raise ValueError("peer_sets: each needs a name")
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
    if not path.exists():
        raise ConfigurationError(f"{path}: not there; every configuration folder needs one")
    return read_scoring(path)


def read_scoring(path: Path) -> Scoring:
    """Read one such file, whatever it is called. Raises ConfigurationError naming file and key."""
    try:
        return Scoring.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ConfigurationError(explain(path, error, Scoring)) from None
