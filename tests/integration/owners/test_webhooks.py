"""Chat programs, over real HTTP: what they are sent, and what becomes of what they do not take."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.integration.owners.kit import Desk, row


class Chat:
    """Keeps what is posted. `answers`: status and headers that are given instead of 202, one each."""

    def __init__(self) -> None:
        chat = self
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers = chat.answers.pop(0) if chat.answers else (202, {})
                if status == 202:
                    chat.posted.append((self.path, json.loads(content)))
                self.send_response(status)
                for name, value in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def chat(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    chat = Chat()
    threading.Thread(target=chat.server.serve_forever).start()
    monkeypatch.setenv("TEAMS_URL", f"{chat.url}/teams-secret")
    monkeypatch.setenv("SLACK_URL", f"{chat.url}/slack-secret")
    hooks = [{"name": "team", "kind": "teams", "url": "${TEAMS_URL}"}]
    desk.configure(webhooks=[*hooks, {"name": "talk", "kind": "slack", "url": "${SLACK_URL}"}])
    desk.deliver([row(1, 20, start="nonsense")], 20)
    yield chat
    chat.server.shutdown()
    chat.server.server_close()


def test_teams_gets_an_adaptive_card_and_slack_blocks(desk: Desk, chat: Chat) -> None:
    assert desk.tell() == {"sent": 3}

    teams, slack = (body for _, body in sorted(chat.posted, reverse=True))
    (attachment,) = teams["attachments"]
    card = attachment["content"]
    assert (teams["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert card["body"][0]["text"] == "Attendance: register_20261120.csv is held back"
    facts = {fact["title"]: fact["value"] for fact in card["body"][2]["facts"]}
    assert facts["Expected"].startswith("Files that can be read")
    assert card["actions"][0]["url"] == "http://127.0.0.1:3000/assets/raw/attendance"
    assert len(json.dumps(teams)) < 28_000
    assert slack["text"].startswith("Attendance: register_20261120.csv is held back: ")
    assert slack["blocks"][0] == {
        "type": "header",
        "text": {"type": "plain_text", "text": "Attendance: register_20261120.csv is held back"},
    }
    assert "<http://127.0.0.1:3000/assets/raw/attendance|Attendance in Dagster>" in json.dumps(slack["blocks"][-1])


def test_a_channel_that_asks_for_patience_gets_it_and_one_that_is_gone_is_given_up(desk: Desk, chat: Chat) -> None:
    chat.answers = [(429, {"Retry-After": "300"}), (404, {})]

    assert desk.tell() == {"sent": 1, "pending": 1, "failed": 1}

    _, slow, gone = desk.outbox("error, next_attempt_at - created_at")
    assert slow == ("the webhook says HTTP 429", timedelta(minutes=5))
    assert gone[0] == "the webhook says HTTP 404"
    desk.later(minutes=5)
    chat.answers = [(503, {})]
    assert desk.send() == {"pending": 1}
    chat.server.shutdown()
    chat.server.server_close()
    desk.later(minutes=2)
    assert desk.send() == {"pending": 1}
    assert desk.outbox("error")[1] == ("the webhook does not answer: ConnectError",)
    assert "secret" not in repr(desk.outbox("*"))


def test_a_channel_whose_secret_is_missing_keeps_no_other_waiting(
    desk: Desk, chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEAMS_URL")
    assert desk.tell() == {"sent": 2, "pending": 1}
    assert [path for path, _ in chat.posted] == ["/slack-secret"]
    assert "TEAMS_URL" in str(desk.outbox("error"))
