"""How received bytes become lines: unpacking, decoding, the heading, the footer, and which lines are not well formed.

Everything streams: no file is held in memory. What a column means, and where lines go, is not known here.
"""

import codecs
import contextlib
import csv
import gzip
import io
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

from engage.sources import Format

MAX_LINE = 128 * 1024
"""Characters. A longer line is not a row but a fault; the standard library's csv draws its limit here too."""
BLOCK = 64 * 1024
KEPT = 8 * 1024
"""Characters of an ill-formed line that are kept for whoever looks into quarantine."""
_BROKEN = "is a broken gzip or zip file (cut off, damaged or encrypted); have it sent again"
_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_INVALID = "\udcff"
codecs.register_error("engage_mark", lambda error: (_INVALID, cast(UnicodeDecodeError, error).end))

Opener = Callable[[], BinaryIO]


class UnreadableError(Exception):
    """The file as a whole cannot be read; the message says why and quotes no row."""


class FormatError(UnreadableError):
    """Columns that must be there are not; the message quotes headings only."""


class CareError(Exception):
    """The file has lines that must be looked at one by one."""


@dataclass(frozen=True)
class Line:
    """One line of a file: its number (the first is 1), and its fields, or what is wrong with it and how it starts."""

    number: int
    fields: Sequence[str] = ()
    problem: str | None = None
    text: str | None = None


def open_text(open_bytes: Opener, declared: str, errors: str = "strict") -> io.TextIOWrapper:
    """Open a delivery as text with `\\n` line ends, whatever it is packed in (gzip, zip) and whatever its line ends.

    A byte order mark overrules the `declared` encoding. Raises UnreadableError for a broken archive.
    """
    stream = cast(io.BufferedIOBase, open_bytes())
    with readable():
        magic = stream.read(4)
        stream.seek(0)
        if magic[:2] == b"\x1f\x8b":
            stream = gzip.GzipFile(fileobj=cast(BinaryIO, stream))
        elif magic == b"PK\x03\x04":
            stream = _only_member(cast(BinaryIO, stream))
        head = stream.read(3)
        stream.seek(0)
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if head.startswith(mark)), declared)
    return io.TextIOWrapper(cast(BinaryIO, stream), encoding, errors, newline=None)


def _only_member(stream: BinaryIO) -> io.BufferedIOBase:
    try:
        archive = zipfile.ZipFile(stream)
        names = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith("__MACOSX/")]
        if len(names) != 1:
            raise UnreadableError(f"is a zip archive of {len(names)} files; one is expected")
        return cast(io.BufferedIOBase, archive.open(names[0]))
    except (RuntimeError, ValueError) as error:  # encrypted, an unknown method, a name or an offset that cannot be
        raise UnreadableError(_BROKEN) from error


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """Turn what unpacking and decoding raise, also in the middle of reading, into UnreadableError.

    UnicodeDecodeError passes: it is about a place in the text, and the lines around it may be good.
    """
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise UnreadableError(_BROKEN) from error
    except OSError as error:
        # bzip2 says it so; a fault of the landing store has a number or a kind of its own.
        if type(error) is not OSError or error.errno is not None:
            raise
        raise UnreadableError(_BROKEN) from error
    except UnicodeDecodeError:
        raise
    except UnicodeError as error:
        raise UnreadableError(
            "does not begin with the byte order mark that its declared encoding needs; have it sent so, or correct"
            " format.encoding of the source (utf-8, utf-16-le, utf-16-be, ...)"
        ) from error


def read_heading(text: io.TextIOWrapper, form: Format) -> tuple[list[str], int]:
    """Read up to the heading; return its names, trimmed, and its line number. Raises UnreadableError."""
    number = 0
    while line := text.readline(MAX_LINE):
        number += 1
        if line.strip():
            break
    else:
        raise UnreadableError("is empty: not even a heading")
    if len(line) == MAX_LINE and not line.endswith("\n"):
        raise UnreadableError(f"has no heading: its first line is longer than {MAX_LINE} characters")
    if "\0" in line:
        raise UnreadableError("has NUL bytes in its heading; is it UTF-16?")
    if problem := _undecodable(line, form):
        raise UnreadableError(f"{problem} in its heading")
    try:
        names = next(csv.reader([line.rstrip("\n")], delimiter=form.delimiter, quotechar=form.quote, strict=True))
    except csv.Error as error:
        raise UnreadableError("has a heading with an unbalanced quote") from error
    return [name.strip(" \t\ufeff") for name in names], number


class Quoting:
    """Tells text whose quotes enclose whole fields from text that COPY and `lines` would read differently."""

    def __init__(self, form: Format) -> None:
        self._quote, quote, delimiter = form.quote, re.escape(form.quote), re.escape(form.delimiter)
        plain, quoted = f"[^{quote}{delimiter}\\n]*+", f"{quote}(?:[^{quote}\\n]++|{quote}{quote})*+{quote}"
        self._text = re.compile(f"(?:(?:{quoted}|{plain})[{delimiter}\\n])*+")

    def is_plain(self, block: str) -> bool:
        """Return whether every quote in these whole lines opens or closes a field, or is doubled within one."""
        return self._quote not in block or self._text.fullmatch(block) is not None


class Footer:
    """The closing line that a format declares (None: none); `is_missing` until it was seen at the end of a file."""

    def __init__(self, pattern: str | None) -> None:
        self._pattern = pattern
        self.is_missing = pattern is not None

    def closes(self, last_line: str) -> bool:
        """Return whether the last line of the file is the footer."""
        if self._pattern is None or re.search(self._pattern, last_line.rstrip("\n")) is None:
            return False
        self.is_missing = False
        return True


def blocks(text: io.TextIOWrapper, footer: Footer) -> Iterator[str]:
    """Yield what is left of `text` in blocks of whole lines, without the footer. Raises CareError for a long line."""
    tail = ""
    while block := text.read(BLOCK):
        block = tail + block
        # Only the first line can be longer than a block.
        if max(block.find("\n"), len(block) if "\n" not in block else 0) > MAX_LINE:
            raise CareError
        cut = block.rfind("\n", 0, -1) + 1  # the last line, whole or not, waits: it may be the footer
        if cut:
            yield block[:cut]
        tail = block[cut:]
    if tail and not footer.closes(tail):
        yield tail if tail.endswith("\n") else tail + "\n"


def lines(text: io.TextIOWrapper, form: Format, footer: Footer, width: int, number: int) -> Iterator[Line]:
    """Yield the lines after line `number`, judged one by one, without blank lines and footer.

    `text` is opened with `errors="engage_mark"`. `width` is the number of fields of a CSV line. A field with a line end
    in it makes two ill-formed lines: in a feed of lines it is nearly always a quote gone missing. Raises
    UnreadableError for a last line that is ill-formed and has no end: the lines that should follow it are not known.
    """
    waiting = ""
    waiting_number = 0
    is_cut = False
    while True:
        raw = text.readline(MAX_LINE + 1)
        number += 1
        if raw and not raw.strip():
            continue
        if waiting and (raw or not footer.closes(waiting)):
            line = _judge(waiting_number, waiting.rstrip("\n"), form, width)
            if line.problem and is_cut and not form.footer:
                raise UnreadableError(
                    f"ends in the middle of line {line.number} ({line.problem}): it was probably cut off; have it sent"
                    " again whole, or, if that is a closing line, declare it (format.footer of the source)"
                )
            yield line
        if not raw:
            return
        waiting, waiting_number = raw, number
        while raw and not raw.endswith("\n"):
            raw = text.readline(BLOCK)
        is_cut = not raw


def _judge(number: int, line: str, form: Format, width: int) -> Line:
    fields: list[str] = []
    problem = None
    if len(line) > MAX_LINE:
        problem = f"is longer than {MAX_LINE} characters"
    elif "\0" in line:
        problem = "has NUL bytes"
    elif not (problem := _undecodable(line, form)):
        fields, problem = _csv_fields(line, form, width) if form.kind == "csv" else _json_fields(line)
    if problem is None:
        return Line(number, fields)
    kept = line[:KEPT].replace("\0", "\ufffd").replace(_INVALID, "\ufffd")
    return Line(number, problem=f"the line {problem}", text=kept)


def _csv_fields(line: str, form: Format, width: int) -> tuple[list[str], str | None]:
    try:
        fields = next(csv.reader([line], delimiter=form.delimiter, quotechar=form.quote, strict=True))
    except csv.Error:
        return [], "has an unbalanced quote"
    if len(fields) != width:
        return [], f"has {len(fields)} fields instead of {width}"
    return fields, None


def _json_fields(line: str) -> tuple[list[str], str | None]:
    """Return the item written anew, so that the database can read it too."""
    try:
        item = json.loads(line)
        written = json.dumps(item, ensure_ascii=False, allow_nan=False)
        written.encode()
    except (ValueError, RecursionError):
        return [], "is not JSON"
    if not isinstance(item, dict):
        return [], "is not a JSON object"
    # Postgres has no U+0000.
    return ([written], None) if "\\u0000" not in written else ([], "has NUL characters")


def _undecodable(line: str, form: Format) -> str | None:
    return f"has bytes that are not {form.encoding.removesuffix('-sig')}" if _INVALID in line else None
