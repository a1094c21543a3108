"""What a system of the campus is: the files it delivers, the API it answers with, and what students did in it.

One module per system makes its feeds in its vendor's own shapes; `registry` lists them. Who studies here and what
befalls them is the world's.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from starlette.routing import BaseRoute

from campus.world import FIRST_SNAPSHOT, Ints, World


@dataclass(frozen=True)
class Delivery:
    """A file of a source about a day: its path below the SFTP root, when it comes, and what makes its bytes."""

    source_id: str
    day: int
    path: str
    due: datetime
    content: Callable[[], bytes]
    fault: str = ""
    """What is wrong with it, such as late, corrected or bad_batch (which must be held)."""
    version: int = 1
    marker: bool = False  # an empty file of the same name and .done follows


class Done(NamedTuple):
    """What students did on a day, as daily activity must show it: a row per interaction that counts."""

    who: Ints  # index into the population
    at: Ints  # epoch seconds
    quantity: Ints | None = None  # None: 1 each
    expected: Ints | None = None
    """Of a register: a student for each session that was mandatory."""
    attended: Ints | None = None
    """Of a register: a student for each of these that they came to."""


@dataclass(frozen=True)
class Serving:
    """What an API serves: a world, nothing later than the clock, to whoever shows the token."""

    world: World
    clock: Callable[[], datetime]
    token: str
    """Bearer token, client secret or wstoken: the campus has one for all of its APIs."""
    fault_every: int
    """Every so many calls one fails, as the vendor's do; 0: none."""


@dataclass(frozen=True)
class Replica:
    """A database that is read directly: its URL stands in the environment variable named."""

    variable: str
    open: Callable[[World, Path], AbstractContextManager[str]]
    """Keeps its state in the folder, and yields its URL."""
    advance: Callable[[str, World, datetime], None]
    """Bring it up to the moment; what is there stays."""


@dataclass(frozen=True)
class Feed:
    """One source, as `config/sources/<source_id>.yaml` describes it."""

    source_id: str
    category: str = ""
    """Of an activity feed: what the source file says."""
    files: Callable[[World, int], Iterable[Delivery]] | None = None
    """The files about a day (numbers count from the first Monday)."""
    routes: Callable[[Serving], list[BaseRoute]] | None = None
    """Its HTTP API, with paths that begin with the system's name, such as /canvas/api/v1/..."""
    replica: Replica | None = None
    done: Callable[[World, int], Done] | None = None
    """What students did on a day, for the known truth; None: nothing that daily activity shows."""
    corrected: Callable[[World, int], Done] | None = None
    """The same as the day's second version says; None: as the first."""
    bad_rows: Callable[[World, int, int], list[tuple[int, str]]] | None = None
    """Line (the first is 1) and kind of each bad row in the file of a day and version."""
    is_adopted: bool = True
    """Delivers from `World.adopted` on; False: from before the first Monday."""

    def first_day(self, world: World) -> int:
        """Return the first day that it delivers."""
        return world.adopted if self.is_adopted else FIRST_SNAPSHOT
