from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

import pytest
import servers
from http_faults import Break, HttpFaults, HttpRequest, Rule

from portability.api.errors import StorageFull, StorageUnavailable
from portability.storage.retry import Retry
from portability.storage.s3.bucket import S3Storage

BODY = secrets.token_bytes(300_000)


@pytest.fixture
def proxy(s3: servers.S3Server) -> Iterator[HttpFaults]:
    with HttpFaults(s3.port) as running:
        yield running


@pytest.fixture
def faulty_s3(s3: servers.S3Server, proxy: HttpFaults) -> S3Storage:
    retry = Retry(patience_seconds=20, first_wait_seconds=0.01)
    prefix = f"faults-{secrets.token_hex(4)}"
    return S3Storage(s3.bucket, prefix, endpoint=proxy.endpoint, addressing="path", retry=retry)


def put_body(faulty_s3: S3Storage) -> None:
    upload = faulty_s3.begin("a/1")
    upload.write(BODY)
    upload.complete()


def is_part(request: HttpRequest) -> bool:
    return request.is_part


def is_complete(request: HttpRequest) -> bool:
    return request.is_complete


def test_without_rules_it_only_passes_on(faulty_s3: S3Storage, proxy: HttpFaults) -> None:
    """Bodies in both directions, errors, answers without a body; and it counts what went up."""
    put_body(faulty_s3)
    assert b"".join(faulty_s3.read("a/1")) == BODY
    assert faulty_s3.stat("a/1").bytes == len(BODY)
    assert [found.key for found in faulty_s3.list()] == ["a/1"]
    faulty_s3.delete("a/1")
    assert list(faulty_s3.list()) == []
    assert proxy.part_bytes == len(BODY)


OF_INTERFACES = {Break.LIMIT, Break.UNAUTHORIZED, Break.CUT_ANSWER}
"""What an S3 server does not do to an upload."""


@pytest.mark.parametrize("how", [how for how in Break if how not in {Break.FULL, Break.LIE, *OF_INTERFACES}])
@pytest.mark.parametrize("fits", [is_part, is_complete])
def test_a_rule_breaks_as_many_as_it_says(how: Break, fits: object, faulty_s3: S3Storage, proxy: HttpFaults) -> None:
    """Each way of breaking, for parts and for the request that publishes: patience gets the object there, once."""
    rule = Rule(how, fits, times=3, seconds=0.01)  # type: ignore[arg-type]  # one of the two above
    proxy.rules.append(rule)
    put_body(faulty_s3)
    assert rule.used >= 1
    assert b"".join(faulty_s3.read("a/1")) == BODY
    assert list(faulty_s3.uploads()) == []


def test_a_refused_request_never_reaches_the_server(s3: servers.S3Server, proxy: HttpFaults) -> None:
    """503 at every attempt: the object to publish does not exist."""
    impatient = S3Storage(
        s3.bucket, f"faults-{secrets.token_hex(4)}", endpoint=proxy.endpoint, addressing="path", retry=Retry(0)
    )
    proxy.rules.append(Rule(Break.REFUSE, is_complete, times=1000))
    with pytest.raises(StorageUnavailable, match="SlowDown"):
        put_body(impatient)
    assert list(impatient.list()) == []


def test_a_full_bucket_refuses_what_is_written(faulty_s3: S3Storage, proxy: HttpFaults) -> None:
    """It is reported as full, and what is there can still be read."""
    put_body(faulty_s3)
    proxy.rules.append(Rule(Break.FULL, is_part, times=1000))
    with pytest.raises(StorageFull, match="QuotaExceeded"):
        put_body(faulty_s3)
    assert b"".join(faulty_s3.read("a/1")) == BODY


def test_a_lie_changes_the_etag_and_nothing_else(faulty_s3: S3Storage, proxy: HttpFaults) -> None:
    put_body(faulty_s3)
    honest = faulty_s3.stat("a/1")
    proxy.rules.append(Rule(Break.LIE, lambda request: request.method == "HEAD"))
    lie = faulty_s3.stat("a/1")
    assert lie.etag != honest.etag == faulty_s3.stat("a/1").etag
    assert lie.bytes == honest.bytes


def test_a_narrow_line_is_narrow_for_its_seconds(faulty_s3: S3Storage, proxy: HttpFaults) -> None:
    """300 kB pass slowly at first, with the full speed afterwards."""
    proxy.rules.append(Rule(Break.NARROW, is_part, seconds=0.5))
    began_at = time.monotonic()
    put_body(faulty_s3)
    assert 0.5 <= time.monotonic() - began_at < len(BODY) / 10_000
    assert b"".join(faulty_s3.read("a/1")) == BODY
