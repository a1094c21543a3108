"""`config/student_view.yaml`: what a student sees of their own engagement, and the words for it.

Only what the file may say and how it is read. Which words apply to whom is SQL, in marts.student_view; the page is
student_view_page.py's.
"""

import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from engage import source_values as values
from engage.messaging import Address
from engage.strict import ConfigurationError, Strict, explain, read_yaml

FILE = "student_view.yaml"
_FILLED_IN = {"standing": {"group"}, "rating": {"days"}, "missing": {"sources"}, "last": {"days"}}
"""What may stand in braces, by the key of the words."""
_LABELS = {"Inactive", "Very Low", "Low", "Active", "High", "Very High"}


class Thresholds(Strict):
    """Where around the average ends, in points of the score."""

    below_under: int = Field(default=450, ge=0, le=1000)
    above_from: int = Field(default=550, ge=0, le=1000)


class Direction(Strict):
    """What is no movement."""

    change: int = Field(default=50, gt=0, le=1000)
    """Points in four teaching weeks: so many or more are rising or falling."""


class Standing(Strict):
    """Beside the others of the group that the score compares with."""

    above: values.Filled
    around: values.Filled
    below: values.Filled
    none: values.Filled
    """There is no score of the newest week."""
    exempt: values.Filled
    away: values.Filled
    """Suspended, on placement, abroad, withdrawn or not enrolled."""


class Movement(Strict):
    """Beside four teaching weeks before."""

    rising: values.Filled
    steady: values.Filled
    falling: values.Filled
    shared: values.Filled
    """Falling in a week in which the whole group fell."""
    none: values.Filled


class Attendance(Strict):
    """Of the sessions expected in four teaching weeks: 80 % or more, 50 or more, less."""

    most: values.Filled
    some: values.Filled
    few: values.Filled
    none: values.Filled


class Last(Strict):
    """When something of the student was seen last."""

    today: values.Filled
    yesterday: values.Filled
    earlier: values.Filled
    never: values.Filled


class Categories(Strict):
    """What the categories of sources are to a student."""

    attendance: values.Filled
    vle: values.Filled
    library_access: values.Filled
    other: values.Filled


class Words(Strict):
    """All that is said."""

    groups: dict[str, values.Filled]
    """By the name of the peer level in scoring.yaml."""
    other_group: values.Filled
    standing: Standing
    direction: Movement
    rating: dict[str, values.Filled]
    """By the label of the daily rating."""
    attendance: Attendance
    last: Last
    categories: Categories
    about: values.Filled
    not_for: values.Filled
    missing: values.Filled
    complete: values.Filled
    help: values.Filled
    correct: values.Filled
    copy_of_all: values.Filled

    @model_validator(mode="after")
    def _fills_in_what_is_known(self) -> Self:
        if self.rating.keys() != _LABELS:
            raise ValueError(f"rating: needs {', '.join(sorted(_LABELS))}, and nothing else")
        for key, said in _texts(self.model_dump()):
            try:
                found = {name for _, name, _, _ in string.Formatter().parse(said) if name is not None}
            except ValueError:
                raise ValueError(f"{key}: braces stand around what is filled in, and nowhere else") from None
            known = _FILLED_IN.get(key.partition(".")[0], set())
            if not found <= known:
                raise ValueError(f"{key}: in braces may stand: {', '.join(sorted(known)) or 'nothing'}")
        return self


class StudentView(Strict):
    """The whole file."""

    enabled: bool
    show_number: bool = False
    standing: Thresholds = Thresholds()
    direction: Direction = Direction()
    contact: Address
    privacy_contact: Address
    words: Words

    @model_validator(mode="after")
    def _around_is_between(self) -> Self:
        if self.standing.below_under > self.standing.above_from:
            raise ValueError("standing: below_under must not be above above_from")
        return self


def load_student_view(config: Path) -> StudentView | None:
    """Read the file of a configuration folder; None: there is none. Raises ConfigurationError: file, key."""
    path = config / FILE
    try:
        return StudentView.model_validate(read_yaml(path))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise ConfigurationError(explain(path, error, StudentView)) from None


def in_force(config: Path) -> dict[str, Any] | None:
    """Return what is written to `ops.setting`; None: there is no file."""
    given = load_student_view(config)
    return given.model_dump(mode="json") if given else None


def _texts(words: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in words.items():
        at = f"{path}.{key}".strip(".")
        if isinstance(value, dict):
            yield from _texts(value, at)
        else:
            yield at, value
