"""The rest of a summary: fairness, how the score performed, health of the sources, decisions, the register, and what
the figures can and cannot say. Words and choice of chart only.
"""

from datetime import date

from engage.report import bars, changes, charts
from engage.report.bars import Bar
from engage.report.charts import NARROW, WIDE, Series, Square
from engage.report.document import Block, Chart, Content, Drawing, Points, Section, Table, Value, Words
from engage.report.numbers import DIMENSIONS, Numbers, plain, said, spelled
from engage.report.stored import SourceWeek

WEEKS = 16
"""Of a source side by side; a term."""
CANNOT = (
    "Nothing here may be used for an academic decision: not for marks, progression, discipline or admission, and never "
    "against a student.",
    "It counts what systems recorded. No recorded activity is not the same as no study, and says nothing of why.",
    "A score compares a student with their peers. Some are always low, however hard all of them work.",
    "Students who were contacted were chosen. That they did better or worse than others is a hint, and no proof.",
    "A rate that differs between groups proves no discrimination, and one that does not proves no fairness: it says "
    "where to look.",
)
PROTECTED = (
    "Counts are given to the nearest 5; “under 3” stands for 0, 1 or 2.",
    "Shares are whole per cent, made from the rounded counts, and only of 22.5 people or more; averages of more "
    "than 7.",
    "[c] stands for a number that is left out because it is about few people, or because it would give away another "
    "one that is. In pictures it is a ×, and never a zero.",
    "As a consequence numbers need not add up.",
)


def fairness(numbers: Numbers) -> Section:
    """Return the section of rates by group."""
    figure, share = numbers.catalogue["fairness_ratio"], numbers.catalogue["flagged_share"]
    low, high = changes.FOUR_FIFTHS
    lead = (
        f"A group's flagged share divided by that of all students. Within {low} and {high} (four fifths, five "
        "fourths) a difference is usual; beyond, it is to be looked into."
    )
    rows: list[Bar | str] = []
    table: list[list[Content]] = []
    for dimension in numbers.dimensions("fairness_ratio"):
        if dimension in ("all", "programme"):
            continue
        rows.append(plain(dimension))
        for member in numbers.members("fairness_ratio", dimension):
            cell, rate = (numbers.of_period(one, dimension, member) for one in ("fairness_ratio", "flagged_share"))
            shown = numbers.show(cell)
            rows.append(Bar(said(dimension, member), cell.value if cell else None, shown.text))
            people = Value(f"{rate.base:,}", rate.base) if rate and rate.base else Value("–", None)
            table.append([plain(dimension), said(dimension, member), numbers.show(rate), people, shown])
    if not table:
        return Section("fairness", "Fairness", lead, [Words("No rate by group is known for this period.")])
    title = "Flagged, compared with all students"
    says = f"{share.describes} Circle: within the band. Diamond and bold: outside of it."
    drawing = Drawing(
        bars.ratios("fairness", title, rows, says, changes.FOUR_FIFTHS, WIDE),
        bars.ratios("fairness-n", title, rows, says, changes.FOUR_FIFTHS, NARROW),
    )
    head = ["By", "Group", "Flagged", "Students", "Ratio"]
    known = [one for one in numbers.dimensions("fairness_ratio") if one not in DIMENSIONS]
    words = "" if known else "No protected characteristic is supplied: groups are those of the studies alone."
    blocks: list[Block] = [Chart(title, says, figure.limits, [drawing], Table("fairness", title, head, table))]
    return Section("fairness", "Fairness", lead, [*blocks, *([Words(words)] if words else [])])


def performance(numbers: Numbers) -> Section:
    """Return the section of how the score performed."""
    figure, name = numbers.catalogue["score_hit_share"], "score_hit_share"
    weeks = numbers.weeks(name)
    if not weeks:
        nothing = Words("It takes eight weeks until it is known what became of the students of a week.")
        return Section("performance", "How the score performed", figure.describes, [nothing])
    series = [
        Series(
            plain(one).lower(),
            numbers.row(name, weeks, category=one),
            numbers.show(numbers.cell(name, category=one, week=weeks[-1])).text,
        )
        for one in ("below_concern", "below_attention", "others")
        if one in numbers.categories(name)
    ]
    top = charts.step_of(max((value for one in series for value in one.numbers if value is not None), default=0))
    drawing = Drawing(
        charts.lines("hits", "By the week of the score", weeks, series, [], top, "%", WIDE),
        charts.lines("hits-n", "By the week of the score", weeks, series, [], top, "%", NARROW),
    )
    chart = Chart(figure.title, figure.describes, figure.limits, [drawing], numbers.by_category("performance", name))
    lead = "No model predicts anything yet. This is how the weekly score itself performed."
    return Section("performance", "How the score performed", lead, [chart])


def sources(numbers: Numbers) -> Section:
    """Return the section of the health of the sources."""
    rows = numbers.stored.sources
    lead = "How much of what each source owed has come, was good enough, and in time. Nothing here is about people."
    if not any(one.days_expected for one in rows):
        nothing = Words("No source owed anything in these weeks: what came was read later, as a history.")
        return Section("sources", "Health of the sources", lead, [nothing])
    weeks = sorted({one.week_start for one in rows if one.days_expected})[-WEEKS:]
    by_source: dict[str, dict[date, SourceWeek]] = {}
    for one in rows:
        by_source.setdefault(one.source_id, {})[one.week_start] = one
    titles = {one.source_id: one.title for one in rows}
    strip = [
        (titles[name], [_square(weekly.get(week), numbers.owes_days(name)) for week in weeks])
        for name, weekly in by_source.items()
    ]
    title = "Complete days, by source and week"
    says = (
        "A plain square: every day was complete. A number: days that were, of those on which something was owed. ! "
        "marks a week in which the source was stale. Lists of people and modules need not come every day."
    )
    drawing = Drawing(
        charts.strip("sources", title, weeks, strip, says, WIDE),
        charts.strip("sources-n", title, weeks, strip, says, NARROW),
    )
    table: list[list[Content]] = []
    for one in (row for row in rows if row.week_start in weeks):
        quality = Value("–", None) if one.mean_quality is None else _quality(one.mean_quality)
        days = (Value(str(count), count) for count in (one.days_complete, one.days_expected, one.days_stale))
        opened = Value(str(one.incidents_opened), one.incidents_opened)
        table.append([one.title, str(one.week_start), *days, quality, opened])
    head = ["Source", "Week of", "Complete days", "Of", "Stale days", "Mean quality", "Incidents opened"]
    limits = "A source that is complete may still be wrong: quality is judged by the rules that somebody thought of."
    return Section(
        "sources", "Health of the sources", lead,
        [Chart(title, says, limits, [drawing], Table("sources", "Sources by week", head, table))],
    )  # fmt: skip


def decisions(numbers: Numbers) -> Section:
    """Return the section of configuration changes and restatements."""
    found = numbers.stored.changes
    lead = f"Configuration {numbers.stored.edition.config_version} was in force at the end of the period."
    blocks: list[Block] = []
    for kind, title in changes.KINDS.items():
        if lines := [f"{spelled(one.changed_on)}: {one.what}" for one in found if one.kind == kind]:
            blocks.append(Points(title, lines))
    nothing = Words("Configuration, rules and sources stayed as they were, and no published week was scored again.")
    return Section("decisions", "Configuration changes and restatements", lead, blocks or [nothing])


def register(numbers: Numbers) -> Section:
    """Return the section of the register of processing."""
    rows: list[list[Content]] = [
        [
            one.title,
            one.purpose or "not recorded yet",
            one.lawful_basis,
            f"{one.dpia_reference}, {one.dpia_date}" if one.dpia_date else one.dpia_reference,
            one.owner_name,
            f"{one.retention_days:,} days",
            "yes" if one.in_use else "no",
        ]
        for one in numbers.stored.register
    ]
    lead = "What is processed, what for, on which basis, and how long it is kept."
    head = ["Source", "Purpose", "Lawful basis", "DPIA", "Owner", "Kept for", "In use"]
    table = Table("register", "Every source", head, rows)
    return Section(
        "register", "Register of processing", lead, [table if rows else Words("No source is registered yet.")]
    )


def reading(numbers: Numbers) -> Section:
    """Return the section of what the figures can and cannot say."""
    rows: list[list[Content]] = [[one.title, one.describes, one.limits] for one in numbers.catalogue.values()]
    blocks: list[Block] = [
        Points("What they are not for", CANNOT),
        Points("How nobody can be told from them", PROTECTED),
        Table(
            "figures",
            "Every figure: what it says, and what it cannot say",
            ["Figure", "It says", "Its limits"],
            rows,
            folded=True,
        ),
    ]
    lead = "For offering support, for running the service, for asking whether it is fair. Never for academic decisions."
    return Section("reading", "What the figures can and cannot say", lead, blocks)


def _square(one: SourceWeek | None, owes_days: bool) -> Square:
    if one is None or not one.days_expected:
        return Square(None, "")
    share = one.days_complete / one.days_expected if owes_days else 1
    grade = 3 if share >= 1 else 2 if share >= 5 / 7 else 1 if share >= 0.5 else 0
    count = "" if grade == 3 else f"{one.days_complete}/{one.days_expected}"
    return Square(min(grade, 2) if one.days_stale else grade, count + "!" * bool(one.days_stale))


def _quality(value: float) -> Value:
    return Value(f"{value:.0f}", round(value, 1))
