"""What a sample file looks like, before anybody has said: its encoding, delimiter, closing line, columns, and in which
format a column's dates and times are. What the columns mean to us is `engage.scaffold`'s.

No message here quotes a value.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import product
from pathlib import Path
from typing import Any, BinaryIO, cast

from engage.scaffold_words import CLOSING
from engage.sources import Format
from engage.strict import ConfigurationError
from engage.text import UnreadableError, open_text, readable

LOOKED_AT = 64 * 2**20
"""Bytes, unpacked. What follows is not looked at."""
_ENOUGH = 500
"""Distinct values that tell a column's format, taken from all over the file."""
_DELIMITERS = ",;\t|"
_DATES = ("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%d.%m.%Y", "%Y/%m/%d", "%d/%m/%y", "%m/%d/%y", "%Y%m%d")
_TIMES = ("", " %H:%M", " %H:%M:%S", "T%H:%M", "T%H:%M:%S", "%H%M%S")
FORMATS = tuple("".join(parts) for parts in product(_DATES, _TIMES) if parts[1] != "%H%M%S" or parts[0] == "%Y%m%d")
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?( ?(Z|[+-]\d\d(:?\d\d)?))?")
_MAY_BE_TIME = re.compile(r"\d.*\d.*\d.*\d")
_EPOCH = re.compile(r"\d{10}(\.\d{1,6})?")


@dataclass(frozen=True)
class Times:
    """How a column's dates and times read."""

    formats: tuple[str, ...]
    share: float
    """Of the values, 0-1, those that fit."""
    has_zone: bool = False
    is_british_by_assumption: bool = False
    """No day above 12 tells the day from the month."""


@dataclass(frozen=True)
class Sample:
    """A file as it reads: values by heading (dotted path of a JSON item), trimmed, empty where there is none."""

    name: str
    form: Format
    columns: dict[str, list[str]]
    rows: int
    ill_formed: int
    """Lines without as many fields as there are headings, or that are not JSON objects."""
    notes: list[str] = field(default_factory=list)


def read_sample(path: Path, time_zone: str) -> Sample:
    """Read a file, packed (gzip, zip) or not. Raises ConfigurationError when it has no heading or cannot be read."""
    try:
        with readable(), open_text(lambda: cast(BinaryIO, path.open("rb")), "latin-1") as opened:
            # Unpacked, and not decoded yet.
            raw = bytes(opened.buffer.read(LOOKED_AT + 1))
    except (UnreadableError, OSError) as error:
        raise ConfigurationError(
            f"{path.name}: {error if isinstance(error, UnreadableError) else error.strerror}"
        ) from None
    notes = []
    if is_cut := len(raw) > LOOKED_AT:
        raw = raw[: raw.rfind(b"\n", 0, LOOKED_AT) + 1]
        notes.append(f"only the first {LOOKED_AT // 2**20} MB were looked at")
    encoding, why = _encoding(raw)
    notes += [why] if why else []
    content = raw.decode(encoding, "replace")
    lines = [line for line in io.StringIO(content, newline=None).read().split("\n") if line.strip()]
    if not lines:
        raise ConfigurationError(f"{path.name}: is empty: a sample needs a heading and some rows")
    if lines[0].lstrip("\ufeff").lstrip().startswith("["):
        raise ConfigurationError(f"{path.name}: is a JSON list; write its items one in each line (jq -c '.[]')")
    build = _json_lines if lines[0].lstrip("\ufeff").lstrip().startswith("{") else _csv
    return build(path.name, lines, encoding, time_zone, is_cut, notes)


def times(values: Iterable[str], day: date | None = None) -> Times:
    """Return the formats in which values read as dates or times; share 0: in none. `day`: what they may well name."""
    some = list(dict.fromkeys(filter(None, values)))
    some = some[:: len(some) // _ENOUGH + 1]
    if sum(bool(_MAY_BE_TIME.search(v)) for v in some) * 2 <= len(some):
        return Times((), 0)
    left, formats = some, list[str]()
    british = False
    while left and len(formats) < 3:
        fits = {form: {v for v in left if _reads(v, form)} for form in FORMATS}
        # The first of equals: four-digit years before two, British order before American.
        hits = {form: sum(_reads(v, form) == day for v in found) for form, found in fits.items()}
        form, found = max(fits.items(), key=lambda one: (len(one[1]), hits[one[0]]))
        if len(found) < max(0.05 * len(some), 1):
            break
        american = form.replace("%d", "%x").replace("%m", "%d").replace("%x", "%m")
        if form != american and american in fits and len(fits[american]) == len(found):
            british |= hits[form] == hits[american]
        formats.append(form)
        left = [v for v in left if v not in found]
    zoned = [v for v in left if (match := _ISO.fullmatch(v)) and match[4]]
    iso = [v for v in left if _ISO.fullmatch(v)]
    epoch = [v for v in left if _EPOCH.fullmatch(v)]
    if len(iso) >= 0.05 * len(some):
        formats.append("iso8601")
        left = [v for v in left if v not in set(iso)]
    elif len(epoch) >= 0.5 * len(some):
        formats.append("epoch_s")
        left = [v for v in left if v not in set(epoch)]
        zoned = epoch
    return Times(tuple(formats), 1 - len(left) / len(some), bool(zoned), british)


def day_of(value: str, formats: Sequence[str]) -> date | None:
    """Return the day that a value names in the first format that fits; without regard to zones."""
    for form in formats:
        if form == "epoch_s" and _EPOCH.fullmatch(value):
            return datetime.fromtimestamp(float(value)).date()
        if form == "iso8601" and _ISO.fullmatch(value):
            return date.fromisoformat(value[:10])
        if "%" in form and (found := _reads(value, form)):
            return found
    return None


def _reads(value: str, form: str) -> date | None:
    # Without separators strptime takes seven digits, too.
    if form.startswith("%Y%m%d") and len(value) not in (8, 14):
        return None
    try:
        found = datetime.strptime(value, form).date()
    except ValueError:
        return None
    # Eight digits of an id are no date.
    return found if 1990 <= found.year <= 2100 else None


def _encoding(raw: bytes) -> tuple[str, str | None]:
    """Return how bytes read, as a name for `format.encoding`, and what is to be said of it."""
    for mark, name in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if raw.startswith(mark):
            return name, None
    if b"\0" in (head := raw[:4096]):
        name = "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
        return name, "UTF-16 without a byte order mark"
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        # Statistics on a few accents guess at Polish or Turkish; British systems write one of these two.
        return ("cp1252" if re.search(rb"[\x80-\x9f]", raw) else "latin-1"), None
    return "utf-8", "only ASCII: UTF-8, Latin-1 and others look the same" if raw.isascii() else None


def _json_lines(name: str, lines: list[str], encoding: str, zone: str, is_cut: bool, notes: list[str]) -> Sample:
    items: list[dict[str, str]] = []
    for line in lines:
        try:
            item = json.loads(line.lstrip("\ufeff"))
        except (ValueError, RecursionError):
            continue
        if isinstance(item, dict):
            items.append(_leaves(item))
    if not items:
        raise ConfigurationError(f"{name}: is neither CSV nor JSON Lines (one JSON object in each line)")
    paths = dict.fromkeys(path for item in items for path in item)
    columns = {path: [item.get(path, "") for item in items] for path in paths}
    form = Format(kind="jsonl", encoding=encoding, time_zone=zone)
    return Sample(name, form, columns, len(items), len(lines) - len(items), notes)


def _leaves(item: dict[str, Any], before: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in item.items():
        if isinstance(value, dict):
            found |= _leaves(value, f"{before}{key}.")
        elif not isinstance(value, list):
            found[before + key] = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    return found


def _csv(name: str, lines: list[str], encoding: str, zone: str, is_cut: bool, notes: list[str]) -> Sample:
    lines[0] = lines[0].lstrip("\ufeff")
    delimiter, quote = _dialect(lines[:1000])
    parse = _parser(delimiter, quote)
    headings = [heading.strip() for heading in parse(lines[0]) or []]
    _must_be_headings(name, headings)
    footer = None
    if not is_cut and len(lines) > 1 and re.match(CLOSING, lines[-1], re.IGNORECASE):
        footer = _footer(lines[-1], delimiter)
        lines = lines[:-1]
    rows = [row for line in lines[1:] if (row := parse(line)) and len(row) == len(headings)]
    twice = sorted({h for h in headings if headings.count(h) > 1})
    if twice:
        notes.append(f"{len(twice)} headings are there more than once; have them renamed before they are used")
    if "" in headings:
        notes.append(f"{headings.count('')} columns have no heading and cannot be used")
    columns = {
        heading: [row[place].strip(" \t\u00a0") for row in rows]
        for place, heading in enumerate(headings)
        if heading and heading not in twice
    }
    form = Format(kind="csv", encoding=encoding, delimiter=delimiter, quote=quote, time_zone=zone, footer=footer)
    return Sample(name, form, columns, len(rows), len(lines) - 1 - len(rows), notes)


def _parser(delimiter: str, quote: str) -> Callable[[str], list[str] | None]:
    def parse(line: str) -> list[str] | None:
        try:
            return next(csv.reader([line], delimiter=delimiter, quotechar=quote, strict=True))
        except csv.Error:
            return None

    return parse


def _dialect(lines: list[str]) -> tuple[str, str]:
    """Return delimiter and quote. `csv.Sniffer` takes letters and the colon of times for delimiters, so here they vote:
    the delimiter by which most lines have as many fields as the heading, and the more fields the better.
    """
    text = "\n".join(lines)
    enclosing = {q: len(re.findall(rf"(?:^|[,;\t|]){q}[^{q}\n]*{q}(?=[,;\t|]|$)", text, re.MULTILINE)) for q in "\"'"}
    quote = "'" if enclosing["'"] > enclosing['"'] else '"'

    def agreement(delimiter: str) -> tuple[float, int]:
        widths = [len(row) for line in lines if (row := _parser(delimiter, quote)(line))]
        if not widths or widths[0] < 2:
            return 0.0, 0
        return round(widths.count(widths[0]) / len(lines), 1), widths[0]

    return max(_DELIMITERS, key=agreement), quote


def _must_be_headings(name: str, headings: list[str]) -> None:
    """Raise ConfigurationError for a first line that is a row: its values would stand in the draft."""
    odd = [h for h in headings if re.search(r"@|^[\d\W]+$|^[A-Za-z]{0,3}\d{4,}$|.{61}", h) or times([h]).share]
    if not any(headings) or odd:
        raise ConfigurationError(
            f"{name}: its first line is not a heading ({len(odd)} of {len(headings)} cells look like values); have"
            " it sent with one, or write one into the sample"
        )


def _footer(line: str, delimiter: str) -> str:
    """Return the pattern of a closing line: its first word and, where one follows, a number; nothing else of it."""
    first, *others = line.split(delimiter)
    word = re.match(CLOSING, first, re.IGNORECASE)
    begins = "^" + re.escape(word[0] if word else first)
    if word and word[0] == first and others and others[0].strip().isdecimal():
        begins += re.escape(delimiter) + r"\d+" + (re.escape(delimiter) if len(others) > 1 else "")
    return begins
