"""Our side: the same files through landing and `process_pending`, as every run does it. Landing is not counted."""

import cProfile
import pstats
import time
from datetime import datetime, timedelta
from pathlib import Path

import yaml

from engage.batches import BatchOutcome, process_pending
from engage.configuration import sync
from engage.landing import land
from engage.sources import Source
from engage.suites import load_suite
from engage.warehouse import connect

HERE = Path(__file__).parent
_STAGES = {
    "load": [("load.py", "load")],
    "audit": [("ledger.py", "count"), ("audit.py", "judge")],
    "publish": [("publish.py", "leave_out_repeats"), ("publish.py", "publish")],
}
"""The functions that a stage is made of: by file and name, for they are timed from outside."""


def prepare(url: str, drop: Path, landing: Path, now: datetime) -> Source:
    """Configure the warehouse for the source of these files, and land them."""
    content = yaml.safe_load((HERE / "events.yaml").read_text())
    content["transport"]["folder"] = str(drop)
    source = Source.model_validate(content)
    with connect(url, autocommit=True) as connection:
        sync(connection, HERE.parent / "config", {source.id: source}, now)
        for look in range(2):
            land(connection, source, str(landing), now + timedelta(minutes=look))
    return source


def run(url: str, source: Source, landing: Path, now: datetime) -> tuple[float, list[BatchOutcome]]:
    """Process what has landed; return the seconds, and what became of the files."""
    suite = load_suite(HERE / "suites", source)
    started = time.perf_counter()
    outcomes = process_pending(url, source, suite, str(landing), now)
    return time.perf_counter() - started, outcomes


def stages(url: str, source: Source, landing: Path, now: datetime) -> tuple[dict[str, float], list[BatchOutcome]]:
    """The same for one large file, where the profiler weighs nothing: return the seconds of each stage."""
    profile = cProfile.Profile()
    _, outcomes = profile.runcall(run, url, source, landing, now)
    timed = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    seconds = {(Path(file).name, name): cumulative for (file, _, name), (_, _, _, cumulative, _) in timed.items()}
    return {stage: sum(seconds[function] for function in functions) for stage, functions in _STAGES.items()}, outcomes
