"""`config/ladders.yaml`: who makes contact with a student, step after step, and when a ladder ends.

Only what the file may say and how it is read. When a step is due is SQL, in marts.contact_step; what begins a ladder is
a rule.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, ValidationError, model_validator

from engage import source_values as values
from engage.strict import ConfigurationError, Strict, explain, read_yaml

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Residence = Literal["on_campus", "off_campus"]
StopWhen = Literal["answered", "active_again"]
STUDENT = "student"
"""As `who` of a step: we write to the student ourselves."""


class Step(Strict):
    """One attempt to reach the student."""

    id: Name
    title: values.Filled
    who: Name
    """tutor or another role of the staff links, a role of messaging.yaml, or student: an e-mail that we send."""
    channel: Name
    wait_days: int = Field(default=1, ge=1, le=60)
    """Working days after this contact until the next step is due."""
    where: Residence | None = None
    """Only for students who live there, see `off_campus`. None: for all."""
    policy: values.Filled | None = None
    """What the emergency contact policy says. It is the last step."""

    @model_validator(mode="after")
    def _only_by_email(self) -> Self:
        if self.who == STUDENT and self.channel != "email":
            raise ValueError("channel: what we send to the student ourselves is an email")
        return self


class Ladder(Strict):
    """A sequence of steps."""

    id: Name
    title: values.Filled
    stop_when: list[StopWhen] = ["answered"]
    """answered: a contact had one of the answered_outcomes. active_again: a digital interaction since the start."""
    steps: list[Step] = Field(min_length=1)

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        if twice := _twice(step.id for step in self.steps):
            raise ValueError(f"steps: two have the id {twice}")
        for residence in get_args(Residence):
            if not (steps := self.steps_for(residence)):
                raise ValueError(f"steps: none for students {residence.replace('_', ' ')}")
            if any(step.policy for step in steps[:-1]):
                raise ValueError("steps: the one with the emergency policy must be the last")
        return self

    def steps_for(self, residence: Residence) -> list[Step]:
        """Return the steps for students who live there."""
        return [step for step in self.steps if step.where in (None, residence)]


class Ladders(Strict):
    """The whole file."""

    answered_outcomes: list[values.Filled] = ["reached"]
    """Outcomes of contacts, as the CRM writes them, that mean that the student answered."""
    off_campus: list[values.Filled] = ["off_campus"]
    """What the list of enrolments has as residence of who lives off campus; who has none there does, too."""
    in_vacations: bool = False
    """Whether steps are due in vacations, too. On weekends and closures none ever is."""
    ladders: list[Ladder] = []

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if twice := _twice(ladder.id for ladder in self.ladders):
            raise ValueError(f"ladders: two have the id {twice}")
        return self


def load_ladders(config: Path) -> Ladders:
    """Read `ladders.yaml` of a configuration folder; none without it. Raises ConfigurationError naming file and key."""
    path = config / "ladders.yaml"
    try:
        return Ladders.model_validate(read_yaml(path) or {})
    except FileNotFoundError:
        return Ladders()
    except ValidationError as error:
        raise ConfigurationError(explain(path, error, Ladders)) from None


def _twice(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]
