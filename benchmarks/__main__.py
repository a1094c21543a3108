"""`python -m benchmarks`: the same files by the floor and by ours on one server, and a table of what each took.

The best of a few runs counts, each on a database of its own; before it counts, both must have published the same rows.
"""

import argparse
import contextlib
import json
import os
import platform
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from benchmarks import floor, generator, ours
from engage.postgres import running
from engage.warehouse import Connection, connect, ensure_database, migrate

NOW = datetime(2026, 11, 1, tzinfo=UTC)
STAGES = ("load", "audit", "publish")
_IDENTITIES = """
insert into pii.identity (ref_kind, ref, student_id, valid_from, valid_to)
select k.kind, k.prefix || (10000000 + n), 's' || n, '0001-01-01', '9999-12-31'
from generate_series(0, %s - 1) as n
cross join (values ('student_id', 's'), ('username', 'u'), ('email', 'e'), ('badge', '')) as k (kind, prefix);
"""
_ROWS = (
    "select event_id, student_id, activity_date, occurred_at, resource_type, resource_ref, quantity from raw.activity__"
)


class DifferentError(Exception):
    """The two sides did not publish the same rows."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    floor_s: float
    ours_s: float

    @property
    def ratio(self) -> float:
        """Ours as a multiple of the floor."""
        return self.ours_s / self.floor_s


def measure(server: str, folder: Path, rows: int, files: int, students: int, runs: int) -> list[Row]:
    """Measure `files` files of `rows` events each; return a line per stage (one file) or one for all (several).

    `server`: URL of a Postgres server, on which databases are made and dropped; `folder`: an empty one for the files.
    Raises DifferentError.
    """
    drop = folder / "drop"
    drop.mkdir()
    generator.write(drop, rows, files, students, seed=7)
    found = [_once(server, folder / str(number), drop, students) for number in range(runs)]
    best = {stage: (min(f[0][stage] for f in found), min(f[1][stage] for f in found)) for stage in found[0][1]}
    return [Row(stage, *seconds) for stage, seconds in best.items()]


def _once(server: str, landing: Path, drop: Path, students: int) -> tuple[dict[str, float], dict[str, float]]:
    paths = sorted(drop.iterdir())
    name = f"benchmark_{os.getpid()}"
    url = ensure_database(server, name)
    migrate(url)
    try:
        with connect(url, autocommit=True) as connection:
            connection.execute(_IDENTITIES, [students])
            connection.execute("vacuum analyze pii.identity")
            by_hand = floor.run(connection, paths, str(NOW))
            source = ours.prepare(url, drop, landing, NOW)
            connection.execute("checkpoint")
            if len(paths) > 1:
                seconds, outcomes = ours.run(url, source, landing, NOW)
                by_us = {"batch": seconds / len(paths)}
                by_hand["batch"] = sum(by_hand[stage] for stage in STAGES) / len(paths)
            else:
                by_us, outcomes = ours.stages(url, source, landing, NOW)
                for side in (by_hand, by_us):
                    side["sum"] = sum(side[stage] for stage in STAGES)
            if {outcome.state for outcome in outcomes} != {"published"}:
                raise DifferentError(f"not published: {outcomes[0].problem}")
            _compare(connection, source.id)
    finally:
        with connect(server + "/postgres", autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)")
    return by_hand, by_us


def _compare(connection: Connection, source_id: str) -> None:
    """Raise DifferentError unless the two partitions hold the same rows."""
    one, other = _ROWS + floor.SOURCE, _ROWS + source_id
    found = connection.execute(
        f"select (select count(*) from ({one} except all {other}) as x),"
        f" (select count(*) from ({other} except all {one}) as x), (select count(*) from ({one}) as x)"
    ).fetchone()
    missing, added, rows = cast(tuple[int, int, int], found)
    if missing or added or not rows:
        raise DifferentError(f"of {rows:,} rows {missing:,} are missing and {added:,} are not the floor's")


def machine(server: str) -> str:
    """Describe in a line what this runs on."""
    with connect(server + "/postgres") as connection:
        ((version,),) = connection.execute("show server_version").fetchall()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, Postgres {version}"
    )


def table(rows: list[Row]) -> str:
    """Write the lines as a table in Markdown."""
    lines = ["| | floor | ours | ratio |", "|---|---:|---:|---:|"]
    lines += [f"| {r.what} | {_time(r.floor_s)} | {_time(r.ours_s)} | {r.ratio:.1f}x |" for r in rows]
    return "\n".join(lines) + "\n"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"


def main(arguments: list[str] | None = None) -> None:
    """Run both measurements, write `gate.md` and `gate.json`, print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="of the large file")
    parser.add_argument("--files", type=int, default=200, help="small ones, of 200 rows")
    parser.add_argument("--students", type=int, default=40_000)
    parser.add_argument("--runs", type=int, default=3, help="of which the best counts")
    parser.add_argument("--server", help="URL of a Postgres server (default: an embedded one, made for this)")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    chosen = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = chosen.server or stack.enter_context(running(folder / "postgres"))
        lines = []
        for what, rows, files in (("large", chosen.rows, 1), ("small", 200, chosen.files)):
            (folder / what).mkdir()
            found = measure(server, folder / what, rows, files, chosen.students, chosen.runs)
            lines += [Row(f"{files:,} x {rows:,} rows, {row.what}", row.floor_s, row.ours_s) for row in found]
        described = machine(server)
    text = f"{datetime.now(UTC):%Y-%m-%d}, {described}\n\n{table(lines)}"
    chosen.results.mkdir(parents=True, exist_ok=True)
    (chosen.results / "gate.md").write_text(text)
    content = {"machine": described, "lines": [vars(row) | {"ratio": row.ratio} for row in lines]}
    (chosen.results / "gate.json").write_text(json.dumps(content, indent=2) + "\n")
    print(text)


if __name__ == "__main__":
    main()
