"""The same work by dlt, pandas and DuckDB, each in its fast way: `python peers.py WHAT URL [FOLDER]`.

A script with an environment of its own (requirements-bench.lock), so that what they need is never ours. Prints a JSON
object of seconds and bytes; fails when its scores are not those of the warehouse.
"""

import argparse
import io
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist
from typing import Any

WEIGHTS = {
    "attendance": 0.4,
    "vle": 0.15,
    "lecture_capture": 0.15,
    "library_gates": 0.1,
    "library_loans": 0.1,
    "portal": 0.1,
}
LAGS = (1.0, 0.5, 0.25, 0.125)
_DAILY = "select student_id, activity_date, source_id, interactions, expected, attended from floor.daily_activity"
_STUDENTS = "select student_id, peer_group from floor.student"
_SCORES = "select student_id, week_start, score from marts.weekly_score"


def load_with_dlt(url: str, folder: Path) -> None:
    """Load every file below `folder` into Postgres: Arrow tables, written as CSV and copied, two workers."""
    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "NORMALIZE__WORKERS": "2", "LOAD__WORKERS": "2"}
    import dlt
    from pyarrow import csv

    def resource_of(feed: Path) -> Any:
        def tables() -> Iterator[Any]:
            for path in sorted(feed.glob("*.csv")):
                yield csv.read_csv(path, convert_options=csv.ConvertOptions(column_types={"user": "string"}))

        return dlt.resource(tables, name=feed.name, write_disposition="append")

    with tempfile.TemporaryDirectory() as state:
        pipeline = dlt.pipeline(
            "benchmark", destination=dlt.destinations.postgres(url), dataset_name="dlt", pipelines_dir=state
        )
        feeds = [resource_of(feed) for feed in sorted(folder.iterdir()) if feed.name in WEIGHTS]
        pipeline.run(feeds, loader_file_format="csv")


def read(url: str, query: str) -> Any:
    """Return what a query finds as an Arrow table, by COPY: the quickest way out of Postgres."""
    import psycopg
    from pyarrow import csv

    found = io.BytesIO()
    with (
        psycopg.connect(url) as connection,
        connection.cursor().copy(f"copy ({query}) to stdout with (format csv, header)".encode()) as copy,
    ):
        for block in copy:
            found.write(block)
    found.seek(0)
    return csv.read_csv(found)


def score_with_pandas(daily: Any, students: Any) -> Any:
    """Return student_id, week_start, score for every week of the daily activity."""
    import numpy as np
    import pandas as pd

    daily, students = daily.to_pandas(), students.to_pandas().set_index("student_id")
    days = pd.to_datetime(daily["activity_date"])
    daily["week"] = days - pd.to_timedelta(days.dt.day_of_week, unit="D")
    daily = daily[daily["week"] > days.min()]  # the week of the first Sunday is not one of the term
    by = daily.groupby(["week", "source_id", "student_id"], sort=False)
    sums = by[["interactions", "expected", "attended"]].sum()
    parts = {key: one.droplevel([0, 1]) for key, one in sums.groupby(level=[0, 1], sort=False)}
    weeks = sorted(daily["week"].unique())
    history: list[Any] = []
    scored = []
    for week in weeks:
        metrics = pd.DataFrame(index=students.index)
        for source in WEIGHTS:
            one = parts[week, source].reindex(students.index)
            if source == "attendance":
                metrics[source] = (one["attended"] + 0.5) / (one["expected"].where(one["expected"] > 0) + 1)
            else:
                metrics[source] = np.log1p(one["interactions"].fillna(0))
        history = [metrics, *history][: len(LAGS)]
        total = sum(lag * past.fillna(0) for lag, past in zip(LAGS, history, strict=False))
        known = sum(lag * past.notna() for lag, past in zip(LAGS, history, strict=False))
        smoothed = total / known.where(known > 0)
        groups = smoothed.groupby(students["peer_group"])
        z = ((smoothed - groups.transform("mean")) / groups.transform("std", ddof=0)).clip(-3, 3)
        weights = pd.Series(WEIGHTS)
        composite = ((z * weights).sum(axis=1) / (z.notna() * weights).sum(axis=1)).round(9)
        peers = composite.groupby(students["peer_group"])
        shares = (peers.rank(method="average") - 0.5) / peers.transform("count")
        normal = shares.map({share: NormalDist().inv_cdf(share) for share in shares.unique()})
        t = normal - normal.groupby(students["peer_group"]).transform("mean")
        score = np.floor(500 + 100 * t + 0.5).clip(0, 1000).astype(int)
        scored.append(pd.DataFrame({"week_start": week.date(), "score": score}).reset_index())
    return pd.concat(scored)


def score_with_duckdb(daily: Any, students: Any) -> Any:
    """Return the same from SQL over the same tables in memory."""
    import duckdb

    sources = [source for source in WEIGHTS if source != "attendance"]
    database = duckdb.connect()
    database.register("daily", daily)
    database.register("students", students)
    database.create_function("inverse_normal", NormalDist().inv_cdf, ["DOUBLE"], "DOUBLE")
    ys = ["y_attendance", *(f"y_{source}" for source in sources)]
    weights = dict(zip(ys, WEIGHTS.values(), strict=True))
    sums = ", ".join(f"sum(interactions) filter (source_id = '{s}') as n_{s}" for s in sources)
    logs = ", ".join(f"ln(1 + coalesce(n_{s}, 0)) as y_{s}" for s in sources)
    smoothed = ", ".join(f"sum(lag * {y}) / sum(lag) filter ({y} is not null) as {y}" for y in ys)
    scaled = ", ".join(
        f"greatest(-3, least(3, ({y} - avg({y}) over peers) / stddev_pop({y}) over peers)) as {y}" for y in ys
    )
    weighed = " + ".join(f"coalesce({w} * {y}, 0)" for y, w in weights.items())
    there = " + ".join(f"if({y} is null, 0, {w})" for y, w in weights.items())
    return database.execute(f"""
        with weekly as (
            select
                student_id, date_trunc('week', activity_date)::date as week_start, sum(expected) as expected,
                sum(attended) as attended, {sums}
            from daily group by all
        ),
        weeks as (
            select distinct week_start from weekly where week_start > (select min(activity_date) from daily)
        ),
        metrics as (
            select
                week_start, student_id, peer_group, (attended + 0.5) / (nullif(expected, 0) + 1) as y_attendance, {logs}
            from weeks cross join students left join weekly using (week_start, student_id)
        ),
        lags as (select unnest({list(LAGS)}) as lag, unnest([0, 7, 14, 21]) as days),
        smoothed as (
            select m.week_start + days::integer as week_start, student_id, peer_group, {smoothed}
            from metrics as m cross join lags
            where m.week_start + days::integer in (select week_start from weeks)
            group by all
        ),
        scaled as (
            select week_start, student_id, peer_group, {scaled}
            from smoothed window peers as (partition by week_start, peer_group)
        ),
        composed as (
            select week_start, student_id, peer_group, round(({weighed}) / ({there}), 9) as c from scaled
        ),
        ranked as (
            select
                *, (rank() over (partition by week_start, peer_group order by c)
                + (count(*) over (partition by week_start, peer_group, c) - 1) / 2 - 0.5)
                / count(*) over (partition by week_start, peer_group) as share
            from composed
        ),
        shares as materialized (select share, inverse_normal(share) as t from (select distinct share from ranked)),
        normal as (
            select week_start, student_id, t - avg(t) over (partition by week_start, peer_group) as t
            from ranked inner join shares using (share)
        )
        select student_id, week_start, least(1000, greatest(0, floor(500 + 100 * t + 0.5)))::integer as score
        from normal
    """).df()


def compare(found: Any, published: Any) -> int:
    """Return how many scores both have. Raises SystemExit unless they agree within a point.

    But for one in ten thousand: two whose composites are all but equal may change places.
    """
    import pandas as pd

    published = published.to_pandas()
    for one in (found, published):
        one["week_start"] = pd.to_datetime(one["week_start"])
    both = published.merge(found, on=["student_id", "week_start"], how="outer", suffixes=("", "_found"))
    far = int(((both["score"] - both["score_found"]).abs().fillna(math.inf) > 1).sum())
    if far > 1e-4 * len(both) or both.empty:
        raise SystemExit(f"{far:,} of {len(both):,} scores differ")
    return len(both)


def main() -> None:
    """Do it, and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["dlt", "pandas", "duckdb"])
    parser.add_argument("url")
    parser.add_argument("folder", type=Path, nargs="?")
    given = parser.parse_args()
    said: dict[str, float] = {}
    began = time.perf_counter()
    if given.what == "dlt":
        load_with_dlt(given.url, given.folder)
        said["seconds"] = time.perf_counter() - began
    else:
        daily, students = read(given.url, _DAILY), read(given.url, _STUDENTS)
        said["reading"] = time.perf_counter() - began
        found = {"pandas": score_with_pandas, "duckdb": score_with_duckdb}[given.what](daily, students)
        said["seconds"] = time.perf_counter() - began - said["reading"]
        said["scores"] = compare(found, read(given.url, _SCORES))
    status = Path("/proc/self/status").read_text().splitlines()  # getrusage would count what our starter had
    said["memory"] = 1024 * int(next(line.split()[1] for line in status if "VmHWM" in line))
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
