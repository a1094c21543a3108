"""A slice of real data in one run, in shuffled portions, and day by day through the sensors: the marts are the same."""

from pathlib import Path

import pytest

from tests.end_to_end.conftest import OULAD_PROFILE, engage, marts, warehouse_of


@pytest.mark.parametrize("how", [["--shuffle", "11"], ["--daily"]], ids=["shuffled", "daily"])
def test_any_order_gives_the_same_marts(
    how: list[str], tmp_path: Path, piece: Path, in_one_run: dict[str, list[tuple[object, ...]]]
) -> None:
    done = engage(tmp_path / "home", "replay", "oulad", str(piece), *how, **OULAD_PROFILE)
    assert done.returncode == 0, done.stdout + done.stderr
    with warehouse_of(tmp_path / "home") as connection:
        assert marts(connection) == in_one_run
