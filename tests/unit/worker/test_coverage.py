"""Coverage is part of the truth: an export is complete only if someone has decided on all that its sources store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from archives import export_json
from checked import CheckedExporter, sources_file, undecided_column, undecided_table
from factories import CutExporter, MadeUpExporter, World, dataset, described, large_things, things, world
from sqlalchemy import update

from portability.api import CheckedDeclaration, Coverage, CoverageFinding, CoverageKind, Exporter
from portability.api.errors import SourceDamaged, SourceRefused
from portability.coverage import state
from portability.database import deployment, models
from portability.database.engine import now, reading, writing
from worker.export import advance
from worker.plan.coverage import PlannedCoverage
from worker.read.coverage import check_source
from worker.read.reader import SourcePatience

pytestmark = pytest.mark.slow

COMPLETE = {"own": "complete", "processor": "none"}
PARTIAL = {"own": "partial", "processor": "none"}


def checked_world(folder: Path, exporters: Mapping[str, Exporter], **settings: Any) -> World:
    names = [f"{name}/{one.name}" for name, exporter in exporters.items() for one in exporter.datasets]
    notice = described(folder / "notice", *names, controller="Example")
    # With a platform database the register of the reference platform states the rest of the notice.
    defaults: dict[str, Any] = {"source_url": f"sqlite:///{folder}/platform.db", "notice_dir": notice}
    return world(folder, exporters, sources=sources_file(folder, *exporters), **defaults, **settings)


def made_export(made: World) -> dict[str, Any]:
    export_id = made.request()
    made.advance_all()
    return export_json(made.fetch(export_id))


def gaps_of(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(gap["what"], gap["reason"]) for gap in document["gaps"]]


def test_a_source_on_which_everything_is_decided_allows_complete(tmp_path: Path) -> None:
    """The check is named in the archive, and the export is complete."""
    document = made_export(checked_world(tmp_path, {"made": CheckedExporter(things(3))}))

    assert (document["complete"], document["outcome"], document["gaps"]) == (True, COMPLETE, [])
    assert [(one["source"], one["state"], one["undecided"]) for one in document["coverage"]] == [
        ("made", "complete", 0)
    ]


def test_an_undecided_column_makes_its_dataset_partial(tmp_path: Path) -> None:
    """The gap says how many columns of the dataset's table are undecided; other datasets of the source are complete."""
    exporter = CheckedExporter(
        things(3), datasets=(dataset("others"), dataset()), found=[undecided_column("fax"), undecided_column("title")]
    )
    document = made_export(checked_world(tmp_path, {"made": exporter}))

    assert (document["complete"], document["outcome"]) == (False, PARTIAL)
    assert [(line["dataset"], line["state"], line["records"]) for line in document["datasets"]] == [
        ("others", "complete", 3),
        ("things", "partial", 3),
    ]
    assert gaps_of(document) == [("made/things: 2 undecided columns", "coverage_undecided")]
    assert [(one["state"], one["undecided"]) for one in document["coverage"]] == [("undecided", 2)]


def test_rows_without_tenant_make_their_dataset_partial(tmp_path: Path) -> None:
    """They belong to no one until a person has signed it, so the dataset may lack what is the subject's."""
    rows = [CoverageFinding(CoverageKind.TENANTLESS, "things", "org_id", name) for name in ("things", "")]
    found = [undecided_column("fax"), *rows]
    document = made_export(checked_world(tmp_path, {"made": CheckedExporter(things(3), found=found)}))

    assert (document["complete"], document["outcome"]) == (False, PARTIAL)
    texts = ("made/things: 1 undecided column", "made/things: rows without a tenant", "made: rows without a tenant")
    assert gaps_of(document) == [(text, "coverage_undecided") for text in texts]
    (said,) = document["coverage"]
    assert (said["state"], said["undecided"], said["tenantless"]) == ("undecided", 3, 2)


def test_what_an_export_keeps_of_a_check_is_read_by_earlier_workers() -> None:
    """They know no rows without a tenant: the row names them only if there are any."""
    tenantless = CoverageFinding(CoverageKind.TENANTLESS, "things", "org_id", "things")
    plain, more = (PlannedCoverage.of("made", "undecided", None, 1, found) for found in ([], [tenantless]))
    assert "tenantless" not in plain.to_json()
    assert PlannedCoverage(**more.to_json()) == more


def test_an_undecided_table_makes_the_source_partial(tmp_path: Path) -> None:
    """A table that no dataset reads may contain what belongs to the subject: the source's first dataset says so."""
    found = [undecided_table("fax", 4), undecided_table("log", 3)]
    exporter = CheckedExporter([], datasets=(dataset("others"), dataset()), found=found)
    document = made_export(checked_world(tmp_path, {"made": exporter}))

    assert [line["state"] for line in document["datasets"]] == ["partial", "empty"]
    assert gaps_of(document) == [("made: 7 undecided columns in 2 other tables", "coverage_undecided")]
    assert document["no_data_held"] is False


def test_a_cut_dataset_has_its_gap_once(tmp_path: Path) -> None:
    """Whatever the number of slices and volumes, a line says it once."""

    class Both(CheckedExporter, CutExporter):
        """Checks, counts and cuts."""

    exporter = Both(large_things(400), found=[undecided_column("fax")])
    made = checked_world(tmp_path, {"made": exporter}, slice_bytes=65_536, volume_bytes=65_536)
    document = made_export(made)

    assert len(document["volumes"]) > 2
    assert gaps_of(document) == [("made/things: 1 undecided column", "coverage_undecided")]
    assert document["datasets"][0]["gaps"] == 1


def test_a_check_counts_while_it_is_young_and_of_the_same_declaration(tmp_path: Path) -> None:
    """An export uses the last check; after two days, or after a change of the map, it makes a new one first."""
    exporter = CheckedExporter(things(1))
    made = checked_world(tmp_path, {"made": exporter})
    made_export(made)
    made_export(made)
    assert exporter.checks == 1

    exporter.declaration = CheckedDeclaration("2" * 64)
    made_export(made)
    assert exporter.checks == 2

    with writing(made.engine) as connection:
        connection.execute(update(models.source_check).values(checked_at=now(-2 * 86_400 - 1)))
    made_export(made)
    assert exporter.checks == 3


def test_a_check_from_before_the_clock_was_set_back_does_not_count(tmp_path: Path) -> None:
    """It seemed to be young until the clock was there again, and no check after it was made or stored."""
    exporter = CheckedExporter(things(1))
    made = checked_world(tmp_path, {"made": exporter})
    made_export(made)
    ahead = update(models.source_check).values(checked_at=now(400 * 86_400), tried_at=now(400 * 86_400))
    with writing(made.engine) as connection:
        connection.execute(ahead)
        assert state.claim(connection, ["made"]) == ["made"]
        connection.execute(ahead)
    for _ in range(2):
        made_export(made)
    assert exporter.checks == 2


@pytest.mark.parametrize(
    ("fault", "code"), [(SourceRefused("no"), "source_refused"), (KeyError("jane"), "source_error")]
)
def test_a_check_that_fails_allows_no_complete(tmp_path: Path, fault: Exception, code: str) -> None:
    """What the source stores is then unknown; the records are delivered nevertheless, and the fault is recorded."""
    made = checked_world(tmp_path, {"made": CheckedExporter(things(3), fault=fault)})
    document = made_export(made)

    assert (document["outcome"], document["datasets"][0]["records"]) == (PARTIAL, 3)
    assert gaps_of(document) == [(f"made: not checked ({code})", "coverage_unknown")]
    with reading(made.engine) as connection:
        row = state.find(connection, "made")
        assert row is not None
        assert (row["error_code"], row["checked_at"]) == (code, None)


def test_damage_ends_the_time_of_earlier_checks(tmp_path: Path) -> None:
    """Records may be missing from the day on which it was found; another fault leaves the last check as it is."""
    exporter = CheckedExporter(things(1))
    made = checked_world(tmp_path, {"made": exporter})
    assert made_export(made)["complete"] is True
    for fault, gaps in (
        (SourceRefused("no"), []),
        (SourceDamaged("no"), [("made: not checked (source_damaged)", "coverage_unknown")]),
    ):
        exporter.fault = fault
        check_source(made.engine, {"made": exporter}, "made", SourcePatience(0, seconds=10))
        assert gaps_of(made_export(made)) == gaps

    exporter.fault = None
    assert made_export(made)["complete"] is True


@dataclass
class OvertakenExporter(CheckedExporter):
    """While it is checked, another process makes a check, which begins later."""

    overtaking: Callable[[], object] = field(default=lambda: None)

    def check(self) -> Coverage:
        seen = super().check()
        self.overtaking()
        return seen


@pytest.mark.parametrize(
    "later", [CheckedExporter([], found=[undecided_column("new")]), CheckedExporter([], fault=SourceDamaged("no"))]
)
def test_a_check_that_began_earlier_replaces_no_later_check(tmp_path: Path, later: CheckedExporter) -> None:
    """A process may be stopped during its check: what it saw is not what the source has now."""
    later.records = things(1)
    made = checked_world(tmp_path, {"made": later})
    patience = SourcePatience(0, seconds=10)

    def check_again() -> None:
        began_at = deployment.clock(made.engine)
        while deployment.clock(made.engine) == began_at:  # it counts milliseconds on SQLite
            pass
        check_source(made.engine, {"made": later}, "made", patience)

    check_source(made.engine, {"made": OvertakenExporter(things(1), overtaking=check_again)}, "made", patience)
    assert made_export(made)["complete"] is False


def test_a_check_that_could_list_a_part_only_is_no_gap_when_it_fails(tmp_path: Path) -> None:
    """What else the source stores is unknown with and without the check: no later check could close a gap."""
    exporter = CheckedExporter(
        things(3), fault=SourceRefused("no"), declaration=CheckedDeclaration("1" * 64, lists_all=False)
    )
    document = made_export(checked_world(tmp_path, {"made": exporter}))

    assert (document["complete"], document["gaps"]) == (True, [])
    assert [one["state"] for one in document["coverage"]] == ["coverage_unknown"]


def test_a_source_that_cannot_be_described_says_so(tmp_path: Path) -> None:
    """Its coverage is unknown; that alone is not a gap, because no check could ever close it."""
    document = made_export(checked_world(tmp_path, {"made": MadeUpExporter(things(1))}))

    assert document["complete"] is True
    assert document["coverage"] == [{"source": "made", "state": "coverage_unknown", "undecided": 0, "checked_at": None}]


def test_without_declared_sources_an_archive_says_nothing_about_coverage(tmp_path: Path) -> None:
    """The plug-ins of a deployment without a file of sources are programs that no declaration describes."""
    exporter = CheckedExporter(things(1), found=[undecided_column("fax")])
    document = made_export(world(tmp_path, {"made": exporter}))

    assert (document["complete"], "coverage" in document, exporter.checks) == (True, False, 0)


def test_declarations_of_one_database_decide_together(tmp_path: Path) -> None:
    """A table that one source reads is not undecided for another source of the same database."""
    own = CheckedDeclaration("1" * 64, "db")
    one = CheckedExporter(things(1), found=[undecided_table("orders", 5)], declaration=own)
    orders = CheckedDeclaration("2" * 64, "db", frozenset({"orders"}))
    elsewhere = CheckedDeclaration("3" * 64, "other", frozenset({"orders"}))

    for declaration, expected in ((orders, True), (elsewhere, False)):
        other = CheckedExporter([], declaration=declaration)
        folder = tmp_path / declaration.sha256[0]
        assert made_export(checked_world(folder, {"one": one, "other": other}))["complete"] is expected


def test_a_decision_does_not_change_an_export_that_was_planned(tmp_path: Path) -> None:
    """Each volume says the same: what the check had found when the export was planned."""
    both = (dataset("others"), dataset())
    exporter = CheckedExporter(large_things(400), datasets=both, found=[undecided_column("fax")])
    made = checked_world(tmp_path, {"made": exporter}, volume_bytes=65_536)
    export_id = made.request()
    claim = made.claim()
    assert claim is not None

    advance(made.place, claim)
    exporter.found, exporter.declaration = (), CheckedDeclaration("2" * 64)
    made.advance_all()

    assert gaps_of(export_json(made.fetch(export_id))) == [("made/things: 1 undecided column", "coverage_undecided")]
