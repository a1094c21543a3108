"""The landing store, searched for what is about certain students, and rewritten without it.

Which lines of a file are theirs is told by own_lines.py; which deliveries are meant, by the caller. Of a rewritten file
lines become blank rather than vanish: the rows that stay keep their numbers, by which decisions know them.
"""

import contextlib
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, cast

from psycopg.rows import class_row

from engage.landing import Delivery, open_delivery
from engage.landing_store import Store
from engage.privacy.own_lines import OwnLines
from engage.privacy.references import Reference
from engage.privacy.side_by_side import side_by_side
from engage.sources import Source
from engage.text import UnreadableError, readable
from engage.warehouse import Connection

BLOCK = 4 * 1024 * 1024
_MARKS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_COLUMNS = ", ".join(Delivery.__dataclass_fields__)
_DELIVERIES = f"""
select {_COLUMNS} from ops.delivery
where deleted_at is null or redacted_at is not null
order by source_id, version_at, delivery_id
"""  # noqa: S608
# Nobody can decide on what is not there any more.
_GIVE_UP = """
update ops.batch set state = case when state in ('held', 'loading') then 'rejected' else state end,
    is_stale = false, held_since = null
where delivery_id = %s and (state in ('held', 'loading') or is_stale)
"""
_BROKEN = (UnreadableError, UnicodeError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile)


@dataclass(frozen=True)
class Found:
    """The lines of a delivery that are about the students."""

    delivery_id: int
    source_id: str
    name: str
    """Of the file, as its sender called it."""
    lines: list[str]
    heading: str = ""
    is_unreadable: bool = False
    """The file cannot be unpacked or decoded, so nobody knows what is in it."""


def deliveries(connection: Connection) -> list[Delivery]:
    """Return the deliveries of which there are bytes in the landing store."""
    return connection.cursor(row_factory=class_row(Delivery)).execute(_DELIVERIES).fetchall()


def find(
    store_url: str, deliveries: Sequence[Delivery], sources: Mapping[str, Source], refs: Sequence[Reference]
) -> Iterator[Found]:
    """Yield what the landed bytes of these deliveries say of the students with these references, one delivery each.

    Deliveries of sources that are in no file any more (`sources`: drafts included) are read as text: every line with a
    reference is theirs. Bytes that are not there are left out.
    """
    work = [(store_url, delivery, sources.get(delivery.source_id), refs) for delivery in deliveries]
    for found in side_by_side(_lines, work):
        if found and (found.lines or found.is_unreadable):
            yield found


def rewrite(
    store_url: str,
    connection: Connection,
    delivery: Delivery,
    source: Source | None,
    refs: Sequence[Reference],
    now: datetime,
    only: bool = False,
) -> int:
    """Take the lines of these students out of a landed file (`only`: all others); return how many went. Commits.

    Whole or not at all; killed anywhere, it is made good by a second call. Heading and closing line stay. A file that
    cannot be read is deleted: nobody could say that it is not about them.
    """
    sources = {source.id: source} if source else {}
    return sum(rewrite_all(store_url, connection, [delivery], sources, refs, now, only))


def rewrite_all(
    store_url: str,
    connection: Connection,
    deliveries: Sequence[Delivery],
    sources: Mapping[str, Source],
    refs: Sequence[Reference],
    now: datetime,
    only: bool = False,
) -> Iterator[int]:
    """Do as `rewrite` does with several files, side by side; yield of each that changed how many lines went."""
    store = Store(store_url)
    with store.scratch() as scratch:
        targets = [scratch / str(one.delivery_id) for one in deliveries]
        work = [
            (store_url, one, sources.get(one.source_id), refs, only, at)
            for one, at in zip(deliveries, targets, strict=True)
        ]
        for delivery, target, lines in zip(deliveries, targets, side_by_side(_rewritten, work), strict=True):
            if lines is None:
                discard(store_url, delivery)
                with connection.transaction():
                    enter_deleted(connection, delivery, now)
                connection.commit()
                yield 1
            elif lines:
                # The ledger first: bytes that are not those of content_hash are never there without its knowing.
                with connection.transaction():
                    connection.execute(
                        "update ops.delivery set redacted_at = %s where delivery_id = %s", [now, delivery.delivery_id]
                    )
                connection.commit()
                store.put(target, delivery.landed_path)
                yield lines
            target.unlink(missing_ok=True)


def discard(store_url: str, delivery: Delivery) -> None:
    """Delete the bytes of a delivery. May be repeated.

    Before the ledger says so: a store that refuses, or a kill, must leave it to the next run.
    """
    store = Store(store_url)
    with contextlib.suppress(FileNotFoundError):
        store.files.rm_file(f"{store.root}/{delivery.landed_path}")


def enter_deleted(connection: Connection, delivery: Delivery, now: datetime, is_whole: bool = True) -> None:
    """Enter that a delivery has gone, in the caller's transaction; the ledger keeps that it was received.

    `is_whole`: no bytes of it are left.
    """
    connection.execute(
        "update ops.delivery set deleted_at = %s, redacted_at = case when %s then null else redacted_at end"
        " where delivery_id = %s",
        [now, is_whole, delivery.delivery_id],
    )
    connection.execute(_GIVE_UP, [delivery.delivery_id])


def _lines(store_url: str, delivery: Delivery, source: Source | None, refs: Sequence[Reference]) -> Found | None:
    """Return the lines of the students; None: there are no bytes."""
    found: list[str] = []
    heading = ""
    try:
        with _Unpacked(store_url, delivery, source) as file:
            own = _own(file, delivery, source, refs)
            if not own.is_possible:
                return Found(delivery.delivery_id, delivery.source_id, delivery.name, [])
            for n, block in enumerate(file.blocks()):
                for begin, end in own.of(block, is_first=n == 0):
                    found.append(block[begin:end].decode(file.encoding, "replace"))
            heading = own.heading.decode(file.encoding, "replace").lstrip("\ufeff")
    except FileNotFoundError:
        return None
    except _BROKEN:
        return Found(delivery.delivery_id, delivery.source_id, delivery.name, found, heading, is_unreadable=True)
    return Found(delivery.delivery_id, delivery.source_id, delivery.name, found, heading)


def _rewritten(
    store_url: str,
    delivery: Delivery,
    source: Source | None,
    refs: Sequence[Reference],
    only: bool,
    target: Path,
) -> int | None:
    """Write the file without the lines; return how many those are; None: nobody can read it."""
    count = 0
    try:
        with _Unpacked(store_url, delivery, source) as file:
            own = _own(file, delivery, source, refs)
            if not only and not own.is_possible:
                return 0
            with file.packed(target) as write:
                for n, block in enumerate(file.blocks()):
                    lines = own.of(block, is_first=n == 0)
                    kept, gone = own.others(block, lines, is_first=n == 0) if only else own.without(block, lines)
                    count += gone
                    write(kept)
    except FileNotFoundError:
        return 0
    except _BROKEN:
        return None
    return count


def _own(file: "_Unpacked", delivery: Delivery, source: Source | None, refs: Sequence[Reference]) -> OwnLines:
    days = (delivery.first_day, delivery.last_day) if delivery.first_day and delivery.last_day else None
    return OwnLines(source, refs, file.encoding, days)


class _Unpacked:
    """A landed file as blocks of whole lines, in an encoding that contains ASCII; and the way back."""

    def __init__(self, store_url: str, delivery: Delivery, source: Source | None) -> None:
        self._stack = contextlib.ExitStack()
        self._open: Callable[[], BinaryIO] = lambda: open_delivery(store_url, delivery.landed_path)
        self._declared = source.format.encoding if source else "utf-8"
        self.encoding = self._declared
        self._member: zipfile.ZipInfo | None = None
        self._is_gzip = False
        self._other: str | None = None
        self._mark = b""

    def __enter__(self) -> "_Unpacked":
        with contextlib.ExitStack() as stack, readable():
            raw = stack.enter_context(self._open())
            magic = raw.read(4)
            raw.seek(0)
            self._stream = raw
            if magic[:2] == b"\x1f\x8b":
                self._is_gzip = True
                self._stream = cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=raw)))
            elif magic == b"PK\x03\x04":
                self._stream = cast(BinaryIO, self._only_member(stack, raw))
            head = self._stream.read(3)
            self._stream.seek(0)
            self._stack = stack.pop_all()
        if head[:2] in _MARKS:
            self._mark, self._other = head[:2], _MARKS[head[:2]]
            self._stream.read(2)
        elif head == b"\xef\xbb\xbf":
            self.encoding = "utf-8"
        elif not _contains_ascii(self._declared):
            self._other = self._declared
        if self._other:
            self.encoding = "utf-8"
        self.encoding = self.encoding.lower().replace("_", "-").removesuffix("-sig")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _only_member(self, stack: contextlib.ExitStack, raw: BinaryIO) -> io.BufferedIOBase:
        try:
            archive = stack.enter_context(zipfile.ZipFile(raw))
            members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
            if len(members) != 1:
                raise UnreadableError(f"is a zip archive of {len(members)} files; one is expected")
            (self._member,) = members
            return cast(io.BufferedIOBase, stack.enter_context(archive.open(self._member)))
        except (RuntimeError, ValueError, NotImplementedError) as error:
            raise UnreadableError("is a zip archive that cannot be opened") from error

    def blocks(self) -> Iterator[bytes]:
        """Yield the content in blocks that end with a line. Raises what broken files raise."""
        with readable():
            tail = b""
            for piece in self._pieces():
                block = tail + piece
                # A carriage return at the end may be half of a line end.
                cut = max(block.rfind(b"\n"), block.rfind(b"\r", 0, -1)) + 1
                if cut:
                    yield block[:cut]
                tail = block[cut:]
            if tail:
                yield tail

    def _pieces(self) -> Iterator[bytes]:
        if not self._other:
            while piece := self._stream.read(BLOCK):
                yield piece
            return
        text = io.TextIOWrapper(cast(io.BufferedReader, self._stream), self._other, "surrogatepass", newline="")
        while said := text.read(BLOCK):
            yield said.encode("utf-8", "surrogatepass")

    @contextlib.contextmanager
    def packed(self, target: Path) -> Iterator[Callable[[bytes], object]]:
        """Yield what writes blocks into a file packed and encoded as the delivery was."""
        with contextlib.ExitStack() as stack:
            out = stack.enter_context(target.open("wb"))
            if self._is_gzip:
                # Without a time, so that a second attempt makes the same bytes.
                out = cast(io.BufferedWriter, stack.enter_context(gzip.GzipFile("", "wb", 6, out, 0)))
            elif self._member:
                archive = stack.enter_context(zipfile.ZipFile(out, "w", self._member.compress_type))
                again = zipfile.ZipInfo(self._member.filename, self._member.date_time)
                again.compress_type = self._member.compress_type
                out = cast(io.BufferedWriter, stack.enter_context(archive.open(again, "w", force_zip64=True)))
            out.write(self._mark)
            other = self._other
            if other:
                yield lambda block: out.write(block.decode("utf-8", "surrogatepass").encode(other, "surrogatepass"))
            else:
                yield out.write


def _contains_ascii(encoding: str) -> bool:
    plain = bytes(range(1, 128))
    try:
        return plain.decode("ascii").encode(encoding.removesuffix("-sig")) == plain
    except (LookupError, UnicodeError):
        return False
