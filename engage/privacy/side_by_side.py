"""The same work on many files, on as many processors as there are; a few files are done here, one after another."""

import contextlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

FEW = 32
"""Files that are done before another process would have begun."""
_CHUNK = 4
Result = TypeVar("Result")


def side_by_side(work: Callable[..., Result], calls: Sequence[Sequence[Any]]) -> Iterator[Result]:
    """Yield what a function of a module returns for each of these arguments, in their order.

    Raises what it raises. Processes are begun anew: ours may have threads and connections.
    """
    if len(calls) <= FEW or (os.cpu_count() or 1) < 2:
        for call in calls:
            yield work(*call)
        return
    anew = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), anew, _end_with_parent) as pool, contextlib.ExitStack() as stack:
        # Whoever stops listening does not wait for the rest.
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        yield from pool.map(work, *zip(*calls, strict=True), chunksize=_CHUNK)


def _end_with_parent() -> None:
    """Let no process outlive a parent that was killed."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
