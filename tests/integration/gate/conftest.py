"""The one fixture of these tests; what it is made of is in kit.py."""

from pathlib import Path

import pytest

from tests.integration.gate.kit import Gate


@pytest.fixture
def gate(database_url: str, tmp_path: Path) -> Gate:
    """A warehouse of its own with a landing store."""
    return Gate(database_url, tmp_path / "landing")
