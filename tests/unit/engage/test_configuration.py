"""The scoring configuration: what cannot be meant is refused, naming file and key."""

from pathlib import Path

import pytest
import yaml

from engage.configuration import load_scoring
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
        ({"calibrations": "zscore"}, "calibrations"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, changes: dict[str, object], key: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"scoring\.yaml: .*{key}"):
        load(tmp_path, **changes)
