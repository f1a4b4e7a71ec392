"""`viewer_view`, `viewer_chat`, `viewer_word`: the viewer of an archive of any size, in Chromium from its folder.

100,000 messages in 5,000 chats, 2,000 calls with 20,000 lines and a table of 100,000 rows in four volumes, as four
workers write them, against 100 messages in 5 chats, 2 calls and 100 rows in one. Seconds until what was asked for is
visible: the overview after the address, a chat, or the result of a word that is in one message. `firefox_view`,
`firefox_chat` and `firefox_word` measure the same in Firefox.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TypeAlias, cast

from browsing import chromium
from judges.programs import node, program
from viewed import Unpacked, plain_dataset

from bench.figures import Figure, interleaved
from portability.api import Record

MESSAGES, SMALL_MESSAGES = 100_000, 100
WORKERS = {MESSAGES: 4, SMALL_MESSAGES: 1}
EACH = 20
"""Messages of a chat; a call has half as many lines, and there is a call for 50 messages and a row for each."""
MESSAGES_OF_A_CALL = 50
TARGET = 1.5
SYLLABLES = ("ka", "ri", "ba", "tu", "lo", "me", "sa", "ni", "po", "du", "wa", "gi")
BEFORE = """() => {
    const look = () => {
        if (document.querySelector("main h2") === null) requestAnimationFrame(look);
        else window.overviewAt = performance.now();
    };
    requestAnimationFrame(look);
}"""
"""Look for the overview in each frame that is drawn; the libraries' own waiting looks seldom."""
SEEN = """async ({selector, hash, word}) => {
    const until = (ready) => new Promise((resolve) => {
        const look = () => ready() ? resolve() : requestAnimationFrame(look);
        look();
    });
    await until(() => window.overviewAt !== undefined);
    if (selector === undefined) return JSON.stringify(window.overviewAt / 1000);
    const began = performance.now();
    if (hash !== undefined) location.hash = hash;
    if (word !== undefined) {
        const input = document.querySelector("#everywhere");
        input.value = word;
        input.dispatchEvent(new Event("input"));
    }
    await until(() => document.querySelector(selector) !== null);
    return JSON.stringify((performance.now() - began) / 1000);
}"""
"""Follow a link or search for a word; without a selector, the time from the address to the overview."""
TIME = "2025-03-{day:02}T08:00:00Z"

Asked: TypeAlias = Mapping[str, str]
Visit: TypeAlias = Callable[[str, Asked], float]
"""Opens an address, asks for something, and returns the seconds until it is visible."""


def view(_messages: int) -> Asked:
    """Ask for the overview."""
    return {}


def chat(messages: int) -> Asked:
    """Ask for the messages of any chat by its link."""
    number = random.randrange(messages // EACH)  # noqa: S311  # any chat
    return {"selector": f'.bubbles [data-id="m{number:05}-{EACH - 1:02}"]', "hash": f"chats/c{number:05}"}


def word(messages: int) -> Asked:
    """Search for a word that one message has."""
    number = random.randrange(messages // EACH)  # noqa: S311  # any chat
    return {"selector": ".results li mark", "word": f"unique{number:05}"}


def measured(
    name: str, browser: Callable[[], AbstractContextManager[Visit]], asked: Callable[[int], Asked], *, long: bool
) -> Figure:
    """Measure what is asked of the large and of the small archive in a browser."""
    with tempfile.TemporaryDirectory() as folder, browser() as visit:
        addresses = {messages: _archive(Path(folder, str(messages)), messages) for messages in WORKERS}

        def seconds(messages: int) -> float:
            return visit(addresses[messages], asked(messages))

        ours, theirs = partial(seconds, MESSAGES), partial(seconds, SMALL_MESSAGES)
        _ = ours(), theirs()  # so that the system has the files in its cache
        return interleaved(name, ours, theirs, target=TARGET, n=31 if long else 11)


@contextmanager
def in_chromium() -> Iterator[Visit]:
    """Visit in a Chromium without a window, each time with nothing kept."""
    with chromium() as browser:

        def visit(address: str, asked: Asked) -> float:
            with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
                page = context.new_page()
                page.add_init_script(f"({BEFORE})()")
                page.goto(address)
                return float(page.evaluate(SEEN, asked))

        yield visit


@contextmanager
def in_firefox() -> Iterator[Visit]:
    """Visit in a Firefox without a window, in one profile."""
    firefox = shutil.which("firefox-esr") or program("firefox", package="firefox-esr")
    runtime, script = node("visits.mjs")
    with tempfile.TemporaryDirectory() as profile:
        command = [runtime, "--experimental-websocket", script, firefox, profile]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            questions, answers = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)

            def visit(address: str, asked: Asked) -> float:
                question = {"address": address, "called": SEEN, "argument": asked, "before": BEFORE}
                questions.write(f"{json.dumps(question)}\n")
                questions.flush()
                return float(answers.readline())

            yield visit


FIGURES: Mapping[str, Callable[..., Figure]] = {
    f"{prefix}_{asked.__name__}": partial(measured, f"{prefix}_{asked.__name__}", browser, asked)
    for prefix, browser in (("viewer", in_chromium), ("firefox", in_firefox))
    for asked in (view, chat, word)
}


def _archive(folder: Path, messages: int) -> str:
    """Write an archive, and return the address of its viewer."""
    made, workers = random.Random(messages), WORKERS[messages]  # noqa: S311  # the same data in each run
    archive = Unpacked(folder, volumes=workers + 1)
    for worker in range(workers):
        volume = worker + 1
        chats = range(worker, messages // EACH, workers)
        archive.add("chats", "conversations", [_conversation(number) for number in chats], volume=volume)
        said = [_message(made, number, place) for number in chats for place in range(EACH)]
        archive.add("chats", "messages", said, volume=volume)
        calls = range(worker, messages // MESSAGES_OF_A_CALL, workers)
        began = [{"id": f"k{number:05}", "started_at": TIME.format(day=1)} for number in calls]
        archive.add("calls", "calls", began, volume=volume)
        lines = [_line(made, number, place) for number in calls for place in range(EACH // 2)]
        archive.add("calls", "transcripts", lines, volume=volume)
        rows = [_row(made, number) for number in range(worker, messages, workers)]
        archive.add("strange", plain_dataset("things", "Things"), rows, volume=volume)
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


def _row(made: random.Random, number: int) -> Record:
    return {"id": f"t{number:06}", "text": _words(made, 6), "n": number}


def _words(made: random.Random, count: int) -> str:
    return " ".join("".join(made.choices(SYLLABLES, k=made.randint(1, 4))) for _ in range(count))
