"""Looks side by side: who hangs keeps nobody waiting, and is not asked again meanwhile."""

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncssh
import pytest

from engage.lookout import Lookout
from engage.sources import Source
from engage.warehouse import Connection, connect
from tests.integration.graph import kit

NOW = datetime(2026, 10, 10, 6, tzinfo=UTC)


def test_a_server_that_hangs_is_named_and_keeps_no_other_waiting(
    warehouse: Connection, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, key = tmp_path / "drop", tmp_path / "key"
    folder.mkdir()
    (folder / "roster_20261009.csv").write_text("id\n")
    drop = {"kind": "file_drop", "folder": str(folder), "pattern": r"roster_(?P<day>\d{8})\.csv"}
    roster = Source.model_validate({**kit.SOURCES[0], "transport": drop})
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(key)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (tmp_path / "known_hosts").write_text("")
        environment = {"HOST": "127.0.0.1", "PORT": silent.getsockname()[1], "KEY": key}
        for name, value in {**environment, "KNOWN_HOSTS": tmp_path / "known_hosts"}.items():
            monkeypatch.setenv(f"CAMPUS_SFTP_{name}", str(value))
        gates = Source.model_validate(kit.SOURCES[1])
        lookout = Lookout(within_s=0.5)
        # The one that hangs first, so that it would be in the way.
        sights = [
            lookout.look([gates, roster], lambda: connect(database_url), NOW + n * timedelta(minutes=1))
            for n in range(3)
        ]
        asked, _ = silent.accept()
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.accept()
        # Let it come to its end.
        asked.close()
        last = lookout.look([], lambda: connect(database_url), NOW)
    assert [sight.late for sight in sights] == [["gates"]] * 3
    assert [len(sight.seen["roster"].settled) for sight in sights] == [0, 1, 1]
    assert last.late == []
    assert last.seen["gates"].unreachable, "what a late look found is told by a later round"
