"""What the tests of the campus share: where the Open University's tables lie."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def oulad_dir() -> Path:
    """The three presentations of OULAD: ENGAGE_OULAD_DIR, else beside the checkout."""
    return Path(os.environ.get("ENGAGE_OULAD_DIR", Path(__file__).parents[4] / "shared" / "data" / "oulad"))
