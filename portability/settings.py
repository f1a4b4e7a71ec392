"""Settings: environment variables `PORTABILITY_*`, read once and checked together; docs/settings.md lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from redis.connection import parse_url
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from portability.errors import BadSetting

GIB = 1 << 30
MIB = 1 << 20


def _url_with(*schemes: str) -> Callable[[str], str]:
    def check(url: str) -> str:
        with suppress(ValueError):
            parts = urlsplit(url)
            _ = parts.port  # reading it checks it
            if parts.scheme in schemes:
                return url
        raise ValueError(f"needs a URL that begins with {' or '.join(s + ':' for s in schemes)}")

    return check


def _redis_url(url: str) -> str:
    with suppress(ValueError):
        parse_url(url)  # type: ignore[no-untyped-call]  # as redis-py has it
        return url
    raise ValueError("needs a URL that begins with redis:, rediss: or unix:, with a port and database that are numbers")


def _database_url(url: str) -> str:
    with suppress(ArgumentError, ValueError):
        if make_url(url).drivername in {"sqlite", "postgresql+psycopg"}:
            return url
    raise ValueError("needs a URL that begins with sqlite:/// or postgresql+psycopg://")


DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
StorageUrl = Annotated[str, AfterValidator(_url_with("file", "s3"))]
WebUrl = Annotated[str, AfterValidator(_url_with("http", "https"))]


class Settings(BaseSettings):
    """Every setting; a field's description is its line in docs/settings.md."""

    model_config = SettingsConfigDict(env_prefix="PORTABILITY_", frozen=True, extra="ignore", hide_input_in_errors=True)

    dir: Path = Field(Path("portability-data"), description="State folder of the embedded stack")
    database_url: DatabaseUrl | None = Field(
        None, description="Control database: SQLite or PostgreSQL; default: SQLite in DIR"
    )
    source_url: DatabaseUrl | None = Field(
        None, description="The platform's database, read only; default: SQLite in DIR"
    )
    redis_url: RedisUrl | None = Field(None, description="Redis or Valkey for wake-ups; default: the folder's Valkey")
    storage_url: StorageUrl | None = Field(None, description="Where archives go; default: a folder in DIR")
    storage_sse: str | None = Field(
        None,
        description="Server-side encryption on S3: AES256, aws:kms or aws:kms:KEY",
        pattern=r"^(AES256|aws:kms(:.+)?)$",
    )
    recordings_url: StorageUrl | None = Field(
        None, description="Where recordings and attachments lie; default: a folder in DIR"
    )
    keys_dir: Path | None = Field(None, description="Folder of the private signing keys (PEM, 0600); default: DIR/keys")
    base_url: WebUrl = Field("http://localhost:8000", description="Public address of this service")
    issuer: str | None = Field(None, description="`iss` of signatures; default: BASE_URL", min_length=1)
    contact: str | None = Field(
        None, description="Whom a person asks about an archive: an address or URL, printed in it", min_length=1
    )
    volume_bytes: int = Field(2 * GIB, description="Upper bound of a volume before its closing files", ge=MIB // 16)
    volume_members: int = Field(50_000, description="Upper bound of members in a volume", ge=10)
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
    allow_fetch: bool = Field(default=False, description="Lets an operator `fetch` archives outside the embedded stack")

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


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment, with overrides by field name.

    Raises:
        BadSetting: names every faulty variable in one line; values are not repeated, they may hold secrets.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        faults = "; ".join(
            f"{_variable(fault)}: {fault['msg'].removeprefix('Value error, ')}" for fault in error.errors()
        )
        raise BadSetting(faults) from None


def _variable(fault: Mapping[str, object]) -> str:
    location = fault["loc"]
    name = location[0] if isinstance(location, tuple) and location else "?"
    return f"{Settings.model_config['env_prefix']}{name}".upper()
