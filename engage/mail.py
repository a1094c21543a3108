"""E-mail: a message put together with a Message-ID that never changes, and handed to the SMTP server.

Which messages there are, and when they are tried again, is outbox.py's.
"""

import contextlib
import hashlib
import smtplib
import ssl
from collections.abc import Iterator
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from types import TracebackType
from typing import Self

from engage.messaging import Messaging, Smtp
from engage.strict import resolve
from engage.undelivered import DeliveryError


def message_id(messaging: Messaging, key: str) -> str:
    """Return the Message-ID of the message of this key: the same whenever and wherever it is sent."""
    digest = hashlib.sha256(key.encode()).hexdigest()[:40]
    return f"<{digest}@{messaging.sender.email.partition('@')[2]}>"


def compose(
    messaging: Messaging,
    recipient: str,
    subject: str,
    text: str,
    html: str | None,
    key: str,
    answers: str | None,
    written_at: datetime,
    reply_to: str | None,
) -> EmailMessage:
    """Return the e-mail as it travels. `answers`: key of the message in whose thread it belongs.

    Raises DeliveryError, which is final, where no e-mail can be made of these values.
    """
    with _put_together():
        mail = EmailMessage()
        mail["From"] = Address(messaging.sender.name, addr_spec=messaging.sender.email)
        mail["To"] = recipient
        if reply_to:
            mail["Reply-To"] = reply_to
        # The name of a file may hold line breaks, which a header may not.
        mail["Subject"] = " ".join(subject.split())
        mail["Date"] = written_at
        mail["Message-ID"] = message_id(messaging, key)
        if answers:
            mail["In-Reply-To"] = mail["References"] = message_id(messaging, answers)
        # RFC 3834: no out-of-office note answers it.
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(text)
        if html is not None:
            mail.add_alternative(html, subtype="html")
        # Some faults show only when it is written out.
        bytes(mail)
    return mail


class Mailer:
    """One connection to the SMTP server, opened when first needed; use it in a `with`."""

    def __init__(self, messaging: Messaging) -> None:
        self._messaging = messaging
        self._server: smtplib.SMTP | None = None

    def __enter__(self) -> Self:
        """Do nothing yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Take leave; what was said by now counts, whatever becomes of the leave."""
        if self._server:
            with contextlib.suppress(smtplib.SMTPException, OSError):
                self._server.quit()
            self._server = None

    def send(self, mail: EmailMessage, recipient: str) -> None:
        """Hand over one e-mail; return once the server has taken it. Raises DeliveryError, ConfigurationError."""
        if self._server is None:
            with _told(is_away=True):
                self._server = _connect(self._messaging.smtp)
        try:
            with _put_together(), _told(is_away=False):
                self._server.send_message(mail, to_addrs=[recipient])
        except DeliveryError:
            # In whatever state the server is now, the next message begins anew.
            with contextlib.suppress(smtplib.SMTPException, OSError):
                self._server.close()
            self._server = None
            raise


def _connect(smtp: Smtp | None) -> smtplib.SMTP:
    if smtp is None:
        raise DeliveryError("config/messaging.yaml has no smtp", is_away=True)
    host, port = resolve(smtp.host), int(resolve(str(smtp.port)))
    login = (resolve(smtp.username), resolve(smtp.password)) if smtp.username and smtp.password else None
    trust = ssl.create_default_context()
    server = (
        smtplib.SMTP_SSL(host, port, timeout=smtp.timeout_s, context=trust)
        if smtp.security == "tls"
        else smtplib.SMTP(host, port, timeout=smtp.timeout_s)
    )
    with contextlib.ExitStack() as unless_ready:
        unless_ready.callback(server.close)
        if smtp.security == "starttls":
            server.starttls(context=trust)
        if login:
            server.login(*login)
        unless_ready.pop_all()
    return server


@contextlib.contextmanager
def _put_together() -> Iterator[None]:
    """Turn what the parsers of `email` raise into DeliveryError, without their text: it quotes addresses."""
    try:
        yield
    # An outage is none of these: it is an OSError or smtplib's own.
    except (AttributeError, LookupError, TypeError, ValueError, MessageError):
        raise DeliveryError("the message cannot be put together", is_final=True) from None


@contextlib.contextmanager
def _told(is_away: bool) -> Iterator[None]:
    """Turn what smtplib raises into DeliveryError, without the server's text: it quotes addresses."""
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        code = next(iter(error.recipients.values()))[0]
        raise DeliveryError(f"the mail server refuses the recipient (SMTP {code})", is_final=code >= 500) from None
    except (smtplib.SMTPSenderRefused, smtplib.SMTPAuthenticationError, smtplib.SMTPHeloError) as error:
        # Ours to put right, and the same for every message.
        kind = type(error).__name__.removeprefix("SMTP")
        raise DeliveryError(f"the mail server refuses us: {kind} (SMTP {error.smtp_code})", is_away=True) from None
    except smtplib.SMTPResponseException as error:
        final = error.smtp_code >= 500 and not is_away
        raise DeliveryError(
            f"the mail server does not take the message (SMTP {error.smtp_code})", is_final=final, is_away=is_away
        ) from None
    except (smtplib.SMTPException, OSError) as error:
        raise DeliveryError(f"the mail server does not answer: {type(error).__name__}", is_away=is_away) from None
