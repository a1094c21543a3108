"""`config/sponsorship.yaml`: how long a sponsored student may go without a contact point, and which contacts are ones.

Only what the file may say and how it is read. What is counted is SQL, in marts.sponsored_contact_point; the evidence of
one student is sponsored_evidence.py's, who is told contact/visa_digest.py's.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from engage import source_values as values
from engage.sources import Source
from engage.strict import ConfigurationError, Strict, explain, read_yaml

FILE = "sponsorship.yaml"
_RECORDS = ("activity", "attendance", "contacts")


class Sponsorship(Strict):
    """The whole file."""

    enabled: bool = True
    limit_days: int = Field(default=60, ge=7, le=364)
    warn_days: list[int] = Field(default=[30, 45, 55], min_length=1)
    """Days without a contact point after which the visa team is told, each once."""
    outcomes: list[values.Filled] = ["reached"]
    """Of contacts that the CRM knows: these took place."""
    exemptions: list[values.Filled] = [
        "Authorised Absence",
        "Break in Learning (DA)",
        "Practice Placement Block",
        "Withdrawn",
    ]
    """Types of exemptions whose days do not count; whoever writes a dissertation meets a supervisor."""
    counted_in: list[Literal["teaching", "reading", "assessment", "vacation", "closure"]] = [
        "teaching",
        "reading",
        "assessment",
    ]
    """Times of the term calendar whose days count."""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if sorted(set(self.warn_days)) != self.warn_days or self.warn_days[0] < 1:
            raise ValueError("warn_days: must be above 0 and rise")
        if self.warn_days[-1] > self.limit_days:
            raise ValueError("warn_days: must not be above limit_days")
        return self


def load_sponsorship(config: Path) -> Sponsorship | None:
    """Read the file of a configuration folder; None: there is none. Raises ConfigurationError: file, key."""
    path = config / FILE
    try:
        return Sponsorship.model_validate(read_yaml(path))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise ConfigurationError(explain(path, error, Sponsorship)) from None


def in_force(config: Path, sources: Mapping[str, Source]) -> dict[str, Any] | None:
    """Return what is written to `ops.setting`: the file, and which sources are contact points. None: there is no file.

    Raises ConfigurationError, also for a source that can be no contact point.
    """
    wrong = [one.id for one in sources.values() if one.contact_point and one.record not in _RECORDS]
    if wrong:
        raise ConfigurationError(
            f"{config / 'sources' / wrong[0]}.yaml: contact_point: only for records of {', '.join(_RECORDS)}"
        )
    if (given := load_sponsorship(config)) is None:
        return None
    points = sorted(one.id for one in sources.values() if one.contact_point)
    return {**given.model_dump(mode="json"), "contact_points": points}
