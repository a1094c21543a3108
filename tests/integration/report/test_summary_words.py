"""What is said of two editions, and what the charts draw: by properties, against plain definitions."""

import re
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engage.governance.disclosure import rounded, share
from engage.governance.figures import figures
from engage.report import changes, charts, snapshots, tiles
from engage.report.charts import Series
from engage.report.document import Chart, Words
from engage.report.numbers import Numbers, shown
from engage.report.stored import Cell, read
from engage.report.summary import summary
from tests.integration.report.conftest import BEFORE, NEWEST
from tests.integration.report.plausible import University

counts = st.integers(0, 5_000)


def cell(figure_id: str, value: float | None, base: int | None = None, week: date = date(2026, 11, 9)) -> Cell:
    return Cell(figure_id, week, "all", "all", "", value, base, None if value is not None else "small")


@given(counts, counts)
def test_rounding_alone_never_is_a_move(part: int, more: int) -> None:
    """A published share lies no further from the true one than the slack says, nor a count."""
    whole = part + more
    numbers = Numbers.__new__(Numbers)
    numbers.catalogue = figures()
    value = share(part, whole)
    if value is not None:
        slack = changes.slack(numbers, cell("declining_share", value, rounded(whole)))
        assert abs(value - 100 * part / whole) <= slack + 1e-9
    assert abs(rounded(part) - part) <= changes.slack(numbers, cell("declining", rounded(part)))


def test_the_first_section_says_what_moved_went_stale_and_was_decided(university: University) -> None:
    now, before = (Numbers(read(university.connection, one), figures()) for one in (NEWEST, BEFORE))
    found = changes.differences(now, before)
    assert found is not None
    assert found.stale == ["Library gates"] and found.fresh == []
    assert found.corrected == 0
    assert all(one.sureness > 1 for one in found.moves)
    assert all(first.sureness >= second.sureness for first, second in pairwise(found.moves))
    said = [changes.sentence(now, move) for move in found.moves]
    assert "Share declining, Part time: up from 12\xa0% to 27\xa0%." in said

    same = changes.differences(now, now)
    assert same is not None
    assert not (same.moves or same.suppressed or same.shown_again or same.corrected or same.stale or same.crossed)
    assert changes.differences(now, None) is None


def test_what_a_picture_would_show_as_a_line_at_the_bottom_is_said_and_not_drawn(university: University) -> None:
    connection, few = university.connection, "update governance.figure set value = 0 where figure_id = %s"
    before = snapshots.section(Numbers(read(connection, NEWEST), figures()))
    drawn = {block.title: len(block.drawings) for block in before.blocks if isinstance(block, Chart)}
    assert all(drawn.values())
    connection.execute(f"{few} and category like 'low_activity:%%' and value is not null", ["notifications"])
    connection.execute(f"{few} and value is not null", ["contacts"])
    connection.commit()
    after = snapshots.section(Numbers(read(connection, NEWEST), figures()))
    charts_after = {block.title: block for block in after.blocks if isinstance(block, Chart)}
    told, contacts = charts_after["Notifications"], charts_after["Contacts by outcome"]
    assert len(told.drawings) == drawn["Notifications"] - 1
    assert told.says.endswith("Under 3 in every week, and not drawn: Low activity.")
    assert not contacts.drawings and "Under 3 in every week, and not drawn: " in contacts.says
    assert contacts.table is not None, "its numbers stay"


def test_a_number_that_reads_differently_now_and_one_that_is_left_out_now_are_told(university: University) -> None:
    connection = university.connection
    connection.execute(
        "update governance.figure set value = value + 5 where edition_id = %s and figure_id = 'students_scored'"
        " and dimension = 'mode' and period_start = '2026-10-05'",
        [NEWEST],
    )
    connection.execute(
        "update governance.figure set value = null, suppressed = 'secondary' where edition_id = %s"
        " and figure_id = 'fairness_ratio' and member = 'BUS'",
        [NEWEST],
    )
    connection.commit()
    now, before = (Numbers(read(connection, one), figures()) for one in (NEWEST, BEFORE))
    found = changes.differences(now, before)
    assert found is not None
    assert (found.corrected, found.suppressed, found.shown_again) == (2, 1, 0)


def test_requests_are_counted_in_the_edition_of_a_term_and_the_others_say_so(university: University) -> None:
    term = university.edition(12, kind="termly")
    university.connection.commit()
    weekly, termly = (snapshots.rights(Numbers(read(university.connection, one), figures())) for one in (NEWEST, term))
    asked, deleted = termly.blocks
    assert isinstance(asked, Chart) and asked.title == figures()["subject_requests"].title and asked.drawings
    assert isinstance(deleted, Chart) and deleted.title == figures()["deletions"].title
    told, deleted = weekly.blocks
    assert isinstance(told, Words) and "in the summary of a term alone" in told.text
    assert isinstance(deleted, Chart)


def test_that_nothing_was_deleted_is_said(university: University) -> None:
    edition = read(university.connection, NEWEST)
    cells = [one for one in edition.cells if one.figure_id != "deletions"]
    told = snapshots.rights(Numbers(replace(edition, cells=cells), figures())).blocks
    assert [isinstance(one, Words) for one in told] == [True, True]


@given(st.floats(0, 100_000))
def test_an_axis_is_as_long_as_its_highest_number_and_not_much_longer(highest: float) -> None:
    top = charts.step_of(highest)
    assert max(highest, 2) <= top <= max(2 * highest, 4)
    assert (top / 2).is_integer()


numbers_of_weeks = st.lists(st.one_of(st.none(), st.integers(0, 100)), min_size=1, max_size=16)


@given(numbers_of_weeks, st.sampled_from([218, charts.NARROW, charts.WIDE]))
def test_every_gap_of_a_line_is_a_cross_and_every_number_a_point(values: list[int | None], width: int) -> None:
    weeks = [date(2026, 8, 31) + timedelta(weeks=n) for n in range(len(values))]
    svg = charts.lines("n", "t", weeks, [Series("label", values, "7")], [], 100, "%", width)
    left_out = values.count(None)
    assert svg.count('class="gap"') == left_out
    assert len(re.findall(r"<circle", svg)) == len(values) - left_out + 1  # one in the key
    assert ("Left out: " in svg) is (left_out > 0)
    assert ("every week is left out" in svg) is (left_out == len(values))


@pytest.mark.parametrize(("base", "is_sure"), [(35, False), (3_500, True)])
def test_what_rounding_alone_can_make_is_said_to_be_no_more(university: University, base: int, is_sure: bool) -> None:
    edition = read(university.connection, NEWEST)
    start = edition.edition.period_start
    shares = {("sex", "x"): (25.0, base), ("all", "all"): (15.0, 5_000)}
    cells = [Cell("flagged_share", start, *group, "", *numbers, None) for group, numbers in shares.items()]
    cells.append(Cell("fairness_ratio", start, "sex", "x", "", 1.67, base, None))
    for who, value in (("contacted", 43.0), ("comparable", 33.0)):
        cells.append(Cell("outcome_recovered_share", start, "all", "all", who, value, base, None))
    working, fair, *_ = tiles.tiles(Numbers(replace(edition, cells=cells), figures()), None)
    assert ("than rounding can make" in working.sentence) is not is_sure
    assert ("To be looked into: X (sex): 1.67." in fair.sentence) is is_sure
    assert ("rounding alone" in fair.sentence) is not is_sure


def test_what_is_recorded_of_nobody_and_owed_by_none_has_no_picture(university: University) -> None:
    edition = read(university.connection, NEWEST)
    cells = [
        replace(one, member="not recorded") if one.dimension == "mode" else one
        for one in edition.cells
        if one.dimension != "mode" or one.member == "FT"
    ]
    quiet = [replace(one, days_expected=0) for one in edition.sources]
    made = summary(replace(edition, cells=cells, sources=quiet))
    titles = {block.title for section in made.sections for block in section.blocks if isinstance(block, Chart)}
    assert "By faculty" in titles
    assert not {"By mode of study", "Complete days, by source and week"} & titles
    (fair,) = (one for one in made.tables() if one.name == "fairness")
    assert "Mode" not in {row[0] for row in fair.rows}


def test_a_line_begins_when_it_can_be_known() -> None:
    weeks = [date(2026, 8, 24) + timedelta(days=7 * n) for n in range(4)]
    known = charts.lines("n", "t", weeks, [Series("label", [None, None, 7, 8], "8", {0, 1})], [], 100, "%")
    assert "Left out" not in known and known.count("gap") == 0
    nothing = charts.lines("n", "t", weeks, [Series("label", [None] * 4, "", range(4))], [], 100, "%")
    assert "not known yet" in nothing


@given(st.lists(st.floats(20, 280), min_size=1, max_size=6))
def test_labels_beside_a_column_never_cover_each_other(places: list[float]) -> None:
    placed = charts.apart([(y, n) for n, y in enumerate(places)], 15, 16, 278)
    assert sorted(n for _, n in placed) == list(range(len(places)))
    assert all(upper - lower >= 15 - 1e-6 for upper, lower in pairwise(y for y, _ in placed))


def test_a_zero_is_few_people_and_never_none() -> None:
    assert shown(0, "students").text == "under 3"
    assert shown(0, "percent").text == "0\xa0%"
    assert shown(0, "rows").text == "0"
    assert shown(1235, "students").text == "1,235"
    assert shown(-35, "points").text == "−35"
    assert shown(1.4166666, "ratio").text == "1.42"
