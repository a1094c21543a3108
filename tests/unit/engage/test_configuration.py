"""The scoring configuration: what cannot be meant is refused, naming file and key."""

import re
from datetime import time
from pathlib import Path

import pytest
import yaml

from engage.scoring import Scoring, load_scoring
from engage.settings import PROJECT
from engage.sources import ConfigurationError

GOOD = yaml.safe_load((PROJECT / "config" / "scoring.yaml").read_text())


def load(folder: Path, **changes: object) -> None:
    (folder / "scoring.yaml").write_text(yaml.safe_dump(GOOD | changes))
    load_scoring(folder)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [0.2, 1.0], [1.0, 0.0, 0.25]])
def test_weights_of_weeks(tmp_path: Path, weights: list[float]) -> None:
    load(tmp_path, week_weights=weights)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"week_weights": []}, "week_weights"),
        ({"week_weights": [0.0, 1.0]}, "week_weights"),
        ({"week_weights": [1.0, -1.0]}, "week_weights"),
        ({"time_zone": "Europe/Lundon"}, "time_zone"),
        ({"category_weights": {"vle": 0.7, "other": 0.4}}, "category_weights"),
        ({"peer_levels": []}, "peer_levels"),
        ({"peer_levels": [{"name": "a", "attributes": []}] * 2}, "peer_levels"),
        ({"peer_levels": [{"name": "a", "attributes": ["shoe_size"]}]}, "peer_levels"),
        ({"calibrations": "zscore"}, "calibrations: there is no such key; did you mean calibration"),
        ({"max_z": float("inf")}, "max_z"),
        ({"publish_at": 14 * 60, "wait_until": "13:59"}, "wait_until"),
        ({"concern_below": 351}, "concern_below"),
        ({"rating_cuts": [1, 2, 2, 3]}, "rating_cuts"),
        ({"peer_sets": {"published": [{"name": "a", "attributes": []}]}}, "peer_sets"),
        ({"peer_sets": {"by_mode": []}}, "peer_sets: by_mode"),
        ({"peer_sets": {"": GOOD["peer_levels"]}}, "peer_sets: each needs a name"),
        ({"peer_levels": [{"name": "", "attributes": []}]}, "peer_levels"),
        ({"category_weights": 1}, "category_weights: must be keys with their values"),
        ({"decline_over": 3_000_000_000}, "decline_over"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, changes: dict[str, object], key: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"scoring\.yaml: .*{key}"):
        load(tmp_path, **changes)


def test_what_the_file_says_of_the_defaults_is_so() -> None:
    text = (PROJECT / "config" / "scoring.yaml").read_text()
    said = {
        key: value
        for line in re.findall(r"^# ([a-z_]+: .+)$", text, re.MULTILINE)
        for key, value in yaml.safe_load(line).items()
        if key != "peer_sets"
    }
    assert said.keys() | GOOD.keys() | {"peer_sets"} == Scoring.model_fields.keys()
    assert Scoring.model_validate(GOOD | said) == Scoring.model_validate(GOOD)


def test_a_time_need_not_stand_in_quotes(tmp_path: Path) -> None:
    (tmp_path / "scoring.yaml").write_text(yaml.safe_dump(GOOD) + "publish_at: 09:30\nwait_until: 16:30\n")
    assert (load_scoring(tmp_path).publish_at, load_scoring(tmp_path).wait_until) == (time(9, 30), time(16, 30))
