"""Downloads one file from the sender in several attempts: Range and If-Range (RFC 9110 sections 13.1.5 and 14)."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import httpx
import orjson

from portability.safe_http import AddressRefused, RemoteUnavailable, SafeHttpClient
from receiver.faults import SenderRefused, SenderUnavailable, TransferChanged
from receiver.fetch.pace import LEAST_BYTES_PER_SECOND, Pace
from receiver.fetch.sender import OK, PARTIAL, REDIRECTS, Sender, is_loopback
from receiver.fetch.statement import AnnouncedFile, Parcel

BLOCK_BYTES = 1 << 20
GOES = 5
"""Maximum number of attempts in a row without progress."""
LONGEST_PAUSE_SECONDS = 8.0
CONNECTING_SECONDS = 10.0
NOT_SATISFIABLE = 416
STORAGE_HINT = "run the same command again later; if it fails again, have the sender check its storage and its clocks"
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_STATE_BYTES = 1 << 16

Progress = Callable[[int], object]
"""Called with a number of bytes that were just processed; from several threads."""


class Stopped(Exception):
    """Another thread has failed, or the user interrupts; data received so far is kept."""


@dataclass(frozen=True, slots=True)
class FetchPatience:
    """How long to wait between attempts, and whether to stop."""

    stop: Event = field(default_factory=Event)
    pause_seconds: float = 0.5
    clock: Callable[[], float] = time.monotonic
    """Seconds that only increase."""

    def check(self) -> None:
        """Raise Stopped if the work must end."""
        if self.stop.is_set():
            raise Stopped

    def wait(self, goes: int, least_seconds: float) -> None:
        """Wait, longer after each attempt. Raises Stopped."""
        self.stop.wait(max(min(self.pause_seconds * 2**goes, LONGEST_PAUSE_SECONDS), least_seconds))
        self.check()


@dataclass(frozen=True, slots=True)
class _Claim:
    """A download that the sender allows, and the version of the file that was received first."""

    url: str
    etag: str | None = None
    is_new: bool = True
    """Whether it was requested just now."""


def fetch(sender: Sender, parcel: Parcel, path: Path, patience: FetchPatience, progress: Progress) -> None:
    """Download a volume to `path`, completely and with its SHA-256; continues a partial file.

    Raises: TransferChanged, SenderRefused, SenderUnavailable, Stopped, OSError.
    """
    part = path.with_name(f"{path.name}.part")
    for is_last in (False, True):
        _complete(sender, parcel, part, patience, progress)
        if sha256_of(part, patience) == parcel.sent.sha256:
            break
        # An earlier part may have been damaged on this disk: download everything once more before blaming the sender.
        part.unlink()
        progress(-parcel.sent.size)
        if is_last:
            raise TransferChanged(f"{parcel.sent.name} is not the announced file: its SHA-256 differs")
    _forget(part)
    part.rename(path)


def sha256_of(path: Path, patience: FetchPatience, nonce: bytes = b"") -> str:
    """Return the SHA-256 of a nonce, if there is one, followed by a file. Raises Stopped."""
    digest = hashlib.sha256(nonce)
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            patience.check()
            digest.update(block)
    return digest.hexdigest()


def is_as_announced(path: Path, announced: AnnouncedFile, patience: FetchPatience) -> bool:
    """Return whether a file exists with the announced size and SHA-256."""
    is_there = path.is_file() and not path.is_symlink() and path.stat().st_size == announced.size
    return is_there and sha256_of(path, patience) == announced.sha256


def _complete(sender: Sender, parcel: Parcel, part: Path, patience: FetchPatience, progress: Progress) -> None:
    with _opened(part) as file:
        have = file.seek(0, os.SEEK_END)
        if have > parcel.sent.size:
            have = file.truncate(0)
        progress(have)
        fruitless = 0
        while have < parcel.sent.size:
            patience.check()
            file.seek(have)
            fault: SenderUnavailable | None = None
            began = patience.clock()
            try:
                _go(sender, parcel, file, part, patience, progress)
            except SenderUnavailable as error:
                fault = error
            begin, have = have, file.seek(0, os.SEEK_END)
            # A slow attempt brings some bytes, too; the first seconds are for the connection.
            seconds = max(patience.clock() - began - CONNECTING_SECONDS, 0)
            fruitless = fruitless + 1 if have - begin <= LEAST_BYTES_PER_SECOND * seconds else 0
            if fruitless >= GOES:
                raise fault or SenderUnavailable(f"the download of {parcel.sent.name} makes no progress")
            if have < parcel.sent.size:
                patience.wait(fruitless, fault.retry_after_seconds if fault else 0)


def _go(
    sender: Sender, parcel: Parcel, file: BinaryIO, part: Path, patience: FetchPatience, progress: Progress
) -> None:
    """Append as much as one answer contains to the partial file."""
    have, size = file.tell(), parcel.sent.size
    claim = _claimed(sender, parcel, part)
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and claim.etag:
        headers["If-Range"] = claim.etag
    try:
        with _final(sender, claim.url, headers) as response:
            _check_answer(response, parcel.sent, have)
            if response.status_code == OK and have:
                # Another version, or a sender without range support: start from the beginning.
                progress(-have)
                have = file.seek(0)
                file.truncate()
            _keep(part, _Claim(claim.url, response.headers.get("etag")))
            pace = Pace(patience.clock)
            for block in response.iter_raw():  # unbuffered: buffered data would be lost when the connection breaks
                patience.check()
                if file.tell() + len(block) > size:
                    raise TransferChanged(f"{parcel.sent.name}: the sender sends more than the announced {size} bytes")
                _write(file, block)
                progress(len(block))
                pace.note(len(block))
    except SenderRefused:
        # A claim expires; the next attempt requests a new claim, and an expired link ends the download there.
        _forget(part)
        if claim.is_new:
            raise
        raise SenderUnavailable("the claim of this download has ended") from None


def _write(file: BinaryIO, block: bytes) -> None:
    # Without a buffer, so that a killed run keeps received data; a raw file may then write only a part of a block.
    view = memoryview(block)
    while view:
        view = view[file.write(view) :]


def _check_answer(response: httpx.Response, sent: AnnouncedFile, have: int) -> None:
    if response.status_code == NOT_SATISFIABLE:
        raise TransferChanged(f"{sent.name}: the sender has fewer than the announced {sent.size} bytes")
    if response.status_code == OK:
        return
    match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    if response.status_code != PARTIAL or match is None or int(match[1]) != have:
        raise SenderUnavailable("the sender's answer contains another range than requested")
    if match[3] not in {"*", str(sent.size)}:
        raise TransferChanged(f"{sent.name}: the sender has {match[3]} bytes, but announced {sent.size}")


@contextmanager
def _final(sender: Sender, url: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
    """Return the answer after a limited number of redirects: a sender may store its files in an object storage."""
    for _ in range(REDIRECTS):
        with _opened_at(sender, url, headers) as response:
            location = response.headers.get("location")
            if not response.is_redirect or location is None:
                yield response
                return
            url = _followed(sender, urljoin(url, location))
    raise SenderUnavailable("the sender redirects too often")


@contextmanager
def _opened_at(sender: Sender, url: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
    """Open an answer of the sender or of its storage.

    Only the sender ends a link. An address of its storage lasts for minutes, and the claim leads to a new one.
    """
    try:
        with sender.stream("GET", url, headers=headers) as response:
            yield response
    except SenderRefused as fault:
        if sender.is_own(url):
            raise
        raise SenderUnavailable(f"the sender's storage refuses: status {fault.status}", hint=STORAGE_HINT) from None


def _followed(sender: Sender, url: str) -> str:
    """Check a redirect: a public https address; from a sender on this machine also one of this machine (R46)."""
    try:
        SafeHttpClient(loopback=is_loopback(urlsplit(sender.origin).hostname or "")).check(url)
    except (AddressRefused, RemoteUnavailable):
        raise SenderUnavailable(
            "the sender redirects to an address that is not allowed", hint="contact the sender"
        ) from None
    return url


def _claimed(sender: Sender, parcel: Parcel, part: Path) -> _Claim:
    """Return the claim of an earlier attempt or run, because a sender allows only few; else a new one."""
    try:
        with _state(part).open("rb") as file:
            kept = orjson.loads(file.read(_STATE_BYTES))
        claim = _Claim(sender.own(str(kept["url"])), kept["etag"], is_new=False)
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, SenderUnavailable):
        claim = _Claim(sender.claim(parcel.number))
        _keep(part, claim)
    return claim


def _keep(part: Path, claim: _Claim) -> None:
    # The address gives access to the download: only the owner may read the file.
    handle = os.open(_state(part), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(orjson.dumps({"url": claim.url, "etag": claim.etag}))


def _forget(part: Path) -> None:
    _state(part).unlink(missing_ok=True)


def _state(part: Path) -> Path:
    return part.with_name(f"{part.name}.claim")


@contextmanager
def _opened(part: Path) -> Iterator[BinaryIO]:
    handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "r+b", buffering=0) as file:
        yield file
