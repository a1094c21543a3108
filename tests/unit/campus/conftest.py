"""What the tests of the campus share: where the Open University's tables lie."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def oulad_dir() -> Path:
    """The three presentations of OULAD."""
    return Path(__file__).parents[2] / "data" / "oulad"
