"""How an HTTP API can fail its reader: worth another attempt or not, for what was asked or for everything.

What a status or a body means is read in http_client.py; what to do about a failure is the caller's.
"""

import time
from email.utils import parsedate_to_datetime
from typing import Self

import httpx

from engage.connectors import AccessError, TransportError


class AgainError(TransportError):
    """Worth another attempt, after so many seconds if the server named them."""

    def __init__(self, message: str, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s

    @classmethod
    def of(cls, response: httpx.Response, message: str) -> Self:
        """Return the error with the wait that the response asks for."""
        return cls(message, retry_after(response))


class SlowError(AgainError):
    """No answer in time: this was too much to ask, or the server is in trouble."""


class DownError(AgainError):
    """The server is not to be had now, whatever is asked."""


class ChangedError(AgainError):
    """A list was another one at the second look."""


class RefusedError(AccessError):
    """The token is refused, whatever is asked."""


class StatusError(AccessError):
    """A status that says no to what was asked."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def retry_after(response: httpx.Response) -> float | None:
    """Return the seconds of a Retry-After header, which holds seconds or a date (RFC 9110, 10.2.3)."""
    said = response.headers.get("Retry-After", "").strip()
    try:
        return float(said) if said.isdecimal() else float(parsedate_to_datetime(said).timestamp()) - time.time()
    except ValueError:
        return None
