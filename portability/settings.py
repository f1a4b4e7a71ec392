"""Settings: environment variables `PORTABILITY_*`, read once and checked together; docs/settings.md lists them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from portability.deadlines import DEFAULT_REGIMES, Place, log_months
from portability.errors import BadSetting
from portability.setting_values import (
    Country,
    DatabaseUrl,
    Dates,
    Mailbox,
    RedisUrl,
    Regimes,
    ScanActions,
    SmtpUrl,
    StorageUrl,
    TenantRegions,
    TimeZone,
    WebUrl,
    is_loopback,
    listed,
    regions,
    zone,
)

GIB = 1 << 30
MIB = 1 << 20
DAY = 86_400


class Settings(BaseSettings):
    """Every setting; a field's description is its line in docs/settings.md."""

    model_config = SettingsConfigDict(env_prefix="PORTABILITY_", frozen=True, extra="ignore", hide_input_in_errors=True)

    dir: Path = Field(Path("portability-data"), description="State folder of the embedded stack")
    database_url: DatabaseUrl | None = Field(
        None, repr=False, description="Control database: SQLite or PostgreSQL; default: SQLite in DIR"
    )
    source_url: DatabaseUrl | None = Field(
        None, repr=False, description="The platform's database, read only; default: SQLite in DIR"
    )
    redis_url: RedisUrl | None = Field(
        None, repr=False, description="Redis or Valkey for wake-ups; default: the folder's Valkey"
    )
    storage_url: StorageUrl | None = Field(None, repr=False, description="Where archives go; default: a folder in DIR")
    storage_sse: str | None = Field(
        None,
        description="Server-side encryption on S3: AES256, aws:kms or aws:kms:KEY",
        pattern=r"^(AES256|aws:kms(:.+)?)$",
    )
    recordings_url: StorageUrl | None = Field(
        None, repr=False, description="Where recordings and attachments lie; default: a folder in DIR"
    )
    keys_dir: Path | None = Field(None, description="Folder of the private signing keys (PEM, 0600); default: DIR/keys")
    base_url: WebUrl = Field("http://localhost:8000", description="Public address of this service")
    issuer: str | None = Field(None, description="`iss` of signatures; default: BASE_URL", min_length=1)
    contact: str | None = Field(
        None, description="Whom a person asks about an archive: an address or URL, printed in it", min_length=1
    )
    notice_dir: Path | None = Field(None, description="Folder with the deployment's own tables of the notice register")
    development_login: bool = Field(
        default=False, description="A login without a password, for playing; refused unless BASE_URL is this machine"
    )
    oidc_issuer: WebUrl | None = Field(None, description="OpenID provider where people and staff log in")
    oidc_client_id: str | None = Field(None, description="Client id of the pages at the provider", min_length=1)
    oidc_client_secret: str | None = Field(
        None, description="Client secret of the pages at the provider", min_length=1, repr=False
    )
    oidc_audience: str | None = Field(
        None, description="`aud` that the API wants in bearer tokens; default: BASE_URL", min_length=1
    )
    oidc_roles_claim: str = Field("roles", description="Claim with the list of roles", min_length=1)
    oidc_tenant_claim: str = Field("tenant", description="Claim with an administrator's tenant", min_length=1)
    oidc_strong_acr: str = Field(
        "mfa", description="Values of `acr` or `amr` that count as a strong login, with commas between", min_length=1
    )
    step_up_seconds: int = Field(
        900, description="How old a strong login may be when an export is asked for or downloaded", ge=60
    )
    session_seconds: int = Field(3600, description="How long a login on the pages holds", ge=300)
    smtp_url: SmtpUrl | None = Field(
        None, repr=False, description="Server that takes our mail; default: none, messages on /me alone"
    )
    directory: str = Field("schema", description="Directory plugin that knows verified addresses", min_length=1)
    smtp_seconds: float = Field(30, description="How long the mail server is waited for, at each step", gt=0)
    mail_from: Mailbox | None = Field(None, description="Sender of our mail; needed beside SMTP_URL")
    link_ttl_seconds: int = Field(172_800, description="How long a download link holds", ge=60, le=30 * DAY)
    link_claims_max: int = Field(20, description="Downloads of one volume that one link may begin", ge=1)
    link_claim_seconds: int = Field(
        21_600, description="How long a download that has begun may go on and be resumed", ge=60
    )
    exports_per_month: int = Field(10, description="Exports of one subject in 30 days; failed ones do not count", ge=1)
    approvals: Literal["policy", "none"] | None = Field(
        None, description="Whether a second person must approve what the policy names; default: policy, embedded none"
    )
    review_exporters: str = Field(
        "", description="Exporters whose data about others a person looks at before a person's copy is made, by commas"
    )
    contact_change_seconds: int = Field(
        14 * DAY, description="How long after a change of contact data a request by staff needs a second person", ge=0
    )
    regimes: Regimes = Field(
        ",".join(DEFAULT_REGIMES), description="Laws whose deadlines count, with commas between; the earliest holds"
    )
    time_zone: TimeZone = Field("UTC", description="Where the days of deadlines begin and end")
    holidays: Dates = Field("", description="Days on which no deadline of the GDPR ends, beside Saturdays and Sundays")
    archive_ttl_seconds: int = Field(7 * DAY, description="How long a person's archive is kept", ge=DAY)
    tenant_archive_ttl_seconds: int = Field(
        30 * DAY, description="How long a tenant's archive is kept; at least 30 days (EU Data Act)", ge=30 * DAY
    )
    request_log_months: int | None = Field(
        None,
        description="How long a request's record is kept after its answer; default and least: as the laws say",
    )
    volume_bytes: int = Field(2 * GIB, description="Upper bound of a volume before its closing files", ge=MIB // 16)
    volume_members: int = Field(50_000, description="Upper bound of members in a volume", ge=10, le=200_000)
    slice_bytes: int = Field(
        4 * GIB, description="A dataset expected to be larger is cut into slices of about this size", ge=MIB // 16
    )
    slices_max: int = Field(16, description="Most slices of one dataset", ge=1)
    tenant_volumes_max: int = Field(
        4, description="Volumes of one tenant that are written at the same time; people with an account: no limit", ge=1
    )
    small_only: bool = Field(
        default=False, description="This worker takes no volume of a large export: one worker kept free for people"
    )
    piece_bytes: int = Field(16 * MIB, description="Size of a dataset's piece in the first format", ge=1)
    lease_seconds: float = Field(60, description="How long a worker's claim holds without renewal", ge=1)
    drain_seconds: float = Field(20, description="How long a stopping worker may go on with its open volume", ge=0)
    attempts_max: int = Field(
        6, description="Failed tries of one volume before the export fails; eight times as many during an outage", ge=1
    )
    backoff_seconds: float = Field(2, description="First wait after a failed try; doubles each time, up to 300 s", ge=0)
    source_retries: int = Field(3, description="Tries of an unavailable source before its dataset gets a gap", ge=0)
    source_seconds: float = Field(
        300, description="How long a source may give nothing before its dataset or file gets a gap", gt=0
    )
    clock_seconds: float = Field(2, description="How often the clock looks for claimable exports", gt=0)
    sweep_seconds: float = Field(3600, description="How often the clock sweeps the storage; 0: never", ge=0)
    scan_actions: ScanActions = Field(
        "", description="What the scan does otherwise than docs/scan.md says: `id-number=block,canary=mask`"
    )
    scan_canaries: str = Field(
        "", repr=False, description="Beginnings of values that were planted where nothing leaves, commas between"
    )
    country: Country | None = Field(
        None, description="Where this service is established; default: no recipient's country counts as its own"
    )
    storage_region: str | None = Field(
        None, description="Region that the archives are stored in; needed beside TENANT_REGIONS", min_length=1
    )
    tenant_regions: TenantRegions = Field(
        "", description="Regions that tenants are pinned to: TENANT=REGION, with commas between"
    )
    allow_fetch: bool = Field(default=False, description="Lets an operator `fetch` archives outside the embedded stack")
    allow_loopback: bool | None = Field(
        None, description="Lets recipients name addresses of this machine; default: embedded stack with such a BASE_URL"
    )

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if faults := list(self._contradictions()):
            raise ValueError("; ".join(f"{_env(name)}: {fault}" for name, fault in faults))
        return self

    def _contradictions(self) -> Iterator[tuple[str, str]]:
        if self.development_login and not is_loopback(self.base_url):
            yield "development_login", "anybody could log in as anybody: refused where BASE_URL is not this machine"
        if self.oidc_issuer and not (self.oidc_client_id and self.oidc_client_secret):
            yield "oidc_issuer", "needs OIDC_CLIENT_ID and OIDC_CLIENT_SECRET beside it"
        if self.oidc_issuer and self.oidc_issuer.startswith("http:") and not is_loopback(self.oidc_issuer):
            yield "oidc_issuer", "needs https: where it is not this machine"
        if self.log_months < (least := log_months(self.regime_names)):
            yield "request_log_months", f"the laws of REGIMES want at least {least} months"
        if self.tenant_regions and not self.storage_region:
            yield "storage_region", "needed beside TENANT_REGIONS"
        if self.allow_loopback and not is_loopback(self.base_url):
            yield "allow_loopback", "recipients could reach into this machine: refused where BASE_URL is not here"
        if self.smtp_url and not self.mail_from:
            yield "mail_from", "needed beside SMTP_URL"

    @property
    def embedded(self) -> bool:
        """True where nothing was configured: one folder, one machine."""
        return self.database_url is None and self.redis_url is None and self.storage_url is None

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.dir.absolute() / 'portability.sqlite'}"

    @property
    def source(self) -> str:
        return self.source_url or f"sqlite:///{self.dir.absolute() / 'platform.sqlite'}"

    @property
    def storage(self) -> str:
        return self.storage_url or (self.dir.absolute() / "archives").as_uri()

    @property
    def recordings(self) -> str:
        return self.recordings_url or (self.dir.absolute() / "recordings").as_uri()

    @property
    def keys(self) -> Path:
        return self.keys_dir or self.dir.absolute() / "keys"

    @property
    def iss(self) -> str:
        return self.issuer or self.base_url

    @property
    def audience(self) -> str:
        return self.oidc_audience or self.base_url

    @property
    def strong_acr(self) -> frozenset[str]:
        return frozenset(listed(self.oidc_strong_acr))

    @property
    def place(self) -> Place:
        return Place(zone(self.time_zone), frozenset(map(date.fromisoformat, listed(self.holidays))))

    @property
    def regime_names(self) -> list[str]:
        return listed(self.regimes)

    @property
    def reviewed(self) -> list[str]:
        return listed(self.review_exporters)

    @property
    def log_months(self) -> int:
        return log_months(self.regime_names) if self.request_log_months is None else self.request_log_months

    def ttl_seconds(self, subject_kind: str) -> int:
        """How long an archive of a subject of this kind is kept."""
        return self.tenant_archive_ttl_seconds if subject_kind == "tenant" else self.archive_ttl_seconds

    @property
    def region_of(self) -> Mapping[str, str]:
        """The region that a tenant is pinned to, by tenant."""
        return regions(self.tenant_regions)

    @property
    def may_ask_loopback(self) -> bool:
        """Whether webhooks and key sets of recipients may be on this machine."""
        played = self.embedded and is_loopback(self.base_url)
        return played if self.allow_loopback is None else self.allow_loopback

    @property
    def needs_approvals(self) -> bool:
        return (self.approvals or ("none" if self.embedded else "policy")) == "policy"


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment, with overrides by field name.

    Raises:
        BadSetting: names every faulty variable in one line; values are not repeated, they may hold secrets.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        raise BadSetting("; ".join(map(_told, error.errors()))) from None


def _told(fault: Mapping[str, object]) -> str:
    """One fault with its variable; one of several settings together names its own."""
    location, message = fault["loc"], str(fault["msg"]).removeprefix("Value error, ")
    return f"{_env(location[0])}: {message}" if isinstance(location, tuple) and location else message


def _env(name: object) -> str:
    return f"{Settings.model_config['env_prefix']}{name}".upper()
