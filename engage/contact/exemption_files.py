"""Many exemptions at once: a CSV file of them, a line each, and the report that says of every line what became of it.

Every line is a transaction of its own: one that is refused keeps no other out, and a file may be sent again.
What an exemption may be is exemptions.py's.
"""

import csv
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import date, datetime
from pathlib import Path
from typing import Literal

from engage.contact import exemptions
from engage.contact.exemptions import Done, Signed, Wish
from engage.decisions import DecisionError
from engage.strict import ConfigurationError
from engage.warehouse import Connection

COLUMNS = ("student_id", "exemption_type", "starts_on", "ends_on")
DROP_FOLDER = "exemptions"
"""In ENGAGE_HOME: where a file lies that a job is to take."""


@dataclass(frozen=True)
class Line:
    """What became of one line; names no student."""

    line: int
    result: Literal["added", "there already", "refused"]
    exemption_id: int | None
    why: str


def bulk(connection: Connection, path: Path, signed: Signed) -> list[Line]:
    """Add the exemptions of a file: UTF-8, header student_id,exemption_type,starts_on,ends_on, days as 2026-03-01.

    Other columns are passed over. Every line commits; the same file again adds nothing. Returns a Line for each.
    Raises ConfigurationError for a file that is none, DecisionError when nobody signs; nothing is added then.
    """
    given = _read(path)
    asked = [(line, _wish(values)) for line, values in given]
    done = iter(exemptions.add_each(connection, [wish for _, wish in asked if isinstance(wish, Wish)], signed))
    return [_told(line, next(done) if isinstance(wish, Wish) else wish) for line, wish in asked]


def counted(lines: Iterable[Line]) -> dict[str, int]:
    """Return how many lines there are of each result, none left out."""
    return {"added": 0, "there already": 0, "refused": 0} | Counter(one.result for one in lines)


def write_report(path: Path, lines: Sequence[Line]) -> None:
    """Write the report as CSV; a file that is there is replaced as a whole."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([column.name for column in fields(Line)])
        writer.writerows(astuple(one) for one in lines)
    beside.replace(path)


def dropped(home: Path, name: str) -> Path:
    """Return the path of a file in the drop folder. Raises ConfigurationError for a name that leads elsewhere."""
    if name in ("", ".", "..") or Path(name).name != name:
        raise ConfigurationError(f"the file is named without a folder: it lies in {home / DROP_FOLDER}")
    return home / DROP_FOLDER / name


def _read(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return the lines that are not empty, with their numbers. Raises ConfigurationError, which quotes no value."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            if missing := [name for name in COLUMNS if header.count(name) != 1]:
                raise ConfigurationError(
                    f"{path}: its first line must name {','.join(COLUMNS)}, each once; see {', '.join(missing)}"
                )
            # A field too many goes nowhere: the line is refused for it.
            return [
                (
                    reader.line_num,
                    dict(zip(header, map(str.strip, row), strict=True)) if len(row) == len(header) else {},
                )
                for row in reader
                if row
            ]
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: is not UTF-8") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except csv.Error as error:
        raise ConfigurationError(f"{path}: line {reader.line_num}: not CSV ({error})") from None


def _told(line: int, became: Done | DecisionError) -> Line:
    if isinstance(became, DecisionError):
        return Line(line, "refused", None, str(became))
    return Line(line, "added" if became.is_news else "there already", became.exemption_id, became.said)


def _wish(values: dict[str, str]) -> Wish | DecisionError:
    """Return what a line asks for, or why it asks for nothing; that quotes no value."""
    if not values:
        return DecisionError("it has not as many fields as the first line")
    if empty := [name for name in COLUMNS if not values[name]]:
        return DecisionError(f"{', '.join(empty)}: is empty")
    named = {kind.casefold(): kind for kind in exemptions.TYPES}
    kind = named.get(values["exemption_type"].casefold(), values["exemption_type"])
    try:
        return Wish(values["student_id"], kind, _day(values, "starts_on"), _day(values, "ends_on"))
    except DecisionError as error:
        return error


def _day(values: dict[str, str], name: str) -> date:
    try:
        return datetime.strptime(values[name], "%Y-%m-%d").date()
    except ValueError:
        raise DecisionError(f"{name}: must be a day as 2026-03-01") from None
