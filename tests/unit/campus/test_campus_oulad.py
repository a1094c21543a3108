"""The Open University's tables become daily files: totals of the real ones, rules on a small set of our own."""

import csv
import gzip
import random
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest

from campus import oulad
from campus.oulad import OuladError

TABLES = {
    "courses": "code_module,code_presentation,module_presentation_length\nAAA,2013J,268\nBBB,2014B,240\n",
    "vle": "id_site,code_module,code_presentation,activity_type,week_from,week_to\n7,AAA,2013J,forumng,,\n",
    "assessments": "code_module,code_presentation,id_assessment,assessment_type,date,weight\n"
    "AAA,2013J,1,TMA,19,10\nBBB,2014B,2,Exam,,100\n",
    "studentInfo": "code_module,code_presentation,id_student,gender,highest_education\n"
    "AAA,2013J,1,M,A Level\nBBB,2014B,1,F,No Formal quals\n",
    "studentRegistration": '"code_module","code_presentation","id_student","date_registration","date_unregistration"\n'
    "AAA,2013J,1,-10,\nAAA,2013J,2,?,5\nAAA,2013J,3,7,7\nBBB,2014B,1,,\n",
    "studentAssessment": "id_assessment,id_student,date_submitted,is_banked,score\n"
    "1,1,3,0,78\n1,2,3,1,60\n2,1,-2,0,?\n1,3,3,0,55\n",
    "studentVle": "code_module,code_presentation,id_student,id_site,date,sum_click\n"
    "AAA,2013J,1,7,-1,4\nAAA,2013J,2,8,1,1\nAAA,2013J,1,7,-1,4\nAAA,2013J,1,7,-1,2\n",
}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "official"
    folder.mkdir()
    for name, text in TABLES.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def lines(folder: Path, kind: str) -> list[str]:
    """All rows of one kind of file, in order of its days and without headers."""
    return [line for path in sorted(folder.glob(f"*/{kind}_*.csv")) for line in path.read_text().splitlines()[1:]]


def test_every_row_of_the_real_tables_is_delivered_once(oulad_dir: Path, tmp_path: Path) -> None:
    oulad.prepare(oulad_dir, tmp_path / "out")
    clicks = lines(tmp_path / "out", "oulad_vle")
    assert len(clicks) == 753_564
    assert sum(int(line.rpartition(",")[2]) for line in clicks) == 2_594_563
    assert len(lines(tmp_path / "out", "students")) == 2_515
    with (oulad_dir / "studentAssessment.csv").open() as file:
        assert len(lines(tmp_path / "out", "oulad_submissions")) == sum(
            r["is_banked"] == "0" for r in csv.DictReader(file)
        )
    # The rows of a student keep the order of the official table.
    official = []
    with gzip.open(oulad_dir / "studentVle.csv.gz", "rt") as text:
        for row in csv.DictReader(text):
            if (row["code_module"], row["code_presentation"], row["id_student"]) == ("AAA", "2013J", "28400"):
                official.append((int(row["date"]), row["id_site"], row["sum_click"]))
    mine = [line.split(",") for line in clicks if line.startswith("AAA-2013J-28400,")]
    start = date(2013, 10, 1)
    delivered = [((date.fromisoformat(d) - start).days, site, n) for _, d, site, _, n in mine]
    assert delivered == sorted(official, key=lambda row: row[0])


def test_one_file_for_every_day_dated_the_morning_after(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    oulad.prepare(dataset, out)
    days = dict(oulad.days(out))
    first, last = date(2013, 9, 30), date(2014, 1, 30)
    assert (min(days), max(days), len(days)) == (first, last, (last - first).days + 1)
    assert [p.name for p in days[first]] == [
        "enrolments_20130930.csv", "students_20130930.csv", "term_calendar_20130930.csv",
        "oulad_submissions_20130930.csv", "oulad_vle_20130930.csv",
    ]  # fmt: skip
    assert (out / "oulad_vle/oulad_vle_20131001.csv").read_text() == "student_id,date,site,activity_type,sum_click\n"
    for day, paths in days.items():
        for path in paths:
            came = datetime.fromtimestamp((out / path).stat().st_mtime, UTC)
            assert (came.date() - day).days == 1
            assert came.time() == time(2)


def test_rows_keep_their_order_and_equal_ones_stay(dataset: Path, tmp_path: Path) -> None:
    oulad.prepare(dataset, tmp_path / "out")
    assert lines(tmp_path / "out", "oulad_vle") == [
        "AAA-2013J-1,2013-09-30,7,forumng,4",
        "AAA-2013J-1,2013-09-30,7,forumng,4",
        "AAA-2013J-1,2013-09-30,7,forumng,2",
        "AAA-2013J-2,2013-10-02,8,,1",
    ]


def test_banked_results_are_no_submissions_and_a_missing_score_is_empty(dataset: Path, tmp_path: Path) -> None:
    oulad.prepare(dataset, tmp_path / "out")
    assert lines(tmp_path / "out", "oulad_submissions") == [
        "AAA-2013J-1,2013-10-04,1,TMA,78",
        "AAA-2013J-3,2013-10-04,1,TMA,55",
        "BBB-2014B-1,2014-01-30,2,Exam,",
    ]


def test_the_roster_has_a_row_per_status_period(dataset: Path, tmp_path: Path) -> None:
    oulad.prepare(dataset, tmp_path / "out")
    assert lines(tmp_path / "out", "enrolments") == [
        "AAA-2013J-1,AAA,2013J,active,2013-09-21,,A Level",
        "AAA-2013J-2,AAA,2013J,active,2013-10-01,2013-10-06,",
        "AAA-2013J-2,AAA,2013J,withdrawn,2013-10-06,,",
        "AAA-2013J-3,AAA,2013J,withdrawn,2013-10-08,,",
        "BBB-2014B-1,BBB,2014B,active,2014-02-01,,No Formal quals",
    ]
    assert lines(tmp_path / "out", "term_calendar") == [
        "AAA-2013J,teaching,2013-10-01,2014-06-26,AAA,2013J",
        "BBB-2014B,teaching,2014-02-01,2014-09-29,BBB,2014B",
    ]


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.csv")}


def test_gzip_and_pieces_of_any_size_make_no_difference(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oulad.prepare(dataset, tmp_path / "plain")
    for path in dataset.glob("*.csv"):
        path.with_suffix(".csv.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    monkeypatch.setattr(oulad, "CHUNK_ROWS", 1)
    oulad.prepare(dataset, tmp_path / "packed")
    assert files(tmp_path / "packed") == files(tmp_path / "plain")


def broken(name: str, old: str, new: str) -> tuple[str, str]:
    assert old in TABLES[name]
    return name, TABLES[name].replace(old, new)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (broken("studentVle", "sum_click", "clicks"), "studentVle.csv has no column sum_click"),
        (broken("studentVle", "8,1,1", "8,soon,1"), "studentVle.csv, column date: 1 values are not whole numbers"),
        (broken("studentVle", "AAA,2013J,2", "AAA,2015J,2"),
         "studentVle.csv, column code_presentation: 1 values are not in courses.csv"),
        (broken("studentAssessment", "1,1,3", "9,1,3"),
         "studentAssessment.csv, column id_assessment: 1 values are not in assessments.csv"),
        (broken("studentAssessment", "1,1,3", "1,1,3.5"), "studentAssessment.csv, column date_submitted: 1 values"),
        (broken("studentRegistration", ",-10,", ",early,"), "studentRegistration.csv, column date_registration: 1 val"),
        (broken("courses", "2014B", "spring"), "courses.csv, column code_presentation: 'spring'"),
    ],
)  # fmt: skip
def test_a_table_that_is_not_as_published_is_named(
    dataset: Path, tmp_path: Path, table: tuple[str, str], message: str
) -> None:
    (dataset / f"{table[0]}.csv").write_text(table[1])
    with pytest.raises(OuladError) as error:
        oulad.prepare(dataset, tmp_path / "out")
    assert str(error.value).startswith(message)


def test_a_missing_table_and_a_used_folder_are_named(dataset: Path, tmp_path: Path) -> None:
    (dataset / "vle.csv").unlink()
    with pytest.raises(OuladError, match=r"neither vle\.csv nor vle\.csv\.gz"):
        oulad.prepare(dataset, tmp_path / "out")
    with pytest.raises(OuladError, match="is not empty"):
        oulad.prepare(dataset, dataset)


def test_days_are_delivered_in_any_order_and_once(dataset: Path, tmp_path: Path) -> None:
    prepared, served, straight = tmp_path / "prepared", tmp_path / "served", tmp_path / "straight"
    oulad.prepare(dataset, prepared)
    shutil.copytree(prepared, straight)
    days = list(oulad.days(prepared))
    random.Random(7).shuffle(days)
    for _, paths in days:
        oulad.deliver(paths, prepared, served)
        oulad.deliver(paths, prepared, served)
    assert files(served) == files(straight)
    assert files(prepared) == {}

    def times(folder: Path) -> Iterator[tuple[str, float]]:
        return ((str(p.relative_to(folder)), p.stat().st_mtime) for p in folder.rglob("*.csv"))

    assert dict(times(served)) == dict(times(straight))
