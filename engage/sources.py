"""A source is one YAML file: what it is called, how it arrives, how it reads, who owns it (feeds.md).

The Pydantic models here are the whole format: unknown keys and wrong types are refused, naming file and key. What a
transport or a loader does with the values is not known here.
"""

from collections.abc import Iterator
from datetime import date, time
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from engage import not_students
from engage import source_values as values
from engage.records import IDENTITY_KINDS, RECORDS, Record
from engage.strict import ConfigurationError as ConfigurationError
from engage.strict import Strict as Strict
from engage.strict import explain as explain
from engage.strict import read_yaml
from engage.strict import resolve as resolve
from engage.transports import FileDrop, MoodleRest, Rest, SqlReplica, Transport


class Column(Strict):
    """Where a canonical field comes from, and how its text reads."""

    name: str
    """Heading of the column, or dotted path into a JSON item."""
    formats: list[values.DateFormat] = []
    """Of dates and times: made of %d %m %Y %y %H %M %S, `iso8601` or `epoch_s`; the first that fits is taken."""
    true: list[str] = ["true", "True", "TRUE", "1", "yes", "Yes", "YES", "Y", "y"]
    false: list[str] = ["false", "False", "FALSE", "0", "no", "No", "NO", "N", "n"]
    decimal: Literal[".", ","] = "."


class Drop(Strict):
    """Rows that are not about what the source is for (exits, visitors, somebody else acting): left out and counted."""

    column: str
    equals: list[values.Filled] = []
    matches: values.WholePattern | None = None
    """Regular expression of Postgres that the whole value must match, in any letters."""
    not_null: bool = False
    is_null: bool = False
    reason: str

    @model_validator(mode="after")
    def _drops_something(self) -> Self:
        if not (self.equals or self.matches or self.not_null or self.is_null):
            raise ValueError("needs equals, matches, not_null: true or is_null: true; this drops nothing")
        return self


class Collapse(Strict):
    """Which rows of one student (and direction) are one event: the first of them stays."""

    within_s: int | None = Field(default=None, gt=0)
    """Those within so many seconds of the one before (double swipes)."""
    overlapping: bool = False
    """Those whose intervals, `duration_s` from their time on, overlap (several devices): one that lasts as long."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.overlapping == (self.within_s is not None):
            raise ValueError("needs either within_s, or overlapping: true")
        return self

    @property
    def reason(self) -> str:
        """Why the others are left out."""
        return "at the same time as another" if self.overlapping else f"within {self.within_s} s of the one before"


class Format(Strict):
    """How the bytes read."""

    kind: Literal["csv", "jsonl"]
    encoding: values.Encoding = "utf-8-sig"
    delimiter: values.Character = ","
    quote: values.Character = '"'
    time_zone: values.ZoneName = "Europe/London"
    """Zone of times that carry none."""
    footer: values.ClosingLine | None = None
    """Regular expression of a line to leave out at the end of the file (totals)."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if self.delimiter == self.quote:
            raise ValueError("delimiter and quote must differ")
        return self


class Freshness(Strict):
    """When the source counts as late."""

    warn_after_h: float = Field(default=36, gt=0)
    fail_after_h: float = Field(default=48, gt=0)
    quiet_weekdays: list[Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]] = []
    quiet_in: list[Literal["vacation", "reading", "assessment"]] = []
    """Times of the term calendar in which nothing need arrive. In closures nothing ever need."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.warn_after_h > self.fail_after_h:
            raise ValueError("warn_after_h must not be larger than fail_after_h")
        return self


class Owner(Strict):
    """Who answers for the source."""

    name: values.Filled
    email: str = Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
    escalate_after_h: float = 72


class Privacy(Strict):
    """Why the university may hold this data, and for how long."""

    purpose: values.Filled | None = None
    """What for, in words for students; None: the register and the report say that it is not recorded."""
    lawful_basis: values.Filled
    dpia_reference: values.Filled
    dpia_date: date | None = None
    retention_days: int = Field(gt=0)
    """Of the rows and of the bytes as they came."""


_UNKNOWN = {
    "owner": {"name": "not named yet", "email": "nobody@invalid.invalid"},
    "privacy": {"lawful_basis": "not known yet", "dpia_reference": "none yet", "retention_days": 1},
}


class Source(Strict):
    """One feeding system, as its YAML file says."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]{1,40}$")
    title: str
    system: str
    description: str
    record: values.RecordName
    relation: Literal["append", "replace_days", "snapshot"]
    transport: Transport
    format: Format
    columns: dict[str, Annotated[Column, values.YamlWords]]
    """Canonical field -> where it comes from."""
    expected_columns: list[str] | None = None
    """Every heading the file has when all is well; None: those of `columns`."""
    identified_by: str = "student_id"
    drop: list[Drop] = []
    collapse: Collapse | None = None
    cadence: Literal["several_a_day", "daily", "weekly", "termly"] = "daily"
    delivered_at: values.ClockTime = time(6, 0)
    """When the data of a day is there on the next, in `format.time_zone`; an API window is not asked for earlier."""
    freshness: Freshness = Freshness()
    category: Literal["attendance", "vle", "library_access", "other"] | None = None
    weight: float | None = Field(default=None, gt=0)
    digital: bool = False
    contact_point: bool = False
    """What it records counts as contact with a sponsored student (config/sponsorship.yaml)."""
    enabled: bool = True
    """False: a draft. It can be checked with a sample, and is no part of the graph."""
    enabled_from: values.DayInForce = None
    """First local day that the weekly score uses, or `${ENV_NAME}`; the source is collected before, too."""
    disabled_from: date | None = None
    """From the beginning of this local day nothing is collected, and no day from it on is scored."""
    owner: Owner
    privacy: Privacy

    @property
    def kind(self) -> Record:
        """The canonical record this source delivers."""
        return RECORDS[self.record]

    @property
    def headings(self) -> list[str]:
        """The headings expected in the file."""
        return self.expected_columns or [c.name for c in self.columns.values()]

    @model_validator(mode="before")
    @classmethod
    def _may_be_a_draft(cls, content: object) -> object:
        """Let a draft lack what must be known before it is enabled."""
        if isinstance(content, dict) and content.get("enabled") is False:
            return {**_UNKNOWN, **{key: value for key, value in content.items() if value is not None}}
        return content

    @model_validator(mode="after")
    def _fits_its_record(self) -> Self:
        fields = self.kind.fields
        if unknown := sorted(set(self.columns) - set(fields)):
            raise ValueError(
                f"columns: {', '.join(unknown)}: not a field of {self.record} (it has {', '.join(fields)})"
            )
        if missing := [n for n, f in fields.items() if f.required and n not in self.columns]:
            raise ValueError(f"columns: {', '.join(missing)}: required for {self.record}")
        for name, column in self.columns.items():
            if fields[name].type in ("date", "timestamp") and not column.formats:
                raise ValueError(f"columns.{name}.formats: required for a {fields[name].type}")
            if fields[name].type == "date" and "epoch_s" in column.formats:
                raise ValueError(f"columns.{name}.formats: epoch_s is a time; {name} is a date")
        if (self.record in ("activity", "attendance")) != (self.category is not None):
            raise ValueError("category: required for activity and attendance, meaningless for others")
        if (self.relation == "snapshot") != (self.kind.day_of is None):
            raise ValueError(f"relation: {self.relation} does not fit the record {self.record}")
        if self.collapse and self.collapse.overlapping and "duration_s" not in self.columns:
            raise ValueError("collapse.overlapping: needs the column duration_s")
        if self.relation == "append" and "event_id" not in self.columns:
            raise ValueError("relation: append needs the column event_id")
        if isinstance(self.transport, Rest | SqlReplica | MoodleRest) and self.format.kind != "jsonl":
            raise ValueError(f"format.kind: an API delivers jsonl, not {self.format.kind}")
        if isinstance(self.transport, SqlReplica | MoodleRest) and self.relation != "append":
            raise ValueError("relation: must be append, for each reading adds to those before")
        if isinstance(self.transport, Rest | SqlReplica | MoodleRest) and self.relation != "snapshot":
            if self.transport.start is None and self.enabled_from is None:
                raise ValueError("transport.start: required while enabled_from is empty")
            if self.transport.overlap and self.relation != "append":
                raise ValueError("transport.overlap: only with relation: append, whose rows have ids")
        if self.enabled_from and self.disabled_from and self.disabled_from < self.enabled_from:
            raise ValueError("disabled_from: must not be before enabled_from")
        if self.identified_by not in IDENTITY_KINDS:
            raise ValueError(f"identified_by: must be one of {', '.join(IDENTITY_KINDS)}")
        return self


def load_source(path: Path) -> Source:
    """Read one source file, and what `identity.yaml` beside its folder says of others than students.

    Raises ConfigurationError naming the file and every wrong key.
    """
    try:
        content = read_yaml(path)
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: not there") from None
    try:
        source = Source.model_validate(content)
    except ValidationError as error:
        # Without its cause, which quotes the values.
        raise ConfigurationError(explain(path, error, Source)) from None
    if source.id != path.stem:
        raise ConfigurationError(f"{path}: id: must be {path.stem}, like the file")
    config = path.parent.parent
    changes: dict[str, object] = {"drop": [*source.drop, *_of_others(source, not_students.load(config))]}
    if isinstance(source.transport, FileDrop) and not values.IN_ENVIRONMENT.match(source.transport.folder):
        changes["transport"] = source.transport.model_copy(update={"folder": str(config / source.transport.folder)})
    return source.model_copy(update=changes)


def _of_others(source: Source, rules: list[not_students.NotAStudent]) -> Iterator[Drop]:
    """Yield the rules by which this source tells who is no student."""
    for rule in rules:
        known_as = "student_ref" if source.kind.names_student and source.identified_by == rule.kind else rule.kind
        if column := source.columns.get(known_as):
            yield Drop(column=column.name, matches=rule.matches, reason=rule.reason)


def load_sources(config: Path, drafts: bool = False) -> dict[str, Source]:
    """Read every `sources/*.yaml` of a configuration folder, by id, rosters first (others are understood by them).

    Drafts (`enabled: false`) only when asked for.
    """
    order = list(RECORDS)[::-1]
    sources = [load_source(path) for path in sorted((config / "sources").glob("*.yaml"))]
    if not any(source.enabled for source in sources):
        raise ConfigurationError(f"{config / 'sources'}: holds no source file{' that is enabled' * bool(sources)}")
    sources = [source for source in sources if source.enabled or drafts]
    return {s.id: s for s in sorted(sources, key=lambda s: (order.index(s.record), s.id))}
