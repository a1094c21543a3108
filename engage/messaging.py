"""`config/messaging.yaml`: who is told, by which servers, how often. A folder without it previews everything.

Only what the file may say and how it is read. What is said is in letters.py, how it travels in mail.py and webhook.py.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from engage import source_values as values
from engage.sources import explain
from engage.strict import ConfigurationError, Strict, read_yaml

Address = Annotated[str, Field(pattern=r"^[^@\s,<>]+@[^@\s,<>]+\.[^@\s,<>]+$")]
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
    """Signs what we send; `whsec_` and base64, as Standard Webhooks write it, or any other text."""
    timeout_s: float = Field(default=20, gt=0, le=120)


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
