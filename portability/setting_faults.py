"""Faults of settings together: two that contradict each other, and one that requires a second one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from portability.api.errors import BadInput
from portability.errors import UnknownRegime
from portability.law import tenants
from portability.law.regimes import log_months, profiles_without
from portability.setting_values import is_loopback, laws


class CheckedSettings(Protocol):
    """The settings that are compared (portability/settings.py describes them)."""

    base_url: str
    development_login: bool
    oidc_issuer: str | None
    oidc_client_id: str | None
    oidc_client_secret: str | None
    regimes: str
    regimes_file: Path | None
    request_log_months: int | None
    tenants_file: Path | None
    storage_region: str | None
    tenant_regions: str
    allow_loopback: bool | None
    smtp_url: str | None
    mail_from: str | None
    sms_url: str | None

    @property
    def embedded(self) -> bool: ...


def contradictions(settings: CheckedSettings) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with settings together, each fault with the name of its setting."""
    if settings.development_login and not is_loopback(settings.base_url):
        yield (
            "development_login",
            "not allowed unless BASE_URL names this machine: every visitor could log in as any user",
        )
    if settings.oidc_issuer and not (settings.oidc_client_id and settings.oidc_client_secret):
        yield "oidc_issuer", "requires OIDC_CLIENT_ID and OIDC_CLIENT_SECRET"
    if settings.oidc_issuer and settings.oidc_issuer.startswith("http:") and not is_loopback(settings.oidc_issuer):
        yield "oidc_issuer", "must use https: unless it names this machine"
    yield from _regime_faults(settings.regimes, settings.regimes_file, settings.request_log_months)
    yield from _tenants_faults(settings.tenants_file)
    if settings.tenant_regions and not settings.storage_region:
        yield "storage_region", "required when TENANT_REGIONS is set"
    if settings.allow_loopback and not is_loopback(settings.base_url):
        yield (
            "allow_loopback",
            "not allowed unless BASE_URL names this machine: recipients could send requests to this machine",
        )
    if settings.sms_url and settings.sms_url.startswith("file:") and not settings.embedded:
        yield "sms_url", "must not be a folder outside the embedded stack: no one would receive the messages"
    if settings.smtp_url and not settings.mail_from:
        yield "mail_from", "required when SMTP_URL is set"


def _regime_faults(names: str, path: Path | None, months: int | None) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the laws of a deployment, each fault with its setting; `months`: of the request log."""
    try:
        chosen = laws(names, path)
    except UnknownRegime as error:
        yield "regimes", f"{error}; {error.hint}"
    except BadInput as error:
        yield "regimes_file", f"{error}; {error.hint}" if error.hint else str(error)
    else:
        if without := profiles_without(chosen):
            yield "regimes", f"contains no law with a deadline for {', '.join(without)}; see docs/deadlines.md"
        if months is not None and months < (least := log_months(chosen)):
            yield "request_log_months", f"must be at least {least} months, because of REGIMES"


def _tenants_faults(path: Path | None) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the file of tenants."""
    try:
        tenants.load(path)
    except BadInput as error:
        yield "tenants_file", f"{error}; {error.hint}" if error.hint else str(error)
