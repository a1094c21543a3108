"""A small piece of the Open University dataset in its official form: some students of one presentation, some days."""

import csv
import gzip
from collections.abc import Callable
from pathlib import Path

MODULE, PRESENTATION = "AAA", "2014J"


def cut(whole: Path, folder: Path, students: int, first: int, last: int) -> Path:
    """Write the tables of `students` people, rows from day `first` to `last` of the presentation; return `folder`."""
    folder.mkdir(parents=True)
    everybody = [row["id_student"] for row in _read(whole / "studentRegistration.csv") if _is_ours(row)]
    kept = set(everybody[:students])
    assessments = {row["id_assessment"] for row in _read(whole / "assessments.csv") if _is_ours(row)}

    def of_students(row: dict[str, str]) -> bool:
        return _is_ours(row) and row["id_student"] in kept

    def of_days(row: dict[str, str]) -> bool:
        return of_students(row) and first <= int(row["date"]) <= last

    def submitted(row: dict[str, str]) -> bool:
        ours = row["id_assessment"] in assessments and row["id_student"] in kept
        return ours and first <= int(row["date_submitted"]) <= last

    wanted: dict[str, Callable[[dict[str, str]], bool]] = {
        **dict.fromkeys(("courses", "assessments", "vle"), _is_ours),
        **dict.fromkeys(("studentInfo", "studentRegistration"), of_students),
        "studentVle": of_days,
        "studentAssessment": submitted,
    }
    for name, is_wanted in wanted.items():
        path = next(p for p in (whole / f"{name}.csv", whole / f"{name}.csv.gz") if p.exists())
        rows = _read(path)
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(row for row in rows if is_wanted(row))
    return folder


def _is_ours(row: dict[str, str]) -> bool:
    return (row["code_module"], row["code_presentation"]) == (MODULE, PRESENTATION)


def _read(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        return list(csv.DictReader(file))
