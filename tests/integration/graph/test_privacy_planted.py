"""200 planted names, addresses, numbers, and secrets, through the whole graph and every way in which it can fail: not
one is in any log, event, metadata, governance table, or file that is not about the student.

If it fails: the assertion names where, and which mark; look which of a person's values was quoted there.
"""

import base64
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import pypdf
import pytest
import yaml
from psycopg import sql

from engage.cli import main
from engage.privacy.places import places
from engage.settings import PROJECT
from engage.warehouse import connect
from orchestration import driver
from orchestration.definitions import build_defs
from tests.integration.graph import planted
from tests.integration.graph.kit import Installation

ABOUT_PEOPLE = ("outbox", "subject-access", "sponsored")
"""Folders of ENGAGE_HOME whose files are about somebody, for whoever may read them: checked by their own tests."""
REFUSE = """
create function {name}() returns trigger language plpgsql as $$
begin
    {body};
    return new;
end $$;
create trigger {name} before insert on {table} for each row execute function {name}()
"""


@pytest.fixture
def house(installation: Installation, tmp_path: Path) -> Iterator[Installation]:
    """Sources of every record, rules that do all that rules can, and servers that refuse everything."""
    config = tmp_path / "config"
    (config / "sources").mkdir(parents=True)
    for one in planted.SOURCES:
        (config / "sources" / f"{one['id']}.yaml").write_text(yaml.safe_dump(one))
        content = {"description": "any", "expectations": planted.suite(one)}
        (config / f"{one['id']}.yaml").write_text(yaml.safe_dump(content))
        (installation.served / str(one["id"])).mkdir(exist_ok=True)
    for name in ("ladders", "sponsorship", "student_view", "retention", "rights", "privacy_notice"):
        if (PROJECT / "config" / f"{name}.yaml").exists():
            (config / f"{name}.yaml").write_bytes((PROJECT / "config" / f"{name}.yaml").read_bytes())
    weights = {"attendance": 0.4, "vle": 0.3, "library_access": 0.2, "other": 0.1}
    scoring = {"category_weights": weights, "peer_levels": [{"name": "institution", "attributes": []}]}
    (config / "scoring.yaml").write_text(yaml.safe_dump(scoring))
    actions = [{"notify": "tutor"}, {"email_student": True}, {"case": "engagement"}, {"start": "nottingham"}]
    rules = [
        {"id": "silent", "title": "Silent", "when": {"notification": "no_digital_activity"}, "actions": actions},
        {"id": "low", "title": "Low", "when": {"score_below": 480}, "actions": actions[:1]},
    ]
    (config / "rules.yaml").write_text(yaml.safe_dump({"rules": rules}))
    secrets = {
        "PLANTED_TOKEN": f"{planted.HUSH}token",
        "PLANTED_MAIL": f"{planted.HUSH}mail",
        "PLANTED_CRM": "whsec_" + base64.b64encode(f"{planted.HUSH * 3}".encode()).decode(),
    }
    with ExitStack() as stack:
        # An own one: undone after the installation has ended, it would bring back what that had set.
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in secrets.items():
            environment.setenv(name, value)
        answers, post = stack.enter_context(planted.Answers()), stack.enter_context(planted.Post())
        environment.setenv("PLANTED_API", answers.url)
        environment.setenv("PLANTED_HOOK", f"{answers.url}/crm/{planted.HUSH}hook")
        messaging = {
            "delivery": "send",
            "quiet_hours": {"from": "03:00", "to": "03:01", "weekdays": []},
            "digest_at": "05:00",
            "data_engineers": "engineers@example.ac.uk",
            "smtp": {"host": "127.0.0.1", "port": post.port, "security": "none", "timeout_s": 5},
            "crm": {"url": "${PLANTED_HOOK}", "secret": "${PLANTED_CRM}", "timeout_s": 5},
            "limits": {"attempts": 2, "first_wait_s": 1, "per_recipient_per_hour": 50},
            "roles": {"student_support": "support@example.ac.uk", "visa": "visa@example.ac.uk"},
        }
        (config / "messaging.yaml").write_text(yaml.safe_dump(messaging))
        environment.setenv("ENGAGE_CONFIG", str(config))
        environment.setenv("ENGAGE_EXPECTATIONS", str(config))
        settings = replace(installation.settings, config=config, expectations=config)
        yield replace(installation, settings=settings, defs=build_defs(settings))


def run(house: Installation, *words: str) -> int:
    """What a person types; what it says is captured. Return the exit code."""
    house.monkeypatch.setattr("sys.argv", ["engage", *words])
    with pytest.raises(SystemExit) as done:
        main()
    return int(str(done.value.code))


def put(house: Installation, name: str, content: bytes) -> None:
    path = house.served / name.partition("_")[0] / name
    path.write_bytes(content)
    os.utime(path, (house.now.timestamp(), house.now.timestamp()))


def refuse(house: Installation, name: str, table: str, body: str) -> None:
    with connect(house.run.url, autocommit=True) as connection:
        connection.execute(REFUSE.format(name=name, table=table, body=body).encode())


def admit(house: Installation, name: str) -> None:
    with connect(house.run.url, autocommit=True) as connection:
        connection.execute(f"drop function {name} cascade".encode())


def later(house: Installation, **passed: float) -> None:
    house.at(house.now + timedelta(**passed))


def ticked(house: Installation) -> None:
    """Look twice, so that what is there has settled; what a sensor raises would stand in its tick."""
    house.tick("arrivals")
    later(house, minutes=2)
    house.tick("arrivals")


def a_term_in_which_everything_fails(house: Installation) -> None:
    house.at(house.now.replace(month=10, day=13))
    for name, lines in planted.rosters().items():
        put(house, f"{name}_20260928.{'jsonl' if name == 'notes' else 'csv'}", "\n".join([*lines, ""]).encode())
    for day in planted.DAYS:
        for name, lines in planted.days(day).items():
            put(house, f"{name}_{day:%Y%m%d}.csv", "\n".join([*lines, ""]).encode())
    # The database refuses the rows, quoting them, and then hangs up in the middle.
    refuse(house, "quoting", "pii.student", "raise exception 'no: %', new using detail = new::text")
    ticked(house)
    admit(house, "quoting")
    refuse(house, "killing", "raw.attendance", "perform pg_terminate_backend(pg_backend_pid())")
    later(house, minutes=10)
    house.tick("arrivals")
    admit(house, "killing")
    later(house, minutes=30)
    house.tick("arrivals")
    for name in ("silent", "low"):
        by = ("--by", "Qzxboss", "--reason", planted.REASON, "--from", "2026-09-28")
        assert run(house, "rules", "activate", name, *by) == 0
    house.job("everything")
    # What dbt writes is refused by what quotes the row.
    refuse(house, "marting", "marts.daily_activity", "raise exception 'no: %', new using detail = new::text")
    corrected = "\n".join([*planted.days(planted.DAYS[-1])["clicks"][:-1], ""]).encode()
    for name, content in (*planted.BAD.items(), ("clicks_20261012_v2.csv", corrected)):
        later(house, minutes=1)
        put(house, name, content)
    ticked(house)
    later(house, minutes=30)
    house.tick("arrivals")
    house.job("daily_marts")
    admit(house, "marting")
    house.job("weekly_scores")
    for _ in range(2):
        later(house, hours=4)
        house.tick()
        house.job("notify")
    house.job("freshness")
    for words in (["batch", "list"], ["source", "health"], ["incident", "list"], ["register"], ["batch", "show", "2"]):
        assert run(house, *words) == 0
    others(house)


def others(house: Installation) -> None:
    """The jobs of people's rights and of governance."""
    house.job("governance_summary")
    run(house, "report", "--kind", "on-request")
    assert run(house, "sar", "record", planted.student(0), "--by", "Qzxclerk") == 0
    for number in (1, 99):
        config = {"ops": {"copy": {"config": {"request_id": number, "by": "the clerk"}}}}
        driver.run_job(house.defs, house.instance, "subject_access", say=lambda _: None, config=config)
    if "retention" in {job.name for job in house.defs.jobs or []}:
        house.job("retention")


def of_dagster(url: str) -> Iterator[tuple[str, str]]:
    """Every row of Dagster's storage: events, runs, tags, ticks, cursors, metadata, results of checks."""
    with connect(url) as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
        for (name,) in tables:
            query = sql.SQL("select t::text from {} as t").format(sql.Identifier(str(name)))
            yield from ((f"Dagster's {name}", str(row)) for (row,) in connection.execute(query).fetchall())


def of_the_warehouse(url: str) -> Iterator[tuple[str, str]]:
    """Tables that are declared to hold nothing of students, the columns that lists show, and what owners were sent."""
    with connect(url) as connection:
        clean = [place.table for place in places(connection) if not place.is_personal and place.table != "pii.staff"]
        assert {"ops.batch_day", "ops.config_version"} <= set(clean)
        shown = {
            "ops.outbox": "select message_key, order_key, subject, error from ops.outbox",
            "ops.outbox to owners": "select o::text from ops.outbox as o where kind = 'owner'",
            "ops.batch": "select problem, notes::text from ops.batch",
            "ops.delivery": "select name from ops.delivery",
            "ops.rule_result": "select r::text from ops.rule_result as r",
            "ops.source_fault": "select f::text from ops.source_fault as f",
            "ops.incident": "select i::text from ops.incident as i",
            **{table: f"select t::text from {table} as t" for table in clean},
        }
        for where, query in shown.items():
            for row in connection.execute(query.encode()).fetchall():
                yield where, str(row)


def of_pdf(path: Path) -> str:
    """What its pages say, and every string in it: among the bytes of packed fonts any four letters stand somewhere."""
    reader = pypdf.PdfReader(path)
    numbers = {number for one in reader.xref.values() for number in one} | set(reader.xref_objStm)
    objects = [reader.get_object(pypdf.generic.IndirectObject(number, 0, reader)) for number in sorted(numbers)]
    assert len(objects) > 100
    return "\n".join([*(page.extract_text() for page in reader.pages), *map(str, objects)])


def of_files(house: Installation, server_log: Path) -> Iterator[tuple[str, str]]:
    """Every file of ENGAGE_HOME and Dagster's that is not about somebody, and the log of Postgres."""
    for path in sorted(house.run.home.rglob("*")):
        folders = set(path.relative_to(house.run.home).parts[:-1])
        # The template of Dagster's storage is a fixture's.
        if path.is_file() and not folders & {*ABOUT_PEOPLE, "template"}:
            said = of_pdf(path) if path.suffix == ".pdf" else path.read_bytes().decode("utf-8", "replace")
            yield str(path), path.name + said
    yield "the log of Postgres", server_log.read_text(errors="replace")


def test_no_planted_value_is_where_it_does_not_belong(
    house: Installation,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    # Of the mail server that this test plays.
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    assert len(planted.PLANTED) >= 200 and all(planted.MARKS.search(value) for value in planted.PLANTED)
    a_term_in_which_everything_fails(house)

    with connect(house.run.url) as connection:
        folder = connection.execute("show data_directory").fetchone()
    server_log = Path(str(folder and folder[0])).parent / "server.log"
    out = capfd.readouterr()
    texts = [
        ("standard output", out.out),
        ("standard error", out.err),
        ("the log", caplog.text),
        *of_dagster(str(house.run.dagster_url)),
        *of_the_warehouse(house.run.url),
        *of_files(house, server_log),
    ]
    key = Path(os.environ["CAMPUS_SFTP_KEY"]).read_text().splitlines()[2]
    secrets = [planted.HUSH, os.environ["PLANTED_CRM"][6:40], key, str(urlsplit(house.run.url).password)]
    leaks = {(where, found) for where, text in texts for found in planted.MARKS.findall(text)}
    leaks |= {(where, secret[:9]) for where, text in texts for secret in secrets if secret in text}
    assert leaks == set()
    reached(house)


def reached(house: Installation) -> None:
    """A term in which nothing happens leaks nothing: say that all of it did."""
    held = {source for (source,) in house.query("select distinct source_id from ops.batch where state = 'held'")}
    assert held >= {"gates", "clicks", "register", "notes", "api"}
    published = {
        source for (source,) in house.query("select distinct source_id from ops.batch where state='published'")
    }
    assert published == {str(one["id"]) for one in planted.SOURCES} - {"api", "contacts"}
    told = {kind for (kind,) in house.query("select distinct kind from ops.outbox")}
    assert told >= {"owner", "digest", "student", "case"}, told
    errors = {error for (error,) in house.query("select distinct error from ops.outbox where error is not null")}
    assert len(errors) >= 3, errors
    assert house.query("select count(*) > 0 from marts.weekly_score where score is not null") == [(True,)]
    assert house.query("select count(*) > 5 from quarantine.row") == [(True,)]
    raised = house.query("select count(*) > 2 from ops.notification where status = 'raised' and kind <> 'score'")
    assert raised == [(True,)]
    failed = house.instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    assert {record.dagster_run.job_name for record in failed} >= {"ingest", "daily_marts", "subject_access"}
