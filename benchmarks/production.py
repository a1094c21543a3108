"""`python -m benchmarks.production REPORT BEGAN`: one run of everything, as a process of the daemon makes it, timed.

Functions are timed from outside and dbt's models by dbt itself; what the run does is production's own. Writes a JSON
report; BEGAN is the monotonic clock when this process was asked for.
"""

import contextlib
import functools
import importlib
import json
import resource
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

PARTS = {
    "load": ["engage.load:WorkingTables.load"],
    "audit": ["engage.publish:Publisher.count", "engage.audit:Auditor.judge"],
    "publish": ["engage.publish:Publisher.leave_out_repeats", "engage.publish:Publisher.publish"],
    "gate": ["engage.batches:process_pending"],
    "land": ["engage.landing:land"],
    "dbt": ["engage.dbt:run"],
    "dbt manifest": ["engage.dbt:parse", "engage.dbt:_kept_manifest"],
    "silence": ["engage.contact.notifications:sync"],
    "evaluation": ["engage.contact.evaluation:evaluate"],
    "dagster storage": ["dagster_postgres.event_log:PostgresEventLogStorage.store_event"],
}
"""What is timed, by module and name."""


class Stopwatch(contextlib.ExitStack):
    """Seconds spent in functions from now until the end of the block, and what dbt returned."""

    def __init__(self, parts: dict[str, list[str]]) -> None:
        super().__init__()
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self.nodes: list[Any] = []
        for part, places in parts.items():
            for place in places:
                module, _, path = place.partition(":")
                *owner, name = path.split(".")
                home = functools.reduce(getattr, owner, importlib.import_module(module))
                function = getattr(home, name)
                self.callback(setattr, home, name, function)
                setattr(home, name, self._timed(part, function))

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **more: Any) -> Any:
            began = time.monotonic()
            try:
                result = function(*args, **more)
            finally:
                self.seconds[part] += time.monotonic() - began
                self.calls[part] += 1
            if part == "dbt":
                self.nodes += result
            return result

        return timed


def peak_memory() -> int:
    """Return the largest resident set of this process in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count what our starter had
        return 1024 * int(next(line.split()[1] for line in status.read_text().splitlines() if "VmHWM" in line))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def run(began: float) -> dict[str, Any]:
    """Run everything in this process; return what it took. Raises SystemExit naming what failed."""
    marks = {"start": began}

    def mark(name: str) -> None:
        marks[name] = time.monotonic()

    import dagster as dg

    from orchestration import driver
    from orchestration.definitions import build_defs

    mark("import dagster")
    defs = build_defs()
    mark("definitions")
    # Not whenever the run would come to them, but here: so that it can be told what they cost.
    importlib.import_module("dbt.cli.main")
    importlib.import_module("dbt.adapters.postgres")
    mark("import dbt")
    importlib.import_module("expectations.custom")
    mark("import gx")
    with Stopwatch(PARTS) as watch, dg.DagsterInstance.get() as instance:
        mark("instance")
        result = driver.run_job(defs, instance, "everything", say=lambda _: None)
        mark("job")
    if not result.success:
        failures = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
        raise SystemExit("\n".join(error.to_string() for error in failures if error))
    times = list(marks.values())
    spans = {name: end - start for name, start, end in zip(list(marks)[1:], times, times[1:], strict=False)}
    return {
        "seconds": time.monotonic() - began,
        "spans": spans,
        "parts": dict(watch.seconds),
        "calls": dict(watch.calls),
        "models": {node.name: node.seconds for node in watch.nodes if node.resource_type == "model"},
        "tests": {node.name: node.seconds for node in watch.nodes if node.resource_type == "test"},
        "memory": peak_memory(),
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(run(float(sys.argv[2]))))
