"""`config/rules.yaml`: whom of the students the right person hears about, and what then happens.

Only what the file may say and how it is read. Which rules are in force is recorded in the warehouse
(rule_activation.py); what a condition means in SQL is in rule_conditions.py.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from engage import source_values as values
from engage.contact.exemptions import TYPES
from engage.contact.ladders_file import STUDENT, load_ladders
from engage.contact.people_letters import STUDENT_LETTERS
from engage.messaging import load_messaging
from engage.sources import load_sources
from engage.strict import ConfigurationError, Strict, explain, read_yaml
from engage.suites import load_suite

MOST_WEEKS = 12
"""As far back as a rule may ask; as in dbt_project/macros/known_of.sql."""
Kind = Literal["no_digital_activity", "low_activity"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Score = Annotated[int, Field(ge=1, le=1000)]
Percent = Annotated[float, Field(ge=0, le=100)]


def _as_text(value: object) -> object:
    """Take a year of study written as a number."""
    return str(value) if type(value) is int else value


def _known_types(value: object) -> object:
    """Take true, false, or types of exemption."""
    if isinstance(value, bool) or (isinstance(value, list) and value and all(one in TYPES for one in value)):
        return value
    raise ValueError(f"must be true, false, or a list of {', '.join(TYPES)}")


Names = Annotated[list[Annotated[str, Field(min_length=1), BeforeValidator(_as_text)]], Field(min_length=1)]


class Condition(Strict):
    """One thing that is asked of a student, or several under `all`, `any` or `not`."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    all: list["Condition"] | None = Field(default=None, min_length=1)
    any: list["Condition"] | None = Field(default=None, min_length=1)
    negated: "Condition | None" = Field(default=None, alias="not")
    notification: Kind | None = None
    """Makes the rule one about silence: it is asked for every notification of this kind, others once for every week."""
    score_below: Score | None = None
    first_time: Literal[True] | None = None
    """With score_below: no published week before was below it."""
    weeks: Annotated[int, Field(ge=2, le=MOST_WEEKS)] | None = None
    """With score_below: in so many teaching weeks in a row, this one the last."""
    drop_over: Score | None = None
    """Points lost in one week."""
    declining: bool | None = None
    consistently_low: bool | None = None
    attendance_below: Percent | None = None
    """Per cent of the last four teaching weeks."""
    attendance_at_least: Percent | None = None
    mode: Names | None = None
    programme: Names | None = None
    faculty: Names | None = None
    year_of_study: Names | None = None
    residence: Names | None = None
    exempt: Annotated[bool | list[str] | None, BeforeValidator(_known_types)] = None
    """On the day on which it triggers; a list: by one of these types. Who is exempt is left out where no rule asks."""
    open_case: bool | None = None
    contacted_within: Annotated[int, Field(ge=1, le=366)] | None = None
    """Days since the last contact. Who was never contacted was not."""

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        asked = self.asked
        if len(asked) != 1:
            raise ValueError(
                "one condition needs one thing that it asks"
                + (f", not {' and '.join(asked)}: write several as a list under all or any" if asked else "")
            )
        if self.score_below is None and (self.first_time or self.weeks):
            raise ValueError("first_time and weeks say more of score_below, and of nothing else")
        if self.first_time and self.weeks:
            raise ValueError("first_time or weeks, not both")
        return self

    @property
    def asked(self) -> list[str]:
        """The keys that stand in the file, those aside that say more of another."""
        said = self.model_dump(exclude_none=True)
        return [key for key in said if key not in ("first_time", "weeks")]

    @property
    def inner(self) -> list["Condition"]:
        """The conditions that this one is made of; none: it asks something itself."""
        return self.all or self.any or ([self.negated] if self.negated else [])

    def walk(self) -> Iterator["Condition"]:
        """Return this condition and all that it is made of."""
        yield self
        for one in self.inner:
            yield from one.walk()


class Action(Strict):
    """One thing to do when the rule fires."""

    notify: Name | None = None
    """tutor or another role of the staff links, or a role of messaging.yaml."""
    immediate: bool = False
    """With notify: a message of its own at once, not a line of the next digest."""
    email_student: Literal[True] | None = None
    text: Literal[STUDENT_LETTERS] | None = None  # type: ignore[valid-type]
    """With email_student: which letter; the first one is the default."""
    case: Name | None = None
    """Opens a case of this kind in the CRM, or appends to the one that is open."""
    start: Name | None = None
    """A ladder of ladders.yaml."""

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        if sum(one is not None for one in (self.notify, self.email_student, self.case, self.start)) != 1:
            raise ValueError("an action is one of notify, email_student, case, start")
        if self.immediate and not self.notify:
            raise ValueError("immediate: only of notify")
        if self.text and not self.email_student:
            raise ValueError("text: only of email_student")
        return self


class Rule(Strict):
    """When something is to be done, and what."""

    id: Name
    """Names the rule in every table, also when its content changes."""
    title: values.Filled
    when: Condition
    repeat_weeks: int | None = Field(default=None, ge=1, le=52)
    """Again after so many published weeks in which it is still so. None: never while it lasts."""
    actions: list[Action] = Field(min_length=1)

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.id in ("no_digital_activity", "low_activity"):
            raise ValueError("id: is the name of what the rule is about; give it one of its own")
        top = [self.when, *(self.when.all or [])]
        if any(one.notification and all(one is not there for there in top) for one in self.when.walk()):
            raise ValueError("when: notification may only stand at the top, or in the list of an all at the top")
        if sum(one.notification is not None for one in top) > 1:
            raise ValueError("when: one kind of notification only; another needs a rule of its own")
        if self.kind and self.repeat_weeks:
            raise ValueError("repeat_weeks: a notification comes again by itself when the silence goes on")
        if len({action.model_dump_json(exclude={"immediate"}) for action in self.actions}) < len(self.actions):
            raise ValueError("actions: two are the same")
        return self

    @property
    def kind(self) -> Kind | None:
        """The kind of notification that the rule is about; None: it is about scores."""
        return next((one.notification for one in self.when.walk() if one.notification), None)

    @property
    def asks_of_exemptions(self) -> bool:
        """Whether it says itself what becomes of exempt students."""
        return any(one.exempt is not None for one in self.when.walk())

    @property
    def content(self) -> dict[str, Any]:
        """All that it says, without what it leaves as it is."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @property
    def version(self) -> str:
        """The first 12 hex digits of its content's SHA-256."""
        canonical = json.dumps(self.content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]


class Rules(Strict):
    """The whole file."""

    rules: list[Rule] = []

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        ids = [rule.id for rule in self.rules]
        if twice := next((one for place, one in enumerate(ids) if one in ids[:place]), None):
            raise ValueError(f"rules: two have the id {twice}")
        return self


def load_rules(config: Path, expectations: Path) -> list[Rule]:
    """Read `rules.yaml` of a configuration folder; none without it. Raises ConfigurationError naming file and key."""
    path = config / "rules.yaml"
    return read_rules(path, config, expectations) if path.exists() else []


def read_rules(path: Path, config: Path, expectations: Path) -> list[Rule]:
    """Read one such file, whatever it is called, against the ladders, roles and suites of an institution.

    Raises ConfigurationError naming file and key.
    """
    try:
        rules = Rules.model_validate(read_yaml(path) or {}).rules
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: not there") from None
    except ValidationError as error:
        raise ConfigurationError(explain(path, error, Rules)) from None
    actions = [
        (f"{path}: rules.{place}.actions.{number}", action)
        for place, rule in enumerate(rules)
        for number, action in enumerate(rule.actions)
    ]
    if any(action.start for _, action in actions):
        check_ladders(config, expectations)
        ladders = [ladder.id for ladder in load_ladders(config).ladders]
        for where, action in actions:
            if action.start and action.start not in ladders:
                raise ConfigurationError(f"{where}.start: ladders.yaml has no ladder {action.start}")
    if any(action.notify for _, action in actions):
        roles = _roles(config, expectations)
        for where, action in actions:
            if action.notify and roles and action.notify not in roles:
                raise ConfigurationError(
                    f"{where}.notify: nobody has the role {action.notify}; there are {', '.join(roles)}"
                )
    return rules


def check_ladders(config: Path, expectations: Path) -> None:
    """Raise ConfigurationError for a step whose `who` is nobody's role."""
    roles = _roles(config, expectations)
    for n, ladder in enumerate(load_ladders(config).ladders):
        for m, step in enumerate(ladder.steps):
            if roles and step.who not in (*roles, STUDENT):
                raise ConfigurationError(
                    f"{config / 'ladders.yaml'}: ladders.{n}.steps.{m}.who: nobody has the role {step.who}; "
                    f"there are {', '.join(roles)}, {STUDENT}"
                )


def _roles(config: Path, expectations: Path) -> list[str]:
    """Return who can be told: roles that lists of staff links may name, and those of messaging.yaml. Empty: any."""
    known = {"tutor", *load_messaging(config).roles}
    for source in load_sources(config).values():
        if source.record == "staff_links":
            allowed = [
                rule.kwargs["value_set"]
                for rule in load_suite(expectations, source).rules
                if rule.kwargs.get("column") == "role" and "value_set" in rule.kwargs
            ]
            if not allowed:
                return []
            known.update(role for named in allowed for role in named)
    return sorted(known)
