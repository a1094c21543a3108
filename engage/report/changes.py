"""What changed since the edition before, in words: what moved by more than rounding explains, what was left out anew,
sources that went stale, decisions. Computed from the two editions, nothing is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engage.report.document import Block, Content, Points, Section, Table, Words
from engage.report.numbers import Numbers, category_words, plain, said, spelled
from engage.report.stored import Cell

FOUR_FIFTHS = (0.8, 1.25)
"""A group whose rate is less than four fifths of the rate of all, or more than five fourths, is looked at
(the rule of the EEOC, 29 CFR 1607.4 D)."""
OF_ONE = 2
"""Of one figure, so that what is divided finely does not hide the others."""
FIRST = 6
"""Moves told in words; the others stand in the table."""
SHORT = {
    "notifications": "Notifications",
    "contacts": "Contacts",
    "case_actions": "Cases",
    "ladder_steps": "Steps of the ladder",
    "score_band": "Students by band of scores",
    "score_hit_share": "Share that withdrew or went silent",
    "outcome_change": "Change of score after contact",
}
"""Titles for a sentence that names a category besides."""
KINDS = {
    "configuration": "Configuration",
    "restatement": "Published scores made anew",
    "rule": "Rules",
    "source": "Sources",
}


@dataclass(frozen=True)
class Move:
    """A number then and now; `sureness` is how many times the difference is what rounding could make."""

    then: Cell
    now: Cell
    sureness: float


@dataclass(frozen=True)
class Differences:
    """All that differs from the edition before."""

    moves: Sequence[Move]
    suppressed: int
    shown_again: int
    corrected: int
    """Numbers of weeks that both editions tell of, and tell differently."""
    stale: Sequence[str]
    fresh: Sequence[str]
    crossed: Sequence[str]
    """Groups that came to lie outside of the four-fifths band, or within it again."""


def differences(now: Numbers, before: Numbers | None) -> Differences | None:
    """Compare two editions; None where there is none before."""
    if before is None:
        return None
    new, old = now.newest(), before.newest()
    both = [(old[key], new[key]) for key in sorted(new.keys() & old.keys())]
    shared = {
        (one.figure_id, one.dimension, one.member, one.category, one.period_start): one for one in now.stored.cells
    }
    same = [
        (one, shared[key])
        for one in before.stored.cells
        if (key := (one.figure_id, one.dimension, one.member, one.category, one.period_start)) in shared
    ]
    stale, was = _stale(now), _stale(before)
    moves = [Move(a, b, sure) for a, b in both if (sure := _sureness(now, a, b)) > 1]
    return Differences(
        moves=sorted(moves, key=lambda move: (-move.sureness, move.now.figure_id, move.now.member, move.now.category)),
        suppressed=sum(a.suppressed is None and b.suppressed is not None for a, b in both),
        shown_again=sum(a.suppressed is not None and b.suppressed is None for a, b in both),
        corrected=sum(a.value is not None and b.value is not None and a.value != b.value for a, b in same),
        stale=sorted(stale - was),
        fresh=sorted(was - stale),
        crossed=[_crossed(a, b) for a, b in both if _outside(a) is not _outside(b) and None not in (a.value, b.value)],
    )


def section(now: Numbers, found: Differences | None) -> Section:
    """Return the section that opens the report."""
    edition, decisions = now.stored.edition, now.stored.changes
    blocks: list[Block] = []
    if found is None:
        lead = "This is the first edition of its kind: there is none to compare it with."
    else:
        lead = f"Compared with {edition.previous_edition_id}. A move is told if it is more than rounding can explain."
        blocks += [
            Points("What moved", [sentence(now, move) for move in _first(found.moves)] or ["Nothing beyond rounding."])
        ]
        if len(found.moves) > FIRST:
            rows = [_row(now, move) for move in found.moves]
            title = f"All {len(rows)} moves, the surest first"
            blocks.append(Table("moves", title, ["Figure", "Group", "Then", "Now"], rows, folded=True))
        blocks.append(Points("What else is different", _else(found)))
    told = [f"{spelled(one.changed_on)}: {one.what}" for one in decisions]
    blocks.append(
        Points("What was decided", told[:FIRST] or ["Nothing: configuration, rules and sources stayed as they were."])
    )
    if len(told) > FIRST:
        blocks.append(Words(f"{len(told) - FIRST} more stand under “Configuration changes and restatements”."))
    return Section("changed", "What changed since the last edition", lead, blocks)


def _first(moves: Sequence[Move]) -> list[Move]:
    """Return what is told in words: the surest, and of each figure a few at most."""
    told: list[Move] = []
    for move in moves:
        if sum(one.now.figure_id == move.now.figure_id for one in told) < OF_ONE:
            told.append(move)
    return told[:FIRST]


def outside(cell: Cell) -> bool:
    """Whether a ratio lies outside of the four-fifths band."""
    return cell.value is not None and not FOUR_FIFTHS[0] <= cell.value <= FOUR_FIFTHS[1]


def surely_outside(now: Numbers, ratio: Cell) -> bool:
    """Whether a ratio lies outside of the band whatever its two shares are before they are rounded."""
    ours = now.of_period("flagged_share", ratio.dimension, ratio.member)
    everybody = now.of_period("flagged_share")
    if not ours or not everybody or ours.value is None or everybody.value is None:
        return outside(ratio)
    mine, all_ = slack(now, ours), slack(now, everybody)
    least = (ours.value - mine) / (everybody.value + all_)
    most = (ours.value + mine) / max(everybody.value - all_, 1e-9)
    return most < FOUR_FIFTHS[0] or least > FOUR_FIFTHS[1]


def name_of(now: Numbers, cell: Cell) -> str:
    """Return what a number is of: `Share declining`, `Notifications (low activity, raised)`."""
    title = SHORT.get(cell.figure_id) or now.catalogue[cell.figure_id].title
    return f"{title} ({category_words(cell.category).lower()})" if cell.category else title


def _outside(cell: Cell) -> bool:
    return cell.figure_id == "fairness_ratio" and outside(cell)


def _crossed(then: Cell, now: Cell) -> str:
    where = "now outside of the four-fifths band" if outside(now) else "within the four-fifths band again"
    return (
        f"{said(now.dimension, now.member)} ({plain(now.dimension).lower()}) is {where}: "
        f"ratio {then.value:.2f} before, {now.value:.2f} now."
    )


def _sureness(now: Numbers, then: Cell, cell: Cell) -> float:
    """Return the difference of two numbers in units of what rounding alone could make of none."""
    if then.value is None or cell.value is None or then.figure_id not in now.catalogue:
        return 0
    if f"{cell.figure_id}_share" in now.catalogue or cell.figure_id in ("fairness_ratio", "flagged_share"):
        return 0  # told as a share; as crossing the band
    return abs(cell.value - then.value) / (slack(now, then) + slack(now, cell))


def slack(now: Numbers, cell: Cell) -> float:
    """Return by how much the true number may differ: a count and an average by half of 5, a share by what follows."""
    if now.catalogue[cell.figure_id].kind != "share":
        return 2.5
    share, base = (cell.value or 0) / 100, max(cell.base or 0, 20)
    return 100 * 2.5 * (1 + share) / base + 0.5


def sentence(now: Numbers, move: Move) -> str:
    """Return a move in words."""
    way = "up" if (move.now.value or 0) > (move.then.value or 0) else "down"
    group = "" if move.now.dimension == "all" else f", {said(move.now.dimension, move.now.member)}"
    return f"{name_of(now, move.now)}{group}: {way} from {now.show(move.then).text} to {now.show(move.now).text}."


def _row(now: Numbers, move: Move) -> list[Content]:
    return [name_of(now, move.now), said(move.now.dimension, move.now.member), now.show(move.then), now.show(move.now)]


def _else(found: Differences) -> list[str]:
    lines = [f"{title} went stale." for title in found.stale] + [f"{title} delivers again." for title in found.fresh]
    lines += found.crossed
    if found.corrected:
        many = "number" if found.corrected == 1 else "numbers"
        lines.append(
            f"{found.corrected:,} {many} of weeks that the last edition told of read differently now: late data or a "
            "restatement."
        )
    if found.suppressed or found.shown_again:
        lines.append(
            f"Numbers left out now that were shown before: {found.suppressed or 'none'}; shown that were left out: "
            f"{found.shown_again or 'none'}. Groups grew or shrank around the limit."
        )
    return lines or ["Nothing: the same sources deliver, and the same numbers are left out."]


def _stale(numbers: Numbers) -> set[str]:
    """Return the titles of the sources that were stale in the newest week."""
    last = max((one.week_start for one in numbers.stored.sources), default=None)
    return {one.title for one in numbers.stored.sources if one.week_start == last and one.days_stale}
