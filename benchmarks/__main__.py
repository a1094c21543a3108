"""`python -m benchmarks`: a night, a term, the night's own cost, peers and growth, all on one server, as tables.

What is measured is in measure.py, gate.py and peers.py; how it is shown in report.py. Progress goes to stderr.
"""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import gate, measure, report
from benchmarks.generator import Size
from benchmarks.installation import installed
from benchmarks.measure import say
from engage.postgres import running
from engage.settings import PROJECT
from engage.warehouse import connect

PAGE = PROJECT / "docs" / "benchmarks.md"
PEERS_PYTHON = PROJECT / ".venv-bench" / "bin" / "python"
PEERS = ("dlt", "pandas", "duckdb")


@dataclass(frozen=True)
class Plan:
    """What is measured at a size."""

    university: Size
    growth: Sequence[Size]
    gate_rows: int
    gate_files: int
    gate_runs: int
    is_try: bool = False
    """Every run in our own process, and none without rows: what is left is whether it works."""


PLANS = {
    "tiny": Plan(Size(120, 7), [], 500, 2, 1, is_try=True),
    "small": Plan(Size(6_000, 14), [Size(n, 7) for n in (1_000, 8_000)], 100_000, 30, 1),
    # The largest has as many rows in its eight days as the university in its term.
    "full": Plan(Size(40_000, 84), [Size(n, 7) for n in (4_000, 40_000, 400_000)], 2_000_000, 200, 1),
}


def run(server: str, folder: Path, plan: Plan, peers: Path | None, found: dict[str, Any]) -> None:
    """Measure everything of a plan on a Postgres server, into `found`; `peers`: the Python that has them.

    Raises DifferentError.
    """
    found |= {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit(), "machine": machine(server), "peers": {}}
    if not plan.is_try:
        say("a night without rows")
        found["empty"] = measure.measure_empty(server, folder)
    with installed(server, folder, "benchmark", plan.university, plan.is_try) as installation:
        found["university"] = measure.measure(installation)
        for what in PEERS if peers else ():
            say(f"peer: {what}")
            found["peers"][what] = _peer(str(peers), what, installation.url, installation.drop)
    found["growth"] = []
    for size in plan.growth:
        with installed(server, folder, "benchmark", size) as installation:
            found["growth"].append(measure.measure(installation))
    found["gate"] = []
    for what, rows, files in (("large", plan.gate_rows, 1), ("small", 200, plan.gate_files)):
        say(f"the gate alone: {files:,} x {rows:,} rows")
        (drop := folder / what).mkdir()
        lines = gate.measure(server, drop, rows, files, plan.university.students, plan.gate_runs)
        found["gate"] += [vars(line) | {"what": f"{files:,} x {rows:,} rows, {line.what}"} for line in lines]


def commit() -> str:
    """Return the commit that is measured, marked if files differ from it; without git "unknown"."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def machine(server: str) -> str:
    """Describe in a line what this runs on."""
    with connect(f"{server}/postgres") as connection:
        ((version,),) = connection.execute("show server_version").fetchall()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, Postgres {version}"
    )


def _peer(python: str, what: str, url: str, drop: Path) -> dict[str, Any]:
    done = subprocess.run(
        [python, str(Path(__file__).parent / "peers.py"), what, url, str(drop)], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{what} failed:\n{done.stderr[-2000:]}")
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def main(arguments: list[str] | None = None) -> None:
    """Measure, write `benchmarks.md`, `.json` and `.svg` to the results, print the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--size", choices=PLANS, default="small")
    parser.add_argument("--no-peers", action="store_true", help="without dlt, pandas and DuckDB")
    parser.add_argument("--publish", action="store_true", help="also write the page and the plot in docs/")
    parser.add_argument("--server", help="URL of a Postgres server (default: an embedded one, made for this)")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--page", type=Path, default=PAGE, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if not chosen.no_peers and not PEERS_PYTHON.exists():
        raise SystemExit(f"no {PEERS_PYTHON}: `make bench` makes it; --no-peers does without")
    chosen.results.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = chosen.server or stack.enter_context(running(folder / "postgres"))
        try:
            run(server, folder, PLANS[chosen.size], None if chosen.no_peers else PEERS_PYTHON, found)
        finally:  # an hour's figures are not lost with the last of them
            (chosen.results / "benchmarks.json").write_text(json.dumps(found, indent=2) + "\n")
    text = report.page(found)
    places = [chosen.results / "benchmarks.md", *([chosen.page] if chosen.publish else [])]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"# How fast it is\n\n{text}")
        if found["growth"]:
            place.with_suffix(".svg").write_text(report.plot(found["growth"]))
    print(text)


if __name__ == "__main__":
    main()
