"""The platforms that can be read, by the part of a buyer's journey that they see.

A platform's module is imported when it is asked for, never before.
"""

from collections.abc import Mapping
from importlib import import_module

from journey_pipeline.errors import JourneyError, one_of
from journey_pipeline.platforms.base import Platform

PARTS: Mapping[str, tuple[str, ...]] = {
    "ads and social": ("meta_ads", "google_ads"),
    "web analytics": ("ga4", "posthog"),
    "lead forms": ("typeform", "hubspot", "meta_ads"),
    "CRM": ("hubspot", "pipedrive", "gohighlevel", "salesforce"),
    "booking and calls": ("calendly", "calcom", "zoom"),
    "proposals and contracts": ("pandadoc", "docusign"),
    "checkout and payments": ("stripe", "paypal", "shopify", "woocommerce", "paddle"),
    "courses, memberships, community": ("teachable", "thinkific", "kajabi", "learndash", "circle", "discourse"),
    "e-mail and follow-up": ("mailchimp", "klaviyo", "kit", "activecampaign", "postmark", "sendgrid"),
    "messaging": ("twilio",),
    "team notifications": ("slack",),
    "support": ("zendesk", "intercom", "help_scout", "freshdesk"),
    "surveys": ("typeform",),
    "spreadsheets and reports": ("files", "google_sheets", "xero"),
    "the business's own application": ("database",),
}
"""Part of the journey -> the platforms that see it; the catalogue, in a buyer's order."""

CATALOGUE = tuple(sorted({name for names in PARTS.values() for name in names}))


def get(name: str) -> Platform:
    """The platform of that name; of a pattern (files, database, google_sheets), what makes the platforms of its uses.

    Raises:
        JourneyError: if there is no such platform.
    """
    if name not in CATALOGUE:
        msg = f"there is no platform {name!r}; {one_of(name, CATALOGUE)}"
        raise JourneyError(msg)
    platform: Platform = import_module(f"{__name__}.{name}").PLATFORM
    return platform
