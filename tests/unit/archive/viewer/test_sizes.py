"""The viewer writes sizes as pages, mails and README.html do: two programs, one format."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from judges.programs import program

from archive import viewer
from portability import locale
from portability.locale import values

SCRIPT = Path(viewer.__file__).parent / "static" / "page.js"
COUNTS = sorted({0, 1, 42, *(10**n + d for n in range(17) for d in (-1, 0, 1)), *(999_499 * 10**n for n in range(10))})
COUNTS += [49, 50, 1049, 1050, 9949, 9950, 99_949, 99_950, 999_500, 1_250_000, 12_345_678, 99_950_000, 5 * 10**15]
FRAME = """
globalThis.portability = { source: "en", languages: {} };
globalThis.document = { documentElement: {} };
Object.defineProperty(globalThis, "navigator", { value: { languages: ["%s"] }, configurable: true });
%s
portability.speak("%s");
process.stdout.write(JSON.stringify(%s.map((count) => portability.bytes(count))));
"""


@pytest.mark.parametrize("language", locale.languages())
def test_a_size_reads_the_same_in_the_viewer(language: str) -> None:
    """At each power of ten, at each border of a unit and of the decimal, in each language."""
    code = FRAME % (values.tag(language), SCRIPT.read_text(), language, json.dumps(COUNTS))
    node = program("node", package="nodejs npm")
    ended = subprocess.run([node, "-"], input=code, capture_output=True, check=True, text=True)

    def spaced(text: str) -> str:
        return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")

    assert [*map(spaced, json.loads(ended.stdout))] == [spaced(values.size(language, count)) for count in COUNTS]
