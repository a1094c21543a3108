"""The trends: who is declining and who is low, week by week, by group, and how scores are spread.

Words and choice of chart only: numbers are numbers.py's, shapes charts.py's.
"""

from collections.abc import Sequence
from datetime import date

from engage.report import bars, charts
from engage.report.bars import Bar
from engage.report.charts import NARROW, WIDE, Series
from engage.report.document import Block, Chart, Drawing, Section, Words
from engage.report.numbers import DIMENSIONS, Numbers, day, said

SHARES = ("declining_share", "consistently_low_share", "below_attention_share")
COUNTS = ("declining", "consistently_low", "below_attention", "below_concern")
SCORED = "students_scored"
ALSO = (SCORED, *SHARES, "mean_score")
"""What the table of a group tells of it."""
LABELS = ("declining", "low for weeks", "below 350")
MOST = 24
"""Small pictures or bars in a chart; what is beyond stands in its table."""
GAP = (
    "× marks a week that is left out because few people are concerned. A line begins with the first week in which it "
    "can be known: declining needs scores of four weeks before."
)


def section(numbers: Numbers) -> Section:
    """Return the section of trends."""
    weeks = numbers.weeks(SCORED)
    if not weeks:
        return Section("trends", "Trends", "No week has been scored yet.")
    blocks: list[Block] = [_whole(numbers, weeks)]
    for dimension in ("faculty", "year_of_study", "mode"):
        if any(numbers.members(share, dimension) for share in SHARES[:2]):
            blocks.append(_by(numbers, weeks, dimension))
    if numbers.cell(SHARES[0], week=weeks[-1]):
        blocks.append(_programmes(numbers, weeks[-1]))
    if numbers.weeks("score_band"):
        blocks.append(_bands(numbers))
    lead = (
        "Declining: the score fell by more than 100 points in four weeks. Low for weeks: below 350 for three weeks in "
        "a row or more. Each as a share of the students who have a score."
    )
    return Section("trends", "Trends", lead, [*blocks, Words(GAP)])


def _whole(numbers: Numbers, weeks: Sequence[date]) -> Chart:
    rows = [_series(numbers, weeks, n, "all", "all") for n in range(3)]
    top = charts.step_of(max(_values(rows), default=0))
    drawing = Drawing(
        charts.lines("all-w", "All students", weeks, rows, [], top, "%", WIDE),
        charts.lines("all-n", "All students", weeks, rows, [], top, "%", NARROW),
    )
    shown = numbers.show(numbers.cell("students_scored", week=weeks[-1])).text
    says = f"{shown} students had a score in the week of {day(weeks[-1])}."
    table = numbers.table(
        "trends_all", "All students, week by week", ["students_scored", *COUNTS, *SHARES, "mean_score"], "all"
    )
    return Chart("The whole university", says, numbers.catalogue["declining"].limits, [drawing], table)


def _by(numbers: Numbers, weeks: Sequence[date], dimension: str) -> Chart:
    members = numbers.members(SCORED, dimension)
    groups = {one: [_series(numbers, weeks, n, dimension, one) for n in range(2)] for one in members[:MOST]}
    behind = [_series(numbers, weeks, n, "all", "all") for n in range(2)]
    top = charts.step_of(max(_values([*behind, *(one for rows in groups.values() for one in rows)]), default=0))
    drawings = [
        Drawing(charts.lines(f"{dimension}-{n}", said(dimension, one), weeks, rows, behind, top, "%"))
        for n, (one, rows) in enumerate(groups.items())
    ]
    more = f" {len(members) - MOST} more stand in the table." if len(members) > MOST else ""
    table = numbers.table(f"trends_{dimension}", f"By {DIMENSIONS[dimension]}, week by week", ALSO, dimension)
    says = f"Dotted: all students. All pictures have the same axis.{more}"
    return Chart(f"By {DIMENSIONS[dimension]}", says, numbers.catalogue[SHARES[0]].limits, drawings, table, columns=3)


def _programmes(numbers: Numbers, week: date) -> Chart:
    members = numbers.members(SHARES[0], "programme")
    cells = [(one, numbers.cell(SHARES[0], "programme", one, week=week)) for one in members]
    shares = [Bar(said("programme", one), cell.value, numbers.show(cell).text) for one, cell in cells if cell]
    shares.sort(key=lambda bar: (bar.value is None, -(bar.value or 0), bar.label))
    everybody = numbers.cell(SHARES[0], week=week)
    line = Bar(f"all students {numbers.show(everybody).text}", everybody.value, "") if everybody else None
    out = sum(bar.value is None for bar in shares)
    why = "fewer than 22.5 students, or it would give others away"
    left = f"Left out: {out}, because of {why}." if out else "None is left out."
    title, says = f"Declining, by programme, in the week of {day(week)}", f"The highest share first. {left}"
    drawing = Drawing(
        bars.bars("programmes", title, shares[:MOST], says, WIDE, line),
        bars.bars("programmes-n", title, shares[:MOST], says, NARROW, line),
    )
    more = f" {len(shares) - MOST} more stand in the table." if len(shares) > MOST else ""
    table = numbers.table("trends_programme", "By programme, week by week", SHARES, "programme")
    return Chart(title, says + more, numbers.catalogue[SHARES[0]].limits, [drawing], table)


def _bands(numbers: Numbers) -> Chart:
    weeks, bands, figure = (
        numbers.weeks("score_band"),
        numbers.categories("score_band"),
        numbers.catalogue["score_band"],
    )
    layers = [
        Series(
            band.replace("-", "–"),
            numbers.row("score_band", weeks, category=band),
            numbers.show(numbers.cell("score_band", category=band, week=weeks[-1])).text,
        )
        for band in bands
    ]
    looks = [f"b{n + 1}" for n in range(len(bands))]
    says = "Students in each band of 200 points, week by week. The average of a peer group is 500."
    drawing = Drawing(
        charts.columns("bands", figure.title, weeks, layers, looks, says, WIDE),
        charts.columns("bands-n", figure.title, weeks, layers, looks, says, NARROW),
    )
    return Chart(figure.title, says, figure.limits, [drawing], numbers.by_category("bands", "score_band"))


def _series(numbers: Numbers, weeks: Sequence[date], n: int, dimension: str, member: str) -> Series:
    newest = numbers.show(numbers.cell(SHARES[n], dimension, member, week=weeks[-1])).text
    unknown = {place for place, week in enumerate(weeks) if not numbers.cell(SHARES[n], week=week)}
    return Series(LABELS[n], numbers.row(SHARES[n], weeks, dimension, member), newest, unknown)


def _values(rows: Sequence[Series]) -> list[float]:
    return [value for one in rows for value in one.numbers if value is not None]
