from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader
from pypdf.generic import StreamObject
from volumes import CALLS, closing_document, envelope

from archive.summary import pdf as module
from archive.summary.figures import summarize
from archive.summary.pdf import Typesetter, TypesettingFailed
from archive.summary.words import GROUPS_SHOWN, worded
from portability.law.omissions import OmissionReason
from portability.locale import languages
from portability.metrics import gap_reasons

MONTHS = {f"{year}-{month:02}": month for year in range(2022, 2027) for month in range(1, 13)}


def made(name: str = "Ann", language: str = "en", **export: Any) -> PdfReader:
    document = closing_document(envelope(), 1) | export
    summary = summarize(document, [("calls", CALLS)], lambda *_of: MONTHS, name)
    with closing(Typesetter()) as typesetter:
        return PdfReader(BytesIO(typesetter.pdf(worded(summary, document, envelope(), language), envelope())))


def is_accessible(found: PdfReader) -> bool:
    """Whether it says that it is PDF/UA, and is tagged."""
    metadata = found.root_object["/Metadata"].get_object()
    assert isinstance(metadata, StreamObject)
    return b"pdfuaid:part" in metadata.get_data() and "/StructTreeRoot" in found.root_object


def text_of(of: PdfReader) -> str:
    return "\n".join(page.extract_text() for page in of.pages)


@pytest.mark.parametrize("language", languages())
def test_a_page_is_in_the_readers_language(language: str) -> None:
    """One page, tagged for readers of screens (PDF/UA-1), with language, title and all letters of that language."""
    said = {
        "en": ("What is not delivered, and why", "January 2022 \N{EN DASH} December 2026", "Page 1 of 1"),
        "de": (
            "Was nicht ausgeliefert wird, und warum",
            "Januar 2022 \N{EN DASH} Dezember 2026",
            "Größe",
            "Seite 1 von 1",
        ),
        "id": ("Apa yang tidak diserahkan, dan mengapa", "Januari 2022 \N{EN DASH} Desember 2026", "Halaman 1 dari 1"),
    }
    found = made("Ännchen Müller-Großmann", language)
    assert str(found.root_object["/Lang"]) == language
    assert is_accessible(found)
    assert len(found.pages) == 1
    for each in ("Ännchen Müller-Großmann", *said[language]):
        assert each in text_of(found)


@pytest.mark.parametrize("name", ["محمد بن عبد الله", "דוד כהן", "Дмитрий", "Ολυμπία"])
def test_other_scripts_are_letters(name: str) -> None:
    """Arabic, Hebrew, Cyrillic and Greek need no fonts but those of the library, and stay accessible text."""
    found = made(name)
    assert is_accessible(found)
    letters = "".join(name.split())
    assert sorted(letters) in (sorted("".join(line.split())) for line in text_of(found).splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("language", languages())
def test_letters_without_a_font_are_reported_in_words(language: str) -> None:
    """Codes that Unicode has not assigned are in no font. Words stand for a run of them, and a sentence explains them.

    Before, each was a box, and the file was no accessible PDF.
    """
    mark = {"en": "[not shown]", "de": "[nicht darstellbar]", "id": "[tidak tertampil]"}[language]
    found = made("Ann \u0378\u0379 \u0378 \N{LATIN SMALL LETTER E WITH ACUTE}\u0378 Lee", language)
    text = " ".join(text_of(found).split())
    assert is_accessible(found)
    assert f"Ann {mark} \N{LATIN SMALL LETTER E WITH ACUTE}{mark} Lee" in text
    assert text.count(mark) == 3
    assert "README.html" in text[text.rindex(mark) :][:120]
    assert mark not in text_of(made("Ann Lee", language))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["王小明", "田中さくら", "김민수", "สมชาย ใจดี", "नमस्ते", "👩‍👩‍👧 Ann", "🇩🇪 Ann", "e\u0e49"]
)
def test_a_name_in_any_script_is_shown_or_reported(name: str) -> None:
    """With the fonts of this machine, whatever they are, each letter is text, or words stand for it."""
    found = made(name)
    text = " ".join(text_of(found).split())
    assert is_accessible(found)
    assert "[not shown]" in text or set(name) <= set(text)


@pytest.mark.slow
def test_the_longest_summary_has_two_pages() -> None:
    """Every reason, forty kinds, long words everywhere."""
    lines = [
        {
            "exporter": f"a_long_exporter_{n}",
            "dataset": "d",
            "title": "W" * 99,
            "records": 10**9,
            "files": 10**9,
            "bytes": 1,
            "gaps": 1,
        }
        for n in range(40)
    ]
    gaps = [
        {"exporter": f"a_long_exporter_{n}", "dataset": "d", "what": "w", "reason": reason}
        for reason in gap_reasons()
        for n in range(9)
    ]
    left = [
        {"exporter": "e", "dataset": f"d{n}", "title": "Übermäßig lang " * 9, "reason": reason}
        for reason in OmissionReason
        for n in range(9)
    ]
    found = made("Maximilian " * 30, "de", datasets=lines, gaps=gaps, not_included=left)
    assert len(found.pages) == 2
    assert text_of(found).count("und ") > GROUPS_SHOWN


@pytest.mark.slow
def test_a_long_word_stays_in_its_place() -> None:
    """A name ends before the edge of the page, a kind of data before its numbers; an address gets no hyphen."""
    kind, address = "W" * 50, "maximilian.mustermann.verwaltung@kundenbetreuung.example"
    lines = [{"exporter": kind, "dataset": "d", "title": "d", "records": 7, "files": 1, "bytes": 1, "gaps": 0}]
    found = text_of(made("M" * 60, datasets=lines))
    widths = {letter: max(len(run) for run in re.findall(f"{letter}+", found)) for letter in "MW"}
    assert (widths["M"] <= 36, widths["W"] <= 13) == (True, True)
    assert (found.count("M"), found.count("W")) == (60 + found.count("README"), len(kind) + found.count("What"))
    assert address in "".join(text_of(made(address)).split())


def test_markup_of_the_data_is_text() -> None:
    """The typesetter's own language does nothing: names are values, not code."""
    name = '#panic() *x* $y$ `z` #read("/etc/passwd")'
    assert " ".join(name.split()) in " ".join(text_of(made(name)).split())


def test_a_fault_of_the_program_is_named_without_its_texts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The message has the kind of fault; the program's own message may quote the data."""
    template = tmp_path / "broken.typ"
    template.write_text('#panic(json(bytes(sys.inputs.at("about"))).name)')
    monkeypatch.setattr(module, "_TEMPLATE", template)
    with pytest.raises(TypesettingFailed, match=r"^the program for summary.pdf ended with 1: typst.TypstError$"):
        made("Ann Secret")


def test_a_program_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the limit, with a fault of its own."""
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.001)
    with pytest.raises(TypesettingFailed, match="took longer"):
        made()


def test_a_program_that_cannot_start_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without memory for it."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(TypesettingFailed, match="cannot start"):
        made()


def test_a_missing_library_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, and no process starts."""
    monkeypatch.setattr("archive.summary.pdf.find_spec", lambda _name: None)
    before = children()
    with pytest.raises(TypesettingFailed, match="cannot start: the library typst is not installed"):
        made()
    assert children() == before


def test_the_program_imports_nothing_of_the_engine() -> None:
    """It starts for each export: it has the typesetter and little of the standard library, and reads no folder."""
    with closing(Typesetter()) as typesetter:
        typesetter.start()
        assert typesetter._process
        *options, program, packages = map(os.fsencode, typesetter._process.args)  # type: ignore[arg-type]  # a list
    listing = "import sys; sys.path.append(sys.argv[2]); exec(open(sys.argv[1]).read(), {}); print(*sys.modules)"
    ran = subprocess.run([*options, "-c", listing, program, packages], capture_output=True, check=True)
    loaded = {name.partition(".")[0] for name in ran.stdout.decode().split()}
    assert "typst" in loaded
    assert loaded.isdisjoint({"portability", "archive", "worker", "babel", "sqlalchemy", "site", "typing"})


def children() -> list[int]:
    """The processes that this process has started."""
    tasks = Path("/proc/self/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def test_a_program_waits_for_its_summary_and_ends_with_or_without_it() -> None:
    """It is started while the volume is filled; a volume that does not close leaves no process."""
    before = children()
    with closing(Typesetter()) as typesetter:
        typesetter.start()
        (waiting,) = set(children()) - set(before)
        document = closing_document(envelope(), 1)
        summary = summarize(document, [("calls", CALLS)], lambda *_of: MONTHS, "Ann")
        assert typesetter.pdf(worded(summary, document, envelope(), "en"), envelope()).startswith(b"%PDF-1.7")
        assert waiting not in children()
    unused = Typesetter()
    unused.start()
    assert len(children()) == len(before) + 1
    unused.close()
    assert children() == before


def test_a_program_that_was_ended_while_it_waited_is_a_fault() -> None:
    """As by a system without memory: the archive is whole without the PDF."""
    before = children()
    with closing(Typesetter()) as typesetter:
        typesetter.start()
        (waiting,) = set(children()) - set(before)
        os.kill(waiting, signal.SIGKILL)
        document = closing_document(envelope(), 1)
        summary = summarize(document, [("calls", CALLS)], lambda *_of: MONTHS, "Ann")
        with pytest.raises(TypesettingFailed, match="ended with -9"):
            typesetter.pdf(worded(summary, document, envelope(), "en"), envelope())
