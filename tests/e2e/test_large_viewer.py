"""A viewer of more than an excerpt: what was cut, empty or wrong beyond the first 2,000 records."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browsing import opened
from judges.programs import node, run
from playwright.sync_api import Browser, expect
from viewed import BUILT_IN, Unpacked, plain_dataset, sound

from portability.api import JSON, Record

CHATS = 3_000
WORKERS = 3
RARE = "zanzibar"


def chat(number: int) -> Record:
    month = f"{2020 + number // 600}-{1 + number // 50 % 12:02}"
    return {
        "id": f"c{number:04}",
        "subject": None if number % 2 else f"Subject {number}",
        "channel": "whatsapp",
        "opened_at": f"{month}-{1 + number % 28:02}T08:00:00Z",
    }


def message(number: int, place: int) -> Record:
    return {
        "id": f"m{number:04}-{place}",
        "conversation_id": f"c{number:04}",
        "position": place,
        "sender": "contact" if place % 2 else "ai_agent",
        "text": f"message {place} of chat {number}" + (f" {RARE}" if (number, place) == (2_500, 2) else ""),
        "sent_at": chat(number)["opened_at"],
    }


def company(folder: Path, *, with_shards: bool = True) -> Unpacked:
    """3,000 chats of 3 messages over 5 years, as many in each month, by three workers, and a table of 5,000 rows."""
    archive = Unpacked(folder, volumes=WORKERS + 1, with_shards=with_shards)
    for worker in range(WORKERS):
        numbers = range(worker, CHATS, WORKERS)
        archive.add("chats", "conversations", [chat(number) for number in numbers], volume=worker + 1)
        messages = [message(number, place) for number in numbers for place in range(3)]
        archive.add("chats", "messages", messages, volume=worker + 1)
    rows: list[Record] = [{"id": f"t{n:04}", "text": f"row {n}", "n": (n * 7) % 5_000} for n in range(5_000)]
    archive.add("strange", plain_dataset("things", "Things"), rows)
    return archive


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the company's viewer."""
    return company(tmp_path_factory.mktemp("large")).write(subject_kind="tenant")


def test_the_first_chat_that_opens_is_the_newest_and_has_its_messages(browser: Browser, large: str) -> None:
    """Its messages are beyond the excerpt of 2,000: 0 % of the chats open empty."""
    with opened(browser, f"{large}#chats") as page:
        expect(page.locator(".talk .bubbles li")).to_have_count(3)
        expect(page.locator(".talks [aria-current] time")).to_have_attribute("datetime", "2024-12-28T08:00:00Z")
        expect(page.locator(".list .status")).to_have_text("3,000 of 3,000")


def test_every_chat_opens_by_its_address(browser: Browser, large: str) -> None:
    """The first, one in the middle and the last; a chat without a subject is named by its first words."""
    with opened(browser, large) as page:
        for name, heading in (
            ("c0000", "Subject 0"),
            ("c1501", "message 0 of chat 1501"),
            ("c2999", "message 0 of chat 2999"),
        ):
            page.goto(f"{large}#chats/{name}")
            expect(page.locator(".talk h3")).to_have_text(heading)
            expect(page.locator(".talk .bubbles li").nth(2)).to_contain_text(f"message 2 of chat {int(name[1:])}")


def test_a_link_to_an_absent_chat_opens_no_other(browser: Browser, large: str) -> None:
    """The page says that it is not in this archive."""
    with opened(browser, f"{large}#chats/c9999") as page:
        expect(page.get_by_text("This conversation is not in this archive.")).to_be_visible()
        expect(page.locator(".talk .bubbles")).to_have_count(0)


def test_the_list_is_filtered_by_what_was_said_anywhere(browser: Browser, large: str) -> None:
    """A word of one message of the 7,503rd record finds its chat."""
    with opened(browser, f"{large}#chats") as page:
        page.get_by_label("Filter the list").fill(RARE)
        expect(page.locator(".list .status")).to_have_text("1 of 3,000")
        expect(page.locator(".talks a")).to_have_attribute("href", "#chats/c2500")


def test_a_word_is_found_wherever_it_is_and_leads_to_its_message(browser: Browser, large: str) -> None:
    """One result with its context and without JSON; it opens the chat with the message marked."""
    with opened(browser, large) as page:
        page.get_by_label("Search all data").fill(RARE.upper())
        expect(page.get_by_role("status").first).to_have_text("1 result")
        result = page.locator(".results li a")
        expect(result).to_contain_text("message 2 of chat 2500 zanzibar")
        expect(result.locator("mark")).to_have_text(RARE)
        expect(result).not_to_contain_text("{")
        result.click()
        expect(page.locator(".bubbles .target")).to_contain_text(RARE)
        assert page.url.endswith("#chats/c2500/m2500-2")


@pytest.mark.parametrize("with_shards", [True, False])
def test_a_word_is_found_in_each_form_of_its_letters(browser: Browser, tmp_path: Path, *, with_shards: bool) -> None:
    """\u0130 is an i to who types it, and a letter with a mark is the same in one character and in two."""
    texts = ["in \u0130STANBUL today", "Cafe\u0301 Zoe\u0308", "Gar\u00e7on na\u00efve", "D\u0130\u011eER"]
    made = Unpacked(tmp_path, volumes=2, with_shards=with_shards)
    made.add(
        "strange", plain_dataset("things", "Things"), [{"id": f"t{n}", "text": text} for n, text in enumerate(texts)]
    )
    wanted = {
        "istanbul": "\u0130STANBUL",
        "\u0130stanbul": "\u0130STANBUL",
        "caf\u00e9": "Caf\u00e9",
        "zo\u00cb": "Zo\u00eb",
    }
    wanted |= {"garc\u0327on": "Gar\u00e7on", "NA\u00cfVE": "na\u00efve", "di\u011fer": "D\u0130\u011eER"}
    with opened(browser, made.write(subject_kind="tenant")) as page:
        for word, shown in wanted.items():
            page.get_by_label("Search all data").fill(word)
            expect(page.locator(".results li mark")).to_have_text(shown)


def test_all_results_are_reached(browser: Browser, large: str) -> None:
    """A word of 9,000 messages and its results: the first five at once, the others on request."""
    with opened(browser, large) as page:
        page.get_by_label("Search all data").fill("message 1")
        expect(page.get_by_role("status").first).to_have_text(re.compile(r"[0-9,]+ results"))
        items = page.locator(".results section").first.locator("li")
        expect(items).to_have_count(5)
        page.locator(".results section").first.get_by_role("button", name="Show 50 more").click()
        expect(items).to_have_count(55)


def test_a_table_has_all_rows(browser: Browser, large: str) -> None:
    """The last page has the last row; sorting and searching take all rows."""
    with opened(browser, f"{large}#strange") as page:
        table = page.locator(".tablebox")
        expect(table.get_by_role("status")).to_have_text("1\u201325 of 5,000")
        expect(page.get_by_text("This page shows the first")).to_have_count(0)
        head = table.get_by_role("button", name="N", exact=True)
        head.click()
        expect(table.get_by_role("columnheader", name="N", exact=True)).to_have_attribute("aria-sort", "ascending")
        head.click()
        expect(table.locator("tbody tr").first).to_contain_text("4999")
        table.get_by_role("searchbox").fill("t4321")
        expect(table.get_by_role("status")).to_have_text("1\u20131 of 1")
        expect(table.locator("tbody tr")).to_contain_text("row 4321")


def test_the_chart_counts_the_whole_dataset(browser: Browser, large: str) -> None:
    """Fifty chats in each of 60 months, and their messages: all bars are equal, no decline at the end."""
    with opened(browser, large) as page:
        bars = page.locator("#when svg[role=img] rect.bar title")
        expect(bars).to_have_count(60)
        assert {text.rsplit(": ", 1)[1] for text in bars.all_text_contents()} == {"200"}


def test_without_shards_no_chart_shows_a_part(browser: Browser, tmp_path: Path) -> None:
    """Only the first 2,000 of the records are known: the page says so, and draws no chart of them."""
    index = company(tmp_path, with_shards=False).write(subject_kind="tenant")
    with opened(browser, f"{index}#chats") as page:
        expect(page.get_by_text("This page shows the first 2,000 of 3,000 records.").first).to_be_attached()
        page.goto(f"{index}#overview")
        expect(page.locator("#when svg")).to_have_count(0)


def test_a_volume_that_is_not_extracted_is_named(browser: Browser, tmp_path: Path) -> None:
    """All chats are listed; one whose volume is not beside this one says which volume it needs."""
    made = company(tmp_path)
    index = made.write(subject_kind="tenant")
    shutil.rmtree(made.volume(2))
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    page.goto(f"{index}#chats/c0001")
    expect(page.locator(".list .status")).to_have_text("3,000 of 3,000")
    expect(page.locator(".talk h3")).to_have_text("message 0 of chat 1")
    expect(page.locator(".talk .warn").first).to_contain_text(f"in volume {made.volume(2).name}")
    context.close()


def test_volumes_that_windows_extracts_are_found(browser: Browser, tmp_path: Path) -> None:
    """Windows and 7-Zip extract `NAME.zip` to `NAME/NAME`: rows, recordings and links of all volumes are there.

    The closing volume alone in such a folder, with the others beside it, is found, too.
    """
    made = Unpacked(tmp_path / "apart", volumes=3)
    made.add("calls", "calls", [{"id": "c", "direction": "inbound", "started_at": "2026-01-01T08:00:00Z"}], volume=1)
    made.add("calls", "recordings", [{"id": "r", "call_id": "c", "file": "c.wav"}], volume=2)
    made.add_file(1, "calls", "recordings", "c.wav", sound(tmp_path), "audio/wav")
    made.add("strange", plain_dataset("things", "Things"), [{"id": f"{n}", "text": f"row {n}"} for n in range(3)])
    data = made.volume(1) / "data" / "strange" / "things.jsonl"
    data.parent.mkdir(parents=True)
    data.write_text("{}\n")
    made.write()
    beside = tmp_path / made.last.name
    shutil.copytree(made.folder, beside)
    for number in (1, 2, 3):
        name = made.volume(number).name
        made.volume(number).rename(tmp_path / "moved")
        made.volume(number).mkdir()
        (tmp_path / "moved").rename(made.folder / name / name)
    for folder in (made.last / made.last.name, beside / beside.name):
        index = (folder / "index.html").as_uri()
        with closing(browser.new_context(locale="en-GB")) as context:
            page = context.new_page()
            page.goto(f"{index}#calls/c")
            expect(page.locator(".talk audio")).to_have_js_property("duration", 0.5)
            page.goto(f"{index}#strange")
            expect(page.locator(".tablebox tbody tr")).to_have_count(3)
            expect(page.locator(".warn")).to_have_count(0)
            link = page.get_by_role("link", name="things.jsonl")
            assert Path(unquote(urlsplit(link.evaluate("each => each.href")).path)).is_file()


def test_no_search_says_that_a_missing_volume_has_nothing(browser: Browser, tmp_path: Path) -> None:
    """A volume that is not extracted is searched by none: the list, a table and the page name it.

    Before, the list of conversations said "No matching records.", a call that it has no recording, and the second page
    of a table did not name the volume any more.
    """
    made = Unpacked(tmp_path, volumes=3)
    made.add("calls", "calls", [{"id": "c", "direction": "inbound", "started_at": "2026-01-01T08:00:00Z"}], volume=1)
    made.add("calls", "recordings", [{"id": "r", "call_id": "c", "file": "c.wav"}], volume=2)
    made.add("calls", "transcripts", [{"id": "s", "call_id": "c", "text": "secret words"}], volume=2)
    for volume in (1, 2):
        rows: list[Record] = [{"id": f"{volume}-{n}", "text": f"row {n}"} for n in range(40)]
        made.add("strange", plain_dataset("things", "Things"), rows, volume=volume)
    index = made.write()
    shutil.rmtree(made.volume(2))
    nothing, where = "No matching records in the volumes that are here.", f"in volume {made.volume(2).name}"
    with closing(browser.new_context(locale="en-GB")) as context:
        page = context.new_page()
        page.goto(f"{index}#calls/c")
        expect(page.locator(".talk .warn").first).to_contain_text(where)
        expect(page.get_by_text("This call has no recording.")).to_have_count(0)
        page.locator(".list input").fill("secret")
        expect(page.locator(".list .status")).to_have_text(nothing)
        expect(page.locator(".list .warn")).to_contain_text(where)
        page.locator(".list input").fill("")
        expect(page.locator(".list .warn")).to_have_count(0)
        page.get_by_label("Search all data").fill("secret")
        expect(page.get_by_role("status").first).to_have_text(nothing)
        page.goto(f"{index}#strange")
        table = page.locator(".tablebox")
        table.get_by_role("searchbox").fill("row")
        table.get_by_role("button", name="Next").click()
        expect(table.get_by_role("status")).to_have_text("26\u201340 of 40")
        expect(table.locator(".warn")).to_contain_text(where)
        table.get_by_role("searchbox").fill("nowhere")
        expect(table.get_by_role("status")).to_have_text(nothing)


def test_a_corrected_message_replaces_its_first_form(browser: Browser, tmp_path: Path) -> None:
    """The text came with a retry: the chat has it once, in its place, and a search finds it and not its first form."""
    made = company(tmp_path)
    (messages,) = [dataset for dataset in BUILT_IN["chats"] if dataset.name == "messages"]
    first = {
        "id": "m0003-1",
        "conversation_id": "c0003",
        "position": 1,
        "sender": "contact",
        "text": "message 1 of chat 3",
    }
    whole = dict.fromkeys(field.name for field in messages.fields) | first
    made.correct("chats", messages, [whole], [{**whole, "text": "the corrected text"}])
    index = made.write(subject_kind="tenant")
    with opened(browser, f"{index}#chats/c0003") as page:
        expect(page.locator(".talk .bubbles li")).to_have_count(3)
        expect(page.locator(".talk .bubbles li").nth(1)).to_contain_text("the corrected text")
        for words, results in (("corrected", "1 result"), ("m0003-1", "1 result")):
            page.get_by_label("Search all data").fill(words)
            expect(page.get_by_role("status").first).to_have_text(results)


def test_the_page_alone_says_what_to_do(browser: Browser, tmp_path: Path) -> None:
    """The preview of a ZIP unpacks only `index.html`: the page asks to extract the volume, and is not empty."""
    made = company(tmp_path / "made")
    made.write()
    alone = tmp_path / "index.html"
    shutil.copy(made.last / "index.html", alone)
    context = browser.new_context()
    page = context.new_page()
    page.goto(alone.as_uri())
    expect(page.get_by_text("Extract the whole ZIP into a folder")).to_be_visible()
    context.close()


LOAD = """async ([volume, path]) => {
    try { await portability.shards.load(volume, path); return "loaded"; } catch (error) { return error.name; }
}"""
ANOTHER_POLICY = (
    "() => { try { return String(trustedTypes.createPolicy('x', {})); } catch (error) { return error.name; } }"
)


def test_only_shards_are_loaded(browser: Browser, large: str) -> None:
    """The page's policy takes the address of a shard and nothing else: no other script, protocol, or folder above."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(large)
    for volume, path in (
        ("https://example.org", "viewer/rows/00001.js"),
        ("x", "viewer/rows/1.js"),
        ("..", "viewer/rows/00001.js"),
        ("x", "evil.js"),
    ):
        assert page.evaluate(LOAD, [volume, path]) == "TypeError", (volume, path)
    assert page.evaluate(LOAD, ["absent", "viewer/rows/00001.js"]) == "Error"
    assert page.evaluate(ANOTHER_POLICY) == "TypeError"
    context.close()


def spoken(folder: Path, seconds: float) -> str:
    """A call with a recording of this length and three segments; returns the address of its viewer."""
    archive = Unpacked(folder)
    archive.add("calls", "calls", [{"id": "k1", "direction": "inbound", "started_at": "2026-01-01T00:00:00Z"}])
    starts = (0.0, 0.2, 61.5)
    archive.add(
        "calls",
        "transcripts",
        [
            {
                "id": f"s{n}",
                "call_id": "k1",
                "position": n,
                "speaker": "contact",
                "starts_seconds": at,
                "text": f"<b>{n} &\n",
            }
            for n, at in enumerate(starts)
        ],
    )
    archive.add("calls", "recordings", [{"id": "r1", "call_id": "k1", "file": "r1.wav"}])
    archive.add_file(1, "calls", "recordings", "r1.wav", sound(folder, seconds), "audio/wav")
    return f"{archive.write()}#calls/k1"


def test_a_transcript_is_saved_as_subtitles(browser: Browser, tmp_path: Path) -> None:
    """WebVTT: a cue for each segment with its speaker, from its second to the next; markup is text."""
    with opened(browser, spoken(tmp_path, 0.5)) as page:
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save the transcript as subtitles (WebVTT)").click()
        assert saved.value.suggested_filename == "k1.vtt"
        assert saved.value.path().read_text() == (
            "WEBVTT\n\n"
            "00:00:00.000 --> 00:00:00.200\n<v You>&lt;b&gt;0 &amp;\n\n"
            "00:00:00.200 --> 00:01:01.500\n<v You>&lt;b&gt;1 &amp;\n\n"
            "00:01:01.500 --> 00:01:06.500\n<v You>&lt;b&gt;2 &amp;\n"
        )
        page.locator(".talk audio").evaluate(
            "audio => { audio.currentTime = 0.3; audio.dispatchEvent(new Event('timeupdate')); }"
        )
        expect(page.locator(".cue")).to_have_text("You: <b>1 &")


def test_an_empty_recording_says_so(browser: Browser, tmp_path: Path) -> None:
    """A WAV with a head and no sound has an explanation of its own."""
    with opened(browser, spoken(tmp_path, 0)) as page:
        expect(page.get_by_text("The recording is empty: it has no sound.")).to_be_visible()


def test_a_search_result_in_a_call_leads_to_its_second(browser: Browser, tmp_path: Path) -> None:
    """The recording stands where the words were said."""
    with opened(browser, spoken(tmp_path, 0.5).partition("#")[0]) as page:
        page.get_by_label("Search all data").fill("<b>1")
        page.locator(".results li a").click()
        expect(page.locator(".bubbles .target")).to_contain_text("<b>1 &")
        expect(page.locator(".talk audio")).to_have_js_property("currentTime", 0.2)


def test_a_conversation_is_printed_alone(browser: Browser, large: str) -> None:
    """Neither the list, nor the tables, nor the side: its words on pages of their own."""
    with opened(browser, f"{large}#chats/c0002") as page:
        expect(page.locator(".talk h3")).to_have_text("Subject 2")
        page.emulate_media(media="print")
        expect(page.locator(".talk .bubbles")).to_be_visible()
        for hidden in (".list", ".side", ".tables", ".acts"):
            expect(page.locator(hidden).first).to_be_hidden()
        assert page.locator(".connections").inner_text().strip(" ·") == page.locator(".connections").inner_text()


def test_records_that_belong_together_lead_to_each_other(browser: Browser, tmp_path: Path) -> None:
    """From a chat to its contact, and from the contact to all that names it; calls are counted as calls."""
    archive = Unpacked(tmp_path)
    archive.add("crm", "contacts", [{"id": "con_1", "full_name": "Ana"}, {"id": "con_2", "full_name": "Budi"}])
    archive.add("chats", "conversations", [{**chat(2), "contact_id": "con_2"}])
    archive.add("chats", "messages", [{"id": f"m{n}", "conversation_id": "c0002", "text": "Halo"} for n in range(7)])
    index = archive.write(subject_kind="tenant")
    with opened(browser, f"{index}#chats/c0002") as page:
        expect(page.get_by_role("tab", name="Chats")).to_have_text("Chats1")
        page.locator(".connections").get_by_role("link", name="con_2").click()
        expect(page.locator(".single .fields")).to_contain_text("Budi")
        page.get_by_role("button", name="Search for everything that names this record").click()
        expect(page.get_by_role("status").first).to_have_text("2 results")
        page.locator(".results li a").first.click()
        expect(page.locator(".single .fields")).to_contain_text("Budi")


def test_each_rule_has_its_sentence(browser: Browser, tmp_path: Path) -> None:
    """Pseudonyms of staff have a sentence of their own; the rules for secrets of software are one sentence."""
    archive = Unpacked(tmp_path)
    archive.add("calls", "calls", [{"id": "k1"}])
    line: JSON = {
        "exporter": "calls",
        "dataset": "calls",
        "title": "Calls",
        "records": 1,
        "state": "with_remarks",
        "redactions": {"staff-pseudonym": 18, "jwt": 2, "aws-key": 1},
    }
    with opened(browser, archive.write(datasets=[line])) as page:
        expect(page.get_by_text("staff appear as “Agent 1”, “Agent 2” and so on: 18", exact=True)).to_be_visible()
        expect(page.get_by_text("passwords and keys of software, masked: 3", exact=True)).to_be_visible()


def test_firefox_shows_it_as_well(large: str, tmp_path: Path) -> None:
    """With the file policy that readers have: lists, a chat of another volume, a word, a table; nothing is logged."""
    firefox = shutil.which("firefox-esr") or shutil.which("firefox")
    if firefox is None:
        pytest.skip("Firefox is not installed, so it cannot judge; to get it: apt-get install firefox-esr")
    program, script = node("firefox.mjs")
    look = """async (chat) => {
        const until = async (ready) => {
            for (let tries = 0; !ready() && tries < 400; tries += 1) await new Promise((done) => setTimeout(done, 25));
        };
        location.hash = `#chats/${chat}`;
        await until(() => document.querySelectorAll(".bubbles li").length === 3);
        const said = document.querySelector(".bubbles").textContent;
        const input = document.getElementById("everywhere");
        input.value = "zanzibar";
        input.dispatchEvent(new Event("input"));
        await until(() => document.querySelector(".results mark"));
        const found = document.querySelectorAll(".results li").length;
        location.hash = "#strange";
        await until(() => document.querySelectorAll(".tablebox tbody tr").length === 25);
        const fetched = await fetch("README.html").then(() => true, () => false);
        return JSON.stringify({ said, found, rows: document.querySelector(".tablebox .status").textContent, fetched });
    }"""
    seen = json.loads(run([program, "--experimental-websocket", script, firefox, tmp_path, large, "c2999", look]))
    assert "message 2 of chat 2999" in seen["said"]
    assert (seen["found"], seen["rows"], seen["fetched"]) == (1, "1\u201325 of 5,000", False)
    assert [fault for fault in seen["faults"] if "README.html" not in fault] == []
    assert [url for url in seen["requests"] if not url.startswith(("file:", "data:"))] == []
