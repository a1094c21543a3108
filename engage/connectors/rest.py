"""A paged HTTP API, asked for windows of time or the full list: each becomes one gzip file of JSON Lines, or nothing.

Which lists are asked and how pages follow each other belongs here; how one call is made is `http_client.py`, which
windows there are `windows.py`, what the keys mean is the source's. Lists that move while they are read are kept from
losing or doubling items in four ways: windows are asked for once they are over, `overlap` asks again for what was
entered late, counted pages are read twice until two readings agree, and items with an id are entered once whatever
was read.
"""

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from engage.connectors import AccessError, Remote, TransportError
from engage.connectors.http_client import Client, dig, has, where
from engage.connectors.http_errors import (
    AgainError,
    ChangedError,
    DownError,
    RefusedError,
    SlowError,
    StatusError,
)
from engage.connectors.windows import full_list, windows_to_ask
from engage.sources import Source, resolve
from engage.transports import Each, Items, Rest
from engage.warehouse import Connection

_NAMED = 10
"""An error names at most so many windows."""
_DOUBTS = 3
"""So many windows in a row that time out or are forbidden: it is not the windows."""
_READINGS = 3
"""How often a list that changed while it was read is read anew."""

Item = dict[str, Any]
Page = list[Item]
Names = dict[str, str]
"""What stands for `{name}` in paths and parameters."""


class RestConnector:
    """One list of one API."""

    def __init__(self, source: Source, transport: Rest) -> None:
        self._source = source
        self._transport = transport
        self._zone = ZoneInfo(source.format.time_zone)

    def list(self, connection: Connection, now: datetime) -> Sequence[Remote]:
        """See Connector. Of a snapshot: the full list of today, until it is landed."""
        at = self._source.delivered_at
        # By the clock on the wall: a window that ends at midnight is due at that time of the day, whatever its length.
        over = now.astimezone(self._zone) - timedelta(hours=at.hour, minutes=at.minute, seconds=at.second)
        if self._source.relation == "snapshot":
            return full_list(connection, self._source, self._transport, over.date())
        return windows_to_ask(connection, self._source, self._transport, over, now)

    def fetch(self, remotes: Sequence[Remote], into: Path) -> Iterator[tuple[Remote, Path]]:
        """See Connector. A window that the server does not give is reported after the others were yielded."""
        failed: dict[str, AccessError | TransportError] = {}
        waiting, doubts = list(enumerate(remotes)), 0
        with Client(self._transport) as client:
            while waiting:
                number, remote = waiting.pop(0)
                path = into / str(number)
                try:
                    self._write(client, remote, path)
                except (AccessError, TransportError) as error:
                    failed[remote.name] = error
                    if isinstance(error, (DownError, RefusedError)):
                        break
                    if isinstance(error, SlowError) or (isinstance(error, StatusError) and error.status == 403):
                        if (doubts := doubts + 1) == _DOUBTS:
                            break
                        # The newest tells best whether it is the window or the server.
                        waiting[:0] = [waiting.pop()] if waiting else []
                    # Patience with one window is enough while it may be the server that fails.
                    client.attempts = 1 if isinstance(error, AgainError) else self._transport.max_attempts
                    continue
                client.attempts, doubts = self._transport.max_attempts, 0
                yield remote, path
        if failed:
            raise _summary(failed)

    def _write(self, client: Client, remote: Remote, path: Path) -> None:
        retrying = Retrying(
            retry=retry_if_exception_type(ChangedError), stop=stop_after_attempt(_READINGS), reraise=True
        )
        for attempt in retrying:
            # No name and no time in the gzip header: the same items are the same bytes.
            with attempt, path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
                for page in _Reading(client, self._transport, remote).pages():
                    file.write("".join(map(_line, page)).encode("utf-8", "replace"))


class _Reading:
    """One reading of all that belongs to a window, or of the full list."""

    def __init__(self, client: Client, transport: Rest, remote: Remote) -> None:
        self._client, self._transport = client, transport
        self._window: dict[str, str] = {}
        self._bounds: Names = {}
        self._asked: Counter[str] = Counter()
        self._gone: dict[str, list[str]] = {}
        if remote.window_start and remote.window_end:
            begin = remote.window_start - transport.overlap
            self._bounds = {"from": f"{begin:%Y-%m-%dT%H:%M:%SZ}", "to": f"{remote.window_end:%Y-%m-%dT%H:%M:%SZ}"}
            asked = {transport.window_from: self._bounds["from"], transport.window_to: self._bounds["to"]}
            self._window = {name: value for name, value in asked.items() if name}

    def pages(self) -> Iterator[Page]:
        """Yield the pages of the last list, of each item of the lists before it."""
        each = self._transport.each
        for names, kept in self._through(each, self._bounds, {}):
            for page in self._list_of(each[-1] if each else None, self._transport, names, self._window):
                self._refuse_incomplete(page)
                yield [self._with_ours(item, kept) for item in page] if each or self._transport.id_of else page
        for name, said in self._gone.items():
            if len(said) == self._asked[name]:
                raise AccessError(f"{said[0]} (for every {name})")

    def _through(
        self, each: Sequence[Each], names: Names, kept: Item, before: Each | None = None
    ) -> Iterator[tuple[Names, Item]]:
        """Yield names and what is kept for every item of the lists to go through."""
        if not each:
            yield names, kept
            return
        first, *others = each
        # The whole list before anything else is asked: it must not move while others are read.
        found: dict[str, Item] = {}
        for page in self._list_of(before, first, names, {}):
            for item in page:
                if (value := dig(item, first.value)) is None:
                    if first.is_optional:
                        continue
                    raise AccessError(f"{first.path}: an item without {first.value}; check each.value of the source")
                found[str(value)] = {key: dig(item, path) for key, path in first.keep.items()}
        for value, keep in found.items():
            yield from self._through(others, {**names, first.name: value}, {**kept, first.name: keep}, first)

    def _list_of(self, one: Each | None, items: Items, names: Names, window: dict[str, str]) -> Iterator[Page]:
        """Yield the pages of the list that `one` of a list before has; none when that one is gone."""
        try:
            if one:
                self._asked[one.name] += 1
            yield from self._list(items, names, window)
        except StatusError as error:
            if one is None or error.status not in one.skip_status:
                raise
            self._gone.setdefault(one.name, []).append(str(error))

    def _list(self, items: Items, names: Names, window: dict[str, str]) -> Iterator[Page]:
        """Yield the pages of one list; where they are counted, look again whether it is still the same."""
        paging = items.paging
        looks = 2 if (paging.is_counted if paging.second_look is None else paging.second_look) else 1
        found = [0] * looks
        for look in range(looks):
            for page in self._once(items, names, window):
                for item in page if looks > 1 else ():
                    # A sum: whatever the order, in no memory.
                    found[look] += int.from_bytes(hashlib.sha256(_line(item).encode("utf-8", "replace")).digest())
                if look == 0:
                    yield page
        if len(set(found)) > 1:
            raise ChangedError(f"{items.path}: the list changed while it was read")

    def _once(self, items: Items, names: Names, window: dict[str, str]) -> Iterator[Page]:
        paging = items.paging
        parameters = {
            **{name: _filled(value, names) for name, value in items.parameters.items()},
            **window,
            **({paging.size_parameter: str(paging.size)} if paging.size_parameter and paging.style != "whole" else {}),
        }
        url = self._client.url(_fill(items.path, names, quote_all=True), parameters)
        position = paging.first_page if paging.style == "page_number" else 0
        seen: set[str] = set()
        while True:
            if paging.is_counted:
                url = url.copy_set_param(paging.page_parameter, str(position))
            response, body, page = self._client.ask(url, self._reader(items), items.path)
            # A page without items ends a counted list; a short one does not.
            if paging.is_counted and not page:
                return
            mark = hashlib.sha256(json.dumps(page).encode()).hexdigest() if paging.is_counted else str(url)
            if mark in seen:
                raise AccessError(f"{where(response)}: hands out the same page again; check paging of the source")
            seen.add(mark)
            yield page
            position += 1 if paging.style == "page_number" else len(page)
            if not paging.is_counted:
                following = self._next(items, response, body)
                if following is None:
                    return
                url = following

    def _next(self, items: Items, response: httpx.Response, body: object) -> httpx.URL | None:
        paging = items.paging
        if paging.style == "whole":
            return None
        link = dig(body, paging.next_key)
        if paging.style == "link_header":
            link = {str(rel).lower(): each.get("url") for rel, each in response.links.items()}.get("next")
        if not link:
            return None
        if paging.style == "bookmark":
            return response.url.copy_set_param(paging.page_parameter, str(link))
        return self._client.follow(response, str(link))

    def _reader(self, items: Items) -> Callable[[httpx.Response], tuple[httpx.Response, object, Page]]:
        def read(response: httpx.Response) -> tuple[httpx.Response, object, Page]:
            body = self._client.json(response)
            page = dig(body, items.items_key) if items.items_key else body
            if not isinstance(page, list) or not all(isinstance(item, dict) for item in page):
                raise AgainError(
                    f"{where(response)}: the answer holds no list of items at {items.items_key or 'its top'}"
                )
            return response, body, page

        return read

    def _refuse_incomplete(self, page: Page) -> None:
        # What an earlier list said is not in the item yet.
        ids = (key for key in self._transport.id_of if not key.startswith("each."))
        for key in (*self._transport.required_keys, *ids):
            if lacking := sum(not has(item, key) for item in page):
                raise AccessError(
                    f"{self._transport.path}: {lacking} of {len(page)} items have no key {key}; nothing is taken from"
                    " it: its format changed, or the token may not read this (else see required_keys of the source)"
                )

    def _with_ours(self, item: Item, kept: Item) -> Item:
        ours: Item = {**item, **({"each": kept} if kept else {})}
        if self._transport.id_of:
            ours["item_id"] = "/".join(str(dig(ours, path)) for path in self._transport.id_of)
        return ours


def _filled(value: str | list[str], names: Names) -> str | list[str]:
    if isinstance(value, list):
        return [_fill(resolve(one), names) for one in value]
    return _fill(resolve(value), names)


def _fill(text: str, names: Names, quote_all: bool = False) -> str:
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", quote(value, safe="") if quote_all else value)
    return text


def _summary(failed: dict[str, AccessError | TransportError]) -> AccessError | TransportError:
    """Return one error for all windows that failed: permanent if one of them is."""
    windows: dict[str, list[str]] = {}
    for name, error in failed.items():
        windows.setdefault(str(error), []).append(name)
    message = "; ".join(
        f"{said} ({len(names)} of the windows: {', '.join(names[:_NAMED])}{' ...' if len(names) > _NAMED else ''})"
        for said, names in windows.items()
    )
    return (AccessError if any(isinstance(e, AccessError) for e in failed.values()) else TransportError)(message)


def _line(item: Item) -> str:
    text = json.dumps(item, ensure_ascii=False, separators=(",", ":"))
    if r"\u0000" in text:
        text = json.dumps(_without_nul(item), ensure_ascii=False, separators=(",", ":"))
    return text + "\n"


def _without_nul(value: Any) -> Any:
    """Postgres has no text with U+0000."""
    match value:
        case str():
            return value.replace("\0", "")
        case list():
            return [_without_nul(part) for part in value]
        case dict():
            return {_without_nul(key): _without_nul(part) for key, part in value.items()}
    return value
