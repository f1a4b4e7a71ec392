from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portability.api import File, Gap
from portability.api.errors import ObjectChanged, SourceRefused, SourceUnavailable
from worker.read.files import AHEAD_BYTES, AHEAD_FILES, FileStream, streams
from worker.read.reader import SourcePatience

CONTENT = bytes(range(256)) * 10
SHA256 = hashlib.sha256(CONTENT).hexdigest()

WAIT_SECONDS = 30
Open = Callable[[int], Any]


def whole_content(offset: int) -> Iterator[bytes]:
    for begin in range(offset, len(CONTENT), 100):
        yield CONTENT[begin : begin + 100]


def stream(
    opens: Open = whole_content, *, size: int | None = len(CONTENT), sha256: str | None = None, offset: int = 0
) -> FileStream:
    file = File("a.wav", "audio/wav", size, opens, sha256=sha256)
    return FileStream(file, "calls/a.wav", SourcePatience(2, lambda _seconds: None), offset=offset)


def drained(made: FileStream, limit_bytes: int = 1 << 20) -> bytes:
    parts = []
    while made.more:
        parts.append(b"".join(made.part(limit_bytes)))
    return b"".join(parts)


def breaking(at: int, error: Exception, times: int = 99) -> Open:
    """Return an opener that yields the content up to a byte, then raises; it does so `times` times."""
    left = [times]

    def opens(offset: int) -> Iterator[bytes]:
        if left[0] > 0:
            if offset < at:
                yield CONTENT[offset:at]
            left[0] -= 1
            raise error
        yield CONTENT[offset:]

    return opens


def gap(reason: str, *, retryable: bool) -> Gap:
    return Gap("calls/a.wav", reason, retryable)


@given(st.integers(1, 3000), st.integers(0, len(CONTENT)))
def test_parts_are_bounded_and_join_to_the_rest_of_the_file(limit_bytes: int, offset: int) -> None:
    """For any size of a part and any begin, every byte comes once."""
    made = stream(offset=offset)
    parts = []
    while made.more:
        parts.append(b"".join(made.part(limit_bytes)))
    assert b"".join(parts) == CONTENT[offset:]
    assert all(len(part) == limit_bytes for part in parts[:-1])
    assert (made.offset, made.gap) == (len(CONTENT), None)


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_file_as_announced_has_no_gap(size: int | None) -> None:
    """Size and hash agree, or were not promised."""
    made = stream(size=size, sha256=SHA256)
    assert drained(made) == CONTENT
    assert made.gap is None


@pytest.mark.parametrize(("sha256", "reason"), [(SHA256, None), ("0" * 64, "changed")])
def test_the_hash_of_a_whole_file_is_checked(sha256: str, reason: str | None) -> None:
    """For a file in one member nothing is hashed here: its bytes would be hashed twice."""
    file = File("a.wav", "audio/wav", len(CONTENT), whole_content, sha256=sha256)
    made = FileStream(file, "calls/a.wav", SourcePatience(0), in_one=True)
    assert drained(made) == CONTENT
    assert made.gap is None
    made.judge(SHA256)
    assert made.gap == (reason and gap(reason, retryable=False))


def test_fewer_bytes_than_announced_are_truncated() -> None:
    """What came is kept; the rest may come another time."""
    made = stream(size=len(CONTENT) + 1)
    assert drained(made) == CONTENT
    assert made.gap == gap("truncated", retryable=True)


def test_more_bytes_than_announced_are_kept_and_reported() -> None:
    """Nothing is cut: the source's own row was wrong, or the file has changed."""
    made = stream(size=len(CONTENT) - 1)
    assert drained(made) == CONTENT
    assert made.gap == gap("changed", retryable=False)


def test_another_hash_than_announced_is_changed() -> None:
    """As many bytes, but not those."""
    made = stream(sha256="0" * 64)
    assert drained(made) == CONTENT
    assert made.gap == gap("changed", retryable=False)


def test_a_hash_is_not_judged_from_the_middle_on() -> None:
    """Where an earlier volume holds the beginning, only the size can be compared."""
    made = stream(sha256="0" * 64, offset=100)
    drained(made)
    assert made.gap is None


@given(st.integers(0, len(CONTENT)), st.integers(1, 2))
def test_a_source_that_breaks_continues_from_its_own_offset(at: int, times: int) -> None:
    """Within patience the file is whole, hash included."""
    made = stream(breaking(at, SourceUnavailable("broke"), times), sha256=SHA256)
    assert drained(made) == CONTENT
    assert made.gap is None


@pytest.mark.parametrize(
    ("error", "reason", "retryable"),
    [
        (SourceUnavailable("jane"), "source_unavailable", True),
        (SourceUnavailable("jane", reason="changed"), "changed", True),
        (SourceRefused("jane"), "source_refused", False),
        (SourceRefused("jane", reason="missing"), "missing", False),
        (SourceRefused("jane", reason="jane"), "source_refused", False),
        (ObjectChanged("jane"), "object_changed", False),
        (ValueError("jane"), "unreadable", False),
    ],
)
@pytest.mark.parametrize("at", [0, 1, 1000])
def test_a_source_that_stays_broken_ends_the_file_there(
    error: Exception, reason: str, retryable: bool, at: int
) -> None:
    """What came before is kept, and the gap says why it ended, by a code and without the message."""
    made = stream(breaking(at, error))
    assert drained(made) == CONTENT[:at]
    assert made.gap == gap(reason, retryable=retryable)


def _raise(_offset: int) -> Iterator[bytes]:
    raise SourceRefused("gone")


@pytest.mark.parametrize(
    ("opens", "reason"),
    [
        (_raise, "source_refused"),
        (lambda _offset: None, "unreadable"),
        (lambda _offset: iter(["text"]), "unreadable"),
        (lambda _offset: iter([7]), "unreadable"),
        (lambda _offset: iter([]), "truncated"),
        (lambda _offset: iter([b"", b""]), "truncated"),
    ],
)
def test_a_file_that_never_opens_is_a_gap(opens: Open, reason: str) -> None:
    """Not a byte, not a crash: also if the plug-in returns something other than a stream of bytes."""
    made = stream(opens)
    assert made.more is False
    assert made.gap is not None
    assert made.gap.reason == reason


def test_a_list_of_blocks_is_read_once() -> None:
    """A plug-in may return a list: its first block must not come again and again."""
    made = stream(lambda offset: [CONTENT[offset:1000], b"", CONTENT[1000:]])
    assert drained(made) == CONTENT


def test_blocks_may_be_any_bytes() -> None:
    """A bytearray that is filled again, or a view: what was given out stays as it was."""
    buffer = bytearray(10)

    def opens(offset: int) -> Iterator[bytearray]:
        for begin in range(offset, 100, 10):
            buffer[:] = CONTENT[begin : begin + 10]
            yield buffer

    assert drained(stream(opens, size=100)) == CONTENT[:100]


class Steps:
    """A file of three blocks that tells when each is asked for and when it is closed; it may wait before the second."""

    def __init__(self, wait: threading.Event | None = None) -> None:
        self.asked = [threading.Event() for _ in range(3)]
        self.closed = threading.Event()
        self._wait = wait

    def __call__(self, _offset: int) -> Iterator[bytes]:
        try:
            for number, asked in enumerate(self.asked):
                asked.set()
                if number == 1 and self._wait is not None:
                    self._wait.wait(WAIT_SECONDS)
                yield b"0123456789"
        finally:
            self.closed.set()


def chained(*opens: Open, sizes: Sequence[int | None] = ()) -> list[FileStream]:
    stated_sizes = [*sizes, *[30] * (len(opens) - len(sizes))]
    files = [
        File(f"{number}.wav", "audio/wav", size, open_)
        for number, (open_, size) in enumerate(zip(opens, stated_sizes, strict=True))
    ]
    return streams(files, "calls", 0, 1 << 20, SourcePatience(0))


def test_the_next_block_is_read_while_one_is_out() -> None:
    """One block ahead and no more: memory is bounded."""
    steps = Steps()
    blocks = stream(steps, size=30).part(1 << 20)
    next(blocks)
    assert steps.asked[1].wait(WAIT_SECONDS)
    assert not steps.asked[2].is_set()
    assert b"".join(blocks) == b"0123456789" * 2


@pytest.mark.parametrize("size", [AHEAD_BYTES + 1, None])
def test_the_next_file_is_opened_while_one_is_out(size: int | None) -> None:
    """It is opened once the first file yields bytes, not before; the file after a large file waits for its turn."""
    steps = [Steps(), Steps(), Steps()]
    first, second, third = chained(*steps, sizes=[30, size, size])
    assert not steps[1].asked[0].is_set()
    assert first.more
    assert steps[1].asked[0].wait(WAIT_SECONDS)
    assert drained(first) == b"0123456789" * 3
    assert not steps[2].asked[0].is_set()
    for made in (second, third):
        assert drained(made) == b"0123456789" * 3
        assert (made.offset, made.gap is None) == (30, size is None)


def test_small_files_are_opened_together() -> None:
    """A store that is far away is not waited for once a file; how many are open is bounded."""
    steps = [Steps() for _ in range(AHEAD_FILES + 2)]
    first, *others = chained(*steps)
    assert first.more
    assert all(step.asked[0].wait(WAIT_SECONDS) for step in steps[:-1])
    assert not steps[-1].asked[0].is_set()
    for made in (first, *others):
        assert drained(made) == b"0123456789" * 3
        assert (made.offset, made.gap) == (30, None)


def test_files_are_opened_together_up_to_a_size() -> None:
    """What is open is bounded by bytes too."""
    steps = [Steps() for _ in range(4)]
    first, *_ = chained(*steps, sizes=[30, AHEAD_BYTES // 2, AHEAD_BYTES // 2, 1])
    assert first.more
    assert all(step.asked[0].wait(WAIT_SECONDS) for step in steps[:-1])
    assert not steps[-1].asked[0].is_set()


def test_a_file_that_gives_nothing_opens_no_other() -> None:
    """A store that is down gets no request for the next file before this one's turn is over."""
    steps = Steps()
    refused, _ = chained(_raise, steps)
    assert not refused.more
    assert not steps.asked[0].is_set()


def test_what_is_read_ahead_is_freed() -> None:
    """A volume that is full ends the file here: what hangs is not waited for, and is closed when it comes back."""
    hung = threading.Event()
    steps = Steps(hung)
    made = stream(steps, size=30)
    next(made.part(1 << 20))
    assert steps.asked[1].wait(WAIT_SECONDS)
    made.close()
    made.close()
    assert not steps.closed.is_set()
    hung.set()
    assert steps.closed.wait(WAIT_SECONDS)
