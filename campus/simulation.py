"""The campus as one object: a world, its folder, its servers and its clock.

Puts the other modules together and holds no rules of its own. Its folder outlives it: started again over the same
folder it goes on where it was.
"""

import json
import os
import secrets
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from starlette.applications import Starlette

from campus import plan, servers, truth
from campus.systems import Feed, Replica, Serving, vle
from campus.systems.registry import FEEDS
from campus.world import World


class CampusError(Exception):
    """The campus cannot be started over this folder; the message says what to do."""


class Campus:
    """A context manager that serves a world by SFTP and HTTP on loopback, as far as its clock has come.

    Below `folder`: `sftp` (what is served), `keys`, `truth` and `campus.json` (the world, the clock, the API's token).
    """

    def __init__(
        self,
        folder: Path,
        world: World,
        *,
        sftp_port: int = 0,
        api_port: int = 0,
        fault_every: int = vle.FAULT_EVERY,
        feeds: Sequence[Feed] = FEEDS,
    ) -> None:
        """Raise CampusError if the folder is of another world; ports 0 are free ones.

        Of every `fault_every` calls to an API one fails, 0: none.
        """
        self.folder, self.world, self.root, self._feeds = folder, world, folder / "sftp", feeds
        self._state_file, described = folder / "campus.json", {k: str(v) for k, v in asdict(world).items()}
        folder.mkdir(parents=True, exist_ok=True)
        if self._state_file.exists():
            state = json.loads(self._state_file.read_text())
            if state["world"] != described:
                raise CampusError(f"{folder} holds another campus: remove it, or name another folder")
        else:
            state = {"world": described, "token": secrets.token_urlsafe(24), "now": world.start(-7).isoformat()}
        self._state: dict[str, str] = state
        self._ports, self._fault_every = (sftp_port, api_port), fault_every if world.faulty else 0
        self._running = ExitStack()
        self.now = datetime.fromisoformat(state["now"])
        self.environment: dict[str, str] = {}
        self._replicas: list[tuple[Replica, str]] = []
        self._save()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            sftp = stack.enter_context(servers.sftp_server(self.root, self.folder / "keys", self._ports[0]))
            token = self._state["token"]
            serving = Serving(self.world, lambda: self.now, token, self._fault_every)
            routes = [route for feed in self._feeds if feed.routes for route in feed.routes(serving)]
            url = stack.enter_context(servers.http_server(Starlette(routes=routes), self._ports[1]))
            self._replicas = [
                (feed.replica, stack.enter_context(feed.replica.open(self.world, self.folder / feed.source_id)))
                for feed in self._feeds
                if feed.replica
            ]
            self.environment = {
                **sftp,
                "CAMPUS_VLE_URL": url,
                "CAMPUS_VLE_TOKEN": token,
                "CAMPUS_VLE_START": self.world.first_monday.isoformat(),
                "CAMPUS_API_URL": url,
                "CAMPUS_API_TOKEN": token,
                "CAMPUS_ADOPTED": self.world.date(self.world.adopted).isoformat(),
                **{replica.variable: address for replica, address in self._replicas},
            }
            self.script.touch(mode=0o600)
            self.script.write_text("".join(f"export {name}={value}\n" for name, value in self.environment.items()))
            self._running = stack.pop_all()
        return self

    @property
    def script(self) -> Path:
        """What a shell sources to know what the source files name: how to reach the campus, and its days."""
        return self.folder / "environment"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def advance(self, now: datetime) -> list[str]:
        """Move the clock on to `now` (with a zone) and deliver what has come due; return the new paths, oldest first.

        The clock never goes back, and what was delivered before is not delivered again.
        """
        if now.tzinfo is None:
            raise ValueError("now needs a zone")
        self.now = max(self.now, now)
        due = sorted(plan.deliveries(self.world, self.now, self._feeds), key=lambda d: (d.due, d.path))
        new = [delivery.path for delivery in due if plan.deliver(delivery, self.root)]
        for replica, url in self._replicas:
            replica.advance(url, self.world, self.now)
        self._save()
        return new

    def write_truth(self, now: datetime) -> Path:
        """Write what the marts must hold once all that was delivered up to `now` is published; return its folder."""
        truth.write(self.world, now, self.folder / "truth", self._feeds)
        return self.folder / "truth"

    def _save(self) -> None:
        self._state["now"] = self.now.isoformat()
        part = self._state_file.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(self._state, file, indent=1)
        part.replace(self._state_file)
