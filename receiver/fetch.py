"""One file from the sender, in as many goes as it takes: Range and If-Range (RFC 9110 sections 13.1.5 and 14)."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import httpx
import orjson

from portability.outside import AddressRefused, Outside, OutsideUnavailable
from receiver.faults import SenderRefused, SenderUnavailable, TransferChanged
from receiver.sender import OK, PARTIAL, REDIRECTS, Sender, is_loopback
from receiver.statement import Parcel, Promised

BLOCK_BYTES = 1 << 20
GOES = 5
"""How often in a row nothing may come."""
LONGEST_PAUSE_SECONDS = 8.0
NOT_SATISFIABLE = 416
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_STATE_BYTES = 1 << 16

Progress = Callable[[int], object]
"""Called with a number of bytes that were just dealt with; from several threads."""


class Stopped(Exception):
    """Somebody else has failed, or wants to stop; what came so far is kept."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one waits, and who may end the waiting."""

    stop: Event = field(default_factory=Event)
    pause_seconds: float = 0.5

    def check(self) -> None:
        """Raises Stopped."""
        if self.stop.is_set():
            raise Stopped

    def wait(self, goes: int, least_seconds: float) -> None:
        """Longer each time. Raises Stopped."""
        self.stop.wait(max(min(self.pause_seconds * 2**goes, LONGEST_PAUSE_SECONDS), least_seconds))
        self.check()


@dataclass(frozen=True, slots=True)
class _Claim:
    """One download that the sender allows, and the version of the file that began to come."""

    url: str
    etag: str | None = None
    is_new: bool = True
    """Whether it was asked for just now."""


def fetch(sender: Sender, parcel: Parcel, path: Path, patience: Patience, progress: Progress) -> None:
    """What is sent of a volume, at `path`: whole and with its SHA-256. Goes on with what is there of it.

    Raises: TransferChanged, SenderRefused, SenderUnavailable, Stopped, OSError.
    """
    part = path.with_name(f"{path.name}.part")
    for is_last in (False, True):
        _complete(sender, parcel, part, patience, progress)
        if sha256_of(part, patience) == parcel.sent.sha256:
            break
        # A part of an older try may have been damaged here: all of it once more before the sender is blamed.
        part.unlink()
        progress(-parcel.sent.size)
        if is_last:
            raise TransferChanged(f"{parcel.sent.name} is not the file that the sender names: its SHA-256 differs")
    _forget(part)
    part.rename(path)


def sha256_of(path: Path, patience: Patience) -> str:
    """Of a file. Raises Stopped."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            patience.check()
            digest.update(block)
    return digest.hexdigest()


def is_as_promised(path: Path, promised: Promised, patience: Patience) -> bool:
    """Whether a file is there as it should be."""
    is_there = path.is_file() and not path.is_symlink() and path.stat().st_size == promised.size
    return is_there and sha256_of(path, patience) == promised.sha256


def _complete(sender: Sender, parcel: Parcel, part: Path, patience: Patience, progress: Progress) -> None:
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
            try:
                _go(sender, parcel, file, part, patience, progress)
            except SenderUnavailable as error:
                fault = error
            begin, have = have, file.seek(0, os.SEEK_END)
            fruitless = fruitless + 1 if have <= begin else 0
            if fruitless >= GOES:
                raise fault or SenderUnavailable(f"{parcel.sent.name} does not come any further")
            if have < parcel.sent.size:
                patience.wait(fruitless, fault.retry_after_seconds if fault else 0)


def _go(sender: Sender, parcel: Parcel, file: BinaryIO, part: Path, patience: Patience, progress: Progress) -> None:
    """As much as comes in one answer, behind what is there."""
    have, size = file.tell(), parcel.sent.size
    claim = _claimed(sender, parcel, part)
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and claim.etag:
        headers["If-Range"] = claim.etag
    try:
        with _final(sender, claim.url, headers) as response:
            _check_answer(response, parcel.sent, have)
            if response.status_code == OK and have:
                # Another version, or a sender that knows no ranges: from the beginning.
                progress(-have)
                have = file.seek(0)
                file.truncate()
            _keep(part, _Claim(claim.url, response.headers.get("etag")))
            for block in response.iter_raw():  # as it comes: what is gathered first is lost when the connection breaks
                patience.check()
                if file.tell() + len(block) > size:
                    raise TransferChanged(f"{parcel.sent.name}: the sender sends more than the {size} bytes it names")
                _write(file, block)
                progress(len(block))
    except SenderRefused:
        # A claim lasts for a while only; the next go asks for another one, and a link that is over ends it there.
        _forget(part)
        if claim.is_new:
            raise
        raise SenderUnavailable("the claim of this download has ended") from None


def _write(file: BinaryIO, block: bytes) -> None:
    # Without a buffer, so that a killed run keeps what came; a raw file may then take a part of a block only.
    view = memoryview(block)
    while view:
        view = view[file.write(view) :]


def _check_answer(response: httpx.Response, sent: Promised, have: int) -> None:
    if response.status_code == NOT_SATISFIABLE:
        raise TransferChanged(f"{sent.name}: the sender has fewer bytes than the {sent.size} it names")
    if response.status_code == OK:
        return
    match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    if response.status_code != PARTIAL or match is None or int(match[1]) != have:
        raise SenderUnavailable("the sender answers with another part than was asked for")
    if match[3] not in {"*", str(sent.size)}:
        raise TransferChanged(f"{sent.name}: the sender has {match[3]} bytes, and names {sent.size}")


@contextmanager
def _final(sender: Sender, url: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
    """The answer at the end of few redirects: a sender may keep its files in an object storage of its own."""
    for _ in range(REDIRECTS):
        with sender.stream("GET", url, headers=headers) as response:
            location = response.headers.get("location")
            if not response.is_redirect or location is None:
                yield response
                return
            url = _followed(sender, urljoin(url, location))
    raise SenderUnavailable("the sender leads from one address to the next")


def _followed(sender: Sender, url: str) -> str:
    """A public address by https; from a sender on this machine also one of this machine (requirement R46)."""
    try:
        Outside(loopback=is_loopback(urlsplit(sender.origin).hostname or "")).check(url)
    except (AddressRefused, OutsideUnavailable):
        raise SenderUnavailable(
            "the sender leads to an address that is not to be asked", hint="ask the sender"
        ) from None
    return url


def _claimed(sender: Sender, parcel: Parcel, part: Path) -> _Claim:
    """The claim of an earlier go, which may be of an earlier run: a sender allows few."""
    try:
        with _state(part).open("rb") as file:
            kept = orjson.loads(file.read(_STATE_BYTES))
        claim = _Claim(sender.own(str(kept["url"])), kept["etag"], is_new=False)
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, SenderUnavailable):
        claim = _Claim(sender.claim(parcel.number))
        _keep(part, claim)
    return claim


def _keep(part: Path, claim: _Claim) -> None:
    # The address opens the download: nobody else's eyes.
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
