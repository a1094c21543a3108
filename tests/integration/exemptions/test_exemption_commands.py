"""Exemptions from the command line and from the UI, as docs/exemptions.md tells it."""

import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from assets.resources import WarehouseResource
from engage.cli import main
from engage.settings import PROJECT
from engage.warehouse import Connection
from orchestration.exemptions import exemption_jobs
from tests.integration.exemptions.kit import ABSENCE, at, file_of, june

PAGE = (PROJECT / "docs" / "exemptions.md").read_text()
Engage = Callable[..., tuple[object, str, str]]


@pytest.fixture
def engage(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Engage:
    """Return a function that runs `engage exemption WORDS` and returns exit code, output and errors."""

    def run(*words: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["engage", "exemption", *words])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return left.value.code or 0, said.out, said.err

    return run


def test_what_the_page_tells_to_type_works(
    known: Connection, engage: Engage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known.execute(
        "insert into pii.student (student_id, as_of_date) values ('10000001', '2026-06-01'), ('10000002', '2026-06-01')"
    )
    known.commit()
    monkeypatch.chdir(tmp_path)
    ((content,),) = [re.findall(r"```csv\n(.*?)```", PAGE, re.DOTALL)]
    Path("placements.csv").write_text(content)
    lines = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    told = {}
    for words in map(shlex.split, lines):
        assert words[:2] == [".venv/bin/engage", "exemption"]
        code, out, _ = engage(*words[2:])
        assert code == 0, words
        told[words[2]] = out
    assert len(lines) == 8
    assert told["add"] == "exemption 1 is made\n"
    assert told["extend"] == "exemption 1 (2026-06-05 to 2026-06-12) is what it is now\n"
    assert told["delete"] == "exemption 1 (2026-06-08 to 2026-06-19) is deleted\n"
    assert "leave granted" in told["history"] and "Grace" in told["history"]
    assert [row["exemption_id"] for row in json.loads(told["list"])] == [3]
    report = Path("report.csv").read_text().splitlines()
    assert report == ["line,result,exemption_id,why", "2,added,2,exemption 2 is made", "3,added,3,exemption 3 is made"]

    # And what it says of the UI.
    configs = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    jobs = {job.name: job for job in exemption_jobs()}
    (folder := tmp_path / "home" / "exemptions").mkdir()
    (folder / "placements.csv").write_text(content)
    for name, config in zip(jobs, configs, strict=True):
        assert jobs[name].execute_in_process(config, resources={"warehouse": WarehouseResource()}).success
    assert "there already" in (folder / "placements.csv.report.csv").read_text()
    moved = known.execute("select distinct ends_on from ops.exemption where deleted_at is null").fetchall()
    assert moved == [(june(10).replace(month=7),)]


def test_exit_codes_and_json(
    known: Connection, engage: Engage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = ("--from", "2026-06-05", "--to", "2026-06-09")
    assert engage("list")[:2] == (0, "no exemption\n")
    assert engage("add", "s1", "--type", "authorised absence", *days, "--by", " Lin ")[0] == 0
    code, out, err = engage("add", "stranger", "--type", ABSENCE, *days)
    assert (code, out, err) == (1, "", "no roster has named this student\n")
    assert engage("add", "s1", "--type", "Holiday", *days)[0] == 2
    assert engage("add", "s1", "--type", ABSENCE, "--from", "5 June", "--to", "2026-06-09")[0] == 2
    assert engage("extend", "9", "--to", "2026-06-20")[0] == 1
    assert engage("history", "9") == (1, "", "there is no exemption 9\n")

    file = file_of(tmp_path / "f.csv", f"s1,{ABSENCE},2026-06-09,2026-06-10", "s2,Withdrawn,2026-06-03,2026-06-04")
    code, out, err = engage("bulk", str(file), "--json")
    assert (code, err) == (1, "1 added, 0 there already, 1 refused\n")
    assert [(row["line"], row["result"]) for row in json.loads(out)] == [(2, "refused"), (3, "added")]
    code, out, _ = engage("bulk", str(file), "--report", str(tmp_path / "report.csv"))
    assert code == 1 and "there already" in out and "there already" in (tmp_path / "report.csv").read_text()
    assert engage("bulk", str(tmp_path / "none.csv"))[0] == 2
    code, _, err = engage("bulk", str(file_of(tmp_path / "g.csv", header="a,b")))
    assert code == 2 and err.startswith(f"{tmp_path / 'g.csv'}: its first line must name")

    monkeypatch.setenv("ENGAGE_NOW", at(june(7)).isoformat())
    assert engage("delete", "1")[0] == 0
    (first,) = json.loads(engage("list", "--json")[1])
    assert (first["state"], first["ends_on"], first["created_by"], first["changed_by"]) == (
        "in force",
        "2026-06-07",
        "Lin",
        "Grace",
    )
    told = json.loads(engage("list", "--all", "--type", "Withdrawn", "--json")[1])
    assert [(one["student_id"], one["state"]) for one in told] == [("s2", "over")]
    changes = json.loads(engage("history", "1", "--json")[1])
    assert [(one["action"], one["ends_on"]) for one in changes] == [("add", "2026-06-09"), ("delete", "2026-06-07")]


def test_the_jobs_say_what_was_refused_and_name_no_student(
    known: Connection, home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder := home / "exemptions").mkdir(parents=True)
    file_of(folder / "june.csv", f"s1,{ABSENCE},2026-06-05,2026-06-09", f"stranger,{ABSENCE},2026-06-05,2026-06-09")
    jobs = {job.name: job for job in exemption_jobs()}

    def run(job: str, **config: Any) -> tuple[bool, str]:
        name = "exempt" if job == "exempt_students" else "change"
        with dg.DagsterInstance.ephemeral() as instance:
            result = jobs[job].execute_in_process(
                {"ops": {name: {"config": {"by": "Lin", **config}}}},
                resources={"warehouse": WarehouseResource(url=database_url)},
                raise_on_error=False,
                instance=instance,
            )
            kept = " ".join(str(event) for event in instance.all_logs(result.run_id))
        assert "stranger" not in kept and "'s1'" not in kept
        return result.success, kept

    done, kept = run("exempt_students", file="june.csv")
    assert not done and "1 added, 0 there already, 1 refused" in kept and "june.csv.report.csv says why" in kept
    assert "3,refused,,no roster has named this student" in (folder / "june.csv.report.csv").read_text()
    assert known.execute("select student_id, created_by from ops.exemption").fetchall() == [("s1", "Lin")]
    assert "without a folder" in run("exempt_students", file="../june.csv")[1]
    assert "No such file" in run("exempt_students", file="july.csv")[1]

    done, kept = run("change_exemptions", action="extend", exemption_ids=[9, 1], ends_on="2026-06-12")
    assert not done and "there is no exemption 9" in kept and "exemption 1 (2026-06-05 to 2026-06-12)" in kept
    assert run("change_exemptions", action="move", exemption_ids=[1], starts_on="2026-06-08", ends_on="2026-06-30")[0]
    assert "ends_on: must be given" in run("change_exemptions", action="extend", exemption_ids=[1])[1]
    assert "must be a day as" in run("change_exemptions", action="move", exemption_ids=[1], ends_on="1 July")[1]
    assert run("change_exemptions", action="delete", exemption_ids=[1])[0]
    assert known.execute("select action, changed_by from ops.exemption_change order by change_id").fetchall() == [
        (action, "Lin") for action in ("add", "extend", "move", "delete")
    ]
