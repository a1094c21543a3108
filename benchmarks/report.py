"""What was measured, as tables in Markdown and as a plot of the growth (SVG), for a page and for results/.

Only arithmetic on what the others measured; nothing is run here.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import linear_regression
from typing import Any

from benchmarks.measure import GATE, STAGES

Found = Mapping[str, Any]
_COLOURS = {"floor": "#8a8f98", "ours": "#2f81f7", "night run": "#d29922"}
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 720, 400, 64, 48, 24, 132


def page(found: Found) -> str:
    """Return everything as one Markdown text."""
    main = found["university"]
    texts = [
        f"Measured on {found['date']}, commit {found['commit']}: {found['machine']}."
        " Everything is done on one server in one run. The floor is"
        " SQL written by hand (`benchmarks/floor.py`, `benchmarks/floor_sql/`); nothing counts before both sides hold"
        " the same rows and numbers. `make bench SIZE=full PUBLISH=1` makes this page.",
        "## What we aim at, and what it was",
        _aims(found),
        f"## A night and a term of {main['students']:,} students",
        f"The term: {main['days']} days in {main['term']['files']:,} files from six sources, {main['events']:,} rows"
        f" accepted, {main['term']['weeks']} weeks scored. The night: one more day in {main['night']['files']} files,"
        " and the week that it ends. Seconds of work in the warehouse; models run two at a time, each with"
        " its own seconds. Silence is of both kinds; what rules and casework make of it has no counterpart by hand.",
        _stages(main),
        "## A night as Dagster executes it",
        _night(main["night"], found.get("empty")),
        "## Beside others",
        _peers(found),
        "## Growth",
        _growth(found["growth"]),
        "## The gate alone, without Dagster",
        _table(
            ["", "floor", "ours", "ratio"],
            [[one["what"], *_sides(one["floor_s"], one["ours_s"])] for one in found["gate"]],
        ),
    ]
    return "\n\n".join(text for text in texts if text) + "\n"


def _aims(found: Found) -> str:
    main, growth, peers = found["university"], found["growth"], found["peers"]
    night, term = ((work(main[when])["ours"], work(main[when])["floor"]) for when in ("night", "term"))
    asked = [
        ("a night's work in the warehouse, times by hand", night[0] / night[1], 2.0),
        ("a term's work in the warehouse, times by hand", term[0] / term[1], 2.0),
    ]
    if empty := found.get("empty"):
        whole = main["night"]["run"]["seconds"]
        asked.append(
            ("the run of a night, in its work and two empty runs", whole / (night[0] + 2 * empty["seconds"]), 1.0)
        )
    if peers:
        whole = main["term"]["run"]["seconds"]
        asked.append(
            ("a term's run from files to scores, in dlt's time to load the files", whole / peers["dlt"]["seconds"], 1.0)
        )
    if growth:
        sizes = [one["students"] for one in growth]
        for when in ("night", "term"):
            memory = [one[when]["run"]["memory"] for one in growth]
            asked.append((f"memory of a {when}, largest size to smallest", max(memory) / min(memory), 1.2))
            points = [work(one[when])["ours"] for one in growth]
            power = exponent(list(zip(sizes, points, strict=True)))
            asked.append((f"growth of a {when}'s work with the students, exponent", power, 1.05))
    rows = [
        [what, f"{is_:.2f}", f"at most {aim:.2f}", "met" if is_ <= aim else "**not met**"] for what, is_, aim in asked
    ]
    return _table(["", "measured", "aim", ""], rows)


def work(measured: Found) -> dict[str, float]:
    """Return the seconds of all stages together, of both sides."""
    return {side: sum(measured[side].values()) for side in ("floor", "ours")}


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Return the power with which the second grows in the first, by least squares on their logarithms."""
    xs, ys = zip(*[(math.log(x), math.log(y)) for x, y in points], strict=True)
    return linear_regression(xs, ys).slope


def _stages(main: Found) -> str:
    rows = []
    for stage in STAGES:
        sides = [_sides(main[when]["floor"][stage], main[when]["ours"][stage]) for when in ("night", "term")]
        rows.append([stage, *sides[0], *sides[1]])
    sums = [_sides(*work(main[when]).values()) for when in ("night", "term")]
    rows.append(["**all together**", *sums[0], *sums[1]])
    return _table(["", "night: floor", "ours", "ratio", "term: floor", "ours", "ratio"], rows)


def _night(night: Found, empty: Found | None) -> str:
    whole, ours = night["run"]["seconds"], work(night)["ours"]
    said = f"The run took {_time(whole)}, of which the stages above are {_time(ours)}."
    if empty:
        aim = ours + 2 * empty["seconds"]
        said += (
            f" The same run over files without a row took {_time(empty['seconds'])}. The aim, that work and twice the"
            f" empty run, is {_time(aim)}{'' if whole <= aim else ', not met'}: the night is {whole / aim:.2f} of it."
        )
    runs = {"night": night["run"]} | ({"empty": empty} if empty else {})
    parts = [spent(run) for run in runs.values()]
    rows = [[name, *(_time(one[name]) for one in parts)] for name in parts[0]]
    rows.append(["**the run**", *(_time(run["seconds"]) for run in runs.values())])
    return f"{said} Where the seconds go:\n\n" + _table(["", *runs], rows)


def spent(run: Found) -> dict[str, float]:
    """Say where the seconds of a run went, from its start to its end; they add up to the run."""
    spans, parts = run["spans"], run["parts"]
    gate = sum(parts.get(stage, 0) for stage in GATE)
    models, tests = (sum(run[kind].values()) for kind in ("models", "tests"))
    # Two nodes at a time: their seconds are told in proportion, so that all adds up.
    share = min(1.0, (parts["dbt"] - parts["dbt manifest"]) / (models + tests))
    found = {
        "start, import Dagster": spans["import dagster"],
        "definitions, instance": spans["definitions"] + spans["instance"],
        "import dbt": spans["import dbt"],
        "import Great Expectations": spans["import gx"],
        "landing": parts["land"],
        "load, audit, publish": gate,
        "the gate around them": parts["gate"] - gate,
        "dbt: models (two at a time)": models * share,
        "dbt: tests (two at a time)": tests * share,
        "dbt: manifest": parts["dbt manifest"],
        "dbt: the rest": parts["dbt"] - (models + tests) * share - parts["dbt manifest"],
        "notifications: evaluation": parts["evaluation"],
        "Dagster's storage of events": parts["dagster storage"],
        "Dagster, the rest of the job": spans["job"]
        - sum(parts[name] for name in ("land", "gate", "dbt", "evaluation", "dagster storage")),
    }
    return found | {"the end of it": run["seconds"] - sum(spans.values())}


def _peers(found: Found) -> str:
    peers, main = found["peers"], found["university"]
    if not peers:
        return "Not measured in this run."
    term = main["term"]
    loading = term["floor"]["load"]
    whole = term["run"]["seconds"]
    rows = [
        ["load the term's files: COPY by hand", _time(loading), "1.0x", ""],
        ["dlt (Arrow, CSV, two workers)", _time(peers["dlt"]["seconds"]), _ratio(peers["dlt"]["seconds"], loading),
         _megabytes(peers["dlt"]["memory"])],
        ["ours: load", _time(term["ours"]["load"]), _ratio(term["ours"]["load"], loading), ""],
        ["from files to scores: SQL by hand", _time(work(term)["floor"]), _ratio(work(term)["floor"], loading), ""],
        ["**ours: from files to scores, the whole run**", _time(whole), _ratio(whole, loading),
         _megabytes(term["run"]["memory"])],
    ]  # fmt: skip
    weeks = term["weeks"] + main["night"]["weeks"]
    by_us = sum(main[when]["ours"]["weekly score"] for when in ("term", "night"))
    by_hand = sum(main[when]["floor"]["weekly score"] for when in ("term", "night"))
    rows += [
        [f"{weeks} weeks of scores: SQL by hand", _time(by_hand), "1.0x", ""],
        ["ours", _time(by_us), _ratio(by_us, by_hand), ""],
    ]
    for name in ("pandas", "duckdb"):
        one = peers[name]
        rows.append([f"{name} (and {_time(one['reading'])} to read from Postgres)", _time(one["seconds"]),
                     _ratio(one["seconds"], by_hand), _megabytes(one["memory"])])  # fmt: skip
    return (
        "Same files, same scores (within a point; of 10,000 one may differ by more, where two students all but equal"
        " change places). DuckDB and pandas hold all in memory and publish nothing:"
        " no revisions, no contracts, no tests.\n\n" + _table(["", "seconds", "times by hand", "memory"], rows)
    )


def _growth(growth: Sequence[Found]) -> str:
    if not growth:
        return "Not measured in this run."
    sizes = [one["students"] for one in growth]
    rows = []
    for stage in (*STAGES, "all together"):
        for side in ("floor", "ours"):
            points = [one["night"][side][stage] if stage in STAGES else work(one["night"])[side] for one in growth]
            name = stage if side == "floor" else ""
            rows.append([name, side, *map(_time, points), _power(sizes, points)])
    for name, times in (
        ("night run, whole", [one["night"]["run"]["seconds"] for one in growth]),
        ("term, all together", [work(one["term"])["ours"] for one in growth]),
    ):
        rows.append([name, "ours", *map(_time, times), _power(sizes, times)])
    for when in ("night", "term"):
        memory = [one[when]["run"]["memory"] for one in growth]
        rows.append([f"memory, {when}", "ours", *map(_megabytes, memory), f"x {max(memory) / min(memory):.2f}"])
    days = ", ".join(sorted({str(one["days"]) for one in growth}))
    return (
        f"A night at each size, after {days} days of history; the last column is the exponent of growth (1: linear; far"
        " below: a fixed cost outweighs the rest).\n\n![growth](benchmarks.svg)\n\n"
        + _table(["", "", *(f"{size:,} students" for size in sizes), "exponent"], rows)
    )


def _power(sizes: Sequence[int], points: Sequence[float]) -> str:
    return f"{exponent(list(zip(sizes, points, strict=True))):.2f}" if len(sizes) > 1 and min(points) > 0 else ""


def _sides(floor_s: float, ours_s: float) -> list[str]:
    return [_time(floor_s), _time(ours_s), _ratio(ours_s, floor_s)]


def _ratio(one: float, other: float) -> str:
    return f"{one / other:.1f}x" if other else ""


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.0f} MB"


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---", *("---:" for _ in heading[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in [heading, rule, *rows])


def plot(growth: Sequence[Found]) -> str:
    """Return an SVG of the seconds of a night over the number of students, both logarithmic, on any background."""
    sizes = [float(one["students"]) for one in growth]
    lines = {side: [work(one["night"])[side] for one in growth] for side in ("floor", "ours")}
    lines["night run"] = [one["night"]["run"]["seconds"] for one in growth]
    low, high = (f(value for line in lines.values() for value in line) for f in (min, max))
    ticks = [10.0**n for n in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]

    def x(students: float) -> float:
        share = math.log(students / sizes[0]) / (math.log(sizes[-1] / sizes[0]) or 1)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(seconds: float) -> float:
        share = math.log(seconds / ticks[0]) / math.log(ticks[-1] / ticks[0])
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP)

    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"'
        ' font-size="13" fill="#808690" role="img">',
        "<title>Seconds of a night by the number of students</title>",
    ]
    for tick in ticks:
        drawn.append(f'<path d="M{_LEFT} {y(tick):.1f}H{_WIDTH - _RIGHT}" stroke="#808690" stroke-opacity=".3"/>')
        drawn.append(f'<text x="{_LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g} s</text>')
    for size in sizes:
        drawn.append(f'<text x="{x(size):.1f}" y="{_HEIGHT - 24}" text-anchor="middle">{size:,.0f}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    drawn.append(f'<text x="{middle:.1f}" y="{_HEIGHT - 6}" text-anchor="middle">students</text>')
    lowest = 0.0
    for name, values in sorted(lines.items(), key=lambda line: -line[1][-1]):
        lowest = max(y(values[-1]) + 4, lowest + 17)  # where two end together, their names stand below each other
        points = " ".join(f"{x(size):.1f},{y(value):.1f}" for size, value in zip(sizes, values, strict=True))
        colour = _COLOURS[name]
        drawn.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        drawn += [
            f'<circle cx="{p.split(",")[0]}" cy="{p.split(",")[1]}" r="4" fill="{colour}"/>' for p in points.split()
        ]
        said = {"floor": "work, by hand", "ours": "work, ours", "night run": "whole run"}[name]
        drawn.append(f'<text x="{x(sizes[-1]) + 10:.1f}" y="{lowest:.1f}" fill="{colour}">{said}</text>')
    return "\n".join([*drawn, "</svg>", ""])
