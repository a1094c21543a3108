"""`config/rights.yaml`, and by when a request must be answered: the statutory calendar of UK GDPR Art. 12(3).

Requests themselves are subject_access's.
"""

import calendar
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Self

import holidays
from pydantic import Field, ValidationError, model_validator

from engage.strict import ConfigurationError, Strict, explain, read_yaml


class Period(Strict):
    """How long there is to answer."""

    country: str = "GB"
    """Whose public holidays are no working days: a code that the library `holidays` knows."""
    subdivision: str | None = "ENG"
    months: Annotated[int, Field(ge=1, le=12)] = 1
    extended_by_months: Annotated[int, Field(ge=0, le=12)] = 2
    """At most, for a request that is complex or one of many."""

    @model_validator(mode="after")
    def _has_a_calendar(self) -> Self:
        try:
            holidays.country_holidays(self.country, subdiv=self.subdivision)
        except NotImplementedError:
            raise ValueError("country, subdivision: the library `holidays` has no such calendar") from None
        return self

    def due(self, received: date) -> date:
        """Return by when a request received on a day, a working day or not, is to be answered."""
        return self._after(received, self.months)

    def extended(self, received: date) -> date:
        """Return the last day to which the answer may be put off."""
        return self._after(received, self.months + self.extended_by_months)

    def _after(self, received: date, months: int) -> date:
        """Return the corresponding day of a later month, or its last one; if that is no working day, the next that is.

        ICO, "How long do we have to comply?": https://ico.org.uk/for-organisations/ (right of access, time limits).
        """
        year, month = divmod(received.year * 12 + received.month - 1 + months, 12)
        day = date(year, month + 1, min(received.day, calendar.monthrange(year, month + 1)[1]))
        while day.weekday() >= 5 or day in _holidays(self.country, self.subdivision, day.year):
            day += timedelta(days=1)
        return day


class Rights(Strict):
    """What the file says."""

    subject_access: Period = Period()


def load_rights(config: Path) -> Rights:
    """Read `rights.yaml` of a configuration folder; without it the law of England holds.

    Raises ConfigurationError naming file and key.
    """
    path = config / "rights.yaml"
    try:
        content = read_yaml(path)
    except FileNotFoundError:
        return Rights()
    try:
        return Rights.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError(explain(path, error, Rights)) from None


@cache
def _holidays(country: str, subdivision: str | None, year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays(country, subdiv=subdivision, years=year))
