"""The parsed project that is kept is that of the files there are, whatever their dates."""

import json
import os
import shutil
from pathlib import Path

import pytest

from engage import dbt
from tests.integration.dbt.conftest import Project


def test_a_release_whose_files_are_older_than_what_was_parsed_is_parsed(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, release = tmp_path / "home", tmp_path / "release"
    shutil.copytree(project.home / "dbt" / "target", home / "dbt" / "target")
    shutil.copytree(dbt.PROJECT, release)
    (release / "models" / "staging" / "stg_new.sql").write_text("select 1 as one")
    for path in [release, *release.rglob("*")]:
        os.utime(path, (0, 0))
    monkeypatch.setattr(dbt, "PROJECT", release)
    assert "model.engage.stg_new" in json.loads(dbt.parse(home).read_text())["nodes"]
    before = dbt.manifest_path(home).stat().st_mtime_ns
    assert dbt.parse(home).stat().st_mtime_ns == before, "once"
