"""A plausible university with three weekly editions, and the files of the newest."""

from pathlib import Path

import pytest

from engage.report import files
from engage.report.document import Document
from engage.report.stored import read
from engage.report.summary import summary
from engage.warehouse import Connection
from tests.integration.report.plausible import University

NEWEST, BEFORE = "weekly-2026-11-22", "weekly-2026-11-15"


@pytest.fixture
def university(warehouse: Connection) -> University:
    university = University(warehouse)
    before = university.edition(11)
    university.edition(12, previous=before)
    warehouse.commit()
    return university


@pytest.fixture
def document(university: University) -> Document:
    return summary(read(university.connection, NEWEST))


@pytest.fixture
def folder(university: University, tmp_path: Path) -> Path:
    """Folder of the newest edition, in the archive `tmp_path/reports`."""
    return files.write(university.connection, NEWEST, tmp_path / "reports")
