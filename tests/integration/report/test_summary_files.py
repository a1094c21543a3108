"""The files of an edition: whole or not at all, the same bytes again, made of schema governance alone, and nothing that
is left out stands in them."""

import csv
import io
import shutil
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from engage.decisions import DecisionError
from engage.report import files, making, stored
from engage.report.document import FEW, LEFT_OUT, Document, Table, Value
from tests.integration.report.conftest import BEFORE, NEWEST
from tests.integration.report.plausible import University


def test_the_same_rows_give_the_same_bytes(university: University, folder: Path) -> None:
    first = {one.name: one.read_bytes() for one in folder.iterdir()}
    shutil.rmtree(folder)
    files.write(university.connection, NEWEST, folder.parent)

    assert {one.name: one.read_bytes() for one in folder.iterdir()} == first
    assert {"summary.html", "summary.pdf", "trends_faculty.csv", "sources.csv", "register.csv"} <= first.keys()
    assert len(first["summary.html"]) < 1_000_000


def test_every_table_of_the_page_is_a_file(document: Document, folder: Path) -> None:
    tables = document.tables()
    names = [table.name for table in tables]
    assert len(names) == len(set(names))
    for table in tables:
        rows = list(csv.reader(io.StringIO((folder / f"{table.name}.csv").read_text("utf-8-sig"))))
        assert rows[0] == list(table.head)
        assert len(rows) == len(table.rows) + 1
        assert {len(row) for row in rows} == {len(table.head)}


def test_what_is_suppressed_is_marked_and_never_a_zero(document: Document, folder: Path) -> None:
    page = (folder / "summary.html").read_text()
    (small,) = [row for row in table(document, "trends_programme").rows if row[:2] == ["SCI-09", "Share declining"]]
    assert {value.text for value in small[2:] if isinstance(value, Value)} == {LEFT_OUT}
    kinds = {row[0]: row[1:] for row in table(document, "exemptions").rows}
    dissertations = [value.text for value in kinds["Dissertation Period"] if isinstance(value, Value)]
    assert LEFT_OUT in dissertations and FEW in dissertations and "0" not in dissertations
    picture = page.partition(">Dissertation Period</title>")[2].partition("</svg>")[0]
    assert picture.count('class="gap"') == dissertations.count(LEFT_OUT)
    assert "Left out: " in picture


def table(document: Document, name: str) -> Table:
    return next(one for one in document.tables() if one.name == name)


def test_a_write_that_fails_leaves_what_was_there(
    university: University, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {one.name: one.read_bytes() for one in folder.iterdir()}
    university.connection.execute("update governance.edition set config_version = 'other'")
    university.connection.commit()
    real = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.suffix == ".csv":
            raise OSError(28, "No space left on device", str(path))
        return real(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space"):
            files.write(university.connection, NEWEST, folder.parent)
    assert {one.name: one.read_bytes() for one in folder.iterdir()} == before
    assert {one.name for one in folder.parent.iterdir()} == {NEWEST, "index.html"}

    files.write(university.connection, NEWEST, folder.parent)
    assert b"other" in (folder / "summary.html").read_bytes()
    assert {one.name for one in folder.parent.iterdir()} == {NEWEST, "index.html"}


def test_the_archive_lists_what_has_files(university: University, folder: Path) -> None:
    page = (folder.parent / "index.html").read_text()
    assert NEWEST in page and BEFORE not in page
    files.write(university.connection, BEFORE, folder.parent)
    page = (folder.parent / "index.html").read_text()
    assert page.index(NEWEST) < page.index(BEFORE)


def test_an_edition_that_is_not_there_is_refused(university: University, tmp_path: Path) -> None:
    with pytest.raises(DecisionError, match="weekly-1999-01-03"):
        files.write(university.connection, "weekly-1999-01-03", tmp_path / "reports")
    assert not (tmp_path / "reports").exists()


def test_editions_without_files_get_them_once(university: University, tmp_path: Path) -> None:
    (now,) = university.connection.execute("select max(made_at) from governance.edition").fetchone() or ()
    university.connection.commit()
    made = making.make_due(university.connection, tmp_path, now)  # type: ignore[arg-type]
    assert [one.edition_id for one in made] == [BEFORE, NEWEST]
    assert made[1].small > 0 and made[1].secondary == 0 and made[1].numbers > 1000
    assert making.make_due(university.connection, tmp_path, now) == []  # type: ignore[arg-type]


def test_it_is_read_with_the_rights_of_governance_alone(university: University) -> None:
    connection = university.connection
    with connection.transaction():
        there = connection.execute("select 1 from pg_roles where rolname = %s", [stored.ROLE]).fetchone()
        if not there:
            connection.execute(sql.SQL("create role {}").format(sql.Identifier(stored.ROLE)))
        role = sql.Identifier(stored.ROLE)
        connection.execute(sql.SQL("grant usage on schema governance to {}").format(role))
        connection.execute(sql.SQL("grant select on all tables in schema governance to {}").format(role))
    try:
        assert stored.read(connection, NEWEST).previous is not None
        for other in ("ops.notification", "pii.person", "raw.activity", "quarantine.row"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), stored.governance_only(connection):
                connection.execute(f"select * from {other}".encode())
        with pytest.raises(psycopg.Error), stored.governance_only(connection):
            connection.execute("delete from governance.edition")
        assert connection.execute("select current_user = session_user").fetchone() == (True,)
        connection.commit()
    finally:
        if not there:
            with connection.transaction():
                connection.execute(sql.SQL("drop owned by {}").format(role))
                connection.execute(sql.SQL("drop role {}").format(role))
