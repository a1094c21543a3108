"""File names in messages and in the ledger: enough to find the file, nothing of whom it is about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engage.connectors.files import masked
from engage.settings import PROJECT
from engage.sources import load_sources
from engage.transports import FileDrop, Sftp

LOOSE = r"gates_(?P<day>\d{8}).*\.csv"
TRANSPORTS = [source.transport for source in load_sources(PROJECT / "config", drafts=True).values()]
PATTERNS = [transport.pattern for transport in TRANSPORTS if isinstance(transport, Sftp | FileDrop)]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("gates_20261009.csv", "gates_20261009.csv"),
        ("gates_20261009_v2.csv", "gates_20261009_v2.csv"),
        ("gates_20261009_corrected copy.csv", "gates_20261009_corrected copy.csv"),
        ("gates_20261009_7734001.csv", "gates_20261009_*.csv"),
        ("gates_20261009_Grace.Hopper@example.ac.uk.csv", "gates_20261009_*.*@*.*.*.csv"),
        ("gates_20261009_zb4242.csv", "gates_20261009_**.csv"),
        ("gates_20261009_20261009.csv", "gates_20261009_*.csv"),
        ("gates_Zo\\xe9_20261009.csv", "gates_*\\xe9_*.csv"),
    ],
)
def test_what_the_pattern_does_not_spell_out_is_a_star(name: str, shown: str) -> None:
    assert masked(LOOSE, name) == shown


@given(st.from_regex(r"[A-Z][a-z]{6,12}|[0-9]{5,9}|[a-z]{2}[0-9]{4}", fullmatch=True))
def test_no_name_or_number_of_a_person_is_left(value: str) -> None:
    assert value not in masked(LOOSE, f"gates_20261009_{value}.csv")


def test_nothing_of_our_own_file_names_is_hidden() -> None:
    assert len(PATTERNS) > 10
    for pattern in PATTERNS:
        name = pattern.replace(r"(?P<day>\d{8})", "20261009").replace(r"(_v\d+|_copy)?", "_copy")
        name = name.replace(r"(_v\d+)?", "_v2").replace("\\", "")
        assert masked(pattern, name) == name
