"""The pages of the website: a copy of the Markdown pages whose links lead within the site (`make site`)."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from os.path import relpath
from pathlib import Path

import repository
from repository import ROOT

DOCS = ROOT / "docs"
DECISIONS = DOCS / "adr"
FOLDER = ROOT / "build" / "pages"
OTHERS = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "bench/README.md": "bench.md",
}
"""Pages outside of docs/, and their paths on the site."""
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
BLOCK = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)


def write(folder: Path = FOLDER) -> None:
    """Write the pages and pictures to a folder, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    paths = dict(_paths())
    for source, path in paths.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if source == DECISIONS:
            target.write_text(_decisions())
        elif source.suffix == ".md":
            target.write_text(with_links(source.read_text(), source, paths))
        else:
            shutil.copyfile(source, target)


def with_links(text: str, page: Path, paths: Mapping[Path, Path]) -> str:
    """Return the text of a page with the links of the site; a link to a file that the site lacks becomes its words.

    `paths` has the path on the site of each page and picture of the repository.
    """

    def link(match: re.Match[str]) -> str:
        picture, words, address = match.groups()
        path, _, anchor = address.partition("#")
        if not path or re.match(r"[a-z]+:", address):
            return match[0]
        target = paths.get((page.parent / path).resolve())
        if target is None:
            return words
        there = relpath(target, paths[page].parent) + (f"#{anchor}" if anchor else "")
        return f"{picture}[{words}]({there})"

    parts = BLOCK.split(text)
    return "".join(part if number % 2 else LINK.sub(link, part) for number, part in enumerate(parts))


def _paths() -> Iterator[tuple[Path, Path]]:
    for name, path in OTHERS.items():
        yield ROOT / name, Path(path)
    yield DECISIONS, Path("adr/index.md")
    for pattern in ("*.md", "*.png", "*.json"):
        for source in repository.files(pattern, below=DOCS):
            yield source, source.relative_to(DOCS)


def _decisions() -> str:
    """Return the page that lists the architecture decision records by their titles."""
    titles = {path.name: path.read_text().partition("\n")[0].lstrip("# ") for path in sorted(DECISIONS.glob("0*.md"))}
    rows = (f"- [{title}]({name})\n" for name, title in titles.items())
    return "# Decisions\n\n" + "".join(rows)


if __name__ == "__main__":
    write()
