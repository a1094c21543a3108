"""Case actions posted to the CRM. Which there are is casework.py's, when they are tried again outbox.py's."""

from typing import TYPE_CHECKING

from engage.messaging import Messaging
from engage.undelivered import DeliveryError

if TYPE_CHECKING:
    from engage.outbox import Message


def post(messaging: Messaging, message: "Message") -> dict[str, object] | None:
    """Post one case action; return what the CRM says its case is called. Raises DeliveryError."""
    raise DeliveryError("config/messaging.yaml has no crm", is_away=True)
