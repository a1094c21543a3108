"""Which lines of a delivered file are about certain students: told by the identifying column, as the gate reads it.

Works on blocks of whole lines as bytes of an encoding that contains ASCII. A line that cannot be read as a row is
somebody's when it holds a reference of theirs as a whole word. Files, packing and the ledger are not known here.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from engage import headings
from engage.privacy.references import Reference, normalised
from engage.sources import Source
from engage.text import FormatError

LONGEST_RECORD = 100
"""Lines that a quoted field with line ends in it may spread a row over."""
_PLAIN = re.compile(r"[A-Za-z0-9._@+-]+")
"""References that are written alike in any file: without escapes, quotes or letters whose case is not ASCII's."""
_END = re.compile(rb"\r\n|\n|\r")


class OwnLines:
    """Finds the lines of the students with these references in a file of a source, block by block, the first first."""

    def __init__(
        self,
        source: Source | None,
        refs: Sequence[Reference],
        encoding: str,
        days: tuple[date, date] | None = None,
    ) -> None:
        """`source` None: how its files read is not known. `days`: the first and the last that the file is about."""
        self._source, self._encoding, self._days = source, encoding, days
        self._columns = source.columns if source else {}
        self._known_as = "student_ref" if source and source.kind.names_student else "student_id"
        self._day_of = (source.kind.day_of if source else None) or ""
        kind = source.identified_by if source and source.kind.names_student else "student_id"
        # In lines that cannot be read every reference counts.
        self._all = [ref for ref in refs if self._may_hold(ref)]
        self._own = [ref for ref in self._all if ref.kind == kind]
        self._place: int | None = None
        self._day_place: int | None = None
        self._width = 0
        self.heading = b""
        words = sorted({ref.ref for ref in self._all}, key=len, reverse=True)
        self._is_plain = all(_PLAIN.fullmatch(word) for word in words)
        self._needles = [word.lower().encode() for word in words] if self._is_plain else []
        either = "|".join(map(re.escape, words))
        self._words = re.compile(rf"(?<![\w@+-])(?<!\w\.)({either})(?![\w@+-])(?!\.\w)", re.IGNORECASE)

    @property
    def is_possible(self) -> bool:
        """Whether any of them may be in the file at all."""
        return bool(self._all) and (self._source is None or self._known_as in self._columns)

    def of(self, block: bytes, is_first: bool) -> list[tuple[int, int]]:
        """Return where in a block of whole lines theirs begin and end (the end of the line not included), in order.

        `is_first`: the block begins with the heading, if the format has one.
        """
        start = self._read_heading(block) if is_first else 0
        found: dict[int, int] = {}
        reach = start
        for begin, end in self._candidates(block, start):
            if begin < reach:
                continue
            first, last = self._record(block, start, begin, end)
            if self._is_theirs(block[first:last]):
                for one in _split(block, first, last):
                    found[one[0]] = one[1]
                reach = last
        return sorted(found.items())

    @staticmethod
    def without(block: bytes, lines: list[tuple[int, int]]) -> tuple[bytes, int]:
        """Return the block with these lines blank, and how many there were."""
        parts, reach = [], 0
        for begin, end in lines:
            parts.append(block[reach:begin])
            reach = end
        return b"".join([*parts, block[reach:]]), len(lines)

    def others(self, block: bytes, lines: list[tuple[int, int]], is_first: bool) -> tuple[bytes, int]:
        """Return the block with all other lines blank, but for heading and closing line, and how many there were."""
        own = set(lines)
        start = block.find(self.heading) + len(self.heading) if is_first else 0
        gone = [
            (begin, end)
            for begin, end in _split(block, start, len(block))
            if (begin, end) not in own and not self._closes(block[begin:end]) and block[begin:end].strip()
        ]
        return self.without(block, gone)

    def _closes(self, line: bytes) -> bool:
        footer = self._source.format.footer if self._source else None
        return bool(footer) and re.search(str(footer), line.decode(self._encoding, "replace")) is not None

    def _candidates(self, block: bytes, start: int) -> Iterator[tuple[int, int]]:
        """Yield the lines in which a reference stands somewhere: all of them where bytes cannot tell."""
        if not self._is_plain:
            yield from _split(block, start, len(block))
            return
        folded = block.lower()
        places: set[int] = set()
        for needle in self._needles:
            at = folded.find(needle, start)
            while at >= 0:
                begin = max(block.rfind(b"\n", 0, at), block.rfind(b"\r", 0, at)) + 1
                match = _END.search(block, at)
                end = match.start() if match else len(block)
                places.add(max(begin, start))
                at = folded.find(needle, end)
        for begin in sorted(places):
            match = _END.search(block, begin)
            yield begin, match.start() if match else len(block)

    def _record(self, block: bytes, start: int, begin: int, end: int) -> tuple[int, int]:
        """Return the bounds of the row that a line belongs to: of several lines where a quoted field has line ends."""
        if self._place is None or block.count(self._quote, begin, end) % 2 == 0:
            return begin, end
        # The quote was opened in this line, or in one before it.
        forward, backward = (begin, end), (begin, end)
        for _ in range(LONGEST_RECORD):
            if forward[1] < len(block):
                match = _END.match(block, forward[1])
                after = _END.search(block, match.end() if match else forward[1])
                forward = begin, after.start() if after else len(block)
                if self._is_row(block[slice(*forward)]):
                    return forward
            if backward[0] > start:
                line_end = backward[0] - (2 if block[backward[0] - 2 : backward[0]] == b"\r\n" else 1)
                first = max(block.rfind(b"\n", start, line_end), block.rfind(b"\r", start, line_end)) + 1
                backward = max(first, start), end
                if self._is_row(block[slice(*backward)]):
                    return backward
        return begin, end

    @property
    def _quote(self) -> bytes:
        return self._source.format.quote.encode() if self._source else b'"'

    def _is_row(self, record: bytes) -> bool:
        return record.count(self._quote) % 2 == 0 and bool(self._fields(record))

    def _is_theirs(self, record: bytes) -> bool:
        if (said := self._value(record)) is None:
            return self._words.search(record.decode(self._encoding, "replace")) is not None
        value, day = said
        return any(
            normalised(ref.kind, value) == ref.ref and (day is None or ref.valid_from <= day < ref.valid_to)
            for ref in self._own
        )

    def _value(self, record: bytes) -> tuple[str, date | None] | None:
        """Return what the identifying column of a row says, and the row's day; None: it cannot be read."""
        if self._source and self._source.format.kind == "jsonl":
            try:
                item = json.loads(record.decode(self._encoding))
            except (ValueError, RecursionError):
                return None
            names = (self._columns[one].name if one in self._columns else "" for one in (self._known_as, self._day_of))
            value, moment = (_at(item, name.split(".")) for name in names)
            return (value or "", self._day(moment)) if isinstance(item, dict) else None
        fields = self._fields(record)
        if self._place is None or not fields:
            return None
        return fields[self._place], self._day(None if self._day_place is None else fields[self._day_place])

    def _fields(self, record: bytes) -> list[str]:
        """Return the fields of a row; none, if it is not one."""
        if self._source is None:
            return []
        form = self._source.format
        try:
            lines = io.StringIO(record.decode(self._encoding), newline="")
            rows = list(csv.reader(lines, delimiter=form.delimiter, quotechar=form.quote, strict=True))
        except (csv.Error, UnicodeDecodeError):
            return []
        return rows[0] if len(rows) == 1 and len(rows[0]) == self._width else []

    def _day(self, said: str | None) -> date | None:
        """Return the day of a row; None: it does not matter, or is not told."""
        if self._source is None or all(ref.is_lasting for ref in self._own):
            return None
        if self._days and self._days[0] == self._days[1]:
            return self._days[0]
        for form in self._columns[self._day_of].formats if said and self._day_of in self._columns else []:
            if moment := _moment(str(said).strip(), form):
                zone = ZoneInfo(self._source.format.time_zone)
                return (moment.astimezone(zone) if moment.tzinfo else moment).date()
        return self._days[0] if self._days else None

    def _may_hold(self, ref: Reference) -> bool:
        return self._days is None or (ref.valid_from <= self._days[1] and self._days[0] < ref.valid_to)

    def _read_heading(self, block: bytes) -> int:
        """Learn where the columns are; return where the rows begin."""
        if self._source is None or self._source.format.kind == "jsonl":
            return 0
        for begin, end in _split(block, 0, len(block)):
            if not (line := block[begin:end]).strip():
                continue
            form = self._source.format
            try:
                said = next(csv.reader([line.decode(self._encoding)], delimiter=form.delimiter, quotechar=form.quote))
                names = [name.strip(" \t\ufeff") for name in said]
                places = {
                    name: int(c.removeprefix("c")) - 1 for name, c in headings.match(self._source, names).cells.items()
                }
            except (csv.Error, UnicodeDecodeError, FormatError, StopIteration):
                return 0
            self.heading, self._width = line, len(names)
            self._place, self._day_place = places[self._known_as], places.get(self._day_of)
            return end
        return 0


def _split(block: bytes, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield begin and end of every line, without its end."""
    for match in _END.finditer(block, start, stop):
        yield start, match.start()
        start = match.end()
    if start < stop:
        yield start, stop


def _at(item: object, path: Sequence[str]) -> str | None:
    """Return what Postgres' #>> finds."""
    for key in path:
        if isinstance(item, dict):
            item = item.get(key)
        elif isinstance(item, list) and key.lstrip("-").isdigit() and -len(item) <= int(key) < len(item):
            item = item[int(key)]
        else:
            return None
    if isinstance(item, bool):
        return str(item).lower()
    return item if isinstance(item, str) else None if item is None else json.dumps(item)


def _moment(said: str, form: str) -> datetime | None:
    try:
        if form == "epoch_s":
            return datetime.fromtimestamp(float(said), UTC)
        return datetime.fromisoformat(said) if form == "iso8601" else datetime.strptime(said, form)
    except (ValueError, OverflowError):
        return None
