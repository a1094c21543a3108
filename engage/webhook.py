"""Webhooks of chat programs: the payloads that Teams and Slack take, and posting them.

Teams: a Workflow "when a Teams webhook request is received", which takes Adaptive Cards only. Slack: an incoming
webhook with Block Kit blocks. What a message says is letters.py's.
"""

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from engage.messaging import Webhook
from engage.strict import resolve
from engage.undelivered import DeliveryError

# They log addresses, and whoever knows that of a webhook can post.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)
TIMEOUT_S = 20.0
_HEADER, _SECTION, _FIELDS = 150, 2900, 10
"""Slack's limits: characters of a header, of a section, fields of a section."""


@dataclass(frozen=True)
class Card:
    """A message in the few words that a channel has room for."""

    title: str
    lead: str
    facts: Sequence[tuple[str, str]]
    todo: Sequence[str] = ()
    links: Sequence[tuple[str, str]] = field(default_factory=list)
    """Words and address."""
    is_good: bool = False


def payload(hook: Webhook, card: Card) -> dict[str, object]:
    """Return the JSON to post."""
    return _teams(card) if hook.kind == "teams" else _slack(card)


def post(hook: Webhook, body: dict[str, object]) -> None:
    """Post a payload. Raises DeliveryError, which never names the address: whoever knows it can post."""
    try:
        answer = httpx.post(resolve(hook.url), json=body, timeout=TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DeliveryError(f"the webhook does not answer: {type(error).__name__}") from None
    if answer.is_success:
        return
    may_pass = answer.status_code in (408, 425, 429) or answer.is_server_error
    raise DeliveryError(f"the webhook says HTTP {answer.status_code}", is_final=not may_pass, wait_s=wait_s(answer))


def wait_s(answer: httpx.Response) -> float | None:
    """Return the seconds of a Retry-After header: a number or a date (RFC 9110, 10.2.3)."""
    said = answer.headers.get("retry-after", "")
    with contextlib.suppress(ValueError):
        return max(float(said), 1.0)
    with contextlib.suppress(ValueError):
        seconds: float = (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds()
        return max(seconds, 1.0)
    return None


def _teams(card: Card) -> dict[str, object]:
    body: list[dict[str, object]] = [
        {
            "type": "TextBlock",
            "text": card.title,
            "size": "Large",
            "weight": "Bolder",
            "wrap": True,
            "color": "Good" if card.is_good else "Attention",
            "style": "heading",
        },
        {"type": "TextBlock", "text": card.lead, "wrap": True},
        {"type": "FactSet", "facts": [{"title": title, "value": value} for title, value in card.facts]},
        *({"type": "TextBlock", "text": f"- {step}", "wrap": True, "spacing": "Small"} for step in card.todo),
    ]
    content = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
        "actions": [{"type": "Action.OpenUrl", "title": words, "url": url} for words, url in card.links],
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": content}]}


def _slack(card: Card) -> dict[str, object]:
    blocks: list[dict[str, object]] = [
        {"type": "header", "text": {"type": "plain_text", "text": card.title[:_HEADER]}},
        _section(card.lead),
    ]
    fields = [_mrkdwn(f"*{_escaped(title)}*\n{_escaped(value)}"[:2000]) for title, value in card.facts[:_FIELDS]]
    blocks += [{"type": "section", "fields": fields}] if fields else []
    if card.todo:
        blocks.append(_section("\n".join(f"• {step}" for step in card.todo)))
    links = " · ".join(f"<{url}|{_escaped(words)}>" for words, url in card.links)
    blocks += [{"type": "context", "elements": [_mrkdwn(links)]}] if links else []
    # The text is what notifications and screen readers get.
    return {"text": _escaped(f"{card.title}: {card.lead}"), "blocks": blocks}


def _section(text: str) -> dict[str, object]:
    return {"type": "section", "text": _mrkdwn(_escaped(text)[:_SECTION])}


def _mrkdwn(text: str) -> dict[str, object]:
    return {"type": "mrkdwn", "text": text}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
