"""A warehouse with two sources, a mail server and a chat program: all real, all on this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.gate.kit import Gate
from tests.integration.owners.kit import Desk, MailServer


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture
def desk(database_url: str, tmp_path: Path, mail_server: MailServer) -> Iterator[Desk]:
    with Desk(Gate(database_url, tmp_path / "landing"), tmp_path, mail_server.port) as desk:
        yield desk
