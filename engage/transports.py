"""How a source arrives, as its YAML says: one model per transport, few and generic; a vendor is configuration.

What a transport does with these values is in `engage/connectors`, one module each.
"""

from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import Field

from engage import source_values as values
from engage.strict import Strict


class Sftp(Strict):
    """Files on an SFTP server. The host key is always checked against `known_hosts`."""

    kind: Literal["sftp"]
    host: str
    port: values.Port = 22
    username: str
    private_key: values.Secret
    """Path of the key file."""
    known_hosts: str
    """Path of an OpenSSH known_hosts file."""
    folder: str
    pattern: values.NamePattern
    """Regular expression that a whole file name must match; the groups `from` and `to` (or `day`) name its days."""
    day_format: values.DayFormat = "%Y%m%d"
    settled: Literal["two_looks", "done_file"] = "two_looks"
    """When a file is whole: same size and time on two looks, or once `<name>.done` stands beside it."""


class Paging(Strict):
    """How an API hands out a long list."""

    style: Literal["link_header", "next_url", "page_number", "offset"]
    size_parameter: str = "per_page"
    size: int = Field(default=500, gt=0)
    page_parameter: str = "page"
    next_key: str | None = None
    """For next_url: dotted path in the body of the following page's address."""


class Rest(Strict):
    """A paged HTTP API that is asked for windows of time."""

    kind: Literal["rest"]
    base_url: str
    path: str
    token: values.Secret
    items_key: str | None = None
    """Dotted path of the list in the body; None: the body is the list."""
    window_from: str = "from"
    window_to: str = "to"
    window: timedelta = Field(default=timedelta(days=1), gt=timedelta())
    start: date | values.Secret | None = None
    """First day to ask for, or the variable that says it; None: `enabled_from`."""
    paging: Paging
    parameters: dict[str, str] = {}
    timeout_s: float = Field(default=30, gt=0)
    max_attempts: int = Field(default=6, gt=0)


class FileDrop(Strict):
    """Files that somebody puts in a local folder."""

    kind: Literal["file_drop"]
    folder: str
    pattern: values.NamePattern
    day_format: values.DayFormat = "%Y%m%d"
    settled: Literal["two_looks", "done_file"] = "two_looks"


Transport = Annotated[Sftp | Rest | FileDrop, Field(discriminator="kind")]
