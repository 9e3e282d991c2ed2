"""Carries a message to an address, by Apprise: Slack, Teams, e-mail, webhooks and a hundred more. The only importer of it.

Addresses hold secrets: they are never told, and neither is what Apprise says of them.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from journey_pipeline.errors import JourneyError
from journey_pipeline.notify.message import Message

_PATIENCE_S = 30.0


def carry(message: Message, name: str, address: str) -> bool:
    """Whether it arrived. `name`: how sentences call the address, the variable that holds it.

    Raises:
        JourneyError: if the address is none that Apprise knows.
    """
    import apprise  # noqa: PLC0415  a quarter of a second, for the one command and sensor that need it

    with _silence():
        carrier = apprise.Apprise()
        if not carrier.add(address):
            msg = f"{name} holds no address that messages can be carried to; allowed: what Apprise knows, like slack://, mailto://, json://"
            raise JourneyError(msg)
        return bool(
            carrier.notify(
                body=message.body, title=message.title, body_format=apprise.NotifyFormat.TEXT, timeout=_PATIENCE_S
            )
        )


@contextmanager
def _silence() -> Iterator[None]:
    """Apprise logs the addresses that fail."""
    logger = logging.getLogger("apprise")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
