"""Opens the storage of an `s3://` URL."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qsl, urlsplit

from portability.api.errors import BadSetting
from portability.api.storages import Storage, bad_url, is_key
from portability.storage.s3.bucket import S3Storage

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SSE = re.compile(r"AES256|aws:kms(:.+)?")


def open_bucket(parts: SplitResult, sse: str | None) -> Storage:
    """`s3://bucket/prefix?endpoint=URL&region=NAME&addressing=path|virtual&checksum=crc32|none&signing=headers|payload`.

    Credentials come from the usual places of AWS libraries, never from the URL. Raises BadSetting.
    """
    query = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(query)
    if len(options) < len(query) or not options.keys() <= {"endpoint", "region", "addressing", "checksum", "signing"}:
        raise bad_url(
            "has unknown or repeated options: endpoint, region, addressing, checksum and signing are allowed, each once"
        )
    endpoint = options.get("endpoint")
    if endpoint is not None and not _is_endpoint(endpoint):
        raise bad_url("needs an endpoint that is http(s)://host[:port]")
    if options.get("addressing", "path") not in {"path", "virtual"}:
        raise bad_url("needs addressing=path or addressing=virtual")
    if options.get("checksum", "crc32") not in {"crc32", "none"}:
        raise bad_url("needs checksum=crc32 or checksum=none")
    is_open = bool(endpoint and endpoint.startswith("http:"))
    signing = options.get("signing", "payload" if is_open else "headers")
    if signing not in {"headers", "payload"} or (is_open and signing == "headers"):
        raise bad_url("needs signing=payload, or over https signing=headers")
    prefix = parts.path.strip("/")
    if not _BUCKET.fullmatch(parts.netloc) or (prefix and not is_key(prefix)):
        raise bad_url("needs a bucket name and a prefix of [A-Za-z0-9._/-]")
    if sse is not None and not _SSE.fullmatch(sse):
        raise BadSetting(
            "unknown server-side encryption: use AES256, aws:kms or aws:kms:KEY", hint="see docs/storage.md"
        )
    return S3Storage(
        parts.netloc,
        prefix,
        endpoint=endpoint,
        region=options.get("region"),
        addressing=options.get("addressing") or ("path" if endpoint else "virtual"),
        checksum=options.get("checksum", "crc32") == "crc32",
        sign_payload=signing == "payload",
        sse=sse,
    )


def _is_endpoint(url: str) -> bool:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # reading the port validates it
    except ValueError:
        return False
    extras = parts.username or parts.password or parts.query or parts.fragment or parts.path.strip("/")
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not extras
