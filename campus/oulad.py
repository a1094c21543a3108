"""The Open University's published tables (OULAD) as the daily files that its systems would have delivered.

Prepares every file, dated as it would have come, and moves prepared files into a served folder day by day in any order.
Who replays them, and what becomes of them, is not its business.
"""

import os
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from campus.systems.student_records import TERM_CALENDAR

CHUNK_ROWS = 500_000
PRESENTATION_MONTHS = {"B": 2, "J": 10}
DAILY = {
    "oulad_vle": "student_id,date,site,activity_type,sum_click",
    "oulad_submissions": "student_id,date,assessment,assessment_type,score",
}
EPOCH = date(1970, 1, 1)


class OuladError(Exception):
    """An official file is missing or is not what it should be; the message names file and column."""


def prepare(source: Path, folder: Path) -> None:
    """Write all files of the dataset in `source` (plain or gzipped CSV) below `folder`, which must be empty or absent.

    One file per daily source and day from the first to the last date of either, the roster as of the first. Memory is
    that of one chunk of rows. Raises OuladError.
    """
    if folder.exists() and any(folder.iterdir()):
        raise OuladError(f"{folder} is not empty")
    courses = _read(source, "courses", ["code_module", "code_presentation", "module_presentation_length"])
    starts = {p: _start(p) for p in courses["code_presentation"].unique()}
    written = {name: _Days(folder / name, name, header) for name, header in DAILY.items()}
    _clicks(source, starts, written["oulad_vle"])
    _submissions(source, starts, written["oulad_submissions"])
    dates = [d for days in written.values() for d in days.seen]
    if not dates:
        raise OuladError(f"{source}: neither studentVle nor studentAssessment holds a row")
    first, last = min(dates), max(dates)
    for days in written.values():
        days.finish(first, last)
    _roster(source, courses, starts, folder / "student_records", first)


def days(folder: Path) -> Iterator[tuple[date, list[Path]]]:
    """Yield each day of a prepared folder in order, with the paths below it of that day's files, roster first."""
    by_day: dict[date, list[Path]] = {}
    for path in sorted(folder.glob("*/*.csv"), key=lambda p: (p.parent.name != "student_records", p)):
        day = datetime.strptime(path.stem[-8:], "%Y%m%d").replace(tzinfo=UTC).date()
        by_day.setdefault(day, []).append(path.relative_to(folder))
    yield from sorted(by_day.items())


def deliver(paths: Iterable[Path], prepared: Path, served: Path) -> None:
    """Move files of a prepared folder into the served one on the same file system; what was moved before stays."""
    for path in paths:
        target = served / path
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            (prepared / path).replace(target)


class _Days:
    """The files of one daily source while they are written, by day number since 1970."""

    def __init__(self, folder: Path, name: str, header: str) -> None:
        self.folder, self.name, self.header = folder, name, header
        self.seen: set[date] = set()
        folder.mkdir(parents=True)

    def path(self, day: date) -> Path:
        return self.folder / f"{self.name}_{day:%Y%m%d}.csv"

    def append(self, day_numbers: pd.Series, lines: list[str]) -> None:
        """Add lines to the files of their days, keeping their order within each."""
        if not lines:
            return
        numbers = day_numbers.to_numpy(np.int64)
        order = np.argsort(numbers, kind="stable")
        bounds = [0, *(np.flatnonzero(np.diff(numbers[order])) + 1).tolist(), len(order)]
        positions, by_position = order.tolist(), numbers.tolist()
        for low, high in pairwise(bounds):
            day = EPOCH + timedelta(days=by_position[positions[low]])
            with self.path(day).open("a") as file:
                if day not in self.seen:
                    file.write(self.header + "\n")
                    self.seen.add(day)
                file.writelines([lines[i] for i in positions[low:high]])

    def finish(self, first: date, last: date) -> None:
        """Write the days without rows, and date every file as it would have come."""
        for day in (first + timedelta(days=i) for i in range((last - first).days + 1)):
            if day not in self.seen:
                self.path(day).write_text(self.header + "\n")
            _dated(self.path(day), day)


def _dated(path: Path, day: date) -> None:
    """Give a file the time at which it would have come: 02:00 UTC on the following day."""
    came = datetime.combine(day + timedelta(days=1), time(2), UTC).timestamp()
    os.utime(path, (came, came))


def _start(presentation: str) -> date:
    """Return when a presentation starts: 2013B on 1 February 2013, 2013J on 1 October."""
    if not re.fullmatch(r"\d{4}[BJ]", presentation):
        raise OuladError(f"courses.csv, column code_presentation: {presentation!r} is not a year and B or J")
    return date(int(presentation[:4]), PRESENTATION_MONTHS[presentation[4]], 1)


def _chunks(source: Path, table: str, columns: list[str]) -> Iterator[pd.DataFrame]:
    """Yield the named columns of an official file as text in pieces; empty and `?` are both the empty text."""
    path = next((p for p in (source / f"{table}.csv", source / f"{table}.csv.gz") if p.exists()), None)
    if path is None:
        raise OuladError(f"{source} holds neither {table}.csv nor {table}.csv.gz")
    header = pd.read_csv(path, nrows=0).columns
    for column in columns:
        if column not in header:
            raise OuladError(f"{path.name} has no column {column}")
    for chunk in pd.read_csv(path, usecols=columns, dtype=str, keep_default_na=False, chunksize=CHUNK_ROWS):
        yield chunk.replace("?", "")


def _read(source: Path, table: str, columns: list[str]) -> pd.DataFrame:
    return pd.concat(_chunks(source, table, columns), ignore_index=True)


def _numbers(table: pd.DataFrame, name: str, column: str, optional: bool = False) -> pd.Series:
    """Return a column as whole numbers (missing ones as NA where `optional`); raise if one is not."""
    text = table[column]
    numbers = pd.to_numeric(text, errors="coerce")
    bad = (numbers.isna() & (text != "" if optional else True)) | (numbers % 1 != 0) & numbers.notna()
    if bad.any():
        raise OuladError(f"{name}.csv, column {column}: {int(bad.sum())} values are not whole numbers")
    return numbers.astype("Int64")


def _start_days(table: pd.DataFrame, name: str, starts: dict[str, date]) -> pd.Series:
    """Return, as day numbers since 1970, when the presentation of each row starts."""
    found = table["code_presentation"].map({p: (d - EPOCH).days for p, d in starts.items()})
    if found.isna().any():
        raise OuladError(
            f"{name}.csv, column code_presentation: {int(found.isna().sum())} values are not in courses.csv"
        )
    return found.astype("int64")


def _clicks(source: Path, starts: dict[str, date], out: _Days) -> None:
    sites = _read(source, "vle", ["id_site", "activity_type"])
    kinds = dict(zip(sites["id_site"], sites["activity_type"], strict=True))
    columns = ["code_module", "code_presentation", "id_student", "id_site", "date", "sum_click"]
    for rows in _chunks(source, "studentVle", columns):
        day = _start_days(rows, "studentVle", starts) + _numbers(rows, "studentVle", "date")
        texts = {number: (EPOCH + timedelta(days=number)).isoformat() for number in day.unique().tolist()}
        out.append(day, [
            f"{module}-{presentation}-{student},{texts[number]},{site},{kinds.get(site, '')},{clicks}\n"
            for module, presentation, student, site, clicks, number in zip(
                *(rows[c].tolist() for c in columns if c != "date"), day.tolist(), strict=True)
        ])  # fmt: skip


def _submissions(source: Path, starts: dict[str, date], out: _Days) -> None:
    assessments = _read(source, "assessments", ["code_module", "code_presentation", "id_assessment", "assessment_type"])
    columns = ["id_assessment", "id_student", "date_submitted", "is_banked", "score"]
    for every in _chunks(source, "studentAssessment", columns):
        rows = every[every["is_banked"] != "1"].merge(assessments, on="id_assessment", how="left")
        if unknown := int(rows["code_module"].isna().sum()):
            raise OuladError(
                f"studentAssessment.csv, column id_assessment: {unknown} values are not in assessments.csv"
            )
        day = _start_days(rows, "assessments", starts) + _numbers(rows, "studentAssessment", "date_submitted")
        out.append(day, [
            f"{module}-{presentation}-{student},{EPOCH + timedelta(days=number)},{assessment},{kind},{score}\n"
            for module, presentation, student, assessment, kind, score, number in zip(
                *(rows[c].tolist() for c in ("code_module", "code_presentation", "id_student", "id_assessment",
                                             "assessment_type", "score")), day.tolist(), strict=True)
        ])  # fmt: skip


def _roster(source: Path, courses: pd.DataFrame, starts: dict[str, date], folder: Path, day: date) -> None:
    """Write students, enrolments and term calendar as one file each, named by `day`."""
    key = ["code_module", "code_presentation", "id_student"]
    info = _read(source, "studentInfo", [*key, "highest_education"])
    rows = _read(source, "studentRegistration", [*key, "date_registration", "date_unregistration"])
    rows = rows.merge(info, on=key, how="left").fillna({"highest_education": ""})
    start = _start_days(rows, "studentRegistration", starts)
    joined = start + _numbers(rows, "studentRegistration", "date_registration", optional=True)
    joined, left = joined.fillna(start), start + _numbers(rows, "studentRegistration", "date_unregistration", True)
    students, enrolments = ["student_id"], ["student_id,programme_code,cohort,status,status_from,status_to,entry_band"]
    for module, presentation, student, band, came, went in zip(
        *(rows[c].tolist() for c in [*key, "highest_education"]), joined.tolist(), left.tolist(), strict=True
    ):
        gone = "" if pd.isna(went) else str(EPOCH + timedelta(days=went))
        fixed = f"{module}-{presentation}-{student},{module},{presentation}"
        students.append(f"{module}-{presentation}-{student}")
        if not gone or went > came:
            enrolments.append(f"{fixed},active,{EPOCH + timedelta(days=came)},{gone},{band}")
        if gone:
            enrolments.append(f"{fixed},withdrawn,{gone},,{band}")
    lengths = _numbers(courses, "courses", "module_presentation_length").tolist()
    terms = [TERM_CALENDAR] + [
        f"{m}-{p},teaching,{starts[p]},{starts[p] + timedelta(days=length)},{m},{p}"
        for m, p, length in zip(courses["code_module"], courses["code_presentation"], lengths, strict=True)
    ]
    folder.mkdir(parents=True)
    for name, lines in (("students", students), ("enrolments", enrolments), ("term_calendar", terms)):
        path = folder / f"{name}_{day:%Y%m%d}.csv"
        path.write_text("".join(line + "\n" for line in lines))
        _dated(path, day)
