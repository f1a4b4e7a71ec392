"""Settings: environment variables `PORTABILITY_*`, read once and checked together; docs/settings.md lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from portability import brand
from portability import setting_values as kinds
from portability.api import SubjectKind
from portability.api.errors import BadSetting
from portability.inbox_settings import InboxSettings
from portability.law.deadlines import BusinessCalendar
from portability.law.regime import Regime
from portability.law.regimes import DEFAULT_REGIMES, log_months
from portability.setting_faults import contradictions

GIB = 1 << 30
MIB = 1 << 20
DAY = 86_400


class SendingSettings(BaseSettings):
    """Every setting but those of the receiving service; a field's description is its line in docs/settings.md."""

    model_config = SettingsConfigDict(env_prefix="PORTABILITY_", frozen=True, extra="ignore", hide_input_in_errors=True)

    dir: Path = Field(Path("portability-data"), description="State folder of the embedded stack")
    database_url: kinds.DatabaseUrl | None = Field(
        None, repr=False, description="Control database: SQLite or PostgreSQL; default: SQLite in DIR"
    )
    source_url: kinds.DatabaseUrl | None = Field(
        None,
        repr=False,
        description="The reference platform's database, read only; default: SQLite in DIR, on the embedded stack",
    )
    sources: Path | None = Field(
        None, description="TOML file that lists the sources; default: the reference platform at SOURCE_URL"
    )
    prepared_statements: bool | None = Field(
        None, description="Prepared statements on PostgreSQL; default: on the control database without a pooler"
    )
    redis_url: kinds.RedisUrl | None = Field(
        None, repr=False, description="Redis or Valkey for wake-ups; default: the folder's Valkey"
    )
    storage_url: kinds.StorageUrl | None = Field(
        None, repr=False, description="Storage of archives; default: a folder in DIR"
    )
    storage_sse: str | None = Field(
        None,
        description="Server-side encryption on S3: AES256, aws:kms or aws:kms:KEY",
        pattern=r"^(AES256|aws:kms(:.+)?)$",
    )
    recordings_url: kinds.StorageUrl | None = Field(
        None, repr=False, description="Storage of recordings and attachments; default: a folder in DIR"
    )
    keys_dir: Path | None = Field(None, description="Folder of the private signing keys (PEM, 0600); default: DIR/keys")
    audit_heads_dir: Path | None = Field(None, description="Folder with kept heads of the audit log, for the doctor")
    base_url: kinds.PublicUrl = Field("http://localhost:8000", description="Public address of this service: no path")
    issuer: str | None = Field(None, description="`iss` of signatures; default: BASE_URL", min_length=1)
    contact: str | None = Field(
        None, description="Contact for questions about an archive: an address or URL, printed in it", min_length=1
    )
    brand_name: kinds.BrandName | None = Field(None, description="Name of this service on pages, in mail and archives")
    brand_mark: kinds.BrandMark | None = Field(None, description="Mark on pages: 1 to 3 letters, or an SVG or PNG file")
    brand_colour: kinds.LightColour = Field(brand.LIGHT, description="Colour of links and buttons on light pages")
    brand_colour_dark: kinds.DarkColour = Field(brand.DARK, description="Colour of links and buttons on dark pages")
    brand_archive_prefix: kinds.ArchivePrefix = Field("export", description="Beginning of the names of archive files")
    notice_dir: Path | None = Field(None, description="Folder with the deployment's own tables of the notice register")
    development_login: bool = Field(
        default=False, description="Login without a password, for trials; refused unless BASE_URL is this machine"
    )
    oidc_issuer: kinds.WebUrl | None = Field(None, description="OpenID provider where people and staff log in")
    oidc_client_id: str | None = Field(None, description="Client id of the pages at the provider", min_length=1)
    oidc_client_secret: str | None = Field(
        None, description="Client secret of the pages at the provider", min_length=1, repr=False
    )
    oidc_audience: str | None = Field(
        None, description="Required `aud` of bearer tokens for the API; default: BASE_URL", min_length=1
    )
    oidc_roles_claim: str = Field("roles", description="Claim with the list of roles", min_length=1)
    oidc_tenant_claim: str = Field("tenant", description="Claim with an administrator's tenant", min_length=1)
    oidc_strong_acr: str = Field(
        "mfa", description="Values of `acr` or `amr` that count as a strong login, separated by commas", min_length=1
    )
    step_up_seconds: int = Field(
        900, description="Maximum age of a strong login when an export is requested or downloaded", ge=60
    )
    session_seconds: int = Field(3600, description="How long a login on the pages is valid", ge=300)
    smtp_url: kinds.SmtpUrl | None = Field(
        None, repr=False, description="Server that sends our mail; default: none, messages only on /me"
    )
    directory: str | None = Field(
        None,
        description="Directory plug-in for verified addresses; default: `schema`, on the reference platform",
        min_length=1,
    )
    smtp_seconds: float = Field(30, description="Time limit of each step with the mail server", gt=0)
    mail_from: kinds.Mailbox | None = Field(None, description="Sender of our mail; required with SMTP_URL")
    sms_url: kinds.SmsUrl | None = Field(
        None, repr=False, description="Gateway that sends our SMS; `file:` is a stand-in for trials; default: none"
    )
    sms_token: str | None = Field(None, repr=False, description="Bearer token for the SMS gateway", min_length=1)
    address_login: kinds.AddressKinds = Field(
        "email,phone",
        description="Addresses with which people without account log in by a code, if SMTP_URL or SMS_URL sends it",
    )
    address_codes_per_hour: int = Field(200, description="One-time codes for all addresses together in an hour", ge=1)
    link_ttl_seconds: int = Field(172_800, description="How long a download link is valid", ge=60, le=30 * DAY)
    link_claims_max: int = Field(20, description="Number of downloads of one volume that can begin with one link", ge=1)
    link_claim_seconds: int = Field(
        21_600, description="How long a download can continue and be resumed after it has begun", ge=60
    )
    exports_per_month: int = Field(10, description="Exports of one subject in 30 days, without failed exports", ge=1)
    approvals: Literal["policy", "none"] | None = Field(
        None, description="Whether a second person must approve what the policy lists; default: policy, embedded none"
    )
    review_exporters: str = Field(
        "",
        description="Exporters whose data about others is reviewed for a person's copy, separated by commas",
    )
    contact_change_seconds: int = Field(
        14 * DAY, description="How long after a change of contact data a request by staff needs a second person", ge=0
    )
    regimes: str = Field(
        ",".join(DEFAULT_REGIMES), description="Laws whose deadlines apply, separated by commas; the earliest counts"
    )
    regimes_file: Path | None = Field(
        None, description="File with more laws, and with the deployment's figures where a law states none"
    )
    tenants_file: Path | None = Field(None, description="File with names and contacts of tenants, and duties to inform")
    time_zone: kinds.TimeZone = Field(
        "UTC", description="Time zone in which days begin and end: of deadlines, and of dates that a request names"
    )
    holidays: kinds.Dates = Field("", description="Days on which no deadline of the GDPR ends, besides the weekend")
    archive_ttl_seconds: int = Field(7 * DAY, description="How long a person's new archives are kept", ge=DAY)
    tenant_archive_ttl_seconds: int = Field(
        30 * DAY, description="How long a tenant's new archives are kept; at least 30 days (EU Data Act)", ge=30 * DAY
    )
    request_log_months: int | None = Field(
        None,
        description="How long a request's record is kept after its answer; default and minimum: as the laws require",
    )
    volume_bytes: int = Field(2 * GIB, description="Upper bound of a volume before its closing files", ge=MIB // 16)
    volume_members: int = Field(50_000, description="Upper bound of members in a volume", ge=10, le=200_000)
    slice_bytes: int = Field(
        4 * GIB, description="A dataset expected to be larger is cut into slices of about this size", ge=MIB // 16
    )
    slices_max: int = Field(16, description="Maximum number of slices of one dataset", ge=1)
    tenant_volumes_max: int = Field(
        4, description="Volumes of one tenant that are written at the same time; people with an account: no limit", ge=1
    )
    small_only: bool = Field(default=False, description="This worker is reserved for small exports")
    piece_bytes: int = Field(16 * MIB, description="Size of a dataset's piece in the first format", ge=1)
    viewer_excerpts: kinds.Profiles = Field(
        "", description="Profiles whose viewer shows an excerpt and not all records, separated by commas"
    )
    lease_seconds: float = Field(60, description="How long a worker's claim is valid without renewal", ge=1)
    drain_seconds: float = Field(20, description="How long a stopping worker can continue its open volume", ge=0)
    attempts_max: int = Field(
        6,
        description="Failed attempts at one volume before the export fails; eight times as many during an outage",
        ge=1,
    )
    backoff_seconds: float = Field(
        2, description="First wait after a failed attempt; doubles each time, up to 300 s", ge=0
    )
    source_retries: int = Field(3, description="Retries of an unavailable source before its dataset gets a gap", ge=0)
    source_seconds: float = Field(
        300, description="Time without an answer of a source before its dataset or file gets a gap", gt=0
    )
    clock_seconds: float = Field(2, description="How often the clock checks for claimable exports", gt=0)
    sweep_seconds: float = Field(3600, description="How often the clock sweeps the storage; 0: never", ge=0)
    scan_actions: kinds.ScanActions = Field(
        "", description="Changes of the scan's actions in docs/scan.md: `id-number=block,canary=mask`"
    )
    scan_canaries: str = Field(
        "",
        repr=False,
        description="Beginnings of values that were planted in data that must not be exported, separated by commas",
    )
    country: kinds.Country | None = Field(
        None,
        description="Country where this service is established; default: no recipient's country counts as the same",
    )
    storage_region: str | None = Field(
        None, description="Region in which the archives are stored; required with TENANT_REGIONS", min_length=1
    )
    tenant_regions: kinds.TenantRegions = Field(
        "", description="Required regions of tenants: TENANT=REGION, separated by commas"
    )
    allow_fetch: bool = Field(default=False, description="Allows operators to `fetch` archives on servers")
    allow_loopback: bool | None = Field(
        None, description="Allows recipients' addresses on this machine; default: embedded stack with such a BASE_URL"
    )

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if faults := list(contradictions(self)):
            raise ValueError("; ".join(f"{_env(name)}: {fault}" for name, fault in faults))
        return self

    @property
    def embedded(self) -> bool:
        """Return whether nothing is configured: one folder on one machine."""
        return self.database_url is None and self.redis_url is None and self.storage_url is None

    @property
    def address_kinds(self) -> list[SubjectKind]:
        """Return the kinds of addresses with which people can log in: a code can be sent to them."""
        sends = {SubjectKind.EMAIL: self.smtp_url, SubjectKind.PHONE: self.sms_url}
        return [kind for kind, url in sends.items() if url and kind in kinds.listed(self.address_login)]

    @property
    def database(self) -> str:
        return self.database_url or kinds.sqlite_url(self.dir.absolute() / "portability.sqlite")

    @property
    def source(self) -> str:
        return self.source_url or kinds.sqlite_url(self.dir.absolute() / kinds.PLATFORM)

    @property
    def has_reference(self) -> bool:
        """Return whether the reference platform exists: its database, its directory and its notice register."""
        return self.source_url is not None or self.sources is None

    @property
    def has_recordings(self) -> bool:
        return self.recordings_url is not None or self.has_reference

    @property
    def directory_name(self) -> str | None:
        """Return the directory's name; None: there is no directory."""
        return self.directory or ("schema" if self.has_reference else None)

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
    def brand(self) -> str:
        return self.brand_name or brand.NAME

    @property
    def audience(self) -> str:
        return self.oidc_audience or self.base_url

    @property
    def strong_acr(self) -> frozenset[str]:
        return frozenset(kinds.listed(self.oidc_strong_acr))

    @property
    def place(self) -> BusinessCalendar:
        holidays = frozenset(map(date.fromisoformat, kinds.listed(self.holidays)))
        return BusinessCalendar(kinds.zone(self.time_zone), holidays)

    @property
    def laws(self) -> Sequence[Regime]:
        """Return the regimes that apply to this deployment. Raises UnknownRegime, BadInput."""
        return kinds.laws(self.regimes, self.regimes_file)

    @property
    def reviewed(self) -> list[str]:
        return kinds.listed(self.review_exporters)

    @property
    def log_months(self) -> int:
        return log_months(self.laws) if self.request_log_months is None else self.request_log_months

    def ttl_seconds(self, subject_kind: str) -> int:
        """Return how long an archive of this kind of subject is kept."""
        return self.tenant_archive_ttl_seconds if subject_kind == "tenant" else self.archive_ttl_seconds

    @property
    def region_of(self) -> Mapping[str, str]:
        """Return each tenant's required region."""
        return kinds.regions(self.tenant_regions)

    @property
    def may_ask_loopback(self) -> bool:
        """Return whether webhooks and key sets of recipients may be on this machine."""
        played = self.embedded and kinds.is_loopback(self.base_url)
        return played if self.allow_loopback is None else self.allow_loopback

    @property
    def needs_approvals(self) -> bool:
        return (self.approvals or ("none" if self.embedded else "policy")) == "policy"


class Settings(InboxSettings, SendingSettings):
    """Every setting of a deployment."""


def load_settings(**overrides: object) -> Settings:
    """Read the settings from the environment, with overrides by field name.

    Raises:
        BadSetting: names every faulty variable in one line; values are not repeated, because they may be secrets.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        raise BadSetting("; ".join(map(_fault_text, error.errors()))) from None


def _fault_text(fault: Mapping[str, object]) -> str:
    """Format one error with its variable; an error of several settings names its own."""
    location, message = fault["loc"], str(fault["msg"]).removeprefix("Value error, ")
    return f"{_env(location[0])}: {message}" if isinstance(location, tuple) and location else message


def _env(name: object) -> str:
    return f"{Settings.model_config['env_prefix']}{name}".upper()
