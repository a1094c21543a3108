"""The snapshots: notifications, contacts, the ladder, cases, outcomes beside comparable students, exemptions; and what
the rights of students and retention came to. Words and choice of chart only.
"""

from collections.abc import Iterable, Sequence

from engage.report import bars, charts
from engage.report.bars import Bar
from engage.report.charts import NARROW, WIDE, Series
from engage.report.document import FEW, Block, Chart, Content, Drawing, Section, Table, Words
from engage.report.numbers import Numbers, category_words, plain, said

STATUSES = {"raised": "b5", "held": "b2", "undetermined": "b3", "dropped": "b4", "superseded": "b1"}
"""What becomes of a notification, and its layer."""


def section(numbers: Numbers) -> Section:
    """Return the section of snapshots."""
    blocks: list[Block] = []
    if numbers.weeks("notifications"):
        blocks.append(_notifications(numbers))
        if table := _by_faculty(numbers):
            blocks.append(table)
    blocks += [one for name in ("contacts", "ladder_steps", "case_actions") if (one := counted(numbers, name))]
    if numbers.weeks("outcome_recovered_share"):
        blocks.append(_outcomes(numbers))
        if table := _change(numbers):
            blocks.append(table)
    blocks += [one for name in ("exemptions",) if (one := counted(numbers, name))]
    lead = "What was noticed, what was done about it, and what came of it."
    nothing = Words("Nothing was raised, nobody was contacted and nobody was exempt.")
    return Section("snapshots", "Snapshots", lead, blocks or [nothing])


def rights(numbers: Numbers) -> Section:
    """Return the section of subject access and retention."""
    elsewhere = Words(
        "How many asked for a copy or for erasure stands in the summary of a term alone, each time since the one "
        "before: shorter periods beside each other would tell of single requests."
    )
    nothing = Words("Nothing was deleted in the period because its time was over.")
    blocks: list[Block] = [counted(numbers, "subject_requests") or elsewhere, counted(numbers, "deletions") or nothing]
    lead = "Copies and erasure that students asked for, and data whose time was over."
    return Section("rights", "Subject access and retention", lead, blocks)


def counted(numbers: Numbers, name: str) -> Chart | None:
    """Return a figure by category: small lines over the weeks, or bars of the period; None where there is no number."""
    weeks, figure, categories = numbers.weeks(name), numbers.catalogue[name], numbers.categories(name)
    if not weeks:
        return None
    table = numbers.by_category(name, name)
    newest = {one: numbers.cell(name, category=one, week=weeks[-1]) for one in categories}
    if figure.span == "period" or len(weeks) == 1:
        numbered = [
            Bar(category_words(one), cell.value, numbers.show(cell).text) for one, cell in newest.items() if cell
        ]
        if not any(map(_is_seen, ([bar.value] for bar in numbered))):
            return Chart(figure.title, f"{figure.describes} Each was {FEW}.", figure.limits, [], table)
        drawing = Drawing(
            bars.bars(name, figure.title, numbered, figure.describes, WIDE),
            bars.bars(f"{name}-n", figure.title, numbered, figure.describes, NARROW),
        )
        return Chart(figure.title, figure.describes, figure.limits, [drawing], table)
    rows = {one: numbers.row(name, weeks, category=one) for one in categories}
    flat = [category_words(one) or figure.title for one in categories if not _is_seen(rows[one])]
    categories = [one for one in categories if _is_seen(rows[one])]
    top = charts.step_of(max((value for row in rows.values() for value in row if value is not None), default=0))
    drawings = [
        Drawing(
            charts.lines(
                f"{name}-{n}",
                category_words(one) or figure.title,
                weeks,
                [Series(figure.unit, rows[one], numbers.show(newest[one]).text)],
                [],
                top,
                "",
            )
        )
        for n, one in enumerate(categories)
    ]
    return Chart(figure.title, figure.describes + _flat(flat), figure.limits, drawings, table, columns=3)


def _notifications(numbers: Numbers) -> Chart:
    figure, weeks = numbers.catalogue["notifications"], numbers.weeks("notifications")
    kinds: dict[str, list[str]] = {}
    for name in numbers.categories("notifications"):
        if any(numbers.cell("notifications", category=name, week=week) for week in weeks):
            kinds.setdefault(name.partition(":")[0], []).append(name)
    drawings, flat = [], []
    for kind, names in kinds.items():
        if not any(_is_seen(numbers.row("notifications", weeks, category=name)) for name in names):
            flat.append(plain(kind))
            continue
        names.sort(key=lambda name: list(STATUSES).index(name.partition(":")[2]))
        layers = [
            Series(
                name.partition(":")[2],
                numbers.row("notifications", weeks, category=name),
                numbers.show(numbers.cell("notifications", category=name, week=weeks[-1])).text,
            )
            for name in names
        ]
        looks = [STATUSES[name.partition(":")[2]] for name in names]
        says = f"{plain(kind)}: notifications of each week by what became of them."
        drawings.append(
            Drawing(
                charts.columns(f"told-{kind}", plain(kind), weeks, layers, looks, says, WIDE, 190, heading=True),
                charts.columns(f"told-{kind}-n", plain(kind), weeks, layers, looks, says, NARROW, 190, heading=True),
            )
        )
    table = numbers.by_category("notifications", "notifications")
    return Chart("Notifications", figure.describes + _flat(flat), figure.limits, drawings, table)


def _is_seen(row: Iterable[float | None]) -> bool:
    """Say whether a picture of these numbers would show anything: what is left out is drawn, too."""
    return any(value != 0 for value in row)


def _flat(names: Sequence[str]) -> str:
    """Return a sentence about what a picture would only draw as a line at the bottom."""
    return f" {FEW.capitalize()} in every week, and not drawn: {', '.join(names)}." if names else ""


def _by_faculty(numbers: Numbers) -> Table | None:
    faculties, name = numbers.members("notifications", "faculty"), "notifications"
    there = [
        one
        for one in numbers.categories(name)
        if any(numbers.of_period(name, "faculty", two, one) for two in faculties)
    ]
    if not there:
        return None
    rows: list[list[Content]] = [
        [
            category_words(one),
            *(numbers.show(numbers.of_period(name, "faculty", faculty, one)) for faculty in faculties),
        ]
        for one in there
    ]
    head = ["Notifications", *(said("faculty", faculty) for faculty in faculties)]
    return Table("notifications_faculty", "Notifications of the period by faculty", head, rows)


def _outcomes(numbers: Numbers) -> Chart:
    name, figure = "outcome_recovered_share", numbers.catalogue["outcome_recovered_share"]
    cells = {one: numbers.cell(name, category=one) for one in numbers.categories(name)}
    numbered = [Bar(category_words(one), cell.value, numbers.show(cell).text) for one, cell in cells.items() if cell]
    title = "Did the scores of those who were contacted recover?"
    drawing = Drawing(
        bars.bars("outcomes", title, numbered, figure.describes, WIDE),
        bars.bars("outcomes-n", title, numbered, figure.describes, NARROW),
    )
    rows: list[list[Content]] = [
        [numbers.catalogue[one].title, category_words(category), numbers.show(numbers.cell(one, category=category))]
        for one in (name, "outcome_people")
        for category in numbers.categories(one)
    ]
    table = Table("outcomes", "Outcomes of contacts and cases", ["Figure", "Of whom", "Number"], rows)
    return Chart(title, figure.describes, figure.limits, [drawing], table)


def _change(numbers: Numbers) -> Table | None:
    """Return by how much scores changed: a row per week after the contact."""
    figure, name = numbers.catalogue["outcome_change"], "outcome_change"
    after = sorted({one.partition(":")[2] for one in numbers.categories(name)})
    rows: list[list[Content]] = [
        [
            category_words(one).capitalize(),
            *(numbers.show(numbers.cell(name, category=f"{who}:{one}")) for who in ("contacted", "comparable")),
        ]
        for one in after
    ]
    note = f"{figure.describes} {figure.limits}"
    head = ["", "Contacted", "Comparable"]
    return Table("outcome_change", figure.title, head, rows, note) if rows else None
