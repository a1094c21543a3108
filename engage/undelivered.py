"""What it means that a message could not be delivered. Shared by every way in which messages travel."""


class DeliveryError(Exception):
    """A server did not take a message. The text names the server's answer, never an address or a secret."""

    def __init__(self, said: str, is_final: bool = False, is_away: bool = False, wait_s: float | None = None) -> None:
        """`is_final`: asking again is in vain. `is_away`: no other message fares better now. `wait_s`: as asked."""
        super().__init__(said)
        self.is_final = is_final
        self.is_away = is_away
        self.wait_s = wait_s
