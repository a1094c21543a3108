"""Source files: what is refused, with a message that names file and key and never repeats a value."""

import traceback
from collections.abc import Callable
from datetime import time, timedelta
from pathlib import Path

import pytest

from engage.sources import ConfigurationError, Rest, load_source, load_sources, resolve

GATE = r"""
id: gate
title: Library gate
system: gates
description: Swipes at the library gates
record: activity
relation: replace_days
transport:
  kind: sftp
  host: ${GATE_HOST}
  port: ${GATE_PORT}
  username: engage
  private_key: ${GATE_KEY}
  known_hosts: /etc/engage/known_hosts
  folder: /out
  pattern: 'gate_(?P<day>\d{8})\.csv'
format:
  kind: csv
columns:
  student_ref: {name: USERNAME}
  occurred_at: {name: TIMESTAMP, formats: ["%d/%m/%Y %H:%M:%S"]}
category: library_access
enabled_from: 2026-10-01
owner:
  name: Library systems
  email: systems@example.ac.uk
privacy:
  lawful_basis: public task
  dpia_reference: DPIA-7
  retention_days: 400
"""
REST = """
  kind: rest
  base_url: https://vle.example.ac.uk
  path: /views
  token: ${VLE_TOKEN}
  paging: {style: link_header}
"""
SFTP = GATE[GATE.index("  kind: sftp") - 1 : GATE.index("format:")]

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes GATE with one text replaced by another."""

    def changed(old: str = "", new: str = "") -> Path:
        assert old in GATE
        path = tmp_path / "gate.yaml"
        path.write_text(GATE.replace(old, new, 1), encoding="utf-8")
        return path

    return changed


def test_a_good_file_is_read(write: Write) -> None:
    source = load_source(write("", ""))
    assert source.headings == ["USERNAME", "TIMESTAMP"] and source.freshness.fail_after_h == 48


@pytest.mark.parametrize(
    ("old", "new", "key", "problem"),
    [
        ("  dpia_reference: DPIA-7", "  dpia_reference: ' '", "privacy.dpia_reference", "at least 1 character"),
        ("  lawful_basis: public task", "  lawful_basis: ''", "privacy.lawful_basis", "at least 1 character"),
        ("category:", "colour: red\ncategory:", "colour", "Extra inputs are not permitted"),
        ("  folder: /out", "  folder: /out\n  passwort: x", "transport.passwort", "Extra inputs are not permitted"),
        ("owner:\n  name: Library systems\n  email: systems@example.ac.uk\n", "", "owner", "Field required"),
        ("  dpia_reference: DPIA-7\n", "", "privacy.dpia_reference", "Field required"),
        ("400", "a while", "privacy.retention_days", "Input should be a valid integer"),
        ("kind: sftp", "kind: ftp", "transport", "Input tag 'ftp' found"),
        ("${GATE_KEY}", "hunter2", "transport.private_key", "must be written as ${ENV_NAME}"),
        ("student_ref:", "student:", "columns: student", "not a field of activity"),
        ("  student_ref: {name: USERNAME}\n", "", "columns: student_ref", "required for activity"),
        (', formats: ["%d/%m/%Y %H:%M:%S"]', "", "columns.occurred_at.formats", "required for a timestamp"),
        (r"(?P<day>\d{8})", "(?P<day>", "transport.pattern", "is not a regular expression"),
        ("(?P<day>", "(?P<from>", "transport.pattern", "must have the group `day`, or both `from` and `to`"),
        ("kind: csv", "kind: csv\n  time_zone: Europe/Leeds", "format.time_zone", "is not the name of a time zone"),
        ("kind: csv", "kind: csv\n  encoding: utf-9", "format.encoding", "is not the name of an encoding"),
        ("replace_days", "snapshot", "relation", "snapshot does not fit the record activity"),
        ("replace_days", "append", "relation", "append needs the column event_id"),
        ("category: library_access\n", "", "category", "required for activity"),
        ("id: gate", "id: door", "id", "must be gate, like the file"),
        ("title:", "freshness: {warn_after_h: 72}\ntitle:", "freshness", "warn_after_h must not be larger"),
        ("title:", "identified_by: shoe_size\ntitle:", "identified_by", "must be one of student_id"),
    ],
)
def test_a_wrong_file_is_refused_naming_file_and_key(write: Write, old: str, new: str, key: str, problem: str) -> None:
    path = write(old, new)
    with pytest.raises(ConfigurationError) as raised:
        load_source(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: {key}") and problem in message


def test_every_wrong_key_is_named_at_once(write: Write) -> None:
    path = write("title: Library gate\nsystem: gates\n", "")
    with pytest.raises(ConfigurationError, match=r"(?s)title: Field required.*system: Field required"):
        load_source(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("${GATE_KEY}", "hunter2"),
        ("${GATE_KEY}", "[hunter2]"),
        ("${GATE_KEY}", "hunter2: {"),
        ("private_key: ${GATE_KEY}", "private_key: ${GATE_KEY}\n  password: hunter2"),
        (SFTP, REST.replace("${VLE_TOKEN}", "hunter2")),
        (SFTP, REST.replace("${VLE_TOKEN}", "'hunter2")),
    ],
)
def test_no_message_repeats_a_secret(write: Write, old: str, new: str) -> None:
    path = write(old, new)
    with pytest.raises(ConfigurationError) as raised:
        load_source(path)
    printed = "".join(traceback.format_exception(raised.value))
    assert str(path) in printed and "hunter2" not in printed


def test_broken_yaml_names_the_line(write: Write) -> None:
    with pytest.raises(ConfigurationError, match=r"gate.yaml: line \d+: not YAML"):
        load_source(write("columns:", "columns: [" + ":"))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_bytes(b"id: \xff\xfe")
    with pytest.raises(ConfigurationError, match=r"gate.yaml: cannot be read"):
        load_source(tmp_path / "gate.yaml")


def test_an_api_needs_a_first_day(write: Write) -> None:
    with pytest.raises(ConfigurationError, match=r"transport.start: required while enabled_from is empty"):
        load_source(write(GATE[1:], GATE[1:].replace(SFTP, REST).replace("enabled_from: 2026-10-01\n", "")))
    transport = load_source(write(SFTP, REST)).transport
    assert isinstance(transport, Rest) and transport.window == timedelta(days=1)


def test_what_yaml_makes_of_unquoted_words_and_times_is_understood(write: Write) -> None:
    record = GATE.replace("record: activity", "record: attendance").replace("library_access", "attendance")
    record = record.replace("occurred_at:", "starts_at:").replace(
        "category:", "  attended: {name: SEEN, true: [P], false: [A]}\ndelivered_at: 16:30\ncategory:"
    )
    source = load_source(write(GATE, record))
    assert (source.columns["attended"].true, source.columns["attended"].false) == (["P"], ["A"])
    assert source.delivered_at == time(16, 30)


def test_rosters_come_first_and_an_empty_folder_is_an_error(tmp_path: Path, write: Write) -> None:
    folder = tmp_path / "sources"
    folder.mkdir()
    with pytest.raises(ConfigurationError, match="holds no source file"):
        load_sources(tmp_path)
    (folder / "gate.yaml").write_text(GATE)
    roster = GATE.replace("id: gate", "id: roster").replace("record: activity", "record: students")
    roster = roster.replace("replace_days", "snapshot").replace("category: library_access\n", "")
    start, end = roster.index("  student_ref"), roster.index("enabled_from")
    (folder / "roster.yaml").write_text(roster[:start] + "  student_id: {name: ID}\n" + roster[end:])
    assert list(load_sources(tmp_path)) == ["roster", "gate"]


def test_values_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATE_HOST", "sftp.example.ac.uk")
    assert resolve("${GATE_HOST}") == "sftp.example.ac.uk" and resolve("plain") == "plain"
    with pytest.raises(ConfigurationError, match="the environment variable GATE_PORT is not set"):
        resolve("${GATE_PORT}")
