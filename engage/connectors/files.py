"""What a folder's listing means, wherever the folder is: which names concern a source, their days, which are whole.

No I/O here; SFTP and file drop list and read in their own modules.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from engage.connectors import Remote
from engage.transports import FileDrop, Sftp

MARKER = ".done"
_HARMLESS = {
    *("version", "copy", "new", "old", "bad", "good", "final", "corrected", "correction", "fixed", "again", "late"),
    *("resent", "rerun", "part", "full", "done"),
}
"""Words by which senders tell files of a day apart; not people's names."""


@dataclass(frozen=True)
class Entry:
    """One line of a listing. Bytes of the name that are not UTF-8 stand in it as surrogates (PEP 383)."""

    name: str
    size_bytes: int
    modified_at: datetime
    is_file: bool


def remotes(transport: Sftp | FileDrop, entries: Iterable[Entry]) -> list[Remote]:
    """Return the entries that concern the source. Other names and marker files are left out."""
    present = {entry.name: entry for entry in entries}
    pattern = re.compile(transport.pattern)
    found = []
    for entry in present.values():
        shown = entry.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        is_undecodable = shown != entry.name
        match = pattern.fullmatch(entry.name)
        is_marker = transport.settled == "done_file" and entry.name.endswith(MARKER)
        if is_marker or (match is None and not is_undecodable):
            continue
        problem, first_day, last_day = None, None, None
        if is_undecodable or match is None:
            problem = "its name is not UTF-8; rename it at the sender"
        elif not entry.is_file:
            problem = "it is not a regular file"
        else:
            try:
                first_day, last_day = _days(match, transport.day_format)
            except ValueError:
                problem = f"its name matches the pattern, but its days do not read as {transport.day_format}"
        found.append(
            Remote(
                name=shown,
                size_bytes=entry.size_bytes,
                modified_at=entry.modified_at,
                first_day=first_day,
                last_day=last_day,
                is_whole=_is_whole(entry, present) if transport.settled == "done_file" else None,
                problem=problem,
                masked=masked(transport.pattern, shown),
            )
        )
    return found


def masked(pattern: str, name: str) -> str:
    """Return a file name with a star for all that may be somebody's name or number.

    Shown are the days that the pattern reads, the words that it spells out, those that tell versions apart, single
    letters, and numbers of one or two digits.
    """
    spelt = re.sub(r"\\[a-zA-Z]|\(\?P<\w+>|\[[^]]*]", " ", pattern)
    known = _HARMLESS | {word.lower() for word in re.findall(r"[^\W\d_]+", spelt)}
    match = re.fullmatch(pattern, name)
    days = [match.span(group) for group in ("day", "from", "to") if group in match.groupdict()] if match else []

    def star(part: re.Match[str]) -> str:
        is_day = any(start <= part.start() and part.end() <= end for start, end in days)
        is_harmless = part[0][0] == "\\" or part[0].lower() in known or len(part[0]) <= (2 if part[0].isdigit() else 1)
        return part[0] if is_day or is_harmless else "*"

    # A byte that is no text stands there as \xe9.
    return re.sub(r"\\x[0-9a-f]{2}|[^\W\d_]+|\d+", star, name)


def _days(match: re.Match[str], day_format: str) -> tuple[date | None, date | None]:
    """Return the days that the groups `day`, or `from` and `to`, name. Raises ValueError."""
    groups = match.groupdict()
    first, last = groups.get("day") or groups.get("from"), groups.get("day") or groups.get("to")
    if first is None or last is None:
        return None, None
    days = datetime.strptime(first, day_format).date(), datetime.strptime(last, day_format).date()
    if days[0] > days[1]:
        raise ValueError("the last day is before the first")
    return days


def _is_whole(entry: Entry, present: dict[str, Entry]) -> bool | None:
    marker = present.get(entry.name + MARKER)
    if marker is None:
        return False
    # A marker older than its file is from an earlier delivery under the same name and says nothing about this one.
    return True if marker.modified_at >= entry.modified_at else None
