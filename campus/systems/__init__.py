"""What a system of the campus is: the files it delivers, the API it answers with, and what students did in it.

One module per system makes its feeds in its vendor's own shapes; `registry` lists them. Who studies here and what
befalls them is the world's.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from starlette.routing import BaseRoute

from campus.world import Ints, World


@dataclass(frozen=True)
class Delivery:
    """A file of a source about a day: its path below the SFTP root, when it comes, and what makes its bytes."""

    source_id: str
    day: int
    path: str
    due: datetime
    content: Callable[[], bytes]
    fault: str = ""  # "", late, corrected or bad_batch
    version: int = 1
    marker: bool = False  # an empty file of the same name and .done follows


class Done(NamedTuple):
    """What students did on a day, as daily activity must show it: a row per interaction that counts."""

    who: Ints  # index into the population
    at: Ints  # epoch seconds
    quantity: Ints | None = None  # None: 1 each


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
class Feed:
    """One source, as `config/sources/<source_id>.yaml` describes it."""

    source_id: str
    category: str = ""
    """Of an activity feed: what the source file says."""
    files: Callable[[World, int], Iterable[Delivery]] | None = None
    """The files about a day (numbers count from the first Monday)."""
    routes: Callable[[Serving], list[BaseRoute]] | None = None
    """Its HTTP API, with paths that begin with the system's name, such as /canvas/api/v1/..."""
    done: Callable[[World, int], Done] | None = None
    """What students did on a day, for the known truth; None: nothing that daily activity shows."""
