"""`config/messaging.yaml`: who is told, by which servers, how often and when. A folder without it previews everything.

Only what the file may say and how it is read. What is said is in letters.py and people_letters.py, how it travels in
mail.py and webhook.py.
"""

from datetime import datetime, time
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, ValidationError, model_validator

from engage import source_values as values
from engage.sources import explain
from engage.strict import ConfigurationError, Strict, read_yaml

Address = Annotated[str, Field(pattern=r"^[^@\s,<>]+@[^@\s,<>]+\.[^@\s,<>]+$")]
RoleName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Weekday = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
WebAddress = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+(/\S*)?$")]


class Sender(Strict):
    """Whom an e-mail is from."""

    name: values.Filled
    email: Address


class Smtp(Strict):
    """The mail server that takes our messages."""

    host: values.Filled
    port: values.Port = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: values.Secret | None = None
    password: values.Secret | None = None
    timeout_s: float = Field(default=20, gt=0, le=120)

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password: both or neither")
        return self


class Webhook(Strict):
    """A channel that is told what the owners are told."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")
    kind: Literal["teams", "slack"]
    url: values.Secret
    """Whoever knows it can post: a secret."""


class Crm(Strict):
    """The system that keeps the cases, and takes what is to be opened or added; see docs/casework.md."""

    url: values.Secret
    secret: values.Secret
    """Signs what we send: `whsec_` and base64, as Standard Webhooks write it."""
    timeout_s: float = Field(default=20, gt=0, le=120)


class QuietHours(Strict):
    """When no message leaves to staff or students, by the institution's clock; over midnight where `to` is earlier."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    begin: values.ClockTime = Field(default=time(19), alias="from")
    end: values.ClockTime = Field(default=time(7), alias="to")
    """The first moment at which it is over; the same as `from`: no hour of a day is quiet."""
    weekdays: list[Weekday] = ["Sat", "Sun"]
    """Quiet all day long."""

    def hold(self, local: datetime) -> bool:
        """Say whether it is quiet at this local time."""
        if f"{local:%a}" in self.weekdays:
            return True
        if self.begin <= self.end:
            return self.begin <= local.time() < self.end
        return not self.end <= local.time() < self.begin


class Limits(Strict):
    """How often is often enough."""

    per_recipient_per_hour: int = Field(default=6, ge=1)
    attempts: int = Field(default=12, ge=1)
    """After so many that the server refused a message is given up, and shown as failed; a server away is waited for."""
    first_wait_s: float = Field(default=60, gt=0)
    """Until the second attempt; then twice as long each time."""
    longest_wait_h: float = Field(default=6, gt=0)
    unreachable_after_min: float = Field(default=30, ge=0)
    """How long a server may be away before anybody is told."""


class Messaging(Strict):
    """The whole file."""

    delivery: Literal["preview", "send"] = "preview"
    """preview: files in ENGAGE_HOME/outbox, and nothing leaves the machine."""
    base_url: WebAddress = "http://127.0.0.1:3000"
    """Of the Dagster UI as the readers reach it."""
    sender: Sender = Sender(name="Engagement data", email="engagement-data@example.ac.uk")
    reply_to: Address | None = None
    data_engineers: Address = "data.engineers@example.ac.uk"
    """Answer for the pipeline itself; told of changed host keys and of our own faults, too."""
    escalation: Address | None = None
    """Told when an owner has not put something right in the time that their source declares."""
    smtp: Smtp | None = None
    webhooks: list[Webhook] = []
    crm: Crm | None = None
    limits: Limits = Limits()
    digest_at: values.ClockTime = time(8, 30)
    """From when on the digest of a day is written, by the institution's clock; outside quiet hours."""
    quiet_hours: QuietHours = QuietHours()
    roles: dict[RoleName, Address] = {}
    """Who is told where a rule or a ladder names a role that no list of staff links has."""
    student_url: WebAddress | None = None
    """Where staff find the student, with {student_id}."""
    correct_within_days: int = Field(default=28, ge=1)
    """What was told longer ago than this is not corrected by a message any more."""

    @model_validator(mode="after")
    def _can_write(self) -> Self:
        if self.student_url and "{student_id}" not in self.student_url:
            raise ValueError("student_url: needs {student_id}")
        quiet = self.quiet_hours
        if len(set(quiet.weekdays)) == 7 or quiet.end < quiet.begin <= self.digest_at:
            raise ValueError("quiet_hours: no time is left for the digest")
        return self

    @property
    def support(self) -> str:
        """Who answers what staff and students ask of a letter: never the data engineers, where it can be helped."""
        return self.roles.get("student_support") or self.reply_to or self.sender.email

    @property
    def told(self) -> list[str]:
        """The states of messages that count as told: what was previewed does, until messages are really sent."""
        return ["pending", "sent", *(["previewed"] if self.delivery == "preview" else [])]

    @model_validator(mode="after")
    def _can_send(self) -> Self:
        if self.delivery == "send" and self.smtp is None:
            raise ValueError("smtp: required when delivery is send")
        if len({hook.name for hook in self.webhooks}) < len(self.webhooks):
            raise ValueError("webhooks: two have the same name")
        return self


def load_messaging(config: Path) -> Messaging:
    """Read `messaging.yaml` of a configuration folder; none: the defaults. Raises ConfigurationError: file, key."""
    path = config / "messaging.yaml"
    try:
        return Messaging.model_validate(read_yaml(path))
    except FileNotFoundError:
        return Messaging()
    except ValidationError as error:
        raise ConfigurationError(explain(path, error, Messaging)) from None
