"""The platforms that can be read, by name. A module is imported when it is asked for, never before."""

from importlib import import_module

from journey_pipeline.errors import JourneyError
from journey_pipeline.platforms.base import Platform

CATALOGUE: tuple[str, ...] = (
    "activecampaign", "calcom", "calendly", "circle", "database", "discourse", "docusign", "files",
    "freshdesk", "ga4", "gohighlevel", "google_ads", "google_sheets", "help_scout", "hubspot", "intercom",
    "kajabi", "kit", "klaviyo", "learndash", "mailchimp", "meta_ads", "paddle", "pandadoc", "paypal",
    "pipedrive", "posthog", "postmark", "salesforce", "sendgrid", "shopify", "slack", "stripe", "teachable",
    "thinkific", "twilio", "typeform", "woocommerce", "xero", "zendesk", "zoom",
)  # fmt: skip


def get(name: str) -> Platform:
    """The platform of that name; of a pattern (files, database, google_sheets), what makes the platforms of its uses.

    Raises:
        JourneyError: if there is no such platform.
    """
    if name not in CATALOGUE:
        msg = f"there is no platform {name!r}; allowed: {', '.join(CATALOGUE)}"
        raise JourneyError(msg)
    platform: Platform = import_module(f"{__name__}.{name}").PLATFORM
    return platform
