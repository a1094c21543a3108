"""Posting to the CRM: a JSON body signed as Standard Webhooks has it, and what the answer means.

What is asked of the CRM is casework.py's, when a message is sent or tried again outbox.py's. The receiver's side is
described in docs/casework.md.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import ssl
import time
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from engage.messaging import Crm, Messaging
from engage.strict import ConfigurationError, resolve
from engage.undelivered import DeliveryError
from engage.webhook import wait_s

if TYPE_CHECKING:
    from engage.outbox import Message

LONGEST_BODY, LONGEST_ANSWER, LONGEST_ID = 256_000, 64_000, 200
"""Bytes of what is sent and of what of an answer is read; characters of a case id."""
_FEWEST_SECRET_BYTES = 24
_AWAY_FOR_ALL = (401, 403, 407, 410, 429, 502, 503, 504)
"""The CRM refuses us or rests: what it says of one message it says of all."""
_AGAIN = (408, 409, 423, 425)
_SUSPECT_AFTER = 3
"""So often no answer came: then it may be the message's own doing, and others are no longer kept waiting for it."""
_NOT_REACHED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


def post(messaging: Messaging, message: "Message") -> dict[str, object] | None:
    """Post the payload of a case action; return `{"case_id": ...}` where the CRM says it.

    Nothing else of its answer is kept. Raises DeliveryError and ConfigurationError, which name no address, secret or
    student.
    """
    if messaging.crm is None:
        raise DeliveryError("config/messaging.yaml has no crm", is_away=True)
    url, secret = _address(messaging.crm), secret_bytes(resolve(messaging.crm.secret))
    body = json.dumps(message.payload, ensure_ascii=False, separators=(",", ":")).encode()
    if len(body) > LONGEST_BODY:
        raise DeliveryError(f"what the CRM would be sent is longer than {LONGEST_BODY:,} bytes", is_final=True)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "engage",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        **signed(secret, identity(message.message_key, message.created_at), int(time.time()), body),
    }
    try:
        status, answered, content = _exchange(url, body, headers, messaging.crm.timeout_s)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        is_away = isinstance(error, _NOT_REACHED) or message.attempts < _SUSPECT_AFTER
        raise DeliveryError(f"the CRM does not answer: {type(error).__name__}", is_away=is_away) from None
    said = _json(content)
    case_id = _case_id(said)
    is_taken_before = status == 409 and (case_id is not None or said.get("already") is True)
    if 200 <= status < 300 or is_taken_before:
        return None if case_id is None else {"case_id": case_id}
    is_away = status in _AWAY_FOR_ALL or 300 <= status < 400
    is_final = not is_away and status not in _AGAIN and status < 500
    wait = None if is_final else wait_s(answered)
    raise DeliveryError(f"the CRM says HTTP {status}", is_final=is_final, is_away=is_away, wait_s=wait)


def identity(message_key: str, written_at: datetime) -> str:
    """Return what names a message to the CRM, however often it is sent, and no other one, not of another warehouse."""
    made = f"{message_key} {written_at.astimezone(UTC).isoformat()}"
    return f"msg_{hashlib.sha256(made.encode()).hexdigest()[:32]}"


def signed(secret: bytes, name: str, seconds: int, body: bytes) -> dict[str, str]:
    """Return the headers of Standard Webhooks 1.0.0, and the key of the message as gateways know it.

    `seconds`: when it is sent, since 1970.
    """
    digest = hmac.new(secret, f"{name}.{seconds}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": name,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        "Idempotency-Key": name,
    }


def _exchange(url: str, body: bytes, headers: dict[str, str], timeout_s: float) -> tuple[int, httpx.Response, bytes]:
    """Return status, answer and the beginning of its body. Redirects are not followed: they may lead anywhere."""
    until = time.monotonic() + timeout_s
    content = b""
    client = httpx.Client(verify=_trust(os.environ.get("SSL_CERT_FILE")), timeout=timeout_s, follow_redirects=False)
    with client, client.stream("POST", url, content=body, headers=headers) as answer:
        try:
            for chunk in answer.iter_bytes():
                content += chunk
                if len(content) > LONGEST_ANSWER or time.monotonic() > until:
                    break
        except httpx.HTTPError:
            # The status has been said, and that is what counts.
            content = b""
    return answer.status_code, answer, content


@cache
def _trust(certificates: str | None) -> ssl.SSLContext:
    """Return whom we believe; to read it takes longer than to send a message. `certificates`: as httpx finds them."""
    return httpx.create_ssl_context()


def _address(crm: Crm) -> str:
    url = resolve(crm.url)
    try:
        parts = urlsplit(url)
        is_here = parts.hostname in ("localhost", "127.0.0.1", "::1")
    except ValueError:
        raise ConfigurationError("config/messaging.yaml: crm.url: is not an address") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and is_here):
        raise ConfigurationError("config/messaging.yaml: crm.url: must begin with https://; it carries students' data")
    return url


def secret_bytes(given: str) -> bytes:
    """Return the key that `whsec_...` stands for. Raises ConfigurationError."""
    try:
        secret = base64.b64decode(given.strip().removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not given.strip().startswith("whsec_") or len(secret) < _FEWEST_SECRET_BYTES:
        raise ConfigurationError(
            f"config/messaging.yaml: crm.secret: must be whsec_ and the base64 of {_FEWEST_SECRET_BYTES} or more bytes"
        )
    return secret


def _json(content: bytes) -> dict[str, object]:
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _case_id(said: dict[str, object]) -> str | None:
    given = said.get("case_id")
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    is_good = isinstance(given, str) and 0 < len(given.strip()) <= LONGEST_ID and given.isprintable()
    return str(given).strip() if is_good else None
