"""A title that would be a formula is a text in every file that is opened with a spreadsheet; numbers stay numbers."""

import csv
import io

import pytest

from engage import sponsored_evidence
from engage.report import files
from engage.report.document import Table, Value

FORMULAS = ["=cmd|' /C calc'!A0", "+1", "-1+2", "@SUM(A1)", "\t=1"]


@pytest.mark.parametrize("said", FORMULAS)
def test_no_cell_of_a_summary_is_a_formula(said: str) -> None:
    table = Table("t", "", ["", "n"], [[said, Value("-5", -5)], ["plain", Value("[c]", None)]])
    rows = list(csv.reader(io.StringIO(files._csv(table).decode("utf-8-sig"), newline="")))
    assert rows[1:] == [[f"'{said}", "-5"], ["plain", "[c]"]]


@pytest.mark.parametrize("said", FORMULAS)
def test_no_cell_of_the_evidence_about_a_student_is_a_formula(said: str) -> None:
    written = sponsored_evidence._table([{"student_id": said, "days_left": -5, "kinds": None}])
    assert list(csv.reader(io.StringIO(written, newline="")))[1] == [f"'{said}", "-5", ""]
