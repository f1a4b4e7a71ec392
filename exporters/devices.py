"""Devices, internet addresses and browsers with which account holders came."""

from __future__ import annotations

from exporters import schema
from exporters.fields import CREATED_AT, FIRST_SEEN_AT, ID, LANGUAGE, LAST_SEEN_AT, USER_ID
from exporters.observed import observed
from exporters.source import Named
from exporters.sql import SqlExporter
from portability.api import Exporter, Provenance, Sources

TIMES_SEEN = Named("times_seen", "How many times it was seen, counted by days.")

SOURCES = (
    observed(
        schema.devices,
        "devices",
        "Devices",
        "Devices with which you used the platform.",
        columns=(
            ID,
            USER_ID,
            Named("kind", "Kind of the device: desktop, phone, tablet or other."),
            Named("manufacturer", "Who made the device; null if unknown."),
            Named("model", "Model of the device; null if unknown."),
            Named("operating_system", "Operating system and its version."),
            Named("browser", "Browser or app and its version."),
            Named("device_identifier", "Identifier by which the platform knows the device again."),
            Named("screen", "Size of the screen in pixels, width x height, such as 1920x1080."),
            LANGUAGE,
            Named("trusted", "True if you said that the device needs no second factor for some time."),
            FIRST_SEEN_AT,
            LAST_SEEN_AT,
            CREATED_AT,
        ),
    ),
    observed(
        schema.ip_addresses,
        "ip_addresses",
        "Internet addresses",
        "Internet addresses from which you used the platform.",
        columns=(
            ID,
            USER_ID,
            Named("address", "The address, IPv4 or IPv6."),
            Named(
                "country",
                "Country that a table gives for the address, as a two-letter code of ISO 3166-1; it may be wrong.",
                Provenance.DERIVED,
            ),
            Named("city", "Place that a table gives for the address; it may be wrong.", Provenance.DERIVED),
            TIMES_SEEN,
            FIRST_SEEN_AT,
            LAST_SEEN_AT,
            CREATED_AT,
        ),
    ),
    observed(
        schema.user_agents,
        "user_agents",
        "Browsers",
        "How your browsers and apps named themselves.",
        columns=(
            ID,
            USER_ID,
            Named("user_agent", "The header User-Agent, as it was sent (RFC 9110 section 10.1.5)."),
            TIMES_SEEN,
            FIRST_SEEN_AT,
            LAST_SEEN_AT,
            CREATED_AT,
        ),
    ),
)


def exporter(sources: Sources) -> Exporter:
    """The exporter of the policy's row "device information"."""
    return SqlExporter(sources, *SOURCES)
