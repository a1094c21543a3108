"""Which sources cannot be looked at or fetched from, and since when: noted where it happens, forgotten on success.

What follows from a fault, and who is told, is decided in conditions.py and incidents.py.
"""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from engage.connectors import AccessError, HostKeyError, TransportError
from engage.sources import ConfigurationError
from engage.warehouse import Connection

KINDS: dict[type[Exception], str] = {
    HostKeyError: "host_key",
    AccessError: "access_refused",
    ConfigurationError: "configuration",
    TransportError: "unreachable",
}
_NOTE = """
insert into ops.source_fault as f (source_id, kind, step, since, last_at, message)
values (%(source)s, %(kind)s, %(step)s, %(now)s, %(now)s, %(message)s)
on conflict (source_id) do update set
    since = case when f.kind = excluded.kind then f.since else excluded.since end,
    kind = excluded.kind, step = excluded.step, last_at = excluded.last_at, message = excluded.message
"""


@contextlib.contextmanager
def noted(connection: Connection, source_id: str, step: Literal["look", "fetch"], now: datetime) -> Iterator[None]:
    """Remember that this step of a source fails, and since when; forget it once it succeeds. Commits.

    A look that succeeds says nothing about fetching. The error goes on to the caller.
    """
    try:
        yield
    except tuple(KINDS) as error:
        connection.rollback()
        kind = next(kind for type_, kind in KINDS.items() if isinstance(error, type_))
        given = {"source": source_id, "kind": kind, "step": step, "now": now, "message": str(error)}
        connection.execute(_NOTE, given)
        connection.commit()
        raise
    connection.execute("delete from ops.source_fault where source_id = %s and step = %s", [source_id, step])
    connection.commit()
