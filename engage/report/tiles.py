"""The first screen: is it working, is it fair, is the data sound, what changed. A number and a sentence each."""

from engage.report import changes
from engage.report.changes import Differences
from engage.report.document import Tile
from engage.report.numbers import Numbers, plain, said
from engage.report.stored import Cell, SourceWeek

FIRST = 3
"""Names in a sentence; of more their number is told."""


def tiles(numbers: Numbers, found: Differences | None) -> list[Tile]:
    """Return the four answers."""
    return [_working(numbers), _fair(numbers), _sound(numbers), _changed(numbers, found)]


def _working(numbers: Numbers) -> Tile:
    question, share = "Is it working?", "outcome_recovered_share"
    contacted, comparable = (numbers.cell(share, category=one) for one in ("contacted", "comparable"))
    if contacted and contacted.value is not None:
        beside = (
            f"Of comparable students whom nobody contacted {numbers.show(comparable).text} did"
            f"{_no_more(numbers, contacted, comparable)}. {_change(numbers)}A hint, and no proof."
            if comparable and comparable.value is not None
            else "There are too few comparable students to set beside them."
        )
        return Tile(question, numbers.show(contacted).text, "of those contacted recovered", beside, "snapshots")
    below, others = (numbers.cell("score_hit_share", category=one) for one in ("below_attention", "others"))
    if below and below.value is not None and others and others.value is not None:
        sentence = (
            f"Of those not below it {numbers.show(others).text} did. Of contacts too few outcomes are known yet to "
            "tell whether they help."
        )
        unit = "of those below 350 withdrew or went silent within 8 weeks"
        return Tile(question, numbers.show(below).text, unit, sentence, "performance")
    scored = numbers.cell("students_scored")
    sentence = "What became of those who were contacted is known six teaching weeks after; so far of too few."
    return Tile(question, numbers.show(scored).text, "students had a score in the last week", sentence, "snapshots")


def _no_more(numbers: Numbers, one: Cell, other: Cell) -> str:
    """Say of two shares of few people that they may be the same, or the other way round."""
    difference = abs((one.value or 0) - (other.value or 0))
    is_sure = difference > changes.slack(numbers, one) + changes.slack(numbers, other)
    return "" if is_sure else ", which with so few is no more than rounding can make"


def _change(numbers: Numbers) -> str:
    """Say by how much scores changed in the end: a share that recovers may hide that others fell."""
    last = max((one.partition(":")[2] for one in numbers.categories("outcome_change")), default="")
    ours, theirs = (numbers.cell("outcome_change", category=f"{who}:{last}") for who in ("contacted", "comparable"))
    if not ours or not theirs or ours.value is None or theirs.value is None:
        return ""
    mine, others = (f"{one.value:+.0f}".replace("-", "−") for one in (ours, theirs))
    return f"After {last.removesuffix('w')} weeks scores had changed by {mine} points on average, theirs by {others}. "


def _fair(numbers: Numbers) -> Tile:
    question = "Is it fair?"
    cells = [
        cell
        for dimension in numbers.dimensions("fairness_ratio")
        if dimension not in ("all", "programme")
        for member in numbers.members("fairness_ratio", dimension)
        if (cell := numbers.of_period("fairness_ratio", dimension, member)) and cell.value is not None
    ]
    if not cells:
        return Tile(question, "–", "not known yet", "No rate by group can be given for this period.", "fairness")
    far = sorted((cell for cell in cells if changes.outside(cell)), key=lambda cell: -abs((cell.value or 1) - 1))
    sure = [one for one in far if changes.surely_outside(numbers, one)]
    named = [
        f"{said(one.dimension, one.member)} ({plain(one.dimension).lower()}): {one.value:.2f}" for one in sure[:FIRST]
    ]
    told = [f"To be looked into: {_listed(named, len(sure))}."] if sure else []
    if unsure := len(far) - len(sure):
        who = "One that lies outside is" if unsure == 1 else f"{unsure} that lie outside are"
        told.append(f"{who} so small that rounding alone can make it.")
    sentence = " ".join(told) or "No group is flagged far more or less often than all."
    unit = "groups within four fifths of all students"
    return Tile(question, f"{len(cells) - len(far)} of {len(cells)}", unit, sentence, "fairness")


def _sound(numbers: Numbers) -> Tile:
    question, edition = "Is the data sound?", numbers.stored.edition
    rows = [one for one in numbers.stored.sources if one.week_start <= edition.period_end]
    within = [one for one in rows if (edition.period_start - one.week_start).days < 7] or rows
    within = [one for one in within if one.days_expected]
    owing = [one for one in within if numbers.owes_days(one.source_id)]
    complete, expected = sum(one.days_complete for one in owing), sum(one.days_expected for one in owing)
    if not expected:
        return Tile(question, "–", "not known yet", "No source owed anything in this period.", "sources")
    share = f"{100 * complete // expected} %"
    stale = [one for one in within if one.days_stale]
    short = [one for one in owing if one.days_complete < one.days_expected]
    if stale:
        sentence = f"Stale in the period: {_titles(stale)}."
    elif short:
        sentence = f"No source was stale. Days are missing of {_titles(short)}."
    else:
        sentence = "Every source delivered in time and in good quality."
    return Tile(question, share, "of the days of all sources complete", sentence, "sources")


def _changed(numbers: Numbers, found: Differences | None) -> Tile:
    question, decisions = "What changed?", len(numbers.stored.changes)
    decided = f"{decisions or 'no'} decision{'s' * (decisions != 1)} in the period"
    if found is None:
        sentence = "It is the first of its kind: the next one will say what moved."
        return Tile(question, str(decisions), decided.split(" ", 1)[1], sentence, "changed")
    told = f"{changes.sentence(numbers, found.moves[0])} " if found.moves else ""
    unit = "number moved beyond rounding" if len(found.moves) == 1 else "numbers moved beyond rounding"
    sentence = f"{told}{decided[:1].upper()}{decided[1:]}."
    return Tile(question, str(len(found.moves)), unit, sentence, "changed")


def _titles(rows: list[SourceWeek]) -> str:
    titles = sorted({one.title for one in rows})
    return _listed(titles[:FIRST], len(titles))


def _listed(names: list[str], of: int) -> str:
    more = f" and {of - len(names)} more" if of > len(names) else ""
    return ", ".join(names) + more
