"""A warehouse with what the governance summary reads, and nobody in it yet."""

import pytest

from engage.warehouse import Connection
from tests.integration.governance.kit import Registry


@pytest.fixture
def registry(warehouse: Connection) -> Registry:
    return Registry(warehouse)
