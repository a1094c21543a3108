"""Exemptions by the file: every line says what became of it, and the same file again adds nothing."""

import csv
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engage.contact import exemption_files
from engage.contact.exemption_files import Line
from engage.contact.exemptions import Signed
from engage.decisions import DecisionError
from engage.strict import ConfigurationError
from engage.warehouse import Connection
from tests.integration.exemptions.kit import ABSENCE, DAY, HEADER, at, file_of, june

WHO = Signed("Grace", at(DAY), "the registry asked for it")


def test_every_line_says_what_became_of_it(known: Connection, tmp_path: Path) -> None:
    file = file_of(
        tmp_path / "june.csv",
        "s1,Authorised Absence,2026-06-05,2026-06-09",
        "s1,Authorised Absence,2026-06-05,2026-06-09",
        "s1,authorised absence,2026-06-09,2026-06-20",
        " s2 ,Break in Learning (DA),2026-06-02,2026-12-31",
        "",
        "stranger,Withdrawn,2026-06-05,2026-06-09",
        "s3,Holiday,2026-06-05,2026-06-09",
        "s3,Withdrawn,2026-06-01,2026-06-09",
        "s3,Withdrawn,05/06/2026,2026-06-09",
        "s3,Withdrawn,2026-06-05,",
        "s3,Withdrawn,2026-06-05",
        "s3,Withdrawn,2026-06-05,2026-06-09,a field too many",
        's3,"Withdrawn",2026-06-09,2026-06-08',
        's3,"Practice Placement Block",2026-06-09,2026-06-09',
    )
    lines = exemption_files.bulk(known, file, WHO)
    assert [(one.line, one.result, one.why) for one in lines] == [
        (2, "added", "exemption 1 is made"),
        (3, "there already", "exemption 1 is there already"),
        (4, "refused", "exemption 1 of the same type covers 2026-06-05 to 2026-06-09 already: extend or move that one"),
        (5, "added", "exemption 2 is made"),
        (7, "refused", "no roster has named this student"),
        (8, "refused", "the type must be one of Authorised Absence, Break in Learning (DA), Dissertation Period,"
            " Practice Placement Block, Withdrawn"),
        (9, "refused", "it can start after today only, on 2026-06-02 or later"),
        (10, "refused", "starts_on: must be a day as 2026-03-01"),
        (11, "refused", "ends_on: is empty"),
        (12, "refused", "it has not as many fields as the first line"),
        (13, "refused", "it has not as many fields as the first line"),
        (14, "refused", "it cannot end on 2026-06-08, before it starts"),
        (15, "added", "exemption 3 is made"),
    ]  # fmt: skip
    assert exemption_files.counted(lines) == {"added": 3, "there already": 1, "refused": 9}
    assert known.execute("select student_id, starts_on, ends_on, created_by from ops.exemption order by 1").fetchall()[
        1
    ] == ("s2", june(2), june(2).replace(month=12, day=31), "Grace")
    assert known.execute("select distinct reason from ops.exemption_change").fetchall() == [(WHO.reason,)]

    again = exemption_files.bulk(known, file, Signed("Lin", at(june(7))))
    assert [one.result for one in again if one.exemption_id] == ["there already"] * 4
    assert known.execute("select count(*) from ops.exemption_change").fetchone() == (3,)

    exemption_files.write_report(report := tmp_path / "june.csv.report.csv", lines)
    with report.open(newline="") as opened:
        told = list(csv.DictReader(opened))
    assert told[0] == {"line": "2", "result": "added", "exemption_id": "1", "why": "exemption 1 is made"}
    assert len(told) == len(lines) and "stranger" not in report.read_text()


@pytest.mark.parametrize(
    "write",
    [
        lambda path: file_of(path, f"s1,{ABSENCE},2026-06-05,2026-06-09", encoding="utf-8-sig"),
        lambda path: file_of(
            path,
            f"Ada,2026-06-09,2026-06-05,{ABSENCE},s1",
            header="name,ends_on, starts_on ,exemption_type,student_id",
        ),
        lambda path: path.write_bytes(f"{HEADER}\r\ns1,{ABSENCE},2026-06-05,2026-06-09".encode()),
    ],
    ids=["BOM", "other columns and another order", "line ends of Windows, none at the end"],
)
def test_a_file_may_look_as_exports_do(known: Connection, tmp_path: Path, write: Callable[[Path], object]) -> None:
    write(file := tmp_path / "june.csv")
    assert exemption_files.bulk(known, file, WHO) == [Line(2, "added", 1, "exemption 1 is made")]


def test_what_is_no_such_file_is_refused_as_a_whole(known: Connection, tmp_path: Path) -> None:
    good = f"s1,{ABSENCE},2026-06-05,2026-06-09"
    for content, why in [
        (b"", "first line must name student_id,exemption_type,starts_on,ends_on"),
        (good.encode(), "first line must name"),
        (f"{HEADER.replace(',', ';')}\n{good}".encode(), "first line must name"),
        (f"{HEADER},student_id\n{good},s2".encode(), "see student_id"),
        (f"{HEADER}\n{good}\ns2,Fran\xe7ais,".encode("latin-1"), "is not UTF-8"),
        (f'{HEADER}\n{good}\n"s2,{ABSENCE}\n'.encode(), "not CSV"),
    ]:
        (file := tmp_path / "june.csv").write_bytes(content)
        with pytest.raises(ConfigurationError, match=why) as refused:
            exemption_files.bulk(known, file, WHO)
        assert "s2" not in str(refused.value)
    with pytest.raises(ConfigurationError, match="No such file"):
        exemption_files.bulk(known, tmp_path / "july.csv", WHO)
    with pytest.raises(DecisionError, match="name of who"):
        exemption_files.bulk(known, file_of(file, good), Signed("", at(DAY)))
    assert known.execute("select count(*) from ops.exemption").fetchone() == (0,)


def test_a_file_of_thousands_takes_seconds(known: Connection, tmp_path: Path) -> None:
    known.execute(
        "insert into pii.student (student_id, as_of_date) select 'n' || n, %s from generate_series(1, 1000) n", [DAY]
    )
    known.commit()
    file = file_of(tmp_path / "many.csv", *(f"n{n},{ABSENCE},2026-06-05,2026-06-09" for n in range(1, 1001)))
    began = time.monotonic()
    lines = exemption_files.bulk(known, file, WHO)
    assert exemption_files.counted(lines)["added"] == 1000
    assert time.monotonic() - began < 10


def test_the_drop_folder_is_not_left(tmp_path: Path) -> None:
    assert exemption_files.dropped(tmp_path, "june.csv") == tmp_path / "exemptions" / "june.csv"
    for name in ("", "..", "../june.csv", "/etc/passwd", "a/b.csv"):
        with pytest.raises(ConfigurationError, match="without a folder"):
            exemption_files.dropped(tmp_path, name)
