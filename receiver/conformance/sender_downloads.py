"""Rules of a sender about the download of a volume: claims, ranges, and the bytes themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urljoin, urlsplit

import httpx

from portability.safe_http import SafeHttpClient
from receiver.fetch.sender import is_loopback
from receiver.fetch.statement import Parcel

RESUMING, GETS = "docs/links.md#opening-claiming-resuming", "docs/transfers.md#what-the-recipient-gets"
OK, PARTIAL, SEE_OTHER, NOT_FOUND, NOT_SATISFIABLE = 200, 206, 303, 404, 416
BLOCK_BYTES = 1 << 20
REDIRECTS = 3


@dataclass(frozen=True, slots=True)
class DownloadedVolume:
    """An encrypted volume on this machine, as announced."""

    parcel: Parcel
    path: Path


class RuleRecorder(Protocol):
    """What the rules need of a run."""

    @property
    def client(self) -> httpx.Client: ...
    def rule(self, name: str, text: str, section: str, seen: str, expected: str = ...) -> bool: ...
    def asks(self, name: str, text: str, section: str, faults: Sequence[str]) -> bool: ...
    @property
    def link(self) -> str: ...


def download_rules(run: RuleRecorder, parcel: Parcel, folder: Path) -> DownloadedVolume | None:
    """Test the download of a volume; returns it if it is as announced. Raises httpx.HTTPError."""
    name = f"volume-{parcel.number}"
    claimed = run.client.post(f"{run.link}/volumes/{parcel.number}")
    location = urljoin(f"{run.link}/volumes/", claimed.headers.get("location", ""))
    is_claim = claimed.status_code == SEE_OTHER and "location" in claimed.headers
    run.asks(
        f"{name}-claim",
        "POST answers 303 with the address",
        GETS,
        [] if is_claim else [f"status {claimed.status_code}"],
    )
    if not is_claim:
        return None
    elsewhere = urlsplit(location)[:2] != urlsplit(run.link)[:2]
    run.asks(
        f"{name}-claim-origin", "a claim is on the origin of the link", GETS, ["another host"] if elsewhere else []
    )
    unclaimed = run.client.get(f"{run.link}/volumes/{parcel.number}", params={"claim": "another"}).status_code
    run.rule(f"{name}-other-claim", "a wrong claim is refused", RESUMING, f"status {unclaimed}", f"status {NOT_FOUND}")
    path, etag = _whole(run, name, location, parcel, folder / parcel.sent.name)
    if not path:
        return None
    _ranges(run, name, location, path.read_bytes() if parcel.sent.size <= BLOCK_BYTES else _head(path), parcel, etag)
    return DownloadedVolume(parcel, path)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(BLOCK_BYTES)


def _whole(run: RuleRecorder, name: str, url: str, parcel: Parcel, path: Path) -> tuple[Path | None, str | None]:
    digest, size = hashlib.sha256(), 0
    with _final(run, url, {}) as answer, path.open("wb") as file:
        for block in answer.iter_raw(BLOCK_BYTES):
            size += len(block)
            if size > parcel.sent.size:
                break
            digest.update(block)
            file.write(block)
        etag, length = answer.headers.get("etag"), answer.headers.get("content-length")
        status = answer.status_code
    is_sent = status == OK and (size, digest.hexdigest()) == (parcel.sent.size, parcel.sent.sha256)
    seen = [] if is_sent else [f"status {status}, {size} bytes of {parcel.sent.size}, or another SHA-256"]
    run.asks(f"{name}-bytes", "the file has the listed size and SHA-256", GETS, seen)
    lengths = [] if length == str(parcel.sent.size) else [f"Content-Length is {length}"]
    run.asks(f"{name}-length", "Content-Length is the listed size", RESUMING, lengths)
    is_strong = etag is not None and etag.startswith('"')
    run.asks(f"{name}-etag", "there is a strong ETag", RESUMING, [] if is_strong else [f"ETag is {etag}"])
    return (path if is_sent else None), etag


def _ranges(run: RuleRecorder, name: str, url: str, known: bytes, parcel: Parcel, etag: str | None) -> None:
    """Request parts of the volume; `known` are its first bytes."""
    size, half = parcel.sent.size, len(known) // 2
    asked: list[tuple[str, str, dict[str, str], Callable[[httpx.Response], str], str]] = [
        (
            "range",
            "`Range` answers 206 with exactly that part",
            {"Range": f"bytes={half}-{len(known) - 1}"},
            lambda answer: _part(answer, known, half, size),
            "the part",
        ),
        (
            "if-range",
            "`If-Range` with the ETag answers 206",
            {"Range": f"bytes={half}-{len(known) - 1}", "If-Range": etag or '"none"'},
            lambda answer: _part(answer, known, half, size),
            "the part",
        ),
        (
            "if-range-other",
            "`If-Range` with another ETag answers 200 with everything",
            {"Range": f"bytes={half}-", "If-Range": '"another"'},
            lambda answer: f"status {answer.status_code}",
            f"status {OK}",
        ),
        (
            "range-beyond",
            "a range beyond the end answers 416",
            {"Range": f"bytes={size}-"},
            lambda answer: f"status {answer.status_code}",
            f"status {NOT_SATISFIABLE}",
        ),
        (
            "etag-stays",
            "the ETag is the same each time",
            {"Range": "bytes=0-0"},
            lambda answer: "the same" if answer.headers.get("etag") == etag else "another",
            "the same",
        ),
    ]
    for suffix, text, headers, seen, expected in asked:
        with _final(run, url, headers) as answer:
            run.rule(f"{name}-{suffix}", text, RESUMING, seen(answer), expected)


def _part(answer: httpx.Response, known: bytes, begin: int, size: int) -> str:
    if answer.status_code != PARTIAL:
        return f"status {answer.status_code}"
    stated, expected = answer.headers.get("content-range"), f"bytes {begin}-{len(known) - 1}/{size}"
    if stated != expected:
        return f"Content-Range {stated}"
    return "the part" if answer.read() == known[begin:] else "other bytes"


@contextmanager
def _final(run: RuleRecorder, url: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
    """Return the answer after redirects to an object storage, each to an address that is allowed."""
    for _ in range(REDIRECTS):
        with run.client.stream("GET", url, headers=headers) as answer:
            location = answer.headers.get("location")
            if not answer.is_redirect or location is None:
                yield answer
                return
            url = urljoin(url, location)
            SafeHttpClient(loopback=is_loopback(urlsplit(run.link).hostname or "")).check(url)
    raise httpx.TooManyRedirects("the sender redirects too often")
