"""An audit from outside: a platform made from docs/source-schema.md, exported by the real command line and pipeline.

What makes the platform and compares the archives with expected.toml imports nothing of the product.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import servers
from audit import audited_platform, comparison, expectations
from audit.command_line import REPAIRED, RETRIED, UNREPAIRED, Audit, audited
from audit.expectations import NOT_FOUND, PEOPLE, REASONS, ROWS_OF_NO_PERSON, SWITCHES
from audit.source_rows import PAGE_TABLES
from repository import PACKAGES

FOLDER = Path(__file__).parent
RUNS_THE_PRODUCT = {"test_audit", "test_comparison", "command_line"}
ARCHIVED = [name for name, person in PEOPLE.items() if person.answer != NOT_FOUND]


@pytest.fixture(scope="module", params=["postgresql", pytest.param("sqlite", marks=pytest.mark.system)])
def audit(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Audit:
    """All people and companies of expected.toml, exported from either database."""
    folder = tmp_path_factory.mktemp("audit")
    if request.param == "sqlite":
        source = f"sqlite:///{folder}/source.sqlite"
    else:
        server: servers.Postgres = request.getfixturevalue("pg_server")
        source = server.url(server.create_database())
    return audited(request.param, folder, source, redis_server)


def _judge(audit: Audit, name: str, differences: Mapping[str, list[str]]) -> None:
    """Fail for differences, by check, and for a known gap without differences: it must be removed from the file."""
    known = {check: expectations.known_gap(name, check, audit.database) for check in differences}
    wrong = {check: found for check, found in differences.items() if found and known[check] is None}
    passing = [check for check, found in differences.items() if not found and known[check] is not None]
    assert wrong == {}
    assert passing == [], f"{name} passes on {audit.database}: remove {passing} from known_gaps.toml"
    missing = {f"{known[check]}, {check}: {found[0]}" for check, found in differences.items() if found}
    if missing:
        pytest.xfail("; ".join(sorted(missing)))


@pytest.mark.parametrize("name", ARCHIVED)
def test_a_person_gets_what_is_expected(audit: Audit, name: str) -> None:
    """Every person gets exactly the rows, values, files, remarks, gaps and outcome that expected.toml names."""
    checks = comparison.checks_of(PEOPLE[name], audited_platform.ROWS, audit.database)
    if name in audit.archives:
        differences = {check: list(find(audit.archives[name])) for check, find in checks.items()}
    else:
        differences = {"rows": [f"no archive: {audit.states[name]}"]}
    _judge(audit, name, differences)


@pytest.mark.parametrize("name", SWITCHES)
def test_a_company_gets_what_is_expected(audit: Audit, name: str) -> None:
    """A company that switches gets every row of its own and no row of another company."""
    checks = comparison.switch_checks_of(SWITCHES[name], audited_platform.ROWS)
    archive = audit.archives[f"switch_{name}"]
    _judge(audit, f"switch_{name}", {check: list(find(archive)) for check, find in checks.items()})


@pytest.mark.parametrize("name", [name for name, person in PEOPLE.items() if person.answer == NOT_FOUND])
def test_an_unknown_subject_gets_no_archive(audit: Audit, name: str) -> None:
    """An id that no source knows leads to an officer's decision, not to an archive without records."""
    differences = [f"state {audit.states[name]}, and an archive"] if name in audit.archives else []
    _judge(audit, name, {"answer": differences})


@pytest.mark.parametrize("name", [name for name, person in PEOPLE.items() if person.contains_first_export])
def test_the_second_archive_contains_the_first_request(audit: Audit, name: str) -> None:
    """What this software stores about a person's earlier request belongs to the person's data."""
    first = audit.first_exports[name]
    differences = [] if first.encode() in audit.archives[name].content else [f"{first} is in no file"]
    _judge(audit, name, {"own_rows": differences})


@pytest.mark.parametrize("name", RETRIED)
def test_a_gap_is_closed_only_by_what_was_missing(audit: Audit, name: str) -> None:
    """A retry leaves the gap open until the source has the value or the file; then the archive has it."""
    unrepaired, repaired = audit.archives[name + UNREPAIRED], audit.archives[name + REPAIRED]
    before = [
        *comparison.compare_gaps(PEOPLE[name].gaps, unrepaired),
        *comparison.compare_complete(False, unrepaired),
    ]
    after = [*comparison.compare_gaps((), repaired), *comparison.compare_complete(True, repaired)]
    if name == "badprice":
        after += comparison.compare_texts(["99.95"], (), repaired)
    else:
        after += comparison.compare_files(repaired, ())
        after += [] if any(record["file"] for record in repaired.of("rec_nofile")) else ["no record names the file"]
    _judge(audit, name, {"unrepaired": before, "repaired": after})


@pytest.mark.parametrize("name", [name for name, person in PEOPLE.items() if person.exit_code is not None])
def test_the_exit_code_tells_the_outcome(audit: Audit, name: str) -> None:
    """`request --wait` ends with 0 if complete, 3 if ready and not complete, 4 if not found, 5 if only referred."""
    found, expected = audit.exit_codes[name], PEOPLE[name].exit_code
    differences = [] if found == expected else [f"exit code {found}, expected {expected}"]
    _judge(audit, name, {"exit_code": differences})


def test_every_row_is_explained() -> None:
    """Each row of the platform is delivered to a person, or has a reason from the closed set of reasons."""
    reasons = [person.not_delivered for person in PEOPLE.values()] + [ROWS_OF_NO_PERSON]
    delivered = {name for person in PEOPLE.values() for names in person.delivered.values() for name in names}
    explained = delivered.union(*reasons)

    assert audited_platform.ROWS.keys() - explained == set()
    assert explained - audited_platform.ROWS.keys() == set()
    assert {reason for named in reasons for reason in named.values()} == REASONS


def test_every_column_is_filled() -> None:
    """Every column of docs/source-schema.md has a value in at least one row."""
    filled = {
        (row.table, column)
        for row in audited_platform.ROWS.values()
        for column, value in row.values.items()
        if value is not None
    }
    columns = {(table.name, column) for table in PAGE_TABLES.values() for column in table.columns}

    assert columns - filled == set()
    assert len(PAGE_TABLES) == 44
    assert len(PEOPLE) >= 40


def test_known_gaps_name_checks_that_exist() -> None:
    """A misspelt name in known_gaps.toml would excuse nothing, and would stay there for ever."""
    names = {*PEOPLE, *(f"switch_{name}" for name in SWITCHES)}
    checks = {
        *comparison.CHECKS,
        *comparison.SWITCH_CHECKS,
        "answer",
        "own_rows",
        "exit_code",
        "unrepaired",
        "repaired",
    }
    for key in expectations.KNOWN_GAPS:
        name, check = key.split("@")[0].split(".")
        assert name in names, key
        assert check in checks, key


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_the_auditor_imports_nothing_of_the_product(path: Path) -> None:
    """What makes the platform and compares the archives shares no code with the product."""
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add((node.module or "").split(".")[0])

    allowed = {"audit", "psycopg", *sys.stdlib_module_names}
    is_clean = imported <= allowed and imported.isdisjoint({*PACKAGES, "bench"})
    assert is_clean is (path.stem not in RUNS_THE_PRODUCT), imported - allowed
