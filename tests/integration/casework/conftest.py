"""An office with a warehouse and a CRM, both real, on this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engage.warehouse import Connection
from tests.integration.casework.kit import DBT, SECRET, Crm, Office
from tests.integration.owners.conftest import certificate

__all__ = ["certificate"]


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Crm]:
    with Crm() as crm:
        monkeypatch.setenv("ENGAGE_CRM_URL", crm.url)
        monkeypatch.setenv("ENGAGE_CRM_SECRET", SECRET)
        yield crm


@pytest.fixture
def office(warehouse: Connection, crm: Crm, tmp_path: Path) -> Office:
    warehouse.execute(DBT)
    warehouse.commit()
    return Office(warehouse, crm, tmp_path)
