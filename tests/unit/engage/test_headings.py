"""What a heading says may be told; what may be somebody's value may not."""

import pytest

from engage import headings
from engage.sources import Source
from engage.text import UnreadableError
from tests.integration.gate.kit import STUDENTS

SOURCE = Source.model_validate(STUDENTS | {"expected_columns": ["student_id", "given_name", "username", "badge"]})


@pytest.mark.parametrize(
    ("found", "note"),
    [
        ("student_id,given_name,username,badge,room", "new column 'room'"),
        ("student_id,given_name,username,card", "new column 'card'"),
        ("student_id,given_name,username,badge4711", "new columns: 1"),
        # No digit in it, and yet a row: it has as many more fields as a row has.
        ("student_id,given_name,username,badgeid,Zaphod,zb,card", "new columns: 4"),
        ("student_id,given_name,username,badge,roomid,Zaphod,zb,card,B", "new columns: 5"),
    ],
)
def test_new_headings_are_quoted_only_when_they_cannot_be_a_row(found: str, note: str) -> None:
    assert headings.match(SOURCE, found.split(",")).notes[0] == note


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("id,given_name,username,badge", "column 'student_id' is missing; new 'id' found: renamed?"),
        (
            "given_name,username,badge,student_idzb,Zaphod,zb,card",
            "column 'student_id' is missing; 4 new found: renamed, or no line end after the heading?",
        ),
    ],
)
def test_a_missing_heading_is_told_with_what_may_have_become_of_it(found: str, said: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        headings.match(SOURCE, found.split(","))
    assert str(caught.value) == said
