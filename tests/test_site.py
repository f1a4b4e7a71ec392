"""The website: every page of the documentation is on it, and no link of it leads nowhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import repository
import site_pages
from repository import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The website, built as `make site` does, in a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    site_pages.write(folder / "build" / "pages")
    shutil.copyfile(ROOT / "mkdocs.yml", folder / "mkdocs.yml")
    subprocess.run([*_build(), "--clean", "--strict"], cwd=folder, check=True, timeout=120, capture_output=True)
    return folder / "site"


def test_every_page_is_on_the_site(site: Path) -> None:
    """Each page of docs/ and each of the others has its HTML page, and the search finds its title."""
    pages = [*site_pages.OTHERS.values(), "adr/index.md"]
    pages += [page.relative_to(site_pages.DOCS).as_posix() for page in repository.files("*.md", below=site_pages.DOCS)]
    found = {item["location"].partition("#")[0] for item in json.loads((site / "search.json").read_text())["items"]}

    assert [page for page in pages if not (site / page).with_suffix(".html").is_file()] == []
    assert [page for page in pages if page.removesuffix(".md") + ".html" not in found] == []


def test_every_page_is_in_the_navigation() -> None:
    """A page that is neither a decision nor in the navigation of mkdocs.yml would be hard to find."""
    listed = (ROOT / "mkdocs.yml").read_text()
    pages = [*site_pages.OTHERS.values(), *(page.name for page in site_pages.DOCS.glob("*.md"))]

    assert [page for page in pages if f"- {page}\n" not in listed] == []


def test_a_broken_link_ends_the_build(tmp_path: Path) -> None:
    """`--strict` refuses a link to a page or a heading that does not exist."""
    pages = tmp_path / "build" / "pages"
    pages.mkdir(parents=True)
    (pages / "index.md").write_text("# Start\n\n[there](#elsewhere) and [there](nowhere.md)\n")
    (tmp_path / "mkdocs.yml").write_text("site_name: Site\ndocs_dir: build/pages\n")
    built = subprocess.run([*_build(), "--strict"], cwd=tmp_path, check=False, timeout=120, capture_output=True)

    assert built.returncode != 0


def test_links_lead_within_the_site() -> None:
    """A link to a page of the site follows the page to its new path; a link to another file becomes its words."""
    page = ROOT / "docs" / "adr" / "x.md"
    paths = {page: Path("adr/x.md"), ROOT / "README.md": Path("index.md")}
    code = "\n\n```\n[h](../../Makefile)\n```\n"

    made = site_pages.with_links(
        f"[a `b`](../../README.md#c) [d](../../Makefile) [e](#f) [g](https://x.example/){code}", page, paths
    )

    assert made == f"[a `b`](../index.md#c) d [e](#f) [g](https://x.example/){code}"


def _build() -> list[str]:
    return [str(Path(sys.executable).with_name("zensical")), "build"]
