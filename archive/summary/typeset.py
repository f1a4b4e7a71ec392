"""Program of a process of its own: typesets one document. `pdf.py` starts it; its memory ends with it.

Its argument is the folder of the typesetter's library: the interpreter looks for no other libraries. It reads
{"template": ..., "about": ...} from standard input and writes the PDF. It imports nothing of this repository and little
of the standard library, because it starts for each export.
"""

from __future__ import annotations

import json
import sys

if __name__ == "__main__":
    sys.path.append(sys.argv[1])

import typst


def typeset(template: bytes, about: dict[str, object]) -> bytes:
    """Return a PDF. If the fonts of the library lack a letter, the system's are used; boxes stand for the rest."""
    plain = json.dumps(about)
    for with_system_fonts in (False, True):
        try:
            return _compiled(template, {"about": plain}, is_accessible=True, with_system_fonts=with_system_fonts)
        except typst.TypstError:
            continue
    return _compiled(template, {"about": plain, "boxes": "yes"}, is_accessible=False, with_system_fonts=True)


def _compiled(template: bytes, inputs: dict[str, str], *, is_accessible: bool, with_system_fonts: bool) -> bytes:
    """Accessible is PDF/UA-1, which also demands that each letter can be shown."""
    return typst.compile(
        template,
        format="pdf",
        ignore_system_fonts=not with_system_fonts,
        sys_inputs=inputs,
        pdf_standards=["ua-1"] if is_accessible else [],
    )


if __name__ == "__main__":
    job = json.load(sys.stdin)
    sys.stdout.buffer.write(typeset(job["template"].encode(), job["about"]))
