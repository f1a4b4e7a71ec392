"""Program of a process of its own: typesets one document. `pdf.py` starts it; its memory ends with it.

It reads {"template": ..., "about": ...} from standard input and writes the PDF. It imports nothing of this repository,
because it starts for each export.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import typst

ACCESSIBLE = "ua-1"
"""PDF/UA-1, which also demands that each letter can be shown."""


def typeset(template: bytes, about: dict[str, Any]) -> bytes:
    """Return a PDF. If the fonts of the library lack a letter, the system's are used; boxes stand for the rest."""
    plain = json.dumps(about)
    for with_system_fonts in (False, True):
        try:
            return _compiled(template, {"about": plain}, [ACCESSIBLE], with_system_fonts=with_system_fonts)
        except typst.TypstError:
            continue
    return _compiled(template, {"about": plain, "boxes": "yes"}, [], with_system_fonts=True)


def _compiled(template: bytes, inputs: dict[str, str], standards: list[Any], *, with_system_fonts: bool) -> bytes:
    return typst.compile(
        template,
        format="pdf",
        ignore_system_fonts=not with_system_fonts,
        sys_inputs=inputs,
        pdf_standards=standards,
    )


if __name__ == "__main__":
    job = json.load(sys.stdin)
    sys.stdout.buffer.write(typeset(job["template"].encode(), job["about"]))
