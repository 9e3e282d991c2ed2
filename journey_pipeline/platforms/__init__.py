"""The platforms that can be read, by name. A module is imported when it is asked for, never before."""

from importlib import import_module

from journey_pipeline.errors import JourneyError
from journey_pipeline.platforms.base import Platform

CATALOGUE: tuple[str, ...] = ("files", "hubspot", "mailchimp", "stripe", "teachable", "typeform", "zendesk")


def get(name: str) -> Platform:
    """The platform of that name. `files` is a pattern: settings.connected() makes one platform of each use of it.

    Raises:
        JourneyError: if there is no such platform.
    """
    if name not in CATALOGUE:
        msg = f"there is no platform {name!r}; allowed: {', '.join(CATALOGUE)}"
        raise JourneyError(msg)
    platform: Platform = import_module(f"{__name__}.{name}").PLATFORM
    return platform
