"""`viewer_view`, `viewer_chat`, `viewer_word`: the viewer of an archive of any size, in Chromium from its folder.

100,000 messages in 5,000 chats, 2,000 calls with 20,000 lines and a table of 100,000 rows, against 100 messages in 5
chats, 2 calls and 100 rows. Seconds until what was asked for is visible: the overview, a chat, or the result of a
word that is in one message.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from browsing import chromium, opened
from playwright.sync_api import Page
from viewed import Unpacked, plain_dataset

from bench.figures import Figure, interleaved
from portability.api import Record

MESSAGES, SMALL_MESSAGES = 100_000, 100
EACH = 20
"""Messages of a chat; a call has half as many lines, and there is a call for 50 messages and a row for each."""
MESSAGES_OF_A_CALL = 50
TARGET = 1.5
SYLLABLES = ("ka", "ri", "ba", "tu", "lo", "me", "sa", "ni", "po", "du", "wa", "gi")
OVERVIEW = "main h2"
SEEN = """([selector, hash, word]) => new Promise((resolve) => {
    const began = performance.now();
    const input = document.querySelector("#everywhere");
    if (hash !== null) location.hash = hash;
    if (word !== null) {
        input.value = word;
        input.dispatchEvent(new Event("input"));
    }
    const look = () => document.querySelector(selector) === null
        ? requestAnimationFrame(look) : resolve((performance.now() - began) / 1000);
    requestAnimationFrame(look);
})"""
"""Follow a link or search for a word, and look in each frame that is drawn; the library's own waiting looks seldom."""
TIME = "2025-03-{day:02}T08:00:00Z"


def measure_view(*, long: bool) -> Figure:
    """Measure from the address to the overview."""
    return _measured("viewer_view", _view, long=long)


def measure_chat(*, long: bool) -> Figure:
    """Measure from the link of any chat to its messages."""
    return _measured("viewer_chat", _chat, long=long)


def measure_word(*, long: bool) -> Figure:
    """Measure from a word that one message has to the result."""
    return _measured("viewer_word", _word, long=long)


def _measured(name: str, measure: Callable[[Page, str, int], float], *, long: bool) -> Figure:
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        addresses = {
            messages: _archive(Path(folder, str(messages)), messages) for messages in (MESSAGES, SMALL_MESSAGES)
        }

        def seconds(messages: int) -> float:
            with opened(browser, "about:blank") as page:
                return measure(page, addresses[messages], messages)

        ours, theirs = partial(seconds, MESSAGES), partial(seconds, SMALL_MESSAGES)
        _ = ours(), theirs()  # so that the system has the files in its cache
        return interleaved(name, ours, theirs, target=TARGET, n=31 if long else 11)


def _view(page: Page, address: str, _messages: int) -> float:
    began = time.perf_counter()
    page.goto(address)
    page.evaluate(SEEN, [OVERVIEW, None, None])
    return time.perf_counter() - began


def _chat(page: Page, address: str, messages: int) -> float:
    number = _opened_at(page, address, messages)
    last = f'.bubbles [data-id="m{number:05}-{EACH - 1:02}"]'
    return float(page.evaluate(SEEN, [last, f"chats/c{number:05}", None]))


def _word(page: Page, address: str, messages: int) -> float:
    number = _opened_at(page, address, messages)
    return float(page.evaluate(SEEN, [".results li mark", None, f"unique{number:05}"]))


def _opened_at(page: Page, address: str, messages: int) -> int:
    """Open the overview; returns the number of any chat."""
    page.goto(address)
    page.evaluate(SEEN, [OVERVIEW, None, None])
    return random.randrange(messages // EACH)  # noqa: S311  # any chat


def _archive(folder: Path, messages: int) -> str:
    """Write an archive, and return the address of its viewer."""
    made, archive = random.Random(messages), Unpacked(folder)  # noqa: S311  # the same data in each run
    chats = messages // EACH
    archive.add("chats", "conversations", [_conversation(number) for number in range(chats)])
    archive.add("chats", "messages", [_message(made, at, place) for at in range(chats) for place in range(EACH)])
    calls = range(messages // MESSAGES_OF_A_CALL)
    archive.add("calls", "calls", [{"id": f"k{number:05}", "started_at": TIME.format(day=1)} for number in calls])
    lines = [_line(made, number, place) for number in calls for place in range(EACH // 2)]
    archive.add("calls", "transcripts", lines)
    rows: list[Record] = [{"id": f"t{n:06}", "text": _words(made, 6), "n": n} for n in range(messages)]
    archive.add("strange", plain_dataset("things", "Things"), rows)
    return archive.write(subject_kind="tenant")


def _conversation(number: int) -> Record:
    return {"id": f"c{number:05}", "channel": "whatsapp", "opened_at": TIME.format(day=1 + number % 28)}


def _message(made: random.Random, number: int, place: int) -> Record:
    unique = f" unique{number:05}" if place == EACH // 2 else ""
    return {
        "id": f"m{number:05}-{place:02}",
        "conversation_id": f"c{number:05}",
        "position": place,
        "sender": "contact" if place % 2 else "ai_agent",
        "text": _words(made, 14) + unique,
        "sent_at": TIME.format(day=1 + number % 28),
    }


def _line(made: random.Random, number: int, place: int) -> Record:
    known: Record = {"id": f"l{number:05}-{place:02}", "call_id": f"k{number:05}", "position": place}
    return {**known, "speaker": "contact" if place % 2 else "ai_agent", "text": _words(made, 10)}


def _words(made: random.Random, count: int) -> str:
    return " ".join("".join(made.choices(SYLLABLES, k=made.randint(1, 4))) for _ in range(count))
