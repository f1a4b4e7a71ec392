"""Devices, internet addresses and browsers that account holders used."""

from __future__ import annotations

from exporters.reference import row_filters, schema
from exporters.reference.fields import FIRST_SEEN_AT, LANGUAGE, LAST_SEEN_AT
from exporters.reference.observed import observed
from exporters.sql.exporter import SqlExporter
from exporters.sql.source import Named
from portability.api import Exporter, Provenance, Sources

TIMES_SEEN = Named("times_seen", "Number of days on which it was seen.")

SOURCES = (
    observed(
        "devices",
        schema.devices,
        "devices",
        "Devices",
        "Devices with which you used the platform.",
        Named("kind", "Kind of the device: desktop, phone, tablet or other."),
        Named("manufacturer", "Manufacturer of the device; null if unknown."),
        Named("model", "Model of the device; null if unknown."),
        Named("operating_system", "Operating system and its version."),
        Named("browser", "Browser or app and its version."),
        Named("device_identifier", "Identifier by which the platform recognises the device."),
        Named("screen", "Size of the screen in pixels, width x height, such as 1920x1080."),
        LANGUAGE,
        Named("trusted", "True if you chose that the device does not need a second factor for some time."),
        FIRST_SEEN_AT,
        LAST_SEEN_AT,
    ),
    observed(
        "devices",
        schema.ip_addresses,
        "ip_addresses",
        "Internet addresses",
        "Internet addresses from which you used the platform.",
        Named("address", "The address, IPv4 or IPv6."),
        Named(
            "country",
            "Country of the address according to a table, as a two-letter code of ISO 3166-1; it may be wrong.",
            Provenance.DERIVED,
        ),
        Named("city", "City of the address according to a table; it may be wrong.", Provenance.DERIVED),
        TIMES_SEEN,
        FIRST_SEEN_AT,
        LAST_SEEN_AT,
    ),
    observed(
        "devices",
        schema.user_agents,
        "user_agents",
        "Browsers",
        "How your browsers and apps identified themselves.",
        Named("user_agent", "The header User-Agent, as it was sent (RFC 9110 section 10.1.5)."),
        TIMES_SEEN,
        FIRST_SEEN_AT,
        LAST_SEEN_AT,
    ),
)


def exporter(sources: Sources) -> Exporter:
    """Make the exporter for the policy's row "device information"."""
    return SqlExporter(sources, *SOURCES, selects_by=row_filters.selects_by("devices"))
