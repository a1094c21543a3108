"""How systems that deliver by SFTP write a day's file, and how its delivery goes wrong: late, spoiled, or twice.

Knows no system; what a file says is in each system's own module.
"""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial

from campus.systems import Delivery
from campus.world import World

Content = Callable[[World, int], bytes]


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    delimiter: str = ",",
    encoding: str = "utf-8",
    end: str = "\n",
) -> bytes:
    """Return a heading and its rows as the bytes of a CSV file."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows([header, *rows])
    return text.getvalue().encode(encoding)


def stamped(world: World, day: int, second: int, form: str) -> str:
    """Return a time of the day's clock as strftime writes it."""
    return (world.start(day).replace(tzinfo=None) + timedelta(seconds=second)).strftime(form)


def daily(
    source_id: str,
    path: str,
    content: Content,
    late: int | None = None,
    spoiled: tuple[int, Callable[[bytes], bytes]] | None = None,
    again: int | None = None,
    odd: tuple[int, str] | None = None,
    every: int = 1,
) -> Callable[[World, int], Iterable[Delivery]]:
    """Return the files of a source: one for each day, or for one day in so many, named by the day in `path`'s braces.

    Days of faults are counted from `World.adopted` on: the file of day `late` comes two days later, that of `spoiled`
    comes so that it must be held and is corrected a day later, that of `again` comes once more under another name.
    `odd`: the day from which `content` has an oddity of its own, and what that is called.
    """

    def files(world: World, day: int) -> Iterable[Delivery]:
        since = day - world.adopted
        if since % every:
            return
        fault = since if world.faulty else None
        stamp, due, good = f"{world.date(day):%Y%m%d}", world.due(day), partial(content, world, day)
        name = path.format(stamp)
        if spoiled and fault == spoiled[0]:
            yield Delivery(source_id, day, name, due, lambda: spoiled[1](good()), "bad_batch")
            name, due = path.format(f"{stamp}_v2"), due + timedelta(days=1)
            yield Delivery(source_id, day, name, due, good, "corrected", version=2)
        elif fault is not None and fault == late:
            yield Delivery(source_id, day, name, due + timedelta(days=2), good, "late")
        else:
            yield Delivery(source_id, day, name, due, good, odd[1] if odd and fault == odd[0] else "")
        if fault is not None and fault == again:
            yield Delivery(source_id, day, path.format(f"{stamp}_copy"), due + timedelta(hours=1), good, "repeated")

    return files


def cut_off(content: bytes) -> bytes:
    """Return what is left when the line goes down in the middle."""
    return content[: len(content) * 2 // 3]


def renamed(old: str, new: str, encoding: str = "utf-8") -> Callable[[bytes], bytes]:
    """Return what a change of the export does: another heading."""
    return lambda content: content.replace(old.encode(encoding), new.encode(encoding), 1)
