"""How a source arrives, as its YAML says: one model per transport, few and generic; a vendor is configuration.

What a transport does with these values is in `engage/connectors`, one module each.
"""

from datetime import date, timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

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


class OAuth2(Strict):
    """Client credentials (RFC 6749, 4.4): the token is kept until it ends, and fetched anew after a 401."""

    token_url: str
    """Address, or a path on `base_url`."""
    client_id: str
    client_secret: values.Secret
    scope: str | None = None
    sent_in: Literal["body", "header"] = "body"
    """Where the client says who it is: in the form, or in a header (HTTP Basic)."""


class Answer(Strict):
    """What an answer looks like: its status, and words in its body, in any case."""

    status: int
    words: values.Filled


class Quota(Strict):
    """A header that says how much may still be asked: below `low` every call waits first."""

    header: values.Filled
    low: float
    wait_s: float = Field(gt=0)


class ErrorInside(Strict):
    """How the body of an answer with status 200 says that it is an error."""

    key: values.Filled
    """Dotted path; an error if something stands there."""
    code: str | None = None
    """Dotted path of the error's code; None: what stands at `key`."""
    transient: list[str] = []
    """Codes worth another attempt."""


class Http(Strict):
    """What every HTTP API has in common: where it is, by what right and how fast it is asked, how it says no."""

    base_url: str
    token: values.Secret | None = None
    token_header: str | None = None
    """Header that holds the bare token; None: `Authorization: Bearer`."""
    oauth2: OAuth2 | None = None
    calls_per_minute: int | None = Field(default=None, gt=0)
    """Never more in any minute; the first of them come at once."""
    quota: Quota | None = None
    slow_down: list[Answer] = []
    """Answers that mean "wait", beside 429 and 503."""
    error_inside: ErrorInside | None = None
    timeout_s: float = Field(default=30, gt=0)
    max_attempts: int = Field(default=6, gt=0)

    @model_validator(mode="after")
    def _has_one_right(self) -> Self:
        if (self.token is None) == (self.oauth2 is None):
            raise ValueError("needs either token or oauth2")
        return self


class Paging(Strict):
    """How an API hands out a long list."""

    style: Literal["link_header", "next_url", "bookmark", "page_number", "offset", "whole"]
    """Followed as given: the Link header, the address or the bookmark at `next_key`. Counted: pages or items, until a
    page holds none. Whole: one answer."""
    size_parameter: str | None = "per_page"
    size: int = Field(default=500, gt=0)
    page_parameter: str = "page"
    """What is asked for with a bookmark, a page's number or an offset."""
    first_page: int = 1
    next_key: str = "next"
    """Dotted path in the body; the key itself may have dots."""
    second_look: bool | None = None
    """Read the list twice, and again until two readings agree; None: if it is counted."""

    @property
    def is_counted(self) -> bool:
        """Whether what comes or goes meanwhile shifts the pages that follow."""
        return self.style in ("page_number", "offset")


class Items(Strict):
    """A list of an API: where it is, what is asked, how it is paged."""

    path: str
    """`{name}` stands for the value of an earlier list."""
    parameters: dict[str, str | list[str]] = {}
    """Further parameters; `{from}` and `{to}` stand for the window's bounds, `{name}` as in `path`."""
    items_key: str | None = None
    """Dotted path of the list in the body; None: the body is the list."""
    paging: Paging


class Each(Items):
    """A list whose every item has a list of its own (the users, and what each viewed)."""

    name: str = Field(pattern=r"^[a-z][a-z_]*$")
    value: str = "id"
    """Dotted path of what stands for `{name}` in what is asked next."""
    is_optional: bool = False
    """Items without a value are passed over."""
    keep: dict[str, str] = {}
    """Put beside every item of the last list, under `each.<name>`: key -> dotted path."""
    skip_status: list[int] = []
    """Of the list of one: it is gone, go on (404). When all are, it is an error."""


class Rest(Http, Items):
    """A paged HTTP API that is asked for windows of time, or once a day for the full list (relation: snapshot)."""

    kind: Literal["rest"]
    each: list[Each] = []
    """Lists to go through first, from the outside in."""
    required_keys: list[str] = []
    """Dotted paths that every item must have (null is a value): without one the window is refused, not landed."""
    id_of: list[str] = []
    """Dotted paths, also of `each.<name>`, whose values, joined by `/`, are put into each item as `item_id`."""
    window_from: str | None = "from"
    window_to: str | None = "to"
    """Parameters of the window's bounds; None: not asked for (say `{from}` in `parameters`)."""
    window: timedelta = Field(default=timedelta(days=1), gt=timedelta())
    overlap: timedelta = Field(default=timedelta(), ge=timedelta())
    """How far before its beginning a window is asked for once more, for what was entered late."""
    start: date | values.Secret | None = None
    """First day to ask for, or the variable that says it; None: `enabled_from`."""


class ReportJob(Http):
    """An API that makes a report of a window in its own time: ordered, asked about, and fetched once it is made."""

    kind: Literal["report_job"]
    order: str
    """Path that takes the order (POST)."""
    body: dict[str, str] = {}
    """Of the order, as JSON; `{from}` and `{to}` stand for the window's bounds."""
    job_key: str = "id"
    state: str
    """Path that tells how far it is; `{job}` stands for what the order answered."""
    state_key: str = "status"
    made: list[values.Filled]
    failed: list[values.Filled]
    """States; any other is waited for."""
    result_key: str = "url"
    """Dotted path of the report's address, which is asked without the token."""
    poll_every_s: float = Field(default=10, gt=0)
    give_up_after_s: float = Field(default=900, gt=0)
    window: timedelta = Field(default=timedelta(days=1), gt=timedelta())
    start: date | values.Secret | None = None
    """First day to ask for, or the variable that says it; None: `enabled_from`."""


class FileDrop(Strict):
    """Files that somebody puts in a local folder."""

    kind: Literal["file_drop"]
    folder: str
    """From the root, or in the configuration folder."""
    pattern: values.NamePattern
    day_format: values.DayFormat = "%Y%m%d"
    settled: Literal["two_looks", "done_file"] = "two_looks"


class SqlReplica(Strict):
    """A table that only grows, in a read replica of Postgres: read on by its ids, one reading after another."""

    kind: Literal["sql_replica"]
    url: values.Secret
    """`postgresql://...` of a role that may only read."""
    table: str
    id_column: str = "id"
    """Grows from row to row, nearly: an id is given out before its row is committed."""
    time_column: str
    """When it happened, in epoch seconds; with an index."""
    query: str | None = None
    """What is read of it: a select that has both columns (and may join others); None: every column."""
    start: date | values.Secret | None = None
    """First day to ask for, or the variable that says it; None: `enabled_from`."""
    every: timedelta = Field(default=timedelta(days=1), gt=timedelta(), le=timedelta(days=1))
    """A reading ends at a multiple of it after local midnight."""
    longest: timedelta = Field(default=timedelta(days=7), ge=timedelta(days=1), le=timedelta(days=366))
    """Of more than that several readings are made."""
    lag: timedelta = Field(default=timedelta(minutes=15), ge=timedelta())
    """How long after its time a row may still be on its way, into the table and into the replica."""
    overlap: timedelta = Field(default=timedelta(minutes=30), ge=timedelta())
    """How far before its beginning a reading goes back, for rows that were on their way for longer."""
    timeout_s: float = Field(default=600, gt=0)
    """Of one statement."""


class MoodleRest(Http):
    """What Moodle's web services tell: one reading covers the days since the one before."""

    kind: Literal["moodle_rest"]
    read: Literal["submissions", "last_access"]
    """What was handed in, or when everybody enrolled was last in the course."""
    path: str = "/webservice/rest/server.php"
    user_key: Literal["username", "idnumber"] = "username"
    """What of a user names the student. An idnumber may be empty, and the same for several users."""
    start: date | values.Secret | None = None
    """First day to ask for, or the variable that says it; None: `enabled_from`."""
    overlap: timedelta = Field(default=timedelta(hours=6), ge=timedelta())
    """How far before its beginning a reading goes back, for what was entered late."""
    page_size: int = Field(default=500, gt=0)
    """Enrolments in one call."""


Transport = Annotated[Sftp | Rest | ReportJob | FileDrop | SqlReplica | MoodleRest, Field(discriminator="kind")]
