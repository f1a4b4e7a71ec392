"""Converts errors of S3 and of the connection to it, by error code: never with a query, signature or credential."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.exceptions import HTTPError

from portability.api.errors import (
    ObjectChanged,
    ObjectMissing,
    StorageError,
    StorageFull,
    StorageRefused,
    StorageUnavailable,
    WrongClock,
)

_MISSING = {"NoSuchKey", "NoSuchUpload", "404", "NotFound"}
_CHANGED = {"PreconditionFailed", "412"}
_FULL = {
    "InsufficientStorage",
    "QUOTA_EXCEEDED",  # Apache Ozone
    "QuotaExceeded",
    "StorageFull",
    "XMinioAdminBucketQuotaExceeded",
    "XMinioStorageFull",
}
_TOO_LARGE = {"EntityTooLarge", "413"}
"""Of a store whose objects have a limit, and of a proxy before it that limits requests."""
_REFUSED = {
    "AccessDenied",
    "AccountProblem",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidBucketName",
    "InvalidToken",
    "MethodNotAllowed",
    "NoSuchBucket",
    "NotImplemented",
    "PermanentRedirect",
    "SignatureDoesNotMatch",
}
_SKEWED = {"RequestTimeTooSkewed"}
_STATUS: dict[int, type[StorageError]] = {
    401: StorageRefused,
    403: StorageRefused,
    404: ObjectMissing,
    405: StorageRefused,
    412: ObjectChanged,
    413: StorageRefused,
    501: StorageRefused,
    507: StorageFull,
}
_UNUSABLE = (NoCredentialsError, PartialCredentialsError, ProfileNotFound, NoRegionError, ParamValidationError)
_UNREACHED: dict[type[Exception], str] = {
    SSLError: "does the endpoint speak https? AWS_CA_BUNDLE names a private certificate authority",
    ConnectionClosedError: "does something else listen at the endpoint? compare its port, and http or https",
    ProxyConnectionError: "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
    EndpointConnectionError: "does the storage run? check host and port of the endpoint",
    ConnectTimeoutError: "check host and port of the endpoint, and the network to it",
    ReadTimeoutError: "it accepts connections and does not answer in time: look at the storage, and at host and port",
}
_DELETING = {"delete", "purge"}
_KEPT_HINT = "grant the rights of docs/storage.md, also on versions; Object Lock must not keep objects"
_TOO_LARGE_HINT = (
    "the storage, or a proxy before it, has a limit of size: a request may have 6 MiB and more, an object "
    "PORTABILITY_VOLUME_BYTES; then run `portability retry ID`"
)
_NO_CREDENTIALS_HINT = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a role; see docs/storage.md"


@contextmanager
def s3_errors(doing: str, what: str) -> Iterator[None]:
    """Convert boto3's errors into storage errors: `cannot <doing> <what>: <code>`."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        kind = _kind(code, status)
        hint = _KEPT_HINT if doing in _DELETING and kind is StorageRefused else None
        if code in _TOO_LARGE:
            hint = _TOO_LARGE_HINT
        raise kind(f"cannot {doing} {what}: {code or 'no code'} ({status})", hint=hint) from None
    except _UNUSABLE as error:
        refusal = f"cannot {doing} {what}: {type(error).__name__}"
        raise StorageRefused(refusal, hint=_NO_CREDENTIALS_HINT) from None
    except KeyError as error:
        # Of botocore's dictionaries: a proxy has answered in the name of the store.
        hint = "does a proxy answer instead of the storage?"
        raise StorageUnavailable(f"cannot {doing} {what}: the answer has no {error}", hint=hint) from None
    except (BotoCoreError, HTTPError, OSError) as error:
        hint = next((hint for kind, hint in _UNREACHED.items() if isinstance(error, kind)), None)
        raise StorageUnavailable(f"cannot {doing} {what}: {type(error).__name__}", hint=hint) from None


def _kind(code: str, status: int) -> type[StorageError]:
    kinds: tuple[tuple[set[str], type[StorageError]], ...] = (
        (_FULL, StorageFull),
        (_REFUSED | _TOO_LARGE, StorageRefused),
        (_SKEWED, WrongClock),
        (_MISSING, ObjectMissing),
        (_CHANGED, ObjectChanged),
    )
    return next((kind for codes, kind in kinds if code in codes), _STATUS.get(status, StorageUnavailable))
