"""The documentation cannot lag: what the code has stands in docs/, and what docs/ name exists."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import cli_reference
import click
import man_page
import pytest
import repository
from forks import run_fork
from prometheus_client.core import Metric
from repository import ROOT, table

from bench.__main__ import FIGURES
from cli.commands import COMMANDS
from cli.context import exit_code
from portability import api, metrics, testing
from portability.api import CheckedDeclaration, Coverage
from portability.api.errors import PortabilityError, all_errors
from portability.coverage import state as coverage
from portability.coverage.checks import CheckedSource
from portability.database import deployment, migrations
from portability.database.engine import open_engine, writing
from portability.database.incidents import Incident
from portability.law.notice import RegisterRule
from portability.plugins import GROUPS, find, load_exporters
from portability.queue import connect, open_queue
from portability.requests.states import DatasetState, TransferState
from portability.settings import Settings, load_settings
from portability.signals.lost_keys import KeyFiles
from portability.signals.services import Services
from portability.sources import PlatformSources
from portability.storage import open_storage
from portability.trust.signing import SignatureFault

DOCS = ROOT / "docs"
PROTOCOLS = ("Exporter", "Format", "Storage", "Directory")
PAGES = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in repository.pages()]
EVERYTHING = "\n".join(page.read_text() for page in repository.pages())
NOUNS = (
    "Subject, Identity, Request, Export, Instruction, Exporter, Dataset, Record, Provenance, Role, Batch, File, Gap, "
    "Slice, Format, Member, Volume, Closing volume, Archive, Link, Transfer, Recipient, Notice, Request log, "
    "Dataset register, Profile, Position, Ledger, Tenant"
)


@pytest.mark.slow
def test_the_command_line_page_is_what_help_prints() -> None:
    """docs/cli.md has every command with every option, word for word; `make docs` writes it."""
    assert cli_reference.PAGE.read_text() == _rendered("cli_reference")


@pytest.mark.slow
def test_the_manual_page_is_what_help_prints() -> None:
    """docs/man/portability.1 has every command with every option; `make docs` writes it."""
    assert man_page.PAGE.read_text() == _rendered("man_page")


def _rendered(module: str) -> str:
    # In a process of its own: click keeps a command's help option as its first user in this process wanted it.
    print_page = f"import {module}; print({module}.render(), end='')"
    done = run_fork([], os.environ, seconds=60, code=print_page)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_manual_page_is_well_formed() -> None:
    """Groff formats it without a warning, and no line of a text is taken for a macro."""
    page = man_page.PAGE.read_text()
    shown = subprocess.run(
        ["groff", "-man", "-ww", "-Tascii", "-P-cbou"], input=page, capture_output=True, text=True, check=True
    )

    assert shown.stderr == ""
    assert all(context.command_path in shown.stdout for context in cli_reference.commands())


@pytest.mark.slow
def test_every_command_takes_dir_and_json() -> None:
    """The page promises `--dir` and `--json` for every command, so every command has them."""
    lacking = [
        context.command_path
        for context in cli_reference.commands()
        if not isinstance(context.command, click.Group)
        and not {"--dir", "--json"} <= {name for option in context.command.params for name in option.opts}
    ]

    assert lacking == []


def test_the_settings_table_is_the_settings() -> None:
    """Each setting has a row with its default and its description, in the order of the code; no row is superfluous."""
    rows = [(row["variable"], row["default"], row["meaning"]) for row in table(DOCS / "settings.md", "variable")]

    assert rows == [
        (f"PORTABILITY_{name}".upper(), _written(field.default), field.description)
        for name, field in Settings.model_fields.items()
    ]


def test_settings_have_units() -> None:
    """No row of the settings leaves its unit open."""
    assert all(row["unit"] for row in table(DOCS / "settings.md", "variable"))


@pytest.mark.parametrize("page", PAGES)
def test_settings_that_pages_name_exist(page: Path) -> None:
    """A variable on a page is a setting of the code."""
    named = set(re.findall(r"(?<!_)PORTABILITY_([A-Z][A-Z_]*[A-Z])", page.read_text()))

    assert named <= {name.upper() for name in Settings.model_fields}


def test_the_error_tables_are_the_error_tree() -> None:
    """Each error has a row with its class, exit code and whether it is retried; there are no other rows."""
    rows = {row["code"]: (row["class"], row["exit"], row["retried"]) for row in table(DOCS / "errors.md", "code")}

    assert rows == {
        error.code: (error.__name__, str(exit_code(error.__new__(error))), "yes" if error.retryable else "no")
        for error in _errors()
    }


def test_error_codes_are_unique() -> None:
    """Each code belongs to one class, so that a caller can rely on it."""
    codes = [error.code for error in _errors()]

    assert sorted(codes) == sorted(set(codes))
    assert SignatureFault.code in codes


def test_every_error_says_what_it_means_and_what_to_do() -> None:
    """No row lacks its meaning; only what needs no doing lacks advice."""
    rows = list(table(DOCS / "errors.md", "code"))

    assert all(row["meaning"] for row in rows)
    assert {row["code"] for row in rows if not row["what to do"]} == {"portability_error", "control_error", "cancelled"}


def test_the_state_tables_are_the_states() -> None:
    """docs/flow.md has every state of a dataset, docs/transfers.md those of a transfer, in the order of the code."""
    assert [row["state"] for row in table(DOCS / "flow.md", "state")] == list(DatasetState)
    assert [row["state"] for row in table(DOCS / "transfers.md", "state")] == list(TransferState)


@pytest.mark.slow
def test_the_metrics_table_is_what_is_measured(tmp_path: Path) -> None:
    """docs/metrics.md has every metric by the name that Prometheus gives it, type and labels; none is left over."""
    engine = open_engine(f"sqlite:///{tmp_path}/control.sqlite")
    migrations.upgrade(engine)
    with writing(engine) as connection:
        at = deployment.clock_of(connection)
        coverage.record(connection, "crm", CheckedSource(CheckedDeclaration(""), Coverage()), at)
    # Neither Redis nor storage answers here: their metrics have no values.
    services = Services(engine, lambda: open_queue(connect("unix:///nowhere")), lambda: open_storage("file:///"))
    measured = [
        (f"{metric.name}_total" if metric.type == "counter" else metric.name, metric.type, _labels(metric))
        for metric in (*services.collect(), *KeyFiles(engine, tmp_path / "keys").collect(), *metrics.collect(engine))
    ]
    rows = list(table(DOCS / "metrics.md", "metric"))

    assert [(row["metric"], row["type"], row["labels"]) for row in rows] == measured
    assert all(row["meaning"] for row in rows)


def test_the_incidents_table_is_the_incidents() -> None:
    """docs/metrics.md tells what each kind of incident means and what to do, in the order of the code."""
    rows = list(table(DOCS / "metrics.md", "kind"))

    assert [row["kind"] for row in rows] == list(Incident)
    assert all(row["meaning"] and row["what to do"] for row in rows)


def test_the_rules_of_the_notice_register_are_documented() -> None:
    """docs/notice.md has each rule that a register can break, in the order of the code."""
    rows = list(table(DOCS / "notice.md", "rule"))

    assert [row["rule"] for row in rows] == list(RegisterRule)
    assert all(row["what a register must be"] for row in rows)


def test_every_dataset_is_documented(tmp_path: Path) -> None:
    """docs/plugins.md has a row for every built-in exporter, with the names of its datasets."""
    lines = (DOCS / "plugins.md").read_text().splitlines()
    missing = [
        f"{name}/{dataset.name}"
        for name, exporter in load_exporters(PlatformSources(load_settings(dir=tmp_path))).items()
        for dataset in exporter.datasets
        if not any(f"`{name}`" in line and re.search(rf"\b{dataset.name}\b", line) for line in lines)
    ]

    assert missing == []


@pytest.mark.parametrize("group", GROUPS)
def test_every_plugin_is_named(group: str) -> None:
    """Every group of entry points is on some page, and so is the name of each installed plug-in of it."""
    assert f"{group}" in EVERYTHING
    assert [name for name in find(group) if f"`{name}`" not in EVERYTHING] == []


@pytest.mark.parametrize("name", [*testing.__all__, *(name for name in api.__all__ if name.endswith(PROTOCOLS))])
def test_what_authors_of_plugins_use_is_documented(name: str) -> None:
    """The guides name every contract suite, and every protocol that a plug-in may have."""
    guides = "\n".join((DOCS / page).read_text() for page in ("plugins.md", "formats.md", "storages.md", "mail.md"))

    assert re.search(rf"\b{name}\b", guides)


def test_every_noun_is_in_the_glossary() -> None:
    """The glossary explains each noun in bold where it begins."""
    explained = set(re.findall(r"\*\*([^*]+)\*\*:", (DOCS / "glossary.md").read_text()))

    assert set(NOUNS.split(", ")) - explained == set()


def test_the_readme_leads_to_every_page() -> None:
    """A page that the table does not name cannot be found from the beginning."""
    table_of_pages = (ROOT / "README.md").read_text().partition("## Documentation")[2]
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}

    assert pages - set(re.findall(r"\]\((docs/[^)#]+)\)", table_of_pages)) == set()


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_somewhere(page: Path) -> None:
    """Every relative link is to a file that exists, and to a heading that it has."""
    broken = [link for link in _links(page) if not _leads_somewhere(page, link)]

    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_pages_show_exist(page: Path) -> None:
    """`portability x` in code on a page is a command."""
    shown = {name for code in _code(page) for name in re.findall(r"(?:^|&& |/)portability ([a-z]+)", code)}

    assert shown <= COMMANDS.keys()


@pytest.mark.parametrize("page", PAGES)
def test_targets_that_pages_show_exist(page: Path) -> None:
    """`make x` in code on a page is a target."""
    shown = {name for code in _code(page) for name in re.findall(r"(?:^|\s)make ([a-z-]+)", code)}

    assert shown <= _targets()


def test_every_target_says_what_it_does() -> None:
    """`make help` lists every target of the Makefile that people call."""
    described = re.findall(r"^([a-z-]+):.*## .", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)

    assert _targets() - set(described) == {"programs"}


def test_the_figures_table_is_what_is_measured() -> None:
    """bench/README.md says of each figure what it is, and has a measured line for each."""
    tables = list(table(ROOT / "bench" / "README.md", "name"))
    assert {row["name"].strip("`") for row in tables if "target" in row} == set(FIGURES)
    assert {row["name"].strip("`") for row in tables if "date" in row} == set(FIGURES)


def test_every_dependency_has_a_reason() -> None:
    """ADR 6 names each dependency of pyproject.toml with its licence and reason, and no other."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    rows = list(table(DOCS / "adr" / "0006-hashed-lock-files.md", "dependency"))
    named = [name for row in rows for name in row["dependency"].split(", ")]

    assert sorted(named) == sorted(re.split(r"[^A-Za-z0-9_.-]", one, maxsplit=1)[0] for one in wanted)
    assert all(row["licence"] and row["reason"] for row in rows)


def _written(default: object) -> str:
    if default is None:
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


def _errors() -> list[type[PortabilityError]]:
    for command in COMMANDS.values():
        resolve_name(command)  # what it imports has errors of its own
    # Tests may have made errors of their own.
    return [error for error in all_errors() if error.__module__.split(".")[0] in repository.PACKAGES]


def _labels(metric: Metric) -> str:
    return ", ".join(vars(metric)["_labelnames"])


def _code(page: Path) -> Iterator[str]:
    """Lines of code blocks, of console sessions without their output, and code in the running text."""
    text = page.read_text()
    blocks = re.compile(r"^```([a-z]*)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
    for language, block in blocks.findall(text):
        lines = block.splitlines()
        yield from (line[2:] for line in lines if line.startswith("$ ")) if language == "console" else lines
    yield from re.findall(r"`([^`\n]+)`", blocks.sub("", text))


def _links(page: Path) -> Iterator[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
        if not re.match(r"[a-z]+:", link):
            yield link


def _leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not anchor or anchor in {_anchor(line) for line in target.read_text().splitlines() if line.startswith("#")}


def _anchor(heading: str) -> str:
    words = heading.lstrip("#").strip().lower().replace("`", "")
    return re.sub(r"[^\w -]", "", words).replace(" ", "-")


def _targets() -> set[str]:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    return set(phony.split())
