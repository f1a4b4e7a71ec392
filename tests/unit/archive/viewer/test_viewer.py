from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judges.programs import program
from volumes import CALLS, closing_document, envelope

from archive import viewer
from archive.names import is_safe
from archive.viewer.catalogue import catalogue
from archive.viewer.pages import GAPS_MAX, SCRIPTS, pages
from archive.viewer.parts import Cut, Excerpt, Shown
from archive.viewer.script import call, literal
from portability.api import JSON
from portability.law.omissions import OmissionReason
from portability.locale import SOURCE, languages, translated
from portability.metrics import gap_reasons
from portability.requests.states import DatasetState

pytestmark = pytest.mark.slow

STATIC = Path(viewer.__file__).parent / "static"
NASTY = "</script><script>window.pwned=1</script>'\\\n\r\0\u2028\u2029\ufeff${7*7}{{7*7}}<!--"
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.text("'\\\"<>/\n\r\0\u2028\u2029{}$`")


def written(excerpts: list[Excerpt], **changes: JSON) -> dict[str, bytes]:
    of = envelope()
    return {path: b"".join(blocks) for path, blocks in pages(of, closing_document(of, 2, (), **changes), excerpts)}


def excerpt(*lines: Mapping[str, JSON], exporter: str = "calls", members: tuple[Shown, ...] = ()) -> Excerpt:
    return Excerpt(exporter, CALLS, [orjson.dumps(line) for line in lines], [Cut(0, "id", 99)], members)


def evaluate(script: bytes) -> list[object]:
    """What a script gives to the registry, by Node."""
    frame = (
        b"const portability = {got: [], begin(...v) {this.got.push(...v)}};\n"
        b"portability.add = portability.translate = portability.begin;\n"
        + script
        + b"\nprocess.stdout.write(JSON.stringify(portability.got));"
    )
    ended = subprocess.run([program("node", package="nodejs npm"), "-"], input=frame, capture_output=True, check=True)
    return list(json.loads(ended.stdout))


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@given(TEXTS)
def test_a_literal_has_no_character_that_ends_anything(text: str) -> None:
    """For any record, its literal is one line, has no `<`, and no quotes except its own two."""
    made = literal(orjson.dumps(text)).decode()
    assert (made[0], made[-1]) == ("'", "'")
    assert not set(made) & set("<\n\r\u2028\u2029")
    assert re.fullmatch(r"(?:[^'\\]|\\.)*", made[1:-1])


@settings(max_examples=15)
@given(TEXTS, st.lists(TEXTS, max_size=3))
def test_a_script_gives_back_what_was_put_in(head: str, lines: list[str]) -> None:
    """A browser's engine reads the same JSON that was written, for any text."""
    first, rest = evaluate(b"".join(call("add", head, [orjson.dumps(line) for line in lines])))
    assert isinstance(first, str)
    assert isinstance(rest, list)
    assert json.loads(first) == head
    assert [json.loads(line) for line in rest] == lines


def test_hostile_records_are_text() -> None:
    """Script tags, template syntax, NUL and `__proto__` arrive in the page as text, and run nothing."""
    made = written([excerpt({"id": NASTY, "__proto__": {"x": 1}})])
    script = made["viewer/data/calls.calls.js"]
    assert b"<" not in script
    _, lines = evaluate(script)
    assert isinstance(lines, list)
    assert json.loads(lines[0]) == {"id": NASTY, "__proto__": {"x": 1}}


def test_the_page_itself_holds_no_data() -> None:
    """No value of the export stands in the markup, so none can become markup."""
    index = written([excerpt({"id": "a-value-of-a-record"})], gaps=[{"what": "a-gap", "reason": "missing"}])[
        "index.html"
    ]
    assert b"a-value-of-a-record" not in index
    assert b"a-gap" not in index
    assert envelope().subject.encode() not in index


def test_the_policy_lets_in_only_our_own_scripts() -> None:
    """The policy names no address, no inline and no eval; each script and style of the page bears the nonce."""
    tags = Tags()
    tags.feed(written([excerpt({"id": "1"})])["index.html"].decode())
    (policy,) = [a["content"] for _, a in tags.found if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert not re.search(r"unsafe|https?:|data:|blob:|\*", policy)
    (nonce,) = set(re.findall(r"'nonce-([\w-]{20,})'", policy))
    loaded = [attributes for tag, attributes in tags.found if tag in {"script", "link"}]
    assert all(attributes["nonce"] == nonce for attributes in loaded)
    assert not [name for _, attributes in tags.found for name in attributes if name.startswith("on")]


def test_every_archive_has_a_nonce_of_its_own() -> None:
    """A nonce is useless to a person who has seen another archive."""
    assert written([])["index.html"] != written([])["index.html"]


def test_the_page_loads_exactly_what_is_written() -> None:
    """Every file that the page names is among the files, and every file but the page is named."""
    made = written([excerpt({"id": "1"}), excerpt(exporter="crm")])
    tags = Tags()
    tags.feed(made["index.html"].decode())
    named = {a.get("src") or a["href"] for tag, a in tags.found if tag in {"script", "link"} and len(a) > 1}
    assert named == made.keys() - {"index.html"}
    assert all(is_safe(path) for path in made)
    assert list(made)[0] == "index.html"  # noqa: RUF015  # the order is the point


def test_names_of_strangers_become_safe_file_names() -> None:
    """A plug-in's name decides no path outside `viewer/data/`, and twins stay apart."""
    made = written([excerpt({"id": str(n)}, exporter=name) for n, name in enumerate(["../../x", "A", "a", "con"])])
    data = [path for path in made if path.startswith("viewer/data/") and path != "viewer/data/export.js"]
    assert len({path.lower() for path in data}) == 4
    assert all(is_safe(path) for path in data)


def test_files_of_other_volumes_are_reached_through_the_folder_above() -> None:
    """Volumes are side by side: a recording in an earlier one has a path that works from the closing volume."""
    of = envelope()
    members = tuple(Shown("data/calls/c1.wav", of.volume_name(n), 5, "audio/wav", file=f"c{n}.wav") for n in (1, 2))
    about, _ = evaluate(written([excerpt(members=members)])["viewer/data/calls.calls.js"])
    files = json.loads(str(about))["files"]
    assert [(file["path"], file["volume"]) for file in files] == [
        (f"../{of.volume_name(1)}/data/calls/c1.wav", of.volume_name(1)),
        ("data/calls/c1.wav", None),
    ]


def test_gaps_are_capped_with_their_number() -> None:
    """A hundred thousand gaps do not make the first page large; their number is shown."""
    gaps: list[JSON] = [{"what": str(n), "reason": "missing"} for n in range(GAPS_MAX + 5)]
    (about,) = evaluate(written([], gaps=gaps)["viewer/data/export.js"])
    counts = json.loads(str(about))
    assert (len(counts["gaps"]), counts["gaps_total"]) == (GAPS_MAX, GAPS_MAX + 5)


def catalogues() -> dict[str, dict[str, dict[str, str]]]:
    """What the page gets of each language."""
    (made,) = evaluate(catalogue())
    document = json.loads(str(made))
    assert document["source"] == SOURCE
    assert [*document["languages"]] == [*languages()]
    return dict(document["languages"])


def test_every_language_says_the_same_things() -> None:
    """Every sentence and word of one language exists in the others, with the same placeholders."""
    first, *others = catalogues().values()
    for other in others:
        assert all(first[kind].keys() == other[kind].keys() for kind in ("strings", "states", "reasons"))
        for key, sentence in first["strings"].items():
            assert sorted(re.findall(r"\{\w+\}", sentence)) == sorted(re.findall(r"\{\w+\}", other["strings"][key])), (
                key
            )


def test_every_code_has_words() -> None:
    """Each state and each reason, of what is left out and of a gap; a plug-in's own code stands as it is."""
    for texts in catalogues().values():
        assert {*map(str, OmissionReason), *gap_reasons()} <= texts["reasons"].keys()
        assert {*map(str, DatasetState)} == texts["states"].keys()


def test_a_dataset_brings_its_translations() -> None:
    """The page shows the reader's; the dataset of a plug-in without any keeps its own words."""
    identifier = "Identifier of this record; it does not change. Use it to request a correction or an erasure."
    fields = (replace(CALLS.fields[0], description=identifier), *CALLS.fields[1:])
    built_in = replace(CALLS, title="Phone calls", fields=fields)
    known, unknown = (
        json.loads(str(evaluate(written([Excerpt(name, of)])[f"viewer/data/{name}.calls.js"])[0]))
        for name, of in (("calls", built_in), ("made", CALLS))
    )
    assert known["translations"]["title"]["id"] == translated("id", "data.calls/calls.title", "")
    assert known["fields"][0]["translations"]["description"]["id"] == translated("id", "data.calls/calls.fields.id", "")
    assert unknown["translations"] == unknown["fields"][0]["translations"] == {}


def test_every_sentence_is_used() -> None:
    """A sentence that no script uses is gone from every language."""
    scripts = "".join((STATIC / name).read_text("utf-8") for name in SCRIPTS)
    elsewhere = {"access", "portability", "switch", "provided", "observed", "derived", "noScript", "alone"}
    assert {key for key in catalogues()[SOURCE]["strings"] if f'"{key}"' not in scripts} <= elsewhere


def test_scripts_make_no_markup_code_or_request() -> None:
    """What could turn a text into markup, code or a request does not occur in our scripts."""
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|fetch\(|XMLHttp|WebSocket"
        r"|https?://(?!www\.w3\.org/2000/svg)"
    )
    for name in SCRIPTS:
        assert not forbidden.search((STATIC / name).read_text("utf-8")), name
    assert not re.search(r"url\(|@import", (STATIC / "style.css").read_text("utf-8"))
