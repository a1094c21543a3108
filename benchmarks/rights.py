"""`python -m benchmarks.rights`: a student's copy of everything held about them, and their erasure, as commands.

The floor is what must be read at least: every table that has a column for a student, by a condition on it, and the
bytes of every landed file. Afterwards it finds no row and no file with the student's number or badge. The commands'
time is that of whole processes.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from datetime import datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from typing import Any

from psycopg import sql

from benchmarks import equal
from benchmarks.generator import Size
from benchmarks.installation import Installation, installed
from benchmarks.measure import say
from engage.postgres import running
from engage.settings import PROJECT
from engage.warehouse import Connection, connect

NUMBER, OTHER = 17, 18
"""Of the two students, in the order of the roster: each has a badge and a number of their own."""
_TABLES = """
select n.nspname, c.relname, a.attname
from pg_class as c
inner join pg_namespace as n on c.relnamespace = n.oid
inner join pg_attribute as a on c.oid = a.attrelid and a.attname = 'student_id' and not a.attisdropped
where c.relkind in ('r', 'p') and not c.relispartition and n.nspname not in ('pg_catalog', 'information_schema')
order by 1, 2
"""


def measure(installation: Installation) -> dict[str, Any]:
    """Copy and erase one student of a university that has delivered; return seconds, rows and files of each.

    Raises equal.DifferentError if the copy is empty or anything is left.
    """
    store = Path(installation.settings.landing_url)
    files = [path for path in store.rglob("*") if path.is_file()]
    with connect(installation.url, autocommit=True) as connection:
        rows, in_files, floor = _read(connection, files, NUMBER)
        ((weighs,),) = connection.execute("select pg_database_size(current_database())").fetchall()
    if not rows or not in_files:
        raise equal.DifferentError("nothing is held of the student")
    found: dict[str, Any] = {"rows": rows, "files": len(files), "bytes": int(str(weighs)), "floor": floor}
    say(f"rights: {len(files):,} files, {found['bytes'] / 1e9:.1f} GB of database, {floor:.1f} s to read it all")
    found["copy"] = _command(installation, ["sar", f"s{NUMBER}", "--by", "benchmark"])
    (archive,) = (installation.settings.home / "subject-access").glob("*.zip")
    with zipfile.ZipFile(archive) as copied:
        if not any(one.file_size > 1_000 for one in copied.infolist()):
            raise equal.DifferentError("the copy is empty")
    say(f"  copy: {found['copy']:.1f} s")
    erase = ["retention", "erase", f"s{NUMBER}", "--by", "benchmark", "--reason", "measured"]
    found["erasure"] = _command(installation, erase)
    say(f"  erasure: {found['erasure']:.1f} s")
    with connect(installation.url, autocommit=True) as connection:
        left = _read(connection, [path for path in store.rglob("*") if path.is_file()], NUMBER)[:2]
        others = _read(connection, [], OTHER)[0]
    if any(left) or not others:
        raise equal.DifferentError(f"after the erasure {left} rows and files are left, and {others} rows of another")
    return found


def _read(connection: Connection, files: list[Path], number: int) -> tuple[int, int, float]:
    """Return in how many rows and files a student is, and the seconds that it took to look."""
    began, rows = time.monotonic(), 0
    for schema, table, column in connection.execute(_TABLES).fetchall():
        query = sql.SQL("select count(*) from {} where {} = %s").format(
            sql.Identifier(str(schema), str(table)), sql.Identifier(str(column))
        )
        ((count,),) = connection.execute(query, [f"s{number}"]).fetchall()
        rows += int(str(count))
    said = [f"s{number},".encode(), f"{10_000_000 + number},".encode()]
    in_files = sum(any(one in path.read_bytes() for one in said) for path in files)
    return rows, in_files, time.monotonic() - began


def _command(installation: Installation, words: list[str]) -> float:
    """Run a command of ours as a person would, the day after the night; return its seconds. Raises RuntimeError."""
    settings = installation.settings
    now = datetime.combine(installation.size.night + timedelta(days=2), time_of_day(9))
    variables = os.environ | {
        "ENGAGE_CONFIG": str(settings.config),
        "ENGAGE_EXPECTATIONS": str(settings.expectations),
        "ENGAGE_HOME": str(settings.home),
        "ENGAGE_DATABASE_URL": installation.url,
        "ENGAGE_LANDING_URL": settings.landing_url,
        "ENGAGE_NOW": f"{now.isoformat()}+00:00",
    }
    command = [str(Path(sys.executable).with_name("engage")), *words]
    began = time.monotonic()
    done = subprocess.run(command, cwd=PROJECT, env=variables, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"engage {words[0]} failed:\n{done.stderr[-2000:]}")
    return time.monotonic() - began


def main(arguments: list[str] | None = None) -> None:
    """Let a term arrive, measure, print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rights", description=__doc__)
    parser.add_argument("--students", type=int, default=6_000)
    parser.add_argument("--days", type=int, default=14, help="of history, whole weeks")
    parser.add_argument("--density", type=float, default=1.0, help="events of a student in a file")
    parser.add_argument("--try", dest="is_try", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--server", help="URL of a Postgres server (default: an embedded one, made for this)")
    chosen = parser.parse_args(arguments)
    size = Size(chosen.students, chosen.days, chosen.density)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = chosen.server or stack.enter_context(running(folder / "postgres"))
        with installed(server, folder, "benchmark", size, chosen.is_try) as installation:
            written = installation.deliver(installation.url, size.history)
            say(f"{size.students:,} students, {size.days} days: {written / 1e6:,.0f} MB written")
            seconds = installation.run(size.history[-1])["seconds"]
            say(f"  the term's run took {seconds:.0f} s")
            found = measure(installation)
    print(json.dumps({"students": size.students, "days": size.days, **found}, indent=2))


if __name__ == "__main__":
    main()
