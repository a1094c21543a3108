"""Where received bytes are kept as they came: a folder, or any file system that fsspec knows.

What is in it is never changed. Which bytes belong here, and what the ledger says of them, is `engage.landing`'s.
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

_SCRATCH_KEPT_S = 24 * 3600


class Store:
    """One landing store, by its fsspec URL."""

    def __init__(self, url: str) -> None:
        self.files, self.root = url_to_fs(url)
        self._is_local = isinstance(self.files, LocalFileSystem)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield an own local folder for bytes on their way; removed afterwards, after a kill by a later call."""
        parent = None
        if self._is_local:
            parent = Path(self.root) / ".incoming"
            # Readable for us alone: these are people's data.
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in parent.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    if left.stat().st_mtime < time.time() - _SCRATCH_KEPT_S:
                        shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix="engage-") as folder:
            yield Path(folder)

    def put(self, path: Path, landed_path: str) -> None:
        """Store the file `path` (and, where that is cheaper, move it), whole or not at all."""
        target = f"{self.root}/{landed_path}"
        self.files.makedirs(str(Path(target).parent), exist_ok=True)
        if not self._is_local:
            self.files.put_file(str(path), target)
            return
        # On disk before the ledger says so, also when the power fails.
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.replace(target)
