"""`portability verify`: verifies that an archive is what its issuer signed; needs no database and no network."""

from __future__ import annotations

import sys
from codecs import BOM_UTF8
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from cli.context import Context, shared
from cli.quantities import quantity
from portability import strict_json
from portability.api import JSON
from portability.api.errors import BadInput

if TYPE_CHECKING:
    from archive.verify.archives import Verification

JWKS_BYTES = 1 << 20
TIMEOUT_SECONDS = 10


@click.command("verify")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--jwks", metavar="FILE|URL", help="The issuer's public keys; default: those of the embedded folder.")
@click.option("--partial", is_flag=True, help="Accept that volumes are missing.")
@shared
def verify(context: Context, paths: tuple[Path, ...], jwks: str | None, *, partial: bool) -> None:
    """Verify volumes, or folders of them: every byte, every file, the signature, and that no volume is missing.

    Exit code 0: verified, 1: verification failed, 2: they could not be checked.
    """
    public_keys = jwks_of_folder(context) if jwks is None else load_jwks(jwks)
    result = _verify(context, paths, public_keys, partial=partial)
    context.result(as_json(result), lambda: _print_report(context, result))
    if not result.ok:
        sys.exit(1)


def as_json(result: Verification) -> dict[str, JSON]:
    """Return the result in the form of the CLI contract."""
    return {
        "ok": result.ok,
        "volumes": result.volumes,
        "files": result.files,
        "bytes": result.bytes,
        "errors": [
            {"code": fault.code, "volume": fault.volume, "file": fault.file, "detail": fault.detail}
            for fault in result.errors
        ],
    }


def load_jwks(source: str) -> JSON:
    """Load a JWK Set from a file, or by https (http from this machine only). Raises BadInput."""
    parts = urlsplit(source)
    is_url = parts.scheme in {"http", "https"}
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise BadInput(f"plain http is not allowed for keys from {parts.hostname}", hint="use https, or a file")
    try:
        data = _fetch(source) if is_url else _head(Path(source))
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", type(error).__name__)  # URLError has one
        raise BadInput(f"cannot read the JWK Set {source}: {reason}", hint="use --jwks FILE or --jwks URL") from None
    if len(data) > JWKS_BYTES:
        raise BadInput(f"the JWK Set {source} is larger than {JWKS_BYTES} bytes")
    try:
        # Editors of Windows write a mark before UTF-8, which a reader may ignore (RFC 8259, 8.1).
        document: JSON = strict_json.parse(data.removeprefix(BOM_UTF8))
    except strict_json.DoubleName:
        raise BadInput(f"the JWK Set {source} has an object with a name twice") from None
    except ValueError:
        raise BadInput(f"the JWK Set {source} is not JSON") from None
    return document


def jwks_of_folder(context: Context) -> JSON:
    """Return the embedded folder's own keys. Raises BadInput if there is no such folder."""
    from portability.database.engine import reading  # noqa: PLC0415  # as above
    from portability.trust import keys  # noqa: PLC0415  # a file of keys needs no database

    settings = context.settings
    if settings.database_url is None and not settings.dir.is_dir():
        raise BadInput(f"{settings.dir} contains no keys", hint="give the issuer's keys with --jwks FILE or --jwks URL")
    with reading(context.engine) as connection:
        return keys.jwks(connection)


def _verify(context: Context, paths: tuple[Path, ...], public_keys: JSON, *, partial: bool) -> Verification:
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn  # noqa: PLC0415  # below

    from archive.verify import archives  # noqa: PLC0415  # cryptography takes 0.1 s to load, which --help does not need
    from portability.trust.signing import Jwks  # noqa: PLC0415  # as above

    jwks = Jwks.parse(public_keys)
    columns = (TextColumn("checking"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    total_bytes = sum(path.stat().st_size for path in archives.volume_paths(paths))
    with context.bars(*columns) as bar:
        task = bar.add_task("checking", total=total_bytes)
        return archives.verify(paths, jwks, partial=partial, progress=lambda size: bar.advance(task, size))


def _print_report(context: Context, result: Verification) -> None:
    if result.errors:
        rows = [(f.code, f.volume, f.file, f.detail) for f in result.errors]
        context.table("Faults", ("code", "volume", "file", "detail"), rows)
    verdict = ("verified", "bold green") if result.ok else ("verification failed", "bold red")
    counts = (quantity(result.volumes, "volume"), quantity(result.files, "file"), quantity(result.bytes, "byte"))
    context.say(verdict, f": {', '.join(counts)}")


def _fetch(url: str) -> bytes:
    from urllib.error import HTTPError  # noqa: PLC0415  # not needed for a file
    from urllib.request import HTTPRedirectHandler, build_opener  # noqa: PLC0415  # as above

    class NoRedirects(HTTPRedirectHandler):
        """Keys come from the given address only."""

        def redirect_request(self, *_args: object) -> None:
            return None

    try:
        with build_opener(NoRedirects).open(url, timeout=TIMEOUT_SECONDS) as response:
            data: bytes = response.read(JWKS_BYTES + 1)
            return data
    except HTTPError as error:
        error.close()
        raise


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(JWKS_BYTES + 1)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
