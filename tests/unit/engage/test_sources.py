"""Source files: what is refused, with a message that names file and key and never repeats a value."""

import traceback
from collections.abc import Callable
from datetime import time, timedelta
from pathlib import Path

import pytest

from engage import typed_pass
from engage.sources import ConfigurationError, load_source, load_sources, resolve
from engage.transports import Rest

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
        ("category:", "colour: red\ncategory:", "colour", "there is no such key"),
        (
            "  folder: /out",
            "  folder: /out\n  patern: x",
            "transport.patern",
            "there is no such key; did you mean pattern?",
        ),
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
        ("%d/%m/%Y %H:%M:%S", "%d %b %Y", "columns.occurred_at.formats.0", "must be iso8601, epoch_s, or made of %d"),
        ("%d/%m/%Y %H:%M:%S", "iso", "columns.occurred_at.formats.0", "must be iso8601, epoch_s, or made of %d"),
        ("%d/%m/%Y %H:%M:%S", "%m/%Y", "columns.occurred_at.formats.0", "needs %d, %m and one of %Y and %y"),
        ("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%m", "columns.occurred_at.formats.0", "each part at most once"),
        ("%d/%m/%Y %H:%M:%S", "%d/%m/%Y%", "columns.occurred_at.formats.0", "must be iso8601, epoch_s, or made of %d"),
        ("kind: csv", "kind: csv\n  delimiter: ;;", "format.delimiter", "must be one ASCII character"),
        ("kind: csv", "kind: csv\n  delimiter: ''", "format.delimiter", "must be one ASCII character"),
        ("kind: csv", "kind: csv\n  delimiter: §", "format.delimiter", "must be one ASCII character"),
        ("kind: csv", 'kind: csv\n  quote: "\\n"', "format.quote", "must be one ASCII character"),
        ("kind: csv", "kind: csv\n  quote: ''", "format.quote", "must be one ASCII character"),
        ("kind: csv", "kind: csv\n  delimiter: '\"'", "format", "delimiter and quote must differ"),
        ("kind: csv", "kind: csv\n  footer: '('", "format.footer", "is not a regular expression"),
        ("kind: csv", "kind: csv\n  footer: '^TOTAL|'", "format.footer", "would take any line for the closing one"),
        ("kind: csv", "kind: csv\n  encoding: base64", "format.encoding", "is not the name of an encoding"),
        ("kind: csv", "kind: csv\n  encoding: undefined", "format.encoding", "is not the name of an encoding"),
        ("  folder: /out", "  folder: /out\n  day_format: '%Q'", "transport.day_format", "must name a day"),
        ("  folder: /out", "  folder: /out\n  day_format: '%Y%m'", "transport.day_format", "must name a day"),
        ("  folder: /out", "  folder: /out\n  day_format: '%d%d'", "transport.day_format", "must name a day"),
        ("${GATE_PORT}", "abc", "transport.port", "must be a number from 1 to 65535, or ${ENV_NAME}"),
        ("${GATE_PORT}", "70000", "transport.port", "must be a number from 1 to 65535, or ${ENV_NAME}"),
        ("title:", "disabled_from: 2026-01-01\ntitle:", "disabled_from", "must not be before enabled_from"),
        (
            "title:",
            "drop: [{column: D, reason: exits}]\ntitle:",
            "drop.0",
            "needs equals, matches, not_null: true or is_null",
        ),
        ("title:", "drop: [{column: D, equals: [' '], reason: e}]\ntitle:", "drop.0.equals.0", "at least 1 character"),
        (SFTP, REST, "format.kind", "an API delivers jsonl, not csv"),
        (SFTP, REST + "  timeout_s: 0\n", "transport.timeout_s", "greater than 0"),
        (SFTP, REST + "  max_attempts: 0\n", "transport.max_attempts", "greater than 0"),
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


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("disabled_from: 2026-02-30\ncolumns:", "a date, time or number that cannot be"),
        ("drop: []\ndrop: []\ncolumns:", "the key drop is there twice"),
    ],
)
def test_what_yaml_itself_lets_pass_is_refused(write: Write, new: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"gate.yaml: line \d+: not YAML: {said}"):
        load_source(write("columns:", new))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_bytes(b"id: \xff\xfe")
    with pytest.raises(ConfigurationError, match=r"gate.yaml: cannot be read"):
        load_source(tmp_path / "gate.yaml")


def test_an_api_needs_a_first_day(write: Write) -> None:
    api = GATE[1:].replace(SFTP, REST).replace("kind: csv", "kind: jsonl")
    with pytest.raises(ConfigurationError, match=r"transport.start: required while enabled_from is empty"):
        load_source(write(GATE[1:], api.replace("enabled_from: 2026-10-01\n", "")))
    transport = load_source(write(GATE[1:], api)).transport
    assert isinstance(transport, Rest) and transport.window == timedelta(days=1)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("16:30", time(16, 30)),
        ("16:30:00", time(16, 30)),
        ("1:00", time(1)),
        ("1:00:00", time(1)),
        ("06:00", time(6)),
        ("00:30:15", time(0, 30, 15)),
        ("23:59", time(23, 59)),
        ("23:59:59", time(23, 59, 59)),
        ("'16:30'", time(16, 30)),
    ],
)
def test_a_time_of_day_needs_no_quotes(write: Write, written: str, expected: time) -> None:
    assert load_source(write("category:", f"delivered_at: {written}\ncategory:")).delivered_at == expected


@pytest.mark.parametrize("written", ["6", "24:00", "24:00:00", "16:30:00.5", "-16:30", "true"])
def test_a_number_that_is_no_time_of_day_is_refused_with_what_to_write(write: Write, written: str) -> None:
    with pytest.raises(ConfigurationError, match="delivered_at: must be a time in quotes, such as '16:30'"):
        load_source(write("category:", f"delivered_at: {written}\ncategory:"))


def test_what_yaml_makes_of_unquoted_words_and_times_is_understood(write: Write) -> None:
    record = GATE.replace("record: activity", "record: attendance").replace("library_access", "attendance")
    record = record.replace("occurred_at:", "starts_at:").replace(
        "category:", "  attended: {name: SEEN, true: [P], false: [A]}\ndelivered_at: 16:30\ncategory:"
    )
    source = load_source(write(GATE, record))
    assert (source.columns["attended"].true, source.columns["attended"].false) == (["P"], ["A"])
    assert source.delivered_at == time(16, 30)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16", "cp1252"])
def test_what_can_be_read_is_accepted(write: Write, encoding: str) -> None:
    form = f"kind: csv\n  encoding: {encoding}\n  delimiter: '|'\n  quote: \"'\"\n  footer: '^TOTAL'"
    assert load_source(write("kind: csv", form)).format.delimiter == "|"
    for day_format in ("%d-%m-%y", "%d%b%Y", "%Y%j"):
        load_source(write("  folder: /out", f"  folder: /out\n  day_format: '{day_format}'"))
    for port in ("22", "'22'", "${PORT}"):
        load_source(write("${GATE_PORT}", port))
    load_source(write("enabled_from: 2026-10-01", "enabled_from: 2026-10-01\ndisabled_from: 2026-10-02"))


def test_every_date_format_that_is_accepted_can_be_typed(write: Write) -> None:
    for parts in ("%d/%m/%Y %H:%M:%S", "%y%m%d", "iso8601", "epoch_s"):
        source = load_source(write("%d/%m/%Y %H:%M:%S", parts))
        field = source.kind.fields["occurred_at"]
        assert typed_pass.parsed("occurred_at", field, source.columns["occurred_at"])
        assert typed_pass.prepared("c1", field, source.columns["occurred_at"])


def test_epoch_seconds_are_no_date(tmp_path: Path) -> None:
    days = "  starts_on: {name: s, formats: [epoch_s]}\n  ends_on: {name: e, formats: [iso8601]}\n"
    term = GATE.replace("record: activity", "record: term_calendar").replace("replace_days", "snapshot")
    term = term.replace("category: library_access\n", "")
    start, end = term.index("  student_ref"), term.index("enabled_from")
    (tmp_path / "gate.yaml").write_text(term[:start] + "  term_code: {name: t}\n" + days + term[end:])
    with pytest.raises(ConfigurationError, match=r"columns.starts_on.formats: epoch_s is a time; starts_on is a date"):
        load_source(tmp_path / "gate.yaml")


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
