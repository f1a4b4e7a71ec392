from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from browsing import opened, tab, unfold, violations, visit_everything
from playwright.sync_api import Browser, expect
from viewed import Unpacked, plain_dataset, sound

from archive.parts import ArchiveFeed
from portability.api import JSON, Field, FieldType, Provenance, Record

HOSTILE = (
    "<script>window.pwned=1</script><img src=x onerror=window.pwned=1>",
    "</script><svg onload=window.pwned=1>",
    "{{constructor.constructor('window.pwned=1')()}} ${window.pwned=1}",
    "javascript:window.pwned=1",
    "NUL \0 and \x1b[31m and \u202egnp.exe\u202c",
    "' \" ` \\ \n\r\n\u2028\u2029 ]]> -->",
    "مرحبا 👩‍👩‍👧 שלום",
    "__proto__",
)
HUGE = "0123456789" * 1_000_000
WATCH_LONG_TASKS = """new PerformanceObserver(list => {
    (window.slow ??= []).push(...list.getEntries().map(each => each.duration));
}).observe({type: "longtask", buffered: true})"""
CALL: Record = {"direction": "inbound", "caller_number": "+62811", "duration_seconds": 14.0, "outcome": "solved"}
PARTIAL = {"own": "partial", "processor": "none"}
NOTHING_HELD = {"own": "nothing_held", "processor": "none"}


def hostile_person(folder: Path) -> Unpacked:
    """A person with calls, a chat and a stranger's table, hostile text everywhere."""
    archive = Unpacked(folder)
    archive.add("account", "profile", [{"id": "usr_1", "full_name": HOSTILE[0], "email": HOSTILE[1]}])
    archive.add("account", "organisation", [{"id": "ten_1", "name": HOSTILE[2]}])
    names = ("ok", "other", "broken", "missing")
    archive.add(
        "calls", "calls", [{**CALL, "id": n, "started_at": f"2026-0{i + 1}-01T08:00:00Z"} for i, n in enumerate(names)]
    )
    segments: list[Record] = [
        {
            "id": f"{name}-{n}",
            "call_id": name,
            "position": n,
            "starts_seconds": n / 10,
            "text": text,
            **_voice(name, n),
        }
        for name in names
        for n, text in enumerate(HOSTILE)
    ]
    archive.add("calls", "transcripts", segments)
    archive.add("calls", "recordings", [{"id": f"r-{n}", "call_id": n, "file": f"{n}.wav"} for n in names])
    archive.add_file(2, "calls", "recordings", "ok.wav", sound(folder), "audio/wav")
    archive.add_file(1, "calls", "recordings", "other.wav", sound(folder), "audio/wav")
    archive.add_file(2, "calls", "recordings", "broken.wav", b"RIFF, but no sound", "audio/wav")
    archive.add(
        "chats",
        "conversations",
        [{"id": "c1", "subject": HOSTILE[3], "channel": HOSTILE[0], "opened_at": "2026-02-01T08:00:00Z"}],
    )
    messages = [*HOSTILE, HUGE]
    archive.add(
        "chats",
        "messages",
        [
            {"id": f"m{n}", "conversation_id": "c1", "position": n, "sender": "contact", "text": t}
            for n, t in enumerate(messages)
        ],
    )
    archive.add(
        "chats",
        "attachments",
        [
            {"id": f"a{n}", "conversation_id": "c1", "message_id": "m0", "file": n, "media_type": "image/png"}
            for n in ("lie.png", "page.html")
        ],
    )
    page = b"<script>window.pwned=1</script>"
    archive.add_file(2, "chats", "attachments", "lie.png", page, "image/png")
    archive.add_file(2, "chats", "attachments", "page.html", page, "text/html")
    rows = [
        {"id": f"{n:03}", "text": HOSTILE[n % len(HOSTILE)], "n": n, "at": "not a time" if n else None}
        for n in range(60)
    ]
    archive.add("strange", plain_dataset("things", HOSTILE[0]), rows, total=103_412)
    return archive


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a person's viewer."""
    gap = {"exporter": "calls", "dataset": "recordings", "what": "recordings/missing.wav", "reason": "missing"}
    return hostile_person(tmp_path_factory.mktemp("person")).write(complete=False, outcome=PARTIAL, gaps=[gap])


def test_hostile_text_runs_nothing_on_any_page(browser: Browser, person: str) -> None:
    """Script tags, template syntax, NUL, a name that is markup: shown as text on every tab, in every row's details."""
    with opened(browser, person) as page:
        expect(page.get_by_role("heading", level=2)).to_have_text(HOSTILE[0])
        assert len([*visit_everything(page)]) == 5
        for control in ("U+202E", "␀"):
            expect(page.get_by_text(control).first).to_be_attached()


def test_what_is_missing_is_reported_in_words(browser: Browser, person: str) -> None:
    """The first page says that something is missing, what, and why; and where the rest of a capped table is."""
    with opened(browser, person) as page:
        expect(page.get_by_text("This export is not complete")).to_be_visible()
        expect(page.get_by_text("It was not found in its place.")).to_be_visible()
        tab(page, "Strange").click()
        expect(page.get_by_text("This page shows the first 60 of 103,412 records.")).to_be_visible()


def test_the_first_page_sums_up_what_there_is(browser: Browser, person: str) -> None:
    """Each kind with its records, its time and small bars; it leads to the kind, in the reader's language."""
    with opened(browser, person, locale="de") as page:
        row = page.get_by_role("region", name="Was er enthält").get_by_role("row").filter(has_text="Telefonanrufe")
        expect(row.get_by_role("cell").first).to_have_text("40")
        expect(row.locator("small")).to_have_text("Januar 2026 \N{EN DASH} April 2026")
        expect(page.get_by_text("Zeitraum: Januar 2026 \N{EN DASH} April 2026")).to_be_visible()
        row.get_by_role("link").click()
        expect(page.get_by_role("heading", level=2)).to_have_text("Telefonanrufe")


def test_a_title_of_a_source_is_text(browser: Browser, tmp_path: Path) -> None:
    """A tab and a heading show characters that are hidden in it; a source without a title has its name as words."""
    archive = Unpacked(tmp_path)
    archive.add("calls", "calls", [{**CALL, "id": "c1"}])
    archive.add("loyalty_points", plain_dataset("points", "Points"), [{"id": "p1"}])
    title: JSON = {"exporter": "calls", "title": "Calls\u202e<b>", "translations": {}}
    with opened(browser, archive.write(sources=[title])) as page:
        tab(page, "Loyalty points").click()
        expect(page.locator("main h2")).to_have_text("Loyalty points")
        tab(page, "Calls").click()
        expect(page.locator("main h2")).to_have_text("CallsU+202E<b>")


def test_recordings_play_beside_what_was_said(browser: Browser, person: str) -> None:
    """Sound of this volume and of the next one loads; a broken or missing one is explained, without other effects."""
    with opened(browser, person) as page:
        for call in ("ok", "other"):
            page.goto(f"{person}#calls/{call}")
            expect(page.locator(".talk audio")).to_have_js_property("duration", 0.5)
            expect(page.locator(".bubbles li")).to_have_count(len(HOSTILE))
        page.goto(f"{person}#calls/broken")
        expect(page.get_by_text("This browser cannot play the recording.")).to_be_visible()
        page.goto(f"{person}#calls/missing")
        expect(page.get_by_text("The file is not in this archive. It was not found in its place.")).to_be_visible()


def test_an_archive_that_contradicts_itself_says_so(browser: Browser, tmp_path: Path) -> None:
    """The ledger has more records than the files that the page lists; an archive that agrees has no such sentence."""
    for surplus in (1, 0):
        archive = Unpacked(tmp_path / str(surplus))
        archive.add("account", "profile", [{"id": "usr_1"}])
        archive.add("calls", "calls", [{**CALL, "id": "c1"}])
        dataset, count = archive.lines["calls", "calls"]
        archive.lines["calls", "calls"] = (dataset, count + surplus)
        with opened(browser, archive.write()) as page:
            expect(page.get_by_text("This archive contradicts itself.")).to_have_count(surplus)
            expect(page.get_by_text("the number of records that it states: Phone calls.")).to_have_count(surplus)
            expect(page.get_by_text("This export includes all requested data.")).to_have_count(1 - surplus)


def _voice(call: str, place: int) -> dict[str, str]:
    """Of the second call, a member of staff and another person on the caller's side, by their pseudonyms."""
    if call != "other":
        return {"speaker": "contact" if place % 2 else "ai_agent"}
    return {"speaker": "Speaker 1"} if place % 2 else {"speaker": "human_agent", "staff_id": "Agent 1"}


def test_speakers_are_distinguished(browser: Browser, person: str) -> None:
    """The speaker is shown in words and by side, not only by colour."""
    with opened(browser, f"{person}#calls/ok") as page:
        expect(page.locator(".theirs .who").first).to_contain_text("AI agent")
        expect(page.locator(".mine .who").first).to_contain_text("You")


def test_pseudonyms_are_shown_in_the_readers_language(browser: Browser, person: str) -> None:
    """The data always says "Agent 1"; the page translates it to its language."""
    for language, agent, speaker in (("en", "Agent 1", "Speaker 1"), ("id", "Agen 1", "Pembicara 1")):
        with opened(browser, f"{person}#calls/other", locale=language) as page:
            expect(page.locator(".theirs .who").nth(0)).to_contain_text(agent)
            expect(page.locator(".theirs .who").nth(1)).to_contain_text(speaker)


def test_a_huge_value_is_shortened_with_the_way_to_all_of_it(browser: Browser, person: str) -> None:
    """Ten megabytes in a message: the page shows a beginning, more on request, and names the file with the rest."""
    with opened(browser, f"{person}#chats/c1") as page:
        bubble = page.locator(".bubbles li").last
        bubble.get_by_role("button", name="Show all (10,000,000 characters)").click()
        assert len(bubble.locator(".text").inner_text()) == 200_000
        expect(bubble.locator(".note")).to_have_text(
            re.compile("first 200,000 of 10,000,000 characters. The whole text is in .*data/chats/messages.jsonl.")
        )


def test_files_that_lie_are_harmless(browser: Browser, person: str) -> None:
    """A page that calls itself a picture is a broken picture; a page is named, not linked."""
    with opened(browser, f"{person}#chats/c1") as page:
        expect(page.locator(".talk img")).to_have_count(1)
        expect(page.locator(".talk img")).to_have_js_property("complete", value=True)
        expect(page.locator(".talk img")).to_have_js_property("naturalWidth", 0)
        expect(page.locator(".talk").get_by_text("data/chats/attachments/page.html")).to_be_visible()
        assert page.locator("a[href$='.html']").count() == 0


def test_values_are_shown_in_the_readers_language(browser: Browser, person: str) -> None:
    """The data always says `inbound`, and the page says what that means; a value that no one declared stays."""
    for language, shown in (("en", "Inbound"), ("id", "Masuk"), ("de", "Eingehend")):
        with opened(browser, f"{person}#calls/other", locale=language) as page:
            expect(page.locator(".talk").get_by_text(shown, exact=True).first).to_have_attribute("title", "inbound")
            expect(page.locator(".talk").get_by_text("solved").first).to_be_visible()


def test_a_table_is_searched_sorted_and_paged(browser: Browser, person: str) -> None:
    """Search counts what it finds, a column's head sorts both ways and says so, pages hold 25 rows."""
    with opened(browser, f"{person}#strange") as page:
        table = page.locator(".tablebox")
        expect(table.get_by_role("status")).to_have_text("1\u201325 of 60")
        table.get_by_role("button", name="Next").click()
        expect(table.get_by_role("status")).to_have_text("26\u201350 of 60")
        head = table.get_by_role("button", name="N", exact=True)
        head.click()
        head.click()
        expect(table.get_by_role("columnheader", name="N", exact=True)).to_have_attribute("aria-sort", "descending")
        expect(table.locator("tbody tr").first).to_contain_text("59")
        expect(head).to_be_focused()
        table.get_by_role("searchbox").fill("nowhere to be found")
        expect(table.get_by_role("status")).to_have_text("No matching records.")
        table.get_by_role("searchbox").fill("مرحبا")
        expect(table.get_by_role("status")).to_contain_text("of 7")


def test_search_leads_to_the_message_the_second_and_the_record(browser: Browser, person: str) -> None:
    """A result opens the chat at its message, the call at its second, or the record alone."""
    with opened(browser, person) as page:
        for title, heading, shown in (
            ("Messages", "javascript:window.pwned=1", ".bubbles .target"),
            ("Call transcripts", "Incoming call · +62811", ".bubbles .target"),
            ("Hostile", None, ".single .fields"),
        ):
            page.get_by_label("Search all data").fill("gnp.exe")
            results = page.locator(".results section", has_text=title if heading else "<script>")
            expect(page.get_by_role("status").first).to_have_text("12 results")
            link = results.locator("li a").last
            expect(link.locator("mark").first).to_have_text("gnp.exe")
            link.click()
            expect(page.locator(shown)).to_contain_text("gnp.exe")
            if heading:
                expect(page.locator(".talk h3")).to_have_text(heading)


def test_no_part_is_chosen_while_the_results_of_all_are_shown(browser: Browser, person: str) -> None:
    """The results are named after the search, and not after the part that was open; it is open again afterwards."""
    with opened(browser, person) as page:
        tab(page, "Account").click()
        page.get_by_label("Search all data").first.fill("gnp.exe")
        expect(page.locator(".results section").first).to_be_visible()
        expect(page.locator("[role=tab][aria-selected=true]")).to_have_count(0)
        expect(page.get_by_role("main", name="gnp.exe")).to_be_visible()
        page.get_by_label("Search all data").first.fill("")
        expect(tab(page, "Account")).to_have_attribute("aria-selected", "true")
        expect(page.get_by_role("main", name="Account")).to_be_visible()


def test_the_keyboard_reaches_everything(browser: Browser, person: str) -> None:
    """Skip link first, one stop for all tabs, arrow keys among them, the focus always visible."""
    with opened(browser, person) as page:
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
        tab(page, "Overview").focus()
        page.keyboard.press("ArrowDown")
        expect(tab(page, "Account")).to_be_focused()
        expect(tab(page, "Account")).to_have_attribute("aria-selected", "true")
        expect(page.locator("main h2")).to_have_text("Account")
        page.keyboard.press("End")
        expect(tab(page, "Strange")).to_be_focused()
        page.keyboard.press("Home")
        expect(page.locator("[role=tab][tabindex='0']")).to_have_count(1)
        assert tab(page, "Overview").evaluate("e => getComputedStyle(e).outlineStyle") == "solid"


def test_both_languages(browser: Browser, person: str) -> None:
    """The browser's language is the default, the reader can change it; the page states its language."""
    with opened(browser, person, locale="id-ID") as page:
        expect(page.locator("html")).to_have_attribute("lang", "id")
        expect(page.get_by_text("Ekspor ini tidak lengkap")).to_be_visible()
        page.get_by_role("button", name="English").click()
        expect(page.locator("html")).to_have_attribute("lang", "en")
        expect(tab(page, "Phone calls")).to_be_visible()
        expect(page.get_by_role("button", name="English")).to_be_focused()


@pytest.mark.parametrize(
    ("locale", "form"),
    [("en-GB", r"\d{1,2} \w{3,4} \d{4}, \d\d:\d\d"), ("en-US", r"\w{3} \d{1,2}, \d{4}, \d{1,2}:\d\d\s[AP]M")],
)
def test_dates_follow_the_region_of_the_reader(browser: Browser, person: str, locale: str, form: str) -> None:
    """Two readers of English see the same day in the order of their country."""
    with opened(browser, person, locale=locale) as page:
        expect(page.locator("time").first).to_have_text(re.compile(f"^{form}$"))


@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_is_wider_than_the_screen(browser: Browser, person: str, width: int) -> None:
    """On a phone as on a desk nothing has to be scrolled sideways but a table in its own frame."""
    with opened(browser, person, width=width) as page:
        for each in page.get_by_role("tab").all():
            each.click()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), each.inner_text()


def test_a_phone_shows_the_list_or_the_conversation(browser: Browser, person: str) -> None:
    """At phone width a chosen conversation takes the place of the list, and a link leads back."""
    with opened(browser, f"{person}#calls", width=360) as page:
        expect(page.locator(".talk")).to_be_hidden()
        page.locator(".talks a").first.click()
        expect(page.locator(".talk")).to_be_visible()
        page.get_by_role("link", name="Back to the list").click()
        expect(page.locator(".list")).to_be_visible()


def test_devices_and_usage_are_drawn(browser: Browser, tmp_path: Path) -> None:
    """A timeline of all that has a time, on the first page and its own; bars from when to when for devices."""
    archive = Unpacked(tmp_path)
    views: list[Record] = [
        {"id": f"v{n}", "title": f"Page {n % 3}", "viewed_at": f"2026-03-{1 + n:02}T05:00:00Z"} for n in range(20)
    ]
    archive.add("usage", "page_views", views)
    seen = {"first_seen_at": "2026-03-01T05:00:00Z", "last_seen_at": "2026-03-15T05:00:00Z"}
    archive.add("devices", "devices", [{"id": f"d{n}", "browser": f"Browser {n}", **seen} for n in range(2)])
    with opened(browser, archive.write()) as page:
        bars = page.locator("#when svg[role=img] rect.bar")
        expect(bars).to_have_count(20)
        drawn = [text.rsplit(": ", 1)[1] for text in bars.locator("title").all_text_contents()]
        assert sum(map(int, drawn)) == 22
        expect(page.locator("#when svg")).to_have_attribute(
            "aria-label", re.compile("1 Mar 2026.*20 Mar 2026. The largest value is 3.")
        )
        tab(page, "How you used the service").click()
        expect(page.locator(".charts .ranked li")).to_have_count(3)
        tab(page, "Devices").click()
        expect(page.locator(".charts .spans")).to_contain_text("Browser 1")
        expect(page.locator(".charts .spans")).to_contain_text(re.compile("1 Mar 2026.*15 Mar 2026"))


@pytest.mark.parametrize("wrong", ["0001-01-01", "0050-06-01", "1601-01-01", "9999-12-31"])
def test_a_wrong_date_hides_no_other_in_a_chart(browser: Browser, tmp_path: Path, wrong: str) -> None:
    """Systems write such dates for none. The chart shows the time with most of the records, as the summary does."""
    archive = Unpacked(tmp_path)
    times = [f"{wrong}T00:00:00Z", *(f"{2005 + number}-03-01T00:00:00Z" for number in range(20))]
    rows: list[Record] = [{"id": f"t{number}", "at": at} for number, at in enumerate(times)]
    archive.add("strange", plain_dataset("things", "Things"), rows)
    with opened(browser, f"{archive.write()}#strange") as page:
        chart = page.locator("figure.chart.broad svg")
        expect(chart).to_have_attribute("aria-label", re.compile(r"2005 \u2013 .*2024"))
        expect(chart.locator("rect.bar")).to_have_count(20)


@pytest.mark.requirement("R7")
def test_nothing_held_is_said(browser: Browser, tmp_path: Path) -> None:
    """An export that found nothing has a page that says so, and no error."""
    archive = Unpacked(tmp_path)
    archive.add("account", "profile")
    archive.add("chats", "conversations")
    with opened(browser, archive.write(no_data_held=True, outcome=NOTHING_HELD)) as page:
        expect(page.get_by_text("No data found")).to_be_visible()
        tab(page, "Chats").click()
        expect(page.get_by_text("This dataset has no data.")).to_be_visible()


def test_a_company_to_ask_is_named(browser: Browser, tmp_path: Path) -> None:
    """Data that needs an instruction is named on the first page, with the company if its name is known."""
    archive = Unpacked(tmp_path)
    archive.add("account", "organisation", [{"id": "ten_7", "name": "PT Maju"}])
    line: JSON = {
        "exporter": "account",
        "dataset": "organisation",
        "title": "Company",
        "state": "complete",
        "records": 1,
    }
    asked: JSON = {
        "exporter": "calls",
        "dataset": "calls",
        "title": "Calls",
        "state": "needs_instruction",
        "records": 0,
        "tenants": ["ten_7"],
    }
    referred = {"own": "with_remarks", "processor": "referred"}
    with opened(browser, archive.write(datasets=[line, asked], complete=False, outcome=referred)) as page:
        expect(page.locator(".verdict.bad")).to_contain_text("PT Maju (ten_7)")
        expect(page.locator(".verdict.good")).to_contain_text("Our own part is complete")


def undecided(folder: Path) -> str:
    """The viewer of a person whose records wait for decisions, and of whom an officer has examined some records."""
    archive = Unpacked(folder)
    archive.add("account", "organisation", [{"id": "ten_7", "name": "PT Maju"}])
    archive.add("calls", "calls", [{**CALL, "id": "c1"}])
    archive.add("calls", "recordings", [])
    gap: dict[str, JSON] = {"exporter": "calls", "reason": "needs_review", "retryable": False}
    gaps: list[JSON] = [{**gap, "dataset": "calls", "what": f"calls/c{n}"} for n in (2, 3)]
    gaps.append({**gap, "dataset": "recordings", "what": "calls/c2"})
    gaps.append({**gap, "dataset": "recordings", "what": "recordings/r1.wav", "reason": "missing"})
    referrals: list[JSON] = [
        {"tenant": "ten_7", "name": None, "contact": None, "answer": "open"},
        {"tenant": "ten_8", "name": HOSTILE[0], "contact": HOSTILE[1], "answer": "informed"},
        {"tenant": "ten_9", "name": "PT Lain", "contact": "privacy@lain.example", "answer": "refused"},
    ]
    reviews: list[JSON] = [
        {"exporter": "calls", "dataset": "calls", "decision": "not_theirs", "reason": "content", "records": 4}
    ]
    referred = {"own": "partial", "processor": "referred"}
    return archive.write(complete=False, outcome=referred, gaps=gaps, referrals=referrals, reviews=reviews)


def test_what_waits_for_an_officer_is_counted(browser: Browser, tmp_path: Path) -> None:
    """The first page says that records wait for a decision, and how many of which dataset."""
    with opened(browser, undecided(tmp_path)) as page:
        expect(page.locator(".verdict", has_text="Some records wait for a decision.")).to_be_visible()
        waiting = page.get_by_role("region", name="Records that wait for a decision")
        expect(waiting.locator("tbody tr")).to_have_text(["Phone calls2", "Call recordings1"])


def test_what_companies_answered_is_shown(browser: Browser, tmp_path: Path) -> None:
    """Each company with its name, its contact and its answer; a name is text."""
    with opened(browser, undecided(tmp_path)) as page:
        part = page.get_by_role("region", name="Companies that decide")
        expect(part.locator("th")).to_have_text(["Company", "Contact", "Answer"])
        rows = part.locator("tbody tr")
        expect(rows.nth(0)).to_contain_text("PT Maju (ten_7)")
        expect(rows.nth(0)).to_contain_text("was not informed of the request")
        expect(rows.nth(1)).to_contain_text(HOSTILE[0])
        expect(rows.nth(1)).to_contain_text("is informed of the request, and has not answered")
        expect(rows.nth(2)).to_contain_text("PT Lain ten_9privacy@lain.exampleThe company refused.")


def test_what_officers_decided_is_shown(browser: Browser, tmp_path: Path) -> None:
    """The records that were examined, by dataset, with the decision and its reason."""
    with opened(browser, undecided(tmp_path)) as page:
        rows = page.get_by_role("region", name="Examined records").locator("tbody tr")
        expect(rows).to_have_count(1)
        expect(rows.first).to_contain_text("It is not included, because it is or may be about another person.")
        expect(rows.first).to_contain_text("The content of the record shows it.4")


def test_what_no_one_has_decided_on_is_counted(browser: Browser, tmp_path: Path) -> None:
    """The first page names the sources that store more than was decided on, or that cannot say what they store."""
    made = Unpacked(tmp_path)
    made.add("account", "profile")
    sources = [("crm", "undecided", 2), ("helpdesk", "coverage_unknown", 0), ("billing", "complete", 0)]
    coverage: list[JSON] = [{"source": name, "state": state, "undecided": count} for name, state, count in sources]
    with opened(browser, made.write(coverage=coverage)) as page:
        expect(page.get_by_text("The source crm has columns about which no decision has been made: 2.")).to_be_visible()
        expect(page.get_by_text("The source helpdesk cannot list everything")).to_be_visible()
        expect(page.get_by_text("billing")).to_have_count(0)


def test_without_a_decision_there_is_no_part_for_it(browser: Browser, person: str) -> None:
    """A gap of another kind waits for no one."""
    with opened(browser, person) as page:
        expect(page.get_by_role("region", name="What is missing, and why")).to_be_visible()
        for name in ("Records that wait for a decision", "Companies that decide", "Examined records"):
            expect(page.get_by_role("region", name=name)).to_have_count(0)


def test_what_is_withheld_is_described(browser: Browser, tmp_path: Path) -> None:
    """The first page says what is stored and never delivered, by dataset, and that a dataset is partly hidden."""
    archive = Unpacked(tmp_path)
    archive.add("account", "profile", [{"id": "usr_7", "full_name": "Ana"}])
    held: JSON = {
        "exporter": "account",
        "dataset": "profile",
        "kind": "secret",
        "what": "a bcrypt hash of your password",
        "reason": "lets a thief guess the password offline",
    }
    line: JSON = {
        "exporter": "account",
        "dataset": "profile",
        "title": "Profile",
        "records": 1,
        "state": "with_remarks",
        "redactions": {"card-number": 1},
    }
    with opened(browser, archive.write(datasets=[line], withheld=[held])) as page:
        expect(page.get_by_role("heading", name="Stored but not delivered")).to_be_visible()
        expect(page.get_by_text("a bcrypt hash of your password: lets a thief")).to_be_visible()
        expect(page.locator(".pill.with_remarks")).to_have_text("complete, with remarks")
        results = page.get_by_role("region", name="Datasets and results")
        expect(results.get_by_text("numbers of payment cards, masked: 1")).to_be_visible()


def test_a_hundred_thousand_rows(browser: Browser, tmp_path: Path) -> None:
    """Fifty datasets of 2,000 rows: the page opens, changes tabs, sorts and searches without standing still."""
    archive = Unpacked(tmp_path)
    for number in range(50):
        rows: list[Record] = [
            {"id": f"{number}-{n}", "text": f"row {n} of the dataset {number}", "n": n, "at": "2026-01-01T00:00:00Z"}
            for n in range(2_000)
        ]
        archive.add(f"plugin{number % 10}", plain_dataset(f"things{number}", f"Things {number}"), rows)
    with opened(browser, archive.write()) as page:
        page.evaluate(WATCH_LONG_TASKS)
        tab(page, "Plugin3").click()
        page.get_by_role("button", name="Text").first.click()
        page.get_by_label("Search all data").fill("1999")
        expect(page.get_by_role("status").first).to_have_text("50 results")
        assert max(page.evaluate("window.slow ?? [0]")) < 1_000


def test_numbers_have_all_their_digits(browser: Browser, tmp_path: Path) -> None:
    """A coordinate keeps its place and a small number is not 0. Before, the page rounded to four digits."""
    things = plain_dataset("things", "Things")
    share = Field("share", FieldType.NUMBER, "A number.", Provenance.OBSERVED)
    numbers = {
        -6.20881234567: "-6.20881234567",
        0.00001: "0.00001",
        1e-7: "1e-7",
        1234567.890625: "1,234,567.890625",
        1e22: "1e+22",
        2024: "2024",
        12345: "12,345",
        0.1 + 0.2: "0.30000000000000004",
    }
    archive = Unpacked(tmp_path)
    rows: list[Record] = [{"id": f"n{place}", "share": value} for place, value in enumerate(numbers)]
    archive.add("strange", replace(things, fields=(things.fields[0], share)), rows)
    with opened(browser, archive.write()) as page:
        tab(page, "Strange").click()
        expect(page.locator("td .number")).to_have_text(list(numbers.values()))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault(browser: Browser, person: str, tmp_path: Path, axe: str, scheme: str) -> None:
    """axe-core, rules of WCAG 2.2 A and AA: none is broken on any tab, in both colour schemes."""
    assert faults_of(browser, person, axe, scheme) == {}
    assert faults_of(browser, undecided(tmp_path), axe, scheme) == {}


def faults_of(browser: Browser, address: str, axe: str, scheme: str) -> dict[str, list[str]]:
    """What axe-core finds on all tabs of a viewer, by rule."""
    context = browser.new_context(locale="en-GB", color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    page.goto(address)
    faults: dict[str, list[str]] = {}
    for each in page.get_by_role("tab").all():
        each.click()
        unfold(page)
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
        for violation in violations(page, axe, runOnly=tags):
            faults[violation["id"]] = [node["html"][:200] for node in violation["nodes"]][:3]
    context.close()
    return faults


def test_an_archive_of_a_feed_says_what_it_is(browser: Browser, tmp_path: Path) -> None:
    """The first page says in each language that it has changes only; other archives have no such script."""
    archive = Unpacked(tmp_path / "feed")
    archive.add("calls", "calls", [{**CALL, "id": "call_1"}])
    feed = ArchiveFeed(3, 2, datetime(2026, 11, 29, tzinfo=UTC))
    address = archive.write(feed)
    for language, said in (("en", "archive 3 of a feed"), ("de", "Archiv 3 einer Reihe"), ("id", "arsip 3 dari")):
        with opened(browser, address, locale=language) as page:
            expect(page.locator(".verdict").first).to_contain_text(said)
            expect(page.locator(".verdict").first).to_contain_text("tombstones/")
    plain = Unpacked(tmp_path / "plain")
    plain.write()
    assert not (plain.last / "viewer" / "feed.js").exists()
    assert "feed.js" not in (plain.last / "index.html").read_text()
