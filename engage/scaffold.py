"""From a sample to a draft: which record it is, which field each column holds, how a delivery relates to the last one.
How a file reads is `scaffold_sample`, how the draft is written `scaffold_draft`.

Nothing that is said or written repeats a value of a row, except the few words of a kind of thing.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from engage import scaffold_words as words
from engage.records import RECORDS
from engage.scaffold_draft import Draft, Finding, rules
from engage.scaffold_sample import Sample, Times, day_of, times
from engage.sources import Column
from engage.strict import ConfigurationError

_ID = r"[a-z][a-z0-9_]{1,40}"
_FEW_WORDS = 4
"""A column of more kinds of words than that says something else than whether a row counts."""
_NAME_DATES = (
    (r"\d{4}-\d\d-\d\d", ("%Y-%m-%d",)),
    (r"\d{4}_\d\d_\d\d", ("%Y_%m_%d",)),
    (r"\d\d-\d\d-\d{4}", ("%d-%m-%Y", "%m-%d-%Y")),
    (r"\d\d_\d\d_\d{4}", ("%d_%m_%Y", "%m_%d_%Y")),
    (r"\d{8}", ("%Y%m%d", "%d%m%Y")),
    (r"\d{6}", ("%y%m%d", "%d%m%y")),
)
_SHAPES = {
    "email": r"[^@\s]+@[^@\s]+\.[^@\s]+",
    "badge": r"\d{8,16}",
    "student_id": r"[A-Za-z]?\d{5,10}(/\d)?",
    "username": r"[A-Za-z][A-Za-z0-9._-]{1,30}",
}
"""What each kind of reference looks like, where its heading does not say it."""


@dataclass(frozen=True)
class _Found:
    """A column taken for a field."""

    heading: str
    times: Times | None = None
    marks: dict[str, list[str]] = field(default_factory=dict)


def draft(sample: Sample, source_id: str | None = None, record: str | None = None) -> Draft:
    """Infer a source and its suite from a sample. Raises ConfigurationError when no kind of record fits."""
    if source_id and not re.fullmatch(_ID, source_id):
        raise ConfigurationError("--id: must be 2 to 41 small letters, digits and underscores, a letter first")
    cells = _Cells(sample)
    # Of equals the first: records are told apart by how many of their fields are there.
    candidates = {name: cells.match(name) for name in ([record] if record else RECORDS)}
    lacking = {n: [f for f, k in RECORDS[n].fields.items() if k.required and f not in c] for n, c in candidates.items()}
    fitting = [name for name in candidates if not lacking[name]]
    if not fitting:
        # A guess at what is nearest would hide what is missing.
        told = [record] if record else ["activity", "attendance"]
        said = "; ".join(f"{name} lacks {', '.join(lacking[name])}" for name in told)
        if cells.unread:
            said += f"; {', '.join(map(repr, sorted(cells.unread)))}: dates or times in a form that is not known"
        raise ConfigurationError(
            f"{sample.name}: fits no kind of record ({said}); name the kind with --record, or call the columns so in"
            " the sample"
        )
    chosen = max(fitting, key=lambda name: len(candidates[name]))
    return _Drafting(sample, cells, chosen, candidates[chosen]).finish(source_id, fitting)


class _Cells:
    """The columns of a sample, by what their headings and values may mean."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.filled = {h: sum(map(bool, v)) / len(v) if v else 0.0 for h, v in sample.columns.items()}
        self._times: dict[str, Times] = {}
        self.unread: set[str] = set()
        """Headings of dates and times whose values do not read as such."""
        self._day = _name_pattern(sample.name)[2]

    def times(self, heading: str) -> Times:
        if heading not in self._times:
            self._times[heading] = times(self.sample.columns[heading], self._day)
        return self._times[heading]

    def named(self, names: str) -> Iterator[str]:
        """Yield the headings that are called so, in the order of the names, those with values before empty ones."""
        found = [
            (self.filled[heading] == 0, order, heading)
            for order, name in enumerate(names.split())
            for heading in self.sample.columns
            if name in (_plain(heading), _plain(heading.rpartition(".")[2]))
        ]
        # A path as a whole says more than its last part.
        found.sort(key=lambda one: (one[0], _plain(one[2]) not in names.split() and "." in one[2], one[1]))
        yield from dict.fromkeys(heading for *_, heading in found)

    def match(self, record: str) -> dict[str, _Found]:
        """Return the column of each field that has one."""
        taken: dict[str, _Found] = {}
        kind = RECORDS[record]
        for name, spec in kind.fields.items():
            known = words.HEADINGS.get(record, {}).get(name) or words.HEADINGS["*"].get(name, "")
            if name == "student_ref":
                known = " ".join(words.IDENTITY.values())
            elif name in words.IDENTITY:
                known = words.IDENTITY[name]
            used = {f.heading for f in taken.values()}
            headings = list(self.named(f"{_plain(name)} {known}"))
            if name == "student_ref":
                # A person's name refers to nobody, whatever it is called.
                headings.sort(key=lambda heading: self._refers(heading) < 0.5)
            for heading in headings:
                if heading not in used and (found := self._fits(heading, spec.type, spec.required)):
                    taken[name] = found
                    break
        day = kind.day_of
        if day and day not in taken:
            # No heading we know: the only column of times will be it.
            used = {f.heading for f in taken.values()}
            timed = [h for h in self.sample.columns if h not in used and self.times(h).share > 0.9]
            if len(timed) == 1:
                taken[day] = _Found(timed[0], self.times(timed[0]))
        return taken

    def _refers(self, heading: str) -> float:
        """Return the share of the values, 0-1, that look like a reference of any kind."""
        values = [v for v in self.sample.columns[heading] if v]
        shapes = re.compile("|".join(_SHAPES.values()))
        return sum(bool(shapes.fullmatch(v)) for v in values) / len(values) if values else 0.0

    def _fits(self, heading: str, kind: str, required: bool) -> _Found | None:
        """Return the column as one of that type, unless its values say that it is none."""
        values = [v for v in self.sample.columns[heading] if v]
        if required and not values:
            return None
        if kind in ("date", "timestamp"):
            found = self.times(heading)
            if not values:
                return _Found(heading, Times(("%Y-%m-%d",), 0))
            if kind == "date" and "epoch_s" in found.formats:
                return None
            if found.share >= 0.2:
                return _Found(heading, found)
            self.unread.add(heading)
            return None
        if kind == "boolean":
            return _marks(heading, values)
        pattern = {"integer": r"[+-]?\d{1,18}", "number": r"[+-]?\d{1,15}([.,]\d{1,15})?"}.get(kind)
        if pattern and sum(bool(re.fullmatch(pattern, v)) for v in values) < 0.8 * len(values):
            return None
        return _Found(heading)


def _marks(heading: str, values: list[str]) -> _Found | None:
    counts = Counter(values)
    usual = Column(name=heading)
    yes = [v for v in counts if v.lower() in words.YES]
    no = [v for v in counts if v.lower() in words.NO]
    if sum(counts[v] for v in yes + no) < 0.6 * len(values):
        return None
    marks = {}
    if not set(yes) <= set(usual.true) or not set(no) <= set(usual.false):
        marks = {"true": sorted(yes), "false": sorted(no)}
    return _Found(heading, None, marks)


class _Drafting:
    """Decides one thing after another, and keeps why."""

    def __init__(self, sample: Sample, cells: _Cells, record: str, fields: dict[str, _Found]) -> None:
        self._sample, self._cells, self._record, self._fields = sample, cells, record, fields
        self._kind = RECORDS[record]
        self.findings: list[Finding] = []

    def finish(self, source_id: str | None, fitting: list[str]) -> Draft:
        form, fields = self._sample.form, self._fields
        self._say(
            "format",
            f"{form.kind}, {form.encoding}",
            "certain" if form.encoding.startswith("utf") else "likely",
            "the bytes",
        )
        if form.kind == "csv":
            because = f"{self._sample.rows:,} lines have as many fields as the heading"
            delimiter = {"\t": "tab"}.get(form.delimiter, form.delimiter)
            self._say("delimiter", delimiter, "likely" if self._sample.ill_formed else "certain", because)
            if form.footer:
                self._say("closing line", form.footer, "likely", "how the last line begins")
        others = ", ".join(name for name in fitting if name != self._record)
        self._say(
            "record",
            self._record,
            "likely",
            f"{len(fields)} of its fields found" + (f"; also possible: {others}" * bool(others)),
        )
        identified_by = self._identified_by() if self._kind.names_student else None
        for name, found in fields.items():
            self._say_column(name, found)
        drops = self._drops()
        used = {found.heading for found in fields.values()} | {drop["column"] for drop in drops}
        if others := ", ".join(heading for heading in self._sample.columns if heading not in used):
            self._say("not used", others, "likely", "no field is called so")
        pattern, day_format, named = _name_pattern(self._sample.name)
        relation, pattern, day_format = self._relation(pattern, day_format, named)
        named_id = re.sub(r"[^a-z0-9]+", "_", re.sub(r"\d+|\.\w+$", "", self._sample.name.lower())).strip("_")
        values = {n: [v for v in self._sample.columns[f.heading] if v] for n, f in fields.items()}
        named_id = re.sub(r"(_v|_+)$", "", named_id)[:41]
        source_id = source_id or (named_id if re.fullmatch(_ID, named_id) else "new_source")
        source: dict[str, Any] = {
            "id": source_id,
            "record": self._record,
            "relation": relation,
            "pattern": pattern,
            "day_format": day_format,
            "format": form.model_dump(exclude_defaults=True) | {"time_zone": form.time_zone},
            "columns": {name: _column(found) for name, found in fields.items()},
            "identified_by": identified_by,
            "drop": drops,
        }
        if len(fields) < len(self._sample.columns) and form.kind == "csv":
            source["expected_columns"] = list(self._sample.columns)
        if self._record in ("activity", "attendance"):
            source |= self._category(source_id)
        return Draft(source, list(rules(self._record, relation, values)), self.findings)

    def _say(self, what: str, value: str, sure: str, because: str) -> None:
        self.findings.append(Finding(what, value, sure, because))

    def _say_column(self, name: str, found: _Found) -> None:
        shown, sure, because = found.heading, "likely", "its heading"
        if (at := found.times) is not None:
            shown += f" ({', '.join(at.formats)})"
            zone = "each with its offset" if at.has_zone else f"taken for {self._sample.form.time_zone}"
            zone = f"; {zone}" if self._kind.fields[name].type == "timestamp" else ""
            because = f"{100 * at.share:.0f} % of its values read so{zone}"
            if at.is_british_by_assumption:
                sure, because = "guess", f"no day above 12 tells the order: British assumed{zone}"
            elif at.share == 1:
                sure = "certain"
            if self._kind.fields[name].type == "timestamp" and at.formats == ("%Y-%m-%d",):
                because += "; without a time of day"
        self._say(f"column {name}", shown, sure, because)

    def _identified_by(self) -> str:
        heading = self._fields["student_ref"].heading
        values = [v for v in self._sample.columns[heading] if v]
        fit = {kind: sum(bool(re.fullmatch(shape, v)) for v in values) for kind, shape in _SHAPES.items()}
        by_heading = next(
            (k for k, n in words.IDENTITY.items() if _plain(heading.rpartition(".")[2]) in n.split()), None
        )
        by_shape = max(fit, key=lambda kind: fit[kind])
        if fit["email"] > 0.9 * len(values):
            kind, sure, because = "email", "certain", "its values look like addresses"
        elif by_heading and fit[by_heading] > 0.8 * len(values):
            kind, sure, because = by_heading, "likely", "its heading, and the shape of its values"
        else:
            kind, because = by_heading or by_shape, "its heading" if by_heading else "the shape of its values"
            sure = "guess"
        self._say("identified_by", kind, sure, because)
        return kind

    def _relation(self, pattern: str, day_format: str | None, named: date | None) -> tuple[str, str, str | None]:
        """Return the relation, and the name's pattern, without its day where that is not the day of the rows."""
        day_field = self._kind.day_of
        if day_field is None:
            self._say("relation", "snapshot", "certain", f"{self._record} is a list as of a date")
            return "snapshot", pattern, day_format
        at = self._fields[day_field]
        formats = at.times.formats if at.times else ()
        days = Counter(filter(None, (day_of(v, formats) for v in self._sample.columns[at.heading])))
        if named and days and days[named] < 0.8 * days.total():
            self._say("file name", pattern, "guess", "its date is not the day of most rows, so it is not taken for one")
            pattern, day_format, named = re.sub(r"\?P<(day|from|to)>", "?:", pattern), None, None
        ids = self._sample.columns[self._fields["event_id"].heading] if "event_id" in self._fields else []
        is_unique = bool(ids) and all(ids) and len(set(ids)) >= 0.99 * len(ids)
        if is_unique and (self._sample.form.kind == "jsonl" or not day_format):
            self._say("relation", "append", "likely", "every row has an id of its own")
            return "append", pattern, day_format
        if day_format:
            self._say("relation", "replace_days", "likely", "the file's name says which day it is about")
        else:
            self._say(
                "relation", "replace_days", "guess", "no id and no day in the name: complete for the days of its rows"
            )
        return "replace_days", pattern, day_format

    def _drops(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for heading, values in self._sample.columns.items():
            said = set(filter(None, values))
            for headings, left_out, reason in words.DROPS:
                hits = sorted(v for v in said if v.lower() in left_out.split())
                if hits and len(said) <= _FEW_WORDS and _plain(heading) in headings.split():
                    found.append({"column": heading, "equals": hits, "reason": reason})
            # Of a JSON object that is null for most, the object as a whole.
            actor = heading.partition(".")[0] if self._sample.form.kind == "jsonl" else heading
            if _plain(actor) in words.ACTORS and actor not in [one["column"] for one in found]:
                found.append({"column": actor, "not_null": True, "reason": "somebody else was acting as the student"})
        for one in found:
            self._say("drop", one["column"], "likely", one["reason"])
        return found

    def _category(self, source_id: str) -> dict[str, Any]:
        if self._record == "attendance":
            return {"category": "attendance", "digital": False}
        said = " ".join([source_id, *self._sample.columns, *(f for f in self._fields)]).lower()
        there = set(re.findall(r"[a-z]+", said))
        hits = {category: len(there & set(names.split())) for category, names in words.CATEGORIES.items()}
        category = max(hits, key=lambda name: hits[name]) if any(hits.values()) else "other"
        self._say("category", category, "guess", "words in its headings and its name")
        return {"category": category, "digital": category == "vle" or bool(there & set(words.DIGITAL))}


def _column(found: _Found) -> dict[str, Any]:
    formats = {"formats": list(found.times.formats)} if found.times else {}
    return {"name": found.heading, **formats, **found.marks}


def _name_pattern(name: str) -> tuple[str, str | None, date | None]:
    """Return the pattern of a file's name, with the group `day` where it has a date, how that reads, and the date."""
    for shape, formats in _NAME_DATES:
        for match in re.finditer(rf"(?<!\d){shape}(?!\d)", name):
            for form in formats:
                try:
                    found = datetime.strptime(match[0], form).date()
                except ValueError:
                    continue
                if 1990 <= found.year <= 2100:
                    days = re.sub(r"[0-9]+", lambda part: rf"\d{{{len(part[0])}}}", match[0])
                    return _like(name[: match.start()]) + f"(?P<day>{days})" + _like(name[match.end() :]), form, found
    return _like(name), None, None


def _like(part: str) -> str:
    """Return the pattern of a part of a name: its numbers may be others, a version may be missing."""
    escaped = re.sub(r"\d+", lambda _: r"\d+", re.escape(part).replace(r"\-", "-"))
    return re.sub(r"([_-]v)\\d\+", r"(\1\\d+)?", escaped)


def _plain(heading: str) -> str:
    return re.sub(r"[^a-z0-9]", "", heading.lower())
