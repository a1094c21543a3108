"""A warehouse with students and staff, and a mail server: real, and on this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.owners.kit import MailServer
from tests.integration.people.kit import Office


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture
def office(database_url: str, tmp_path: Path, mail_server: MailServer) -> Iterator[Office]:
    with Office(database_url, tmp_path, mail_server.port) as office:
        yield office
