"""A host key that changed: nothing is read until a person has confirmed the new one, by the command that the message
names."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from engage.cli import cli
from engage.connectors import AccessError
from engage.connectors.host_keys import HostKeys
from engage.landing import look
from engage.strict import ConfigurationError
from engage.transports import Sftp
from engage.warehouse import Connection
from tests.integration.landing.kit import NOW, Server, SourceFactory, settle_and_land


@pytest.mark.parametrize("before", ["other_host.pub", None], ids=["changed", "never known"])
def test_files_are_read_once_the_new_key_is_trusted(
    warehouse: Connection,
    server: Server,
    sftp_source: SourceFactory,
    store: str,
    keys: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: str | None,
) -> None:
    server.write("gate_20261001.csv")
    others = f"# kept by hand\nother.example {keys['client.pub'].read_text()}"
    known = f"[127.0.0.1]:{server.port} {keys[before].read_text()}" if before else ""
    server.known_hosts.write_text(others + known)
    source = sftp_source()
    with pytest.raises(AccessError, match=r"so nothing is read; run `(.*)` after confirming the fingerprint") as raised:
        look(warehouse, source, NOW)
    assert server.connections == 0
    command = str(raised.value).split("`")[1].split()
    assert command == ["engage", "source", "trust", "gate"]

    (tmp_path / "config" / "sources").mkdir(parents=True)
    said = json.loads(source.model_dump_json(exclude_defaults=True))
    (tmp_path / "config" / "sources" / "gate.yaml").write_text(yaml.safe_dump(said))
    monkeypatch.setenv("ENGAGE_CONFIG", str(tmp_path / "config"))
    declined = CliRunner().invoke(cli, command[1:], input="n\n")
    assert declined.exit_code == 1 and server.known_hosts.read_text() == others + known
    done = CliRunner().invoke(cli, [*command[1:], "--yes"])
    assert done.exit_code == 0, done.output
    assert done.output.count("SHA256:") == (2 if before else 1)
    assert server.known_hosts.read_text().startswith(others)
    assert (keys["other_host.pub"].read_text().split()[1] in server.known_hosts.read_text()) is False
    assert len(settle_and_land(warehouse, source, store).landed) == 1
    assert "trusted already" in CliRunner().invoke(cli, command[1:]).output


def test_a_line_about_several_hosts_is_left_to_a_person(
    server: Server, sftp_source: SourceFactory, keys: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = f"[127.0.0.1]:{server.port},other.example {keys['other_host.pub'].read_text()}"
    server.known_hosts.write_text(line)
    (tmp_path / "config" / "sources").mkdir(parents=True)
    said = json.loads(sftp_source().model_dump_json(exclude_defaults=True))
    (tmp_path / "config" / "sources" / "gate.yaml").write_text(yaml.safe_dump(said))
    monkeypatch.setenv("ENGAGE_CONFIG", str(tmp_path / "config"))
    refused = CliRunner().invoke(cli, ["source", "trust", "gate", "--yes"])
    assert refused.exit_code == 1 and "correct it by hand" in str(refused.exception)
    assert server.known_hosts.read_text() == line


def test_a_revoked_key_and_a_port_that_is_none_are_not_taken(
    server: Server, sftp_source: SourceFactory, keys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = sftp_source().transport
    assert isinstance(transport, Sftp)
    server.known_hosts.write_text(f"@revoked [127.0.0.1]:{server.port} {keys['host.pub'].read_text()}")
    found = HostKeys(transport)
    assert found.shown not in found.known
    with pytest.raises(ConfigurationError, match="is revoked; ask its owner"):
        found.trust()
    monkeypatch.setenv("TEST_SFTP_PORT", "twenty-two")
    with pytest.raises(ConfigurationError, match=r"transport\.port of 127\.0\.0\.1: must be a number"):
        HostKeys(transport)
