"""The page docs/validation.md: silence found in a year of bad feeds, and scores of OULAD beside how its students ended.

`python -m campus.validation HOME OULAD_DIR PAGE` writes the page from the warehouse of a replay and keeps its section
on silence, which backtest.py makes. What a score is, and that it is computed so, is decided and tested elsewhere.
"""

import csv
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from engage import postgres, warehouse

RESULTS = ("Pass", "Distinction", "Fail", "Withdrawn")
LOST = {"Fail", "Withdrawn"}
THRESHOLDS = (350, 300)
EARLY = 18
LASTING = 3

PAGE = """\
# Does it find who falls silent, and does it mean anything?

{silence}
## What a low score said of the students of OULAD

Three complete presentations of the Open University Learning Analytics dataset (tests/data/oulad), scored with the
default configuration but for the two sources (`config/profiles/oulad`), beside how the same students ended.
`make validation` writes this from a replay; a test compares it with its own replay.

*Lost* stands for Fail or Withdrawn; the share of all scored who were lost is the base rate. Four numbers with strokes
are those who ended with Pass / Distinction / Fail / Withdrawn. Students are scored while they are enrolled: who
withdraws counts until then.

### Student-weeks

{student_weeks}
### Students

Who was ever below a line, or below 350 for {lasting} weeks in a row. *Found*: their share of all the lost.

{students}
### How to read it

- **A low score says much.** Of those below 350 two to four times as many are lost as of all; in BBB 2013B nearly all.
- **No low score says little.** Only 4 in 10 of the lost were ever below 350. In BBB 2013B nobody was after week 12, and
  nobody ever was below 300.
- The reason: ranks are a quota, and equals get equal scores. About 7 % of a group lie below 350 and 2 % below 300,
  however well or ill the whole group does. Those who do nothing at all are equal: once they are more than 13 % of a
  group, the middle rank that they share lies above 350, and the more they become, the higher. *Lowest* is their score,
  *share it* how many they are. In BBB 2013B, weeks 13 to 31, more than 9 in 10 of them are lost, and neither line
  finds one of them.
- So a line on the score must never be the only signal. Rules that compare with nobody (no digital activity,
  attendance, a student's own history) stand beside it, and matter most where many are silent.
- The measurement by which the defaults were chosen (four presentations, weeks 1 to {early}) had 6 % below 350 and 2 %
  below 300, and 9 in 10 of those lost at a base rate of 4 in 10. Weeks 1 to {early} of these three agree on 350 and the
  base rate. Fewer lie below 300, for two thirds of the scores are of BBB 2013B, where none does; and fewer of the low
  are lost, for in AAA only one in four is lost at all.

What it does not say: that a low score is a cause, that contact would have helped, that the shares would be the same
elsewhere (distance learners, two sources, no attendance), or anything of one student.

### Week by week

{weeks}"""
_BEGINS, _ENDS = "<!-- silence -->\n", "<!-- end of silence -->\n"


@dataclass(frozen=True)
class Scored:
    """One score of one student."""

    student_id: str
    presentation: str
    week: int
    """1 is the first week with a score of the presentation."""
    monday: str
    score: int
    result: str


def read(connection: psycopg.Connection[Any], folder: Path) -> list[Scored]:
    """Return every score of the warehouse with the final result that `folder`/studentInfo.csv tells."""
    with (folder / "studentInfo.csv").open() as file:
        ended = {
            f"{row['code_module']}-{row['code_presentation']}-{row['id_student']}": row["final_result"]
            for row in csv.DictReader(file)
        }
    rows = connection.execute(
        "select student_id, split_part(student_id, '-', 1) || ' ' || split_part(student_id, '-', 2) as presentation,"
        " dense_rank() over (partition by split_part(student_id, '-', 1), split_part(student_id, '-', 2)"
        " order by week_start), week_start::text, score"
        " from marts.weekly_score where score is not null order by presentation, week_start, student_id"
    )
    return [
        Scored(student, presentation, week, monday, score, ended[student])
        for student, presentation, week, monday, score in rows
    ]


def silence(page: Path) -> str:
    """Return the section on silence of a page, with its marks."""
    text = page.read_text()
    return text[text.index(_BEGINS) : text.index(_ENDS) + len(_ENDS)]


def put_silence(page: Path, section: str) -> None:
    """Replace the section on silence of a page."""
    page.write_text(page.read_text().replace(silence(page), f"{_BEGINS}{section}{_ENDS}"))


def page(scores: list[Scored], silence: str) -> str:
    """Return docs/validation.md with this section on silence."""
    return PAGE.format(
        silence=silence,
        early=EARLY,
        lasting=LASTING,
        student_weeks=_table(
            (
                "Presentation",
                "weeks",
                "scores",
                "lost",
                "below 350",
                "lost of them",
                "",
                "below 300",
                "lost of them",
                "",
            ),
            _student_weeks(scores),
        ),
        students=_table(
            ("Presentation", "students", "lost", "who", "number", "lost of them", "found"), _students(scores)
        ),
        weeks="\n".join(
            f"#### {name}\n\n"
            + _table(
                (
                    "Week",
                    "Monday",
                    "scored",
                    "lost",
                    "below 350",
                    "ended",
                    "below 300",
                    "ended",
                    "lowest",
                    "share it",
                    "lost of them",
                ),
                _weeks(some),
            )
            for name, some in _grouped(scores).items()
        ),
    )


def _student_weeks(scores: list[Scored]) -> Iterator[tuple[str, ...]]:
    for name, some in [*_grouped(scores).items(), ("all", scores)]:
        for label, few in ((f"1-{EARLY}", [s for s in some if s.week <= EARLY]), ("all", some)):
            row = [name, label, f"{len(few):,}", _lost(few)]
            for threshold in THRESHOLDS:
                low = [s for s in few if s.score < threshold]
                row += [_percent(len(low), len(few)), _lost(low), _ended(low)]
            yield tuple(row)


def _students(scores: list[Scored]) -> Iterator[tuple[str, ...]]:
    for name, some in [*_grouped(scores).items(), ("all", scores)]:
        everybody = _one_each(some)
        lost = sum(s.result in LOST for s in everybody)
        head: tuple[str, ...] = (name, f"{len(everybody):,}", _lost(everybody))
        kinds = {f"ever below {t}": [s for s in some if s.score < t] for t in THRESHOLDS}
        kinds[f"below {THRESHOLDS[0]} for {LASTING} weeks"] = _lastingly_low(some)
        for label, low in kinds.items():
            found = _one_each(low)
            yield *head, label, f"{len(found):,}", _lost(found), _percent(sum(s.result in LOST for s in found), lost)
            head = ("", "", "")


def _weeks(scores: list[Scored]) -> Iterator[tuple[str, ...]]:
    by_week: dict[int, list[Scored]] = defaultdict(list)
    for one in scores:
        by_week[one.week].append(one)
    for week, some in by_week.items():
        row = [str(week), some[0].monday, f"{len(some):,}", _lost(some)]
        for threshold in THRESHOLDS:
            low = [s for s in some if s.score < threshold]
            row += [_percent(len(low), len(some)), _ended(low)]
        lowest = min(s.score for s in some)
        last = [s for s in some if s.score == lowest]
        yield *row, str(lowest), _percent(len(last), len(some)), _lost(last)


def _lastingly_low(scores: list[Scored]) -> list[Scored]:
    low = {(s.student_id, s.week) for s in scores if s.score < THRESHOLDS[0]}
    return [s for s in scores if all((s.student_id, s.week - k) in low for k in range(LASTING))]


def _grouped(scores: list[Scored]) -> dict[str, list[Scored]]:
    found: dict[str, list[Scored]] = defaultdict(list)
    for one in scores:
        found[one.presentation].append(one)
    return dict(found)


def _one_each(scores: list[Scored]) -> list[Scored]:
    return list({s.student_id: s for s in scores}.values())


def _lost(scores: list[Scored]) -> str:
    return _percent(sum(s.result in LOST for s in scores), len(scores))


def _ended(scores: list[Scored]) -> str:
    counts = Counter(s.result for s in scores)
    return " / ".join(f"{counts[result]:,}" for result in RESULTS) if scores else ""


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] + ["---:"] * (len(lines[0]) - 1))
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def main(home: str, folder: str, path: str) -> None:
    """Write the page `path` anew from the embedded warehouse that `engage replay oulad` left in `home`."""
    with postgres.running(Path(home) / "postgres") as url, warehouse.connect(f"{url}/engage") as connection:
        scores = read(connection, Path(folder))
    Path(path).write_text(page(scores, silence(Path(path))))


if __name__ == "__main__":
    main(*sys.argv[1:])
