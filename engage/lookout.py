"""Looking at all sources side by side: what each has waiting, and which of them cannot be looked at.

One slow, hanging or refusing server keeps no other waiting. What is done about what was found is the caller's.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import date, datetime

from engage import health, landing
from engage.connectors import AccessError, Remote, TransportError
from engage.sources import ConfigurationError, Source
from engage.warehouse import Connection

WITHIN_S = 20.0
"""Well under the 60 s that Dagster gives a tick of a sensor."""
AT_ONCE = 8
"""Each needs a connection to the warehouse."""


@dataclass(frozen=True)
class Seen:
    """What one look at a source found."""

    settled: Sequence[Remote] = ()
    unfinished: int = 0
    """Landed deliveries that the gate has not finished with."""
    disabled_since: date | None = None
    unreachable: str | None = None
    """Transient: the next look may succeed."""
    refused: str | None = None
    """Somebody must act, and this says how."""


@dataclass(frozen=True)
class Sight:
    """What one round of looks found, by source."""

    seen: dict[str, Seen] = field(default_factory=dict)
    late: list[str] = field(default_factory=list)
    """Not answered yet; what they find is told by a later round."""
    crashed: dict[str, BaseException] = field(default_factory=dict)
    """Errors that nobody expects: of the program, or of the warehouse."""


class Lookout:
    """Looks again and again, and remembers who was slow: the quick ones come first."""

    def __init__(self, within_s: float = WITHIN_S) -> None:
        """A round takes `within_s` seconds at most."""
        self._within_s = within_s
        self._under_way: dict[str, Future[Seen]] = {}
        self._took: dict[str, float] = {}

    def look(self, sources: Iterable[Source], connect: Callable[[], Connection], now: datetime) -> Sight:
        """Look at these sources; one whose last look still hangs is not looked at anew. Raises nothing of theirs."""
        sight = Sight()
        # A pool of its own for each round: hanging looks of earlier ones take no place in it.
        pool = ThreadPoolExecutor(AT_ONCE, "look")
        for source in sorted(sources, key=lambda one: self._took.get(one.id, 0)):
            if source.id not in self._under_way:
                self._under_way[source.id] = pool.submit(self._one, source, connect, now)
        wait(self._under_way.values(), self._within_s)
        pool.shutdown(wait=False, cancel_futures=True)
        for name, future in list(self._under_way.items()):
            if not future.done() or future.cancelled():
                sight.late.append(name)
            elif error := future.exception():
                sight.crashed[name] = error
            else:
                sight.seen[name] = future.result()
            if future.done():
                del self._under_way[name]
        return sight

    def _one(self, source: Source, connect: Callable[[], Connection], now: datetime) -> Seen:
        began, unfinished = time.monotonic(), 0
        try:
            with connect() as connection:
                if since := landing.disabled_since(connection, source, now):
                    return Seen(disabled_since=since)
                unfinished = health.unfinished(connection, source.id)
                return Seen(landing.look(connection, source, now), unfinished)
        except TransportError as error:
            return Seen(unfinished=unfinished, unreachable=str(error))
        except (AccessError, ConfigurationError) as error:
            return Seen(unfinished=unfinished, refused=str(error))
        finally:
            self._took[source.id] = time.monotonic() - began
