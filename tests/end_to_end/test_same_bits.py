"""The same inputs on two installations that work differently: every mart is exported byte for byte the same."""

import json
from pathlib import Path

from tests.end_to_end.conftest import OULAD_PROFILE, engage

# Every plan in parallel and through sorts, little memory, and another idea of times and of the order of hashes.
OTHERWISE = {
    "PGOPTIONS": " ".join(
        f"-c{name}={value}"
        for name, value in {
            "parallel_setup_cost": 0,
            "parallel_tuple_cost": 0,
            "min_parallel_table_scan_size": 0,
            "max_parallel_workers_per_gather": 4,
            "enable_hashagg": "off",
            "enable_hashjoin": "off",
            "timezone": "Pacific/Auckland",
        }.items()
    ),
    "TZ": "Pacific/Auckland",
    "PYTHONHASHSEED": "7",
}


def exported(home: Path, piece: Path, **extra: str) -> dict[str, bytes]:
    done = engage(home, "replay", "oulad", str(piece), **OULAD_PROFILE, **extra)
    assert done.returncode == 0, done.stdout + done.stderr
    done = engage(home, "export", str(home / "marts"), "--json", **OULAD_PROFILE)
    assert done.returncode == 0, done.stderr
    files = {path.stem: path.read_bytes() for path in (home / "marts").iterdir()}
    assert {one["mart"] for one in json.loads(done.stdout)} == set(files)
    return files


def test_every_mart_is_exported_with_the_same_bytes(tmp_path: Path, piece: Path) -> None:
    one = exported(tmp_path / "one" / "home", piece)
    other = exported(tmp_path / "other" / "home", piece, **OTHERWISE)
    assert [name for name in one if one[name] != other.get(name)] == []
    assert set(other) == set(one) >= {"daily_activity", "student", "weekly_score", "weekly_score_part", "source_health"}
    assert one["weekly_score"].count(b"\n") > 50
